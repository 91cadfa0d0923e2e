//! AES-CCM (NIST SP 800-38C, RFC 3610): a CBC-MAC over the plaintext, hidden by the counter mode that
//! encrypts it. Counter mode is the kernels'.

use super::aes::{Aes, ctr};
use super::{Aead, Chain, Cipher, Request, Tag, tag_of, xor};
use crate::kernel::{BLOCK, Kernels, Schedule};
use crate::lanes::advance_counter;

/// Counter with CBC-MAC.
pub(crate) struct Ccm;

/// Its counter mode.
pub(crate) struct CcmStream;

/// Where the counter begins, and the key.
pub(crate) struct Stream {
    kernels: Kernels,
    key: Schedule,
    first: [u8; BLOCK],
}

/// The chain under way.
pub(crate) struct Auth {
    aes: Aes,
    chain: [u8; BLOCK],
    /// Bytes of the block under way that are xored into the chain.
    count: usize,
    /// Bytes of associated data to come.
    aad_left: u64,
    /// Encrypted first counter block: what hides the chain.
    mask: [u8; BLOCK],
}

/// The counter block before those of the message: flags, the `len` bytes of the nonce, zero.
#[inline]
pub(crate) fn first_counter(nonce: [u8; BLOCK], len: usize) -> [u8; BLOCK] {
    let nonce = u128::from_le_bytes(nonce) & (u128::MAX >> (128 - 8 * len));
    (nonce << 8 | (14 - len) as u128).to_le_bytes()
}

/// The first block of the chain: the first counter block with more flags, and the length where the counter
/// is.
#[inline]
pub(crate) fn first_block(
    first_counter: [u8; BLOCK],
    tag_len: usize,
    aad_len: u64,
    len: u64,
) -> [u8; BLOCK] {
    let flags = (((tag_len as u128 - 2) / 2) << 3) | if aad_len > 0 { 0x40 } else { 0 };
    let len = u128::from(len.swap_bytes()) << 64;
    (u128::from_le_bytes(first_counter) ^ flags ^ len).to_le_bytes()
}

/// A nonce of 7 to 13 bytes, as [`first_counter`] takes it.
fn padded(nonce: &[u8]) -> ([u8; BLOCK], usize) {
    let mut block = [0; BLOCK];
    block[..nonce.len()].copy_from_slice(nonce);
    (block, nonce.len())
}

/// What the chain takes in before associated data of so many bytes: their length, in as many bytes as it
/// needs.
pub(crate) fn aad_prefix(len: u64) -> ([u8; 6], usize) {
    let bytes = len.to_be_bytes();
    match len {
        0 => ([0; 6], 0),
        1..0xff00 => ([bytes[6], bytes[7], 0, 0, 0, 0], 2),
        _ => ([0xff, 0xfe, bytes[4], bytes[5], bytes[6], bytes[7]], 6),
    }
}

impl Auth {
    fn take(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.chain[self.count] ^= byte;
            self.count += 1;
            if self.count == BLOCK {
                self.end_block();
            }
        }
    }

    /// Fills the block under way with zeros.
    fn end_block(&mut self) {
        if self.count > 0 {
            self.aes.encrypt(&mut self.chain);
            self.count = 0;
        }
    }
}

impl Cipher for CcmStream {
    type State = Stream;
    const CHAINED: bool = false;

    fn start(request: &Request<'_>) -> Stream {
        let key = request.schedules().0.clone();
        let (nonce, len) = padded(request.iv);
        Stream { kernels: request.kernels, key, first: first_counter(nonce, len) }
    }

    fn step(state: &mut Stream, at: u64, _chain: &mut Chain, bytes: &mut [u8]) {
        let counter = advance_counter(&state.first, at + BLOCK as u64);
        ctr(state.kernels, &state.key, bytes, &counter);
    }
}

impl Aead for Ccm {
    type Stream = CcmStream;
    type Auth = Auth;
    const MACS_PLAINTEXT: bool = true;

    fn start(request: &Request<'_>) -> Auth {
        let aes = Aes::of(request);
        let (nonce, len) = padded(request.iv);
        let mut mask = first_counter(nonce, len);
        let mut chain = first_block(mask, request.tag_len, request.aad_len, request.len);
        aes.encrypt(&mut mask);
        aes.encrypt(&mut chain);
        let mut auth = Auth { aes, chain, count: 0, aad_left: request.aad_len, mask };
        let (prefix, len) = aad_prefix(request.aad_len);
        auth.take(&prefix[..len]);
        auth
    }

    fn aad(auth: &mut Auth, bytes: &[u8]) {
        auth.take(bytes);
        auth.aad_left -= bytes.len() as u64;
        if auth.aad_left == 0 {
            auth.end_block();
        }
    }

    fn text(auth: &mut Auth, bytes: &[u8]) {
        auth.take(bytes);
    }

    fn tag(mut auth: Auth) -> Tag {
        auth.end_block();
        xor(&mut auth.chain, &auth.mask);
        tag_of(&auth.chain)
    }
}

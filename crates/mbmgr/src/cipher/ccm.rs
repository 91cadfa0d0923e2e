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

/// The counter block before those of the message: flags, nonce, zero.
fn first_counter(nonce: &[u8]) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    block[0] = (14 - nonce.len()).to_le_bytes()[0];
    block[1..=nonce.len()].copy_from_slice(nonce);
    block
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
        Stream { kernels: request.kernels, key, first: first_counter(request.iv) }
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
        let mut mask = first_counter(request.iv);
        let mut chain = mask;
        aes.encrypt(&mut mask);
        // B0 is the first counter block with more flags, and the length where the counter is.
        let tag_flag = ((request.tag_len - 2) / 2).to_le_bytes()[0] << 3;
        let aad_flag = if request.aad_len > 0 { 0x40 } else { 0 };
        chain[0] |= tag_flag | aad_flag;
        xor(&mut chain[8..], &request.len.to_be_bytes());
        aes.encrypt(&mut chain);
        let mut auth = Auth { aes, chain, count: 0, aad_left: request.aad_len, mask };
        match request.aad_len {
            0 => {}
            len @ 1..0xff00 => auth.take(&len.to_be_bytes()[6..]),
            len => {
                auth.take(&[0xff, 0xfe]);
                auth.take(&len.to_be_bytes()[4..]);
            }
        }
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

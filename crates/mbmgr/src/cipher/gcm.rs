//! AES-GCM of a message in pieces, and GHASH (NIST SP 800-38D). Counter mode is the kernels'; the hash is the
//! `ghash` crate's.

use ghash::GHash;
use ghash::universal_hash::{KeyInit, UniversalHash};

use super::aes::{Aes, ctr};
use super::{Aead, Chain, Cipher, Mac, Request, Tag, tag_of, xor};
use crate::kernel::{BLOCK, Kernels, Schedule};

/// Galois/counter mode.
pub(crate) struct Gcm;

/// Its counter mode.
pub(crate) struct GcmStream;

/// Its hash alone, with the hash key itself as the key.
pub(crate) struct Ghash;

/// Where the counter of a message begins, and the key.
pub(crate) struct Stream {
    kernels: Kernels,
    key: Schedule,
    first: [u8; BLOCK],
}

/// The hash under way.
pub(crate) struct Auth {
    hash: GHash,
    /// Encrypted first counter block: what hides the hash.
    mask: [u8; BLOCK],
    aad_len: u64,
    len: u64,
}

/// The hash key, and the counter block from which those of the message are counted (7.1, step 2).
fn hash_and_first(aes: &Aes, iv: &[u8]) -> (GHash, [u8; BLOCK]) {
    let mut key = [0; BLOCK];
    aes.encrypt(&mut key);
    let hash = GHash::new(&key.into());
    let mut first = [0; BLOCK];
    if iv.len() == 12 {
        first[..12].copy_from_slice(iv);
        first[15] = 1;
    } else {
        let mut of_iv = hash.clone();
        of_iv.update_padded(iv);
        of_iv.update(&[lengths(0, iv.len() as u64).into()]);
        first.copy_from_slice(&of_iv.finalize());
    }
    (hash, first)
}

/// The block that ends a hash: both lengths in bits.
fn lengths(aad_len: u64, len: u64) -> [u8; BLOCK] {
    (u128::from(8 * aad_len) << 64 | u128::from(8 * len)).to_be_bytes()
}

/// `first` with `blocks` added to its last 32 bits, which wrap by themselves.
fn counted(first: &[u8; BLOCK], blocks: u32) -> [u8; BLOCK] {
    let mut counter = *first;
    let low = u32::from_be_bytes([first[12], first[13], first[14], first[15]]);
    counter[12..].copy_from_slice(&low.wrapping_add(blocks).to_be_bytes());
    counter
}

impl Cipher for GcmStream {
    type State = Stream;
    const CHAINED: bool = false;

    fn start(request: &Request<'_>) -> Stream {
        let key = request.schedules().0.clone();
        let (_, first) = hash_and_first(&Aes::of_schedule(&key), request.iv);
        Stream { kernels: request.kernels, key, first }
    }

    fn step(state: &mut Stream, at: u64, _chain: &mut Chain, bytes: &mut [u8]) {
        #[expect(clippy::cast_possible_truncation, reason = "a message has fewer than 2^32 blocks")]
        let blocks = (at / BLOCK as u64) as u32 + 1;
        let counter = counted(&state.first, blocks);
        // The kernel counts in 128 bits: it may go as far as the last 32 of them do not wrap.
        let low = u32::from_be_bytes([counter[12], counter[13], counter[14], counter[15]]);
        let before_wrap = (u64::from(u32::MAX - low) + 1) * BLOCK as u64;
        let before_wrap = usize::try_from(before_wrap).unwrap_or(usize::MAX).min(bytes.len());
        let (bytes, wrapped) = bytes.split_at_mut(before_wrap);
        ctr(state.kernels, &state.key, bytes, &counter);
        if !wrapped.is_empty() {
            let mut counter = counter;
            counter[12..].fill(0);
            ctr(state.kernels, &state.key, wrapped, &counter);
        }
    }
}

impl Aead for Gcm {
    type Stream = GcmStream;
    type Auth = Auth;
    const MACS_PLAINTEXT: bool = false;

    fn start(request: &Request<'_>) -> Auth {
        let aes = Aes::of(request);
        let (hash, mut mask) = hash_and_first(&aes, request.iv);
        aes.encrypt(&mut mask);
        Auth { hash, mask, aad_len: request.aad_len, len: request.len }
    }

    fn aad(auth: &mut Auth, bytes: &[u8]) {
        auth.hash.update_padded(bytes);
    }

    fn text(auth: &mut Auth, bytes: &[u8]) {
        auth.hash.update_padded(bytes);
    }

    fn tag(auth: Auth) -> Tag {
        let mut hash = auth.hash;
        hash.update(&[lengths(auth.aad_len, auth.len).into()]);
        let mut tag = tag_of(&hash.finalize());
        xor(&mut tag, &auth.mask);
        tag
    }
}

impl Mac for Ghash {
    type State = GHash;

    fn start(request: &Request<'_>) -> GHash {
        GHash::new_from_slice(request.raw_key()).expect("a key of 16 bytes")
    }

    fn update(hash: &mut GHash, bytes: &[u8]) {
        hash.update_padded(bytes);
    }

    fn finish(hash: GHash) -> Tag {
        tag_of(&hash.finalize())
    }
}

//! ChaCha20, Poly1305 and both together (RFC 8439), on the RustCrypto crates.

use chacha20::ChaCha20 as Core;
use cipher::{KeyIvInit, StreamCipher, StreamCipherSeek};
use poly1305::universal_hash::{KeyInit, UniversalHash};
use poly1305::{Block, Poly1305 as Hash};
use zeroize::Zeroizing;

use super::{Aead, Chain, Cipher, Mac, Request, Tag, tag_of};
use crate::kernel::BLOCK;

/// Bytes of a block of the key stream; the first one is not the message's.
const STREAM_BLOCK: u64 = 64;

/// The stream cipher.
pub(crate) struct ChaCha20;

/// The one-time authenticator.
pub(crate) struct Poly1305;

/// Both.
pub(crate) struct ChaCha20Poly1305;

/// A Poly1305 under way, and the bytes that do not fill a block yet.
pub(crate) struct State {
    hash: Hash,
    rest: [u8; BLOCK],
    count: usize,
}

/// Poly1305 of an AEAD, and the lengths that end it.
pub(crate) struct Auth {
    hash: Hash,
    aad_len: u64,
    len: u64,
}

fn core(request: &Request<'_>) -> Core {
    Core::new_from_slices(request.raw_key(), request.iv).expect("32 and 12 bytes")
}

impl Cipher for ChaCha20 {
    type State = Core;
    const CHAINED: bool = false;

    fn start(request: &Request<'_>) -> Core {
        core(request)
    }

    fn step(core: &mut Core, at: u64, _chain: &mut Chain, bytes: &mut [u8]) {
        core.seek(STREAM_BLOCK + at);
        core.apply_keystream(bytes);
    }
}

impl Mac for Poly1305 {
    type State = State;

    fn start(request: &Request<'_>) -> State {
        let hash = Hash::new_from_slice(request.raw_key()).expect("a key of 32 bytes");
        State { hash, rest: [0; BLOCK], count: 0 }
    }

    fn update(state: &mut State, bytes: &[u8]) {
        // Only the last part leaves a rest, so there is none from before.
        let (blocks, rest) = Block::slice_as_chunks(bytes);
        state.hash.update(blocks);
        state.rest[..rest.len()].copy_from_slice(rest);
        state.count = rest.len();
    }

    fn finish(state: State) -> Tag {
        tag_of(&state.hash.compute_unpadded(&state.rest[..state.count]))
    }
}

impl Aead for ChaCha20Poly1305 {
    type Stream = ChaCha20;
    type Auth = Auth;
    const MACS_PLAINTEXT: bool = false;

    fn start(request: &Request<'_>) -> Auth {
        let mut key = Zeroizing::new([0; 32]);
        core(request).apply_keystream(&mut key[..]);
        let hash = Hash::new_from_slice(&key[..]).expect("a key of 32 bytes");
        Auth { hash, aad_len: request.aad_len, len: request.len }
    }

    fn aad(auth: &mut Auth, bytes: &[u8]) {
        auth.hash.update_padded(bytes);
    }

    fn text(auth: &mut Auth, bytes: &[u8]) {
        auth.hash.update_padded(bytes);
    }

    fn tag(auth: Auth) -> Tag {
        let mut lengths = [0; BLOCK];
        lengths[..8].copy_from_slice(&auth.aad_len.to_le_bytes());
        lengths[8..].copy_from_slice(&auth.len.to_le_bytes());
        let mut hash = auth.hash;
        hash.update(&[lengths.into()]);
        tag_of(&hash.finalize())
    }
}

//! AES in electronic code book and in cipher feedback mode (NIST SP 800-38A 6.1 and 6.3, with segments
//! of 128 bits). ECB needs nothing but its place; CFB chains on the last ciphertext block.

use super::aes::Aes;
use super::{Chain, Cipher, Request, xor};
use crate::kernel::BLOCK;

/// Electronic code book.
pub(crate) struct Ecb;

impl Cipher for Ecb {
    type State = (Aes, bool);
    const CHAINED: bool = false;

    fn start(request: &Request<'_>) -> (Aes, bool) {
        (Aes::of(request), request.encrypts())
    }

    fn step((aes, encrypts): &mut (Aes, bool), _at: u64, _chain: &mut Chain, bytes: &mut [u8]) {
        let blocks = bytes.as_chunks_mut::<BLOCK>().0;
        if *encrypts {
            aes.encrypt_all(blocks);
        } else {
            aes.decrypt_all(blocks);
        }
    }
}

/// Cipher feedback.
pub(crate) struct Cfb;

impl Cipher for Cfb {
    type State = (Aes, bool);
    const CHAINED: bool = true;

    fn start(request: &Request<'_>) -> (Aes, bool) {
        (Aes::of(request), request.encrypts())
    }

    fn step((aes, encrypts): &mut (Aes, bool), _at: u64, chain: &mut Chain, bytes: &mut [u8]) {
        if *encrypts {
            for block in bytes.chunks_mut(BLOCK) {
                aes.encrypt(chain);
                xor(block, chain);
                chain[..block.len()].copy_from_slice(block);
            }
            return;
        }
        // The key stream of all blocks at once: the ciphertext before each is there.
        let mut stream = Vec::with_capacity(bytes.len().div_ceil(BLOCK));
        for block in bytes.chunks(BLOCK) {
            stream.push(*chain);
            chain[..block.len()].copy_from_slice(block);
        }
        aes.encrypt_all(&mut stream);
        xor(bytes, stream.as_flattened());
    }
}

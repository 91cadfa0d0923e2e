//! AES in cipher feedback mode (NIST SP 800-38A, 6.3, with segments of 128 bits): it chains on the last
//! ciphertext block.

use std::slice;

use super::aes::Blocks;
use super::{Chain, Cipher, Request, xor};
use crate::kernel::BLOCK;

/// Cipher feedback.
pub(crate) struct Cfb;

impl Cipher for Cfb {
    type State = (Blocks, bool);
    const CHAINED: bool = true;

    fn start(request: &Request<'_>) -> (Blocks, bool) {
        (Blocks::of(request), request.encrypts())
    }

    fn step((aes, encrypts): &mut (Blocks, bool), _at: u64, chain: &mut Chain, bytes: &mut [u8]) {
        if *encrypts {
            for block in bytes.chunks_mut(BLOCK) {
                aes.encrypt(slice::from_mut(chain));
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
        aes.encrypt(&mut stream);
        xor(bytes, stream.as_flattened());
    }
}

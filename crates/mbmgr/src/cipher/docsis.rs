//! AES-CBC as DOCSIS has it (CableLabs, baseline privacy): a last block that is short is xored with the
//! encryption of the ciphertext block before it, or of the IV where there is none.

use std::slice;

use super::aes::Blocks;
use super::{Chain, Cipher, Request, xor};
use crate::kernel::BLOCK;

/// CBC with a residual block.
pub(crate) struct Docsis;

impl Cipher for Docsis {
    type State = (Blocks, bool);
    const CHAINED: bool = true;

    fn start(request: &Request<'_>) -> (Blocks, bool) {
        (Blocks::of(request), request.encrypts())
    }

    fn step((aes, encrypts): &mut (Blocks, bool), _at: u64, chain: &mut Chain, bytes: &mut [u8]) {
        let (blocks, rest) = bytes.as_chunks_mut::<BLOCK>();
        if *encrypts {
            for block in blocks {
                xor(block, chain);
                aes.encrypt(slice::from_mut(block));
                *chain = *block;
            }
        } else {
            aes.decrypt_chain(blocks, chain);
        }
        if !rest.is_empty() {
            let mut stream = *chain;
            aes.encrypt(slice::from_mut(&mut stream));
            xor(rest, &stream);
        }
    }
}

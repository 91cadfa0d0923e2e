//! AES-CBC as DOCSIS has it (CableLabs, baseline privacy): a last block that is short is xored with the
//! encryption of the ciphertext block before it, or of the IV where there is none.

use super::aes::Aes;
use super::{Chain, Cipher, Request, xor};
use crate::kernel::BLOCK;

/// CBC with a residual block.
pub(crate) struct Docsis;

impl Cipher for Docsis {
    type State = (Aes, bool);
    const CHAINED: bool = true;

    fn start(request: &Request<'_>) -> (Aes, bool) {
        (Aes::of(request), request.encrypts())
    }

    fn step((aes, encrypts): &mut (Aes, bool), _at: u64, chain: &mut Chain, bytes: &mut [u8]) {
        let (blocks, rest) = bytes.as_chunks_mut::<BLOCK>();
        if *encrypts {
            for block in blocks {
                xor(block, chain);
                aes.encrypt(block);
                *chain = *block;
            }
        } else {
            let before = std::iter::once(*chain).chain(blocks.iter().copied()).collect::<Vec<_>>();
            aes.decrypt_all(blocks);
            for (block, before) in blocks.iter_mut().zip(&before) {
                xor(block, before);
            }
            *chain = before[blocks.len()];
        }
        if !rest.is_empty() {
            let mut stream = *chain;
            aes.encrypt(&mut stream);
            xor(rest, &stream);
        }
    }
}

//! The end of an AES-DOCSIS message (CableLabs, baseline privacy), less than a block: xored with the
//! encryption of the ciphertext block before it, or of the IV where there is none. The whole blocks before it
//! are those of AES-CBC, and run where these do.

use std::slice;

use super::aes::Blocks;
use super::{Chain, Cipher, Request, xor};
use crate::kernel::BLOCK;

/// The residual block.
pub(crate) struct Residual;

impl Cipher for Residual {
    type State = Blocks;
    const CHAINED: bool = true;

    fn start(request: &Request<'_>) -> Blocks {
        Blocks::of(request)
    }

    fn step(aes: &mut Blocks, _at: u64, chain: &mut Chain, bytes: &mut [u8]) {
        debug_assert!(bytes.len() < BLOCK);
        let mut stream = *chain;
        aes.encrypt(slice::from_mut(&mut stream));
        xor(bytes, &stream);
    }
}

//! DES and triple DES in CBC mode (NIST SP 800-38A over FIPS 46-3, SP 800-67): only for what cannot be
//! changed any more. A single DES key can be searched; neither should protect new data.

use cipher::{Block, BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};
use std::marker::PhantomData;

use super::{Chain, Cipher, Request, xor};

/// Bytes of a block.
const BLOCK8: usize = 8;

/// CBC of a cipher with blocks of 8 bytes; the chaining value is the first half of a [`Chain`].
pub(crate) struct Cbc8<C>(PhantomData<fn() -> C>);

impl<C: KeyInit + BlockCipherEncrypt + BlockCipherDecrypt> Cipher for Cbc8<C> {
    type State = (C, bool);
    const CHAINED: bool = true;

    fn start(request: &Request<'_>) -> (C, bool) {
        let cipher = C::new_from_slice(request.raw_key()).expect("the length of its kind of key");
        (cipher, request.encrypts())
    }

    fn step((cipher, encrypts): &mut (C, bool), _at: u64, chain: &mut Chain, bytes: &mut [u8]) {
        let chain = &mut chain[..BLOCK8];
        for bytes in bytes.chunks_exact_mut(BLOCK8) {
            let block = <&mut Block<C>>::try_from(&mut *bytes).expect("blocks of 8 bytes");
            if *encrypts {
                xor(block, chain);
                cipher.encrypt_block(block);
                chain.copy_from_slice(block);
            } else {
                let mut before = [0; BLOCK8];
                before.copy_from_slice(block);
                cipher.decrypt_block(block);
                xor(block, chain);
                chain.copy_from_slice(&before);
            }
        }
    }
}

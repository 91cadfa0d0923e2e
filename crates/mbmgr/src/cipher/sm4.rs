//! SM4 (GB/T 32907) in ECB, CBC and CTR mode, on the RustCrypto crate.

use cipher::{Block, BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};
use sm4::Sm4;

use super::{Chain, Cipher, Request, xor};
use crate::kernel::BLOCK;
use crate::lanes::advance_counter;

/// Electronic code book.
pub(crate) struct Ecb;

/// Cipher block chaining.
pub(crate) struct Cbc;

/// Counter mode.
pub(crate) struct Ctr;

fn start(request: &Request<'_>) -> (Sm4, bool) {
    let cipher = Sm4::new_from_slice(request.raw_key()).expect("a key of 16 bytes");
    (cipher, request.encrypts())
}

impl Cipher for Ecb {
    type State = (Sm4, bool);
    const CHAINED: bool = false;

    fn start(request: &Request<'_>) -> (Sm4, bool) {
        start(request)
    }

    fn step((sm4, encrypts): &mut (Sm4, bool), _at: u64, _chain: &mut Chain, bytes: &mut [u8]) {
        let blocks = Block::<Sm4>::cast_slice_from_core_mut(bytes.as_chunks_mut::<BLOCK>().0);
        if *encrypts {
            sm4.encrypt_blocks(blocks);
        } else {
            sm4.decrypt_blocks(blocks);
        }
    }
}

impl Cipher for Cbc {
    type State = (Sm4, bool);
    const CHAINED: bool = true;

    fn start(request: &Request<'_>) -> (Sm4, bool) {
        start(request)
    }

    fn step((sm4, encrypts): &mut (Sm4, bool), _at: u64, chain: &mut Chain, bytes: &mut [u8]) {
        let blocks = bytes.as_chunks_mut::<BLOCK>().0;
        if *encrypts {
            for block in blocks {
                xor(block, chain);
                sm4.encrypt_block(block.into());
                *chain = *block;
            }
        } else {
            let before = std::iter::once(*chain).chain(blocks.iter().copied()).collect::<Vec<_>>();
            sm4.decrypt_blocks(Block::<Sm4>::cast_slice_from_core_mut(blocks));
            for (block, before) in blocks.iter_mut().zip(&before) {
                xor(block, before);
            }
            *chain = before[blocks.len()];
        }
    }
}

impl Cipher for Ctr {
    type State = (Sm4, [u8; BLOCK]);
    const CHAINED: bool = false;

    fn start(request: &Request<'_>) -> (Sm4, [u8; BLOCK]) {
        let mut counter = [0; BLOCK];
        counter[BLOCK - 1] = 1;
        counter[..request.iv.len()].copy_from_slice(request.iv);
        (start(request).0, counter)
    }

    fn step((sm4, first): &mut Self::State, at: u64, _chain: &mut Chain, bytes: &mut [u8]) {
        let counters = (0..bytes.len().div_ceil(BLOCK))
            .map(|block| advance_counter(first, at + (block * BLOCK) as u64));
        let mut stream = counters.collect::<Vec<_>>();
        sm4.encrypt_blocks(Block::<Sm4>::cast_slice_from_core_mut(&mut stream));
        xor(bytes, stream.as_flattened());
    }
}

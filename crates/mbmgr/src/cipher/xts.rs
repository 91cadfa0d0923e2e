//! AES-XTS (IEEE 1619, NIST SP 800-38E): the tweak of a block follows from the IV and the block's
//! place; a short last block steals from the one before it.

use super::aes::{Aes, Blocks};
use super::{Chain, Cipher, Request};
use crate::kernel::{BLOCK, WIDE_STEP};

/// Tweaks of a step: those of its blocks, of a block that it steals from, and the one after them.
const TWEAKS: usize = WIDE_STEP / BLOCK + 2;

/// XEX with ciphertext stealing.
pub(crate) struct Xts;

/// The data cipher, and the tweak of the block at `at`.
pub(crate) struct State {
    data: Blocks,
    encrypts: bool,
    tweak: u128,
    at: u64,
}

/// The next block's tweak: multiplied by x in GF(2^128), with the bytes in little-endian order.
fn next(tweak: u128) -> u128 {
    let carry = (tweak >> 127) * 0x87;
    tweak << 1 ^ carry
}

impl State {
    fn blocks(&self, blocks: &mut [[u8; BLOCK]], tweaks: &[u128]) {
        let whiten = |blocks: &mut [[u8; BLOCK]]| {
            for (block, tweak) in blocks.iter_mut().zip(tweaks) {
                *block = (u128::from_le_bytes(*block) ^ tweak).to_le_bytes();
            }
        };
        whiten(blocks);
        if self.encrypts {
            self.data.encrypt(blocks);
        } else {
            self.data.decrypt(blocks);
        }
        whiten(blocks);
    }

    fn block(&self, block: &mut [u8; BLOCK], tweak: u128) {
        self.blocks(std::slice::from_mut(block), &[tweak]);
    }
}

impl Cipher for Xts {
    type State = State;
    const CHAINED: bool = false;

    fn start(request: &Request<'_>) -> State {
        let (data, tweak) = request.raw_key().split_at(request.raw_key().len() / 2);
        let mut first = [0; BLOCK];
        first.copy_from_slice(request.iv);
        Aes::new(tweak).encrypt(&mut first);
        State {
            data: Blocks::with_key(request.kernels, data),
            encrypts: request.encrypts(),
            tweak: u128::from_le_bytes(first),
            at: 0,
        }
    }

    fn step(state: &mut State, at: u64, _chain: &mut Chain, bytes: &mut [u8]) {
        while state.at < at {
            state.tweak = next(state.tweak);
            state.at += BLOCK as u64;
        }
        let mut tweaks = [state.tweak; TWEAKS];
        for i in 1..bytes.len() / BLOCK + 2 {
            tweaks[i] = next(tweaks[i - 1]);
        }
        let (blocks, rest) = bytes.as_chunks_mut::<BLOCK>();
        if rest.is_empty() {
            state.blocks(blocks, &tweaks);
        } else if let Some((last, whole)) = blocks.split_last_mut() {
            state.blocks(whole, &tweaks);
            // Decryption meets the stolen block first: it was encrypted under the later tweak.
            let (mut first, mut second) = (tweaks[whole.len()], tweaks[whole.len() + 1]);
            if !state.encrypts {
                std::mem::swap(&mut first, &mut second);
            }
            state.block(last, first);
            let mut stolen = *last;
            stolen[..rest.len()].copy_from_slice(rest);
            rest.copy_from_slice(&last[..rest.len()]);
            state.block(&mut stolen, second);
            *last = stolen;
        }
        state.at = at + (bytes.len() / BLOCK * BLOCK) as u64;
        state.tweak = tweaks[bytes.len() / BLOCK];
    }
}

//! MACs made of the AES-CBC chain: CMAC (NIST SP 800-38B, RFC 4493) and XCBC-MAC (RFC 3566). They differ
//! in where their keys come from; both treat a last block that is whole and one that is not apart.

use super::aes::Aes;
use super::{Mac, Request, Tag, tag_of, xor};
use crate::kernel::BLOCK;

/// Cipher-based MAC.
pub(crate) struct Cmac;

/// Extended CBC-MAC.
pub(crate) struct Xcbc;

/// A chain under way. The latest block waits: the last one is treated differently.
pub(crate) struct State {
    aes: Aes,
    chain: [u8; BLOCK],
    waiting: [u8; BLOCK],
    count: usize,
    /// For a last block that is whole, and for one that is padded.
    last: [[u8; BLOCK]; 2],
}

impl State {
    fn new(aes: Aes, last: [[u8; BLOCK]; 2]) -> State {
        State { aes, chain: [0; BLOCK], waiting: [0; BLOCK], count: 0, last }
    }

    fn update(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if self.count == BLOCK {
                xor(&mut self.chain, &self.waiting);
                self.aes.encrypt(&mut self.chain);
                self.count = 0;
            }
            self.waiting[self.count] = byte;
            self.count += 1;
        }
    }

    fn finish(mut self) -> Tag {
        let whole = self.count == BLOCK;
        if !whole {
            self.waiting[self.count] = 0x80;
            self.waiting[self.count + 1..].fill(0);
        }
        xor(&mut self.chain, &self.waiting);
        xor(&mut self.chain, &self.last[usize::from(!whole)]);
        self.aes.encrypt(&mut self.chain);
        tag_of(&self.chain)
    }
}

/// Multiplication by x in GF(2^128), big-endian.
fn double(block: [u8; BLOCK]) -> [u8; BLOCK] {
    let value = u128::from_be_bytes(block);
    ((value << 1) ^ ((value >> 127) * 0x87)).to_be_bytes()
}

/// What the last block of a CMAC is xored with: for a whole one, and for a padded one.
pub(crate) fn cmac_keys(aes: &Aes) -> [[u8; BLOCK]; 2] {
    let mut zero = [0; BLOCK];
    aes.encrypt(&mut zero);
    let first = double(zero);
    [first, double(first)]
}

/// The key of the chain of an XCBC-MAC, and what its last block is xored with.
pub(crate) fn xcbc_keys(aes: &Aes) -> (Aes, [[u8; BLOCK]; 2]) {
    let mut keys = [[1; BLOCK], [2; BLOCK], [3; BLOCK]];
    aes.encrypt_all(&mut keys);
    (Aes::new(&keys[0]), [keys[1], keys[2]])
}

impl Mac for Cmac {
    type State = State;

    fn start(request: &Request<'_>) -> State {
        let aes = Aes::of(request);
        let last = cmac_keys(&aes);
        State::new(aes, last)
    }

    fn update(state: &mut State, bytes: &[u8]) {
        state.update(bytes);
    }

    fn finish(state: State) -> Tag {
        state.finish()
    }
}

impl Mac for Xcbc {
    type State = State;

    fn start(request: &Request<'_>) -> State {
        let (aes, last) = xcbc_keys(&Aes::of(request));
        State::new(aes, last)
    }

    fn update(state: &mut State, bytes: &[u8]) {
        state.update(bytes);
    }

    fn finish(state: State) -> Tag {
        state.finish()
    }
}

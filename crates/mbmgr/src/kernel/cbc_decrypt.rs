//! AES-CBC decrypt of one buffer: the blocks are independent, so a wide step fills the AES unit.
//! One generic body, called by the entries of `x86`. Per step the input and the ciphertext block
//! before it are in the journal's log, committed before the first output is stored.

use super::block::{BlockVector, FEW, by_registers, keep, keep_some, load_some, store_some};
use super::schedule::ROUND_KEYS;
use super::{BLOCK, Schedule, WIDE_STEP};
use crate::journal::{LOG_CHAIN, Log};
use shmem::seeded::{Bug, seeded};

/// # Safety
/// As [`super::Kernels::cbc_decrypt`], with a key of `ROUNDS` rounds and the instructions of `V`
/// enabled in the caller.
#[inline(always)]
pub(super) unsafe fn body<V: BlockVector, const ROUNDS: usize>(
    key: &Schedule,
    src: *const u8,
    dst: *mut u8,
    len: usize,
    chain: &mut [u8; BLOCK],
    log: Option<&Log<'_>>,
) {
    if len < BLOCK {
        return;
    }
    // SAFETY: the caller's duties; all offsets stay below `len`, and a slot holds a wide step and
    // the chaining value.
    unsafe {
        let mut keys = [V::zero(); ROUND_KEYS];
        for (vector, round_key) in keys.iter_mut().zip(&key.round_keys).take(ROUNDS + 1) {
            *vector = V::broadcast(round_key.as_ptr());
        }
        let mut before = V::broadcast(chain.as_ptr());
        // Now, because in place it is gone afterwards.
        *chain = src.add(len - BLOCK).cast::<[u8; BLOCK]>().read();
        if len <= FEW * V::BYTES {
            by_registers!(V, len, short::<V, ROUNDS>(&keys, src, dst, len, before, log));
            return;
        }
        let mut offset = 0;
        let mut k = 0;
        while WIDE_STEP == 8 * V::BYTES && len - offset >= WIDE_STEP {
            let (from, to) = (src.add(offset), dst.add(offset));
            before = batch::<V, ROUNDS, 8>(&keys, from, to, before, log.map(|log| (log, k)));
            offset += WIDE_STEP;
            k += 1;
        }
        while offset < len {
            let end = if len - offset < WIDE_STEP { len } else { offset + WIDE_STEP };
            if let Some(log) = log {
                let slot = log.slot(k);
                if !seeded(Bug::ChainNotLogged) {
                    before.store_last(slot.add(LOG_CHAIN));
                }
                keep::<V>(src.add(offset), slot, end - offset);
                log.commit(k);
            }
            while offset < end {
                let left = end - offset;
                let (from, to) = (src.add(offset), dst.add(offset));
                let full = left / V::BYTES;
                if full >= 8 {
                    before = batch::<V, ROUNDS, 8>(&keys, from, to, before, None);
                    offset += 8 * V::BYTES;
                } else if full >= 4 {
                    before = batch::<V, ROUNDS, 4>(&keys, from, to, before, None);
                    offset += 4 * V::BYTES;
                } else if full >= 2 {
                    before = batch::<V, ROUNDS, 2>(&keys, from, to, before, None);
                    offset += 2 * V::BYTES;
                } else if full >= 1 {
                    before = batch::<V, ROUNDS, 1>(&keys, from, to, before, None);
                    offset += V::BYTES;
                } else {
                    let input = V::load_partial(from, left);
                    let mut state = [input];
                    decrypt::<V, ROUNDS, 1>(&keys, &mut state);
                    state[0].xor(input.shift_in(before)).store_partial(to, left);
                    offset = end;
                }
            }
            k += 1;
        }
    }
}

/// A message of one step and at most `N` registers, exactly so many if `FULL`; `before` ends with the block
/// before it.
///
/// # Safety
/// `len` bytes are readable and writable, a log slot has room for them and a block; the instructions of `V`
/// are enabled in the caller.
#[inline(always)]
unsafe fn short<V: BlockVector, const ROUNDS: usize, const N: usize, const FULL: bool>(
    keys: &[V; ROUND_KEYS],
    from: *const u8,
    to: *mut u8,
    len: usize,
    before: V,
    log: Option<&Log<'_>>,
) {
    // SAFETY: the caller's duty.
    unsafe {
        let input = load_some::<V, N, FULL>(from, len);
        if let Some(log) = log {
            let slot = log.slot(0);
            if !seeded(Bug::ChainNotLogged) {
                before.store_last(slot.add(LOG_CHAIN));
            }
            keep_some::<V, N, FULL>(&input, slot, len);
            log.commit(0);
        }
        let mut state = input;
        decrypt::<V, ROUNDS, N>(keys, &mut state);
        let mut before = before;
        for (state, input) in state.iter_mut().zip(input) {
            *state = state.xor(input.shift_in(before));
            before = input;
        }
        store_some::<V, N, FULL>(&state, to, len);
    }
}

/// Decrypts `N` registers; `before` ends with the ciphertext block before them. Returns the last
/// register of ciphertext. Where they are a whole step, `log` has its number, and its inputs are kept.
///
/// # Safety
/// `N * V::BYTES` bytes are readable and writable, a log slot has room for them and a block; the
/// instructions of `V` are enabled in the caller.
#[inline(always)]
unsafe fn batch<V: BlockVector, const ROUNDS: usize, const N: usize>(
    keys: &[V; ROUND_KEYS],
    from: *const u8,
    to: *mut u8,
    before: V,
    log: Option<(&Log<'_>, u64)>,
) -> V {
    // SAFETY: the caller's duty.
    unsafe {
        let mut input = [V::zero(); N];
        for (i, input) in input.iter_mut().enumerate() {
            *input = V::load(from.add(i * V::BYTES));
        }
        if let Some((log, k)) = log {
            let slot = log.slot(k);
            if !seeded(Bug::ChainNotLogged) {
                before.store_last(slot.add(LOG_CHAIN));
            }
            keep_some::<V, N, true>(&input, slot, N * V::BYTES);
            log.commit(k);
        }
        let mut state = input;
        decrypt::<V, ROUNDS, N>(keys, &mut state);
        let mut before = before;
        for i in 0..N {
            state[i].xor(input[i].shift_in(before)).store(to.add(i * V::BYTES));
            before = input[i];
        }
        before
    }
}

/// The equivalent inverse cipher on `N` registers.
///
/// # Safety
/// The instructions of `V` are enabled in the caller.
#[inline(always)]
unsafe fn decrypt<V: BlockVector, const ROUNDS: usize, const N: usize>(
    keys: &[V; ROUND_KEYS],
    state: &mut [V; N],
) {
    // SAFETY: the caller's duty.
    unsafe {
        for state in state.iter_mut() {
            *state = state.xor(keys[0]);
        }
        for key in &keys[1..ROUNDS] {
            for state in state.iter_mut() {
                *state = state.decrypt_round(*key);
            }
        }
        for state in state.iter_mut() {
            *state = state.decrypt_last(keys[ROUNDS]);
        }
    }
}

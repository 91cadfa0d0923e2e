//! AES-CTR of one buffer, in wide steps as CBC decrypt. One generic body, called by the entries of
//! `x86`. Per step the input is in the journal's log, committed before the first output is stored.

use super::block::{
    BlockVector, FEW, by_registers, halves, keep, keep_some, load_some, store_some,
};
use super::schedule::ROUND_KEYS;
use super::{BLOCK, Schedule, WIDE_STEP};
use crate::journal::Log;

/// Blocks of a wide step.
const STEP_BLOCKS: u64 = (WIDE_STEP / BLOCK) as u64;

/// # Safety
/// As [`super::Kernels::ctr`], with a key of `ROUNDS` rounds and the instructions of `V` enabled in
/// the caller.
#[inline(always)]
pub(super) unsafe fn body<V: BlockVector, const ROUNDS: usize>(
    key: &Schedule,
    src: *const u8,
    dst: *mut u8,
    len: usize,
    counter: &[u8; BLOCK],
    log: Option<&Log<'_>>,
) {
    // SAFETY: the caller's duties; all offsets stay below `len`, and a slot holds a wide step.
    unsafe {
        let mut keys = [V::zero(); ROUND_KEYS];
        for (vector, round_key) in keys.iter_mut().zip(&key.round_keys).take(ROUNDS + 1) {
            *vector = V::broadcast(round_key.as_ptr());
        }
        let first = u128::from_be_bytes(*counter);
        // Counters as little-endian numbers; valid while their low halves do not wrap.
        let mut count = V::count_from(first);
        let mut low = halves(first)[0];
        if len > 0 && len <= FEW * V::BYTES && low <= u64::MAX - STEP_BLOCKS {
            by_registers!(V, len, short::<V, ROUNDS>(&keys, src, dst, len, count, log));
            return;
        }
        let mut offset = 0;
        let mut k = 0;
        while offset < len {
            let end = if len - offset < WIDE_STEP { len } else { offset + WIDE_STEP };
            if let Some(log) = log {
                let slot = log.slot(k);
                keep::<V>(src.add(offset), slot, end - offset);
                log.commit(k);
            }
            if low > u64::MAX - STEP_BLOCKS {
                // The low half wraps in this step or right after it: number each block in full.
                let start = first.wrapping_add(u128::from(k * STEP_BLOCKS));
                slow_step::<V, ROUNDS>(
                    &keys,
                    src.add(offset),
                    dst.add(offset),
                    end - offset,
                    start,
                );
                offset = end;
                count = V::count_from(start.wrapping_add(u128::from(STEP_BLOCKS)));
            }
            while offset < end {
                let left = end - offset;
                let (from, to) = (src.add(offset), dst.add(offset));
                let full = left / V::BYTES;
                if full >= 8 {
                    count = batch::<V, ROUNDS, 8>(&keys, from, to, count);
                    offset += 8 * V::BYTES;
                } else if full >= 4 {
                    count = batch::<V, ROUNDS, 4>(&keys, from, to, count);
                    offset += 4 * V::BYTES;
                } else if full >= 2 {
                    count = batch::<V, ROUNDS, 2>(&keys, from, to, count);
                    offset += 2 * V::BYTES;
                } else if full >= 1 {
                    count = batch::<V, ROUNDS, 1>(&keys, from, to, count);
                    offset += V::BYTES;
                } else {
                    let mut state = [count.reverse_bytes()];
                    encrypt::<V, ROUNDS, 1>(&keys, &mut state, &[V::load_partial(from, left)]);
                    state[0].store_partial(to, left);
                    offset = end;
                }
            }
            low = low.wrapping_add(STEP_BLOCKS);
            k += 1;
        }
    }
}

/// A message of one step and at most `N` registers, exactly so many if `FULL`, counted from `count`.
///
/// # Safety
/// `len` bytes are readable and writable, a log slot has room for them; the instructions of `V` are enabled
/// in the caller.
#[inline(always)]
unsafe fn short<V: BlockVector, const ROUNDS: usize, const N: usize, const FULL: bool>(
    keys: &[V; ROUND_KEYS],
    from: *const u8,
    to: *mut u8,
    len: usize,
    count: V,
    log: Option<&Log<'_>>,
) {
    // SAFETY: the caller's duty.
    unsafe {
        let input = load_some::<V, N, FULL>(from, len);
        if let Some(log) = log {
            keep_some::<V, N, FULL>(&input, log.slot(0), len);
            log.commit(0);
        }
        let mut state = [V::zero(); N];
        for (i, state) in state.iter_mut().enumerate() {
            *state = count.advance((i * V::BLOCKS) as u64).reverse_bytes();
        }
        encrypt::<V, ROUNDS, N>(keys, &mut state, &input);
        store_some::<V, N, FULL>(&state, to, len);
    }
}

/// `N` registers, counted from `count`. Returns the count after them.
///
/// # Safety
/// `N * V::BYTES` bytes are readable and writable; the instructions of `V` are enabled in the
/// caller.
#[inline(always)]
unsafe fn batch<V: BlockVector, const ROUNDS: usize, const N: usize>(
    keys: &[V; ROUND_KEYS],
    from: *const u8,
    to: *mut u8,
    count: V,
) -> V {
    // SAFETY: the caller's duty.
    unsafe {
        let mut state = [V::zero(); N];
        let mut input = [V::zero(); N];
        for (i, (state, input)) in state.iter_mut().zip(&mut input).enumerate() {
            *state = count.advance((i * V::BLOCKS) as u64).reverse_bytes();
            *input = V::load(from.add(i * V::BYTES));
        }
        encrypt::<V, ROUNDS, N>(keys, &mut state, &input);
        for (i, state) in state.iter().enumerate() {
            state.store(to.add(i * V::BYTES));
        }
        count.advance((N * V::BLOCKS) as u64)
    }
}

/// A step whose counters are made one by one, as full 128-bit numbers that may wrap.
///
/// # Safety
/// `len <= WIDE_STEP` bytes are readable and writable; the instructions of `V` are enabled in the
/// caller.
#[inline(always)]
unsafe fn slow_step<V: BlockVector, const ROUNDS: usize>(
    keys: &[V; ROUND_KEYS],
    from: *const u8,
    to: *mut u8,
    len: usize,
    first: u128,
) {
    let mut offset = 0;
    while offset < len {
        let mut counters = [[0_u8; BLOCK]; 4];
        for (i, counter) in counters.iter_mut().enumerate().take(V::BLOCKS) {
            let block = (offset / BLOCK + i) as u128;
            *counter = first.wrapping_add(block).to_be_bytes();
        }
        // SAFETY: the caller's duty; the counters fill a register.
        unsafe {
            let mut state = [V::load(counters.as_ptr().cast())];
            if len - offset < V::BYTES {
                let input = V::load_partial(from.add(offset), len - offset);
                encrypt::<V, ROUNDS, 1>(keys, &mut state, &[input]);
                state[0].store_partial(to.add(offset), len - offset);
            } else {
                encrypt::<V, ROUNDS, 1>(keys, &mut state, &[V::load(from.add(offset))]);
                state[0].store(to.add(offset));
            }
        }
        offset += V::BYTES;
    }
}

/// Encrypts `N` registers and xors them with `input`, in the last round key.
///
/// # Safety
/// The instructions of `V` are enabled in the caller.
#[inline(always)]
unsafe fn encrypt<V: BlockVector, const ROUNDS: usize, const N: usize>(
    keys: &[V; ROUND_KEYS],
    state: &mut [V; N],
    input: &[V; N],
) {
    // SAFETY: the caller's duty.
    unsafe {
        for state in state.iter_mut() {
            *state = state.xor(keys[0]);
        }
        for key in &keys[1..ROUNDS] {
            for state in state.iter_mut() {
                *state = state.encrypt_round(*key);
            }
        }
        for (state, input) in state.iter_mut().zip(input) {
            *state = state.encrypt_last(keys[ROUNDS].xor(*input));
        }
    }
}

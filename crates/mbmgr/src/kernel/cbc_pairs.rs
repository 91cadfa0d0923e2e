//! AES-CBC and AES-CFB encrypt with two blocks of every lane a step, for registers of four blocks of which there
//! are 32. Called by the entries of `x86`. What survives a crash: the inputs of the step under way,
//! in the journal's log before the step is committed, and that before its first output.
//!
//! What bounds it: an AES instruction of 64 bytes starts every cycle and takes four, so four chains
//! of 64 bytes leave no cycle over, and one load of 64 bytes starts every cycle too. Hence the keys of
//! the first rounds stay in registers, pairs of blocks are loaded, logged and stored as one, and the
//! next pair is taken in while the rounds of this one wait for each other.

use core::array;

use shmem::seeded::{Bug, seeded};

use super::cbc_encrypt::{gather_group, lanes_of, scatter_group};
use super::pair::PairVector;
use super::round_keys::{Chaining, RoundKeys, encrypt, enter, finish, rounds_of};
use super::{BLOCK, Lane, MAX_LANES, wrong_lanes};
use crate::journal::Log;

/// Bytes of a step, for each lane.
pub(super) const STEP: usize = 2 * BLOCK;

/// Rounds whose keys should stay in registers, where each lane has its own.
pub(super) const HELD: usize = 3;

/// `LANES` lanes in `COUNT` registers of `V`. `keys` are those of the lanes.
///
/// # Safety
/// As [`super::Kernels::cbc_encrypt`], with exactly `LANES` lanes, `COUNT` the fewest registers that
/// hold them, and the instructions of `V` enabled in the caller.
#[inline(always)]
pub(super) unsafe fn body<
    C: Chaining,
    V: PairVector,
    const LANES: usize,
    const COUNT: usize,
    K: RoundKeys<V>,
>(
    lanes: &mut [Lane],
    mut keys: K,
    rounds: u32,
    len: usize,
    log: Option<&Log<'_>>,
) {
    const { assert!(LANES <= MAX_LANES && COUNT == LANES.div_ceil(V::BLOCKS)) };
    let count = lanes.len();
    let Ok(lanes) = <&mut [Lane; LANES]>::try_from(lanes) else { wrong_lanes(count) };
    let src: [*const u8; LANES] = array::from_fn(|lane| lanes[lane].src);
    let dst: [*mut u8; LANES] = array::from_fn(|lane| lanes[lane].dst);
    let chains: [*mut u8; LANES] = array::from_fn(|lane| lanes[lane].chain.as_mut_ptr());
    let sources = chains.map(|chain| chain.cast_const());

    // SAFETY: the caller's duties; offsets stay below `len`, which is a multiple of a block.
    unsafe {
        let mut state: [V; COUNT] = gather_group::<V, LANES, COUNT>(&sources, 0, 0);
        let mut offset = 0;
        let mut k = 0;
        if len >= STEP {
            let [mut even, mut odd] = take::<V, LANES, COUNT>(&src, 0, log, 0);
            let mut done = [even, odd];
            loop {
                keys.refresh();
                enter(&mut state, C::before(&even), &keys);
                rounds_of(&mut state, &keys, 1..HELD + 1);
                if C::STORES && k > 0 {
                    put::<V, LANES, COUNT>(&done, &dst, offset - STEP);
                    if let Some(log) = log
                        && seeded(Bug::FenceRemoved)
                    {
                        log.commit(k - 1);
                    }
                }
                if let Some(log) = log
                    && !seeded(Bug::FenceRemoved)
                {
                    log.commit(k);
                }
                rounds_of(&mut state, &keys, HELD + 1..10);
                finish(&mut state, &keys, rounds, C::after(&even));
                done[0] = state;
                enter(&mut state, C::before(&odd), &keys);
                let input = odd;
                // The last time the same pair again, into the slot where it is already: for nobody, but
                // without a branch between the rounds.
                let more = len - offset >= 2 * STEP;
                let (next, step) = if more { (offset + STEP, k + 1) } else { (offset, k) };
                if let Some(log) = log
                    && seeded(Bug::LogAfterCommit)
                {
                    log.commit(step);
                }
                [even, odd] = take::<V, LANES, COUNT>(&src, next, log, step);
                rounds_of(&mut state, &keys, 1..10);
                finish(&mut state, &keys, rounds, C::after(&input));
                done[1] = state;
                offset += STEP;
                k += 1;
                if !more {
                    break;
                }
            }
            if C::STORES {
                put::<V, LANES, COUNT>(&done, &dst, offset - STEP);
            }
            if let Some(log) = log
                && seeded(Bug::FenceRemoved)
            {
                log.commit(k - 1);
            }
        }
        if offset < len {
            // One block is left.
            let input = gather_group::<V, LANES, COUNT>(&src, 0, offset);
            if let Some(log) = log {
                for (r, input) in input.iter().enumerate() {
                    let mut slots = [core::ptr::null_mut(); 4];
                    for (slot, lane) in slots.iter_mut().zip(lanes_of::<V, LANES>(r)) {
                        *slot = log.slot(k).add(lane * STEP);
                    }
                    input.scatter(&slots, lanes_of::<V, LANES>(r).len());
                }
                log.commit(k);
            }
            encrypt::<C, V, COUNT>(&mut state, &input, &keys, rounds);
            if C::STORES {
                scatter_group::<V, LANES, COUNT>(&state, &dst, 0, offset);
            }
        }
        scatter_group::<V, LANES, COUNT>(&state, &chains, 0, 0);
    }
}

/// The pair of blocks at `offset` of each lane, which step `k` logs: first blocks, second blocks.
///
/// # Safety
/// The pointers are readable for a pair at `offset`; the instructions of `V` are enabled in the
/// caller.
#[inline(always)]
unsafe fn take<V: PairVector, const LANES: usize, const COUNT: usize>(
    src: &[*const u8; LANES],
    offset: usize,
    log: Option<&Log<'_>>,
    k: u64,
) -> [[V; COUNT]; 2] {
    let slot = log.map(|log| log.slot(k));
    // SAFETY: the caller's duty; a log slot has room for a pair of each of 16 lanes.
    unsafe {
        let [mut first, mut second] = [[V::zero(); COUNT]; 2];
        for (r, (first, second)) in first.iter_mut().zip(&mut second).enumerate() {
            let lanes = lanes_of::<V, LANES>(r);
            let mut pointers = [core::ptr::null(); 4];
            for (pointer, start) in pointers.iter_mut().zip(&src[lanes.clone()]) {
                *pointer = start.wrapping_add(offset);
            }
            let kept = slot.map(|slot| slot.add(lanes.start * STEP));
            [*first, *second] = V::gather_pair(&pointers, lanes.len(), kept);
        }
        [first, second]
    }
}

/// The opposite of [`take`], without the log.
///
/// # Safety
/// The pointers are writable for a pair at `offset`; the instructions of `V` are enabled in the
/// caller.
#[inline(always)]
unsafe fn put<V: PairVector, const LANES: usize, const COUNT: usize>(
    pair: &[[V; COUNT]; 2],
    dst: &[*mut u8; LANES],
    offset: usize,
) {
    let [first, second] = pair;
    for (r, (first, second)) in first.iter().zip(second).enumerate() {
        let lanes = lanes_of::<V, LANES>(r);
        let mut pointers = [core::ptr::null_mut(); 4];
        for (pointer, start) in pointers.iter_mut().zip(&dst[lanes.clone()]) {
            *pointer = start.wrapping_add(offset);
        }
        // SAFETY: the caller's duty.
        unsafe { V::scatter_pair([*first, *second], &pointers, lanes.len()) };
    }
}

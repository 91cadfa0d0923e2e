//! AES-CBC and AES-CFB encrypt: each lane is one chain, so only lanes side by side fill the AES unit. One
//! generic body, called by the entries of `x86`. Per step it keeps one block of every lane in the
//! journal's log, committed before the first output is stored: a crash at any instruction leaves
//! the inputs of the step under way in the log or in place.
//!
//! `cbc_pairs` is the body for vectors that are wide and many enough to take two blocks a step.

use core::array;
use core::ops::Range;
use shmem::seeded::{Bug, seeded};

use super::block::BlockVector;
use super::round_keys::{Chaining, Own, RoundKeys, encrypt};
use super::{BLOCK, Lane, LaneKeys, MAX_LANES, wrong_lanes};
use crate::journal::Log;

/// `LANES` lanes in `LOW` registers of `V`, and in `HIGH` more where one group of registers is too
/// small.
///
/// # Safety
/// As [`super::Kernels::cbc_encrypt`], with exactly `LANES` lanes, `LOW + HIGH` the fewest registers
/// that hold them, and the instructions of `V` enabled in the caller.
#[inline(always)]
pub(super) unsafe fn body<
    C: Chaining,
    V: BlockVector,
    const LANES: usize,
    const LOW: usize,
    const HIGH: usize,
>(
    lanes: &mut [Lane],
    keys: &LaneKeys,
    rounds: u32,
    len: usize,
    log: Option<&Log<'_>>,
) {
    const { assert!(LANES <= MAX_LANES && LOW + HIGH == LANES.div_ceil(V::BLOCKS)) };
    let count = lanes.len();
    let Ok(lanes) = <&mut [Lane; LANES]>::try_from(lanes) else { wrong_lanes(count) };
    let src: [*const u8; LANES] = array::from_fn(|lane| lanes[lane].src);
    let dst: [*mut u8; LANES] = array::from_fn(|lane| lanes[lane].dst);
    let chains: [*mut u8; LANES] = array::from_fn(|lane| lanes[lane].chain.as_mut_ptr());
    let sources = chains.map(|chain| chain.cast_const());

    // SAFETY: the caller's duties; offsets stay below `len`, which is a multiple of a block.
    unsafe {
        let mut low_keys = Own::<V, LOW, 0>::new(keys, 0);
        let mut high_keys = Own::<V, HIGH, 0>::new(keys, LOW);
        let mut low: [V; LOW] = gather_group::<V, LANES, LOW>(&sources, 0, 0);
        let mut high: [V; HIGH] = gather_group::<V, LANES, HIGH>(&sources, LOW, 0);
        let mut offset = 0;
        let mut k = 0;
        while offset < len {
            let mut input = gather_group::<V, LANES, LOW>(&src, 0, offset);
            if let Some(log) = log {
                let slot = log.slot(k);
                if seeded(Bug::LogAfterCommit) {
                    log.commit(k);
                }
                keep_group::<V, LOW>(&input, 0, slot);
                let rest = gather_group::<V, LANES, HIGH>(&src, LOW, offset);
                keep_group::<V, HIGH>(&rest, LOW, slot);
                if !seeded(Bug::FenceRemoved) {
                    log.commit(k);
                }
                if HIGH > 0 {
                    // Too many to keep in registers: taken again.
                    input = gather_group::<V, LANES, LOW>(&src, 0, offset);
                }
            }
            low_keys.refresh();
            encrypt::<C, V, LOW>(&mut low, &input, &low_keys, rounds);
            if C::STORES {
                scatter_group::<V, LANES, LOW>(&low, &dst, 0, offset);
            }
            if HIGH > 0 {
                let input = gather_group::<V, LANES, HIGH>(&src, LOW, offset);
                high_keys.refresh();
                encrypt::<C, V, HIGH>(&mut high, &input, &high_keys, rounds);
                if C::STORES {
                    scatter_group::<V, LANES, HIGH>(&high, &dst, LOW, offset);
                }
            }
            if let Some(log) = log
                && seeded(Bug::FenceRemoved)
            {
                log.commit(k);
            }
            offset += BLOCK;
            k += 1;
        }
        scatter_group::<V, LANES, LOW>(&low, &chains, 0, 0);
        scatter_group::<V, LANES, HIGH>(&high, &chains, LOW, 0);
    }
}

/// Stores the input of the registers from `first` to a log slot.
///
/// # Safety
/// `slot` is a log slot; the instructions of `V` are enabled in the caller.
#[inline(always)]
unsafe fn keep_group<V: BlockVector, const COUNT: usize>(
    input: &[V; COUNT],
    first: usize,
    slot: *mut u8,
) {
    for (r, input) in input.iter().enumerate() {
        // SAFETY: the caller's duty; a log slot has room for 16 blocks.
        unsafe { input.store_aligned(slot.add((first + r) * V::BYTES)) };
    }
}

/// The block at `offset` of each lane of the registers from `first`.
///
/// # Safety
/// The pointers are readable for a block at `offset`; the instructions of `V` are enabled in the
/// caller.
#[inline(always)]
pub(super) unsafe fn gather_group<V: BlockVector, const LANES: usize, const COUNT: usize>(
    from: &[*const u8; LANES],
    first: usize,
    offset: usize,
) -> [V; COUNT] {
    // SAFETY: the caller's duty.
    let mut group = unsafe { [V::zero(); COUNT] };
    for (r, blocks) in group.iter_mut().enumerate() {
        let lanes = lanes_of::<V, LANES>(first + r);
        let mut pointers = [core::ptr::null(); 4];
        for (pointer, start) in pointers.iter_mut().zip(&from[lanes.clone()]) {
            *pointer = start.wrapping_add(offset);
        }
        // SAFETY: the caller's duty.
        *blocks = unsafe { V::gather(&pointers, lanes.len()) };
    }
    group
}

/// The opposite of [`gather_group`].
///
/// # Safety
/// The pointers are writable for a block at `offset`; the instructions of `V` are enabled in the
/// caller.
#[inline(always)]
pub(super) unsafe fn scatter_group<V: BlockVector, const LANES: usize, const COUNT: usize>(
    group: &[V; COUNT],
    to: &[*mut u8; LANES],
    first: usize,
    offset: usize,
) {
    for (r, blocks) in group.iter().enumerate() {
        let lanes = lanes_of::<V, LANES>(first + r);
        let mut pointers = [core::ptr::null_mut(); 4];
        for (pointer, start) in pointers.iter_mut().zip(&to[lanes.clone()]) {
            *pointer = start.wrapping_add(offset);
        }
        // SAFETY: the caller's duty.
        unsafe { blocks.scatter(&pointers, lanes.len()) };
    }
}

/// The lanes that register `r` holds.
#[inline(always)]
pub(super) fn lanes_of<V: BlockVector, const LANES: usize>(r: usize) -> Range<usize> {
    let first = r * V::BLOCKS;
    let end = if LANES - first < V::BLOCKS { LANES } else { first + V::BLOCKS };
    first..end
}

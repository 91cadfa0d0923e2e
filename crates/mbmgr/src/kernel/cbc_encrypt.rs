//! AES-CBC encrypt: each lane is one chain, so only lanes side by side fill the AES unit. One
//! generic body, called by the entries of `x86`. Per step it keeps one block of every lane in the
//! journal's log, committed before the first output is stored: a crash at any instruction leaves
//! the inputs of the step under way in the log or in place.

use core::array;
use core::ops::Range;

use super::block::{BlockVector, opaque};
use super::{BLOCK, Lane, LaneKeys, MAX_LANES};
use crate::journal::Log;

/// Bytes of one round's keys of all lanes.
const ROUND_BYTES: usize = MAX_LANES * BLOCK;

/// `LANES` lanes in `REGISTERS` registers of `V`.
///
/// # Safety
/// As [`super::Kernels::cbc_encrypt`], with exactly `LANES` lanes, `REGISTERS` the fewest registers
/// that hold them, and the instructions of `V` enabled in the caller.
#[inline(always)]
pub(super) unsafe fn body<V: BlockVector, const LANES: usize, const REGISTERS: usize>(
    lanes: &mut [Lane],
    keys: &LaneKeys,
    rounds: u32,
    len: usize,
    log: Option<&Log<'_>>,
) {
    const { assert!(LANES <= MAX_LANES && REGISTERS == LANES.div_ceil(V::BLOCKS)) };
    let Some(lanes) = lanes.first_chunk_mut::<LANES>() else { return };
    let src: [*const u8; LANES] = array::from_fn(|lane| lanes[lane].src);
    let dst: [*mut u8; LANES] = array::from_fn(|lane| lanes[lane].dst);
    let chains: [*const u8; LANES] = array::from_fn(|lane| lanes[lane].chain.as_ptr());
    let keys = keys.keys.as_ptr().cast::<u8>();

    // SAFETY: the caller's duties; offsets stay below `len`, which is a multiple of a block.
    unsafe {
        let mut state = [V::zero(); REGISTERS];
        for (r, state) in state.iter_mut().enumerate() {
            *state = gather::<V, LANES>(&chains, r, 0);
        }
        let mut offset = 0;
        let mut k = 0;
        while offset < len {
            let mut input = [V::zero(); REGISTERS];
            if REGISTERS <= V::WIDTH {
                for (r, input) in input.iter_mut().enumerate() {
                    *input = gather::<V, LANES>(&src, r, offset);
                }
            }
            let mut logged = None;
            if let Some(log) = log {
                let slot = log.slot(k);
                for (r, input) in input.iter_mut().enumerate() {
                    if REGISTERS > V::WIDTH {
                        *input = gather::<V, LANES>(&src, r, offset);
                    }
                    input.store_aligned(slot.add(r * V::BYTES));
                }
                log.commit(k);
                logged = Some(slot);
            }
            let mut first = 0;
            while first < REGISTERS {
                let count = if REGISTERS - first < V::WIDTH { REGISTERS - first } else { V::WIDTH };
                let (state, input) = (&mut state[first..][..count], &mut input[first..][..count]);
                if REGISTERS > V::WIDTH {
                    // More registers than the CPU has: take the input again, group by group.
                    for (i, input) in input.iter_mut().enumerate() {
                        *input = match logged {
                            Some(slot) => V::load(slot.add((first + i) * V::BYTES)),
                            None => gather::<V, LANES>(&src, first + i, offset),
                        };
                    }
                }
                let keys = opaque(keys.add(first * V::BYTES));
                for (state, input) in state.iter_mut().zip(input) {
                    *state = state.xor(*input);
                }
                encrypt(state, keys, rounds);
                for (i, state) in state.iter().enumerate() {
                    scatter::<V, LANES>(*state, &dst, first + i, offset);
                }
                first += count;
            }
            offset += BLOCK;
            k += 1;
        }
        let chains: [*mut u8; LANES] = array::from_fn(|lane| lanes[lane].chain.as_mut_ptr());
        for (r, state) in state.iter().enumerate() {
            scatter::<V, LANES>(*state, &chains, r, 0);
        }
    }
}

/// The cipher on neighbouring registers.
///
/// # Safety
/// `keys` are the round keys of the first register's lanes in a `LaneKeys`; the instructions of `V`
/// are enabled in the caller.
#[inline(always)]
unsafe fn encrypt<V: BlockVector>(state: &mut [V], keys: *const u8, rounds: u32) {
    // Whatever `rounds` is, no round key behind the last is read.
    let last = if rounds > 12 {
        14
    } else if rounds > 10 {
        12
    } else {
        10
    };
    // SAFETY: rounds up to `last < ROUND_KEYS`, registers of at most 16 lanes.
    unsafe {
        for (i, state) in state.iter_mut().enumerate() {
            *state = state.xor(V::load(keys.add(i * V::BYTES)));
        }
        rounds_of(state, keys, 1..10);
        if rounds > 10 {
            rounds_of(state, keys, 10..12);
            if rounds > 12 {
                rounds_of(state, keys, 12..14);
            }
        }
        for (i, state) in state.iter_mut().enumerate() {
            *state = state.encrypt_last(V::load(keys.add(last * ROUND_BYTES + i * V::BYTES)));
        }
    }
}

/// Inner rounds `range`.
///
/// # Safety
/// As [`encrypt`].
#[inline(always)]
unsafe fn rounds_of<V: BlockVector>(state: &mut [V], keys: *const u8, range: Range<usize>) {
    for round in range {
        for (i, state) in state.iter_mut().enumerate() {
            // SAFETY: the caller's duty.
            unsafe {
                let key = V::load(keys.add(round * ROUND_BYTES + i * V::BYTES));
                *state = state.encrypt_round(key).pin();
            }
        }
    }
}

/// The block at `offset` of each lane of register `r`.
///
/// # Safety
/// The pointers are readable for a block at `offset`; the instructions of `V` are enabled in the
/// caller.
#[inline(always)]
unsafe fn gather<V: BlockVector, const LANES: usize>(
    from: &[*const u8; LANES],
    r: usize,
    offset: usize,
) -> V {
    let first = r * V::BLOCKS;
    let count = if LANES - first < V::BLOCKS { LANES - first } else { V::BLOCKS };
    let mut pointers = [core::ptr::null(); 4];
    for (pointer, start) in pointers.iter_mut().zip(&from[first..first + count]) {
        *pointer = start.wrapping_add(offset);
    }
    // SAFETY: the caller's duty.
    unsafe { V::gather(&pointers, count) }
}

/// The opposite of [`gather`].
///
/// # Safety
/// The pointers are writable for a block at `offset`; the instructions of `V` are enabled in the
/// caller.
#[inline(always)]
unsafe fn scatter<V: BlockVector, const LANES: usize>(
    blocks: V,
    to: &[*mut u8; LANES],
    r: usize,
    offset: usize,
) {
    let first = r * V::BLOCKS;
    let count = if LANES - first < V::BLOCKS { LANES - first } else { V::BLOCKS };
    let mut pointers = [core::ptr::null_mut(); 4];
    for (pointer, start) in pointers.iter_mut().zip(&to[first..first + count]) {
        *pointer = start.wrapping_add(offset);
    }
    // SAFETY: the caller's duty.
    unsafe { blocks.scatter(&pointers, count) };
}

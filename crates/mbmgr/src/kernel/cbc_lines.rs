//! AES-CBC encrypt of 16 lanes with a cache line of every lane a step, for buffers that all begin at
//! the same offset in their pages. Called by the entries of `x86`. What survives a crash: the inputs
//! of the step under way, in the journal's log before the step is committed, and that before its
//! first output.
//!
//! Why it is there: 16 lines at one page offset compete for the eight places of one set of the L1
//! cache, so a line is gone before its lane comes to the next part of it. Here each line is read once
//! and written once. The price: lines are transposed, on one of the AES unit's ports. So it is done
//! between the rounds, one group of four lanes in each of the four blocks of a step: the next step's
//! lines go to the log, and transposed to a scratch from which the rounds take their input; the step
//! before leaves its outputs in another, from which they are transposed back.

use core::array;

use shmem::seeded::{Bug, seeded};

use super::block::opaque;
use super::cbc_encrypt::{gather_group, scatter_group};
use super::pair::PairVector;
use super::round_keys::{Cbc, RoundKeys, encrypt, enter, finish, rounds_of};
use super::{BLOCK, Lane, MAX_LANES, wrong_lanes};
use crate::journal::Log;

/// Registers of four blocks: one block of 16 lanes.
const COUNT: usize = MAX_LANES / ROWS;
/// Lanes of a register, and blocks of a line.
const ROWS: usize = 4;

/// Bytes of a step, for each lane: a cache line.
pub(super) const STEP: usize = ROWS * BLOCK;

/// Four blocks of all lanes.
type Lines<V> = [[V; COUNT]; ROWS];

/// Two steps each of inputs and of outputs, transposed. Memory that the compiler knows nothing of: it
/// would keep it in registers, which run out.
struct Scratch<V> {
    input: *mut [Lines<V>; 2],
    output: *mut [Lines<V>; 2],
}

/// What does not change from step to step.
struct Run<'a, V> {
    src: [*const u8; MAX_LANES],
    dst: [*mut u8; MAX_LANES],
    scratch: Scratch<V>,
    rounds: u32,
    log: Option<&'a Log<'a>>,
}

/// One step: its parity chooses the half of the scratch.
#[derive(Clone, Copy)]
struct Step {
    k: u64,
    offset: usize,
}

impl Step {
    fn next(self) -> Step {
        Step { k: self.k + 1, offset: self.offset + STEP }
    }
    fn before(self) -> Step {
        Step { k: self.k - 1, offset: self.offset - STEP }
    }
    fn half(self) -> usize {
        usize::from(self.k & 1 == 1)
    }
}

/// 16 lanes, `keys` are theirs.
///
/// # Safety
/// As [`super::Kernels::cbc_encrypt`], with 16 lanes, and the instructions of `V` enabled in the
/// caller.
#[inline(always)]
pub(super) unsafe fn body<V: PairVector, K: RoundKeys<V>>(
    lanes: &mut [Lane],
    mut keys: K,
    rounds: u32,
    len: usize,
    log: Option<&Log<'_>>,
) {
    const { assert!(V::BLOCKS == ROWS) };
    let count = lanes.len();
    let Ok(lanes) = <&mut [Lane; MAX_LANES]>::try_from(lanes) else { wrong_lanes(count) };
    let chains: [*mut u8; MAX_LANES] = array::from_fn(|lane| lanes[lane].chain.as_mut_ptr());
    let sources = chains.map(|chain| chain.cast_const());
    // SAFETY: the caller's duties; offsets stay below `len`, which is a multiple of a block.
    unsafe {
        let mut halves = [[[[V::zero(); COUNT]; ROWS]; 2]; 2];
        let halves = opaque(&raw mut halves).cast_mut().cast::<[Lines<V>; 2]>();
        let run = Run {
            src: array::from_fn(|lane| lanes[lane].src),
            dst: array::from_fn(|lane| lanes[lane].dst),
            scratch: Scratch { input: halves, output: halves.add(1) },
            rounds,
            log,
        };
        let mut state: [V; COUNT] = gather_group::<V, MAX_LANES, COUNT>(&sources, 0, 0);
        let mut step = Step { k: 0, offset: 0 };
        let last = len - len % STEP;
        if last > 0 {
            for group in 0..COUNT {
                run.take(group, step);
            }
            while step.offset + STEP < last {
                keys.refresh();
                run.block::<K, 0>(&mut state, &keys, step, true);
                run.block::<K, 1>(&mut state, &keys, step, true);
                run.block::<K, 2>(&mut state, &keys, step, true);
                run.block::<K, 3>(&mut state, &keys, step, true);
                run.commit(step);
                step = step.next();
            }
            run.block::<K, 0>(&mut state, &keys, step, false);
            run.block::<K, 1>(&mut state, &keys, step, false);
            run.block::<K, 2>(&mut state, &keys, step, false);
            run.block::<K, 3>(&mut state, &keys, step, false);
            run.commit(step);
            for group in 0..COUNT {
                run.put(group, step);
            }
            step = step.next();
        }
        if step.offset < len {
            run.rest(&mut state, &keys, step, len);
        }
        scatter_group::<V, MAX_LANES, COUNT>(&state, &chains, 0, 0);
    }
}

/// The duty of every method: those of [`body`], and the step's offsets are below the run's length.
impl<V: PairVector> Run<'_, V> {
    /// Block `B` of a step, and beside it what one group of lanes needs before and after: the outputs
    /// of the step before are stored, and with `more` the inputs of the next one are taken.
    #[inline(always)]
    unsafe fn block<K: RoundKeys<V>, const B: usize>(
        &self,
        state: &mut [V; COUNT],
        keys: &K,
        step: Step,
        more: bool,
    ) {
        // SAFETY: the duty above; the scratch is `body`'s.
        unsafe {
            enter(state, Some(&(&(*self.scratch.input))[step.half()][B]), keys);
            rounds_of(state, keys, 1..3);
            if more {
                if seeded(Bug::LogAfterCommit)
                    && let Some(log) = self.log
                {
                    log.commit(step.next().k);
                }
                self.take(B, step.next());
            }
            rounds_of(state, keys, 3..6);
            if step.k > 0 {
                self.put(B, step.before());
            }
            rounds_of(state, keys, 6..10);
            finish(state, keys, self.rounds, None);
            (&mut (*self.scratch.output))[step.half()][B] = *state;
        }
    }

    /// Logs a line of each lane of a group, and transposes them into the scratch.
    #[inline(always)]
    unsafe fn take(&self, group: usize, step: Step) {
        // SAFETY: the duty above; a log slot has room for a line of each of 16 lanes.
        unsafe {
            let first = ROWS * group;
            let lines: [V; ROWS] =
                array::from_fn(|i| V::load(self.src[first + i].add(step.offset)));
            if let Some(log) = self.log {
                for (i, line) in lines.iter().enumerate() {
                    line.store_aligned(log.slot(step.k).add((first + i) * STEP));
                }
            }
            let input = &mut (&mut (*self.scratch.input))[step.half()];
            for (row, blocks) in input.iter_mut().zip(V::transpose(lines)) {
                row[group] = blocks;
            }
        }
    }

    /// Stores the outputs of a group, a line of each lane.
    #[inline(always)]
    unsafe fn put(&self, group: usize, step: Step) {
        // SAFETY: the duty above.
        unsafe {
            let output = &(&(*self.scratch.output))[step.half()];
            let lines = V::transpose(array::from_fn(|row| output[row][group]));
            for (i, line) in lines.iter().enumerate() {
                line.store(self.dst[ROWS * group + i].add(step.offset));
            }
        }
    }

    /// Commits a step: the outputs of those before are stored.
    #[inline(always)]
    fn commit(&self, step: Step) {
        if let Some(log) = self.log
            && !seeded(Bug::FenceRemoved)
        {
            log.commit(step.k);
        }
    }

    /// The blocks from a step's offset to `len`, less than a line: a step of their own.
    #[inline(always)]
    unsafe fn rest<K: RoundKeys<V>>(
        &self,
        state: &mut [V; COUNT],
        keys: &K,
        step: Step,
        len: usize,
    ) {
        let offsets = || (step.offset..len).step_by(BLOCK);
        // SAFETY: the duty above.
        unsafe {
            if let Some(log) = self.log {
                for offset in offsets() {
                    let input = gather_group::<V, MAX_LANES, COUNT>(&self.src, 0, offset);
                    let kept = array::from_fn(|lane| log.slot(step.k).add(lane * STEP));
                    scatter_group::<V, MAX_LANES, COUNT>(&input, &kept, 0, offset - step.offset);
                }
                log.commit(step.k);
            }
            for offset in offsets() {
                let input = gather_group::<V, MAX_LANES, COUNT>(&self.src, 0, offset);
                encrypt::<Cbc, V, COUNT>(state, &input, keys, self.rounds);
                scatter_group::<V, MAX_LANES, COUNT>(state, &self.dst, 0, offset);
            }
        }
    }
}

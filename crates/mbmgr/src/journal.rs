//! The run journal, from the side that writes it: what makes an in-place run survive a crash.
//!
//! A run is prepared (its record is filled while `step` is 0 and nobody would read it), then each step
//! k copies its input to the log and commits `step = k + 1` before it writes an output byte. Ending the
//! run commits `step = 0`, after the progress and the status of its jobs. `recovery` is the reader.
//! A run without a lane in place keeps no journal: its inputs are still there.

use shmem::seeded::{Bug, seeded};
use std::marker::PhantomData;
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

pub(crate) use crate::layout::LOG_CHAIN;
use crate::layout::{Journal, LOG_SLOT_BYTES, LOG_SLOTS};
use crate::region::commit;

/// The log of the run in flight, as a kernel sees it.
pub(crate) struct Log<'a> {
    step: &'a AtomicU64,
    slots: NonNull<u8>,
    journal: PhantomData<&'a Journal>,
}

impl<'a> Log<'a> {
    /// The log of a journal.
    #[inline(always)]
    pub(crate) fn new(journal: &'a Journal) -> Log<'a> {
        let slots = NonNull::from(&journal.log).cast();
        Log { step: &journal.step, slots, journal: PhantomData }
    }

    /// The log slot of step `k`: `LOG_SLOT_BYTES` bytes, on a cache line's boundary.
    #[inline(always)]
    pub(crate) fn slot(&self, k: u64) -> *mut u8 {
        #[expect(clippy::cast_possible_truncation, reason = "reduced to below LOG_SLOTS")]
        let index = if seeded(Bug::LogSlotParity) { 0 } else { k as usize % LOG_SLOTS };
        self.slots.as_ptr().wrapping_add(index * LOG_SLOT_BYTES)
    }

    /// Commits step `k`: from here on it is redone after a crash, from its log slot.
    #[inline(always)]
    pub(crate) fn commit(&self, k: u64) {
        commit(self.step, k + 1);
    }
}

/// What a run does: the record of the journal, without its lanes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Bytes that each lane advances; at most `MAX_JOB_LEN`.
    pub(crate) total: u32,
    /// Bytes of a step, for each lane.
    pub(crate) step_bytes: u16,
    /// Lanes in use.
    pub(crate) lanes: u8,
    /// Steps whose outputs may be incomplete while one is in flight.
    pub(crate) redo: u8,
}

impl Shape {
    #[inline(always)]
    fn pack(self) -> u64 {
        u64::from(self.total)
            | u64::from(self.step_bytes) << 32
            | u64::from(self.lanes) << 48
            | u64::from(self.redo) << 56
    }

    pub(crate) fn load(journal: &Journal) -> Shape {
        let [t0, t1, t2, t3, s0, s1, lanes, redo] = journal.shape.load(Relaxed).to_le_bytes();
        Shape {
            total: u32::from_le_bytes([t0, t1, t2, t3]),
            step_bytes: u16::from_le_bytes([s0, s1]),
            lanes,
            redo,
        }
    }
}

/// Records that lane `lane` advances the job at a ring index, from `base`.
#[inline(always)]
pub(crate) fn record_lane(journal: &Journal, lane: usize, index: u32, base: u32) {
    journal.lane[lane].store(u64::from(index) | u64::from(base) << 32, Relaxed);
}

/// Ring index and base progress of a lane.
pub(crate) fn load_lane(journal: &Journal, lane: usize) -> (u32, u32) {
    let [i0, i1, i2, i3, b0, b1, b2, b3] = journal.lane[lane].load(Relaxed).to_le_bytes();
    (u32::from_le_bytes([i0, i1, i2, i3]), u32::from_le_bytes([b0, b1, b2, b3]))
}

/// Records the run, once its lanes are. Nothing is committed: step 0 does that.
#[inline(always)]
pub(crate) fn begin(journal: &Journal, shape: Shape) -> Log<'_> {
    journal.shape.store(shape.pack(), Relaxed);
    Log::new(journal)
}

/// Commits the end of the run: nothing is redone from here on.
#[inline(always)]
pub(crate) fn end(journal: &Journal) {
    commit(&journal.step, 0);
}

//! The run journal, from the side that writes it: what makes an in-place run survive a crash.
//!
//! A run is prepared (its record is filled while `step` is 0 and nobody would read it), then each step
//! k copies its input to the log and commits `step = k + 1` before it writes an output byte. Ending the
//! run commits `step = 0`, after the progress and the status of its jobs. `recovery` is the reader.
//! A run without a lane in place keeps no journal: its inputs are still there.

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
    pub(crate) fn new(journal: &'a Journal) -> Log<'a> {
        let slots = NonNull::from(&journal.log).cast();
        Log { step: &journal.step, slots, journal: PhantomData }
    }

    /// The log slot of step `k`: `LOG_SLOT_BYTES` bytes, on a cache line's boundary.
    #[inline(always)]
    pub(crate) fn slot(&self, k: u64) -> *mut u8 {
        #[expect(clippy::cast_possible_truncation, reason = "reduced to below LOG_SLOTS")]
        let index = k as usize % LOG_SLOTS;
        self.slots.as_ptr().wrapping_add(index * LOG_SLOT_BYTES)
    }

    /// Commits step `k`: from here on it is redone after a crash, from its log slot.
    #[inline(always)]
    pub(crate) fn commit(&self, k: u64) {
        commit(self.step, k + 1);
    }
}

/// What a run is going to do.
pub(crate) struct Run {
    /// Algorithm and direction, as `Job::pack` has them.
    pub(crate) what: u64,
    /// Bytes that each lane advances.
    pub(crate) total: u64,
    /// Bytes of a step, for each lane.
    pub(crate) step_bytes: u32,
    /// Steps whose outputs may be incomplete while one is in flight.
    pub(crate) redo: u32,
}

/// Fills the record. `lanes` are (ring position, progress). Nothing is committed: step 0 does that.
pub(crate) fn begin<'a>(
    journal: &'a Journal,
    run: &Run,
    lanes: impl Iterator<Item = (u64, u64)>,
) -> Log<'a> {
    let mut count = 0;
    for (record, (position, base)) in journal.lane.iter().zip(lanes) {
        record.position.store(position, Relaxed);
        record.base.store(base, Relaxed);
        count += 1;
    }
    journal.lanes.store(count, Relaxed);
    journal.what.store(run.what, Relaxed);
    journal.total.store(run.total, Relaxed);
    journal.step_bytes.store(run.step_bytes, Relaxed);
    journal.redo.store(run.redo, Relaxed);
    Log::new(journal)
}

/// Commits the end of the run: nothing is redone from here on.
#[inline]
pub(crate) fn end(journal: &Journal) {
    commit(&journal.step, 0);
}

//! The arena: the part of a segment behind its header, given out from the bottom up.
//!
//! Clients allocate from it while they set up. The watermark lies in the header and only rises, by
//! one atomic step: a death between the step and its use costs that piece, nothing else.

use std::sync::atomic::Ordering;

use crate::segment::Segment;
use crate::{Error, Offset, Result};

/// A mapping's base is aligned to a page in each process, and to no more.
const MAX_ALIGN: u64 = 4096;

/// The part of a segment that is given out piece by piece.
#[derive(Clone, Copy)]
pub struct Arena<'a> {
    segment: &'a Segment,
    start: u64,
    end: u64,
}

impl<'a> Arena<'a> {
    /// The bounds are the process's own copies, checked when the segment was opened.
    pub(crate) fn new(segment: &'a Segment, start: u64, end: u64) -> Arena<'a> {
        Arena { segment, start, end }
    }

    /// Takes `len` bytes at a multiple of `align`, a power of two of at most 4096. Fresh memory is
    /// zero. Nothing is ever given back.
    pub fn alloc(&self, len: u64, align: u64) -> Result<Offset> {
        if !align.is_power_of_two() || align > MAX_ALIGN {
            return Err(Error::BadAlignment { align, max: MAX_ALIGN });
        }
        let watermark = &self.segment.header().arena_next;
        // Acquire: pairs with the Release of another allocation's step below.
        let mut next = watermark.load(Ordering::Acquire);
        loop {
            if next < self.start || next > self.end {
                return Err(Error::corrupt(format!(
                    "arena watermark {next:#x} outside {:#x}..{:#x}",
                    self.start, self.end
                )));
            }
            // Align first, then check the bounds: the padding counts.
            let at = next.checked_next_multiple_of(align);
            let after = at.and_then(|at| at.checked_add(len));
            let (Some(at), Some(after)) = (at, after.filter(|&after| after <= self.end)) else {
                return Err(Error::ArenaFull { len, align, remaining: self.end - next });
            };
            // Commits: the piece is taken. Release pairs with the Acquire loads here.
            let step =
                watermark.compare_exchange_weak(next, after, Ordering::Release, Ordering::Acquire);
            match step {
                Ok(_) => return Ok(Offset::new(at)),
                Err(now) => next = now,
            }
        }
    }

    /// Whether `len` bytes from `at` lie in the arena, given out or not. Reads nothing shared.
    #[inline]
    pub fn contains(&self, at: Offset, len: u64) -> bool {
        let at = at.get();
        at >= self.start && at <= self.end && len <= self.end - at
    }

    /// Where the arena begins.
    pub fn start(&self) -> Offset {
        Offset::new(self.start)
    }

    /// Where the arena ends: the first offset behind it.
    pub fn end(&self) -> Offset {
        Offset::new(self.end)
    }

    /// Bytes not given out yet; 0 where the watermark is corrupt.
    pub fn remaining(&self) -> u64 {
        // Acquire: pairs with the Release of an allocation's step.
        let next = self.segment.header().arena_next.load(Ordering::Acquire);
        if next < self.start { 0 } else { self.end.saturating_sub(next) }
    }
}

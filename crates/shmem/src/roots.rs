//! The directory of roots: how a client's objects are found in a segment.
//!
//! A word of the header each: 0 is free, an even offset is a published object, an odd one an object
//! that was retired, whose memory waits to be used again. Each change is one commit store, so a death
//! leaves the one or the other. `root_changes` is raised after it: a reader that keeps a copy and dies
//! with the writer between the two sees an older directory, never a torn one.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::layout::ROOTS;
use crate::segment::Segment;
use crate::{Error, Offset, Result};

/// Set in the word of an object that was retired; objects lie at even offsets.
const RETIRED: u64 = 1;

impl Segment {
    /// What root `index` refers to, if it is published.
    pub fn root(&self, index: usize) -> Result<Option<Offset>> {
        // Acquire: pairs with the Release of `publish_root`.
        let word = self.root_word(index)?.load(Ordering::Acquire);
        if word & RETIRED != 0 { Ok(None) } else { self.checked_root(index, word) }
    }

    /// What root `index` referred to, if it was retired and not published again.
    pub fn retired_root(&self, index: usize) -> Result<Option<Offset>> {
        // Acquire: pairs with the Release of `retire_root`.
        let word = self.root_word(index)?.load(Ordering::Acquire);
        if word & RETIRED == 0 { Ok(None) } else { self.checked_root(index, word & !RETIRED) }
    }

    /// Publishes an object of the arena as root `index`, by one commit store. An object that was
    /// retired can be published at its own root again, and nothing else can. Gives
    /// [`Segment::root_changes`] as it was just before this one.
    pub fn publish_root(&self, index: usize, at: Offset) -> Result<u64> {
        if !self.arena().contains(at, 1) {
            return Err(self.out_of_bounds(self.arena().start().get(), at, 1));
        }
        if at.get() & RETIRED != 0 {
            return Err(Error::Misaligned { at, align: 2 });
        }
        let word = self.root_word(index)?;
        // Commits that this root may be in use, before it is. Release pairs with `used_roots`.
        self.header().roots_used.fetch_max(index as u64 + 1, Ordering::Release);
        let publish = |from| {
            // Commits: the object exists. Release pairs with the Acquire of `root`.
            word.compare_exchange(from, at.get(), Ordering::Release, Ordering::Relaxed)
        };
        publish(0)
            .or_else(|_| publish(at.get() | RETIRED))
            .map_err(|by| Error::RootTaken { index, by: Offset::new(by & !RETIRED) })?;
        Ok(self.note_change())
    }

    /// Frees root `index`, by one commit store. The object's memory is not given back.
    pub fn retract_root(&self, index: usize) -> Result<()> {
        // Commits: the object is gone. Release pairs with the Acquire of `root`.
        self.root_word(index)?.store(0, Ordering::Release);
        self.note_change();
        Ok(())
    }

    /// Takes an object out of use, by one commit store, and keeps a note of its memory.
    pub fn retire_root(&self, index: usize, at: Offset) -> Result<()> {
        // Commits: the object is gone. Release pairs with the Acquire of `retired_root`.
        self.root_word(index)?
            .compare_exchange(at.get(), at.get() | RETIRED, Ordering::Release, Ordering::Relaxed)
            .map_err(|by| Error::RootTaken { index, by: Offset::new(by & !RETIRED) })?;
        self.note_change();
        Ok(())
    }

    /// The first root that is free, if any.
    pub fn free_root(&self) -> Option<usize> {
        // Relaxed: `publish_root` decides.
        self.header().roots.iter().position(|root| root.load(Ordering::Relaxed) == 0)
    }

    /// Rises with each change of the roots: a copy of them is good as long as this stands still.
    #[inline]
    pub fn root_changes(&self) -> u64 {
        // Acquire: pairs with the Release of `note_change`.
        self.header().root_changes.load(Ordering::Acquire)
    }

    /// The roots that were ever published: those behind them need no look.
    #[inline]
    pub fn used_roots(&self) -> Range<usize> {
        // Acquire: pairs with the Release of `publish_root`.
        let used = self.header().roots_used.load(Ordering::Acquire);
        0..usize::try_from(used).map_or(ROOTS, |used| used.min(ROOTS))
    }

    /// Gives the count before.
    fn note_change(&self) -> u64 {
        // Commits the change for those who keep a copy. Release pairs with `root_changes`.
        self.header().root_changes.fetch_add(1, Ordering::Release)
    }

    fn checked_root(&self, index: usize, word: u64) -> Result<Option<Offset>> {
        let at = Offset::new(word);
        if at == Offset::NULL {
            return Ok(None);
        }
        if !self.arena().contains(at, 1) {
            return Err(Error::corrupt(format!("root {index} is {at}, outside the arena")));
        }
        Ok(Some(at))
    }

    fn root_word(&self, index: usize) -> Result<&AtomicU64> {
        debug_assert_eq!(self.header().roots.len(), ROOTS);
        self.header().roots.get(index).ok_or(Error::NoSuchRoot { index })
    }
}

//! Where a manager lies in its segment: the one place that turns offsets into references. Called by
//! everything above; it writes only the configuration line, before the root is published.
#![expect(
    unsafe_code,
    reason = "references into the segment are kept as pointers beside their Arc"
)]

use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, Release, SeqCst};
use std::sync::atomic::{AtomicU32, AtomicU64, compiler_fence};

use shmem::{Offset, Segment};

use crate::config::Config;
use crate::error::{Error, Result};
use crate::layout::{Journal, KeyEntry, MANAGER_MAGIC, ManagerHeader, Slot};

/// Commits a change: everything stored before is in the segment first, nothing stored later is.
///
/// A killed process leaves the stores of the instructions that it retired, in program order, so only
/// the compiler must be held: `Release` keeps earlier stores above (and pairs with the `Acquire` load
/// of the next owner), the fence keeps later ones below.
#[inline(always)]
pub(crate) fn commit(word: &AtomicU64, value: u64) {
    word.store(value, Release);
    compiler_fence(SeqCst);
}

/// As [`commit`], for a word of 32 bits.
#[inline(always)]
pub(crate) fn commit32(word: &AtomicU32, value: u32) {
    word.store(value, Release);
    compiler_fence(SeqCst);
}

/// A manager's own place in the arena: header, journal, keys, slots, without gaps.
struct Plan {
    journal: u64,
    keys: u64,
    slots: u64,
    len: u64,
}

impl Plan {
    const fn of(config: &Config) -> Plan {
        let journal = size_of::<ManagerHeader>() as u64;
        let keys = journal + size_of::<Journal>() as u64;
        let slots = keys + config.keys as u64 * size_of::<KeyEntry>() as u64;
        let len = slots + config.ring as u64 * size_of::<Slot>() as u64;
        Plan { journal, keys, slots, len }
    }
}

/// A manager in its segment.
pub(crate) struct Region {
    segment: Arc<Segment>,
    at: Offset,
    pub(crate) config: Config,
    header: NonNull<ManagerHeader>,
    journal: NonNull<Journal>,
    keys: NonNull<KeyEntry>,
    slots: NonNull<Slot>,
    /// Start of the arena.
    base: NonNull<u8>,
    /// The arena, as offsets.
    arena: std::ops::Range<u64>,
    /// The manager's own bytes, as offsets: no buffer may lie there.
    own: std::ops::Range<u64>,
}

// SAFETY: the pointers lead into the mapping that `segment`, which is Send, keeps alive, and what they
// point to is `Shared`, hence Sync.
unsafe impl Send for Region {}

impl Region {
    /// Bytes of a manager in the arena.
    pub(crate) const fn size(config: &Config) -> u64 {
        Plan::of(config).len
    }

    /// Allocates a manager and writes its configuration. No root leads to it yet.
    pub(crate) fn create(segment: &Arc<Segment>, config: &Config) -> Result<Region> {
        config.check()?;
        let plan = Plan::of(config);
        let at = segment.arena().alloc(plan.len, align_of::<ManagerHeader>() as u64)?;
        let header: &ManagerHeader = segment.shared(at)?;
        header.ring.store(config.ring, Relaxed);
        header.lanes.store(config.lanes, Relaxed);
        header.keys.store(config.keys, Relaxed);
        header.journal_at.store(at.get() + plan.journal, Relaxed);
        header.keys_at.store(at.get() + plan.keys, Relaxed);
        header.slots_at.store(at.get() + plan.slots, Relaxed);
        header.magic.store(MANAGER_MAGIC, Relaxed);
        Region::at(segment, at)
    }

    /// The manager that root `root` leads to.
    pub(crate) fn open(segment: &Arc<Segment>, root: usize) -> Result<Region> {
        let at = segment.root(root)?.ok_or(Error::NoManager { root })?;
        Region::at(segment, at)
    }

    /// Copies the configuration out, checks it against what its own plan says, and keeps the pointers.
    fn at(segment: &Arc<Segment>, at: Offset) -> Result<Region> {
        let header: &ManagerHeader = segment.shared(at)?;
        if header.magic.load(Relaxed) != MANAGER_MAGIC {
            return Err(Error::corrupt(format!("no manager at {at}, where a root points")));
        }
        let config = Config {
            ring: header.ring.load(Relaxed),
            lanes: header.lanes.load(Relaxed),
            keys: header.keys.load(Relaxed),
        };
        config.check().map_err(|error| Error::corrupt(error.to_string()))?;
        let plan = Plan::of(&config);
        let places = [
            ("journal", &header.journal_at, plan.journal),
            ("key table", &header.keys_at, plan.keys),
            ("ring", &header.slots_at, plan.slots),
        ];
        for (what, place, expected) in places {
            let (found, expected) = (place.load(Relaxed), at.get().wrapping_add(expected));
            if found != expected {
                let what = format!("the {what} is said to be at {found:#x}, not {expected:#x}");
                return Err(Error::corrupt(what));
            }
        }
        segment.pointer(at, plan.len)?;
        let place = |offset: u64| Offset::new(at.get() + offset);
        let journal: &Journal = segment.shared(place(plan.journal))?;
        let keys: &[KeyEntry] = segment.shared_slice(place(plan.keys), config.keys as usize)?;
        let slots: &[Slot] = segment.shared_slice(place(plan.slots), config.ring as usize)?;
        let arena = segment.arena();
        Ok(Region {
            header: NonNull::from(header),
            journal: NonNull::from(journal),
            keys: NonNull::from(keys).cast(),
            slots: NonNull::from(slots).cast(),
            base: segment.pointer(arena.start(), arena.end().get() - arena.start().get())?,
            arena: arena.start().get()..arena.end().get(),
            own: at.get()..at.get() + plan.len,
            segment: Arc::clone(segment),
            at,
            config,
        })
    }

    pub(crate) fn segment(&self) -> &Arc<Segment> {
        &self.segment
    }

    /// Where the lease lies: at the start of the header.
    pub(crate) fn lease_at(&self) -> Offset {
        self.at
    }

    /// Where a root must point to.
    pub(crate) fn offset(&self) -> Offset {
        self.at
    }

    #[inline(always)]
    pub(crate) fn header(&self) -> &ManagerHeader {
        // SAFETY: `Region::at` took the pointer from a reference into the mapping, which `segment`
        // keeps alive as long as `self`.
        unsafe { self.header.as_ref() }
    }

    #[inline(always)]
    pub(crate) fn journal(&self) -> &Journal {
        // SAFETY: as in `header`.
        unsafe { self.journal.as_ref() }
    }

    #[inline(always)]
    pub(crate) fn keys(&self) -> &[KeyEntry] {
        // SAFETY: as in `header`; `Region::at` took it from a slice of `config.keys` entries.
        unsafe { std::slice::from_raw_parts(self.keys.as_ptr(), self.config.keys as usize) }
    }

    /// The slot of a ring position.
    #[inline(always)]
    pub(crate) fn slot(&self, position: u64) -> &Slot {
        // SAFETY: as in `header`; `Region::at` took it from a slice of `config.ring` slots, a power of
        // two, and `index` is below that.
        unsafe { self.slots.add(self.index(position)).as_ref() }
    }

    /// The index of a ring position, below `config.ring`.
    #[inline(always)]
    pub(crate) fn index(&self, position: u64) -> usize {
        self.index32(position) as usize
    }

    /// As [`Region::index`], for the journal's record.
    #[inline(always)]
    pub(crate) fn index32(&self, position: u64) -> u32 {
        #[expect(clippy::cast_possible_truncation, reason = "masked below 2^32")]
        let low = position as u32;
        low & (self.config.ring - 1)
    }

    /// Whether `len` bytes at `at` lie in the arena and outside the manager itself.
    #[inline(always)]
    pub(crate) fn holds(&self, at: Offset, len: u64) -> bool {
        let start = at.get();
        let Some(end) = start.checked_add(len) else { return false };
        // Buffers mostly lie behind the manager, which was allocated before them.
        end <= self.arena.end
            && (start >= self.own.end || start >= self.arena.start && end <= self.own.start)
    }

    /// The address of an offset that [`Region::holds`] said yes to.
    #[inline(always)]
    pub(crate) fn address(&self, at: Offset) -> NonNull<u8> {
        debug_assert!(at.get() >= self.arena.start && at.get() <= self.arena.end);
        #[expect(
            clippy::cast_possible_truncation,
            reason = "offsets are below the mapping's length"
        )]
        let offset = (at.get() - self.arena.start) as usize;
        // SAFETY: callers pass offsets that `holds` accepted, so they lie within the arena that `base`
        // begins, in one mapping.
        unsafe { self.base.add(offset) }
    }
}

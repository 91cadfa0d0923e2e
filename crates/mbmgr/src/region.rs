//! Where a manager lies in its segment: the one place that turns offsets into references. Called by
//! everything above; it writes only the configuration line, before the root is published.
#![expect(
    unsafe_code,
    reason = "references into the segment are kept as pointers beside their Arc"
)]

use std::ops::Range;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, Release, SeqCst};
use std::sync::atomic::{AtomicU32, AtomicU64, compiler_fence};

use shmem::{LeaseWords, Offset, Segment};

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
    arena: Range<u64>,
    /// The bytes of this manager and of the others in the segment, as offsets, sorted: no buffer may
    /// lie there.
    taken: Vec<Range<u64>>,
    /// The start of the first and the end of the last of them, in the arena.
    clear_to: u64,
    clear_from: u64,
    /// [`Segment::root_changes`] when `taken` was made.
    taken_at: u64,
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
        Region::configure(segment, at, config)
    }

    /// Makes a new manager where one was removed. Its lease is ours, and no root leads to it.
    pub(crate) fn revive(segment: &Arc<Segment>, at: Offset, config: &Config) -> Result<Region> {
        let lease = size_of::<LeaseWords>() as u64;
        let rest = Offset::new(at.get().saturating_add(lease));
        segment.zeroize(rest, Plan::of(config).len - lease)?;
        Region::configure(segment, at, config)
    }

    fn configure(segment: &Arc<Segment>, at: Offset, config: &Config) -> Result<Region> {
        let plan = Plan::of(config);
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

    /// Where `root` leads to a manager that was removed, one of this shape.
    pub(crate) fn removed(segment: &Segment, root: usize, config: &Config) -> Option<Offset> {
        let at = segment.retired_root(root).ok().flatten()?;
        let (found, _) = Region::shape(segment, at).ok()?;
        (found == *config).then_some(at)
    }

    /// The manager that root `root` leads to.
    pub(crate) fn open(segment: &Arc<Segment>, root: usize) -> Result<Region> {
        let at = segment.root(root)?.ok_or(Error::NoManager { root })?;
        Region::at(segment, at)
    }

    /// Whether what lies at `at` says that it is a manager.
    pub(crate) fn is_manager(segment: &Segment, at: Offset) -> bool {
        let header = segment.shared::<ManagerHeader>(at);
        header.is_ok_and(|header| header.magic.load(Relaxed) == MANAGER_MAGIC)
    }

    /// Copies the configuration out and checks it against what its own plan says.
    fn shape(segment: &Segment, at: Offset) -> Result<(Config, Plan)> {
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
        Ok((config, plan))
    }

    /// Checks what lies there, and keeps the pointers.
    fn at(segment: &Arc<Segment>, at: Offset) -> Result<Region> {
        let (config, plan) = Region::shape(segment, at)?;
        let header: &ManagerHeader = segment.shared(at)?;
        let place = |offset: u64| Offset::new(at.get() + offset);
        let journal: &Journal = segment.shared(place(plan.journal))?;
        let keys: &[KeyEntry] = segment.shared_slice(place(plan.keys), config.keys as usize)?;
        let slots: &[Slot] = segment.shared_slice(place(plan.slots), config.ring as usize)?;
        let arena = segment.arena();
        let mut region = Region {
            header: NonNull::from(header),
            journal: NonNull::from(journal),
            keys: NonNull::from(keys).cast(),
            slots: NonNull::from(slots).cast(),
            base: segment.pointer(arena.start(), arena.end().get() - arena.start().get())?,
            arena: arena.start().get()..arena.end().get(),
            taken: Vec::new(),
            clear_to: arena.start().get(),
            clear_from: arena.end().get(),
            taken_at: 0,
            segment: Arc::clone(segment),
            at,
            config,
        };
        region.look_around()?;
        Ok(region)
    }

    /// Notes managers that came since, so that no job is let into their bytes.
    #[inline]
    pub(crate) fn notice_others(&mut self) -> Result<()> {
        if self.segment.root_changes() == self.taken_at { Ok(()) } else { self.look_around() }
    }

    /// Notes that this manager was published, by the change that followed `before` others. It is in
    /// `taken` already, so if there was none besides, nobody need look around.
    pub(crate) fn note_published(&mut self, before: u64) {
        if self.taken_at == before {
            self.taken_at = before.wrapping_add(1);
        }
    }

    /// Whether a root leads here still: the manager may have been removed, also by an owner that died
    /// before it told of the change.
    pub(crate) fn is_at(&self, root: usize) -> Result<bool> {
        Ok(self.segment.root(root)? == Some(self.at))
    }

    /// Finds where the managers of the segment lie. Where one of them overlaps this one, the shape that
    /// one of the two claims is damaged.
    #[cold]
    fn look_around(&mut self) -> Result<()> {
        // Before the roots are read: a change meanwhile is looked at again.
        self.taken_at = self.segment.root_changes();
        let span = |at: Offset, plan: &Plan| at.get()..at.get().saturating_add(plan.len);
        let own = span(self.at, &Plan::of(&self.config));
        let mut taken = vec![own.clone()];
        for root in self.segment.used_roots() {
            // Those that were removed too: their bytes may be a manager again at any time.
            let place = self.segment.root(root).ok().flatten();
            let place = place.or_else(|| self.segment.retired_root(root).ok().flatten());
            let Some(at) = place.filter(|&at| at != self.at) else { continue };
            let Ok((_, plan)) = Region::shape(&self.segment, at) else { continue };
            let other = span(at, &plan);
            if other.start < own.end && own.start < other.end {
                let what = format!("the managers at {} and {at} overlap", self.at);
                return Err(Error::corrupt(what));
            }
            taken.push(other);
        }
        taken.sort_unstable_by_key(|span| span.start);
        self.taken.clear();
        for span in taken {
            match self.taken.last_mut() {
                Some(last) if span.start <= last.end => last.end = last.end.max(span.end),
                _ => self.taken.push(span),
            }
        }
        let (first, last) = (self.taken.first(), self.taken.last());
        self.clear_to = first.map_or(self.arena.end, |span| span.start);
        self.clear_from = last.map_or(0, |span| span.end).max(self.arena.start);
        Ok(())
    }

    pub(crate) fn segment(&self) -> &Arc<Segment> {
        &self.segment
    }

    /// The range of everything behind the header: journal, keys, slots.
    pub(crate) fn contents(&self) -> (Offset, u64) {
        let header = size_of::<ManagerHeader>() as u64;
        (Offset::new(self.at.get() + header), Plan::of(&self.config).len - header)
    }

    /// Where the lease lies: at the start of the header.
    pub(crate) fn lease_at(&self) -> Offset {
        self.at
    }

    /// Notes who makes the manager; no root leads to it yet.
    pub(crate) fn note_first_epoch(&self, epoch: u64) {
        self.header().first_epoch.store(epoch, Relaxed);
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

    /// Whether `len` bytes at `at` lie in the arena and outside every manager.
    #[inline(always)]
    pub(crate) fn holds(&self, at: Offset, len: u64) -> bool {
        let start = at.get();
        let Some(end) = start.checked_add(len) else { return false };
        // Buffers mostly lie behind or before all managers.
        let is_clear = start >= self.clear_from
            || (end <= self.clear_to && start >= self.arena.start)
            || self.is_between(start, end);
        is_clear && end <= self.arena.end
    }

    /// Whether a range lies in the arena between managers.
    fn is_between(&self, start: u64, end: u64) -> bool {
        start >= self.arena.start
            && self.taken.iter().all(|taken| end <= taken.start || start >= taken.end)
    }

    /// The address of `len` bytes that [`Region::holds`] said yes to, or of none, wherever they would lie.
    #[inline(always)]
    pub(crate) fn address_of(&self, at: Offset, len: usize) -> NonNull<u8> {
        if len == 0 { self.base } else { self.address(at) }
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

//! How a manager passes from one process to the next: the standby that waits, and what it does once
//! the lease is its own. Nothing here is in the segment but the counters of takeovers.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use shmem::{Acquire as Outcome, Candidate, Lease, Owner, Previous, Segment, Watch};

use crate::config::Options;
use crate::error::{Error, Result};
use crate::kernel::{Backend, Kernels};
use crate::keys::KeyTable;
use crate::lanes::Lanes;
use crate::manager::{Manager, Recovery};
use crate::recovery::{self, Positions};
use crate::region::Region;

/// A passive secondary: everything is mapped and checked, only the lease is missing.
pub struct Standby {
    candidate: Candidate,
    ready: Ready,
}

/// How a wait ended.
pub enum Wait {
    /// The owner is gone; this process owns the manager.
    TakenOver(Box<Manager>),
    /// The owner lives.
    TimedOut {
        /// To wait on with.
        standby: Box<Standby>,
        /// Who owns the manager.
        owner: Owner,
    },
}

/// A standby in an event loop: a thread waits for it, and takes the lease as soon as it is free. The
/// descriptor ([`AsFd`]) becomes readable then; [`Pollable::take`] recovers the manager.
pub struct Pollable {
    watch: Watch,
    ready: Ready,
}

/// What a takeover needs beside the lease, made ahead of it.
pub(crate) struct Ready {
    pub(crate) region: Region,
    pub(crate) root: usize,
    pub(crate) lanes: Lanes,
    pub(crate) keys: KeyTable,
    pub(crate) options: Options,
}

impl Standby {
    /// Prepares to take over the manager that a root leads to: maps the pages in use, checks the
    /// manager's shape, makes the lanes.
    ///
    /// # Errors
    /// [`Error::NoManager`], [`Error::Corrupt`], [`Error::BackendUnavailable`], or the segment's.
    pub fn attach(segment: &Arc<Segment>, root: usize, options: &Options) -> Result<Standby> {
        segment.prefault();
        Standby::prepare(segment, root, options)
    }

    /// As [`Standby::attach`], for who is not going to wait.
    pub(crate) fn prepare(
        segment: &Arc<Segment>,
        root: usize,
        options: &Options,
    ) -> Result<Standby> {
        let kernels = kernels(options)?;
        let region = Region::open(segment, root)?;
        let candidate = Candidate::new(segment, region.lease_at())?;
        Ok(Standby { candidate, ready: Ready::new(region, root, kernels, options)? })
    }

    /// Waits until the owner dies or releases the manager, at most `timeout`, and takes over.
    ///
    /// # Errors
    /// [`Error::Corrupt`] if what the owner left contradicts itself, [`Error::NoManager`] if it removed
    /// the manager, or the segment's.
    pub fn wait(self, timeout: Option<Duration>) -> Result<Wait> {
        conclude(self.candidate.wait(timeout)?, self.ready)
    }

    /// Waits in a thread, for callers that have an event loop.
    ///
    /// # Errors
    /// The segment's, where the system gives no thread or descriptor.
    pub fn pollable(self) -> Result<Pollable> {
        Ok(Pollable { watch: self.candidate.watch()?, ready: self.ready })
    }

    /// Kills an owner that lives, waits for its death, and takes over.
    ///
    /// # Errors
    /// As [`Standby::wait`], and the segment's where the owner cannot be killed.
    pub fn force(self) -> Result<Manager> {
        let lives = self.ready.region.header().lease.owner().is_some();
        let lease = self.candidate.force()?;
        let died = lives && lease.previous() == Previous::Died;
        self.ready.take_over(lease, died)
    }

    /// Keeps this standby's keys and the segment from being swapped out.
    ///
    /// # Errors
    /// The segment's, where RLIMIT_MEMLOCK is too low.
    pub fn lock_memory(&self) -> Result<()> {
        self.ready.lanes.lock_memory()?;
        self.ready.keys.lock_memory()?;
        Ok(self.ready.region.segment().lock_memory()?)
    }
}

impl Pollable {
    /// Whether [`Pollable::take`] will give the manager, or say why not.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.watch.is_ready()
    }

    /// Takes the manager over where the descriptor was readable; gives the standby back otherwise.
    ///
    /// # Errors
    /// As [`Standby::wait`].
    pub fn take(self) -> Result<Wait> {
        conclude(self.watch.take()?, self.ready)
    }
}

impl AsFd for Pollable {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.watch.as_fd()
    }
}

fn conclude(outcome: Outcome, ready: Ready) -> Result<Wait> {
    match outcome {
        Outcome::Acquired(lease) => Ok(Wait::TakenOver(Box::new(ready.take_over(lease, false)?))),
        Outcome::Held { by, candidate } => {
            Ok(Wait::TimedOut { standby: Box::new(Standby { candidate, ready }), owner: by })
        }
    }
}

impl Ready {
    pub(crate) fn new(
        region: Region,
        root: usize,
        kernels: Kernels,
        options: &Options,
    ) -> Result<Ready> {
        let lanes = Lanes::new(kernels, &region)?;
        let keys = KeyTable::new(&region)?;
        Ok(Ready { region, root, lanes, keys, options: *options })
    }

    /// Takes over what the root leads to now: it may have been removed while we waited.
    fn take_over(mut self, lease: Lease, forced: bool) -> Result<Manager> {
        let since = Instant::now();
        if !self.region.is_at(self.root)? {
            // The lease is good, only there is nothing to own: the next one shall see the same.
            lease.release()?;
            return Err(Error::NoManager { root: self.root });
        }
        // A place keeps its shape for good, and ours was copied from it and checked.
        self.region.notice_others()?;
        let mut manager = self.recover(lease)?;
        manager.recovered.duration = since.elapsed();
        count(&manager, forced);
        let Recovery { previous, outstanding, unfinished, unacknowledged, duration, .. } =
            manager.recovered;
        tracing::info!(
            root = manager.root,
            epoch = manager.lease.epoch(),
            ?previous,
            forced,
            outstanding,
            unfinished,
            unacknowledged,
            ?duration,
            "took the manager over"
        );
        Ok(manager)
    }

    /// Recovers what is in the region. The lease is held, so nobody else writes.
    pub(crate) fn recover(self, lease: Lease) -> Result<Manager> {
        let Ready { region, root, mut lanes, mut keys, options } = self;
        let positions = Positions::load(&region)?;
        keys.recover(&region);
        let redone = recovery::finish_run(&region, &keys, lanes.kernels(), positions)?;
        let unfinished = recovery::queue(&region, &keys, &mut lanes, positions);
        let recovered = Recovery {
            previous: lease.previous(),
            outstanding: positions.tail - positions.returned,
            unfinished,
            unacknowledged: positions.returned - positions.acked,
            redone,
            duration: Duration::ZERO,
        };
        Ok(Manager {
            region,
            lease,
            root,
            acknowledge: options.acknowledge,
            keys,
            lanes,
            plan: None,
            recovered,
            acked: positions.acked,
            cursor: positions.acked,
            returned: positions.returned,
            redelivered: positions.returned,
            tail: positions.tail,
        })
    }
}

/// Counts a takeover for who reads the segment. Nobody decides anything by these words.
fn count(manager: &Manager, forced: bool) {
    let (header, found) = (manager.region.header(), &manager.recovered);
    // Relaxed: only the owner writes them, and a reader takes each by itself.
    let add = |word: &std::sync::atomic::AtomicU64, n: u64| {
        if n > 0 {
            word.store(word.load(Relaxed).wrapping_add(n), Relaxed);
        }
    };
    let nanos = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    add(&header.deaths, u64::from(found.previous == Previous::Died));
    add(&header.forced, u64::from(forced));
    add(&header.recovered, found.unfinished);
    add(&header.redelivered, found.unacknowledged);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, nanos);
    header.taken_over_at.store(now, Relaxed);
    header.takeover_ns.store(nanos(found.duration), Relaxed);
}

pub(crate) fn kernels(options: &Options) -> Result<Kernels> {
    let backend = options.backend.unwrap_or_else(Backend::best);
    Kernels::new(backend).ok_or_else(|| {
        let available = Backend::available().iter().map(|b| b.name()).collect::<Vec<_>>();
        Error::BackendUnavailable { name: backend.name(), available: available.join(", ") }
    })
}

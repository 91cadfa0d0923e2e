//! How managers come into a segment and leave it, while others in it run.
//!
//! A root is published last and retired first of what others see, each by one commit store, so a crash
//! leaves a manager or none. What was removed keeps its place: the next manager of the same shape is
//! made there, under the same lease, whose epochs go on.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use shmem::{Acquire as Outcome, Candidate, ROOTS, Segment};

use crate::config::{Config, Options};
use crate::error::{Error, Result};
use crate::manager::Manager;
use crate::region::Region;
use crate::standby::{Ready, Standby, Wait, kernels};

/// The roots of the managers that a segment holds now. Roots of an application's own objects are left
/// out.
#[must_use]
pub fn managers(segment: &Segment) -> Vec<usize> {
    let is_manager = |&root: &usize| match segment.root(root) {
        Ok(Some(at)) => Region::is_manager(segment, at),
        _ => false,
    };
    (0..ROOTS).filter(is_manager).collect()
}

/// Why a manager could not be removed, and the manager, which works on.
#[derive(thiserror::Error)]
#[error("{error}")]
pub struct NotRemoved {
    /// The manager.
    pub manager: Box<Manager>,
    /// Why.
    pub error: Error,
}

impl fmt::Debug for NotRemoved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.error, f)
    }
}

impl Manager {
    /// Bytes that a manager takes in the arena.
    #[must_use]
    pub fn size(config: &Config) -> u64 {
        Region::size(config)
    }

    /// The length of a segment that holds one manager and `buffers` bytes beside it.
    #[must_use]
    pub fn segment_len(config: &Config, buffers: u64) -> u64 {
        shmem::HEADER_LEN + Region::size(config) + buffers
    }

    /// Makes a manager in the arena of a segment and owns it. The root that leads to it is published
    /// last, so that a crash in here leaves no manager. The place of one of this shape that was
    /// removed is used again.
    ///
    /// # Errors
    /// [`Error::Config`], [`Error::BackendUnavailable`], [`Error::NoFreeRoot`], or the segment's
    /// (such as a full arena).
    pub fn create(segment: &Arc<Segment>, config: &Config, options: &Options) -> Result<Manager> {
        config.check()?;
        let kernels = kernels(options)?;
        for root in segment.used_roots() {
            if let Some(manager) = Manager::revive(segment, root, config, options)? {
                return Ok(manager);
            }
        }
        let mut root = segment.free_root().ok_or(Error::NoFreeRoot)?;
        let region = Region::create(segment, config)?;
        let lease = match Candidate::new(segment, region.lease_at())?.try_acquire()? {
            Outcome::Acquired(lease) => lease,
            Outcome::Held { by, .. } => return Err(Error::Owned(by)),
        };
        region.note_first_epoch(lease.epoch());
        let mut manager = Ready::new(region, root, kernels, options)?.recover(lease)?;
        // Another process may take the root between our look and our store.
        let before = loop {
            match segment.publish_root(root, manager.region.offset()) {
                Ok(before) => break before,
                Err(shmem::Error::RootTaken { .. }) => {
                    root = segment.free_root().ok_or(Error::NoFreeRoot)?;
                }
                Err(error) => return Err(error.into()),
            }
        };
        manager.region.note_published(before);
        manager.root = root;
        tracing::debug!(root, "made a manager");
        Ok(manager)
    }

    /// Makes the manager where one was removed, if root `root` leads to such a place.
    fn revive(
        segment: &Arc<Segment>,
        root: usize,
        config: &Config,
        options: &Options,
    ) -> Result<Option<Manager>> {
        let Some(at) = Region::removed(segment, root, config) else { return Ok(None) };
        let Outcome::Acquired(lease) = Candidate::new(segment, at)?.try_acquire()? else {
            // Somebody else is making one there.
            return Ok(None);
        };
        if Region::removed(segment, root, config) != Some(at) {
            // Somebody else has made one there, and is gone already: it is not ours to take over.
            lease.release()?;
            return Ok(None);
        }
        let region = Region::revive(segment, at, config)?;
        region.note_first_epoch(lease.epoch());
        let mut manager = Ready::new(region, root, kernels(options)?, options)?.recover(lease)?;
        manager.region.note_published(segment.publish_root(root, at)?);
        tracing::debug!(root, "made a manager where one was removed");
        Ok(Some(manager))
    }

    /// Takes over the manager that a root leads to, if its owner is gone.
    ///
    /// # Errors
    /// [`Error::Owned`] while the owner lives, [`Error::NoManager`], [`Error::Corrupt`],
    /// [`Error::BackendUnavailable`], or the segment's.
    pub fn attach(segment: &Arc<Segment>, root: usize, options: &Options) -> Result<Manager> {
        match Standby::prepare(segment, root, options)?.wait(Some(Duration::ZERO))? {
            Wait::TakenOver(manager) => Ok(*manager),
            Wait::TimedOut { owner, .. } => Err(Error::Owned(owner)),
        }
    }

    /// Takes over the manager that a root leads to; an owner that lives is killed first.
    ///
    /// # Errors
    /// As [`Manager::attach`], and the segment's where the owner cannot be killed.
    pub fn force(segment: &Arc<Segment>, root: usize, options: &Options) -> Result<Manager> {
        Standby::prepare(segment, root, options)?.force()
    }

    /// Hands the manager over without dying: the next owner finishes what is outstanding.
    ///
    /// # Errors
    /// [`Error::Fenced`], or the segment's.
    pub fn release(self) -> Result<()> {
        self.check_fence()?;
        tracing::info!(root = self.root, epoch = self.lease.epoch(), "released the manager");
        Ok(self.lease.release()?)
    }

    /// Takes the manager out of the segment: its keys, its jobs and its log are zeroized, and a standby
    /// that waits for it gets [`Error::NoManager`]. All jobs must have been returned; what was not
    /// acknowledged counts as acknowledged.
    ///
    /// A crash in here leaves a manager without jobs, and without some or all of its keys, or none.
    ///
    /// # Errors
    /// [`Error::NotEmpty`], [`Error::Fenced`], or the segment's; the manager comes back with each.
    pub fn remove(mut self) -> std::result::Result<(), NotRemoved> {
        match self.clear() {
            Ok(()) => {
                tracing::info!(root = self.root, epoch = self.lease.epoch(), "removed the manager");
                // The root is retired: a lease that cannot be given up is nobody's any more.
                let _ = self.lease.release();
                Ok(())
            }
            Err(error) => Err(NotRemoved { manager: Box::new(self), error }),
        }
    }

    /// Does what [`Manager::remove`] says, but for the lease.
    fn clear(&mut self) -> Result<()> {
        self.check_fence()?;
        let jobs = self.queue_len();
        if jobs > 0 {
            return Err(Error::NotEmpty { jobs });
        }
        self.acknowledge_before(self.cursor);
        // Each key is removed by steps that recovery knows. After that nobody reads the contents.
        self.keys.remove_all(&self.region)?;
        let (at, len) = self.region.contents();
        self.region.segment().zeroize(at, len)?;
        // Commits the removal.
        Ok(self.region.segment().retire_root(self.root, self.region.offset())?)
    }

    /// Keeps this owner's keys and the segment from being swapped out.
    ///
    /// # Errors
    /// The segment's, where RLIMIT_MEMLOCK is too low.
    pub fn lock_memory(&self) -> Result<()> {
        self.lanes.lock_memory()?;
        self.keys.lock_memory()?;
        Ok(self.region.segment().lock_memory()?)
    }
}

//! The manager: what an application calls. It holds the lease, checks, fills the ring, and hands jobs
//! to the lanes. What survives a crash is in the segment; the fields here are the owner's own copies,
//! which it trusts over the segment's. How it comes and goes is in `standby` and `lifecycle`.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use shmem::seeded::{Bug, seeded};
use shmem::{Lease, Previous, Segment};

use crate::config::{Acknowledge, Config};
use crate::error::{Error, Result};
use crate::job::{Completed, Job, Plan};
use crate::kernel::Backend;
use crate::keys::{Key, KeyId, KeyTable};
use crate::lanes::{Entry, Hall, Lanes};
use crate::layout::STATUS_DONE;
use crate::region::{Region, commit, commit32};

/// What a takeover found and did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// How the owner before went.
    pub previous: Previous,
    /// Jobs accepted and never returned.
    pub outstanding: u64,
    /// Of these, the ones that were not finished yet.
    pub unfinished: u64,
    /// Jobs returned and not acknowledged: they come again, marked redelivered.
    pub unacknowledged: u64,
    /// Whether a run was in flight, whose last step was redone.
    pub redone: bool,
    /// From the lease to a manager that runs.
    pub duration: Duration,
}

/// The owner's handle of a multi-buffer manager in shared memory.
///
/// Jobs wait in lanes until [`Config::lanes`] of a kind have come, or until a flush; results come back
/// in the order of submission. If the process dies, at whatever instruction, the next owner finishes
/// every accepted job. Dropping the manager leaves it as a death would; [`Manager::release`] hands it
/// over.
///
/// Two outstanding jobs must not share bytes that one of them writes: lanes run in no particular order.
pub struct Manager {
    pub(crate) region: Region,
    pub(crate) lease: Lease,
    pub(crate) root: usize,
    pub(crate) acknowledge: Acknowledge,
    pub(crate) keys: KeyTable,
    pub(crate) lanes: Lanes,
    /// The plan of the last job.
    pub(crate) plan: Option<Plan>,
    pub(crate) recovered: Recovery,
    /// As in the segment.
    pub(crate) acked: u64,
    /// The next job to return. Behind `returned` while jobs are being redelivered.
    pub(crate) cursor: u64,
    /// As in the segment.
    pub(crate) returned: u64,
    /// Jobs before this were returned by an owner before.
    pub(crate) redelivered: u64,
    /// As in the segment.
    pub(crate) tail: u64,
}

impl Manager {
    /// The root that leads to this manager: what a secondary attaches to.
    #[must_use]
    pub fn root(&self) -> usize {
        self.root
    }

    /// The shape of the manager.
    #[must_use]
    pub fn config(&self) -> Config {
        self.region.config
    }

    /// The kernels that this process uses.
    #[must_use]
    pub fn backend(&self) -> Backend {
        self.lanes.kernels().backend()
    }

    /// The number of this ownership: each takeover raises it.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.lease.epoch()
    }

    /// The segment that the manager and its buffers lie in.
    #[must_use]
    pub fn segment(&self) -> &Arc<Segment> {
        self.region.segment()
    }

    /// What the takeover found, by which this process came to own the manager.
    #[must_use]
    pub fn recovered(&self) -> Recovery {
        self.recovered
    }

    /// Jobs accepted and not yet returned by this owner.
    #[must_use]
    pub fn queue_len(&self) -> u64 {
        self.tail - self.cursor
    }

    /// The number that the next accepted job will have: its [`Completed::sequence`]. It counts the jobs
    /// of all owners, never goes back and is never given twice, so an application may derive the IV or
    /// nonce of a job from it, for a key that it uses with this manager alone.
    ///
    /// # Nonces and takeovers
    /// A job's slot keeps its IV: whoever finishes the job uses the same, for the same message. After a
    /// takeover the new owner asks for this number again. If the dead owner was about to submit number
    /// n, and it is still n, then that job was never accepted and no byte of it was ever encrypted: the
    /// number and its nonce are unused. If it is n + 1, the job was accepted and will come back. A
    /// message that is submitted once more gets another number, and so another nonce. What a nonce must
    /// not be derived from is anything that starts again in the new process: a counter of its own, or a
    /// position in a queue that it refills.
    ///
    /// ```
    /// # use mbmgr::{Algorithm, Config, Direction, Job, Key, LAYOUT_HASH, Manager, Options};
    /// # use shmem::{Placement, Segment, SegmentOptions};
    /// # let config = Config::default();
    /// # let segment = Segment::create_anonymous("nonce", &SegmentOptions {
    /// #     len: Manager::segment_len(&config, 4096),
    /// #     placement: Placement::Anywhere,
    /// #     layout_hash: LAYOUT_HASH,
    /// #     populate: false,
    /// # })?;
    /// # let mut manager = Manager::create(&segment, &config, &Options::default())?;
    /// # let key = manager.add_key(Key::Aes(&[7; 16]))?;
    /// # let buffer = segment.arena().alloc(64, 64)?;
    /// let salt = [1, 2, 3, 4]; // as old as the key
    /// for expected in 0..3 {
    ///     let number = manager.next_sequence();
    ///     let nonce: Vec<u8> = [&salt[..], &number.to_be_bytes()].concat();
    ///     let tag = segment.arena().alloc(16, 16)?;
    ///     let job = Job::aead(Algorithm::Aes128Gcm, Direction::Encrypt, key, &nonce)?;
    ///     let done = manager.submit(&job.in_place(buffer, 64).tag(tag, 16))?;
    ///     let done = done.or(manager.flush()?).expect("one job is outstanding");
    ///     assert_eq!(done.sequence, expected);
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn next_sequence(&self) -> u64 {
        self.tail
    }

    /// Adds a key; its id is valid for every owner until it is removed.
    ///
    /// # Errors
    /// [`Error::KeyTableFull`], [`Error::KeyLength`], [`Error::Fenced`].
    pub fn add_key(&mut self, key: Key<'_>) -> Result<KeyId> {
        self.check_fence()?;
        self.keys.add(&self.region, key)
    }

    /// Removes a key and zeroizes all that was derived from it.
    ///
    /// # Errors
    /// [`Error::KeyInUse`] while accepted jobs that use it are not finished, [`Error::UnknownKey`],
    /// [`Error::Fenced`].
    pub fn remove_key(&mut self, key: KeyId) -> Result<()> {
        self.check_fence()?;
        let jobs = self.lanes.jobs_with_key(key);
        if jobs > 0 {
            return Err(Error::KeyInUse { key: key.to_bits(), jobs });
        }
        self.keys.remove(&self.region, key)?;
        self.plan = None;
        self.lanes.forget_key(key);
        Ok(())
    }

    /// Accepts a job, runs what is ready, and returns the earliest job if it is done. When the ring is
    /// full of unreturned jobs, the earliest is finished first.
    ///
    /// # Errors
    /// One of the parameter errors of [`Error`]; [`Error::RingFull`] where jobs are not acknowledged;
    /// [`Error::Fenced`]. The job was not accepted then. A call that acknowledges what was returned before
    /// ([`Acknowledge::NextCall`](crate::Acknowledge::NextCall)) has done that all the same.
    pub fn submit(&mut self, job: &Job) -> Result<Option<Completed>> {
        self.enter()?;
        self.region.notice_others()?;
        self.plan_for(job)?;
        self.check_room()?;
        self.accept(job);
        Ok(self.next_after_submit())
    }

    /// Accepts jobs until all are in or the ring is full, appends every result that is due to
    /// `completed`, and returns how many were accepted. All jobs are checked before the first is
    /// accepted.
    ///
    /// # Errors
    /// As [`Manager::submit`]; nothing was accepted then.
    pub fn submit_burst(&mut self, jobs: &[Job], completed: &mut Vec<Completed>) -> Result<usize> {
        self.enter()?;
        self.region.notice_others()?;
        // Of a train, the plan of the first is that of all, and need not be looked for again.
        let mut one_plan = true;
        for (index, job) in jobs.iter().enumerate() {
            let region = &self.region;
            if index > 0 && self.plan.as_ref().is_some_and(|plan| plan.fits(job, region)) {
                continue;
            }
            one_plan &= index == 0;
            self.plan_for(job)?;
        }
        let mut accepted = 0;
        for job in jobs {
            if self.check_room().is_err() {
                break;
            }
            if !one_plan {
                self.plan_for(job)?;
            }
            self.accept(job);
            accepted += 1;
            completed.extend(self.next_after_submit());
        }
        while let Some(done) = self.next() {
            completed.push(done);
        }
        if accepted == 0 && !jobs.is_empty() {
            self.check_room()?;
        }
        Ok(accepted)
    }

    /// Finishes at least the earliest job and returns it; `None` if none is outstanding.
    ///
    /// # Errors
    /// [`Error::Fenced`].
    pub fn flush(&mut self) -> Result<Option<Completed>> {
        self.enter()?;
        self.finish_earliest();
        Ok(self.next())
    }

    /// Returns the earliest job if it is done, without doing any work.
    ///
    /// # Errors
    /// [`Error::Fenced`].
    pub fn completed(&mut self) -> Result<Option<Completed>> {
        self.enter()?;
        Ok(self.next())
    }

    /// Takes note that the caller has what was returned, up to and including job `sequence`: their
    /// slots are free, and they are not returned again after a takeover.
    ///
    /// # Errors
    /// [`Error::NotReturned`] if that job was not returned by this owner, [`Error::Fenced`].
    pub fn acknowledge(&mut self, sequence: u64) -> Result<()> {
        self.check_fence()?;
        if sequence >= self.cursor {
            return Err(Error::NotReturned { sequence, returned: self.cursor });
        }
        self.acknowledge_before(sequence + 1);
        Ok(())
    }

    #[inline]
    pub(crate) fn check_fence(&self) -> Result<()> {
        if self.lease.is_current() {
            Ok(())
        } else {
            Err(Error::Fenced { epoch: self.lease.epoch() })
        }
    }

    /// What every call does first.
    #[inline]
    fn enter(&mut self) -> Result<()> {
        self.check_fence()?;
        if self.acknowledge == Acknowledge::NextCall {
            self.acknowledge_before(self.cursor);
        }
        Ok(())
    }

    #[inline]
    pub(crate) fn acknowledge_before(&mut self, position: u64) {
        if self.acked < position {
            self.acked = position;
            // Commits that the slots before may be used again.
            commit(&self.region.header().acked, position);
        }
    }

    #[inline]
    fn check_room(&self) -> Result<()> {
        let ring = self.region.config.ring;
        if self.tail - self.acked < u64::from(ring) {
            Ok(())
        } else {
            Err(Error::RingFull { ring })
        }
    }

    /// Checks a job and makes `plan` that of it.
    #[inline(always)]
    fn plan_for(&mut self, job: &Job) -> Result<()> {
        let (region, keys) = (&self.region, &self.keys);
        let adopted = self.plan.as_mut().is_some_and(|plan| plan.adopt(job, region, keys));
        if !adopted {
            self.plan = Some(job.check(region, keys)?);
        }
        Ok(())
    }

    /// Fills the next slot, commits it, and puts the job into a lane. There is room for it, and `plan`
    /// is the job's.
    #[inline(always)]
    fn accept(&mut self, job: &Job) {
        // Without one the job would count as accepted and be lost.
        let plan = self.plan.as_ref().expect("`plan_for` made the job's plan");
        let position = self.tail;
        if seeded(Bug::TailBeforeSlot) {
            commit(&self.region.header().tail, position + 1);
        }
        if seeded(Bug::StalePointer) {
            let address = std::ptr::from_ref(&position) as u64;
            self.region.header()._pad0.store(address, Relaxed);
        }
        job.store(self.region.slot(position), plan);
        self.tail += 1;
        // Commits the job: from here on it will be finished, by whoever owns the manager.
        commit(&self.region.header().tail, self.tail);
        let entry = Entry::new(position, job, plan, 0);
        let hall = Hall { region: &self.region, keys: &self.keys };
        self.lanes.enqueue(hall, &entry, plan.chain.as_ref());
    }

    #[inline(always)]
    fn next_after_submit(&mut self) -> Option<Completed> {
        if self.queue_len() == u64::from(self.region.config.ring) {
            self.finish_earliest();
        }
        self.next()
    }

    /// Runs lanes until the earliest job is done, if there is one. It does not return the job: two ways to
    /// make the result would meet in memory, where it is written in bytes and read in words, which stalls.
    #[inline(never)]
    fn finish_earliest(&mut self) {
        if self.cursor < self.tail {
            let hall = Hall { region: &self.region, keys: &self.keys };
            self.lanes.finish(hall, self.cursor);
        }
    }

    /// Returns the earliest job if it is done.
    #[inline(always)]
    fn next(&mut self) -> Option<Completed> {
        let sequence = self.cursor;
        if sequence == self.tail {
            return None;
        }
        let (user, status) = self.lanes.result(&self.region, sequence)?;
        let redelivered = sequence < self.redelivered;
        let completed = Completed { sequence, user, status, redelivered };
        self.cursor += 1;
        if self.returned < self.cursor {
            self.returned = self.cursor;
            // Commits that the job was returned: to return it again is a redelivery.
            commit(&self.region.header().returned, self.returned);
        }
        if seeded(Bug::ReturnedBeforeStatus) {
            commit32(&self.region.slot(sequence).status, STATUS_DONE);
        }
        if seeded(Bug::AcknowledgedAtReturn) {
            self.acknowledge_before(self.cursor);
        }
        Some(completed)
    }
}

//! What a new owner does with what the old one left: the reader of the journal and of the ring.
//!
//! Every part can be done twice, so an owner that dies in here is recovered by the next one:
//! outputs are recomputed from the log or the source, progress is absolute, a status only ever turns
//! from queued to done or failed, and the journal turns idle after all of that. All that is read is
//! copied out and checked first; what does not pass becomes a failed job, or an error where the whole
//! manager contradicts itself.
#![expect(unsafe_code, reason = "calls the kernels, which take raw pointers")]

use shmem::seeded::{Bug, seeded};
use std::sync::atomic::Ordering::{Acquire, Relaxed};

use crate::algorithm::{Direction, Kind};
use crate::error::{Error, Result};
use crate::job::{Failure, Job, JobStatus, MAX_JOB_LEN, Part, Plan, Text, store_chain};
use crate::journal::{self, Log, Shape};
use crate::kernel::{Kernels, Lane, LaneKeys, MAX_LANES, WIDE_STEP};
use crate::keys::KeyTable;
use crate::lanes::single::{self, Task};
use crate::lanes::{self, Entry, Hall, Lanes, Route, advance_counter};
use crate::layout::{
    Journal, LOG_CHAIN, LOG_SLOT_BYTES, LOG_SLOTS, STATUS_DONE, STATUS_FAILED, STATUS_QUEUED, Slot,
};
use crate::region::{Region, commit32};
use crate::table::Engine;

/// Bytes of a block, as lengths are.
const BLOCK: u64 = 16;

/// The three positions of a ring, checked against each other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Positions {
    pub(crate) acked: u64,
    pub(crate) returned: u64,
    pub(crate) tail: u64,
}

impl Positions {
    pub(crate) fn load(region: &Region) -> Result<Positions> {
        let header = region.header();
        // Acquire pairs with the commits of these words by the owner before.
        let (acked, returned, tail) =
            (header.acked.load(Acquire), header.returned.load(Acquire), header.tail.load(Acquire));
        let ring = u64::from(region.config.ring);
        // Half the range is out of reach for a counter of jobs, and leaves room to add to it.
        let fits =
            acked <= returned && returned <= tail && tail <= u64::MAX / 2 && tail - acked <= ring;
        if fits {
            Ok(Positions { acked, returned, tail })
        } else {
            Err(Error::corrupt(format!(
                "acked {acked}, returned {returned} and tail {tail} do not fit a ring of {ring}"
            )))
        }
    }

    /// The job in `[returned, tail)` whose slot has that ring index.
    pub(crate) fn of(self, index: u32, region: &Region) -> Option<u64> {
        if index >= region.config.ring {
            return None;
        }
        let ahead = index.wrapping_sub(region.index32(self.returned)) & (region.config.ring - 1);
        let position = self.returned + u64::from(ahead);
        (position < self.tail).then_some(position)
    }
}

/// Finishes the run that was in flight, if one was. True if a step was redone.
pub(crate) fn finish_run(
    region: &Region,
    keys: &KeyTable,
    kernels: Kernels,
    positions: Positions,
) -> Result<bool> {
    let record = region.journal();
    // Acquire pairs with the commit of a step: its log and record are visible.
    let step = record.step.load(Acquire);
    if step == 0 {
        return Ok(false);
    }
    if seeded(Bug::StalePointer) {
        let stale = region.header()._pad0.load(Relaxed) as *mut u64;
        // SAFETY: none, that is the bug: nothing of this process needs to be there.
        unsafe { stale.write(0) };
    }
    let run = Flight::load(record, step)?;
    for index in 0..run.lanes {
        let (slot, base) = journal::load_lane(record, index);
        let position = positions.of(slot, region).ok_or_else(|| {
            let what = format!("the journal's lane {index} names slot {slot}, which is not due");
            Error::corrupt(what)
        })?;
        // A lane whose slot is damaged is left to `queue`, which fails the job.
        if let Some(lane) = run.lane(region, keys, position, u64::from(base))
            && !seeded(Bug::RedoSkipped)
        {
            run.redo(region, keys, kernels, index, &lane);
        }
    }
    journal::end(record);
    Ok(true)
}

/// The run in flight, copied from its record and checked.
struct Flight {
    total: u64,
    step_bytes: u64,
    lanes: usize,
    /// Every step is in the log, so a lane may end before the run does.
    apart: bool,
    /// The first step to redo, and the one in flight.
    first: u64,
    last: u64,
}

/// A lane of it, whose slot passed the check of a submission.
struct Flown {
    position: u64,
    base: u64,
    /// Bytes that the run advances it.
    total: u64,
    job: Job,
    plan: Plan,
    route: Route,
}

impl Flown {
    /// Bytes of step `k` of so many: the last one may be shorter, and none is behind it.
    fn len(&self, k: u64, step_bytes: u64) -> u64 {
        step_bytes.min(self.total.saturating_sub(k * step_bytes))
    }
}

impl Flight {
    fn load(record: &Journal, step: u64) -> Result<Flight> {
        let shape = Shape::load(record);
        let lanes = usize::from(shape.lanes);
        let step_bytes = u64::from(shape.step_bytes);
        let redo = u64::from(shape.redo);
        let total = u64::from(shape.total);
        let steps = total.div_ceil(step_bytes.max(1));
        // A kernel may fill the slot of the next step while one is in flight, if there is a next one.
        let most_redo = if steps <= LOG_SLOTS as u64 { LOG_SLOTS } else { LOG_SLOTS - 1 } as u64;
        // A step of one lane may share its slot with a chaining value.
        let room = if lanes == 1 { LOG_CHAIN } else { LOG_SLOT_BYTES } as u64;
        let fits = (1..=MAX_LANES).contains(&lanes)
            && step_bytes > 0
            && step_bytes.is_multiple_of(16)
            && step_bytes * lanes as u64 <= room
            && (1..=most_redo).contains(&redo)
            && total <= MAX_JOB_LEN
            && step <= steps;
        if !fits {
            let what = format!("the journal's run {shape:?} cannot be at step {step}");
            return Err(Error::corrupt(what));
        }
        let (first, last) = (step.saturating_sub(redo), step - 1);
        Ok(Flight { total, step_bytes, lanes, apart: redo >= steps, first, last })
    }

    /// A lane, if its slot and its place in it make sense.
    fn lane(&self, region: &Region, keys: &KeyTable, position: u64, base: u64) -> Option<Flown> {
        let job = Job::load(region.slot(position))?;
        let plan = job.check(region, keys).ok()?;
        if job.chained.is_some() && !cipher_may_run(&job, region.slot(position)) {
            return None;
        }
        let route = self.route(&job, &plan);
        let runs = match route {
            Route::Chained | Route::Gmac => false,
            Route::Wide | Route::Gcm => self.lanes == 1,
            Route::Lane(group) => !group.is_ccm() || self.lanes == 1,
            Route::Single { .. } => {
                // The last step may be longer by a rest, and is the only one to redo.
                let steps = single::steps(self.total);
                let same = self.step_bytes == WIDE_STEP as u64 && self.first == self.last;
                self.lanes == 1 && same && self.last < steps
            }
        };
        let fits = route.is_journaled()
            && runs
            && (self.may_end_inside_block(&job, route) || self.total.is_multiple_of(16))
            && base.is_multiple_of(16)
            && base <= job.len;
        if !fits {
            return None;
        }
        let (left, total) = (job.len - base, self.total);
        let (left, total) = match route {
            // Blocks, or what fills none: a run of its own.
            Route::Lane(group) if group.is_chain() => {
                if left < BLOCK && base == 0 {
                    // Such a job runs by itself: there is no ciphertext before it.
                    return None;
                }
                let left = if left < BLOCK { left } else { left / BLOCK * BLOCK };
                (left, if self.apart { total.min(left) } else { total })
            }
            _ => (left, total),
        };
        (total <= left).then_some(Flown { position, base, total, job, plan, route })
    }

    /// Where the run was: a job that has less than a block to go runs by itself.
    fn route(&self, job: &Job, plan: &Plan) -> Route {
        let has_rests = match plan.cipher_route() {
            Route::Lane(group) => group.has_rests() && self.step_bytes == WIDE_STEP as u64,
            Route::Wide => engine(job).single().is_some(),
            _ => false,
        };
        if has_rests && self.total < BLOCK {
            Route::Single { journaled: true }
        } else {
            plan.cipher_route()
        }
    }

    /// Whether a run of such a job may end inside a block.
    fn may_end_inside_block(&self, job: &Job, route: Route) -> bool {
        match route {
            Route::Wide => job.algorithm.kind() == Kind::Ctr,
            // Whole blocks; less than one is a run of its own.
            Route::Lane(group) if group.is_chain() => group.has_rests() && self.total < BLOCK,
            _ => matches!(job.algorithm.kind(), Kind::Ctr | Kind::Cipher | Kind::Aead),
        }
    }

    /// Writes the outputs of the unfinished steps of one lane again, then its progress.
    fn redo(&self, region: &Region, keys: &KeyTable, kernels: Kernels, index: usize, lane: &Flown) {
        let job = &lane.job;
        if let Route::Single { .. } = lane.route {
            return self.redo_single(region, keys, kernels, lane);
        }
        let log = Log::new(region.journal());
        let mut chain = job.chain();
        let mut progress = lane.base;
        for k in self.first..=self.last {
            #[expect(clippy::cast_possible_truncation, reason = "a log slot is 2048 bytes")]
            let (len, own) =
                (lane.len(k, self.step_bytes) as usize, index * self.step_bytes as usize);
            if len == 0 {
                // The lane has ended, before the run.
                break;
            }
            let at = lane.base + k * self.step_bytes;
            progress = at + len as u64;
            let src = log.slot(k).cast_const().wrapping_add(own);
            let offset = shmem::Offset::new(job.dst.get() + at);
            let dst = region.address(offset).as_ptr();
            let (encrypt, decrypt) = keys.schedules(lane.plan.key_index);
            if lane.plan.route == Route::Gcm {
                let (hall, key) = (Hall { region, keys }, lane.plan.key_index);
                // SAFETY: as for `ctr` below.
                unsafe { lanes::gcm::redo(kernels, hall, job, key, at, (src, len)) };
                continue;
            }
            if len < 16 && matches!(lane.route, Route::Lane(group) if group.has_rests()) {
                // SAFETY: as for `ctr` below; with less than a block to go, the job has a block before.
                unsafe { lanes::rest::redo(kernels, encrypt, src, dst, len) };
                continue;
            }
            match (job.algorithm.kind(), job.direction) {
                (_, direction) if matches!(engine(job), Engine::Ecb) => {
                    // SAFETY: as for `ctr` below.
                    unsafe {
                        match direction {
                            Direction::Encrypt => {
                                kernels.ecb::<false>(encrypt, src, dst, len, None)
                            }
                            Direction::Decrypt => kernels.ecb::<true>(decrypt, src, dst, len, None),
                        }
                    }
                }
                (Kind::Ctr | Kind::Aead, _) => {
                    let counter = match job.algorithm.kind() {
                        Kind::Ctr if seeded(Bug::RedoCounterFromBase) => {
                            advance_counter(&job.counter(), at - lane.base)
                        }
                        Kind::Ctr => advance_counter(&job.counter(), at),
                        _ => lanes::ccm::counter_of_step(region, job, at),
                    };
                    // SAFETY: `load` found step and lane inside a log slot, `lane` found the
                    // step's bytes inside the destination that `Job::check` found in the arena.
                    unsafe { kernels.ctr(encrypt, src, dst, len, &counter, None) };
                }
                (_, Direction::Decrypt) => {
                    // SAFETY: LOG_CHAIN and 16 bytes more lie in a log slot.
                    chain = unsafe {
                        log.slot(k).cast_const().add(LOG_CHAIN).cast::<[u8; 16]>().read_volatile()
                    };
                    // SAFETY: as for `ctr`.
                    unsafe { kernels.cbc_decrypt(decrypt, src, dst, len, &mut chain, None) };
                }
                (_, Direction::Encrypt) => {
                    if at > 0 {
                        // SAFETY: `at` is a multiple of 16 within the destination, so a block of it
                        // lies before; the steps before this one are complete.
                        chain =
                            unsafe { dst.cast_const().sub(16).cast::<[u8; 16]>().read_volatile() };
                    }
                    let mut keys = LaneKeys::new();
                    keys.set(0, encrypt);
                    let mut one = [Lane { src, dst, chain }];
                    // SAFETY: as for `ctr`; column 0 holds the key.
                    unsafe {
                        match lane.route {
                            Route::Lane(group) if group.is_cfb() => {
                                kernels.cfb_encrypt(&mut one, &keys, encrypt.rounds, len, None);
                            }
                            _ => kernels.cbc_encrypt(&mut one, &keys, encrypt.rounds, len, None),
                        }
                    }
                }
            }
        }
        let slot = region.slot(lane.position);
        if job.direction == Direction::Decrypt
            && matches!(engine(job), Engine::Cbc | Engine::Docsis(_))
        {
            store_chain(slot, &chain);
        }
        lanes::store_progress(region, lane.position, progress);
        // An AEAD is left to `queue` even then: its tag may be missing.
        if progress == job.len && job.algorithm.kind() != Kind::Aead {
            end_of_cipher(job, slot);
        }
    }
}

impl Flight {
    /// As `redo`, for what `lanes::single` runs. An AEAD is left to `queue` even when its last byte is
    /// written: its tag may be missing.
    fn redo_single(&self, region: &Region, keys: &KeyTable, kernels: Kernels, lane: &Flown) {
        // Where somebody changed a list of pieces since, `queue` fails the job.
        let Ok(text) = Text::of(&lane.job, region) else { return };
        let task = Task {
            region,
            keys,
            kernels,
            job: &lane.job,
            key: lane.plan.key_index,
            position: lane.position,
            progress: lane.base,
            digest: None,
            text,
        };
        single::redo(&task, self.total, self.last);
        let progress = lane.base + single::end_of_step(self.total, self.last);
        lanes::store_progress(region, lane.position, progress);
        if progress == lane.job.len && lane.job.algorithm.kind() == Kind::Cipher {
            end_of_cipher(&lane.job, region.slot(lane.position));
        }
    }
}

fn engine(job: &Job) -> &'static Engine {
    &job.algorithm.row().engine
}

/// Whether the cipher of a chained job may have been in a run: not before a hash that comes first.
fn cipher_may_run(job: &Job, slot: &Slot) -> bool {
    // Acquire pairs with the commit of a stage in `lanes::chained`.
    match (job.part(0), slot.stage.load(Acquire)) {
        (Some(Part::Cipher), stage) => stage <= 1,
        (_, stage) => stage == 1,
    }
}

/// Commits what the last step of a cipher completes: its outputs are stored.
fn end_of_cipher(job: &Job, slot: &Slot) {
    if job.part(0) == Some(Part::Cipher) {
        // Commits the first part's result: the hash is to come.
        commit32(&slot.stage, 1);
    } else {
        // Commits the job's result.
        commit32(&slot.status, STATUS_DONE);
    }
}

/// Notes how jobs ended that are to be returned (again), puts every unfinished one back into a lane,
/// from its progress, and fails those that are damaged. Returns how many were unfinished.
pub(crate) fn queue(
    region: &Region,
    keys: &KeyTable,
    lanes: &mut Lanes,
    positions: Positions,
) -> u64 {
    let mut unfinished = 0;
    for position in positions.acked..positions.tail {
        let slot = region.slot(position);
        // Acquire pairs with the commit of a status: the outputs are visible.
        let status = slot.status.load(Acquire);
        let user = slot.user.load(Relaxed);
        if position < positions.returned || status == STATUS_DONE || status == STATUS_FAILED {
            let status = match status {
                STATUS_DONE => JobStatus::Ok,
                _ => JobStatus::Failed(Failure::from_id(slot.failure.load(Relaxed))),
            };
            lanes.note_ended(region, position, user, status);
            continue;
        }
        unfinished += 1;
        // Acquire pairs with `store_progress`.
        let progress = slot.progress.load(Acquire);
        let checked = Job::load(slot).filter(|_| status == STATUS_QUEUED).and_then(|job| {
            let plan = job.check(region, keys).ok()?;
            let stage = match job.chained {
                // Acquire pairs with the commit of a stage in `lanes::chained`.
                Some(_) if !seeded(Bug::HashRunAgain) => slot.stage.load(Acquire),
                _ => 0,
            };
            let progress = match job.chained.map(|_| job.part(stage)) {
                None | Some(Some(Part::Cipher)) => progress,
                // A hash starts over; what comes before it is complete.
                Some(Some(Part::Hash)) => 0,
                Some(None) => return None,
            };
            let route = plan.cipher_route();
            let resumable = progress == 0
                || route.is_journaled() && progress.is_multiple_of(16) && progress < job.len
                || job.algorithm.kind() == Kind::Aead && progress == job.len;
            resumable.then_some((job, plan, progress, stage))
        });
        if let Some((job, plan, progress, stage)) = checked {
            let entry = Entry::new(position, &job, &plan, progress);
            lanes.resume(Hall { region, keys }, &entry, plan.chain.as_ref(), stage);
        } else {
            tracing::warn!(position, "slot is damaged: its job fails");
            lanes.note_ended(region, position, user, JobStatus::Failed(Failure::DamagedSlot));
            slot.failure.store(Failure::DamagedSlot.id(), Relaxed);
            // Commits that the job failed.
            commit32(&slot.status, STATUS_FAILED);
        }
    }
    unfinished
}

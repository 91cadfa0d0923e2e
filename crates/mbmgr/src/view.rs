//! A manager decoded for a reader, without owning it and without changing it. Called by
//! `takeover inspect` and `takeover replay`. Key material is never copied out.
//!
//! The owner may be writing while this reads, so what comes out is what was there field by field, not
//! one instant.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed};

use shmem::{Owner, Segment};

use crate::algorithm::{Algorithm, Direction};
use crate::config::Config;
use crate::error::Result;
use crate::job::{Failure, Job};
use crate::journal::{self, Shape};
use crate::kernel::MAX_LANES;
use crate::layout::{
    KEY_FILLING, KEY_FREE, KEY_READY, KEY_REMOVING, LOG_SLOTS, ManagerHeader, STATUS_DONE,
    STATUS_FAILED, STATUS_QUEUED,
};
use crate::region::Region;

/// One manager.
#[derive(Clone, Debug)]
pub struct ManagerView {
    /// Its shape.
    pub config: Config,
    /// Who owns it, or owned it last.
    pub owner: Option<Owner>,
    /// How often it has changed hands.
    pub epoch: u64,
    /// Jobs before this position are acknowledged.
    pub acked: u64,
    /// Jobs before this position were returned.
    pub returned: u64,
    /// Jobs before this position are accepted.
    pub tail: u64,
    /// What happened to it so far.
    pub counters: Counters,
    /// The jobs from `acked` to `tail`; at most as many as the ring has slots.
    pub jobs: Vec<JobView>,
    /// The journal.
    pub journal: JournalView,
    /// Entries of the key table that are not free.
    pub keys: Vec<KeyView>,
}

/// What happened to a manager since it was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counters {
    /// Jobs accepted.
    pub submitted: u64,
    /// Jobs returned, each counted once.
    pub completed: u64,
    /// Takeovers of any kind: from an owner that died, or that released.
    pub takeovers: u64,
    /// Takeovers from an owner that died.
    pub deaths: u64,
    /// Of these, the ones in which the new owner killed the old one.
    pub forced: u64,
    /// Jobs that takeovers found unfinished.
    pub recovered: u64,
    /// Jobs that takeovers found returned and not acknowledged.
    pub redelivered: u64,
    /// When the last takeover ended, in nanoseconds since 1970; 0 if there was none.
    pub taken_over_at_ns: u64,
    /// How long it took, from the lease to a manager that runs.
    pub takeover_ns: u64,
}

/// One job of the ring.
#[derive(Clone, Debug)]
pub struct JobView {
    /// Its position.
    pub sequence: u64,
    /// `queued`, `done`, `failed`, or `damaged`.
    pub status: &'static str,
    /// Why it failed, of one that did.
    pub failure: Option<Failure>,
    /// What it asks for; `None` if that cannot be said.
    pub job: Option<Job>,
    /// Bytes complete.
    pub progress: u64,
    /// Of a chained job: how many of its parts are complete.
    pub stage: Option<u32>,
}

/// The run journal.
#[derive(Clone, Debug)]
pub struct JournalView {
    /// The step in flight; `None` if no run is.
    pub step: Option<u64>,
    /// What the first lane's job asks for; it means something only while a step is in flight.
    pub algorithm: Option<Algorithm>,
    /// Encrypt or decrypt.
    pub direction: Option<Direction>,
    /// Bytes that the run advances each lane.
    pub total: u32,
    /// Bytes of a step.
    pub step_bytes: u16,
    /// Steps to redo.
    pub redo: u8,
    /// Ring index and base progress of each lane in use.
    pub lanes: Vec<(u32, u32)>,
    /// The log slot of the step in flight.
    pub log_slot: Option<usize>,
}

/// One entry of the key table.
#[derive(Clone, Debug)]
pub struct KeyView {
    /// Its index.
    pub index: usize,
    /// `filling`, `ready`, `removing`, or `damaged`.
    pub state: &'static str,
    /// How often the entry was filled.
    pub generation: u32,
    /// Whether any byte of its material is not zero.
    pub has_material: bool,
}

/// Decodes the manager that a root leads to.
///
/// # Errors
/// [`crate::Error::NoManager`], [`crate::Error::Corrupt`], or the segment's.
pub fn decode(segment: &Arc<Segment>, root: usize) -> Result<ManagerView> {
    let region = Region::open(segment, root)?;
    let header = region.header();
    let (acked, returned, tail) =
        (header.acked.load(Acquire), header.returned.load(Acquire), header.tail.load(Acquire));
    let ring = u64::from(region.config.ring);
    let end = tail.clamp(acked, acked.saturating_add(ring));
    Ok(ManagerView {
        config: region.config,
        owner: header.lease.owner(),
        epoch: header.lease.epoch(),
        acked,
        returned,
        tail,
        counters: counters(header),
        jobs: (acked..end).map(|sequence| job(&region, sequence)).collect(),
        journal: journal(&region),
        keys: keys(&region),
    })
}

fn counters(header: &ManagerHeader) -> Counters {
    let word = |word: &AtomicU64| word.load(Relaxed);
    Counters {
        submitted: word(&header.tail),
        completed: word(&header.returned),
        // The first owner is the one that made it.
        takeovers: header.lease.epoch().saturating_sub(word(&header.first_epoch)),
        deaths: word(&header.deaths),
        forced: word(&header.forced),
        recovered: word(&header.recovered),
        redelivered: word(&header.redelivered),
        taken_over_at_ns: word(&header.taken_over_at),
        takeover_ns: word(&header.takeover_ns),
    }
}

fn job(region: &Region, sequence: u64) -> JobView {
    let slot = region.slot(sequence);
    let status = match slot.status.load(Acquire) {
        STATUS_QUEUED => "queued",
        STATUS_DONE => "done",
        STATUS_FAILED => "failed",
        _ => "damaged",
    };
    let job = Job::load(slot);
    let chained = job.is_some_and(|job| job.chained.is_some());
    let stage = chained.then(|| slot.stage.load(Relaxed));
    let failure = (status == "failed").then(|| Failure::from_id(slot.failure.load(Relaxed)));
    JobView { sequence, status, failure, job, progress: slot.progress.load(Relaxed), stage }
}

fn journal(region: &Region) -> JournalView {
    let record = region.journal();
    let step = record.step.load(Acquire).checked_sub(1);
    let shape = Shape::load(record);
    let count = usize::from(shape.lanes).min(MAX_LANES);
    let lanes = (0..count).map(|lane| journal::load_lane(record, lane)).collect::<Vec<_>>();
    let job = lanes.first().and_then(|lane| Job::load(region.slot(u64::from(lane.0))));
    JournalView {
        step,
        algorithm: job.map(|job| job.algorithm),
        direction: job.map(|job| job.direction),
        total: shape.total,
        step_bytes: shape.step_bytes,
        redo: shape.redo,
        lanes,
        log_slot: step.and_then(|step| usize::try_from(step % LOG_SLOTS as u64).ok()),
    }
}

fn keys(region: &Region) -> Vec<KeyView> {
    let mut views = Vec::new();
    for (index, entry) in region.keys().iter().enumerate() {
        let state = match entry.state.load(Acquire) {
            KEY_FREE => "free",
            KEY_FILLING => "filling",
            KEY_READY => "ready",
            KEY_REMOVING => "removing",
            _ => "damaged",
        };
        let has_material = entry.material.iter().any(|word| word.load(Relaxed) != 0);
        if state != "free" || has_material {
            let generation = entry.generation.load(Relaxed);
            views.push(KeyView { index, state, generation, has_material });
        }
    }
    views
}

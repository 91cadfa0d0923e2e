//! The lanes: where accepted jobs wait, one group a multi-buffer kernel, and how they are run.
//! All of it is process-local. A crash loses it; the next owner fills it again from the ring.

mod cbc;
mod hash;
mod wide;

use std::sync::atomic::Ordering::Release;

use crate::algorithm::{Algorithm, Direction, Kind};
use crate::job::Job;
use crate::kernel::Kernels;
use crate::keys::{KeyId, KeyTable};
use crate::layout::STATUS_DONE;
use crate::region::{Region, commit32};

use cbc::CbcGroup;
use hash::{HashGroup, Sha256, Sha512};
pub(crate) use wide::advance_counter;

/// Where a job of the ring stands, for this process.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Its slot says how it ended.
    Done,
    /// It waits in a lane of this group.
    Waiting(Group),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Group {
    Cbc128,
    Cbc192,
    Cbc256,
    Sha256,
    Sha512,
}

/// A job on its way into a lane: checked, and copied from its slot.
pub(crate) struct Entry<'a> {
    /// Its ring position.
    pub(crate) position: u64,
    /// The request.
    pub(crate) job: &'a Job,
    /// The index of its key; 0 where it has none.
    pub(crate) key: u32,
    /// Bytes that are complete already: not 0 only after a takeover.
    pub(crate) progress: u64,
}

/// What a run needs of the manager around it.
pub(crate) struct Hall<'a> {
    pub(crate) region: &'a Region,
    pub(crate) keys: &'a mut KeyTable,
}

/// All lanes of one process.
pub(crate) struct Lanes {
    kernels: Kernels,
    cbc: [Box<CbcGroup>; 3],
    sha256: Box<HashGroup<Sha256>>,
    sha512: Box<HashGroup<Sha512>>,
    /// By ring index.
    states: States,
}

/// The states of the ring's jobs; a run marks those that it finishes.
pub(crate) struct States(Vec<State>);

impl States {
    /// Commits the result of a job and notes it: its outputs are stored before.
    #[inline]
    fn done(&mut self, hall: &mut Hall<'_>, position: u64, key: Option<u32>) {
        commit32(&hall.region.slot(position).status, STATUS_DONE);
        self.0[hall.region.index(position)] = State::Done;
        if let Some(key) = key {
            hall.keys.give_back(key);
        }
    }
}

impl Lanes {
    pub(crate) fn new(kernels: Kernels, region: &Region) -> Lanes {
        let lanes = region.config.lanes as usize;
        Lanes {
            kernels,
            cbc: [
                Box::new(CbcGroup::new(Algorithm::Aes128Cbc, lanes)),
                Box::new(CbcGroup::new(Algorithm::Aes192Cbc, lanes)),
                Box::new(CbcGroup::new(Algorithm::Aes256Cbc, lanes)),
            ],
            sha256: Box::new(HashGroup::new(lanes)),
            sha512: Box::new(HashGroup::new(lanes)),
            states: States(vec![State::Done; region.config.ring as usize]),
        }
    }

    pub(crate) fn kernels(&self) -> Kernels {
        self.kernels
    }

    /// Whether the job at `position`, which is in the ring, has ended.
    #[inline]
    pub(crate) fn is_done(&self, region: &Region, position: u64) -> bool {
        self.states.0[region.index(position)] == State::Done
    }

    /// Puts a job into a lane, and runs the group once it is full. Single-buffer modes run at once.
    #[inline]
    pub(crate) fn enqueue(&mut self, hall: &mut Hall<'_>, entry: &Entry<'_>) {
        let group = match (entry.job.algorithm, entry.job.direction) {
            (Algorithm::Aes128Cbc, Direction::Encrypt) => Group::Cbc128,
            (Algorithm::Aes192Cbc, Direction::Encrypt) => Group::Cbc192,
            (Algorithm::Aes256Cbc, Direction::Encrypt) => Group::Cbc256,
            (Algorithm::Sha256 | Algorithm::HmacSha256, _) => Group::Sha256,
            (Algorithm::Sha512 | Algorithm::HmacSha512, _) => Group::Sha512,
            _ => return wide::run(self.kernels, hall, &mut self.states, entry),
        };
        self.states.0[hall.region.index(entry.position)] = State::Waiting(group);
        if entry.job.key.is_some() {
            hall.keys.take(entry.key);
        }
        let full = match group {
            Group::Cbc128 => self.cbc[0].push(hall, entry),
            Group::Cbc192 => self.cbc[1].push(hall, entry),
            Group::Cbc256 => self.cbc[2].push(hall, entry),
            Group::Sha256 => self.sha256.push(hall, entry),
            Group::Sha512 => self.sha512.push(hall, entry),
        };
        if full {
            self.run(hall, group);
        }
    }

    /// Runs groups until the job at `position` has ended.
    pub(crate) fn finish(&mut self, hall: &mut Hall<'_>, position: u64) {
        // Each run finishes a job of the group, so this ends after at most 16 of them.
        while let State::Waiting(group) = self.states.0[hall.region.index(position)] {
            self.run(hall, group);
        }
    }

    /// Runs a group until at least one of its jobs has ended.
    fn run(&mut self, hall: &mut Hall<'_>, group: Group) {
        let (kernels, states) = (self.kernels, &mut self.states);
        match group {
            Group::Cbc128 => self.cbc[0].run(kernels, hall, states),
            Group::Cbc192 => self.cbc[1].run(kernels, hall, states),
            Group::Cbc256 => self.cbc[2].run(kernels, hall, states),
            Group::Sha256 => self.sha256.run(kernels, hall, states),
            Group::Sha512 => self.sha512.run(kernels, hall, states),
        }
    }

    /// Drops what the lanes keep of a key that no job uses any more.
    pub(crate) fn forget_key(&mut self, key: KeyId) {
        for group in &mut self.cbc {
            group.forget_key(key);
        }
    }
}

/// The kind of run that a job takes part in: the journal records only these.
pub(crate) fn is_journaled(algorithm: Algorithm) -> bool {
    matches!(algorithm.kind(), Kind::Cbc | Kind::Ctr)
}

/// Commits a job's absolute progress: the outputs up to there are stored before.
#[inline]
pub(crate) fn store_progress(region: &Region, position: u64, progress: u64) {
    // Release pairs with the load of the next owner, in `recovery`.
    region.slot(position).progress.store(progress, Release);
}

//! The lanes: where accepted jobs wait, one group a multi-buffer kernel, and how they are run.
//! All of it is process-local. A crash loses it; the next owner fills it again from the ring.

mod cbc;
pub(crate) mod ccm;
mod chained;
mod columns;
pub(crate) mod gcm;
mod hash;
mod mac;
pub(crate) mod rest;
pub(crate) mod single;
mod wide;

use shmem::seeded::{Bug, seeded};
use std::sync::atomic::Ordering::{Relaxed, Release};

use shmem::Secrets;

use crate::algorithm::{Algorithm, Direction, Kind};
use crate::error::Result;
use crate::job::{ChainPlan, Failure, Job, JobStatus, Part, Plan};
use crate::kernel::Kernels;
use crate::keys::{KeyId, KeyKind, KeyTable};
use crate::layout::{STATUS_DONE, STATUS_FAILED};
use crate::region::{Region, commit32};
use crate::table::Engine;

use cbc::CbcGroup;
use ccm::CcmGroup;
use chained::Links;
use hash::{HashGroup, Sha1, Sha256, Sha512};
use mac::MacGroup;
pub(crate) use wide::advance_counter;

/// Where jobs of an algorithm and direction run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// At once, alone, by a wide kernel.
    Wide,
    /// At once, alone, by a file of `cipher`; it keeps a journal or not.
    Single { journaled: bool },
    /// At once, alone, by the kernel of GCM.
    Gcm,
    /// The same for its hash alone.
    Gmac,
    /// In a lane of a group.
    Lane(Group),
    /// Part by part, each where its algorithm runs.
    Chained,
}

/// A multi-buffer kernel's lanes: those of AES one set for each length of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Group {
    Cbc128,
    Cbc192,
    Cbc256,
    Docsis128,
    Docsis256,
    Cfb128,
    Cfb192,
    Cfb256,
    Ccm128,
    Ccm192,
    Ccm256,
    Cmac128,
    Cmac192,
    Cmac256,
    Xcbc128,
    Sha1,
    Sha256,
    Sha512,
}

impl Group {
    /// Of the groups for 128, 192 and 256 bits, the one for the keys of an algorithm.
    fn by_key(groups: [Group; 3], algorithm: Algorithm) -> Group {
        match algorithm.row().key {
            Some(KeyKind::Aes192) => groups[1],
            Some(KeyKind::Aes256) => groups[2],
            _ => groups[0],
        }
    }

    pub(crate) fn is_cfb(self) -> bool {
        matches!(self, Group::Cfb128 | Group::Cfb192 | Group::Cfb256)
    }

    /// Whether its jobs may end with a rest that fills no block.
    pub(crate) fn has_rests(self) -> bool {
        self.is_cfb() || matches!(self, Group::Docsis128 | Group::Docsis256)
    }

    /// Whether a run of several lanes changes messages, and these in whole blocks.
    pub(crate) fn is_chain(self) -> bool {
        self.has_rests() || matches!(self, Group::Cbc128 | Group::Cbc192 | Group::Cbc256)
    }

    pub(crate) fn is_ccm(self) -> bool {
        matches!(self, Group::Ccm128 | Group::Ccm192 | Group::Ccm256)
    }
}

impl Route {
    pub(crate) fn of(algorithm: Algorithm, direction: Direction) -> Route {
        let by_key = |groups| Route::Lane(Group::by_key(groups, algorithm));
        match (&algorithm.row().engine, direction) {
            (Engine::Cbc, Direction::Encrypt) => {
                by_key([Group::Cbc128, Group::Cbc192, Group::Cbc256])
            }
            (Engine::Docsis(_), Direction::Encrypt) => {
                by_key([Group::Docsis128, Group::Docsis128, Group::Docsis256])
            }
            (Engine::Cfb(_), Direction::Encrypt) => {
                by_key([Group::Cfb128, Group::Cfb192, Group::Cfb256])
            }
            (Engine::Cbc | Engine::Ctr | Engine::Ecb | Engine::Docsis(_), _) => Route::Wide,
            (Engine::Ccm(_), _) => by_key([Group::Ccm128, Group::Ccm192, Group::Ccm256]),
            (Engine::CbcMac, _) if algorithm == Algorithm::Aes128Xcbc => {
                Route::Lane(Group::Xcbc128)
            }
            (Engine::CbcMac, _) => by_key([Group::Cmac128, Group::Cmac192, Group::Cmac256]),
            (Engine::Gcm(_), _) => Route::Gcm,
            (Engine::Gmac, _) => Route::Gmac,
            (Engine::Sha1, _) => Route::Lane(Group::Sha1),
            (Engine::Sha256, _) => Route::Lane(Group::Sha256),
            (Engine::Sha512, _) => Route::Lane(Group::Sha512),
            (Engine::Single(_) | Engine::Cfb(_), _) => {
                let journaled = matches!(algorithm.kind(), Kind::Cipher | Kind::Aead);
                Route::Single { journaled }
            }
        }
    }

    /// Whether a run of such jobs keeps a journal when it works in place.
    pub(crate) fn is_journaled(self) -> bool {
        !matches!(
            self,
            Route::Lane(
                Group::Cmac128
                    | Group::Cmac192
                    | Group::Cmac256
                    | Group::Xcbc128
                    | Group::Sha1
                    | Group::Sha256
                    | Group::Sha512
            ) | Route::Single { journaled: false }
                | Route::Gmac
                | Route::Chained
        )
    }
}

/// Where a job of the ring stands, for this process.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Every byte of its output is written.
    Done,
    /// It failed, for this reason.
    Failed(Failure),
    /// It waits in a lane of this group.
    Waiting(Group),
}

/// A job on its way into a lane: checked, and copied from its slot.
pub(crate) struct Entry<'a> {
    /// Its ring position.
    pub(crate) position: u64,
    /// The request.
    pub(crate) job: &'a Job,
    /// Where it runs.
    pub(crate) route: Route,
    /// Where its key lies in the table; 0 where there is none.
    pub(crate) key_index: u32,
    /// Bytes that are complete already: not 0 only after a takeover.
    pub(crate) progress: u64,
    /// Which part of a chained job; `None` where the job is not chained.
    pub(crate) part: Option<Part>,
}

impl<'a> Entry<'a> {
    /// A job as planned.
    #[inline(always)]
    pub(crate) fn new(position: u64, job: &'a Job, plan: &Plan, progress: u64) -> Entry<'a> {
        let (route, key_index) = (plan.route, plan.key_index);
        Entry { position, job, route, key_index, progress, part: None }
    }

    /// Whether a digest goes to [`States::put_digest`], to be compared, instead of its place.
    #[inline(always)]
    pub(crate) fn is_compared(&self) -> bool {
        self.part == Some(Part::Hash) && self.job.direction == Direction::Decrypt
    }
}

/// What a run needs of the manager around it.
#[derive(Clone, Copy)]
pub(crate) struct Hall<'a> {
    pub(crate) region: &'a Region,
    pub(crate) keys: &'a KeyTable,
}

/// All lanes of one process. The groups hold round keys, hash states and texts: in pages that are zeroized
/// as a whole when the manager goes.
pub(crate) struct Lanes {
    kernels: Kernels,
    cbc: Secrets<CbcGroup>,
    docsis: Secrets<CbcGroup>,
    cfb: Secrets<CbcGroup>,
    ccm: Secrets<CcmGroup>,
    cmac: Secrets<MacGroup>,
    xcbc: Secrets<MacGroup>,
    sha1: Secrets<HashGroup<Sha1>>,
    sha256: Secrets<HashGroup<Sha256>>,
    sha512: Secrets<HashGroup<Sha512>>,
    /// By ring index.
    states: States,
}

/// What the owner knows of a job of the ring. It trusts this over the slot, which others may damage.
#[derive(Clone, Copy)]
struct Place {
    state: State,
    /// Of a chained job that has not ended: where it stands in `Links`.
    link: u16,
    user: u64,
}

/// A job that is not chained.
const NO_LINK: u16 = 0;

/// The states of the ring's jobs; a run marks those that it finishes.
pub(crate) struct States {
    places: Vec<Place>,
    links: Links,
}

impl States {
    /// Commits the result of a job and notes it: its outputs are stored before.
    #[inline(always)]
    fn done(&mut self, region: &Region, position: u64) {
        let index = region.index(position);
        if self.places[index].link != NO_LINK {
            return self.part_done(region, position);
        }
        if !seeded(Bug::ReturnedBeforeStatus) {
            commit32(&region.slot(position).status, STATUS_DONE);
        }
        self.places[index].state = State::Done;
    }

    /// Commits that a job failed and notes it: nothing of its output is stored.
    fn failed(&mut self, region: &Region, position: u64, failure: Failure) {
        let slot = region.slot(position);
        slot.failure.store(failure.id(), Relaxed);
        commit32(&slot.status, STATUS_FAILED);
        self.places[region.index(position)].state = State::Failed(failure);
    }
}

impl Lanes {
    pub(crate) fn new(kernels: Kernels, region: &Region) -> Result<Lanes> {
        let lanes = region.config.lanes as usize;
        let rounds = [10, 12, 14];
        let place = Place { state: State::Done, link: NO_LINK, user: 0 };
        Ok(Lanes {
            kernels,
            cbc: Secrets::from_fn(rounds.len(), |i| CbcGroup::new(rounds[i], false, lanes))?,
            docsis: Secrets::from_fn(2, |i| CbcGroup::new(rounds[2 * i], false, lanes))?,
            cfb: Secrets::from_fn(rounds.len(), |i| CbcGroup::new(rounds[i], true, lanes))?,
            ccm: Secrets::from_fn(rounds.len(), |i| CcmGroup::new(rounds[i], lanes))?,
            cmac: Secrets::from_fn(rounds.len(), |i| MacGroup::new(rounds[i], false, lanes))?,
            xcbc: Secrets::from_fn(1, |_| MacGroup::new(rounds[0], true, lanes))?,
            sha1: Secrets::from_fn(1, |_| HashGroup::new(lanes))?,
            sha256: Secrets::from_fn(1, |_| HashGroup::new(lanes))?,
            sha512: Secrets::from_fn(1, |_| HashGroup::new(lanes))?,
            states: States {
                places: vec![place; region.config.ring as usize],
                links: Links::new(),
            },
        })
    }

    /// Keeps what follows from keys from being swapped out.
    pub(crate) fn lock_memory(&self) -> Result<()> {
        self.cbc.lock()?;
        self.docsis.lock()?;
        self.cfb.lock()?;
        self.ccm.lock()?;
        self.cmac.lock()?;
        self.xcbc.lock()?;
        self.sha1.lock()?;
        self.sha256.lock()?;
        Ok(self.sha512.lock()?)
    }

    pub(crate) fn kernels(&self) -> Kernels {
        self.kernels
    }

    /// The caller's word of the job at `position`, which is in the ring, and how it ended; `None` while it
    /// waits.
    #[inline(always)]
    pub(crate) fn result(&self, region: &Region, position: u64) -> Option<(u64, JobStatus)> {
        let place = &self.states.places[region.index(position)];
        match place.state {
            State::Done => Some((place.user, JobStatus::Ok)),
            State::Failed(failure) => Some((place.user, JobStatus::Failed(failure))),
            State::Waiting(_) => None,
        }
    }

    /// Notes a job that the owner before brought to its end.
    pub(crate) fn note_ended(
        &mut self,
        region: &Region,
        position: u64,
        user: u64,
        status: JobStatus,
    ) {
        let state = match status {
            JobStatus::Ok => State::Done,
            JobStatus::Failed(failure) => State::Failed(failure),
        };
        self.states.places[region.index(position)] = Place { state, link: NO_LINK, user };
    }

    /// Puts a job into a lane, and runs the group once it is full. Single-buffer modes run at once.
    #[inline]
    pub(crate) fn enqueue(&mut self, hall: Hall<'_>, entry: &Entry<'_>, chain: Option<&ChainPlan>) {
        self.states.places[hall.region.index(entry.position)].user = entry.job.user;
        if let Some(chain) = chain {
            return self.enqueue_chained(hall, entry, chain, 0);
        }
        if let Some(full) = self.place(hall, entry) {
            self.run(hall, full);
        }
    }

    /// As `enqueue`, for a job of which a chained one's first `stage` parts are complete.
    pub(crate) fn resume(
        &mut self,
        hall: Hall<'_>,
        entry: &Entry<'_>,
        chain: Option<&ChainPlan>,
        stage: u32,
    ) {
        self.states.places[hall.region.index(entry.position)].user = entry.job.user;
        match chain {
            Some(chain) => self.enqueue_chained(hall, entry, chain, stage),
            None => self.enqueue(hall, entry, None),
        }
    }

    /// Puts a job, or a part of one, into a lane; gives the group if it is full.
    #[inline(always)]
    fn place(&mut self, hall: Hall<'_>, entry: &Entry<'_>) -> Option<Group> {
        let group = match entry.route {
            Route::Lane(group) => group,
            Route::Wide => {
                wide::run(self.kernels, hall, &mut self.states, entry);
                return None;
            }
            Route::Gcm => {
                gcm::run(self.kernels, hall, &mut self.states, entry);
                return None;
            }
            Route::Gmac => {
                gcm::run_mac(self.kernels, hall, &mut self.states, entry);
                return None;
            }
            Route::Single { .. } | Route::Chained => {
                single::run(self.kernels, hall, &mut self.states, entry);
                return None;
            }
        };
        self.states.places[hall.region.index(entry.position)].state = State::Waiting(group);
        let (kernels, states) = (self.kernels, &mut self.states);
        let full = match group {
            Group::Cbc128 => self.cbc[0].push(hall, entry),
            Group::Cbc192 => self.cbc[1].push(hall, entry),
            Group::Cbc256 => self.cbc[2].push(hall, entry),
            Group::Docsis128 => self.docsis[0].push_or_end(kernels, hall, states, entry),
            Group::Docsis256 => self.docsis[1].push_or_end(kernels, hall, states, entry),
            Group::Cfb128 => self.cfb[0].push_or_end(kernels, hall, states, entry),
            Group::Cfb192 => self.cfb[1].push_or_end(kernels, hall, states, entry),
            Group::Cfb256 => self.cfb[2].push_or_end(kernels, hall, states, entry),
            Group::Ccm128 => self.ccm[0].push_or_end(kernels, hall, states, entry),
            Group::Ccm192 => self.ccm[1].push_or_end(kernels, hall, states, entry),
            Group::Ccm256 => self.ccm[2].push_or_end(kernels, hall, states, entry),
            Group::Cmac128 => self.cmac[0].push(hall, entry),
            Group::Cmac192 => self.cmac[1].push(hall, entry),
            Group::Cmac256 => self.cmac[2].push(hall, entry),
            Group::Xcbc128 => self.xcbc[0].push(hall, entry),
            Group::Sha1 => self.sha1[0].push(hall, entry),
            Group::Sha256 => self.sha256[0].push(hall, entry),
            Group::Sha512 => self.sha512[0].push(hall, entry),
        };
        full.then_some(group)
    }

    /// Runs groups until the job at `position` has ended.
    pub(crate) fn finish(&mut self, hall: Hall<'_>, position: u64) {
        // Each run finishes a job of the group, so this ends after at most 16 of them.
        while let State::Waiting(group) = self.states.places[hall.region.index(position)].state {
            self.run(hall, group);
        }
    }

    /// Runs a group until at least one of its jobs has ended, and puts into lanes what follows.
    #[inline]
    fn run(&mut self, hall: Hall<'_>, group: Group) {
        self.run_group(hall, group);
        if self.states.has_ready() {
            self.place_ready(hall);
        }
    }

    fn run_group(&mut self, hall: Hall<'_>, group: Group) {
        let (kernels, states) = (self.kernels, &mut self.states);
        match group {
            Group::Cbc128 => self.cbc[0].run(kernels, hall.region, states),
            Group::Cbc192 => self.cbc[1].run(kernels, hall.region, states),
            Group::Cbc256 => self.cbc[2].run(kernels, hall.region, states),
            Group::Docsis128 => self.docsis[0].run(kernels, hall.region, states),
            Group::Docsis256 => self.docsis[1].run(kernels, hall.region, states),
            Group::Cfb128 => self.cfb[0].run(kernels, hall.region, states),
            Group::Cfb192 => self.cfb[1].run(kernels, hall.region, states),
            Group::Cfb256 => self.cfb[2].run(kernels, hall.region, states),
            Group::Ccm128 => self.ccm[0].run(kernels, hall, states),
            Group::Ccm192 => self.ccm[1].run(kernels, hall, states),
            Group::Ccm256 => self.ccm[2].run(kernels, hall, states),
            Group::Cmac128 => self.cmac[0].run(kernels, hall.region, states),
            Group::Cmac192 => self.cmac[1].run(kernels, hall.region, states),
            Group::Cmac256 => self.cmac[2].run(kernels, hall.region, states),
            Group::Xcbc128 => self.xcbc[0].run(kernels, hall.region, states),
            Group::Sha1 => self.sha1[0].run(kernels, hall.region, states),
            Group::Sha256 => self.sha256[0].run(kernels, hall.region, states),
            Group::Sha512 => self.sha512[0].run(kernels, hall.region, states),
        }
    }

    /// How many jobs in lanes use a key: all accepted jobs that are not finished wait in one.
    pub(crate) fn jobs_with_key(&self, key: KeyId) -> u64 {
        let chains = self.cbc.iter().chain(self.docsis.iter()).chain(self.cfb.iter());
        let chains = chains.map(|group| group.jobs_with_key(key)).sum::<usize>();
        let ccm = self.ccm.iter().map(|group| group.jobs_with_key(key)).sum::<usize>();
        let hash = self.sha1[0].jobs_with_key(key)
            + self.sha256[0].jobs_with_key(key)
            + self.sha512[0].jobs_with_key(key);
        let macs = self.cmac.iter().chain(self.xcbc.iter());
        let macs = macs.map(|group| group.jobs_with_key(key)).sum::<usize>();
        (chains + ccm + macs + hash + self.states.links.jobs_with_key(key)) as u64
    }

    /// Drops what the lanes keep of a key that no job uses any more.
    pub(crate) fn forget_key(&mut self, key: KeyId) {
        let chains = self.cbc.iter_mut().chain(self.docsis.iter_mut());
        for group in chains.chain(self.cfb.iter_mut()) {
            group.forget_key(key);
        }
        for group in self.ccm.iter_mut() {
            group.forget_key(key);
        }
        for group in self.cmac.iter_mut().chain(self.xcbc.iter_mut()) {
            group.forget_key(key);
        }
    }
}

/// Commits a job's absolute progress: the outputs up to there are stored before.
#[inline]
pub(crate) fn store_progress(region: &Region, position: u64, progress: u64) {
    // Release pairs with the load of the next owner, in `recovery`.
    region.slot(position).progress.store(progress, Release);
}

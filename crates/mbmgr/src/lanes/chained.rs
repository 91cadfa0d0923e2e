//! Chained jobs on their way through the lanes. Each part runs as a plain job of its algorithm, in the
//! same lanes as those; when the first one ends, the job's stage is committed and the second one is put
//! in its lane. Called by `Lanes` and, as parts end, by `States`. All of it is process-local: it is what
//! the owner trusts over the slot, and the next owner makes its own from the ring.
//!
//! A hash that comes first has read its message before the cipher changes a byte, and once the stage is
//! committed it never runs again. One that comes second reads what the cipher left for good, so it can
//! start over. Encryption stores its digest as the tag; one that decryption compares stays in here.
#![expect(unsafe_code, reason = "copies tags from the segment to the process")]

use std::ptr;

use shmem::seeded::{Bug, seeded};
use subtle::ConstantTimeEq;
use zerocopy::IntoBytes as _;
use zeroize::{Zeroize as _, Zeroizing};

use crate::algorithm::Direction;
use crate::cipher::Tag;
use crate::job::{ChainPlan, Failure, Job, Part};
use crate::keys::KeyId;
use crate::layout::STATUS_DONE;
use crate::region::{Region, commit32};

use super::{Entry, Hall, Lanes, NO_LINK, Route, State, States};

/// While a part of a chained job runs, its place names the link.
const LINKED: &str = "a chained job has a link while a part of it runs";

/// A chained job that has not ended.
struct Link {
    job: Job,
    cipher: Way,
    hash: Way,
    /// Which part is in a lane, or on its way there; `None` in a link that is free.
    now: Option<Part>,
    /// The part after it.
    next: Option<Part>,
    /// What the hash of a decryption gave, until it is compared. Words: they are zeroized one volatile
    /// store each.
    digest: Zeroizing<[u64; DIGEST_WORDS]>,
}

/// Where a part runs, and where its key lies in the table.
type Way = (Route, u32);

const DIGEST_WORDS: usize = size_of::<Tag>() / 8;

/// All of them.
pub(super) struct Links {
    links: Vec<Link>,
    /// The places in `links` that are free.
    free: Vec<u16>,
    /// Jobs whose next part is to be put into a lane, in the order in which their parts ended.
    ready: Vec<u64>,
}

impl Links {
    pub(super) fn new() -> Links {
        Links { links: Vec::new(), free: Vec::new(), ready: Vec::new() }
    }

    /// Makes a link, and gives what [`super::Place::link`] has of it.
    #[inline]
    fn add(&mut self, job: &Job, ways: [Way; 2], parts: [Option<Part>; 2]) -> u16 {
        let ([cipher, hash], [now, next]) = (ways, parts);
        if let Some(at) = self.free.pop() {
            let link = &mut self.links[usize::from(at)];
            (link.job, link.cipher, link.hash) = (*job, cipher, hash);
            (link.now, link.next) = (now, next);
            return at + 1;
        }
        let digest = Zeroizing::new([0; DIGEST_WORDS]);
        self.links.push(Link { job: *job, cipher, hash, now, next, digest });
        // Every job in here waits in a lane of a group, of which there are few, or is on its way there.
        u16::try_from(self.links.len()).expect("no more jobs than lanes")
    }

    #[inline]
    fn get(&mut self, link: u16) -> Option<&mut Link> {
        self.links.get_mut(usize::from(link).checked_sub(1)?)
    }

    /// How many jobs use a key in a part that is not in a lane, and not in the one that is: all parts
    /// are checked again after a takeover, so the key must stay for those that are complete, too.
    pub(super) fn jobs_with_key(&self, key: KeyId) -> usize {
        let uses = |link: &&Link| {
            let hash = link.job.message().key;
            let now = match link.now {
                None => return false,
                Some(Part::Hash) => hash,
                Some(Part::Cipher) => link.job.key,
            };
            now != Some(key) && (link.job.key == Some(key) || hash == Some(key))
        };
        self.links.iter().filter(uses).count()
    }
}

impl Lanes {
    /// Puts a chained job into the lane of its part number `stage`, and what follows from it.
    #[cold]
    #[inline(never)]
    pub(super) fn enqueue_chained(
        &mut self,
        hall: Hall<'_>,
        entry: &Entry<'_>,
        chain: &ChainPlan,
        stage: u32,
    ) {
        let Entry { position, job, key_index, progress, .. } = *entry;
        let (cipher, hash) = ((chain.cipher, key_index), (chain.hash, chain.hash_key));
        let parts = [chain.part(stage), chain.part(stage + 1)];
        let link = self.states.links.add(job, [cipher, hash], parts);
        self.states.places[hall.region.index(position)].link = link;
        let part = parts[0];
        let (route, key_index) = if part == Some(Part::Hash) { hash } else { cipher };
        self.place_part(hall, &Entry { position, job, route, key_index, progress, part });
        self.place_ready(hall);
    }

    /// Puts the next parts of jobs into lanes, until none is left that can be.
    pub(super) fn place_ready(&mut self, hall: Hall<'_>) {
        // A part may fill its group, whose run may make more ready.
        let mut next = 0;
        while let Some(&position) = self.states.links.ready.get(next) {
            next += 1;
            let link = self.states.places[hall.region.index(position)].link;
            let link = self.states.links.get(link).expect(LINKED);
            let part = link.now;
            let (route, key_index) = if part == Some(Part::Hash) { link.hash } else { link.cipher };
            // Not through a tuple: that would be a second copy.
            let job = link.job;
            let entry = Entry { position, job: &job, route, key_index, progress: 0, part };
            self.place_part(hall, &entry);
        }
        self.states.links.ready.clear();
    }

    #[inline(always)]
    fn place_part(&mut self, hall: Hall<'_>, entry: &Entry<'_>) {
        if let Some(full) = self.place(hall, entry) {
            // At least one job leaves the group, so the next one finds room.
            self.run_group(hall, full);
        }
    }
}

impl States {
    #[inline(always)]
    pub(super) fn has_ready(&self) -> bool {
        !self.links.ready.is_empty()
    }

    /// Keeps the digest of a chained job's hash part, which is to be compared.
    #[cold]
    pub(super) fn put_digest(&mut self, region: &Region, position: u64, digest: &Tag) {
        let link = self.places[region.index(position)].link;
        let link = self.links.get(link).expect(LINKED);
        link.digest.as_mut_bytes().copy_from_slice(digest);
    }

    /// As `done`, for the part of a chained job that is in a lane.
    #[cold]
    #[inline(never)]
    pub(super) fn part_done(&mut self, region: &Region, position: u64) {
        let place = &mut self.places[region.index(position)];
        let at = place.link;
        let link = self.links.get(at).expect(LINKED);
        let compares = link.now == Some(Part::Hash) && link.job.direction == Direction::Decrypt;
        let is_wrong = compares && !link.is_tag_right(region);
        link.now = if is_wrong { None } else { link.next.take() };
        if link.now.is_some() {
            if !seeded(Bug::StageNotCommitted) {
                self.commit_stage(region, position);
            }
            return self.links.ready.push(position);
        }
        place.link = NO_LINK;
        self.links.free.push(at - 1);
        if is_wrong {
            return self.failed(region, position, Failure::TagMismatch);
        }
        // Commits the job's result: output and tag are stored, each before its part's end.
        commit32(&region.slot(position).status, STATUS_DONE);
        place.state = State::Done;
    }

    /// Commits the first part's result: from here on only the second one runs.
    #[inline(always)]
    pub(super) fn commit_stage(&self, region: &Region, position: u64) {
        commit32(&region.slot(position).stage, 1);
    }
}

impl Link {
    /// Compares the tag, and forgets the digest.
    fn is_tag_right(&mut self, region: &Region) -> bool {
        let len = self.job.digest_bytes();
        let at = region.address(self.job.tag).as_ptr().cast_const();
        let mut expected = [0; 64];
        // SAFETY: `Job::check` found `len` bytes at the tag's place in the arena, which the region
        // keeps mapped, and no more than a digest has.
        unsafe { ptr::copy_nonoverlapping(at, expected.as_mut_ptr(), len) };
        let is_right = self.digest.as_bytes()[..len].ct_eq(&expected[..len]).into();
        self.digest.zeroize();
        is_right
    }
}

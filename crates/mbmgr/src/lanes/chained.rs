//! Chained jobs on their way through the lanes. Each part runs as a plain job of its algorithm, in the
//! same lanes as those; when the first one ends, the job's stage is committed and the second one is put
//! in its lane. Called by `Lanes` and, as parts end, by `States`. All of it is process-local: it is what
//! the owner trusts over the slot, and the next owner makes its own from the ring.
//!
//! A hash that comes first has read its message before the cipher changes a byte, and once the stage is
//! committed it never runs again. One that comes second reads what the cipher left for good, so it can
//! start over. A digest stays in here until it is stored as the tag or compared with it.
#![expect(unsafe_code, reason = "copies tags between the segment and the process")]

use std::collections::VecDeque;
use std::ptr;

use shmem::seeded::{Bug, seeded};
use subtle::ConstantTimeEq;
use zerocopy::IntoBytes as _;
use zeroize::Zeroizing;

use crate::algorithm::Direction;
use crate::cipher::Tag;
use crate::job::{ChainPlan, Failure, Job, Part};
use crate::keys::KeyId;
use crate::layout::STATUS_DONE;
use crate::region::{Region, commit32};

use super::{Entry, Hall, Lanes, NO_LINK, State, States};

/// A chained job that has not ended.
struct Link {
    job: Job,
    chain: ChainPlan,
    /// Where the cipher's key lies in the table.
    key_index: u32,
    /// Parts that are complete.
    stage: u32,
    /// What the hash part gave, until the tag is stored or compared. Words: they are zeroized one volatile
    /// store each.
    digest: Zeroizing<[u64; DIGEST_WORDS]>,
}

const DIGEST_WORDS: usize = size_of::<Tag>() / 8;

/// All of them.
pub(super) struct Links {
    links: Vec<Option<Link>>,
    /// The places in `links` that are free.
    free: Vec<usize>,
    /// Jobs whose next part is to be put into a lane, in the order in which their parts ended.
    ready: VecDeque<u64>,
}

impl Links {
    pub(super) fn new() -> Links {
        Links { links: Vec::new(), free: Vec::new(), ready: VecDeque::new() }
    }

    /// Where a new link goes, as [`super::Place::link`] has it.
    fn add(&mut self, link: Link) -> u16 {
        let index = self.free.pop().unwrap_or_else(|| {
            self.links.push(None);
            self.links.len() - 1
        });
        self.links[index] = Some(link);
        // Every job in here waits in a lane of a group, of which there are few, or is on its way there.
        u16::try_from(index + 1).expect("no more jobs than lanes")
    }

    fn get(&mut self, link: u16) -> Option<&mut Link> {
        self.links.get_mut(usize::from(link).checked_sub(1)?)?.as_mut()
    }

    /// How many jobs use a key in a part that is not in a lane, and not in the one that is: all parts
    /// are checked again after a takeover, so the key must stay for those that are complete, too.
    pub(super) fn jobs_with_key(&self, key: KeyId) -> usize {
        let links = self.links.iter().flatten();
        let uses = |link: &&Link| {
            let hash = link.job.hash_part().key;
            let now = match link.job.part(link.stage) {
                Some(Part::Hash) => hash,
                _ => link.job.key,
            };
            now != Some(key) && (link.job.key == Some(key) || hash == Some(key))
        };
        links.filter(uses).count()
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
        let digest = Zeroizing::new([0; DIGEST_WORDS]);
        let link = Link { job: *job, chain: *chain, key_index, stage, digest };
        let link = self.states.links.add(link);
        self.states.places[hall.region.index(position)].link = link;
        self.place_part(hall, position, progress);
        self.place_ready(hall);
    }

    /// Puts the next parts of jobs into lanes, until none is left that can be.
    pub(super) fn place_ready(&mut self, hall: Hall<'_>) {
        while let Some(position) = self.states.links.ready.pop_front() {
            self.place_part(hall, position, 0);
        }
    }

    fn place_part(&mut self, hall: Hall<'_>, position: u64, progress: u64) {
        let link = self.states.places[hall.region.index(position)].link;
        let Some(link) = self.states.links.get(link) else { return };
        let chain = &link.chain;
        let (job, route, key_index, local) = match link.job.part(link.stage) {
            Some(Part::Hash) => (link.job.hash_part(), chain.hash, chain.hash_key, true),
            _ => (link.job.cipher_part(), chain.cipher, link.key_index, false),
        };
        let entry = Entry { position, job: &job, route, key_index, progress, local };
        if let Some(full) = self.place(hall, &entry) {
            // At least one job leaves the group, so the next one finds room.
            self.run_group(hall, full);
        }
    }
}

impl States {
    pub(super) fn has_ready(&self) -> bool {
        !self.links.ready.is_empty()
    }

    /// Keeps the digest of a chained job's hash part.
    #[cold]
    pub(super) fn put_digest(&mut self, region: &Region, position: u64, digest: &Tag) {
        let link = self.places[region.index(position)].link;
        if let Some(link) = self.links.get(link) {
            link.digest.as_mut_bytes().copy_from_slice(digest);
        }
    }

    /// As `done`, for the part of a chained job that is in a lane.
    #[cold]
    #[inline(never)]
    pub(super) fn part_done(&mut self, region: &Region, position: u64) {
        let index = region.index(position);
        let at = self.places[index].link;
        let Some(link) = self.links.get(at) else { return };
        let slot = region.slot(position);
        let is_last = link.job.part(link.stage + 1).is_none();
        if seeded(Bug::StageBeforeTag) && !is_last {
            commit32(&slot.stage, link.stage + 1);
        }
        if link.job.part(link.stage) == Some(Part::Hash) && !link.settle_tag(region) {
            self.unlink(index);
            return self.failed(region, position, Failure::TagMismatch);
        }
        if is_last {
            // Commits the job's result: output and tag are stored, each before its part's end.
            commit32(&slot.status, STATUS_DONE);
            self.places[index].state = State::Done;
            return self.unlink(index);
        }
        link.stage += 1;
        if !seeded(Bug::StageNotCommitted) {
            // Commits the first part's result: from here on only the second one runs.
            commit32(&slot.stage, link.stage);
        }
        self.links.ready.push_back(position);
    }

    fn unlink(&mut self, index: usize) {
        let link = std::mem::replace(&mut self.places[index].link, NO_LINK);
        if let Some(at) = usize::from(link).checked_sub(1) {
            self.links.links[at] = None;
            self.links.free.push(at);
        }
    }
}

impl Link {
    /// Stores the tag, or compares it; false if it is wrong.
    fn settle_tag(&self, region: &Region) -> bool {
        let len = self.job.digest_bytes();
        let at = region.address(self.job.tag).as_ptr();
        if self.job.direction == Direction::Encrypt {
            // SAFETY: `Job::check` found `len` bytes at the tag's place in the arena, which the region
            // keeps mapped, and no more than a digest has.
            unsafe { ptr::copy_nonoverlapping(self.digest.as_bytes().as_ptr(), at, len) };
            return true;
        }
        let mut expected = [0; 64];
        // SAFETY: as above, the other way.
        unsafe { ptr::copy_nonoverlapping(at.cast_const(), expected.as_mut_ptr(), len) };
        self.digest.as_bytes()[..len].ct_eq(&expected[..len]).into()
    }
}

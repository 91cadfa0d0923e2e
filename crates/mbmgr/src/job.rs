//! Requests and results: what a caller hands in, how a slot stores it, and the check that both a
//! fresh request and a slot found after a takeover must pass. A slot survives a crash; a `Job` is a
//! process-local copy of one, so that it is checked and used from the same bytes.

use std::sync::atomic::Ordering::{Relaxed, Release};

use shmem::Offset;

use crate::algorithm::{Algorithm, Direction, Kind};
use crate::error::{Error, Result};
use crate::keys::{KeyId, KeyTable};
use crate::lanes::Route;
use crate::layout::{STATUS_QUEUED, Slot};
use crate::region::Region;

/// The longest job, in bytes: far above any packet or record, low enough that a step counter and a
/// 32-bit block counter never wrap.
pub const MAX_JOB_LEN: u64 = 1 << 30;

/// The shortest tag that a MAC may be truncated to (FIPS 198-1 leaves it open; RFC 4868 and TLS use 10 to
/// 64, NIST SP 800-107 allows 4).
const MIN_TAG: usize = 4;

/// An initialisation vector of up to 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Iv {
    bytes: [u8; 16],
    len: u8,
}

impl Iv {
    /// No IV at all, as hashes have it.
    pub const NONE: Iv = Iv { bytes: [0; 16], len: 0 };

    /// The bytes that were given.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    /// All 16 bytes, in memory order.
    #[inline(always)]
    fn words(&self) -> [u64; 2] {
        let both = u128::from_le_bytes(self.bytes);
        #[expect(clippy::cast_possible_truncation, reason = "the halves of 128 bits")]
        let halves = [both as u64, (both >> 64) as u64];
        halves.map(u64::to_le)
    }
}

/// A request. Its buffers are offsets into the arena of the manager's own segment.
#[derive(Clone, Copy, Debug)]
pub struct Job {
    /// What to do.
    pub algorithm: Algorithm,
    /// Encrypt or decrypt; hashes and MACs ignore it.
    pub direction: Direction,
    /// The key, where the algorithm takes one.
    pub key: Option<KeyId>,
    /// The input.
    pub src: Offset,
    /// The output: the same place as `src`, or a disjoint one. For a hash or MAC, the digest.
    pub dst: Offset,
    /// Input bytes.
    pub len: u64,
    /// The initialisation vector: 16 bytes for CBC; for CTR the counter block of the first 16 bytes,
    /// or 12 bytes that a 32-bit counter beginning at 1 follows.
    pub iv: Iv,
    /// Bytes of the tag that a MAC or hash writes; 0 stands for its full length.
    pub tag_len: u8,
    /// The caller's own word, returned with the result.
    pub user: u64,
}

impl Job {
    /// A cipher job; its buffers are set with [`Job::in_place`] or [`Job::from_to`].
    ///
    /// # Errors
    /// [`Error::IvLength`] if the algorithm takes no IV of that length.
    pub fn cipher(
        algorithm: Algorithm,
        direction: Direction,
        key: KeyId,
        iv: &[u8],
    ) -> Result<Job> {
        check_iv(algorithm, iv.len())?;
        let mut job = Job::blank(algorithm, Some(key));
        job.direction = direction;
        job.iv.bytes[..iv.len()].copy_from_slice(iv);
        job.iv.len = iv.len().to_le_bytes()[0];
        Ok(job)
    }

    /// A hash job.
    #[must_use]
    pub fn hash(algorithm: Algorithm) -> Job {
        Job::blank(algorithm, None)
    }

    /// A MAC job.
    #[must_use]
    pub fn mac(algorithm: Algorithm, key: KeyId) -> Job {
        Job::blank(algorithm, Some(key))
    }

    fn blank(algorithm: Algorithm, key: Option<KeyId>) -> Job {
        Job {
            algorithm,
            direction: Direction::Encrypt,
            key,
            src: Offset::NULL,
            dst: Offset::NULL,
            len: 0,
            iv: Iv::NONE,
            tag_len: 0,
            user: 0,
        }
    }

    /// The `len` bytes at `at` are replaced by their result.
    #[must_use]
    pub fn in_place(self, at: Offset, len: u64) -> Job {
        self.from_to(at, at, len)
    }

    /// The `len` bytes at `src` are read, the result is written at `dst`.
    #[must_use]
    pub fn from_to(mut self, src: Offset, dst: Offset, len: u64) -> Job {
        (self.src, self.dst, self.len) = (src, dst, len);
        self
    }

    /// The caller's own word.
    #[must_use]
    pub fn user(mut self, user: u64) -> Job {
        self.user = user;
        self
    }

    /// Truncates a MAC to its first `len` bytes.
    #[must_use]
    pub fn tag_len(mut self, len: u8) -> Job {
        self.tag_len = len;
        self
    }

    /// Bytes that the job writes at `dst`.
    #[inline]
    pub(crate) fn output_len(&self) -> u64 {
        if self.algorithm.row().digest == 0 { self.len } else { self.digest_bytes() as u64 }
    }

    /// Bytes of the digest or tag.
    #[inline]
    pub(crate) fn digest_bytes(&self) -> usize {
        match self.tag_len {
            0 => self.algorithm.row().digest,
            len => usize::from(len),
        }
    }

    /// Refuses what cannot be run, and what a crash could corrupt; otherwise says how to run it.
    pub(crate) fn check(&self, region: &Region, keys: &KeyTable) -> Result<Plan> {
        let (algorithm, row) = (self.algorithm, self.algorithm.row());
        if self.len > MAX_JOB_LEN {
            return Err(Error::TooLong { len: self.len, max: MAX_JOB_LEN });
        }
        if self.len == 0 && row.min_len > 0 {
            return Err(Error::ZeroLength { algorithm, min: algorithm.block_len() });
        }
        if self.len & row.block_mask != 0 {
            let block = algorithm.block_len();
            return Err(Error::UnalignedLength { algorithm, len: self.len, block });
        }
        if row.digest > 0 && !(MIN_TAG..=row.digest).contains(&self.digest_bytes()) {
            let (len, max) = (self.digest_bytes(), row.digest);
            return Err(Error::TagLength { algorithm, len, max });
        }
        check_iv(algorithm, usize::from(self.iv.len))?;

        let out = self.output_len();
        if !region.holds(self.src, self.len) {
            return Err(Error::ForeignBuffer { what: "source", at: self.src, len: self.len });
        }
        if !region.holds(self.dst, out) {
            return Err(Error::ForeignBuffer { what: "destination", at: self.dst, len: out });
        }
        let (src, dst) = (self.src.get(), self.dst.get());
        let same = src == dst && row.digest == 0;
        if !same && src < dst + out && dst < src + self.len {
            return Err(Error::PartialOverlap { src: self.src, dst: self.dst, len: self.len });
        }

        let key_index = match (row.key, self.key) {
            (Some(kind), Some(key)) => keys.find(key, kind, algorithm)?,
            (None, None) => 0,
            (needs, _) => return Err(Error::KeyPresence { algorithm, needs: needs.is_some() }),
        };
        Ok(Plan {
            algorithm,
            direction: self.direction,
            iv_len: self.iv.len,
            tag_len: self.tag_len,
            key: self.key,
            key_index,
            what: self.pack(),
            route: Route::of(algorithm, self.direction),
            min_len: row.min_len,
            block_mask: row.block_mask,
            digest: if row.digest == 0 { 0 } else { out },
        })
    }

    /// Fills a slot. Nothing here is committed: the ring's tail does that.
    #[inline]
    pub(crate) fn store(&self, slot: &Slot, plan: &Plan) {
        let [first, second] = self.iv.words();
        slot.status.store(STATUS_QUEUED, Relaxed);
        slot.what.store(plan.what, Relaxed);
        slot.key.store(self.key.map_or(0, KeyId::to_bits), Relaxed);
        slot.src.store(self.src.get(), Relaxed);
        slot.dst.store(self.dst.get(), Relaxed);
        slot.len.store(self.len, Relaxed);
        slot.iv[0].store(first, Relaxed);
        slot.iv[1].store(second, Relaxed);
        slot.progress.store(0, Relaxed);
        slot.user.store(self.user, Relaxed);
    }

    /// Algorithm, direction and lengths in one word.
    fn pack(&self) -> u64 {
        let direction = u64::from(self.direction == Direction::Decrypt);
        u64::from(self.algorithm.row().id)
            | direction << 16
            | u64::from(self.iv.len) << 24
            | u64::from(self.tag_len) << 32
    }

    /// Copies a slot out. What it says is not checked yet, beyond that it can be said at all.
    pub(crate) fn load(slot: &Slot) -> Option<Job> {
        let what = Packed::parse(slot.what.load(Relaxed))?;
        let key = slot.key.load(Relaxed);
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&slot.iv[0].load(Relaxed).to_ne_bytes());
        bytes[8..].copy_from_slice(&slot.iv[1].load(Relaxed).to_ne_bytes());
        Some(Job {
            algorithm: what.algorithm,
            direction: what.direction,
            key: what.algorithm.row().key.map(|_| KeyId::from_bits(key)),
            src: Offset::new(slot.src.load(Relaxed)),
            dst: Offset::new(slot.dst.load(Relaxed)),
            len: slot.len.load(Relaxed),
            iv: Iv { bytes, len: what.iv_len },
            tag_len: what.tag_len,
            user: slot.user.load(Relaxed),
        })
    }

    /// All 16 bytes of the slot's chaining value.
    #[inline]
    pub(crate) fn chain(&self) -> [u8; 16] {
        self.iv.bytes
    }

    /// The counter block of the job's first 16 bytes.
    #[inline]
    pub(crate) fn counter(&self) -> [u8; 16] {
        let mut counter = self.iv.bytes;
        if self.iv.len == 12 {
            counter[12..].copy_from_slice(&1_u32.to_be_bytes());
        }
        counter
    }
}

/// How to run the jobs of one algorithm, direction and key. Jobs come in trains, so the manager keeps
/// the last plan, and checks of a job that it covers only what differs.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    algorithm: Algorithm,
    direction: Direction,
    iv_len: u8,
    tag_len: u8,
    key: Option<KeyId>,
    /// Where the key lies in the table; 0 where there is none.
    pub(crate) key_index: u32,
    /// As [`Slot::what`] has it.
    what: u64,
    pub(crate) route: Route,
    min_len: u64,
    block_mask: u64,
    /// Output bytes of a hash or MAC; 0 for a cipher.
    digest: u64,
}

impl Plan {
    /// Whether the plan is that of the job, and the job beyond doubt one that [`Job::check`] accepts.
    #[inline(always)]
    pub(crate) fn covers(&self, job: &Job, region: &Region) -> bool {
        self.algorithm == job.algorithm
            && self.direction == job.direction
            && self.iv_len == job.iv.len
            && self.tag_len == job.tag_len
            && self.key == job.key
            && job.len.wrapping_sub(self.min_len) <= MAX_JOB_LEN - self.min_len
            && job.len & self.block_mask == 0
            && region.holds(job.src, job.len)
            && if self.digest == 0 {
                job.src == job.dst || self.is_disjoint(job, job.len, region)
            } else {
                self.is_disjoint(job, self.digest, region)
            }
    }

    /// Whether the `out` bytes at the job's destination are in the arena and apart from its source.
    #[inline(always)]
    fn is_disjoint(&self, job: &Job, out: u64, region: &Region) -> bool {
        let (src, dst) = (job.src.get(), job.dst.get());
        region.holds(job.dst, out) && (dst >= src + job.len || src >= dst + out)
    }
}

/// The fields of [`Slot::what`].
pub(crate) struct Packed {
    pub(crate) algorithm: Algorithm,
    pub(crate) direction: Direction,
    pub(crate) iv_len: u8,
    pub(crate) tag_len: u8,
}

impl Packed {
    pub(crate) fn parse(word: u64) -> Option<Packed> {
        let bytes = word.to_le_bytes();
        if bytes[5..] != [0; 3] {
            return None;
        }
        Some(Packed {
            algorithm: Algorithm::from_id(u16::from_le_bytes([bytes[0], bytes[1]]))?,
            direction: match bytes[2] {
                0 => Direction::Encrypt,
                1 => Direction::Decrypt,
                _ => return None,
            },
            iv_len: bytes[3],
            tag_len: bytes[4],
        })
    }
}

/// Stores the chaining value of a job whose mode cannot read it back from its output.
pub(crate) fn store_chain(slot: &Slot, chain: &[u8; 16]) {
    for (word, bytes) in slot.iv.iter().zip(chain.chunks_exact(8)) {
        // Committed with `progress`, by the journal turning idle.
        word.store(u64::from_ne_bytes(bytes.try_into().expect("chunks of 8")), Release);
    }
}

fn check_iv(algorithm: Algorithm, len: usize) -> Result<()> {
    let row = algorithm.row();
    if len < 32 && row.iv_lens >> len & 1 == 1 {
        return Ok(());
    }
    let takes = match row.kind {
        Kind::Cbc => "16",
        Kind::Ctr => "12 or 16",
        Kind::Hash | Kind::Hmac => "none",
    };
    Err(Error::IvLength { algorithm, len, takes })
}

/// A job that came back, in the order of submission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Completed {
    /// The job's number: the first one of a manager is 0. It survives takeovers.
    pub sequence: u64,
    /// The caller's own word.
    pub user: u64,
    /// How it ended.
    pub status: JobStatus,
    /// It was returned before, to an owner that died before acknowledging it.
    pub redelivered: bool,
}

/// How a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobStatus {
    /// Every byte of its output is written.
    Ok,
    /// It cannot be finished; its destination is undefined.
    Failed(Failure),
}

/// Why a job failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// After a takeover its slot did not pass the check that it had passed at submission: something
    /// outside the manager wrote to the segment.
    DamagedSlot,
}

impl Failure {
    pub(crate) fn id(self) -> u32 {
        match self {
            Failure::DamagedSlot => 1,
        }
    }
}

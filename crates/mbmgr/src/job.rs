//! Requests and results: what a caller hands in and how a slot stores it. `check` has the check that
//! both a fresh request and a slot found after a takeover must pass. A slot survives a crash; a `Job` is a
//! process-local copy of one, so that it is checked and used from the same bytes.

use shmem::seeded::{Bug, seeded};
use std::sync::atomic::Ordering::{Relaxed, Release};

use shmem::Offset;

use crate::algorithm::{Algorithm, Direction};
use crate::error::{Error, Result};
use crate::keys::KeyId;
use crate::layout::{STATUS_QUEUED, Slot};

mod chained;
mod check;
mod outcome;
mod pieces;

pub use chained::{Authentication, Chained, Order};
pub(crate) use chained::{ChainPlan, Part};
pub(crate) use check::Plan;
use check::check_iv;
pub use outcome::{Completed, Failure, JobStatus};
pub use pieces::{MAX_PIECES, Piece};
pub(crate) use pieces::{Side, Text};

/// The longest job, in bytes: far above any packet or record, low enough that a step counter and a
/// 32-bit block counter never wrap.
pub const MAX_JOB_LEN: u64 = 1 << 30;

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
    /// Where an IV lies that is longer than 16 bytes.
    pub iv_at: Offset,
    /// Its length; 0 if the IV is in `iv`.
    pub iv_at_len: u32,
    /// Associated data: authenticated, not encrypted. Of a chained job, what its hash covers.
    pub aad: Offset,
    /// Bytes of associated data.
    pub aad_len: u32,
    /// The tag of an AEAD or a chained job: encryption writes it there, decryption compares it.
    pub tag: Offset,
    /// Bytes of the tag that a MAC, hash, AEAD or chained job has; 0 stands for its full length.
    pub tag_len: u8,
    /// The hash of a chained job; [`Job::then_hash`] and [`Job::after_hash`] set it.
    pub chained: Option<Chained>,
    /// Pieces of a message that is listed at `src`; 0 where it is there itself. [`Job::pieces`] sets it.
    pub pieces: u32,
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
        let mut job = Job::blank(algorithm, Some(key)).with_iv(iv)?;
        job.direction = direction;
        Ok(job)
    }

    /// An AEAD job; its tag is placed with [`Job::tag`], associated data with [`Job::aad`]. A decrypt
    /// job whose tag is wrong fails with [`Failure::TagMismatch`] and leaves its destination as it was.
    ///
    /// # Errors
    /// [`Error::IvLength`] if the algorithm takes no IV of that length.
    pub fn aead(algorithm: Algorithm, direction: Direction, key: KeyId, iv: &[u8]) -> Result<Job> {
        Job::cipher(algorithm, direction, key, iv)
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

    /// Gives the job an IV, as some MACs take one. One of more than 16 bytes is placed with
    /// [`Job::iv_at`].
    ///
    /// # Errors
    /// [`Error::IvLength`] if the algorithm takes no IV of that length, or it does not fit here.
    pub fn with_iv(mut self, iv: &[u8]) -> Result<Job> {
        check_iv(self.algorithm, iv.len())?;
        let Some(into) = self.iv.bytes.get_mut(..iv.len()) else {
            let (algorithm, len) = (self.algorithm, iv.len());
            return Err(Error::IvLength { algorithm, len, takes: "up to 16 here; place it" });
        };
        into.copy_from_slice(iv);
        self.iv.len = iv.len().to_le_bytes()[0];
        Ok(self)
    }

    /// A cipher, AEAD or MAC job whose IV of `len` bytes lies at `at`: for those of more than 16 bytes.
    #[must_use]
    pub fn with_iv_at(
        algorithm: Algorithm,
        direction: Direction,
        key: KeyId,
        at: Offset,
        len: u32,
    ) -> Job {
        let mut job = Job::blank(algorithm, Some(key));
        (job.direction, job.iv_at, job.iv_at_len) = (direction, at, len);
        job
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
            iv_at: Offset::NULL,
            iv_at_len: 0,
            aad: Offset::NULL,
            aad_len: 0,
            tag: Offset::NULL,
            tag_len: 0,
            chained: None,
            pieces: 0,
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

    /// The `len` bytes at `at` are authenticated beside the message.
    #[must_use]
    pub fn aad(mut self, at: Offset, len: u32) -> Job {
        (self.aad, self.aad_len) = (at, len);
        self
    }

    /// Encryption writes a tag of `len` bytes at `at`; decryption compares the one that lies there.
    #[must_use]
    pub fn tag(mut self, at: Offset, len: u8) -> Job {
        (self.tag, self.tag_len) = (at, len);
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
        if self.algorithm.is_cipher() { self.len } else { self.digest_bytes() as u64 }
    }

    /// Bytes of the IV, wherever it lies.
    #[inline]
    pub(crate) fn iv_len(&self) -> usize {
        match self.iv_at_len {
            0 => usize::from(self.iv.len),
            len => len as usize,
        }
    }

    /// Bytes of the digest or tag.
    #[inline]
    pub(crate) fn digest_bytes(&self) -> usize {
        match self.tag_len {
            0 => self.chained.map_or(self.algorithm, |hash| hash.algorithm).row().tags.max,
            len => usize::from(len),
        }
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
        if !seeded(Bug::ProgressNotReset) {
            slot.progress.store(0, Relaxed);
        }
        slot.user.store(self.user, Relaxed);
        slot.lens.store(u64::from(self.aad_len) | u64::from(self.iv_at_len) << 32, Relaxed);
        if !plan.plain {
            slot.aad.store(self.aad.get(), Relaxed);
            slot.tag.store(self.tag.get(), Relaxed);
            slot.iv_at.store(self.iv_at.get(), Relaxed);
        }
        if let Some(hash) = &self.chained {
            slot.hash_key.store(hash.key.map_or(0, KeyId::to_bits), Relaxed);
            slot.stage.store(0, Relaxed);
        }
        if self.pieces > 0 {
            slot.pieces.store(self.pieces, Relaxed);
        }
    }

    /// Algorithm, direction and lengths in one word.
    fn pack(&self) -> u64 {
        let direction = u64::from(self.direction == Direction::Decrypt);
        u64::from(self.algorithm.row().id)
            | direction << 16
            | u64::from(self.pieces > 0) << 17
            | u64::from(self.iv.len) << 24
            | u64::from(self.tag_len) << 32
            | self.chained.map_or(0, |hash| u64::from(hash.pack()) << 40)
    }

    /// Copies a slot out. What it says is not checked yet, beyond that it can be said at all.
    pub(crate) fn load(slot: &Slot) -> Option<Job> {
        let what = Packed::parse(slot.what.load(Relaxed))?;
        let key = slot.key.load(Relaxed);
        let lens = slot.lens.load(Relaxed).to_le_bytes();
        let half = |i: usize| u32::from_le_bytes(lens[i..i + 4].try_into().expect("4 of 8"));
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
            iv_at: Offset::new(slot.iv_at.load(Relaxed)),
            iv_at_len: half(4),
            aad: Offset::new(slot.aad.load(Relaxed)),
            aad_len: half(0),
            tag: Offset::new(slot.tag.load(Relaxed)),
            tag_len: what.tag_len,
            chained: what.hash.map(|(algorithm, order)| {
                let key = slot.hash_key.load(Relaxed);
                let key = algorithm.row().key.map(|_| KeyId::from_bits(key));
                Chained { algorithm, key, order }
            }),
            // A list of no pieces is damage.
            pieces: if what.in_pieces {
                Some(slot.pieces.load(Relaxed)).filter(|&n| n > 0)?
            } else {
                0
            },
            user: slot.user.load(Relaxed),
        })
    }

    /// All 16 bytes of the slot's chaining value.
    #[inline]
    pub(crate) fn chain(&self) -> [u8; 16] {
        self.iv.bytes
    }

    /// Replaces the chaining value, where a job goes on.
    pub(crate) fn set_chain(&mut self, chain: [u8; 16]) {
        self.iv.bytes = chain;
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

/// The fields of [`Slot::what`].
pub(crate) struct Packed {
    pub(crate) algorithm: Algorithm,
    pub(crate) direction: Direction,
    pub(crate) iv_len: u8,
    pub(crate) tag_len: u8,
    pub(crate) hash: Option<(Algorithm, Order)>,
    pub(crate) in_pieces: bool,
}

impl Packed {
    pub(crate) fn parse(word: u64) -> Option<Packed> {
        let bytes = word.to_le_bytes();
        if bytes[3] > 16 {
            return None;
        }
        Some(Packed {
            algorithm: Algorithm::from_id(u16::from_le_bytes([bytes[0], bytes[1]]))?,
            direction: match bytes[2] {
                0 | 2 => Direction::Encrypt,
                1 | 3 => Direction::Decrypt,
                _ => return None,
            },
            in_pieces: bytes[2] & 2 != 0,
            iv_len: bytes[3],
            tag_len: bytes[4],
            hash: match bytes[5..] {
                [0, 0, 0] => None,
                [low, high, order] => Some((
                    Algorithm::from_id(u16::from_le_bytes([low, high]))?,
                    Order::from_id(order)?,
                )),
                _ => return None,
            },
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

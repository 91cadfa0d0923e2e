//! The check that a fresh request and a slot found after a takeover must both pass: it refuses what
//! cannot be run, and what a crash could corrupt. Called by `Manager::submit` and by `recovery`, on a
//! process-local copy of the job. It stores nothing.

use shmem::Offset;

use super::{ChainPlan, Job, MAX_JOB_LEN};
use crate::algorithm::{Algorithm, Direction, Kind};
use crate::error::{Error, Result};
use crate::keys::{KeyId, KeyKind, KeyTable};
use crate::lanes::Route;
use crate::region::Region;
use crate::table::{MAX_IV, Row};

impl Job {
    /// Refuses what cannot be run, and what a crash could corrupt; otherwise says how to run it.
    pub(crate) fn check(&self, region: &Region, keys: &KeyTable) -> Result<Plan> {
        match &self.chained {
            None => self.check_alone(region, keys),
            Some(chained) => self.check_chained(region, keys, chained),
        }
    }

    /// As `check`, for a job that is not chained, or a part of one.
    pub(super) fn check_alone(&self, region: &Region, keys: &KeyTable) -> Result<Plan> {
        let (algorithm, row) = (self.algorithm, self.algorithm.row());
        self.check_len(row)?;
        if row.tags.max > 0 && !row.tags.fits(self.digest_bytes()) {
            let len = self.digest_bytes();
            return Err(Error::TagLength { algorithm, len, takes: row.tags.takes() });
        }
        check_iv(self.algorithm, self.iv_len())?;

        let out = self.output_len();
        if self.pieces > 0 {
            self.load_pieces(region)?;
        }
        let flat = self.pieces == 0;
        if flat && !region.holds(self.src, self.len) {
            return Err(Error::ForeignBuffer { what: "source", at: self.src, len: self.len });
        }
        if flat && !region.holds(self.dst, out) {
            return Err(Error::ForeignBuffer { what: "destination", at: self.dst, len: out });
        }
        let same = self.src == self.dst && self.algorithm.is_cipher();
        if flat && !same && overlap((self.src, self.len), (self.dst, out)) {
            return Err(Error::PartialOverlap { src: self.src, dst: self.dst, len: self.len });
        }
        let plain = row.kind != Kind::Aead && self.iv_at_len == 0 && self.aad_len == 0;
        if !plain {
            self.check_aside(region, row)?;
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
            key_kind: row.key,
            key_index,
            what: self.pack(),
            // The kernels take one buffer.
            route: match flat {
                true => Route::of(algorithm, self.direction),
                false => Route::Single { journaled: true },
            },
            plain,
            // Of pieces every job is checked in full.
            tag: if flat && row.kind == Kind::Aead { self.digest_bytes() as u64 } else { 0 },
            max_len: self.max_len(),
            min_len: row.min as u64,
            block_mask: row.block as u64 - 1,
            digest: if algorithm.is_cipher() { 0 } else { out },
            chain: None,
        })
    }

    #[inline]
    fn check_len(&self, row: &Row) -> Result<()> {
        let (algorithm, len) = (self.algorithm, self.len);
        let max = self.max_len();
        if len > max {
            return Err(Error::TooLong { len, max });
        }
        if len < row.min as u64 {
            return Err(match len {
                0 => Error::ZeroLength { algorithm, min: row.min },
                _ if row.block == 1 => Error::TooShort { algorithm, len, min: row.min },
                _ => Error::UnalignedLength { algorithm, len, block: row.block },
            });
        }
        if row.block > 1 && !len.is_multiple_of(row.block as u64) {
            return Err(Error::UnalignedLength { algorithm, len, block: row.block });
        }
        Ok(())
    }

    /// The longest message: CCM's counter has what its nonce leaves of 15 bytes (RFC 3610, 2.1).
    fn max_len(&self) -> u64 {
        let ccm = matches!(
            self.algorithm,
            Algorithm::Aes128Ccm | Algorithm::Aes192Ccm | Algorithm::Aes256Ccm
        );
        match self.iv_len() {
            13 if ccm => (1 << 16) - 1,
            12 if ccm => (1 << 24) - 1,
            _ => MAX_JOB_LEN,
        }
    }

    /// Associated data, tag and long IV: in the arena, and nothing that is read lies in what is
    /// written, so that a job that a crash interrupts finds them as they were.
    fn check_aside(&self, region: &Region, row: &Row) -> Result<()> {
        if self.aad_len > 0 && row.kind != Kind::Aead {
            return Err(Error::NoAad { algorithm: self.algorithm });
        }
        if self.iv_at_len > 0 && (self.iv.len > 0 || self.iv_at_len as usize > MAX_IV) {
            let (algorithm, len) = (self.algorithm, self.iv_len());
            return Err(Error::IvLength { algorithm, len, takes: row.ivs.takes() });
        }
        let tag_len = if row.kind == Kind::Aead { self.digest_bytes() as u64 } else { 0 };
        // Of pieces, `load_pieces` has checked what is beside them.
        let out = if self.pieces == 0 { self.output_len() } else { 0 };
        let (src, dst) = ((self.src, out.min(self.len)), (self.dst, out));
        let tag = (self.tag, tag_len);
        let aad = (self.aad, u64::from(self.aad_len));
        let iv = (self.iv_at, u64::from(self.iv_at_len));
        for (what, (at, len)) in [("tag", tag), ("associated data", aad), ("IV", iv)] {
            if len > 0 && !region.holds(at, len) {
                return Err(Error::ForeignBuffer { what, at, len });
            }
        }
        let apart = [
            ("tag", tag, "the source", src),
            ("tag", tag, "the destination", dst),
            ("tag", tag, "the associated data", aad),
            ("tag", tag, "the IV", iv),
            ("associated data", aad, "the destination", dst),
            ("IV", iv, "the destination", dst),
        ];
        for (what, one, with, other) in apart {
            if overlap(one, other) {
                return Err(Error::Overlap { what, at: one.0, with });
            }
        }
        Ok(())
    }
}

/// How to run the jobs of one algorithm and direction. Jobs come in trains, so the manager keeps the last
/// plan, and checks of a job that it covers only what differs.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    algorithm: Algorithm,
    direction: Direction,
    iv_len: u8,
    tag_len: u8,
    key: Option<KeyId>,
    key_kind: Option<KeyKind>,
    /// Where the key lies in the table; 0 where there is none.
    pub(crate) key_index: u32,
    /// As [`Slot::what`] has it.
    pub(super) what: u64,
    pub(crate) route: Route,
    /// Nothing but source, destination, key and a short IV: a later job is checked by this plan alone.
    pub(super) plain: bool,
    /// Bytes of the tag of an AEAD; 0 for all others.
    tag: u64,
    max_len: u64,
    min_len: u64,
    block_mask: u64,
    /// Output bytes of a hash or MAC; 0 for a cipher.
    digest: u64,
    /// The parts of a chained job.
    pub(crate) chain: Option<ChainPlan>,
}

impl Plan {
    /// The plan of a chained job, made of that of its cipher.
    pub(super) fn for_chained(self, job: &Job, chain: ChainPlan) -> Plan {
        let route = Route::Chained;
        Plan {
            tag_len: job.tag_len,
            what: job.pack(),
            route,
            plain: false,
            chain: Some(chain),
            ..self
        }
    }

    /// Where the part of a job runs that has a journal, if it has one at all.
    pub(crate) fn cipher_route(&self) -> Route {
        self.chain.map_or(self.route, |chain| chain.cipher)
    }

    /// Makes the plan that of the job, where all but the key is as planned and the job is beyond doubt
    /// one that [`Job::check`] accepts; false leaves the plan as it was.
    #[inline(always)]
    pub(crate) fn adopt(&mut self, job: &Job, region: &Region, keys: &KeyTable) -> bool {
        self.covers(job, region) && (self.key == job.key || self.change_key(job, keys))
    }

    /// Whether the plan is that of the job as it is.
    #[inline(always)]
    pub(crate) fn fits(&self, job: &Job, region: &Region) -> bool {
        self.key == job.key && self.covers(job, region)
    }

    /// A train of jobs with a key each, as of many connections.
    #[inline]
    fn change_key(&mut self, job: &Job, keys: &KeyTable) -> bool {
        let (Some(key), Some(kind)) = (job.key, self.key_kind) else { return false };
        let Some(index) = keys.index_of(key, kind) else { return false };
        (self.key, self.key_index) = (job.key, index);
        true
    }

    /// Whether the job is as planned but for its key, and all else of it would pass the check.
    #[inline(always)]
    fn covers(&self, job: &Job, region: &Region) -> bool {
        if !self.plain {
            return match &self.chain {
                None => self.covers_aead(job, region),
                Some(chain) => self.covers_chained(chain, job, region),
            };
        }
        job.aad_len | job.iv_at_len | job.pieces == 0
            && job.chained.is_none()
            && self.is_alike(job)
            && job.len.wrapping_sub(self.min_len) <= MAX_JOB_LEN - self.min_len
            && job.len & self.block_mask == 0
            && region.holds(job.src, job.len)
            && if self.digest == 0 {
                job.src == job.dst || self.is_disjoint(job, job.len, region)
            } else {
                self.is_disjoint(job, self.digest, region)
            }
    }

    #[inline(always)]
    fn is_alike(&self, job: &Job) -> bool {
        self.algorithm == job.algorithm
            && self.direction == job.direction
            && self.iv_len == job.iv.len
            && self.tag_len == job.tag_len
    }

    /// As `covers`, for an AEAD with a short IV: what [`Job::check_aside`] asks for, of the parts that
    /// such a job has.
    #[inline]
    fn covers_aead(&self, job: &Job, region: &Region) -> bool {
        let in_place = job.src == job.dst;
        let tag = (job.tag, self.tag);
        self.tag > 0
            && self.iv_len > 0
            && job.iv_at_len | job.pieces == 0
            && job.chained.is_none()
            && self.is_alike(job)
            && job.len <= self.max_len
            && region.holds(job.src, job.len)
            && (in_place || self.is_disjoint(job, job.len, region))
            && region.holds(job.tag, self.tag)
            && are_apart(tag, (job.src, job.len))
            && (in_place || are_apart(tag, (job.dst, job.len)))
            && (job.aad_len == 0 || self.covers_aad(job, region))
    }

    #[inline]
    fn covers_aad(&self, job: &Job, region: &Region) -> bool {
        let aad = (job.aad, u64::from(job.aad_len));
        region.holds(aad.0, aad.1)
            && are_apart(aad, (job.tag, self.tag))
            && are_apart(aad, (job.dst, job.len))
    }

    /// As `covers`, for a chained job whose tag lies apart from all that its parts read and write: of one
    /// that does not, the full check has the rules.
    #[inline(never)]
    fn covers_chained(&self, chain: &ChainPlan, job: &Job, region: &Region) -> bool {
        let (src, dst) = ((job.src, job.len), (job.dst, job.len));
        let (tag, hashed) = ((job.tag, chain.tag), (job.aad, u64::from(job.aad_len)));
        let in_place = job.src == job.dst;
        self.digest == 0
            && job.iv_at_len | job.pieces == 0
            && job.chained == Some(chain.chained)
            && self.is_alike(job)
            && job.len.wrapping_sub(self.min_len) <= MAX_JOB_LEN - self.min_len
            && job.len & self.block_mask == 0
            && hashed.1 <= MAX_JOB_LEN
            && region.holds(job.src, job.len)
            && (in_place || self.is_disjoint(job, job.len, region))
            && region.holds(hashed.0, hashed.1)
            && region.holds(job.tag, chain.tag)
            && are_apart(tag, hashed)
            && are_apart(tag, src)
            && (in_place || are_apart(tag, dst))
    }

    /// Whether the `out` bytes at the job's destination are in the arena and apart from its source.
    #[inline(always)]
    fn is_disjoint(&self, job: &Job, out: u64, region: &Region) -> bool {
        let (src, dst) = (job.src.get(), job.dst.get());
        region.holds(job.dst, out) && (dst >= src + job.len || src >= dst + out)
    }
}

/// Whether one range ends before the other begins. Of an empty one it may say no, where `overlap` says no too.
/// `Region::holds` has found their ends in range.
#[inline(always)]
fn are_apart((a, a_len): (Offset, u64), (b, b_len): (Offset, u64)) -> bool {
    a.get() >= b.get() + b_len || b.get() >= a.get() + a_len
}

/// Whether two ranges share a byte. `Region::holds` has found their ends in range.
#[inline]
pub(super) fn overlap((a, a_len): (Offset, u64), (b, b_len): (Offset, u64)) -> bool {
    a_len > 0 && b_len > 0 && a.get() < b.get() + b_len && b.get() < a.get() + a_len
}

pub(super) fn check_iv(algorithm: Algorithm, len: usize) -> Result<()> {
    let ivs = &algorithm.row().ivs;
    if ivs.fits(len) { Ok(()) } else { Err(Error::IvLength { algorithm, len, takes: ivs.takes() }) }
}

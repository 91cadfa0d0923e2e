//! The bench's set-up of one row: a segment with the buffers, which all managers share, and the jobs
//! in words that each of them can translate.

use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use mbmgr::{Algorithm, LAYOUT_HASH};
use shmem::{Offset, Placement, Segment, SegmentOptions};

use crate::row::{Keys, Spec, Spread};

/// A page.
const PAGE: u64 = 4096;
/// A cache line.
const LINE: u64 = 64;
/// Bytes of a digest's place.
const DIGEST: u64 = 64;

/// Buffers and their contents.
pub(crate) struct Rig {
    pub(crate) segment: Arc<Segment>,
    pub(crate) spec: Spec,
    /// One key, or one for each job.
    pub(crate) keys: Vec<Vec<u8>>,
    /// As many of the hash that the jobs are chained with.
    pub(crate) hash_keys: Vec<Vec<u8>>,
    pub(crate) jobs: Vec<Buffers>,
}

/// One job's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Buffers {
    pub(crate) src: Offset,
    pub(crate) dst: Offset,
    pub(crate) len: u64,
    pub(crate) iv: [u8; 16],
    /// Where an AEAD or a chain has its tag, and a hash or MAC its digest.
    pub(crate) tag: Offset,
}

impl Rig {
    /// Makes a segment for `spec` with `managers` bytes for the managers, all pages present.
    pub(crate) fn new(spec: &Spec, managers: u64) -> Result<Rig> {
        let stride = spec.bytes() / spec.jobs() + 3 * PAGE;
        let largest = (0..spec.jobs()).map(|job| spec.sizes.of(spec.algorithm, job)).max();
        let stride = stride.max(largest.unwrap_or(0) + 3 * PAGE);
        let options = SegmentOptions {
            len: shmem::HEADER_LEN + managers + (2 * spec.jobs() + 4) * stride,
            placement: Placement::Anywhere,
            layout_hash: LAYOUT_HASH,
            populate: true,
        };
        let segment = Segment::create_anonymous("takeover-bench", &options)?;
        let keys = match spec.keys {
            Keys::One => 1,
            Keys::Each => spec.jobs(),
        };
        let key = |of: Algorithm| move |index| bytes(u64::MAX - index, key_len(of));
        let hash_keys = spec.hash.map_or(vec![], |hash| (0..keys).map(key(hash)).collect());
        let keys = (0..keys).map(key(spec.algorithm)).collect();
        let mut rig = Rig { segment, spec: *spec, keys, hash_keys, jobs: Vec::new() };
        for job in 0..spec.jobs() {
            let buffers = rig.place(job)?;
            rig.jobs.push(buffers);
        }
        rig.fill()?;
        Ok(rig)
    }

    /// Allocates the buffers of a job. Spread ones begin at 16 page offsets in turn, far enough from
    /// each other that a few lines of each are in the L1 cache together.
    fn place(&self, job: u64) -> Result<Buffers> {
        let spec = &self.spec;
        let len = spec.sizes.of(spec.algorithm, job);
        let arena = self.segment.arena();
        let shift = match spec.spread {
            Spread::Spread => job % 16 * (PAGE / 16),
            Spread::SamePageOffset => 0,
        };
        let take = |len: u64, shift: u64| -> Result<Offset> {
            let at = arena.alloc(shift + len, PAGE)?;
            at.add(shift).context("an offset overflows")
        };
        let src = take(len, shift)?;
        let tag = arena.alloc(DIGEST, LINE)?;
        let dst = match spec.algorithm.is_cipher() {
            true if spec.in_place => src,
            // Half a page from its source, so that the two do not meet in a set either.
            true => match spec.spread {
                Spread::Spread => take(len, (shift + PAGE / 2 + 2 * LINE) % PAGE)?,
                Spread::SamePageOffset => take(len, 0)?,
            },
            false => tag,
        };
        let mut iv = [0; 16];
        iv.copy_from_slice(&bytes(job ^ 0x1f1f_0000, 16));
        Ok(Buffers { src, dst, len, iv, tag })
    }

    /// Writes the inputs again.
    pub(crate) fn fill(&self) -> Result<()> {
        for (buffers, seed) in self.jobs.iter().zip(0..) {
            self.segment.write(buffers.src, &bytes(seed, buffers.len))?;
        }
        Ok(())
    }

    /// Which of the keys a job has.
    pub(crate) fn key_of(&self, job: usize) -> usize {
        if self.keys.len() == 1 { 0 } else { job }
    }

    /// The input of a job.
    pub(crate) fn input(&self, job: usize) -> Vec<u8> {
        bytes(job as u64, self.jobs[job].len)
    }

    /// What stands in each job's destination.
    pub(crate) fn outputs(&self) -> Result<Vec<Vec<u8>>> {
        let mut outputs = Vec::new();
        for buffers in &self.jobs {
            let algorithm = self.spec.algorithm;
            let mut output = Vec::new();
            if algorithm.is_cipher() {
                output.resize(usize::try_from(buffers.len)?, 0);
                self.segment.read(buffers.dst, &mut output)?;
            }
            let mut tag = vec![0; self.spec.tag_len()];
            self.segment.read(buffers.tag, &mut tag)?;
            output.append(&mut tag);
            outputs.push(output);
        }
        Ok(outputs)
    }

    /// Runs every job once from fresh inputs by `run`, and compares with `expected`.
    pub(crate) fn check(
        &self,
        who: &str,
        expected: &[Vec<u8>],
        run: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        self.fill()?;
        run()?;
        self.check_outputs(who, expected, &self.outputs()?)
    }

    /// Compares what `who` computed with `expected`.
    pub(crate) fn check_outputs(
        &self,
        who: &str,
        expected: &[Vec<u8>],
        found: &[Vec<u8>],
    ) -> Result<()> {
        ensure!(found.len() == expected.len(), "{who} did {} jobs", found.len());
        for (job, (found, expected)) in found.iter().zip(expected).enumerate() {
            ensure!(found == expected, "{who} got job {job} of {:?} wrong", self.spec);
        }
        Ok(())
    }
}

fn key_len(algorithm: Algorithm) -> u64 {
    match algorithm {
        Algorithm::HmacSha1 => 20,
        Algorithm::HmacSha256 => 32,
        Algorithm::HmacSha512 => 64,
        _ => algorithm.key_len().unwrap_or(0) as u64,
    }
}

/// Bytes that depend on `seed` alone (a xorshift generator: contents do not change the time).
fn bytes(seed: u64, len: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..len)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[3]
        })
        .collect()
}

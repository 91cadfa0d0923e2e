//! Single-buffer modes: CBC decryption and CTR, whose blocks do not depend on each other. A job is a
//! run of one lane with a wide step, from its submission to its end.
#![expect(unsafe_code, reason = "calls the kernels, which take raw pointers")]

use crate::algorithm::Kind;
use crate::journal::{self, Log, Shape};
use crate::kernel::{Kernels, WIDE_STEP};
use crate::region::Region;

use super::{Entry, Hall, States};

/// The counter block `bytes` (a multiple of 16) further on: 128 bits, big-endian, as NIST SP 800-38A
/// B.1 increments it.
pub(crate) fn advance_counter(counter: &[u8; 16], bytes: u64) -> [u8; 16] {
    u128::from_be_bytes(*counter).wrapping_add(u128::from(bytes / 16)).to_be_bytes()
}

/// The journal of a run of one lane in wide steps: the job at `position`, `len` bytes from `base` on.
#[inline]
pub(super) fn begin(region: &Region, position: u64, base: u32, len: usize) -> Log<'_> {
    #[expect(clippy::cast_possible_truncation, reason = "at most MAX_JOB_LEN, a constant of 512")]
    let (total, step_bytes) = (len as u32, WIDE_STEP as u16);
    journal::record_lane(region.journal(), 0, region.index32(position), base);
    journal::begin(region.journal(), Shape { total, step_bytes, lanes: 1, redo: 1 })
}

/// Runs a job to its end.
pub(super) fn run(kernels: Kernels, hall: Hall<'_>, states: &mut States, entry: &Entry<'_>) {
    let (region, job) = (hall.region, entry.job);
    let (encrypt, decrypt) = hall.keys.schedules(entry.key_index);
    #[expect(clippy::cast_possible_truncation, reason = "lengths are at most MAX_JOB_LEN")]
    let (done, base, len) =
        (entry.progress as usize, entry.progress as u32, (job.len - entry.progress) as usize);
    let log = (job.src == job.dst).then(|| begin(region, entry.position, base, len));
    let src = region.address(job.src).as_ptr().cast_const().wrapping_add(done);
    let dst = region.address(job.dst).as_ptr().wrapping_add(done);
    if job.algorithm.kind() == Kind::Ctr {
        let counter = advance_counter(&job.counter(), entry.progress);
        // SAFETY: `Job::check` found the job's `len` bytes at `src` and `dst` in the arena, which the
        // region keeps mapped, the same or disjoint; recovery found `progress` at most `len`.
        unsafe { kernels.ctr(encrypt, src, dst, len, &counter, log.as_ref()) };
    } else {
        let mut chain = job.chain();
        // SAFETY: as for `ctr`.
        unsafe { kernels.cbc_decrypt(decrypt, src, dst, len, &mut chain, log.as_ref()) };
    }
    states.done(region, entry.position);
    if log.is_some() {
        journal::end(region.journal());
    }
}

//! Single-buffer modes: CBC decryption, CTR and ECB, whose blocks do not depend on each other. A job is a
//! run of one lane with a wide step, from its submission to its end.
#![expect(unsafe_code, reason = "calls the kernels, which take raw pointers")]

use crate::algorithm::Direction;
use crate::job::store_chain;
use crate::journal::{self, Log, Shape};
use crate::kernel::{BLOCK, Kernels, WIDE_STEP};
use crate::region::Region;
use crate::table::Engine;

use super::{Entry, Hall, States, single, store_progress};

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

/// Runs a job to its end. Bytes that fill no block, as AES-DOCSIS has them, are a run of their own.
pub(super) fn run(kernels: Kernels, hall: Hall<'_>, states: &mut States, entry: &Entry<'_>) {
    let (region, job) = (hall.region, entry.job);
    let (encrypt, decrypt) = hall.keys.schedules(entry.key_index);
    #[expect(clippy::cast_possible_truncation, reason = "lengths are at most MAX_JOB_LEN")]
    let (done, base, len) =
        (entry.progress as usize, entry.progress as u32, (job.len - entry.progress) as usize);
    let engine = &job.algorithm.row().engine;
    let rest = if matches!(engine, Engine::Docsis(_)) { len % BLOCK } else { 0 };
    if rest > 0 && rest == len {
        return single::run(kernels, hall, states, entry);
    }
    let len = len - rest;
    let log = (job.src == job.dst).then(|| begin(region, entry.position, base, len));
    let src = region.address(job.src).as_ptr().cast_const().wrapping_add(done);
    let dst = region.address(job.dst).as_ptr().wrapping_add(done);
    let mut chain = job.chain();
    // SAFETY: `Job::check` found the job's `len` bytes at `src` and `dst` in the arena, which the region
    // keeps mapped, the same or disjoint; recovery found `progress` at most `len`.
    unsafe {
        match (engine, job.direction) {
            (Engine::Ctr, _) => {
                let counter = advance_counter(&job.counter(), entry.progress);
                kernels.ctr(encrypt, src, dst, len, &counter, log.as_ref());
            }
            (Engine::Ecb, Direction::Encrypt) => {
                kernels.ecb::<false>(encrypt, src, dst, len, log.as_ref());
            }
            (Engine::Ecb, Direction::Decrypt) => {
                kernels.ecb::<true>(decrypt, src, dst, len, log.as_ref());
            }
            _ => kernels.cbc_decrypt(decrypt, src, dst, len, &mut chain, log.as_ref()),
        }
    }
    if rest > 0 {
        return end_with_rest(kernels, hall, states, entry, (len, chain));
    }
    states.done(region, entry.position);
    if log.is_some() {
        journal::end(region.journal());
    }
}

/// Ends the run of a job's whole blocks, `len` bytes whose last block of ciphertext is `chain`, and runs
/// what is left of the job.
#[cold]
#[inline(never)]
fn end_with_rest(
    kernels: Kernels,
    hall: Hall<'_>,
    states: &mut States,
    entry: &Entry<'_>,
    (len, chain): (usize, [u8; BLOCK]),
) {
    let (region, mut job) = (hall.region, *entry.job);
    let progress = entry.progress + len as u64;
    if job.src == job.dst {
        // For the next owner: the block is gone from the buffer. The journal's end commits both.
        store_chain(region.slot(entry.position), &chain);
        store_progress(region, entry.position, progress);
        journal::end(region.journal());
    }
    job.set_chain(chain);
    single::run(kernels, hall, states, &Entry { job: &job, progress, ..*entry });
}

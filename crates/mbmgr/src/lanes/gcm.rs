//! AES-GCM and GMAC: a job by itself, by a wide kernel, from its submission to its end. Called by `Lanes`,
//! and by `recovery` for the step that was in flight.
//!
//! In place a job survives a crash because each step's input is in the journal before its output is
//! stored, and its counter follows from IV and place. Of the hash nothing is kept: of an encryption with
//! progress it is computed again, over the whole output once that is complete. A decryption compares the
//! tag before its first step, so with progress it was compared.
#![expect(unsafe_code, reason = "calls the kernels, which take raw pointers")]

use std::ptr;

use subtle::ConstantTimeEq;

use crate::algorithm::Direction;
use crate::job::{Failure, Job};
use crate::journal::{self, Log};
use crate::kernel::{BLOCK, GcmKey, GcmRun, Kernels};
use crate::region::Region;

use super::mac::put_tag;
use super::{Entry, Hall, States, wide};

/// The counter block `bytes` (a multiple of 16) further on: its last 32 bits wrap by themselves.
fn counted(first: &[u8; BLOCK], bytes: u64) -> [u8; BLOCK] {
    let mut counter = *first;
    let low = u32::from_be_bytes([first[12], first[13], first[14], first[15]]);
    #[expect(clippy::cast_possible_truncation, reason = "a message has fewer than 2^32 blocks")]
    let blocks = (bytes / BLOCK as u64) as u32;
    counter[12..].copy_from_slice(&low.wrapping_add(blocks).to_be_bytes());
    counter
}

/// The counter block before that of the message (NIST SP 800-38D, 7.1, step 2).
#[inline(always)]
fn first_counter(kernels: Kernels, region: &Region, key: &GcmKey, job: &Job) -> [u8; BLOCK] {
    let iv = job.iv.as_bytes();
    if iv.len() == 12 {
        // As numbers: the compiler takes arrays apart, byte by byte.
        let nonce = u128::from_le_bytes(job.chain()) & (u128::MAX >> 32);
        return (nonce | 1 << 120).to_le_bytes();
    }
    long_first_counter(kernels, region, key, job)
}

#[cold]
#[inline(never)]
fn long_first_counter(kernels: Kernels, region: &Region, key: &GcmKey, job: &Job) -> [u8; BLOCK] {
    let mut first = [0; BLOCK];
    let iv = job.iv.as_bytes();
    let (from, len) = match job.iv_at_len {
        0 => (iv.as_ptr(), iv.len()),
        len => (region.address(job.iv_at).as_ptr().cast_const(), len as usize),
    };
    if job.iv_at_len == 12 {
        // SAFETY: `Job::check` found the IV in the arena, which the region keeps mapped.
        unsafe { ptr::copy_nonoverlapping(from, first.as_mut_ptr(), 12) };
        first[15] = 1;
        return first;
    }
    let end = (8 * len as u128).to_be_bytes();
    // SAFETY: as above, or the job's own bytes; then a block of ours.
    unsafe {
        kernels.ghash(key, &mut first, from, len);
        kernels.ghash(key, &mut first, end.as_ptr(), BLOCK);
    }
    first
}

/// A job's words for the kernels, from `progress` on.
#[inline(always)]
fn run_of<'a>(
    kernels: Kernels,
    hall: Hall<'a>,
    job: &Job,
    key_index: u32,
    progress: u64,
) -> GcmRun<'a> {
    let schedule = hall.keys.schedules(key_index).0;
    let key = hall.keys.gcm(key_index, kernels);
    let first = first_counter(kernels, hall.region, key, job);
    let aad_len = job.aad_len as usize;
    #[expect(clippy::cast_possible_truncation, reason = "lengths are at most MAX_JOB_LEN")]
    let (done, len) = (progress as usize, (job.len - progress) as usize);
    GcmRun {
        schedule,
        key,
        first: if progress == 0 { first } else { counted(&first, progress) },
        aad: hall.region.address_of(job.aad, aad_len).as_ptr().cast_const(),
        aad_len,
        src: hall.region.address(job.src).as_ptr().cast_const().wrapping_add(done),
        dst: hall.region.address(job.dst).as_ptr().wrapping_add(done),
        len,
    }
}

/// Runs a job to its end.
pub(super) fn run(kernels: Kernels, hall: Hall<'_>, states: &mut States, entry: &Entry<'_>) {
    if entry.progress > 0 || entry.job.direction == Direction::Decrypt {
        return open_or_resume(kernels, hall, states, entry);
    }
    let (region, job) = (hall.region, entry.job);
    let run = run_of(kernels, hall, job, entry.key_index, 0);
    let log = begin(region, entry, &run);
    // SAFETY: `Job::check` found source, destination, associated data and tag in the arena, which the
    // region keeps mapped, source and destination the same or disjoint.
    unsafe {
        let tag = kernels.gcm_seal(&run, log.as_ref());
        put_tag(&tag, region.address(job.tag).as_ptr(), job.digest_bytes());
    }
    states.done(region, entry.position);
    if log.is_some() {
        journal::end(region.journal());
    }
}

/// The journal of a run, where it is in place.
#[inline(always)]
fn begin<'a>(region: &'a Region, entry: &Entry<'_>, run: &GcmRun<'_>) -> Option<Log<'a>> {
    #[expect(clippy::cast_possible_truncation, reason = "lengths are at most MAX_JOB_LEN")]
    let base = entry.progress as u32;
    let in_place = entry.job.src == entry.job.dst && run.len > 0;
    in_place.then(|| wide::begin(region, entry.position, base, run.len))
}

/// A decryption, or an encryption of which some steps were complete before a takeover.
#[inline(never)]
fn open_or_resume(kernels: Kernels, hall: Hall<'_>, states: &mut States, entry: &Entry<'_>) {
    let (region, job, key_index) = (hall.region, entry.job, entry.key_index);
    let run = run_of(kernels, hall, job, key_index, entry.progress);
    let tag_len = job.digest_bytes();
    let tag_at = region.address(job.tag).as_ptr();
    let decrypts = job.direction == Direction::Decrypt;
    if decrypts && entry.progress == 0 {
        let mut expected = [0; BLOCK];
        // SAFETY: `Job::check` found source, associated data and tag in the arena, which the region
        // keeps mapped, and the tag at most a block.
        let tag = unsafe {
            ptr::copy_nonoverlapping(tag_at.cast_const(), expected.as_mut_ptr(), tag_len);
            kernels.gcm_tag(&run, run.src)
        };
        if !bool::from(tag[..tag_len].ct_eq(&expected[..tag_len])) {
            return states.failed(region, entry.position, Failure::TagMismatch);
        }
    }
    let log = begin(region, entry, &run);
    // SAFETY: as in `run`; recovery found `progress` a multiple of 16 or the whole length.
    unsafe {
        kernels.gcm_stream(&run, log.as_ref());
        if !decrypts {
            // The tag is that of the whole job all the same.
            let whole = run_of(kernels, hall, job, key_index, 0);
            put_tag(&kernels.gcm_tag(&whole, whole.dst), tag_at, tag_len);
        }
    }
    states.done(region, entry.position);
    if log.is_some() {
        journal::end(region.journal());
    }
}

/// Runs a job of GMAC, whose message is GCM's associated data, to its end. It only reads, and starts over
/// after a crash.
pub(super) fn run_mac(kernels: Kernels, hall: Hall<'_>, states: &mut States, entry: &Entry<'_>) {
    let (region, job) = (hall.region, entry.job);
    let whole = run_of(kernels, hall, job, entry.key_index, 0);
    let run = GcmRun { aad: whole.src, aad_len: whole.len, len: 0, ..whole };
    // SAFETY: `Job::check` found the message and the tag's place in the arena, which the region keeps mapped.
    unsafe {
        let tag = kernels.gcm_tag(&run, run.src);
        put_tag(&tag, region.address(job.dst).as_ptr(), job.digest_bytes());
    }
    states.done(region, entry.position);
}

/// Writes the outputs of a step again: `len` bytes at `at` of the message, from the journal's log.
///
/// # Safety
/// `src` is readable and the job's destination writable for the step.
pub(crate) unsafe fn redo(
    kernels: Kernels,
    hall: Hall<'_>,
    job: &Job,
    key_index: u32,
    at: u64,
    (src, len): (*const u8, usize),
) {
    let run = GcmRun { src, len, ..run_of(kernels, hall, job, key_index, at) };
    // SAFETY: the caller's duty.
    unsafe { kernels.gcm_stream(&run, None) };
}

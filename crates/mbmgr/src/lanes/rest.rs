//! The bytes at the end of an AES-CFB or AES-DOCSIS encryption that fill no block: xored with the encryption
//! of the ciphertext block before them, or of the IV where there is none. Called by the group of lanes
//! once the whole blocks of a job are complete, by `Lanes` for jobs that have no more than that to go, and
//! by `recovery`.
//!
//! The rests of all lanes are one run of one step. Its inputs are in the log before the first output is
//! stored, and its key stream follows from the output before it.
#![expect(unsafe_code, reason = "calls the kernels, which take raw pointers")]

use std::ptr;

use crate::journal::{self, Shape};
use crate::kernel::{BLOCK, Kernels, Lane, LaneKeys, MAX_LANES, Schedule};
use crate::region::Region;

use super::{Entry, Hall, States, single};

/// What follows the whole blocks of a job: less than a block.
#[derive(Clone, Copy)]
pub(super) struct Rest {
    src: *const u8,
    dst: *mut u8,
    len: u32,
}

impl Rest {
    pub(super) const NONE: Rest = Rest { src: ptr::null(), dst: ptr::null_mut(), len: 0 };

    /// The `len` bytes after the `whole` ones at `src` and `dst`.
    #[inline(always)]
    pub(super) fn of(src: *const u8, dst: *mut u8, whole: u32, len: u32) -> Rest {
        let whole = whole as usize;
        Rest { src: src.wrapping_add(whole), dst: dst.wrapping_add(whole), len }
    }

    #[inline(always)]
    pub(super) fn is_none(&self) -> bool {
        self.len == 0
    }
}

/// A job whose rest is all that is left.
#[derive(Clone, Copy)]
pub(super) struct Due {
    pub(super) rest: Rest,
    pub(super) position: u64,
    /// Bytes complete.
    pub(super) base: u32,
    pub(super) in_place: bool,
}

/// Ends the jobs that are due, by lane; the keys are those of the lanes.
pub(super) fn run(
    kernels: Kernels,
    region: &Region,
    states: &mut States,
    (keys, rounds): (&LaneKeys, u32),
    due: &[Option<Due>],
) {
    let zero = [0; BLOCK];
    let idle = Lane { src: zero.as_ptr(), dst: ptr::null_mut(), chain: zero };
    let mut lanes = [idle; MAX_LANES];
    for (lane, due) in lanes.iter_mut().zip(due) {
        if let Some(due) = due {
            // SAFETY: the job has a whole block before its rest, in the arena as `Job::check` found.
            lane.chain = unsafe { block_before(due.rest.dst) };
        }
    }
    // SAFETY: each lane reads one block of zeros, and has its key in its column.
    unsafe { kernels.cbc_mac(&mut lanes[..due.len()], keys, rounds, BLOCK) };

    let due = || due.iter().zip(&lanes).filter_map(|(due, lane)| Some((due.as_ref()?, lane.chain)));
    let log = due().any(|(due, _)| due.in_place).then(|| {
        for (lane, (due, _)) in due().enumerate() {
            let index = region.index32(due.position);
            journal::record_lane(region.journal(), lane, index, due.base);
        }
        #[expect(clippy::cast_possible_truncation, reason = "a block, at most 16 lanes")]
        let (step_bytes, lanes) = (BLOCK as u16, due().count() as u8);
        let shape = Shape { total: u32::from(step_bytes), step_bytes, lanes, redo: 1 };
        journal::begin(region.journal(), shape)
    });
    if let Some(log) = &log {
        for (lane, (Due { rest, .. }, _)) in due().enumerate() {
            // SAFETY: `Job::check` found the rest in the arena; a log slot has a block for each lane.
            unsafe {
                let kept = log.slot(0).add(lane * BLOCK);
                ptr::copy_nonoverlapping(rest.src, kept, rest.len as usize);
            }
        }
        log.commit(0);
    }
    for (Due { rest, position, .. }, stream) in due() {
        // SAFETY: `Job::check` found the rest in the arena, source and destination the same or disjoint.
        unsafe { put(&stream, rest.src, rest.dst, rest.len as usize) };
        states.done(region, *position);
    }
    if log.is_some() {
        journal::end(region.journal());
    }
}

/// Writes a rest again: `src` is in the log.
///
/// # Safety
/// `src` is readable and `dst` writable for `len` bytes, less than a block; a block lies before `dst`.
pub(crate) unsafe fn redo(
    kernels: Kernels,
    key: &Schedule,
    src: *const u8,
    dst: *mut u8,
    len: usize,
) {
    let (zero, mut keys) = ([0; BLOCK], LaneKeys::new());
    keys.set(0, key);
    // SAFETY: the caller's duties; the lane reads one block of zeros, and column 0 holds its key.
    unsafe {
        let lane = Lane { src: zero.as_ptr(), dst: ptr::null_mut(), chain: block_before(dst) };
        let mut lanes = [lane];
        kernels.cbc_mac(&mut lanes, &keys, key.rounds, BLOCK);
        put(&lanes[0].chain, src, dst, len);
    }
}

/// Runs a job of which less than a block is to go, by itself.
#[cold]
#[inline(never)]
pub(super) fn run_alone(kernels: Kernels, hall: Hall<'_>, states: &mut States, entry: &Entry<'_>) {
    let mut job = *entry.job;
    if entry.progress > 0 {
        #[expect(clippy::cast_possible_truncation, reason = "lengths are at most MAX_JOB_LEN")]
        let dst = hall.region.address(job.dst).as_ptr().wrapping_add(entry.progress as usize);
        // SAFETY: recovery found `progress` a multiple of a block within the destination, which
        // `Job::check` found in the arena.
        job.set_chain(unsafe { block_before(dst) });
    }
    single::run(kernels, hall, states, &Entry { job: &job, ..*entry });
}

/// # Safety
/// `src` is readable and `dst` writable for `len` bytes, less than a block.
unsafe fn put(stream: &[u8; BLOCK], src: *const u8, dst: *mut u8, len: usize) {
    let mut bytes = [0; BLOCK];
    // SAFETY: the caller's duty.
    unsafe {
        ptr::copy_nonoverlapping(src, bytes.as_mut_ptr(), len);
        for (byte, stream) in bytes.iter_mut().zip(stream) {
            *byte ^= stream;
        }
        ptr::copy_nonoverlapping(bytes.as_ptr(), dst, len);
    }
}

/// The block before `dst`. Others may write there meanwhile.
///
/// # Safety
/// The 16 bytes before `dst` are readable.
pub(super) unsafe fn block_before(dst: *mut u8) -> [u8; BLOCK] {
    // SAFETY: the caller's duty.
    unsafe { dst.cast_const().sub(BLOCK).cast::<[u8; BLOCK]>().read_volatile() }
}

//! A lane group of AES-CBC encryption: every lane a job, the kernel advances them side by side.
//!
//! A run would end where the shortest job does, and jobs of many lengths would make many short runs. So a
//! run whose steps all fit into the log goes on to the longest job that ends within it: a lane that ends
//! earlier works in a scratch, and its output is copied out after the last step. A crash before that
//! finds the inputs of every step in the log.
#![expect(unsafe_code, reason = "calls the kernels, which take raw pointers")]

use shmem::seeded::{Bug, seeded};
use std::ptr;

use crate::journal::{self, Shape};
use crate::kernel::{Kernels, Lane, LaneKeys, MAX_LANES};
use crate::keys::KeyId;
use crate::layout::LOG_SLOTS;
use crate::region::Region;

use super::{Entry, Hall, States, store_progress};

/// What the kernel does not need to know of a lane.
#[derive(Clone, Copy, Default)]
struct Ticket {
    position: u64,
    /// Bytes complete.
    base: u32,
    in_place: bool,
}

/// Bytes of a lane's scratch: the longest run in which lanes may end apart.
const SCRATCH: usize = 128;

/// Where a lane works that ends before the run does.
#[repr(align(64))]
struct Scratch([[u8; SCRATCH]; MAX_LANES]);

/// Lanes 0..used hold jobs; there are no gaps.
pub(super) struct CbcGroup {
    rounds: u32,
    capacity: usize,
    used: usize,
    any_in_place: bool,
    /// Bytes to go of each lane; 0 where there is none. And the least and most of the lanes in use.
    left: [u32; MAX_LANES],
    least_left: u32,
    most_left: u32,
    /// Whether all lanes use the key of lane 0.
    one_key: bool,
    lanes: [Lane; MAX_LANES],
    tickets: [Ticket; MAX_LANES],
    keys: LaneKeys,
    scratch: Scratch,
    /// Whose round keys stand in a lane's column of `keys`; the lane's job uses that key.
    key_of: [Option<KeyId>; MAX_LANES],
}

// SAFETY: the lanes' pointers lead into the segment that the manager around this group keeps mapped;
// nothing of them belongs to a thread.
unsafe impl Send for CbcGroup {}

impl CbcGroup {
    pub(super) fn new(rounds: u32, capacity: usize) -> CbcGroup {
        let idle = Lane { src: ptr::null(), dst: ptr::null_mut(), chain: [0; 16] };
        CbcGroup {
            rounds,
            capacity,
            used: 0,
            any_in_place: false,
            left: [0; MAX_LANES],
            least_left: u32::MAX,
            most_left: 0,
            one_key: true,
            lanes: [idle; MAX_LANES],
            tickets: [Ticket::default(); MAX_LANES],
            keys: LaneKeys::new(),
            scratch: Scratch([[0; SCRATCH]; MAX_LANES]),
            key_of: [None; MAX_LANES],
        }
    }

    /// Puts a job into the next lane; true if that was the last free one.
    #[inline(always)]
    pub(super) fn push(&mut self, hall: Hall<'_>, entry: &Entry<'_>) -> bool {
        let (lane, job) = (self.used & (MAX_LANES - 1), entry.job);
        if self.key_of[lane] != job.key {
            self.keys.set(lane, hall.keys.schedules(entry.plan.key_index).0);
            self.key_of[lane] = job.key;
        }
        #[expect(clippy::cast_possible_truncation, reason = "lengths are at most MAX_JOB_LEN")]
        let (len, done) = (job.len as u32, entry.progress as u32);
        let src = hall.region.address(job.src).as_ptr().wrapping_add(done as usize);
        let dst = hall.region.address(job.dst).as_ptr().wrapping_add(done as usize);
        // As one number: the compiler takes an array of two origins apart, byte by byte.
        let chain = if done == 0 {
            u128::from_ne_bytes(job.chain())
        } else {
            // SAFETY: `Job::check` found `dst` and the job's `len` bytes in the arena, and recovery
            // found `progress` a multiple of 16 between 16 and `len`.
            unsafe { block_before(dst) }
        };
        self.lanes[lane] = Lane { src, dst, chain: chain.to_ne_bytes() };
        let in_place = job.src == job.dst;
        let left = len - done;
        self.any_in_place |= in_place;
        self.one_key &= self.key_of[0] == job.key;
        self.left[lane] = left;
        self.least_left = self.least_left.min(left);
        self.most_left = self.most_left.max(left);
        self.tickets[lane] = Ticket { position: entry.position, base: done, in_place };
        self.used += 1;
        self.used == self.capacity
    }

    /// Advances all lanes so that at least one job ends.
    pub(super) fn run(&mut self, kernels: Kernels, region: &Region, states: &mut States) {
        let total = self.reach(kernels);
        let len = total as usize;
        let apart = total > self.least_left;
        let outputs = if apart { self.stage(total) } else { [ptr::null_mut(); MAX_LANES] };
        let (tickets, lanes) = (&self.tickets[..self.used], &mut self.lanes[..self.used]);
        let log = self.any_in_place.then(|| {
            for (lane, ticket) in tickets.iter().enumerate() {
                let index = region.index32(ticket.position);
                journal::record_lane(region.journal(), lane, index, ticket.base);
            }
            let step = kernels.cbc_encrypt_step(lanes);
            #[expect(
                clippy::cast_possible_truncation,
                reason = "at most 16 lanes, a step of a slot, a few slots"
            )]
            let (lanes, step_bytes, all) = (lanes.len() as u8, step as u16, LOG_SLOTS as u8);
            let redo = if apart { all } else { 1 };
            journal::begin(region.journal(), Shape { total, step_bytes, lanes, redo })
        });
        self.keys.set_shared(self.one_key);
        // SAFETY: `Job::check` found the `left` bytes at each lane's `src` and `dst` in the arena,
        // which the region keeps mapped, the same or disjoint; `len` is at most that, or `stage` has
        // put a scratch of at least `len` bytes in their place. `push` set the key column of each lane
        // to a schedule of this group's `rounds`.
        unsafe { kernels.cbc_encrypt(lanes, &self.keys, self.rounds, len, log.as_ref()) };
        if log.is_some() && seeded(Bug::JournalEndsEarly) {
            journal::end(region.journal());
        }
        if apart {
            self.unstage(&outputs);
        }
        self.advance(region, states, total);
        if log.is_some() {
            journal::end(region.journal());
        }
        self.close_gaps();
    }

    /// Bytes of the next run: what the shortest job has left, or a little more where others end soon
    /// after it.
    fn reach(&self, kernels: Kernels) -> u32 {
        let most = kernels.cbc_encrypt_least_step() * LOG_SLOTS;
        #[expect(clippy::cast_possible_truncation, reason = "a constant of 128")]
        let most = if most < SCRATCH { most } else { SCRATCH } as u32;
        if self.least_left == self.most_left || self.least_left >= most {
            return self.least_left;
        }
        let soon = |left: &u32| if *left <= most { *left } else { 0 };
        self.left.iter().map(soon).max().unwrap_or(self.least_left)
    }

    /// Moves the lanes that end before `total` to the scratch; gives where their outputs belong.
    fn stage(&mut self, total: u32) -> [*mut u8; MAX_LANES] {
        let mut outputs = [ptr::null_mut(); MAX_LANES];
        let lanes = self.lanes[..self.used].iter_mut().zip(&mut self.scratch.0);
        for (((lane, scratch), left), output) in lanes.zip(self.left).zip(&mut outputs) {
            if left >= total {
                continue;
            }
            // SAFETY: `Job::check` found the `left` bytes at `src` in the arena; the scratch is this
            // process's, and longer than `total`.
            unsafe { ptr::copy_nonoverlapping(lane.src, scratch.as_mut_ptr(), left as usize) };
            *output = lane.dst;
            lane.src = scratch.as_ptr();
            lane.dst = scratch.as_mut_ptr();
        }
        outputs
    }

    /// Copies the outputs of the lanes in the scratch to where they belong.
    fn unstage(&mut self, outputs: &[*mut u8; MAX_LANES]) {
        for ((scratch, left), output) in self.scratch.0.iter().zip(self.left).zip(outputs) {
            if !output.is_null() {
                // SAFETY: `output` was the lane's `dst`, where `Job::check` found `left` bytes.
                unsafe { ptr::copy_nonoverlapping(scratch.as_ptr(), *output, left as usize) };
            }
        }
    }

    /// Notes that every lane has advanced by `total`, or to its end.
    #[inline(always)]
    fn advance(&mut self, region: &Region, states: &mut States, total: u32) {
        (self.any_in_place, self.least_left, self.most_left) = (false, u32::MAX, 0);
        let lanes = self.lanes[..self.used].iter_mut().zip(&mut self.tickets);
        for ((lane, ticket), left) in lanes.zip(&mut self.left) {
            if *left <= total {
                *left = 0;
                states.done(region, ticket.position);
                continue;
            }
            *left -= total;
            ticket.base += total;
            let progress = if seeded(Bug::ProgressRelative) { total } else { ticket.base };
            store_progress(region, ticket.position, u64::from(progress));
            lane.src = lane.src.wrapping_add(total as usize);
            lane.dst = lane.dst.wrapping_add(total as usize);
            self.any_in_place |= ticket.in_place;
            self.least_left = self.least_left.min(*left);
            self.most_left = self.most_left.max(*left);
        }
    }

    /// Moves the last lanes into those whose job has ended.
    #[inline(always)]
    fn close_gaps(&mut self) {
        if self.most_left == 0 {
            self.used = 0;
            return;
        }
        let mut lane = 0;
        while lane < self.used {
            if self.left[lane] > 0 {
                lane += 1;
                continue;
            }
            self.used -= 1;
            let last = self.used;
            if lane != last {
                self.lanes[lane] = self.lanes[last];
                self.tickets[lane] = self.tickets[last];
                self.left.swap(lane, last);
                if self.key_of[lane] != self.key_of[last] {
                    self.keys.swap(lane, last);
                    self.key_of.swap(lane, last);
                }
            }
        }
        let keys = &self.key_of[..self.used];
        self.one_key = self.one_key || keys.iter().all(|key| *key == keys[0]);
    }

    /// How many lanes' jobs use a key.
    pub(super) fn jobs_with_key(&self, key: KeyId) -> usize {
        self.key_of[..self.used].iter().filter(|of| **of == Some(key)).count()
    }

    /// Zeroizes the columns of a key.
    pub(super) fn forget_key(&mut self, key: KeyId) {
        for lane in 0..MAX_LANES {
            if self.key_of[lane] == Some(key) {
                self.keys.clear(lane);
                self.key_of[lane] = None;
            }
        }
    }
}

/// The block before `dst`, where a job goes on after a takeover. Others may write there meanwhile.
///
/// # Safety
/// The 16 bytes before `dst` are readable.
#[cold]
#[inline(never)]
unsafe fn block_before(dst: *mut u8) -> u128 {
    // SAFETY: the caller's duty.
    u128::from_ne_bytes(unsafe { dst.cast_const().sub(16).cast::<[u8; 16]>().read_volatile() })
}

//! A lane group of AES-CBC or AES-CFB encryption: every lane a job, the kernel advances them side by side.
//! Bytes that fill no block, as AES-DOCSIS and AES-CFB have them, are a run of their own, in `rest`.
//!
//! A run would end where the shortest job does, and jobs of many lengths would make many short runs. So a
//! run whose steps all fit into the log goes on to the longest job that ends within it: a lane that ends
//! earlier works in a scratch, and its output is copied out after the last step. A crash before that
//! finds the inputs of every step in the log.
#![expect(unsafe_code, reason = "calls the kernels, which take raw pointers")]

use shmem::seeded::{Bug, seeded};
use std::ptr;

use crate::journal::{self, Shape};
use crate::kernel::{BLOCK, Kernels, Lane, MAX_LANES};
use crate::keys::KeyId;
use crate::layout::LOG_SLOTS;
use crate::region::Region;

use super::columns::Columns;
use super::rest::{self, Due, Rest};
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
    /// Cipher feedback instead of cipher block chaining.
    is_cfb: bool,
    rounds: u32,
    capacity: usize,
    used: usize,
    any_in_place: bool,
    /// Bytes to go of each lane in whole blocks; 0 where there is none. And the least and most of the
    /// lanes in use.
    left: [u32; MAX_LANES],
    least_left: u32,
    most_left: u32,
    /// Whether all lanes use the key of lane 0.
    one_key: bool,
    lanes: [Lane; MAX_LANES],
    tickets: [Ticket; MAX_LANES],
    /// What follows each lane's whole blocks; nothing of it counts unless some lane may have something.
    rests: [Rest; MAX_LANES],
    any_rest: bool,
    columns: Columns,
    scratch: Scratch,
}

// SAFETY: the lanes' pointers lead into the segment that the manager around this group keeps mapped;
// nothing of them belongs to a thread.
unsafe impl Send for CbcGroup {}

impl CbcGroup {
    /// A group for keys of so many rounds.
    pub(super) fn new(rounds: u32, is_cfb: bool, capacity: usize) -> CbcGroup {
        let idle = Lane { src: ptr::null(), dst: ptr::null_mut(), chain: [0; 16] };
        CbcGroup {
            is_cfb,
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
            rests: [Rest::NONE; MAX_LANES],
            any_rest: false,
            columns: Columns::new(),
            scratch: Scratch([[0; SCRATCH]; MAX_LANES]),
        }
    }

    /// Puts a job into the next lane, or ends one that has less than a block to go; true if that was the
    /// last free lane.
    #[inline]
    pub(super) fn push_or_end(
        &mut self,
        kernels: Kernels,
        hall: Hall<'_>,
        states: &mut States,
        entry: &Entry<'_>,
    ) -> bool {
        if entry.job.len - entry.progress < BLOCK as u64 {
            rest::run_alone(kernels, hall, states, entry);
            return false;
        }
        self.push(hall, entry)
    }

    /// Puts a job with at least a block to go into the next lane; true if that was the last free one.
    #[inline(always)]
    pub(super) fn push(&mut self, hall: Hall<'_>, entry: &Entry<'_>) -> bool {
        let (lane, job) = (self.used & (MAX_LANES - 1), entry.job);
        self.columns.set(lane, job.key, || hall.keys.schedules(entry.key_index).0);
        #[expect(clippy::cast_possible_truncation, reason = "lengths are at most MAX_JOB_LEN")]
        let (len, done, block) = (job.len as u32, entry.progress as u32, BLOCK as u32);
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
        let rest = len % block;
        let left = len - done - rest;
        if self.any_rest || rest > 0 {
            self.put_rest(lane, Rest::of(src, dst, left, rest));
        }
        self.any_in_place |= in_place;
        self.one_key &= self.columns.has_first(lane);
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
            let step = match self.is_cfb {
                false => kernels.cbc_encrypt_step(lanes),
                true => kernels.least_step(),
            };
            #[expect(
                clippy::cast_possible_truncation,
                reason = "at most 16 lanes, a step of a slot, a few slots"
            )]
            let (lanes, step_bytes, all) = (lanes.len() as u8, step as u16, LOG_SLOTS as u8);
            let redo = if apart { all } else { 1 };
            journal::begin(region.journal(), Shape { total, step_bytes, lanes, redo })
        });
        let (keys, rounds) = (self.columns.for_run(self.one_key), self.rounds);
        // SAFETY: `Job::check` found the `left` bytes at each lane's `src` and `dst` in the arena,
        // which the region keeps mapped, the same or disjoint; `len` is at most that, or `stage` has
        // put a scratch of at least `len` bytes in their place. `push` set the key column of each lane
        // to a schedule of this group's `rounds`.
        unsafe {
            match self.is_cfb {
                false => kernels.cbc_encrypt(lanes, keys, rounds, len, log.as_ref()),
                true => kernels.cfb_encrypt(lanes, keys, rounds, len, log.as_ref()),
            }
        }
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
        if self.any_rest {
            self.end_rests(kernels, region, states);
        }
        self.close_gaps();
    }

    #[cold]
    #[inline(never)]
    fn put_rest(&mut self, lane: usize, rest: Rest) {
        if !self.any_rest {
            (self.rests, self.any_rest) = ([Rest::NONE; MAX_LANES], true);
        }
        self.rests[lane] = rest;
    }

    /// Ends the jobs whose whole blocks are complete and that have a rest.
    #[cold]
    #[inline(never)]
    fn end_rests(&mut self, kernels: Kernels, region: &Region, states: &mut States) {
        let mut due = [None; MAX_LANES];
        for (lane, due) in due.iter_mut().enumerate().take(self.used) {
            let (rest, Ticket { position, base, in_place }) =
                (self.rests[lane], self.tickets[lane]);
            if self.left[lane] == 0 && !rest.is_none() {
                *due = Some(Due { rest, position, base, in_place });
            }
        }
        let keys = self.columns.for_run(self.one_key);
        rest::run(kernels, region, states, (keys, self.rounds), &due[..self.used]);
    }

    /// Bytes of the next run: what the shortest job has left, or a little more where others end soon
    /// after it.
    fn reach(&self, kernels: Kernels) -> u32 {
        let most = kernels.least_step() * LOG_SLOTS;
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
            // One pointer for reading and writing: borrowing the scratch again would end this one.
            let scratch = scratch.as_mut_ptr();
            // SAFETY: `Job::check` found the `left` bytes at `src` in the arena; the scratch is this
            // process's, and longer than `total`.
            unsafe { ptr::copy_nonoverlapping(lane.src, scratch, left as usize) };
            *output = lane.dst;
            lane.src = scratch.cast_const();
            lane.dst = scratch;
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
        for ((index, (lane, ticket)), left) in lanes.enumerate().zip(&mut self.left) {
            if *left <= total {
                if self.any_rest && !self.rests[index].is_none() {
                    ticket.base += *left;
                    store_progress(region, ticket.position, u64::from(ticket.base));
                } else {
                    states.done(region, ticket.position);
                }
                *left = 0;
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
            (self.used, self.any_rest) = (0, false);
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
                if self.any_rest {
                    self.rests[lane] = self.rests[last];
                }
                self.left.swap(lane, last);
                self.columns.swap(lane, last);
            }
        }
        self.one_key = self.one_key || self.columns.is_one_key(self.used);
    }

    /// How many lanes' jobs use a key.
    pub(super) fn jobs_with_key(&self, key: KeyId) -> usize {
        self.columns.count(self.used, key)
    }

    /// Zeroizes the columns of a key.
    pub(super) fn forget_key(&mut self, key: KeyId) {
        self.columns.forget(key);
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
    u128::from_ne_bytes(unsafe { rest::block_before(dst) })
}

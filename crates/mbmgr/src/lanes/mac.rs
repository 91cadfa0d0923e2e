//! A lane group of MACs made of the AES-CBC chain: every lane a job, the kernel advances them side by
//! side. Called by `Lanes`.
//!
//! A job passes two stages: all its blocks but the last straight from the source, then the last one,
//! padded and xored with a key of its own, from a scratch of the lane. Nothing is journaled: the source
//! stays as it is, so a job that a crash interrupts starts over.
#![expect(unsafe_code, reason = "calls the kernels, which take raw pointers, and copies tags out")]

use shmem::seeded::{Bug, seeded};
use std::ptr;

use crate::cipher::tag_of;
use crate::kernel::{BLOCK, Kernels, Lane, MAX_LANES};
use crate::keys::KeyId;
use crate::region::Region;

use super::columns::Columns;
use super::{Entry, Hall, States};

/// What the kernel does not need to know of a lane.
#[derive(Clone, Copy)]
struct Ticket {
    position: u64,
    /// Blocks to go in this stage.
    left: usize,
    /// Whether the stage is that of the last block.
    is_ending: bool,
    /// The last block, padded and xored with its key.
    end: [u8; BLOCK],
    /// Null where the tag goes to `States::put_digest`.
    dst: *mut u8,
    tag: usize,
}

/// Lanes 0..used hold jobs; there are no gaps.
pub(super) struct MacGroup {
    rounds: u32,
    is_xcbc: bool,
    capacity: usize,
    used: usize,
    lanes: [Lane; MAX_LANES],
    tickets: [Ticket; MAX_LANES],
    columns: Columns,
}

// SAFETY: the pointers lead into the segment that the manager around this group keeps mapped; nothing
// of them belongs to a thread.
unsafe impl Send for MacGroup {}

impl MacGroup {
    /// A group for keys of so many rounds.
    pub(super) fn new(rounds: u32, is_xcbc: bool, capacity: usize) -> MacGroup {
        let idle = Lane { src: ptr::null(), dst: ptr::null_mut(), chain: [0; BLOCK] };
        let ticket = Ticket {
            position: 0,
            left: 0,
            is_ending: false,
            end: [0; BLOCK],
            dst: ptr::null_mut(),
            tag: 0,
        };
        MacGroup {
            rounds,
            is_xcbc,
            capacity,
            used: 0,
            lanes: [idle; MAX_LANES],
            tickets: [ticket; MAX_LANES],
            columns: Columns::new(),
        }
    }

    /// Puts a job into the next lane; true if that was the last free one.
    pub(super) fn push(&mut self, hall: Hall<'_>, entry: &Entry<'_>) -> bool {
        let (lane, job) = (self.used & (MAX_LANES - 1), entry.job.message());
        let (schedule, last) = hall.keys.mac(entry.key_index, self.is_xcbc);
        self.columns.set(lane, job.key, || schedule);
        let src = hall.region.address(job.src).as_ptr().cast_const();
        #[expect(clippy::cast_possible_truncation, reason = "a job is at most MAX_JOB_LEN long")]
        let len = job.len as usize;
        let blocks = len.saturating_sub(1) / BLOCK;
        let rest = len - blocks * BLOCK;
        let mut end = [0; BLOCK];
        // SAFETY: `Job::check` found the job's `len` bytes at `src` in the arena, which the region keeps
        // mapped.
        unsafe {
            let from = src.add(blocks * BLOCK);
            match rest {
                // A copy of constant length is a load, one of variable length a call.
                BLOCK => ptr::copy_nonoverlapping(from, end.as_mut_ptr(), BLOCK),
                _ => ptr::copy_nonoverlapping(from, end.as_mut_ptr(), rest),
            }
        }
        if rest < BLOCK {
            end[rest] = 0x80;
        }
        let last = u128::from_ne_bytes(last[usize::from(rest < BLOCK)]);
        let end = (u128::from_ne_bytes(end) ^ last).to_ne_bytes();
        self.lanes[lane] = Lane { src, dst: ptr::null_mut(), chain: [0; BLOCK] };
        self.tickets[lane] = Ticket {
            position: entry.position,
            left: blocks.max(1),
            is_ending: blocks == 0,
            end,
            dst: match entry.is_compared() {
                true => ptr::null_mut(),
                false => hall.region.address(job.dst).as_ptr(),
            },
            tag: job.digest,
        };
        self.used += 1;
        self.used == self.capacity
    }

    /// Advances all lanes until at least one job ends.
    pub(super) fn run(&mut self, kernels: Kernels, region: &Region, states: &mut States) {
        let before = self.used;
        let one_key = self.columns.is_one_key(before);
        while self.used > 0 && self.used == before {
            self.advance(kernels, one_key);
            // From the last lane down: where all end together, none has to be moved.
            for lane in (0..before).rev() {
                let ticket = &mut self.tickets[lane];
                if ticket.left > 0 {
                    continue;
                }
                if !ticket.is_ending {
                    (ticket.is_ending, ticket.left) = (true, 1);
                    continue;
                }
                if seeded(Bug::StatusBeforeTag) {
                    states.done(region, ticket.position);
                }
                self.write_tag(lane, region, states);
                states.done(region, self.tickets[lane].position);
                self.remove(lane);
            }
        }
    }

    /// Advances all lanes by the blocks that the nearest to its stage's end has left.
    fn advance(&mut self, kernels: Kernels, one_key: bool) {
        let tickets = &mut self.tickets[..self.used];
        let lanes = &mut self.lanes[..self.used];
        for (lane, ticket) in lanes.iter_mut().zip(&*tickets) {
            if ticket.is_ending {
                lane.src = ticket.end.as_ptr();
            }
        }
        let blocks = tickets.iter().map(|ticket| ticket.left).min().unwrap_or(0);
        let keys = self.columns.for_run(one_key);
        // SAFETY: each lane's pointer leads to `left` blocks: of the source, which `Job::check` found in
        // the arena, or the one of the ticket. `push` set the key column of each lane to a schedule of
        // this group's `rounds`.
        unsafe { kernels.cbc_mac(lanes, keys, self.rounds, blocks * BLOCK) };
        for (lane, ticket) in lanes.iter_mut().zip(tickets) {
            ticket.left -= blocks;
            lane.src = lane.src.wrapping_add(blocks * BLOCK);
        }
    }

    #[inline]
    fn write_tag(&self, lane: usize, region: &Region, states: &mut States) {
        let (ticket, tag) = (&self.tickets[lane], &self.lanes[lane].chain);
        if ticket.dst.is_null() {
            return states.put_digest(region, ticket.position, &tag_of(tag));
        }
        // SAFETY: `Job::check` found `tag` bytes at `dst` in the arena, which the region keeps mapped.
        unsafe { put_tag(tag, ticket.dst, ticket.tag) };
    }

    /// Moves the last lane into one whose job has ended.
    fn remove(&mut self, lane: usize) {
        self.used -= 1;
        let last = self.used;
        if lane != last {
            self.lanes.swap(lane, last);
            self.tickets.swap(lane, last);
            self.columns.swap(lane, last);
        }
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

/// Stores the first `len` bytes of a tag.
///
/// # Safety
/// `to` is writable for `len` bytes, at most a block.
#[inline(always)]
pub(super) unsafe fn put_tag(tag: &[u8; BLOCK], to: *mut u8, len: usize) {
    const HALF: usize = BLOCK / 2;
    // SAFETY: the caller's duty.
    unsafe {
        if len < HALF {
            ptr::copy_nonoverlapping(tag.as_ptr(), to, len);
        } else {
            // Two stores that may overlap: a copy of variable length is a call.
            let tag = tag.as_ptr();
            ptr::copy_nonoverlapping(tag, to, HALF);
            ptr::copy_nonoverlapping(tag.add(len - HALF), to.add(len - HALF), HALF);
        }
    }
}

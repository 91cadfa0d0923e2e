//! A lane group of AES-CBC encryption: every lane a job, the kernel advances them side by side.
#![expect(unsafe_code, reason = "calls the kernels, which take raw pointers")]

use shmem::seeded::{Bug, seeded};
use std::ptr;

use crate::journal::{self, Shape};
use crate::kernel::{Kernels, Lane, LaneKeys, MAX_LANES};
use crate::keys::KeyId;
use crate::region::Region;

use super::{Entry, Hall, States, store_progress};

/// What the kernel does not need to know of a lane.
#[derive(Clone, Copy, Default)]
struct Ticket {
    position: u64,
    /// Bytes complete.
    base: u32,
    /// Bytes to go.
    left: u32,
    in_place: bool,
}

/// Lanes 0..used hold jobs; there are no gaps.
pub(super) struct CbcGroup {
    rounds: u32,
    capacity: usize,
    used: usize,
    /// Whether a lane works in place, and the least `left` of all lanes.
    any_in_place: bool,
    least_left: u32,
    /// Whether all lanes use the key of lane 0.
    one_key: bool,
    lanes: [Lane; MAX_LANES],
    tickets: [Ticket; MAX_LANES],
    keys: LaneKeys,
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
            least_left: u32::MAX,
            one_key: true,
            lanes: [idle; MAX_LANES],
            tickets: [Ticket::default(); MAX_LANES],
            keys: LaneKeys::new(),
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
        let ticket = Ticket { position: entry.position, base: done, left: len - done, in_place };
        self.any_in_place |= in_place;
        self.one_key &= self.key_of[0] == job.key;
        self.least_left = self.least_left.min(ticket.left);
        self.tickets[lane] = ticket;
        self.used += 1;
        self.used == self.capacity
    }

    /// Advances all lanes by what the shortest has left, so that at least one job ends.
    pub(super) fn run(&mut self, kernels: Kernels, region: &Region, states: &mut States) {
        let tickets = &mut self.tickets[..self.used];
        let lanes = &mut self.lanes[..self.used];
        let total = self.least_left;
        let len = total as usize;
        let log = self.any_in_place.then(|| {
            for (lane, ticket) in tickets.iter().enumerate() {
                let index = region.index32(ticket.position);
                journal::record_lane(region.journal(), lane, index, ticket.base);
            }
            let step = kernels.cbc_encrypt_step(lanes);
            #[expect(
                clippy::cast_possible_truncation,
                reason = "at most 16 lanes, a step of a slot"
            )]
            let (lanes, step_bytes) = (lanes.len() as u8, step as u16);
            journal::begin(region.journal(), Shape { total, step_bytes, lanes, redo: 1 })
        });
        self.keys.set_shared(self.one_key);
        // SAFETY: `Job::check` found the `left` bytes at each lane's `src` and `dst` in the arena,
        // which the region keeps mapped, the same or disjoint; `len` is the least of them. `push` set
        // the key column of each lane to a schedule of this group's `rounds`.
        unsafe { kernels.cbc_encrypt(lanes, &self.keys, self.rounds, len, log.as_ref()) };
        if log.is_some() && seeded(Bug::JournalEndsEarly) {
            journal::end(region.journal());
        }

        let mut running = 0;
        for (lane, ticket) in lanes.iter_mut().zip(tickets) {
            ticket.left -= total;
            if ticket.left == 0 {
                states.done(region, ticket.position);
            } else {
                running += 1;
                ticket.base += total;
                let progress = if seeded(Bug::ProgressRelative) { total } else { ticket.base };
                store_progress(region, ticket.position, u64::from(progress));
                lane.src = lane.src.wrapping_add(len);
                lane.dst = lane.dst.wrapping_add(len);
            }
        }
        if log.is_some() {
            journal::end(region.journal());
        }
        if running == 0 {
            self.used = 0;
        } else {
            self.close_gaps();
        }
        let rest = &self.tickets[..self.used];
        self.one_key |= self.key_of[..self.used].iter().all(|key| *key == self.key_of[0]);
        self.any_in_place = rest.iter().any(|ticket| ticket.in_place);
        self.least_left = rest.iter().map(|ticket| ticket.left).min().unwrap_or(u32::MAX);
    }

    /// Moves the last lanes into those whose job has ended.
    fn close_gaps(&mut self) {
        let mut lane = 0;
        while lane < self.used {
            if self.tickets[lane].left > 0 {
                lane += 1;
                continue;
            }
            self.used -= 1;
            let last = self.used;
            if lane != last {
                self.lanes.swap(lane, last);
                self.tickets.swap(lane, last);
                if self.key_of[lane] != self.key_of[last] {
                    self.keys.swap(lane, last);
                    self.key_of.swap(lane, last);
                }
            }
        }
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

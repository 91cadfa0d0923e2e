//! A lane group of AES-CBC encryption: every lane a job, the kernel advances them side by side.
#![expect(unsafe_code, reason = "calls the kernels, which take raw pointers")]

use crate::algorithm::Algorithm;
use crate::journal::{self, Run};
use crate::kernel::{Kernels, Lane, LaneKeys, MAX_LANES};
use crate::keys::KeyId;

use super::{Entry, Hall, States, store_progress};

/// What the kernel does not need to know of a lane.
#[derive(Clone, Copy)]
struct Ticket {
    position: u64,
    /// Bytes complete.
    base: u64,
    /// Bytes to go.
    left: u64,
    key: u32,
    in_place: bool,
    what: u64,
}

/// Lanes 0..used hold jobs; there are no gaps.
pub(super) struct CbcGroup {
    rounds: u32,
    capacity: usize,
    used: usize,
    lanes: [Lane; MAX_LANES],
    tickets: [Ticket; MAX_LANES],
    keys: LaneKeys,
    /// Whose round keys stand in a lane's column of `keys`.
    key_of: [Option<KeyId>; MAX_LANES],
}

// SAFETY: the lanes' pointers lead into the segment that the manager around this group keeps mapped;
// nothing of them belongs to a thread.
unsafe impl Send for CbcGroup {}

impl CbcGroup {
    pub(super) fn new(algorithm: Algorithm, capacity: usize) -> CbcGroup {
        let rounds = match algorithm {
            Algorithm::Aes192Cbc => 12,
            Algorithm::Aes256Cbc => 14,
            _ => 10,
        };
        let ticket = Ticket { position: 0, base: 0, left: 0, key: 0, in_place: false, what: 0 };
        CbcGroup {
            rounds,
            capacity,
            used: 0,
            lanes: std::array::from_fn(|_| Lane {
                src: std::ptr::null(),
                dst: std::ptr::null_mut(),
                chain: [0; 16],
            }),
            tickets: [ticket; MAX_LANES],
            keys: LaneKeys::new(),
            key_of: [None; MAX_LANES],
        }
    }

    /// Puts a job into the next lane; true if that was the last free one.
    #[inline]
    pub(super) fn push(&mut self, hall: &mut Hall<'_>, entry: &Entry<'_>) -> bool {
        let (lane, job) = (self.used, entry.job);
        if self.key_of[lane] != job.key {
            self.keys.set(lane, hall.keys.schedules(entry.key).0);
            self.key_of[lane] = job.key;
        }
        #[expect(clippy::cast_possible_truncation, reason = "progress is below MAX_JOB_LEN")]
        let done = entry.progress as usize;
        let src = hall.region.address(job.src).as_ptr().wrapping_add(done);
        let dst = hall.region.address(job.dst).as_ptr().wrapping_add(done);
        let chain = if done == 0 {
            job.chain()
        } else {
            // SAFETY: `Job::check` found `dst` and the job's `len` bytes in the arena, and recovery
            // found `progress` a multiple of 16 between 16 and `len`.
            unsafe { dst.cast_const().sub(16).cast::<[u8; 16]>().read_volatile() }
        };
        self.lanes[lane] = Lane { src, dst, chain };
        self.tickets[lane] = Ticket {
            position: entry.position,
            base: entry.progress,
            left: job.len - entry.progress,
            key: entry.key,
            in_place: job.src == job.dst,
            what: job.pack(),
        };
        self.used += 1;
        self.used == self.capacity
    }

    /// Advances all lanes by what the shortest has left, so that at least one job ends.
    pub(super) fn run(&mut self, kernels: Kernels, hall: &mut Hall<'_>, states: &mut States) {
        let tickets = &mut self.tickets[..self.used];
        let lanes = &mut self.lanes[..self.used];
        let Some(total) = tickets.iter().map(|ticket| ticket.left).min() else { return };
        #[expect(clippy::cast_possible_truncation, reason = "a job is at most MAX_JOB_LEN long")]
        let len = total as usize;

        let region = hall.region;
        let logged = tickets.iter().any(|ticket| ticket.in_place);
        let log = logged.then(|| {
            let step = kernels.cbc_encrypt_step(lanes);
            #[expect(clippy::cast_possible_truncation, reason = "a step fits a log slot")]
            let run = Run { what: tickets[0].what, total, step_bytes: step as u32, redo: 1 };
            journal::begin(region.journal(), &run, tickets.iter().map(|t| (t.position, t.base)))
        });
        // SAFETY: `Job::check` found the `left` bytes at each lane's `src` and `dst` in the arena,
        // which the region keeps mapped, the same or disjoint; `len` is the least of them. `push` set
        // the key column of each lane to a schedule of this group's `rounds`.
        unsafe { kernels.cbc_encrypt(lanes, &self.keys, self.rounds, len, log.as_ref()) };

        for (lane, ticket) in lanes.iter_mut().zip(tickets) {
            ticket.left -= total;
            if ticket.left == 0 {
                states.done(hall, ticket.position, Some(ticket.key));
            } else {
                ticket.base += total;
                store_progress(region, ticket.position, ticket.base);
                lane.src = lane.src.wrapping_add(len);
                lane.dst = lane.dst.wrapping_add(len);
            }
        }
        if logged {
            journal::end(region.journal());
        }
        self.close_gaps();
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

//! A lane group of AES-CCM: the chains of up to 16 jobs side by side, then the counter mode of each by
//! itself. Called by `Lanes`, and by `recovery` for the step that was in flight.
//!
//! The chain only reads: the first block, the associated data and the plaintext, which a decryption makes
//! for the chain's eyes only. Then the tag is stored or compared, and only then does the counter mode
//! begin, with its input in the journal where it works in place. So a job without progress starts over,
//! and one with progress needs no chain any more.
#![expect(unsafe_code, reason = "calls the kernels, which take raw pointers, and copies messages")]

use std::ptr;

use crate::algorithm::Direction;
use crate::cipher::ccm::{aad_prefix, first_block, first_counter};
use crate::job::{Failure, Job};
use crate::journal;
use crate::kernel::{BLOCK, Kernels, Lane, MAX_LANES};
use crate::keys::KeyId;
use crate::region::Region;
use subtle::ConstantTimeEq;

use super::columns::Columns;
use super::mac::put_tag;
use super::{Entry, Hall, States, advance_counter, wide};

/// Bytes of the chain's input that a lane gathers before the kernel takes them in.
const ROOM: usize = 512;

/// A job and how far its chain has come.
struct Ticket {
    position: u64,
    text: Text,
    aad: *const u8,
    aad_len: usize,
    tag: *mut u8,
    tag_len: usize,
    encrypts: bool,
    /// Input of the chain that was gathered: the first block, associated data, text.
    has_begun: bool,
    aad_done: usize,
    text_done: usize,
    /// Blocks to go of what was gathered last, and where they begin: in the source, or at `at` in the lane's
    /// room.
    left: usize,
    source: Option<*const u8>,
    at: usize,
    /// The chain has ended, and the block that hides its value is on its way.
    is_ending: bool,
}

/// The message of a job, and its counter mode.
#[derive(Clone, Copy)]
struct Text {
    src: *const u8,
    dst: *mut u8,
    len: usize,
    key_index: u32,
    /// The counter block before those of the message.
    first: [u8; BLOCK],
}

/// Lanes hold jobs from the first on; there are no gaps.
pub(super) struct CcmGroup {
    rounds: u32,
    capacity: usize,
    tickets: Vec<Ticket>,
    lanes: [Lane; MAX_LANES],
    /// The chain's value, of a lane that is ending.
    macs: [[u8; BLOCK]; MAX_LANES],
    rooms: [[u8; ROOM]; MAX_LANES],
    /// Which of the rooms is a lane's.
    room_of: [usize; MAX_LANES],
    columns: Columns,
}

// SAFETY: the pointers lead into the segment that the manager around this group keeps mapped; nothing of
// them belongs to a thread.
unsafe impl Send for CcmGroup {}

impl CcmGroup {
    /// A group for keys of so many rounds.
    pub(super) fn new(rounds: u32, capacity: usize) -> CcmGroup {
        let idle = Lane { src: ptr::null(), dst: ptr::null_mut(), chain: [0; BLOCK] };
        CcmGroup {
            rounds,
            capacity,
            tickets: Vec::with_capacity(MAX_LANES),
            lanes: [idle; MAX_LANES],
            macs: [[0; BLOCK]; MAX_LANES],
            rooms: [[0; ROOM]; MAX_LANES],
            room_of: std::array::from_fn(|lane| lane),
            columns: Columns::new(),
        }
    }

    /// Puts a job into the next lane, or ends one whose chain has ended before a takeover; true if that
    /// was the last free lane.
    pub(super) fn push_or_end(
        &mut self,
        kernels: Kernels,
        hall: Hall<'_>,
        states: &mut States,
        entry: &Entry<'_>,
    ) -> bool {
        let (region, job) = (hall.region, entry.job);
        let text = Text::of(region, job, entry.key_index);
        if entry.progress > 0 {
            text.crypt(kernels, hall, states, entry.position, entry.progress);
            return false;
        }
        let lane = self.tickets.len() & (MAX_LANES - 1);
        self.columns.set(lane, job.key, || hall.keys.schedules(text.key_index).0);
        self.lanes[lane].chain = [0; BLOCK];
        let mut ticket = Ticket {
            position: entry.position,
            text,
            aad: region.address_of(job.aad, job.aad_len as usize).as_ptr().cast_const(),
            aad_len: job.aad_len as usize,
            tag: region.address(job.tag).as_ptr(),
            tag_len: job.digest_bytes(),
            encrypts: job.direction == Direction::Encrypt,
            has_begun: false,
            aad_done: 0,
            text_done: 0,
            left: 0,
            source: None,
            at: 0,
            is_ending: false,
        };
        ticket.gather(kernels, hall, &mut self.rooms[self.room_of[lane]]);
        self.tickets.push(ticket);
        self.tickets.len() == self.capacity
    }

    /// Advances all lanes until at least one job ends.
    pub(super) fn run(&mut self, kernels: Kernels, hall: Hall<'_>, states: &mut States) {
        let before = self.tickets.len();
        let one_key = self.columns.is_one_key(before);
        while !self.tickets.is_empty() && self.tickets.len() == before {
            self.advance(kernels, one_key);
            // From the last lane down: where all end together, none has to be moved.
            for lane in (0..before).rev() {
                let ticket = &mut self.tickets[lane];
                let room = &mut self.rooms[self.room_of[lane]];
                if ticket.left > 0 || ticket.gather(kernels, hall, room) {
                    continue;
                }
                if !ticket.is_ending {
                    // One more block in the lane, without a chain: the first counter block.
                    room[..BLOCK].copy_from_slice(&ticket.text.first);
                    ticket.take_from(None, 1);
                    ticket.is_ending = true;
                    self.macs[lane] = std::mem::take(&mut self.lanes[lane].chain);
                    continue;
                }
                self.end(lane, kernels, hall, states);
                self.remove(lane);
            }
        }
    }

    /// Advances all lanes by the blocks that the nearest to the end of what it gathered has left.
    fn advance(&mut self, kernels: Kernels, one_key: bool) {
        let blocks = self.tickets.iter().map(|ticket| ticket.left).min().unwrap_or(0);
        let lanes = &mut self.lanes[..self.tickets.len()];
        for ((lane, ticket), room) in lanes.iter_mut().zip(&mut self.tickets).zip(self.room_of) {
            let from = ticket.source.unwrap_or(self.rooms[room].as_ptr());
            lane.src = from.wrapping_add(ticket.at);
            ticket.at += blocks * BLOCK;
            ticket.left -= blocks;
        }
        let keys = self.columns.for_run(one_key);
        // SAFETY: each lane's pointer leads to `left` blocks: of the source, which `Job::check` found in
        // the arena, or of the lane's room. `push` set the key column of each lane to a schedule of this
        // group's `rounds`.
        unsafe { kernels.cbc_mac(lanes, keys, self.rounds, blocks * BLOCK) };
    }

    /// Stores or compares the tag of a job whose chain has ended, and runs its counter mode.
    fn end(&mut self, lane: usize, kernels: Kernels, hall: Hall<'_>, states: &mut States) {
        let Ticket { position, text, tag: at, tag_len, encrypts, .. } = self.tickets[lane];
        let stream = u128::from_ne_bytes(self.lanes[lane].chain);
        let tag = (u128::from_ne_bytes(self.macs[lane]) ^ stream).to_ne_bytes();
        if encrypts {
            // SAFETY: `Job::check` found the tag in the arena, and at most a block.
            unsafe { put_tag(&tag, at, tag_len) };
        } else {
            let mut expected = [0; BLOCK];
            // SAFETY: as above, the other way.
            unsafe { ptr::copy_nonoverlapping(at.cast_const(), expected.as_mut_ptr(), tag_len) };
            if !bool::from(tag[..tag_len].ct_eq(&expected[..tag_len])) {
                return states.failed(hall.region, position, Failure::TagMismatch);
            }
        }
        text.crypt(kernels, hall, states, position, 0);
    }

    /// Moves the last lane into one whose job has ended.
    fn remove(&mut self, lane: usize) {
        let last = self.tickets.len() - 1;
        self.tickets.swap_remove(lane);
        if lane != last {
            self.lanes.swap(lane, last);
            self.macs.swap(lane, last);
            self.room_of.swap(lane, last);
            self.columns.swap(lane, last);
        }
    }

    /// How many lanes' jobs use a key.
    pub(super) fn jobs_with_key(&self, key: KeyId) -> usize {
        self.columns.count(self.tickets.len(), key)
    }

    /// Zeroizes the columns of a key.
    pub(super) fn forget_key(&mut self, key: KeyId) {
        self.columns.forget(key);
    }
}

impl Ticket {
    /// Gathers more input of the chain, in whole blocks; false if there is none. A short message lies
    /// with what comes before it in the room, a long one is taken from where it is, unless it must be
    /// decrypted first.
    fn gather(&mut self, kernels: Kernels, hall: Hall<'_>, room: &mut [u8; ROOM]) -> bool {
        if self.is_ending {
            return false;
        }
        let mut filled = 0;
        if !self.has_begun {
            self.has_begun = true;
            let aad_len = self.aad_len as u64;
            let text = &self.text;
            let first = first_block(text.first, self.tag_len, aad_len, text.len as u64);
            room[..BLOCK].copy_from_slice(&first);
            filled = BLOCK;
        }
        if self.aad_done < self.aad_len {
            filled = self.gather_aad(room, filled);
        }
        let text = self.text;
        let left = text.len - self.text_done;
        let src = text.src.wrapping_add(self.text_done);
        if self.encrypts && left > ROOM - filled {
            if filled == 0 {
                // Whole blocks, from where they are.
                self.take_from(Some(src), left / BLOCK);
                self.text_done += left / BLOCK * BLOCK;
                return true;
            }
        } else if self.aad_done == self.aad_len {
            let count = if left < ROOM - filled { left } else { ROOM - filled };
            let to = room[filled..].as_mut_ptr();
            // SAFETY: `Job::check` found the source in the arena; the room is this process's, and has
            // `count` bytes and the rest of a block behind `filled`.
            unsafe {
                if self.encrypts {
                    copy_padded(src, to, count);
                } else {
                    let schedule = hall.keys.schedules(text.key_index).0;
                    let counter = counter_at(text.first, self.text_done as u64);
                    kernels.ctr(schedule, src, to, count, &counter, None);
                    ptr::write_bytes(to.add(count), 0, count.next_multiple_of(BLOCK) - count);
                }
            }
            self.text_done += count;
            filled += count.next_multiple_of(BLOCK);
        }
        self.take_from(None, filled / BLOCK);
        filled > 0
    }

    /// What the lane takes in next: so many blocks of the source, or of its room.
    fn take_from(&mut self, source: Option<*const u8>, blocks: usize) {
        (self.source, self.at, self.left) = (source, 0, blocks);
    }

    /// Associated data behind their length, as much as there is room for; returns what is filled then.
    #[cold]
    #[inline(never)]
    fn gather_aad(&mut self, room: &mut [u8; ROOM], mut filled: usize) -> usize {
        if self.aad_done == 0 {
            let (prefix, len) = aad_prefix(self.aad_len as u64);
            room[filled..filled + len].copy_from_slice(&prefix[..len]);
            filled += len;
        }
        let count = (self.aad_len - self.aad_done).min(ROOM - filled);
        let from = self.aad.wrapping_add(self.aad_done);
        // SAFETY: `Job::check` found the associated data in the arena, which the region keeps mapped.
        unsafe { ptr::copy_nonoverlapping(from, room[filled..][..count].as_mut_ptr(), count) };
        self.aad_done += count;
        let end = (filled + count).next_multiple_of(BLOCK);
        room[filled + count..end].fill(0);
        end
    }
}

impl Text {
    fn of(region: &Region, job: &Job, key_index: u32) -> Text {
        let (nonce, nonce_len) = nonce(region, job);
        #[expect(clippy::cast_possible_truncation, reason = "lengths are at most MAX_JOB_LEN")]
        let len = job.len as usize;
        Text {
            src: region.address(job.src).as_ptr().cast_const(),
            dst: region.address(job.dst).as_ptr(),
            len,
            key_index,
            first: first_counter(nonce, nonce_len),
        }
    }

    /// Runs the counter mode of the job at `position` to its end, from its progress.
    fn crypt(
        &self,
        kernels: Kernels,
        hall: Hall<'_>,
        states: &mut States,
        position: u64,
        progress: u64,
    ) {
        let region = hall.region;
        #[expect(clippy::cast_possible_truncation, reason = "lengths are at most MAX_JOB_LEN")]
        let (done, base) = (progress as usize, progress as u32);
        let len = self.len - done;
        let in_place = self.src == self.dst.cast_const() && len > 0;
        let log = in_place.then(|| wide::begin(region, position, base, len));
        let counter = counter_at(self.first, progress);
        let schedule = hall.keys.schedules(self.key_index).0;
        let (src, dst) = (self.src.wrapping_add(done), self.dst.wrapping_add(done));
        // SAFETY: `Job::check` found source and destination in the arena, which the region keeps mapped,
        // the same or disjoint; recovery found `progress` a multiple of a block or the whole length.
        unsafe { kernels.ctr(schedule, src, dst, len, &counter, log.as_ref()) };
        states.done(region, position);
        if log.is_some() {
            journal::end(region.journal());
        }
    }
}

/// Copies `len` bytes, and zeros to the end of a block.
///
/// # Safety
/// `from` is readable for `len` bytes, `to` writable to the end of a block.
unsafe fn copy_padded(from: *const u8, to: *mut u8, len: usize) {
    // Blocks by hand: a copy of variable length is a call.
    let whole = len / BLOCK * BLOCK;
    for offset in (0..whole).step_by(BLOCK) {
        // SAFETY: the caller's duty.
        unsafe { ptr::copy_nonoverlapping(from.add(offset), to.add(offset), BLOCK) };
    }
    if whole < len {
        let mut last = [0; BLOCK];
        // SAFETY: the caller's duty.
        unsafe {
            ptr::copy_nonoverlapping(from.add(whole), last.as_mut_ptr(), len - whole);
            ptr::copy_nonoverlapping(last.as_ptr(), to.add(whole), BLOCK);
        }
    }
}

/// The nonce, of at most 13 bytes, wherever it lies.
#[inline]
fn nonce(region: &Region, job: &Job) -> ([u8; BLOCK], usize) {
    if job.iv_at_len == 0 {
        return (job.chain(), job.iv_len());
    }
    let (mut nonce, len) = ([0; BLOCK], job.iv_len().min(BLOCK));
    let from = region.address(job.iv_at).as_ptr().cast_const();
    // SAFETY: `Job::check` found the nonce in the arena.
    unsafe { ptr::copy_nonoverlapping(from, nonce.as_mut_ptr(), len) };
    (nonce, len)
}

/// The counter block of the message's byte `at`, a multiple of a block.
fn counter_at(first: [u8; BLOCK], at: u64) -> [u8; BLOCK] {
    advance_counter(&first, at + BLOCK as u64)
}

/// The counter block of a step at byte `at` of a job.
pub(crate) fn counter_of_step(region: &Region, job: &Job, at: u64) -> [u8; BLOCK] {
    let (nonce, len) = nonce(region, job);
    counter_at(first_counter(nonce, len), at)
}

//! One job at a time, for every algorithm of `cipher`: reads its message from the segment in steps, and
//! keeps the journal where the result takes the message's place. Called by `Lanes::enqueue`, and by
//! `recovery` for the step that was in flight.
//!
//! A message in place survives a crash because each step's input and chaining value are in the journal
//! before the step's output is stored. A MAC only reads: of ciphertext it comes after the last step of
//! an encryption and before the first of a decryption, of plaintext it is computed, and compared or
//! stored, before the first step. So a job with progress never looks at its MAC's input in a state
//! between the two texts, and a decryption whose tag is wrong has written nothing.
#![expect(unsafe_code, reason = "copies between the segment and the process")]

use std::cell::Cell;
use std::marker::PhantomData;
use std::ops::Range;
use std::ptr;

use shmem::Offset;
use subtle::ConstantTimeEq;
use zerocopy::IntoBytes as _;
use zeroize::Zeroizing;

use crate::cipher::{Aead, Cipher, Mac, Request, Tag};
use crate::job::{Failure, Job, Side, Text, store_chain};
use crate::journal::{self, LOG_CHAIN, Log, Shape};
use crate::kernel::{BLOCK, Kernels, WIDE_STEP};
use crate::keys::KeyTable;
use crate::region::Region;

use super::{Entry, Hall, States};

#[cfg(test)]
mod tests;

/// A step, and a short last block that it takes along.
const ROOM: usize = WIDE_STEP + BLOCK - 1;

/// Text of a step, in words: they are zeroized one store each.
struct Part(Zeroizing<[u64; ROOM.div_ceil(8)]>);

impl Part {
    fn new() -> Part {
        Part(Zeroizing::new([0; ROOM.div_ceil(8)]))
    }

    /// The first `len` bytes.
    fn bytes(&mut self, len: usize) -> &mut [u8] {
        &mut self.0.as_mut_bytes()[..len]
    }
}

/// How the steps of `cipher` cover `total` bytes: all of one length, but that the last one takes a rest
/// of less than a block along.
pub(crate) fn steps(total: u64) -> u64 {
    let (whole, rest) = (total / WIDE_STEP as u64, total % WIDE_STEP as u64);
    if whole > 0 && rest < BLOCK as u64 { whole } else { total.div_ceil(WIDE_STEP as u64) }
}

/// Bytes of step `k` of `total`.
#[expect(clippy::cast_possible_truncation, reason = "at most ROOM")]
fn step_len(total: u64, k: u64) -> usize {
    let start = k * WIDE_STEP as u64;
    if k + 1 == steps(total) { (total - start) as usize } else { WIDE_STEP }
}

/// A job and where it stands.
pub(crate) struct Task<'a> {
    pub(crate) region: &'a Region,
    pub(crate) keys: &'a KeyTable,
    pub(crate) kernels: Kernels,
    pub(crate) job: &'a Job,
    pub(crate) key: u32,
    pub(crate) position: u64,
    /// Bytes complete: not 0 only after a takeover.
    pub(crate) progress: u64,
    /// Where a digest goes instead of the job's destination.
    pub(crate) digest: Option<&'a Cell<Tag>>,
    /// Where the message lies.
    pub(crate) text: Text,
}

/// How a row of the table runs and recovers its jobs.
pub(crate) trait Single: Sync {
    /// Writes the result, all but its commit.
    fn run(&self, task: &Task<'_>, request: &Request<'_>) -> Result<(), Failure>;
    /// Writes the outputs of one step again, from the journal.
    fn redo(&self, task: &Task<'_>, request: &Request<'_>, total: u64, k: u64);
}

/// A [`Cipher`] as the table has it.
pub(crate) struct ByCipher<C>(PhantomData<fn() -> C>);
/// A [`Mac`] as the table has it.
pub(crate) struct ByMac<M>(PhantomData<fn() -> M>);
/// An [`Aead`] as the table has it.
pub(crate) struct ByAead<A>(PhantomData<fn() -> A>);

impl<C> ByCipher<C> {
    pub(crate) const NEW: Self = ByCipher(PhantomData);
}
impl<M> ByMac<M> {
    pub(crate) const NEW: Self = ByMac(PhantomData);
}
impl<A> ByAead<A> {
    pub(crate) const NEW: Self = ByAead(PhantomData);
}

/// Runs a job to its end.
pub(super) fn run(kernels: Kernels, hall: Hall<'_>, states: &mut States, entry: &Entry<'_>) {
    let part = entry.part.map(|part| entry.job.alone(part));
    let job = part.as_ref().unwrap_or(entry.job);
    // A route that leads here for any other engine would report a job as done that nobody ran.
    let single = job.algorithm.row().engine.single().expect("an engine for single jobs");
    let (position, progress) = (entry.position, entry.progress);
    let key = entry.key_index;
    let digest = Cell::new([0; 64]);
    // A list of pieces that somebody changed since the job was checked.
    let Ok(text) = Text::of(job, hall.region) else {
        return states.failed(hall.region, position, Failure::DamagedSlot);
    };
    let task = Task {
        region: hall.region,
        keys: hall.keys,
        kernels,
        job,
        key,
        position,
        progress,
        digest: entry.is_compared().then_some(&digest),
        text,
    };
    match task.with_request(|request| single.run(&task, request)) {
        Ok(()) => {
            if entry.is_compared() {
                states.put_digest(hall.region, position, &Zeroizing::new(digest.replace([0; 64])));
            }
            states.done(hall.region, position);
        }
        Err(failure) => states.failed(hall.region, position, failure),
    }
    // Also where nothing was logged: idle stays idle.
    journal::end(hall.region.journal());
}

/// Writes the outputs of a step again. The caller has checked the record against the job.
pub(crate) fn redo(task: &Task<'_>, total: u64, k: u64) {
    if let Some(single) = task.job.algorithm.row().engine.single() {
        task.with_request(|request| single.redo(task, request, total, k));
    }
}

/// Where a run of this many bytes has got to after step `k`.
pub(crate) fn end_of_step(total: u64, k: u64) -> u64 {
    k * WIDE_STEP as u64 + step_len(total, k) as u64
}

impl Task<'_> {
    fn with_request<R>(&self, run: impl FnOnce(&Request<'_>) -> R) -> R {
        let job = self.job;
        let mut long = vec![0; job.iv_at_len as usize];
        self.read(job.iv_at, &mut long);
        let iv = if long.is_empty() { job.iv.as_bytes() } else { &long };
        run(&Request {
            kernels: self.kernels,
            algorithm: job.algorithm,
            direction: job.direction,
            key: job.key.and_then(|_| self.keys.material(self.key)),
            iv,
            len: job.len,
            aad_len: u64::from(job.aad_len),
            tag_len: job.digest_bytes(),
        })
    }

    /// Copies bytes that `Job::check` found in the arena.
    fn read(&self, at: Offset, into: &mut [u8]) {
        if into.is_empty() {
            return;
        }
        let from = self.region.address(at).as_ptr().cast_const();
        // SAFETY: `Job::check` found the bytes in the arena, which the region keeps mapped; `into` is
        // memory of this process.
        unsafe { ptr::copy_nonoverlapping(from, into.as_mut_ptr(), into.len()) };
    }

    /// As `read`, the other way.
    fn write(&self, at: Offset, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let to = self.region.address(at).as_ptr();
        #[cfg(test)]
        if tests::is_crash_point() {
            let half = bytes.len() / 2;
            // SAFETY: as in `read`.
            unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), to, half) };
            panic!("{}", tests::CRASH);
        }
        // SAFETY: as in `read`.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len()) };
        #[cfg(test)]
        tests::crash_point();
    }

    fn read_text(&self, side: Side, at: u64, into: &mut [u8]) {
        self.text.each(side, at, into.len(), |place, range| self.read(place, &mut into[range]));
    }

    fn write_text(&self, at: u64, bytes: &[u8]) {
        let write = |place, range: Range<usize>| self.write(place, &bytes[range]);
        self.text.each(Side::Destination, at, bytes.len(), write);
    }

    /// Hands one side of the message on in parts.
    fn each_of_text(&self, side: Side, mut take: impl FnMut(&[u8])) {
        let mut part = Part::new();
        let (mut done, len) = (0, self.job.len);
        while done < len {
            let count = usize::try_from(len - done).unwrap_or(WIDE_STEP).min(WIDE_STEP);
            let bytes = part.bytes(count);
            self.read_text(side, done, bytes);
            take(bytes);
            done += count as u64;
        }
    }

    /// Hands `len` bytes at `at` on in parts.
    fn each(&self, at: Offset, len: u64, mut take: impl FnMut(&[u8])) {
        let mut part = Part::new();
        let mut done = 0;
        while done < len {
            let count = usize::try_from(len - done).unwrap_or(WIDE_STEP).min(WIDE_STEP);
            let bytes = part.bytes(count);
            self.read(Offset::new(at.get() + done), bytes);
            take(bytes);
            done += count as u64;
        }
    }

    /// The message in steps, from the job's progress to its end.
    fn run_steps<C: Cipher>(&self, request: &Request<'_>) {
        let job = self.job;
        let total = job.len - self.progress;
        let log = (self.text.is_in_place() && total > 0).then(|| {
            let journal = self.region.journal();
            let index = self.region.index32(self.position);
            #[expect(clippy::cast_possible_truncation, reason = "lengths are at most MAX_JOB_LEN")]
            let (base, total, step_bytes) = (self.progress as u32, total as u32, WIDE_STEP as u16);
            journal::record_lane(journal, 0, index, base);
            journal::begin(journal, Shape { total, step_bytes, lanes: 1, redo: 1 })
        });
        let mut state = C::start(request);
        let mut chain = job.chain();
        let mut part = Part::new();
        for k in 0..steps(total) {
            let at = self.progress + k * WIDE_STEP as u64;
            let bytes = part.bytes(step_len(total, k));
            self.read_text(Side::Source, at, bytes);
            if let Some(log) = &log {
                // SAFETY: a slot holds a step with its rest below LOG_CHAIN, and a block there.
                unsafe {
                    let slot = log.slot(k);
                    ptr::copy_nonoverlapping(bytes.as_ptr(), slot, bytes.len());
                    ptr::copy_nonoverlapping(chain.as_ptr(), slot.add(LOG_CHAIN), BLOCK);
                }
                #[cfg(test)]
                tests::crash_point();
                log.commit(k);
                #[cfg(test)]
                tests::crash_point();
            }
            C::step(&mut state, at, &mut chain, bytes);
            self.write_text(at, bytes);
        }
    }

    /// One step again, from the log.
    fn redo_step<C: Cipher>(&self, request: &Request<'_>, total: u64, k: u64) {
        let log = Log::new(self.region.journal());
        let mut part = Part::new();
        let bytes = part.bytes(step_len(total, k));
        let mut chain = [0; BLOCK];
        // SAFETY: as in `run_steps`.
        unsafe {
            let slot = log.slot(k).cast_const();
            ptr::copy_nonoverlapping(slot, bytes.as_mut_ptr(), bytes.len());
            ptr::copy_nonoverlapping(slot.add(LOG_CHAIN), chain.as_mut_ptr(), BLOCK);
        }
        let at = self.progress + k * WIDE_STEP as u64;
        C::step(&mut C::start(request), at, &mut chain, bytes);
        self.write_text(at, bytes);
        if C::CHAINED {
            store_chain(self.region.slot(self.position), &chain);
        }
    }

    /// The tag over associated data and one side of the message: ciphertext as it is, or plaintext that is
    /// decrypted for the MAC's eyes only.
    fn aead_tag<A: Aead>(&self, request: &Request<'_>, at: Side, decrypt: bool) -> [u8; 64] {
        let mut auth = A::start(request);
        self.each(self.job.aad, request.aad_len, |part| A::aad(&mut auth, part));
        if decrypt {
            let mut stream = A::Stream::start(request);
            let mut plain = Part::new();
            let mut done = 0;
            self.each_of_text(at, |part| {
                let plain = plain.bytes(part.len());
                plain.copy_from_slice(part);
                A::Stream::step(&mut stream, done, &mut [0; BLOCK], plain);
                A::text(&mut auth, plain);
                done += part.len() as u64;
            });
        } else {
            self.each_of_text(at, |part| A::text(&mut auth, part));
        }
        A::tag(auth)
    }
}

impl<C: Cipher> Single for ByCipher<C> {
    fn run(&self, task: &Task<'_>, request: &Request<'_>) -> Result<(), Failure> {
        task.run_steps::<C>(request);
        Ok(())
    }

    fn redo(&self, task: &Task<'_>, request: &Request<'_>, total: u64, k: u64) {
        task.redo_step::<C>(request, total, k);
    }
}

impl<M: Mac> Single for ByMac<M> {
    fn run(&self, task: &Task<'_>, request: &Request<'_>) -> Result<(), Failure> {
        let mut state = M::start(request);
        task.each(task.job.src, task.job.len, |part| M::update(&mut state, part));
        let tag = M::finish(state);
        match task.digest {
            Some(digest) => digest.set(tag),
            None => task.write(task.job.dst, &tag[..request.tag_len]),
        }
        Ok(())
    }

    /// A MAC keeps no journal, and `recovery` accepts none of it.
    fn redo(&self, _task: &Task<'_>, _request: &Request<'_>, _total: u64, _k: u64) {}
}

impl<A: Aead> Single for ByAead<A> {
    fn run(&self, task: &Task<'_>, request: &Request<'_>) -> Result<(), Failure> {
        let job = task.job;
        let write = |tag: [u8; 64]| task.write(job.tag, &tag[..request.tag_len]);
        // With progress, what comes before the first step was done by an owner before.
        let fresh = task.progress == 0;
        if !request.encrypts() {
            if fresh {
                let tag = task.aead_tag::<A>(request, Side::Source, A::MACS_PLAINTEXT);
                let mut expected = [0; 64];
                task.read(job.tag, &mut expected[..request.tag_len]);
                let same = tag[..request.tag_len].ct_eq(&expected[..request.tag_len]);
                if !bool::from(same) {
                    return Err(Failure::TagMismatch);
                }
            }
            task.run_steps::<A::Stream>(request);
        } else if A::MACS_PLAINTEXT {
            if fresh {
                write(task.aead_tag::<A>(request, Side::Source, false));
            }
            task.run_steps::<A::Stream>(request);
        } else {
            task.run_steps::<A::Stream>(request);
            write(task.aead_tag::<A>(request, Side::Destination, false));
        }
        Ok(())
    }

    fn redo(&self, task: &Task<'_>, request: &Request<'_>, total: u64, k: u64) {
        task.redo_step::<A::Stream>(request, total, k);
    }
}

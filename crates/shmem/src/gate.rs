//! The gate before a lease: only who is inside changes who owns.
//!
//! The kernel compares a lease word with the number of the dying thread *in that thread's own pid
//! namespace*. Two containers have equal small numbers, so a process must not have a word in its
//! robust list that somebody else may own: its death would mark the living owner's word. Inside the
//! gate nobody else can come to own, so there a word can be registered before it is taken, and is
//! taken off the list after it is given up.
//!
//! Nothing of the gate lies in the segment. It is a lock on the segment's file which the kernel gives
//! to the next one when its holder's *last* thread is gone. So who gets in and finds the work of the one
//! before unfinished (`LeaseWords::intent`) knows that it is dead. Threads of one process are kept
//! apart by a word of this process, because such a lock does not do that.
//!
//! Closing any descriptor of the file gives the lock up, so our own segments close theirs under the
//! same word. An application should not open and close a segment's file by other means while it uses a
//! lease in it: if it did so within the microseconds of a takeover, and were killed within the same
//! ones, a candidate in another pid namespace could be marked dead in its stead.

use std::fs::File;
use std::mem::ManuallyDrop;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::{Error, Offset, Result, Segment, sys};

/// How often a busy gate is tried: others are inside for microseconds.
const ATTEMPTS: u32 = 200;

/// The process whose thread is inside a gate, or closes a file. A forked child finds its parent's
/// number: that thread is not its own, so it does not count.
static INSIDE: AtomicU32 = AtomicU32::new(0);

/// No other thread of this process is inside a gate while this lives.
struct OnlyThread;

impl OnlyThread {
    fn try_enter() -> Option<OnlyThread> {
        let me = std::process::id();
        let before = INSIDE.load(Ordering::Relaxed);
        // Acquire: pairs with the Release in `drop`.
        let entered = before != me
            && INSIDE.compare_exchange(before, me, Ordering::Acquire, Ordering::Relaxed).is_ok();
        // Not `then_some`: that makes one in any case, whose drop would let others in.
        entered.then(|| OnlyThread)
    }
}

impl Drop for OnlyThread {
    fn drop(&mut self) {
        // Release: pairs with the Acquire in `try_enter`.
        INSIDE.store(0, Ordering::Release);
    }
}

/// Being inside. Nobody else changes who owns the lease until it is dropped.
pub(crate) struct Gate<'a> {
    segment: &'a Segment,
    at: Offset,
    _thread: OnlyThread,
}

impl<'a> Gate<'a> {
    /// Enters the gate of the lease at `at`; `None` where another has been inside for longer than
    /// its work takes: it stands still, or is being torn down.
    pub(crate) fn enter(segment: &'a Segment, at: Offset) -> Result<Option<Gate<'a>>> {
        for _ in 0..ATTEMPTS {
            if let Some(gate) = Gate::try_enter(segment, at)? {
                return Ok(Some(gate));
            }
            std::thread::yield_now();
        }
        Ok(None)
    }

    fn try_enter(segment: &'a Segment, at: Offset) -> Result<Option<Gate<'a>>> {
        let Some(thread) = OnlyThread::try_enter() else { return Ok(None) };
        // What is written to a private copy no other process sees.
        if !segment.is_private() {
            let locked = sys::try_lock_byte(segment.file(), at.get());
            if !locked.map_err(|e| Error::system("fcntl(F_SETLK)", e))? {
                return Ok(None);
            }
        }
        Ok(Some(Gate { segment, at, _thread: thread }))
    }
}

impl Drop for Gate<'_> {
    fn drop(&mut self) {
        if !self.segment.is_private() {
            sys::unlock_byte(self.segment.file(), self.at.get());
        }
    }
}

/// Where an owner's presence is locked: far beyond any segment's end, apart for each lease, and for
/// each epoch, because the lock of an owner that died goes only with its last thread.
const PRESENCE: u64 = 1 << 40;
const EPOCHS: u64 = 1 << 10;

/// Says to the kernel that this process owns the lease at `at` with `epoch`, until it is gone or says
/// otherwise. Only who would mark a lease in the kernel's stead asks; where it cannot be said, or was taken
/// back by closing another descriptor of the file, that one has the identity in the lease words alone.
pub(crate) fn announce_presence(segment: &Segment, at: Offset, epoch: u64) {
    if !segment.is_private() {
        let _ = sys::try_lock_byte(segment.file(), presence(at, epoch));
    }
}

/// Takes back what [`announce_presence`] said.
pub(crate) fn end_presence(segment: &Segment, at: Offset, epoch: u64) {
    if !segment.is_private() {
        sys::unlock_byte(segment.file(), presence(at, epoch));
    }
}

/// Whether another process says that it owns. The kernel knows that in whatever pid namespace it
/// lives, and also of a process that was restored from a checkpoint (which includes its locks).
pub(crate) fn is_present(segment: &Segment, at: Offset, epoch: u64) -> Result<bool> {
    if segment.is_private() {
        return Ok(false);
    }
    sys::is_byte_locked(segment.file(), presence(at, epoch))
        .map_err(|e| Error::system("fcntl(F_GETLK)", e))
}

fn presence(at: Offset, epoch: u64) -> u64 {
    PRESENCE.wrapping_add(at.get().wrapping_mul(EPOCHS)).wrapping_add(epoch % EPOCHS)
}

/// The file of a segment, which is closed while no thread of this process is inside a gate.
pub(crate) struct GatedFile(ManuallyDrop<File>);

impl GatedFile {
    pub(crate) fn new(file: File) -> GatedFile {
        GatedFile(ManuallyDrop::new(file))
    }

    pub(crate) fn get(&self) -> &File {
        &self.0
    }
}

impl Drop for GatedFile {
    #[expect(unsafe_code, reason = "takes the file out, to close it at a chosen moment")]
    fn drop(&mut self) {
        let _thread = loop {
            match OnlyThread::try_enter() {
                Some(thread) => break thread,
                None => std::thread::yield_now(),
            }
        };
        // SAFETY: dropped here once; nobody can use `self` any more.
        unsafe { ManuallyDrop::drop(&mut self.0) };
    }
}

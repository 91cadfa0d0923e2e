//! The ownership lease: one process owns, the kernel tells when it dies, each owner has an epoch.
//!
//! `mbmgr` takes it to attach to a manager. What survives is [`LeaseWords`]; what is here belongs to
//! one process. Taking it: the word by compare-exchange, the identity, then the epoch, which
//! commits. A death in between leaves a word that the kernel has marked, and the next one goes on.

#![expect(unsafe_code, reason = "keeps a reference to the lease words beside their segment")]

use std::fmt;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::lease_thread::LeaseThread;
use crate::{Error, LeaseWords, Offset, Owner, Result, Segment, sys};

/// A word that changes under us more often than this is not one of ours.
const MAX_ATTEMPTS: u32 = 1000;
/// How long a new owner's identity may lag behind the word before we name what stands there.
const IDENTITY_YIELDS: u32 = 64;
/// How often a waiter looks whether the thread that it waits for exists at all.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// How long a killed process may take to end; it can be held up by a system call.
const KILL_TIMEOUT: Duration = Duration::from_secs(10);

/// How the lease came to be free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Previous {
    /// Nobody ever had it.
    Free,
    /// Its last owner released it.
    Released,
    /// Its last owner died.
    Died,
}

/// What came of trying or waiting.
#[derive(Debug)]
pub enum Acquire {
    /// The lease is ours.
    Acquired(Lease),
    /// Another owner lives.
    Held {
        /// The owner.
        by: Owner,
        /// To try again with.
        candidate: Candidate,
    },
}

/// A process that may come to own the lease: its lease thread runs, the kernel knows the word.
pub struct Candidate(Position);

/// The ownership, until it is released or dropped.
///
/// Any thread may hold it: it dies with the process, not with a thread. Dropping it without
/// [`Lease::release`] leaves the word marked as a death would. A forked child has a copy that is
/// not current, cannot be released, and does nothing when dropped.
pub struct Lease {
    position: Position,
    epoch: u64,
    previous: Previous,
}

/// A process's place before a lease. The thread is dropped first: it needs the words mapped.
struct Position {
    thread: LeaseThread,
    words: NonNull<LeaseWords>,
    segment: Arc<Segment>,
    at: Offset,
    /// This process, asked of the system before there is a hurry.
    me: Owner,
}

// SAFETY: the words are `Sync`, and stay mapped by the `Arc` beside the pointer.
unsafe impl Send for Position {}
// SAFETY: as above.
unsafe impl Sync for Position {}

impl Position {
    #[inline]
    fn words(&self) -> &LeaseWords {
        // SAFETY: came from a checked reference into the segment, which the `Arc` keeps mapped.
        unsafe { self.words.as_ref() }
    }
}

enum Attempt {
    Taken(Previous),
    Held(u32),
    Changed,
}

impl Candidate {
    /// Starts the lease thread for the lease words at `at`.
    pub fn new(segment: &Arc<Segment>, at: Offset) -> Result<Candidate> {
        let words = NonNull::from(segment.shared::<LeaseWords>(at)?);
        let thread = LeaseThread::start(segment, at)?;
        let (segment, me) = (Arc::clone(segment), Owner::current());
        Ok(Candidate(Position { thread, words, segment, at, me }))
    }

    pub(crate) fn segment(&self) -> &Arc<Segment> {
        &self.0.segment
    }

    pub(crate) fn at(&self) -> Offset {
        self.0.at
    }

    /// Takes the lease if nobody lives who has it.
    pub fn try_acquire(self) -> Result<Acquire> {
        self.check_process()?;
        for _ in 0..MAX_ATTEMPTS {
            match self.attempt(0) {
                Attempt::Taken(previous) => {
                    return Ok(Acquire::Acquired(self.into_lease(previous)));
                }
                Attempt::Held(_) => return Ok(self.held()),
                Attempt::Changed => {}
            }
        }
        Err(Error::corrupt("the lease word never stands still"))
    }

    /// Waits until the owner dies or releases, and takes the lease; gives up after `timeout`.
    ///
    /// While it sleeps, the calling thread has the shortest time slices that the scheduler gives
    /// (Linux 6.12 and later): else it may be woken on a core where the owner's memory is being torn
    /// down, and stand behind that.
    pub fn wait(self, timeout: Option<Duration>) -> Result<Acquire> {
        self.wait_or_stop(timeout, None)
    }

    /// As [`Candidate::wait`]; gives up also when `stop` is set and the word's waiters are woken.
    pub(crate) fn wait_or_stop(
        self,
        timeout: Option<Duration>,
        stop: Option<&AtomicBool>,
    ) -> Result<Acquire> {
        self.check_process()?;
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let mut waited = 0;
        let mut suspect = 0;
        let mut slices = None;
        loop {
            let held = match self.attempt(waited) {
                Attempt::Taken(previous) => {
                    return Ok(Acquire::Acquired(self.into_lease(previous)));
                }
                Attempt::Held(word) => Some(word),
                Attempt::Changed => None,
            };
            // Acquire: pairs with the Release in `Watch`.
            let stopped = stop.is_some_and(|stop| stop.load(Ordering::Acquire));
            if stopped || deadline.is_some_and(|at| Instant::now() >= at) {
                return Ok(self.held());
            }
            let Some(word) = held else { continue };
            if !self.announce(word) {
                continue;
            }
            // Others may be waiting too: who was woken must wake the next.
            waited = sys::WAITERS;
            if slices.is_none() {
                slices = Some(sys::ShortSlices::ask());
            }
            let waiting = word | sys::WAITERS;
            let look = Instant::now() + LOOK_INTERVAL;
            let until = deadline.map_or(look, |deadline| deadline.min(look));
            sys::wait_while(&self.0.words().word, waiting, Some(until))
                .map_err(|e| Error::system("futex", e))?;
            if Instant::now() >= look {
                suspect = self.look_for_owner(waiting, suspect)?;
            }
        }
    }

    /// Tells the owner, and the kernel at its death, to wake us. False if the word has changed.
    fn announce(&self, word: u32) -> bool {
        let waiting = word | sys::WAITERS;
        // Relaxed: it publishes nothing; the futex call compares the word again.
        let (now, relaxed) = (&self.0.words().word, Ordering::Relaxed);
        word == waiting || now.compare_exchange(word, waiting, relaxed, relaxed).is_ok()
    }

    /// The kernel marks the word of every owner that dies. A word that names no thread at all, twice
    /// in a row, is damaged: nobody would ever wake us. Returns the word if it is the first time.
    fn look_for_owner(&self, word: u32, suspect: u32) -> Result<u32> {
        let owner = self.0.words().identity();
        if owner.is_alive() || sys::thread_exists(word & sys::TID_MASK) {
            return Ok(0);
        }
        if word == suspect {
            self.bury(word, owner)?;
        }
        Ok(word)
    }

    /// Takes the lease from an owner that hangs: kills it, waits until it is dead, takes over.
    ///
    /// Refuses to kill its own process, and one that the lease words do not name beyond doubt.
    pub fn force(self) -> Result<Lease> {
        let candidate = match self.try_acquire()? {
            Acquire::Acquired(lease) => return Ok(lease),
            Acquire::Held { candidate, .. } => candidate,
        };
        candidate.kill_owner()?;
        match candidate.try_acquire()? {
            Acquire::Acquired(lease) => Ok(lease),
            // Another candidate was quicker.
            Acquire::Held { by, .. } => Err(Error::Held { owner: by }),
        }
    }

    /// Ends the owner, or finds that there is none and marks the word.
    fn kill_owner(&self) -> Result<()> {
        let owner = self.named_owner();
        // Acquire: pairs with the Release of whoever took or gave the word.
        let word = self.0.words().word.load(Ordering::Acquire);
        let tid = word & sys::TID_MASK;
        if tid == 0 {
            return Ok(());
        }
        if owner.pid == std::process::id() {
            return Err(Error::HeldByThisProcess { owner });
        }
        let failed = |source| Error::KillFailed { owner, source };
        let process = sys::ProcessHandle::open(owner.pid).map_err(failed)?;
        // The pid may have been reused before the handle was opened, not after: compare now.
        let Some(process) = process.filter(|_| owner.is_alive()) else {
            return self.bury(word, owner);
        };
        // The words are input: whoever does not have this very segment mapped is not its owner. A
        // process that does not show us its map is believed by its thread alone.
        let has_segment = sys::maps_file(owner.pid, self.0.segment.file()).unwrap_or(true);
        if owner.is_elsewhere() || !has_segment || !sys::thread_of(owner.pid, tid) {
            return Err(Error::OwnerUnclear { tid, owner });
        }
        process.kill().map_err(failed)?;
        if !process.wait_ended(Instant::now() + KILL_TIMEOUT).map_err(failed)? {
            return Err(failed(std::io::ErrorKind::TimedOut.into()));
        }
        Ok(())
    }

    /// The named owner is gone. The kernel marks the word of an owner that dies, so a word that
    /// still names a thread was not written by one of ours, or comes from a copy.
    fn bury(&self, word: u32, owner: Owner) -> Result<()> {
        let tid = word & sys::TID_MASK;
        if owner.is_elsewhere() || sys::thread_exists(tid) {
            return Err(Error::OwnerUnclear { tid, owner });
        }
        let died = (word & sys::WAITERS) | sys::OWNER_DIED;
        // A word that has changed meanwhile is somebody's: `try_acquire` will see.
        // AcqRel: pairs with the Acquire of `attempt`.
        let word_now = &self.0.words().word;
        let _ = word_now.compare_exchange(word, died, Ordering::AcqRel, Ordering::Acquire);
        Ok(())
    }

    /// Looks at the word once, and takes it if it is free; `add` are bits to set besides.
    fn attempt(&self, add: u32) -> Attempt {
        let words = self.0.words();
        // Acquire: pairs with the Release of `Lease::release`, and with the kernel's mark.
        let word = words.word.load(Ordering::Acquire);
        if word & sys::TID_MASK != 0 {
            return Attempt::Held(word);
        }
        let mine = self.0.thread.tid() | (word & sys::WAITERS) | add;
        // AcqRel: pairs with the same, and with the Acquire of `LeaseWords::owner`.
        match words.word.compare_exchange(word, mine, Ordering::AcqRel, Ordering::Acquire) {
            Err(_) => Attempt::Changed,
            Ok(_) if word & sys::OWNER_DIED != 0 => Attempt::Taken(Previous::Died),
            Ok(_) if words.epoch() == 0 => Attempt::Taken(Previous::Free),
            Ok(_) => Attempt::Taken(Previous::Released),
        }
    }

    fn into_lease(self, previous: Previous) -> Lease {
        let position = self.0;
        let epoch = position.words().become_owner(position.me);
        // Relaxed: process-local; who gets the lease on another thread synchronises by that.
        position.thread.held_epoch().store(epoch, Ordering::Relaxed);
        Lease { position, epoch, previous }
    }

    fn held(self) -> Acquire {
        Acquire::Held { by: self.named_owner(), candidate: self }
    }

    /// The identity beside the word, once a new owner has had the time to write it.
    fn named_owner(&self) -> Owner {
        let words = self.0.words();
        for _ in 0..IDENTITY_YIELDS {
            if words.identity().is_alive() {
                break;
            }
            std::thread::yield_now();
        }
        words.identity()
    }

    /// A forked child has no lease thread.
    fn check_process(&self) -> Result<()> {
        let thread = &self.0.thread;
        if thread.is_ours() { Ok(()) } else { Err(Error::OtherProcess { pid: thread.pid() }) }
    }
}

impl Lease {
    /// How many times the lease was taken, this time included.
    #[inline]
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Whether this is still the lease of the segment. False in a forked child, and once somebody
    /// else has taken over.
    #[inline]
    pub fn is_current(&self) -> bool {
        // Relaxed: only the question whether it is our number; a takeover needs our death first.
        // A forked child holds 0, which a damaged segment may show, but which is nobody's.
        let held = self.position.thread.held_epoch().load(Ordering::Relaxed);
        held != 0 && self.position.words().epoch.load(Ordering::Relaxed) == held
    }

    /// How the lease came to be free before.
    pub fn previous(&self) -> Previous {
        self.previous
    }

    /// Gives the lease up, so that the next owner finds it [`Previous::Released`].
    pub fn release(self) -> Result<()> {
        let thread = &self.position.thread;
        if !thread.is_ours() {
            return Err(Error::OtherProcess { pid: thread.pid() });
        }
        let words = self.position.words();
        for _ in 0..MAX_ATTEMPTS {
            let word = words.word.load(Ordering::Relaxed);
            if word & sys::TID_MASK != thread.tid() || !self.is_current() {
                return Err(Error::Fenced { epoch: self.epoch, current: words.epoch() });
            }
            // Commits: nobody owns. Release pairs with the Acquire of `Candidate::attempt`.
            let freed = words.word.compare_exchange(word, 0, Ordering::Release, Ordering::Relaxed);
            if freed.is_ok() {
                if word & sys::WAITERS != 0 {
                    sys::wake_one(&words.word);
                }
                // The word does not name the lease thread any more: it may end, with `self`.
                return Ok(());
            }
        }
        Err(Error::corrupt("the lease word never stands still"))
    }
}

impl fmt::Debug for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Candidate").field("tid", &self.0.thread.tid()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("epoch", &self.epoch)
            .field("previous", &self.previous)
            .finish_non_exhaustive()
    }
}

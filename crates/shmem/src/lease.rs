//! The ownership lease: one process owns, the kernel tells when it dies, each owner has an epoch.
//!
//! `mbmgr` takes it to attach to a manager. What survives is [`LeaseWords`]; what is here belongs to
//! one process. It is taken inside the gate (`gate.rs`): the intent, the identity, the word by
//! compare-exchange, then the epoch, which commits. Where the word is marked, the former owner's last
//! stores are awaited first (`sys/linux_death.rs`). A candidate that dies on the way leaves a marked
//! word or its intent, and the next one goes on.

#![expect(unsafe_code, reason = "keeps a reference to the lease words beside their segment")]

mod force;

use std::fmt;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::gate::{Gate, announce_presence, end_presence};
use crate::lease_thread::LeaseThread;
use crate::{Error, LeaseWords, Offset, Owner, Result, Segment, sys};

/// A word that changes under us more often than this is not one of ours.
const MAX_ATTEMPTS: u32 = 1000;
/// How often a waiter wakes by itself. The kernel wakes it when the owner's word is marked; it wakes
/// nobody where a candidate died on its way to own, or after it was woken.
const LOOK_INTERVAL: Duration = Duration::from_millis(100);
/// How often a waiter looks whether the thread that it waits for exists at all.
const OWNER_INTERVAL: Duration = Duration::from_secs(1);
/// How long a waiter leaves a busy gate alone.
const BUSY_INTERVAL: Duration = Duration::from_millis(1);
/// How long giving up waits for the gate: as long as the teardown of a big process may take.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(10);

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

/// A process that may come to own the lease: its lease thread runs.
///
/// The kernel knows nothing of the lease word before the lease is taken, so a candidate may go away
/// or be killed at any time: nobody notices.
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
    /// The lease is ours, with this epoch.
    Taken(Previous, u64),
    /// This word names a thread.
    Held(u32),
    /// Somebody else is inside the gate, before this word.
    Busy(u32),
    Changed,
}

impl Candidate {
    /// Does ahead of time what the first candidate of a process needs of the kernel. Of a process that
    /// has one thread, at the start of `main`, it takes a microsecond; later the kernel waits for a grace
    /// period, some 10 to 25 ms.
    ///
    /// # Errors
    /// As [`Candidate::new`], of `membarrier(2)`.
    pub fn prepare_process() -> Result<()> {
        sys::let_others_await_us()
            .map_err(|e| Error::system("membarrier (needed to own: allow this call)", e))
    }

    /// Starts the lease thread for the lease words at `at`.
    ///
    /// # Errors
    /// Also where the system has no expedited `membarrier(2)` (Linux before 4.16, or a filter of
    /// system calls): without it nobody could take over from this process for sure.
    pub fn new(segment: &Arc<Segment>, at: Offset) -> Result<Candidate> {
        let words = NonNull::from(segment.shared::<LeaseWords>(at)?);
        Candidate::prepare_process()?;
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
            match self.attempt(0)? {
                Attempt::Taken(previous, epoch) => {
                    return Ok(Acquire::Acquired(self.into_lease(previous, epoch)));
                }
                Attempt::Held(_) | Attempt::Busy(_) => return Ok(self.held()),
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
        let mut next_look = Instant::now() + OWNER_INTERVAL;
        let mut slices = None;
        loop {
            let (word, interval) = match self.attempt(waited)? {
                Attempt::Taken(previous, epoch) => {
                    return Ok(Acquire::Acquired(self.into_lease(previous, epoch)));
                }
                Attempt::Held(word) => (Some(word), LOOK_INTERVAL),
                Attempt::Busy(word) => (Some(word), BUSY_INTERVAL),
                Attempt::Changed => (None, LOOK_INTERVAL),
            };
            // Acquire: pairs with the Release in `Watch`.
            let stopped = stop.is_some_and(|stop| stop.load(Ordering::Acquire));
            if stopped || deadline.is_some_and(|at| Instant::now() >= at) {
                return Ok(self.held());
            }
            let Some(word) = word else { continue };
            let waiting = if word & sys::TID_MASK == 0 {
                // Busy: who is inside changes the word, and wakes nobody.
                word
            } else if self.announce(word) {
                // Others may be waiting too: who was woken must wake the next.
                waited = sys::WAITERS;
                word | sys::WAITERS
            } else {
                continue;
            };
            if slices.is_none() {
                slices = Some(sys::ShortSlices::ask());
            }
            let look = Instant::now() + interval;
            let until = deadline.map_or(look, |deadline| deadline.min(look));
            sys::wait_while(&self.0.words().word, waiting, Some(until))
                .map_err(|e| Error::system("futex", e))?;
            if Instant::now() >= next_look {
                self.look_for_owner(waiting)?;
                next_look = Instant::now() + OWNER_INTERVAL;
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

    /// The kernel marks the word of every owner that dies. A word whose owner is gone all the same is
    /// damaged, or a copy: nobody would ever wake us, so it is marked here. While it cannot be told,
    /// we wait on.
    fn look_for_owner(&self, word: u32) -> Result<()> {
        match self.mark_in_stead_of_kernel(word) {
            Err(Error::OwnerUnclear { .. } | Error::Busy) => Ok(()),
            other => other,
        }
    }

    /// Looks at the word once, and takes it if it is free; `add` are bits to set besides.
    fn attempt(&self, add: u32) -> Result<Attempt> {
        let words = self.0.words();
        // Acquire: pairs with the Release of `Lease::release`, and with the kernel's mark.
        let word = words.word.load(Ordering::Acquire);
        if word & sys::TID_MASK != 0 && !words.is_intended() {
            return Ok(Attempt::Held(word));
        }
        match Gate::enter(&self.0.segment, self.0.at)? {
            Some(gate) => self.attempt_inside(&gate, add),
            None => Ok(Attempt::Busy(word)),
        }
    }

    /// As [`Candidate::attempt`], where nobody else can come to own.
    fn attempt_inside(&self, _gate: &Gate<'_>, add: u32) -> Result<Attempt> {
        let (words, notice) = (self.0.words(), self.0.thread.notice());
        // Acquire: as in `attempt`.
        let mut word = words.word.load(Ordering::Acquire);
        // Who was inside before us and left this has died there: a thread that the word names is its.
        let left = words.is_intended();
        if word & sys::TID_MASK != 0 && !left {
            return Ok(Attempt::Held(word));
        }
        let previous = match word & sys::OWNER_DIED {
            0 if !left && words.epoch() == 0 => Previous::Free,
            0 if !left => Previous::Released,
            _ => Previous::Died,
        };
        if previous == Previous::Died {
            sys::await_last_stores().map_err(|e| Error::system("membarrier", e))?;
        }
        words.intend(self.0.me);
        notice.begin_change();
        let taken = loop {
            let mine = self.0.thread.tid() | (word & sys::WAITERS) | add;
            // AcqRel: pairs with the same, and with the Acquire of `LeaseWords::owner`.
            let order = (Ordering::AcqRel, Ordering::Acquire);
            match words.word.compare_exchange(word, mine, order.0, order.1) {
                Ok(_) => break true,
                // A waiter has announced itself. Nothing else changes here but by damage.
                Err(now) if now == word | sys::WAITERS => word = now,
                Err(_) => break false,
            }
        };
        if !taken {
            notice.end_change();
            words.intended();
            return Ok(Attempt::Changed);
        }
        notice.hold();
        notice.end_change();
        let epoch = words.become_owner();
        announce_presence(&self.0.segment, self.0.at, epoch);
        // A thread that is dying, on another core than its lease thread, may come as far as here after
        // the kernel has read its list: then no mark will ever come, and the intent must stay. It
        // does not come back from this call.
        sys::prove_alive();
        words.intended();
        Ok(Attempt::Taken(previous, epoch))
    }

    fn into_lease(self, previous: Previous, epoch: u64) -> Lease {
        let position = self.0;
        // Relaxed: process-local; who gets the lease on another thread synchronises by that.
        position.thread.held_epoch().store(epoch, Ordering::Relaxed);
        Lease { position, epoch, previous }
    }

    fn held(self) -> Acquire {
        Acquire::Held { by: self.0.words().identity(), candidate: self }
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
        let since = Instant::now();
        let _gate = loop {
            if let Some(gate) = Gate::enter(&self.position.segment, self.position.at)? {
                break gate;
            }
            if since.elapsed() > RELEASE_TIMEOUT {
                return Err(Error::Busy);
            }
        };
        let (words, notice) = (self.position.words(), thread.notice());
        for _ in 0..MAX_ATTEMPTS {
            let word = words.word.load(Ordering::Relaxed);
            if word & sys::TID_MASK != thread.tid() || !self.is_current() {
                // Whoever owns now, it is not us: the kernel must not take us for it.
                notice.let_go();
                return Err(Error::Fenced { epoch: self.epoch, current: words.epoch() });
            }
            notice.begin_change();
            // Commits: nobody owns. Release pairs with the Acquire of `Candidate::attempt`.
            let freed = words.word.compare_exchange(word, 0, Ordering::Release, Ordering::Relaxed);
            if freed.is_ok() {
                notice.let_go();
            }
            notice.end_change();
            if freed.is_ok() {
                if word & sys::WAITERS != 0 {
                    sys::wake_one(&words.word);
                }
                return Ok(());
            }
        }
        Err(Error::corrupt("the lease word never stands still"))
    }
}

impl Drop for Lease {
    /// The lease thread's end marks the word, unless somebody else owns by now.
    fn drop(&mut self) {
        if !self.position.thread.is_ours() {
            return;
        }
        end_presence(&self.position.segment, self.position.at, self.epoch);
        if !self.is_current() {
            self.position.thread.notice().let_go();
        }
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

//! Waiting for a lease in an event loop: a thread waits, a descriptor becomes readable.
//!
//! The thread takes the lease itself, at once when its owner is gone, and then signals: whoever polls
//! late has already won. Nothing of it lies in the segment.

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use crate::{Acquire, Candidate, Error, LeaseWords, Offset, Result, Segment, sys};

/// How often a waiter that is to stop is woken until it has seen it.
const STOP_INTERVAL: Duration = Duration::from_micros(200);

/// A candidate that waits in a thread of its own.
pub struct Watch {
    segment: Arc<Segment>,
    at: Offset,
    pid: u32,
    ready: Arc<sys::ReadyEvent>,
    stop: Arc<AtomicBool>,
    waiter: Option<JoinHandle<Result<Acquire>>>,
}

impl Candidate {
    /// Waits for the lease in a thread, so that the caller can wait for a descriptor.
    pub fn watch(self) -> Result<Watch> {
        let ready = sys::ReadyEvent::new().map_err(|e| Error::system("eventfd", e))?;
        let (ready, stop) = (Arc::new(ready), Arc::new(AtomicBool::new(false)));
        let (segment, at) = (Arc::clone(self.segment()), self.at());
        let (its_ready, its_stop) = (Arc::clone(&ready), Arc::clone(&stop));
        let waiter = Builder::new()
            .name("lease watch".to_owned())
            .spawn(move || {
                sys::block_signals();
                let outcome = self.wait_or_stop(None, Some(&its_stop));
                its_ready.signal();
                outcome
            })
            .map_err(|e| Error::system("starting the watching thread", e))?;
        let pid = std::process::id();
        Ok(Watch { segment, at, pid, ready, stop, waiter: Some(waiter) })
    }
}

impl Watch {
    /// Whether the wait is over: [`Watch::take`] then gives the lease, or the error.
    pub fn is_ready(&self) -> bool {
        self.waiter.as_ref().is_some_and(JoinHandle::is_finished)
    }

    /// Ends the wait. Where the owner still lives, this gives the candidate back.
    pub fn take(mut self) -> Result<Acquire> {
        match self.end() {
            Some(outcome) => outcome,
            None => Err(Error::OtherProcess { pid: self.pid }),
        }
    }

    fn end(&mut self) -> Option<Result<Acquire>> {
        let waiter = self.waiter.take()?;
        if self.pid != std::process::id() {
            // A forked child: the thread runs in the parent, and joining it would never return.
            std::mem::forget(waiter);
            return None;
        }
        // Release: pairs with the Acquire in `wait_or_stop`.
        self.stop.store(true, Ordering::Release);
        while !waiter.is_finished() {
            if let Ok(words) = self.segment.shared::<LeaseWords>(self.at) {
                // Others that wait are woken too; they look, and wait on.
                sys::wake_all(&words.word);
            }
            // A wake-up is missed by who is not asleep yet: hence again.
            std::thread::sleep(STOP_INTERVAL);
        }
        let panicked = |_| Err(Error::system("the watching thread", std::io::ErrorKind::Other));
        Some(waiter.join().unwrap_or_else(panicked))
    }
}

impl AsFd for Watch {
    /// Becomes readable when the wait is over, and stays so.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ready.as_fd()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        // A lease that was won and is not wanted is dropped like any other.
        let _ = self.end();
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("ready", &self.is_ready()).finish_non_exhaustive()
    }
}

//! Waiting for a word of shared memory to change, without polling: what `Candidate` does with its lease,
//! for whoever has words of his own there. The tests and the measurements of `fixtures` call it; a
//! waiter that dies leaves nothing behind.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use crate::{Error, Result, sys};

/// Waits while the word is `seen`, at most until `deadline`. It may also return for no reason.
pub fn wait_while(word: &AtomicU32, seen: u32, deadline: Option<Instant>) -> Result<()> {
    sys::wait_while(word, seen, deadline).map_err(|e| Error::system("futex", e))
}

/// Changes the word, and wakes everyone who waits for that, in any process.
pub fn ring(word: &AtomicU32) {
    // Release: what was stored before is there for who sees the word changed, by an Acquire load.
    word.fetch_add(1, Ordering::Release);
    sys::wake_all(word);
}

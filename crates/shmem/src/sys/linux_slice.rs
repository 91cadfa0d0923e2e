//! The scheduler's time slices, for a thread that waits for a death.
//!
//! The core that a waiter is woken on may be the one where the dying owner tears its memory down,
//! which takes some hundred microseconds for a small process. A kernel without full preemption lets
//! the waiter in between only if its slice is the shorter one. The lease calls it.

#![expect(unsafe_code, reason = "system calls")]

use std::mem::MaybeUninit;

use libc::sched_attr;
use nix::errno::Errno;

/// The shortest slice that the scheduler gives, in nanoseconds.
const SHORTEST_NS: u64 = 100_000;
/// Flags that are read and must be written again, or they are lost.
const KEPT_FLAGS: u64 = libc::SCHED_FLAG_RESET_ON_FORK as u64;

/// While it lives, the thread that made it has the shortest slices.
pub(crate) struct ShortSlices {
    before: sched_attr,
}

impl ShortSlices {
    /// `None` where the system has no such wish (before Linux 6.12), where the thread has a policy of
    /// its own, or where a sandbox forbids to ask: the wait is then a wait like any other.
    pub(crate) fn ask() -> Option<ShortSlices> {
        let mut before = this_thread()?;
        let shares = [libc::SCHED_OTHER, libc::SCHED_BATCH].map(i32::cast_unsigned);
        if !shares.contains(&before.sched_policy) || before.sched_runtime <= SHORTEST_NS {
            return None;
        }
        before.sched_flags &= KEPT_FLAGS;
        set_this_thread(&sched_attr { sched_runtime: SHORTEST_NS, ..before })?;
        Some(ShortSlices { before })
    }
}

impl Drop for ShortSlices {
    fn drop(&mut self) {
        // What was allowed a moment ago; if it is not now, short slices do no harm.
        let _ = set_this_thread(&self.before);
    }
}

/// How the calling thread is scheduled; its slice is 0 where the system does not tell.
fn this_thread() -> Option<sched_attr> {
    let mut attributes = MaybeUninit::<sched_attr>::zeroed();
    let len = size_of::<sched_attr>();
    // SAFETY: the kernel writes at most `len` bytes there.
    let got = unsafe { libc::syscall(libc::SYS_sched_getattr, 0, attributes.as_mut_ptr(), len, 0) };
    Errno::result(got).ok()?;
    // SAFETY: integers, zeros where the kernel wrote nothing.
    Some(unsafe { attributes.assume_init() })
}

fn set_this_thread(attributes: &sched_attr) -> Option<()> {
    // SAFETY: the kernel reads a struct whose length stands in it.
    let set = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, attributes, 0) };
    Errno::result(set).ok().map(drop)
}

#[cfg(test)]
mod tests {
    use super::{SHORTEST_NS, ShortSlices, this_thread};

    #[test]
    fn slices_are_short_until_the_wish_is_dropped() {
        let before = this_thread().unwrap();
        let wish = ShortSlices::ask();
        let during = this_thread().unwrap();
        // An older system tells of no slice, and is not asked.
        assert_eq!(wish.is_some(), before.sched_runtime > SHORTEST_NS);
        if wish.is_some() {
            assert_eq!(during.sched_runtime, SHORTEST_NS);
        }
        assert!(ShortSlices::ask().is_none(), "shorter than the shortest");
        drop(wish);
        let after = this_thread().unwrap();
        let facts = |a: &libc::sched_attr| (a.sched_policy, a.sched_nice, a.sched_runtime);
        assert_eq!(facts(&after), facts(&before));
    }
}

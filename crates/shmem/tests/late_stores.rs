//! A takeover begins when the former owner's last store is made, and not when the kernel marks the
//! lease: the lease thread of a killed process may be gone while others of its threads still run.
//!
//! An owner has a thread on each core that does nothing but store. It is killed; whoever takes over
//! looks at once, and again a while later: nothing may have changed in between.

#![expect(unsafe_code, reason = "forks")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork};
use shmem::{Acquire, Candidate, Lease, Offset, Segment, SegmentOptions};

/// Far beyond what any of this takes; only a failure waits so long.
const LONG: Duration = Duration::from_secs(20);
/// How long a store that comes late has to be seen.
const WATCH: Duration = Duration::from_micros(100);
/// A core that stores is found by its counter, which lies in a line of its own.
const LINE: u64 = 64;

fn rounds() -> u64 {
    let exhaustive = std::env::var("NEXTEST_PROFILE").is_ok_and(|name| name == "exhaustive");
    if exhaustive { 100_000 } else { 100 }
}

/// The cores that this process may use.
fn cores() -> Vec<usize> {
    let allowed = sched_getaffinity(Pid::from_raw(0)).unwrap();
    (0..CpuSet::count()).filter(|&core| allowed.is_set(core).unwrap_or(false)).collect()
}

/// A process that stores; killed when dropped.
struct Storing(Pid);

impl Storing {
    fn kill(&self) {
        kill(self.0, Signal::SIGKILL).unwrap();
    }
}

impl Drop for Storing {
    fn drop(&mut self) {
        let _ = kill(self.0, Signal::SIGKILL);
        let ended = waitpid(self.0, None);
        // It ended as it should in each test that has not failed already.
        let killed = ended == Ok(WaitStatus::Signaled(self.0, Signal::SIGKILL, false));
        assert!(killed || std::thread::panicking(), "{ended:?}");
    }
}

struct Scene {
    segment: Arc<Segment>,
    lease: Offset,
    counters: Offset,
    cores: Vec<usize>,
}

impl Scene {
    fn new() -> Scene {
        let options = SegmentOptions { len: 1 << 16, ..SegmentOptions::default() };
        let segment = Segment::create_anonymous("late", &options).unwrap();
        let cores = cores();
        let lease = segment.arena().alloc(64, 64).unwrap();
        let counters = segment.arena().alloc(LINE * cores.len() as u64, LINE).unwrap();
        Scene { segment, lease, counters, cores }
    }

    fn candidate(&self) -> Candidate {
        Candidate::new(&self.segment, self.lease).unwrap()
    }

    fn counter(&self, index: usize) -> &AtomicU64 {
        self.segment.shared(self.counters.add(LINE * index as u64).unwrap()).unwrap()
    }

    fn counts(&self) -> Vec<u64> {
        (0..self.cores.len()).map(|i| self.counter(i).load(Ordering::Relaxed)).collect()
    }

    /// An owner that stores on every core, in a process of its own. One that gives up drops its lease
    /// once it stores, and stores on.
    fn owner(&self, gives_up: bool) -> Storing {
        let before = self.counts();
        // SAFETY: the child takes no lock that another thread of this process could hold but malloc's,
        // which the C library sees to; it ends by a signal.
        match unsafe { fork() }.unwrap() {
            ForkResult::Child => self.store_until_killed(gives_up),
            ForkResult::Parent { child } => {
                let (owner, since) = (Storing(child), Instant::now());
                while self.counts().iter().zip(&before).any(|(now, before)| now <= before) {
                    assert!(since.elapsed() < LONG, "the owner does not store on every core");
                    std::thread::yield_now();
                }
                owner
            }
        }
    }

    fn store_until_killed(&self, gives_up: bool) -> ! {
        let Ok(Acquire::Acquired(lease)) = self.candidate().try_acquire() else {
            std::process::abort()
        };
        let lease = (!gives_up).then_some(lease);
        std::thread::scope(|scope| {
            for (index, &core) in self.cores.iter().enumerate() {
                scope.spawn(move || {
                    let mut only = CpuSet::new();
                    let pinned = only.set(core).and_then(|()| {
                        // The thread that calls.
                        sched_setaffinity(Pid::from_raw(0), &only)
                    });
                    pinned.unwrap();
                    let counter = self.counter(index);
                    loop {
                        counter.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        unreachable!("its threads store until they are killed, and {lease:?} is held so long")
    }
}

/// Takes the lease as soon as it can be had: asleep when it comes, or looking all the time.
fn take(candidate: Candidate, asleep: bool) -> Lease {
    if asleep {
        let Acquire::Acquired(lease) = candidate.wait(Some(LONG)).unwrap() else {
            panic!("the owner's death was not told")
        };
        return lease;
    }
    let since = Instant::now();
    let mut candidate = candidate;
    loop {
        match candidate.try_acquire().unwrap() {
            Acquire::Acquired(lease) => return lease,
            Acquire::Held { candidate: again, .. } => candidate = again,
        }
        assert!(since.elapsed() < LONG, "the owner's death was not told");
    }
}

/// What the counters said when the lease was taken, and what a while later.
fn looked_twice(scene: &Scene) -> (Vec<u64>, Vec<u64>) {
    let at_takeover = scene.counts();
    let since = Instant::now();
    while since.elapsed() < WATCH {
        std::hint::spin_loop();
    }
    (at_takeover, scene.counts())
}

#[test]
fn no_thread_of_a_killed_owner_stores_after_the_takeover() {
    let scene = Scene::new();
    let mut late = Vec::new();
    for round in 0..rounds() {
        let owner = scene.owner(false);
        let candidate = scene.candidate();
        owner.kill();
        let lease = take(candidate, round % 2 == 0);
        let (at_takeover, later) = looked_twice(&scene);
        if at_takeover != later {
            late.push((round, at_takeover, later));
        }
        lease.release().unwrap();
    }
    assert!(late.is_empty(), "{} of {} takeovers came too early: {late:?}", late.len(), rounds());
}

/// The test above can fail: what it looks for is seen where it happens. An owner that has dropped its
/// lease has given up the manager, and the counters of this test are not the manager's.
#[test]
fn stores_that_come_late_are_seen() {
    let scene = Scene::new();
    let _owner = scene.owner(true);
    let lease = take(scene.candidate(), true);
    let since = Instant::now();
    loop {
        let (at_takeover, later) = looked_twice(&scene);
        if at_takeover != later {
            break;
        }
        // On a machine with much to do its threads may not run for a while.
        assert!(since.elapsed() < LONG, "a process that lives stores on");
    }
    lease.release().unwrap();
}

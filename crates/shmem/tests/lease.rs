//! The lease between real processes: refusal, death, release, forks, waiters, races.
//! Nothing sleeps: a test waits for the event that it is about.

#![expect(unsafe_code, reason = "forks")]

use std::os::unix::process::ExitStatusExt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork};
use shmem::{Acquire, Error, Owner, Previous};

#[expect(dead_code, reason = "shared by several test programs")]
#[path = "common/mod.rs"]
mod common;
use common::scene::{
    LONG, OWNER_DIED, Scene, WAITERS, acquired, held, played_a_role, until_asleep,
};

#[test]
fn free_lease_is_taken_refused_while_held_and_passed_on_by_release() {
    let scene = Scene::new();
    assert_eq!((scene.words().epoch(), scene.words().owner()), (0, None));
    let first = scene.acquire();
    assert_eq!((first.epoch(), first.previous()), (1, Previous::Free));
    assert!(first.is_current());
    assert_eq!(scene.words().owner(), Some(Owner::current()));
    let (by, second) = held(scene.candidate().try_acquire().unwrap());
    assert_eq!(by, Owner::current());
    first.release().unwrap();
    assert_eq!(scene.words().owner(), None);
    let second = acquired(second.try_acquire().unwrap());
    assert_eq!((second.epoch(), second.previous()), (2, Previous::Released));
}

#[test]
fn living_owner_is_refused_by_name_until_it_is_killed() {
    if played_a_role() {
        return;
    }
    let scene = Scene::new();
    let owner = scene.owner("living_owner_is_refused_by_name_until_it_is_killed");
    let (by, candidate) = held(scene.candidate().try_acquire().unwrap());
    assert_eq!(by.pid, owner.pid());
    assert!(by.is_alive() && by.start_time != 0);
    let (by, candidate) = held(candidate.wait(Some(Duration::from_millis(1))).unwrap());
    assert_eq!(by.pid, owner.pid());
    owner.signal(Signal::SIGKILL);
    assert_eq!(owner.end().signal(), Some(libc::SIGKILL));
    assert!(!by.is_alive());
    let lease = acquired(candidate.try_acquire().unwrap());
    assert_eq!((lease.epoch(), lease.previous()), (2, Previous::Died));
}

#[test]
fn waiter_notices_each_way_of_dying_at_once_and_the_epoch_rises() {
    const TEST: &str = "waiter_notices_each_way_of_dying_at_once_and_the_epoch_rises";
    if played_a_role() {
        return;
    }
    let scene = Scene::new();
    let deaths = [Some(Signal::SIGKILL), Some(Signal::SIGABRT), Some(Signal::SIGTERM), None];
    for (round, death) in (0u64..).zip(deaths) {
        let owner = scene.owner(TEST);
        assert_eq!(scene.words().epoch(), 2 * round + 1);
        let candidate = scene.candidate();
        let waiter = std::thread::spawn(move || (candidate.wait(Some(LONG)), Instant::now()));
        scene.until_somebody_waits();
        assert!(!waiter.is_finished());
        let killed = Instant::now();
        if let Some(signal) = death {
            owner.signal(signal);
        }
        // Without a signal the end of its input makes it exit.
        assert_eq!(owner.end().signal(), death.map(|signal| signal as i32));
        let (outcome, noticed) = waiter.join().unwrap();
        let lease = acquired(outcome.unwrap());
        assert!(noticed.duration_since(killed) < LONG / 4, "{death:?}");
        assert_eq!((lease.epoch(), lease.previous()), (2 * round + 2, Previous::Died));
        lease.release().unwrap();
    }
}

#[test]
fn waiter_has_short_time_slices_until_it_has_the_lease() {
    const SHORT_NS: u64 = 100_000;
    let scene = Scene::new();
    let lease = scene.acquire();
    let candidate = scene.candidate();
    let (tell, told) = std::sync::mpsc::channel();
    let waiter = std::thread::spawn(move || {
        tell.send((nix::unistd::gettid(), slice_ns(0))).unwrap();
        let lease = acquired(candidate.wait(Some(LONG)).unwrap());
        (lease, slice_ns(0))
    });
    let (tid, before) = told.recv().unwrap();
    scene.until_somebody_waits();
    until_asleep(std::process::id());
    // Before Linux 6.12 a thread cannot ask, and is told of no slice.
    assert_eq!(slice_ns(tid.as_raw()), before.min(SHORT_NS));
    lease.release().unwrap();
    let (_lease, after) = waiter.join().unwrap();
    assert_eq!(after, before);
}

/// The time slice of a thread (0 is the calling one) in nanoseconds, 0 where the system tells none.
fn slice_ns(tid: i32) -> u64 {
    let mut attributes = std::mem::MaybeUninit::<libc::sched_attr>::zeroed();
    let (at, len) = (attributes.as_mut_ptr(), size_of::<libc::sched_attr>());
    // SAFETY: the kernel writes at most `len` bytes to a struct of integers.
    let got = unsafe { libc::syscall(libc::SYS_sched_getattr, tid, at, len, 0) };
    assert_eq!(got, 0, "{}", std::io::Error::last_os_error());
    // SAFETY: as above; the rest is zeros.
    unsafe { attributes.assume_init() }.sched_runtime
}

#[test]
fn dropping_a_lease_is_a_death_and_wakes_the_waiter() {
    let scene = Scene::new();
    let lease = scene.acquire();
    let candidate = scene.candidate();
    let waiter = std::thread::spawn(move || candidate.wait(Some(LONG)));
    scene.until_somebody_waits();
    let since = Instant::now();
    drop(lease);
    let lease = acquired(waiter.join().unwrap().unwrap());
    assert!(since.elapsed() < LONG / 4, "it was not woken");
    assert_eq!((lease.epoch(), lease.previous()), (2, Previous::Died));
    drop(lease);
    assert_eq!(scene.word().load(Ordering::Relaxed) & !WAITERS, OWNER_DIED);
}

#[test]
fn lease_outlives_the_thread_that_took_it() {
    let scene = Scene::new();
    let candidate = scene.candidate();
    let take = move || acquired(candidate.try_acquire().unwrap());
    let lease = std::thread::spawn(take).join().unwrap();
    assert!(lease.is_current());
    held(scene.candidate().try_acquire().unwrap());
    lease.release().unwrap();
    assert_eq!(scene.word().load(Ordering::Relaxed), 0);
}

#[test]
fn candidate_that_leaves_changes_nothing() {
    let scene = Scene::new();
    drop(scene.candidate());
    assert_eq!(scene.word().load(Ordering::Relaxed), 0);
    let lease = scene.acquire();
    let before = scene.word().load(Ordering::Relaxed);
    drop(scene.candidate());
    assert_eq!(scene.word().load(Ordering::Relaxed), before);
    assert!(lease.is_current());
    held(scene.candidate().try_acquire().unwrap());
}

#[test]
fn forked_child_neither_holds_nor_releases() {
    let scene = Scene::new();
    let lease = scene.acquire();
    let waiting = scene.candidate();
    let before = scene.word().load(Ordering::Relaxed);
    // SAFETY: the child takes no lock that another thread of this process could hold but malloc's,
    // which the C library sees to, and ends by `_exit`.
    match unsafe { fork() }.unwrap() {
        ForkResult::Child => {
            let me = std::process::id();
            let mut seen = 0;
            seen |= i32::from(lease.is_current());
            seen |= i32::from(!matches!(lease.release(), Err(Error::OtherProcess { .. }))) << 1;
            seen |= i32::from(!matches!(waiting.force(), Err(Error::OtherProcess { .. }))) << 2;
            // A candidate of its own has the parent for an owner.
            let own = scene.candidate().try_acquire();
            let named = matches!(own, Ok(Acquire::Held { by, .. }) if by.pid != me && by.pid != 0);
            seen |= i32::from(!named) << 3;
            // SAFETY: ends the child without this process's exit handlers.
            unsafe { libc::_exit(64 + seen) }
        }
        ForkResult::Parent { child } => {
            assert_eq!(waitpid(child, None).unwrap(), WaitStatus::Exited(child, 64));
        }
    }
    assert_eq!(scene.word().load(Ordering::Relaxed), before);
    assert!(lease.is_current());
    held(waiting.try_acquire().unwrap());
    lease.release().unwrap();
}

#[test]
fn of_racing_candidates_exactly_one_wins() {
    let scene = Scene::new();
    for round in 1..=200 {
        let gate = Arc::new(std::sync::Barrier::new(4));
        let racers: Vec<_> = (0..4)
            .map(|_| {
                let (candidate, gate) = (scene.candidate(), Arc::clone(&gate));
                std::thread::spawn(move || {
                    gate.wait();
                    candidate.try_acquire().unwrap()
                })
            })
            .collect();
        let outcomes: Vec<_> = racers.into_iter().map(|racer| racer.join().unwrap()).collect();
        let won = outcomes.iter().filter(|o| matches!(o, Acquire::Acquired(_))).count();
        assert_eq!(won, 1, "round {round}");
        assert_eq!(scene.words().epoch(), round);
    }
}

#[test]
fn of_two_waiting_processes_one_wins_and_the_other_follows() {
    const TEST: &str = "of_two_waiting_processes_one_wins_and_the_other_follows";
    if played_a_role() {
        return;
    }
    let scene = Scene::new();
    let lease = scene.acquire();
    let mut waiters = [scene.child(TEST, "waiter"), scene.child(TEST, "waiter")];
    scene.until_somebody_waits();
    for waiter in &waiters {
        until_asleep(waiter.pid());
    }
    lease.release().unwrap();
    let owner = scene.until_owned();
    let winner = waiters.iter().position(|waiter| waiter.pid() == owner).unwrap();
    assert_eq!(waiters[winner].next(), "epoch 2 Released");
    held(scene.candidate().try_acquire().unwrap());
    let since = Instant::now();
    waiters[winner].tell();
    assert_eq!(waiters[1 - winner].next(), "epoch 3 Released");
    assert!(since.elapsed() < LONG / 4, "it was not woken");
    for waiter in waiters {
        assert!(waiter.end().success());
    }
    assert_eq!(scene.words().owner(), None);
}

#[test]
fn wake_up_that_is_lost_with_a_candidate_holds_up_nobody_for_long() {
    const TEST: &str = "wake_up_that_is_lost_with_a_candidate_holds_up_nobody_for_long";
    if played_a_role() {
        return;
    }
    let scene = Scene::new();
    let lease = scene.acquire();
    let woken = scene.child(TEST, "bystander");
    let candidate = scene.candidate();
    let waiter = std::thread::spawn(move || candidate.wait(Some(LONG)));
    scene.until_somebody_waits();
    until_asleep(std::process::id());
    // The owner released, and its wake-up went to `woken`, who has not taken the word yet.
    scene.word().store(0, Ordering::Relaxed);
    assert!(!waiter.is_finished());
    let since = Instant::now();
    woken.signal(Signal::SIGKILL);
    assert_eq!(woken.end().signal(), Some(libc::SIGKILL));
    let next = acquired(waiter.join().unwrap().unwrap());
    assert!(since.elapsed() < LONG / 4);
    assert_eq!(next.epoch(), 2);
    assert!(lease.release().is_err());
}

#[test]
fn of_two_waiting_processes_the_other_follows_when_the_winner_is_killed() {
    const TEST: &str = "of_two_waiting_processes_the_other_follows_when_the_winner_is_killed";
    if played_a_role() {
        return;
    }
    let scene = Scene::new();
    let lease = scene.acquire();
    let [first, second] = [scene.child(TEST, "waiter"), scene.child(TEST, "waiter")];
    scene.until_somebody_waits();
    until_asleep(first.pid());
    until_asleep(second.pid());
    lease.release().unwrap();
    let winner = scene.until_owned();
    let (mut winner, mut other) =
        if winner == first.pid() { (first, second) } else { (second, first) };
    assert_eq!(winner.next(), "epoch 2 Released");
    // The word says that the other waits, though the release had cleared that.
    let since = Instant::now();
    winner.signal(Signal::SIGKILL);
    assert_eq!(winner.end().signal(), Some(libc::SIGKILL));
    assert_eq!(other.next(), "epoch 3 Died");
    assert!(since.elapsed() < LONG / 4, "it was not woken");
    assert!(other.end().success());
}

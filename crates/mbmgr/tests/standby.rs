//! Ownership as an application sees it: hung owners, races of standbys, event loops, forked children.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mbmgr::{Error, Manager, Options, Standby, Wait, view};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::Signal;
use nix::sys::wait::WaitStatus;
use shmem::{Offset, Previous};

mod common;
use common::{Board, CONFIG, Child, LONG, aes_key, bytes, job, reopen, segment, until_killed};

fn taken(wait: Wait) -> Manager {
    match wait {
        Wait::TakenOver(manager) => *manager,
        Wait::TimedOut { owner, .. } => panic!("owned by {owner}"),
    }
}

/// Says "go on" over and over, to whom it may concern, until it is told to stop.
fn keep_continuing(owner: &Child, stop: &std::sync::atomic::AtomicBool) {
    while !stop.load(std::sync::atomic::Ordering::Relaxed) {
        let _ = nix::sys::signal::kill(owner.0, Signal::SIGCONT);
        std::thread::yield_now();
    }
}

#[test]
fn stopped_owner_is_forced_and_never_writes_again_whatever_wakes_it() {
    for round in 0..10 {
        let segment = segment(1);
        let board = Board::new();
        let owner = {
            let segment = reopen(&segment);
            Child::run(move || {
                let mut manager = Manager::create(&segment, &CONFIG, &Options::default()).unwrap();
                let key = aes_key(&mut manager);
                let jobs: Vec<_> = (0..24).map(|user| job(&segment, key, user)).collect();
                // Under way all the time, so that a stop comes in the middle of a call.
                for job in jobs.iter().cycle() {
                    manager.submit(job).unwrap();
                    board.add(0);
                }
            })
        };
        board.until(0, 200 + round * 37);
        owner.signal(Signal::SIGSTOP);
        owner.until_stopped();
        let pid = owner.0;
        let before = view::decode(&segment, 0).unwrap();
        let stop = std::sync::atomic::AtomicBool::new(false);
        let mut manager = std::thread::scope(|scope| {
            // Half of the rounds the owner runs again while it is being forced.
            if round % 2 == 1 {
                scope.spawn(|| keep_continuing(&owner, &stop));
            }
            let manager = Manager::force(&segment, 0, &Options::default()).unwrap();
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
            manager
        });
        assert_eq!(manager.epoch(), before.epoch + 1);
        assert_eq!(manager.recovered().previous, Previous::Died);
        while manager.flush().unwrap().is_some() {}
        // What the segment holds now is ours alone: nobody else may change a byte of it.
        let all = usize::try_from(segment.len()).unwrap();
        let ours = bytes(&segment, Offset::NULL, all);
        let calls = board.get(0);
        let _ = nix::sys::signal::kill(owner.0, Signal::SIGCONT);
        // Nothing of it is left that could write: the wait is over when its last thread has ended.
        assert_eq!(owner.end(), WaitStatus::Signaled(pid, Signal::SIGKILL, false));
        assert!(bytes(&segment, Offset::NULL, all) == ours, "written after the epoch changed");
        assert_eq!(board.get(0), calls, "the old owner still makes calls");
        let counters = view::decode(&segment, 0).unwrap().counters;
        assert_eq!((counters.forced, counters.deaths, counters.takeovers), (1, 1, 1));
    }
}

#[test]
fn of_many_standbys_one_wins_and_the_others_take_over_in_turn() {
    const STANDBYS: u64 = 6;
    let segment = segment(1);
    let board = Board::new();
    let mut manager = Manager::create(&segment, &CONFIG, &Options::default()).unwrap();
    let key = aes_key(&mut manager);
    for user in 0..10 {
        manager.submit(&job(&segment, key, user)).unwrap();
    }
    let standbys: Vec<_> = (0..STANDBYS)
        .map(|_| {
            let segment = reopen(&segment);
            Child::run(move || {
                let standby = Standby::attach(&segment, 0, &Options::default()).unwrap();
                board.add(0);
                let mut manager = taken(standby.wait(Some(LONG)).unwrap());
                // Two at a time would be seen here.
                assert_eq!(board.add(1), board.get(2), "two owners at once");
                assert_eq!(manager.recovered().outstanding, 10);
                let user = 100 + board.get(1);
                manager.submit(&job(&segment, key, user)).unwrap();
                for _ in 0..1 {
                    assert!(manager.flush().unwrap().is_some());
                }
                board.add(2);
                if board.get(2).is_multiple_of(3) {
                    manager.release().unwrap();
                } else {
                    nix::sys::signal::raise(Signal::SIGKILL).unwrap();
                }
            })
        })
        .collect();
    board.until(0, STANDBYS);
    drop(manager);
    board.until(2, STANDBYS);
    let statuses: Vec<_> = standbys.into_iter().map(Child::end).collect();
    let killed = statuses.iter().filter(|s| matches!(s, WaitStatus::Signaled(..))).count();
    let released = statuses.iter().filter(|s| matches!(s, WaitStatus::Exited(_, 0))).count();
    assert_eq!((killed, released), (4, 2), "{statuses:?}");
    let mut last = Manager::attach(&segment, 0, &Options::default()).unwrap();
    assert_eq!(last.epoch(), STANDBYS + 2);
    let mut users = Vec::new();
    while let Some(done) = last.flush().unwrap() {
        users.push((done.user, done.redelivered));
    }
    let fresh = users.iter().filter(|(_, redelivered)| !redelivered).count();
    assert_eq!(fresh, 10, "{users:?}");
    let counters = view::decode(&segment, 0).unwrap().counters;
    assert_eq!(counters.submitted, 10 + STANDBYS);
    assert_eq!(counters.completed, counters.submitted);
    assert_eq!(counters.takeovers, STANDBYS + 1);
    assert_eq!(counters.forced, 0);
    assert!(counters.takeover_ns > 0 && counters.taken_over_at_ns > 0);
}

#[test]
fn descriptor_of_a_standby_becomes_readable_when_the_manager_is_its_own() {
    let segment = segment(1);
    let board = Board::new();
    let owner = {
        let segment = reopen(&segment);
        Child::run(move || {
            let mut manager = Manager::create(&segment, &CONFIG, &Options::default()).unwrap();
            let key = aes_key(&mut manager);
            manager.submit(&job(&segment, key, 5)).unwrap();
            board.put(0, 1);
            until_killed();
        })
    };
    board.until(0, 1);
    let standby = Standby::attach(&segment, 0, &Options::default()).unwrap();
    let waiting = standby.pollable().unwrap();
    let ready = |waiting: &mbmgr::Pollable, millis: u16| {
        let mut fds = [PollFd::new(waiting.as_fd(), PollFlags::POLLIN)];
        poll(&mut fds, PollTimeout::from(millis)).unwrap() == 1
    };
    assert!(!ready(&waiting, 20) && !waiting.is_ready());
    // Not ready: the standby comes back, and can wait again.
    let Wait::TimedOut { standby, owner: named } = waiting.take().unwrap() else {
        panic!("taken over from an owner that lives")
    };
    assert_eq!(named.pid, owner.0.as_raw().cast_unsigned());
    let waiting = standby.pollable().unwrap();
    owner.signal(Signal::SIGKILL);
    assert!(ready(&waiting, 10_000));
    let mut manager = taken(waiting.take().unwrap());
    assert_eq!(manager.flush().unwrap().unwrap().user, 5);
    // One that nobody waits for any more lets go.
    let other = Standby::attach(&segment, 0, &Options::default()).unwrap().pollable().unwrap();
    drop(other);
    manager.release().unwrap();
    assert_eq!(Manager::attach(&segment, 0, &Options::default()).unwrap().epoch(), 3);
}

#[test]
fn forked_child_of_an_owner_neither_keeps_the_manager_alive_nor_uses_it() {
    let segment = segment(1);
    let board = Board::new();
    let owner = {
        let segment = reopen(&segment);
        Child::run(move || {
            let mut manager = Manager::create(&segment, &CONFIG, &Options::default()).unwrap();
            let key = aes_key(&mut manager);
            let job = job(&segment, key, 9);
            manager.submit(&job).unwrap();
            let grandchild = Child::run(move || {
                let refused = [
                    manager.submit(&job).err(),
                    manager.flush().err(),
                    manager.add_key(mbmgr::Key::Aes(&[0; 16])).err(),
                    manager.release().err(),
                ];
                let fenced = |e: &Option<Error>| matches!(e, Some(Error::Fenced { .. }));
                assert!(refused.iter().all(fenced), "{refused:?}");
                board.put(1, 1);
                board.until(2, 1);
            });
            board.until(1, 1);
            board.put(0, grandchild.0.as_raw().cast_unsigned().into());
            std::mem::forget(grandchild);
            until_killed();
        })
    };
    board.until(1, 1);
    board.until(0, 1);
    let standby = Standby::attach(&segment, 0, &Options::default()).unwrap();
    owner.signal(Signal::SIGKILL);
    let mut manager = taken(standby.wait(Some(LONG)).unwrap());
    assert_eq!(manager.flush().unwrap().unwrap().user, 9);
    board.put(2, 1);
}

#[test]
fn owner_moves_between_threads_and_outlives_the_one_that_took_it() {
    let segment = segment(1);
    let made = std::thread::scope(|scope| {
        let segment = Arc::clone(&segment);
        scope.spawn(move || Manager::create(&segment, &CONFIG, &Options::default()).unwrap()).join()
    });
    let mut manager = made.unwrap();
    let key = aes_key(&mut manager);
    let refused = Manager::attach(&segment, 0, &Options::default()).err();
    assert!(matches!(refused, Some(Error::Owned(_))), "the thread is gone, its process is not");
    let used = std::thread::scope(|scope| {
        let job = job(&segment, key, 3);
        scope.spawn(move || (manager.submit(&job).is_ok(), manager)).join().unwrap()
    });
    assert!(used.0);
}

#[test]
fn wait_on_a_lease_of_nobody_ends() {
    let segment = segment(1);
    drop(Manager::create(&segment, &CONFIG, &Options::default()).unwrap());
    let lease = segment.root(0).unwrap().unwrap();
    // A thread id above all that the system gives, and no process: nobody would ever wake us.
    segment.write(lease, &0x2fff_ffff_u32.to_ne_bytes()).unwrap();
    segment.write(lease.add(4).unwrap(), &[0; 12]).unwrap();
    let standby = Standby::attach(&segment, 0, &Options::default()).unwrap();
    let since = Instant::now();
    taken(standby.wait(Some(LONG)).unwrap());
    assert!(since.elapsed() < Duration::from_secs(10));
}

#[test]
fn memory_that_may_not_be_locked_is_an_error_and_no_harm() {
    let segment = segment(1);
    let board = Board::new();
    let owner = {
        let segment = reopen(&segment);
        Child::run(move || {
            setrlimit(Resource::RLIMIT_MEMLOCK, 0, 0).unwrap();
            if nix::unistd::geteuid().is_root() {
                // Root may lock whatever the limit says.
                nix::unistd::setuid(nix::unistd::Uid::from_raw(65534)).unwrap();
            }
            let mut manager = Manager::create(&segment, &CONFIG, &Options::default()).unwrap();
            let error = manager.lock_memory().unwrap_err().to_string();
            assert!(error.contains("mlock (see RLIMIT_MEMLOCK) failed"), "{error}");
            let key = aes_key(&mut manager);
            manager.submit(&job(&segment, key, 3)).unwrap();
            assert_eq!(manager.flush().unwrap().unwrap().user, 3);
            board.put(0, 1);
        })
    };
    assert!(matches!(owner.end(), WaitStatus::Exited(_, 0)));
    assert_eq!(board.get(0), 1, "the child did not get to its end");
}

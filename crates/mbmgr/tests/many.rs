//! Several managers in one segment: made and removed while others run, all taken by one standby.

use std::sync::Arc;

use mbmgr::{Error, Manager, Options, Standby, Wait, managers, view};
use nix::sys::signal::Signal;
use shmem::{Offset, Segment};

#[expect(dead_code, reason = "shared by several test programs")]
mod common;
use common::{Board, CONFIG, Child, LONG, aes_key, bytes, job, reopen, segment, until_killed};

fn create(segment: &Arc<Segment>) -> Manager {
    Manager::create(segment, &CONFIG, &Options::default()).unwrap()
}

#[test]
fn one_standby_takes_all_managers_of_a_dead_process() {
    const MANAGERS: u64 = 5;
    let segment = segment(MANAGERS);
    let board = Board::new();
    let owner = {
        let segment = reopen(&segment);
        Child::run(move || {
            let mut all: Vec<_> = (0..MANAGERS).map(|_| create(&segment)).collect();
            for (number, manager) in all.iter_mut().enumerate() {
                let key = aes_key(manager);
                for user in 0..=number as u64 {
                    manager.submit(&job(&segment, key, user)).unwrap();
                }
            }
            board.put(0, 1);
            until_killed();
        })
    };
    board.until(0, 1);
    let roots = managers(&segment);
    assert_eq!(roots, [0, 1, 2, 3, 4]);
    let standby = |&root: &usize| {
        Standby::attach(&segment, root, &Options::default()).unwrap().pollable().unwrap()
    };
    let waiting: Vec<_> = roots.iter().map(standby).collect();
    owner.signal(Signal::SIGKILL);
    owner.end();
    for (number, pollable) in waiting.into_iter().enumerate() {
        while !pollable.is_ready() {
            std::thread::yield_now();
        }
        let Wait::TakenOver(mut manager) = pollable.take().unwrap() else { panic!("not taken") };
        for user in 0..=number as u64 {
            assert_eq!(manager.flush().unwrap().unwrap().user, user);
        }
        assert!(manager.flush().unwrap().is_none());
    }
}

#[test]
fn buffer_in_another_manager_is_refused_also_in_one_made_later() {
    let segment = segment(3);
    let mut first = create(&segment);
    let key = aes_key(&mut first);
    let good = job(&segment, key, 0);
    first.submit(&good).unwrap();
    let second = create(&segment);
    let at = segment.root(second.root()).unwrap().unwrap();
    for place in [at, Offset::new(at.get() + Manager::size(&CONFIG) - 256)] {
        let error = first.submit(&good.in_place(place, 256)).unwrap_err();
        assert!(matches!(error, Error::ForeignBuffer { .. }), "{error}");
    }
    // Removed ones too: a manager may be made there again.
    second.remove().unwrap();
    assert!(first.submit(&good.in_place(at, 256)).is_err());
    first.submit(&job(&segment, key, 1)).unwrap();
}

#[test]
fn removed_manager_leaves_no_key_and_its_place_is_used_again() {
    let segment = segment(2);
    let mut other = create(&segment);
    let key_of_other = aes_key(&mut other);
    let mut epochs = Vec::new();
    for round in 0..20 {
        let mut manager = create(&segment);
        assert_eq!(manager.root(), 1, "round {round}");
        epochs.push(manager.epoch());
        let key = aes_key(&mut manager);
        assert_eq!(view::decode(&segment, 1).unwrap().counters.takeovers, 0);
        let done = job(&segment, key, round);
        manager.submit(&done).unwrap();
        other.submit(&job(&segment, key_of_other, round)).unwrap();
        while manager.flush().unwrap().is_some() {}
        let at = segment.root(1).unwrap().unwrap();
        manager.remove().unwrap();
        assert_eq!(managers(&segment), [0]);
        let header = 256;
        let len = usize::try_from(Manager::size(&CONFIG) - header).unwrap();
        let left = bytes(&segment, at.add(header).unwrap(), len);
        assert!(left.iter().all(|&byte| byte == 0), "round {round}: keys, jobs, log");
        let error = Manager::attach(&segment, 1, &Options::default()).err().unwrap();
        assert!(matches!(error, Error::NoManager { root: 1 }), "{error}");
    }
    assert!(epochs.is_sorted() && epochs[0] < epochs[19], "an old owner stays fenced: {epochs:?}");
    let mut count = 0;
    while other.flush().unwrap().is_some() {
        count += 1;
    }
    assert!(count > 0);
}

/// An application may publish objects of its own in the segment that its managers lie in.
#[test]
fn roots_of_the_application_are_no_managers() {
    let segment = segment(1);
    let own = segment.arena().alloc(64, 64).unwrap();
    segment.publish_root(0, own).unwrap();
    segment.publish_root(5, own).unwrap();
    assert!(managers(&segment).is_empty());
    let manager = create(&segment);
    assert_eq!(managers(&segment), [1]);
    let error = Manager::attach(&segment, 5, &Options::default()).err().unwrap();
    assert!(error.to_string().contains("no manager at"), "{error}");
    drop(manager);
}

#[test]
fn manager_with_jobs_is_not_removed_and_passes_on() {
    let segment = segment(1);
    let mut manager = create(&segment);
    let key = aes_key(&mut manager);
    manager.submit(&job(&segment, key, 4)).unwrap();
    let refused = manager.remove().unwrap_err();
    assert!(refused.to_string().contains("1 jobs that were not returned"), "{refused}");
    assert!(matches!(refused.error, Error::NotEmpty { jobs: 1 }), "{refused}");
    // It is still ours, and works on.
    let mut manager = *refused.manager;
    manager.submit(&job(&segment, key, 5)).unwrap();
    assert_eq!(manager.flush().unwrap().unwrap().user, 4);
    drop(manager);
    let mut next = Manager::attach(&segment, 0, &Options::default()).unwrap();
    assert!(next.flush().unwrap().unwrap().redelivered);
    assert_eq!(next.flush().unwrap().unwrap().user, 5);
    next.remove().unwrap();
}

/// Returns once a thread of this process waits for a futex. Nobody is told of that: it must be looked
/// at, in its turn.
fn until_waiting(tid: i32) {
    let limit = std::time::Instant::now() + LONG;
    let wanted = nix::libc::SYS_futex.to_string();
    let call = format!("/proc/self/task/{tid}/syscall");
    while std::fs::read_to_string(&call).unwrap().split(' ').next() != Some(&*wanted) {
        assert!(std::time::Instant::now() < limit, "thread {tid} never waits for a futex");
        std::thread::yield_now();
    }
}

#[test]
fn standbys_of_a_removed_manager_all_learn_it() {
    let segment = segment(1);
    let manager = create(&segment);
    let standby = || Standby::attach(&segment, 0, &Options::default()).unwrap();
    let (one, two) = (standby(), standby());
    let (tell, told) = std::sync::mpsc::channel();
    let waiting = [one, two].map(|standby| {
        let tell = tell.clone();
        std::thread::spawn(move || {
            tell.send(nix::unistd::gettid().as_raw()).unwrap();
            standby.wait(Some(LONG)).err()
        })
    });
    told.iter().take(2).for_each(until_waiting);
    manager.remove().unwrap();
    for end in waiting {
        let error = end.join().unwrap().expect("nothing to take over");
        assert!(matches!(error, Error::NoManager { root: 0 }), "{error}");
    }
}

#[test]
fn managers_come_and_go_while_others_work_and_every_one_gets_a_root_of_its_own() {
    let segment = segment(9);
    let board = Board::new();
    let workers: Vec<_> = (0..4_u64)
        .map(|worker| {
            let segment = reopen(&segment);
            Child::run(move || {
                for round in 0..50 {
                    let mut manager = create(&segment);
                    // Nobody else may think that it owns this root.
                    assert_eq!(board.add(manager.root()), 0, "worker {worker}, round {round}");
                    let key = aes_key(&mut manager);
                    if round == 0 {
                        manager.submit(&job(&segment, key, round)).unwrap();
                    }
                    while manager.flush().unwrap().is_some() {}
                    board.put(manager.root(), 0);
                    if round == 25 && worker == 0 {
                        nix::sys::signal::raise(Signal::SIGKILL).unwrap();
                    }
                    manager.remove().unwrap();
                }
            })
        })
        .collect();
    let ends: Vec<_> = workers.into_iter().map(Child::end).collect();
    let clean = ends.iter().filter(|end| matches!(end, nix::sys::wait::WaitStatus::Exited(_, 0)));
    assert_eq!(clean.count(), 3, "{ends:?}");
    // What the killed one left is there to be taken over, and nothing else is.
    let roots = managers(&segment);
    assert_eq!(roots.len(), 1);
    Manager::attach(&segment, roots[0], &Options::default()).unwrap().remove().unwrap();
    assert!(managers(&segment).is_empty());
}

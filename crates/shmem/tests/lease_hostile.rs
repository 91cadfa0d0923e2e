//! The lease against what should not be: owners that hang, words that nobody of ours wrote, copies.
//! Nothing sleeps, and nothing may hang.

use std::os::unix::process::ExitStatusExt;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use shmem::{Acquire, Candidate, Error, LeaseWords, Offset, Owner, Placement, Previous, Segment};

#[expect(dead_code, reason = "shared by several test programs")]
#[path = "common/mod.rs"]
mod common;
use common::scene::{LONG, OWNER_DIED, Scene, WAITERS, WILD_TID, acquired, held, played_a_role};

#[test]
fn force_kills_a_stopped_owner_and_takes_over() {
    if played_a_role() {
        return;
    }
    let scene = Scene::new();
    let owner = scene.owner("force_kills_a_stopped_owner_and_takes_over");
    let pid = Pid::from_raw(owner.pid().cast_signed());
    owner.signal(Signal::SIGSTOP);
    let stopped = waitpid(pid, Some(WaitPidFlag::WUNTRACED)).unwrap();
    assert_eq!(stopped, WaitStatus::Stopped(pid, Signal::SIGSTOP));
    let (by, candidate) = held(scene.candidate().try_acquire().unwrap());
    assert!(by.pid == owner.pid() && by.is_alive());
    let lease = candidate.force().unwrap();
    assert_eq!((lease.epoch(), lease.previous()), (2, Previous::Died));
    assert_eq!(owner.end().signal(), Some(libc::SIGKILL));
}

#[test]
fn force_takes_a_free_lease_and_refuses_its_own_process() {
    let scene = Scene::new();
    let lease = scene.candidate().force().unwrap();
    let error = scene.candidate().force().unwrap_err();
    assert!(
        matches!(error, Error::HeldByThisProcess { owner } if owner == Owner::current()),
        "{error}"
    );
    assert!(error.to_string().contains(&format!("pid {}", std::process::id())), "{error}");
    assert!(lease.is_current());
}

#[test]
fn force_kills_nobody_whom_the_word_does_not_name() {
    if played_a_role() {
        return;
    }
    let scene = Scene::new();
    let innocent = scene.child("force_kills_nobody_whom_the_word_does_not_name", "bystander");
    let start_of = |pid: u32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let after = stat.rsplit_once(')').unwrap().1;
        after.split_whitespace().nth(19).unwrap().parse().unwrap()
    };
    let pid = innocent.pid();
    let identity = Owner { pid, start_time: start_of(pid), ..Owner::current() };
    assert!(identity.is_alive());
    // Its identity, but a thread that is not its own: nobody's, or that of process 1.
    for tid in [WILD_TID, 1] {
        scene.put_identity(identity);
        scene.word().store(tid, Ordering::Relaxed);
        let error = scene.candidate().force().unwrap_err();
        assert!(matches!(error, Error::OwnerUnclear { owner, .. } if owner == identity), "{error}");
    }
    // No identity, or one that is over, while the thread lives.
    for imitation in [Owner { pid: 0, ..identity }, Owner { start_time: 1, ..identity }] {
        scene.put_identity(imitation);
        scene.word().store(pid, Ordering::Relaxed);
        let error = scene.candidate().force().unwrap_err();
        assert!(matches!(error, Error::OwnerUnclear { .. }), "{error}");
    }
    scene.word().store(0, Ordering::Relaxed);
    assert!(identity.is_alive());
    assert!(innocent.end().success());
}

#[test]
fn force_takes_over_from_a_word_that_nobody_stands_behind() {
    for word in [WILD_TID, WILD_TID | WAITERS, WILD_TID | WAITERS | OWNER_DIED] {
        let scene = Scene::new();
        scene.word().store(word, Ordering::Relaxed);
        // In another namespace it may live, whatever stands here.
        for namespace in [Owner::current().namespace ^ 1, 0] {
            scene.put_identity(Owner { namespace, ..Owner::current() });
            let error = scene.candidate().force().unwrap_err();
            assert!(error.to_string().contains("another pid namespace"), "{error}");
        }
        // A pid that nobody has, one that somebody else has by now, one of another boot.
        let me = Owner::current();
        let gone = [
            Owner { pid: WILD_TID, ..me },
            Owner { start_time: 1, ..me },
            Owner { boot_id: me.boot_id ^ 1, namespace: me.namespace ^ 1, ..me },
        ];
        for (epoch, owner) in (1..).zip(gone) {
            scene.put_identity(owner);
            let lease = scene.candidate().force().unwrap();
            assert_eq!((lease.epoch(), lease.previous()), (epoch, Previous::Died));
            scene.word().store(word, Ordering::Relaxed);
        }
    }
}

/// A candidate died on its way to own, so late that the kernel marked nothing: the word names a thread
/// (process 1 has it here), and the intent stands.
#[test]
fn one_that_died_on_its_way_to_own_is_followed() {
    for word in [1, 1 | WAITERS, WILD_TID, 0, OWNER_DIED] {
        let scene = Scene::new();
        scene.put_identity(Owner { pid: 1, namespace: 7, ..Owner::current() });
        scene.word().store(word, Ordering::Relaxed);
        scene.put_intent(1);
        let lease = acquired(scene.candidate().wait(Some(LONG)).unwrap());
        assert_eq!((lease.epoch(), lease.previous()), (1, Previous::Died), "{word:#x}");
        held(scene.candidate().try_acquire().unwrap());
        lease.release().unwrap();
        let next = scene.acquire();
        assert_eq!((next.epoch(), next.previous()), (2, Previous::Released), "{word:#x}");
    }
}

/// While somebody else is inside the gate, the intent is its own, and a free word is not for us.
#[test]
fn nobody_takes_what_is_changing_hands() {
    const TEST: &str = "nobody_takes_what_is_changing_hands";
    if played_a_role() {
        return;
    }
    let scene = Scene::new();
    let mut inside = scene.child(TEST, "inside");
    assert_eq!(inside.next(), "inside");
    for (word, intent) in [(0, 0), (0, 1), (OWNER_DIED, 1), (WILD_TID, 1)] {
        scene.word().store(word, Ordering::Relaxed);
        scene.put_intent(intent);
        let (_, candidate) = held(scene.candidate().try_acquire().unwrap());
        held(candidate.wait(Some(Duration::from_millis(5))).unwrap());
        assert_eq!(scene.words().epoch(), 0);
    }
    let candidate = scene.candidate();
    let waiter = std::thread::spawn(move || candidate.wait(Some(LONG)));
    inside.signal(Signal::SIGKILL);
    let lease = acquired(waiter.join().unwrap().unwrap());
    assert_eq!((lease.epoch(), lease.previous()), (1, Previous::Died));
    assert_eq!(inside.end().signal(), Some(libc::SIGKILL));
}

#[test]
fn an_owner_that_is_there_is_not_taken_for_gone_by_its_identity() {
    const TEST: &str = "an_owner_that_is_there_is_not_taken_for_gone_by_its_identity";
    if played_a_role() {
        return;
    }
    let scene = Scene::new();
    let owner = scene.owner(TEST);
    // As after a restore from a checkpoint: other numbers, another start, another boot.
    let me = Owner::current();
    scene.word().store(WILD_TID, Ordering::Relaxed);
    for gone in [Owner { pid: WILD_TID, ..me }, Owner { boot_id: me.boot_id ^ 1, ..me }] {
        scene.put_identity(gone);
        let error = scene.candidate().force().unwrap_err();
        assert!(error.to_string().contains("holds its lock"), "{error}");
        assert_eq!(scene.word().load(Ordering::Relaxed), WILD_TID);
    }
    owner.signal(Signal::SIGKILL);
    assert_eq!(owner.end().signal(), Some(libc::SIGKILL));
    assert_eq!(scene.candidate().force().unwrap().previous(), Previous::Died);
}

#[test]
fn hostile_words_never_hold_a_waiter_beyond_its_timeout() {
    let timeout = Duration::from_millis(30);
    for word in
        [1, 1 | WAITERS, WILD_TID, WILD_TID | WAITERS, 1 | OWNER_DIED, u32::MAX, 0x3fff_ffff]
    {
        let scene = Scene::new();
        scene.word().store(word, Ordering::Relaxed);
        let since = Instant::now();
        let (by, candidate) = held(scene.candidate().wait(Some(timeout)).unwrap());
        let took = since.elapsed();
        assert!(took >= timeout && took < LONG / 4, "{word:#x}: {took:?}");
        assert_eq!(by.to_string(), "an unknown process");
        held(candidate.wait(Some(Duration::ZERO)).unwrap());
    }
    // The bits alone mean that nobody owns.
    for word in [WAITERS, OWNER_DIED, WAITERS | OWNER_DIED] {
        let scene = Scene::new();
        scene.word().store(word, Ordering::Relaxed);
        assert!(scene.acquire().is_current());
    }
}

#[test]
fn a_word_that_never_stands_still_is_left_alone_in_time() {
    let scene = Scene::new();
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut word = WILD_TID;
            while !stop.load(Ordering::Relaxed) {
                scene.word().store(word, Ordering::Relaxed);
                word ^= 1 | WAITERS;
            }
        });
        let since = Instant::now();
        let candidate = scene.candidate();
        let outcome = candidate.wait(Some(Duration::from_millis(30)));
        stop.store(true, Ordering::Relaxed);
        if let Ok(Acquire::Acquired(_)) = outcome {
            // Possible only before the hostile thread's first store.
            assert_eq!(scene.words().epoch(), 1);
        }
        assert!(since.elapsed() < LONG / 4);
    });
}

#[test]
fn fenced_owner_is_not_current_and_cannot_release() {
    let scene = Scene::new();
    let lease = scene.acquire();
    // As if somebody had marked us dead, and another process had taken over.
    scene.words().mark_owner_died();
    let next = scene.acquire();
    assert!(!lease.is_current() && next.is_current());
    let error = lease.release().unwrap_err();
    assert!(matches!(error, Error::Fenced { epoch: 1, current: 2 }), "{error}");
    assert!(next.is_current());
    held(scene.candidate().try_acquire().unwrap());
}

#[test]
fn copy_of_a_held_segment_is_taken_over_apart_from_the_original() {
    let scene = Scene::new();
    let lease = scene.acquire();
    let fd = scene.named.segment.fd().try_clone_to_owned().unwrap();
    let copy = Segment::open_private_copy(fd, Placement::Anywhere, 0).unwrap();
    copy.shared::<LeaseWords>(scene.at).unwrap().mark_owner_died();
    let successor = Candidate::new(&copy, scene.at).unwrap();
    let successor = acquired(successor.try_acquire().unwrap());
    assert_eq!((successor.epoch(), successor.previous()), (2, Previous::Died));
    assert!(lease.is_current());
    assert_eq!(scene.words().epoch(), 1);
    successor.release().unwrap();
    lease.release().unwrap();
}

#[test]
fn lease_at_a_bad_offset_is_refused() {
    let scene = Scene::new();
    for at in [Offset::NULL, Offset::new(4096), Offset::new(scene.at.get() + 8)] {
        assert!(Candidate::new(&scene.named.segment, at).is_err(), "{at}");
    }
}

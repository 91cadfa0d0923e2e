//! The lease between pid namespaces: two containers with a shared memory have equal thread numbers,
//! and the kernel compares a lease word with the number of the dying thread in its own namespace.
//!
//! A standby that is refused, dropped or killed, at whatever instruction, leaves a living owner alone;
//! and it is told when the owner dies.

#![expect(unsafe_code, reason = "forks")]

use std::sync::atomic::Ordering;
use std::time::Instant;

use nix::sched::{CpuSet, sched_getcpu, sched_setaffinity};
use nix::sys::ptrace;
use nix::sys::signal::{Signal, raise};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use rstest::rstest;
use shmem::{Acquire, Candidate, LeaseWords, Offset, Placement, Segment, SegmentName};

#[expect(dead_code, reason = "shared by several test programs")]
#[path = "common/mod.rs"]
mod common;
#[path = "common/container.rs"]
mod container;
use common::scene::{LONG, OWNER_DIED, Scene, WAITERS, acquired, held};
use container::{Container, Kind, Line, Proc};

/// The bits of the word that are the owner's thread.
const TID: u32 = !(WAITERS | OWNER_DIED);

fn exhaustive() -> bool {
    std::env::var("NEXTEST_PROFILE").is_ok_and(|name| name == "exhaustive")
}

/// A process of a container does what it is told until the line ends.
fn obey(line: &mut Line, name: &SegmentName, at: Offset) {
    let segment = Segment::open_named(name, Placement::Anywhere, 0).unwrap();
    let new = || Candidate::new(&segment, at).unwrap();
    let mut candidates = Vec::new();
    let mut lease = None;
    loop {
        let told = line.hear();
        match told.as_str() {
            "" => return,
            "try" => match new().try_acquire().unwrap() {
                Acquire::Acquired(taken) => {
                    line.say("owns");
                    lease = Some(taken);
                }
                Acquire::Held { candidate, .. } => {
                    line.say(&format!("refused {candidate:?}"));
                    candidates.push(candidate);
                }
            },
            "drop" => {
                candidates.clear();
                line.say("dropped");
            }
            "force" => line.say(&new().force().unwrap_err().to_string()),
            "wait" => {
                let taken = acquired(new().wait(Some(LONG)).unwrap());
                line.say(&format!("epoch {} {:?}", taken.epoch(), taken.previous()));
                lease = Some(taken);
            }
            "take" => {
                let since = Instant::now();
                let mut candidate = new();
                let taken = loop {
                    match candidate.try_acquire().unwrap() {
                        Acquire::Acquired(taken) => break taken,
                        Acquire::Held { candidate: again, .. } => candidate = again,
                    }
                    assert!(since.elapsed() < LONG, "the lease is never free");
                };
                line.say(&format!("epoch {} {:?}", taken.epoch(), taken.previous()));
                lease = Some(taken);
            }
            "release" => {
                lease.take().unwrap().release().unwrap();
                line.say("released");
            }
            other => panic!("told to {other}"),
        }
    }
}

struct Stand {
    scene: Scene,
    kind: Kind,
}

impl Stand {
    fn new(kind: Kind) -> Stand {
        Stand { scene: Scene::new(), kind }
    }

    fn container(&self) -> Container {
        let (name, at) = (self.scene.named.name.clone(), self.scene.at);
        Container::start(self.kind, move |line| obey(line, &name, at))
    }

    fn word(&self) -> u32 {
        self.scene.word().load(Ordering::Relaxed)
    }
}

fn ask(container: &mut Container, what: &str) -> String {
    container.line.say(what);
    container.line.hear()
}

#[rstest]
fn a_standby_of_another_namespace_leaves_a_living_owner_alone_and_is_told_of_its_death(
    #[values(Proc::Own, Proc::Parents, Proc::Absent)] proc: Proc,
    #[values(false, true)] user: bool,
) {
    let rounds = if exhaustive() { 170 } else { 3 };
    for round in 0..rounds {
        let stand = Stand::new(Kind { proc, user });
        let mut owner = stand.container();
        assert_eq!(ask(&mut owner, "try"), "owns");
        let word = stand.word();
        let tid = word & TID;
        let unmarked = |what: &str| {
            assert_eq!(
                stand.word() & !WAITERS,
                word,
                "round {round}: {what} marked a living owner"
            );
        };

        let mut standby = stand.container();
        let refused = ask(&mut standby, "try");
        assert!(refused.starts_with(&format!("refused Candidate {{ tid: {tid}")), "{refused}");
        unmarked("a refused candidate");
        assert_eq!(ask(&mut standby, "drop"), "dropped");
        unmarked("a dropped candidate");
        let error = ask(&mut standby, "force");
        assert!(error.contains("another pid namespace"), "{error}");
        unmarked("one that wanted to force it");
        assert!(ask(&mut standby, "try").starts_with("refused"));
        standby.kill();
        unmarked("a killed candidate");

        held(stand.scene.candidate().try_acquire().unwrap());
        let error = stand.scene.candidate().force().unwrap_err();
        assert!(error.to_string().contains("another pid namespace"), "{error}");

        let mut killed = stand.container();
        killed.line.say("wait");
        stand.scene.until_somebody_waits();
        killed.kill();
        unmarked("a killed waiter");
        let mut heir = stand.container();
        heir.line.say("wait");
        stand.scene.until_somebody_waits();
        owner.kill();
        assert_eq!(heir.line.hear(), "epoch 2 Died");
        assert_eq!(stand.word() & TID, tid, "the heir has an equal number");
        held(stand.scene.candidate().try_acquire().unwrap());
        heir.kill();
        assert_eq!(acquired(stand.scene.candidate().try_acquire().unwrap()).epoch(), 3);
    }
}

/// What a stepped standby does in its window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Window {
    /// It is made, and not yet asks for anything.
    Made,
    /// It is refused by a living owner, and dropped.
    Refused,
    /// It takes a free lease, gives it up, and is dropped.
    TakesAndReleases,
}

/// A standby that stops itself where its window begins and where it ends.
fn stepped(stand: &Stand, window: Window) -> Container {
    // A step between cores costs five times as much.
    let mut only = CpuSet::new();
    only.set(sched_getcpu().unwrap()).unwrap();
    sched_setaffinity(Pid::from_raw(0), &only).unwrap();
    let (name, at) = (stand.scene.named.name.clone(), stand.scene.at);
    let container = Container::start(stand.kind, move |line| {
        let segment = Segment::open_named(&name, Placement::Anywhere, 0).unwrap();
        // Whatever is asked for the first time is asked before.
        drop(Candidate::new(&segment, at).unwrap());
        let made = (window != Window::Made).then(|| Candidate::new(&segment, at).unwrap());
        line.say("ready");
        line.hear();
        raise(Signal::SIGSTOP).unwrap();
        let candidate = made.unwrap_or_else(|| Candidate::new(&segment, at).unwrap());
        match (window, candidate) {
            (Window::Made, candidate) => std::mem::forget(candidate),
            (_, candidate) => match candidate.try_acquire().unwrap() {
                Acquire::Acquired(lease) => lease.release().unwrap(),
                Acquire::Held { candidate, .. } => drop(candidate),
            },
        }
        raise(Signal::SIGSTOP).unwrap();
    });
    attach(container)
}

/// Has it traced by the test, and stopped where its window begins.
fn attach(mut container: Container) -> Container {
    assert_eq!(container.line.hear(), "ready");
    ptrace::seize(container.pid, ptrace::Options::PTRACE_O_EXITKILL).unwrap();
    container.line.say("go");
    stopped(container.pid);
    container
}

/// Returns the signal that stopped a traced process; `None` once it has ended.
fn stopped(pid: Pid) -> Option<Signal> {
    match waitpid(pid, Some(WaitPidFlag::__WALL)).unwrap() {
        WaitStatus::Stopped(_, signal) => Some(signal),
        // The group stop of its own SIGSTOP, as one that was seized reports it.
        WaitStatus::PtraceEvent(_, signal, _) => Some(signal),
        _ => None,
    }
}

/// Retires one instruction; false at the end of the window.
fn step(pid: Pid) -> bool {
    loop {
        ptrace::step(pid, None).unwrap();
        match stopped(pid) {
            Some(Signal::SIGTRAP) => return true,
            Some(Signal::SIGSTOP) | None => return false,
            Some(_) => {}
        }
    }
}

/// The numbers of instructions after which a standby is killed: all around those that changed the
/// lease, and some of the others, every `stride`th.
fn moments(stand: &Stand, window: Window, stride: usize) -> Vec<usize> {
    let mut container = stepped(stand, window);
    let mut lease = [0; size_of::<LeaseWords>()];
    let mut look = || {
        let before = lease;
        stand.scene.named.segment.read(stand.scene.at, &mut lease).unwrap();
        before != lease
    };
    look();
    let mut changes: Vec<usize> = Vec::new();

    let mut count = 0_usize;
    while step(container.pid) {
        count += 1;
        if look() {
            changes.push(count);
        }
    }
    ptrace::detach(container.pid, Signal::SIGCONT).unwrap();
    assert_eq!(container.wait(), 0);
    assert!(count > 500, "{window:?}: only {count} instructions");
    let changing = window == Window::TakesAndReleases;
    assert_eq!(!changes.is_empty(), changing, "{window:?}: {changes:?}");
    let near = |at: &usize| changes.iter().any(|change| change.abs_diff(*at) <= 2);
    (0..=count).filter(|at| at % stride == 0 || near(at)).collect()
}

/// Runs a standby for so many instructions and kills it there; `before` is done first.
fn killed_after(stand: &Stand, window: Window, count: usize, before: impl FnOnce()) {
    let mut container = stepped(stand, window);
    // How often it asks for a clock or waits for a thread differs: it may have come to the end.
    let _ = (0..count).all(|_| step(container.pid));
    before();
    nix::sys::signal::kill(container.pid, Signal::SIGKILL).unwrap();
    while stopped(container.pid).is_some() {}
    assert_eq!(container.wait(), container::KILLED);
}

const PLAIN: Kind = Kind { proc: Proc::Own, user: false };

#[test]
fn a_standby_killed_at_any_instruction_leaves_a_living_owner_alone() {
    let stand = Stand::new(PLAIN);
    let mut owner = stand.container();
    assert_eq!(ask(&mut owner, "try"), "owns");
    let word = stand.word();
    // Making a candidate starts a thread, which is long, and registers nothing.
    let strides = [(Window::Refused, if exhaustive() { 1 } else { 97 }), (Window::Made, 149)];
    for (window, stride) in &strides[..if exhaustive() { 2 } else { 1 }] {
        for count in moments(&stand, *window, *stride) {
            killed_after(&stand, *window, count, || {});
            assert_eq!(stand.word() & !WAITERS, word, "{window:?}: killed after {count}");
        }
    }
    held(stand.scene.candidate().try_acquire().unwrap());
    let mut heir = stand.container();
    heir.line.say("wait");
    stand.scene.until_somebody_waits();
    owner.kill();
    assert_eq!(heir.line.hear(), "epoch 2 Died");
}

#[test]
fn one_killed_at_any_instruction_of_taking_and_releasing_is_followed_by_one_owner() {
    let stand = Stand::new(PLAIN);
    let mut rival = stand.container();
    let stride = if exhaustive() { 1 } else { 97 };
    for count in moments(&stand, Window::TakesAndReleases, stride) {
        // The rival takes the lease as soon as it can: before the kill, or after it.
        killed_after(&stand, Window::TakesAndReleases, count, || rival.line.say("take"));
        let taken = rival.line.hear();
        assert!(taken.starts_with("epoch "), "killed after {count} instructions: {taken:?}");
        assert_eq!(stand.word() & OWNER_DIED, 0, "killed after {count}: the rival is marked");
        assert_ne!(stand.word() & TID, 0, "killed after {count}: nobody owns");
        held(stand.scene.candidate().try_acquire().unwrap());
        assert_eq!(ask(&mut rival, "release"), "released");
    }
}

//! Runs cases in a child process, and names the case if the child crashes, panics or hangs.

#![expect(unsafe_code, reason = "forks, and shares a page with the child")]

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork};

/// Longer than any case may run, or be found asleep. Waiting for a processor counts as neither: on a
/// machine that does other things too, that may take minutes.
const HANG: Duration = Duration::from_secs(30);
/// Between two looks at the child.
const LOOK: Duration = Duration::from_millis(10);
const FAILED: i32 = 3;

/// A random number generator (SplitMix64): the same numbers for the same case, always.
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn from_seed(seed: u64) -> Rng {
        Rng(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.next() % n.max(1)
    }

    pub(crate) fn index(&mut self, n: usize) -> usize {
        usize::try_from(self.below(n as u64)).unwrap()
    }

    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.index(from.len())]
    }
}

/// Where a child says how far it is: case number, and damaged segments tried so far.
struct Progress {
    case: AtomicU64,
    damaged: AtomicU64,
}

/// Plays cases of a kind, from number 0 or `HOSTILE_FIRST`, until `wanted` damaged segments were tried.
/// `play` returns how many a case took.
pub(crate) fn run(kind: &str, wanted: u64, play: fn(&mut Rng) -> u64) {
    if let Ok(only) = std::env::var("HOSTILE_CASE") {
        if let Some(number) = only.strip_prefix(&format!("{kind}:")) {
            play(&mut Rng(number.parse().expect("HOSTILE_CASE: kind:number")));
        }
        return;
    }
    let first = std::env::var("HOSTILE_FIRST");
    let first = first.map_or(0_u64, |number| number.parse().expect("HOSTILE_FIRST: a number"));
    let progress = shared_progress();
    let since = Instant::now();
    // SAFETY: the child runs cases and exits. It starts threads and allocates, which the C library
    // allows after a fork of a process with threads, though the standard does not promise it.
    match unsafe { fork() }.unwrap() {
        ForkResult::Child => {
            let outcome = std::panic::catch_unwind(|| {
                for case in first.. {
                    progress.case.store(case, Ordering::Relaxed);
                    let tried = play(&mut Rng(case));
                    if progress.damaged.fetch_add(tried, Ordering::Relaxed) + tried >= wanted {
                        break;
                    }
                }
            });
            // SAFETY: ends the child without running the parent's exit handlers.
            unsafe { libc::_exit(if outcome.is_ok() { 0 } else { FAILED }) };
        }
        ForkResult::Parent { child } => {
            let status = watch(child, progress);
            let case = progress.case.load(Ordering::Relaxed);
            let damaged = progress.damaged.load(Ordering::Relaxed);
            assert_eq!(
                status,
                WaitStatus::Exited(child, 0),
                "after {damaged} damaged segments; repeat it with HOSTILE_CASE={kind}:{case}"
            );
            assert!(damaged >= wanted, "only {damaged} of {wanted} were tried");
            let took = since.elapsed();
            println!("{kind}: {damaged} damaged segments, cases {first} to {case}, {took:?}");
        }
    }
}

fn watch(child: nix::unistd::Pid, progress: &Progress) -> WaitStatus {
    let (mut last, mut ran, mut slept) = (u64::MAX, Duration::ZERO, Duration::ZERO);
    loop {
        match waitpid(child, Some(WaitPidFlag::WNOHANG)).unwrap() {
            // The interval of a watchdog: what it looks for is that nothing happens.
            WaitStatus::StillAlive => std::thread::sleep(LOOK),
            ended => return ended,
        }
        let Some((asleep, cpu)) = state(child) else { continue };
        let case = progress.case.load(Ordering::Relaxed);
        if case != last {
            (last, ran, slept) = (case, cpu, Duration::ZERO);
        }
        slept = if asleep { slept + LOOK } else { Duration::ZERO };
        if slept > HANG || cpu.saturating_sub(ran) > HANG {
            let _ = kill(child, Signal::SIGKILL);
        }
    }
}

/// Whether a process sleeps, and how long it ran so far.
fn state(pid: nix::unistd::Pid) -> Option<(bool, Duration)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit(')').next()?.split_whitespace().collect();
    let ticks = |index: usize| fields.get(index)?.parse::<u64>().ok();
    // User and system time, in hundredths of a second.
    let ran = Duration::from_millis(10 * (ticks(11)? + ticks(12)?));
    Some((matches!(*fields.first()?, "S" | "D"), ran))
}

fn shared_progress() -> &'static Progress {
    let len = NonZeroUsize::new(4096).unwrap();
    let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    // SAFETY: a fresh mapping, never unmapped, zero: two atomics of value 0.
    unsafe {
        mmap_anonymous(None, len, access, MapFlags::MAP_SHARED).unwrap().cast::<Progress>().as_ref()
    }
}

//! The two clocks of a measurement: the time stamp counter, and the core's own cycles, which a chain
//! of dependent instructions counts. Their ratio moves with the core's clock, so it is measured
//! beside each figure. Called by everything here.
#![expect(unsafe_code, reason = "reads the time stamp counter, times instructions in assembly")]

use std::arch::asm;
use std::arch::x86_64::{__rdtscp, _mm_lfence, _rdtsc};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// Pins this thread to one core.
///
/// # Errors
/// When there is no such core, or this process may not use it.
pub fn pin(core: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(core).with_context(|| format!("core {core} is out of range"))?;
    sched_setaffinity(Pid::from_raw(0), &set)
        .with_context(|| format!("cannot pin to core {core}: choose one that exists"))
}

/// The last core that this process may use: the first is where a system does its own work.
///
/// # Errors
/// When the system does not tell.
pub fn last_core() -> Result<usize> {
    let set = sched_getaffinity(Pid::from_raw(0)).context("the usable cores are unknown")?;
    let usable = |&core: &usize| set.is_set(core).unwrap_or(false);
    (0..CpuSet::count()).rev().find(usable).context("this process may use no core")
}

/// The time stamp counter, when everything before has begun.
#[inline(always)]
pub(crate) fn start() -> u64 {
    // SAFETY: every x86-64 CPU has both instructions.
    unsafe {
        _mm_lfence();
        let now = _rdtsc();
        _mm_lfence();
        now
    }
}

/// The time stamp counter, when everything before is done.
#[inline(always)]
pub(crate) fn stop() -> u64 {
    let mut core = 0;
    // SAFETY: every x86-64 CPU that has AES instructions has rdtscp.
    unsafe {
        let now = __rdtscp(&raw mut core);
        _mm_lfence();
        now
    }
}

/// Time stamp ticks that `work` takes.
#[inline(always)]
pub(crate) fn time(work: impl FnOnce()) -> u64 {
    let begin = start();
    work();
    stop().saturating_sub(begin)
}

/// Multiplications of one turn of the chain, each of which waits for the one before.
const CHAIN: u64 = 64;
/// Latency of a 64-bit multiplication in core cycles, on every x86-64 core of the last 15 years.
const MULTIPLY: u64 = 3;
/// Turns of the chain for one measurement: about 20,000 core cycles.
const TURNS: u64 = 105;

/// Time stamp ticks per core cycle, now.
pub(crate) fn ticks_per_cycle() -> f64 {
    let ticks = time(|| {
        let mut turns = TURNS;
        let mut value = 3_u64;
        while turns > 0 {
            // It may touch memory as far as the compiler knows, which keeps it between the two
            // readings of the counter.
            // SAFETY: multiplies a register by itself, nothing else.
            unsafe {
                asm!(
                    ".rept 64",
                    "imul {0}, {0}",
                    ".endr",
                    inout(reg) value,
                    options(nostack)
                );
            }
            turns -= 1;
        }
        std::hint::black_box(value);
    });
    as_f64(ticks) / as_f64(TURNS * CHAIN * MULTIPLY)
}

/// Time stamp ticks in a second, measured once.
pub(crate) fn ticks_per_second() -> f64 {
    static TICKS: OnceLock<f64> = OnceLock::new();
    *TICKS.get_or_init(measure_ticks_per_second)
}

fn measure_ticks_per_second() -> f64 {
    let (begin, from) = (Instant::now(), start());
    // The time that is measured.
    std::thread::sleep(Duration::from_millis(20));
    let ticks = stop() - from;
    as_f64(ticks) / begin.elapsed().as_secs_f64()
}

/// A count as a fraction's part.
#[expect(clippy::cast_precision_loss, reason = "counts of a measurement are below 2^53")]
#[inline]
pub(crate) fn as_f64(count: u64) -> f64 {
    count as f64
}

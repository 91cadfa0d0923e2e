//! Instructions for a job, counted by single-stepping a child: a figure that no neighbour, clock or
//! cache can change, and so one that a test may compare with a bound.

use std::collections::BTreeMap;

use anyhow::{Result, bail, ensure};
use nix::sys::ptrace;
use nix::sys::signal::{Signal, kill, raise};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork};

use crate::clock::as_f64;
use crate::ours::{self, Ours};
use crate::rig::Rig;
use crate::row::Spec;

/// What stepping a window found.
#[derive(Clone, Debug)]
pub struct Instructions {
    /// Jobs that went in and came back.
    pub jobs: u64,
    /// Instructions that all of them took.
    pub total: u64,
    /// How often the instruction at an address was executed; addresses as in this process, of which the
    /// stepped one is a fork.
    pub by_address: BTreeMap<u64, u64>,
}

impl Instructions {
    /// Instructions for one job.
    #[must_use]
    pub fn per_job(&self) -> f64 {
        as_f64(self.total) / as_f64(self.jobs)
    }
}

/// Turns over the jobs before the window: keys are transposed, code is mapped.
const WARM: u64 = 4;

/// Steps our manager through `turns` times the jobs of `spec`. The window begins and ends with
/// nothing outstanding, or with a stream's steady state.
///
/// # Errors
/// When the child cannot be traced, or fails.
pub fn count(spec: &Spec, turns: u64) -> Result<Instructions> {
    count_window(spec.jobs() * turns, || play(spec, turns))
}

/// Steps what `play` does between its two [`mark`]s, in a forked child. The caller has one thread.
///
/// # Errors
/// When the child cannot be traced, or fails.
pub(crate) fn count_window(jobs: u64, play: impl FnOnce() -> Result<()>) -> Result<Instructions> {
    #![expect(unsafe_code, reason = "forks")]
    // SAFETY: the child works only with what it makes itself, and ends by `_exit`.
    match unsafe { fork() }? {
        ForkResult::Child => {
            let played = ptrace::traceme().map_err(anyhow::Error::from).and_then(|()| play());
            let code = match played {
                Ok(()) => 0,
                Err(error) => {
                    eprintln!("the stepped process failed: {error:#}");
                    1
                }
            };
            // SAFETY: ends this process without running the parent's handlers.
            unsafe { nix::libc::_exit(code) }
        }
        ForkResult::Parent { child } => {
            let counted = step(child, jobs);
            if counted.is_err() {
                // It may have ended already; there is nothing else to do about it.
                let _ = kill(child, Signal::SIGKILL);
                let _ = waitpid(child, Some(WaitPidFlag::__WALL));
            }
            counted
        }
    }
}

/// The child: begins or ends the window.
pub(crate) fn mark() -> Result<()> {
    Ok(raise(Signal::SIGSTOP)?)
}

/// The child: runs the jobs, some turns before the window.
fn play(spec: &Spec, turns: u64) -> Result<()> {
    let rig = Rig::new(spec, ours::size(spec))?;
    let mut ours = Ours::new(&rig)?;
    ours.run(WARM)?;
    mark()?;
    let done = ours.run(turns)?;
    mark()?;
    ensure!(done == spec.jobs() * turns, "{done} jobs came back from the window");
    Ok(())
}

/// The parent: steps from one stop to the next. The few instructions of `raise` at both ends are
/// counted with the window; there are less of them than a job has.
fn step(child: Pid, jobs: u64) -> Result<Instructions> {
    expect_stop(child, Signal::SIGSTOP)?;
    let mut found = Instructions { jobs, total: 0, by_address: BTreeMap::new() };
    loop {
        ptrace::step(child, None)?;
        match waitpid(child, Some(WaitPidFlag::__WALL))? {
            WaitStatus::Stopped(_, Signal::SIGTRAP) => {
                found.total += 1;
                let at = ptrace::getregs(child)?.rip;
                *found.by_address.entry(at).or_default() += 1;
            }
            WaitStatus::Stopped(_, Signal::SIGSTOP) => break,
            other => bail!("the stepped process stopped unexpectedly: {other:?}"),
        }
    }
    ptrace::detach(child, None)?;
    match waitpid(child, Some(WaitPidFlag::__WALL))? {
        WaitStatus::Exited(_, 0) => Ok(found),
        other => bail!("the stepped process ended with {other:?}"),
    }
}

fn expect_stop(child: Pid, signal: Signal) -> Result<()> {
    match waitpid(child, Some(WaitPidFlag::__WALL))? {
        WaitStatus::Stopped(_, found) if found == signal => Ok(()),
        other => bail!("the stepped process did not reach its window: {other:?}"),
    }
}

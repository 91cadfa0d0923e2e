//! Instructions of what happens once in an owner's life: of a takeover, of attaching, and of the first
//! job. Called by the tests, which hold them to a bound: each is in the way of the jobs that wait.

use anyhow::{Result, ensure};
use mbmgr::{
    Algorithm, Config, Direction, Job, Key, KeyId, LAYOUT_HASH, Manager, Options, Standby, Wait,
};
use shmem::{Segment, SegmentOptions};
use std::sync::Arc;
use std::time::Duration;

use crate::instructions::{Instructions, count_window, mark};

/// Jobs that wait in lanes: one less than there are lanes.
const JOBS: u64 = 15;
const JOB_LEN: u64 = 272;

/// A part of an owner's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// A standby that waits takes over a manager with 15 jobs in lanes.
    Takeover,
    /// The same without a standby: attaching is part of it.
    Attach,
    /// The first submit of a new manager.
    FirstSubmit,
    /// One that follows: what the first is compared with.
    NextSubmit,
    /// The first submit after a takeover.
    FirstSubmitAfterTakeover,
}

/// Steps one part.
///
/// # Errors
/// When the child cannot be traced, or fails.
pub fn count_part(part: Part) -> Result<Instructions> {
    count_window(1, || {
        let config = Config::default();
        let options = SegmentOptions {
            len: Manager::segment_len(&config, 64 * 1024),
            layout_hash: LAYOUT_HASH,
            ..SegmentOptions::default()
        };
        let segment = Segment::create_anonymous("instructions", &options)?;
        let mut manager = Manager::create(&segment, &config, &Options::default())?;
        let key = manager.add_key(Key::Aes(&[7; 16]))?;
        let mut jobs =
            (0..=JOBS).map(|user| job(&segment, key, user)).collect::<Result<Vec<_>>>()?;
        let last = jobs.pop();
        match part {
            Part::FirstSubmit => mark()?,
            Part::NextSubmit => {
                submit(&mut manager, jobs.pop().as_ref())?;
                mark()?;
            }
            Part::Takeover | Part::Attach | Part::FirstSubmitAfterTakeover => {
                for job in &jobs {
                    submit(&mut manager, Some(job))?;
                }
                // As a death: the kernel marks the lease when its thread ends.
                drop(manager);
                manager = own(part, &segment)?;
                ensure!(manager.recovered().unfinished == JOBS, "{:?}", manager.recovered());
                if part != Part::FirstSubmitAfterTakeover {
                    return Ok(());
                }
                mark()?;
            }
        }
        submit(&mut manager, last.as_ref())?;
        mark()
    })
}

fn job(segment: &Arc<Segment>, key: KeyId, user: u64) -> Result<Job> {
    let at = segment.arena().alloc(JOB_LEN, 64)?;
    let job = Job::cipher(Algorithm::Aes128Cbc, Direction::Encrypt, key, &[3; 16])?;
    Ok(job.in_place(at, JOB_LEN).user(user))
}

fn submit(manager: &mut Manager, job: Option<&Job>) -> Result<()> {
    let job = job.ok_or_else(|| anyhow::anyhow!("no job is left to submit"))?;
    manager.submit(job)?;
    Ok(())
}

/// Takes over; marks both ends where that is the part.
fn own(part: Part, segment: &Arc<Segment>) -> Result<Manager> {
    if part == Part::Attach {
        mark()?;
        let manager = Manager::attach(segment, 0, &Options::default())?;
        mark()?;
        return Ok(manager);
    }
    let standby = Standby::attach(segment, 0, &Options::default())?;
    if part == Part::Takeover {
        mark()?;
    }
    let waited = standby.wait(Some(Duration::ZERO))?;
    if part == Part::Takeover {
        mark()?;
    }
    match waited {
        Wait::TakenOver(manager) => Ok(*manager),
        Wait::TimedOut { owner, .. } => anyhow::bail!("{owner} lives"),
    }
}

//! How a job came back: what a caller is told, and how a slot stores a failure. Used by `Manager` and by
//! `recovery`. A failure survives a crash in its slot; a `Completed` does not: it is given again.

/// A job that came back, in the order of submission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Completed {
    /// The job's number: the first one of a manager is 0. It survives takeovers.
    pub sequence: u64,
    /// The caller's own word.
    pub user: u64,
    /// How it ended.
    pub status: JobStatus,
    /// It was returned before, to an owner that died before acknowledging it.
    pub redelivered: bool,
}

/// How a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobStatus {
    /// Every byte of its output is written.
    Ok,
    /// It cannot be finished; its destination is undefined unless the failure says more.
    Failed(Failure),
}

/// Why a job failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure {
    /// After a takeover its slot did not pass the check that it had passed at submission: something
    /// outside the manager wrote to the segment.
    DamagedSlot,
    /// The tag of a decrypt job is not that of its message. Nothing was written, unless the job was to
    /// decrypt first and verify after (see [`crate::Job::then_hash`]).
    TagMismatch,
}

impl Failure {
    pub(crate) fn id(self) -> u32 {
        match self {
            Failure::DamagedSlot => 1,
            Failure::TagMismatch => 2,
        }
    }

    /// What a slot says; a number that is none of ours is damage.
    pub(crate) fn from_id(id: u32) -> Failure {
        if id == Failure::TagMismatch.id() { Failure::TagMismatch } else { Failure::DamagedSlot }
    }
}

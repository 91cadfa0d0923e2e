//! Bugs on purpose, to prove that the crash sweep sees them. Only the feature `seeded-bugs` compiles
//! them in; without it [`seeded`] is `false` at compile time, and nothing of them is left in the program.
//! Called where the right order is kept, here and in `mbmgr`; selected by `takeover sweep --bug`.

use std::fmt;
use std::str::FromStr;

/// One bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Bug {
    /// A step is committed before its log is written.
    LogAfterCommit,
    /// Every step uses the same log slot.
    LogSlotParity,
    /// Outputs are stored before their step is committed, as a compiler may without the fence.
    FenceRemoved,
    /// Progress is counted from the run's beginning, not from the job's.
    ProgressRelative,
    /// A job is done before its tag is written.
    StatusBeforeTag,
    /// A job is accepted before its slot is filled.
    TailBeforeSlot,
    /// The chaining value of a CBC decryption is not logged.
    ChainNotLogged,
    /// Recovery does not redo the step in flight.
    RedoSkipped,
    /// A new owner does not raise the epoch.
    EpochNotRaised,
    /// A job counts as returned before its status says that it is done.
    ReturnedBeforeStatus,
    /// The run ends before progress and status of its jobs are stored.
    JournalEndsEarly,
    /// A key's entry is free before its material is zeroized.
    KeyFreedEarly,
    /// A job is acknowledged when it is returned, not when its caller calls again.
    AcknowledgedAtReturn,
    /// The stage of a chained job is committed before its tag is written.
    StageBeforeTag,
    /// The stage of a chained job is not committed.
    StageNotCommitted,
    /// Recovery runs the hash of a chained job again after the cipher has begun.
    HashRunAgain,
    /// Recovery counts the blocks of a CTR step from where its run began, not from the job's beginning.
    RedoCounterFromBase,
    /// A slot that is used again keeps the progress of the job before.
    ProgressNotReset,
    /// The owner leaves an address on its stack in the segment, and recovery stores there.
    StalePointer,
}

impl Bug {
    /// All of them.
    pub const ALL: [Bug; 19] = [
        Bug::LogAfterCommit,
        Bug::LogSlotParity,
        Bug::FenceRemoved,
        Bug::ProgressRelative,
        Bug::StatusBeforeTag,
        Bug::TailBeforeSlot,
        Bug::ChainNotLogged,
        Bug::RedoSkipped,
        Bug::EpochNotRaised,
        Bug::ReturnedBeforeStatus,
        Bug::JournalEndsEarly,
        Bug::KeyFreedEarly,
        Bug::AcknowledgedAtReturn,
        Bug::StageBeforeTag,
        Bug::StageNotCommitted,
        Bug::HashRunAgain,
        Bug::RedoCounterFromBase,
        Bug::ProgressNotReset,
        Bug::StalePointer,
    ];

    /// Its name on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Bug::LogAfterCommit => "log-after-commit",
            Bug::LogSlotParity => "log-slot-parity",
            Bug::FenceRemoved => "fence-removed",
            Bug::ProgressRelative => "progress-relative",
            Bug::StatusBeforeTag => "status-before-tag",
            Bug::TailBeforeSlot => "tail-before-slot",
            Bug::ChainNotLogged => "chain-not-logged",
            Bug::RedoSkipped => "redo-skipped",
            Bug::EpochNotRaised => "epoch-not-raised",
            Bug::ReturnedBeforeStatus => "returned-before-status",
            Bug::JournalEndsEarly => "journal-ends-early",
            Bug::KeyFreedEarly => "key-freed-early",
            Bug::AcknowledgedAtReturn => "acknowledged-at-return",
            Bug::StageBeforeTag => "stage-before-tag",
            Bug::StageNotCommitted => "stage-not-committed",
            Bug::HashRunAgain => "hash-run-again",
            Bug::RedoCounterFromBase => "redo-counter-from-base",
            Bug::ProgressNotReset => "progress-not-reset",
            Bug::StalePointer => "stale-pointer",
        }
    }
}

impl fmt::Display for Bug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Bug {
    type Err = String;

    fn from_str(text: &str) -> Result<Bug, String> {
        let found = Bug::ALL.into_iter().find(|bug| bug.name() == text);
        found.ok_or_else(|| {
            let names = Bug::ALL.map(Bug::name).join(", ");
            format!("no seeded bug is called `{text}`: use one of {names}")
        })
    }
}

#[cfg(feature = "seeded-bugs")]
mod selected {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::Bug;

    // Relaxed: set before the sweep forks, never changed later.
    static SELECTED: AtomicU32 = AtomicU32::new(u32::MAX);

    /// Makes the processes that are forked from now on have `bug`.
    pub fn select(bug: Bug) {
        SELECTED.store(bug as u32, Ordering::Relaxed);
    }

    /// The bug that was selected.
    #[must_use]
    pub fn selected() -> Option<Bug> {
        let selected = SELECTED.load(Ordering::Relaxed);
        Bug::ALL.into_iter().find(|&bug| bug as u32 == selected)
    }

    /// Whether `bug` is to be committed here.
    #[inline(always)]
    #[must_use]
    pub fn seeded(bug: Bug) -> bool {
        SELECTED.load(Ordering::Relaxed) == bug as u32
    }
}

#[cfg(feature = "seeded-bugs")]
pub use selected::{seeded, select, selected};

/// Whether `bug` is to be committed here: never, in this build.
#[cfg(not(feature = "seeded-bugs"))]
#[inline(always)]
#[must_use]
pub const fn seeded(_bug: Bug) -> bool {
    false
}

/// The bug that was selected: none, in this build.
#[cfg(not(feature = "seeded-bugs"))]
#[must_use]
pub const fn selected() -> Option<Bug> {
    None
}

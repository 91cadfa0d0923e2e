//! What can go wrong around the library. Nothing here survives a crash.

use shmem::Offset;

/// An error of the binding, or one that the library reported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The segment's.
    #[error(transparent)]
    Segment(#[from] shmem::Error),
    /// The library could not set up a manager.
    #[error("the library cannot set up a manager for {0}: choose another architecture")]
    Unavailable(&'static str),
    /// There is no manager of the library where it is looked for.
    #[error("no manager of the library at root {0}")]
    NoManager(usize),
    /// The manager keeps pointers, so it can be used at one address only.
    #[error("the manager was made at address {made:#x}, not {here:#x}: use identical placement")]
    Moved {
        /// Where the segment was mapped when the manager was made.
        made: u64,
        /// Where it is mapped here.
        here: u64,
    },
    /// A buffer is not in the arena.
    #[error("the {what} at {at}, {len} bytes long, does not lie in the arena")]
    ForeignBuffer {
        /// Source, destination.
        what: &'static str,
        /// Its place.
        at: Offset,
        /// Its length.
        len: u64,
    },
    /// The algorithm takes no key of that length or form.
    #[error("{algorithm} takes no key of {len} bytes")]
    KeyLength {
        /// The algorithm.
        algorithm: &'static str,
        /// The key's length.
        len: usize,
    },
    /// The job names a key where none is taken, none where one is, or one of another algorithm.
    #[error("{algorithm} needs a key that was added for it")]
    KeyKind {
        /// The algorithm.
        algorithm: &'static str,
    },
    /// All entries of the key table are taken.
    #[error("the table of {0} keys is full")]
    KeyTableFull(u64),
    /// The library refused the job.
    #[error("the library refused the job: {0}")]
    Refused(String),
    /// The queue is full: flush first.
    #[error("the library's queue of {0} jobs is full: flush first")]
    QueueFull(usize),
    /// A batch of one segment was handed to a manager of another.
    #[error("the jobs lie in another segment than the manager's")]
    OtherSegment,
    /// A job of a batch did not complete.
    #[error("only {completed} of {submitted} jobs completed: {text}")]
    Incomplete {
        /// Jobs that completed.
        completed: u64,
        /// Jobs that were submitted.
        submitted: u64,
        /// What the library says.
        text: String,
    },
}

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

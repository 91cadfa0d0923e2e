//! Every way in which this crate refuses, with the value that was wrong and the way out.
//! All of its modules return it. Nothing in it lives in shared memory.

use crate::{Offset, Owner};

/// The result of this crate's calls.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a call was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A system call failed.
    #[error("{call} failed: {source}")]
    System {
        /// The call.
        call: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// A segment name that we do not use.
    #[error("segment name {name:?} refused: {why}")]
    BadName {
        /// The name.
        name: String,
        /// The rule that it breaks.
        why: &'static str,
    },
    /// A segment of this name is there already.
    #[error("segment {name} exists already: choose another name or unlink it")]
    Exists {
        /// The name.
        name: String,
    },
    /// No segment of this name.
    #[error("segment {name} does not exist: its creator has not made it, or has unlinked it")]
    NotFound {
        /// The name.
        name: String,
    },
    /// A length that a segment cannot have.
    #[error("segment length {len} refused: it must be at least {min} and fit the address space")]
    BadLength {
        /// The length asked for.
        len: u64,
        /// The least length.
        min: u64,
    },
    /// The file does not begin with our magic.
    #[error("magic {found:#018x} is not ours: no segment, or its creator died before finishing it")]
    WrongMagic {
        /// The magic found.
        found: u64,
    },
    /// Another layout version.
    #[error("segment layout version {found}, but this build speaks {expected}: use equal builds")]
    WrongVersion {
        /// The version found.
        found: u32,
        /// Ours.
        expected: u32,
    },
    /// Another layout of the shared structures.
    #[error("segment layout hash {found:#x}, but this build has {expected:#x}: use equal builds")]
    WrongLayout {
        /// The hash found.
        found: u64,
        /// Ours.
        expected: u64,
    },
    /// The file is too short.
    #[error("segment file has {len} bytes, but {needed} are needed: it was cut or never finished")]
    Truncated {
        /// The file's length.
        len: u64,
        /// The length it should have at least.
        needed: u64,
    },
    /// A value in the segment that nobody of ours wrote.
    #[error("segment is corrupt: {what}; recreate it")]
    Corrupt {
        /// Which value, and what is wrong with it.
        what: String,
    },
    /// Identical placement found the address taken.
    #[error("address {address:#x} (+{len:#x}) is occupied by [{occupant}]: use placement anywhere")]
    AddressOccupied {
        /// The address wanted.
        address: u64,
        /// The length wanted.
        len: u64,
        /// The line of the system's memory map that lies there.
        occupant: String,
    },
    /// A range that does not lie within the segment.
    #[error("range {at} (+{len:#x}) lies outside the segment's {start:#x}..{end:#x}")]
    OutOfBounds {
        /// Start of the range.
        at: Offset,
        /// Length of the range.
        len: u64,
        /// First offset that could be used.
        start: u64,
        /// End of the segment.
        end: u64,
    },
    /// An offset that does not suit the type.
    #[error("offset {at} is not aligned to {align}")]
    Misaligned {
        /// The offset.
        at: Offset,
        /// The alignment needed.
        align: usize,
    },
    /// An alignment that the arena cannot give.
    #[error("alignment {align} refused: it must be a power of two of at most {max}")]
    BadAlignment {
        /// The alignment asked for.
        align: u64,
        /// The largest one.
        max: u64,
    },
    /// The arena has no room left.
    #[error("arena full: {len} bytes aligned to {align} do not fit the {remaining} that remain")]
    ArenaFull {
        /// The length asked for.
        len: u64,
        /// The alignment asked for.
        align: u64,
        /// What remains, before aligning.
        remaining: u64,
    },
    /// An index beyond the directory of roots.
    #[error("root {index} does not exist: the directory has {}", crate::ROOTS)]
    NoSuchRoot {
        /// The index.
        index: usize,
    },
    /// The root is published already.
    #[error("root {index} is taken by {by}: retract it first")]
    RootTaken {
        /// The index.
        index: usize,
        /// What it refers to.
        by: Offset,
    },
    /// Another process owns the lease.
    #[error("the lease is held by {owner}: wait for it, or force it")]
    Held {
        /// Its owner.
        owner: Owner,
    },
    /// Forcing was asked for in the process that owns the lease.
    #[error("the lease is held by this process ({owner}): release it, it cannot be forced")]
    HeldByThisProcess {
        /// This process.
        owner: Owner,
    },
    /// The lease words do not say whom to kill, or it cannot be told whether that one lives.
    #[error("the lease is held by thread {tid} of {owner}, {why}: not killed, nothing taken")]
    OwnerUnclear {
        /// The thread in the lease word.
        tid: u32,
        /// The identity beside it.
        owner: Owner,
        /// What is unclear, and the way out.
        why: &'static str,
    },
    /// Another process is taking or giving up the lease, and does not get on with it.
    #[error("the lease is changing hands, and who does it stands still: end that process, or wait")]
    Busy,
    /// The owner could not be killed.
    #[error("{owner} could not be killed: {source}")]
    KillFailed {
        /// The owner.
        owner: Owner,
        /// What the system said.
        source: std::io::Error,
    },
    /// The lease belongs to another process: to the parent of a forked child.
    #[error("the lease was taken by pid {pid}: a forked child cannot use it")]
    OtherProcess {
        /// The process that took it.
        pid: u32,
    },
    /// The lease has passed on to somebody else.
    #[error("fenced: the lease of epoch {epoch} is over, the segment is at epoch {current}")]
    Fenced {
        /// Our epoch.
        epoch: u64,
        /// The segment's.
        current: u64,
    },
}

impl Error {
    /// Makes the error of a failed system call.
    pub(crate) fn system(call: &'static str, source: impl Into<std::io::Error>) -> Error {
        Error::System { call, source: source.into() }
    }

    /// Makes the error of a value that nobody of ours wrote.
    pub(crate) fn corrupt(what: impl Into<String>) -> Error {
        Error::Corrupt { what: what.into() }
    }
}

//! What can go wrong with a call. A job's own failure is its status, not an error here.

use shmem::{Offset, Owner};

use crate::algorithm::Algorithm;

/// The result of a manager's call.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a call was refused. After any of these the manager is as it was before the call.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The segment itself.
    #[error(transparent)]
    Segment(#[from] shmem::Error),

    /// Another process owns the manager and lives.
    #[error("the manager is owned by {0}, which is alive; wait for it, or force the takeover")]
    Owned(Owner),

    /// Another process has taken the manager over.
    #[error("epoch {epoch} of this owner has passed; attach again as a standby")]
    Fenced {
        /// The epoch that was taken from this process.
        epoch: u64,
    },

    /// The segment holds no manager in that root.
    #[error("root {root} of the segment holds no manager; create one first")]
    NoManager {
        /// The root that was asked for.
        root: usize,
    },

    /// The manager cannot be removed yet.
    #[error("the manager holds {jobs} jobs that were not returned; flush them first")]
    NotEmpty {
        /// How many.
        jobs: u64,
    },

    /// All roots of the segment are in use.
    #[error("all roots of the segment are in use; use another segment")]
    NoFreeRoot,

    /// A configuration value is out of range.
    #[error("{what} is {value}; it must be {must}")]
    Config {
        /// Which value.
        what: &'static str,
        /// What it is.
        value: u64,
        /// What it may be.
        must: &'static str,
    },

    /// What lies in the segment contradicts itself.
    #[error("the segment is damaged: {what}")]
    Corrupt {
        /// What was found.
        what: String,
    },

    /// The CPU lacks what the backend needs.
    #[error("backend {name} is not available on this cpu; use one of: {available}")]
    BackendUnavailable {
        /// The backend that was asked for.
        name: &'static str,
        /// The ones that are there.
        available: String,
    },

    /// No algorithm has that name.
    #[error("unknown algorithm {name:?}; use one of: {}", names())]
    UnknownAlgorithm {
        /// What was given.
        name: String,
    },

    /// No direction has that name.
    #[error("unknown direction {name:?}; use encrypt or decrypt")]
    UnknownDirection {
        /// What was given.
        name: String,
    },

    /// Every slot holds a job that the caller has not acknowledged.
    #[error("all {ring} slots of the ring are in use; acknowledge what was returned, or flush")]
    RingFull {
        /// Slots of the ring.
        ring: u32,
    },

    /// A buffer is not in the arena of the manager's segment.
    #[error(
        "{what} of {len} bytes at {at} is not in the arena of the manager's segment \
         outside the manager itself; allocate it from the segment's arena"
    )]
    ForeignBuffer {
        /// `source`, `destination`, `tag`, `associated data` or `IV`.
        what: &'static str,
        /// Where it was said to be.
        at: Offset,
        /// How long it was said to be.
        len: u64,
    },

    /// A cipher job of no bytes.
    #[error("the length of a {algorithm} job is 0; it must be at least {min}")]
    ZeroLength {
        /// The job's algorithm.
        algorithm: Algorithm,
        /// The shortest legal length.
        min: usize,
    },

    /// A job shorter than the algorithm can be run on.
    #[error("the length {len} is under {min}, the shortest of {algorithm}; use a longer one")]
    TooShort {
        /// The job's algorithm.
        algorithm: Algorithm,
        /// The length that was given.
        len: u64,
        /// The shortest legal length.
        min: usize,
    },

    /// A length that is not a whole number of blocks.
    #[error("the length {len} is not a multiple of {block}, the block of {algorithm}; pad it")]
    UnalignedLength {
        /// The job's algorithm.
        algorithm: Algorithm,
        /// The length that was given.
        len: u64,
        /// The block length.
        block: usize,
    },

    /// A length over the limit of a job.
    #[error("the length {len} is over the limit of {max} bytes; split the job")]
    TooLong {
        /// The length that was given.
        len: u64,
        /// The longest job.
        max: u64,
    },

    /// An IV of a length that the algorithm does not take.
    #[error("the IV has {len} bytes; {algorithm} takes {takes}")]
    IvLength {
        /// The job's algorithm.
        algorithm: Algorithm,
        /// The length that was given.
        len: usize,
        /// What would do.
        takes: &'static str,
    },

    /// A tag of a length that the algorithm does not give.
    #[error("the tag has {len} bytes; {algorithm} gives {takes}")]
    TagLength {
        /// The job's algorithm.
        algorithm: Algorithm,
        /// The length that was given.
        len: usize,
        /// What would do.
        takes: String,
    },

    /// Associated data given to an algorithm that takes none.
    #[error("{algorithm} takes no associated data; leave it out, or use an aead")]
    NoAad {
        /// The job's algorithm.
        algorithm: Algorithm,
    },

    /// A chained job whose parts are not a cipher and a hash.
    #[error(
        "{algorithm} cannot be the {as_what} of a chained job; \
         chain a cipher that is no aead and a hash or MAC that takes no IV"
    )]
    Chain {
        /// What was given.
        algorithm: Algorithm,
        /// `cipher` or `hash`.
        as_what: &'static str,
    },

    /// A list of pieces that cannot be run.
    #[error("the pieces listed at {at} {what}; list up to 64 that do not overlap, for an aead")]
    Pieces {
        /// What is wrong with them.
        what: String,
        /// Where the list was said to be.
        at: Offset,
    },

    /// Two buffers of a job overlap that must not.
    #[error("{what} at {at} overlaps {with}; give it a place of its own")]
    Overlap {
        /// `tag`, `associated data` or `IV`.
        what: &'static str,
        /// Where it was said to be.
        at: Offset,
        /// The other buffer.
        with: &'static str,
    },

    /// Source and destination overlap without being the same.
    #[error(
        "source {src} and destination {dst} of {len} bytes overlap in part; \
         make them the same or disjoint (a digest must be disjoint from its input)"
    )]
    PartialOverlap {
        /// The source.
        src: Offset,
        /// The destination.
        dst: Offset,
        /// Input bytes.
        len: u64,
    },

    /// The algorithm needs a key and the job names none, or the other way round.
    #[error("{algorithm} {}", if *needs { "needs a key; give the job one" } else { "takes no key" })]
    KeyPresence {
        /// The job's algorithm.
        algorithm: Algorithm,
        /// Whether it needs one.
        needs: bool,
    },

    /// The key is of another kind than the algorithm takes.
    #[error("{algorithm} takes a key of kind {takes}; this one is {found}")]
    KeyKind {
        /// The job's algorithm.
        algorithm: Algorithm,
        /// What it takes.
        takes: &'static str,
        /// What was given.
        found: &'static str,
    },

    /// A key of a length that no AES has.
    #[error("an AES key of {len} bytes does not exist; use 16, 24 or 32")]
    KeyLength {
        /// The length that was given.
        len: usize,
    },

    /// A key of a length that the algorithm does not take.
    #[error("the key has {len} bytes; {algorithm} takes {takes}")]
    KeyLengthFor {
        /// The algorithm that was named.
        algorithm: Algorithm,
        /// The length that was given.
        len: usize,
        /// What would do.
        takes: usize,
    },

    /// The key was never added, or was removed since.
    #[error("key {key:#x} is not in the table: it was never added, or it was removed")]
    UnknownKey {
        /// The bits of the key's id.
        key: u64,
    },

    /// The key cannot be removed yet.
    #[error("key {key:#x} is used by {jobs} outstanding jobs; flush them first")]
    KeyInUse {
        /// The bits of the key's id.
        key: u64,
        /// How many jobs.
        jobs: u64,
    },

    /// No entry of the key table is free.
    #[error("all {keys} entries of the key table are in use; remove a key, or configure more")]
    KeyTableFull {
        /// Entries of the table.
        keys: u32,
    },

    /// An acknowledgement of something that was not returned.
    #[error("job {sequence} cannot be acknowledged: jobs before {returned} were returned")]
    NotReturned {
        /// The job that was named.
        sequence: u64,
        /// The first one that was not returned.
        returned: u64,
    },
}

fn names() -> String {
    Algorithm::ALL.iter().map(|algorithm| algorithm.name()).collect::<Vec<_>>().join(", ")
}

impl Error {
    pub(crate) fn corrupt(what: impl Into<String>) -> Error {
        Error::Corrupt { what: what.into() }
    }
}

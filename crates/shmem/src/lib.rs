//! Shared memory and its ownership: segments, checked offsets, an arena, the ownership lease.
//!
//! The manager (`mbmgr`) and the suite call it; it knows nothing of crypto. Whatever is read from a
//! segment is untrusted: it is copied out and checked before use. What survives the death of a
//! process is in the segment only: the header with its directory of roots, the arena's watermark,
//! and the lease words, which the kernel marks when their owner dies.
//!
//! Linux 4.16 or later: who owns must let others wait for its last stores (`membarrier(2)`).

mod arena;
mod bytes;
mod error;
mod event;
mod gate;
mod layout;
mod lease;
mod lease_thread;
mod lease_watch;
mod lease_words;
mod name;
mod offset;
mod owner;
mod placement;
mod roots;
mod secret;
pub mod seeded;
mod segment;
mod sys;

pub use arena::Arena;
pub use error::{Error, Result};
pub use event::{ring, wait_while};
pub use layout::{HEADER_LEN, ROOTS, Shared};
pub use lease::{Acquire, Candidate, Lease, Previous};
pub use lease_watch::Watch;
pub use lease_words::LeaseWords;
pub use name::SegmentName;
pub use offset::Offset;
pub use owner::Owner;
pub use placement::Placement;
pub use secret::Secrets;
pub use segment::{Segment, SegmentOptions};

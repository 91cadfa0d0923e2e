//! A multi-buffer crypto manager that lives in shared memory and survives the death of its process at
//! any instruction.
//!
//! Jobs are packed into the lanes of wide vector registers and wait there until enough have come.
//! Everything that matters lies in a [`shmem::Segment`]: when the owner dies, a [`Standby`] in another
//! process finishes every accepted job, bit for bit. `docs/layout.md` has the bytes and the
//! recovery table.
//!
//! ```
//! use mbmgr::{Algorithm, Config, Direction, Job, Key, LAYOUT_HASH, Manager, Options};
//! use shmem::{Placement, Segment, SegmentOptions};
//!
//! let config = Config::default();
//! let segment = Segment::create_anonymous("example", &SegmentOptions {
//!     len: Manager::segment_len(&config, 4096),
//!     placement: Placement::Anywhere,
//!     layout_hash: LAYOUT_HASH,
//!     populate: false,
//! })?;
//! let mut manager = Manager::create(&segment, &config, &Options::default())?;
//! let key = manager.add_key(Key::Aes(&[7; 16]))?;
//! let buffer = segment.arena().alloc(64, 64)?;
//! segment.write(buffer, &[1; 64])?;
//!
//! let job = Job::cipher(Algorithm::Aes128Cbc, Direction::Encrypt, key, &[0; 16])?;
//! manager.submit(&job.in_place(buffer, 64).user(42))?; // waits in a lane
//! let done = manager.flush()?.expect("one job is outstanding");
//! assert_eq!(done.user, 42);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod algorithm;
mod cipher;
mod config;
mod describe;
mod error;
mod hmac;
mod job;
mod journal;
mod kernel;
mod keys;
mod lanes;
mod layout;
mod lifecycle;
mod manager;
mod recovery;
mod region;
mod scrub;
mod standby;
mod table;
pub mod view;

pub use algorithm::{Algorithm, Direction, Kind};
pub use config::{Acknowledge, Config, Options};
pub use error::{Error, Result};
pub use job::{
    Authentication, Chained, Completed, Failure, Iv, Job, JobStatus, MAX_JOB_LEN, MAX_PIECES,
    Order, Piece,
};
pub use kernel::{Backend, UnknownBackend};
pub use keys::{Key, KeyId};
pub use layout::LAYOUT_HASH;
pub use lifecycle::{NotRemoved, managers};
pub use manager::{Manager, Recovery};
pub use standby::{Pollable, Standby, Wait};

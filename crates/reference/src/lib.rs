//! Intel's Multi-Buffer Crypto for IPsec library, as a package manager installs it, behind a safe
//! interface: to measure beside our manager, and to sweep with the same scenarios. Called by `bench`
//! and by `fixtures`, each behind the feature `ipsec-mb`; without the feature this crate is empty.
//!
//! The library promises nothing inside a call: what of it survives a crash is what the sweep shows.
#![cfg(feature = "ipsec-mb")]

mod batch;
mod error;
mod exact;
mod ffi;
mod home;
mod manager;
mod words;

pub use batch::Batch;
pub use error::{Error, Result};
pub use exact::{Exact, ExactAlgorithm, ExactBatch, ExactChain, ExactJob, Placed};
pub use home::{KEYS, LAYOUT_HASH, Look, look};
pub use manager::{MAX_BURST, MAX_QUEUE, Manager, version};
pub use words::{Algorithm, Architecture, Direction, Done, Key, Request};

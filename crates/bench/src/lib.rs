//! Measures the manager beside Intel's library (feature `ipsec-mb`) and beside what a Rust user would
//! pick instead, one buffer at a time: in one process, pinned to a core, interleaved A B A B.
//!
//! Called by `takeover bench` and benches/throughput.rs; it calls `mbmgr` and `reference` as any
//! application would. Nothing here survives a crash.

#[cfg(feature = "aws-lc-rs")]
mod aws_lc;
mod clock;
mod instructions;
mod limits;
mod machine;
mod ours;
mod plot;
mod report;
mod rig;
mod row;
mod sets;
mod single;
mod table;
mod takeover;
#[cfg(feature = "ipsec-mb")]
mod theirs;
mod throughput;

pub use clock::{last_core, pin};
pub use instructions::{Instructions, count as count_instructions};
pub use limits::Limits;
pub use machine::Machine;
pub use plot::svg;
pub use report::Report;
pub use row::{Api, Keys, Row, Sizes, Spec, Spread};
pub use sets::{Set, TABLE_SIZES};
pub use takeover::{Part, count_part};
pub use throughput::{Effort, measure};

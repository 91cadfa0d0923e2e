//! `takeover inspect`: a segment, live or left behind, in words.

use anyhow::Result;
use clap::Args;
use fixtures::inspect;
use shmem::SegmentName;

use super::Outcome;

#[derive(Debug, Args)]
pub(super) struct InspectArgs {
    /// Name of a segment (takeover-…) or a file with a copy of one
    /// [default: lists the segments of this system]
    #[arg(value_name = "NAME|FILE")]
    name: Option<String>,
}

pub(super) fn run(args: &InspectArgs) -> Result<Outcome> {
    let Some(name) = &args.name else {
        for name in SegmentName::list()? {
            println!("{name}");
        }
        return Ok(Outcome::Passed);
    };
    let segment = inspect::open(name)?;
    print!("{}", inspect::segment(&segment)?);
    Ok(Outcome::Passed)
}

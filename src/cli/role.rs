//! `takeover role …`: the hidden subcommand that the supervisor starts its processes with.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use fixtures::info::Info;
use fixtures::{roles, stream};
use shmem::SegmentName;

use super::Outcome;

#[derive(Clone, Copy, Debug, ValueEnum)]
enum RoleName {
    Primary,
    Secondary,
    StreamPrimary,
    StreamSecondary,
}

#[derive(Debug, Args)]
pub(super) struct RoleArgs {
    role: RoleName,
    /// INFO segment
    info: String,
    /// DATA segment
    data: String,
    /// Pid of the supervisor: this process dies with it
    #[arg(long)]
    supervisor: u32,
    #[arg(long)]
    input: Option<PathBuf>,
    #[arg(long)]
    output: Option<PathBuf>,
}

pub(super) fn run(args: &RoleArgs) -> Result<Outcome> {
    roles::die_with_parent(args.supervisor)?;
    let info = Info::open(&SegmentName::parse(&args.info)?)?;
    let data = SegmentName::parse(&args.data)?;
    match (args.role, &args.input, &args.output) {
        (RoleName::Primary, ..) => roles::primary::run(&info, &data)?,
        (RoleName::Secondary, ..) => roles::secondary::run(&info, &data)?,
        (RoleName::StreamPrimary, Some(input), Some(output)) => {
            stream::role::primary(&info, &data, input, output)?;
        }
        (RoleName::StreamSecondary, Some(input), Some(output)) => {
            stream::role::secondary(&info, &data, input, output)?;
        }
        _ => bail!("this role needs --input and --output"),
    }
    Ok(Outcome::Passed)
}

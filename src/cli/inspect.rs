//! `takeover inspect`: a segment, live or left behind, in words.

use std::io::IsTerminal as _;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use fixtures::{inspect, watch};
use shmem::SegmentName;

use super::output::{outln, print};
use super::{Outcome, json};

#[derive(Debug, Args)]
pub(super) struct InspectArgs {
    /// Name of a segment (takeover-…) or a file with a copy of one
    /// [default: lists the segments of this system]
    #[arg(value_name = "NAME|FILE")]
    name: Option<String>,
    /// Show the counters (submitted, completed, redelivered, recovered, takeovers and their time) again
    /// and again, until the segment goes away; on a terminal in place, else whenever they change
    #[arg(long, requires = "name")]
    watch: bool,
    /// With --watch: milliseconds between two looks
    #[arg(long, value_name = "MS", default_value_t = 500, requires = "watch",
          value_parser = clap::value_parser!(u64).range(1..=3_600_000))]
    interval: u64,
    /// Print one JSON object instead of text
    #[arg(long, conflicts_with = "watch")]
    json: bool,
}

pub(super) fn run(args: &InspectArgs) -> Result<Outcome> {
    let Some(name) = &args.name else {
        let names: Vec<String> =
            SegmentName::list()?.iter().map(std::string::ToString::to_string).collect();
        if args.json {
            json::result("inspect", true, serde_json::json!({ "segments": names }))?;
            return Ok(Outcome::Passed);
        }
        for name in names {
            outln!("{name}")?;
        }
        return Ok(Outcome::Passed);
    };
    if args.watch {
        follow(name, Duration::from_millis(args.interval))?;
    } else if args.json {
        json::result("inspect", true, inspect::json(&inspect::open(name)?)?)?;
    } else {
        let segment = inspect::open(name)?;
        print(format_args!("{}", inspect::segment(&segment)?))?;
    }
    Ok(Outcome::Passed)
}

fn follow(name: &str, interval: Duration) -> Result<()> {
    let in_place = std::io::stdout().is_terminal();
    let mut shown = String::new();
    watch::watch(name, interval, |text| {
        if text == shown {
            return Ok(());
        }
        if in_place && !shown.is_empty() {
            // Up to where the last ones began, and clear from there.
            print(format_args!("\x1b[{}A\x1b[J", shown.lines().count()))?;
        }
        print(format_args!("{text}"))?;
        text.clone_into(&mut shown);
        Ok(())
    })?;
    outln!("{name} is gone")?;
    Ok(())
}

//! `takeover latency`: how fast a standby is, beside the bare wake of a robust lock.

use anyhow::Result;
use clap::Args;
use fixtures::latency::{self, Plan};

use super::output::outln;
use super::{Outcome, json};

#[derive(Debug, Args)]
pub(super) struct LatencyArgs {
    /// Deaths of a small owner to measure
    #[arg(long, default_value_t = 300, value_parser = super::args::at_least_one::<usize>)]
    runs: usize,
    /// Deaths of an owner with much memory to measure
    #[arg(long, default_value_t = 30, value_parser = super::args::at_least_one::<usize>)]
    big_runs: usize,
    /// MiB that such an owner has touched
    #[arg(long, default_value_t = 1024)]
    mib: usize,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
}

pub(super) fn run(command: &str, args: &LatencyArgs) -> Result<Outcome> {
    let plan = Plan { runs: args.runs, big_runs: args.big_runs, big_mib: args.mib };
    let rows = latency::measure(&plan)?;
    if args.json {
        json::result(command, true, serde_json::json!({ "rows": rows }))?;
    } else {
        outln!("{:<34} {:>6} {:>10} {:>10}", "from SIGKILL to", "runs", "p50 us", "p99 us")?;
        for row in &rows {
            let (p50, p99) = (row.us_p50, row.us_p99);
            outln!("{:<34} {:>6} {p50:>10.1} {p99:>10.1}", row.name, row.runs)?;
        }
    }
    Ok(Outcome::Passed)
}

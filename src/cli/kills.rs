//! `takeover kills`: random scenarios, each with a real SIGKILL at a random time.

use anyhow::Result;
use clap::Args;
use fixtures::cleanup;
use fixtures::kills::{self, Campaign};

use super::output::outln;
use super::run::launch;
use super::{Outcome, json};

#[derive(Debug, Args)]
pub(super) struct KillsArgs {
    /// How many scenarios to run
    #[arg(long, default_value_t = 1000, value_parser = super::args::at_least_one::<u64>)]
    runs: u64,
    /// How many at the same time
    #[arg(long, default_value_t = 2, value_parser = super::args::at_least_one::<u32>)]
    at_once: u32,
    /// The scenarios and the times are drawn from this number
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &KillsArgs) -> Result<Outcome> {
    if args.at_once == 0 || args.at_once > 64 {
        let message = format!("{} at once is not possible: use 1 to 64", args.at_once);
        return Ok(Outcome::Usage(message));
    }
    cleanup::on_interrupt()?;
    let campaign = Campaign { runs: args.runs, at_once: args.at_once, seed: args.seed };
    let totals = kills::run(&campaign, &launch("kills")?, |done, failed| {
        if done % 500 == 0 || done == args.runs {
            eprintln!("{done} of {} runs, {failed} failed", args.runs);
        }
    })?;
    if args.json {
        json::result("kills", totals.failed == 0, &totals)?;
    } else {
        outln!("{totals}")?;
    }
    Ok(if totals.failed == 0 { Outcome::Passed } else { Outcome::Failed })
}

//! `takeover soak`: owners die, hang and hand over for hours, and no job may be lost.

use anyhow::Result;
use clap::Args;
use fixtures::soak::{self, Plan, Totals};

use super::output::outln;
use super::{Outcome, json};

#[derive(Debug, Args)]
pub(super) struct SoakArgs {
    /// How long to run
    #[arg(long, default_value_t = 60, value_parser = super::args::at_least_one::<u64>)]
    seconds: u64,
    /// Jobs, events and times are drawn from this number; what the machine's own timing adds to that is
    /// not the same twice
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Standbys that wait at the same time
    #[arg(long, default_value_t = 2)]
    standbys: usize,
    /// The longest time in microseconds that an owner is left alone
    #[arg(long, default_value_t = 20_000)]
    longest_reign: u64,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &SoakArgs) -> Result<Outcome> {
    if args.seconds == 0 || args.standbys == 0 || args.standbys > 32 {
        let message = "a soak takes at least 1 second and 1 to 32 standbys".to_owned();
        return Ok(Outcome::Usage(message));
    }
    let plan = Plan {
        seconds: args.seconds,
        seed: args.seed,
        standbys: args.standbys,
        longest_reign_us: args.longest_reign,
    };
    let totals = soak::run(&plan, |so_far| eprint!("\r{}", line(so_far)))?;
    eprintln!();
    if args.json {
        json::result("soak", totals.passed(), &totals)?;
    } else {
        outln!("{}\n{totals:#?}", line(&totals))?;
    }
    Ok(if totals.passed() { Outcome::Passed } else { Outcome::Failed })
}

fn line(t: &Totals) -> String {
    format!(
        "{:.0} s: {} takeovers ({} forced, {} handovers), {} jobs, {} lost, {} wrong, {} duplicated, \
         {} redelivered, takeover {:.0} us p50, {:.0} us p99",
        t.seconds,
        t.takeovers,
        t.forced,
        t.handovers,
        t.jobs,
        t.lost,
        t.wrong,
        t.duplicated,
        t.redelivered,
        t.takeover_us_p50,
        t.takeover_us_p99
    )
}

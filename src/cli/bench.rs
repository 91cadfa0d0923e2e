//! `takeover bench`: our manager beside the installed reference library (feature `ipsec-mb`) and
//! beside one buffer at a time; how fast a standby and a sweep are.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use bench::{Effort, Report, Set, Spec};
use clap::{Args, Subcommand};
use fixtures::scenario::Scenario;
use fixtures::sweep::{self, Window};
use indicatif::{ProgressBar, ProgressStyle};
use mbmgr::Algorithm;
use shmem::Placement;

use super::args::parse;
use super::output::outln;
use super::{Outcome, json};

#[derive(Debug, Args)]
pub(super) struct BenchArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Cycles and GB/s of many jobs, all contenders in turn on one core
    Throughput(ThroughputArgs),
    /// As `takeover latency`: from the death of an owner to its outstanding jobs done by a standby
    Latency(super::latency::LatencyArgs),
    /// Instructions of a job, counted by single-stepping, and the lines of source that they come from
    Instructions(super::instructions::InstructionsArgs),
    /// Instructions and recoveries in a second, of a sweep of the seed scenario
    Sweep(SweepArgs),
}

#[derive(Debug, Args)]
struct SweepArgs {
    /// Subjects, separated by commas: mbmgr, and ipsec-mb where it is built in
    #[arg(long, value_name = "NAMES", default_value = "mbmgr", value_delimiter = ',')]
    subject: Vec<String>,
    /// Sweeps of each subject, whose medians are shown
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct ThroughputArgs {
    /// Rows to measure: table, more, chain, burst, lanes, out-of-place, imix, same-page-offset, keys, backends,
    /// scale, or full for all of them; may be given more than once
    #[arg(long = "set", value_name = "SET", default_value = "table", value_parser = parse::<Set>)]
    sets: Vec<Set>,
    /// Only rows of this algorithm: aes-128-cbc, sha256, …
    #[arg(long, value_name = "NAME", value_parser = parse::<Algorithm>)]
    cipher: Option<Algorithm>,
    /// Rounds of a row, whose medians make its median and spread
    #[arg(long, default_value_t = Effort::default().rounds)]
    rounds: usize,
    /// The core to measure on [default: the last that this process may use]
    #[arg(long)]
    core: Option<usize>,
    /// Leave out the contenders that work on one buffer at a time
    #[arg(long)]
    no_singles: bool,
    /// Print one JSON object instead of the table
    #[arg(long)]
    json: bool,
    /// Draw the rows into FILE
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

pub(super) fn run(args: &BenchArgs) -> Result<Outcome> {
    match &args.what {
        What::Throughput(args) => throughput(args),
        What::Latency(args) => super::latency::run("bench latency", args),
        What::Instructions(args) => super::instructions::run(args),
        What::Sweep(args) => sweep(args),
    }
}

/// One subject's medians.
#[derive(serde::Serialize)]
struct SweepRow {
    subject: String,
    rounds: usize,
    instructions: u64,
    states: usize,
    instructions_per_s: f64,
    recoveries_per_s: f64,
    seconds: f64,
}

fn sweep(args: &SweepArgs) -> Result<Outcome> {
    if !(1..=1000).contains(&args.rounds) {
        let message = format!("{} rounds are not possible: use 1 to 1000", args.rounds);
        return Ok(Outcome::Usage(message));
    }
    // The reference keeps pointers in its segment, and both should do the same.
    let seed = Scenario::default();
    let scenario = Scenario { placement: Placement::Identical, partial_flush: seed.jobs, ..seed };
    sweep::fix_addresses().context("cannot start again with fixed addresses")?;
    let mut rows = Vec::new();
    for subject in &args.subject {
        let case = match super::sweep::procedure(subject, &scenario, Window::Jobs)? {
            Ok(case) => case,
            Err(usage) => return Ok(Outcome::Usage(usage)),
        };
        let mut reports = Vec::new();
        for _ in 0..args.rounds {
            let outcome = sweep::run(&*case, &sweep::Options::default(), &mut |_| {})?;
            reports.push(sweep::Report::new(&*case, &outcome)?);
        }
        rows.push(SweepRow {
            subject: subject.clone(),
            rounds: args.rounds,
            instructions: reports[0].instructions,
            states: reports[0].states,
            instructions_per_s: median(&reports, |report| report.instructions_per_s),
            recoveries_per_s: median(&reports, |report| report.states_per_s),
            seconds: median(&reports, |report| report.seconds),
        });
    }
    if args.json {
        json::result("bench sweep", true, serde_json::json!({ "rows": rows }))?;
        return Ok(Outcome::Passed);
    }
    for row in rows {
        outln!(
            "{}: {} instructions and {} states in {:.2} s: {:.0} instructions/s, {:.0} recoveries/s \
             (medians of {} sweeps)",
            row.subject,
            row.instructions,
            row.states,
            row.seconds,
            row.instructions_per_s,
            row.recoveries_per_s,
            row.rounds
        )?;
    }
    Ok(Outcome::Passed)
}

fn median(reports: &[sweep::Report], figure: impl Fn(&sweep::Report) -> f64) -> f64 {
    let mut figures: Vec<f64> = reports.iter().map(figure).collect();
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

fn throughput(args: &ThroughputArgs) -> Result<Outcome> {
    if !(1..=1000).contains(&args.rounds) {
        let message = format!("{} rounds are not possible: use 1 to 1000", args.rounds);
        return Ok(Outcome::Usage(message));
    }
    let wanted = |spec: &Spec| args.cipher.is_none_or(|cipher| cipher == spec.algorithm);
    let specs: Vec<Spec> = args.sets.iter().flat_map(|set| set.rows()).filter(wanted).collect();
    if specs.is_empty() {
        let message = "no row is left: the set has none of that cipher on this machine".to_owned();
        return Ok(Outcome::Usage(message));
    }
    let core = match args.core {
        Some(core) => core,
        None => bench::last_core()?,
    };
    bench::pin(core)?;
    let effort = Effort { rounds: args.rounds, singles: !args.no_singles, ..Effort::default() };
    let bar = if args.json { ProgressBar::hidden() } else { ProgressBar::new(specs.len() as u64) };
    bar.set_style(ProgressStyle::with_template("{bar:30} {pos}/{len} rows, {eta} left: {msg}")?);
    let report = Report::measure(&specs, core, &effort, |row, _| {
        bar.set_message(format!("{} {} {}", row.cipher, row.direction, row.size));
        bar.inc(1);
    })?;
    bar.finish_and_clear();
    if let Some(path) = &args.svg {
        std::fs::write(path, bench::svg(&report))
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    if args.json {
        json::result("bench throughput", true, &report)?;
    } else {
        outln!("{report}")?;
    }
    Ok(Outcome::Passed)
}

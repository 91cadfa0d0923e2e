//! `takeover sweep`: kills a primary at every instruction and judges each recovery.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::Args;
use comfy_table::{Cell, Table, presets};
use fixtures::preflight;
use fixtures::roles::primary::data_len;
use fixtures::scenario::Scenario;
use fixtures::sweep::{self, Case, Options, Procedure, Report, Tick, Window};
use indicatif::{ProgressBar, ProgressStyle};
use mbmgr::Manager;

use super::args::{JobArgs, at_least_one, parse};
use super::output::outln;
use super::{Outcome, json};

#[derive(Debug, Args)]
pub(super) struct SweepArgs {
    /// The manager under test: mbmgr; several, separated by commas, are shown side by side
    #[arg(long, value_name = "NAMES", default_value = "mbmgr", value_delimiter = ',')]
    subject: Vec<String>,
    /// The part of the primary's life that is stepped: jobs (first submit to last flush), burst,
    /// creation, keys, acknowledge, release, force (a standby that kills an owner that hangs) or race
    /// (a standby beside another)
    #[arg(long, value_name = "NAME", default_value = "jobs", value_parser = parse::<Window>)]
    window: Window,
    /// 1: kill the primary. 2: kill the secondary that recovers, too. More: and so on, until no new
    /// state appears
    #[arg(long, default_value_t = 1, value_parser = at_least_one::<u32>)]
    depth: u32,
    /// Recover only N states, drawn by the seed [default: all]
    #[arg(long, value_name = "N", value_parser = at_least_one::<usize>)]
    sample: Option<usize>,
    /// Check N states also with a real SIGKILL and a real take-over; in the window race also let
    /// another standby try for real at N instructions
    #[arg(long, value_name = "N", default_value_t = 4)]
    real: usize,
    /// Stop a deeper level at N states
    #[arg(long, value_name = "N", default_value_t = 5_000_000, value_parser = at_least_one::<usize>)]
    most_states: usize,
    /// Stop at every instruction, also at those that cannot change the segment
    #[arg(long)]
    every_step: bool,
    #[command(flatten)]
    jobs: JobArgs,
    /// Flush this many jobs after the last submit [default: all; none in the windows
    /// release, force and race]
    #[arg(long, value_name = "K")]
    flush: Option<u64>,
    /// Sweep a manager that has this bug: the sweep must find it
    #[cfg(feature = "seeded-bugs")]
    #[arg(long, value_name = "NAME", value_parser = parse::<shmem::seeded::Bug>)]
    bug: Option<shmem::seeded::Bug>,
    /// Print one JSON object instead of the table
    #[arg(long)]
    json: bool,
    /// Write the crash map as a page that needs nothing else
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write the crash map of the first subject as an SVG image
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

impl SweepArgs {
    fn scenario(&self) -> Scenario {
        let scenario = self.jobs.scenario();
        let partial_flush = self.flush.unwrap_or(self.window.flushes(scenario.jobs));
        Scenario { partial_flush, ..scenario }
    }

    fn options(&self) -> Options {
        Options {
            depth: self.depth,
            sample: self.sample,
            seed: self.jobs.seed,
            real: self.real,
            most_states: self.most_states,
            every_step: self.every_step,
            glances: self.html.is_some() || self.svg.is_some(),
            ..Options::default()
        }
    }
}

pub(super) fn run(args: &SweepArgs) -> Result<Outcome> {
    let scenario = args.scenario();
    if let Err(error) = scenario.validate() {
        return Ok(Outcome::Usage(format!("{error:#}")));
    }
    sweep::fix_addresses().context("cannot start again with fixed addresses")?;
    preflight::tracing()?;
    if args.real > 0 {
        preflight::shared_memory(data_len(&scenario))?;
    }
    #[cfg(feature = "seeded-bugs")]
    if let Some(bug) = args.bug {
        shmem::seeded::select(bug);
    }
    let mut sweeps = Vec::new();
    for subject in &args.subject {
        let case = match procedure(subject, &scenario, args.window)? {
            Ok(case) => case,
            Err(usage) => return Ok(Outcome::Usage(usage)),
        };
        let outcome = watched(&*case, &args.options(), args.json)?;
        let report = Report::new(&*case, &outcome)?;
        let wanted = args.html.is_some() || args.svg.is_some();
        let picture = if wanted { sweep::draw(&*case, &outcome)? } else { String::new() };
        sweeps.push((report, picture));
    }
    if let Some(path) = &args.html {
        let page = sweep::page(&sweeps)?;
        std::fs::write(path, page).with_context(|| format!("cannot write {}", path.display()))?;
    }
    if let (Some(path), Some((_, picture))) = (&args.svg, sweeps.first()) {
        std::fs::write(path, picture)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    let reports: Vec<&Report> = sweeps.iter().map(|(report, _)| report).collect();
    let passed = reports.iter().all(|report| report.passed());
    if args.json {
        json::result("sweep", passed, serde_json::json!({ "sweeps": reports }))?;
    } else {
        print(&reports)?;
    }
    Ok(if passed { Outcome::Passed } else { Outcome::Failed })
}

/// The procedure of a scenario for a subject, or what is wrong with the subject's name.
pub(super) fn procedure(
    subject: &str,
    scenario: &Scenario,
    window: Window,
) -> Result<Result<Box<dyn Procedure>, String>> {
    Ok(match subject {
        "mbmgr" => Ok(Box::new(Case::<Manager>::new(scenario, window)?)),
        #[cfg(feature = "ipsec-mb")]
        "ipsec-mb" if scenario.placement == shmem::Placement::Identical => {
            Ok(Box::new(Case::<fixtures::reference_subject::Reference>::new(scenario, window)?))
        }
        #[cfg(feature = "ipsec-mb")]
        "ipsec-mb" => {
            Err("ipsec-mb keeps pointers in its segment: add --placement identical".into())
        }
        #[cfg(not(feature = "ipsec-mb"))]
        "ipsec-mb" => Err("this build has no ipsec-mb: build with `--features ipsec-mb`".into()),
        other => Err(format!("subject `{other}` is unknown: use mbmgr or ipsec-mb")),
    })
}

/// Sweeps with a progress bar, where there is somebody to see it.
fn watched(case: &dyn Procedure, options: &Options, quiet: bool) -> Result<sweep::Outcome> {
    let bar = if quiet { ProgressBar::hidden() } else { ProgressBar::new_spinner() };
    bar.set_style(ProgressStyle::with_template("{spinner} {elapsed} {msg}")?);
    let started = std::time::Instant::now();
    let outcome = sweep::run(case, options, &mut |tick: &Tick| {
        bar.set_message(describe(tick, started.elapsed().as_secs_f64()));
        bar.tick();
    });
    bar.finish_and_clear();
    outcome
}

#[expect(clippy::cast_precision_loss, reason = "rates are for reading")]
fn describe(tick: &Tick, seconds: f64) -> String {
    let rate = tick.judged as f64 / seconds.max(0.001);
    let (done, all) = tick.parts;
    let left = if done > 0 {
        let left = seconds / done as f64 * (all - done) as f64;
        format!(", about {left:.0} s left at this level")
    } else {
        String::new()
    };
    let what = if tick.level == 1 { "call" } else { "recovery" };
    format!(
        "level {}: {what} {done} of {all}, {} instructions, {} states, {rate:.0} states/s{left}",
        tick.level, tick.instructions, tick.states
    )
}

/// The verdicts of all subjects side by side, then what each did.
fn print(reports: &[&Report]) -> Result<()> {
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY);
    let names = reports.iter().map(|report| report.subject.as_str());
    table.set_header(std::iter::once("verdict").chain(names));
    let counts: Vec<_> = reports.iter().map(|report| report.counts()).collect();
    for (row, verdict) in sweep::VERDICTS.iter().enumerate() {
        let cells = counts.iter().map(|column| Cell::new(column[row].1));
        table.add_row(std::iter::once(Cell::new(verdict)).chain(cells));
    }
    outln!("{table}")?;
    for report in reports {
        details(report)?;
    }
    Ok(())
}

fn details(report: &Report) -> Result<()> {
    outln!("{}", report.token)?;
    outln!(
        "{} instructions in the window, {} states ({} contents), depth {}{}",
        report.instructions,
        report.states,
        report.contents,
        report.depth,
        if report.closed { ", closed" } else { "" }
    )?;
    if report.stopped {
        outln!("STOPPED at {} states: not all were visited, see --most-states", report.states)?;
    } else if !report.complete {
        outln!("a sample: {} of {} states were recovered", report.recovered, report.states)?;
    }
    outln!(
        "{:.1} s: {:.0} instructions/s, {:.0} recoveries/s; {} states also killed for real",
        report.seconds,
        report.instructions_per_s,
        report.states_per_s,
        report.real
    )?;
    if report.races > 0 {
        outln!(
            "another standby tried at {} instructions: one of the two won each time",
            report.races
        )?;
    }
    for (count, failure) in report.by_line().into_iter().take(20) {
        outln!(
            "{count:6} × {}\n         at {}:{} ({}), call {}\n         {}",
            failure.message,
            failure.file,
            failure.line,
            failure.symbol,
            failure.call,
            failure.replay
        )?;
    }
    Ok(())
}

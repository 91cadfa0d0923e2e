//! `takeover bench`: our manager beside the installed reference library (feature `ipsec-mb`) and
//! beside one buffer at a time.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use bench::{Effort, Report, Row, Set, Spec};
use clap::{Args, Subcommand};
use comfy_table::{CellAlignment, Table, presets};
use indicatif::{ProgressBar, ProgressStyle};
use mbmgr::Algorithm;

use super::Outcome;
use super::args::parse;

#[derive(Debug, Args)]
pub(super) struct BenchArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Cycles and GB/s of many jobs, all contenders in turn on one core
    Throughput(ThroughputArgs),
}

#[derive(Debug, Args)]
struct ThroughputArgs {
    /// Rows to measure: table, burst, lanes, out-of-place, imix, same-page-offset, backends, scale,
    /// or full for all of them; may be given more than once
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
    }
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
        println!("{}", serde_json::to_string(&report)?);
    } else {
        print(&report);
    }
    Ok(Outcome::Passed)
}

/// A column of the table: its head, and a row's text, empty where there is none.
type Column = (&'static str, fn(&Row) -> String);

/// Columns that are left out where no row has them.
const COLUMNS: [Column; 14] = [
    ("bytes", |row| row.size.clone()),
    ("lanes", |row| differs(row.lanes, 16)),
    ("ring", |row| differs(row.ring, 256)),
    ("managers", |row| differs(row.managers, 1)),
    ("ours", |row| format!("{:.0}", row.ours_cycles)),
    ("±%", |row| format!("{:.0}", 50.0 * row.ours_spread)),
    ("reference", |row| number(row.reference_cycles, 0)),
    ("±%", |row| number(row.reference_spread.map(|spread| 50.0 * spread), 0)),
    ("ratio", |row| number(row.ratio, 2)),
    ("nocheck", |row| number(row.ratio_nocheck, 2)),
    ("RustCrypto", |row| number(row.rustcrypto_ratio, 1)),
    ("aws-lc", |row| number(row.aws_lc_ratio, 1)),
    ("core c/B", |row| format!("{:.3}", row.ours_core_cpb)),
    ("limit", |row| number(row.limit_core_cpb, 3)),
];

fn differs(value: u32, usual: u32) -> String {
    if value == usual { String::new() } else { value.to_string() }
}

fn number(value: Option<f64>, places: usize) -> String {
    value.map(|value| format!("{value:.places$}")).unwrap_or_default()
}

/// What stands in the first column.
fn name(row: &Row) -> String {
    let mut name = row.cipher.clone();
    if row.cipher.contains("cbc") {
        name.push_str(if row.direction == "decrypt" { " dec" } else { " enc" });
    }
    name
}

fn print(report: &Report) {
    let machine = &report.machine;
    println!(
        "{}, core {}, time stamp counter {:.3} GHz, backend {}",
        machine.cpu,
        machine.core,
        machine.ticks_per_second / 1e9,
        machine.backend
    );
    if let Some(reference) = &machine.reference {
        let code = machine.reference_architecture.unwrap_or("unknown");
        println!("reference: intel-ipsec-mb {reference}, its code for {code}");
    }
    let shown: Vec<&Column> = COLUMNS
        .iter()
        .filter(|(_, text)| report.rows.iter().any(|row| !text(row).is_empty()))
        .collect();
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY);
    let head = ["", "api", "backend"].into_iter().chain(shown.iter().map(|(head, _)| *head));
    table.set_header(head.chain(["GB/s"]));
    for row in &report.rows {
        let mut cells = vec![name(row), row.api.to_string(), row.backend.clone()];
        cells.extend(shown.iter().map(|(_, text)| text(row)));
        cells.push(format!("{:.2}", row.ours_gb_per_s));
        table.add_row(cells);
    }
    for column in table.column_iter_mut().skip(3) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    println!("{table}");
    println!(
        "ours, reference: time stamp ticks a job, ± half of (largest - smallest round) of the \
         median.\nratio: reference / ours, above 1 ours is faster; nocheck: its calls that do not \
         validate a job;\nRustCrypto, aws-lc: one buffer at a time / ours. limit: what the unit that \
         bounds the cipher\nneeds for a byte at least, in core cycles, measured here."
    );
}

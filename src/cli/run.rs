//! `takeover run`: one scenario, or a file, through a primary and a secondary.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::Args;
use fixtures::scenario::{CrashPoint, Scenario};
use fixtures::stream::{self, Request};
use fixtures::supervisor::{self, Launch};
use fixtures::{cleanup, hex};
use serde::Serialize;

use super::Outcome;
use super::args::{JobArgs, parse};
use super::output::outln;

/// Bytes given in hexadecimal.
#[derive(Clone, Debug)]
struct Hex(Vec<u8>);

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    #[command(flatten)]
    jobs: JobArgs,
    /// The primary flushes this many jobs after the last submit
    /// [default: 0; with --crash after-flush:K, K]
    #[arg(long, value_name = "K")]
    partial_flush: Option<u64>,
    /// Where the primary dies by SIGKILL: none (it hands over), after-submit:N, after-flush:K or
    /// after-us:T [default: none; with --input, after-submit in the middle of the file]
    #[arg(long, value_name = "POINT", value_parser = parse::<CrashPoint>)]
    crash: Option<CrashPoint>,
    /// Key of every job; no report shows it [default: generated from the seed]
    #[arg(long, value_name = "HEX", value_parser = parse_hex)]
    key: Option<Hex>,
    /// IV of every job [default: generated from the seed]
    #[arg(long, value_name = "HEX", value_parser = parse_hex)]
    iv: Option<Hex>,
    /// Send FILE through the manager as one message, as `openssl enc` does: it is cut into records of
    /// --size, one job each, at most --jobs of them outstanding (one, where each needs the output of
    /// the one before); the last one is shorter, and padded by PKCS#7 for CBC [default: generated jobs]
    #[arg(long, value_name = "FILE", requires = "output")]
    input: Option<PathBuf>,
    /// Where the records' outputs go, concatenated in order
    #[arg(long, value_name = "FILE", requires = "input")]
    output: Option<PathBuf>,
    /// Run the scenario that TOKEN describes instead of one made of the options above
    #[arg(long, value_name = "TOKEN", value_parser = parse::<Scenario>, conflicts_with = "input")]
    token: Option<Scenario>,
    /// Goes into the names of the segments: takeover-LABEL-info-…, takeover-LABEL-data-…
    #[arg(long, default_value = "run", value_parser = parse_label)]
    label: String,
    /// Print one JSON object instead of the timeline
    #[arg(long)]
    json: bool,
}

fn parse_hex(text: &str) -> Result<Hex, String> {
    hex::decode(text).map(Hex).map_err(|error| format!("{error:#}"))
}

fn parse_label(text: &str) -> Result<String, String> {
    let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if plain && (1..=100).contains(&text.len()) {
        return Ok(text.to_owned());
    }
    Err(format!(
        "label `{text}` cannot be part of a segment's name: use up to 100 letters, digits and -"
    ))
}

impl RunArgs {
    fn scenario(&self) -> Scenario {
        if let Some(scenario) = &self.token {
            return scenario.clone();
        }
        let crash = self.crash.unwrap_or(CrashPoint::None);
        let flush = self.partial_flush.unwrap_or(match crash {
            CrashPoint::AfterFlush(k) if self.input.is_none() => k,
            _ => 0,
        });
        Scenario {
            partial_flush: flush,
            key: self.key.clone().map(|Hex(bytes)| bytes),
            iv: self.iv.clone().map(|Hex(bytes)| bytes),
            crash,
            ..self.jobs.scenario()
        }
    }
}

/// The binary that roles are started with: this one.
pub(super) fn launch(label: &str) -> Result<Launch> {
    let program = std::env::current_exe().context("the path of this program is unknown")?;
    Ok(Launch { program, label: label.to_owned() })
}

/// Prints a report either way.
pub(super) fn print(report: &(impl Serialize + std::fmt::Display), json: bool) -> Result<()> {
    if json {
        outln!("{}", serde_json::to_string_pretty(report)?)?;
    } else {
        outln!("{report}")?;
    }
    Ok(())
}

pub(super) fn run(args: &RunArgs) -> Result<Outcome> {
    let mut scenario = args.scenario();
    if let (Some(input), Some(output)) = (&args.input, &args.output) {
        scenario.crash = CrashPoint::None;
        let request = Request::new(scenario, args.crash, input, output);
        let plan = match request.plan() {
            Ok(plan) => plan,
            Err(error) => return Ok(Outcome::Usage(format!("{error:#}"))),
        };
        cleanup::on_interrupt()?;
        let report = stream::run(&request, &plan, &launch(&args.label)?)?;
        print(&report, args.json)?;
        return Ok(if report.passed() { Outcome::Passed } else { Outcome::Failed });
    }
    if let Err(error) = scenario.validate() {
        return Ok(Outcome::Usage(format!("{error:#}")));
    }
    cleanup::on_interrupt()?;
    let report = supervisor::run(&scenario, &launch(&args.label)?)?;
    print(&report, args.json)?;
    Ok(if report.passed() { Outcome::Passed } else { Outcome::Failed })
}

//! `takeover run`: one scenario, or a file, through a primary and a secondary.

use std::fmt::{self, Display};
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::Args;
use fixtures::process::program;
use fixtures::scenario::{CrashPoint, Scenario};
use fixtures::stream::{self, Request};
use fixtures::supervisor::{self, Launch};
use fixtures::{cleanup, hex};
use serde::Serialize;

use super::args::{JobArgs, parse};
use super::output::outln;
use super::{Outcome, json};

/// Bytes given in hexadecimal.
#[derive(Clone, Debug)]
struct Hex(Vec<u8>);

/// Text that an error must not repeat: it is parsed after the command line.
#[derive(Clone)]
struct Secret(String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Secret {
        Secret(text.to_owned())
    }
}

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
    #[arg(long, value_name = "HEX")]
    key: Option<Secret>,
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
    /// Run the scenario that TOKEN describes instead of one made of the options above; with --key where
    /// the token hides the one that was given
    #[arg(long, value_name = "TOKEN", conflicts_with = "input")]
    token: Option<Secret>,
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
    fn scenario(&self) -> Result<Scenario> {
        let key = self.key.as_ref().map(|Secret(text)| hex::decode(text)).transpose();
        let key = key.context("--key cannot be read")?;
        if let Some(Secret(token)) = &self.token {
            return match key {
                Some(key) => Scenario::from_shown(token, &key),
                None => token.parse(),
            };
        }
        let crash = self.crash.unwrap_or(CrashPoint::None);
        let flush = self.partial_flush.unwrap_or(match crash {
            CrashPoint::AfterFlush(k) if self.input.is_none() => k,
            _ => 0,
        });
        Ok(Scenario {
            partial_flush: flush,
            key,
            iv: self.iv.clone().map(|Hex(bytes)| bytes),
            crash,
            ..self.jobs.scenario()
        })
    }
}

/// The binary that roles are started with: this one.
pub(super) fn launch(label: &str) -> Result<Launch> {
    let program = std::env::current_exe().context("the path of this program is unknown")?;
    Ok(Launch { program, label: label.to_owned() })
}

/// Prints a report either way.
fn print(report: &(impl Serialize + Display), passed: bool, as_json: bool) -> Result<Outcome> {
    if as_json {
        json::result("run", passed, report)?;
    } else {
        outln!("{report}")?;
    }
    Ok(if passed { Outcome::Passed } else { Outcome::Failed })
}

pub(super) fn run(args: &RunArgs) -> Result<Outcome> {
    let mut scenario = match args.scenario() {
        Ok(scenario) => scenario,
        Err(error) => return Ok(Outcome::Usage(format!("{error:#}"))),
    };
    if let (Some(input), Some(output)) = (&args.input, &args.output) {
        scenario.crash = CrashPoint::None;
        let request = Request::new(scenario, args.crash, input, output);
        let plan = match request.plan() {
            Ok(plan) => plan,
            Err(error) => return Ok(Outcome::Usage(format!("{error:#}"))),
        };
        cleanup::on_interrupt()?;
        let report = stream::run(&request, &plan, &launch(&args.label)?)?;
        return print(&report, report.passed(), args.json);
    }
    if let Err(error) = scenario.validate() {
        return Ok(Outcome::Usage(format!("{error:#}")));
    }
    cleanup::on_interrupt()?;
    let mut report = supervisor::run(&scenario, &launch(&args.label)?)?;
    // By the name that this program was called by.
    if let Some(rest) = report.replay.strip_prefix("takeover ") {
        report.replay = format!("{} {rest}", program());
    }
    print(&report, report.passed(), args.json)
}

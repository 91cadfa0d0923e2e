//! `takeover run`: one scenario, or a file, through a primary and a secondary.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::Args;
use fixtures::algorithm::is_cipher;
use fixtures::scenario::{CrashPoint, Scenario, Sizes, parse_backend, parse_placement};
use fixtures::stream::{self, Request};
use fixtures::supervisor::{self, Launch};
use fixtures::{cleanup, hex};
use mbmgr::{Algorithm, Backend, Direction};
use serde::Serialize;
use shmem::Placement;

use super::Outcome;

/// A backend choice; `auto` is `None`.
#[derive(Clone, Copy, Debug)]
struct Choice(Option<Backend>);

/// Bytes given in hexadecimal.
#[derive(Clone, Debug)]
struct Hex(Vec<u8>);

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// What the jobs compute: aes-128-cbc, aes-256-gcm, aes-128-cmac, sha256, hmac-sha512, …
    #[arg(long, value_name = "NAME", default_value = "aes-128-cbc", value_parser = parse::<Algorithm>)]
    cipher: Algorithm,
    /// encrypt or decrypt
    #[arg(long, value_name = "DIRECTION", default_value = "encrypt", value_parser = parse::<Direction>)]
    direction: Direction,
    /// Lanes of the manager, 1 to 16
    #[arg(long, default_value_t = 16)]
    lanes: u32,
    /// Slots of the manager's ring, a power of two from 1 to 65536
    #[arg(long, default_value_t = 256)]
    ring: u32,
    /// Number of jobs; with --input, how many are outstanding at most
    #[arg(long, default_value_t = 15)]
    jobs: u64,
    /// Bytes of a job, or a range from which lengths are drawn (16-4096); with --input, bytes of a
    /// record
    #[arg(long, value_name = "BYTES", default_value = "272", value_parser = parse_sizes)]
    size: Sizes,
    /// Give every job an output buffer of its own (hashes and MACs always have one)
    /// [default: in place]
    #[arg(long)]
    out_of_place: bool,
    /// Where both processes map the DATA segment: identical (at the same address) or anywhere
    #[arg(long, value_name = "PLACEMENT", default_value = "anywhere", value_parser = parse_placement)]
    placement: Placement,
    /// The primary's backend: auto, portable, aesni, vaes256 or vaes512
    #[arg(long, default_value = "auto", value_parser = parse_choice)]
    backend: Choice,
    /// The secondary's backend: auto, portable, aesni, vaes256 or vaes512
    #[arg(long, value_name = "BACKEND", default_value = "auto", value_parser = parse_choice)]
    standby_backend: Choice,
    /// The primary flushes this many jobs after the last submit
    /// [default: 0; with --crash after-flush:K, K]
    #[arg(long, value_name = "K")]
    partial_flush: Option<u64>,
    /// Where the primary dies by SIGKILL: none (it hands over), after-submit:N, after-flush:K or
    /// after-us:T [default: none; with --input, after-submit in the middle of the file]
    #[arg(long, value_name = "POINT", value_parser = parse_crash)]
    crash: Option<CrashPoint>,
    /// Keys, IVs, inputs, lengths and guard bytes are generated from this number
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Key of every job [default: generated from the seed]
    #[arg(long, value_name = "HEX", value_parser = parse_hex)]
    key: Option<Hex>,
    /// IV of every job [default: generated from the seed]
    #[arg(long, value_name = "HEX", value_parser = parse_hex)]
    iv: Option<Hex>,
    /// Send FILE through the manager: it is cut into records of --size, one job each; the last one
    /// is shorter, and padded by PKCS#7 for CBC (as `openssl enc` does) [default: generated jobs]
    #[arg(long, value_name = "FILE", requires = "output")]
    input: Option<PathBuf>,
    /// Where the records' outputs go, concatenated in order
    #[arg(long, value_name = "FILE", requires = "input")]
    output: Option<PathBuf>,
    /// Run the scenario that TOKEN describes instead of one made of the options above
    #[arg(long, value_name = "TOKEN", value_parser = parse_token, conflicts_with = "input")]
    token: Option<Scenario>,
    /// Goes into the names of the segments: takeover-LABEL-info-…, takeover-LABEL-data-…
    #[arg(long, default_value = "run", value_parser = parse_label)]
    label: String,
    /// Print one JSON object instead of the timeline
    #[arg(long)]
    json: bool,
}

// clap prints only the outermost message of an error: these put the whole chain into it.
fn flat<T>(result: Result<T>) -> Result<T, String> {
    result.map_err(|error| format!("{error:#}"))
}

fn parse<T: std::str::FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: T::Err| error.to_string())
}

fn parse_sizes(text: &str) -> Result<Sizes, String> {
    flat(text.parse())
}

fn parse_crash(text: &str) -> Result<CrashPoint, String> {
    flat(text.parse())
}

fn parse_token(text: &str) -> Result<Scenario, String> {
    flat(text.parse())
}

fn parse_choice(text: &str) -> Result<Choice, String> {
    flat(parse_backend(text).map(Choice))
}

fn parse_hex(text: &str) -> Result<Hex, String> {
    flat(hex::decode(text).map(Hex))
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
            algorithm: self.cipher,
            direction: self.direction,
            lanes: self.lanes,
            ring: self.ring,
            jobs: self.jobs,
            sizes: self.size,
            in_place: !self.out_of_place && is_cipher(self.cipher),
            placement: self.placement,
            backend: self.backend.0,
            standby_backend: self.standby_backend.0,
            partial_flush: flush,
            seed: self.seed,
            key: self.key.clone().map(|Hex(bytes)| bytes),
            iv: self.iv.clone().map(|Hex(bytes)| bytes),
            crash,
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
        println!("{}", serde_json::to_string_pretty(report)?);
    } else {
        println!("{report}");
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

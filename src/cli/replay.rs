//! `takeover replay`: one crash point again, explained.

use anyhow::{Context as _, Result};
use clap::Args;
use fixtures::preflight;
use fixtures::replay::Point;
use fixtures::sweep::{self, Explanation, Options};
use fixtures::verdict::Verdict;

use super::output::outln;
use super::sweep::procedure;
use super::{Outcome, json};

#[derive(Debug, Args)]
pub(super) struct ReplayArgs {
    /// The crash point, as a sweep printed it
    #[arg(value_name = "TOKEN")]
    token: String,
    /// Stop the process there and wait until a debugger has been attached to it and has ended it
    #[arg(long)]
    gdb: bool,
    /// Print one JSON object instead of the explanation
    #[arg(long, conflicts_with = "gdb")]
    json: bool,
    /// The bug that the sweep had
    #[cfg(feature = "seeded-bugs")]
    #[arg(long, value_name = "NAME")]
    bug: Option<shmem::seeded::Bug>,
}

pub(super) fn run(args: &ReplayArgs) -> Result<Outcome> {
    #[cfg(feature = "seeded-bugs")]
    if let Some(bug) = args.bug {
        shmem::seeded::select(bug);
    }
    let point: Point = match args.token.parse() {
        Ok(point) => point,
        Err(error) => return Ok(Outcome::Usage(format!("{error:#}"))),
    };
    sweep::fix_addresses().context("cannot start again with fixed addresses")?;
    preflight::tracing()?;
    let procedure = match procedure(&point.subject, &point.scenario, point.window)? {
        Ok(procedure) => procedure,
        Err(usage) => return Ok(Outcome::Usage(usage)),
    };
    let options = Options::default();
    if args.gdb {
        let held = sweep::hold(&*procedure, &options, &point.path)?;
        let pid = held.context("the process is gone")?;
        outln!("stopped after instruction {:?}; in another terminal:", point.path)?;
        outln!("  gdb -p {pid}")?;
        outln!("or, to end it: kill -9 {pid}")?;
        sweep::wait_for(pid)?;
        return Ok(Outcome::Passed);
    }
    let explanation = sweep::explain(&*procedure, &options, &point.path)?;
    let ok = explanation.finding.verdict == Verdict::Ok;
    if args.json {
        json::result("replay", ok, explained(&args.token, &explanation))?;
    } else {
        print(&args.token, &explanation)?;
    }
    Ok(if ok { Outcome::Passed } else { Outcome::Failed })
}

fn explained(token: &str, explanation: &Explanation) -> serde_json::Value {
    let Explanation { place, finding, .. } = explanation;
    serde_json::json!({
        "token": token,
        "call": explanation.call,
        "symbol": place.symbol,
        "file": place.file,
        "line": place.line,
        "instruction": explanation.number,
        "verdict": finding.verdict.to_string(),
        "job": finding.job,
        "byte": finding.byte,
        "message": finding.to_string(),
    })
}

fn print(token: &str, explanation: &Explanation) -> Result<()> {
    let place = &explanation.place;
    outln!("{token}\n")?;
    outln!("call         {}", explanation.call)?;
    outln!("function     {}", place.symbol)?;
    outln!("source       {}:{}", place.file, place.line)?;
    outln!("killed after {} (instruction {})", explanation.instruction, explanation.number)?;
    for (index, next) in explanation.next.iter().enumerate() {
        outln!("{}{next}", if index == 0 { "never run    " } else { "             " })?;
    }
    outln!("caller knew  {}", explanation.known)?;
    outln!("\nbefore the recovery\n{}", indent(&explanation.before))?;
    outln!("after the recovery (and one more job, which shows that the manager works on)")?;
    outln!("{}", indent(&explanation.after))?;
    outln!("verdict      {}", explanation.finding)?;
    if !explanation.difference.is_empty() {
        outln!("\n{}", explanation.difference)?;
    }
    Ok(())
}

fn indent(text: &str) -> String {
    text.lines().map(|line| format!("  {line}\n")).collect()
}

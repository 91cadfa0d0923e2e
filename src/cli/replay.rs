//! `takeover replay`: one crash point again, explained.

use anyhow::{Context as _, Result};
use clap::Args;
use fixtures::replay::Point;
use fixtures::sweep::{self, Explanation, Options};
use fixtures::verdict::Verdict;

use super::Outcome;
use super::sweep::procedure;

#[derive(Debug, Args)]
pub(super) struct ReplayArgs {
    /// The crash point, as a sweep printed it
    #[arg(value_name = "TOKEN")]
    token: String,
    /// Stop the process there and wait until a debugger has been attached to it and has ended it
    #[arg(long)]
    gdb: bool,
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
    let procedure = match procedure(&point.subject, &point.scenario, point.window)? {
        Ok(procedure) => procedure,
        Err(usage) => return Ok(Outcome::Usage(usage)),
    };
    let options = Options::default();
    if args.gdb {
        let held = sweep::hold(&*procedure, &options, &point.path)?;
        let pid = held.context("the process is gone")?;
        println!("stopped after instruction {:?}; in another terminal:", point.path);
        println!("  gdb -p {pid}");
        println!("or, to end it: kill -9 {pid}");
        sweep::wait_for(pid)?;
        return Ok(Outcome::Passed);
    }
    let explanation = sweep::explain(&*procedure, &options, &point.path)?;
    print(&args.token, &explanation);
    let ok = explanation.finding.verdict == Verdict::Ok;
    Ok(if ok { Outcome::Passed } else { Outcome::Failed })
}

fn print(token: &str, explanation: &Explanation) {
    let place = &explanation.place;
    println!("{token}\n");
    println!("call         {}", explanation.call);
    println!("function     {}", place.symbol);
    println!("source       {}:{}", place.file, place.line);
    println!("killed after {} (instruction {})", explanation.instruction, explanation.number);
    for (index, next) in explanation.next.iter().enumerate() {
        println!("{}{next}", if index == 0 { "never run    " } else { "             " });
    }
    println!("caller knew  {}", explanation.known);
    println!("\nbefore the recovery\n{}", indent(&explanation.before));
    println!("after the recovery (and one more job, which shows that the manager works on)");
    println!("{}", indent(&explanation.after));
    println!("verdict      {}", explanation.finding);
    if !explanation.difference.is_empty() {
        println!("\n{}", explanation.difference);
    }
}

fn indent(text: &str) -> String {
    text.lines().map(|line| format!("  {line}\n")).collect()
}

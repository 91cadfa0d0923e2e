//! `takeover ciphers`: the table of algorithms, beside what the reference library has.

use std::time::Duration;

use anyhow::Result;
use clap::Args;
use comfy_table::{Table, presets};
use fixtures::ciphers::{self, Entry, MISSING};
use mbmgr::{Algorithm, Backend};
use serde_json::json;

use super::output::outln;
use super::{Outcome, json as answer};

#[derive(Debug, Args)]
pub(super) struct CiphersArgs {
    /// Print one JSON object: the ciphers, one object each, and what the reference has besides
    #[arg(long)]
    json: bool,
    /// Measure each for a moment on this machine: encrypting jobs of 4096 bytes, out of place
    #[arg(long)]
    measure: bool,
}

pub(super) fn run(args: &CiphersArgs) -> Result<Outcome> {
    let mut entries = ciphers::table()?;
    if args.measure {
        for (entry, &algorithm) in entries.iter_mut().zip(Algorithm::ALL) {
            let found = ciphers::measure(algorithm, Duration::from_millis(40))?;
            entry.megabytes_per_s = Some(found.round());
        }
    }
    if args.json {
        let missing: Vec<_> =
            MISSING.iter().map(|(name, why)| json!({ "name": name, "why": why })).collect();
        let table = json!({ "ciphers": entries, "only_in_the_reference": missing });
        answer::result("ciphers", true, table)?;
    } else {
        print(&entries, args.measure)?;
    }
    Ok(Outcome::Passed)
}

fn print(entries: &[Entry], measured: bool) -> Result<()> {
    let best = Backend::best();
    let mut table = Table::new();
    table.load_style(presets::UTF8_BORDERS_ONLY);
    let kernel = format!("kernel ({best})");
    let mut header = vec![
        "cipher",
        kernel.as_str(),
        "journal, in place",
        "vectors",
        "judge",
        "states",
        "bad",
        "reference",
    ];
    if measured {
        header.push("MB/s");
    }
    table.set_header(header);
    for entry in entries {
        let mut row = vec![
            entry.name.to_owned(),
            entry.kernels[best.name()].to_owned(),
            entry.journaled.to_owned(),
            entry.vectors.to_string(),
            entry.judge.clone(),
            entry.sweep_states.to_string(),
            entry.sweep_bad.to_string(),
            if entry.reference { "yes" } else { "no" }.to_owned(),
        ];
        row.extend(entry.megabytes_per_s.map(|found| format!("{found:.0}")));
        table.add_row(row);
    }
    outln!("{table}")?;
    outln!("The reference has, and we have not:")?;
    for (name, why) in MISSING {
        outln!("  {name}: {why}")?;
    }
    Ok(())
}

//! `takeover bench instructions`: how many instructions a job takes, and where they are.

use std::collections::HashMap;

use anyhow::Result;
use bench::{Sizes, Spec};
use clap::Args;
use fixtures::chained::{Hash, Suite};
use fixtures::sweep::Symbols;
use mbmgr::{Backend, Direction, Order};

use super::args::parse;
use super::output::outln;
use super::{Outcome, json};

#[derive(Debug, Args)]
pub(super) struct InstructionsArgs {
    /// What the jobs compute: aes-128-cbc, sha256, …, or a cipher and the hash that follows it:
    /// aes-128-cbc+hmac-sha1 (to encrypt)
    #[arg(long, value_name = "NAME", default_value = "aes-128-cbc", value_parser = parse::<Suite>)]
    cipher: Suite,
    /// encrypt or decrypt
    #[arg(long, default_value = "encrypt")]
    direction: Direction,
    /// Bytes of a job, or imix
    #[arg(long, value_name = "BYTES", default_value = "64")]
    size: Sizes,
    /// The kernels [default: the best of this machine]
    #[arg(long)]
    backend: Option<Backend>,
    /// How often all 16 jobs (192 of imix) go in and come back
    #[arg(long, default_value_t = 2)]
    turns: u64,
    /// Lines of source to list
    #[arg(long, default_value_t = 25)]
    lines: usize,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &InstructionsArgs) -> Result<Outcome> {
    if !(1..=1000).contains(&args.turns) {
        return Ok(Outcome::Usage(format!("{} turns are not possible: use 1 to 1000", args.turns)));
    }
    let Suite { algorithm, hash } = args.cipher;
    let hash = match hash {
        None => None,
        Some(Hash { algorithm, order: Order::CipherHash })
            if args.direction == Direction::Encrypt =>
        {
            Some(algorithm)
        }
        Some(_) => {
            let chain = "its jobs go in again and again, so a chain is a cipher, to encrypt, and then a hash";
            return Ok(Outcome::Usage(format!("`{}` cannot be counted: {chain}", args.cipher)));
        }
    };
    let spec =
        Spec { backend: args.backend, hash, ..Spec::new(algorithm, args.direction, args.size) };
    // Tracer and tracee take turns: on one core that is several times as fast.
    bench::pin(bench::last_core()?)?;
    let found = bench::count_instructions(&spec, args.turns)?;
    let symbols = Symbols::load()?;
    let mut by_line: HashMap<(String, u32, String), u64> = HashMap::new();
    for (&address, &count) in &found.by_address {
        let place = symbols.place(address);
        *by_line.entry((place.file, place.line, place.symbol)).or_default() += count;
    }
    let mut by_line: Vec<_> = by_line.into_iter().collect();
    by_line.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    by_line.truncate(args.lines);
    #[expect(clippy::cast_precision_loss, reason = "counts are for reading")]
    let per_job = |count: u64| count as f64 / found.jobs as f64;
    if args.json {
        let lines: Vec<_> = by_line
            .iter()
            .map(|((file, line, symbol), count)| {
                serde_json::json!({
                    "file": file, "line": line, "symbol": symbol, "per_job": per_job(*count)
                })
            })
            .collect();
        let (jobs, total) = (found.jobs, found.per_job());
        let result = serde_json::json!({ "jobs": jobs, "per_job": total, "lines": lines });
        json::result("bench instructions", true, result)?;
        return Ok(Outcome::Passed);
    }
    outln!("{:.1} instructions a job, from its submission to its return", found.per_job())?;
    for ((file, line, symbol), count) in by_line {
        outln!("{:8.1}  {file}:{line}  {symbol}", per_job(count))?;
    }
    Ok(Outcome::Passed)
}

//! `cargo bench --bench throughput [ALGORITHM…]`: the table of `takeover bench throughput`, by the same
//! code. Features `ipsec-mb` and `aws-lc-rs` add contenders. Nothing survives a crash.

use std::process::ExitCode;

use bench::{Effort, Report, Set, Spec};

fn main() -> ExitCode {
    match run() {
        Ok(report) => {
            println!("{report}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("throughput: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<Report> {
    // Cargo adds options of its own, such as `--bench`.
    let names: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let wanted = |spec: &Spec| names.is_empty() || names.iter().any(|n| n == spec.algorithm.name());
    let specs: Vec<Spec> = Set::Table.rows().into_iter().filter(wanted).collect();
    anyhow::ensure!(!specs.is_empty(), "the table has no row of {}", names.join(", "));
    let core = bench::last_core()?;
    bench::pin(core)?;
    Report::measure(&specs, core, &Effort::default(), |row, rows| {
        eprintln!("{} {} {} (of {rows} rows)", row.cipher, row.direction, row.size);
    })
}

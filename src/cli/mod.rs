//! The command line: one file for each subcommand. Exit codes: 0 passed, 1 failed, 2 usage.

mod args;
mod bench;
mod ciphers;
mod inspect;
mod instructions;
mod json;
mod kills;
mod latency;
mod output;
mod replay;
mod role;
mod run;
mod soak;
mod sweep;

use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser, Subcommand};

/// Run fail-over scenarios of a multi-buffer crypto manager in shared memory.
///
/// Without a subcommand this is `takeover run`: a primary submits jobs, a secondary takes over and
/// completes them, and every byte is checked.
#[derive(Debug, Parser)]
#[command(name = "takeover", version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: run::RunArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run one scenario, or send a file through one, with primary and secondary as real processes
    Run(Box<run::RunArgs>),
    /// Run many random scenarios whose primary is killed at a random time
    Kills(kills::KillsArgs),
    /// Kill a primary at every machine instruction, recover each state, and judge it
    Sweep(Box<sweep::SweepArgs>),
    /// Measure throughput beside the reference library, instructions of a job, standbys, sweeps
    Bench(bench::BenchArgs),
    /// List every cipher: kernels, journal, vectors, judge, sweep states, and what the reference has
    Ciphers(ciphers::CiphersArgs),
    /// Run one crash point of a sweep again and explain it
    Replay(replay::ReplayArgs),
    /// Decode a live or left-behind segment: owner, ring, journal, keys (never their bytes)
    Inspect(inspect::InspectArgs),
    /// Keep one manager under load for a long time, while its owners are killed, forced and replaced
    Soak(soak::SoakArgs),
    /// Measure the time from the death of an owner to its outstanding jobs done by a standby
    Latency(latency::LatencyArgs),
    #[command(hide = true)]
    Role(role::RoleArgs),
}

/// What a subcommand came to.
enum Outcome {
    /// Everything is right.
    Passed,
    /// The test failed; it has been printed.
    Failed,
    /// The request made no sense; the message says what to change.
    Usage(String),
}

/// Parses the command line, runs it, and turns the outcome into an exit code.
pub(crate) fn main() -> ExitCode {
    let asked = json::command_of(std::env::args_os());
    let trouble = |outcome: &str, message: &str| {
        if let Some(command) = &asked {
            // Errors: nobody reads the output, and standard error has the message too.
            let _ = json::trouble(command, outcome, message);
        }
    };
    let cli = Cli::try_parse().unwrap_or_else(|error| {
        if error.use_stderr() {
            let text = error.to_string();
            let message = text.split("\n\n").next().unwrap_or_default();
            trouble("usage", message.trim_start_matches("error: "));
        }
        error.exit()
    });
    let command = cli.command.unwrap_or_else(|| Command::Run(Box::new(cli.run)));
    let outcome = match command {
        Command::Run(args) => run::run(&args),
        Command::Kills(args) => kills::run(&args),
        Command::Sweep(args) => sweep::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Ciphers(args) => ciphers::run(&args),
        Command::Replay(args) => replay::run(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Soak(args) => soak::run(&args),
        Command::Latency(args) => latency::run("latency", &args),
        Command::Role(args) => role::run(&args),
    };
    match outcome {
        Ok(Outcome::Passed) => ExitCode::SUCCESS,
        Ok(Outcome::Failed) => ExitCode::FAILURE,
        Ok(Outcome::Usage(message)) => {
            trouble("usage", &message);
            // clap prints it in its own style; its exit code for usage is 2.
            Cli::command().error(ErrorKind::ValueValidation, message).exit()
        }
        Err(error) if error.is::<output::ReaderGone>() => ExitCode::FAILURE,
        Err(error) => {
            trouble("error", &format!("{error:#}"));
            eprintln!("takeover: {error:#}");
            ExitCode::FAILURE
        }
    }
}

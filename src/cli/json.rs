//! What `--json` prints: one object a command, the same around every result. docs/json.md has it.

use std::ffi::OsString;

use anyhow::Result;
use serde::Serialize;

use super::output::outln;

/// One command's answer.
#[derive(Debug, Serialize)]
struct Envelope<'a, T> {
    /// Version of the program that answers.
    takeover: &'static str,
    command: &'a str,
    outcome: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<T>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

/// Prints what `command` came to.
pub(super) fn result(command: &str, passed: bool, result: impl Serialize) -> Result<()> {
    let outcome = if passed { "passed" } else { "failed" };
    print(command, outcome, Some(result), None)
}

/// Prints that `command` could not be carried out: `outcome` is `error` or `usage`.
pub(super) fn trouble(command: &str, outcome: &str, message: &str) -> Result<()> {
    print(command, outcome, None::<()>, Some(message))
}

fn print(
    command: &str,
    outcome: &str,
    result: Option<impl Serialize>,
    error: Option<&str>,
) -> Result<()> {
    let takeover = env!("CARGO_PKG_VERSION");
    let envelope = Envelope { takeover, command, outcome, result, error };
    outln!("{}", serde_json::to_string(&envelope)?)
}

/// The command of a command line that asks for JSON, whether or not it can be parsed: the words before
/// its first option.
pub(super) fn command_of(args: impl Iterator<Item = OsString>) -> Option<String> {
    let args: Vec<String> = args.skip(1).map(|arg| arg.to_string_lossy().into_owned()).collect();
    if !args.iter().any(|arg| arg == "--json") {
        return None;
    }
    let words = args.iter().take_while(|arg| !arg.starts_with('-'));
    let command = match args.first().map(String::as_str) {
        // Its rows are commands of their own.
        Some("bench") => words.take(2).cloned().collect::<Vec<_>>().join(" "),
        _ => words.take(1).cloned().collect(),
    };
    Some(if command.is_empty() { "run".to_owned() } else { command })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_is_known_before_anything_is_parsed() {
        let of = |line: &str| command_of(line.split(' ').map(OsString::from));
        assert_eq!(of("takeover sweep --jobs 3"), None);
        assert_eq!(of("takeover sweep --jobs x --json").as_deref(), Some("sweep"));
        assert_eq!(of("takeover --json").as_deref(), Some("run"));
        assert_eq!(of("takeover bench throughput --json").as_deref(), Some("bench throughput"));
        assert_eq!(of("takeover inspect NAME --json").as_deref(), Some("inspect"));
    }
}

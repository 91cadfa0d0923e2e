//! What the integration tests share: where the programs are, and how a run of one is checked.

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

/// Path of a program of this package. An archive of nextest is run elsewhere than it was built, so
/// that the path of run time goes before the one of compile time.
macro_rules! program {
    ($name:literal) => {
        std::env::var_os(concat!("NEXTEST_BIN_EXE_", $name)).map_or_else(
            || std::path::PathBuf::from(env!(concat!("CARGO_BIN_EXE_", $name))),
            Into::into,
        )
    };
}
pub(crate) use program;

/// Runs a program to its end; returns its exit code, standard output and standard error.
pub(crate) fn run(program: PathBuf, args: &[&str]) -> (i32, String, String) {
    let output: Output = Command::new(&program)
        .args(args)
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{} cannot be run: {error}", program.display()));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let code = output.status.code().unwrap_or_else(|| panic!("it ended by {}", output.status));
    (code, text(&output.stdout), text(&output.stderr))
}

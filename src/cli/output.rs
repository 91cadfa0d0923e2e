//! What the subcommands print: as `println!`, but that a reader who has gone, as `head` has, is an error
//! that ends the command without a word, not a panic.

use std::fmt;
use std::io::{ErrorKind, Write as _, stdout};

use anyhow::Result;

/// The reader of standard output has gone.
#[derive(Debug)]
pub(super) struct ReaderGone;

impl fmt::Display for ReaderGone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nobody reads the output any more")
    }
}

impl std::error::Error for ReaderGone {}

/// Prints a line.
macro_rules! outln {
    ($($text:tt)*) => { $crate::cli::output::print(format_args!("{}\n", format_args!($($text)*))) };
}
pub(super) use outln;

pub(super) fn print(text: fmt::Arguments<'_>) -> Result<()> {
    let mut out = stdout();
    out.write_fmt(text).and_then(|()| out.flush()).map_err(|error| match error.kind() {
        ErrorKind::BrokenPipe => ReaderGone.into(),
        _ => anyhow::Error::new(error).context("writing to standard output"),
    })
}

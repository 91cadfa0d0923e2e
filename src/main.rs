//! The `takeover` command. Everything it does is in `cli`, which only parses, calls `fixtures` and
//! prints.

mod cli;

fn main() -> std::process::ExitCode {
    cli::main()
}

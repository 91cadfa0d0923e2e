//! `mp-secondary INFO DATA`: drop-in for the reference's secondary program.

fn main() -> std::process::ExitCode {
    let args: Vec<_> = std::env::args_os().collect();
    fixtures::roles::seed::secondary_main(&args).into()
}

//! `mp-primary PATH-OF-SECONDARY`: drop-in for the reference's primary program.

fn main() -> std::process::ExitCode {
    let args: Vec<_> = std::env::args_os().collect();
    fixtures::roles::seed::primary_main(&args).into()
}

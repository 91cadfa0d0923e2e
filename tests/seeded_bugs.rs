//! The proof that the sweep sees: each bug that can be compiled in on purpose is found, with the
//! verdict that it deserves and at the lines that it belongs to. Needs the feature `seeded-bugs`:
//! `cargo nextest run --features seeded-bugs --test seeded_bugs`.

#[path = "common/answer.rs"]
mod answer;
mod common;

use mbmgr::Backend;
use rstest::rstest;
use serde_json::Value;

/// Runs `takeover sweep` with these arguments; the exit code and the report.
fn sweep(args: &str) -> (i32, Value) {
    let args: Vec<&str> =
        ["sweep", "--json", "--real", "2"].into_iter().chain(args.split_whitespace()).collect();
    let (code, out, err) = common::run(common::program!("takeover"), &args);
    assert!(!out.is_empty(), "{args:?}: exit code {code}\n{err}");
    (code, answer::result_of("sweep", &out)["sweeps"][0].take())
}

/// Jobs of different lengths, more than there are lanes: runs end at different places.
const MIXED: &str = "--jobs 6 --lanes 4 --size 32-144";

#[rstest]
#[case("log-after-commit", MIXED, "corrupt", "crates/mbmgr/src/kernel/")]
#[case("log-slot-parity", MIXED, "corrupt", "crates/mbmgr/src/kernel/")]
#[case("fence-removed", MIXED, "corrupt", "crates/mbmgr/src/kernel/")]
#[case("progress-relative", "--jobs 9 --lanes 4 --size 32-272", "corrupt", "crates/mbmgr/src/")]
#[case("status-before-tag", "--jobs 5 --lanes 4 --cipher sha256", "corrupt", "crates/mbmgr/src/")]
#[case("tail-before-slot", MIXED, "corrupt", "crates/mbmgr/src/job.rs")]
#[case(
    "chain-not-logged",
    "--jobs 2 --size 1040 --cipher aes-128-cbc --direction decrypt",
    "corrupt",
    "crates/mbmgr/src/kernel/"
)]
#[case("redo-skipped", MIXED, "corrupt", "crates/mbmgr/src/kernel/")]
#[case("epoch-not-raised", "--jobs 1 --lanes 2 --size 16", "miscounted", "crates/")]
#[case("returned-before-status", MIXED, "corrupt", "crates/mbmgr/src/")]
#[case("journal-ends-early", MIXED, "corrupt", "crates/mbmgr/src/")]
#[case(
    "key-freed-early",
    "--window keys --jobs 1 --lanes 2 --size 16",
    "corrupt",
    "crates/mbmgr/src/keys.rs"
)]
#[case("acknowledged-at-return", MIXED, "lost", "crates/mbmgr/src/")]
#[case(
    "stage-before-tag",
    "--jobs 3 --lanes 2 --size 32-80 --cipher hmac-sha256+aes-128-cbc",
    "corrupt",
    "crates/mbmgr/src/"
)]
#[case(
    "stage-not-committed",
    "--jobs 3 --lanes 2 --size 32-80 --cipher aes-128-cbc+hmac-sha256",
    "corrupt",
    "crates/mbmgr/src/"
)]
#[case(
    "hash-run-again",
    "--jobs 3 --lanes 2 --size 32-80 --cipher hmac-sha256+aes-128-cbc",
    "corrupt",
    "crates/mbmgr/src/"
)]
#[case(
    "redo-counter-from-base",
    "--jobs 1 --lanes 2 --size 528 --cipher aes-128-ctr --flush 0 --depth 2 --sample 16",
    "corrupt",
    "crates/mbmgr/src/"
)]
#[case("stale-pointer", MIXED, "wild", "crates/mbmgr/src/")]
#[case(
    "progress-not-reset",
    "--ring 4 --jobs 9 --lanes 2 --size 16-272",
    "corrupt",
    "crates/mbmgr/src/"
)]
fn the_sweep_finds(
    #[case] bug: &str,
    #[case] scenario: &str,
    #[case] verdict: &str,
    #[case] file: &str,
    #[values(Backend::Portable, Backend::AesNi, Backend::Vaes256, Backend::Vaes512)]
    backend: Backend,
) {
    if !backend.is_available() {
        // Those that the machine must have are made sure of where the kernels are tested.
        return;
    }
    // Steps, and with them what a bug can spoil, have another length in each.
    let scenario = format!("{scenario} --backend {backend} --standby-backend {backend}");
    let (code, clean) = sweep(&scenario);
    assert_eq!(code, 0, "without the bug everything is ok: {clean}");
    let (code, report) = sweep(&format!("{scenario} --bug {bug}"));
    assert_eq!(code, 1, "with the bug the sweep fails: {report}");
    let failures = report["failures"].as_array().expect("a list of failures");
    let right = |failure: &&Value| {
        let of = |name: &str| failure[name].as_str().unwrap_or_default().to_owned();
        of("verdict") == verdict && of("file").starts_with(file)
    };
    assert!(
        failures.iter().any(|failure| right(&failure)),
        "{bug}: none is as it should: {report}"
    );
}

/// What `takeover replay` comes to at a crash point.
fn replay(token: &str, bug: &str) -> String {
    let args = ["replay", "--json", token, "--bug", bug];
    let (code, out, err) = common::run(common::program!("takeover"), &args);
    assert!(!out.is_empty(), "{token}: exit code {code}\n{err}");
    let explained = answer::result_of("replay", &out);
    let verdict = explained["verdict"].as_str().expect("a verdict").to_owned();
    assert_eq!(code, i32::from(verdict != "ok"), "{token}: {explained}");
    verdict
}

/// A sample of the states of each verdict, and as many that a sweep called ok.
#[rstest]
#[case("stale-pointer", MIXED, "wild")]
#[case("acknowledged-at-return", MIXED, "lost")]
#[case("log-after-commit", MIXED, "corrupt")]
#[case("epoch-not-raised", "--jobs 1 --lanes 2 --size 16", "miscounted")]
#[case("key-freed-early", "--window keys --jobs 1 --lanes 2 --size 16", "corrupt")]
fn a_replay_agrees_with_its_sweep(
    #[case] bug: &str,
    #[case] scenario: &str,
    #[case] verdict: &str,
) {
    let (_, report) = sweep(&format!("{scenario} --bug {bug}"));
    let failures = report["failures"].as_array().expect("a list of failures");
    let of_verdict: Vec<_> = failures.iter().filter(|f| f["verdict"] == verdict).collect();
    assert!(!of_verdict.is_empty(), "{bug} has states that are {verdict}: {report}");
    for failure in of_verdict.iter().step_by(of_verdict.len().div_ceil(4)) {
        let token = failure["token"].as_str().expect("a token");
        assert_eq!(replay(token, bug), verdict, "{failure}");
    }
    // The command that a report gives runs as it is pasted.
    let command = of_verdict[0]["replay"].as_str().expect("a command");
    let pasted = std::process::Command::new("sh").args(["-c", command]).output().expect("a shell");
    let said = String::from_utf8_lossy(&pasted.stdout);
    assert!(said.contains(&format!("verdict      {verdict}")), "{command}: {said}");
    // Up to the first failure the sweep found nothing wrong.
    let token = report["token"].as_str().expect("a token");
    let bad = failures.iter().filter_map(|failure| failure["instruction"].as_u64());
    let first = bad.min().expect("one at least");
    for instruction in [0, first / 2, first.saturating_sub(1)] {
        if instruction < first {
            assert_eq!(replay(&format!("{token}@{instruction}"), bug), "ok", "{instruction}");
        }
    }
}

#[test]
fn every_bug_has_a_case() {
    let cases = include_str!("seeded_bugs.rs");
    for bug in shmem::seeded::Bug::ALL {
        assert!(cases.contains(&format!("\"{bug}\"")), "no case for {bug}");
    }
}

//! The primary flushes some jobs before it dies or hands over; the secondary completes the others.
//! What the primary was given last is given again, marked as redelivered; nothing else is.

use fixtures::algorithm::is_cipher;
use fixtures::chained::Suite;
use fixtures::forked::fail_over;
use fixtures::scenario::{CrashPoint, Scenario, Sizes};
use fixtures::session::Exit;
use rstest::rstest;

fn scenario(cipher: &str, lanes: u32, jobs: u64, flushed: u64) -> Scenario {
    let Suite { algorithm, hash } = cipher.parse().unwrap();
    Scenario {
        algorithm,
        hash,
        lanes,
        jobs,
        partial_flush: flushed,
        sizes: Sizes::between(16, 1024),
        in_place: is_cipher(algorithm),
        crash: CrashPoint::AfterFlush(flushed),
        ..Scenario::default()
    }
}

/// All numbers of flushed jobs that matter: none, one, about the lanes, all.
#[rstest]
fn secondary_completes_what_was_not_flushed(
    #[values("aes-128-cbc", "aes-256-ctr", "sha256", "hmac-sha512", "hmac-sha1+aes-128-cbc")]
    cipher: &str,
    #[values(1, 4, 16)] lanes: u32,
    #[values(15, 16, 33)] jobs: u64,
    #[values(0, 1, 3, 14, 15)] flushed: u64,
) {
    let scenario = scenario(cipher, lanes, jobs, flushed);
    let report = fail_over(&scenario).unwrap_or_else(|error| panic!("{scenario}: {error:#}"));
    assert!(report.passed(), "{report}");
    assert_eq!(report.primary_exit, Exit::Signal(9), "{report}");
    assert_eq!(report.submitted, jobs, "{report}");
    assert!(report.completed_by_primary >= flushed.min(jobs), "{report}");
    assert_eq!(report.completed_by_primary + report.completed_by_secondary, jobs, "{report}");
}

/// With more lanes than jobs nothing comes back by submitting: the counts are known exactly.
#[rstest]
fn counts_are_exact_when_jobs_wait_in_lanes(
    #[values("aes-128-cbc", "hmac-sha256", "aes-128-cbc+hmac-sha256")] cipher: &str,
    #[values(0, 1, 2, 7, 14, 15)] flushed: u64,
    #[values(true, false)] dies: bool,
) {
    let mut scenario = scenario(cipher, 16, 15, flushed);
    if !dies {
        scenario.crash = CrashPoint::None;
    }
    let report = fail_over(&scenario).unwrap_or_else(|error| panic!("{scenario}: {error:#}"));
    assert!(report.passed(), "{report}");
    assert_eq!(report.completed_by_primary, flushed, "{report}");
    assert_eq!(report.completed_by_secondary, 15 - flushed, "{report}");
    if dies {
        assert_eq!(report.redelivered, u64::from(flushed > 0), "{report}");
    }
}

/// The primary flushes everything: nothing is outstanding, and the manager still works on.
#[rstest]
fn nothing_is_outstanding_after_a_full_flush(
    #[values("aes-192-cbc", "sha512")] cipher: &str,
    #[values(1, 8, 16)] lanes: u32,
) {
    let scenario = scenario(cipher, lanes, 24, 24);
    let report = fail_over(&scenario).unwrap_or_else(|error| panic!("{scenario}: {error:#}"));
    assert!(report.passed(), "{report}");
    assert_eq!((report.completed_by_primary, report.completed_by_secondary), (24, 0), "{report}");
}

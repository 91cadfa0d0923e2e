//! One run of `takeover sweep`, of which every state must be ok. Called by the tests of the crash sweep.

use serde_json::Value;

/// Sweeps, demands that every state is ok, and returns the report.
pub(crate) fn sweep(args: &[&str]) -> Value {
    let report = sweep_some(args);
    assert_eq!(report["recovered"], report["states"], "{args:?}: every state is recovered");
    report
}

/// As [`sweep`], of a scenario of which only a sample of the states is recovered and goes deeper.
pub(crate) fn sweep_sample(cipher: &str, lanes: u64, jobs: Jobs, sample: u64, more: &[&str]) {
    let sample = sample.to_string();
    let args = arguments(cipher, lanes, jobs, true);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let report = sweep_some(&[&args[..], &["--sample", &sample], more].concat());
    assert_eq!(report["depth"], 2, "{report}");
}

pub(crate) fn sweep_some(args: &[&str]) -> Value {
    let args: Vec<&str> = ["sweep", "--json"].iter().chain(args).copied().collect();
    let (code, out, err) = super::common::run(super::common::program!("takeover"), &args);
    assert!(!out.is_empty(), "{args:?}: exit code {code}\n{err}");
    let report = super::answer::result_of("sweep", &out)["sweeps"][0].take();
    let number = |name: &str| report[name].as_u64().unwrap_or_else(|| panic!("no {name}: {out}"));
    assert_eq!(code, 0, "{args:?}: {out}\n{err}");
    assert_eq!(number("ok"), number("recovered"), "{args:?}: {out}");
    assert!(number("contents") >= 2, "{args:?}: a window that changes nothing proves nothing");
    report
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Jobs {
    One,
    Lanes,
    LanesAndOne,
    J255,
    J256,
    LanesLessOne,
    Four,
}

impl Jobs {
    pub(crate) fn number(self, lanes: u64) -> u64 {
        match self {
            Jobs::One => 1,
            Jobs::Lanes => lanes,
            Jobs::LanesAndOne => lanes + 1,
            Jobs::LanesLessOne => (lanes - 1).max(1),
            Jobs::J255 => 255,
            Jobs::J256 => 256,
            Jobs::Four => 4,
        }
    }
}

fn arguments(cipher: &str, lanes: u64, jobs: Jobs, in_place: bool) -> Vec<String> {
    let (cipher, direction) = cipher.split_once(' ').unwrap_or((cipher, "encrypt"));
    let (lanes, jobs) = (lanes.to_string(), jobs.number(lanes).to_string());
    let mut args = vec!["--cipher", cipher, "--direction", direction];
    args.extend(["--lanes", &lanes, "--jobs", &jobs]);
    if !in_place {
        args.push("--out-of-place");
    }
    args.into_iter().map(str::to_owned).collect()
}

pub(crate) fn sweep_cipher(
    cipher: &str,
    lanes: u64,
    jobs: Jobs,
    in_place: bool,
    more: &[&str],
) -> Value {
    let args = arguments(cipher, lanes, jobs, in_place);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    sweep(&[&args[..], more].concat())
}

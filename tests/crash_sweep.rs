//! The crash sweep in the gate: for each family of ciphers, lane count, number of jobs and buffers in
//! place or not, a primary is killed at every machine instruction of its window, and each state is
//! recovered and judged. The `exhaustive` profile runs the full matrix, the other windows with every
//! family, and chosen scenarios at depth 2. Each case is one run of `takeover sweep`, whose process
//! has nothing but the sweep in it.

mod common;

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use rstest::rstest;
use serde_json::Value;
use serial_test::file_serial;

fn exhaustive() -> bool {
    std::env::var("NEXTEST_PROFILE").is_ok_and(|profile| profile == "exhaustive")
}

/// Sweeps, demands that every state is ok, and returns the report.
fn sweep(args: &[&str]) -> Value {
    let args: Vec<&str> = ["sweep", "--json"].iter().chain(args).copied().collect();
    let (code, out, err) = common::run(common::program!("takeover"), &args);
    let report: Value = serde_json::from_str(&out)
        .unwrap_or_else(|error| panic!("{args:?}: {error}; exit code {code}\n{out}\n{err}"));
    let number = |name: &str| report[name].as_u64().unwrap_or_else(|| panic!("no {name}: {out}"));
    assert_eq!(code, 0, "{args:?}: {out}\n{err}");
    assert_eq!(number("ok"), number("recovered"), "{args:?}: {out}");
    assert_eq!(number("recovered"), number("states"), "{args:?}: every state is recovered");
    assert!(number("contents") >= 2, "{args:?}: a window that changes nothing proves nothing");
    report
}

#[derive(Clone, Copy, Debug)]
enum Jobs {
    One,
    Lanes,
    LanesAndOne,
    J255,
    J256,
    LanesLessOne,
    Four,
}

impl Jobs {
    fn number(self, lanes: u64) -> u64 {
        match self {
            Jobs::One => 1,
            Jobs::Lanes => lanes,
            Jobs::LanesAndOne => lanes + 1,
            Jobs::LanesLessOne => lanes - 1,
            Jobs::J255 => 255,
            Jobs::J256 => 256,
            Jobs::Four => 4,
        }
    }
}

fn sweep_cipher(cipher: &str, lanes: u64, jobs: Jobs, in_place: bool, more: &[&str]) -> Value {
    let (cipher, direction) = cipher.split_once(' ').unwrap_or((cipher, "encrypt"));
    let (lanes, jobs) = (lanes.to_string(), jobs.number(lanes).to_string());
    let mut args = vec!["--cipher", cipher, "--direction", direction];
    args.extend(["--lanes", &lanes, "--jobs", &jobs]);
    if !in_place {
        args.push("--out-of-place");
    }
    args.extend(more);
    sweep(&args)
}

/// Some sizes for each family, so that the last steps of a run differ.
const SHORT: [&str; 4] = ["--size", "16-80", "--real", "0"];

#[rstest]
fn every_state_of_a_cipher_recovers(
    #[values("aes-128-cbc", "aes-256-cbc decrypt", "aes-192-ctr")] cipher: &str,
    #[values(2, 4)] lanes: u64,
    #[values(Jobs::One, Jobs::Lanes, Jobs::LanesAndOne)] jobs: Jobs,
    #[values(true, false)] in_place: bool,
) {
    sweep_cipher(cipher, lanes, jobs, in_place, &SHORT);
}

#[rstest]
fn every_state_of_a_digest_recovers(
    #[values("sha256", "hmac-sha512")] cipher: &str,
    #[values(2, 4)] lanes: u64,
    #[values(Jobs::One, Jobs::Lanes, Jobs::LanesAndOne)] jobs: Jobs,
) {
    sweep_cipher(cipher, lanes, jobs, false, &SHORT);
}

/// One algorithm of each family; the others differ from these in the crate that they call.
#[rstest]
fn every_state_of_a_family_recovers(
    #[values(
        "aes-256-gcm",
        "aes-128-gcm decrypt",
        "aes-128-ccm",
        "aes-256-ccm decrypt",
        "chacha20-poly1305 decrypt",
        "aes-128-ecb",
        "aes-192-cfb",
        "aes-192-cfb decrypt",
        "aes-256-xts",
        "aes-256-docsis",
        "aes-128-docsis decrypt",
        "chacha20",
        "3des-cbc",
        "sm4-cbc decrypt",
        "aes-128-cmac",
        "aes-128-xcbc",
        "aes-256-gmac",
        "poly1305",
        "hmac-sha1",
        "sha3-256",
        "shake128",
        "crc32",
        "zuc-eea3",
        "zuc-256-eia3"
    )]
    cipher: &str,
) {
    let name = cipher.split(' ').next().unwrap();
    let in_place = name.parse::<mbmgr::Algorithm>().unwrap().is_cipher();
    sweep_cipher(cipher, 2, Jobs::LanesAndOne, in_place, &SHORT);
}

/// Chained jobs, named in the order in which their parts run: each part journaled, in a lane or alone. Out
/// of place in `matrix`.
#[rstest]
fn every_state_of_a_chain_recovers(
    #[values(
        "aes-128-cbc+hmac-sha256",
        "hmac-sha256+aes-128-cbc",
        "aes-192-ctr+hmac-sha1",
        "crc32+aes-128-docsis",
        "aes-128-docsis+crc32"
    )]
    cipher: &str,
    #[values("encrypt", "decrypt")] direction: &str,
) {
    let cipher = format!("{cipher} {direction}");
    sweep_cipher(&cipher, 2, Jobs::LanesAndOne, true, &SHORT);
}

/// Messages in pieces, of one step and of several. Out of place in `matrix`.
#[rstest]
fn every_state_of_a_message_in_pieces_recovers(
    #[values("aes-128-gcm", "aes-256-gcm decrypt", "chacha20-poly1305")] cipher: &str,
    #[values("16-80", "1040")] size: &str,
) {
    let more = ["--pieces", "--size", size, "--real", "0"];
    sweep_cipher(cipher, 2, Jobs::LanesAndOne, true, &more);
}

#[rstest]
fn every_state_of_a_window_recovers(
    #[values("burst", "keys", "acknowledge", "release")] window: &str,
) {
    sweep(&["--window", window, "--jobs", "6", "--size", "16-80", "--lanes", "4", "--real", "1"]);
}

/// The stepped process is a standby: each state is that of a takeover that was itself cut short.
#[rstest]
fn every_state_of_a_takeover_recovers(#[values("force", "race")] window: &str) {
    let scenario = ["--jobs", "5", "--size", "16-80", "--lanes", "4", "--real", "3"];
    let report = sweep(&[&["--window", window], &scenario[..]].concat());
    assert_eq!(report["real"], 3, "{report}");
    assert_eq!(report["races"], if window == "race" { 3 } else { 0 }, "{report}");
}

#[test]
fn every_state_of_the_making_of_a_segment_recovers() {
    sweep(&["--window", "creation", "--jobs", "3", "--size", "32", "--lanes", "4", "--real", "0"]);
}

#[rstest]
fn every_state_recovers_at_the_same_address_and_with_another_backend(
    #[values("anywhere", "identical")] placement: &str,
    #[values("portable", "aesni")] standby: &str,
) {
    let jobs = ["--jobs", "5", "--lanes", "4", "--size", "64", "--real", "1"];
    sweep(&[&["--placement", placement, "--standby-backend", standby], &jobs[..]].concat());
}

#[test]
fn instructions_and_states_are_the_same_each_time() {
    let args = ["--jobs", "4", "--lanes", "4", "--size", "48", "--real", "0"];
    let (one, two) = (sweep(&args), sweep(&args));
    for name in ["instructions", "states", "contents"] {
        assert_eq!(one[name], two[name], "{name}");
    }
}

#[test]
fn running_through_what_cannot_change_the_segment_changes_nothing() {
    let args = ["--jobs", "4", "--lanes", "4", "--size", "48", "--real", "0"];
    let (fast, slow) = (sweep(&args), sweep(&[&args[..], &["--every-step"]].concat()));
    for name in ["instructions", "states", "contents"] {
        assert_eq!(fast[name], slow[name], "{name}");
    }
}

// Tests that want every core for seconds take turns, also between nextest's processes.
#[test]
#[file_serial(every_core)]
fn a_secondary_that_dies_while_it_recovers_is_recovered() {
    let scenario = ["--jobs", "1", "--lanes", "2", "--size", "16", "--flush", "0", "--real", "0"];
    let report = sweep(&[&scenario[..], &["--depth", "2"]].concat());
    assert_eq!(report["depth"], 2);
}

#[test]
fn a_crash_point_is_replayed_by_its_token() {
    let args = ["--jobs", "2", "--lanes", "2", "--size", "32", "--real", "0"];
    let token = sweep(&args)["token"].as_str().expect("a token").to_owned();
    let at_start = format!("{token}@0");
    let (code, out, err) = common::run(common::program!("takeover"), &["replay", &at_start]);
    assert_eq!(code, 0, "{out}\n{err}");
    for part in ["killed after", "before the recovery", "0 accepted", "epoch 2", "verdict      ok"]
    {
        assert!(out.contains(part), "no {part:?} in\n{out}");
    }
    let (code, _, err) = common::run(common::program!("takeover"), &["replay", "nonsense@1"]);
    assert_eq!(code, 2, "{err}");
}

/// What a debugger would be attached to: a process that stands stopped, and nobody traces.
#[test]
fn a_crash_point_is_held_for_a_debugger() {
    let args = ["--jobs", "2", "--lanes", "2", "--size", "32", "--real", "0"];
    let token = sweep(&args)["token"].as_str().expect("a token").to_owned();
    let mut replay = Command::new(common::program!("takeover"))
        .args(["replay", "--gdb", &format!("{token}@0")])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the command starts");
    let mut said = BufReader::new(replay.stdout.take().expect("a pipe")).lines();
    let pid = loop {
        let line = said.next().expect("the pid is said").expect("a line");
        if let Some((_, pid)) = line.split_once("gdb -p ") {
            break pid.parse::<i32>().expect("a pid");
        }
    };
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it is there");
    for wanted in ["State:\tT", "TracerPid:\t0"] {
        assert!(status.contains(wanted), "no {wanted:?} in\n{status}");
    }
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL)
        .expect("it is killed");
    assert!(replay.wait().expect("it ends").success());
}

/// The full matrix, in the `exhaustive` profile alone: nextest partitions shard it over machines.
mod matrix {
    use super::*;

    #[rstest]
    fn every_state_of_a_cipher(
        #[values(
            "aes-128-cbc",
            "aes-192-cbc",
            "aes-256-cbc",
            "aes-128-cbc decrypt",
            "aes-192-cbc decrypt",
            "aes-256-cbc decrypt",
            "aes-128-ctr",
            "aes-192-ctr",
            "aes-256-ctr"
        )]
        cipher: &str,
        #[values(1, 2, 3, 4, 8, 15, 16)] lanes: u64,
        #[values(
            Jobs::One,
            Jobs::LanesLessOne,
            Jobs::Lanes,
            Jobs::LanesAndOne,
            Jobs::J255,
            Jobs::J256
        )]
        jobs: Jobs,
        #[values(true, false)] in_place: bool,
    ) {
        if exhaustive() && jobs.number(lanes) > 0 {
            sweep_cipher(cipher, lanes, jobs, in_place, &["--size", "16-272", "--real", "2"]);
        }
    }

    #[rstest]
    fn every_state_of_a_digest(
        #[values("sha256", "sha512", "hmac-sha256", "hmac-sha512")] cipher: &str,
        #[values(1, 2, 3, 4, 8, 15, 16)] lanes: u64,
        #[values(
            Jobs::One,
            Jobs::LanesLessOne,
            Jobs::Lanes,
            Jobs::LanesAndOne,
            Jobs::J255,
            Jobs::J256
        )]
        jobs: Jobs,
    ) {
        if exhaustive() && jobs.number(lanes) > 0 {
            sweep_cipher(cipher, lanes, jobs, false, &["--size", "1-272", "--real", "2"]);
        }
    }

    /// The scenarios that `swept.txt` counts states of. Another build or processor stores in other
    /// widths, so that the number may differ by a third; all must recover.
    #[test]
    fn states_are_about_as_many_as_the_table_says() {
        if !exhaustive() {
            return;
        }
        for &algorithm in mbmgr::Algorithm::ALL {
            let (mut scenarios, mut states) = (0, 0);
            let places = if algorithm.is_cipher() { &[true, false][..] } else { &[false] };
            let directions =
                if algorithm.is_cipher() { &["encrypt", "decrypt"][..] } else { &["encrypt"] };
            for (direction, &in_place) in
                directions.iter().flat_map(|d| places.iter().map(move |place| (d, place)))
            {
                for size in ["16-80", "496-1088"] {
                    let cipher = format!("{algorithm} {direction}");
                    let more = ["--size", size, "--real", "0"];
                    let report = sweep_cipher(&cipher, 2, Jobs::Four, in_place, &more);
                    states += report["states"].as_u64().unwrap();
                    scenarios += 1;
                }
            }
            let [told, expected, bad] =
                fixtures::ciphers::swept(algorithm.name()).unwrap().unwrap();
            assert_eq!((told, bad), (scenarios, 0), "{algorithm}");
            assert!(
                states.abs_diff(expected) <= expected / 3,
                "{algorithm}: {states} states, swept.txt has {expected}"
            );
        }
    }

    /// Every algorithm, both directions, in place and not, with steps that end inside a block and jobs
    /// of several steps.
    #[rstest]
    fn every_state_of_an_algorithm(
        #[values("16-80", "16-48", "496-1088", "512-528")] size: &str,
        #[values("portable", "auto")] backend: &str,
    ) {
        if !exhaustive() {
            return;
        }
        for &algorithm in mbmgr::Algorithm::ALL {
            let directions =
                if algorithm.is_cipher() { &["encrypt", "decrypt"][..] } else { &["encrypt"] };
            for direction in directions {
                let cipher = format!("{algorithm} {direction}");
                let more = ["--size", size, "--real", "1", "--backend", backend];
                sweep_cipher(&cipher, 2, Jobs::LanesAndOne, false, &more);
                if algorithm.is_cipher() {
                    sweep_cipher(&cipher, 2, Jobs::LanesAndOne, true, &more);
                }
            }
        }
    }

    /// Every cipher that can be chained, with hashes in turn, both orders and directions; then every
    /// hash with one cipher.
    #[rstest]
    fn every_state_of_a_chain(
        #[values("16-80", "496-1088")] size: &str,
        #[values("encrypt", "decrypt")] direction: &str,
        #[values(true, false)] in_place: bool,
    ) {
        use fixtures::chained::{is_chained_cipher, is_chained_hash};
        if !exhaustive() {
            return;
        }
        let of = |wanted: fn(mbmgr::Algorithm) -> bool| {
            mbmgr::Algorithm::ALL.iter().copied().filter(move |&one| wanted(one))
        };
        let hashes: Vec<_> = of(is_chained_hash).collect();
        let ciphers = of(is_chained_cipher).zip(hashes.iter().copied().cycle());
        let with_cbc = hashes.iter().map(|&hash| (mbmgr::Algorithm::Aes128Cbc, hash));
        for (cipher, hash) in ciphers.chain(with_cbc) {
            for name in [format!("{cipher}+{hash}"), format!("{hash}+{cipher}")] {
                let more = ["--size", size, "--real", "0"];
                let cipher = format!("{name} {direction}");
                sweep_cipher(&cipher, 2, Jobs::LanesAndOne, in_place, &more);
            }
        }
    }

    /// Every AEAD in pieces; with depth 2 where the jobs are short.
    #[rstest]
    fn every_state_of_pieces(
        #[values("1-80", "496-1088", "512-528")] size: &str,
        #[values("encrypt", "decrypt")] direction: &str,
        #[values(true, false)] in_place: bool,
    ) {
        let aeads = mbmgr::Algorithm::ALL.iter().filter(|one| one.kind() == mbmgr::Kind::Aead);
        for algorithm in aeads.filter(|_| exhaustive()) {
            let cipher = format!("{algorithm} {direction}");
            let more = ["--pieces", "--size", size, "--real", "1"];
            sweep_cipher(&cipher, 2, Jobs::LanesAndOne, in_place, &more);
            let deep = ["--pieces", "--size", "33", "--depth", "2", "--real", "0"];
            if size == "1-80" {
                sweep_cipher(&cipher, 2, Jobs::One, in_place, &deep);
            }
        }
    }

    #[rstest]
    fn every_state_of_a_window(
        #[values("burst", "creation", "keys", "acknowledge", "release", "force", "race")]
        window: &str,
        #[values("aes-128-cbc", "aes-256-ctr", "hmac-sha256")] cipher: &str,
        #[values("anywhere", "identical")] placement: &str,
    ) {
        if exhaustive() {
            sweep(&["--window", window, "--cipher", cipher, "--placement", placement]);
        }
    }

    #[rstest]
    fn every_state_with_a_forced_backend(
        #[values("aes-128-cbc", "aes-128-cbc decrypt", "aes-128-ctr")] cipher: &str,
        #[values("portable", "aesni", "vaes256", "vaes512")] backend: &str,
        #[values("portable", "aesni", "vaes256", "vaes512")] standby: &str,
    ) {
        let usable = |name: &str| name.parse().is_ok_and(mbmgr::Backend::is_available);
        if exhaustive() && usable(backend) && usable(standby) {
            let backends = ["--backend", backend, "--standby-backend", standby];
            sweep_cipher(cipher, 16, Jobs::Lanes, true, &backends);
        }
    }

    #[rstest]
    fn every_state_of_a_recovery(
        #[values("aes-128-cbc", "aes-128-cbc decrypt", "aes-128-ctr", "sha256")] cipher: &str,
    ) {
        if exhaustive() {
            let deep = ["--size", "16-64", "--depth", "2", "--real", "0"];
            sweep_cipher(cipher, 4, Jobs::LanesAndOne, cipher != "sha256", &deep);
        }
    }

    /// A small scenario of one algorithm of each family.
    #[rstest]
    fn every_state_of_a_recovery_of_a_family(
        #[values(
            "aes-128-gcm decrypt",
            "aes-128-ccm",
            "chacha20-poly1305",
            "aes-128-cfb",
            "aes-128-cfb decrypt",
            "aes-128-xts",
            "aes-128-docsis",
            "aes-128-docsis decrypt",
            "3des-cbc",
            "sm4-cbc decrypt",
            "aes-128-cmac",
            "hmac-sha1",
            "sha3-256",
            "crc32",
            "zuc-eea3",
            "aes-128-cbc+hmac-sha256",
            "hmac-sha1+aes-128-cbc",
            "aes-128-docsis+crc32 decrypt"
        )]
        cipher: &str,
    ) {
        if exhaustive() {
            let name = cipher.split(' ').next().unwrap();
            let suite = name.parse::<fixtures::chained::Suite>().unwrap();
            let in_place = suite.algorithm.is_cipher();
            let deep = ["--size", "16-48", "--depth", "2", "--real", "0"];
            sweep_cipher(cipher, 2, Jobs::Lanes, in_place, &deep);
        }
    }
}

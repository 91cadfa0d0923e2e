//! The crash sweep in the gate: for each family of ciphers, lane count, number of jobs and buffers in
//! place or not, a primary is killed at every machine instruction of its window, and each state is
//! recovered and judged. `crash_matrix.rs` has the full matrix. Each case is one run of `takeover sweep`,
//! whose process has nothing but the sweep in it.

#[path = "common/answer.rs"]
mod answer;
mod common;
#[expect(dead_code, reason = "shared by two test programs")]
#[path = "common/sweep.rs"]
mod sweeping;

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use rstest::rstest;
use serial_test::serial;
use sweeping::{Jobs, sweep, sweep_cipher, sweep_sample, sweep_some};

/// Some sizes for each family, so that the last steps of a run differ.
const SHORT: [&str; 4] = ["--size", "16-80", "--real", "0"];

#[rstest]
fn every_state_of_a_cipher_recovers(
    #[values("aes-128-cbc", "aes-256-cbc decrypt", "aes-192-ctr")] cipher: &str,
    #[values((2, Jobs::LanesAndOne), (4, Jobs::One))] lanes: (u64, Jobs),
    #[values(true, false)] in_place: bool,
) {
    let (lanes, jobs) = lanes;
    sweep_cipher(cipher, lanes, jobs, in_place, &SHORT);
}

#[rstest]
fn every_state_of_a_digest_recovers(
    #[values("sha256", "hmac-sha512")] cipher: &str,
    #[values((2, Jobs::LanesAndOne), (4, Jobs::One))] lanes: (u64, Jobs),
) {
    let (lanes, jobs) = lanes;
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
    sweep_cipher(cipher, 2, Jobs::Lanes, in_place, &SHORT);
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
    #[values("16-80", "528")] size: &str,
) {
    let more = ["--pieces", "--size", size, "--real", "0"];
    sweep_cipher(cipher, 2, Jobs::LanesAndOne, true, &more);
}

#[rstest]
fn every_state_of_a_window_recovers(
    #[values("burst", "keys", "acknowledge", "release")] window: &str,
) {
    sweep(&["--window", window, "--jobs", "4", "--size", "16-80", "--lanes", "3", "--real", "1"]);
}

/// The stepped process is a standby: each state is that of a takeover that was itself cut short. Another
/// one tries beside it in as many places as there are real kills.
#[rstest]
#[case("force", 1, 0)]
#[case("race", 3, 3)]
fn every_state_of_a_takeover_recovers(#[case] window: &str, #[case] real: u64, #[case] races: u64) {
    let scenario = ["--jobs", "5", "--size", "16-80", "--lanes", "4", "--real"];
    let report = sweep(&[&["--window", window], &scenario[..], &[&real.to_string()]].concat());
    assert_eq!(report["real"], real, "{report}");
    assert_eq!(report["races"], races, "{report}");
}

#[test]
fn every_state_of_the_making_of_a_segment_recovers() {
    sweep(&["--window", "creation", "--jobs", "1", "--size", "32", "--lanes", "4", "--real", "0"]);
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

// Tests that want every core for seconds take turns; between nextest's processes its group does that.
#[test]
#[serial(every_core)]
fn a_secondary_that_dies_while_it_recovers_is_recovered() {
    let scenario = ["--jobs", "1", "--lanes", "2", "--size", "16", "--flush", "0", "--real", "0"];
    let report = sweep_some(&[&scenario[..], &["--depth", "2", "--sample", "24"]].concat());
    assert_eq!(report["depth"], 2);
}

/// A recovery goes on in the middle of a message of more than one wide step, and is itself cut short: the
/// steps then count from where it went on. `crash_matrix.rs` has all states, and the other families.
#[rstest]
fn a_second_death_in_the_middle_of_a_message_is_recovered(
    #[values("aes-128-ctr", "aes-128-cbc decrypt", "aes-128-gcm")] cipher: &str,
) {
    let deep = ["--size", "528", "--flush", "0", "--depth", "2", "--real", "0"];
    sweep_sample(cipher, 2, Jobs::One, 8, &deep);
}

/// The digest, MAC or tag of nothing; of AEADs with such associated data as the seed draws.
#[rstest]
fn every_state_of_empty_messages_recovers(
    #[values(
        "sha256",
        "hmac-sha256",
        "aes-128-cmac",
        "aes-256-gmac",
        "aes-128-gcm",
        "aes-256-gcm decrypt",
        "aes-128-ccm",
        "chacha20-poly1305"
    )]
    cipher: &str,
) {
    let name = cipher.split(' ').next().unwrap();
    let in_place = name.parse::<mbmgr::Algorithm>().unwrap().is_cipher();
    sweep_cipher(cipher, 2, Jobs::LanesAndOne, in_place, &["--size", "0", "--real", "0"]);
}

/// More jobs than the ring has slots: each slot is used again, by a job of another length.
#[rstest]
fn slots_are_used_again(#[values("aes-128-cbc", "aes-256-ctr", "hmac-sha256")] cipher: &str) {
    let more = ["--ring", "4", "--jobs", "9", "--size", "16-272", "--lanes", "2", "--real", "0"];
    sweep(&[&["--cipher", cipher], &more[..]].concat());
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

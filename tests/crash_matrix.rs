//! The crash sweep over the full matrix: every lane count, every algorithm, every window, with forced
//! backends and at depth 2. Needs the feature `exhaustive`, so that no run without it says of one of
//! these that it passed: `cargo nextest run --release --profile exhaustive --features exhaustive`.
//! nextest's partitions spread it over machines.

#[path = "common/answer.rs"]
mod answer;
mod common;
#[expect(dead_code, reason = "shared by two test programs")]
#[path = "common/sweep.rs"]
mod sweeping;

use rstest::rstest;
use sweeping::{Jobs, sweep, sweep_cipher};

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
    sweep_cipher(cipher, lanes, jobs, in_place, &["--size", "16-272", "--real", "2"]);
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
    sweep_cipher(cipher, lanes, jobs, false, &["--size", "1-272", "--real", "2"]);
}

/// The scenarios that `swept.txt` counts states of. Another build or processor stores in other
/// widths, so that the number may differ by a third; all must recover.
#[test]
fn states_are_about_as_many_as_the_table_says() {
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
        let [told, expected, bad] = fixtures::ciphers::swept(algorithm.name()).unwrap().unwrap();
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

/// Empty messages, alone and among others, of all that take them.
#[rstest]
fn every_state_of_empty_messages(#[values("0", "0-48")] size: &str) {
    use fixtures::scenario::takes_empty;
    let takes = mbmgr::Algorithm::ALL.iter().filter(|&&algorithm| takes_empty(algorithm));
    for algorithm in takes {
        let directions =
            if algorithm.is_cipher() { &["encrypt", "decrypt"][..] } else { &["encrypt"] };
        for direction in directions {
            let cipher = format!("{algorithm} {direction}");
            let more = ["--size", size, "--real", "1"];
            sweep_cipher(&cipher, 2, Jobs::LanesAndOne, algorithm.is_cipher(), &more);
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
    for algorithm in aeads {
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
    #[values("burst", "creation", "keys", "acknowledge", "release", "force", "race")] window: &str,
    #[values("aes-128-cbc", "aes-256-ctr", "hmac-sha256")] cipher: &str,
    #[values("anywhere", "identical")] placement: &str,
) {
    sweep(&["--window", window, "--cipher", cipher, "--placement", placement]);
}

/// Each pair of backends that this machine has.
#[rstest]
fn every_state_with_a_forced_backend(
    #[values("aes-128-cbc", "aes-128-cbc decrypt", "aes-128-ctr")] cipher: &str,
) {
    let names: Vec<&str> = mbmgr::Backend::available().iter().map(|one| one.name()).collect();
    for (backend, standby) in names.iter().flat_map(|one| names.iter().map(move |two| (one, two))) {
        let backends = ["--backend", backend, "--standby-backend", standby];
        sweep_cipher(cipher, 16, Jobs::Lanes, true, &backends);
    }
}

/// Messages of several wide steps: a recovery goes on in the middle of one, and is cut short itself.
#[rstest]
fn every_state_of_a_recovery_in_the_middle_of_a_message(
    #[values(
        "aes-128-ctr",
        "aes-128-cbc decrypt",
        "aes-128-ecb",
        "aes-128-ecb decrypt",
        "aes-128-gcm",
        "aes-128-gcm decrypt",
        "aes-128-ccm",
        "aes-128-ccm decrypt",
        "aes-128-xts",
        "aes-128-cfb decrypt",
        "aes-128-docsis decrypt",
        "chacha20",
        "chacha20-poly1305"
    )]
    cipher: &str,
    #[values("528", "1088")] size: &str,
) {
    let deep = ["--size", size, "--depth", "2", "--real", "0"];
    sweep_cipher(cipher, 2, Jobs::One, true, &deep);
}

#[rstest]
fn every_state_of_a_recovery(
    #[values("aes-128-cbc", "aes-128-cbc decrypt", "aes-128-ctr", "sha256")] cipher: &str,
) {
    let deep = ["--size", "16-64", "--depth", "2", "--real", "0"];
    sweep_cipher(cipher, 4, Jobs::LanesAndOne, cipher != "sha256", &deep);
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
    let name = cipher.split(' ').next().unwrap();
    let suite = name.parse::<fixtures::chained::Suite>().unwrap();
    let in_place = suite.algorithm.is_cipher();
    let deep = ["--size", "16-48", "--depth", "2", "--real", "0"];
    sweep_cipher(cipher, 2, Jobs::Lanes, in_place, &deep);
}

//! The primary is killed by SIGKILL after it has submitted jobs; the secondary takes over and
//! completes them. Each primary is a forked child that proves that it ran; the test itself is the
//! secondary, asserts the signal, and compares every byte, guard and count with the oracle.

use std::sync::atomic::Ordering::Relaxed;

use fixtures::account::Account;
use fixtures::algorithm::is_cipher;
use fixtures::chained::Suite;
use fixtures::forked::{self, ForkedRole, fail_over};
use fixtures::info::Role;
use fixtures::roles::Recorder;
use fixtures::scenario::{CrashPoint, Scenario, Sizes};
use fixtures::session::{Exit, Session};
use fixtures::subject::Subject as _;
use fixtures::workload::Workload;
use fixtures::{drive, leftovers};
use mbmgr::{Algorithm, Backend, Direction};
use rstest::rstest;
use shmem::{Offset, Placement, Segment};

/// Runs a scenario and demands that nothing is wrong. Backends that this processor lacks cannot be
/// tested on it.
fn assert_fail_over(scenario: &Scenario) {
    let wanted = [scenario.backend, scenario.standby_backend];
    if let Some(lacking) = wanted.into_iter().flatten().find(|backend| !backend.is_available()) {
        eprintln!("not run: this processor has no {lacking}");
        return;
    }
    let report = fail_over(scenario).unwrap_or_else(|error| panic!("{scenario}: {error:#}"));
    assert!(report.passed(), "{report}");
    let expected = if scenario.crash == CrashPoint::None { Exit::Code(0) } else { Exit::Signal(9) };
    assert_eq!(report.primary_exit, expected, "{report}");
    let submitted = match scenario.crash {
        CrashPoint::AfterSubmit(n) => n,
        _ => scenario.jobs,
    };
    assert_eq!(report.submitted, submitted, "{report}");
    assert_eq!(report.completed_by_primary + report.completed_by_secondary, submitted, "{report}");
}

/// A deterministic number for a case, to vary what its name does not.
fn vary(text: &str) -> u64 {
    fixtures::inputs::Stream::new(2, text, 0).next_u64()
}

#[derive(Clone, Copy, Debug)]
enum Jobs {
    None,
    One,
    LanesLessOne,
    Lanes,
    LanesAndOne,
    J255,
    J256,
}

impl Jobs {
    fn number(self, lanes: u32) -> u64 {
        let lanes = u64::from(lanes);
        match self {
            Jobs::None => 0,
            Jobs::One => 1,
            Jobs::LanesLessOne => lanes - 1,
            Jobs::Lanes => lanes,
            Jobs::LanesAndOne => lanes + 1,
            Jobs::J255 => 255,
            Jobs::J256 => 256,
        }
    }
}

/// Chained jobs, named in the order of their parts; both directions, in place and not.
#[rstest]
fn secondary_finishes_chained_jobs_after_kill(
    #[values(
        "aes-128-cbc+hmac-sha1",
        "hmac-sha256+aes-256-cbc",
        "aes-128-ctr+hmac-sha512",
        "aes-256-cmac+aes-128-ctr",
        "aes-128-docsis+crc32",
        "crc32+aes-256-docsis",
        "3des-cbc+sha384",
        "aes-128-xcbc+sm4-cbc",
        "zuc-eea3+sha3-256"
    )]
    cipher: &str,
    #[values(1, 4, 16)] lanes: u32,
    #[values(Jobs::One, Jobs::LanesAndOne, Jobs::J255)] jobs: Jobs,
    #[values(Direction::Encrypt, Direction::Decrypt)] direction: Direction,
) {
    let Suite { algorithm, hash } = cipher.parse().unwrap();
    let jobs = jobs.number(lanes);
    let varied = vary(&format!("{cipher} {lanes} {jobs} {direction}"));
    assert_fail_over(&Scenario {
        algorithm,
        hash,
        direction,
        lanes,
        jobs,
        sizes: if varied & 1 == 0 { Sizes::all(272) } else { Sizes::between(16, 1024) },
        in_place: varied & 6 != 0,
        standby_backend: [None, Some(Backend::Portable)][usize::from(varied & 8 != 0)],
        seed: varied >> 16,
        crash: CrashPoint::AfterSubmit(jobs),
        ..Scenario::default()
    });
}

/// Messages in pieces; the kill comes while they are submitted.
#[rstest]
fn secondary_finishes_messages_in_pieces_after_kill(
    #[values("aes-128-gcm", "aes-192-gcm", "aes-256-ccm", "chacha20-poly1305")] cipher: &str,
    #[values(1, 17, 255)] jobs: u64,
    #[values(Direction::Encrypt, Direction::Decrypt)] direction: Direction,
    #[values(true, false)] in_place: bool,
) {
    assert_fail_over(&Scenario {
        algorithm: cipher.parse().unwrap(),
        direction,
        jobs,
        sizes: Sizes::between(1, 2000),
        in_place,
        pieces: true,
        crash: CrashPoint::AfterSubmit(jobs),
        ..Scenario::default()
    });
}

/// Every algorithm × lanes × outstanding jobs; direction, sizes, placement, in place or not and
/// backends vary with the case.
#[rstest]
fn secondary_finishes_lanes_after_kill(
    #[values(
        "aes-128-cbc",
        "aes-192-cbc",
        "aes-256-cbc",
        "aes-128-ctr",
        "aes-192-ctr",
        "aes-256-ctr",
        "sha256",
        "sha512",
        "hmac-sha256",
        "hmac-sha512"
    )]
    cipher: &str,
    #[values(1, 2, 3, 4, 8, 15, 16)] lanes: u32,
    #[values(
        Jobs::None,
        Jobs::One,
        Jobs::LanesLessOne,
        Jobs::Lanes,
        Jobs::LanesAndOne,
        Jobs::J255,
        Jobs::J256
    )]
    jobs: Jobs,
) {
    let algorithm: Algorithm = cipher.parse().unwrap();
    let number = jobs.number(lanes);
    let varied = vary(&format!("{cipher} {lanes} {jobs:?}"));
    let available: Vec<Option<Backend>> =
        [None].into_iter().chain(Backend::available().iter().copied().map(Some)).collect();
    let pick = |shift: u32| {
        let index = (varied >> shift) % available.len() as u64;
        available[usize::try_from(index).unwrap()]
    };
    let block = algorithm.block_len() as u64;
    let sizes = match varied >> 8 & 3 {
        0 => Sizes::all(272),
        1 => Sizes::all(block),
        2 => Sizes::between(block, 1024),
        _ => Sizes::between(64, 4096),
    };
    let cipher = is_cipher(algorithm);
    assert_fail_over(&Scenario {
        algorithm,
        direction: if cipher && varied & 1 == 1 { Direction::Decrypt } else { Direction::Encrypt },
        lanes,
        jobs: number,
        sizes,
        in_place: cipher && varied & 6 != 0,
        placement: if varied >> 4 & 1 == 0 { Placement::Anywhere } else { Placement::Identical },
        backend: pick(16),
        standby_backend: pick(24),
        seed: varied >> 40,
        crash: CrashPoint::AfterSubmit(number),
        ..Scenario::default()
    });
}

/// Every algorithm of the table, both directions, at several numbers of jobs: the primary is killed with
/// them outstanding.
#[rstest]
fn secondary_finishes_every_algorithm(
    #[values("encrypt", "decrypt")] direction: &str,
    #[values(1, 5, 18)] jobs: u64,
    #[values(true, false)] in_place: bool,
) {
    for &algorithm in Algorithm::ALL {
        let cipher = is_cipher(algorithm);
        if !cipher && (direction == "decrypt" || in_place) {
            continue;
        }
        let varied = vary(&format!("{algorithm} {direction} {jobs} {in_place}"));
        let backends = Backend::available();
        let pick = |shift: u32| {
            let index = (varied >> shift) % backends.len() as u64;
            Some(backends[usize::try_from(index).unwrap()])
        };
        assert_fail_over(&Scenario {
            algorithm,
            direction: direction.parse().unwrap(),
            lanes: 4,
            jobs,
            sizes: Sizes::between(16, [48, 1040, 4096][usize::try_from(varied % 3).unwrap()]),
            in_place,
            backend: pick(8),
            standby_backend: pick(16),
            seed: varied >> 40,
            crash: CrashPoint::AfterSubmit(jobs),
            ..Scenario::default()
        });
    }
}

/// Every pair of backends × placement × in place or not: one build of the manager's state must
/// do for all.
#[rstest]
fn backends_and_addresses_may_differ(
    #[values("portable", "aesni", "vaes256", "vaes512")] backend: &str,
    #[values("portable", "aesni", "vaes256", "vaes512")] standby: &str,
    #[values(Placement::Anywhere, Placement::Identical)] placement: Placement,
    #[values(true, false)] in_place: bool,
    #[values("aes-128-cbc", "aes-256-ctr")] cipher: &str,
) {
    assert_fail_over(&Scenario {
        algorithm: cipher.parse().unwrap(),
        direction: Direction::Encrypt,
        lanes: 8,
        jobs: 29,
        sizes: Sizes::between(16, 1536),
        in_place,
        placement,
        backend: Some(backend.parse().unwrap()),
        standby_backend: Some(standby.parse().unwrap()),
        crash: CrashPoint::AfterSubmit(29),
        ..Scenario::default()
    });
}

/// Hashes, MACs and CBC decryption under every pair of backends.
#[rstest]
fn every_backend_finishes_what_another_began(
    #[values("portable", "aesni", "vaes256", "vaes512")] backend: &str,
    #[values("portable", "aesni", "vaes256", "vaes512")] standby: &str,
    #[values("aes-192-cbc", "sha256", "sha512", "hmac-sha256", "hmac-sha512")] cipher: &str,
) {
    let algorithm: Algorithm = cipher.parse().unwrap();
    let decrypt = is_cipher(algorithm);
    assert_fail_over(&Scenario {
        algorithm,
        direction: if decrypt { Direction::Decrypt } else { Direction::Encrypt },
        jobs: 35,
        sizes: Sizes::between(16, 1536),
        in_place: decrypt,
        backend: Some(backend.parse().unwrap()),
        standby_backend: Some(standby.parse().unwrap()),
        crash: CrashPoint::AfterSubmit(35),
        ..Scenario::default()
    });
}

/// From the shortest legal length to past 64 KiB, and lengths that differ between lanes.
#[rstest]
fn lengths_from_shortest_to_past_64_kib(
    #[values(
        "aes-128-cbc",
        "aes-192-cbc",
        "aes-256-cbc",
        "aes-128-ctr",
        "aes-192-ctr",
        "aes-256-ctr",
        "sha256",
        "sha512",
        "hmac-sha256",
        "hmac-sha512"
    )]
    cipher: &str,
    #[values("shortest", "48", "112", "4096", "65552", "131072", "16-70000", "65520-66048")]
    size: &str,
) {
    let algorithm: Algorithm = cipher.parse().unwrap();
    let block = algorithm.block_len() as u64;
    let sizes = match size {
        "shortest" => Sizes::all(block),
        size => {
            let sizes: Sizes = size.parse().unwrap();
            Sizes { min: sizes.min, max: sizes.max / block * block }
        }
    };
    assert_fail_over(&Scenario {
        algorithm,
        jobs: 17,
        sizes,
        in_place: is_cipher(algorithm),
        crash: CrashPoint::AfterSubmit(17),
        ..Scenario::default()
    });
}

/// A kill after each number of submits, also when the ring is smaller than the number of jobs, so
/// that the earliest had to be finished on the way.
#[rstest]
fn kill_after_n_submits(
    #[values(0, 1, 2, 15, 16, 17, 31, 32, 33, 40)] submits: u64,
    #[values(1, 4, 16, 256)] ring: u32,
    #[values("aes-128-cbc", "hmac-sha256")] cipher: &str,
) {
    let algorithm: Algorithm = cipher.parse().unwrap();
    assert_fail_over(&Scenario {
        algorithm,
        ring,
        jobs: 40,
        sizes: Sizes::between(16, 640),
        in_place: is_cipher(algorithm),
        crash: CrashPoint::AfterSubmit(submits),
        ..Scenario::default()
    });
}

/// The seed's own flow: nobody dies, the primary releases the manager and checks the results.
#[rstest]
fn hand_over_without_dying(
    #[values("aes-128-cbc", "aes-128-ctr", "sha512", "hmac-sha256")] cipher: &str,
    #[values(Placement::Anywhere, Placement::Identical)] placement: Placement,
    #[values(0, 15, 16, 100)] jobs: u64,
) {
    let algorithm: Algorithm = cipher.parse().unwrap();
    assert_fail_over(&Scenario {
        algorithm,
        jobs,
        placement,
        in_place: is_cipher(algorithm),
        ..Scenario::default()
    });
}

/// A secondary that is killed while it completes the jobs is itself taken over.
#[rstest]
fn a_secondary_that_dies_is_taken_over_too(
    #[values(1, 2, 7, 16, 17, 30)] deaths_after: u64,
    #[values("aes-128-cbc", "sha256")] cipher: &str,
) {
    forked::play_if_child().unwrap();
    let algorithm: Algorithm = cipher.parse().unwrap();
    let scenario = Scenario {
        algorithm,
        jobs: 56,
        sizes: Sizes::between(16, 2048),
        in_place: is_cipher(algorithm),
        crash: CrashPoint::AfterSubmit(56),
        ..Scenario::default()
    };
    let label = forked::label().unwrap();
    let session = Session::create(&label, &scenario).unwrap();
    let info = &session.info;
    let dying = ForkedRole::SecondaryDyingAfter(deaths_after);
    let [primary, secondary] = forked::fork_role(dying, &session, |second| {
        forked::fork_role(ForkedRole::Primary, &session, |first| {
            let exits = [forked::wait(first)?, forked::wait(second)?];
            info.check_proof(Role::Primary, first.id())?;
            info.check_proof(Role::Secondary, second.id())?;
            Ok(exits)
        })
    })
    .unwrap();
    assert_eq!([primary, secondary], [Exit::Signal(9); 2]);

    let (mut first, second) =
        (info.deliveries(Role::Primary).unwrap(), info.deliveries(Role::Secondary).unwrap());
    assert_eq!(second.len() as u64, deaths_after);
    let noted = first.len() as u64;
    first.extend(second.into_iter().filter(|delivery| delivery.job >= noted));

    // The third process is this one. To it, the two before are one owner that died.
    let segment =
        Segment::open_named(&session.names.data, Placement::Anywhere, mbmgr::LAYOUT_HASH).unwrap();
    let words = info.words();
    let mut manager =
        mbmgr::Manager::take_over(&segment, words.handle.load(Relaxed), &scenario).unwrap();
    assert_eq!(manager.epoch(), 3);
    let workload = Workload::at(&scenario, Offset::new(words.base.load(Relaxed)));
    words.logged[1].store(0, Relaxed);
    let mut recorder = Recorder::new(info, Role::Secondary, CrashPoint::None);
    drive::complete_all(&mut manager, &workload, &mut recorder).unwrap();
    drive::probe(&mut manager, &workload, &info.keys()).unwrap();
    let account = Account {
        sent: scenario.jobs,
        primary: first,
        secondary: info.deliveries(Role::Secondary).unwrap(),
        unacknowledged: Some(true),
        found: Some(manager.found()),
        probed: true,
    };
    let judgement = account.judge(&workload, &segment).unwrap();
    assert_eq!(judgement.findings, []);
    assert_eq!(judgement.accepted, 56);
    drop((manager, session));
    leftovers::check(&label).unwrap();
}

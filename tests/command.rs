//! The command from the outside: its three real processes, its JSON, its exit codes, what it says
//! to bad options, and that it leaves nothing behind, also when it is interrupted or killed.

#[path = "common/answer.rs"]
mod answer;
mod common;

use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::program;
use fixtures::scenario::{CrashPoint, Scenario};
use fixtures::supervisor::{self, Launch};
use fixtures::{forked, kills, leftovers};
use rstest::rstest;
use shmem::{Segment, SegmentName};

fn takeover(args: &[&str]) -> (i32, String, String) {
    common::run(program!("takeover"), args)
}

/// Runs `takeover` with a label of this test's own; checks that nothing is left.
fn labelled(args: &[&str]) -> (i32, String, String) {
    let label = forked::label().unwrap();
    let mut all = args.to_vec();
    all.extend(["--label", &label]);
    let result = takeover(&all);
    leftovers::check(&label).unwrap();
    result
}

fn json(args: &[&str]) -> serde_json::Value {
    let mut all = vec!["run", "--json"];
    all.extend(args);
    let (code, stdout, stderr) = labelled(&all);
    assert_eq!((code, stderr.as_str()), (0, ""), "{stdout}");
    answer::result_of("run", &stdout)
}

#[test]
fn plain_takeover_is_the_seed_scenario() {
    let (code, stdout, stderr) = takeover(&[]);
    assert_eq!(code, 0, "{stdout}{stderr}");
    assert_eq!(stdout.lines().last(), Some("MULTI-PROCESS TEST: PASSED"));
    for part in ["submitted 15 jobs", "released", "took over", "completed 15 jobs", "0 differ"] {
        assert!(stdout.contains(part), "`{part}` is missing in:\n{stdout}");
    }
}

#[test]
fn reader_who_has_gone_ends_the_command_without_a_word() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = Command::new(program!("takeover"));
    let found = command.arg("ciphers").stdout(writer).output().unwrap();
    assert_eq!(found.status.code(), Some(1));
    assert_eq!(String::from_utf8_lossy(&found.stderr), "");
}

#[test]
fn json_has_every_field() {
    let report = json(&["--crash", "after-submit:15", "--backend", "portable"]);
    for (field, value) in [
        ("result", serde_json::json!("PASSED")),
        ("cipher", serde_json::json!("aes-128-cbc")),
        ("lanes", serde_json::json!(16)),
        ("jobs", serde_json::json!(15)),
        ("size", serde_json::json!(272)),
        ("submitted", serde_json::json!(15)),
        ("completed_by_primary", serde_json::json!(0)),
        ("completed_by_secondary", serde_json::json!(15)),
        ("mismatches", serde_json::json!(0)),
        ("primary_exit", serde_json::json!("signal 9 (SIGKILL)")),
        ("secondary_exit", serde_json::json!(0)),
        ("backend_primary", serde_json::json!("portable")),
    ] {
        assert_eq!(report[field], value, "{field}");
    }
    assert!(report["backend_secondary"].is_string());
    assert!(report["takeover_us"].as_f64().is_some_and(|us| us > 0.0), "{report}");
    let token: Scenario = report["token"].as_str().unwrap().parse().unwrap();
    assert_eq!(token.crash, CrashPoint::AfterSubmit(15));
}

#[rstest]
fn real_processes_of_every_kind_of_crash(
    #[values(
        "none",
        "after-submit:20",
        "after-flush:3",
        "after-us:0",
        "after-us:40",
        "after-us:3000"
    )]
    crash: &str,
    #[values("identical", "anywhere")] placement: &str,
    #[values("aes-256-cbc", "aes-128-ctr", "hmac-sha512")] cipher: &str,
) {
    let report = json(&[
        "--crash",
        crash,
        "--placement",
        placement,
        "--cipher",
        cipher,
        "--jobs",
        "40",
        "--size",
        "16-2048",
    ]);
    let killed = crash != "none";
    assert_eq!(report["primary_exit"] == "signal 9 (SIGKILL)", killed, "{report}");
    assert_eq!(report["result"], "PASSED", "{report}");
}

#[test]
fn a_token_replays_its_scenario() {
    let token = "aes-192-cbc.decrypt.l4.r16.j33.s16-512.inplace.identical.auto-portable.flush5\
                 .seed9.after-flush-5";
    assert_eq!(json(&["--token", token])["token"], token);
}

#[test]
fn a_given_key_and_iv_are_used() {
    let report = json(&[
        "--key",
        "000102030405060708090a0b0c0d0e0f",
        "--iv",
        "f0f1f2f3f4f5f6f7f8f9fafb",
        "--cipher",
        "aes-128-ctr",
        "--crash",
        "after-submit:15",
    ]);
    assert_eq!(report["result"], "PASSED");
    assert!(report["token"].as_str().unwrap().contains("ivf0f1f2"), "{report}");
}

/// Each bad value: exit code 2, nothing run, the value and the way out named.
#[rstest]
#[case(&["--cipher", "aes-512-cbc"], &["aes-512-cbc", "aes-128-cbc"])]
#[case(&["--direction", "sideways"], &["sideways", "encrypt"])]
#[case(&["--lanes", "17"], &["17 lanes", "1 to 16"])]
#[case(&["--lanes", "0"], &["0 lanes", "1 to 16"])]
#[case(&["--lanes", "many"], &["many"])]
#[case(&["--ring", "255"], &["255", "power of two"])]
#[case(&["--ring", "131072"], &["131072", "65536"])]
#[case(&["--ring", "0"], &["ring of 0", "power of two"])]
#[case(&["--jobs", "65537"], &["65537", "65536"])]
#[case(&["--jobs", "-1"], &["-1"])]
#[case(&["--size", "100"], &["100", "96 or 112"])]
#[case(&["--size", "0"], &["0 bytes", "at least 1"])]
#[case(&["--size", "64-32"], &["64-32", "smaller number first"])]
#[case(&["--size", "large"], &["large", "16-4096"])]
#[case(&["--size", "1073741824"], &["1073741824", "fewer or smaller"])]
#[case(&["--placement", "below"], &["below", "anywhere or identical"])]
#[case(&["--backend", "avx9"], &["avx9", "portable"])]
#[case(&["--standby-backend", "avx9"], &["avx9", "portable"])]
#[case(&["--crash", "later"], &["later", "after-submit:N"])]
#[case(&["--crash", "after-submit:16"], &["after-submit:16", "15 jobs"])]
#[case(&["--crash", "after-flush:16"], &["16 jobs", "15"])]
#[case(&["--crash", "after-flush:3", "--partial-flush", "2"], &["after-flush:3", "flush at least 3"])]
#[case(&["--crash", "after-us:60000001"], &["60000001", "60000000"])]
#[case(&["--partial-flush", "16"], &["16 jobs", "15"])]
#[case(&["--key", "0011"], &["2 bytes", "16 bytes"])]
#[case(&["--key", "xy"], &["`x`", "0-9"])]
#[case(&["--key", "001"], &["3 hexadecimal digits"])]
#[case(&["--iv", "0011"], &["2 bytes", "16 bytes"])]
#[case(&["--iv", "00112233445566778899aabb"], &["12 bytes", "16 bytes"])]
#[case(&["--cipher", "aes-128-ctr", "--iv", "00"], &["1 bytes", "16 or 12"])]
#[case(
    &["--cipher", "aes-128-xts", "--key", "1111111111111111111111111111111111111111111111111111111111111111"],
    &["aes-128-xts", "two keys", "equal"]
)]
#[case(&["--cipher", "aes-256-xts", "--size", "16777217", "--jobs", "1"], &["16777217", "16777216"])]
#[case(&["--cipher", "sha256", "--key", "00"], &["sha256", "no key"])]
#[case(&["--cipher", "sha256", "--iv", "00"], &["sha256", "no IV"])]
#[case(&["--cipher", "sha512", "--direction", "decrypt"], &["sha512", "use encrypt"])]
#[case(&["--input", "x"], &["--output"])]
#[case(&["--output", "x"], &["--input"])]
#[case(&["--input", "/nonexistent", "--output", "/tmp/x"], &["/nonexistent", "existing file"])]
#[case(&["--input", "/dev/null", "--output", "/tmp/x"], &["/dev/null", "regular file"])]
#[case(&["--token", "aes-128-cbc"], &["ends before"])]
#[case(&["--label", "a/b"], &["a/b", "letters"])]
#[case(&["--unknown"], &["--unknown"])]
fn bad_options_are_named_with_the_way_out(#[case] args: &[&str], #[case] says: &[&str]) {
    let mut all = vec!["run"];
    all.extend(args);
    let (code, stdout, stderr) = takeover(&all);
    assert_eq!((code, stdout.as_str()), (2, ""), "{stderr}");
    for part in says {
        assert!(stderr.contains(part), "`{part}` is missing in:\n{stderr}");
    }
}

#[test]
fn help_names_every_option_with_its_default() {
    let (code, stdout, _) = takeover(&["run", "--help"]);
    assert_eq!(code, 0);
    for option in [
        "--cipher",
        "--direction",
        "--lanes",
        "--jobs",
        "--size",
        "--placement",
        "--backend",
        "--standby-backend",
        "--crash",
        "--seed",
        "--key",
        "--iv",
        "--partial-flush",
        "--ring",
        "--input",
        "--out-of-place",
    ] {
        let start = stdout
            .find(&format!("\n      {option}"))
            .unwrap_or_else(|| panic!("{option} is missing in:\n{stdout}"));
        let text = stdout[start + 7..].split("\n      --").next().unwrap();
        assert!(text.contains("[default: "), "{option} has no default in its text: {text}");
    }
}

#[test]
fn random_kills_pass_and_are_counted() {
    let (code, stdout, stderr) = takeover(&["kills", "--runs", "40", "--seed", "3", "--json"]);
    assert_eq!(code, 0, "{stdout}{stderr}");
    let totals = answer::result_of("kills", &stdout);
    assert_eq!((&totals["runs"], &totals["failed"]), (&40.into(), &0.into()));
    for args in [["--runs", "0"], ["--at-once", "0"]] {
        assert_eq!(takeover(&["kills", args[0], args[1]]).0, 2);
    }
}

/// The full product of the issue's dimensions for one algorithm, in real processes: all of it under
/// nextest's profile `exhaustive`, a seeded sample otherwise.
#[rstest]
fn the_matrix_in_real_processes(
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
) {
    let label = forked::label().unwrap();
    let launch = Launch { program: program!("takeover"), label: label.clone() };
    let all = std::env::var("NEXTEST_PROFILE").is_ok_and(|profile| profile == "exhaustive");
    for (index, scenario) in matrix(cipher).into_iter().enumerate() {
        if !all && index % 401 != 0 {
            continue;
        }
        let report = supervisor::run(&scenario, &launch).unwrap();
        assert!(report.passed(), "{report}");
    }
    leftovers::check(&label).unwrap();
}

fn matrix(cipher: &str) -> Vec<Scenario> {
    use fixtures::algorithm::is_cipher;
    use mbmgr::{Algorithm, Backend, Direction};
    use shmem::Placement;

    let algorithm: Algorithm = cipher.parse().unwrap();
    let backends = Backend::available();
    let directions: &[Direction] = if is_cipher(algorithm) {
        &[Direction::Encrypt, Direction::Decrypt]
    } else {
        &[Direction::Encrypt]
    };
    let mut scenarios = Vec::new();
    for lanes in [1_u32, 2, 3, 4, 8, 15, 16] {
        let l = u64::from(lanes);
        for jobs in [0, 1, l - 1, l, l + 1, 255, 256] {
            for in_place in [true, false] {
                for placement in [Placement::Anywhere, Placement::Identical] {
                    for (backend, standby) in
                        backends.iter().flat_map(|a| backends.iter().map(move |b| (*a, *b)))
                    {
                        for direction in directions {
                            scenarios.push(Scenario {
                                algorithm,
                                direction: *direction,
                                lanes,
                                jobs,
                                in_place,
                                placement,
                                backend: Some(backend),
                                standby_backend: Some(standby),
                                sizes: "16-528".parse().unwrap(),
                                crash: CrashPoint::AfterSubmit(jobs),
                                ..Scenario::default()
                            });
                        }
                    }
                }
            }
        }
    }
    scenarios.retain(|scenario| is_cipher(algorithm) || !scenario.in_place);
    scenarios
}

#[test]
fn the_table_of_ciphers_has_every_name_that_a_run_takes() {
    let (code, out, err) = common::run(common::program!("takeover"), &["ciphers", "--json"]);
    assert_eq!(code, 0, "{err}");
    let table = answer::result_of("ciphers", &out);
    let rows = table["ciphers"].as_array().unwrap();
    let names: Vec<_> = rows.iter().map(|row| row["name"].as_str().unwrap()).collect();
    let all: Vec<_> = mbmgr::Algorithm::ALL.iter().map(|algorithm| algorithm.name()).collect();
    assert_eq!(names, all);
    for (name, judge) in [
        ("aes-128-gcm", "OpenSSL"),
        ("aes-128-xcbc", "OpenSSL's AES, composed"),
        ("zuc-eea3", "its definition"),
    ] {
        let row = rows.iter().find(|row| row["name"] == name).unwrap();
        assert_eq!(row["judge"], judge, "{row}");
    }
    assert!(out.contains("KASUMI"), "what only the reference has is not hidden: {out}");
    let (code, out, _) = common::run(common::program!("takeover"), &["ciphers"]);
    assert_eq!(code, 0);
    assert!(all.iter().all(|name| out.contains(name)) && out.contains("SNOW3G"), "{out}");
    assert!(out.contains("judge") && out.contains("OpenSSL's AES, composed"), "{out}");
}

/// The kill times of a campaign are reproducible.
#[test]
fn a_campaign_draws_the_same_scenarios_again() {
    for index in 0..50 {
        let scenario = kills::scenario(5, index);
        scenario.validate().unwrap();
        assert_eq!(scenario, kills::scenario(5, index));
    }
}

/// Starts a run whose primary waits a minute for its kill.
fn long_run(label: &str) -> Child {
    Command::new(program!("takeover"))
        .args(["run", "--crash", "after-us:60000000", "--label", label])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < Duration::from_secs(20), "{what} did not happen");
        // What other programs do is looked at from outside, now and then.
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Two roles and two segments.
fn runs_fully(label: &str) -> bool {
    let segments = SegmentName::list().unwrap();
    segments.iter().filter(|name| name.to_string().contains(label)).count() == 2
        && leftovers::processes(label).unwrap().iter().filter(|p| p.contains(" role ")).count() == 2
}

fn until_it_runs(supervisor: &mut std::process::Child, label: &str) {
    wait_until("the run", || {
        let ended = supervisor.try_wait().unwrap();
        assert!(ended.is_none(), "the run came to an end of its own: {ended:?}");
        runs_fully(label)
    });
}

#[test]
fn an_interrupted_run_leaves_nothing() {
    let label = forked::label().unwrap();
    let mut supervisor = long_run(&label);
    until_it_runs(&mut supervisor, &label);
    let kill = Command::new("kill").args(["-INT", &supervisor.id().to_string()]).status().unwrap();
    assert!(kill.success());
    assert_eq!(supervisor.wait().unwrap().code(), Some(130));
    wait_until("the roles' end", || leftovers::processes(&label).unwrap().is_empty());
    leftovers::check(&label).unwrap();
}

#[test]
fn roles_die_with_a_supervisor_that_is_killed() {
    let label = forked::label().unwrap();
    let mut supervisor = long_run(&label);
    until_it_runs(&mut supervisor, &label);
    supervisor.kill().unwrap();
    assert_eq!(supervisor.wait().unwrap().signal(), Some(9));
    wait_until("the roles' end", || leftovers::processes(&label).unwrap().is_empty());
    // SIGKILL leaves nobody to unlink the names.
    for name in SegmentName::list().unwrap() {
        if name.to_string().contains(&label) {
            Segment::unlink(&name).unwrap();
        }
    }
    leftovers::check(&label).unwrap();
}

/// docs/json.md: one object, the same around every result, also where there is none.
#[test]
fn every_command_answers_in_the_same_envelope() {
    let answer = |command: &str, args: &[&str], code: i32| {
        let all: Vec<&str> =
            command.split(' ').chain(args.iter().copied()).chain(["--json"]).collect();
        let (ended, out, err) = takeover(&all);
        assert_eq!(ended, code, "{all:?}: {out}{err}");
        assert_eq!(out.lines().count(), 1, "{all:?}: {out}");
        let answer: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!(answer["command"], command, "{answer}");
        answer
    };
    let small = ["--jobs", "1", "--lanes", "2", "--size", "16"];
    let run = answer("run", &small, 0);
    assert_eq!(run["outcome"], "passed", "{run}");
    assert_eq!(run["result"]["result"], "PASSED", "{run}");
    let sweep = answer("sweep", &[&small[..], &["--real", "0"]].concat(), 0);
    let token = sweep["result"]["sweeps"][0]["token"].as_str().unwrap();
    let point = answer("replay", &[&format!("{token}@0")], 0);
    assert_eq!(point["result"]["verdict"], "ok", "{point}");
    assert!(answer("kills", &["--runs", "2"], 0)["result"]["runs"] == 2);
    assert!(answer("ciphers", &[], 0)["result"]["ciphers"].is_array());
    assert!(answer("inspect", &[], 0)["result"]["segments"].is_array());
    let counted = answer("bench instructions", &["--size", "64"], 0);
    assert!(counted["result"]["per_job"].is_number(), "{counted}");

    for (args, code, outcome) in [
        (&["sweep", "--jobs", "0"][..], 2, "usage"),
        (&["sweep", "--no-such-option"], 2, "usage"),
        (&["run", "--size", "17"], 2, "usage"),
        (&["inspect", "takeover-there-is-none"], 1, "error"),
    ] {
        let (command, more) = args.split_first().unwrap();
        let answer = answer(command, more, code);
        assert_eq!(answer["outcome"], outcome, "{answer}");
        assert!(answer["error"].as_str().is_some_and(|text| text.len() > 10), "{answer}");
        assert!(answer.get("result").is_none(), "{answer}");
    }
}

/// What may be a key, or most of one, stands in no output.
#[test]
fn a_key_is_not_repeated_by_an_error() {
    let secret = "00112233445566778899aabbccddee";
    let good = json(&["--key", &format!("{secret}ff"), "--crash", "after-submit:3"]);
    let token = good["token"].as_str().unwrap();
    assert!(token.contains(".keyhidden."), "{token}");
    let with = |key: &str| token.replacen("keyhidden", &format!("key{key}"), 1);
    for args in [
        vec!["run".to_owned(), "--key".to_owned(), format!("{secret}zz")],
        vec!["run".to_owned(), "--key".to_owned(), format!("{secret}f")],
        vec!["run".to_owned(), "--key".to_owned(), secret.to_owned()],
        vec!["run".to_owned(), "--token".to_owned(), with(&format!("{secret}zz"))],
        vec!["run".to_owned(), "--token".to_owned(), with(secret)],
        vec!["run".to_owned(), "--token".to_owned(), with(&format!("{secret}ff")) + ".more"],
        vec!["run".to_owned(), "--token".to_owned(), token.to_owned()],
    ] {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let (code, out, err) = takeover(&args);
        assert_eq!(code, 2, "{args:?}: {out}{err}");
        assert!(!out.contains(secret) && !err.contains(secret), "{args:?}: {out}{err}");
    }
    // The token that was shown runs again with the key beside it.
    let again = json(&["--token", token, "--key", &format!("{secret}ff")]);
    assert_eq!(again["token"], token);
}

/// A count of 0 would do nothing, and call that a success.
#[test]
fn counts_of_nothing_are_refused() {
    for args in [
        &["sweep", "--sample", "0"][..],
        &["sweep", "--depth", "0"],
        &["sweep", "--depth", "2", "--most-states", "0"],
        &["kills", "--runs", "0"],
        &["soak", "--seconds", "0"],
        &["latency", "--runs", "0"],
        &["latency", "--big-runs", "0"],
        &["sweep", "--jobs", "0"],
        &["run", "--jobs", "0"],
    ] {
        let (code, out, err) = common::run(common::program!("takeover"), args);
        assert_eq!(code, 2, "{args:?}: {out}{err}");
        assert!(err.contains("at least 1"), "{args:?}: {err}");
    }
}

/// A sweep that was cut short is no green one, and one of a sample says that it is a sample.
#[test]
fn a_sweep_that_leaves_states_out_says_so() {
    let small = ["sweep", "--jobs", "1", "--lanes", "2", "--size", "16", "--real", "0"];
    let sweep =
        |more: &[&str]| common::run(common::program!("takeover"), &[&small[..], more].concat());
    let stopped = ["--flush", "0", "--depth", "2", "--most-states", "30"];
    let (code, out, err) = sweep(&stopped);
    assert!(code == 1 && out.contains("STOPPED at "), "{code}: {out}{err}");
    let (code, out, err) = sweep(&[&stopped[..], &["--json"]].concat());
    assert!(code == 1 && out.contains(r#""complete":false"#), "{code}: {out}{err}");
    let (code, out, err) = sweep(&["--sample", "3"]);
    assert!(code == 0 && out.contains("a sample: 3 of "), "{code}: {out}{err}");
    let (code, out, err) = sweep(&["--json"]);
    assert!(code == 0 && out.contains(r#""complete":true"#), "{code}: {out}{err}");
}

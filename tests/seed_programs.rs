//! `mp-primary` and `mp-secondary` as drop-ins for the reference's two programs: the same
//! arguments, the same lines in substance, the same exit codes, and nothing left behind.

mod common;

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;

use common::program;
use shmem::SegmentName;

/// The names of INFO and DATA that `mp-primary` printed.
fn names(stdout: &str) -> Vec<String> {
    let first = stdout.lines().next().unwrap_or_default();
    first.split(", ").skip(1).map(str::to_owned).collect()
}

fn assert_unlinked(names: &[String]) {
    assert_eq!(names.len(), 2, "{names:?}");
    let left: BTreeSet<String> =
        SegmentName::list().unwrap().iter().map(ToString::to_string).collect();
    for name in names {
        assert!(name.starts_with("takeover-"), "{name}");
        assert!(!left.contains(name), "{name} was left behind");
    }
}

#[test]
fn the_pair_prints_the_reference_flow() {
    let secondary = program!("mp-secondary");
    let (code, stdout, stderr) =
        common::run(program!("mp-primary"), &[secondary.to_str().unwrap()]);
    assert_eq!(code, 0, "{stdout}{stderr}");
    let mut rest = stdout.as_str();
    for line in [
        "PRIMARY: init start",
        "PRIMARY: init complete",
        "PRIMARY: sent 15 AES-128-CBC encrypt jobs",
        "PRIMARY: received 0 AES-128-CBC encrypt jobs",
        "PRIMARY: starting SECONDARY process now",
        "SECONDARY: init start",
        "SECONDARY: init complete",
        "SECONDARY: received 15 (total 15) AES-128-CBC encrypt jobs",
        "SECONDARY: finished",
        "PRIMARY: SECONDARY has finished",
        "MULTI-PROCESS TEST: PASSED",
        "PRIMARY: finished",
    ] {
        let at = rest.find(line).unwrap_or_else(|| panic!("`{line}` is missing in:\n{stdout}"));
        rest = &rest[at + line.len()..];
    }
    assert_unlinked(&names(&stdout));
}

#[test]
fn the_pair_passes_many_times_four_at_once() {
    let secondary = program!("mp-secondary");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..25 {
                    let (code, stdout, stderr) =
                        common::run(program!("mp-primary"), &[secondary.to_str().unwrap()]);
                    assert_eq!(code, 0, "{stdout}{stderr}");
                    assert!(stdout.contains("MULTI-PROCESS TEST: PASSED"), "{stdout}");
                    assert_unlinked(&names(&stdout));
                }
            });
        }
    });
}

#[test]
fn wrong_arguments_are_refused_with_exit_code_1() {
    for args in [&[][..], &["one", "two"]] {
        let (code, _, stderr) = common::run(program!("mp-primary"), args);
        assert_eq!(code, 1);
        assert!(stderr.contains("PATH TO SECONDARY APP"), "{stderr}");
    }
    for args in [&[][..], &["one"], &["one", "two", "three"]] {
        let (code, _, stderr) = common::run(program!("mp-secondary"), args);
        assert_eq!(code, 1);
        assert!(stderr.contains("<INFO> <DATA>"), "{stderr}");
    }
    let (code, _, stderr) = common::run(program!("mp-secondary"), &["shm_info", "shm_data"]);
    assert_eq!(code, 1);
    assert!(stderr.contains("shm_info"), "{stderr}");
    let absent = ["takeover-absent-info-00", "takeover-absent-data-00"];
    let (code, _, stderr) = common::run(program!("mp-secondary"), &absent);
    assert_eq!(code, 1);
    assert!(stderr.contains(absent[0]), "{stderr}");
}

#[test]
fn a_secondary_that_fails_or_is_missing_fails_the_primary() {
    for secondary in ["false", "/nonexistent/mp-secondary"] {
        let (code, stdout, stderr) = common::run(program!("mp-primary"), &[secondary]);
        assert_eq!(code, 1, "{stdout}{stderr}");
        assert!(stdout.contains("MULTI-PROCESS TEST: FAILED"), "{stdout}");
        assert!(stderr.contains("SECONDARY process failed"), "{stderr}");
        assert_unlinked(&names(&stdout));
    }
    let (code, stdout, _) = common::run(program!("mp-primary"), &["true"]);
    assert_eq!(code, 1, "a secondary that does nothing leaves wrong buffers: {stdout}");
    assert!(stdout.contains("MULTI-PROCESS TEST: FAILED"), "{stdout}");
    assert_unlinked(&names(&stdout));
}

/// A primary that is killed while its secondary runs cannot clean up: the secondary does.
#[test]
fn the_secondary_cleans_up_after_a_primary_that_was_killed() {
    let folder = std::env::temp_dir().join(format!("takeover-seed-{}", std::process::id()));
    std::fs::create_dir(&folder).unwrap();
    let script = folder.join("secondary");
    let log = folder.join("log");
    let text = format!(
        "#!/bin/sh\nkill -9 $PPID\nexec {} \"$@\" > {} 2>&1\n",
        program!("mp-secondary").display(),
        log.display()
    );
    std::fs::write(&script, text).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o700)).unwrap();
    let output = std::process::Command::new(program!("mp-primary")).arg(&script).output().unwrap();
    assert_eq!(
        std::os::unix::process::ExitStatusExt::signal(&output.status),
        Some(9),
        "the script killed its parent"
    );
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    // The secondary goes on by itself: wait for its last line.
    let begin = std::time::Instant::now();
    let said = loop {
        // In this order: what is read after its end is all that it said.
        let gone = fixtures::leftovers::processes(&names(&stdout)[0]).unwrap().is_empty();
        let said = std::fs::read_to_string(&log).unwrap_or_default();
        if gone && said.contains("SECONDARY") || begin.elapsed().as_secs() > 20 {
            break said;
        }
        // A grandchild, which this process cannot wait for: it is looked at now and then.
        std::thread::sleep(std::time::Duration::from_millis(5));
    };
    assert!(said.contains("SECONDARY: received 15 (total 15)"), "{said}");
    assert!(said.contains("SECONDARY: finished"), "{said}");
    assert_unlinked(&names(&stdout));
    std::fs::remove_dir_all(&folder).unwrap();
}

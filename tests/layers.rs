//! The arrow of the design, checked on the manifests and sources: takeover and tests → fixtures →
//! mbmgr → shmem → the system. Reads the checkout, so it is skipped where an archive runs without one.

use std::fs;
use std::path::{Path, PathBuf};

/// Each crate and the crates of this workspace that it may depend on.
const ARROWS: [(&str, &[&str]); 5] = [
    ("shmem", &[]),
    ("mbmgr", &["shmem"]),
    ("reference", &["shmem"]),
    ("fixtures", &["mbmgr", "shmem", "reference"]),
    ("bench", &["mbmgr", "shmem", "reference"]),
];

/// Crates that are a way to the system; nothing above shmem but the suite names one.
const SYSTEM: [&str; 4] = ["libc", "nix", "memmap2", "rustix"];

fn root() -> Option<PathBuf> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    root.join("crates").is_dir().then_some(root)
}

/// Names on the left of the `[dependencies]` table.
fn dependencies(manifest: &Path) -> Vec<String> {
    let text = fs::read_to_string(manifest).unwrap();
    let table = text.split("\n[dependencies]\n").nth(1).expect("a table of dependencies");
    let lines = table.lines().take_while(|line| !line.starts_with('['));
    let name = |line: &str| line.split(['.', ' ', '=']).next().unwrap_or_default().to_owned();
    lines.map(name).filter(|name| !name.is_empty() && !name.starts_with('#')).collect()
}

#[test]
fn no_crate_depends_on_one_above_it() {
    let Some(root) = root() else { return };
    let members = ["takeover", "shmem", "mbmgr", "fixtures", "reference", "bench"];
    for (name, allowed) in ARROWS {
        let found = dependencies(&root.join("crates").join(name).join("Cargo.toml"));
        assert!(!found.is_empty(), "{name} depends on something");
        for dependency in found.iter().filter(|d| members.contains(&d.as_str())) {
            assert!(allowed.contains(&dependency.as_str()), "{name} must not use {dependency}");
        }
    }
}

#[test]
fn manager_names_no_way_to_the_system() {
    let Some(root) = root() else { return };
    let found = dependencies(&root.join("crates/mbmgr/Cargo.toml"));
    for way in SYSTEM {
        assert!(!found.iter().any(|name| name == way), "mbmgr must not use {way}: shmem does");
    }
}

#[test]
fn system_calls_stay_in_their_folder() {
    let Some(root) = root() else { return };
    let mut files = 0;
    for entry in fs::read_dir(root.join("crates/shmem/src")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            files += 1;
            let text = fs::read_to_string(&path).unwrap();
            for way in ["libc::", " nix::", "(nix::", "<nix::"] {
                assert!(!text.contains(way), "{} names{way}; sys/ does that", path.display());
            }
        }
    }
    assert!(files > 5, "the crate's files were read");
}

/// Every file of Rust below a folder.
fn sources(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
}

/// The first lines of the matches in `text` that name backends and have an arm for all others. Read by
/// its indentation, which `cargo fmt` makes the same everywhere: an arm stands one step inside its match.
fn catch_all_arms(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().collect();
    let indent = |line: &str| line.len() - line.trim_start().len();
    let mut found = Vec::new();
    for (first, line) in lines.iter().enumerate() {
        let opens = line.contains("match ") && line.trim_end().ends_with('{');
        if !opens || line.trim_start().starts_with("//") {
            continue;
        }
        let body = lines[first + 1..]
            .iter()
            .take_while(|inner| inner.trim().is_empty() || indent(inner) > indent(line));
        let arms: Vec<&&str> = body.filter(|inner| indent(inner) == indent(line) + 4).collect();
        let names_backends = arms.iter().any(|arm| arm.contains("Backend::"));
        let catches = arms.iter().any(|arm| {
            let arm = arm.trim_start();
            ["_ =>", "_ if ", "Some(_) =>", "(_, _) =>"].iter().any(|all| arm.starts_with(all))
        });
        if names_backends && catches {
            found.push((*line).to_owned());
        }
    }
    found
}

/// A new backend must not compile before every operation names it.
#[test]
fn no_match_over_backends_has_an_arm_for_all_others() {
    let bad = "    match backend {\n        Backend::AesNi => 1,\n        _ => 2,\n    }\n";
    assert_eq!(catch_all_arms(bad).len(), 1, "the test sees what it looks for");
    let Some(root) = root() else { return };
    let mut files = Vec::new();
    for folder in ["crates", "src"] {
        sources(&root.join(folder), &mut files);
    }
    assert!(files.len() > 100, "the sources were read");
    for path in files {
        let found = catch_all_arms(&fs::read_to_string(&path).unwrap());
        assert!(found.is_empty(), "{}: {found:?}: name every backend", path.display());
    }
}

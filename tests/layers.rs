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

//! The arrow of the design, checked on the manifests and sources: takeover and tests → fixtures →
//! mbmgr → shmem → the system; and that what judges shares no crypto with what is judged. Reads the checkout, so it is skipped where an archive runs without one.

use std::collections::{BTreeMap, BTreeSet};
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

/// Crates that compute what `mbmgr` promises, or are made for those that do.
const CRYPTO: [&str; 30] = [
    "aead",
    "aes",
    "aes-gcm",
    "cbc",
    "ccm",
    "cfb-mode",
    "chacha20",
    "chacha20poly1305",
    "cipher",
    "cmac",
    "crc32fast",
    "ctr",
    "des",
    "digest",
    "ecb",
    "ghash",
    "hmac",
    "keccak",
    "md-5",
    "poly1305",
    "polyval",
    "sha1",
    "sha2",
    "sha3",
    "shake",
    "sm3",
    "sm4",
    "universal-hash",
    "xts-mode",
    "zuc",
];

/// All else that `mbmgr` may name.
const NO_CRYPTO: [&str; 6] = ["shmem", "subtle", "thiserror", "tracing", "zerocopy", "zeroize"];

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

/// Each package of a lock file and the names that it depends on, all of its versions together.
fn locked(text: &str) -> BTreeMap<&str, BTreeSet<&str>> {
    let mut packages: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for package in text.split("[[package]]").skip(1) {
        let name = package.split('"').nth(1).expect("a package has a name");
        let list = package.split_once("dependencies = [").map_or("", |(_, list)| list);
        let list = list.split(']').next().unwrap_or_default();
        // A name, or a name and a version where the file has several.
        let names = list.split('"').skip(1).step_by(2).filter_map(|name| name.split(' ').next());
        packages.entry(name).or_default().extend(names);
    }
    packages
}

/// What `root` depends on, directly or not, but not through an arrow of `cut`.
fn closure<'a>(
    packages: &BTreeMap<&'a str, BTreeSet<&'a str>>,
    root: &'a str,
    cut: &[(&str, &str)],
) -> BTreeSet<&'a str> {
    let (mut found, mut left) = (BTreeSet::new(), vec![root]);
    while let Some(name) = left.pop() {
        if found.insert(name) {
            let next = packages[name].iter().filter(|next| !cut.contains(&(name, next)));
            left.extend(next.copied());
        }
    }
    found
}

/// The crates of crypto that both `mbmgr` and what judges it are built on, by this lock file.
fn shared_crypto(text: &str) -> Vec<&str> {
    let packages = locked(text);
    let cut = [
        ("takeover-fixtures", "mbmgr"),
        ("takeover-fixtures", "takeover-shmem"),
        // `addr2line`, which names the lines of source in reports, unpacks debug sections with it.
        ("flate2", "crc32fast"),
    ];
    let judge = closure(&packages, "takeover-fixtures", &cut);
    let judged = closure(&packages, "mbmgr", &[]);
    judge.intersection(&judged).copied().filter(|name| CRYPTO.contains(name)).collect()
}

#[test]
fn the_oracle_shares_no_crypto_with_the_manager() {
    let Some(root) = root() else { return };
    for name in dependencies(&root.join("crates/mbmgr/Cargo.toml")) {
        let is_known = CRYPTO.contains(&name.as_str()) || NO_CRYPTO.contains(&name.as_str());
        assert!(is_known, "say in CRYPTO or NO_CRYPTO which of them {name} belongs to");
    }
    let text = fs::read_to_string(root.join("Cargo.lock")).unwrap();
    assert_eq!(shared_crypto(&text), Vec::<&str>::new(), "a crate would judge itself");
    // The test sees what it looks for: each of these as a dependency of fixtures.
    for name in ["sha2", "crc32fast", "aes"] {
        let (before, after) = text.split_once("name = \"takeover-fixtures\"").unwrap();
        let list = format!("dependencies = [\n \"{name}\",");
        let after = after.replacen("dependencies = [", &list, 1);
        let with_it = format!("{before}name = \"takeover-fixtures\"{after}");
        assert!(shared_crypto(&with_it).contains(&name), "{name} is not seen");
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

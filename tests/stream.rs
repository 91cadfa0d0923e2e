//! A file through `takeover run --input`, with the primary killed on the way: the output must be
//! what `openssl enc` gives for the file, and a decrypted file must be the original.

#[path = "common/answer.rs"]
mod answer;
mod common;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use common::program;
use fixtures::inputs::Stream;
use fixtures::{forked, hex, leftovers, oracle};
use mbmgr::Direction;
use rstest::rstest;

const KEY: &str = "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4";
const IV: &str = "000102030405060708090a0b0c0d0e0f";

fn takeover(args: &[&str]) -> (i32, String, String) {
    common::run(program!("takeover"), args)
}

/// A folder of this test's own, removed at its end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        let path = std::env::temp_dir().join(format!("takeover-{}", forked::label().unwrap()));
        std::fs::create_dir(&path).unwrap();
        Folder(path)
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

fn bytes(len: usize) -> Vec<u8> {
    Stream::new(11, "stream-test", len as u64).bytes(len)
}

/// Runs a file through; returns the report.
fn through(input: &Path, output: &Path, cipher: &str, more: &[&str]) -> serde_json::Value {
    let label = forked::label().unwrap();
    let (_, key, iv) = of_openssl(cipher);
    let mut args = vec!["run", "--json", "--label", &label, "--cipher", cipher];
    if ["aes", "sm4", "3des"].iter().any(|family| cipher.starts_with(family)) {
        args.extend(["--key", key, "--iv", iv]);
    }
    args.extend(["--input", input.to_str().unwrap(), "--output", output.to_str().unwrap()]);
    args.extend(more);
    let (code, stdout, stderr) = takeover(&args);
    assert_eq!((code, stderr.as_str()), (0, ""), "{stdout}");
    leftovers::check(&label).unwrap();
    answer::result_of("run", &stdout)
}

/// A cipher as openssl calls it, and a key and an IV of its lengths.
fn of_openssl(cipher: &str) -> (&str, &'static str, &'static str) {
    match cipher {
        "3des-cbc" => ("des-ede3-cbc", &KEY[..48], &IV[..16]),
        _ if cipher.contains("128") || cipher.starts_with("sm4") => (cipher, &KEY[..32], IV),
        _ if cipher.contains("192") => (cipher, &KEY[..48], IV),
        _ => (cipher, KEY, IV),
    }
}

/// What `openssl enc` gives for a file.
fn openssl(cipher: &str, file: &Path) -> Vec<u8> {
    let (name, key, iv) = of_openssl(cipher);
    let mut command = Command::new("openssl");
    command.args(["enc", &format!("-{name}"), "-K", key, "-iv", iv, "-in"]);
    command.arg(file).stdin(Stdio::null());
    let output = command.output().unwrap_or_else(|error| {
        panic!(
            "openssl cannot be run ({error}): install the package openssl, it is the oracle here"
        )
    });
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// The whole file is one message, whatever its records are. Last record shorter, of full length, of a
/// block's length; one record; an empty file; a megabyte.
#[rstest]
fn the_output_is_what_openssl_gives_for_the_file(
    #[values("aes-128-cbc", "aes-256-cbc", "aes-128-ctr", "aes-256-ctr", "aes-128-cfb")]
    cipher: &str,
    #[values(0, 5, 4095, 4096, 20_480, 4096 * 20 + 16, 1 << 20)] len: usize,
) {
    is_that_of_openssl(cipher, len);
}

/// The other keys, and the other ciphers that openssl has.
#[rstest]
fn the_output_is_that_of_openssl_for_every_cipher(
    #[values(
        "aes-192-cbc",
        "aes-192-ctr",
        "aes-192-cfb",
        "aes-256-cfb",
        "sm4-cbc",
        "sm4-ctr",
        "3des-cbc"
    )]
    cipher: &str,
    #[values(20_485, 1 << 20)] len: usize,
) {
    is_that_of_openssl(cipher, len);
}

fn is_that_of_openssl(cipher: &str, len: usize) {
    let folder = Folder::new();
    let source = bytes(len);
    let input = folder.file("in", &source);
    let output = folder.0.join("out");
    let report = through(&input, &output, cipher, &["--size", "4096", "--jobs", "7"]);
    let cbc = cipher.ends_with("cbc");

    let records = len.div_ceil(4096).max(usize::from(cbc));
    assert_eq!(report["jobs"], records);
    assert!(
        std::fs::read(&output).unwrap() == openssl(cipher, &input),
        "the file differs: {report}"
    );
    if records > 0 {
        assert_eq!(report["primary_exit"], "signal 9 (SIGKILL)", "{report}");
    }
    let shown = report.to_string();
    assert!(
        !shown.contains(&KEY[..32]) && shown.contains("keyhidden"),
        "the key is shown: {shown}"
    );
}

/// Encrypted and decrypted again, each with a kill in the middle, is the file itself; the last
/// record may be anything.
#[rstest]
fn decryption_gives_the_file_back(
    #[values("aes-128-cbc", "aes-192-cbc", "aes-192-ctr", "aes-256-cfb", "3des-cbc")] cipher: &str,
    #[values(1, 15, 16, 511, 512, 513, 1024, 1040, 512 * 33, 20_000)] len: usize,
) {
    let folder = Folder::new();
    let source = bytes(len);
    let input = folder.file("in", &source);
    let (middle, back) = (folder.0.join("middle"), folder.0.join("back"));
    through(&input, &middle, cipher, &["--size", "512"]);
    through(&middle, &back, cipher, &["--size", "512", "--direction", "decrypt"]);
    assert_eq!(std::fs::read(&back).unwrap(), source);
}

/// Every way to stop the primary, small windows and rings, out of place, other backends.
#[rstest]
fn any_crash_gives_the_same_file(
    #[values(
        "none",
        "after-submit:0",
        "after-submit:1",
        "after-submit:100",
        "after-submit:196",
        "after-us:0",
        "after-us:300",
        "after-us:20000"
    )]
    crash: &str,
    #[values(
        &["--jobs", "1"],
        &["--jobs", "40", "--ring", "16"],
        &["--jobs", "64", "--lanes", "5", "--out-of-place", "--standby-backend", "portable"],
        &["--jobs", "16", "--placement", "identical"]
    )]
    more: &[&str],
) {
    let folder = Folder::new();
    let source = bytes(100_001);
    let input = folder.file("in", &source);
    let output = folder.0.join("out");
    let mut args = vec!["--size", "512", "--crash", crash];
    args.extend(more);
    let report = through(&input, &output, "aes-256-cbc", &args);
    assert_eq!(report["jobs"], 196, "{report}");
    let (key, iv) = (hex::decode(KEY).unwrap(), hex::decode(IV).unwrap());
    let padding = 16 - source.len() % 16;
    let mut padded = source;
    padded.resize(padded.len() + padding, u8::try_from(padding).unwrap());
    let cipher = mbmgr::Algorithm::Aes256Cbc;
    let expected = oracle::compute(cipher, Direction::Encrypt, &key, &iv, &padded);
    assert!(std::fs::read(&output).unwrap() == expected, "the file differs: {report}");
    let total = report["completed_by_primary"].as_u64().unwrap()
        + report["completed_by_secondary"].as_u64().unwrap();
    assert_eq!(total, 196, "{report}");
}

/// Digests of the records, concatenated.
#[test]
fn hashes_write_one_digest_a_record() {
    let folder = Folder::new();
    let input = folder.file("in", &bytes(10_000));
    let output = folder.0.join("out");
    let report = through(&input, &output, "sha256", &["--size", "3000"]);
    assert_eq!((&report["jobs"], &report["bytes_out"]), (&4.into(), &128.into()));
}

/// The primary of a large file dies in the middle, and memory stays bounded: the segments hold a
/// window of records, not the file.
#[test]
fn a_large_file_goes_through_a_small_segment() {
    let folder = Folder::new();
    let input = folder.file("in", &bytes(24 << 20));
    let output = folder.0.join("out");
    let report = through(&input, &output, "aes-128-cbc", &["--size", "16384", "--jobs", "32"]);
    let timeline = report["timeline"].to_string();
    let kib: u64 =
        timeline.split(" KiB at").next().unwrap().rsplit('(').next().unwrap().parse().unwrap();
    assert!(kib < 1024, "DATA has {kib} KiB");
    let by = |who: &str| report[who].as_u64().unwrap();
    assert!(by("completed_by_primary") > 700 && by("completed_by_secondary") > 700, "{report}");
}

#[rstest]
#[case::not_whole_blocks(33, "3", "no multiple of 16")]
#[case::empty(0, "3", "no multiple of 16")]
fn files_that_cannot_be_decrypted_are_refused(
    #[case] len: usize,
    #[case] _name: &str,
    #[case] says: &str,
) {
    let folder = Folder::new();
    let input = folder.file("in", &bytes(len));
    let (code, _, stderr) = takeover(&[
        "run",
        "--direction",
        "decrypt",
        "--input",
        input.to_str().unwrap(),
        "--output",
        folder.0.join("out").to_str().unwrap(),
    ]);
    assert_eq!(code, 2, "{stderr}");
    assert!(stderr.contains(says), "{stderr}");
}

#[test]
fn a_wrong_key_fails_on_the_padding() {
    let folder = Folder::new();
    let input = folder.file("in", &bytes(1000));
    let middle = folder.0.join("middle");
    through(&input, &middle, "aes-128-cbc", &["--size", "512"]);
    let (code, stdout, _) = takeover(&[
        "run",
        "--direction",
        "decrypt",
        "--size",
        "512",
        "--seed",
        "77",
        "--input",
        middle.to_str().unwrap(),
        "--output",
        folder.0.join("back").to_str().unwrap(),
    ]);
    assert_eq!(code, 1, "{stdout}");
    assert!(stdout.contains("PKCS#7") && stdout.contains("--key"), "{stdout}");
}

#[test]
fn options_that_do_not_fit_a_file_are_refused() {
    let folder = Folder::new();
    let input = folder.file("in", &bytes(1000));
    let (input, output) = (input.to_str().unwrap(), folder.0.join("out"));
    let output = output.to_str().unwrap();
    for (more, says) in [
        (&["--size", "16-32"][..], "one size"),
        (&["--size", "100"], "96 or 112"),
        (&["--jobs", "0"], "at least 1"),
        (&["--partial-flush", "2"], "leave it out"),
        (&["--crash", "after-flush:2"], "after-submit:N"),
        (&["--crash", "after-submit:5"], "4 records"),
        (&["--token", "x"], "--token"),
        (&["--cipher", "aes-128-ctr", "--size", "24"], "no multiple of"),
        (&["--cipher", "zuc-eea3", "--size", "512"], "--size 1000"),
    ] {
        let mut args = vec!["run", "--input", input, "--output", output];
        args.extend(more);
        let (code, _, stderr) = takeover(&args);
        assert_eq!(code, 2, "{more:?}: {stderr}");
        assert!(stderr.contains(says), "{more:?}: {stderr}");
    }
    let (code, _, stderr) = takeover(&["run", "--input", input, "--output", input]);
    assert_eq!(code, 2, "{stderr}");
    assert!(stderr.contains("is the input as well"), "{stderr}");
    let (code, _, stderr) = takeover(&["run", "--input", input, "--output", "/nonexistent/out"]);
    assert_eq!(code, 2, "{stderr}");
    assert!(stderr.contains("create it first"), "{stderr}");
}

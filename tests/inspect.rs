//! `takeover inspect`: what it says of a segment that lives, of one that was left behind, and while it
//! watches.

mod common;

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use common::program;
use mbmgr::{Algorithm, Config, Direction, Job, Key, KeyId, LAYOUT_HASH, Manager, Options};
use shmem::{Offset, Segment, SegmentName, SegmentOptions};

/// A named segment; unlinked also if the test fails.
struct Named {
    name: SegmentName,
    segment: Arc<Segment>,
}

impl Named {
    fn create() -> Named {
        let options = SegmentOptions {
            len: Manager::segment_len(&Config::default(), 1 << 16),
            layout_hash: LAYOUT_HASH,
            ..SegmentOptions::default()
        };
        let name = SegmentName::unique("inspect");
        let segment = Segment::create_named(&name, &options).unwrap();
        Named { name, segment }
    }

    fn job(&self, key: KeyId, user: u64) -> Job {
        let at = self.segment.arena().alloc(256, 64).unwrap();
        let job = Job::cipher(Algorithm::Aes128Cbc, Direction::Encrypt, key, &[2; 16]).unwrap();
        job.in_place(at, 256).user(user)
    }

    fn inspect(&self) -> String {
        let (code, out, error) =
            common::run(program!("takeover"), &["inspect", self.name.as_str()]);
        assert_eq!(code, 0, "{error}");
        out
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        let _ = Segment::unlink(&self.name);
    }
}

fn assert_says(text: &str, all: &[&str]) {
    for expected in all {
        assert!(text.contains(expected), "`{expected}` is missing in:\n{text}");
    }
}

#[test]
fn live_and_left_behind_segments_are_decoded() {
    let named = Named::create();
    let mut manager =
        Manager::create(&named.segment, &Config::default(), &Options::default()).unwrap();
    let key = manager.add_key(Key::Aes(&[0xab; 16])).unwrap();
    for user in 70..87 {
        manager.submit(&named.job(key, user)).unwrap();
    }
    assert_eq!(manager.flush().unwrap().unwrap().user, 72);
    let me = format!("owner:   pid {} (started at ", std::process::id());
    let text = named.inspect();
    let counted = "17 submitted, 3 completed, 0 redelivered, 0 recovered, 0 takeovers";
    assert_says(&text, &["root 0", "ring of 256, 16 lanes, 64 keys", &me, "), alive", counted]);
    assert_says(&text, &["journal: no run in flight", "2 acknowledged, 3 returned, 17 accepted"]);

    // As a death: the kernel marks the lease when its thread ends.
    drop(manager);
    let text = named.inspect();
    assert_says(
        &text,
        &[
            "owner:   none: it died or handed over",
            "14 outstanding",
            "job     2: returned, done, aes-128-cbc encrypt, 256 of 256 bytes, in place at ",
            "job    16: queued, aes-128-cbc encrypt, 0 of 256 bytes, in place at ",
            ", user 86",
            "waiting for lanes of aes-128-cbc encrypt: 1 jobs (16)",
            "key 0: ready, generation 1, material present (not shown)",
        ],
    );
    assert!(!text.contains("abab"), "key bytes are shown:\n{text}");

    // A run in flight, as a death in the middle of one leaves it: step 3 of 16 bytes in 2 lanes.
    let journal = named.segment.root(0).unwrap().unwrap().get() + 256;
    let put = |at: u64, value: u64| {
        named.segment.write(Offset::new(at), &value.to_le_bytes()).unwrap();
    };
    put(journal + 8, 256 | 16 << 32 | 2 << 48 | 1 << 56);
    put(journal + 64, 16);
    put(journal + 72, 5 | 128 << 32);
    put(journal, 3);
    let flight = "journal: step 2 of 16 in flight, 16 bytes a step, 1 steps to redo, log slot 2";
    let lanes = ["lane  0: slot 16, from byte 0", "lane  1: slot 5, from byte 128"];
    assert_says(&named.inspect(), &[flight, lanes[0], lanes[1]]);
}

struct Watching(Child);

impl Drop for Watching {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn watch_follows_the_counters_until_the_segment_goes_away() {
    let named = Named::create();
    let mut manager =
        Manager::create(&named.segment, &Config::default(), &Options::default()).unwrap();
    let key = manager.add_key(Key::Aes(&[1; 16])).unwrap();
    let mut watching = Watching(
        Command::new(program!("takeover"))
            .args(["inspect", named.name.as_str(), "--watch", "--interval", "5"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap(),
    );
    let mut lines = BufReader::new(watching.0.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut until = |wanted: &str| {
        assert!(lines.any(|line| line.contains(wanted)), "it ended without saying `{wanted}`");
    };
    until("0 submitted, 0 completed");
    manager.submit(&named.job(key, 1)).unwrap();
    until("1 submitted, 0 completed, 0 redelivered, 0 recovered, 0 takeovers");
    drop(manager);
    let mut next = Manager::attach(&named.segment, 0, &Options::default()).unwrap();
    until("1 recovered, 1 takeovers (1 from the dead, 0 forced), the last in ");
    next.flush().unwrap().unwrap();
    until("1 submitted, 1 completed, 0 redelivered, 1 recovered");
    Segment::unlink(&named.name).unwrap();
    until(&format!("{} is gone", named.name));
    assert_eq!(watching.0.wait().unwrap().code(), Some(0));
}

#[test]
fn watching_what_is_not_there_is_an_error() {
    let missing = SegmentName::unique("missing");
    let (code, _, error) =
        common::run(program!("takeover"), &["inspect", missing.as_str(), "--watch"]);
    assert_ne!(code, 0);
    assert!(error.contains("cannot be opened"), "{error}");
    let file = std::env::temp_dir().join(format!("takeover-inspect-{}", std::process::id()));
    std::fs::write(&file, b"no segment").unwrap();
    let (code, _, error) =
        common::run(program!("takeover"), &["inspect", file.to_str().unwrap(), "--watch"]);
    std::fs::remove_file(&file).unwrap();
    assert_ne!(code, 0);
    assert!(error.contains("a file, which does not change"), "{error}");
}

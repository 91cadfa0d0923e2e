//! Every algorithm in place, cut off at every point that matters of its run: before and after each
//! commit, in the middle of each output and after it; and its recovery cut off in the same places. The
//! sweep of the suite visits every instruction; this finds out which algorithm is wrong in a second.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use shmem::{Offset, Placement, Segment, SegmentOptions};

use crate::algorithm::{Algorithm, Direction, Kind};
use crate::config::{Config, Options};
use crate::job::{Job, JobStatus, Piece};
use crate::keys::Key;
use crate::layout::LAYOUT_HASH;
use crate::manager::Manager;

pub(super) const CRASH: &str = "the crash that the test asked for";

thread_local! {
    /// Points to pass before the crash; none where nobody asked for one.
    static LEFT: Cell<Option<u32>> = const { Cell::new(None) };
}

/// Whether the process ends here.
pub(super) fn is_crash_point() -> bool {
    LEFT.with(|left| match left.get() {
        None => false,
        Some(0) => {
            left.set(None);
            true
        }
        Some(n) => {
            left.set(Some(n - 1));
            false
        }
    })
}

pub(super) fn crash_point() {
    assert!(!is_crash_point(), "{CRASH}");
}

/// Runs until the `n`th point; true if it came to that.
fn crashes(n: u32, run: impl FnOnce()) -> bool {
    LEFT.with(|left| left.set(Some(n)));
    let result = catch_unwind(AssertUnwindSafe(run));
    LEFT.with(|left| left.set(None));
    match result {
        Ok(()) => false,
        Err(payload) => {
            let text = payload.downcast_ref::<String>();
            assert!(text.is_some_and(|text| text == CRASH), "another panic: {text:?}");
            true
        }
    }
}

const LENGTHS: [u64; 4] = [0, 24, 512, 1072];

struct Bench {
    segment: Arc<Segment>,
    manager: Option<Manager>,
    job: Job,
    /// Where the message lies in one, also where the job has it in pieces.
    at: Offset,
    from: Vec<u8>,
    expected: Vec<u8>,
    tag: Offset,
    expected_tag: Vec<u8>,
}

impl Bench {
    /// A job whose result is known from its run out of place.
    fn new(algorithm: Algorithm, direction: Direction, len: u64) -> Bench {
        let config = Config { ring: 4, lanes: 1, keys: 1 };
        let segment_options = SegmentOptions {
            len: Manager::segment_len(&config, 3 * len + 8192),
            placement: Placement::Anywhere,
            layout_hash: LAYOUT_HASH,
            populate: false,
        };
        let segment = Segment::create_anonymous("single", &segment_options).unwrap();
        let mut manager = Manager::create(&segment, &config, &Options::default()).unwrap();
        let key = (0..algorithm.key_len().unwrap()).map(|i| i.to_le_bytes()[0] ^ 0x5a);
        let key = key.collect::<Vec<_>>();
        let key = manager.add_key(Key::For(algorithm, &key)).unwrap();
        let alloc = |len| segment.arena().alloc(len, 16).unwrap();
        let (plain, from, to) = (alloc(len + 1), alloc(len + 1), alloc(len + 1));
        let (tag, aad, iv) = (alloc(16), alloc(40), alloc(32));
        let message = (0..len).map(|i| (i * 7).to_le_bytes()[0]).collect::<Vec<_>>();
        segment.write(plain, &message).unwrap();
        segment.write(aad, &[0x33; 40]).unwrap();
        segment.write(iv, &[0x77; 32]).unwrap();
        let iv_len = (0..=32).rev().find(|len| algorithm.takes_iv(*len)).unwrap();
        let make = |direction| {
            let job = if iv_len > 16 {
                let iv_len = u32::try_from(iv_len).unwrap();
                Job::with_iv_at(algorithm, direction, key, iv, iv_len)
            } else {
                Job::cipher(algorithm, direction, key, &[0x77; 16][..iv_len]).unwrap()
            };
            if algorithm.kind() == Kind::Aead { job.aad(aad, 40).tag(tag, 16) } else { job }
        };
        let mut run = |job: Job| {
            manager.submit(&job).unwrap();
            assert_eq!(manager.flush().unwrap().map(|done| done.status), None);
        };
        let read = |at, len: u64| {
            let mut bytes = vec![0; usize::try_from(len).unwrap()];
            segment.read(at, &mut bytes).unwrap();
            bytes
        };
        // The encryption gives the other text and the tag; decryption goes back.
        run(make(Direction::Encrypt).from_to(plain, from, len));
        let expected_tag = read(tag, 16);
        let sealed = read(from, len);
        let (from, expected) = match direction {
            Direction::Encrypt => (message, sealed),
            Direction::Decrypt => {
                run(make(Direction::Decrypt).from_to(from, to, len));
                assert_eq!(read(to, len), message, "{algorithm}: decryption undoes encryption");
                (sealed, message)
            }
        };
        let job = make(direction).in_place(to, len);
        Bench { segment, manager: Some(manager), job, at: to, from, expected, tag, expected_tag }
    }

    /// Cuts the message into pieces of awkward lengths.
    fn in_pieces(mut self) -> Bench {
        let list = self.segment.arena().alloc(64 * Piece::BYTES, 8).unwrap();
        let (mut bytes, mut done, mut count) = (Vec::new(), 0, 0);
        for len in [0, 1, 15, 16, 17, 460, 0, u64::MAX] {
            let len = len.min(self.job.len - done);
            let at = Offset::new(self.at.get() + done);
            bytes.extend(Piece { src: at, dst: at, len }.to_bytes());
            (done, count) = (done + len, count + 1);
        }
        self.segment.write(list, &bytes).unwrap();
        self.job = self.job.pieces(list, count, self.job.len);
        self
    }

    fn prepare(&self) {
        self.segment.write(self.at, &self.from).unwrap();
        if self.job.direction == Direction::Encrypt {
            self.segment.write(self.tag, &[0; 16]).unwrap();
        }
    }

    fn check(&mut self, what: &str) {
        let manager = self.manager.as_mut().unwrap();
        let mut statuses = Vec::new();
        while let Some(done) = manager.flush().unwrap() {
            statuses.push(done.status);
        }
        assert!(statuses.iter().all(|status| *status == JobStatus::Ok), "{what}: {statuses:?}");
        let mut found = vec![0; self.expected.len()];
        self.segment.read(self.at, &mut found).unwrap();
        assert_eq!(found, self.expected, "{what}");
        if self.job.algorithm.kind() == Kind::Aead {
            let mut found = vec![0; 16];
            self.segment.read(self.tag, &mut found).unwrap();
            assert_eq!(found, self.expected_tag, "{what}: tag");
        }
    }
}

fn attach(segment: &Arc<Segment>) -> Manager {
    Manager::attach(segment, 0, &Options::default()).unwrap()
}

/// Cuts the job off at each point, and its recovery at each of its own; how many there were.
fn cut_off_everywhere(mut bench: Bench, name: &str) -> u32 {
    let (mut n, mut points) = (0, 0);
    loop {
        bench.prepare();
        let job = bench.job;
        let manager = bench.manager.as_mut().unwrap();
        if !crashes(n, || assert!(manager.submit(&job).is_ok())) {
            bench.check(&format!("{name}, to its end"));
            return points;
        }
        // The recovery is cut off at each of its points in turn, the last time at none.
        bench.manager = None;
        let mut m = 0;
        let mut manager = None;
        while crashes(m, || manager = Some(attach(&bench.segment))) {
            m += 1;
        }
        bench.manager = manager;
        bench.check(&format!("{name}, cut off at {n}"));
        points += 1 + m;
        n += 1;
    }
}

#[test]
fn every_cipher_survives_every_point_and_the_points_of_its_recovery() {
    std::panic::set_hook(Box::new(|_| {}));
    let singles = Algorithm::ALL
        .iter()
        .copied()
        .filter(|algorithm| algorithm.is_cipher() && algorithm.row().engine.single().is_some());
    let mut points = 0;
    for algorithm in singles {
        for direction in [Direction::Encrypt, Direction::Decrypt] {
            for len in LENGTHS {
                if len < algorithm.min_len() as u64
                    || !len.is_multiple_of(algorithm.block_len() as u64)
                {
                    continue;
                }
                let name = format!("{algorithm} {direction} {len}");
                points += cut_off_everywhere(Bench::new(algorithm, direction, len), &name);
                if algorithm.kind() == Kind::Aead {
                    let bench = Bench::new(algorithm, direction, len).in_pieces();
                    points += cut_off_everywhere(bench, &format!("{name} in pieces"));
                }
            }
        }
    }
    assert!(points > 1000, "{points} points");
}

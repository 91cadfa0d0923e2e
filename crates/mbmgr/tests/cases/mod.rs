//! Runs cases with a known answer through a manager, in every way that matters: each backend, lane
//! count, in place and out of place, and with a release and a new owner in the middle. Used by `ciphers`
//! and `vectors`.
use std::sync::Arc;

use mbmgr::{
    Algorithm, Backend, Completed, Config, Direction, Failure, Job, JobStatus, Key, KeyId,
    LAYOUT_HASH, Manager, Options,
};
use shmem::{Offset, Placement, Segment, SegmentOptions};

/// A job and its answer.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) algorithm: Algorithm,
    pub(crate) direction: Direction,
    pub(crate) key: Vec<u8>,
    pub(crate) iv: Vec<u8>,
    pub(crate) aad: Vec<u8>,
    pub(crate) input: Vec<u8>,
    /// Of a cipher or AEAD: what comes out. Of a hash or MAC: nothing.
    pub(crate) output: Vec<u8>,
    /// What encryption, a hash or a MAC makes; what decryption is given.
    pub(crate) tag: Vec<u8>,
    /// Whether decryption must refuse the tag; of a MAC, whether it must be another.
    pub(crate) forged: bool,
}

impl Case {
    pub(crate) fn mac(algorithm: Algorithm, key: &[u8], input: &[u8], tag: &[u8]) -> Case {
        Case {
            name: algorithm.to_string(),
            algorithm,
            direction: Direction::Encrypt,
            key: key.to_vec(),
            iv: vec![],
            aad: vec![],
            input: input.to_vec(),
            output: vec![],
            tag: tag.to_vec(),
            forged: false,
        }
    }

    pub(crate) fn cipher(
        algorithm: Algorithm,
        key: &[u8],
        iv: &[u8],
        plain: &[u8],
        out: &[u8],
    ) -> Case {
        let mut case = Case::mac(algorithm, key, plain, &[]);
        (case.iv, case.output) = (iv.to_vec(), out.to_vec());
        case
    }

    /// The other direction of a cipher or AEAD.
    pub(crate) fn reversed(&self) -> Case {
        let mut case = self.clone();
        case.direction = Direction::Decrypt;
        std::mem::swap(&mut case.input, &mut case.output);
        case
    }
}

/// Decrypts as well, where there are two directions.
pub(crate) fn both_directions(cases: &[Case]) -> Vec<Case> {
    let ciphers = cases.iter().filter(|case| case.algorithm.is_cipher());
    cases.iter().cloned().chain(ciphers.map(Case::reversed)).collect()
}

/// How to run cases.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Way {
    pub(crate) backend: Backend,
    pub(crate) lanes: u32,
    pub(crate) in_place: bool,
    /// Who does the second half, after a release.
    pub(crate) second: Option<Backend>,
}

/// All ways that the machine has: every lane count with each backend, hand-overs between backends. The
/// gate takes each backend in place, out of place and through a hand-over, with one lane count.
pub(crate) fn ways() -> Vec<Way> {
    let backends = Backend::available();
    let exhaustive = std::env::var("NEXTEST_PROFILE").is_ok_and(|name| name == "exhaustive");
    let mut ways = Vec::new();
    for (number, &backend) in backends.iter().enumerate() {
        let next = backends[(number + 1) % backends.len()];
        for in_place in [false, true] {
            let (lanes, seconds) = match (exhaustive, in_place) {
                (true, _) => (1..=16, &backends[..]),
                (false, true) => (16..=16, &[next][..]),
                (false, false) if number % 2 == 0 => (3..=3, &[][..]),
                (false, false) => (7..=7, &[][..]),
            };
            ways.extend(lanes.map(|lanes| Way { backend, lanes, in_place, second: None }));
            let with = |&second| Way { backend, lanes: 16, in_place, second: Some(second) };
            ways.extend(seconds.iter().map(with));
        }
    }
    ways
}

struct Placed {
    job: Job,
    tag_at: Offset,
}

/// A mark that nobody writes by chance.
const UNTOUCHED: u8 = 0xa5;

fn place(segment: &Segment, case: &Case, key: Option<KeyId>, way: Way, user: u64) -> Placed {
    let put = |bytes: &[u8]| {
        // An odd place, with a byte that nobody may touch behind.
        let at = segment.arena().alloc(bytes.len() as u64 + 4, 1).unwrap();
        segment.write(at, bytes).unwrap();
        at
    };
    let src = put(&case.input);
    let tag_at = if case.direction == Direction::Decrypt {
        put(&case.tag)
    } else {
        put(&vec![UNTOUCHED; case.tag.len()])
    };
    let len = case.input.len() as u64;
    let is_cipher = case.algorithm.is_cipher();
    let dst = match is_cipher {
        true if way.in_place => src,
        true => put(&vec![UNTOUCHED; case.input.len()]),
        false => tag_at,
    };
    let tag_len = u8::try_from(case.tag.len()).unwrap();
    let job = match key {
        None => Job::hash(case.algorithm),
        Some(key) if case.iv.len() > 16 => {
            let at = put(&case.iv);
            let iv_len = u32::try_from(case.iv.len()).unwrap();
            Job::with_iv_at(case.algorithm, case.direction, key, at, iv_len)
        }
        Some(key) if is_cipher => {
            Job::cipher(case.algorithm, case.direction, key, &case.iv).unwrap()
        }
        Some(key) => Job::mac(case.algorithm, key).with_iv(&case.iv).unwrap(),
    };
    let job = if is_cipher && tag_len > 0 {
        job.aad(put(&case.aad), u32::try_from(case.aad.len()).unwrap()).tag(tag_at, tag_len)
    } else {
        job.tag_len(tag_len)
    };
    Placed { job: job.from_to(src, dst, len).user(user), tag_at }
}

fn look(segment: &Segment, case: &Case, placed: &Placed, done: &Completed, way: Way) {
    let name = &case.name;
    let read = |at, len| {
        let mut found = vec![0; len];
        segment.read(at, &mut found).unwrap();
        found
    };
    let out = read(placed.job.dst, case.output.len());
    if case.forged && !case.algorithm.is_cipher() {
        assert_eq!(done.status, JobStatus::Ok, "{name} {way:?}");
        assert_ne!(read(placed.tag_at, case.tag.len()), case.tag, "{name} {way:?}: a forged tag");
        return;
    }
    if case.forged {
        let expected = JobStatus::Failed(Failure::TagMismatch);
        assert_eq!(done.status, expected, "{name} {way:?}: a forged tag must be refused");
        let mark = if way.in_place { case.input.clone() } else { vec![UNTOUCHED; out.len()] };
        assert_eq!(read(placed.job.dst, case.input.len()), mark, "{name} {way:?}: untouched");
        return;
    }
    assert_eq!(done.status, JobStatus::Ok, "{name} {way:?}");
    assert_eq!(out, case.output, "{name} {way:?}");
    assert_eq!(read(placed.tag_at, case.tag.len()), case.tag, "{name} {way:?}: tag");
}

/// Runs the cases and compares what comes out.
pub(crate) fn run(cases: &[Case], way: Way) {
    for batch in cases.chunks(48) {
        run_batch(batch, way);
    }
}

fn run_batch(cases: &[Case], way: Way) {
    let config = Config { lanes: way.lanes, ..Config::default() };
    let bytes = |case: &Case| {
        case.input.len() + case.output.len() + case.tag.len() + case.aad.len() + case.iv.len() + 64
    };
    let room = cases.iter().map(bytes).sum::<usize>() as u64 + 4096;
    let options = SegmentOptions {
        len: Manager::segment_len(&config, room),
        placement: Placement::Anywhere,
        layout_hash: LAYOUT_HASH,
        populate: false,
    };
    let segment = Segment::create_anonymous("cases", &options).unwrap();
    let with = |backend| Options { backend: Some(backend), ..Options::default() };
    let mut manager = Manager::create(&segment, &config, &with(way.backend)).unwrap();
    let mut back = Vec::new();
    let mut placed = Vec::new();
    for (user, case) in (0..).zip(cases) {
        let takes_key = case.algorithm.key_len().is_some() || !case.key.is_empty();
        let key = takes_key.then(|| manager.add_key(Key::For(case.algorithm, &case.key)).unwrap());
        let one = place(&segment, case, key, way, user);
        back.extend(manager.submit(&one.job).unwrap_or_else(|e| panic!("{}: {e}", case.name)));
        placed.push(one);
    }
    if let Some(second) = way.second {
        let (segment, root) = (Arc::clone(manager.segment()), manager.root());
        manager.release().unwrap();
        manager = Manager::attach(&segment, root, &with(second)).unwrap();
        let again = usize::try_from(manager.recovered().unacknowledged).unwrap();
        back.truncate(back.len() - again);
    }
    while let Some(done) = manager.flush().unwrap() {
        back.push(done);
    }
    assert_eq!(back.len(), cases.len());
    for (number, done) in back.iter().enumerate() {
        assert_eq!(done.user, number as u64, "results come in the order of submission");
        look(&segment, &cases[number], &placed[number], done, way);
    }
}

/// Bytes that look random and are the same in every run.
pub(crate) fn bytes(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    std::iter::repeat_with(next).take(len).collect()
}

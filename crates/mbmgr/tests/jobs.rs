//! Every algorithm with kernels of ours, lane count and backend against the RustCrypto crates, in one process: results,
//! their order, and what a release and a new owner make of jobs in the middle.

use std::sync::Arc;

use aes::{Aes128, Aes192, Aes256};
use cipher::block_padding::NoPadding;
use cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit, StreamCipher};
use hmac::{Hmac, KeyInit, Mac};
use mbmgr::{
    Algorithm, Backend, Completed, Config, Direction, Job, JobStatus, Key, KeyId, Kind,
    LAYOUT_HASH, Manager, Options,
};
use rstest::rstest;
use sha2::{Digest, Sha224, Sha256, Sha384, Sha512};
use shmem::{Offset, Placement, Segment, SegmentOptions};

/// Lengths of the jobs of a round, in units of 16 bytes: from the shortest to past a page.
const LENGTHS: [u64; 8] = [1, 17, 4, 33, 2, 260, 16, 5];

/// The algorithms of the lanes and wide kernels; `ciphers.rs` has the others.
const BY_KERNELS: [Algorithm; 14] = [
    Algorithm::Aes128Cbc,
    Algorithm::Aes192Cbc,
    Algorithm::Aes256Cbc,
    Algorithm::Aes128Ctr,
    Algorithm::Aes192Ctr,
    Algorithm::Aes256Ctr,
    Algorithm::Sha224,
    Algorithm::Sha256,
    Algorithm::Sha384,
    Algorithm::Sha512,
    Algorithm::HmacSha224,
    Algorithm::HmacSha256,
    Algorithm::HmacSha384,
    Algorithm::HmacSha512,
];

fn bytes(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    std::iter::repeat_with(next).take(len).collect()
}

struct Case {
    job: Job,
    expected: Vec<u8>,
}

fn oracle(
    algorithm: Algorithm,
    direction: Direction,
    key: &[u8],
    iv: &[u8],
    data: &[u8],
) -> Vec<u8> {
    macro_rules! cbc {
        ($aes:ty) => {
            match direction {
                Direction::Encrypt => cbc::Encryptor::<$aes>::new_from_slices(key, iv)
                    .unwrap()
                    .encrypt_padded_vec::<NoPadding>(data),
                Direction::Decrypt => cbc::Decryptor::<$aes>::new_from_slices(key, iv)
                    .unwrap()
                    .decrypt_padded_vec::<NoPadding>(data)
                    .unwrap(),
            }
        };
    }
    macro_rules! ctr {
        ($aes:ty) => {{
            let mut out = data.to_vec();
            let mut block = [0; 16];
            block[15] = 1;
            block[..iv.len()].copy_from_slice(iv);
            ctr::Ctr128BE::<$aes>::new_from_slices(key, &block).unwrap().apply_keystream(&mut out);
            out
        }};
    }
    macro_rules! hmac {
        ($hash:ty) => {
            Hmac::<$hash>::new_from_slice(key)
                .unwrap()
                .chain_update(data)
                .finalize()
                .into_bytes()
                .to_vec()
        };
    }
    match algorithm {
        Algorithm::Aes128Cbc => cbc!(Aes128),
        Algorithm::Aes192Cbc => cbc!(Aes192),
        Algorithm::Aes256Cbc => cbc!(Aes256),
        Algorithm::Aes128Ctr => ctr!(Aes128),
        Algorithm::Aes192Ctr => ctr!(Aes192),
        Algorithm::Aes256Ctr => ctr!(Aes256),
        Algorithm::Sha256 => Sha256::digest(data).to_vec(),
        Algorithm::Sha512 => Sha512::digest(data).to_vec(),
        Algorithm::Sha224 => Sha224::digest(data).to_vec(),
        Algorithm::Sha384 => Sha384::digest(data).to_vec(),
        Algorithm::HmacSha224 => hmac!(Sha224),
        Algorithm::HmacSha384 => hmac!(Sha384),
        Algorithm::HmacSha256 => hmac!(Sha256),
        Algorithm::HmacSha512 => hmac!(Sha512),
        other => panic!("no oracle for {other}"),
    }
}

fn add_key(manager: &mut Manager, algorithm: Algorithm, key: &[u8]) -> KeyId {
    let key = Key::For(algorithm, key);
    manager.add_key(key).unwrap()
}

/// `count` jobs of an algorithm with lengths, keys and buffers of their own.
fn cases(
    manager: &mut Manager,
    algorithm: Algorithm,
    direction: Direction,
    count: u64,
    in_place: bool,
) -> Vec<Case> {
    let keys = (0..3).map(|i| {
        let len = algorithm.key_len().unwrap_or([20, 64, 131][i]);
        bytes(1000 + i as u64, len)
    });
    let keys = keys.collect::<Vec<_>>();
    let with_key = algorithm.kind() != Kind::Hash;
    let ids = keys.iter().map(|key| with_key.then(|| add_key(manager, algorithm, key)));
    let ids = ids.collect::<Vec<_>>();
    let segment = Arc::clone(manager.segment());
    let make = |user: u64| {
        let number = usize::try_from(user).unwrap();
        let mut len = LENGTHS[number % LENGTHS.len()] * 16;
        if algorithm.block_len() == 1 {
            len = len.saturating_sub(user % 19).max(1);
        }
        let data = bytes(user + 1, usize::try_from(len).unwrap());
        let which = number % keys.len();
        let iv = bytes(
            2000 + user,
            if algorithm.kind() == Kind::Ctr && user.is_multiple_of(2) { 12 } else { 16 },
        );
        let src = segment.arena().alloc(len, 16).unwrap();
        segment.write(src, &data).unwrap();
        let expected = oracle(algorithm, direction, &keys[which], &iv, &data);
        let dst = match algorithm.kind() {
            Kind::Cbc | Kind::Ctr if in_place => src,
            _ => segment.arena().alloc(expected.len() as u64, 16).unwrap(),
        };
        let job = match (algorithm.kind(), ids[which]) {
            (Kind::Cbc | Kind::Ctr, Some(key)) => {
                Job::cipher(algorithm, direction, key, &iv).unwrap()
            }
            (_, Some(key)) => Job::mac(algorithm, key),
            (_, None) => Job::hash(algorithm),
        };
        Case { job: job.from_to(src, dst, len).user(user), expected }
    };
    (0..count).map(make).collect()
}

fn manager(lanes: u32, backend: Backend) -> Manager {
    let config = Config { lanes, ..Config::default() };
    let options = SegmentOptions {
        len: Manager::segment_len(&config, 1 << 20),
        placement: Placement::Anywhere,
        layout_hash: LAYOUT_HASH,
        populate: false,
    };
    let segment = Segment::create_anonymous("jobs", &options).unwrap();
    Manager::create(&segment, &config, &Options { backend: Some(backend), ..Options::default() })
        .unwrap()
}

fn check(segment: &Segment, cases: &[Case], back: &[Completed]) {
    for (number, (case, done)) in cases.iter().zip(back).enumerate() {
        assert_eq!(done.user, number as u64, "results come in the order of submission");
        assert_eq!(done.status, JobStatus::Ok);
        let mut found = vec![0; case.expected.len()];
        segment.read(case.job.dst, &mut found).unwrap();
        assert_eq!(found, case.expected, "job {number}, {} bytes", case.job.len);
    }
    assert_eq!(back.len(), cases.len());
}

fn directions(algorithm: Algorithm) -> &'static [Direction] {
    match algorithm.kind() {
        Kind::Cbc | Kind::Ctr => &[Direction::Encrypt, Direction::Decrypt],
        _ => &[Direction::Encrypt],
    }
}

#[rstest]
fn results_are_those_of_the_oracle(
    #[values(1, 2, 3, 4, 8, 15, 16)] lanes: u32,
    #[values(true, false)] in_place: bool,
) {
    for backend in Backend::available() {
        for algorithm in BY_KERNELS {
            for &direction in directions(algorithm) {
                let mut manager = manager(lanes, backend);
                let cases = cases(&mut manager, algorithm, direction, 37, in_place);
                let mut back = Vec::new();
                for case in &cases {
                    back.extend(manager.submit(&case.job).unwrap());
                }
                while let Some(done) = manager.flush().unwrap() {
                    back.push(done);
                }
                check(manager.segment(), &cases, &back);
            }
        }
    }
}

/// Every pair of backends: the first owner submits and flushes a few, the second one does the rest.
#[rstest]
fn next_owner_finishes_what_was_released(#[values(0, 1, 9)] flushed: usize) {
    for (first, second) in Backend::available()
        .into_iter()
        .flat_map(|first| Backend::available().into_iter().map(move |second| (first, second)))
    {
        for algorithm in BY_KERNELS {
            for &direction in directions(algorithm) {
                let mut manager = manager(5, first);
                let cases = cases(&mut manager, algorithm, direction, 23, true);
                let mut back = Vec::new();
                for case in &cases {
                    back.extend(manager.submit(&case.job).unwrap());
                }
                for _ in 0..flushed {
                    back.extend(manager.flush().unwrap());
                }
                let (segment, root, epoch) =
                    (Arc::clone(manager.segment()), manager.root(), manager.epoch());
                manager.release().unwrap();

                let options = Options { backend: Some(second), ..Options::default() };
                let mut manager = Manager::attach(&segment, root, &options).unwrap();
                assert_eq!(manager.epoch(), epoch + 1);
                let redelivered = usize::try_from(manager.recovered().unacknowledged).unwrap();
                back.truncate(back.len() - redelivered);
                let first_new = back.len();
                while let Some(done) = manager.flush().unwrap() {
                    back.push(done);
                }
                for (number, done) in back.iter().enumerate() {
                    let again = (first_new..first_new + redelivered).contains(&number);
                    assert_eq!(done.redelivered, again, "job {number}");
                }
                check(&segment, &cases, &back);
            }
        }
    }
}

#[test]
fn mac_is_truncated_to_the_tag() {
    let mut manager = manager(16, Backend::best());
    let segment = Arc::clone(manager.segment());
    let key = manager.add_key(Key::HmacSha256(b"key")).unwrap();
    let buffer = segment.arena().alloc(128, 64).unwrap();
    segment.write(buffer, &[0x55; 128]).unwrap();
    let tag = Offset::new(buffer.get() + 64);
    let job = Job::mac(Algorithm::HmacSha256, key).from_to(buffer, tag, 40).tag_len(12);
    manager.submit(&job).unwrap();
    manager.flush().unwrap().unwrap();
    let mut found = [0; 64];
    segment.read(tag, &mut found).unwrap();
    let full = oracle(Algorithm::HmacSha256, Direction::Encrypt, b"key", &[], &[0x55; 40]);
    assert_eq!(found[..12], full[..12]);
    assert_eq!(found[12..], [0x55; 52], "bytes after the tag stay");
}

#[test]
fn empty_message_has_a_digest() {
    for backend in Backend::available() {
        let mut manager = manager(16, backend);
        let segment = Arc::clone(manager.segment());
        let buffer = segment.arena().alloc(64, 64).unwrap();
        manager.submit(&Job::hash(Algorithm::Sha512).from_to(buffer, buffer, 0)).unwrap();
        manager.flush().unwrap().unwrap();
        let mut found = [0; 64];
        segment.read(buffer, &mut found).unwrap();
        assert_eq!(found[..], Sha512::digest(b"")[..]);
    }
}

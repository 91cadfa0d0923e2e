//! Chained jobs through a manager: published vectors of a cipher and a MAC together, what must be
//! refused, keys in use, and a change of owner between the parts.

use std::sync::Arc;

use mbmgr::{
    Algorithm, Authentication, Backend, Config, Direction, Error, Failure, Job, JobStatus, Key,
    KeyId, LAYOUT_HASH, Manager, Options,
};
use rstest::rstest;
use shmem::{Offset, Placement, Segment, SegmentOptions};

const LEN: u64 = 256;
/// Places in a buffer of 4096 bytes.
const TEXT: u64 = 64;
const OUT: u64 = 1024;
const TAG: u64 = 2048;

struct Bench {
    segment: Arc<Segment>,
    manager: Manager,
    buffer: Offset,
    aes: KeyId,
    hmac: KeyId,
}

const AES: [u8; 16] = [7; 16];
const HMAC: [u8; 20] = [9; 20];

fn bench(backend: Option<Backend>) -> Bench {
    let config = Config { lanes: 4, ..Config::default() };
    let options = SegmentOptions {
        len: Manager::segment_len(&config, 1 << 16),
        placement: Placement::Anywhere,
        layout_hash: LAYOUT_HASH,
        populate: false,
    };
    let segment = Segment::create_anonymous("chained", &options).unwrap();
    let options = Options { backend, ..Options::default() };
    let mut manager = Manager::create(&segment, &config, &options).unwrap();
    let aes = manager.add_key(Key::Aes(&AES)).unwrap();
    let hmac = manager.add_key(Key::For(Algorithm::HmacSha256, &HMAC)).unwrap();
    let buffer = segment.arena().alloc(4096, 64).unwrap();
    let text: Vec<u8> = (0..=255).collect();
    let bench = Bench { segment, manager, buffer, aes, hmac };
    bench.segment.write(bench.at(TEXT), &text).unwrap();
    bench
}

impl Bench {
    fn at(&self, offset: u64) -> Offset {
        Offset::new(self.buffer.get() + offset)
    }

    fn read(&self, at: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.segment.read(self.at(at), &mut bytes).unwrap();
        bytes
    }

    fn cipher(&self, direction: Direction) -> Job {
        let job = Job::cipher(Algorithm::Aes128Cbc, direction, self.aes, &[3; 16]).unwrap();
        job.in_place(self.at(TEXT), LEN)
    }

    fn hash(&self, src: u64, len: u32, tag: u64) -> Authentication {
        Authentication {
            algorithm: Algorithm::HmacSha256,
            key: Some(self.hmac),
            src: self.at(src),
            len,
            tag: self.at(tag),
            tag_len: 16,
        }
    }

    fn run(&mut self, job: &Job) -> JobStatus {
        let done = self.manager.submit(job).unwrap();
        done.or_else(|| self.manager.flush().unwrap()).expect("one job is outstanding").status
    }
}

fn hmac(text: &[u8]) -> Vec<u8> {
    use hmac::{Hmac, KeyInit, Mac};
    let mut mac = <Hmac<sha2::Sha256> as KeyInit>::new_from_slice(&HMAC).unwrap();
    mac.update(text);
    mac.finalize().into_bytes()[..16].to_vec()
}

fn cbc(text: &[u8]) -> Vec<u8> {
    use cbc::cipher::{BlockModeEncrypt, KeyIvInit, block_padding::NoPadding};
    cbc::Encryptor::<aes::Aes128>::new(&AES.into(), &[3; 16].into())
        .encrypt_padded_vec::<NoPadding>(text)
}

#[rstest]
fn encrypt_then_mac_and_back(
    #[values(Backend::Portable, Backend::AesNi, Backend::Vaes256, Backend::Vaes512)]
    backend: Backend,
) {
    if !backend.is_available() {
        return;
    }
    let mut bench = bench(Some(backend));
    let text = bench.read(TEXT, 256);
    let head = bench.read(TEXT - 8, 8);
    let job = bench.cipher(Direction::Encrypt).then_hash(bench.hash(TEXT - 8, 264, TAG));
    assert_eq!(bench.run(&job), JobStatus::Ok);
    assert_eq!(bench.read(TEXT, 256), cbc(&text));
    assert_eq!(bench.read(TAG, 16), hmac(&[head, cbc(&text)].concat()));

    let job = bench.cipher(Direction::Decrypt).after_hash(bench.hash(TEXT - 8, 264, TAG));
    assert_eq!(bench.run(&job), JobStatus::Ok);
    assert_eq!(bench.read(TEXT, 256), text);
}

#[test]
fn verify_then_decrypt_writes_nothing_for_a_wrong_tag() {
    let mut bench = bench(None);
    let text = bench.read(TEXT, 256);
    let job = bench.cipher(Direction::Decrypt).after_hash(bench.hash(TEXT, 256, TAG));
    assert_eq!(bench.run(&job), JobStatus::Failed(Failure::TagMismatch));
    assert_eq!((bench.read(TEXT, 256), bench.read(TAG, 16)), (text, vec![0; 16]));
}

/// As TLS has it: the tag is the end of what is encrypted.
#[test]
fn mac_then_encrypt_takes_the_tag_along_and_decrypt_then_verify_finds_it() {
    let mut bench = bench(None);
    let mut text = bench.read(TEXT, 256);
    let tag = hmac(&text[..240]);
    text[240..].copy_from_slice(&tag);
    let job = bench.cipher(Direction::Encrypt).after_hash(bench.hash(TEXT, 240, TEXT + 240));
    assert_eq!(bench.run(&job), JobStatus::Ok);
    assert_eq!(bench.read(TEXT, 256), cbc(&text));

    let job = bench.cipher(Direction::Decrypt).then_hash(bench.hash(TEXT, 240, TEXT + 240));
    assert_eq!(bench.run(&job), JobStatus::Ok);
    assert_eq!(bench.read(TEXT, 256), text);
    assert_eq!(bench.run(&job), JobStatus::Failed(Failure::TagMismatch), "garbage is refused");
}

#[test]
fn null_cipher_writes_and_compares_a_tag() {
    let mut bench = bench(None);
    let text = bench.read(TEXT, 256);
    let hash = bench.hash(TEXT, 256, TAG);
    let status = bench.run(&Job::null_cipher(Direction::Decrypt, hash));
    assert_eq!(status, JobStatus::Failed(Failure::TagMismatch));
    assert_eq!(bench.run(&Job::null_cipher(Direction::Encrypt, hash)), JobStatus::Ok);
    assert_eq!(bench.read(TAG, 16), hmac(&text));
    assert_eq!(bench.run(&Job::null_cipher(Direction::Decrypt, hash)), JobStatus::Ok);
    assert_eq!(bench.read(TEXT, 256), text);
}

/// Jobs of both kinds share the lanes: chained ones fill up a group with plain ones, in both parts.
#[test]
fn chained_jobs_share_lanes_with_plain_ones() {
    let mut bench = bench(None);
    let places: Vec<u64> = (0..8).map(|i| i * 512).collect();
    let buffer = bench.segment.arena().alloc(4096, 64).unwrap();
    let at = |offset: u64| Offset::new(buffer.get() + offset);
    let mut back = Vec::new();
    for (user, &place) in (0..).zip(&places) {
        let cipher = bench.cipher(Direction::Encrypt).in_place(at(place), 64).user(user);
        let hash =
            Authentication { src: at(place), len: 64, tag: at(place + 64), ..bench.hash(0, 0, 0) };
        let job = if user % 2 == 0 { cipher.then_hash(hash) } else { cipher };
        back.extend(bench.manager.submit(&job).unwrap());
    }
    // Four lanes: both runs of the cipher are over, and the four hashes filled their lanes.
    assert_eq!(back.len() as u64 + bench.manager.queue_len(), 8);
    while let Some(done) = bench.manager.completed().unwrap() {
        back.push(done);
    }
    assert_eq!(back.len(), 8, "nothing waits for a flush");
    for (user, &place) in places.iter().enumerate() {
        let mut found = [0; 80];
        bench.segment.read(at(place), &mut found).unwrap();
        assert_eq!(found[..64], cbc(&[0; 64]));
        let tag = if user % 2 == 0 { hmac(&cbc(&[0; 64])) } else { vec![0; 16] };
        assert_eq!(found[64..], tag, "job {user}");
        assert_eq!(back[user].user, user as u64);
    }
}

#[test]
fn both_keys_are_in_use_until_the_job_ends() {
    let mut bench = bench(None);
    let job = bench.cipher(Direction::Encrypt).then_hash(bench.hash(TEXT, 256, TAG));
    assert!(bench.manager.submit(&job).unwrap().is_none(), "it waits in a lane");
    for key in [bench.aes, bench.hmac] {
        let error = bench.manager.remove_key(key).unwrap_err();
        assert!(matches!(error, Error::KeyInUse { jobs: 1, .. }), "{error}");
    }
    bench.manager.flush().unwrap().unwrap();
    for key in [bench.aes, bench.hmac] {
        bench.manager.remove_key(key).unwrap();
    }
}

#[test]
fn a_new_owner_goes_on_with_chained_jobs() {
    let mut bench = bench(None);
    let text = bench.read(TEXT, 256);
    let job = bench.cipher(Direction::Encrypt).then_hash(bench.hash(TEXT, 256, TAG)).user(5);
    assert!(bench.manager.submit(&job).unwrap().is_none(), "it waits in a lane");
    let Bench { segment, manager, buffer, aes, hmac: key } = bench;
    let root = manager.root();
    manager.release().unwrap();
    let standby = mbmgr::Standby::attach(&segment, root, &Options::default()).unwrap();
    let mbmgr::Wait::TakenOver(manager) = standby.wait(None).unwrap() else { panic!("released") };
    let mut bench = Bench { segment, manager: *manager, buffer, aes, hmac: key };
    let done = bench.manager.flush().unwrap().expect("one job is outstanding");
    assert_eq!((done.user, done.status), (5, JobStatus::Ok));
    assert_eq!(bench.read(TEXT, 256), cbc(&text));
    assert_eq!(bench.read(TAG, 16), hmac(&cbc(&text)));
}

fn refused(job: impl FnOnce(&Bench) -> Job) -> Error {
    let mut bench = bench(None);
    let job = job(&bench);
    let error = bench.manager.submit(&job).expect_err("the job must be refused");
    // Also behind a good one of the same kind, whose plan a check may take over.
    let hash = bench.hash(TEXT, 256, TAG);
    for direction in [Direction::Encrypt, Direction::Decrypt] {
        let cipher = bench.cipher(direction);
        for good in [cipher.then_hash(hash), cipher.after_hash(hash)] {
            let burst = bench.manager.submit_burst(&[good, job], &mut Vec::new());
            assert_eq!(burst.expect_err("so must the burst").to_string(), error.to_string());
        }
    }
    assert_eq!(bench.manager.queue_len(), 0, "a refused job is not queued");
    error
}

#[rstest]
#[case::in_the_ciphertext(TEXT - 8, TEXT + 255)]
#[case::in_both(TEXT - 8, TEXT - 8)]
#[case::in_what_is_hashed(OUT, OUT + 8)]
fn tag_in_what_a_crash_needs_is_refused(#[case] hashed: u64, #[case] tag: u64) {
    let error =
        refused(|bench| bench.cipher(Direction::Encrypt).then_hash(bench.hash(hashed, 64, tag)));
    assert!(matches!(error, Error::Overlap { .. } | Error::PartialOverlap { .. }), "{error}");
}

#[test]
fn tag_in_the_output_is_refused_where_the_cipher_comes_after() {
    for direction in [Direction::Encrypt, Direction::Decrypt] {
        let error = refused(|bench| {
            let apart = bench.cipher(direction).from_to(bench.at(TEXT), bench.at(OUT), LEN);
            apart.after_hash(bench.hash(TEXT, 200, OUT + 200))
        });
        assert!(matches!(error, Error::Overlap { with: "the destination", .. }), "{error}");
    }
}

#[test]
fn what_is_no_cipher_or_no_hash_is_refused() {
    let aead = refused(|bench| {
        let job = Job::aead(Algorithm::Aes128Gcm, Direction::Encrypt, bench.aes, &[1; 12]).unwrap();
        job.in_place(bench.at(TEXT), LEN).then_hash(bench.hash(TEXT, 16, TAG))
    });
    assert!(matches!(aead, Error::Chain { as_what: "cipher", .. }), "{aead}");
    let cipher = refused(|bench| {
        let hash = Authentication {
            algorithm: Algorithm::Aes128Cbc,
            key: Some(bench.aes),
            ..bench.hash(TEXT, 16, TAG)
        };
        bench.cipher(Direction::Encrypt).then_hash(hash)
    });
    assert!(matches!(cipher, Error::Chain { as_what: "hash", .. }), "{cipher}");
    let with_iv = refused(|bench| {
        let hash = Authentication {
            algorithm: Algorithm::Aes128Gmac,
            key: Some(bench.aes),
            ..bench.hash(TEXT, 16, TAG)
        };
        bench.cipher(Direction::Encrypt).then_hash(hash)
    });
    assert!(matches!(with_iv, Error::IvLength { len: 0, .. }), "{with_iv}");
    let keyless = refused(|bench| {
        let hash = Authentication { key: None, ..bench.hash(TEXT, 16, TAG) };
        bench.cipher(Direction::Encrypt).then_hash(hash)
    });
    assert!(matches!(keyless, Error::KeyPresence { needs: true, .. }), "{keyless}");
    let foreign = refused(|bench| {
        let hash = Authentication { src: Offset::new(1 << 40), ..bench.hash(TEXT, 16, TAG) };
        bench.cipher(Direction::Encrypt).then_hash(hash)
    });
    assert!(matches!(foreign, Error::ForeignBuffer { .. }), "{foreign}");
}

/// `refused` submits it alone, which takes the full check, and in a burst beside a plan.
#[rstest]
fn buffer_whose_end_is_out_of_range_is_refused(
    #[values(Direction::Encrypt, Direction::Decrypt)] direction: Direction,
) {
    for order in [Job::then_hash, Job::after_hash] {
        let error = refused(|bench| {
            let nowhere = Offset::new(u64::MAX - 15);
            let job = bench.cipher(direction).in_place(nowhere, LEN);
            order(job, bench.hash(TEXT, 64, TAG))
        });
        assert!(matches!(error, Error::ForeignBuffer { .. }), "{error}");
    }
}

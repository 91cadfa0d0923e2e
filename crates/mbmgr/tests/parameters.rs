//! Every request that must be refused, and that a refusal changes nothing.

use std::sync::Arc;

use mbmgr::{
    Acknowledge, Algorithm, Backend, Config, Direction, Error, Job, Key, KeyId, LAYOUT_HASH,
    MAX_JOB_LEN, Manager, Options,
};
use rstest::rstest;
use shmem::{Offset, Placement, Segment, SegmentOptions};

const BUFFERS: u64 = 1 << 16;
const IV: [u8; 16] = [9; 16];

fn segment(config: &Config) -> Arc<Segment> {
    let options = SegmentOptions {
        len: Manager::segment_len(config, BUFFERS),
        placement: Placement::Anywhere,
        layout_hash: LAYOUT_HASH,
        populate: false,
    };
    Segment::create_anonymous("parameters", &options).unwrap()
}

/// A manager with one AES-128 key and a buffer of 4096 bytes.
struct Bench {
    manager: Manager,
    key: KeyId,
    buffer: Offset,
}

fn bench_with(config: &Config, options: &Options) -> Bench {
    let segment = segment(config);
    let mut manager = Manager::create(&segment, config, options).unwrap();
    let key = manager.add_key(Key::Aes(&[1; 16])).unwrap();
    let buffer = segment.arena().alloc(4096, 64).unwrap();
    Bench { manager, key, buffer }
}

fn bench() -> Bench {
    bench_with(&Config::default(), &Options::default())
}

impl Bench {
    fn cbc(&self) -> Job {
        Job::cipher(Algorithm::Aes128Cbc, Direction::Encrypt, self.key, &IV).unwrap()
    }

    /// Submits, expects a refusal, and checks that a good job still passes through alone.
    fn refuse(mut self, job: &Job) -> Error {
        let error = self.manager.submit(job).expect_err("the job must be refused");
        let burst = self.manager.submit_burst(&[self.good(), *job], &mut Vec::new());
        assert_eq!(burst.expect_err("so must the burst").to_string(), error.to_string());
        assert_eq!(self.manager.queue_len(), 0, "a refused job must not be queued");
        let good = self.good().user(77);
        self.manager.submit(&good).unwrap();
        assert_eq!(self.manager.flush().unwrap().unwrap().user, 77);
        assert_eq!(self.manager.flush().unwrap(), None);
        error
    }

    fn good(&self) -> Job {
        self.cbc().in_place(self.buffer, 64)
    }
}

#[test]
fn zero_length_is_refused() {
    let bench = bench();
    let job = bench.cbc().in_place(bench.buffer, 0);
    assert!(matches!(bench.refuse(&job), Error::ZeroLength { min: 16, .. }));
}

#[rstest]
#[case(1)]
#[case(15)]
#[case(17)]
#[case(4095)]
fn unaligned_length_is_refused(#[case] len: u64) {
    let bench = bench();
    let job = bench.cbc().in_place(bench.buffer, len);
    assert!(matches!(bench.refuse(&job), Error::UnalignedLength { block: 16, .. }));
}

#[test]
fn too_long_a_job_is_refused() {
    let bench = bench();
    let job = bench.cbc().in_place(bench.buffer, MAX_JOB_LEN + 16);
    assert!(matches!(bench.refuse(&job), Error::TooLong { max: MAX_JOB_LEN, .. }));
}

#[rstest]
#[case::null(0)]
#[case::segment_header(64)]
#[case::past_the_end(1 << 40)]
#[case::wraps(u64::MAX - 15)]
fn foreign_source_is_refused(#[case] at: u64) {
    let bench = bench();
    let job = bench.cbc().from_to(Offset::new(at), bench.buffer, 64);
    let error = bench.refuse(&job);
    assert!(matches!(error, Error::ForeignBuffer { what: "source", .. }), "{error}");
}

#[rstest]
#[case::null(0)]
#[case::past_the_end(1 << 40)]
fn foreign_destination_is_refused(#[case] at: u64) {
    let bench = bench();
    let job = bench.cbc().from_to(bench.buffer, Offset::new(at), 64);
    let error = bench.refuse(&job);
    assert!(matches!(error, Error::ForeignBuffer { what: "destination", .. }), "{error}");
}

#[test]
fn buffer_that_ends_after_the_arena_is_refused() {
    let bench = bench();
    let end = bench.manager.segment().arena().end();
    let job = bench.cbc().in_place(Offset::new(end.get() - 32), 64);
    assert!(matches!(bench.refuse(&job), Error::ForeignBuffer { .. }));
}

#[test]
fn buffer_inside_the_manager_is_refused() {
    let bench = bench();
    let inside = bench.manager.segment().root(bench.manager.root()).unwrap().unwrap();
    for at in [inside.get(), inside.get() + Manager::size(&Config::default()) - 64] {
        let bench = crate::bench();
        let job = bench.cbc().in_place(Offset::new(at), 64);
        assert!(matches!(bench.refuse(&job), Error::ForeignBuffer { .. }));
    }
}

#[rstest]
#[case(16)]
#[case(63)]
#[case(1)]
fn partial_overlap_is_refused(#[case] shift: u64) {
    for (from, to) in [(0, shift), (shift, 0)] {
        let bench = bench();
        let at = |offset| Offset::new(bench.buffer.get() + offset);
        let job = bench.cbc().from_to(at(from), at(to), 64);
        assert!(matches!(bench.refuse(&job), Error::PartialOverlap { .. }));
    }
}

#[test]
fn digest_inside_its_input_is_refused() {
    let bench = bench();
    let job = Job::hash(Algorithm::Sha256).from_to(bench.buffer, bench.buffer, 64);
    assert!(matches!(bench.refuse(&job), Error::PartialOverlap { .. }));
}

#[rstest]
#[case(Algorithm::Aes128Cbc, 12, "16")]
#[case(Algorithm::Aes256Cbc, 0, "16")]
#[case(Algorithm::Aes128Ctr, 8, "12 or 16")]
#[case(Algorithm::Aes128Ctr, 17, "12 or 16")]
fn wrong_iv_length_is_refused(
    #[case] algorithm: Algorithm,
    #[case] len: usize,
    #[case] right: &'static str,
) {
    let key = KeyId::from_bits(0);
    let error = Job::cipher(algorithm, Direction::Encrypt, key, &vec![0; len]).unwrap_err();
    assert!(matches!(error, Error::IvLength { takes, .. } if takes == right), "{error}");
}

#[test]
fn key_of_another_kind_is_refused() {
    let bench = bench();
    let job = Job::cipher(Algorithm::Aes256Cbc, Direction::Encrypt, bench.key, &IV).unwrap();
    let job = job.in_place(bench.buffer, 64);
    let error = bench.refuse(&job);
    assert!(matches!(error, Error::KeyKind { takes: "aes-256", found: "aes-128", .. }), "{error}");
}

/// Its algorithm is that of the job before, so only the key is looked at.
#[test]
fn key_of_another_kind_is_refused_also_after_a_good_job() {
    let mut bench = bench();
    let other = bench.manager.add_key(Key::Aes(&[1; 32])).unwrap();
    let mut job = bench.good();
    job.key = Some(other);
    let error = bench.refuse(&job);
    assert!(matches!(error, Error::KeyKind { takes: "aes-128", found: "aes-256", .. }), "{error}");
}

#[test]
fn missing_and_superfluous_keys_are_refused() {
    let bench = bench();
    let mut job = bench.good();
    job.key = None;
    assert!(matches!(bench.refuse(&job), Error::KeyPresence { needs: true, .. }));

    let bench = crate::bench();
    let digest = Offset::new(bench.buffer.get() + 1024);
    let mut job = Job::hash(Algorithm::Sha256).from_to(bench.buffer, digest, 64);
    job.key = Some(bench.key);
    assert!(matches!(bench.refuse(&job), Error::KeyPresence { needs: false, .. }));
}

#[rstest]
#[case::never_added(5)]
#[case::out_of_the_table(1 << 20)]
#[case::another_generation(7 << 32)]
fn unknown_key_is_refused(#[case] bits: u64) {
    let bench = bench();
    let mut job = bench.good();
    job.key = Some(KeyId::from_bits(bits));
    assert!(matches!(bench.refuse(&job), Error::UnknownKey { .. }));
}

#[rstest]
#[case(Algorithm::HmacSha256, 33)]
#[case(Algorithm::HmacSha256, 3)]
#[case(Algorithm::HmacSha512, 65)]
fn tag_of_wrong_length_is_refused(#[case] algorithm: Algorithm, #[case] len: u8) {
    let mut bench = bench();
    let key = match algorithm {
        Algorithm::HmacSha256 => Key::HmacSha256(&[1; 20]),
        _ => Key::HmacSha512(&[1; 20]),
    };
    let key = bench.manager.add_key(key).unwrap();
    let digest = Offset::new(bench.buffer.get() + 1024);
    let job = Job::mac(algorithm, key).from_to(bench.buffer, digest, 64).tag_len(len);
    assert!(matches!(bench.refuse(&job), Error::TagLength { .. }));
}

#[test]
fn removed_key_is_refused_and_its_entry_is_used_again() {
    let mut bench = bench();
    bench.manager.remove_key(bench.key).unwrap();
    assert!(matches!(bench.manager.remove_key(bench.key), Err(Error::UnknownKey { .. })));
    assert!(matches!(bench.manager.submit(&bench.good()), Err(Error::UnknownKey { .. })));
    let again = bench.manager.add_key(Key::Aes(&[2; 16])).unwrap();
    assert_ne!(again, bench.key, "an old id must not name a new key");
    assert!(matches!(bench.manager.submit(&bench.good()), Err(Error::UnknownKey { .. })));
}

#[test]
fn key_in_use_is_not_removed() {
    let mut bench = bench();
    bench.manager.submit(&bench.good()).unwrap();
    let error = bench.manager.remove_key(bench.key).unwrap_err();
    assert!(matches!(error, Error::KeyInUse { jobs: 1, .. }), "{error}");
    bench.manager.flush().unwrap();
    bench.manager.remove_key(bench.key).unwrap();
}

#[rstest]
#[case(0)]
#[case(15)]
#[case(33)]
fn aes_key_of_wrong_length_is_refused(#[case] len: usize) {
    let error = bench().manager.add_key(Key::Aes(&vec![0; len])).unwrap_err();
    assert!(matches!(error, Error::KeyLength { len: found } if found == len), "{error}");
}

#[test]
fn full_key_table_is_refused() {
    let config = Config { keys: 1, ..Config::default() };
    let mut bench = bench_with(&config, &Options::default());
    let error = bench.manager.add_key(Key::Aes(&[2; 16])).unwrap_err();
    assert!(matches!(error, Error::KeyTableFull { keys: 1 }), "{error}");
}

#[rstest]
#[case(Config { ring: 0, ..Config::default() })]
#[case(Config { ring: 3, ..Config::default() })]
#[case(Config { ring: 131_072, ..Config::default() })]
#[case(Config { lanes: 0, ..Config::default() })]
#[case(Config { lanes: 17, ..Config::default() })]
#[case(Config { keys: 0, ..Config::default() })]
fn config_out_of_range_is_refused(#[case] config: Config) {
    let segment = segment(&Config::default());
    let result = Manager::create(&segment, &config, &Options::default());
    assert!(matches!(result.err(), Some(Error::Config { .. })));
}

#[test]
fn full_ring_is_refused_until_something_is_acknowledged() {
    let config = Config { ring: 4, lanes: 2, ..Config::default() };
    let explicit = Options { acknowledge: Acknowledge::Explicit, ..Options::default() };
    let mut bench = bench_with(&config, &explicit);
    let job = |i: u64| bench.cbc().in_place(Offset::new(bench.buffer.get() + 64 * i), 64).user(i);
    let jobs = (0..6).map(job).collect::<Vec<_>>();
    let mut back = Vec::new();
    for job in &jobs[..4] {
        back.extend(bench.manager.submit(job).unwrap());
    }
    let error = bench.manager.submit(&jobs[4]).unwrap_err();
    assert!(matches!(error, Error::RingFull { ring: 4 }), "{error}");
    assert!(matches!(
        bench.manager.submit_burst(&jobs[4..], &mut back),
        Err(Error::RingFull { .. })
    ));

    let beyond = bench.manager.acknowledge(4).unwrap_err();
    assert!(matches!(beyond, Error::NotReturned { sequence: 4, .. }), "{beyond}");
    bench.manager.acknowledge(back[0].sequence).unwrap();
    back.extend(bench.manager.submit(&jobs[4]).unwrap());
    assert!(matches!(bench.manager.submit(&jobs[5]), Err(Error::RingFull { .. })));
    while let Some(done) = bench.manager.flush().unwrap() {
        back.push(done);
    }
    assert_eq!(back.iter().map(|done| done.user).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
}

#[test]
fn ring_of_one_and_a_burst_over_the_ring_pass_through() {
    let config = Config { ring: 1, ..Config::default() };
    let mut bench = bench_with(&config, &Options::default());
    for user in 0..3 {
        let back = bench.manager.submit(&bench.good().user(user)).unwrap();
        assert_eq!(back.unwrap().user, user, "a full ring finishes its earliest job");
    }

    let config = Config { ring: 8, lanes: 4, ..Config::default() };
    let mut bench = bench_with(&config, &Options::default());
    let job = |i: u64| bench.cbc().in_place(Offset::new(bench.buffer.get() + 64 * i), 64).user(i);
    let jobs = (0..20).map(job).collect::<Vec<_>>();
    let (mut next, mut back) = (0, Vec::new());
    while next < jobs.len() {
        next += bench.manager.submit_burst(&jobs[next..], &mut back).unwrap();
    }
    while let Some(done) = bench.manager.flush().unwrap() {
        back.push(done);
    }
    assert_eq!(back.iter().map(|done| done.user).collect::<Vec<_>>(), (0..20).collect::<Vec<_>>());
}

#[test]
fn second_owner_is_refused_by_name() {
    let bench = bench();
    let segment = Arc::clone(bench.manager.segment());
    let error = Manager::attach(&segment, bench.manager.root(), &Options::default()).err().unwrap();
    let Error::Owned(owner) = &error else { panic!("{error}") };
    assert_eq!(owner.pid, std::process::id());
    assert!(error.to_string().contains(&std::process::id().to_string()), "{error}");
}

#[test]
fn empty_root_is_refused() {
    let segment = segment(&Config::default());
    for root in [0, 63] {
        let error = Manager::attach(&segment, root, &Options::default()).err().unwrap();
        assert!(matches!(error, Error::NoManager { .. }), "{error}");
    }
    assert!(Manager::attach(&segment, 64, &Options::default()).is_err());
}

#[test]
fn unavailable_backend_is_refused_with_the_available_ones() {
    let segment = segment(&Config::default());
    for backend in Backend::ALL {
        let options = Options { backend: Some(backend), ..Options::default() };
        match Manager::create(&segment, &Config::default(), &options) {
            Ok(manager) => {
                assert!(backend.is_available());
                assert_eq!(manager.backend(), backend);
                return;
            }
            Err(error) => {
                assert!(!backend.is_available());
                assert!(error.to_string().contains("portable"), "{error}");
            }
        }
    }
}

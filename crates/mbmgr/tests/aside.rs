//! What must be refused of a job with more than a message: tags, associated data, long IVs, keys by
//! algorithm.

use mbmgr::{
    Algorithm, Config, Direction, Error, Job, JobStatus, Key, KeyId, LAYOUT_HASH, Manager, Options,
};
use rstest::rstest;
use shmem::{Offset, Placement, Segment, SegmentOptions};

/// Places in a buffer of 4096 bytes: message, output, tag, associated data.
const SRC: u64 = 0;
const DST: u64 = 1024;
const TAG: u64 = 2048;
const AAD: u64 = 3072;
const LEN: u64 = 256;

struct Bench {
    manager: Manager,
    key: KeyId,
    buffer: Offset,
}

fn bench() -> Bench {
    let config = Config::default();
    let options = SegmentOptions {
        len: Manager::segment_len(&config, 1 << 16),
        placement: Placement::Anywhere,
        layout_hash: LAYOUT_HASH,
        populate: false,
    };
    let segment = Segment::create_anonymous("aside", &options).unwrap();
    let mut manager = Manager::create(&segment, &config, &Options::default()).unwrap();
    let key = manager.add_key(Key::Aes(&[1; 16])).unwrap();
    let buffer = segment.arena().alloc(4096, 64).unwrap();
    Bench { manager, key, buffer }
}

impl Bench {
    fn at(&self, offset: u64) -> Offset {
        Offset::new(self.buffer.get() + offset)
    }

    fn seal(&self) -> Job {
        Job::aead(Algorithm::Aes128Gcm, Direction::Encrypt, self.key, &[2; 12])
            .unwrap()
            .from_to(self.at(SRC), self.at(DST), LEN)
            .aad(self.at(AAD), 32)
            .tag(self.at(TAG), 16)
    }

    /// Refused, and a good job still passes.
    fn refuse(mut self, job: &Job) -> Error {
        let error = self.manager.submit(job).expect_err("the job must be refused");
        // Also behind a good one of the same kind, whose plan a check may take over.
        let burst = self.manager.submit_burst(&[self.seal(), *job], &mut Vec::new());
        assert_eq!(burst.expect_err("so must the burst").to_string(), error.to_string());
        let done = self.manager.submit(&self.seal().user(7)).unwrap().unwrap();
        assert_eq!((done.user, done.sequence), (7, 0), "a refused job must not be queued");
        error
    }
}

#[rstest]
#[case::in_the_source(SRC + LEN - 1, "the source")]
#[case::in_the_destination(DST, "the destination")]
#[case::in_the_associated_data(AAD + 31, "the associated data")]
fn tag_that_overlaps_is_refused(#[case] at: u64, #[case] other: &str) {
    let bench = bench();
    let job = bench.seal().tag(bench.at(at), 16);
    let error = bench.refuse(&job);
    assert!(matches!(error, Error::Overlap { what: "tag", with, .. } if with == other), "{error}");
}

/// Nobody looks where associated data of no bytes would lie.
#[rstest]
fn no_associated_data_need_no_place(
    #[values(Algorithm::Aes128Gcm, Algorithm::Aes128Ccm)] algorithm: Algorithm,
) {
    let mut tags = Vec::new();
    for placed in [true, false] {
        let mut bench = bench();
        let job = Job::aead(algorithm, Direction::Encrypt, bench.key, &[2; 12])
            .unwrap()
            .from_to(bench.at(SRC), bench.at(DST), LEN)
            .tag(bench.at(TAG), 16);
        let job = if placed { job.aad(bench.at(AAD), 0) } else { job };
        let done = match bench.manager.submit(&job).unwrap() {
            Some(done) => done,
            None => bench.manager.flush().unwrap().unwrap(),
        };
        assert_eq!(done.status, JobStatus::Ok);
        let mut tag = [0; 16];
        bench.manager.segment().read(bench.at(TAG), &mut tag).unwrap();
        tags.push(tag);
    }
    assert!(tags[0] == tags[1] && tags[0] != [0; 16], "{tags:?}");
}

#[test]
fn associated_data_in_the_destination_is_refused() {
    let bench = bench();
    let job = bench.seal().aad(bench.at(DST + LEN - 1), 32);
    let error = bench.refuse(&job);
    assert!(matches!(error, Error::Overlap { what: "associated data", .. }), "{error}");
}

#[test]
fn long_iv_in_what_is_written_is_refused() {
    for at in [DST, TAG] {
        let bench = bench();
        let iv = bench.at(at);
        let algorithm = Algorithm::Aes128Gcm;
        let job = Job::with_iv_at(algorithm, Direction::Encrypt, bench.key, iv, 20)
            .from_to(bench.at(SRC), bench.at(DST), LEN)
            .tag(bench.at(TAG), 16);
        let error = bench.refuse(&job);
        assert!(matches!(error, Error::Overlap { .. }), "{error}");
    }
}

#[rstest]
#[case(1025)]
#[case(u32::MAX)]
fn too_long_an_iv_is_refused(#[case] len: u32) {
    let bench = bench();
    let at = bench.at(AAD);
    let job = Job::with_iv_at(Algorithm::Aes128Gcm, Direction::Encrypt, bench.key, at, len)
        .from_to(bench.at(SRC), bench.at(DST), LEN)
        .tag(bench.at(TAG), 16);
    let error = bench.refuse(&job);
    assert!(matches!(error, Error::IvLength { takes: "1 to 1024", .. }), "{error}");
}

#[test]
fn foreign_tag_and_associated_data_are_refused() {
    for far in [0, 8, 1 << 40, u64::MAX - 3] {
        let bench = bench();
        let job = bench.seal().tag(Offset::new(far), 16);
        let error = bench.refuse(&job);
        assert!(matches!(error, Error::ForeignBuffer { what: "tag", .. }), "{error}");
        let bench = crate::bench();
        let job = bench.seal().aad(Offset::new(far), 16);
        let error = bench.refuse(&job);
        assert!(matches!(error, Error::ForeignBuffer { what: "associated data", .. }), "{error}");
    }
}

#[rstest]
#[case(Algorithm::Aes128Gcm, 3, "4 to 16")]
#[case(Algorithm::Aes128Gcm, 17, "4 to 16")]
#[case(Algorithm::Aes128Ccm, 7, "4 to 16 in steps of 2")]
fn tag_of_wrong_length_is_refused(
    #[case] algorithm: Algorithm,
    #[case] len: u8,
    #[case] right: &str,
) {
    let bench = bench();
    let mut job = bench.seal().tag(bench.at(TAG), len);
    job.algorithm = algorithm;
    let error = bench.refuse(&job);
    assert!(matches!(&error, Error::TagLength { takes, .. } if takes == right), "{error}");
}

#[test]
fn associated_data_of_a_mac_is_refused() {
    let bench = bench();
    let job = Job::mac(Algorithm::Aes128Cmac, bench.key)
        .from_to(bench.at(SRC), bench.at(TAG), LEN)
        .aad(bench.at(AAD), 16);
    assert!(matches!(bench.refuse(&job), Error::NoAad { .. }));
}

/// The same request twice: the second is checked by the plan of the first where there is one.
#[test]
fn associated_data_after_a_good_job_is_refused() {
    let mut bench = bench();
    let job = Job::mac(Algorithm::Aes128Cmac, bench.key).from_to(bench.at(SRC), bench.at(TAG), LEN);
    bench.manager.submit(&job).unwrap();
    let bad = job.aad(bench.at(AAD), 16);
    assert!(matches!(bench.manager.submit(&bad), Err(Error::NoAad { .. })));
}

#[test]
fn message_that_outgrows_the_counter_of_ccm_is_refused() {
    let bench = bench();
    let job = Job::aead(Algorithm::Aes128Ccm, Direction::Encrypt, bench.key, &[2; 13])
        .unwrap()
        .from_to(bench.at(SRC), bench.at(SRC), 1 << 16)
        .tag(bench.at(TAG), 16);
    assert!(matches!(bench.refuse(&job), Error::TooLong { max: 0xffff, .. }));
}

#[rstest]
#[case(Algorithm::Aes128Xts, 32, 15)]
#[case(Algorithm::DesCbc, 8, 7)]
fn message_shorter_than_a_block_is_refused(
    #[case] algorithm: Algorithm,
    #[case] key_len: usize,
    #[case] len: u64,
) {
    let mut bench = bench();
    let key = bench.manager.add_key(Key::For(algorithm, &vec![3; key_len])).unwrap();
    let iv = &[4; 16][..if algorithm.takes_iv(16) { 16 } else { 8 }];
    let job =
        Job::cipher(algorithm, Direction::Encrypt, key, iv).unwrap().in_place(bench.at(SRC), len);
    let error = bench.refuse(&job);
    assert!(matches!(error, Error::TooShort { .. } | Error::UnalignedLength { .. }), "{error}");
}

#[rstest]
#[case(Algorithm::Aes128Xts, 16, 32)]
#[case(Algorithm::ChaCha20Poly1305, 16, 32)]
#[case(Algorithm::TripleDesCbc, 16, 24)]
#[case(Algorithm::Aes128Gcm, 32, 16)]
fn key_of_wrong_length_is_refused(
    #[case] algorithm: Algorithm,
    #[case] len: usize,
    #[case] right: usize,
) {
    let error = bench().manager.add_key(Key::For(algorithm, &vec![0; len])).unwrap_err();
    assert!(matches!(error, Error::KeyLengthFor { takes, .. } if takes == right), "{error}");
}

#[test]
fn key_for_a_hash_is_refused() {
    let error = bench().manager.add_key(Key::For(Algorithm::Sha3_256, &[0; 32])).unwrap_err();
    assert!(matches!(error, Error::KeyPresence { needs: false, .. }), "{error}");
}

#[test]
fn long_iv_has_no_place_in_the_job() {
    let error = Job::mac(Algorithm::Aes128Gmac, KeyId::from_bits(0)).with_iv(&[0; 17]).unwrap_err();
    assert!(matches!(error, Error::IvLength { len: 17, .. }), "{error}");
}

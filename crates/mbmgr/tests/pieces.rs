//! Messages in pieces: the same result as in one buffer, for pieces of awkward lengths in any order, in
//! place or not; nothing written where the tag is wrong; and lists that must be refused.

use std::sync::Arc;

use mbmgr::{
    Algorithm, Backend, Config, Direction, Error, Failure, Job, JobStatus, Key, KeyId, LAYOUT_HASH,
    Manager, Options, Piece,
};
use rstest::rstest;
use shmem::{Offset, Placement, Segment, SegmentOptions};

/// Places in a buffer of 16 KiB.
const SRC: u64 = 0;
const DST: u64 = 4096;
const LIST: u64 = 8192;
const TAG: u64 = 12_288;
const AAD: u64 = 12_416;

struct Bench {
    segment: Arc<Segment>,
    manager: Manager,
    key: KeyId,
    buffer: Offset,
    algorithm: Algorithm,
}

fn bench(algorithm: Algorithm, backend: Option<Backend>) -> Bench {
    let config = Config::default();
    let options = SegmentOptions {
        len: Manager::segment_len(&config, 1 << 16),
        placement: Placement::Anywhere,
        layout_hash: LAYOUT_HASH,
        populate: false,
    };
    let segment = Segment::create_anonymous("pieces", &options).unwrap();
    let options = Options { backend, ..Options::default() };
    let mut manager = Manager::create(&segment, &config, &options).unwrap();
    let key = [5; 32];
    let key = Key::For(algorithm, &key[..algorithm.key_len().unwrap()]);
    let key = manager.add_key(key).unwrap();
    let buffer = segment.arena().alloc(16_384, 64).unwrap();
    Bench { segment, manager, key, buffer, algorithm }
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

    fn write(&self, at: u64, bytes: &[u8]) {
        self.segment.write(self.at(at), bytes).unwrap();
    }

    fn job(&self, direction: Direction) -> Job {
        let job = Job::aead(self.algorithm, direction, self.key, &[6; 12]).unwrap();
        job.aad(self.at(AAD), 21).tag(self.at(TAG), 16)
    }

    fn list(&self, pieces: &[(u64, u64, u64)]) {
        let bytes = pieces.iter().flat_map(|&(src, dst, len)| {
            Piece { src: self.at(src), dst: self.at(dst), len }.to_bytes()
        });
        self.write(LIST, &bytes.collect::<Vec<_>>());
    }

    fn in_pieces(&self, direction: Direction, pieces: &[(u64, u64, u64)]) -> Job {
        self.list(pieces);
        let len = pieces.iter().map(|piece| piece.2).sum();
        self.job(direction).pieces(self.at(LIST), u32::try_from(pieces.len()).unwrap(), len)
    }

    fn run(&mut self, job: &Job) -> JobStatus {
        self.manager.submit(job).unwrap().expect("it runs at once").status
    }
}

/// Encrypted by another implementation of RFC 5116.
fn seal(algorithm: Algorithm, message: &[u8], aad: &[u8]) -> (Vec<u8>, Vec<u8>) {
    use aes_gcm::aead::{Aead, KeyInit, Payload};
    let (key, nonce) = ([5; 32], [6; 12]);
    let payload = Payload { msg: message, aad };
    let sealed = match algorithm {
        Algorithm::Aes128Gcm => {
            aes_gcm::Aes128Gcm::new_from_slice(&key[..16]).unwrap().encrypt(&nonce.into(), payload)
        }
        Algorithm::Aes256Gcm => {
            aes_gcm::Aes256Gcm::new_from_slice(&key).unwrap().encrypt(&nonce.into(), payload)
        }
        _ => chacha20poly1305::ChaCha20Poly1305::new_from_slice(&key)
            .unwrap()
            .encrypt(&nonce.into(), payload),
    };
    let mut text = sealed.unwrap();
    let tag = text.split_off(message.len());
    (text, tag)
}

/// Pieces of these lengths, each behind the last one's place by a gap, from the last to the first.
fn backwards(lens: &[u64], in_place: bool) -> Vec<(u64, u64, u64)> {
    let mut at = 4000;
    let place = |&len: &u64| {
        at -= len + 3;
        (SRC + at, if in_place { SRC } else { DST } + at, len)
    };
    lens.iter().map(place).collect()
}

const AWKWARD: [&[u64]; 7] = [
    &[0],
    &[1],
    &[0, 1, 15, 16, 17, 0],
    &[31, 1, 480, 33],
    &[511, 1, 512, 513],
    &[1, 511, 1000],
    &[7; 64],
];

#[rstest]
fn pieces_give_what_one_buffer_gives(
    #[values(Algorithm::Aes128Gcm, Algorithm::Aes256Gcm, Algorithm::ChaCha20Poly1305)]
    algorithm: Algorithm,
    #[values(None, Some(Backend::Portable))] backend: Option<Backend>,
    #[values(true, false)] in_place: bool,
) {
    let mut bench = bench(algorithm, backend);
    for lens in AWKWARD {
        let pieces = backwards(lens, in_place);
        let total = usize::try_from(lens.iter().sum::<u64>()).unwrap();
        let message: Vec<u8> = (0..total).map(|i| (i * 11).to_le_bytes()[0]).collect();
        let (text, tag) = seal(algorithm, &message, &bench.read(AAD, 21));
        let gather = |bench: &Bench| {
            let part =
                |&(_, dst, len): &(u64, u64, u64)| bench.read(dst, usize::try_from(len).unwrap());
            pieces.iter().flat_map(part).collect::<Vec<u8>>()
        };
        let scatter = |bench: &Bench, bytes: &[u8]| {
            let mut rest = bytes;
            for &(src, _, len) in &pieces {
                let (part, after) = rest.split_at(usize::try_from(len).unwrap());
                bench.write(src, part);
                rest = after;
            }
        };
        scatter(&bench, &message);
        let job = bench.in_pieces(Direction::Encrypt, &pieces);
        assert_eq!(bench.run(&job), JobStatus::Ok, "{lens:?}");
        assert_eq!((gather(&bench), bench.read(TAG, 16)), (text.clone(), tag), "{lens:?}");

        scatter(&bench, &text);
        let job = bench.in_pieces(Direction::Decrypt, &pieces);
        assert_eq!(bench.run(&job), JobStatus::Ok, "{lens:?}");
        assert_eq!(gather(&bench), message, "{lens:?}");

        scatter(&bench, &text);
        let before = bench.read(SRC, 8192);
        bench.write(TAG, &[0; 16]);
        assert_eq!(bench.run(&job), JobStatus::Failed(Failure::TagMismatch), "{lens:?}");
        assert!(before == bench.read(SRC, 8192), "{lens:?}: a wrong tag, so nothing is written");
    }
}

fn refused(change: impl FnOnce(&Bench) -> Job) -> Error {
    let mut bench = bench(Algorithm::Aes128Gcm, None);
    let job = change(&bench);
    let before = bench.read(SRC, 16_384);
    let error = bench.manager.submit(&job).expect_err("the job must be refused");
    assert!(before == bench.read(SRC, 16_384), "nothing is written");
    assert_eq!(bench.manager.queue_len(), 0, "a refused job is not queued");
    error
}

#[rstest]
#[case::twice_the_same_output(&[(0, 1000, 16), (100, 1000, 16)])]
#[case::output_in_another_input(&[(0, 100, 16), (100, 200, 16)])]
#[case::output_overlaps_its_input_in_part(&[(0, 8, 16)])]
#[case::output_in_the_list(&[(0, LIST + 8, 16)])]
#[case::output_in_the_tag(&[(0, TAG, 16)])]
#[case::output_in_the_associated_data(&[(0, AAD + 20, 16)])]
#[case::input_under_the_tag(&[(TAG + 15, DST, 16)])]
#[case::foreign_input(&[(1 << 40, DST, 16)])]
#[case::foreign_output(&[(0, 1 << 40, 16)])]
#[case::in_the_manager(&[(0, 0_u64.wrapping_sub(4096), 16)])]
fn pieces_that_a_crash_could_corrupt_are_refused(#[case] pieces: &[(u64, u64, u64)]) {
    let error = refused(|bench| {
        let bytes = pieces.iter().flat_map(|&(src, dst, len)| {
            let at = |offset: u64| Offset::new(bench.buffer.get().wrapping_add(offset));
            Piece { src: at(src), dst: at(dst), len }.to_bytes()
        });
        bench.write(LIST, &bytes.collect::<Vec<_>>());
        let len = pieces.iter().map(|piece| piece.2).sum();
        let count = u32::try_from(pieces.len()).unwrap();
        bench.job(Direction::Encrypt).pieces(bench.at(LIST), count, len)
    });
    let expected =
        matches!(error, Error::Pieces { .. } | Error::Overlap { .. } | Error::ForeignBuffer { .. });
    assert!(expected, "{error}");
}

#[test]
fn lists_that_do_not_fit_their_job_are_refused() {
    let wrong_sum = refused(|bench| {
        bench.list(&[(0, 0, 16)]);
        bench.job(Direction::Encrypt).pieces(bench.at(LIST), 1, 17)
    });
    let too_many = refused(|bench| bench.job(Direction::Encrypt).pieces(bench.at(LIST), 65, 0));
    let unaligned = refused(|bench| bench.job(Direction::Encrypt).pieces(bench.at(LIST + 4), 1, 0));
    let foreign =
        refused(|bench| bench.job(Direction::Encrypt).pieces(Offset::new(u64::MAX - 7), 1, 0));
    let huge = refused(|bench| {
        bench.list(&[(0, 0, u64::MAX), (0, 0, 17)]);
        bench.job(Direction::Encrypt).pieces(bench.at(LIST), 2, 16)
    });
    let no_aead = refused(|bench| {
        let job = Job::cipher(Algorithm::Aes128Cbc, Direction::Encrypt, bench.key, &[1; 16]);
        bench.list(&[(0, 0, 16)]);
        job.unwrap().pieces(bench.at(LIST), 1, 16)
    });
    for error in [wrong_sum, too_many, unaligned, foreign, huge, no_aead] {
        assert!(matches!(error, Error::Pieces { .. }), "{error}");
    }
}

//! Tests of the kernels: one set of claims, generic over the backend, mounted once per backend. The
//! oracle is the RustCrypto crates and the published vectors. Nothing here outlives the test.

use core::sync::atomic::Ordering;

use aes::cipher::block_padding::NoPadding;
use aes::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit, StreamCipher};
use sha2::block_api::{compress256, compress512};
use zerocopy::FromZeros;

use super::{Backend, Kernels, Lane, LaneKeys, MAX_LANES, Schedule, WIDE_STEP, expand_key};
use crate::journal::{LOG_CHAIN, Log};
use crate::layout::{Journal, LOG_SLOTS};

mod cbc_lanes;
mod gcm;
mod published;

use gcm::{gcm_counter_wraps, gcm_matches_oracle, ghash_matches_oracle};

use cbc_lanes::{
    cbc_encrypt_matches_oracle, cbc_mac_matches_oracle, cfb_encrypt_matches_oracle,
    log_of_lanes_holds_inputs, wrong_number_of_lanes_is_refused,
};

/// Bytes that differ from place to place and from seed to seed.
fn bytes(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x1234_5678_9abc_def1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..len).map(|_| next()).collect()
}

fn block(seed: u64) -> [u8; 16] {
    bytes(16, seed).try_into().expect("16 bytes")
}

/// A journal of our own, in no segment.
struct Memory(Box<Journal>);

impl Memory {
    fn new() -> Memory {
        Memory(Box::new(Journal::new_zeroed()))
    }

    fn log(&self) -> Log<'_> {
        Log::new(&self.0)
    }

    fn steps(&self) -> usize {
        usize::try_from(self.0.step.load(Ordering::Relaxed)).expect("a small number")
    }

    fn slot(&self, k: usize) -> Vec<u8> {
        let words = &self.0.log[k % LOG_SLOTS];
        words.iter().flat_map(|word| word.load(Ordering::Relaxed).to_ne_bytes()).collect()
    }
}

/// Encrypts with the RustCrypto crates.
fn cbc_encrypted(key: &[u8], iv: &[u8; 16], data: &[u8]) -> Vec<u8> {
    let mut out = data.to_vec();
    macro_rules! by {
        ($aes:ty) => {
            cbc::Encryptor::<$aes>::new_from_slices(key, iv)
                .expect("lengths fit")
                .encrypt_padded::<NoPadding>(&mut out, data.len())
                .map(|_| ())
        };
    }
    let encrypted = match key.len() {
        16 => by!(aes::Aes128),
        24 => by!(aes::Aes192),
        _ => by!(aes::Aes256),
    };
    encrypted.expect("whole blocks");
    out
}

/// As `cbc_encrypted`, in cipher feedback.
fn cfb_encrypted(key: &[u8], iv: &[u8; 16], data: &[u8]) -> Vec<u8> {
    let mut out = data.to_vec();
    macro_rules! by {
        ($aes:ty) => {
            cfb_mode::Encryptor::<$aes>::new_from_slices(key, iv)
                .expect("lengths fit")
                .encrypt(&mut out)
        };
    }
    match key.len() {
        16 => by!(aes::Aes128),
        24 => by!(aes::Aes192),
        _ => by!(aes::Aes256),
    }
    out
}

/// Decrypts with the RustCrypto crates.
fn cbc_decrypted(key: &[u8], iv: &[u8; 16], data: &[u8]) -> Vec<u8> {
    let mut out = data.to_vec();
    macro_rules! by {
        ($aes:ty) => {
            cbc::Decryptor::<$aes>::new_from_slices(key, iv)
                .expect("lengths fit")
                .decrypt_padded::<NoPadding>(&mut out)
                .map(|_| ())
        };
    }
    let decrypted = match key.len() {
        16 => by!(aes::Aes128),
        24 => by!(aes::Aes192),
        _ => by!(aes::Aes256),
    };
    decrypted.expect("whole blocks");
    out
}

/// The key stream of the RustCrypto crates, on `data`.
fn ctr_applied(key: &[u8], counter: &[u8; 16], data: &[u8]) -> Vec<u8> {
    let mut out = data.to_vec();
    macro_rules! by {
        ($aes:ty) => {
            ctr::Ctr128BE::<$aes>::new_from_slices(key, counter)
                .expect("lengths fit")
                .apply_keystream(&mut out)
        };
    }
    match key.len() {
        16 => by!(aes::Aes128),
        24 => by!(aes::Aes192),
        _ => by!(aes::Aes256),
    }
    out
}

fn schedules(key: &[u8]) -> (Schedule, Schedule) {
    expand_key(key).expect("a key length of AES")
}

/// Lengths around every width of the wide kernels.
fn wide_lengths() -> impl Iterator<Item = usize> {
    (0..=40)
        .chain([47, 48, 49, 63, 64, 65, 79, 80, 96, 112, 127, 128, 144, 192, 240, 255, 256, 272])
        .chain([320, 368, 383, 384, 448, 496, 511, 512, 513, 528, 560, 1008, 1023, 1024, 1040])
        .chain([1536, 1999, 2047, 2048, 2064, 4000, 4096])
}

/// What a wide kernel is asked for.
struct Wide<'a> {
    data: &'a [u8],
    expected: &'a [u8],
}

impl Wide<'_> {
    /// Runs `kernel(src, dst)` and checks output and guards, and with a log every step's input.
    fn check(
        &self,
        in_place: bool,
        logged: bool,
        kernel: impl FnOnce(*const u8, *mut u8, Option<&Log<'_>>),
    ) -> Memory {
        let len = self.data.len();
        let memory = Memory::new();
        let mut output = vec![0xa5; len + 128];
        if in_place {
            output[64..64 + len].copy_from_slice(self.data);
        }
        let dst = output[64..].as_mut_ptr();
        let src = if in_place { dst.cast_const() } else { self.data.as_ptr() };
        if logged {
            kernel(src, dst, Some(&memory.log()));
        } else {
            kernel(src, dst, None);
        }
        assert!(output[64..64 + len] == *self.expected, "length {len}, in place: {in_place}");
        assert!(output[..64].iter().chain(&output[64 + len..]).all(|&b| b == 0xa5));
        let steps = if logged { len.div_ceil(WIDE_STEP) } else { 0 };
        assert_eq!(memory.steps(), steps);
        for k in steps.saturating_sub(LOG_SLOTS)..steps {
            let input = &self.data[k * WIDE_STEP..len.min((k + 1) * WIDE_STEP)];
            assert_eq!(&memory.slot(k)[..input.len()], input, "step {k} of length {len}");
        }
        memory
    }
}

fn cbc_decrypt_matches_oracle(kernels: Kernels) {
    for len in wide_lengths().filter(|len| len % 16 == 0) {
        for key_len in [16, 24, 32] {
            let seed = (len * 100 + key_len) as u64;
            let (key, iv, data) = (bytes(key_len, seed), block(seed + 1), bytes(len, seed + 2));
            let expected = cbc_decrypted(&key, &iv, &data);
            let (_, decrypt) = schedules(&key);
            for (in_place, logged) in [(false, false), (false, true), (true, false), (true, true)] {
                let mut chain = iv;
                let wide = Wide { data: &data, expected: &expected };
                let memory = wide.check(in_place, logged, |src, dst, log| {
                    // SAFETY: buffers of `len` bytes, the same or disjoint.
                    unsafe { kernels.cbc_decrypt(&decrypt, src, dst, len, &mut chain, log) }
                });
                let before = |end: usize| if end == 0 { &iv[..] } else { &data[end - 16..end] };
                assert_eq!(chain, before(len), "chaining value after {len} bytes");
                for k in memory.steps().saturating_sub(LOG_SLOTS)..memory.steps() {
                    let kept = &memory.slot(k)[LOG_CHAIN..][..16];
                    assert_eq!(kept, before(k * WIDE_STEP), "chaining value of step {k}");
                }
            }
        }
    }
}

/// Each block by itself, with the RustCrypto crates.
fn ecb_encrypted(key: &[u8], data: &[[u8; 16]]) -> Vec<[u8; 16]> {
    // Counter mode with a block as its counter gives the encryption of that block.
    data.iter()
        .map(|block| ctr_applied(key, block, &[0; 16]).try_into().expect("a block"))
        .collect()
}

fn ecb_matches_oracle(kernels: Kernels) {
    for len in wide_lengths().filter(|len| len % 16 == 0) {
        for key_len in [16, 24, 32] {
            let seed = (len * 100 + key_len) as u64;
            let (key, plain) = (bytes(key_len, seed), bytes(len, seed + 1));
            let secret = ecb_encrypted(&key, plain.as_chunks().0).concat();
            let (encrypt, decrypt) = schedules(&key);
            for (in_place, logged) in [(false, false), (false, true), (true, false), (true, true)] {
                Wide { data: &plain, expected: &secret }.check(
                    in_place,
                    logged,
                    |src, dst, log| {
                        // SAFETY: buffers of `len` bytes, the same or disjoint.
                        unsafe { kernels.ecb::<false>(&encrypt, src, dst, len, log) }
                    },
                );
                Wide { data: &secret, expected: &plain }.check(
                    in_place,
                    logged,
                    |src, dst, log| {
                        // SAFETY: as above.
                        unsafe { kernels.ecb::<true>(&decrypt, src, dst, len, log) }
                    },
                );
            }
        }
    }
}

fn ctr_matches_oracle(kernels: Kernels) {
    for len in wide_lengths() {
        for key_len in [16, 24, 32] {
            let seed = (len * 100 + key_len) as u64;
            let (key, data) = (bytes(key_len, seed), bytes(len, seed + 2));
            let (encrypt, _) = schedules(&key);
            let wrap = |before: u128| u128::from(u64::MAX).wrapping_sub(before).to_be_bytes();
            let full = |before: u128| (u128::MAX - before).to_be_bytes();
            let counters = [block(seed), wrap(0), wrap(1), wrap(3), wrap(31), wrap(32), wrap(40)];
            for counter in counters.into_iter().chain([full(0), full(5), full(33)]) {
                let expected = ctr_applied(&key, &counter, &data);
                for (in_place, logged) in
                    [(false, false), (false, true), (true, false), (true, true)]
                {
                    Wide { data: &data, expected: &expected }.check(
                        in_place,
                        logged,
                        |src, dst, log| {
                            // SAFETY: buffers of `len` bytes, the same or disjoint.
                            unsafe { kernels.ctr(&encrypt, src, dst, len, &counter, log) }
                        },
                    );
                }
            }
        }
    }
}

macro_rules! hash_matches_oracle {
    ($name:ident, $word:ty, $block:literal, $kernel:ident, $compress:ident) => {
        fn $name(kernels: Kernels) {
            for active in 0..=MAX_LANES {
                for blocks in [0, 1, 2, 3, 5, 17] {
                    let seed = (active * 100 + blocks) as u64;
                    // One byte off: no alignment may be assumed.
                    let messages: Vec<Vec<u8>> = (0..active)
                        .map(|lane| bytes(blocks * $block + 1, seed + lane as u64))
                        .collect();
                    let mut data = [core::ptr::null(); MAX_LANES];
                    for (pointer, message) in data.iter_mut().zip(&messages) {
                        *pointer = message[1..].as_ptr();
                    }
                    let start: [[$word; MAX_LANES]; 8] = core::array::from_fn(|word| {
                        core::array::from_fn(|lane| {
                            let bytes = block(seed + (word * 16 + lane) as u64);
                            let word = bytes[..size_of::<$word>()].try_into().expect("a word");
                            <$word>::from_le_bytes(word)
                        })
                    });
                    let mut state = start;
                    // SAFETY: the active lanes have `blocks` blocks.
                    unsafe { kernels.$kernel(&mut state, &data, active, blocks) };
                    for lane in 0..MAX_LANES {
                        let mut expected: [$word; 8] =
                            core::array::from_fn(|word| start[word][lane]);
                        if lane < active {
                            for block in messages[lane][1..].as_chunks::<$block>().0 {
                                $compress(&mut expected, &[*block]);
                            }
                        }
                        let got: [$word; 8] = core::array::from_fn(|word| state[word][lane]);
                        assert_eq!(got, expected, "lane {lane} of {active}, {blocks} blocks");
                    }
                }
            }
        }
    };
}

/// Of the eight words that a lane has, SHA-1 uses five.
fn compress160(state: &mut [u32; 8], blocks: &[[u8; 64]]) {
    sha1::block_api::compress(state.first_chunk_mut().expect("eight words"), blocks);
}

hash_matches_oracle!(sha1_matches_oracle, u32, 64, sha1, compress160);
hash_matches_oracle!(sha256_matches_oracle, u32, 64, sha256, compress256);
hash_matches_oracle!(sha512_matches_oracle, u64, 128, sha512, compress512);

/// The vectors of the backend alone, which this CPU may find slower than SHA-NI at any lane count.
fn sha256_without_sha_ni_matches_oracle(kernels: Kernels) {
    sha256_matches_oracle(Kernels { sha_ni_lanes: 0, ..kernels });
}

/// The same of SHA-1.
fn sha1_without_sha_ni_matches_oracle(kernels: Kernels) {
    sha1_matches_oracle(Kernels { sha1_ni_lanes: 0, ..kernels });
}

/// Mounts the claims on one backend; `backends_are_mounted` says when the machine lacks it.
macro_rules! mount {
    ($module:ident, $claims:tt) => {
        mod $module {
            mount!(@ $module, $claims);
        }
    };
    (@ $module:ident, [$($claim:ident)*]) => {
        $(
            #[test]
            fn $claim() {
                let backend = stringify!($module).parse().expect("the name of a backend");
                match super::Kernels::new(backend) {
                    Some(kernels) => super::$claim(kernels),
                    None => eprintln!("not checked: this machine has no {backend}"),
                }
            }
        )*
    };
}

macro_rules! mount_all {
    ($claims:tt) => {
        mount!(portable, $claims);
        mount!(aesni, $claims);
        mount!(vaes256, $claims);
        mount!(vaes512, $claims);
    };
}

mount_all!([
    cbc_encrypt_matches_oracle
    cfb_encrypt_matches_oracle
    log_of_lanes_holds_inputs
    wrong_number_of_lanes_is_refused
    cbc_mac_matches_oracle
    cbc_decrypt_matches_oracle
    ctr_matches_oracle
    ecb_matches_oracle
    gcm_matches_oracle
    gcm_counter_wraps
    ghash_matches_oracle
    sha1_matches_oracle
    sha1_without_sha_ni_matches_oracle
    sha256_matches_oracle
    sha256_without_sha_ni_matches_oracle
    sha512_matches_oracle
]);

/// Where the environment says which backends the machine has (as `.ci/run` does), all of them must be
/// found: else each test of one that is not found would pass without having run.
#[test]
fn required_backends_are_found() {
    let required = std::env::var("TAKEOVER_REQUIRE_BACKENDS").unwrap_or_default();
    for name in required.split(',').filter(|name| !name.is_empty()) {
        let backend: Backend = name.parse().expect("TAKEOVER_REQUIRE_BACKENDS names backends");
        assert!(backend.is_available(), "TAKEOVER_REQUIRE_BACKENDS has {backend}, not found here");
    }
}

#[test]
fn names_of_backends_parse_back() {
    for backend in Backend::ALL {
        assert_eq!(backend.to_string().parse(), Ok(backend));
    }
    let error = "avx10".parse::<Backend>().expect_err("no such backend");
    assert!(error.to_string().contains("avx10") && error.to_string().contains("vaes512"));
    assert!(Backend::available().contains(&Backend::best()));
}

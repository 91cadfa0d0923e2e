//! GCM and its hash on awkward lengths, beside the RustCrypto crates. Nothing outlives the test.

use aes_gcm::aead::consts::U12;
use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::{AesGcm, Nonce};
use ghash::GHash;
use ghash::universal_hash::UniversalHash;

use super::{Wide, block, bytes, schedules, wide_lengths};
use crate::kernel::{GcmRun, Kernels};

/// Encrypts with the RustCrypto crates: text and tag.
fn sealed(key: &[u8], nonce: &[u8; 12], aad: &[u8], data: &[u8]) -> (Vec<u8>, [u8; 16]) {
    let mut out = data.to_vec();
    macro_rules! by {
        ($aes:ty) => {
            AesGcm::<$aes, U12>::new_from_slice(key)
                .expect("lengths fit")
                .encrypt_inout_detached(&Nonce::from(*nonce), aad, out.as_mut_slice().into())
                .expect("a short message")
        };
    }
    let tag = match key.len() {
        16 => by!(aes::Aes128),
        24 => by!(aes::Aes192),
        _ => by!(aes::Aes256),
    };
    (out, tag.into())
}

fn first(nonce: &[u8; 12]) -> [u8; 16] {
    let mut first = [0; 16];
    first[..12].copy_from_slice(nonce);
    first[15] = 1;
    first
}

pub(super) fn gcm_matches_oracle(kernels: Kernels) {
    for len in wide_lengths() {
        for (key_len, aad_len) in [(16, 0), (16, 20), (24, 16), (32, 513)] {
            let seed = (len * 100 + key_len + aad_len) as u64;
            let (key, data) = (bytes(key_len, seed), bytes(len, seed + 2));
            let (nonce, aad) =
                (block(seed + 1)[..12].try_into().unwrap(), bytes(aad_len, seed + 3));
            let (encrypt, _) = schedules(&key);
            let gcm = kernels.gcm_key(&encrypt);
            let (expected, tag) = sealed(&key, &nonce, &aad, &data);
            let run = |src: *const u8, dst: *mut u8| GcmRun {
                schedule: &encrypt,
                key: &gcm,
                first: first(&nonce),
                aad: aad.as_ptr(),
                aad_len,
                src,
                dst,
                len,
            };
            for (in_place, logged) in [(false, false), (false, true), (true, false), (true, true)] {
                let wide = Wide { data: &data, expected: &expected };
                let mut found = [0; 16];
                wide.check(in_place, logged, |src, dst, log| {
                    // SAFETY: buffers of `len` bytes, the same or disjoint.
                    found = unsafe { kernels.gcm_seal(&run(src, dst), log) };
                });
                assert_eq!(found, tag, "tag of {len} and {aad_len} bytes");
                let wide = Wide { data: &expected, expected: &data };
                wide.check(in_place, logged, |src, dst, log| {
                    // SAFETY: as above.
                    found = unsafe { kernels.gcm_tag(&run(src, dst), src) };
                    // SAFETY: as above.
                    unsafe { kernels.gcm_stream(&run(src, dst), log) };
                });
                assert_eq!(found, tag, "tag of {len} and {aad_len} bytes that are there");
            }
        }
    }
}

/// A counter near its end wraps in its last 32 bits, and leaves the rest alone.
pub(super) fn gcm_counter_wraps(kernels: Kernels) {
    let (encrypt, _) = schedules(&bytes(16, 1));
    let gcm = kernels.gcm_key(&encrypt);
    for len in [16, 100, 512, 1040] {
        for before in [0, 1, 2, 3, 5, 31, 32, 33, 40] {
            let mut counter = [0xff; 16];
            counter[..12].copy_from_slice(&block(7)[..12]);
            counter[12..].copy_from_slice(&(u32::MAX - before).to_be_bytes());
            let data = bytes(len, 3);
            let mut expected = data.clone();
            for (i, chunk) in (1_u32..).zip(expected.chunks_mut(16)) {
                let mut place = counter;
                place[12..].copy_from_slice(&(u32::MAX - before).wrapping_add(i).to_be_bytes());
                let stream = super::ctr_applied(&bytes(16, 1), &place, &[0; 16]);
                for (byte, stream) in chunk.iter_mut().zip(stream) {
                    *byte ^= stream;
                }
            }
            for in_place in [false, true] {
                let wide = Wide { data: &data, expected: &expected };
                wide.check(in_place, true, |src, dst, log| {
                    let run = GcmRun {
                        schedule: &encrypt,
                        key: &gcm,
                        first: counter,
                        aad: src,
                        aad_len: 0,
                        src,
                        dst,
                        len,
                    };
                    // SAFETY: buffers of `len` bytes, the same or disjoint.
                    unsafe { kernels.gcm_stream(&run, log) };
                });
            }
        }
    }
}

pub(super) fn ghash_matches_oracle(kernels: Kernels) {
    for len in wide_lengths() {
        let (key, before, data) = (block(len as u64), block(len as u64 + 1), bytes(len, 5));
        let mut oracle = GHash::new(&key.into());
        oracle.update(&[before.into()]);
        oracle.update_padded(&data);
        let gcm = kernels.gcm_key_of(key);
        let mut hash = [0; 16];
        // SAFETY: readable blocks and bytes.
        unsafe {
            kernels.ghash(&gcm, &mut hash, before.as_ptr(), 16);
            kernels.ghash(&gcm, &mut hash, data.as_ptr(), len);
        }
        assert_eq!(hash, <[u8; 16]>::from(oracle.finalize()), "length {len}");
    }
}

//! Algorithms of the folder `cipher` against other implementations, with lengths around every boundary
//! of a step: the modes that we write ourselves on a block cipher (or on our kernels) against the mode
//! crates of RustCrypto. What is a crate's already is held against published vectors in `vectors`.

mod cases;

use aes::{Aes128, Aes192, Aes256};
use aes_gcm::AesGcm;
use aes_gcm::aead::consts::{U7, U8, U12, U13, U16};
use aes_gcm::aead::{AeadInOut, KeyInit};
use cases::{Case, both_directions, bytes, run, ways};
use ccm::Ccm;
use cfb_mode::Encryptor as CfbEncryptor;
use chacha20poly1305::ChaCha20Poly1305;
use cipher::KeyIvInit;
use cmac::{Cmac, Mac};
use mbmgr::Algorithm;
use xts_mode::Xts128;

/// Around block, step and page.
const LENGTHS: [usize; 22] = [
    0, 1, 15, 16, 17, 31, 64, 255, 511, 512, 513, 527, 528, 529, 1023, 1024, 1040, 1535, 2049,
    4095, 4096, 5000,
];

fn seal<A: AeadInOut + KeyInit>(algorithm: Algorithm, iv_len: usize, tag_len: usize) -> Vec<Case> {
    let one = |(number, len): (usize, usize)| {
        let seed = (number * 100 + iv_len) as u64;
        let key = bytes(seed + 1, algorithm.key_len().unwrap());
        let (iv, aad) = (bytes(seed + 2, iv_len), bytes(seed + 3, number * 37 % 700));
        let input = bytes(seed + 4, len);
        let mut output = input.clone();
        let cipher = A::new_from_slice(&key).unwrap();
        let nonce = iv.as_slice().try_into().ok().unwrap();
        let tag = cipher.encrypt_inout_detached(nonce, &aad, output.as_mut_slice().into()).unwrap();
        let mut case = Case::cipher(algorithm, &key, &iv, &input, &output);
        case.name = format!("{algorithm} of {len} bytes, iv {iv_len}");
        (case.aad, case.tag) = (aad, tag[..tag_len].to_vec());
        case
    };
    LENGTHS.into_iter().enumerate().map(one).collect()
}

fn forged(cases: &[Case]) -> Vec<Case> {
    let forge = |(number, case): (usize, &Case)| {
        let mut case = case.reversed();
        case.forged = true;
        case.output = vec![0; case.input.len()];
        match number % 3 {
            0 if !case.aad.is_empty() => case.aad[0] ^= 1,
            1 if !case.input.is_empty() => *case.input.last_mut().unwrap() ^= 0x80,
            _ => *case.tag.last_mut().unwrap() ^= 1,
        }
        case
    };
    cases.iter().enumerate().map(forge).collect()
}

fn check(cases: &[Case]) {
    let mut all = both_directions(cases);
    if cases.iter().all(|case| case.algorithm.kind() == mbmgr::Kind::Aead) {
        all.extend(forged(cases));
    }
    for way in ways() {
        run(&all, way);
    }
}

#[test]
fn gcm_is_that_of_the_crate() {
    let mut cases = seal::<AesGcm<Aes128, U12>>(Algorithm::Aes128Gcm, 12, 16);
    cases.extend(seal::<AesGcm<Aes192, U12>>(Algorithm::Aes192Gcm, 12, 12));
    cases.extend(seal::<AesGcm<Aes256, U12>>(Algorithm::Aes256Gcm, 12, 4));
    cases.extend(seal::<AesGcm<Aes128, U8>>(Algorithm::Aes128Gcm, 8, 16));
    cases.extend(seal::<AesGcm<Aes256, U16>>(Algorithm::Aes256Gcm, 16, 8));
    check(&cases);
}

#[test]
fn ccm_is_that_of_the_crate() {
    let mut cases = seal::<Ccm<Aes128, U16, U13>>(Algorithm::Aes128Ccm, 13, 16);
    cases.extend(seal::<Ccm<Aes192, U12, U12>>(Algorithm::Aes192Ccm, 12, 12));
    cases.extend(seal::<Ccm<Aes256, U8, U7>>(Algorithm::Aes256Ccm, 7, 8));
    check(&cases);
}

#[test]
fn chacha20_poly1305_is_that_of_the_crate() {
    check(&seal::<ChaCha20Poly1305>(Algorithm::ChaCha20Poly1305, 12, 16));
}

#[test]
fn cmac_is_that_of_the_crate() {
    let mut cases = Vec::new();
    for len in LENGTHS {
        let (key, input) = (bytes(5 + len as u64, 32), bytes(6, len));
        let tag = <Cmac<Aes128> as KeyInit>::new_from_slice(&key[..16]).unwrap();
        let tag = tag.chain_update(&input).finalize().into_bytes();
        cases.push(Case::mac(Algorithm::Aes128Cmac, &key[..16], &input, &tag));
        let tag = <Cmac<Aes256> as KeyInit>::new_from_slice(&key).unwrap();
        let tag = tag.chain_update(&input).finalize().into_bytes();
        cases.push(Case::mac(Algorithm::Aes256Cmac, &key, &input, &tag[..12]));
    }
    check(&cases);
}

#[test]
fn xts_is_that_of_the_crate() {
    let mut cases = Vec::new();
    for len in LENGTHS.into_iter().filter(|len| *len >= 16) {
        let (key, iv, input) = (bytes(7 + len as u64, 64), bytes(8, 16), bytes(9, len));
        let tweak = <[u8; 16]>::try_from(iv.as_slice()).unwrap().into();
        let mut output = input.clone();
        let (data, other) = key[..32].split_at(16);
        Xts128::new(Aes128::new_from_slice(data).unwrap(), Aes128::new_from_slice(other).unwrap())
            .encrypt_sector(&mut output, tweak);
        cases.push(Case::cipher(Algorithm::Aes128Xts, &key[..32], &iv, &input, &output));
        let mut output = input.clone();
        let (data, other) = key.split_at(32);
        Xts128::new(Aes256::new_from_slice(data).unwrap(), Aes256::new_from_slice(other).unwrap())
            .encrypt_sector(&mut output, tweak);
        cases.push(Case::cipher(Algorithm::Aes256Xts, &key, &iv, &input, &output));
    }
    check(&cases);
}

#[test]
fn cfb_is_that_of_the_crate() {
    let mut cases = Vec::new();
    for len in LENGTHS.into_iter().filter(|len| *len > 0) {
        let (key, iv, input) = (bytes(10 + len as u64, 32), bytes(11, 16), bytes(12, len));
        macro_rules! case {
            ($aes:ty, $algorithm:ident, $len:literal) => {{
                let mut output = input.clone();
                CfbEncryptor::<$aes>::new_from_slices(&key[..$len], &iv)
                    .unwrap()
                    .encrypt(&mut output);
                let key = &key[..$len];
                cases.push(Case::cipher(Algorithm::$algorithm, key, &iv, &input, &output));
            }};
        }
        case!(Aes128, Aes128Cfb, 16);
        case!(Aes192, Aes192Cfb, 24);
        case!(Aes256, Aes256Cfb, 32);
    }
    check(&cases);
}

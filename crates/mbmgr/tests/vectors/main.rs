//! Published vectors: all of Wycheproof's that the table has an algorithm for, and the examples of the
//! standards for the others, through every backend, lane count, in place and out of place, and through a
//! change of owner.

#[path = "../cases/mod.rs"]
mod cases;
mod examples;
#[cfg(feature = "nist-vectors")]
mod nist;

use std::collections::BTreeMap;

use cases::{Case, both_directions, run, ways};
use mbmgr::{Algorithm, Direction, Job, KeyId};
use rstest::rstest;
use wycheproof::{TestResult, aead, cipher, mac, mac_with_nonce};

/// Bytes from hexadecimal digits.
fn hex(digits: &str) -> Vec<u8> {
    let digits = digits.chars().filter(|c| !c.is_whitespace()).collect::<String>();
    let byte = |i| u8::from_str_radix(&digits[i..i + 2], 16).unwrap();
    (0..digits.len()).step_by(2).map(byte).collect()
}

/// Sources of vectors, as `counts.txt` and the tests below name them.
const SOURCES: [&str; 23] = [
    "docsis-as-cfb",
    "eia3-by-definition",
    "examples-of-ciphers",
    "examples-of-hashes",
    "examples-of-macs",
    "nist-ciphers",
    "nist-gcm",
    "nist-hashes",
    "rfc-3686",
    "sp-800-38a",
    "wycheproof-AesCmac",
    "wycheproof-HmacSha1",
    "wycheproof-HmacSha224",
    "wycheproof-HmacSha256",
    "wycheproof-HmacSha384",
    "wycheproof-HmacSha512",
    "wycheproof-HmacSm3",
    "wycheproof-cbc",
    "wycheproof-ccm",
    "wycheproof-chacha20-poly1305",
    "wycheproof-gcm",
    "wycheproof-gmac",
    "wycheproof-xts",
];

/// Rows of the file that `takeover ciphers` counts vectors by: source, algorithm, number.
fn rows() -> Vec<(&'static str, &'static str, usize)> {
    let row = |line: &'static str| {
        let mut words = line.split(' ');
        let mut word = || words.next().unwrap_or_else(|| panic!("a word is missing in `{line}`"));
        (word(), word(), word().parse().unwrap())
    };
    include_str!("counts.txt").lines().filter(|line| !line.starts_with('#')).map(row).collect()
}

/// Runs the cases in all ways, and holds their numbers to the file's: a source that shrinks is noticed.
fn check(source: &str, cases: &[Case]) {
    for way in ways() {
        run(cases, way);
    }
    let mut counts = BTreeMap::new();
    for case in cases {
        *counts.entry(case.algorithm.name()).or_insert(0) += 1;
    }
    let told = rows().into_iter().filter(|row| row.0 == source).map(|row| (row.1, row.2)).collect();
    let right = counts.iter().map(|(name, count)| format!("{source} {name} {count}\n"));
    assert_eq!(counts, told, "counts.txt should say\n{}", right.collect::<String>());
}

#[test]
fn file_of_counts_names_known_sources_and_every_algorithm() {
    let rows = rows();
    for (source, name, _) in &rows {
        assert!(SOURCES.contains(source), "{source} is no source of vectors");
        assert!(name.parse::<Algorithm>().is_ok(), "{name} is no algorithm");
    }
    for algorithm in Algorithm::ALL {
        let name = algorithm.name();
        assert!(rows.iter().any(|row| row.1 == name), "{name} passes no vector at all");
    }
}

fn aes(key: &[u8], of_128: Algorithm, of_192: Algorithm, of_256: Algorithm) -> Option<Algorithm> {
    match key.len() {
        16 => Some(of_128),
        24 => Some(of_192),
        32 => Some(of_256),
        _ => None,
    }
}

/// Valid vectors in both directions, forged ones as decryptions. Returns how many were refused because
/// of the length of their nonce or tag as well.
fn aead_cases(
    name: aead::TestName,
    algorithm: impl Fn(&[u8]) -> Option<Algorithm>,
) -> (Vec<Case>, usize) {
    let (mut cases, mut refused) = (Vec::new(), 0);
    for group in aead::TestSet::load(name).unwrap().test_groups {
        for test in group.tests {
            let algorithm = algorithm(&test.key).unwrap();
            if !algorithm.takes_iv(test.nonce.len()) || !algorithm.takes_tag(test.tag.len()) {
                assert_eq!(test.result, TestResult::Invalid, "vector {}", test.tc_id);
                if test.nonce.len() <= 16 {
                    let (key, iv) = (KeyId::from_bits(0), &test.nonce);
                    let job = Job::aead(algorithm, Direction::Encrypt, key, iv);
                    assert!(job.is_err() || !algorithm.takes_tag(test.tag.len()));
                }
                refused += 1;
                continue;
            }
            let mut case = Case::cipher(algorithm, &test.key, &test.nonce, &test.pt, &test.ct);
            case.name = format!("{algorithm} vector {}", test.tc_id);
            (case.aad, case.tag) = (test.aad.to_vec(), test.tag.to_vec());
            if test.result == TestResult::Invalid {
                let mut case = case.reversed();
                case.forged = true;
                case.output = vec![0; case.input.len()];
                cases.push(case);
            } else {
                cases.extend([case.reversed(), case]);
            }
        }
    }
    (cases, refused)
}

#[test]
fn wycheproof_gcm() {
    let algorithm =
        |key: &[u8]| aes(key, Algorithm::Aes128Gcm, Algorithm::Aes192Gcm, Algorithm::Aes256Gcm);
    let (cases, refused) = aead_cases(aead::TestName::AesGcm, algorithm);
    assert_eq!(refused, 6);
    check("wycheproof-gcm", &cases);
}

#[test]
fn wycheproof_ccm() {
    let algorithm =
        |key: &[u8]| aes(key, Algorithm::Aes128Ccm, Algorithm::Aes192Ccm, Algorithm::Aes256Ccm);
    let (cases, refused) = aead_cases(aead::TestName::AesCcm, algorithm);
    assert_eq!(refused, 66);
    check("wycheproof-ccm", &cases);
}

#[test]
fn wycheproof_chacha20_poly1305() {
    let algorithm = |_: &[u8]| Some(Algorithm::ChaCha20Poly1305);
    let (cases, refused) = aead_cases(aead::TestName::ChaCha20Poly1305, algorithm);
    assert_eq!(refused, 9);
    check("wycheproof-chacha20-poly1305", &cases);
}

/// Of a forged vector the tag must be another.
#[rstest]
#[case::cmac(mac::TestName::AesCmac)]
#[case::hmac_sha1(mac::TestName::HmacSha1)]
#[case::hmac_sha224(mac::TestName::HmacSha224)]
#[case::hmac_sha256(mac::TestName::HmacSha256)]
#[case::hmac_sha384(mac::TestName::HmacSha384)]
#[case::hmac_sha512(mac::TestName::HmacSha512)]
#[case::hmac_sm3(mac::TestName::HmacSm3)]
fn wycheproof_macs(#[case] name: mac::TestName) {
    let mut cases = Vec::new();
    for group in mac::TestSet::load(name).unwrap().test_groups {
        for test in group.tests {
            let algorithm = match name {
                mac::TestName::AesCmac => aes(
                    &test.key,
                    Algorithm::Aes128Cmac,
                    Algorithm::Aes192Cmac,
                    Algorithm::Aes256Cmac,
                ),
                mac::TestName::HmacSha1 => Some(Algorithm::HmacSha1),
                mac::TestName::HmacSha224 => Some(Algorithm::HmacSha224),
                mac::TestName::HmacSha256 => Some(Algorithm::HmacSha256),
                mac::TestName::HmacSha384 => Some(Algorithm::HmacSha384),
                mac::TestName::HmacSha512 => Some(Algorithm::HmacSha512),
                _ => Some(Algorithm::HmacSm3),
            };
            let Some(algorithm) = algorithm else {
                // A key of a length that AES does not have.
                assert_eq!(test.result, TestResult::Invalid, "vector {}", test.tc_id);
                continue;
            };
            let mut case = Case::mac(algorithm, &test.key, &test.msg, &test.tag);
            case.forged = test.result == TestResult::Invalid;
            case.name = format!("{name:?} vector {}", test.tc_id);
            cases.push(case);
        }
    }
    check(&format!("wycheproof-{name:?}"), &cases);
}

#[test]
fn wycheproof_gmac() {
    let mut cases = Vec::new();
    for group in mac_with_nonce::TestSet::load(mac_with_nonce::TestName::Gmac).unwrap().test_groups
    {
        for test in group.tests {
            let (of_128, of_192) = (Algorithm::Aes128Gmac, Algorithm::Aes192Gmac);
            let algorithm = aes(&test.key, of_128, of_192, Algorithm::Aes256Gmac).unwrap();
            if !algorithm.takes_iv(test.nonce.len()) {
                assert_eq!(test.result, TestResult::Invalid, "vector {}", test.tc_id);
                continue;
            }
            let mut case = Case::mac(algorithm, &test.key, &test.msg, &test.tag);
            case.name = format!("{algorithm} vector {}", test.tc_id);
            case.iv = test.nonce.to_vec();
            case.forged = test.result == TestResult::Invalid;
            cases.push(case);
        }
    }
    check("wycheproof-gmac", &cases);
}

#[test]
fn wycheproof_xts() {
    let mut cases = Vec::new();
    for group in cipher::TestSet::load(cipher::TestName::AesXts).unwrap().test_groups {
        for test in group.tests {
            let algorithm = match test.key.len() {
                32 => Algorithm::Aes128Xts,
                64 => Algorithm::Aes256Xts,
                _ => continue,
            };
            if test.result == TestResult::Invalid {
                continue;
            }
            // The tweak is the number of the data unit, least significant byte first.
            let mut iv = test.nonce.to_vec();
            iv.resize(16, 0);
            let mut case = Case::cipher(algorithm, &test.key, &iv, &test.pt, &test.ct);
            case.name = format!("{algorithm} vector {}", test.tc_id);
            cases.push(case);
        }
    }
    check("wycheproof-xts", &both_directions(&cases));
}

#[test]
fn wycheproof_cbc() {
    let mut cases = Vec::new();
    for group in cipher::TestSet::load(cipher::TestName::AesCbcPkcs5).unwrap().test_groups {
        for test in group.tests.into_iter().filter(|test| test.result == TestResult::Valid) {
            let (of_128, of_192) = (Algorithm::Aes128Cbc, Algorithm::Aes192Cbc);
            let algorithm = aes(&test.key, of_128, of_192, Algorithm::Aes256Cbc).unwrap();
            // Padding is the caller's (PKCS 5, 6.2).
            let mut padded = test.pt.to_vec();
            let pad = 16 - padded.len() % 16;
            padded.resize(padded.len() + pad, u8::try_from(pad).unwrap());
            cases.push(Case::cipher(algorithm, &test.key, &test.nonce, &padded, &test.ct));
        }
    }
    check("wycheproof-cbc", &both_directions(&cases));
}

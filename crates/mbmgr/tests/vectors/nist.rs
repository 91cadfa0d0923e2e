//! The response files of NIST's validation programme, and others in their format, as the package
//! `cryptography-vectors` of the Python package index has them: too large to be checked in. Compiled with the
//! feature `nist-vectors`; `CRYPTOGRAPHY_VECTORS` names the folder `cryptography_vectors` of the package.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use mbmgr::Algorithm;

use super::cases::{Case, both_directions};
use super::{aes, check, hex};

/// The fields of one vector, names in lower case; those of the section it stands in come first.
type Fields = BTreeMap<String, String>;

/// One vector a paragraph, `NAME = value` a line.
fn read(path: &Path) -> Vec<Fields> {
    let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let (mut section, mut fields, mut all) = (Fields::new(), Fields::new(), Vec::new());
    for line in text.lines().map(str::trim).chain([""]) {
        if line.is_empty() {
            if !fields.is_empty() {
                let mut vector = section.clone();
                vector.extend(std::mem::take(&mut fields));
                all.push(vector);
            }
        } else if let Some(title) = line.strip_prefix('[') {
            let title = title.trim_end_matches(']');
            match title.split_once('=') {
                Some((name, value)) => {
                    section.insert(name.trim().to_lowercase(), value.trim().to_owned());
                }
                None => {
                    section.insert("direction".into(), title.to_owned());
                }
            }
        } else if !line.starts_with('#') {
            let (name, value) = line.split_once('=').unwrap_or((line, ""));
            fields.insert(name.trim().to_lowercase(), value.trim().to_owned());
        }
    }
    all
}

fn bytes(fields: &Fields, name: &str) -> Vec<u8> {
    fields.get(name).map(|digits| hex(digits)).unwrap_or_default()
}

/// Files of a folder whose names begin so; not the chains of thousands of steps ("Monte Carlo") nor those
/// of three interleaved messages (TCBC-I).
fn files(folder: &Path, prefix: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.retain(|path| {
        let name = path.file_name().unwrap().to_string_lossy();
        let left_out = ["Monte", "MCT", "TCBCI"].iter().any(|part| name.contains(part));
        name.starts_with(prefix) && !left_out
    });
    assert!(!paths.is_empty(), "no {prefix} in {}", folder.display());
    paths
}

fn ciphers(folder: &Path, prefix: &str, algorithm: impl Fn(&[u8]) -> Algorithm) -> Vec<Case> {
    let mut cases = Vec::new();
    for path in files(folder, prefix) {
        for (number, fields) in read(&path).into_iter().enumerate() {
            let mut key = bytes(&fields, "key");
            if let Some(all) = fields.get("keys") {
                key = hex(all).repeat(3);
            }
            for part in ["key1", "key2", "key3"] {
                key.extend(bytes(&fields, part));
            }
            let (iv, plain) = (bytes(&fields, "iv"), bytes(&fields, "plaintext"));
            let out = bytes(&fields, "ciphertext");
            let mut case = Case::cipher(algorithm(&key), &key, &iv, &plain, &out);
            case.name = format!("{} {number}", path.display());
            let decrypts = fields.get("direction").is_some_and(|title| title == "DECRYPT");
            cases.push(if decrypts { both_directions(&[case]).remove(1) } else { case });
        }
    }
    cases
}

/// Encryptions as they are; decryptions of which some must fail.
fn gcm(folder: &Path) -> Vec<Case> {
    let mut cases = Vec::new();
    for path in files(folder, "gcm") {
        for (number, fields) in read(&path).into_iter().enumerate() {
            let (key, iv) = (bytes(&fields, "key"), bytes(&fields, "iv"));
            let (of_128, of_192) = (Algorithm::Aes128Gcm, Algorithm::Aes192Gcm);
            let algorithm = aes(&key, of_128, of_192, Algorithm::Aes256Gcm).unwrap();
            let (plain, out) = (bytes(&fields, "pt"), bytes(&fields, "ct"));
            let mut case = Case::cipher(algorithm, &key, &iv, &plain, &out);
            (case.aad, case.tag) = (bytes(&fields, "aad"), bytes(&fields, "tag"));
            case.name = format!("{} {number}", path.display());
            case.forged = fields.contains_key("fail");
            if case.forged {
                case.output.clone_from(&out);
                case.input = vec![0; out.len()];
            }
            let decrypts = path.to_string_lossy().contains("Decrypt");
            cases.push(if decrypts { case.reversed() } else { case });
        }
    }
    cases
}

fn hashes(folder: &Path, prefix: &str, algorithm: Algorithm) -> Vec<Case> {
    let mut cases = Vec::new();
    for path in files(folder, prefix) {
        for (number, fields) in read(&path).into_iter().enumerate() {
            let digest = ["md", "output"].map(|name| bytes(&fields, name)).concat();
            if digest.is_empty() || !algorithm.takes_tag(digest.len()) {
                // A heading of its own, or more output of a SHAKE than a job may ask for.
                continue;
            }
            let mut message = bytes(&fields, "msg");
            if let Some(bits) = fields.get("len") {
                message.truncate(bits.parse::<usize>().unwrap() / 8);
            }
            let mut case = Case::mac(algorithm, &bytes(&fields, "key"), &message, &digest);
            case.name = format!("{} {number}", path.display());
            cases.push(case);
        }
    }
    cases
}

#[test]
fn nist_ciphers() {
    let root = root();
    let aes_dir = root.join("ciphers/AES");
    let by = |a, b, c| move |key: &[u8]| aes(key, a, b, c).unwrap();
    use Algorithm as A;
    let mut cases =
        ciphers(&aes_dir.join("CBC"), "CBC", by(A::Aes128Cbc, A::Aes192Cbc, A::Aes256Cbc));
    let ecb = by(A::Aes128Ecb, A::Aes192Ecb, A::Aes256Ecb);
    cases.extend(ciphers(&aes_dir.join("ECB"), "ECB", ecb));
    let cfb = by(A::Aes128Cfb, A::Aes192Cfb, A::Aes256Cfb);
    cases.extend(ciphers(&aes_dir.join("CFB"), "CFB128", cfb));
    let ctr = by(A::Aes128Ctr, A::Aes192Ctr, A::Aes256Ctr);
    cases.extend(ciphers(&aes_dir.join("CTR"), "aes", ctr));
    cases.extend(ciphers(&root.join("ciphers/3DES/CBC"), "TCBC", |_| A::TripleDesCbc));
    check("nist-ciphers", &cases);
}

#[test]
fn nist_gcm() {
    check("nist-gcm", &gcm(&root().join("ciphers/AES/GCM")));
}

#[test]
fn nist_hashes() {
    let folder = root().join("hashes");
    let mut cases = Vec::new();
    for (dir, prefix, algorithm) in [
        ("SHA1", "SHA1", Algorithm::Sha1),
        ("SHA2", "SHA224", Algorithm::Sha224),
        ("SHA2", "SHA256", Algorithm::Sha256),
        ("SHA2", "SHA384", Algorithm::Sha384),
        ("SHA2", "SHA512S", Algorithm::Sha512),
        ("SHA2", "SHA512L", Algorithm::Sha512),
        ("SHA3", "SHA3_224", Algorithm::Sha3_224),
        ("SHA3", "SHA3_256", Algorithm::Sha3_256),
        ("SHA3", "SHA3_384", Algorithm::Sha3_384),
        ("SHA3", "SHA3_512", Algorithm::Sha3_512),
        ("SHAKE", "SHAKE128", Algorithm::Shake128),
        ("SHAKE", "SHAKE256", Algorithm::Shake256),
    ] {
        cases.extend(hashes(&folder.join(dir), prefix, algorithm));
    }
    check("nist-hashes", &cases);
}

fn root() -> PathBuf {
    let folder = std::env::var_os("CRYPTOGRAPHY_VECTORS");
    folder.expect("set CRYPTOGRAPHY_VECTORS to the folder of the package").into()
}

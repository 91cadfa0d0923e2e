//! aws-lc-rs, one buffer after the other. It has no raw CBC or CTR without its own handling of IVs,
//! which takes them from the caller here. Called by `single`; nothing survives a crash.

use anyhow::{Context as _, Result};
use aws_lc_rs::cipher::{
    AES_128, AES_192, AES_256, Algorithm as Cipher, DecryptingKey, DecryptionContext,
    EncryptingKey, EncryptionContext, UnboundCipherKey,
};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::{digest, hmac};
use mbmgr::{Algorithm, Direction, Kind};

use crate::row::Spec;
use crate::single::Work;

/// The work of a row with one key; `None` where the crate has no such mode.
pub(crate) fn work(spec: &Spec, key: &[u8]) -> Result<Option<Work>> {
    let algorithm = spec.algorithm;
    let aes = || aes_key(key);
    Ok(Some(match algorithm {
        Algorithm::Sha256 => hash(&digest::SHA256),
        Algorithm::Sha512 => hash(&digest::SHA512),
        Algorithm::HmacSha256 => mac(hmac::HMAC_SHA256, key),
        Algorithm::HmacSha512 => mac(hmac::HMAC_SHA512, key),
        _ => match (algorithm.kind(), spec.direction) {
            (Kind::Cbc, Direction::Encrypt) => encrypt(EncryptingKey::cbc(aes()?)?),
            (Kind::Cbc, Direction::Decrypt) => decrypt(DecryptingKey::cbc(aes()?)?),
            (Kind::Ctr, _) => encrypt(EncryptingKey::ctr(aes()?)?),
            _ => return Ok(None),
        },
    }))
}

fn aes_key(key: &[u8]) -> Result<UnboundCipherKey> {
    let cipher: &'static Cipher = match key.len() {
        16 => &AES_128,
        24 => &AES_192,
        _ => &AES_256,
    };
    UnboundCipherKey::new(cipher, key).context("aws-lc-rs refuses the key")
}

fn encrypt(key: EncryptingKey) -> Work {
    Box::new(move |iv, buffer| {
        let context = EncryptionContext::Iv128(FixedLength::from(iv));
        key.less_safe_encrypt(buffer, context).expect("whole blocks");
        Vec::new()
    })
}

fn decrypt(key: DecryptingKey) -> Work {
    Box::new(move |iv, buffer| {
        let context = DecryptionContext::Iv128(FixedLength::from(iv));
        key.decrypt(buffer, context).expect("whole blocks");
        Vec::new()
    })
}

fn hash(algorithm: &'static digest::Algorithm) -> Work {
    Box::new(move |_, buffer| digest::digest(algorithm, buffer).as_ref().to_vec())
}

fn mac(algorithm: hmac::Algorithm, key: &[u8]) -> Work {
    let key = hmac::Key::new(algorithm, key);
    Box::new(move |_, buffer| hmac::sign(&key, buffer).as_ref().to_vec())
}

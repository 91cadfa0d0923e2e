//! What is derived from a key once: its kind, its material, and the bytes that the segment keeps of it.
//! Called by the key table. Nothing here survives a crash by itself; the table stores the bytes.

use std::sync::OnceLock;

use zeroize::{Zeroize, Zeroizing};

use super::Key;
use crate::error::{Error, Result};
use crate::kernel::{GcmKey, Schedule, expand_key};
use crate::layout::KEY_MATERIAL;

/// What a kind of key is kept as.
#[derive(Clone, Copy)]
enum Form {
    /// Two AES schedules, of a key of so many bytes.
    Aes(usize),
    /// Two states of SHA-1.
    Hmac160,
    /// Two states of SHA-256, or of a hash that differs in its initial value.
    Hmac256,
    /// Two states of SHA-512, or of a hash that differs in its initial value.
    Hmac512,
    /// The key's own bytes, so many.
    Raw(usize),
    /// The key as HMAC pads it to a block of 64 bytes (FIPS 198-1, step 3), by this hash.
    Padded(fn(&[u8], &mut [u8; RAW])),
}

macro_rules! kinds {
    ($($kind:ident $id:literal $name:literal $form:expr;)*) => {
        /// What a key can be used for.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum KeyKind {
            $($kind),*
        }

        impl KeyKind {
            pub(super) const ALL: &[KeyKind] = &[$(KeyKind::$kind),*];

            /// What the segment stores. Never reused, never zero.
            pub(super) fn id(self) -> u32 {
                match self {
                    $(KeyKind::$kind => $id),*
                }
            }

            pub(crate) fn name(self) -> &'static str {
                match self {
                    $(KeyKind::$kind => $name),*
                }
            }

            fn form(self) -> Form {
                match self {
                    $(KeyKind::$kind => $form),*
                }
            }
        }
    };
}

kinds! {
    Aes128 1 "aes-128" Form::Aes(16);
    Aes192 2 "aes-192" Form::Aes(24);
    Aes256 3 "aes-256" Form::Aes(32);
    HmacSha256 4 "hmac-sha256" Form::Hmac256;
    HmacSha512 5 "hmac-sha512" Form::Hmac512;
    HmacSha224 6 "hmac-sha224" Form::Hmac256;
    HmacSha384 7 "hmac-sha384" Form::Hmac512;
    HmacSha1 8 "hmac-sha1" Form::Hmac160;
    HmacMd5 9 "hmac-md5" Form::Padded(pad_key::<md5::Md5>);
    HmacSm3 10 "hmac-sm3" Form::Padded(pad_key::<sm3::Sm3>);
    Xts128 11 "aes-128-xts" Form::Raw(32);
    Xts256 12 "aes-256-xts" Form::Raw(64);
    ChaCha20 13 "chacha20" Form::Raw(32);
    Poly1305 14 "poly1305" Form::Raw(32);
    Ghash 15 "ghash" Form::Raw(16);
    Des 16 "des" Form::Raw(8);
    TripleDes 17 "3des" Form::Raw(24);
    Sm4 18 "sm4" Form::Raw(16);
    Zuc128 19 "zuc-128" Form::Raw(16);
    Zuc256 20 "zuc-256" Form::Raw(32);
}

impl KeyKind {
    /// Bytes of a key of this kind; `None` where any length will do.
    pub(crate) fn key_len(self) -> Option<usize> {
        match self.form() {
            Form::Aes(len) | Form::Raw(len) => Some(len),
            Form::Hmac160 | Form::Hmac256 | Form::Hmac512 | Form::Padded(_) => None,
        }
    }

    /// The kind of AES key of so many bytes.
    fn aes(len: usize) -> Result<KeyKind> {
        match len {
            16 => Ok(KeyKind::Aes128),
            24 => Ok(KeyKind::Aes192),
            32 => Ok(KeyKind::Aes256),
            _ => Err(Error::KeyLength { len }),
        }
    }
}

/// Bytes that a key of its own bytes has at most.
const RAW: usize = 64;

/// A key of at most a block as it is, a longer one as its hash.
fn pad_key<D: sha2::Digest>(key: &[u8], block: &mut [u8; RAW]) {
    if key.len() > RAW {
        let digest = D::digest(key);
        block[..digest.len()].copy_from_slice(&digest);
    } else {
        block[..key.len()].copy_from_slice(key);
    }
}

/// The process's copy of a key's material.
#[expect(clippy::large_enum_variant, reason = "it lies in the table's own memory, never boxed")]
pub(crate) enum Material {
    Aes { encrypt: Schedule, decrypt: Schedule, more: Derived },
    Hmac256 { inner: [u32; 8], outer: [u32; 8] },
    Hmac512 { inner: [u64; 8], outer: [u64; 8] },
    Raw { bytes: [u8; RAW], len: usize },
}

/// What modes derive from an AES key: made when it is first used, in this process's memory alone.
#[derive(Default)]
pub(crate) struct Derived {
    pub(super) gcm: OnceLock<GcmKey>,
    pub(super) cmac: OnceLock<LastKeys>,
    pub(super) xcbc: OnceLock<(Schedule, LastKeys)>,
}

/// What the last block of a CBC-MAC is xored with: a whole one, and a padded one.
pub(crate) type LastKeys = Zeroizing<[[u8; 16]; 2]>;

impl Drop for Material {
    fn drop(&mut self) {
        match self {
            // Schedules and GCM's key zeroize themselves.
            Material::Aes { .. } => {}
            Material::Hmac256 { inner, outer } => {
                inner.zeroize();
                outer.zeroize();
            }
            Material::Hmac512 { inner, outer } => {
                inner.zeroize();
                outer.zeroize();
            }
            Material::Raw { bytes, .. } => bytes.zeroize(),
        }
    }
}

impl Material {
    pub(super) fn derive(key: Key<'_>) -> Result<(KeyKind, Material)> {
        let (kind, bytes) = match key {
            Key::Aes(bytes) => (KeyKind::aes(bytes.len())?, bytes),
            Key::HmacSha256(bytes) => (KeyKind::HmacSha256, bytes),
            Key::HmacSha512(bytes) => (KeyKind::HmacSha512, bytes),
            Key::For(algorithm, bytes) => {
                let kind = algorithm.row().key;
                let kind = kind.ok_or(Error::KeyPresence { algorithm, needs: false })?;
                let takes = kind.key_len().filter(|takes| *takes != bytes.len());
                if let Some(takes) = takes {
                    return Err(Error::KeyLengthFor { algorithm, len: bytes.len(), takes });
                }
                (kind, bytes)
            }
        };
        let material = match kind.form() {
            Form::Aes(_) => {
                let (encrypt, decrypt) =
                    expand_key(bytes).ok_or(Error::KeyLength { len: bytes.len() })?;
                Material::Aes { encrypt, decrypt, more: Derived::default() }
            }
            Form::Hmac160 => {
                let (inner, outer) = crate::hmac::midstates_160(bytes);
                Material::Hmac256 { inner, outer }
            }
            Form::Hmac256 => {
                let (inner, outer) = crate::hmac::midstates_256(bytes, kind == KeyKind::HmacSha224);
                Material::Hmac256 { inner, outer }
            }
            Form::Hmac512 => {
                let (inner, outer) = crate::hmac::midstates_512(bytes, kind == KeyKind::HmacSha384);
                Material::Hmac512 { inner, outer }
            }
            Form::Raw(len) => {
                let mut own = [0; RAW];
                own[..len].copy_from_slice(bytes);
                Material::Raw { bytes: own, len }
            }
            Form::Padded(pad) => {
                let mut own = [0; RAW];
                pad(bytes, &mut own);
                Material::Raw { bytes: own, len: RAW }
            }
        };
        Ok((kind, material))
    }

    /// The material in the segment's byte order.
    pub(super) fn to_bytes(&self) -> Zeroizing<[u8; KEY_MATERIAL]> {
        let mut bytes = Zeroizing::new([0; KEY_MATERIAL]);
        match self {
            Material::Aes { encrypt, decrypt, .. } => {
                let (first, second) = bytes.split_at_mut(KEY_MATERIAL / 2);
                first.copy_from_slice(encrypt.round_keys.as_flattened());
                second.copy_from_slice(decrypt.round_keys.as_flattened());
            }
            Material::Hmac256 { inner, outer } => {
                for (into, word) in bytes.chunks_exact_mut(4).zip(inner.iter().chain(outer)) {
                    into.copy_from_slice(&word.to_be_bytes());
                }
            }
            Material::Hmac512 { inner, outer } => {
                for (into, word) in bytes.chunks_exact_mut(8).zip(inner.iter().chain(outer)) {
                    into.copy_from_slice(&word.to_be_bytes());
                }
            }
            Material::Raw { bytes: own, .. } => bytes[..RAW].copy_from_slice(&own[..]),
        }
        bytes
    }

    pub(super) fn from_bytes(kind: KeyKind, bytes: &[u8; KEY_MATERIAL]) -> Material {
        let schedule = |from: &[u8], rounds| {
            let mut schedule = Schedule { round_keys: [[0; 16]; 15], rounds };
            schedule.round_keys.as_flattened_mut().copy_from_slice(from);
            schedule
        };
        let (first, second) = bytes.split_at(KEY_MATERIAL / 2);
        match kind.form() {
            Form::Aes(len) => {
                let rounds = match len {
                    16 => 10,
                    24 => 12,
                    _ => 14,
                };
                Material::Aes {
                    encrypt: schedule(first, rounds),
                    decrypt: schedule(second, rounds),
                    more: Derived::default(),
                }
            }
            Form::Hmac160 | Form::Hmac256 => {
                let word = |i: usize| {
                    u32::from_be_bytes(bytes[4 * i..4 * i + 4].try_into().expect("4 bytes"))
                };
                let inner = std::array::from_fn(word);
                Material::Hmac256 { inner, outer: std::array::from_fn(|i| word(8 + i)) }
            }
            Form::Hmac512 => {
                let word = |i: usize| {
                    u64::from_be_bytes(bytes[8 * i..8 * i + 8].try_into().expect("8 bytes"))
                };
                let inner = std::array::from_fn(word);
                Material::Hmac512 { inner, outer: std::array::from_fn(|i| word(8 + i)) }
            }
            Form::Raw(_) | Form::Padded(_) => {
                let mut own = [0; RAW];
                own.copy_from_slice(&bytes[..RAW]);
                Material::Raw { bytes: own, len: kind.key_len().unwrap_or(RAW) }
            }
        }
    }
}

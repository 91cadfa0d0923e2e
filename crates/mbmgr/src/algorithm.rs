//! The algorithms that a job can name: one table row each. Process-local; the segment stores the
//! `id` of a row.

use std::fmt;
use std::str::FromStr;

use crate::error::Error;
use crate::keys::KeyKind;

/// Encrypt or decrypt; hashes and MACs ignore it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Plaintext to ciphertext.
    Encrypt,
    /// Ciphertext to plaintext.
    Decrypt,
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Direction::Encrypt => "encrypt",
            Direction::Decrypt => "decrypt",
        })
    }
}

impl FromStr for Direction {
    type Err = Error;

    fn from_str(s: &str) -> Result<Self, Error> {
        match s {
            "encrypt" => Ok(Direction::Encrypt),
            "decrypt" => Ok(Direction::Decrypt),
            _ => Err(Error::UnknownDirection { name: s.to_owned() }),
        }
    }
}

/// What a family of algorithms has in common: how its jobs are laid out and run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// AES in cipher block chaining mode (NIST SP 800-38A 6.2).
    Cbc,
    /// AES in counter mode (NIST SP 800-38A 6.5, RFC 3686 for the 12-byte IV).
    Ctr,
    /// A hash (FIPS 180-4).
    Hash,
    /// HMAC over a hash (FIPS 198-1, RFC 2104).
    Hmac,
}

/// A cipher, hash or MAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Algorithm {
    /// AES-CBC with a key of 16 bytes.
    Aes128Cbc,
    /// AES-CBC with a key of 24 bytes.
    Aes192Cbc,
    /// AES-CBC with a key of 32 bytes.
    Aes256Cbc,
    /// AES-CTR with a key of 16 bytes.
    Aes128Ctr,
    /// AES-CTR with a key of 24 bytes.
    Aes192Ctr,
    /// AES-CTR with a key of 32 bytes.
    Aes256Ctr,
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
    /// HMAC with SHA-256.
    HmacSha256,
    /// HMAC with SHA-512.
    HmacSha512,
}

/// One row of the table.
pub(crate) struct Row {
    pub(crate) algorithm: Algorithm,
    /// What the segment stores. Never reused, never zero.
    pub(crate) id: u16,
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) key: Option<KeyKind>,
    /// Digest bytes of a hash or MAC; 0 for a cipher.
    pub(crate) digest: usize,
    /// The shortest input.
    pub(crate) min_len: u64,
    /// Bits that a legal length does not have.
    pub(crate) block_mask: u64,
    /// Bit n: an IV of n bytes will do.
    pub(crate) iv_lens: u32,
}

impl Row {
    const fn new(
        algorithm: Algorithm,
        id: u16,
        name: &'static str,
        kind: Kind,
        key: Option<KeyKind>,
        digest: usize,
    ) -> Row {
        let (min_len, block_mask, iv_lens) = match kind {
            Kind::Cbc => (16, 15, 1 << 16),
            Kind::Ctr => (1, 0, 1 << 12 | 1 << 16),
            Kind::Hash | Kind::Hmac => (0, 0, 1 << 0),
        };
        Row { algorithm, id, name, kind, key, digest, min_len, block_mask, iv_lens }
    }
}

macro_rules! rows {
    ($($algorithm:ident $id:literal $name:literal $kind:ident $key:expr, $digest:literal;)*) => {
        const ROWS: &[Row] =
            &[$(Row::new(Algorithm::$algorithm, $id, $name, Kind::$kind, $key, $digest)),*];

        impl Algorithm {
            /// Every algorithm, in the order of the table.
            pub const ALL: &[Algorithm] = &[$(Algorithm::$algorithm),*];
        }
    };
}

rows! {
    Aes128Cbc  1 "aes-128-cbc" Cbc Some(KeyKind::Aes128), 0;
    Aes192Cbc  2 "aes-192-cbc" Cbc Some(KeyKind::Aes192), 0;
    Aes256Cbc  3 "aes-256-cbc" Cbc Some(KeyKind::Aes256), 0;
    Aes128Ctr  4 "aes-128-ctr" Ctr Some(KeyKind::Aes128), 0;
    Aes192Ctr  5 "aes-192-ctr" Ctr Some(KeyKind::Aes192), 0;
    Aes256Ctr  6 "aes-256-ctr" Ctr Some(KeyKind::Aes256), 0;
    Sha256     7 "sha256" Hash None, 32;
    Sha512     8 "sha512" Hash None, 64;
    HmacSha256 9 "hmac-sha256" Hmac Some(KeyKind::HmacSha256), 32;
    HmacSha512 10 "hmac-sha512" Hmac Some(KeyKind::HmacSha512), 64;
}

// `row` indexes the table by the variant's own number.
const _: () = {
    let mut i = 0;
    while i < ROWS.len() {
        assert!(ROWS[i].algorithm as usize == i);
        assert!(ROWS[i].id as usize == i + 1);
        i += 1;
    }
};

impl Algorithm {
    #[inline]
    pub(crate) fn row(self) -> &'static Row {
        &ROWS[self as usize]
    }

    /// The algorithm whose id the segment stores.
    pub(crate) fn from_id(id: u16) -> Option<Algorithm> {
        let index = usize::from(id).checked_sub(1)?;
        ROWS.get(index).map(|row| row.algorithm)
    }

    /// Its name on the command line and in tokens, such as `aes-128-cbc`.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// Its family.
    #[must_use]
    pub fn kind(self) -> Kind {
        self.row().kind
    }

    /// Bytes of an AES key; `None` where there is no key, or where any length will do (HMAC).
    #[must_use]
    pub fn key_len(self) -> Option<usize> {
        self.row().key.and_then(KeyKind::key_len)
    }

    /// A job's length is a multiple of this many bytes.
    #[must_use]
    pub fn block_len(self) -> usize {
        if self.row().block_mask == 15 { 16 } else { 1 }
    }

    /// Bytes of the full digest of a hash or MAC.
    #[must_use]
    pub fn digest_len(self) -> Option<usize> {
        match self.row().digest {
            0 => None,
            len => Some(len),
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Algorithm {
    type Err = Error;

    fn from_str(s: &str) -> Result<Self, Error> {
        ROWS.iter()
            .find(|row| row.name == s)
            .map(|row| row.algorithm)
            .ok_or_else(|| Error::UnknownAlgorithm { name: s.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_parse_back() {
        for &algorithm in Algorithm::ALL {
            assert_eq!(algorithm.name().parse::<Algorithm>().unwrap(), algorithm);
            assert_eq!(Algorithm::from_id(algorithm.row().id), Some(algorithm));
        }
        assert_eq!(Algorithm::from_id(0), None);
        assert_eq!(Algorithm::from_id(u16::MAX), None);
    }

    #[test]
    fn unknown_name_is_named_with_the_known_ones() {
        let error = "aes-512-cbc".parse::<Algorithm>().unwrap_err().to_string();
        assert!(error.contains("aes-512-cbc") && error.contains("aes-128-cbc"), "{error}");
    }
}

//! What can be asked of an algorithm; `table` has a row for each. Process-local; the segment stores
//! the `id` of a row.

use std::fmt;
use std::str::FromStr;

use crate::error::Error;
use crate::keys::KeyKind;
pub use crate::table::Algorithm;
use crate::table::{ROWS, Row};

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
    /// A cipher of any other mode: as many bytes come out as go in.
    Cipher,
    /// Authenticated encryption with associated data (RFC 5116).
    Aead,
    /// A MAC of any other construction.
    Mac,
}

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

    /// Bytes of a key; `None` where there is no key, or where any length will do (HMAC).
    #[must_use]
    pub fn key_len(self) -> Option<usize> {
        self.row().key.and_then(KeyKind::key_len)
    }

    /// A job's length is a multiple of this many bytes.
    #[must_use]
    pub fn block_len(self) -> usize {
        self.row().block
    }

    /// The fewest bytes of a job.
    #[must_use]
    pub fn min_len(self) -> usize {
        self.row().min
    }

    /// Whether an IV of so many bytes will do.
    #[must_use]
    pub fn takes_iv(self, len: usize) -> bool {
        self.row().ivs.fits(len)
    }

    /// Whether a tag, digest or MAC of so many bytes will do.
    #[must_use]
    pub fn takes_tag(self, len: usize) -> bool {
        self.row().tags.fits(len)
    }

    /// Whether the jobs write their result over the message, and have two directions.
    #[must_use]
    pub fn is_cipher(self) -> bool {
        matches!(self.kind(), Kind::Cbc | Kind::Ctr | Kind::Cipher | Kind::Aead)
    }

    /// Bytes of the full digest of a hash or MAC, or of the tag of an AEAD.
    #[must_use]
    pub fn digest_len(self) -> Option<usize> {
        match self.row().tags.max {
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

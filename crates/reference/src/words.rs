//! The words of the binding: what a request says and what comes back. Plain values; nothing here
//! survives a crash.

use shmem::Offset;

/// What a job computes; the key decides between AES-128, 192 and 256.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// AES-CBC.
    Cbc,
    /// AES-CTR.
    Ctr,
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
    /// HMAC-SHA-256.
    HmacSha256,
    /// HMAC-SHA-512.
    HmacSha512,
}

impl Algorithm {
    pub(crate) fn number(self) -> u32 {
        match self {
            Algorithm::Cbc => 0,
            Algorithm::Ctr => 1,
            Algorithm::Sha256 => 2,
            Algorithm::Sha512 => 3,
            Algorithm::HmacSha256 => 4,
            Algorithm::HmacSha512 => 5,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Algorithm::Cbc => "aes-cbc",
            Algorithm::Ctr => "aes-ctr",
            Algorithm::Sha256 => "sha256",
            Algorithm::Sha512 => "sha512",
            Algorithm::HmacSha256 => "hmac-sha256",
            Algorithm::HmacSha512 => "hmac-sha512",
        }
    }

    pub(crate) fn is_cipher(self) -> bool {
        matches!(self, Algorithm::Cbc | Algorithm::Ctr)
    }

    /// Kinds of keys: 0 is none.
    pub(crate) fn key_kind(self) -> u64 {
        match self {
            Algorithm::Cbc | Algorithm::Ctr => 1,
            Algorithm::Sha256 | Algorithm::Sha512 => 0,
            Algorithm::HmacSha256 => 2,
            Algorithm::HmacSha512 => 3,
        }
    }

    pub(crate) fn digest_len(self) -> u64 {
        match self {
            Algorithm::Cbc | Algorithm::Ctr => 0,
            Algorithm::Sha256 | Algorithm::HmacSha256 => 32,
            Algorithm::Sha512 | Algorithm::HmacSha512 => 64,
        }
    }
}

/// Which way a cipher works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Plain to cipher text.
    Encrypt,
    /// Cipher to plain text.
    Decrypt,
}

/// The code that the library is told to use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Architecture {
    /// What the library finds best.
    #[default]
    Auto,
    /// SSE and AES-NI.
    Sse,
    /// AVX.
    Avx,
    /// AVX2, with VAES where the CPU has it.
    Avx2,
    /// AVX-512, with VAES where the CPU has it.
    Avx512,
}

impl Architecture {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Architecture::Auto => "auto",
            Architecture::Sse => "sse",
            Architecture::Avx => "avx",
            Architecture::Avx2 => "avx2",
            Architecture::Avx512 => "avx512",
        }
    }

    pub(crate) fn number(self) -> u32 {
        match self {
            Architecture::Auto => 0,
            Architecture::Sse => 1,
            Architecture::Avx => 2,
            Architecture::Avx2 => 3,
            Architecture::Avx512 => 4,
        }
    }
}

/// A key in the table beside the manager; valid in each process that attaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    /// Its index.
    pub index: u64,
}

/// A request. Its buffers are offsets into the arena of the manager's segment.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// What to compute.
    pub algorithm: Algorithm,
    /// Which way.
    pub direction: Direction,
    /// The key, where the algorithm takes one.
    pub key: Option<Key>,
    /// The input.
    pub src: Offset,
    /// The output, or the digest.
    pub dst: Offset,
    /// Bytes of the input.
    pub len: u64,
    /// The IV or counter block.
    pub iv: [u8; 16],
    /// Its length, 0 where there is none.
    pub iv_len: u8,
    /// Bytes of the tag; 0 stands for its full length.
    pub tag_len: u8,
    /// The caller's own word.
    pub user: u64,
}

/// A job that came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Done {
    /// Its number in the order of submission.
    pub sequence: u64,
    /// The caller's own word.
    pub user: u64,
    /// Whether the library says that it is complete.
    pub complete: bool,
}

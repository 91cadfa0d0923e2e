//! Chained jobs: a cipher and a hash over parts of the same buffers, one after the other. What a caller
//! asks for, and the check that a crash between any two stores of it does no harm. Called by `Job` and
//! by `Job::check`; `lanes::chained` runs them. The slot keeps both keys, the order and the stage.

use shmem::Offset;

use super::check::overlap;
use super::{Iv, Job, Plan};
use crate::algorithm::{Algorithm, Direction, Kind};
use crate::error::{Error, Result};
use crate::keys::{KeyId, KeyTable};
use crate::lanes::Route;
use crate::region::Region;

/// Which part of a chained job comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Order {
    /// The hash covers what the cipher writes: encrypt-then-MAC, decrypt-then-verify.
    CipherHash,
    /// The hash covers what is there before the cipher: MAC-then-encrypt, verify-then-decrypt.
    HashCipher,
}

impl Order {
    fn id(self) -> u8 {
        match self {
            Order::CipherHash => 0,
            Order::HashCipher => 1,
        }
    }

    pub(super) fn from_id(id: u8) -> Option<Order> {
        [Order::CipherHash, Order::HashCipher].into_iter().find(|order| order.id() == id)
    }
}

/// The hash part of a chained job, as a caller asks for it.
#[derive(Clone, Copy, Debug)]
pub struct Authentication {
    /// A hash or MAC that takes no IV.
    pub algorithm: Algorithm,
    /// Its key, where it takes one.
    pub key: Option<KeyId>,
    /// What it covers; independent of what the cipher covers.
    pub src: Offset,
    /// Bytes that it covers.
    pub len: u32,
    /// Where encryption writes the tag, and decryption finds the one to compare.
    pub tag: Offset,
    /// Bytes of the tag; 0 stands for its full length.
    pub tag_len: u8,
}

/// The hash of a [`Job`]: what has no field of its own there. What it covers is the job's `aad`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chained {
    /// A hash or MAC.
    pub algorithm: Algorithm,
    /// Its key, where it takes one.
    pub key: Option<KeyId>,
    /// Which part comes first.
    pub order: Order,
}

impl Chained {
    /// Algorithm and order, as the slot has them.
    pub(super) fn pack(&self) -> u32 {
        u32::from(self.algorithm.row().id) | u32::from(self.order.id()) << 16
    }
}

/// A part of a chained job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Cipher,
    Hash,
}

/// All that the lanes of a hash or MAC need of a job.
pub(crate) struct Message {
    pub(crate) algorithm: Algorithm,
    pub(crate) key: Option<KeyId>,
    pub(crate) src: Offset,
    /// Bytes at `src`.
    pub(crate) len: u64,
    pub(crate) dst: Offset,
    /// Bytes of the digest at `dst`.
    pub(crate) digest: usize,
}

/// How to run the parts of a chained job.
#[derive(Clone, Copy)]
pub(crate) struct ChainPlan {
    pub(crate) cipher: Route,
    pub(crate) hash: Route,
    /// Where the hash's key lies in the table; 0 where there is none.
    pub(crate) hash_key: u32,
    /// The hash, its key and the order of the parts.
    pub(super) chained: Chained,
    /// Which part comes at which stage.
    parts: [Option<Part>; 2],
    /// Bytes of the tag.
    pub(super) tag: u64,
}

impl ChainPlan {
    /// As [`Job::part`].
    #[inline]
    pub(crate) fn part(&self, stage: u32) -> Option<Part> {
        *self.parts.get(stage as usize)?
    }
}

impl Job {
    /// The job, and then a hash over what `hash` says: its destination when the cipher is through, or any
    /// other bytes. Encryption writes the tag. Decryption compares it, and fails with
    /// [`crate::Failure::TagMismatch`]; the plaintext is at the destination then, where nobody should
    /// use it. A tag to compare may be among what was decrypted, as in DOCSIS or TLS.
    #[must_use]
    pub fn then_hash(self, hash: Authentication) -> Job {
        self.linked(hash, Order::CipherHash)
    }

    /// The hash over what `hash` says first, and then the job. Encryption writes the tag, which may be
    /// among what is encrypted. Decryption compares it, and with a wrong one fails with
    /// [`crate::Failure::TagMismatch`] and has written nothing.
    #[must_use]
    pub fn after_hash(self, hash: Authentication) -> Job {
        self.linked(hash, Order::HashCipher)
    }

    /// A chained job without a cipher: [`Direction::Encrypt`] writes the tag, [`Direction::Decrypt`]
    /// compares it.
    #[must_use]
    pub fn null_cipher(direction: Direction, hash: Authentication) -> Job {
        let mut job = Job::blank(hash.algorithm, hash.key);
        job.direction = direction;
        job.linked(hash, Order::HashCipher)
    }

    fn linked(mut self, hash: Authentication, order: Order) -> Job {
        let Authentication { algorithm, key, src, len, tag, tag_len } = hash;
        self.chained = Some(Chained { algorithm, key, order });
        (self.aad, self.aad_len) = (src, len);
        (self.tag, self.tag_len) = (tag, tag_len);
        self
    }

    /// Whether a chained job has only a hash.
    pub(crate) fn is_null_cipher(&self) -> bool {
        !self.algorithm.is_cipher()
    }

    /// Part number `stage` of a chained job; `None` where all are complete.
    pub(crate) fn part(&self, stage: u32) -> Option<Part> {
        let order = self.chained?.order;
        match (order, stage) {
            (_, 0) if self.is_null_cipher() => Some(Part::Hash),
            (_, _) if self.is_null_cipher() => None,
            (Order::CipherHash, 0) | (Order::HashCipher, 1) => Some(Part::Cipher),
            (Order::CipherHash, 1) | (Order::HashCipher, 0) => Some(Part::Hash),
            _ => None,
        }
    }

    /// A part of a chained job as a job of its own.
    pub(crate) fn alone(&self, part: Part) -> Job {
        match part {
            Part::Cipher => self.cipher_part(),
            Part::Hash => self.hash_part(),
        }
    }

    /// What the hash or MAC of a job covers: of a chained one, its hash.
    #[inline(always)]
    pub(crate) fn message(&self) -> Message {
        let digest = self.digest_bytes();
        match &self.chained {
            None => {
                let Job { algorithm, key, src, len, dst, .. } = *self;
                Message { algorithm, key, src, len, dst, digest }
            }
            Some(hash) => Message {
                algorithm: hash.algorithm,
                key: hash.key,
                src: self.aad,
                len: u64::from(self.aad_len),
                dst: self.tag,
                digest,
            },
        }
    }

    /// The cipher of a chained job as a job of its own.
    fn cipher_part(&self) -> Job {
        Job { chained: None, aad_len: 0, tag_len: 0, ..*self }
    }

    /// The hash of a chained job as a job of its own, whose destination is the tag's place.
    fn hash_part(&self) -> Job {
        let (algorithm, key) =
            self.chained.map_or((self.algorithm, self.key), |hash| (hash.algorithm, hash.key));
        Job {
            algorithm,
            direction: Direction::Encrypt,
            key,
            src: self.aad,
            dst: self.tag,
            len: u64::from(self.aad_len),
            iv: Iv::NONE,
            iv_at_len: 0,
            aad_len: 0,
            chained: None,
            pieces: 0,
            ..*self
        }
    }

    /// As `check`, for a chained job.
    pub(super) fn check_chained(
        &self,
        region: &Region,
        keys: &KeyTable,
        chained: &Chained,
    ) -> Result<Plan> {
        let hash = self.hash_part();
        if matches!(chained.algorithm.kind(), Kind::Cbc | Kind::Ctr | Kind::Cipher | Kind::Aead) {
            return Err(Error::Chain { algorithm: chained.algorithm, as_what: "hash" });
        }
        let of_hash = hash.check_alone(region, keys)?;
        let of_cipher = if self.is_null_cipher() {
            let alike = self.algorithm == chained.algorithm && self.key == chained.key;
            if !alike || self.len > 0 || self.iv_len() > 0 || self.pieces > 0 {
                return Err(Error::Chain { algorithm: self.algorithm, as_what: "cipher" });
            }
            of_hash
        } else {
            if self.algorithm.kind() == Kind::Aead {
                return Err(Error::Chain { algorithm: self.algorithm, as_what: "cipher" });
            }
            let plan = self.cipher_part().check_alone(region, keys)?;
            // Now that the ends of all ranges are known to be in range.
            self.check_tag(chained.order)?;
            plan
        };
        let chain = ChainPlan {
            cipher: of_cipher.route,
            hash: of_hash.route,
            hash_key: of_hash.key_index,
            chained: *chained,
            parts: [self.part(0), self.part(1)],
            tag: self.digest_bytes() as u64,
        };
        Ok(of_cipher.for_chained(self, chain))
    }

    /// Where the tag may lie. It is written after the hash has read its source, which is apart from it:
    /// what is hashed again after a crash is what was hashed before.
    fn check_tag(&self, order: Order) -> Result<()> {
        let src = ("the source", (self.src, self.len));
        let dst = ("the destination", (self.dst, self.len));
        let iv = ("the IV", (self.iv_at, u64::from(self.iv_at_len)));
        let in_place = self.src == self.dst;
        let apart: &[_] = match (self.direction, order) {
            // Read when the cipher is through, and never written.
            (Direction::Decrypt, Order::CipherHash) => &[],
            (Direction::Decrypt, Order::HashCipher) => &[dst],
            (Direction::Encrypt, Order::CipherHash) => &[src, dst, iv],
            // Written before the cipher begins, which takes it along.
            (Direction::Encrypt, Order::HashCipher) if in_place => &[iv],
            (Direction::Encrypt, Order::HashCipher) => &[dst, iv],
        };
        let tag = (self.tag, self.digest_bytes() as u64);
        for &(with, other) in apart {
            if overlap(tag, other) {
                return Err(Error::Overlap { what: "tag", at: self.tag, with });
            }
        }
        Ok(())
    }
}

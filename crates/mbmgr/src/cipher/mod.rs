//! Algorithms that run one job at a time, on well-kept crates or on the kernels: one file a family.
//! What a file writes is one of three small traits; `lanes::single` runs it and keeps the journal, so
//! that no file here knows of shared memory or of crashes. Process-local.

pub(crate) mod aes;
pub(crate) mod cbc_mac;
pub(crate) mod ccm;
pub(crate) mod cfb;
pub(crate) mod chacha;
pub(crate) mod digests;
pub(crate) mod docsis;
pub(crate) mod gcm;
pub(crate) mod legacy;
pub(crate) mod sm4;
pub(crate) mod xts;
pub(crate) mod zuc;

use crate::algorithm::{Algorithm, Direction};
use crate::kernel::{BLOCK, Kernels, Schedule};
use crate::keys::Material;

/// The block that a mode hands on from step to step: at first the IV.
pub(crate) type Chain = [u8; BLOCK];

/// The longest digest; shorter ones stand at its beginning.
pub(crate) type Tag = [u8; 64];

/// A job as a cipher sees it.
pub(crate) struct Request<'a> {
    pub(crate) kernels: Kernels,
    pub(crate) algorithm: Algorithm,
    pub(crate) direction: Direction,
    pub(crate) key: Option<&'a Material>,
    pub(crate) iv: &'a [u8],
    /// Bytes of the message.
    pub(crate) len: u64,
    /// Bytes of associated data.
    pub(crate) aad_len: u64,
    /// Bytes of the tag that the caller wants.
    pub(crate) tag_len: usize,
}

impl Request<'_> {
    pub(crate) fn encrypts(&self) -> bool {
        self.direction == Direction::Encrypt
    }

    /// The key's own bytes.
    ///
    /// # Panics
    /// If it has none: going on would write wrong bytes. The job's check found a key of this kind.
    pub(crate) fn raw_key(&self) -> &[u8] {
        match self.key {
            Some(Material::Raw { bytes, len }) => &bytes[..*len],
            _ => unreachable!("the check of a {} job found its raw key", self.algorithm),
        }
    }

    /// The encrypt and the decrypt schedule of an AES key.
    ///
    /// # Panics
    /// As [`Request::raw_key`].
    pub(crate) fn schedules(&self) -> (&Schedule, &Schedule) {
        match self.key {
            Some(Material::Aes { encrypt, decrypt, .. }) => (encrypt, decrypt),
            _ => unreachable!("the check of a {} job found its AES key", self.algorithm),
        }
    }
}

/// A cipher that takes its message in steps.
pub(crate) trait Cipher {
    /// What is derived from the request once.
    type State;
    /// Whether the chaining value must outlive a step: where it cannot be computed from IV and place.
    const CHAINED: bool;

    fn start(request: &Request<'_>) -> Self::State;

    /// Replaces the bytes `at..` of the message by their result, and `chain` by what the next step needs.
    ///
    /// Steps come in order, but the first need not be at 0: a recovery begins where the crash was.
    /// `at` is a multiple of 512. Only the last step may end inside a block, and it has the whole
    /// block before that one too, unless the message is shorter.
    fn step(state: &mut Self::State, at: u64, chain: &mut Chain, bytes: &mut [u8]);
}

/// A hash or MAC.
pub(crate) trait Mac {
    /// A computation under way.
    type State;

    fn start(request: &Request<'_>) -> Self::State;
    /// Takes in a part; every part but the last is a multiple of 256 bytes.
    fn update(state: &mut Self::State, bytes: &[u8]);
    fn finish(state: Self::State) -> Tag;
}

/// A stream cipher and a MAC over its message. A step of the cipher must not depend on what the
/// message says, only on its place: that is what makes a tag check before the decryption possible.
pub(crate) trait Aead {
    type Stream: Cipher;
    /// A MAC under way.
    type Auth;
    /// What the MAC takes in: the plaintext (CCM) or the ciphertext.
    const MACS_PLAINTEXT: bool;

    fn start(request: &Request<'_>) -> Self::Auth;
    /// Takes in a part of the associated data; every part but the last is a multiple of 256 bytes.
    fn aad(auth: &mut Self::Auth, bytes: &[u8]);
    /// Takes in a part of the message; every part but the last is a multiple of 256 bytes.
    fn text(auth: &mut Self::Auth, bytes: &[u8]);
    fn tag(auth: Self::Auth) -> Tag;
}

/// A digest at the beginning of a tag.
pub(crate) fn tag_of(digest: &[u8]) -> Tag {
    let mut tag = [0; 64];
    tag[..digest.len()].copy_from_slice(digest);
    tag
}

/// `bytes ^= other`, as far as the shorter one goes.
#[inline]
pub(crate) fn xor(bytes: &mut [u8], other: &[u8]) {
    for (byte, other) in bytes.iter_mut().zip(other) {
        *byte ^= other;
    }
}

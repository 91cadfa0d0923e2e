//! AES for the modes of this folder: the RustCrypto block cipher made anew from a schedule, and
//! counter mode by the kernels. Called by the families beside it.
#![expect(unsafe_code, reason = "calls a kernel, which takes raw pointers")]

use aes::cipher::{BlockCipherEncrypt, KeyInit};
use aes::{Aes128, Aes192, Aes256, Block};
use zeroize::Zeroizing;

use super::Request;
use crate::kernel::{BLOCK, Kernels, Schedule, expand_key};

/// The block cipher of a key of any length.
pub(crate) enum Aes {
    Aes128(Aes128),
    Aes192(Aes192),
    Aes256(Aes256),
}

impl Aes {
    /// From the key of a request.
    pub(crate) fn of(request: &Request<'_>) -> Aes {
        Aes::of_schedule(request.schedules().0)
    }

    /// From an encrypt schedule, which begins with the key.
    pub(crate) fn of_schedule(schedule: &Schedule) -> Aes {
        let key = Zeroizing::new([schedule.round_keys[0], schedule.round_keys[1]]);
        let key = key.as_flattened();
        Aes::new(match schedule.rounds {
            ..=10 => &key[..16],
            11..=12 => &key[..24],
            _ => key,
        })
    }

    /// From a key of 16, 24 or 32 bytes.
    ///
    /// # Panics
    /// With any other length.
    pub(crate) fn new(key: &[u8]) -> Aes {
        let expect = "16, 24 or 32 bytes";
        match key.len() {
            16 => Aes::Aes128(Aes128::new_from_slice(key).expect(expect)),
            24 => Aes::Aes192(Aes192::new_from_slice(key).expect(expect)),
            _ => Aes::Aes256(Aes256::new_from_slice(key).expect(expect)),
        }
    }

    pub(crate) fn encrypt(&self, block: &mut [u8; BLOCK]) {
        self.encrypt_all(std::slice::from_mut(block));
    }

    /// Blocks side by side: the crate takes several at once.
    pub(crate) fn encrypt_all(&self, blocks: &mut [[u8; BLOCK]]) {
        let blocks = Block::cast_slice_from_core_mut(blocks);
        match self {
            Aes::Aes128(cipher) => cipher.encrypt_blocks(blocks),
            Aes::Aes192(cipher) => cipher.encrypt_blocks(blocks),
            Aes::Aes256(cipher) => cipher.encrypt_blocks(blocks),
        }
    }
}

/// The blocks of a message, each by itself, by the kernels.
pub(crate) struct Blocks {
    kernels: Kernels,
    encrypt: Schedule,
    decrypt: Schedule,
}

impl Blocks {
    /// With the key of a request.
    pub(crate) fn of(request: &Request<'_>) -> Blocks {
        let (encrypt, decrypt) = request.schedules();
        Blocks { kernels: request.kernels, encrypt: encrypt.clone(), decrypt: decrypt.clone() }
    }

    /// With a key of 16, 24 or 32 bytes.
    ///
    /// # Panics
    /// With any other length.
    pub(crate) fn with_key(kernels: Kernels, key: &[u8]) -> Blocks {
        let (encrypt, decrypt) = expand_key(key).expect("16, 24 or 32 bytes");
        Blocks { kernels, encrypt, decrypt }
    }

    pub(crate) fn encrypt(&self, blocks: &mut [[u8; BLOCK]]) {
        let (at, len) = (blocks.as_mut_ptr().cast::<u8>(), size_of_val(blocks));
        // SAFETY: source and destination are the blocks; the schedule is one that encrypts.
        unsafe { self.kernels.ecb::<false>(&self.encrypt, at, at, len, None) }
    }

    pub(crate) fn decrypt(&self, blocks: &mut [[u8; BLOCK]]) {
        let (at, len) = (blocks.as_mut_ptr().cast::<u8>(), size_of_val(blocks));
        // SAFETY: as in `encrypt`, for decryption.
        unsafe { self.kernels.ecb::<true>(&self.decrypt, at, at, len, None) }
    }
}

/// Counter mode on bytes of the process; `counter` is the counter block of the first of them, a
/// big-endian number of 128 bits.
pub(crate) fn ctr(kernels: Kernels, key: &Schedule, bytes: &mut [u8], counter: &[u8; BLOCK]) {
    let at = bytes.as_mut_ptr();
    // SAFETY: source and destination are the slice; the schedule is one that encrypts.
    unsafe { kernels.ctr(key, at, at, bytes.len(), counter, None) }
}

//! AES-GCM as the lanes ask for it: the key's and the job's words, and which code runs them. Called by
//! `lanes::gcm` and `cipher`. Process-local, but for the journal's log.
#![expect(unsafe_code, reason = "calls kernels, which take raw pointers")]

use zeroize::Zeroize;

use super::{BLOCK, Backend, Kernels, Schedule, by_backend};
use crate::journal::Log;

/// Powers of the hash key: of a batch of the widest registers, and of one block more.
pub(super) const POWERS: usize = 33;

/// What GCM derives from an AES key once.
#[derive(Clone)]
#[repr(C, align(64))]
pub(crate) struct GcmKey {
    /// Powers of the hash key, the highest first, in the form of the x86 kernels; zero after them, for
    /// registers that the message does not fill.
    pub(super) powers: [[u8; BLOCK]; POWERS + 3],
    pub(super) hash_key: [u8; BLOCK],
}

impl Drop for GcmKey {
    fn drop(&mut self) {
        self.powers.zeroize();
        self.hash_key.zeroize();
    }
}

/// A message, its key and what goes with it. The pointers are valid as the methods say that take it.
#[derive(Clone, Copy)]
pub(crate) struct GcmRun<'a> {
    pub(crate) schedule: &'a Schedule,
    pub(crate) key: &'a GcmKey,
    /// The counter block before that of the first byte at `src`.
    pub(crate) first: [u8; BLOCK],
    pub(crate) aad: *const u8,
    pub(crate) aad_len: usize,
    pub(crate) src: *const u8,
    pub(crate) dst: *mut u8,
    pub(crate) len: usize,
}

impl Kernels {
    /// Derives what GCM needs from an encrypt schedule.
    pub(crate) fn gcm_key(self, schedule: &Schedule) -> GcmKey {
        let mut hash_key = [0; BLOCK];
        let at = hash_key.as_mut_ptr();
        // SAFETY: source and destination are the block.
        unsafe { self.ctr(schedule, at, at, BLOCK, &[0; BLOCK], None) };
        self.gcm_key_of(hash_key)
    }

    /// From the hash key itself.
    pub(crate) fn gcm_key_of(self, hash_key: [u8; BLOCK]) -> GcmKey {
        let mut key = GcmKey { powers: [[0; BLOCK]; POWERS + 3], hash_key };
        #[cfg(target_arch = "x86_64")]
        if self.backend != Backend::Portable {
            // SAFETY: every other backend has the instructions of AES-NI's.
            unsafe { super::x86::aes_ni::gcm_powers(&mut key) };
        }
        key
    }

    /// Takes `len` bytes, padded with zeros to whole blocks, into a hash.
    ///
    /// # Safety
    /// `from` is readable for `len` bytes.
    pub(crate) unsafe fn ghash(
        self,
        key: &GcmKey,
        hash: &mut [u8; BLOCK],
        from: *const u8,
        len: usize,
    ) {
        // SAFETY: `self` proves the instructions; the buffer is the caller's duty.
        unsafe { by_backend!(self, ghash(key, hash, from, len)) }
    }

    /// Encrypts and returns the tag. With a log, steps as those of [`Kernels::ctr`].
    ///
    /// # Safety
    /// `src` is readable and `dst` writable for `len` bytes, the same or disjoint; `aad` is readable for
    /// `aad_len`. The schedule is one that encrypts, and the key derived from it.
    pub(crate) unsafe fn gcm_seal(self, run: &GcmRun<'_>, log: Option<&Log<'_>>) -> [u8; BLOCK] {
        // SAFETY: `self` proves the instructions; the buffers are the caller's duty.
        unsafe { by_backend!(self, gcm_seal(run, log)) }
    }

    /// Encrypts or decrypts without the tag. With a log, steps as those of [`Kernels::ctr`].
    ///
    /// # Safety
    /// As [`Kernels::gcm_seal`].
    pub(crate) unsafe fn gcm_stream(self, run: &GcmRun<'_>, log: Option<&Log<'_>>) {
        // SAFETY: `self` proves the instructions; the buffers are the caller's duty.
        unsafe { by_backend!(self, gcm_stream(run, log)) }
    }

    /// The tag of the ciphertext at `text`, `run.len` bytes.
    ///
    /// # Safety
    /// As [`Kernels::gcm_seal`] with `text` for `src`; `src` and `dst` are not used.
    pub(crate) unsafe fn gcm_tag(self, run: &GcmRun<'_>, text: *const u8) -> [u8; BLOCK] {
        // SAFETY: `self` proves the instructions; the buffers are the caller's duty.
        unsafe { by_backend!(self, gcm_tag(run, text)) }
    }
}

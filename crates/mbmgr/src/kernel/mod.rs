//! Kernels: AES and SHA over raw buffers, written once per algorithm and instantiated per
//! instruction set. Called by the run engine of the manager only. Nothing here survives a crash but
//! what a kernel puts into the journal's log before it overwrites it: the inputs of the step under
//! way, and the commit of that step's number.
//!
//! Layers, each used only by those above it:
//! [`Kernels`] (this file, one `match` per operation) → `x86` and `x86_digest` (the entries that carry
//! `target_feature`; for CBC encrypt with VAES-512 `cbc_512`) → `cbc_encrypt`, `cbc_pairs`, `cbc_lines`,
//! `cbc_decrypt`, `ctr`, `gcm` with `ghash`, `digest` with `sha1`, `sha256`, `sha512` (generic bodies) → `round_keys`,
//! `block`, `pair`, `word`
//! (vectors of AES blocks and of hash words). `portable` and `sha_ni` stand beside.
#![expect(unsafe_code, reason = "kernels work on raw pointers into memory that is shared")]

use core::fmt;
use core::str::FromStr;

use crate::journal::Log;

mod gcm_run;
mod portable;
mod schedule;

#[cfg(target_arch = "x86_64")]
mod block;
#[cfg(target_arch = "x86_64")]
mod cbc_512;
#[cfg(target_arch = "x86_64")]
mod cbc_decrypt;
#[cfg(target_arch = "x86_64")]
mod cbc_encrypt;
#[cfg(target_arch = "x86_64")]
mod cbc_lines;
#[cfg(target_arch = "x86_64")]
mod cbc_pairs;
#[cfg(target_arch = "x86_64")]
mod ctr;
#[cfg(target_arch = "x86_64")]
mod digest;
#[cfg(target_arch = "x86_64")]
mod ecb;
#[cfg(target_arch = "x86_64")]
mod gcm;
#[cfg(target_arch = "x86_64")]
mod ghash;
#[cfg(target_arch = "x86_64")]
mod pair;
#[cfg(target_arch = "x86_64")]
mod round_keys;
#[cfg(target_arch = "x86_64")]
mod sha1;
#[cfg(target_arch = "x86_64")]
mod sha256;
#[cfg(target_arch = "x86_64")]
mod sha512;
#[cfg(target_arch = "x86_64")]
mod sha_ni;
#[cfg(target_arch = "x86_64")]
mod word;
#[cfg(target_arch = "x86_64")]
mod x86;
#[cfg(target_arch = "x86_64")]
mod x86_digest;

#[cfg(test)]
mod tests;

pub(crate) use gcm_run::{GcmKey, GcmRun};
pub(crate) use schedule::{LaneKeys, Schedule, expand_key};

/// The most lanes a run advances together.
pub(crate) const MAX_LANES: usize = 16;

/// Bytes of one step of the single-buffer modes (CBC decrypt, CTR, ECB).
pub(crate) const WIDE_STEP: usize = 512;

/// Bytes of one AES block.
pub(crate) const BLOCK: usize = 16;

/// An instruction set that the kernels are built for, from the narrowest to the widest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Backend {
    /// The RustCrypto crates, one block after the other; on every machine.
    Portable,
    /// AES-NI: one block per register.
    AesNi,
    /// VAES with AVX2: two blocks per register.
    Vaes256,
    /// VAES with AVX-512: four blocks per register.
    Vaes512,
}

impl Backend {
    /// Every backend, the narrowest first.
    pub const ALL: [Backend; 4] =
        [Backend::Portable, Backend::AesNi, Backend::Vaes256, Backend::Vaes512];

    /// Whether this machine has the instructions of the backend.
    #[must_use]
    pub fn is_available(self) -> bool {
        Kernels::new(self).is_some()
    }

    /// The backends of this machine, the narrowest first.
    #[must_use]
    pub fn available() -> Vec<Backend> {
        Backend::ALL.into_iter().filter(|backend| backend.is_available()).collect()
    }

    /// The widest backend of this machine.
    #[must_use]
    pub fn best() -> Backend {
        let widest = Backend::ALL.into_iter().rev().find(|backend| backend.is_available());
        widest.unwrap_or(Backend::Portable)
    }

    /// The name on the command line and in tokens.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Backend::Portable => "portable",
            Backend::AesNi => "aesni",
            Backend::Vaes256 => "vaes256",
            Backend::Vaes512 => "vaes512",
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A name that is no backend's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown backend {0:?}; known are portable, aesni, vaes256, vaes512")]
pub struct UnknownBackend(pub String);

impl FromStr for Backend {
    type Err = UnknownBackend;

    fn from_str(name: &str) -> Result<Backend, UnknownBackend> {
        let known = Backend::ALL.into_iter().find(|backend| backend.name() == name);
        known.ok_or_else(|| UnknownBackend(name.to_owned()))
    }
}

/// One lane of a CBC encrypt run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lane {
    /// First byte to read; left as it is.
    pub(crate) src: *const u8,
    /// First byte to write: `src` itself, or disjoint from it.
    pub(crate) dst: *mut u8,
    /// The chaining value before the run, and after it.
    pub(crate) chain: [u8; BLOCK],
}

/// Proof that this CPU has a backend's instructions: only [`Kernels::new`] makes one, after
/// detection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kernels {
    backend: Backend,
    /// Up to so many lanes SHA-NI does SHA-256 faster than the vectors of the backend; 0 without
    /// SHA-NI, which comes with none of the AES instruction sets.
    sha_ni_lanes: usize,
    /// The same for SHA-1, where SHA-NI is the crate's.
    sha1_ni_lanes: usize,
}

/// One call of each backend's entry. All are named, so that another backend does not compile until every
/// operation has it.
macro_rules! by_backend {
    ($kernels:expr, $($call:ident)::+$(::<$generic:ident>)?($($argument:expr),*)) => {
        match $kernels.backend {
            $crate::kernel::Backend::Portable => {
                $crate::kernel::portable::$($call)::+$(::<$generic>)?($($argument),*)
            }
            #[cfg(target_arch = "x86_64")]
            $crate::kernel::Backend::AesNi => {
                $crate::kernel::x86::aes_ni::$($call)::+$(::<$generic>)?($($argument),*)
            }
            #[cfg(target_arch = "x86_64")]
            $crate::kernel::Backend::Vaes256 => {
                $crate::kernel::x86::vaes256::$($call)::+$(::<$generic>)?($($argument),*)
            }
            #[cfg(target_arch = "x86_64")]
            $crate::kernel::Backend::Vaes512 => {
                $crate::kernel::x86::vaes512::$($call)::+$(::<$generic>)?($($argument),*)
            }
            #[cfg(not(target_arch = "x86_64"))]
            backend @ ($crate::kernel::Backend::AesNi
            | $crate::kernel::Backend::Vaes256
            | $crate::kernel::Backend::Vaes512) => $crate::kernel::not_of_this_processor(backend),
        }
    };
}
use by_backend;

/// `Kernels::new` makes none of a backend that this processor cannot have.
#[cfg(not(target_arch = "x86_64"))]
#[cold]
fn not_of_this_processor(backend: Backend) -> ! {
    unreachable!("no kernels of {backend} are made on this processor")
}

/// A run of so many lanes has no kernel. The manager never makes one; going on would report plaintext
/// as done.
#[cold]
#[inline(never)]
fn wrong_lanes(count: usize) -> ! {
    panic!("a run of {count} lanes: kernels take 1 to {MAX_LANES}")
}

impl Kernels {
    /// The kernels of `backend`, unless this CPU lacks an instruction of it.
    pub(crate) fn new(backend: Backend) -> Option<Kernels> {
        #[cfg(target_arch = "x86_64")]
        {
            let found = match backend {
                Backend::Portable => true,
                Backend::AesNi => x86::has_aes_ni(),
                Backend::Vaes256 => x86::has_vaes256(),
                Backend::Vaes512 => x86::has_vaes512(),
            };
            found.then(|| Kernels {
                backend,
                sha_ni_lanes: x86_digest::sha_ni_lanes(backend),
                sha1_ni_lanes: x86_digest::sha1_ni_lanes(backend),
            })
        }
        #[cfg(not(target_arch = "x86_64"))]
        (backend == Backend::Portable).then_some(Kernels {
            backend,
            sha_ni_lanes: 0,
            sha1_ni_lanes: 0,
        })
    }

    pub(crate) fn backend(self) -> Backend {
        self.backend
    }

    /// Bytes that one step of [`Kernels::cbc_encrypt`] covers of each lane.
    pub(crate) fn cbc_encrypt_step(self, lanes: &[Lane]) -> usize {
        debug_assert!((1..=MAX_LANES).contains(&lanes.len()));
        match self.backend {
            #[cfg(target_arch = "x86_64")]
            Backend::Vaes512 => cbc_512::step(lanes),
            #[cfg(not(target_arch = "x86_64"))]
            Backend::Vaes512 => not_of_this_processor(self.backend),
            Backend::Portable | Backend::AesNi | Backend::Vaes256 => BLOCK,
        }
    }

    /// Bytes that one step of [`Kernels::cfb_encrypt`] covers of each lane, and the least that
    /// [`Kernels::cbc_encrypt_step`] gives for any lanes.
    #[inline]
    pub(crate) fn least_step(self) -> usize {
        match self.backend {
            #[cfg(target_arch = "x86_64")]
            Backend::Vaes512 => cbc_512::LEAST_STEP,
            #[cfg(not(target_arch = "x86_64"))]
            Backend::Vaes512 => not_of_this_processor(self.backend),
            Backend::Portable | Backend::AesNi | Backend::Vaes256 => BLOCK,
        }
    }

    /// AES-CBC encrypt: every lane advances by `len` bytes, a multiple of a block.
    ///
    /// With a log, step k first copies the S input bytes of every lane `l` to
    /// `log.slot(k)[l * S..][..S]`, then commits k, then stores the outputs.
    ///
    /// # Panics
    /// With no lane, or more than 16.
    ///
    /// # Safety
    /// 1 to 16 lanes, whose `src` is readable and `dst` writable for `len` bytes; the same or
    /// disjoint, and no lane's `dst` overlaps another lane's buffers. `keys` holds the encrypt
    /// schedules of the lanes, all of `rounds` rounds.
    pub(crate) unsafe fn cbc_encrypt(
        self,
        lanes: &mut [Lane],
        keys: &LaneKeys,
        rounds: u32,
        len: usize,
        log: Option<&Log<'_>>,
    ) {
        debug_assert!(len.is_multiple_of(BLOCK));
        // SAFETY: `self` proves the instructions; the buffers are the caller's duty.
        unsafe { by_backend!(self, cbc_encrypt(lanes, keys, rounds, len, log)) }
    }

    /// AES-CFB encrypt with segments of a block: every lane advances by `len` bytes, a multiple of a
    /// block. With a log as [`Kernels::cbc_encrypt`], in steps of [`Kernels::least_step`].
    ///
    /// # Safety
    /// As [`Kernels::cbc_encrypt`].
    pub(crate) unsafe fn cfb_encrypt(
        self,
        lanes: &mut [Lane],
        keys: &LaneKeys,
        rounds: u32,
        len: usize,
        log: Option<&Log<'_>>,
    ) {
        debug_assert!(len.is_multiple_of(BLOCK));
        // SAFETY: `self` proves the instructions; the buffers are the caller's duty.
        unsafe { by_backend!(self, cfb_encrypt(lanes, keys, rounds, len, log)) }
    }

    /// AES-CBC encrypt of which only the chaining values are kept: every lane takes in `len` bytes, a
    /// multiple of 16.
    ///
    /// # Safety
    /// 1 to 16 lanes, whose `src` is readable for `len` bytes; `dst` is not used. `keys` holds the
    /// encrypt schedules of the lanes, all of `rounds` rounds.
    pub(crate) unsafe fn cbc_mac(
        self,
        lanes: &mut [Lane],
        keys: &LaneKeys,
        rounds: u32,
        len: usize,
    ) {
        debug_assert!(len.is_multiple_of(BLOCK));
        // SAFETY: `self` proves the instructions; the buffers are the caller's duty.
        unsafe { by_backend!(self, cbc_mac(lanes, keys, rounds, len)) }
    }

    /// AES-CBC decrypt of one buffer: `len` is a multiple of 16, `chain` is replaced by the last
    /// ciphertext block.
    ///
    /// With a log, step k (bytes `k * WIDE_STEP..` of the buffer) first copies its input to
    /// `log.slot(k)` and the ciphertext block before it to `log.slot(k)[LOG_CHAIN..]`, then commits
    /// k, then stores the outputs.
    ///
    /// # Safety
    /// `src` is readable and `dst` writable for `len` bytes, the same or disjoint. `key` is a
    /// decrypt schedule.
    pub(crate) unsafe fn cbc_decrypt(
        self,
        key: &Schedule,
        src: *const u8,
        dst: *mut u8,
        len: usize,
        chain: &mut [u8; BLOCK],
        log: Option<&Log<'_>>,
    ) {
        debug_assert!(len.is_multiple_of(BLOCK));
        // SAFETY: `self` proves the instructions; the buffers are the caller's duty.
        unsafe { by_backend!(self, cbc_decrypt(key, src, dst, len, chain, log)) }
    }

    /// AES-CTR of one buffer of any length; `counter` is the counter block of its first byte, a
    /// big-endian number of 128 bits.
    ///
    /// With a log, step k (bytes `k * WIDE_STEP..` of the buffer) first copies its input to
    /// `log.slot(k)`, then commits k, then stores the outputs.
    ///
    /// # Safety
    /// `src` is readable and `dst` writable for `len` bytes, the same or disjoint. `key` is an
    /// encrypt schedule.
    pub(crate) unsafe fn ctr(
        self,
        key: &Schedule,
        src: *const u8,
        dst: *mut u8,
        len: usize,
        counter: &[u8; BLOCK],
        log: Option<&Log<'_>>,
    ) {
        // SAFETY: `self` proves the instructions; the buffers are the caller's duty.
        unsafe { by_backend!(self, ctr(key, src, dst, len, counter, log)) }
    }

    /// AES-ECB of one buffer: `len` is a multiple of 16. With `DECRYPT` it decrypts.
    ///
    /// With a log, step k (bytes `k * WIDE_STEP..` of the buffer) first copies its input to
    /// `log.slot(k)`, then commits k, then stores the outputs.
    ///
    /// # Safety
    /// `src` is readable and `dst` writable for `len` bytes, the same or disjoint. `key` is an encrypt
    /// schedule, with `DECRYPT` a decrypt schedule.
    pub(crate) unsafe fn ecb<const DECRYPT: bool>(
        self,
        key: &Schedule,
        src: *const u8,
        dst: *mut u8,
        len: usize,
        log: Option<&Log<'_>>,
    ) {
        debug_assert!(len.is_multiple_of(BLOCK));
        // SAFETY: `self` proves the instructions; the buffers are the caller's duty.
        unsafe { by_backend!(self, ecb::<DECRYPT>(key, src, dst, len, log)) }
    }

    /// SHA-1 compression: lanes `0..active` each take in `blocks` blocks of 64 bytes; the other lanes'
    /// state and pointers are left alone, and so are the last three words of every lane.
    ///
    /// # Safety
    /// `active` is at most 16, and `data[..active]` are readable for `64 * blocks` bytes.
    pub(crate) unsafe fn sha1(
        self,
        state: &mut [[u32; MAX_LANES]; 8],
        data: &[*const u8; MAX_LANES],
        active: usize,
        blocks: usize,
    ) {
        debug_assert!(active <= MAX_LANES);
        // SAFETY: `self` proves the instructions; the buffers are the caller's duty.
        unsafe {
            match self.backend {
                #[cfg(target_arch = "x86_64")]
                Backend::Vaes256 if active > self.sha1_ni_lanes => {
                    x86_digest::sha1_avx2(state, data, active, blocks);
                }
                #[cfg(target_arch = "x86_64")]
                Backend::Vaes512 if active > self.sha1_ni_lanes => {
                    x86_digest::sha1_avx512(state, data, active, blocks);
                }
                Backend::Portable | Backend::AesNi | Backend::Vaes256 | Backend::Vaes512 => {
                    portable::sha1(state, data, active, blocks);
                }
            }
        }
    }

    /// SHA-256 compression: lanes `0..active` each take in `blocks` blocks of 64 bytes; the other
    /// lanes' state and pointers are left alone.
    ///
    /// # Safety
    /// `active` is at most 16, and `data[..active]` are readable for `64 * blocks` bytes.
    pub(crate) unsafe fn sha256(
        self,
        state: &mut [[u32; MAX_LANES]; 8],
        data: &[*const u8; MAX_LANES],
        active: usize,
        blocks: usize,
    ) {
        debug_assert!(active <= MAX_LANES);
        // SAFETY: `self` proves the instructions; the buffers are the caller's duty.
        unsafe {
            match self.backend {
                #[cfg(target_arch = "x86_64")]
                Backend::AesNi | Backend::Vaes256 | Backend::Vaes512
                    if active <= self.sha_ni_lanes =>
                {
                    x86_digest::sha256_sha_ni(state, data, active, blocks);
                }
                #[cfg(target_arch = "x86_64")]
                Backend::Vaes256 => x86_digest::sha256_avx2(state, data, active, blocks),
                #[cfg(target_arch = "x86_64")]
                Backend::Vaes512 => x86_digest::sha256_avx512(state, data, active, blocks),
                #[cfg(not(target_arch = "x86_64"))]
                Backend::Vaes256 | Backend::Vaes512 => not_of_this_processor(self.backend),
                Backend::Portable | Backend::AesNi => portable::sha256(state, data, active, blocks),
            }
        }
    }

    /// SHA-512 compression: lanes `0..active` each take in `blocks` blocks of 128 bytes; the other
    /// lanes' state and pointers are left alone.
    ///
    /// # Safety
    /// `active` is at most 16, and `data[..active]` are readable for `128 * blocks` bytes.
    pub(crate) unsafe fn sha512(
        self,
        state: &mut [[u64; MAX_LANES]; 8],
        data: &[*const u8; MAX_LANES],
        active: usize,
        blocks: usize,
    ) {
        debug_assert!(active <= MAX_LANES);
        // SAFETY: `self` proves the instructions; the buffers are the caller's duty.
        unsafe {
            match self.backend {
                #[cfg(target_arch = "x86_64")]
                Backend::Vaes256 => x86_digest::sha512_avx2(state, data, active, blocks),
                #[cfg(target_arch = "x86_64")]
                Backend::Vaes512 => x86_digest::sha512_avx512(state, data, active, blocks),
                #[cfg(not(target_arch = "x86_64"))]
                Backend::Vaes256 | Backend::Vaes512 => not_of_this_processor(self.backend),
                Backend::Portable | Backend::AesNi => portable::sha512(state, data, active, blocks),
            }
        }
    }
}

//! The entries of the x86 kernels: the only functions that carry `target_feature`, each a few lines
//! that instantiate a generic body, and the detection behind them. Called by `Kernels`, whose
//! existence proves the detection. Wide entries clear the upper register halves when they return
//! (the compiler emits `vzeroupper`).

use core::arch::x86_64::__cpuid;
use std::sync::OnceLock;

use super::digest;
use super::sha1::Sha1;
use super::sha256::Sha256;
use super::sha512::Sha512;
use super::word::{U32x8, U32x8Vl, U32x16, U64x4, U64x4Vl, U64x8, WordVector};
use super::{Backend, MAX_LANES, sha_ni};

pub(super) fn has_aes_ni() -> bool {
    is_x86_feature_detected!("aes")
        && is_x86_feature_detected!("pclmulqdq")
        && is_x86_feature_detected!("ssse3")
        && is_x86_feature_detected!("sse4.1")
}

pub(super) fn has_vaes256() -> bool {
    has_aes_ni()
        && is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("vaes")
        && is_x86_feature_detected!("vpclmulqdq")
}

pub(super) fn has_vaes512() -> bool {
    has_vaes256()
        && is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl")
}

fn has_sha_ni() -> bool {
    is_x86_feature_detected!("sha")
        && is_x86_feature_detected!("ssse3")
        && is_x86_feature_detected!("sse4.1")
}

/// Up to so many lanes SHA-NI does SHA-256 faster than the vectors of `backend`.
///
/// Core cycles a byte, SHA-NI with one to four streams against 16 lanes of AVX-512 (8 lanes of half
/// the width take the same for each byte): Zen 4 2.0, 1.05, .90, .87 against .98. Where the SHA unit
/// starts a round every other cycle, as Intel's, 1.5 at best against .87: there only sets that leave
/// most of a vector empty gain. AVX2, without rotates, takes more than twice as long as AVX-512.
pub(super) fn sha_ni_lanes(backend: Backend) -> usize {
    if !has_sha_ni() {
        return 0;
    }
    match backend {
        Backend::Portable => 0,
        Backend::AesNi | Backend::Vaes256 => MAX_LANES,
        Backend::Vaes512 => {
            if is_zen_3_or_4() {
                MAX_LANES
            } else {
                4
            }
        }
    }
}

/// Up to so many lanes the `sha1` crate, which uses SHA-NI on one stream, is faster than the vectors of
/// `backend`.
pub(super) fn sha1_ni_lanes(backend: Backend) -> usize {
    if has_sha_ni() && backend > Backend::AesNi { 2 } else { 0 }
}

/// Whether this core starts a SHA-256 round every cycle.
fn is_zen_3_or_4() -> bool {
    static IS: OnceLock<bool> = OnceLock::new();
    // A hypervisor may take microseconds for each question, so it is asked once.
    *IS.get_or_init(|| {
        let vendor = __cpuid(0);
        let is_amd =
            [vendor.ebx, vendor.edx, vendor.ecx].map(u32::to_le_bytes).concat() == *b"AuthenticAMD";
        let version = __cpuid(1).eax;
        let (base, extended) = (version >> 8 & 0xf, version >> 20 & 0xff);
        is_amd && base + extended == 0x19
    })
}

/// The instance of `run_lanes` for the number of lanes: a partial set runs at its own width.
macro_rules! by_lanes {
    ($vector:ty, $chaining:ty, $lanes:ident, $arguments:tt) => {
        by_lanes!(@ $vector, $chaining, $lanes, $arguments, 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16)
    };
    (@ $vector:ty, $chaining:ty, $lanes:ident, $arguments:tt, $($count:literal)*) => {
        match $lanes.len() {
            $($count => {
                run_lanes::<
                    $chaining,
                    $count,
                    { group($count, <$vector>::BLOCKS, <$vector>::WIDTH, 0) },
                    { group($count, <$vector>::BLOCKS, <$vector>::WIDTH, 1) },
                > $arguments
            })*
            _ => {}
        }
    };
}

/// Registers in the first or second group of at most `width` of `blocks` blocks each.
const fn group(lanes: usize, blocks: usize, width: usize, index: usize) -> usize {
    let registers = lanes.div_ceil(blocks);
    let first = if registers < width { registers } else { width };
    if index == 0 { first } else { registers - first }
}

/// The entries of CBC and CFB encrypt of one backend: registers of `$vector`, instructions `$features`.
macro_rules! lane_entry {
    ($features:literal, $vector:ty) => {
        use super::group;
        use crate::kernel::block::BlockVector;
        use crate::kernel::round_keys::{Cbc, CbcMac, Cfb, Chaining};
        use crate::kernel::{Lane, LaneKeys, cbc_encrypt};

        /// # Safety
        /// As `Kernels::cbc_encrypt`, with the instructions of this backend.
        #[inline]
        pub(in crate::kernel) unsafe fn cbc_encrypt(
            lanes: &mut [Lane],
            keys: &LaneKeys,
            rounds: u32,
            len: usize,
            log: Option<&Log<'_>>,
        ) {
            // SAFETY: the caller's duties.
            unsafe { by_lanes!($vector, Cbc, lanes, (lanes, keys, rounds, len, log)) }
        }

        /// # Safety
        /// As `Kernels::cfb_encrypt`, with the instructions of this backend.
        #[inline]
        pub(in crate::kernel) unsafe fn cfb_encrypt(
            lanes: &mut [Lane],
            keys: &LaneKeys,
            rounds: u32,
            len: usize,
            log: Option<&Log<'_>>,
        ) {
            // SAFETY: the caller's duties.
            unsafe { by_lanes!($vector, Cfb, lanes, (lanes, keys, rounds, len, log)) }
        }

        /// # Safety
        /// As `Kernels::cbc_mac`, with the instructions of this backend.
        #[inline]
        pub(in crate::kernel) unsafe fn cbc_mac(
            lanes: &mut [Lane],
            keys: &LaneKeys,
            rounds: u32,
            len: usize,
        ) {
            // SAFETY: the caller's duties.
            unsafe { by_lanes!($vector, CbcMac, lanes, (lanes, keys, rounds, len, None)) }
        }

        /// # Safety
        /// As `cbc_encrypt`, with `LANES` lanes.
        #[target_feature(enable = $features)]
        unsafe fn run_lanes<
            C: Chaining,
            const LANES: usize,
            const LOW: usize,
            const HIGH: usize,
        >(
            lanes: &mut [Lane],
            keys: &LaneKeys,
            rounds: u32,
            len: usize,
            log: Option<&Log<'_>>,
        ) {
            // SAFETY: the caller's duties. A body each with and without the log.
            unsafe {
                if C::STORES && log.is_some() {
                    cbc_encrypt::body::<C, $vector, LANES, LOW, HIGH>(
                        lanes, keys, rounds, len, log,
                    );
                } else {
                    cbc_encrypt::body::<C, $vector, LANES, LOW, HIGH>(
                        lanes, keys, rounds, len, None,
                    );
                }
            }
        }
    };
}

/// The entries of the modes that do one buffer at a time.
macro_rules! wide_entries {
    ($features:literal, $vector:ty) => {
        use core::arch::x86_64::*;

        use crate::journal::Log;
        use crate::kernel::{BLOCK, Schedule, cbc_decrypt, ctr};

        /// # Safety
        /// As `Kernels::cbc_decrypt`, with the instructions of this backend.
        #[target_feature(enable = $features)]
        pub(in crate::kernel) unsafe fn cbc_decrypt(
            key: &Schedule,
            src: *const u8,
            dst: *mut u8,
            len: usize,
            chain: &mut [u8; BLOCK],
            log: Option<&Log<'_>>,
        ) {
            // SAFETY: the caller's duties.
            unsafe {
                match key.rounds {
                    ..=10 => cbc_decrypt::body::<$vector, 10>(key, src, dst, len, chain, log),
                    11..=12 => cbc_decrypt::body::<$vector, 12>(key, src, dst, len, chain, log),
                    _ => cbc_decrypt::body::<$vector, 14>(key, src, dst, len, chain, log),
                }
            }
        }

        /// # Safety
        /// As `Kernels::ctr`, with the instructions of this backend.
        #[target_feature(enable = $features)]
        pub(in crate::kernel) unsafe fn ctr(
            key: &Schedule,
            src: *const u8,
            dst: *mut u8,
            len: usize,
            counter: &[u8; BLOCK],
            log: Option<&Log<'_>>,
        ) {
            // SAFETY: the caller's duties.
            unsafe {
                match key.rounds {
                    ..=10 => ctr::body::<$vector, 10>(key, src, dst, len, counter, log),
                    11..=12 => ctr::body::<$vector, 12>(key, src, dst, len, counter, log),
                    _ => ctr::body::<$vector, 14>(key, src, dst, len, counter, log),
                }
            }
        }
    };
}

/// The entries of GCM.
macro_rules! gcm_entries {
    ($features:literal, $vector:ty) => {
        use crate::kernel::{GcmKey, GcmRun, gcm};

        /// # Safety
        /// As `Kernels::ghash`, with the instructions of this backend.
        #[target_feature(enable = $features)]
        pub(in crate::kernel) unsafe fn ghash(
            key: &GcmKey,
            hash: &mut [u8; BLOCK],
            from: *const u8,
            len: usize,
        ) {
            // SAFETY: the caller's duties.
            unsafe { gcm::ghash::<$vector>(key, hash, from, len) }
        }

        /// # Safety
        /// As `Kernels::gcm_seal`, with the instructions of this backend.
        #[target_feature(enable = $features)]
        pub(in crate::kernel) unsafe fn gcm_seal(
            run: &GcmRun<'_>,
            log: Option<&Log<'_>>,
        ) -> [u8; BLOCK] {
            // SAFETY: the caller's duties.
            unsafe {
                match run.schedule.rounds {
                    ..=10 => gcm::seal::<$vector, 10>(run, log),
                    11..=12 => gcm::seal::<$vector, 12>(run, log),
                    _ => gcm::seal::<$vector, 14>(run, log),
                }
            }
        }

        /// # Safety
        /// As `Kernels::gcm_stream`, with the instructions of this backend.
        #[target_feature(enable = $features)]
        pub(in crate::kernel) unsafe fn gcm_stream(run: &GcmRun<'_>, log: Option<&Log<'_>>) {
            // SAFETY: the caller's duties.
            unsafe {
                match run.schedule.rounds {
                    ..=10 => gcm::stream::<$vector, 10>(run, log),
                    11..=12 => gcm::stream::<$vector, 12>(run, log),
                    _ => gcm::stream::<$vector, 14>(run, log),
                }
            }
        }

        /// # Safety
        /// As `Kernels::gcm_tag`, with the instructions of this backend.
        #[target_feature(enable = $features)]
        pub(in crate::kernel) unsafe fn gcm_tag(run: &GcmRun<'_>, text: *const u8) -> [u8; BLOCK] {
            // SAFETY: the caller's duties.
            unsafe {
                match run.schedule.rounds {
                    ..=10 => gcm::tag::<$vector, 10>(run, text),
                    11..=12 => gcm::tag::<$vector, 12>(run, text),
                    _ => gcm::tag::<$vector, 14>(run, text),
                }
            }
        }
    };
}

pub(super) mod aes_ni {
    wide_entries!("aes,ssse3,sse4.1", __m128i);
    lane_entry!("aes,ssse3,sse4.1", __m128i);
    gcm_entries!("aes,ssse3,sse4.1,pclmulqdq", __m128i);

    /// # Safety
    /// This backend's instructions are there.
    #[target_feature(enable = "aes,ssse3,sse4.1,pclmulqdq")]
    pub(in crate::kernel) unsafe fn gcm_powers(key: &mut GcmKey) {
        // SAFETY: the caller's duty.
        unsafe { gcm::fill_powers(key) }
    }
}

pub(super) mod vaes256 {
    wide_entries!("aes,avx2,vaes", __m256i);
    lane_entry!("aes,avx2,vaes", __m256i);
    gcm_entries!("aes,avx2,vaes,pclmulqdq,vpclmulqdq", __m256i);
}

pub(super) mod vaes512 {
    pub(in crate::kernel) use crate::kernel::cbc_512::{cbc_encrypt, cbc_mac, cfb_encrypt};

    wide_entries!("aes,avx512f,avx512bw,avx512dq,avx512vl,vaes", __m512i);
    gcm_entries!("aes,avx512f,avx512bw,avx512dq,avx512vl,vaes,pclmulqdq,vpclmulqdq", __m512i);
}

/// The hash entries of one instruction set: `$lanes` lanes from `first`.
macro_rules! hash_entry {
    ($name:ident, $features:literal, $hash:ty, $words:literal, $vector:ty) => {
        /// # Safety
        /// As the generic body, with the instructions enabled here.
        #[target_feature(enable = $features)]
        unsafe fn $name(
            state: &mut [[<$vector as WordVector>::Word; MAX_LANES]; 8],
            data: &[*const u8; MAX_LANES],
            first: usize,
            count: usize,
            blocks: usize,
        ) {
            // SAFETY: the caller's duties.
            unsafe {
                digest::body::<$vector, $hash, $words>(state, data, first, count, blocks);
            }
        }
    };
}

hash_entry!(sha1_x8_avx2, "avx2", Sha1, 5, U32x8);
hash_entry!(sha1_x8, "avx512f,avx512bw,avx512dq,avx512vl", Sha1, 5, U32x8Vl);
hash_entry!(sha1_x16, "avx512f,avx512bw,avx512dq,avx512vl", Sha1, 5, U32x16);
hash_entry!(sha256_x8_avx2, "avx2", Sha256, 8, U32x8);
hash_entry!(sha256_x8, "avx512f,avx512bw,avx512dq,avx512vl", Sha256, 8, U32x8Vl);
hash_entry!(sha256_x16, "avx512f,avx512bw,avx512dq,avx512vl", Sha256, 8, U32x16);
hash_entry!(sha512_x4_avx2, "avx2", Sha512, 8, U64x4);
hash_entry!(sha512_x4, "avx512f,avx512bw,avx512dq,avx512vl", Sha512, 8, U64x4Vl);
hash_entry!(sha512_x8, "avx512f,avx512bw,avx512dq,avx512vl", Sha512, 8, U64x8);

/// # Safety
/// As `Kernels::sha256`; SHA-NI is there.
pub(super) unsafe fn sha256_sha_ni(
    state: &mut [[u32; MAX_LANES]; 8],
    data: &[*const u8; MAX_LANES],
    active: usize,
    blocks: usize,
) {
    // SAFETY: the caller's duties.
    unsafe { sha_ni::sha256(state, data, 0, active, blocks) }
}

/// # Safety
/// As `Kernels::sha1`; AVX2 is there.
pub(super) unsafe fn sha1_avx2(
    state: &mut [[u32; MAX_LANES]; 8],
    data: &[*const u8; MAX_LANES],
    active: usize,
    blocks: usize,
) {
    let mut first = 0;
    while first < active {
        let count = (active - first).min(8);
        // SAFETY: the caller's duties.
        unsafe { sha1_x8_avx2(state, data, first, count, blocks) };
        first += count;
    }
}

/// # Safety
/// As `Kernels::sha1`; AVX-512 is there.
pub(super) unsafe fn sha1_avx512(
    state: &mut [[u32; MAX_LANES]; 8],
    data: &[*const u8; MAX_LANES],
    active: usize,
    blocks: usize,
) {
    // SAFETY: the caller's duties.
    unsafe {
        match active {
            0 => {}
            1..=8 => sha1_x8(state, data, 0, active, blocks),
            _ => sha1_x16(state, data, 0, active, blocks),
        }
    }
}

/// # Safety
/// As `Kernels::sha256`; AVX2 is there.
pub(super) unsafe fn sha256_avx2(
    state: &mut [[u32; MAX_LANES]; 8],
    data: &[*const u8; MAX_LANES],
    active: usize,
    blocks: usize,
) {
    let mut first = 0;
    while first < active {
        let count = (active - first).min(8);
        // SAFETY: the caller's duties.
        unsafe { sha256_x8_avx2(state, data, first, count, blocks) };
        first += count;
    }
}

/// # Safety
/// As `Kernels::sha256`; AVX-512 is there.
pub(super) unsafe fn sha256_avx512(
    state: &mut [[u32; MAX_LANES]; 8],
    data: &[*const u8; MAX_LANES],
    active: usize,
    blocks: usize,
) {
    // SAFETY: the caller's duties.
    unsafe {
        match active {
            0 => {}
            1..=8 => sha256_x8(state, data, 0, active, blocks),
            _ => sha256_x16(state, data, 0, active, blocks),
        }
    }
}

/// # Safety
/// As `Kernels::sha512`; AVX2 is there.
pub(super) unsafe fn sha512_avx2(
    state: &mut [[u64; MAX_LANES]; 8],
    data: &[*const u8; MAX_LANES],
    active: usize,
    blocks: usize,
) {
    let mut first = 0;
    while first < active {
        let count = (active - first).min(4);
        // SAFETY: the caller's duties.
        unsafe { sha512_x4_avx2(state, data, first, count, blocks) };
        first += count;
    }
}

/// # Safety
/// As `Kernels::sha512`; AVX-512 is there.
pub(super) unsafe fn sha512_avx512(
    state: &mut [[u64; MAX_LANES]; 8],
    data: &[*const u8; MAX_LANES],
    active: usize,
    blocks: usize,
) {
    let mut first = 0;
    while first < active {
        let count = (active - first).min(8);
        // SAFETY: the caller's duties.
        unsafe {
            if count <= 4 {
                sha512_x4(state, data, first, count, blocks);
            } else {
                sha512_x8(state, data, first, count, blocks);
            }
        }
        first += count;
    }
}

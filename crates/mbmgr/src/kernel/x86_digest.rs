//! The entries of the hashes on x86: the functions that carry `target_feature`, each a few lines that
//! instantiate a generic body, and from how many lanes on they are faster than SHA-NI. Called by
//! `Kernels`, whose existence proves the detection.

use core::arch::x86_64::__cpuid;
use std::sync::OnceLock;

use super::digest;
use super::sha1::Sha1;
use super::sha256::Sha256;
use super::sha512::Sha512;
use super::word::{U32x8, U32x8Vl, U32x16, U64x4, U64x4Vl, U64x8, WordVector};
use super::{Backend, MAX_LANES, sha_ni};

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

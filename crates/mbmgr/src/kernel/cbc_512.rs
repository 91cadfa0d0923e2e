//! The entries of AES-CBC and AES-CFB encrypt with VAES-512: which body does which lanes. Called by `Kernels`.
//! Nothing survives a crash here; what does is told in the bodies.

use core::arch::x86_64::__m512i;

use super::cbc_pairs::HELD;
use super::round_keys::{Cbc, CbcMac, Cfb, Chaining, Own, Shared};
use super::{Lane, LaneKeys, MAX_LANES, cbc_lines, cbc_pairs};
use crate::journal::Log;

/// Page offsets that differ in these bits alone lie in one set of the L1 cache: 64 sets of 64 bytes.
const SET: usize = 0xfc0;
/// Lines of one set that the L1 cache holds together, of eight or more; one is left for the rest.
const WAYS: usize = 7;

/// The least that [`step`] gives.
pub(super) const LEAST_STEP: usize = cbc_pairs::STEP;
const _: () = assert!(LEAST_STEP <= cbc_lines::STEP);

/// Bytes of a step, for each lane.
pub(super) fn step(lanes: &[Lane]) -> usize {
    if is_crowded(lanes) { cbc_lines::STEP } else { cbc_pairs::STEP }
}

/// Whether a full set of lanes works in one set of the L1 cache.
fn is_crowded(lanes: &[Lane]) -> bool {
    let Ok(lanes) = <&[Lane; MAX_LANES]>::try_from(lanes) else { return false };
    let first = lanes[0].src.addr() & SET;
    lanes.iter().filter(|lane| lane.src.addr() & SET == first).count() > WAYS
}

/// # Safety
/// As `Kernels::cbc_encrypt`, with the instructions of this backend.
#[inline]
pub(super) unsafe fn cbc_encrypt(
    lanes: &mut [Lane],
    keys: &LaneKeys,
    rounds: u32,
    len: usize,
    log: Option<&Log<'_>>,
) {
    let is_shared = lanes.len() == MAX_LANES && keys.is_shared();
    // SAFETY: the caller's duties.
    unsafe {
        match (is_crowded(lanes), is_shared) {
            (false, false) => pairs::<Cbc>(lanes, keys, rounds, len, log),
            (true, false) => lines(lanes, keys, rounds, len, log),
            (crowded, true) => match rounds {
                ..=10 => shared::<Cbc, 10>(crowded, lanes, keys, len, log),
                11..=12 => shared::<Cbc, 12>(crowded, lanes, keys, len, log),
                _ => shared::<Cbc, 14>(crowded, lanes, keys, len, log),
            },
        }
    }
}

/// # Safety
/// As `Kernels::cfb_encrypt`, with the instructions of this backend.
#[inline]
pub(super) unsafe fn cfb_encrypt(
    lanes: &mut [Lane],
    keys: &LaneKeys,
    rounds: u32,
    len: usize,
    log: Option<&Log<'_>>,
) {
    // SAFETY: the caller's duties.
    unsafe { in_pairs::<Cfb>(lanes, keys, rounds, len, log) }
}

/// # Safety
/// As `Kernels::cbc_mac`, with the instructions of this backend.
#[inline]
pub(super) unsafe fn cbc_mac(lanes: &mut [Lane], keys: &LaneKeys, rounds: u32, len: usize) {
    // SAFETY: the caller's duties.
    unsafe { in_pairs::<CbcMac>(lanes, keys, rounds, len, None) }
}

/// Wherever the buffers lie.
///
/// # Safety
/// As [`cbc_encrypt`].
#[inline]
unsafe fn in_pairs<C: Chaining>(
    lanes: &mut [Lane],
    keys: &LaneKeys,
    rounds: u32,
    len: usize,
    log: Option<&Log<'_>>,
) {
    let is_shared = lanes.len() == MAX_LANES && keys.is_shared();
    // SAFETY: the caller's duties.
    unsafe {
        match (is_shared, rounds) {
            (false, _) => pairs::<C>(lanes, keys, rounds, len, log),
            (true, ..=10) => shared::<C, 10>(false, lanes, keys, len, log),
            (true, 11..=12) => shared::<C, 12>(false, lanes, keys, len, log),
            _ => shared::<C, 14>(false, lanes, keys, len, log),
        }
    }
}

/// A body each with and without the log; a MAC keeps none.
macro_rules! by_log {
    ($chaining:ident, $body:path, $lanes:ident, $keys:expr, $rounds:expr, $len:ident, $log:ident) => {
        match $log {
            Some(_) if $chaining::STORES => $body($lanes, $keys, $rounds, $len, $log),
            _ => $body($lanes, $keys, $rounds, $len, None),
        }
    };
}

/// Any lanes, each with its own key.
///
/// # Safety
/// As [`cbc_encrypt`].
#[inline]
unsafe fn pairs<C: Chaining>(
    lanes: &mut [Lane],
    keys: &LaneKeys,
    rounds: u32,
    len: usize,
    log: Option<&Log<'_>>,
) {
    macro_rules! by_lanes {
        ($($count:literal)*) => {
            match lanes.len() {
                // SAFETY: the caller's duties.
                $($count => unsafe {
                    some_pairs::<C, $count, { $count / 4 + ($count % 4 != 0) as usize }>(
                        lanes, keys, rounds, len, log,
                    );
                },)*
                count => super::wrong_lanes(count),
            }
        };
    }
    by_lanes!(1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16);
}

/// # Safety
/// As [`cbc_encrypt`], with `LANES` lanes, which fill `COUNT` registers.
#[target_feature(enable = "aes,avx512f,avx512bw,avx512dq,avx512vl,vaes")]
unsafe fn some_pairs<C: Chaining, const LANES: usize, const COUNT: usize>(
    lanes: &mut [Lane],
    keys: &LaneKeys,
    rounds: u32,
    len: usize,
    log: Option<&Log<'_>>,
) {
    // SAFETY: the caller's duties.
    unsafe {
        let keys = Own::<__m512i, COUNT, HELD>::new(keys, 0);
        by_log!(C, cbc_pairs::body::<C, __m512i, LANES, COUNT, _>, lanes, keys, rounds, len, log);
    }
}

/// 16 lanes in one set of the cache, each with its own key.
///
/// # Safety
/// As [`cbc_encrypt`].
#[target_feature(enable = "aes,avx512f,avx512bw,avx512dq,avx512vl,vaes")]
unsafe fn lines(
    lanes: &mut [Lane],
    keys: &LaneKeys,
    rounds: u32,
    len: usize,
    log: Option<&Log<'_>>,
) {
    // SAFETY: the caller's duties.
    unsafe {
        let keys = Own::<__m512i, 4, HELD>::new(keys, 0);
        by_log!(Cbc, cbc_lines::body::<__m512i, _>, lanes, keys, rounds, len, log);
    }
}

/// 16 lanes with one key.
///
/// # Safety
/// As [`cbc_encrypt`]; all lanes have the key of the first, of `ROUNDS` rounds.
#[target_feature(enable = "aes,avx512f,avx512bw,avx512dq,avx512vl,vaes")]
unsafe fn shared<C: Chaining, const ROUNDS: u32>(
    is_crowded: bool,
    lanes: &mut [Lane],
    keys: &LaneKeys,
    len: usize,
    log: Option<&Log<'_>>,
) {
    // SAFETY: the caller's duties.
    unsafe {
        let keys = Shared::<__m512i>::new(keys, ROUNDS as usize);
        if C::STORES && !C::FEEDBACK && is_crowded {
            by_log!(C, cbc_lines::body::<__m512i, _>, lanes, keys, ROUNDS, len, log);
        } else {
            by_log!(
                C,
                cbc_pairs::body::<C, __m512i, MAX_LANES, 4, _>,
                lanes,
                keys,
                ROUNDS,
                len,
                log
            );
        }
    }
}

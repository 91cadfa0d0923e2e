//! The entries of the x86 kernels of AES: with `x86_digest`, the only functions that carry `target_feature`, each a few lines
//! that instantiate a generic body, and the detection behind them. Called by `Kernels`, whose
//! existence proves the detection. Wide entries clear the upper register halves when they return
//! (the compiler emits `vzeroupper`).

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
            count => $crate::kernel::wrong_lanes(count),
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
        use crate::kernel::{BLOCK, Schedule, cbc_decrypt, ctr, ecb};

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
        /// As `Kernels::ecb`, with the instructions of this backend.
        #[target_feature(enable = $features)]
        pub(in crate::kernel) unsafe fn ecb<const DECRYPT: bool>(
            key: &Schedule,
            src: *const u8,
            dst: *mut u8,
            len: usize,
            log: Option<&Log<'_>>,
        ) {
            // SAFETY: the caller's duties.
            unsafe {
                match key.rounds {
                    ..=10 => ecb::body::<$vector, 10, DECRYPT>(key, src, dst, len, log),
                    11..=12 => ecb::body::<$vector, 12, DECRYPT>(key, src, dst, len, log),
                    _ => ecb::body::<$vector, 14, DECRYPT>(key, src, dst, len, log),
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
        use crate::kernel::{GcmKey, GcmRun, gcm, ghash};

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
            unsafe { ghash::ghash::<$vector>(key, hash, from, len) }
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
                if !gcm::is_short::<$vector>(run) {
                    return gcm_seal_long(run, log);
                }
                match run.schedule.rounds {
                    ..=10 => gcm::seal_short::<$vector, 10>(run, log),
                    11..=12 => gcm::seal_short::<$vector, 12>(run, log),
                    _ => gcm::seal_short::<$vector, 14>(run, log),
                }
            }
        }

        /// Apart, for it needs more registers than a short message.
        ///
        /// # Safety
        /// As `gcm_seal`.
        #[inline(never)]
        #[target_feature(enable = $features)]
        unsafe fn gcm_seal_long(run: &GcmRun<'_>, log: Option<&Log<'_>>) -> [u8; BLOCK] {
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
        unsafe { ghash::fill_powers(key) }
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

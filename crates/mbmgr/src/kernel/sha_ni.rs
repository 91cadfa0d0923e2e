//! SHA-256 with SHA-NI: one stream waits on its own latency, two streams side by side do not.
//! Called by the entries of `x86`. Nothing survives a crash here: a hash restarts with its job.
//!
//! SHA-NI has legacy encodings only, so nothing in here may be compiled for AVX, and callers come
//! with the upper halves of the registers clear (wide entries clear them when they return).

use core::arch::x86_64::*;

use super::MAX_LANES;
use super::sha256::K;

/// # Safety
/// As [`super::Kernels::sha256`]; SHA, SSSE3 and SSE4.1 are there.
#[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
pub(super) unsafe fn sha256(
    state: &mut [[u32; MAX_LANES]; 8],
    data: &[*const u8; MAX_LANES],
    first: usize,
    count: usize,
    blocks: usize,
) {
    let mut lane = first;
    let end = first + count;
    // SAFETY: lanes below `end` are the caller's duty.
    unsafe {
        while lane + 2 <= end {
            streams::<2>(state, data, lane, blocks);
            lane += 2;
        }
        if lane < end {
            streams::<1>(state, data, lane, blocks);
        }
    }
}

/// Lanes `first..first + N`, interleaved.
///
/// # Safety
/// As [`sha256`].
#[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
unsafe fn streams<const N: usize>(
    state: &mut [[u32; MAX_LANES]; 8],
    data: &[*const u8; MAX_LANES],
    first: usize,
    blocks: usize,
) {
    let swap = _mm_set_epi64x(0x0c0d_0e0f_0809_0a0b, 0x0405_0607_0001_0203);
    let mut abef = [_mm_setzero_si128(); N];
    let mut cdgh = [_mm_setzero_si128(); N];
    for s in 0..N {
        let word = |i: usize| state[i][first + s].cast_signed();
        abef[s] = _mm_set_epi32(word(0), word(1), word(4), word(5));
        cdgh[s] = _mm_set_epi32(word(2), word(3), word(6), word(7));
    }
    for block in 0..blocks {
        let (abef_before, cdgh_before) = (abef, cdgh);
        let mut message = [[_mm_setzero_si128(); N]; 4];
        for quarter in 0..16 {
            // SAFETY: K has 64 words.
            let constants = unsafe { _mm_loadu_si128(K.as_ptr().add(4 * quarter).cast()) };
            for s in 0..N {
                let i = quarter % 4;
                if quarter < 4 {
                    // SAFETY: lane `first + s` is readable for `blocks` blocks.
                    let bytes = unsafe {
                        _mm_loadu_si128(data[first + s].add(64 * block + 16 * quarter).cast())
                    };
                    message[i][s] = _mm_shuffle_epi8(bytes, swap);
                } else {
                    let (w0, w1) = (message[i][s], message[(i + 1) % 4][s]);
                    let (w2, w3) = (message[(i + 2) % 4][s], message[(i + 3) % 4][s]);
                    let sum =
                        _mm_add_epi32(_mm_sha256msg1_epu32(w0, w1), _mm_alignr_epi8::<4>(w3, w2));
                    message[i][s] = _mm_sha256msg2_epu32(sum, w3);
                }
                let words = _mm_add_epi32(message[i][s], constants);
                cdgh[s] = _mm_sha256rnds2_epu32(cdgh[s], abef[s], words);
                let upper = _mm_shuffle_epi32::<0x0e>(words);
                abef[s] = _mm_sha256rnds2_epu32(abef[s], cdgh[s], upper);
            }
        }
        for s in 0..N {
            abef[s] = _mm_add_epi32(abef[s], abef_before[s]);
            cdgh[s] = _mm_add_epi32(cdgh[s], cdgh_before[s]);
        }
    }
    for s in 0..N {
        let (ab_ef, cd_gh) = (words_of(abef[s]), words_of(cdgh[s]));
        let words =
            [ab_ef[3], ab_ef[2], cd_gh[3], cd_gh[2], ab_ef[1], ab_ef[0], cd_gh[1], cd_gh[0]];
        for (row, word) in state.iter_mut().zip(words) {
            row[first + s] = word;
        }
    }
}

/// The words of a register, the lowest first.
#[target_feature(enable = "sse2")]
fn words_of(register: __m128i) -> [u32; 4] {
    let mut words = [0_u32; 4];
    // SAFETY: the array is as large as the register.
    unsafe { _mm_storeu_si128(words.as_mut_ptr().cast(), register) };
    words
}

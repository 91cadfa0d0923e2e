//! SHA-256 with SHA-NI: one stream waits on its own latency, up to four side by side do not.
//! Called by the entries of `x86`. Nothing survives a crash here: a hash restarts with its job.
//!
//! What bounds it on Zen 4: the rounds of a block are a chain of 32 instructions of 4 cycles each, of
//! which one starts every cycle, so four streams fill the unit; but the message schedule beside them
//! (its second half is microcode) leaves about three instructions a cycle, .86 cycles a byte for four
//! streams. 16 registers hold the states and the newest message words of four streams and not more:
//! the older words wait in memory, and the constants are memory operands. Left alone, the compiler
//! spills the states instead, which are on the chain.
//!
//! SHA-NI has legacy encodings only, so nothing in here may be compiled for AVX, and callers come
//! with the upper halves of the registers clear (wide entries clear them when they return).

use core::arch::asm;
use core::arch::x86_64::*;

use super::MAX_LANES;
use super::block::opaque;
use super::sha256::K;

/// Bytes of a message block.
const BLOCK: usize = 64;
/// Message words, or rounds, that a register holds.
const QUARTER: usize = 4;

/// What is read as a memory operand, which legacy encodings want aligned.
#[repr(align(16))]
struct Aligned<T>(T);

static CONSTANTS: Aligned<[u32; 64]> = Aligned(K);
/// Reverses the bytes of each word.
static SWAP: Aligned<[u8; 16]> = Aligned([3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12]);

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
        while lane < end {
            // Never one stream alone where that can be helped: 5 is 3 + 2, 6 is 3 + 3.
            lane += match end - lane {
                1 => streams::<1>(state, data, lane, blocks),
                2 => streams::<2>(state, data, lane, blocks),
                3 | 5 | 6 => streams::<3>(state, data, lane, blocks),
                _ => streams::<4>(state, data, lane, blocks),
            };
        }
    }
}

/// The streams of `N` lanes between two quarters.
struct Streams<const N: usize> {
    abef: [__m128i; N],
    cdgh: [__m128i; N],
    /// The newest four message words.
    newest: [__m128i; N],
    /// The message words of the last four quarters, in memory that the compiler knows nothing of.
    words: *mut [[__m128i; N]; 4],
}

/// Lanes `first..first + N`, interleaved. Returns `N`.
///
/// # Safety
/// As [`sha256`].
#[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
unsafe fn streams<const N: usize>(
    state: &mut [[u32; MAX_LANES]; 8],
    data: &[*const u8; MAX_LANES],
    first: usize,
    blocks: usize,
) -> usize {
    let zero = _mm_setzero_si128();
    let mut words = [[zero; N]; 4];
    let mut before = [[zero; N]; 2];
    let before = opaque(&raw mut before).cast_mut();
    let mut now = Streams {
        abef: [zero; N],
        cdgh: [zero; N],
        newest: [zero; N],
        words: opaque(&raw mut words).cast_mut(),
    };
    for s in 0..N {
        let word = |i: usize| state[i][first + s].cast_signed();
        now.abef[s] = _mm_set_epi32(word(0), word(1), word(4), word(5));
        now.cdgh[s] = _mm_set_epi32(word(2), word(3), word(6), word(7));
    }
    let mut from: [*const u8; N] = core::array::from_fn(|s| data[first + s]);
    for _ in 0..blocks {
        // SAFETY: `before` is this function's array; the lanes are readable for `blocks` blocks.
        unsafe {
            *before = [now.abef, now.cdgh];
            compress(&mut now, &from);
            let [abef, cdgh] = *before;
            for s in 0..N {
                now.abef[s] = _mm_add_epi32(now.abef[s], abef[s]);
                now.cdgh[s] = _mm_add_epi32(now.cdgh[s], cdgh[s]);
                from[s] = from[s].add(BLOCK);
            }
        }
    }
    for s in 0..N {
        let (ab_ef, cd_gh) = (words_of(now.abef[s]), words_of(now.cdgh[s]));
        let words =
            [ab_ef[3], ab_ef[2], cd_gh[3], cd_gh[2], ab_ef[1], ab_ef[0], cd_gh[1], cd_gh[0]];
        for (row, word) in state.iter_mut().zip(words) {
            row[first + s] = word;
        }
    }
    N
}

/// The rounds of a block.
///
/// # Safety
/// As [`sha256`]; `from` are readable for a block.
#[inline]
#[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
unsafe fn compress<const N: usize>(now: &mut Streams<N>, from: &[*const u8; N]) {
    // Spelled out: in a rolled loop the places of the words are computed.
    macro_rules! quarters {
        ($($quarter:literal)*) => {
            $(quarter::<N, $quarter>(now, from);)*
        };
    }
    // SAFETY: the caller's duty.
    unsafe {
        for s in 0..N {
            take::<N>(now, from, 0, s);
        }
        quarters!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
    }
}

/// The four rounds of quarter `Q`, and the message words of the next one.
///
/// # Safety
/// As [`compress`].
#[inline]
#[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
unsafe fn quarter<const N: usize, const Q: usize>(now: &mut Streams<N>, from: &[*const u8; N]) {
    for s in 0..N {
        // SAFETY: 16 quarters of constants; the rest is the caller's duty.
        unsafe {
            let constants = opaque(&raw const CONSTANTS.0).cast::<__m128i>().add(Q);
            let words = _mm_add_epi32(now.newest[s], _mm_load_si128(constants));
            now.cdgh[s] = _mm_sha256rnds2_epu32(now.cdgh[s], now.abef[s], words);
            let upper = _mm_shuffle_epi32::<0x0e>(words);
            now.abef[s] = _mm_sha256rnds2_epu32(now.abef[s], now.cdgh[s], upper);
            match Q + 1 {
                ..4 => take::<N>(now, from, Q + 1, s),
                4..16 => extend::<N>(now, Q + 1, s),
                _ => {}
            }
        }
        // SAFETY: no instruction. It may have written to memory as far as the compiler knows, so the
        // streams take turns as they are written here, and words in memory stay there.
        unsafe { asm!("", options(nostack, preserves_flags)) };
    }
}

/// Takes in the message words of an early quarter of stream `s`.
///
/// # Safety
/// As [`compress`].
#[inline]
#[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
unsafe fn take<const N: usize>(
    now: &mut Streams<N>,
    from: &[*const u8; N],
    quarter: usize,
    s: usize,
) {
    // SAFETY: a quarter of a block is a register; the rest is the caller's duty.
    unsafe {
        let bytes = _mm_loadu_si128(from[s].cast::<__m128i>().add(quarter));
        let swap = _mm_load_si128(opaque(&raw const SWAP.0).cast());
        now.newest[s] = _mm_shuffle_epi8(bytes, swap);
        (*now.words)[quarter % QUARTER][s] = now.newest[s];
    }
}

/// Computes the message words of a later quarter of stream `s` from those of the four before.
///
/// # Safety
/// As [`compress`].
#[inline]
#[target_feature(enable = "sha,sse2,ssse3,sse4.1")]
unsafe fn extend<const N: usize>(now: &mut Streams<N>, quarter: usize, s: usize) {
    let newest = now.newest[s];
    // SAFETY: `words` is the array of `streams`.
    let words = unsafe { &mut *now.words };
    let early = _mm_sha256msg1_epu32(words[quarter % 4][s], words[(quarter + 1) % 4][s]);
    let sum = _mm_add_epi32(early, _mm_alignr_epi8::<4>(newest, words[(quarter + 2) % 4][s]));
    now.newest[s] = _mm_sha256msg2_epu32(sum, newest);
    words[quarter % QUARTER][s] = now.newest[s];
}

/// The words of a register, the lowest first.
#[target_feature(enable = "sse2")]
fn words_of(register: __m128i) -> [u32; 4] {
    let mut words = [0_u32; 4];
    // SAFETY: the array is as large as the register.
    unsafe { _mm_storeu_si128(words.as_mut_ptr().cast(), register) };
    words
}

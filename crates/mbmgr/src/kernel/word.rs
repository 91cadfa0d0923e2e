//! Vectors of hash words, one lane each: 8 or 16 lanes of 32 bits, 4 or 8 of 64 bits, with AVX2 or
//! with the rotates and three-input logic of AVX-512. `sha1`, `sha256` and `sha512` are written on
//! these traits. Holds no state.

use core::arch::x86_64::*;

use super::block::BlockVector;

/// A register of words, one per lane.
///
/// Every method is inlined into an entry that enables the instructions of the vector, and must only
/// be called from there; that is the first duty of its safety contract. The second: pointers are
/// readable or writable for what the method says it moves, at any alignment.
pub(super) trait WordVector: Copy {
    type Word: Copy;
    const LANES: usize;

    unsafe fn splat(word: Self::Word) -> Self;
    /// [`Self::LANES`] words.
    unsafe fn load(from: *const Self::Word) -> Self;
    /// The first `lanes <= LANES` words.
    unsafe fn store_first(self, to: *mut Self::Word, lanes: usize);
    /// Sixteen big-endian words of each lane from `offset`, transposed. The first `LANES` pointers.
    unsafe fn load_block(from: &[*const u8; 16], offset: usize) -> [Self; 16];

    unsafe fn add(self, other: Self) -> Self;
    unsafe fn rotate_right<const N: i32>(self) -> Self;
    unsafe fn shift_right<const N: i32>(self) -> Self;
    unsafe fn xor(self, other: Self) -> Self;
    unsafe fn xor3(self, b: Self, c: Self) -> Self;
    /// Bits of `b` where `self` is set, of `c` elsewhere.
    unsafe fn choose(self, b: Self, c: Self) -> Self;
    unsafe fn majority(self, b: Self, c: Self) -> Self;
    /// The value itself, made here: the compiler keeps sums that are pinned as they are written. No
    /// instruction.
    #[inline(always)]
    unsafe fn pin(self) -> Self {
        self
    }
}

/// An intrinsic in a method of a vector.
macro_rules! op {
    ($body:expr) => {
        // SAFETY: the contract of the trait: the caller runs with the vector's instructions
        // enabled, and the pointers are valid for what is moved.
        unsafe { $body }
    };
}

/// 16 lanes of 32 bits, AVX-512.
#[derive(Clone, Copy)]
pub(super) struct U32x16(__m512i);
/// 8 lanes of 32 bits, AVX2 with AVX-512VL: double the rate of a full register.
#[derive(Clone, Copy)]
pub(super) struct U32x8Vl(__m256i);
/// 8 lanes of 32 bits, AVX2.
#[derive(Clone, Copy)]
pub(super) struct U32x8(__m256i);
/// 8 lanes of 64 bits, AVX-512.
#[derive(Clone, Copy)]
pub(super) struct U64x8(__m512i);
/// 4 lanes of 64 bits, AVX2 with AVX-512VL.
#[derive(Clone, Copy)]
pub(super) struct U64x4Vl(__m256i);
/// 4 lanes of 64 bits, AVX2.
#[derive(Clone, Copy)]
pub(super) struct U64x4(__m256i);

/// Reverses the bytes of each 32-bit word.
const SWAP_32: [u8; 16] = [3, 2, 1, 0, 7, 6, 5, 4, 11, 10, 9, 8, 15, 14, 13, 12];
/// Reverses the bytes of each 64-bit word.
const SWAP_64: [u8; 16] = [7, 6, 5, 4, 3, 2, 1, 0, 15, 14, 13, 12, 11, 10, 9, 8];

#[inline(always)]
unsafe fn swap_512(order: &[u8; 16]) -> __m512i {
    op!(_mm512_broadcast_i32x4(_mm_loadu_si128(order.as_ptr().cast())))
}

#[inline(always)]
unsafe fn swap_256(order: &[u8; 16]) -> __m256i {
    op!(_mm256_broadcastsi128_si256(_mm_loadu_si128(order.as_ptr().cast())))
}

/// 512 bits of a lane, each word in native order.
#[inline(always)]
unsafe fn row_512(from: *const u8, order: &[u8; 16]) -> __m512i {
    op!(_mm512_shuffle_epi8(_mm512_loadu_si512(from.cast()), swap_512(order)))
}

/// 256 bits of a lane, each word in native order.
#[inline(always)]
unsafe fn row_256(from: *const u8, order: &[u8; 16]) -> __m256i {
    op!(_mm256_shuffle_epi8(_mm256_loadu_si256(from.cast()), swap_256(order)))
}

/// The 128-bit parts of four registers, transposed.
#[inline(always)]
unsafe fn transpose_parts(a: __m512i, b: __m512i, c: __m512i, d: __m512i) -> [__m512i; 4] {
    op!({
        let ab_even = _mm512_shuffle_i32x4::<0x88>(a, b);
        let ab_odd = _mm512_shuffle_i32x4::<0xdd>(a, b);
        let cd_even = _mm512_shuffle_i32x4::<0x88>(c, d);
        let cd_odd = _mm512_shuffle_i32x4::<0xdd>(c, d);
        [
            _mm512_shuffle_i32x4::<0x88>(ab_even, cd_even),
            _mm512_shuffle_i32x4::<0x88>(ab_odd, cd_odd),
            _mm512_shuffle_i32x4::<0xdd>(ab_even, cd_even),
            _mm512_shuffle_i32x4::<0xdd>(ab_odd, cd_odd),
        ]
    })
}

/// The arithmetic of AVX-512 on a register type.
macro_rules! avx512_arithmetic {
    ($add:ident, $rotate:ident, $shift:ident, $logic:ident) => {
        #[inline(always)]
        unsafe fn add(self, other: Self) -> Self {
            Self(op!($add(self.0, other.0)))
        }
        #[inline(always)]
        unsafe fn rotate_right<const N: i32>(self) -> Self {
            Self(op!($rotate::<N>(self.0)))
        }
        #[inline(always)]
        unsafe fn shift_right<const N: i32>(self) -> Self {
            Self(op!($shift(self.0, _mm_cvtsi32_si128(N))))
        }
        #[inline(always)]
        unsafe fn xor(self, other: Self) -> Self {
            // 0x3c is the first xor the second.
            Self(op!($logic::<0x3c>(self.0, other.0, other.0)))
        }
        #[inline(always)]
        unsafe fn xor3(self, b: Self, c: Self) -> Self {
            Self(op!($logic::<0x96>(self.0, b.0, c.0)))
        }
        #[inline(always)]
        unsafe fn choose(self, b: Self, c: Self) -> Self {
            Self(op!($logic::<0xca>(self.0, b.0, c.0)))
        }
        #[inline(always)]
        unsafe fn majority(self, b: Self, c: Self) -> Self {
            Self(op!($logic::<0xe8>(self.0, b.0, c.0)))
        }
    };
}

/// The arithmetic of AVX2 on a register type with words of `$bits` bits.
macro_rules! avx2_arithmetic {
    ($add:ident, $bits:literal, $right:ident, $left:ident) => {
        #[inline(always)]
        unsafe fn add(self, other: Self) -> Self {
            Self(op!($add(self.0, other.0)))
        }
        #[inline(always)]
        unsafe fn rotate_right<const N: i32>(self) -> Self {
            // Counts known to the compiler: shifts by an immediate.
            let left = op!($left(self.0, _mm_cvtsi32_si128($bits - N)));
            Self(op!(_mm256_or_si256($right(self.0, _mm_cvtsi32_si128(N)), left)))
        }
        #[inline(always)]
        unsafe fn shift_right<const N: i32>(self) -> Self {
            Self(op!($right(self.0, _mm_cvtsi32_si128(N))))
        }
        #[inline(always)]
        unsafe fn xor(self, other: Self) -> Self {
            Self(op!(_mm256_xor_si256(self.0, other.0)))
        }
        #[inline(always)]
        unsafe fn xor3(self, b: Self, c: Self) -> Self {
            Self(op!(_mm256_xor_si256(_mm256_xor_si256(self.0, b.0), c.0)))
        }
        #[inline(always)]
        unsafe fn choose(self, b: Self, c: Self) -> Self {
            let differ = op!(_mm256_xor_si256(b.0, c.0));
            Self(op!(_mm256_xor_si256(_mm256_and_si256(differ, self.0), c.0)))
        }
        #[inline(always)]
        unsafe fn majority(self, b: Self, c: Self) -> Self {
            let either = op!(_mm256_and_si256(_mm256_or_si256(b.0, c.0), self.0));
            Self(op!(_mm256_or_si256(either, _mm256_and_si256(b.0, c.0))))
        }
    };
}

/// Loads and stores of eight 32-bit or four 64-bit lanes in AVX2 registers.
macro_rules! memory_256 {
    (32) => {
        type Word = u32;
        const LANES: usize = 8;

        #[inline(always)]
        unsafe fn splat(word: u32) -> Self {
            Self(op!(_mm256_set1_epi32(word.cast_signed())))
        }
        #[inline(always)]
        unsafe fn load(from: *const u32) -> Self {
            Self(op!(_mm256_loadu_si256(from.cast())))
        }
        #[inline(always)]
        unsafe fn store_first(self, to: *mut u32, lanes: usize) {
            // -1 in the first `lanes` places: a window on 8 times -1 and 8 times 0.
            const WINDOW: [i32; 16] = [-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0];
            let mask = WINDOW.as_ptr().wrapping_add(8 - lanes);
            op!(_mm256_maskstore_epi32(to.cast(), _mm256_loadu_si256(mask.cast()), self.0));
        }
        #[inline(always)]
        unsafe fn load_block(from: &[*const u8; 16], offset: usize) -> [Self; 16] {
            op!({
                let mut words = [Self::splat(0); 16];
                for half in 0..2 {
                    // Of each group of four lanes: column c of their 4×4 words, in both halves.
                    let mut columns = [[_mm256_setzero_si256(); 4]; 2];
                    for (group, columns) in columns.iter_mut().enumerate() {
                        let row = |i: usize| {
                            row_256(from[4 * group + i].add(offset + 32 * half), &SWAP_32)
                        };
                        let (a, b, c, d) = (row(0), row(1), row(2), row(3));
                        let ab_low = _mm256_unpacklo_epi32(a, b);
                        let ab_high = _mm256_unpackhi_epi32(a, b);
                        let cd_low = _mm256_unpacklo_epi32(c, d);
                        let cd_high = _mm256_unpackhi_epi32(c, d);
                        columns[0] = _mm256_unpacklo_epi64(ab_low, cd_low);
                        columns[1] = _mm256_unpackhi_epi64(ab_low, cd_low);
                        columns[2] = _mm256_unpacklo_epi64(ab_high, cd_high);
                        columns[3] = _mm256_unpackhi_epi64(ab_high, cd_high);
                    }
                    for c in 0..4 {
                        let (low, high) = (columns[0][c], columns[1][c]);
                        words[8 * half + c] = Self(_mm256_permute2x128_si256::<0x20>(low, high));
                        words[8 * half + 4 + c] =
                            Self(_mm256_permute2x128_si256::<0x31>(low, high));
                    }
                }
                words
            })
        }
    };
    (64) => {
        type Word = u64;
        const LANES: usize = 4;

        #[inline(always)]
        unsafe fn splat(word: u64) -> Self {
            Self(op!(_mm256_set1_epi64x(word.cast_signed())))
        }
        #[inline(always)]
        unsafe fn load(from: *const u64) -> Self {
            Self(op!(_mm256_loadu_si256(from.cast())))
        }
        #[inline(always)]
        unsafe fn store_first(self, to: *mut u64, lanes: usize) {
            // -1 in the first `lanes` places: a window on 4 times -1 and 4 times 0.
            const WINDOW: [i64; 8] = [-1, -1, -1, -1, 0, 0, 0, 0];
            let mask = WINDOW.as_ptr().wrapping_add(4 - lanes);
            op!(_mm256_maskstore_epi64(to.cast(), _mm256_loadu_si256(mask.cast()), self.0));
        }
        #[inline(always)]
        unsafe fn load_block(from: &[*const u8; 16], offset: usize) -> [Self; 16] {
            op!({
                let mut words = [Self::splat(0); 16];
                for quarter in 0..4 {
                    let row = |i: usize| row_256(from[i].add(offset + 32 * quarter), &SWAP_64);
                    let (a, b, c, d) = (row(0), row(1), row(2), row(3));
                    let ab_low = _mm256_unpacklo_epi64(a, b);
                    let ab_high = _mm256_unpackhi_epi64(a, b);
                    let cd_low = _mm256_unpacklo_epi64(c, d);
                    let cd_high = _mm256_unpackhi_epi64(c, d);
                    let base = 4 * quarter;
                    words[base] = Self(_mm256_permute2x128_si256::<0x20>(ab_low, cd_low));
                    words[base + 1] = Self(_mm256_permute2x128_si256::<0x20>(ab_high, cd_high));
                    words[base + 2] = Self(_mm256_permute2x128_si256::<0x31>(ab_low, cd_low));
                    words[base + 3] = Self(_mm256_permute2x128_si256::<0x31>(ab_high, cd_high));
                }
                words
            })
        }
    };
}

impl WordVector for U32x8 {
    memory_256!(32);
    avx2_arithmetic!(_mm256_add_epi32, 32, _mm256_srl_epi32, _mm256_sll_epi32);
}

impl WordVector for U32x8Vl {
    memory_256!(32);
    avx512_arithmetic!(
        _mm256_add_epi32,
        _mm256_ror_epi32,
        _mm256_srl_epi32,
        _mm256_ternarylogic_epi32
    );
}

impl WordVector for U64x4 {
    memory_256!(64);
    avx2_arithmetic!(_mm256_add_epi64, 64, _mm256_srl_epi64, _mm256_sll_epi64);
}

impl WordVector for U64x4Vl {
    memory_256!(64);
    avx512_arithmetic!(
        _mm256_add_epi64,
        _mm256_ror_epi64,
        _mm256_srl_epi64,
        _mm256_ternarylogic_epi64
    );
}

impl WordVector for U32x16 {
    type Word = u32;
    const LANES: usize = 16;

    #[inline(always)]
    unsafe fn splat(word: u32) -> Self {
        Self(op!(_mm512_set1_epi32(word.cast_signed())))
    }
    #[inline(always)]
    unsafe fn load(from: *const u32) -> Self {
        Self(op!(_mm512_loadu_si512(from.cast())))
    }
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "at most 16 lanes: 16 bits")]
    unsafe fn store_first(self, to: *mut u32, lanes: usize) {
        let mask = ((1_u32 << lanes) - 1) as u16;
        op!(_mm512_mask_storeu_epi32(to.cast(), mask, self.0));
    }
    #[inline(always)]
    unsafe fn load_block(from: &[*const u8; 16], offset: usize) -> [Self; 16] {
        op!({
            // Of each group of four lanes: column c of their 4×4 words, in all four parts.
            let mut columns = [[_mm512_setzero_si512(); 4]; 4];
            for (group, columns) in columns.iter_mut().enumerate() {
                let row = |i: usize| row_512(from[4 * group + i].add(offset), &SWAP_32);
                let (a, b, c, d) = (row(0), row(1), row(2), row(3));
                let ab_low = _mm512_unpacklo_epi32(a, b);
                let ab_high = _mm512_unpackhi_epi32(a, b);
                let cd_low = _mm512_unpacklo_epi32(c, d);
                let cd_high = _mm512_unpackhi_epi32(c, d);
                columns[0] = _mm512_unpacklo_epi64(ab_low, cd_low);
                columns[1] = _mm512_unpackhi_epi64(ab_low, cd_low);
                columns[2] = _mm512_unpacklo_epi64(ab_high, cd_high);
                columns[3] = _mm512_unpackhi_epi64(ab_high, cd_high);
            }
            let mut words = [Self::splat(0); 16];
            for c in 0..4 {
                let [g0, g1, g2, g3] = columns;
                let parts = transpose_parts(g0[c], g1[c], g2[c], g3[c]);
                for (part, word) in parts.into_iter().enumerate() {
                    words[4 * part + c] = Self(word);
                }
            }
            words
        })
    }
    #[inline(always)]
    unsafe fn pin(self) -> Self {
        Self(op!(BlockVector::pin(self.0)))
    }
    avx512_arithmetic!(
        _mm512_add_epi32,
        _mm512_ror_epi32,
        _mm512_srl_epi32,
        _mm512_ternarylogic_epi32
    );
}

impl WordVector for U64x8 {
    type Word = u64;
    const LANES: usize = 8;

    #[inline(always)]
    unsafe fn splat(word: u64) -> Self {
        Self(op!(_mm512_set1_epi64(word.cast_signed())))
    }
    #[inline(always)]
    unsafe fn load(from: *const u64) -> Self {
        Self(op!(_mm512_loadu_si512(from.cast())))
    }
    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "at most 8 lanes: 8 bits")]
    unsafe fn store_first(self, to: *mut u64, lanes: usize) {
        let mask = ((1_u32 << lanes) - 1) as u8;
        op!(_mm512_mask_storeu_epi64(to.cast(), mask, self.0));
    }
    #[inline(always)]
    unsafe fn load_block(from: &[*const u8; 16], offset: usize) -> [Self; 16] {
        op!({
            let mut words = [Self::splat(0); 16];
            for half in 0..2 {
                // Of each pair of lanes: even and odd words.
                let mut columns = [[_mm512_setzero_si512(); 2]; 4];
                for (pair, columns) in columns.iter_mut().enumerate() {
                    let a = row_512(from[2 * pair].add(offset + 64 * half), &SWAP_64);
                    let b = row_512(from[2 * pair + 1].add(offset + 64 * half), &SWAP_64);
                    columns[0] = _mm512_unpacklo_epi64(a, b);
                    columns[1] = _mm512_unpackhi_epi64(a, b);
                }
                for c in 0..2 {
                    let [p0, p1, p2, p3] = columns;
                    let parts = transpose_parts(p0[c], p1[c], p2[c], p3[c]);
                    for (part, word) in parts.into_iter().enumerate() {
                        words[8 * half + 2 * part + c] = Self(word);
                    }
                }
            }
            words
        })
    }
    #[inline(always)]
    unsafe fn pin(self) -> Self {
        Self(op!(BlockVector::pin(self.0)))
    }
    avx512_arithmetic!(
        _mm512_add_epi64,
        _mm512_ror_epi64,
        _mm512_srl_epi64,
        _mm512_ternarylogic_epi64
    );
}

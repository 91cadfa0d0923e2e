//! Vectors of AES blocks that move two neighbouring blocks of a lane at once, for `cbc_pairs`, or a
//! whole register of them, for `cbc_lines`. Holds no state.

use core::arch::x86_64::*;

use super::block::{BlockVector, op};

/// A register of blocks that moves two blocks of a lane at once. Contract as [`BlockVector`].
pub(super) trait PairVector: BlockVector {
    /// Two blocks each from the first `count <= BLOCKS` pointers: all first ones, all second ones.
    /// They are also stored to `kept`, one lane after the other, as whole aligned registers.
    unsafe fn gather_pair(from: &[*const u8; 4], count: usize, kept: Option<*mut u8>) -> [Self; 2];
    /// Two blocks each to the first `count <= BLOCKS` pointers.
    unsafe fn scatter_pair(pair: [Self; 2], to: &[*mut u8; 4], count: usize);
    /// Four blocks each of four lanes, a register a lane, to four lanes each of four blocks, a register
    /// a block; and back.
    unsafe fn transpose(rows: [Self; 4]) -> [Self; 4];
}

/// Two blocks each of one or two lanes.
#[inline(always)]
unsafe fn two_pairs(from: [*const u8; 2], count: usize) -> __m512i {
    let first = op!(_mm512_zextsi256_si512(_mm256_loadu_si256(from[0].cast())));
    if count < 2 {
        return first;
    }
    op!(_mm512_inserti64x4::<1>(first, _mm256_loadu_si256(from[1].cast())))
}

impl PairVector for __m512i {
    #[inline(always)]
    unsafe fn gather_pair(from: &[*const u8; 4], count: usize, kept: Option<*mut u8>) -> [Self; 2] {
        let ab = op!(two_pairs([from[0], from[1]], count));
        let cd = if count > 2 {
            op!(two_pairs([from[2], from[3]], count - 2))
        } else {
            op!(_mm512_setzero_si512())
        };
        if let Some(kept) = kept {
            op!(ab.store_aligned(kept));
            if count > 2 {
                op!(cd.store_aligned(kept.add(Self::BYTES)));
            }
        }
        op!([_mm512_shuffle_i64x2::<0x88>(ab, cd), _mm512_shuffle_i64x2::<0xdd>(ab, cd)])
    }
    #[inline(always)]
    unsafe fn scatter_pair(pair: [Self; 2], to: &[*mut u8; 4], count: usize) {
        let [first, second] = pair;
        let store_two = |blocks: __m512i, to: [*mut u8; 2], count: usize| {
            op!(_mm256_storeu_si256(to[0].cast(), _mm512_castsi512_si256(blocks)));
            if count > 1 {
                // Pinned: extracting to memory disturbs the AES instructions around it more.
                let high = op!(_mm512_extracti64x4_epi64::<1>(blocks).pin());
                op!(high.store(to[1]));
            }
        };
        let low = op!(_mm512_set_epi64(11, 10, 3, 2, 9, 8, 1, 0));
        store_two(op!(_mm512_permutex2var_epi64(first, low, second)), [to[0], to[1]], count);
        if count > 2 {
            let high = op!(_mm512_set_epi64(15, 14, 7, 6, 13, 12, 5, 4));
            let blocks = op!(_mm512_permutex2var_epi64(first, high, second));
            store_two(blocks, [to[2], to[3]], count - 2);
        }
    }
    #[inline(always)]
    unsafe fn transpose(rows: [Self; 4]) -> [Self; 4] {
        let [a, b, c, d] = rows;
        // Pinned: a shuffle between AES instructions stays where it was put.
        op!({
            let ab_low = _mm512_shuffle_i64x2::<0x44>(a, b).pin();
            let ab_high = _mm512_shuffle_i64x2::<0xee>(a, b).pin();
            let cd_low = _mm512_shuffle_i64x2::<0x44>(c, d).pin();
            let cd_high = _mm512_shuffle_i64x2::<0xee>(c, d).pin();
            [
                _mm512_shuffle_i64x2::<0x88>(ab_low, cd_low).pin(),
                _mm512_shuffle_i64x2::<0xdd>(ab_low, cd_low).pin(),
                _mm512_shuffle_i64x2::<0x88>(ab_high, cd_high).pin(),
                _mm512_shuffle_i64x2::<0xdd>(ab_high, cd_high).pin(),
            ]
        })
    }
}

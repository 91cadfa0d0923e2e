//! GHASH (NIST SP 800-38D, 6.4) in registers of one, two or four blocks. Called by `gcm`, and by the entries
//! of `x86` for the hash alone. Nothing here survives a crash.
//!
//! Blocks are hashed with their bytes reversed, where a product is that of POLYVAL (RFC 8452, appendix A) once
//! the hash key is multiplied by x. The products of a batch are added up and reduced once: block i of n meets
//! the power n - i of the key.

use core::arch::x86_64::*;

use super::block::{BlockVector, op};
use super::gcm_run::POWERS;
use super::{BLOCK, GcmKey};

/// Registers of a batch.
pub(super) const BATCH: usize = 8;
const _: () = assert!(POWERS == 4 * BATCH + 1);

/// Carry-less multiplication of each block. Contract as [`BlockVector`].
pub(super) trait HashVector: BlockVector {
    /// The product of the halves that `HALVES` names of each block.
    unsafe fn multiply<const HALVES: i32>(self, other: Self) -> Self;
    /// The sum of the blocks.
    unsafe fn fold(self) -> __m128i;
    /// One block, and zero after it.
    unsafe fn only(block: __m128i) -> Self;
    /// The first block.
    unsafe fn first(self) -> __m128i;
    /// The first `len < BYTES` bytes, and zero after them.
    unsafe fn truncate(self, len: usize) -> Self;
    /// Adds `blocks` to each little-endian block, in its low 32 bits.
    unsafe fn advance_32(self, blocks: u32) -> Self;
}

impl HashVector for __m128i {
    #[inline(always)]
    unsafe fn multiply<const HALVES: i32>(self, other: Self) -> Self {
        op!(_mm_clmulepi64_si128::<HALVES>(self, other))
    }
    #[inline(always)]
    unsafe fn fold(self) -> __m128i {
        self
    }
    #[inline(always)]
    unsafe fn first(self) -> __m128i {
        self
    }
    #[inline(always)]
    unsafe fn truncate(self, len: usize) -> Self {
        op!(truncate_in_memory(self, len))
    }
    #[inline(always)]
    unsafe fn only(block: __m128i) -> Self {
        block
    }
    #[inline(always)]
    unsafe fn advance_32(self, blocks: u32) -> Self {
        op!(_mm_add_epi32(self, _mm_cvtsi32_si128(blocks.cast_signed())))
    }
}

impl HashVector for __m256i {
    #[inline(always)]
    unsafe fn multiply<const HALVES: i32>(self, other: Self) -> Self {
        op!(_mm256_clmulepi64_epi128::<HALVES>(self, other))
    }
    #[inline(always)]
    unsafe fn fold(self) -> __m128i {
        op!(_mm_xor_si128(_mm256_castsi256_si128(self), _mm256_extracti128_si256::<1>(self)))
    }
    #[inline(always)]
    unsafe fn first(self) -> __m128i {
        op!(_mm256_castsi256_si128(self))
    }
    #[inline(always)]
    unsafe fn truncate(self, len: usize) -> Self {
        op!(truncate_in_memory(self, len))
    }
    #[inline(always)]
    unsafe fn only(block: __m128i) -> Self {
        op!(_mm256_zextsi128_si256(block))
    }
    #[inline(always)]
    unsafe fn advance_32(self, blocks: u32) -> Self {
        let blocks = op!(_mm256_broadcastsi128_si256(_mm_cvtsi32_si128(blocks.cast_signed())));
        op!(_mm256_add_epi32(self, blocks))
    }
}

impl HashVector for __m512i {
    #[inline(always)]
    unsafe fn multiply<const HALVES: i32>(self, other: Self) -> Self {
        op!(_mm512_clmulepi64_epi128::<HALVES>(self, other))
    }
    #[inline(always)]
    unsafe fn fold(self) -> __m128i {
        op!(_mm256_xor_si256(_mm512_castsi512_si256(self), _mm512_extracti64x4_epi64::<1>(self))
            .fold())
    }
    #[inline(always)]
    unsafe fn first(self) -> __m128i {
        op!(_mm512_castsi512_si128(self))
    }
    #[inline(always)]
    unsafe fn truncate(self, len: usize) -> Self {
        op!(_mm512_maskz_mov_epi8((1 << len) - 1, self))
    }
    #[inline(always)]
    unsafe fn only(block: __m128i) -> Self {
        op!(_mm512_zextsi128_si512(block))
    }
    #[inline(always)]
    unsafe fn advance_32(self, blocks: u32) -> Self {
        let blocks = op!(_mm512_broadcast_i32x4(_mm_cvtsi32_si128(blocks.cast_signed())));
        op!(_mm512_add_epi32(self, blocks))
    }
}

/// [`HashVector::truncate`] for vectors without masks.
#[inline(always)]
unsafe fn truncate_in_memory<V: HashVector>(value: V, len: usize) -> V {
    let mut bytes = [0_u8; 32];
    op!({
        value.store(bytes.as_mut_ptr());
        V::load_partial(bytes.as_ptr(), len)
    })
}

/// Products that are not reduced: the low, the middle and the high part.
#[derive(Clone, Copy)]
pub(super) struct Sum<V> {
    low: V,
    middle: V,
    high: V,
}

impl<V: HashVector> Sum<V> {
    /// # Safety
    /// For this and the other methods: the instructions of `V` are enabled in the caller.
    #[inline(always)]
    pub(super) unsafe fn new() -> Self {
        // SAFETY: the caller's duty.
        let zero = unsafe { V::zero() };
        Sum { low: zero, middle: zero, high: zero }
    }

    #[inline(always)]
    pub(super) unsafe fn add(&mut self, blocks: V, powers: V) {
        // SAFETY: the caller's duty.
        unsafe {
            self.low = self.low.xor(blocks.multiply::<0x00>(powers));
            self.high = self.high.xor(blocks.multiply::<0x11>(powers));
            let cross = (blocks.multiply::<0x01>(powers), blocks.multiply::<0x10>(powers));
            self.middle = self.middle.xor3(cross.0, cross.1);
        }
    }

    #[inline(always)]
    pub(super) unsafe fn reduce(self) -> __m128i {
        // SAFETY: the caller's duty; whoever has the wide instructions has those for one block.
        unsafe {
            let (low, middle, high) = (self.low.fold(), self.middle.fold(), self.high.fold());
            let low = low.xor(_mm_slli_si128::<8>(middle));
            let high = high.xor(_mm_srli_si128::<8>(middle));
            // x^127 + x^126 + x^121, as in POLYVAL's polynomial.
            let polynomial = _mm_set_epi64x(0, 0xc200_0000_0000_0000_u64.cast_signed());
            let once = _mm_shuffle_epi32::<0x4e>(low).xor(low.multiply::<0x00>(polynomial));
            let twice = _mm_shuffle_epi32::<0x4e>(once).xor(once.multiply::<0x00>(polynomial));
            high.xor(twice)
        }
    }
}

/// Where the powers for `blocks` blocks begin.
///
/// # Safety
/// `blocks` is at most [`POWERS`].
#[inline(always)]
pub(super) unsafe fn powers_of(key: &GcmKey, blocks: usize) -> *const u8 {
    // SAFETY: the caller's duty.
    unsafe { key.powers.as_ptr().add(POWERS - blocks).cast() }
}

/// Fills in the powers of the hash key.
///
/// # Safety
/// AES-NI's companions, PCLMULQDQ and SSSE3, are enabled in the caller.
#[inline(always)]
pub(super) unsafe fn fill_powers(key: &mut GcmKey) {
    let reversed = u128::from_be_bytes(key.hash_key);
    let carry = reversed >> 127;
    let first = (reversed << 1) ^ (carry * 0xc200_0000_0000_0000_0000_0000_0000_0001);
    key.powers[POWERS - 1] = first.to_le_bytes();
    // SAFETY: the caller's duty; the powers are blocks.
    unsafe {
        let first = <__m128i as BlockVector>::load(key.powers[POWERS - 1].as_ptr());
        let mut power = first;
        for place in key.powers[..POWERS - 1].iter_mut().rev() {
            let mut sum = Sum::new();
            sum.add(power, first);
            power = sum.reduce();
            power.store(place.as_mut_ptr());
        }
    }
}

/// Takes `len` bytes, padded with zeros to whole blocks, into the hash `acc`, and after them `end`.
///
/// # Safety
/// `from` is readable for `len` bytes; the instructions of `V` are enabled in the caller.
#[inline(always)]
pub(super) unsafe fn absorb<V: HashVector>(
    key: &GcmKey,
    acc: __m128i,
    from: *const u8,
    len: usize,
    end: Option<__m128i>,
) -> __m128i {
    let (mut acc, mut offset) = (acc, 0);
    // SAFETY: the caller's duties; at most a batch and one block are hashed together.
    unsafe {
        loop {
            let part =
                if len - offset < BATCH * V::BYTES { len - offset } else { BATCH * V::BYTES };
            let last = offset + part == len;
            let more = if last { end } else { None };
            let blocks = part.div_ceil(BLOCK);
            let mut powers = powers_of(key, blocks + usize::from(more.is_some()));
            let mut sum = Sum::<V>::new();
            let mut begin = V::only(acc);
            let mut done = 0;
            while done < part {
                let input = if part - done < V::BYTES {
                    V::load_partial(from.add(offset + done), part - done)
                } else {
                    V::load(from.add(offset + done))
                };
                sum.add(input.reverse_bytes().xor(begin), V::load(powers));
                begin = V::zero();
                powers = powers.add(V::BYTES);
                done += V::BYTES;
            }
            if let Some(end) = more {
                // Without a block before it, what was hashed so far is added here.
                let power = V::load(powers_of(key, 1));
                sum.add(V::only(end).xor(begin), power);
            }
            if part > 0 || more.is_some() {
                acc = sum.reduce();
            }
            offset += part;
            if last {
                return acc;
            }
        }
    }
}

/// Takes `len` bytes, padded with zeros to whole blocks, into a hash.
///
/// # Safety
/// As [`super::Kernels::ghash`], with the instructions of `V` enabled in the caller.
#[inline(always)]
pub(super) unsafe fn ghash<V: HashVector>(
    key: &GcmKey,
    hash: &mut [u8; BLOCK],
    from: *const u8,
    len: usize,
) {
    // SAFETY: the caller's duties.
    unsafe {
        let before = <__m128i as BlockVector>::load(hash.as_ptr()).reverse_bytes();
        absorb::<V>(key, before, from, len, None).reverse_bytes().store(hash.as_mut_ptr());
    }
}

//! AES-GCM of one buffer (NIST SP 800-38D): counter mode in wide steps as `ctr`, and the hash of what
//! it wrote, in one pass. One generic body, called by the entries of `x86`. Per step the input is in the
//! journal's log, committed before the first output is stored. Nothing is kept of the hash: it starts
//! again from the output.
//!
//! The hash of a batch runs between the AES rounds of the next one: carry-less multiplication and AES
//! share no unit. Blocks are hashed with their bytes reversed, where a product is that of POLYVAL (RFC
//! 8452, appendix A) once the hash key is multiplied by x. The products of a batch are added up and
//! reduced once: block i of n meets the power n - i of the key.

use core::arch::x86_64::*;

use super::block::{BlockVector, keep, op};
use super::gcm_run::POWERS;
use super::schedule::ROUND_KEYS;
use super::{BLOCK, GcmKey, GcmRun, Schedule, WIDE_STEP};
use crate::journal::Log;

/// Registers of a batch.
const BATCH: usize = 8;
const _: () = assert!(POWERS == 4 * BATCH + 1);

/// Carry-less multiplication of each block. Contract as [`BlockVector`].
pub(super) trait HashVector: BlockVector {
    /// The product of the halves that `HALVES` names of each block.
    unsafe fn multiply<const HALVES: i32>(self, other: Self) -> Self;
    /// The sum of the blocks.
    unsafe fn fold(self) -> __m128i;
    /// One block, and zero after it.
    unsafe fn only(block: __m128i) -> Self;
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
    unsafe fn only(block: __m128i) -> Self {
        op!(_mm512_zextsi128_si512(block))
    }
    #[inline(always)]
    unsafe fn advance_32(self, blocks: u32) -> Self {
        let blocks = op!(_mm512_broadcast_i32x4(_mm_cvtsi32_si128(blocks.cast_signed())));
        op!(_mm512_add_epi32(self, blocks))
    }
}

/// Products that are not reduced: the low, the middle and the high part.
#[derive(Clone, Copy)]
struct Sum<V> {
    low: V,
    middle: V,
    high: V,
}

impl<V: HashVector> Sum<V> {
    /// # Safety
    /// For this and the other methods: the instructions of `V` are enabled in the caller.
    #[inline(always)]
    unsafe fn new() -> Self {
        // SAFETY: the caller's duty.
        let zero = unsafe { V::zero() };
        Sum { low: zero, middle: zero, high: zero }
    }

    #[inline(always)]
    unsafe fn add(&mut self, blocks: V, powers: V) {
        // SAFETY: the caller's duty.
        unsafe {
            self.low = self.low.xor(blocks.multiply::<0x00>(powers));
            self.high = self.high.xor(blocks.multiply::<0x11>(powers));
            let cross = (blocks.multiply::<0x01>(powers), blocks.multiply::<0x10>(powers));
            self.middle = self.middle.xor3(cross.0, cross.1);
        }
    }

    #[inline(always)]
    unsafe fn reduce(self) -> __m128i {
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
unsafe fn powers_of(key: &GcmKey, blocks: usize) -> *const u8 {
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
unsafe fn absorb<V: HashVector>(
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

/// The block that ends a hash: both lengths in bits, reversed.
#[inline(always)]
unsafe fn lengths(run: &GcmRun<'_>) -> __m128i {
    let bits = |len: usize| (8 * len as u64).cast_signed();
    op!(_mm_set_epi64x(bits(run.aad_len), bits(run.len)))
}

/// The tag, where `text` is the whole ciphertext.
///
/// # Safety
/// As [`super::Kernels::gcm_tag`], with the instructions of `V` enabled in the caller.
#[inline(always)]
pub(super) unsafe fn tag<V: HashVector, const ROUNDS: usize>(
    run: &GcmRun<'_>,
    text: *const u8,
) -> [u8; BLOCK] {
    // SAFETY: the caller's duties.
    unsafe {
        let keys = keys::<V, ROUNDS>(run.schedule);
        let mask = mask::<V, ROUNDS>(&keys, run);
        let hash = absorb::<V>(run.key, _mm_setzero_si128(), run.aad, run.aad_len, None);
        finish(absorb::<V>(run.key, hash, text, run.len, Some(lengths(run))), mask)
    }
}

#[inline(always)]
unsafe fn finish(hash: __m128i, mask: __m128i) -> [u8; BLOCK] {
    let mut tag = [0; BLOCK];
    op!(hash.reverse_bytes().xor(mask).store(tag.as_mut_ptr()));
    tag
}

/// The encrypted first counter block, which hides the hash.
#[inline(always)]
unsafe fn mask<V: HashVector, const ROUNDS: usize>(
    keys: &[V; ROUND_KEYS],
    run: &GcmRun<'_>,
) -> __m128i {
    op!({
        let mut block = [V::broadcast(run.first.as_ptr()).xor(keys[0])];
        for key in &keys[1..ROUNDS] {
            block[0] = block[0].encrypt_round(*key);
        }
        let mut bytes = [0_u8; 64];
        block[0].encrypt_last(keys[ROUNDS]).store(bytes.as_mut_ptr());
        <__m128i as BlockVector>::load(bytes.as_ptr())
    })
}

#[inline(always)]
unsafe fn keys<V: HashVector, const ROUNDS: usize>(schedule: &Schedule) -> [V; ROUND_KEYS] {
    let mut keys = op!([V::zero(); ROUND_KEYS]);
    for (vector, round_key) in keys.iter_mut().zip(&schedule.round_keys).take(ROUNDS + 1) {
        *vector = op!(V::broadcast(round_key.as_ptr()));
    }
    keys
}

/// Encrypts, and computes the tag.
///
/// # Safety
/// As [`super::Kernels::gcm_seal`], with the instructions of `V` enabled in the caller.
#[inline(always)]
pub(super) unsafe fn seal<V: HashVector, const ROUNDS: usize>(
    run: &GcmRun<'_>,
    log: Option<&Log<'_>>,
) -> [u8; BLOCK] {
    // SAFETY: the caller's duties; what was not hashed in passing lies in the output.
    unsafe {
        let keys = keys::<V, ROUNDS>(run.schedule);
        let mask = mask::<V, ROUNDS>(&keys, run);
        let mut hash = absorb::<V>(run.key, _mm_setzero_si128(), run.aad, run.aad_len, None);
        let hashed = crypt::<V, ROUNDS, true>(&keys, run, &mut hash, log);
        let rest = run.dst.cast_const().add(hashed);
        finish(absorb::<V>(run.key, hash, rest, run.len - hashed, Some(lengths(run))), mask)
    }
}

/// Counter mode alone.
///
/// # Safety
/// As [`super::Kernels::gcm_stream`], with the instructions of `V` enabled in the caller.
#[inline(always)]
pub(super) unsafe fn stream<V: HashVector, const ROUNDS: usize>(
    run: &GcmRun<'_>,
    log: Option<&Log<'_>>,
) {
    // SAFETY: the caller's duties.
    unsafe {
        let keys = keys::<V, ROUNDS>(run.schedule);
        crypt::<V, ROUNDS, false>(&keys, run, &mut _mm_setzero_si128(), log);
    }
}

/// Counter mode from the block after `run.first`; with `HASH` also the hash of whole batches of the
/// output, all but the last. Returns how many bytes are hashed.
///
/// # Safety
/// As the callers.
#[inline(always)]
unsafe fn crypt<V: HashVector, const ROUNDS: usize, const HASH: bool>(
    keys: &[V; ROUND_KEYS],
    run: &GcmRun<'_>,
    hash: &mut __m128i,
    log: Option<&Log<'_>>,
) -> usize {
    let (src, dst, len) = (run.src, run.dst, run.len);
    let (mut offset, mut hashed, mut k) = (0, 0, 0);
    // SAFETY: the caller's duties; all offsets stay below `len`, and a slot holds a wide step.
    unsafe {
        // Zero in the low 32 bits, so that the low half does not wrap.
        let first = u128::from_be_bytes(run.first);
        let [.., a, b, c, d] = run.first;
        let low = u32::from_be_bytes([a, b, c, d]).wrapping_add(1);
        let mut count = V::count_from(first >> 32 << 32).advance_32(low);
        while offset < len {
            let end = if len - offset < WIDE_STEP { len } else { offset + WIDE_STEP };
            if let Some(log) = log {
                keep::<V>(src.add(offset), log.slot(k), end - offset);
                log.commit(k);
            }
            while end - offset >= BATCH * V::BYTES {
                let (from, to) = (src.add(offset), dst.add(offset));
                if HASH && hashed < offset {
                    let before = dst.cast_const().add(hashed);
                    let pending = Some((run.key, before, &mut *hash));
                    count = batch::<V, ROUNDS, BATCH>(keys, from, to, count, pending);
                    hashed += BATCH * V::BYTES;
                } else {
                    count = batch::<V, ROUNDS, BATCH>(keys, from, to, count, None);
                }
                offset += BATCH * V::BYTES;
            }
            while offset < end {
                let left = end - offset;
                let (from, to) = (src.add(offset), dst.add(offset));
                if left >= 4 * V::BYTES {
                    count = batch::<V, ROUNDS, 4>(keys, from, to, count, None);
                    offset += 4 * V::BYTES;
                } else if left >= 2 * V::BYTES {
                    count = batch::<V, ROUNDS, 2>(keys, from, to, count, None);
                    offset += 2 * V::BYTES;
                } else if left >= V::BYTES {
                    count = batch::<V, ROUNDS, 1>(keys, from, to, count, None);
                    offset += V::BYTES;
                } else {
                    let mut state = count.reverse_bytes().xor(keys[0]);
                    for key in &keys[1..ROUNDS] {
                        state = state.encrypt_round(*key);
                    }
                    let input = V::load_partial(from, left);
                    state.encrypt_last(keys[ROUNDS].xor(input)).store_partial(to, left);
                    offset = end;
                }
            }
            k += 1;
        }
    }
    hashed
}

/// `N` registers, counted from `count`, and between their rounds the hash of a batch before. Returns
/// the count after them.
///
/// # Safety
/// `N * V::BYTES` bytes are readable and writable, a batch is readable at the pending place; the
/// instructions of `V` are enabled in the caller.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "at most 32 blocks")]
unsafe fn batch<V: HashVector, const ROUNDS: usize, const N: usize>(
    keys: &[V; ROUND_KEYS],
    from: *const u8,
    to: *mut u8,
    count: V,
    pending: Option<(&GcmKey, *const u8, &mut __m128i)>,
) -> V {
    // SAFETY: the caller's duty.
    unsafe {
        let mut state = [V::zero(); N];
        for (i, state) in state.iter_mut().enumerate() {
            let blocks = (i * V::BLOCKS) as u32;
            *state = count.advance_32(blocks).reverse_bytes().xor(keys[0]);
        }
        let mut sum = Sum::<V>::new();
        for (round, key) in keys[1..ROUNDS].iter().enumerate() {
            for state in &mut state {
                *state = state.encrypt_round(*key);
            }
            if let Some((hash_key, before, hash)) = &pending
                && round < BATCH
            {
                let at = round * V::BYTES;
                let mut blocks = V::load(before.add(at)).reverse_bytes();
                if round == 0 {
                    blocks = blocks.xor(V::only(**hash));
                }
                let powers = powers_of(hash_key, BATCH * V::BLOCKS).add(at);
                sum.add(blocks, V::load(powers));
            }
        }
        for (i, state) in state.iter().enumerate() {
            let input = V::load(from.add(i * V::BYTES));
            state.encrypt_last(keys[ROUNDS].xor(input)).store(to.add(i * V::BYTES));
        }
        if let Some((_, _, hash)) = pending {
            *hash = sum.reduce();
        }
        count.advance_32((N * V::BLOCKS) as u32)
    }
}

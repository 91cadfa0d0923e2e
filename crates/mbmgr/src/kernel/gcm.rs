//! AES-GCM of one buffer (NIST SP 800-38D): counter mode in wide steps as `ctr`, and the hash of what
//! it wrote, in one pass. One generic body, called by the entries of `x86`. Per step the input is in the
//! journal's log, committed before the first output is stored. Nothing is kept of the hash: it starts
//! again from the output.
//!
//! The hash of a batch runs between the AES rounds of the next one: carry-less multiplication and AES
//! share no unit. A message of a batch or less is done in one go.

use core::arch::x86_64::*;

use super::block::{BlockVector, keep, op};
use super::ghash::{BATCH, HashVector, Sum, absorb, powers_of};
use super::schedule::ROUND_KEYS;
use super::{BLOCK, GcmKey, GcmRun, Schedule, WIDE_STEP};
use crate::journal::Log;

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
        let mut block = V::broadcast(run.first.as_ptr()).xor(keys[0]);
        for key in &keys[1..ROUNDS] {
            block = block.encrypt_round(*key);
        }
        block.encrypt_last(keys[ROUNDS]).first()
    })
}

/// The counter blocks of the first register, little-endian.
#[inline(always)]
unsafe fn first_count<V: HashVector>(run: &GcmRun<'_>) -> V {
    // Zero in the low 32 bits, so that the low half does not wrap.
    let first = u128::from_be_bytes(run.first);
    let [.., a, b, c, d] = run.first;
    let low = u32::from_be_bytes([a, b, c, d]).wrapping_add(1);
    op!(V::count_from(first >> 32 << 32).advance_32(low))
}

/// Blocks before register `i` of a batch.
#[inline(always)]
#[expect(clippy::cast_possible_truncation, reason = "at most 32 blocks")]
fn blocks_of<V: HashVector>(i: usize) -> u32 {
    (i * V::BLOCKS) as u32
}

#[inline(always)]
unsafe fn keys<V: HashVector, const ROUNDS: usize>(schedule: &Schedule) -> [V; ROUND_KEYS] {
    let mut keys = op!([V::zero(); ROUND_KEYS]);
    for (vector, round_key) in keys.iter_mut().zip(&schedule.round_keys).take(ROUNDS + 1) {
        *vector = op!(V::broadcast(round_key.as_ptr()));
    }
    keys
}

/// Whether [`seal_short`] takes a message.
#[inline(always)]
pub(super) fn is_short<V: HashVector>(run: &GcmRun<'_>) -> bool {
    (1..=BATCH * V::BYTES).contains(&run.len)
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
        let mut hash = _mm_setzero_si128();
        if run.aad_len > 0 {
            hash = absorb::<V>(run.key, hash, run.aad, run.aad_len, None);
        }
        let mask = mask::<V, ROUNDS>(&keys, run);
        let hashed = crypt::<V, ROUNDS, true>(&keys, run, &mut hash, log);
        let rest = run.dst.cast_const().add(hashed);
        finish(absorb::<V>(run.key, hash, rest, run.len - hashed, Some(lengths(run))), mask)
    }
}

/// As [`seal`], for a message of one step that is not empty.
///
/// # Safety
/// As [`seal`]; [`is_short`] has said yes.
#[inline(always)]
pub(super) unsafe fn seal_short<V: HashVector, const ROUNDS: usize>(
    run: &GcmRun<'_>,
    log: Option<&Log<'_>>,
) -> [u8; BLOCK] {
    const { assert!(BATCH == 8 && BATCH * V::BYTES <= WIDE_STEP) };
    // SAFETY: the caller's duties.
    unsafe {
        let keys = keys::<V, ROUNDS>(run.schedule);
        let mut hash = _mm_setzero_si128();
        if run.aad_len > 0 {
            hash = absorb::<V>(run.key, hash, run.aad, run.aad_len, None);
        }
        match run.len.div_ceil(V::BYTES) {
            ..=1 => seal_in_one_go::<V, ROUNDS, 1>(&keys, run, hash, log),
            2 => seal_in_one_go::<V, ROUNDS, 2>(&keys, run, hash, log),
            3..=4 => seal_in_one_go::<V, ROUNDS, 4>(&keys, run, hash, log),
            _ => seal_in_one_go::<V, ROUNDS, 8>(&keys, run, hash, log),
        }
    }
}

/// What follows the associated data of a message that needs at most `N` registers: one reduction.
///
/// # Safety
/// As [`seal_short`].
#[inline(always)]
unsafe fn seal_in_one_go<V: HashVector, const ROUNDS: usize, const N: usize>(
    keys: &[V; ROUND_KEYS],
    run: &GcmRun<'_>,
    hash: __m128i,
    log: Option<&Log<'_>>,
) -> [u8; BLOCK] {
    let (src, dst, len) = (run.src, run.dst, run.len);
    // SAFETY: the caller's duties; offsets stay below `len`.
    unsafe {
        if let Some(log) = log {
            keep::<V>(src, log.slot(0), len);
            log.commit(0);
        }
        let count = first_count::<V>(run);
        let mut mask = V::broadcast(run.first.as_ptr()).xor(keys[0]);
        let mut state = [V::zero(); N];
        for (i, state) in state.iter_mut().enumerate() {
            *state = count.advance_32(blocks_of::<V>(i)).reverse_bytes().xor(keys[0]);
        }
        for key in &keys[1..ROUNDS] {
            mask = mask.encrypt_round(*key);
            for state in &mut state {
                *state = state.encrypt_round(*key);
            }
        }
        let mask = mask.encrypt_last(keys[ROUNDS]).first();
        let mut sum = Sum::<V>::new();
        let mut begin = V::only(hash);
        let mut powers = powers_of(run.key, len.div_ceil(BLOCK) + 1);
        for (i, state) in state.iter().enumerate() {
            let at = i * V::BYTES;
            if at >= len {
                break;
            }
            let output = if len - at >= V::BYTES {
                let output = state.encrypt_last(keys[ROUNDS].xor(V::load(src.add(at))));
                output.store(dst.add(at));
                output
            } else {
                let input = V::load_partial(src.add(at), len - at);
                let output = state.encrypt_last(keys[ROUNDS].xor(input)).truncate(len - at);
                output.store_partial(dst.add(at), len - at);
                output
            };
            sum.add(output.reverse_bytes().xor(begin), V::load(powers));
            (begin, powers) = (V::zero(), powers.add(V::BYTES));
        }
        sum.add(V::only(lengths(run)), V::load(powers_of(run.key, 1)));
        finish(sum.reduce(), mask)
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
        let mut count = first_count::<V>(run);
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
            *state = count.advance_32(blocks_of::<V>(i)).reverse_bytes().xor(keys[0]);
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
        count.advance_32(blocks_of::<V>(N))
    }
}

//! AES blocks each by itself (NIST SP 800-38A, 6.1) of one buffer, in wide steps as CBC decrypt. One generic
//! body, called by the entries of `x86`. Per step the input is in the journal's log, committed before the
//! first output is stored.

use super::block::{BlockVector, keep, keep_some};
use super::schedule::ROUND_KEYS;
use super::{Schedule, WIDE_STEP};
use crate::journal::Log;

/// Encrypts, or with `DECRYPT` and a decrypt schedule decrypts.
///
/// # Safety
/// As [`super::Kernels::ecb`], with a key of `ROUNDS` rounds and the instructions of `V` enabled in the
/// caller.
#[inline(always)]
pub(super) unsafe fn body<V: BlockVector, const ROUNDS: usize, const DECRYPT: bool>(
    key: &Schedule,
    src: *const u8,
    dst: *mut u8,
    len: usize,
    log: Option<&Log<'_>>,
) {
    // SAFETY: the caller's duties; all offsets stay below `len`, and a slot holds a wide step.
    unsafe {
        let mut keys = [V::zero(); ROUND_KEYS];
        for (vector, round_key) in keys.iter_mut().zip(&key.round_keys).take(ROUNDS + 1) {
            *vector = V::broadcast(round_key.as_ptr());
        }
        let (mut offset, mut k) = (0, 0);
        while WIDE_STEP == 8 * V::BYTES && len - offset >= WIDE_STEP {
            let (from, to) = (src.add(offset), dst.add(offset));
            let log = log.map(|log| (log, k));
            offset += batch::<V, ROUNDS, DECRYPT, 8>(&keys, from, to, log);
            k += 1;
        }
        while offset < len {
            let end = if len - offset < WIDE_STEP { len } else { offset + WIDE_STEP };
            if let Some(log) = log {
                keep::<V>(src.add(offset), log.slot(k), end - offset);
                log.commit(k);
            }
            while offset < end {
                let (from, to, left) = (src.add(offset), dst.add(offset), end - offset);
                offset += match left / V::BYTES {
                    8.. => batch::<V, ROUNDS, DECRYPT, 8>(&keys, from, to, None),
                    4.. => batch::<V, ROUNDS, DECRYPT, 4>(&keys, from, to, None),
                    2.. => batch::<V, ROUNDS, DECRYPT, 2>(&keys, from, to, None),
                    1 => batch::<V, ROUNDS, DECRYPT, 1>(&keys, from, to, None),
                    0 => {
                        let mut state = [V::load_partial(from, left)];
                        rounds::<V, ROUNDS, DECRYPT, 1>(&keys, &mut state);
                        state[0].store_partial(to, left);
                        left
                    }
                };
            }
            k += 1;
        }
    }
}

/// Does `N` registers, and returns their bytes. Where they are a whole step, `log` has its number, and its
/// inputs are kept.
///
/// # Safety
/// `N * V::BYTES` bytes are readable and writable, and a log slot has room for them; the instructions of `V`
/// are enabled in the caller.
#[inline(always)]
unsafe fn batch<V: BlockVector, const ROUNDS: usize, const DECRYPT: bool, const N: usize>(
    keys: &[V; ROUND_KEYS],
    from: *const u8,
    to: *mut u8,
    log: Option<(&Log<'_>, u64)>,
) -> usize {
    // SAFETY: the caller's duty.
    unsafe {
        let mut state = [V::zero(); N];
        for (i, state) in state.iter_mut().enumerate() {
            *state = V::load(from.add(i * V::BYTES));
        }
        if let Some((log, k)) = log {
            keep_some::<V, N, true>(&state, log.slot(k), N * V::BYTES);
            log.commit(k);
        }
        rounds::<V, ROUNDS, DECRYPT, N>(keys, &mut state);
        for (i, state) in state.iter().enumerate() {
            state.store(to.add(i * V::BYTES));
        }
    }
    N * V::BYTES
}

/// # Safety
/// The instructions of `V` are enabled in the caller.
#[inline(always)]
unsafe fn rounds<V: BlockVector, const ROUNDS: usize, const DECRYPT: bool, const N: usize>(
    keys: &[V; ROUND_KEYS],
    state: &mut [V; N],
) {
    // SAFETY: the caller's duty.
    unsafe {
        for state in state.iter_mut() {
            *state = state.xor(keys[0]);
        }
        for key in &keys[1..ROUNDS] {
            for state in state.iter_mut() {
                *state =
                    if DECRYPT { state.decrypt_round(*key) } else { state.encrypt_round(*key) };
            }
        }
        let last = keys[ROUNDS];
        for state in state.iter_mut() {
            *state = if DECRYPT { state.decrypt_last(last) } else { state.encrypt_last(last) };
        }
    }
}

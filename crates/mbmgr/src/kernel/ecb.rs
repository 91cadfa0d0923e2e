//! AES blocks each by itself (NIST SP 800-38A, 6.1), in memory of the process: what the modes of
//! `cipher` are made of. One generic body, called by the entries of `x86`. Nothing here survives a crash.

use super::block::BlockVector;
use super::schedule::ROUND_KEYS;
use super::{BLOCK, Schedule};

/// Replaces each block by its encryption, or with a decrypt schedule and `DECRYPT` by its decryption.
///
/// # Safety
/// As the methods of `V`; the key has `ROUNDS` rounds.
#[inline(always)]
pub(super) unsafe fn body<V: BlockVector, const ROUNDS: usize, const DECRYPT: bool>(
    key: &Schedule,
    blocks: &mut [[u8; BLOCK]],
) {
    let bytes = blocks.as_flattened_mut();
    let (at, len) = (bytes.as_mut_ptr(), bytes.len());
    let mut offset = 0;
    // SAFETY: the caller's duty; all offsets stay within the blocks.
    unsafe {
        let mut keys = [V::zero(); ROUND_KEYS];
        for (vector, round_key) in keys.iter_mut().zip(&key.round_keys).take(ROUNDS + 1) {
            *vector = V::broadcast(round_key.as_ptr());
        }
        while offset < len {
            let (at, left) = (at.add(offset), len - offset);
            offset += match left / V::BYTES {
                8.. => batch::<V, ROUNDS, DECRYPT, 8>(&keys, at),
                4.. => batch::<V, ROUNDS, DECRYPT, 4>(&keys, at),
                2.. => batch::<V, ROUNDS, DECRYPT, 2>(&keys, at),
                1 => batch::<V, ROUNDS, DECRYPT, 1>(&keys, at),
                0 => {
                    let mut state = [V::load_partial(at, left)];
                    rounds::<V, ROUNDS, DECRYPT, 1>(&keys, &mut state);
                    state[0].store_partial(at, left);
                    left
                }
            };
        }
    }
}

/// Does `N` registers at `at`, and returns their bytes.
///
/// # Safety
/// As the methods of `V`.
#[inline(always)]
unsafe fn batch<V: BlockVector, const ROUNDS: usize, const DECRYPT: bool, const N: usize>(
    keys: &[V; ROUND_KEYS],
    at: *mut u8,
) -> usize {
    // SAFETY: the caller's duty.
    unsafe {
        let mut state = [V::zero(); N];
        for (i, state) in state.iter_mut().enumerate() {
            *state = V::load(at.add(i * V::BYTES));
        }
        rounds::<V, ROUNDS, DECRYPT, N>(keys, &mut state);
        for (i, state) in state.iter().enumerate() {
            state.store(at.add(i * V::BYTES));
        }
    }
    N * V::BYTES
}

/// # Safety
/// As the methods of `V`.
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

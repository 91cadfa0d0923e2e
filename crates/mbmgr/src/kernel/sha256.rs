//! The rounds of SHA-256 (FIPS 180-4, 6) on several lanes, one message each. Called by `digest`.
//! Nothing survives a crash here: a hash restarts with its job.

use super::digest::{Rounds, sixteen_times};
use super::word::WordVector;

/// The round constants: the upper halves of the first 64 of SHA-512.
pub(super) const K: [u32; 64] = {
    let mut constants = [0_u32; 64];
    let mut i = 0;
    while i < 64 {
        constants[i] = (super::sha512::K[i] >> 32) as u32;
        i += 1;
    }
    constants
};

/// SHA-256, and what differs from it in its initial value only.
pub(super) struct Sha256;

impl<V: WordVector<Word = u32>> Rounds<V, 8> for Sha256 {
    #[inline(always)]
    unsafe fn compress(before: [V; 8], mut message: [V; 16]) -> [V; 8] {
        let mut state = before;
        // SAFETY: the caller's duty.
        unsafe {
            sixteen_times!(round(&mut state, &message, 0));
            let mut first = 16;
            while first < K.len() {
                sixteen_times!(extend_and_round(&mut state, &mut message, first));
                first += 16;
            }
        }
        state
    }
}

/// Replaces message word `I` by the word sixteen rounds later, and does that word's round.
///
/// # Safety
/// The instructions of `V` are enabled in the caller.
#[inline(always)]
unsafe fn extend_and_round<V: WordVector<Word = u32>, const I: usize>(
    state: &mut [V; 8],
    message: &mut [V; 16],
    first: usize,
) {
    let (early, late) = (message[(I + 1) % 16], message[(I + 14) % 16]);
    // SAFETY: the caller's duty.
    unsafe {
        let (e_1, e_2) = (early.rotate_right::<7>(), early.rotate_right::<18>());
        let (l_1, l_2) = (late.rotate_right::<17>(), late.rotate_right::<19>());
        let sigma_0 = e_1.xor3(e_2, early.shift_right::<3>());
        let sigma_1 = l_1.xor3(l_2, late.shift_right::<10>());
        message[I] = message[I].add(message[(I + 9) % 16]).add(sigma_0).add(sigma_1);
        round::<V, I>(state, message, first);
    }
}

/// Round `first + I`, `first` a multiple of 8. Words a to h stay where they are and change names: a
/// is at `-I`, modulo 8.
///
/// # Safety
/// The instructions of `V` are enabled in the caller.
#[inline(always)]
unsafe fn round<V: WordVector<Word = u32>, const I: usize>(
    state: &mut [V; 8],
    message: &[V; 16],
    first: usize,
) {
    let at = |name: usize| (name + 16 - I) % 8;
    let [a, b, c, d] = [state[at(0)], state[at(1)], state[at(2)], state[at(3)]];
    let [e, f, g, h] = [state[at(4)], state[at(5)], state[at(6)], state[at(7)]];
    // SAFETY: the caller's duty.
    unsafe {
        let (e_1, e_2) = (e.rotate_right::<6>(), e.rotate_right::<11>());
        let (a_1, a_2) = (a.rotate_right::<2>(), a.rotate_right::<13>());
        let sigma_1 = e_1.xor3(e_2, e.rotate_right::<25>());
        let sigma_0 = a_1.xor3(a_2, a.rotate_right::<22>());
        // Pinned: what is ready early is added early, off the chain from round to round.
        let early = h.add(message[I].add(V::splat(K[first + I])).pin()).pin();
        let t = early.add(e.choose(f, g)).add(sigma_1);
        state[at(3)] = d.add(t);
        state[at(7)] = t.add(sigma_0.add(a.majority(b, c)));
    }
}

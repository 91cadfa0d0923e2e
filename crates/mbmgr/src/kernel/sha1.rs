//! The rounds of SHA-1 (FIPS 180-4, 6.1) on several lanes, one message each. Nothing survives a crash
//! here: a hash restarts with its job.
//!
//! What bounds it on AVX-512: ten instructions of a full register a round, of which two start each
//! cycle, so .39 core cycles a byte and what loading the blocks takes.

use super::digest::{Rounds, sixteen_times};
use super::word::WordVector;

/// The round constants of each twenty rounds.
const K: [u32; 4] = [0x5a82_7999, 0x6ed9_eba1, 0x8f1b_bcdc, 0xca62_c1d6];

/// SHA-1.
pub(super) struct Sha1;

impl<V: WordVector<Word = u32>> Rounds<V, 5> for Sha1 {
    #[inline(always)]
    unsafe fn compress(before: [V; 5], mut message: [V; 16]) -> [V; 5] {
        let mut state = before;
        let (state, message) = (&mut state, &mut message);
        // SAFETY: the caller's duty.
        unsafe {
            sixteen_times!(first_rounds(state, message));
            sixteen_times!(second_rounds(state, message));
            sixteen_times!(third_rounds(state, message));
            sixteen_times!(fourth_rounds(state, message));
            sixteen_times!(last_rounds(state, message));
        }
        *state
    }
}

/// Sixteen rounds from `$first` on: the compiler knows each round's function and constant.
macro_rules! rounds {
    ($name:ident, $first:literal) => {
        /// # Safety
        /// The instructions of `V` are enabled in the caller.
        #[inline(always)]
        unsafe fn $name<V: WordVector<Word = u32>, const I: usize>(
            state: &mut [V; 5],
            message: &mut [V; 16],
        ) {
            // SAFETY: the caller's duty.
            unsafe { round::<V>(state, message, $first + I) }
        }
    };
}

rounds!(first_rounds, 0);
rounds!(second_rounds, 16);
rounds!(third_rounds, 32);
rounds!(fourth_rounds, 48);
rounds!(last_rounds, 64);

/// A round; from the sixteenth on it first replaces a message word by that of sixteen rounds later.
/// Words a to e stay where they are and change names: a is at `-round`, modulo 5.
///
/// # Safety
/// The instructions of `V` are enabled in the caller.
#[inline(always)]
unsafe fn round<V: WordVector<Word = u32>>(
    state: &mut [V; 5],
    message: &mut [V; 16],
    round: usize,
) {
    let at = |name: usize| (name + 80 - round) % 5;
    let [a, b, c, d, e] = [at(0), at(1), at(2), at(3), at(4)].map(|name| state[name]);
    let w = |back: usize| (round + 16 - back) % 16;
    // SAFETY: the caller's duty.
    unsafe {
        if round >= 16 {
            let mixed = message[w(16)].xor(message[w(14)].xor3(message[w(8)], message[w(3)]));
            message[w(0)] = mixed.rotate_right::<31>();
        }
        let mixed = match round / 20 {
            0 => b.choose(c, d),
            2 => b.majority(c, d),
            _ => b.xor3(c, d),
        };
        // Pinned: what is ready early is added early, off the chain from round to round.
        let early = e.add(message[w(0)].add(V::splat(K[round / 20])).pin()).pin();
        state[at(4)] = early.add(mixed).pin().add(a.rotate_right::<27>());
        state[at(1)] = b.rotate_right::<2>();
    }
}

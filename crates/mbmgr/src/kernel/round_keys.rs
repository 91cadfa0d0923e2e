//! The rounds of a chained AES block, and where a body takes its round keys from: each lane its own, from
//! memory, or all lanes the same, from registers. Called by `cbc_encrypt`, `cbc_pairs` and
//! `cbc_lines`. Nothing here survives a crash.
//!
//! It matters because one load of 64 bytes starts every cycle, and so does one AES instruction: keys
//! of the lanes take as many loads as there are AES instructions, and leave none for the data. Jobs
//! come in trains with one key, for which a round's key is one register.

use core::ops::Range;

use super::block::{BlockVector, opaque};
use super::schedule::ROUND_KEYS;
use super::{BLOCK, LaneKeys, MAX_LANES};

/// A mode of AES that chains blocks: where it adds its input, and whether its blocks are stored.
pub(super) trait Chaining {
    /// Without, only the chaining values come out.
    const STORES: bool;
    /// The input is added after the rounds, not before.
    const FEEDBACK: bool;

    /// What is added before the rounds.
    #[inline(always)]
    fn before<T>(input: &T) -> Option<&T> {
        (!Self::FEEDBACK).then_some(input)
    }
    /// What is added after them.
    #[inline(always)]
    fn after<T>(input: &T) -> Option<&T> {
        Self::FEEDBACK.then_some(input)
    }
}

/// Cipher block chaining (NIST SP 800-38A, 6.2).
pub(super) struct Cbc;
/// The same, of which only the chaining values are kept.
pub(super) struct CbcMac;
/// Cipher feedback with segments of a block (6.3).
pub(super) struct Cfb;

impl Chaining for Cbc {
    const STORES: bool = true;
    const FEEDBACK: bool = false;
}
impl Chaining for CbcMac {
    const STORES: bool = false;
    const FEEDBACK: bool = false;
}
impl Chaining for Cfb {
    const STORES: bool = true;
    const FEEDBACK: bool = true;
}

/// Round keys of the lanes of up to four registers. The first duty of every method: the instructions
/// of `V` are enabled in the caller.
pub(super) trait RoundKeys<V: BlockVector>: Copy {
    /// The key of a round for the lanes of register `r`.
    unsafe fn key(&self, round: usize, r: usize) -> V;
    /// Has keys in memory read again from here on, rather than kept in registers that run out.
    fn refresh(&mut self);
}

/// Bytes of one round's keys of all lanes.
const ROUND_BYTES: usize = MAX_LANES * BLOCK;

/// A key for each lane, in `COUNT` registers; those of `HELD` rounds from the first inner one on stay in
/// registers.
#[derive(Clone, Copy)]
pub(super) struct Own<V, const COUNT: usize, const HELD: usize> {
    held: [[V; COUNT]; HELD],
    keys: *const u8,
}

impl<V: BlockVector, const COUNT: usize, const HELD: usize> Own<V, COUNT, HELD> {
    /// The keys of the lanes of the registers from `first`.
    ///
    /// # Safety
    /// The instructions of `V` are enabled in the caller; `keys` outlives the value, and has lanes for
    /// `COUNT` registers from there.
    #[inline(always)]
    pub(super) unsafe fn new(keys: &LaneKeys, first: usize) -> Self {
        let keys = keys.keys.as_ptr().cast::<u8>().wrapping_add(first * V::BYTES);
        // SAFETY: the caller's duty; `HELD` is less than the rounds of a schedule.
        let mut held = unsafe { [[V::zero(); COUNT]; HELD] };
        for (round, held) in held.iter_mut().enumerate() {
            for (r, key) in held.iter_mut().enumerate() {
                // SAFETY: as above.
                *key = unsafe { V::load(keys.add((round + 1) * ROUND_BYTES + r * V::BYTES)).pin() };
            }
        }
        Own { held, keys }
    }
}

impl<V: BlockVector, const COUNT: usize, const HELD: usize> RoundKeys<V> for Own<V, COUNT, HELD> {
    #[inline(always)]
    unsafe fn key(&self, round: usize, r: usize) -> V {
        if round >= 1 && round <= HELD {
            return self.held[round - 1][r];
        }
        // SAFETY: the caller's duty; registers of at most 16 lanes, rounds of a schedule.
        unsafe { V::load(self.keys.add(round * ROUND_BYTES + r * V::BYTES)) }
    }
    #[inline(always)]
    fn refresh(&mut self) {
        self.keys = opaque(self.keys);
    }
}

/// One key for all lanes: that of lane 0.
#[derive(Clone, Copy)]
pub(super) struct Shared<V> {
    keys: [V; ROUND_KEYS],
}

impl<V: BlockVector> Shared<V> {
    /// # Safety
    /// The instructions of `V` are enabled in the caller, and all lanes have the key of the first.
    #[inline(always)]
    pub(super) unsafe fn new(keys: &LaneKeys, rounds: usize) -> Self {
        // SAFETY: the caller's duty; the keys of the lanes of one register are neighbours.
        unsafe {
            let mut shared = Shared { keys: [V::zero(); ROUND_KEYS] };
            for (round, key) in shared.keys.iter_mut().enumerate().take(rounds + 1) {
                *key = V::load(keys.keys[round].as_ptr().cast()).pin();
            }
            shared
        }
    }
}

impl<V: BlockVector> RoundKeys<V> for Shared<V> {
    #[inline(always)]
    unsafe fn key(&self, round: usize, _r: usize) -> V {
        self.keys[round]
    }
    #[inline(always)]
    fn refresh(&mut self) {}
}

/// Chains the input in, where there is one, and adds the first round key.
///
/// # Safety
/// The instructions of `V` are enabled in the caller.
#[inline(always)]
pub(super) unsafe fn enter<V: BlockVector, const COUNT: usize>(
    state: &mut [V; COUNT],
    input: Option<&[V; COUNT]>,
    keys: &impl RoundKeys<V>,
) {
    for (r, state) in state.iter_mut().enumerate() {
        // SAFETY: the caller's duty.
        unsafe {
            let key = keys.key(0, r);
            *state = match input {
                Some(input) => state.xor3(input[r], key).pin(),
                None => state.xor(key).pin(),
            };
        }
    }
}

/// All rounds of a block, which takes its input as `C` says.
///
/// # Safety
/// As [`enter`].
#[inline(always)]
pub(super) unsafe fn encrypt<C: Chaining, V: BlockVector, const COUNT: usize>(
    state: &mut [V; COUNT],
    input: &[V; COUNT],
    keys: &impl RoundKeys<V>,
    rounds: u32,
) {
    // SAFETY: the caller's duty.
    unsafe {
        enter(state, C::before(input), keys);
        rounds_of(state, keys, 1..10);
        finish(state, keys, rounds, C::after(input));
    }
}

/// Inner rounds `range`.
///
/// # Safety
/// As [`enter`].
#[inline(always)]
pub(super) unsafe fn rounds_of<V: BlockVector, const COUNT: usize>(
    state: &mut [V; COUNT],
    keys: &impl RoundKeys<V>,
    range: Range<usize>,
) {
    for round in range {
        for (r, state) in state.iter_mut().enumerate() {
            // SAFETY: the caller's duty.
            unsafe { *state = state.encrypt_round(keys.key(round, r)).pin() };
        }
    }
}

/// The rounds from the tenth on; an input is added to their result.
///
/// # Safety
/// As [`enter`].
#[inline(always)]
pub(super) unsafe fn finish<V: BlockVector, const COUNT: usize>(
    state: &mut [V; COUNT],
    keys: &impl RoundKeys<V>,
    rounds: u32,
    input: Option<&[V; COUNT]>,
) {
    // Whatever `rounds` is, no round key behind the last is read.
    let mut last = 10;
    // SAFETY: the caller's duty.
    unsafe {
        if rounds > 10 {
            rounds_of(state, keys, 10..12);
            last = 12;
            if rounds > 12 {
                rounds_of(state, keys, 12..14);
                last = 14;
            }
        }
        for (r, state) in state.iter_mut().enumerate() {
            let key = keys.key(last, r);
            // To the key, off the chain's way.
            let key = input.map_or(key, |input| key.xor(input[r]));
            *state = state.encrypt_last(key).pin();
        }
    }
}

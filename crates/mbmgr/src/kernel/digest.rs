//! What the compressions of SHA-1 and SHA-2 have in common: lanes in, blocks through the rounds, lanes
//! out. Called by the entries of `x86`, with one of `sha1`, `sha256` and `sha512` for the rounds.
//! Nothing survives a crash here: a hash restarts with its job.

use super::MAX_LANES;
use super::word::WordVector;

/// The rounds of a hash whose state has `WORDS` words, on the lanes of `V`.
pub(super) trait Rounds<V: WordVector, const WORDS: usize> {
    /// The state after a block.
    ///
    /// # Safety
    /// The instructions of `V` are enabled in the caller.
    unsafe fn compress(before: [V; WORDS], message: [V; 16]) -> [V; WORDS];
}

/// Calls a function of a vector and a round with each round from 0 to 15. Spelled out: the compiler
/// does not unroll loops of this size, and rolled ones keep all words in memory.
macro_rules! sixteen_times {
    ($function:ident($($argument:expr),*)) => {
        $function::<V, 0>($($argument),*);
        $function::<V, 1>($($argument),*);
        $function::<V, 2>($($argument),*);
        $function::<V, 3>($($argument),*);
        $function::<V, 4>($($argument),*);
        $function::<V, 5>($($argument),*);
        $function::<V, 6>($($argument),*);
        $function::<V, 7>($($argument),*);
        $function::<V, 8>($($argument),*);
        $function::<V, 9>($($argument),*);
        $function::<V, 10>($($argument),*);
        $function::<V, 11>($($argument),*);
        $function::<V, 12>($($argument),*);
        $function::<V, 13>($($argument),*);
        $function::<V, 14>($($argument),*);
        $function::<V, 15>($($argument),*);
    };
}
pub(super) use sixteen_times;

/// Lanes `first..first + count` of the state take in `blocks` blocks of sixteen words each.
///
/// # Safety
/// As the method of [`super::Kernels`] for the hash, with `first + V::LANES <= MAX_LANES`,
/// `1 <= count <= V::LANES`, and the instructions of `V` enabled in the caller.
#[inline(always)]
pub(super) unsafe fn body<V: WordVector, H: Rounds<V, WORDS>, const WORDS: usize>(
    state: &mut [[V::Word; MAX_LANES]; 8],
    data: &[*const u8; MAX_LANES],
    first: usize,
    count: usize,
    blocks: usize,
) {
    const { assert!(WORDS <= 8) };
    debug_assert!(first + V::LANES <= MAX_LANES && (1..=V::LANES).contains(&count));
    // A register is always full: lanes beyond `count` hash the first lane's message, for nobody.
    let mut from = [data[first]; 16];
    from[..count].copy_from_slice(&data[first..first + count]);
    // SAFETY: the caller's duties.
    unsafe {
        let mut words = [V::load(state[0].as_ptr().add(first)); WORDS];
        for (word, row) in words.iter_mut().zip(state.iter()) {
            *word = V::load(row.as_ptr().add(first));
        }
        for block in 0..blocks {
            let message = V::load_block(&from, block * 16 * size_of::<V::Word>());
            let before = words;
            words = H::compress(before, message);
            for (word, before) in words.iter_mut().zip(before) {
                *word = word.add(before);
            }
        }
        for (word, row) in words.iter().zip(state.iter_mut()) {
            word.store_first(row.as_mut_ptr().add(first), count);
        }
    }
}

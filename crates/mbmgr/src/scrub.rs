//! Clears what copies of key material leave on the stack. Called by the key table; nothing survives.
#![expect(unsafe_code, reason = "stores to memory that nobody reads, by volatile stores")]

use std::mem::MaybeUninit;

/// Bytes below the caller that are cleared: more than the frames of the key table's calls together.
const DEPTH: usize = 8192;

/// The widest store that every machine of the kind has.
#[cfg(target_arch = "x86_64")]
type Wide = core::arch::x86_64::__m128i;
#[cfg(not(target_arch = "x86_64"))]
type Wide = u64;

/// Stores between two turns of the loop.
const UNROLLED: usize = 32;

/// Overwrites the stack below the caller, where moves of key material may have left copies of it.
/// What a kernel spills to its own frame is overwritten by the next calls, not by this.
///
/// It is on the way of each takeover, so it stores wide, and each byte once.
#[inline(never)]
pub(crate) fn scrub_stack() {
    const { assert!(DEPTH.is_multiple_of(size_of::<[Wide; UNROLLED]>())) }
    let mut below =
        MaybeUninit::<[[Wide; UNROLLED]; DEPTH / size_of::<[Wide; UNROLLED]>()]>::uninit();
    let first = below.as_mut_ptr().cast::<[Wide; UNROLLED]>();
    for turn in 0..DEPTH / size_of::<[Wide; UNROLLED]>() {
        for i in 0..UNROLLED {
            // SAFETY: zeros are a value of the type.
            let zero = unsafe { MaybeUninit::<Wide>::zeroed().assume_init() };
            // SAFETY: inside `below`: `turn` and `i` are below its dimensions.
            unsafe { first.add(turn).cast::<Wide>().add(i).write_volatile(zero) };
        }
    }
    // Volatile stores are not elided; this keeps the array itself where they can be seen.
    std::hint::black_box(&below);
}

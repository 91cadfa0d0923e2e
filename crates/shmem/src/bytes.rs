//! Copies between the process's memory and a segment that others may be changing.
//!
//! `segment.rs` calls them after checking the range. They use relaxed atomics, eight bytes at a
//! time, so a concurrent change gives a mixture of old and new bytes and nothing worse. A death in
//! the middle leaves a prefix of the bytes written: commit words come after.

#![expect(unsafe_code, reason = "accesses mapped memory by pointer")]

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering, compiler_fence};

const WORD: usize = size_of::<u64>();

/// Bytes before the first word boundary, at most `len`.
fn head_len(at: *mut u8, len: usize) -> usize {
    (at.addr().wrapping_neg() % WORD).min(len)
}

/// Copies out of the segment.
///
/// # Safety
/// `from` must be valid for reads of `into.len()` bytes, and all who access these bytes meanwhile
/// must use atomics or be other processes.
pub(crate) unsafe fn copy_out(from: *mut u8, into: &mut [u8]) {
    let (head, rest) = into.split_at_mut(head_len(from, into.len()));
    let mut at = from;
    // SAFETY: the whole loop stays within the `into.len()` bytes that the caller vouches for, and
    // the eight-byte part begins at a word boundary. Relaxed: nothing is published by it.
    unsafe {
        for byte in head {
            *byte = AtomicU8::from_ptr(at).load(Ordering::Relaxed);
            at = at.add(1);
        }
        let mut words = rest.chunks_exact_mut(WORD);
        for word in &mut words {
            let value = AtomicU64::from_ptr(at.cast()).load(Ordering::Relaxed);
            word.copy_from_slice(&value.to_ne_bytes());
            at = at.add(WORD);
        }
        for byte in words.into_remainder() {
            *byte = AtomicU8::from_ptr(at).load(Ordering::Relaxed);
            at = at.add(1);
        }
    }
}

/// Copies into the segment.
///
/// # Safety
/// As for [`copy_out`], for writes.
pub(crate) unsafe fn copy_in(to: *mut u8, from: &[u8]) {
    let (head, rest) = from.split_at(head_len(to, from.len()));
    let mut at = to;
    // SAFETY: as in `copy_out`, for writes. Relaxed: the caller's commit store publishes.
    unsafe {
        for &byte in head {
            AtomicU8::from_ptr(at).store(byte, Ordering::Relaxed);
            at = at.add(1);
        }
        let mut words = rest.chunks_exact(WORD);
        for word in &mut words {
            let mut value = [0; WORD];
            value.copy_from_slice(word);
            AtomicU64::from_ptr(at.cast()).store(u64::from_ne_bytes(value), Ordering::Relaxed);
            at = at.add(WORD);
        }
        for &byte in words.remainder() {
            AtomicU8::from_ptr(at).store(byte, Ordering::Relaxed);
            at = at.add(1);
        }
    }
}

/// Writes zeros that the compiler may not leave out.
///
/// # Safety
/// As for [`copy_out`], for writes of `len` bytes.
pub(crate) unsafe fn zeroize(to: *mut u8, len: usize) {
    let head = head_len(to, len);
    let words = (len - head) / WORD;
    // SAFETY: head, words and tail make up exactly `len` bytes; the words begin at a boundary.
    unsafe {
        for i in (0..head).chain(head + words * WORD..len) {
            to.add(i).write_volatile(0);
        }
        let first = to.add(head).cast::<u64>();
        for i in 0..words {
            first.add(i).write_volatile(0);
        }
    }
    // The secret is gone before whatever follows, a store that frees its slot for one.
    compiler_fence(Ordering::SeqCst);
}

#[cfg(test)]
mod tests {
    use super::{copy_in, copy_out, zeroize};

    #[test]
    fn copies_of_each_length_and_alignment_touch_their_bytes_only() {
        for start in 0..9 {
            for len in 0..33 {
                let data: Vec<u8> = (1..=len).collect();
                let len = usize::from(len);
                let mut memory = [0xaau8; 64];
                let mut back = vec![0; len];
                let at = memory.as_mut_ptr().wrapping_add(start);
                // SAFETY: start + len is below 64, and nobody else knows this array.
                unsafe {
                    copy_in(at, &data);
                    copy_out(at, &mut back);
                }
                assert_eq!(back, data);
                assert_eq!(memory[start..start + len], data[..]);
                let around = |m: &[u8; 64]| {
                    m[..start].iter().chain(&m[start + len..]).all(|&byte| byte == 0xaa)
                };
                assert!(around(&memory));
                // SAFETY: as above.
                unsafe { zeroize(memory.as_mut_ptr().wrapping_add(start), len) };
                assert!(memory[start..start + len].iter().all(|&byte| byte == 0));
                assert!(around(&memory));
            }
        }
    }
}

//! Memory for what must not leave the process: pages of their own, kept out of core dumps, zeroized
//! before they are given back.
//!
//! The manager keeps its copies of keys and schedules here. Nothing of it is shared or survives.

#![expect(unsafe_code, reason = "places values in mapped pages")]

use std::fmt;
use std::mem::{align_of, size_of};
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;

use crate::{Error, Result, bytes, sys};

/// A fixed number of values in memory of their own.
pub struct Secrets<T> {
    first: NonNull<T>,
    count: usize,
    pages: sys::PrivatePages,
}

// SAFETY: it owns the values, as a box would.
unsafe impl<T: Send> Send for Secrets<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Secrets<T> {}

impl<T> Secrets<T> {
    /// `count` values, each made by `make` from its index.
    pub fn from_fn(count: usize, make: impl FnMut(usize) -> T) -> Result<Secrets<T>> {
        let what = "mapping memory for secrets";
        let len = size_of::<T>().checked_mul(count).filter(|_| align_of::<T>() <= 4096);
        let len = len.ok_or_else(|| Error::system(what, std::io::ErrorKind::OutOfMemory))?;
        let pages = sys::PrivatePages::new(len.max(1)).map_err(|e| Error::system(what, e))?;
        sys::keep_out_of_core_dumps(pages.base(), pages.len());
        let first = pages.base().cast::<T>();
        for (index, value) in (0..count).map(make).enumerate() {
            // SAFETY: index < count, and count values fit the pages, which are aligned for them.
            unsafe { first.add(index).write(value) };
        }
        Ok(Secrets { first, count, pages })
    }

    /// Keeps the memory from being swapped out.
    pub fn lock(&self) -> Result<()> {
        sys::lock_memory(self.pages.base(), self.pages.len())
            .map_err(|e| Error::system("mlock (see RLIMIT_MEMLOCK)", e))
    }
}

impl<T> Deref for Secrets<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        // SAFETY: `from_fn` wrote `count` values from `first` on, and `self` is borrowed.
        unsafe { std::slice::from_raw_parts(self.first.as_ptr(), self.count) }
    }
}

impl<T> DerefMut for Secrets<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as in `deref`, and `self` is borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.first.as_ptr(), self.count) }
    }
}

impl<T> Drop for Secrets<T> {
    fn drop(&mut self) {
        // SAFETY: the values are dropped once, here, and then their bytes are only bytes.
        unsafe {
            std::ptr::drop_in_place(&raw mut **self);
            bytes::zeroize(self.first.as_ptr().cast(), size_of::<T>() * self.count);
        }
    }
}

impl<T> fmt::Debug for Secrets<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets").field("count", &self.count).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::Secrets;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn values_are_made_in_order_and_dropped_once() {
        static DROPPED: AtomicUsize = AtomicUsize::new(0);
        struct Value(usize);
        impl Drop for Value {
            fn drop(&mut self) {
                DROPPED.fetch_add(1, Ordering::Relaxed);
            }
        }
        let mut values = Secrets::from_fn(1000, Value).unwrap();
        values[7].0 = 70;
        assert_eq!(values.iter().map(|value| value.0).sum::<usize>(), 499_500 + 63);
        drop(values);
        assert_eq!(DROPPED.load(Ordering::Relaxed), 1000);
        assert_eq!(Secrets::from_fn(0, Value).unwrap().len(), 0);
    }
}

//! The lease as it lies in the segment: 64 bytes that outlive each owner.
//!
//! `lease.rs` works on them; `mbmgr` places them in its own structures. The kernel marks `word` when
//! the owner dies, at any instruction. A candidate that dies on its way to own leaves its intent: it never
//! was the owner for anybody, and the next one raises the epoch in its stead.

#![expect(unsafe_code, reason = "implements the unsafe marker trait")]

use crate::seeded::{Bug, seeded};
use std::mem::{align_of, offset_of, size_of};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, compiler_fence};

use zerocopy::{FromBytes, IntoBytes, KnownLayout};

use crate::{Owner, Shared, sys};

/// The ownership lease. All bytes zero is a free lease of epoch 0.
#[repr(C, align(64))]
#[derive(FromBytes, IntoBytes, KnownLayout)]
pub struct LeaseWords {
    /// Robust futex: thread id of the owner's lease thread, or 0, with the kernel's two bits.
    pub(crate) word: AtomicU32,
    /// Identity of the owner, or of the last one that died.
    pub(crate) pid: AtomicU32,
    pub(crate) start_time: AtomicU64,
    /// How many times the lease was taken.
    pub(crate) epoch: AtomicU64,
    /// High half, low half.
    pub(crate) boot_id: [AtomicU64; 2],
    /// The pid namespace of the owner.
    pub(crate) namespace: AtomicU64,
    /// Not 0 while a candidate is about to own. Who finds it so inside the gate finds it dead.
    pub(crate) intent: AtomicU64,
    reserved: AtomicU64,
}

// SAFETY: `repr(C)`, atomics only; `IntoBytes` proves that there is no padding.
unsafe impl Shared for LeaseWords {}

const _: () = {
    assert!(size_of::<LeaseWords>() == 64 && align_of::<LeaseWords>() == 64);
    assert!(offset_of!(LeaseWords, word) == 0);
    assert!(offset_of!(LeaseWords, pid) == 4);
    assert!(offset_of!(LeaseWords, start_time) == 8);
    assert!(offset_of!(LeaseWords, epoch) == 16);
    assert!(offset_of!(LeaseWords, boot_id) == 24);
    assert!(offset_of!(LeaseWords, namespace) == 40);
    assert!(offset_of!(LeaseWords, intent) == 48);
};

impl LeaseWords {
    /// How many times the lease was taken.
    #[inline]
    pub fn epoch(&self) -> u64 {
        // Acquire: pairs with the Release of `become_owner`.
        self.epoch.load(Ordering::Acquire)
    }

    /// Who holds the lease, alive or (in a copy of a segment) not; `None` if it is free or its
    /// owner died.
    pub fn owner(&self) -> Option<Owner> {
        // Acquire: pairs with the Release of `become_owner` and of the kernel's mark.
        if self.word.load(Ordering::Acquire) & sys::TID_MASK == 0 {
            return None;
        }
        Some(self.identity())
    }

    /// Does what the kernel does when the owner dies: marks the word and wakes a waiter. For copies
    /// of a segment, whose owner the kernel does not know. Does nothing to a lease that is free.
    pub fn mark_owner_died(&self) {
        // AcqRel: pairs with the Acquire of `Candidate::attempt`.
        let marked = self.word.fetch_update(Ordering::AcqRel, Ordering::Acquire, |word| {
            (word & sys::TID_MASK != 0).then_some((word & sys::WAITERS) | sys::OWNER_DIED)
        });
        if marked.is_ok_and(|before| before & sys::WAITERS != 0) {
            sys::wake_one(&self.word);
        }
    }

    /// The identity beside the word, whatever the word says.
    pub(crate) fn identity(&self) -> Owner {
        // Relaxed: used in messages, and checked against the system before a kill.
        let [high, low] = self.boot_id.each_ref().map(|half| half.load(Ordering::Relaxed));
        Owner {
            pid: self.pid.load(Ordering::Relaxed),
            start_time: self.start_time.load(Ordering::Relaxed),
            boot_id: u128::from(high) << 64 | u128::from(low),
            namespace: self.namespace.load(Ordering::Relaxed),
        }
    }

    /// Whether a candidate is about to own, or died when it was.
    pub(crate) fn is_intended(&self) -> bool {
        // Acquire: pairs with the Release of `intend` and `intended`.
        self.intent.load(Ordering::Acquire) != 0
    }

    /// Called inside the gate: `owner` is about to take the word. Its identity stands there before the
    /// word can name it.
    pub(crate) fn intend(&self, owner: Owner) {
        // Commits: from here on, who gets into the gate finds that we died. Release pairs with the
        // Acquire of `is_intended`.
        self.intent.store(1, Ordering::Release);
        compiler_fence(Ordering::SeqCst);
        let [high, low] = owner.boot_words();
        self.pid.store(owner.pid, Ordering::Relaxed);
        self.start_time.store(owner.start_time, Ordering::Relaxed);
        self.boot_id[0].store(high, Ordering::Relaxed);
        self.boot_id[1].store(low, Ordering::Relaxed);
        self.namespace.store(owner.namespace, Ordering::Relaxed);
        compiler_fence(Ordering::SeqCst);
    }

    /// Called inside the gate by who has just taken the word: raises the epoch.
    pub(crate) fn become_owner(&self) -> u64 {
        // 0 is nobody's epoch, also after a damaged word wraps: a forked child holds 0.
        let raised = u64::from(!seeded(Bug::EpochNotRaised));
        let epoch = self.epoch.load(Ordering::Relaxed).wrapping_add(raised).max(1);
        // Commits: the lease has passed to who has the word. Release pairs with the Acquire of `epoch`.
        self.epoch.store(epoch, Ordering::Release);
        compiler_fence(Ordering::SeqCst);
        epoch
    }

    /// Called inside the gate by who owns, or does not want to any more.
    pub(crate) fn intended(&self) {
        compiler_fence(Ordering::SeqCst);
        // Commits: the word speaks for itself again. Release pairs with the Acquire of `is_intended`.
        self.intent.store(0, Ordering::Release);
        compiler_fence(Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::LeaseWords;
    use crate::sys;
    use std::sync::atomic::Ordering;
    use zerocopy::FromZeros;

    #[test]
    fn marking_death_keeps_waiters_and_leaves_a_free_lease_alone() {
        let words = LeaseWords::new_zeroed();
        words.mark_owner_died();
        assert_eq!(words.word.load(Ordering::Relaxed), 0);
        assert_eq!(words.owner(), None);
        words.word.store(1234 | sys::WAITERS, Ordering::Relaxed);
        words.pid.store(77, Ordering::Relaxed);
        assert_eq!(words.owner().unwrap().pid, 77);
        words.mark_owner_died();
        assert_eq!(words.word.load(Ordering::Relaxed), sys::WAITERS | sys::OWNER_DIED);
        assert_eq!(words.owner(), None);
    }
}

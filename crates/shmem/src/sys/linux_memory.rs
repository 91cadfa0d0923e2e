//! Private memory and events on Linux. `secret.rs` and `lease_watch.rs` call it; nothing survives.

#![expect(unsafe_code, reason = "system calls")]

use std::io;
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr::NonNull;

use nix::errno::Errno;
use nix::sys::mman::{MapFlags, ProtFlags, mlock, mmap_anonymous, munmap};

/// Zeroed pages of this process; unmapped when dropped.
pub(crate) struct PrivatePages {
    base: NonNull<u8>,
    len: NonZeroUsize,
}

impl PrivatePages {
    pub(crate) fn new(len: usize) -> io::Result<PrivatePages> {
        let len = NonZeroUsize::new(len).ok_or(Errno::EINVAL)?;
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a fresh private mapping.
        let base = unsafe { mmap_anonymous(None, len, access, MapFlags::MAP_PRIVATE) }?;
        Ok(PrivatePages { base: base.cast(), len })
    }

    pub(crate) fn base(&self) -> NonNull<u8> {
        self.base
    }

    pub(crate) fn len(&self) -> usize {
        self.len.get()
    }
}

impl Drop for PrivatePages {
    fn drop(&mut self) {
        // SAFETY: exactly the mapping that `new` made, and nobody refers to it any more.
        let _ = unsafe { munmap(self.base.cast(), self.len.get()) };
    }
}

/// Keeps memory from being swapped out.
pub(crate) fn lock_memory(base: NonNull<u8>, len: usize) -> io::Result<()> {
    // SAFETY: the caller's own mapping; no byte changes.
    Ok(unsafe { mlock(base.cast(), len) }?)
}

/// Maps pages ahead of their use.
pub(crate) fn populate(base: NonNull<u8>, len: usize) {
    // Only speed is at stake; a kernel before 5.14 does not know the advice.
    // SAFETY: the caller's own mapping; no byte changes.
    let _ = unsafe { libc::madvise(base.as_ptr().cast(), len, libc::MADV_POPULATE_WRITE) };
}

/// A descriptor that becomes readable once, and stays so.
pub(crate) struct ReadyEvent(OwnedFd);

impl ReadyEvent {
    pub(crate) fn new() -> io::Result<ReadyEvent> {
        // SAFETY: asks for a descriptor.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
        Errno::result(fd)?;
        // SAFETY: just opened, and nobody else has it.
        Ok(ReadyEvent(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    pub(crate) fn signal(&self) {
        let one = 1_u64.to_ne_bytes();
        // The counter is far from full, so nothing can fail.
        // SAFETY: writes eight bytes of ours to a descriptor of ours.
        let _ = unsafe { libc::write(self.0.as_raw_fd(), one.as_ptr().cast(), one.len()) };
    }

    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

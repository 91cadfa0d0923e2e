//! Ownership on Linux: the robust futex.
//!
//! The lease calls it. The kernel knows the lease word through a robust list that lies in this
//! process's memory, so nothing of it lies in the segment; when the registered thread dies while it
//! owns, the kernel marks the word and wakes a waiter. That happens also if the process is killed.

#![expect(unsafe_code, reason = "system calls, and the list that the kernel reads")]

use std::io;
use std::num::NonZeroUsize;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering, compiler_fence};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous, munmap};

/// Bits of the lease word, as the kernel defines them: somebody waits; the owner died.
pub(crate) const WAITERS: u32 = 0x8000_0000;
/// The owner died.
pub(crate) const OWNER_DIED: u32 = 0x4000_0000;
/// The owner's thread; 0 is none.
pub(crate) const TID_MASK: u32 = 0x3fff_ffff;

/// The advice that gives a forked child zeros in the stead of this memory.
const MADV_WIPEONFORK: libc::c_int = 18;

/// What the kernel reads when the registered thread dies (`struct robust_list_head`), and beside it
/// the epoch of the lease that this process holds.
///
/// The word is on the list while this process owns, and `pending` while it is about to own or to give
/// up, inside the gate. At all other times the kernel knows nothing of it: it compares the word with
/// the number of the dying thread in that thread's pid namespace, and another owner may have an equal one.
#[repr(C)]
struct NoticePage {
    /// First entry of the list; an empty list points at itself.
    list: AtomicUsize,
    /// From an entry to its lock word.
    futex_offset: isize,
    /// An entry that is about to be taken or given up; 0 for none. The kernel treats it like one of the
    /// list, and wakes a waiter also where the word is free.
    pending: AtomicUsize,
    entry: usize,
    epoch: AtomicU64,
}

/// One page of this process's memory that the kernel reads at death. A forked child has zeros in
/// its stead.
pub(crate) struct DeathNotice {
    page: NonNull<NoticePage>,
}

// SAFETY: the page is owned, lives until the drop, and is changed through the atomic only.
unsafe impl Send for DeathNotice {}
// SAFETY: as above.
unsafe impl Sync for DeathNotice {}

impl DeathNotice {
    /// Prepares the notice for the word at `word`, which must stay mapped while a thread is
    /// registered.
    pub(crate) fn new(word: &AtomicU32) -> io::Result<DeathNotice> {
        let len = NonZeroUsize::new(super::page_size()).ok_or(Errno::EINVAL)?;
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a fresh private mapping.
        let page = unsafe { mmap_anonymous(None, len, access, MapFlags::MAP_PRIVATE) }?;
        let notice = DeathNotice { page: page.cast() };
        // SAFETY: advice about our own page.
        Errno::result(unsafe { libc::madvise(page.as_ptr(), len.get(), MADV_WIPEONFORK) })?;
        let start = page.as_ptr().addr();
        let entry = start + std::mem::offset_of!(NoticePage, entry);
        let contents = NoticePage {
            list: AtomicUsize::new(start),
            futex_offset: std::ptr::from_ref(word).addr().wrapping_sub(entry).cast_signed(),
            pending: AtomicUsize::new(0),
            entry: start,
            epoch: AtomicU64::new(0),
        };
        // SAFETY: the page is ours, large enough and aligned, and nobody else knows it yet.
        unsafe { notice.page.write(contents) };
        Ok(notice)
    }

    /// Registers the calling thread: from now on its death marks the word, if the word is on the list
    /// then and names it. Gives the thread's id. The notice must outlive the thread.
    pub(crate) fn register_this_thread(&self) -> io::Result<u32> {
        let head_len = std::mem::offset_of!(NoticePage, entry);
        // SAFETY: the kernel only notes the address; it reads the page when this thread ends, and
        // `LeaseThread` keeps the page until it has joined the thread. This thread takes no robust
        // mutex of the C library, whose list this replaces.
        let registered =
            unsafe { libc::syscall(libc::SYS_set_robust_list, self.page.as_ptr(), head_len) };
        Errno::result(registered)?;
        // SAFETY: asks for a number.
        let tid = unsafe { libc::gettid() };
        u32::try_from(tid).map_err(io::Error::other)
    }

    /// The word is about to be taken or given up.
    pub(crate) fn begin_change(&self) {
        self.store(&self.page().pending, self.entry());
    }

    /// The word is ours: the registered thread's death marks it.
    pub(crate) fn hold(&self) {
        self.store(&self.page().list, self.entry());
    }

    /// The word is somebody's or nobody's: the registered thread's death does not touch it.
    pub(crate) fn let_go(&self) {
        self.store(&self.page().list, self.page.as_ptr().addr());
    }

    /// The word was taken or given up, and the list says which.
    pub(crate) fn end_change(&self) {
        self.store(&self.page().pending, 0);
    }

    /// The epoch of the lease that is held, 0 if none; 0 in a forked child.
    #[inline]
    pub(crate) fn epoch(&self) -> &AtomicU64 {
        &self.page().epoch
    }

    fn entry(&self) -> usize {
        self.page.as_ptr().addr() + std::mem::offset_of!(NoticePage, entry)
    }

    /// The kernel may read the page after each of our instructions: the fences keep the compiler from
    /// moving stores to the word, or others to the page, across this one.
    fn store(&self, to: &AtomicUsize, value: usize) {
        compiler_fence(Ordering::SeqCst);
        to.store(value, Ordering::Release);
        compiler_fence(Ordering::SeqCst);
    }

    #[inline]
    fn page(&self) -> &NoticePage {
        // SAFETY: the page lives as long as `self`, and is changed through atomics only once it is
        // written; zeros, which a fork leaves, are valid too.
        unsafe { self.page.as_ref() }
    }
}

impl Drop for DeathNotice {
    fn drop(&mut self) {
        // SAFETY: our own page; the registered thread has ended (`LeaseThread` joins it first).
        let _ = unsafe { munmap(self.page.cast(), super::page_size()) };
    }
}

/// Keeps signal handlers off the calling thread.
pub(crate) fn block_signals() {
    // An error can only mean a wrong argument; handlers on this thread would still be harmless.
    let _ = nix::sys::signal::SigSet::all().thread_block();
}

/// Sleeps while the word is `expected`, at most until `deadline`. It may also wake for no reason.
pub(crate) fn wait_while(
    word: &AtomicU32,
    expected: u32,
    deadline: Option<Instant>,
) -> io::Result<()> {
    let timeout = deadline.map(|at| timespec(at.saturating_duration_since(Instant::now())));
    let timeout = timeout.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // Not FUTEX_PRIVATE: the waker is another process, or the kernel at its death.
    // SAFETY: the word is mapped as long as it is borrowed, the timeout until the call returns.
    let slept = unsafe {
        libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAIT, expected, timeout)
    };
    match Errno::result(slept) {
        Ok(_) | Err(Errno::EAGAIN | Errno::EINTR | Errno::ETIMEDOUT) => Ok(()),
        Err(e) => Err(e.into()),
    }
}

/// Wakes one waiter.
pub(crate) fn wake_one(word: &AtomicU32) {
    wake(word, 1);
}

/// Wakes everyone who waits.
pub(crate) fn wake_all(word: &AtomicU32) {
    wake(word, i32::MAX);
}

fn wake(word: &AtomicU32, count: i32) {
    // Nothing can fail but the address, which is mapped as long as the word is borrowed.
    // SAFETY: as just said.
    let _ = unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, count) };
}

fn timespec(duration: Duration) -> libc::timespec {
    libc::timespec {
        tv_sec: libc::time_t::try_from(duration.as_secs()).unwrap_or(libc::time_t::MAX),
        tv_nsec: libc::c_long::from(duration.subsec_nanos().cast_signed()),
    }
}

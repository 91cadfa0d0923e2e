//! Ownership on Linux: the robust futex, pidfds, and what /proc says of a process.
//!
//! The lease calls it. The kernel knows the lease word through a robust list that lies in this
//! process's memory, so nothing of it lies in the segment; when the registered thread dies, the
//! kernel marks the word and wakes a waiter. That happens also if the process is killed.

#![expect(unsafe_code, reason = "system calls, and the list that the kernel reads")]

use std::fs::File;
use std::io;
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::ptr::NonNull;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous, munmap};
use nix::sys::stat::{major, minor};

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
#[repr(C)]
struct NoticePage {
    /// First entry of the list; an empty list points at itself.
    list: usize,
    /// From an entry to its lock word.
    futex_offset: isize,
    /// An entry that is about to be taken or given up. The kernel treats it like one of the list,
    /// and wakes a waiter also where the word is free: so if a candidate dies after it was woken
    /// and before it took the word, the wake-up passes on to the next.
    pending: usize,
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
            list: start,
            futex_offset: std::ptr::from_ref(word).addr().wrapping_sub(entry).cast_signed(),
            pending: entry,
            entry: start,
            epoch: AtomicU64::new(0),
        };
        // SAFETY: the page is ours, large enough and aligned, and nobody else knows it yet.
        unsafe { notice.page.write(contents) };
        Ok(notice)
    }

    /// Registers the calling thread: from now on its death marks the word, if the word then names
    /// it. Gives the thread's id. The notice must outlive the thread.
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

    /// The epoch of the lease that is held, 0 if none; 0 in a forked child.
    #[inline]
    pub(crate) fn epoch(&self) -> &AtomicU64 {
        // SAFETY: the page lives as long as `self`; zeros, which a fork leaves, are valid too.
        unsafe { &self.page.as_ref().epoch }
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

/// A process that cannot be mistaken for another, even if its pid is reused.
pub(crate) struct ProcessHandle(OwnedFd);

impl ProcessHandle {
    /// `None` if there is no such process. The caller checks that it is the one it means.
    pub(crate) fn open(pid: u32) -> io::Result<Option<ProcessHandle>> {
        let Ok(pid) = libc::pid_t::try_from(pid) else { return Ok(None) };
        // SAFETY: asks for a descriptor.
        let opened = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
        match Errno::result(opened) {
            Ok(fd) => {
                let fd = RawFd::try_from(fd).map_err(io::Error::other)?;
                // SAFETY: just opened, and nobody else has it.
                Ok(Some(ProcessHandle(unsafe { OwnedFd::from_raw_fd(fd) })))
            }
            Err(Errno::ESRCH | Errno::EINVAL) => Ok(None),
            Err(e) => Err(e.into()),
        }
    }

    /// Kills it; one that has ended already is no error.
    pub(crate) fn kill(&self) -> io::Result<()> {
        let no_info = std::ptr::null::<libc::siginfo_t>();
        let fd = self.0.as_raw_fd();
        // SAFETY: sends a signal through a descriptor that we own.
        let sent =
            unsafe { libc::syscall(libc::SYS_pidfd_send_signal, fd, libc::SIGKILL, no_info, 0) };
        match Errno::result(sent) {
            Ok(_) | Err(Errno::ESRCH) => Ok(()),
            Err(e) => Err(e.into()),
        }
    }

    /// Waits until it has ended; false if it has not at the deadline.
    pub(crate) fn wait_ended(&self, deadline: Instant) -> io::Result<bool> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let millis = i32::try_from(left.as_millis()).unwrap_or(i32::MAX);
            let timeout = PollTimeout::try_from(millis).unwrap_or(PollTimeout::MAX);
            let mut fds = [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
            match poll(&mut fds, timeout) {
                Ok(0) | Err(Errno::EINTR) if left.is_zero() => return Ok(false),
                Ok(0) | Err(Errno::EINTR) => {}
                Ok(_) => return Ok(true),
                Err(e) => return Err(e.into()),
            }
        }
    }
}

/// What /proc says of a process.
pub(crate) struct ProcessState {
    pub(crate) start_time: u64,
    /// It has ended, but nobody has waited for it.
    pub(crate) ended: bool,
}

/// `None` if there is no such process.
pub(crate) fn process_state(pid: u32) -> Option<ProcessState> {
    let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    parse_stat(&stat)
}

/// The second field is the program's name in parentheses, which may itself hold anything.
fn parse_stat(stat: &[u8]) -> Option<ProcessState> {
    let after_name = stat.iter().rposition(|&byte| byte == b')')? + 1;
    let rest = std::str::from_utf8(&stat[after_name..]).ok()?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let (state, threads, start_time) = (fields.first()?, fields.get(17)?, fields.get(19)?);
    // A main thread that ended before the others is a zombie too, of a process that lives.
    let ended = matches!(*state, "Z" | "X" | "x") && threads.parse::<u64>().ok()? <= 1;
    Some(ProcessState { start_time: start_time.parse().ok()?, ended })
}

/// Whether `tid` is a thread of `pid`.
pub(crate) fn thread_of(pid: u32, tid: u32) -> bool {
    Path::new(&format!("/proc/{pid}/task/{tid}")).exists()
}

/// Whether `pid` has this file mapped; `None` where the system does not tell us.
pub(crate) fn maps_file(pid: u32, file: &File) -> Option<bool> {
    let wanted = file.metadata().ok()?;
    let device = format!("{:02x}:{:02x}", major(wanted.dev()), minor(wanted.dev()));
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).ok()?;
    // A process that has just ended has an empty map.
    let mut lines = maps.lines().peekable();
    lines.peek()?;
    Some(lines.any(|line| {
        let mut fields = line.split_ascii_whitespace().skip(3);
        fields.next() == Some(&*device)
            && fields.next().and_then(|inode| inode.parse().ok()) == Some(wanted.ino())
    }))
}

/// Which pid namespace this process lives in; 0 where it cannot be told.
pub(crate) fn pid_namespace() -> u64 {
    static NAMESPACE: OnceLock<u64> = OnceLock::new();
    *NAMESPACE.get_or_init(|| std::fs::metadata("/proc/self/ns/pid").map_or(0, |m| m.ino()))
}

/// Whether any process that we can see has a thread `tid`.
pub(crate) fn thread_exists(tid: u32) -> bool {
    let Ok(tid) = libc::pid_t::try_from(tid) else { return false };
    // SAFETY: signal 0 asks whether the thread exists; it sends nothing.
    let asked = unsafe { libc::syscall(libc::SYS_tkill, tid, 0) };
    // EPERM is a thread of somebody else; EINVAL is no thread id at all.
    !matches!(Errno::result(asked), Err(Errno::ESRCH | Errno::EINVAL))
}

/// The id of this boot of the system; 0 where it cannot be read.
pub(crate) fn boot_id() -> u128 {
    static BOOT_ID: OnceLock<u128> = OnceLock::new();
    *BOOT_ID.get_or_init(|| {
        std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
            .ok()
            .and_then(|text| u128::from_str_radix(&text.trim().replace('-', ""), 16).ok())
            .unwrap_or(0)
    })
}

pub(crate) fn ticks_per_second() -> u64 {
    // SAFETY: reads a constant of the system.
    u64::try_from(unsafe { libc::sysconf(libc::_SC_CLK_TCK) }).unwrap_or(100)
}

#[cfg(test)]
mod tests {
    use super::{maps_file, parse_stat, process_state, thread_exists, thread_of};

    fn stat(state: &str, threads: u32) -> Vec<u8> {
        format!("7 (a) b) {state} 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 {threads} 18 4711 20")
            .into_bytes()
    }

    #[test]
    fn start_time_is_found_behind_an_awkward_name() {
        assert_eq!(parse_stat(&stat("S", 3)).unwrap().start_time, 4711);
        assert!(!parse_stat(&stat("T", 1)).unwrap().ended);
        assert!(parse_stat(&stat("Z", 1)).unwrap().ended);
        assert!(!parse_stat(&stat("Z", 2)).unwrap().ended);
        assert!(parse_stat(b"7 (x) S 1").is_none());
    }

    #[test]
    fn threads_are_told_from_numbers() {
        let pid = std::process::id();
        assert!(process_state(pid).is_some_and(|state| !state.ended));
        assert!(thread_of(pid, pid) && thread_exists(pid));
        assert!(!thread_of(pid, 1));
        let own = std::fs::File::open("/proc/self/exe").unwrap();
        assert_eq!(maps_file(pid, &own), Some(true));
        let other = std::fs::File::open("/proc/self/stat").unwrap();
        assert_eq!(maps_file(pid, &other), Some(false));
        assert_eq!(maps_file(u32::MAX, &own), None);
        assert!(!thread_exists(0x3fff_ffff) && !thread_exists(0));
    }
}

//! Who a process is, on Linux: pidfds, and what /proc says.
//!
//! The lease and [`crate::Owner`] call it. Pids are numbers of the caller's pid namespace, while /proc
//! may be that of another one (a container without a /proc of its own): so a process is found by a
//! pidfd, and looked up in /proc under the number that /proc itself has for it. Nothing is cached: a
//! forked child may be in another namespace than its parent, and a restored process on another boot.

#![expect(unsafe_code, reason = "system calls")]

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::MetadataExt;
use std::time::Instant;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::{major, minor};

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
            // ENOENT and EINVAL: the number is that of a thread, or of nothing.
            Err(Errno::ESRCH | Errno::EINVAL | Errno::ENOENT) => Ok(None),
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

    /// The number that /proc has for it; `None` once it is gone. An error where /proc does not show it.
    fn number_in_proc(&self) -> io::Result<Option<u32>> {
        let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", self.0.as_raw_fd()))?;
        let line = info.lines().find_map(|line| line.strip_prefix("Pid:"));
        match line.and_then(|number| number.trim().parse::<i64>().ok()) {
            Some(-1) => Ok(None),
            // 0 is a process of a namespace that this /proc does not show.
            Some(number) if number > 0 => u32::try_from(number).map(Some).map_err(io::Error::other),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Whether it has this file mapped; `None` where the system does not tell us.
    pub(crate) fn maps_file(&self, file: &File) -> Option<bool> {
        let wanted = file.metadata().ok()?;
        let number = self.number_in_proc().ok()??;
        let maps = std::fs::read_to_string(format!("/proc/{number}/maps")).ok()?;
        let (major, minor) = (major(wanted.dev()), minor(wanted.dev()));
        // The device and the inode stand side by side in a line, and nowhere else like this. A
        // process that has just ended has an empty map.
        let named = format!(" {major:02x}:{minor:02x} {} ", wanted.ino());
        (!maps.is_empty()).then(|| maps.contains(&named))
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

/// What /proc says of the process `pid`; `None` if there is no such process. An error where that
/// cannot be told: no /proc here, or one that does not show it.
pub(crate) fn process_state(pid: u32) -> io::Result<Option<ProcessState>> {
    let Some(process) = ProcessHandle::open(pid)? else { return Ok(None) };
    let Some(number) = process.number_in_proc()? else { return Ok(None) };
    match std::fs::read(format!("/proc/{number}/stat")) {
        Ok(stat) => match parse_stat(&stat) {
            Some(state) => Ok(Some(state)),
            None => Err(io::ErrorKind::InvalidData.into()),
        },
        // It has gone meanwhile, or it is hidden from us.
        Err(e) => process.number_in_proc()?.map_or(Ok(None), |_| Err(e)),
    }
}

/// When this process started; 0 where it cannot be told.
pub(crate) fn own_start_time() -> u64 {
    let stat = std::fs::read("/proc/self/stat").ok();
    stat.and_then(|stat| parse_stat(&stat)).map_or(0, |state| state.start_time)
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

/// Whether `tid` is a thread of `pid`, both as this process's namespace numbers them.
pub(crate) fn thread_of(pid: u32, tid: u32) -> bool {
    let (Ok(pid), Ok(tid)) = (libc::pid_t::try_from(pid), libc::pid_t::try_from(tid)) else {
        return false;
    };
    // SAFETY: signal 0 asks whether the thread exists; it sends nothing.
    let asked = unsafe { libc::syscall(libc::SYS_tgkill, pid, tid, 0) };
    exists(Errno::result(asked))
}

/// EPERM is a thread of somebody else; EINVAL is no thread id at all.
fn exists(asked: nix::Result<libc::c_long>) -> bool {
    !matches!(asked, Err(Errno::ESRCH | Errno::EINVAL))
}

/// Which pid namespace this process lives in; 0 where it cannot be told.
pub(crate) fn pid_namespace() -> u64 {
    std::fs::metadata("/proc/self/ns/pid").map_or(0, |namespace| namespace.ino())
}

/// Whether any process that we can see has a thread `tid`.
pub(crate) fn thread_exists(tid: u32) -> bool {
    let Ok(tid) = libc::pid_t::try_from(tid) else { return false };
    // SAFETY: signal 0 asks whether the thread exists; it sends nothing.
    let asked = unsafe { libc::syscall(libc::SYS_tkill, tid, 0) };
    exists(Errno::result(asked))
}

/// The id of this boot of the system; 0 where it cannot be read.
pub(crate) fn boot_id() -> u128 {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .ok()
        .and_then(|text| u128::from_str_radix(&text.trim().replace('-', ""), 16).ok())
        .unwrap_or(0)
}

pub(crate) fn ticks_per_second() -> u64 {
    // SAFETY: reads a constant of the system.
    u64::try_from(unsafe { libc::sysconf(libc::_SC_CLK_TCK) }).unwrap_or(100)
}

#[cfg(test)]
mod tests {
    use super::{
        ProcessHandle, own_start_time, parse_stat, pid_namespace, process_state, thread_exists,
        thread_of,
    };

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
        let state = process_state(pid).unwrap().unwrap();
        assert!(!state.ended && state.start_time == own_start_time() && pid_namespace() != 0);
        assert!(process_state(u32::MAX).unwrap().is_none());
        assert!(process_state(0x3fff_ffff).unwrap().is_none());
        assert!(thread_of(pid, pid) && thread_exists(pid));
        assert!(!thread_of(pid, 1));
        assert!(!thread_exists(0x3fff_ffff) && !thread_exists(0));
        let me = ProcessHandle::open(pid).unwrap().unwrap();
        let own = std::fs::File::open("/proc/self/exe").unwrap();
        assert_eq!(me.maps_file(&own), Some(true));
        let other = std::fs::File::open("/proc/self/stat").unwrap();
        assert_eq!(me.maps_file(&other), Some(false));
    }
}

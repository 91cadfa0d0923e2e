//! A lock on a file that the kernel takes from a process when its last thread is gone.
//!
//! `gate.rs` calls it. It is a POSIX record lock on one byte: no forked child inherits it, processes
//! that share an open file (a memfd passed by descriptor) still exclude each other, and pid
//! namespaces play no part. It does not exclude threads of one process, and closing *any* descriptor of
//! the file in the process gives it up: `gate.rs` keeps both in order. In `do_exit` a thread drops its
//! descriptors (`exit_files`) after its robust futexes (`exit_mm`), and the lock goes with the last
//! thread: who gets it finds all marks made, and no code of the process before still running.

#![expect(unsafe_code, reason = "system calls")]

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

use nix::errno::Errno;

/// Takes the lock on the byte at `at`; false where another process has it.
pub(crate) fn try_lock_byte(file: &File, at: u64) -> io::Result<bool> {
    match set_lock(file, at, libc::F_WRLCK) {
        Ok(()) => Ok(true),
        Err(Errno::EAGAIN | Errno::EACCES) => Ok(false),
        Err(e) => Err(e.into()),
    }
}

/// Whether another process has the lock on the byte at `at`.
pub(crate) fn is_byte_locked(file: &File, at: u64) -> io::Result<bool> {
    let mut lock = describe(at, libc::F_WRLCK)?;
    // SAFETY: the kernel writes to the struct, which lives until the call returns.
    Errno::result(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETLK, &raw mut lock) })?;
    Ok(libc::c_int::from(lock.l_type) != libc::F_UNLCK)
}

/// Gives the lock up.
pub(crate) fn unlock_byte(file: &File, at: u64) {
    // Nothing can fail: the descriptor is open, and giving up needs no memory for one byte.
    let _ = set_lock(file, at, libc::F_UNLCK);
}

fn set_lock(file: &File, at: u64, kind: libc::c_int) -> nix::Result<()> {
    let lock = describe(at, kind)?;
    // SAFETY: the kernel reads the struct, which lives until the call returns.
    let set = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLK, &raw const lock) };
    Errno::result(set).map(drop)
}

fn describe(at: u64, kind: libc::c_int) -> nix::Result<libc::flock> {
    // SAFETY: a struct of integers, for which zeros are valid; some systems have more fields.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = libc::c_short::try_from(kind).map_err(|_| Errno::EINVAL)?;
    lock.l_whence = libc::c_short::try_from(libc::SEEK_SET).map_err(|_| Errno::EINVAL)?;
    lock.l_start = libc::off_t::try_from(at).map_err(|_| Errno::EINVAL)?;
    lock.l_len = 1;
    Ok(lock)
}

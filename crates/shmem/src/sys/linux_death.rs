//! When a dead owner is dead for sure, on Linux.
//!
//! The kernel marks the lease word when the *lease thread* of an owner ends. Other threads of the same
//! process may be in user code at that moment, on other cores, and go on storing until their own
//! interrupt arrives. A takeover must not read what can still change, so after the mark it calls
//! [`await_last_stores`], an expedited `membarrier(2)`. Why that is enough, by functions of the kernel:
//!
//! 1. A lease thread ends only with its process, or when its lease is dropped. Each way in which a
//!    process ends sets SIGKILL pending, and `TIF_SIGPENDING`, on *every* thread, under one lock and
//!    before the lease thread can begin to exit: a fatal signal in `complete_signal`, `exit_group` in
//!    `do_group_exit` (`zap_other_threads`), a core dump in `zap_threads`, `execve` in `de_thread`.
//! 2. The mark is made later, by the lease thread itself: `do_exit`, `exit_mm_release`,
//!    `futex_exit_release`, `exit_robust_list`.
//! 3. A thread that is not running, or is in the kernel, comes back to user code only through
//!    `exit_to_user_mode_loop`, which takes the pending signal and never returns.
//! 4. A thread that runs user code on some core has its registered address space there, so
//!    `membarrier_global_expedited` interrupts that core and waits until its handler ran. The way back
//!    from the interrupt is that of point 3. The handler's barrier makes the stores before it visible.
//!    Our own core runs us, and not that thread.
//!
//! Not covered, because it is not code of that process's threads: a process that shares its memory
//! without being of its thread group (`vfork` before its `execve`), a system call in flight that fills
//! a buffer in the segment, and a forked child, which the library fences. A lease that is dropped
//! without being released is marked too; its process lives, and has given up the manager.

#![expect(unsafe_code, reason = "system calls")]

use std::io;

use nix::errno::Errno;

/// Makes this process one whose last stores others can await. Called before the lease thread starts:
/// with a single thread it is cheap, else the kernel waits a grace period, once for each process.
pub(crate) fn let_others_await_us() -> io::Result<()> {
    membarrier(libc::MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED)
}

/// Returns when no thread of a process whose lease thread has ended can run user code again, and
/// everything that they stored is visible.
pub(crate) fn await_last_stores() -> io::Result<()> {
    membarrier(libc::MEMBARRIER_CMD_GLOBAL_EXPEDITED)
}

/// Goes into the kernel and comes back. Who does come back was not dying when it did: its lease
/// thread had not begun to end.
pub(crate) fn prove_alive() {
    // SAFETY: asks for a number; the C library keeps no copy of it.
    let _ = unsafe { libc::syscall(libc::SYS_gettid) };
}

fn membarrier(command: libc::c_int) -> io::Result<()> {
    // SAFETY: no pointer is passed; the call changes no memory.
    Errno::result(unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) })?;
    Ok(())
}

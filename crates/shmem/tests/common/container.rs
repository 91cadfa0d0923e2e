//! Processes in pid namespaces of their own, as two containers with a shared memory have them: the
//! first process of each is number 1 there, its first thread number 2.
//!
//! Every container is made by a process between it and the test, which hands on its exit. They talk
//! through pipes, line by line.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::OwnedFd;

use nix::fcntl::OFlag;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork, getegid, geteuid, pipe2};

/// What a container has for a /proc.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proc {
    /// One of its own, as containers have.
    Own,
    /// That of the test: it shows other numbers than the container's.
    Parents,
    /// None.
    Absent,
}

/// How a container is made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    pub(crate) proc: Proc,
    /// In a user namespace of its own, as containers of users who are not root.
    pub(crate) user: bool,
}

/// The two ends of a conversation.
pub(crate) struct Line {
    from: BufReader<File>,
    to: File,
}

impl Line {
    pub(crate) fn say(&mut self, line: &str) {
        writeln!(self.to, "{line}").unwrap();
    }

    /// The next line; empty at the end.
    pub(crate) fn hear(&mut self) -> String {
        let mut line = String::new();
        self.from.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }
}

/// The first process of a pid namespace; killed when dropped.
pub(crate) struct Container {
    between: Pid,
    /// Its number in the test's namespace.
    pub(crate) pid: Pid,
    pub(crate) line: Line,
    ended: bool,
}

impl Container {
    /// Makes a container whose first process runs `body`.
    pub(crate) fn start(kind: Kind, body: impl FnOnce(&mut Line)) -> Container {
        let pipe = || pipe2(OFlag::O_CLOEXEC).unwrap();
        let ((to_test, from_it), (to_it, from_test)) = (pipe(), pipe());
        // SAFETY: the child takes no lock that another thread of the test could hold but malloc's, which
        // the C library sees to; it ends by `_exit`.
        match unsafe { fork() }.unwrap() {
            ForkResult::Child => {
                drop((to_test, from_test));
                let code = between(kind, line(to_it, from_it), body);
                // SAFETY: ends without this process's exit handlers.
                unsafe { libc::_exit(code) }
            }
            ForkResult::Parent { child: between } => {
                drop((from_it, to_it));
                let mut line = line(to_test, from_test);
                let pid = line.hear().parse().expect("a container could be made: are we root?");
                Container { between, pid: Pid::from_raw(pid), line, ended: false }
            }
        }
    }

    /// Kills it, and returns when it is gone.
    pub(crate) fn kill(mut self) {
        kill(self.pid, Signal::SIGKILL).unwrap();
        assert_eq!(self.wait(), KILLED);
    }

    /// Returns its exit code when it has ended by itself; [`KILLED`] when by SIGKILL.
    pub(crate) fn wait(&mut self) -> i32 {
        self.ended = true;
        match waitpid(self.between, None).unwrap() {
            WaitStatus::Exited(_, code) => code,
            other => panic!("the process between: {other:?}"),
        }
    }
}

/// The exit code for a death by SIGKILL.
pub(crate) const KILLED: i32 = 99;

impl Drop for Container {
    fn drop(&mut self) {
        if !self.ended {
            let _ = kill(self.pid, Signal::SIGKILL);
            let _ = waitpid(self.between, None);
        }
    }
}

fn line(from: OwnedFd, to: OwnedFd) -> Line {
    Line { from: BufReader::new(File::from(from)), to: File::from(to) }
}

/// Makes the namespaces and the first process; its exit code.
fn between(kind: Kind, mut line: Line, body: impl FnOnce(&mut Line)) -> i32 {
    let (user, group) = (geteuid(), getegid());
    let own = if kind.user { CloneFlags::CLONE_NEWUSER } else { CloneFlags::empty() };
    unshare(own | CloneFlags::CLONE_NEWPID | CloneFlags::CLONE_NEWNS).unwrap();
    if kind.user {
        std::fs::write("/proc/self/setgroups", "deny").unwrap();
        std::fs::write("/proc/self/uid_map", format!("0 {user} 1")).unwrap();
        std::fs::write("/proc/self/gid_map", format!("0 {group} 1")).unwrap();
    }
    let (told, tell) = pipe2(OFlag::O_CLOEXEC).unwrap();
    // SAFETY: a process of one thread.
    match unsafe { fork() }.unwrap() {
        ForkResult::Child => {
            drop(tell);
            // The first line that the test hears is this process's number, not what it says itself.
            assert_eq!(nix::unistd::read(&told, &mut [0]), Ok(0));
            set_up(kind.proc);
            let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| body(&mut line)));
            i32::from(done.is_err())
        }
        ForkResult::Parent { child } => {
            line.say(&child.to_string());
            drop((line, told, tell));
            match waitpid(child, None).unwrap() {
                WaitStatus::Exited(_, code) => code,
                WaitStatus::Signaled(_, Signal::SIGKILL, _) => KILLED,
                other => panic!("{other:?}"),
            }
        }
    }
}

fn set_up(proc: Proc) {
    let none = None::<&str>;
    // What is mounted here, the test does not see.
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
    let kind = match proc {
        Proc::Own => "proc",
        Proc::Parents => return,
        Proc::Absent => "tmpfs",
    };
    mount(Some(kind), "/proc", Some(kind), MsFlags::empty(), none).unwrap();
}

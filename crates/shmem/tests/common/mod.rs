//! Helpers of this crate's tests: segments that clean up, and children that prove that they ran.
//! A child is this test program again, running the same test, told its role by the environment.

pub(crate) mod scene;

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::Arc;

use shmem::{Segment, SegmentName, SegmentOptions};

const ROLE: &str = "SHMEM_TEST_ROLE";
const ARGUMENT: &str = "SHMEM_TEST_ARGUMENT";

/// A named segment that is unlinked also when the test fails.
pub(crate) struct Named {
    pub(crate) name: SegmentName,
    pub(crate) segment: Arc<Segment>,
}

impl Named {
    pub(crate) fn create(role: &str, options: &SegmentOptions) -> Named {
        let name = SegmentName::unique(role);
        let segment = Segment::create_named(&name, options).unwrap();
        Named { name, segment }
    }
}

impl Drop for Named {
    fn drop(&mut self) {
        Segment::unlink(&self.name).unwrap();
    }
}

/// The role of this process and its argument, if it is a child.
pub(crate) fn role() -> Option<(String, String)> {
    Some((std::env::var(ROLE).ok()?, std::env::var(ARGUMENT).ok()?))
}

/// Says a line to the parent, from a child.
pub(crate) fn say(line: &str) {
    // The test harness may have begun a line of its own.
    let mut out = std::io::stdout().lock();
    writeln!(out, "\n>{line}").unwrap();
    out.flush().unwrap();
}

/// Waits for a line from the parent, in a child; false at the end of the input.
pub(crate) fn hear() -> bool {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap() > 0
}

/// A child process; killed if the test fails.
pub(crate) struct Role {
    child: Child,
    to: Option<ChildStdin>,
    from: BufReader<ChildStdout>,
}

impl Role {
    /// Runs `test` again in a child of this role.
    pub(crate) fn spawn(test: &str, role: &str, argument: &str) -> Role {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture", "--test-threads=1"])
            .env(ROLE, role)
            .env(ARGUMENT, argument)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let to = child.stdin.take();
        let from = BufReader::new(child.stdout.take().unwrap());
        Role { child, to, from }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The next line that the child says; this also proves that it runs.
    pub(crate) fn next(&mut self) -> String {
        loop {
            let mut line = String::new();
            let read = self.from.read_line(&mut line).unwrap();
            assert_ne!(read, 0, "the child ended without the line expected of it");
            if let Some(said) = line.strip_prefix('>') {
                return said.trim_end().to_owned();
            }
        }
    }

    pub(crate) fn tell(&mut self) {
        self.to.as_mut().unwrap().write_all(b"go on\n").unwrap();
    }

    pub(crate) fn signal(&self, signal: nix::sys::signal::Signal) {
        let pid = nix::unistd::Pid::from_raw(self.pid().cast_signed());
        nix::sys::signal::kill(pid, signal).unwrap();
    }

    /// Closes the child's input and waits for its end.
    pub(crate) fn end(mut self) -> ExitStatus {
        drop(self.to.take());
        self.child.wait().unwrap()
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

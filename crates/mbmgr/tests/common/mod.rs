//! Owners in child processes, for the tests of hand-over. A child is forked: it inherits the segment.

#![expect(unsafe_code, reason = "forks, and shares a page with the children")]

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use mbmgr::{Algorithm, Config, Direction, Job, Key, KeyId, LAYOUT_HASH, Manager};
use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork};
use shmem::{Offset, Placement, Segment, SegmentOptions};

/// Far beyond what any of this takes; only a failure waits so long.
pub(crate) const LONG: Duration = Duration::from_secs(30);
pub(crate) const CONFIG: Config = Config { ring: 32, lanes: 16, keys: 4 };

/// A segment for `managers` managers, with 64 KiB for buffers.
pub(crate) fn segment(managers: u64) -> Arc<Segment> {
    let options = SegmentOptions {
        len: Manager::segment_len(&CONFIG, 1 << 16) + managers * (Manager::size(&CONFIG) + 64),
        placement: Placement::Anywhere,
        layout_hash: LAYOUT_HASH,
        populate: false,
    };
    Segment::create_anonymous("standby", &options).unwrap()
}

/// The segment as another process would open it.
pub(crate) fn reopen(segment: &Segment) -> Arc<Segment> {
    let fd = segment.fd().try_clone_to_owned().unwrap();
    Segment::open_fd(fd, Placement::Anywhere, LAYOUT_HASH).unwrap()
}

pub(crate) fn aes_key(manager: &mut Manager) -> KeyId {
    manager.add_key(Key::Aes(&[1; 16])).unwrap()
}

/// An in-place job in a fresh buffer.
pub(crate) fn job(segment: &Segment, key: KeyId, user: u64) -> Job {
    let at = segment.arena().alloc(256, 64).unwrap();
    let job = Job::cipher(Algorithm::Aes128Cbc, Direction::Encrypt, key, &[2; 16]).unwrap();
    job.in_place(at, 256).user(user)
}

pub(crate) fn bytes(segment: &Segment, at: Offset, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    segment.read(at, &mut bytes).unwrap();
    bytes
}

/// Numbers that all processes of a test see, and a word that changes with each of them.
pub(crate) struct Board {
    numbers: [AtomicU64; 64],
    bell: AtomicU32,
}

impl Board {
    pub(crate) fn new() -> &'static Board {
        let len = NonZeroUsize::new(4096).unwrap();
        let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a fresh mapping, never unmapped, of zeros: atomics of value 0.
        unsafe {
            let page = mmap_anonymous(None, len, access, MapFlags::MAP_SHARED).unwrap();
            page.cast::<Board>().as_ref()
        }
    }

    pub(crate) fn put(&self, place: usize, value: u64) {
        self.numbers[place].store(value, Ordering::Release);
        shmem::ring(&self.bell);
    }

    pub(crate) fn add(&self, place: usize) -> u64 {
        let before = self.numbers[place].fetch_add(1, Ordering::AcqRel);
        shmem::ring(&self.bell);
        before
    }

    pub(crate) fn get(&self, place: usize) -> u64 {
        self.numbers[place].load(Ordering::Acquire)
    }

    pub(crate) fn until(&self, place: usize, value: u64) {
        let limit = Instant::now() + LONG;
        loop {
            // Before the number: if it changes after that look, so has the bell.
            let bell = self.bell.load(Ordering::Acquire);
            if self.get(place) >= value {
                return;
            }
            assert!(Instant::now() < limit, "place {place} never reaches {value}");
            shmem::wait_while(&self.bell, bell, Some(limit)).unwrap();
        }
    }
}

/// Does nothing until a signal ends this process.
pub(crate) fn until_killed() -> ! {
    loop {
        nix::unistd::pause();
    }
}

/// A forked child; killed if the test fails.
pub(crate) struct Child(pub(crate) Pid);

impl Child {
    /// Runs `role` in a child. It must not return normally unless it is done.
    pub(crate) fn run(role: impl FnOnce()) -> Child {
        // SAFETY: the child uses what a fork leaves it, and exits without the parent's handlers.
        match unsafe { fork() }.unwrap() {
            ForkResult::Parent { child } => Child(child),
            ForkResult::Child => {
                // One that waits to be killed shall not outlive a parent that was itself.
                nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).unwrap();
                let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(role));
                // SAFETY: ends the process.
                unsafe { libc::_exit(i32::from(done.is_err())) }
            }
        }
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(self.0, signal).unwrap();
    }

    pub(crate) fn until_stopped(&self) {
        let stopped = waitpid(self.0, Some(WaitPidFlag::WUNTRACED)).unwrap();
        assert_eq!(stopped, WaitStatus::Stopped(self.0, Signal::SIGSTOP));
    }

    pub(crate) fn end(self) -> WaitStatus {
        let status = waitpid(self.0, None).unwrap();
        std::mem::forget(self);
        status
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = kill(self.0, Signal::SIGKILL);
        let _ = waitpid(self.0, None);
    }
}

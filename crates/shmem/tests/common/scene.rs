//! A segment with a lease in it, and what the children of the lease's tests do with it.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use shmem::{
    Acquire, Candidate, Lease, LeaseWords, Offset, Owner, Placement, Segment, SegmentName,
    SegmentOptions,
};

use super::{Named, Role, hear, role, say};

/// Far beyond what any of this takes; only a failure waits so long.
pub(crate) const LONG: Duration = Duration::from_secs(20);
pub(crate) const WAITERS: u32 = 0x8000_0000;
pub(crate) const OWNER_DIED: u32 = 0x4000_0000;
/// Above the greatest pid that Linux gives.
pub(crate) const WILD_TID: u32 = 0x2fff_ffff;

/// A segment with nothing but a lease.
pub(crate) struct Scene {
    pub(crate) named: Named,
    pub(crate) at: Offset,
}

impl Scene {
    pub(crate) fn new() -> Scene {
        let options = SegmentOptions { len: 4096, ..SegmentOptions::default() };
        let named = Named::create("lease", &options);
        let at = named.segment.arena().alloc(64, 64).unwrap();
        named.segment.publish_root(0, at).unwrap();
        Scene { named, at }
    }

    pub(crate) fn candidate(&self) -> Candidate {
        Candidate::new(&self.named.segment, self.at).unwrap()
    }

    pub(crate) fn acquire(&self) -> Lease {
        acquired(self.candidate().try_acquire().unwrap())
    }

    pub(crate) fn words(&self) -> &LeaseWords {
        self.named.segment.shared(self.at).unwrap()
    }

    pub(crate) fn word(&self) -> &AtomicU32 {
        self.named.segment.shared(self.at).unwrap()
    }

    pub(crate) fn put_identity(&self, owner: Owner) {
        let bytes = |value: u128| u64::try_from(value & u128::from(u64::MAX)).unwrap();
        let put = |at: u64, value: u64| {
            let at = self.at.add(at).unwrap();
            let word = self.named.segment.shared::<AtomicU64>(at).unwrap();
            word.store(value, Ordering::Relaxed);
        };
        let pid = self.named.segment.shared::<AtomicU32>(self.at.add(4).unwrap()).unwrap();
        pid.store(owner.pid, Ordering::Relaxed);
        put(8, owner.start_time);
        put(24, bytes(owner.boot_id >> 64));
        put(32, bytes(owner.boot_id));
        put(40, owner.namespace);
    }

    pub(crate) fn put_intent(&self, intent: u64) {
        let word = self.named.segment.shared::<AtomicU64>(self.at.add(48).unwrap()).unwrap();
        word.store(intent, Ordering::Release);
    }

    /// A child that has taken the lease, and said so.
    pub(crate) fn owner(&self, test: &str) -> Role {
        let mut child = Role::spawn(test, "owner", self.named.name.as_str());
        assert_eq!(child.next(), "owns");
        child
    }

    pub(crate) fn child(&self, test: &str, role: &str) -> Role {
        let mut child = Role::spawn(test, role, self.named.name.as_str());
        assert_eq!(child.next(), "candidate");
        child
    }

    /// The pid of the owner, as soon as there is one.
    pub(crate) fn until_owned(&self) -> u32 {
        let since = Instant::now();
        loop {
            // The identity is complete once the epoch, which began at 1 with this process, rises.
            if self.words().epoch() > 1
                && let Some(owner) = self.words().owner()
            {
                return owner.pid;
            }
            assert!(since.elapsed() < LONG, "nobody takes the lease");
            std::thread::yield_now();
        }
    }

    /// Returns when somebody has announced to wait.
    pub(crate) fn until_somebody_waits(&self) {
        let since = Instant::now();
        while self.word().load(Ordering::Relaxed) & WAITERS == 0 {
            assert!(since.elapsed() < LONG, "nobody waits");
            std::thread::yield_now();
        }
    }
}

pub(crate) fn acquired(outcome: Acquire) -> Lease {
    match outcome {
        Acquire::Acquired(lease) => lease,
        Acquire::Held { by, .. } => panic!("held by {by}"),
    }
}

pub(crate) fn held(outcome: Acquire) -> (Owner, Candidate) {
    match outcome {
        Acquire::Acquired(lease) => panic!("acquired {lease:?}"),
        Acquire::Held { by, candidate } => (by, candidate),
    }
}

/// What the children of these tests do; false in the test itself.
pub(crate) fn played_a_role() -> bool {
    let Some((role, name)) = role() else { return false };
    let name = SegmentName::parse(&name).unwrap();
    let segment = Segment::open_named(&name, Placement::Anywhere, 0).unwrap();
    let at = segment.root(0).unwrap().unwrap();
    let candidate = Candidate::new(&segment, at).unwrap();
    match role.as_str() {
        "owner" => {
            let lease = acquired(candidate.try_acquire().unwrap());
            say("owns");
            hear();
            // Ends without releasing, if it was not killed before.
            std::mem::forget(lease);
        }
        "waiter" => {
            say("candidate");
            let lease = acquired(candidate.wait(Some(LONG)).unwrap());
            say(&format!("epoch {} {:?}", lease.epoch(), lease.previous()));
            hear();
            lease.release().unwrap();
        }
        "inside" => {
            say("candidate");
            let lock = libc::flock {
                l_type: libc::c_short::try_from(libc::F_WRLCK).unwrap(),
                l_whence: libc::c_short::try_from(libc::SEEK_SET).unwrap(),
                l_start: libc::off_t::try_from(at.get()).unwrap(),
                l_len: 1,
                l_pid: 0,
            };
            let fd = segment.fd();
            nix::fcntl::fcntl(fd, nix::fcntl::FcntlArg::F_SETLK(&lock)).unwrap();
            say("inside");
            hear();
        }
        "bystander" => {
            say("candidate");
            hear();
            drop(candidate);
        }
        other => panic!("no such role: {other}"),
    }
    true
}

/// Returns when each thread of a process sleeps, but the calling one: then whoever of them was
/// about to wait is in its system call.
pub(crate) fn until_asleep(pid: u32) {
    let since = Instant::now();
    let me = nix::unistd::gettid().to_string();
    loop {
        let awake = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().any(|task| {
            let task = task.unwrap();
            let stat = std::fs::read_to_string(task.path().join("stat")).unwrap_or_default();
            let sleeps = stat.rsplit_once(')').is_none_or(|(_, after)| after.starts_with(" S"));
            task.file_name() != me.as_str() && !sleeps
        });
        if !awake {
            return;
        }
        assert!(since.elapsed() < LONG, "the threads of {pid} never sleep");
        std::thread::yield_now();
    }
}

//! The thread whose death is the death of a lease's owner.
//!
//! A robust futex dies with a *thread*, so each candidate has a thread of its own that does nothing
//! but live: it ends when the candidate or lease is dropped, or with the process. So a lease does
//! not depend on the thread that took it. If the thread ends while it owns, the kernel marks the
//! word: this holds for a drop exactly as for a SIGKILL.

use std::mem;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::{Builder, JoinHandle};

use crate::{Error, LeaseWords, Offset, Result, Segment, sys};

/// The thread calls nothing deep.
const STACK_LEN: usize = 64 * 1024;

/// A running lease thread. Dropping it ends and joins the thread, after which the lease word does
/// not name it any more.
pub(crate) struct LeaseThread {
    tid: u32,
    /// The process that started it: a forked child has this struct, but not the thread.
    pid: u32,
    stop: Arc<AtomicBool>,
    handle: Option<JoinHandle<()>>,
    notice: Arc<sys::DeathNotice>,
    /// Keeps the lease word mapped until the thread has ended.
    _segment: Arc<Segment>,
}

impl LeaseThread {
    /// Starts a thread whose death can mark the word of the lease at `at`.
    pub(crate) fn start(segment: &Arc<Segment>, at: Offset) -> Result<LeaseThread> {
        let words = segment.shared::<LeaseWords>(at)?;
        let notice = sys::DeathNotice::new(&words.word)
            .map_err(|e| Error::system("preparing the lease thread", e))?;
        let notice = Arc::new(notice);
        let stop = Arc::new(AtomicBool::new(false));
        let (tell, told) = mpsc::sync_channel(1);
        let (its_stop, its_notice) = (Arc::clone(&stop), Arc::clone(&notice));
        let handle = Builder::new()
            .name("lease".to_owned())
            .stack_size(STACK_LEN)
            .spawn(move || {
                sys::block_signals();
                // The receiver waits for it, and cannot be gone.
                let _ = tell.send(its_notice.register_this_thread());
                drop(tell);
                // Acquire: pairs with the Release in `drop`.
                while !its_stop.load(Ordering::Acquire) {
                    std::thread::park();
                }
            })
            .map_err(|e| Error::system("starting the lease thread", e))?;
        let mut thread = LeaseThread {
            tid: 0,
            pid: std::process::id(),
            stop,
            handle: Some(handle),
            notice,
            _segment: Arc::clone(segment),
        };
        thread.tid = match told.recv() {
            Ok(registered) => registered.map_err(|e| Error::system("set_robust_list", e))?,
            Err(e) => {
                return Err(Error::system("starting the lease thread", std::io::Error::other(e)));
            }
        };
        Ok(thread)
    }

    /// The thread's id, as it stands in the lease word.
    pub(crate) fn tid(&self) -> u32 {
        self.tid
    }

    /// The process that started it.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Whether the calling process is the one that started it.
    pub(crate) fn is_ours(&self) -> bool {
        self.pid == std::process::id()
    }

    /// What the kernel reads when the thread ends.
    pub(crate) fn notice(&self) -> &sys::DeathNotice {
        &self.notice
    }

    /// The epoch of the lease that is held; 0 in a forked child.
    #[inline]
    pub(crate) fn held_epoch(&self) -> &AtomicU64 {
        self.notice.epoch()
    }
}

impl Drop for LeaseThread {
    fn drop(&mut self) {
        let Some(handle) = self.handle.take() else { return };
        if !self.is_ours() {
            // A forked child: the thread runs in the parent, and joining it would never return.
            mem::forget(handle);
            return;
        }
        // Release: pairs with the Acquire of the thread's loop.
        self.stop.store(true, Ordering::Release);
        handle.thread().unpark();
        // The kernel reads the notice before it lets a join return; both live until here.
        let _ = handle.join();
    }
}

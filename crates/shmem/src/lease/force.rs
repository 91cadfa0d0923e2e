//! Owners that hang, and words that no owner stands behind: what no mark of the kernel will ever end.
//!
//! An owner is killed only when the lease words name it beyond doubt, and a word is marked in the
//! kernel's stead only when its owner is gone for sure. In doubt nothing is done, and the error says
//! what is unclear. What survives is the mark.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::{Acquire, Candidate, Lease};
use crate::gate::{Gate, is_present};
use crate::owner::Sight;
use crate::{Error, Result, sys};

/// How long a killed process may take to end; it can be held up by a system call.
const KILL_TIMEOUT: Duration = Duration::from_secs(10);

/// Why an owner cannot be told to be gone, and the way out.
const ELSEWHERE: &str =
    "which lives in another pid namespace, or one that is not known: end it there";
const PRESENT: &str =
    "whose process is not that one, but holds its lock: end the process that has it";
const HIDDEN: &str = "which this process's /proc does not show: mount a /proc, or end it there";
const NOT_ITS_OWN: &str = "which is not a thread of that process: end the process that has it";

impl Candidate {
    /// Takes the lease from an owner that hangs: kills it, waits until it is dead, takes over.
    ///
    /// Refuses to kill its own process, and one that the lease words do not name beyond doubt.
    pub fn force(self) -> Result<Lease> {
        let candidate = match self.try_acquire()? {
            Acquire::Acquired(lease) => return Ok(lease),
            Acquire::Held { candidate, .. } => candidate,
        };
        candidate.kill_owner()?;
        match candidate.try_acquire()? {
            Acquire::Acquired(lease) => Ok(lease),
            // Another candidate was quicker.
            Acquire::Held { by, .. } => Err(Error::Held { owner: by }),
        }
    }

    /// Ends the owner, or finds that there is none and marks the word.
    fn kill_owner(&self) -> Result<()> {
        // Acquire: pairs with the Release of whoever took or gave the word.
        let word = self.0.words().word.load(Ordering::Acquire);
        let owner = self.0.words().identity();
        let tid = word & sys::TID_MASK;
        if tid == 0 {
            return Ok(());
        }
        // Without a /proc two processes may look the same: then nothing is known of either.
        if owner == self.0.me && owner.namespace != 0 {
            return Err(Error::HeldByThisProcess { owner });
        }
        let unclear = |why| Error::OwnerUnclear { tid, owner, why };
        match owner.sight() {
            Sight::Runs => {}
            Sight::Gone => return self.mark_in_stead_of_kernel(word),
            Sight::Elsewhere => return Err(unclear(ELSEWHERE)),
            Sight::Hidden => return Err(unclear(HIDDEN)),
        }
        let failed = |source| Error::KillFailed { owner, source };
        let process = sys::ProcessHandle::open(owner.pid).map_err(failed)?;
        // The pid may have been reused before the handle was opened, not after: compare now.
        let Some(process) = process.filter(|_| owner.sight() == Sight::Runs) else {
            return self.mark_in_stead_of_kernel(word);
        };
        // The words are input: whoever does not have this very segment mapped is not its owner. A
        // process that does not show us its map is believed by its thread alone.
        let has_segment = process.maps_file(self.0.segment.file()).unwrap_or(true);
        if !has_segment || !sys::thread_of(owner.pid, tid) {
            return Err(unclear(NOT_ITS_OWN));
        }
        process.kill().map_err(failed)?;
        if !process.wait_ended(Instant::now() + KILL_TIMEOUT).map_err(failed)? {
            return Err(failed(std::io::ErrorKind::TimedOut.into()));
        }
        Ok(())
    }

    /// Marks `word`, if its owner is gone: proved inside the gate, where word and identity belong
    /// together. The kernel marks the word of an owner that dies, so a word that still names a thread
    /// was not written by one of ours, or comes from a copy.
    pub(super) fn mark_in_stead_of_kernel(&self, word: u32) -> Result<()> {
        let (words, tid) = (self.0.words(), word & sys::TID_MASK);
        let gate = Gate::enter(&self.0.segment, self.0.at)?.ok_or(Error::Busy)?;
        let owner = words.identity();
        let why = match owner.sight() {
            Sight::Gone if is_present(&self.0.segment, self.0.at, words.epoch())? => Some(PRESENT),
            Sight::Gone if owner.is_of_another_boot() || !sys::thread_exists(tid) => None,
            Sight::Gone | Sight::Runs => Some(NOT_ITS_OWN),
            Sight::Elsewhere => Some(ELSEWHERE),
            Sight::Hidden => Some(HIDDEN),
        };
        if let Some(why) = why {
            return Err(Error::OwnerUnclear { tid, owner, why });
        }
        let died = (word & sys::WAITERS) | sys::OWNER_DIED;
        // A word that has changed meanwhile is somebody's: `attempt` will see.
        // AcqRel: pairs with the Acquire of `attempt`.
        let _ = words.word.compare_exchange(word, died, Ordering::AcqRel, Ordering::Acquire);
        drop(gate);
        Ok(())
    }
}

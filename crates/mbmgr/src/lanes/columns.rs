//! The round keys of a group's lanes, and whose they are. Called by the groups of lanes whose keys are
//! AES schedules. Process-local: a crash loses it, and the next owner sets it again.

use crate::kernel::{LaneKeys, MAX_LANES, Schedule};
use crate::keys::KeyId;

/// A column of round keys for each lane.
pub(super) struct Columns {
    keys: LaneKeys,
    /// Whose round keys stand in a lane's column; the job of a lane in use has that key.
    of: [Option<KeyId>; MAX_LANES],
}

impl Columns {
    pub(super) fn new() -> Columns {
        Columns { keys: LaneKeys::new(), of: [None; MAX_LANES] }
    }

    /// Gives a lane the key of a job, unless it is there already.
    #[inline(always)]
    pub(super) fn set<'a>(
        &mut self,
        lane: usize,
        key: Option<KeyId>,
        schedule: impl FnOnce() -> &'a Schedule,
    ) {
        if self.of[lane] != key {
            self.keys.set(lane, schedule());
            self.of[lane] = key;
        }
    }

    /// Whether a lane has the key of lane 0.
    #[inline(always)]
    pub(super) fn has_first(&self, lane: usize) -> bool {
        self.of[0] == self.of[lane]
    }

    /// Whether the first `used` lanes all have one key.
    #[inline]
    pub(super) fn is_one_key(&self, used: usize) -> bool {
        self.of[..used].iter().all(|key| *key == self.of[0])
    }

    /// The keys for the kernels; `one_key` is what `is_one_key` says of the lanes of the next run.
    #[inline(always)]
    pub(super) fn for_run(&mut self, one_key: bool) -> &LaneKeys {
        self.keys.set_shared(one_key);
        &self.keys
    }

    /// Exchanges the keys of two lanes.
    #[inline(always)]
    pub(super) fn swap(&mut self, a: usize, b: usize) {
        if self.of[a] != self.of[b] {
            self.keys.swap(a, b);
            self.of.swap(a, b);
        }
    }

    /// How many of the first `used` lanes have a key.
    pub(super) fn count(&self, used: usize, key: KeyId) -> usize {
        self.of[..used].iter().filter(|of| **of == Some(key)).count()
    }

    /// Zeroizes the columns of a key that no job uses any more.
    pub(super) fn forget(&mut self, key: KeyId) {
        for (lane, of) in self.of.iter_mut().enumerate() {
            if *of == Some(key) {
                self.keys.clear(lane);
                *of = None;
            }
        }
    }
}

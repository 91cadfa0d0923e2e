//! Where the library's manager and what its jobs point to lie in a segment: a header line, the IVs,
//! the key schedules, the manager. Called by `manager`. All of it is in the segment and survives a
//! crash as it was.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use shmem::{Offset, Segment};

use crate::error::{Error, Result};

/// Entries of the key table.
pub const KEYS: u64 = 64;
/// The layout hash of a segment that holds a manager of the library.
pub const LAYOUT_HASH: u64 = u64::from_le_bytes(*b"ipsec-mb");

/// Marks a home.
const MAGIC: u64 = u64::from_le_bytes(*b"imbhome\x01");
/// Words of the header line.
const WORDS: usize = 8;
const MAGIC_WORD: usize = 0;
const ADDRESS_WORD: usize = 1;
const SUBMITTED_WORD: usize = 2;
const KEYS_WORD: usize = 3;

const LINE: u64 = 64;
/// One IV for each job that the library can hold.
const IVS: u64 = 256;
const IV_BYTES: u64 = 16;
/// An encrypt and a decrypt schedule of 15 round keys, or two HMAC states; then the key's kind.
const KEY_BYTES: u64 = 512;
const KEY_HALF: u64 = 240;
const KEY_KIND: u64 = 496;

/// What the header line of a home says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// Where the segment was mapped when the manager was made.
    pub address: u64,
    /// Jobs that submission was begun of.
    pub submitted: u64,
    /// Keys in the table.
    pub keys: u64,
}

/// Reads the header of the manager that root `root` leads to; writes nothing, at any address.
///
/// # Errors
/// [`Error::NoManager`], or the segment's.
pub fn look(segment: &Segment, root: usize) -> Result<Look> {
    let at = segment.root(root)?.ok_or(Error::NoManager(root))?;
    let words = segment.shared_slice::<AtomicU64>(at, WORDS)?;
    // Acquire pairs with the commit in `create`.
    if words[MAGIC_WORD].load(Acquire) != MAGIC {
        return Err(Error::NoManager(root));
    }
    Ok(Look {
        address: words[ADDRESS_WORD].load(Relaxed),
        submitted: words[SUBMITTED_WORD].load(Relaxed),
        keys: words[KEYS_WORD].load(Relaxed),
    })
}

/// The place of everything, in a segment.
pub(crate) struct Home {
    pub(crate) segment: Arc<Segment>,
    at: Offset,
}

impl Home {
    /// Bytes of a home with a manager of `manager` bytes.
    pub(crate) fn bytes(manager: u64) -> u64 {
        LINE + IVS * IV_BYTES + KEYS * KEY_BYTES + manager + LINE
    }

    /// Allocates a home.
    pub(crate) fn create(segment: &Arc<Segment>, manager: u64) -> Result<Home> {
        let at = segment.arena().alloc(Home::bytes(manager), LINE)?;
        let home = Home { segment: Arc::clone(segment), at };
        home.words()?[ADDRESS_WORD].store(segment.address() as u64, Relaxed);
        // Commits the header; Release pairs with the load in `open`.
        home.words()?[MAGIC_WORD].store(MAGIC, Release);
        Ok(home)
    }

    /// The home that a root leads to.
    pub(crate) fn open(segment: &Arc<Segment>, root: usize, manager: u64) -> Result<Home> {
        let at = segment.root(root)?.ok_or(Error::NoManager(root))?;
        segment.pointer(at, Home::bytes(manager))?;
        let home = Home { segment: Arc::clone(segment), at };
        let words = home.words()?;
        // Acquire pairs with the commit in `create`.
        if words[MAGIC_WORD].load(Acquire) != MAGIC {
            return Err(Error::NoManager(root));
        }
        let (made, here) = (words[ADDRESS_WORD].load(Relaxed), segment.address() as u64);
        if made != here {
            return Err(Error::Moved { made, here });
        }
        Ok(home)
    }

    pub(crate) fn at(&self) -> Offset {
        self.at
    }

    fn words(&self) -> Result<&[AtomicU64]> {
        Ok(self.segment.shared_slice(self.at, WORDS)?)
    }

    fn place(&self, offset: u64) -> Offset {
        Offset::new(self.at.get() + offset)
    }

    /// Where the manager lies.
    pub(crate) fn manager(&self) -> Offset {
        self.place(LINE + IVS * IV_BYTES + KEYS * KEY_BYTES)
    }

    /// Jobs submitted so far.
    pub(crate) fn submitted(&self) -> Result<u64> {
        // One owner at a time: Relaxed, nothing pairs with it.
        Ok(self.words()?[SUBMITTED_WORD].load(Relaxed))
    }

    /// Counts a job, before it is submitted: its IV is in use from here on.
    pub(crate) fn count(&self, submitted: u64) -> Result<()> {
        self.words()?[SUBMITTED_WORD].store(submitted, Release);
        Ok(())
    }

    /// Stores the IV of job `sequence` and returns its place.
    pub(crate) fn store_iv(&self, sequence: u64, iv: &[u8; 16]) -> Result<Offset> {
        let at = self.place(LINE + sequence % IVS * IV_BYTES);
        self.segment.write(at, iv)?;
        Ok(at)
    }

    /// Takes a free entry of the key table for a key of `kind`.
    pub(crate) fn take_key(&self, kind: u64) -> Result<u64> {
        let words = self.words()?;
        let index = words[KEYS_WORD].load(Relaxed);
        if index >= KEYS {
            return Err(Error::KeyTableFull(KEYS));
        }
        self.kind_word(index)?.store(kind, Relaxed);
        words[KEYS_WORD].store(index + 1, Release);
        Ok(index)
    }

    /// The kind that the key was added with; `None` if there is no such key.
    pub(crate) fn key_kind(&self, index: u64) -> Result<Option<u64>> {
        if index >= KEYS || index >= self.words()?[KEYS_WORD].load(Relaxed) {
            return Ok(None);
        }
        Ok(Some(self.kind_word(index)?.load(Relaxed)))
    }

    fn kind_word(&self, index: u64) -> Result<&AtomicU64> {
        Ok(self.segment.shared(self.place(LINE + IVS * IV_BYTES + index * KEY_BYTES + KEY_KIND))?)
    }

    /// The two halves of a key's material.
    pub(crate) fn material(&self, index: u64) -> [Offset; 2] {
        let at = LINE + IVS * IV_BYTES + index * KEY_BYTES;
        [self.place(at), self.place(at + KEY_HALF)]
    }
}

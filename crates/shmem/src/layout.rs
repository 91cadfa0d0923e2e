//! The byte layout of a segment's header, its checks, and the rule of what may live in shared memory.
//!
//! `segment.rs` and `arena.rs` use the header. It survives its process: the magic is written last,
//! so a creator that dies earlier leaves a file that nobody opens; a root is one commit store; the
//! arena's watermark only rises, so a death costs at most the piece just taken.

#![expect(unsafe_code, reason = "implements the unsafe marker trait for atomics")]

use std::fs::File;
use std::mem::{align_of, offset_of, size_of};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering, fence};

use zerocopy::{FromBytes, IntoBytes, KnownLayout};

use crate::{Error, Result};

/// A type that may live in shared memory.
///
/// # Safety
/// It must be `repr(C)` and hold only atomics (or arrays and structs of them), without padding, and
/// every bit pattern must be valid: other processes write it at any time.
pub unsafe trait Shared: Sync + FromBytes + IntoBytes + KnownLayout {}

// SAFETY: an atomic integer has no padding, and every bit pattern is valid.
unsafe impl Shared for AtomicU8 {}
// SAFETY: as above.
unsafe impl Shared for AtomicU16 {}
// SAFETY: as above.
unsafe impl Shared for AtomicU32 {}
// SAFETY: as above.
unsafe impl Shared for AtomicU64 {}
// SAFETY: an array adds no padding to its elements, which are `Shared`.
unsafe impl<T: Shared, const N: usize> Shared for [T; N] {}

/// Roots in the directory.
pub const ROOTS: usize = 64;

/// Bytes at the start of a segment that are the header's; the arena begins behind them.
pub const HEADER_LEN: u64 = size_of::<Header>() as u64;

/// "takeover" in the bytes of a little-endian machine.
pub(crate) const MAGIC: u64 = u64::from_le_bytes(*b"takeover");

/// Raised with every change of the header or of what its words mean.
pub(crate) const VERSION: u32 = 3;

/// Flag: the creator wants every page mapped at once, also by those who open the segment.
pub(crate) const FLAG_POPULATE: u32 = 1;

/// The first bytes of each segment.
#[repr(C)]
#[derive(FromBytes, IntoBytes, KnownLayout)]
pub(crate) struct Header {
    /// [`MAGIC`]; written last.
    pub(crate) magic: AtomicU64,
    pub(crate) version: AtomicU32,
    pub(crate) flags: AtomicU32,
    /// [`mixed_hash`] of the client's layout hash.
    pub(crate) layout_hash: AtomicU64,
    /// Length of the segment, equal to that of its file.
    pub(crate) len: AtomicU64,
    /// Where the creator mapped it.
    pub(crate) address: AtomicU64,
    pub(crate) creator_pid: AtomicU64,
    pub(crate) creator_start_time: AtomicU64,
    pub(crate) creator_boot_id: [AtomicU64; 2],
    pub(crate) arena_start: AtomicU64,
    pub(crate) arena_end: AtomicU64,
    /// The watermark: what lies below is taken.
    pub(crate) arena_next: AtomicU64,
    /// Raised after each change of the roots, so that a reader may keep a copy of them.
    pub(crate) root_changes: AtomicU64,
    /// The creator's pid namespace.
    pub(crate) creator_namespace: AtomicU64,
    /// No root from this index on was ever published. Raised before the first of them is.
    pub(crate) roots_used: AtomicU64,
    pub(crate) reserved: AtomicU64,
    /// Offsets of the clients' objects; 0 is free, an odd one is of an object that was retired.
    pub(crate) roots: [AtomicU64; ROOTS],
}

// SAFETY: `repr(C)`, atomics only; `IntoBytes` proves that there is no padding.
unsafe impl Shared for Header {}

const _: () = {
    assert!(size_of::<Header>() == 640 && align_of::<Header>() == 8);
    assert!(offset_of!(Header, magic) == 0);
    assert!(offset_of!(Header, version) == 8);
    assert!(offset_of!(Header, flags) == 12);
    assert!(offset_of!(Header, layout_hash) == 16);
    assert!(offset_of!(Header, len) == 24);
    assert!(offset_of!(Header, address) == 32);
    assert!(offset_of!(Header, creator_pid) == 40);
    assert!(offset_of!(Header, creator_start_time) == 48);
    assert!(offset_of!(Header, creator_boot_id) == 56);
    assert!(offset_of!(Header, arena_start) == 72);
    assert!(offset_of!(Header, arena_end) == 80);
    assert!(offset_of!(Header, arena_next) == 88);
    assert!(offset_of!(Header, root_changes) == 96);
    assert!(offset_of!(Header, roots_used) == 112);
    assert!(offset_of!(Header, roots) == 128);
};

/// What the header's words and the lease's words are, for the layout hash.
const DESCRIPTION: &str = "header 640: magic 0, version 8, flags 12, hash 16, len 24, address 32, \
    creator 40, arena 72, changes 96, used 112, roots 128 x 64 (odd: retired); lease 64: word 0, pid 4, start 8, epoch 16, boot 24, \
    namespace 40, intent 48";

/// Mixes the client's layout hash with ours (FNV-1a).
pub(crate) const fn mixed_hash(client: u64) -> u64 {
    let mut hash = fnv(0xcbf2_9ce4_8422_2325, DESCRIPTION.as_bytes());
    hash = fnv(hash, &client.to_le_bytes());
    hash
}

const fn fnv(mut hash: u64, bytes: &[u8]) -> u64 {
    let mut i = 0;
    while i < bytes.len() {
        hash = (hash ^ bytes[i] as u64).wrapping_mul(0x0000_0100_0000_01b3);
        i += 1;
    }
    hash
}

/// A segment's length as a length in memory.
pub(crate) fn check_len(len: u64) -> Result<usize> {
    isize::try_from(len)
        .ok()
        .filter(|_| len >= HEADER_LEN)
        .map(isize::unsigned_abs)
        .ok_or(Error::BadLength { len, min: HEADER_LEN })
}

/// Copies the header out of a file, then checks the copy, which nobody else can change.
pub(crate) fn checked_header(file: &File, layout_hash: u64) -> Result<Header> {
    let file_len = file.metadata().map_err(|e| Error::system("fstat", e))?.len();
    if file_len < HEADER_LEN {
        return Err(Error::Truncated { len: file_len, needed: HEADER_LEN });
    }
    let mut copy = [0; size_of::<Header>()];
    file.read_exact_at(&mut copy, 0).map_err(|e| Error::system("reading the header", e))?;
    // Pairs with the Release of the magic in `initialise`.
    fence(Ordering::Acquire);
    let mut header =
        Header::read_from_bytes(&copy).map_err(|_| Error::corrupt("header of another length"))?;
    let found = *header.magic.get_mut();
    if found != MAGIC {
        return Err(Error::WrongMagic { found });
    }
    let found = *header.version.get_mut();
    if found != VERSION {
        return Err(Error::WrongVersion { found, expected: VERSION });
    }
    let (found, expected) = (*header.layout_hash.get_mut(), mixed_hash(layout_hash));
    if found != expected {
        return Err(Error::WrongLayout { found, expected });
    }
    let len = *header.len.get_mut();
    if file_len < len {
        return Err(Error::Truncated { len: file_len, needed: len });
    }
    if file_len != len {
        let what = format!("header says {len} bytes, its file has {file_len}");
        return Err(Error::corrupt(what));
    }
    let (start, end) = (*header.arena_start.get_mut(), *header.arena_end.get_mut());
    let next = *header.arena_next.get_mut();
    if !(HEADER_LEN <= start && start <= next && next <= end && end <= len) {
        let what = format!("arena {start:#x}..{end:#x}, watermark {next:#x}, in {len:#x} bytes");
        return Err(Error::corrupt(what));
    }
    Ok(header)
}

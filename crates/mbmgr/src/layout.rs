//! Every struct that lives in the segment, and nothing else: what is here survives a crash.
//!
//! All fields are atomics of fixed width, so that each bit pattern is valid and a process that
//! scribbles on the segment cannot cause undefined behaviour in ours. Places are offsets from the
//! segment's start. `docs/layout.md` draws the same bytes; the assertions below keep both honest.
//! Used by `region` (which hands out references) and `view` (which decodes for a reader).
#![expect(
    unsafe_code,
    reason = "the Shared marker is an unsafe trait: its duty is stated per type"
)]

use std::mem::{offset_of, size_of};
use std::sync::atomic::{AtomicU32, AtomicU64};

use shmem::{LeaseWords, Shared};
use zerocopy::{FromBytes, IntoBytes, KnownLayout};

use crate::kernel::MAX_LANES;

/// Raised by hand whenever the meaning of a field changes while its place stays.
const LAYOUT_REVISION: u64 = 9;

/// The first eight bytes of a manager's configuration: what a root points to is a manager.
pub(crate) const MANAGER_MAGIC: u64 = u64::from_le_bytes(*b"mbmgr\0\0\x01");

/// Log slots of the journal. Two would do for kernels that store a step's outputs before they
/// commit the next one; pipelined kernels need three (see `Journal::redo`), four keeps the index a
/// mask.
pub(crate) const LOG_SLOTS: usize = 4;
/// Bytes of a log slot: the inputs of one step of all lanes, or of a wide step and its chain.
pub(crate) const LOG_SLOT_BYTES: usize = 2048;
/// Where a log slot keeps the chaining value of a wide step that cannot read it back.
pub(crate) const LOG_CHAIN: usize = 1024;
/// Bytes of key material in a key entry: two AES schedules of 15 round keys.
pub(crate) const KEY_MATERIAL: usize = 480;

/// Slot status: accepted, not finished.
pub(crate) const STATUS_QUEUED: u32 = 0;
/// Slot status: every output byte is written.
pub(crate) const STATUS_DONE: u32 = 1;
/// Slot status: never to be finished; `failure` says why.
pub(crate) const STATUS_FAILED: u32 = 2;

/// Key state: free, its material is zero.
pub(crate) const KEY_FREE: u32 = 0;
/// Key state: being written; recovery zeroizes it.
pub(crate) const KEY_FILLING: u32 = 1;
/// Key state: usable.
pub(crate) const KEY_READY: u32 = 2;
/// Key state: being zeroized; recovery does it again.
pub(crate) const KEY_REMOVING: u32 = 3;

/// One manager: lease, configuration, and the three positions of its ring.
#[derive(FromBytes, IntoBytes, KnownLayout)]
#[repr(C, align(64))]
pub(crate) struct ManagerHeader {
    /// Who owns the manager.
    pub(crate) lease: LeaseWords,

    /// [`MANAGER_MAGIC`]. This line is written before the root is published and never after.
    pub(crate) magic: AtomicU64,
    /// Slots of the ring, a power of two.
    pub(crate) ring: AtomicU32,
    /// Jobs that a lane group holds before it runs.
    pub(crate) lanes: AtomicU32,
    /// Entries of the key table.
    pub(crate) keys: AtomicU32,
    pub(crate) _reserved: AtomicU32,
    /// Offset of the first [`Slot`].
    pub(crate) slots_at: AtomicU64,
    /// Offset of the first [`KeyEntry`].
    pub(crate) keys_at: AtomicU64,
    /// Offset of the [`Journal`].
    pub(crate) journal_at: AtomicU64,
    /// Epoch of the owner that made it: a place that is used again has a lease with a past.
    pub(crate) first_epoch: AtomicU64,
    pub(crate) _pad0: AtomicU64,

    /// Jobs before this position are acknowledged; their slots may be used again.
    pub(crate) acked: AtomicU64,
    /// Jobs before this position were returned to the caller, at least once.
    pub(crate) returned: AtomicU64,
    /// Takeovers from an owner that died. This and the next four are for a reader: a death while
    /// they are written may leave them one takeover behind.
    pub(crate) deaths: AtomicU64,
    /// Of these, the ones in which the new owner killed the old one.
    pub(crate) forced: AtomicU64,
    /// Jobs that takeovers found unfinished, and put into lanes again.
    pub(crate) recovered: AtomicU64,
    /// Jobs that takeovers found returned and not acknowledged.
    pub(crate) redelivered: AtomicU64,
    /// When the last takeover ended, in nanoseconds of the system's clock since 1970.
    pub(crate) taken_over_at: AtomicU64,
    /// How long it took from the lease to a manager that runs, in nanoseconds.
    pub(crate) takeover_ns: AtomicU64,

    /// Jobs before this position are accepted. On a line of its own: it moves at every submit.
    pub(crate) tail: AtomicU64,
    pub(crate) _pad2: [AtomicU64; 7],
}

/// One job. `tail` commits a slot, `status` its result.
#[derive(FromBytes, IntoBytes, KnownLayout)]
#[repr(C, align(64))]
pub(crate) struct Slot {
    /// One of the `STATUS_` values: commits the outputs.
    pub(crate) status: AtomicU32,
    /// Why the job failed, where `status` is [`STATUS_FAILED`].
    pub(crate) failure: AtomicU32,
    /// Algorithm (16 bits), direction and whether the message is in pieces (8), IV length (8), tag length (8), and of a chained job the hash's
    /// algorithm (16) and order (8): see `Job::pack`.
    pub(crate) what: AtomicU64,
    /// Key index (low half) and generation (high half); zero where there is no key.
    pub(crate) key: AtomicU64,
    /// Offset of the input.
    pub(crate) src: AtomicU64,
    /// Offset of the output, or of the digest.
    pub(crate) dst: AtomicU64,
    /// Input bytes.
    pub(crate) len: AtomicU64,
    /// The chaining value at `progress` (at first the IV), in memory order.
    pub(crate) iv: [AtomicU64; 2],

    /// Bytes whose outputs are complete. Absolute, so that storing it twice is storing it once.
    pub(crate) progress: AtomicU64,
    /// The caller's own word.
    pub(crate) user: AtomicU64,
    /// Offset of the associated data, or of what a chained job hashes.
    pub(crate) aad: AtomicU64,
    /// Offset of the tag: written by encryption, read by decryption.
    pub(crate) tag: AtomicU64,
    /// Offset of an IV that does not fit into `iv`.
    pub(crate) iv_at: AtomicU64,
    /// Bytes at `aad` (low half) and of the IV at `iv_at` (high half).
    pub(crate) lens: AtomicU64,
    /// Of a chained job: its hash's key, as `key` has its cipher's.
    pub(crate) hash_key: AtomicU64,
    /// Of a chained job: how many of its parts are complete. Commits the first one's result.
    pub(crate) stage: AtomicU32,
    /// Of a job in pieces: how many are listed at `src`.
    pub(crate) pieces: AtomicU32,
}

/// One key: what is derived from it once, in the byte order of its standard.
#[derive(FromBytes, IntoBytes, KnownLayout)]
#[repr(C, align(64))]
pub(crate) struct KeyEntry {
    /// One of the `KEY_` values: commits the entry.
    pub(crate) state: AtomicU32,
    /// Raised each time the entry is filled, so that an old `KeyId` is told from a new one.
    pub(crate) generation: AtomicU32,
    /// `KeyKind` as a number.
    pub(crate) kind: AtomicU32,
    pub(crate) _reserved: AtomicU32,
    /// AES: encrypt schedule, then the schedule of the equivalent inverse cipher (FIPS-197 5.3.5).
    /// HMAC: hash state after the inner and after the outer pad, big-endian words.
    pub(crate) material: [AtomicU64; KEY_MATERIAL / 8],
    pub(crate) _pad: [AtomicU64; 2],
}

/// The run journal: one run at a time is in flight.
#[derive(FromBytes, IntoBytes, KnownLayout)]
#[repr(C, align(64))]
pub(crate) struct Journal {
    /// 0: no run, the rest means nothing. `k + 1`: step k is in flight and logged.
    pub(crate) step: AtomicU64,
    /// Bytes that the run advances each lane (low 32 bits), bytes of a step (16), lanes in use (8), and
    /// steps whose outputs may be incomplete, counted back from the one in flight (8).
    pub(crate) shape: AtomicU64,
    pub(crate) _pad: [AtomicU64; 6],
    /// For each lane: ring index of its job (low 32 bits), progress when the run began (high 32 bits).
    pub(crate) lane: [AtomicU64; MAX_LANES],
    /// Inputs of the steps: step k is in slot `k % LOG_SLOTS`, lane l at `l * step bytes`.
    pub(crate) log: [[AtomicU64; LOG_SLOT_BYTES / 8]; LOG_SLOTS],
}

// SAFETY: repr(C), made of atomics and of `LeaseWords` (itself `Shared`) alone, no padding (zerocopy's
// `IntoBytes` derive refuses any), every bit pattern valid (its `FromBytes` derive).
unsafe impl Shared for ManagerHeader {}
// SAFETY: as for `ManagerHeader`.
unsafe impl Shared for Slot {}
// SAFETY: as for `ManagerHeader`.
unsafe impl Shared for KeyEntry {}
// SAFETY: as for `ManagerHeader`.
unsafe impl Shared for Journal {}

const _: () = {
    assert!(size_of::<ManagerHeader>() == 256);
    assert!(offset_of!(ManagerHeader, lease) == 0);
    assert!(offset_of!(ManagerHeader, magic) == 64);
    assert!(offset_of!(ManagerHeader, slots_at) == 88);
    assert!(offset_of!(ManagerHeader, acked) == 128);
    assert!(offset_of!(ManagerHeader, returned) == 136);
    assert!(offset_of!(ManagerHeader, deaths) == 144);
    assert!(offset_of!(ManagerHeader, takeover_ns) == 184);
    assert!(offset_of!(ManagerHeader, tail) == 192);

    assert!(size_of::<Slot>() == 128);
    assert!(offset_of!(Slot, what) == 8);
    assert!(offset_of!(Slot, src) == 24);
    assert!(offset_of!(Slot, iv) == 48);
    assert!(offset_of!(Slot, progress) == 64);
    assert!(offset_of!(Slot, user) == 72);
    assert!(offset_of!(Slot, aad) == 80);
    assert!(offset_of!(Slot, tag) == 88);
    assert!(offset_of!(Slot, iv_at) == 96);
    assert!(offset_of!(Slot, lens) == 104);
    assert!(offset_of!(Slot, hash_key) == 112);
    assert!(offset_of!(Slot, stage) == 120);
    assert!(offset_of!(Slot, pieces) == 124);

    assert!(size_of::<KeyEntry>() == 512);
    assert!(offset_of!(KeyEntry, material) == 16);

    assert!(offset_of!(Journal, shape) == 8);
    assert!(offset_of!(Journal, lane) == 64);
    assert!(offset_of!(Journal, log) == 192);
    assert!(size_of::<Journal>() == 192 + LOG_SLOTS * LOG_SLOT_BYTES);
};

/// FNV-1a over the sizes and some of the offsets above. What these do not show (the meaning of a field,
/// an offset that is not among them) changes the revision.
const fn layout_hash() -> u64 {
    let words = [
        LAYOUT_REVISION,
        size_of::<ManagerHeader>() as u64,
        size_of::<Slot>() as u64,
        size_of::<KeyEntry>() as u64,
        size_of::<Journal>() as u64,
        offset_of!(ManagerHeader, acked) as u64,
        offset_of!(ManagerHeader, tail) as u64,
        offset_of!(Slot, iv) as u64,
        offset_of!(Slot, progress) as u64,
        offset_of!(Slot, aad) as u64,
        offset_of!(Slot, stage) as u64,
        offset_of!(KeyEntry, material) as u64,
        offset_of!(Journal, lane) as u64,
        offset_of!(Journal, log) as u64,
        LOG_SLOTS as u64,
        LOG_SLOT_BYTES as u64,
        LOG_CHAIN as u64,
        MAX_LANES as u64,
    ];
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut i = 0;
    while i < words.len() {
        hash = (hash ^ words[i]).wrapping_mul(0x0000_0100_0000_01b3);
        i += 1;
    }
    hash
}

/// What a segment that holds managers of this build carries in its header: give it to
/// `shmem::SegmentOptions::layout_hash` and to `shmem::Segment::open_named`.
pub const LAYOUT_HASH: u64 = layout_hash();

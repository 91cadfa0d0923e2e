//! Segments as their users see them: creation, opening, refusal of damaged ones, access, roots,
//! arena. Another process's part is played by this one unless a test says so.

use std::fs::{File, Metadata};
use std::io::ErrorKind;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use shmem::{Error, HEADER_LEN, Offset, Placement, ROOTS, Segment, SegmentName, SegmentOptions};

#[path = "common/mod.rs"]
#[expect(dead_code, reason = "shared by several test programs")]
mod common;
use common::Named;

const HASH: u64 = 0x1234;
const LEN: u64 = 64 * 1024;

fn options() -> SegmentOptions {
    SegmentOptions { len: LEN, layout_hash: HASH, ..SegmentOptions::default() }
}

fn anonymous() -> Arc<Segment> {
    Segment::create_anonymous("test", &options()).unwrap()
}

fn duplicate(segment: &Segment) -> OwnedFd {
    segment.fd().try_clone_to_owned().unwrap()
}

fn reopen(segment: &Segment) -> shmem::Result<Arc<Segment>> {
    Segment::open_fd(duplicate(segment), Placement::Anywhere, HASH)
}

fn metadata(segment: &Segment) -> Metadata {
    File::from(duplicate(segment)).metadata().unwrap()
}

#[test]
fn named_segment_is_private_exclusive_and_gone_after_unlink() {
    let named = Named::create("test", &options());
    assert_eq!(metadata(&named.segment).mode() & 0o777, 0o600);
    assert_eq!(named.segment.len(), LEN);
    assert_eq!(named.segment.name(), Some(&named.name));
    assert!(SegmentName::list().unwrap().contains(&named.name));
    let again = Segment::create_named(&named.name, &options()).unwrap_err();
    assert!(matches!(&again, Error::Exists { name } if *name == named.name.to_string()), "{again}");

    let other = Segment::open_named(&named.name, Placement::Anywhere, HASH).unwrap();
    let at = named.segment.arena().alloc(8, 8).unwrap();
    named.segment.shared::<AtomicU64>(at).unwrap().store(42, Ordering::Relaxed);
    assert_eq!(other.shared::<AtomicU64>(at).unwrap().load(Ordering::Relaxed), 42);
    assert_ne!(other.address(), named.segment.address());
    assert_eq!(other.creator(), shmem::Owner::current());

    Segment::unlink(&named.name).unwrap();
    Segment::unlink(&named.name).unwrap();
    let gone = Segment::open_named(&named.name, Placement::Anywhere, HASH).unwrap_err();
    assert!(matches!(gone, Error::NotFound { .. }), "{gone}");
    assert!(!SegmentName::list().unwrap().contains(&named.name));
}

#[test]
fn reserved_memory_is_there_and_a_failed_creation_leaves_no_name() {
    let named = Named::create("reserve", &options());
    assert!(metadata(&named.segment).blocks() * 512 >= LEN);
    let name = SegmentName::unique("huge");
    let huge = SegmentOptions { len: 1 << 50, ..options() };
    let error = Segment::create_named(&name, &huge).unwrap_err();
    assert!(matches!(error, Error::System { .. }), "{error}");
    assert!(!SegmentName::list().unwrap().contains(&name));
}

#[test]
fn anonymous_segment_is_sealed_and_closes_on_exec() {
    let segment = anonymous();
    assert_eq!(segment.name(), None);
    let file = File::from(duplicate(&segment));
    for len in [LEN - 1, 0, LEN + 1] {
        assert_eq!(file.set_len(len).unwrap_err().kind(), ErrorKind::PermissionDenied);
    }
    let flags = nix::fcntl::fcntl(segment.fd(), nix::fcntl::FcntlArg::F_GETFD).unwrap();
    assert_eq!(flags, libc::FD_CLOEXEC);
}

#[test]
fn core_dumps_leave_the_segment_out() {
    let segment = anonymous();
    let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap();
    let start = format!("{:x}-", segment.address());
    let flags = smaps
        .lines()
        .skip_while(|line| !line.starts_with(&start))
        .find(|line| line.starts_with("VmFlags:"))
        .unwrap();
    assert!(flags.split(' ').any(|flag| flag == "dd"), "{flags}");
}

#[test]
fn lengths_without_room_for_a_header_are_refused() {
    for len in [0, HEADER_LEN - 1, u64::MAX, 1 << 63] {
        let error = Segment::create_anonymous("x", &SegmentOptions { len, ..options() });
        assert!(matches!(error, Err(Error::BadLength { .. })), "{len}: {error:?}");
    }
    let least = SegmentOptions { len: HEADER_LEN, ..options() };
    let segment = Segment::create_anonymous("x", &least).unwrap();
    assert_eq!(segment.arena().remaining(), 0);
    reopen(&segment).unwrap();
}

#[test]
fn private_copy_keeps_its_writes_to_itself() {
    let segment = anonymous();
    let at = segment.arena().alloc(4096, 64).unwrap();
    segment.write(at, b"original").unwrap();
    let copy = Segment::open_private_copy(duplicate(&segment), Placement::Anywhere, HASH).unwrap();
    let mut bytes = [0; 8];
    copy.read(at, &mut bytes).unwrap();
    assert_eq!(&bytes, b"original");
    copy.write(at, b"changed!").unwrap();
    copy.arena().alloc(64, 64).unwrap();
    segment.read(at, &mut bytes).unwrap();
    assert_eq!(&bytes, b"original");
    assert_eq!(copy.arena().remaining() + 64, segment.arena().remaining());
}

/// Changes the header of a good segment in a file, and gives the error of opening it.
fn refusal(damage: impl Fn(&File)) -> Error {
    let named = Named::create("damaged", &options());
    damage(&File::from(duplicate(&named.segment)));
    Segment::open_named(&named.name, Placement::Anywhere, HASH).unwrap_err()
}

fn put(at: u64, value: u64) -> impl Fn(&File) {
    move |file| file.write_all_at(&value.to_ne_bytes(), at).unwrap()
}

#[test]
fn each_damage_of_the_header_has_its_error() {
    let error = refusal(put(0, 0x6661_6b65));
    assert!(matches!(error, Error::WrongMagic { found: 0x6661_6b65 }), "{error}");
    let error = refusal(put(8, 99));
    assert!(matches!(error, Error::WrongVersion { found: 99, expected: 3 }), "{error}");
    let error = refusal(put(16, 7));
    assert!(matches!(error, Error::WrongLayout { found: 7, .. }), "{error}");
    let error = refusal(put(24, LEN * 2));
    let truncated = matches!(error, Error::Truncated { len: LEN, needed } if needed == LEN * 2);
    assert!(truncated, "{error}");
    let error = refusal(|file| file.set_len(LEN / 2).unwrap());
    assert!(matches!(error, Error::Truncated { needed: LEN, .. }), "{error}");
    let error = refusal(|file| file.set_len(0).unwrap());
    assert!(matches!(error, Error::Truncated { len: 0, needed: HEADER_LEN }), "{error}");
    let corrupt = [
        (24, LEN / 2),         // shorter than its file
        (24, u64::from(true)), // shorter than the header
        (32, 0),               // creator's address
        (32, 0x1001),
        (32, u64::MAX - 0xfff),
        (72, HEADER_LEN - 1), // arena over the header
        (72, u64::MAX),
        (80, LEN + 1), // arena beyond the segment
        (80, 0),
        (88, 0), // watermark
        (88, LEN + 1),
    ];
    for (at, value) in corrupt {
        let error = refusal(put(at, value));
        assert!(matches!(error, Error::Corrupt { .. }), "{at} {value:#x}: {error}");
    }
}

#[test]
fn another_client_layout_is_refused() {
    let segment = anonymous();
    let error = Segment::open_fd(duplicate(&segment), Placement::Anywhere, HASH + 1).unwrap_err();
    assert!(matches!(error, Error::WrongLayout { .. }), "{error}");
}

#[test]
fn a_file_that_is_no_segment_is_refused() {
    let exe = File::open(std::env::current_exe().unwrap()).unwrap();
    let fd = exe.as_fd().try_clone_to_owned().unwrap();
    let error = Segment::open_private_copy(fd, Placement::Anywhere, HASH).unwrap_err();
    assert!(matches!(error, Error::WrongMagic { .. }), "{error}");
}

#[test]
fn access_outside_the_segment_is_refused() {
    let segment = anonymous();
    let end = Offset::new(LEN);
    for (at, len) in [
        (Offset::NULL, 1),
        (Offset::new(HEADER_LEN - 1), 1),
        (end, 1),
        (Offset::new(LEN - 7), 8),
        (Offset::new(u64::MAX), 1),
        (Offset::new(HEADER_LEN), u64::MAX),
    ] {
        let error = segment.pointer(at, len).unwrap_err();
        assert!(matches!(error, Error::OutOfBounds { .. }), "{at} {len}: {error}");
        assert!(segment.zeroize(at, len).is_err());
    }
    assert!(segment.pointer(end, 0).is_ok());
    assert!(segment.shared::<AtomicU64>(Offset::new(LEN - 8)).is_ok());
    assert!(segment.shared::<AtomicU64>(end).is_err());
    let first = Offset::new(HEADER_LEN);
    assert!(segment.shared_slice::<AtomicU32>(first, usize::MAX).is_err());
    assert_eq!(segment.shared_slice::<AtomicU32>(first, 16).unwrap().len(), 16);
    let misaligned = segment.shared::<AtomicU64>(Offset::new(HEADER_LEN + 4)).unwrap_err();
    assert!(matches!(misaligned, Error::Misaligned { align: 8, .. }), "{misaligned}");
    assert!(segment.shared_slice::<AtomicU32>(Offset::new(HEADER_LEN + 2), 1).is_err());
    assert!(segment.read(Offset::new(LEN - 3), &mut [0; 4]).is_err());
    assert!(segment.write(Offset::NULL, &[0; 4]).is_err());
    let mut magic = [0; 8];
    segment.read(Offset::NULL, &mut magic).unwrap();
    assert_eq!(&magic, b"takeover");
}

#[test]
fn zeroize_clears_its_bytes_only() {
    let segment = anonymous();
    let at = segment.arena().alloc(100, 1).unwrap();
    segment.write(at, &[7; 100]).unwrap();
    segment.zeroize(at.add(3).unwrap(), 90).unwrap();
    let mut bytes = [1; 100];
    segment.read(at, &mut bytes).unwrap();
    assert_eq!(bytes[..3], [7; 3]);
    assert_eq!(bytes[3..93], [0; 90]);
    assert_eq!(bytes[93..], [7; 7]);
}

#[test]
fn roots_are_published_once_found_by_others_and_checked() {
    let segment = anonymous();
    let other = reopen(&segment).unwrap();
    let at = segment.arena().alloc(64, 64).unwrap();
    assert_eq!(other.root(5).unwrap(), None);
    segment.publish_root(0, at).unwrap();
    segment.publish_root(5, at).unwrap();
    assert_eq!(other.root(5).unwrap(), Some(at));
    assert_eq!(other.free_root(), Some(1));
    let taken = other.publish_root(5, at).unwrap_err();
    assert!(matches!(taken, Error::RootTaken { index: 5, by } if by == at), "{taken}");
    other.retract_root(5).unwrap();
    assert_eq!(segment.root(5).unwrap(), None);
    let wild = Offset::new(LEN);
    assert!(matches!(segment.publish_root(6, wild), Err(Error::OutOfBounds { .. })));
    assert!(matches!(segment.root(ROOTS), Err(Error::NoSuchRoot { index: ROOTS })));
    for index in 0..ROOTS {
        let _ = segment.publish_root(index, at);
    }
    assert_eq!(segment.free_root(), None);

    File::from(duplicate(&segment)).write_all_at(&LEN.to_ne_bytes(), 128 + 8 * 9).unwrap();
    let error = segment.root(9).unwrap_err();
    assert!(matches!(error, Error::Corrupt { .. }), "{error}");
}

#[test]
fn arena_aligns_first_and_then_checks_bounds() {
    let len = HEADER_LEN + 100;
    let small = SegmentOptions { len, ..options() };
    let segment = Segment::create_anonymous("small", &small).unwrap();
    let arena = segment.arena();
    assert_eq!(arena.alloc(1, 1).unwrap(), Offset::new(HEADER_LEN));
    assert_eq!(arena.remaining(), 99);
    // 99 bytes remain, but only 36 behind the next multiple of 64.
    let error = arena.alloc(64, 64).unwrap_err();
    assert!(matches!(error, Error::ArenaFull { len: 64, align: 64, remaining: 99 }), "{error}");
    assert_eq!(arena.remaining(), 99);
    assert_eq!(arena.alloc(36, 64).unwrap(), Offset::new(HEADER_LEN + 64));
    assert_eq!(arena.remaining(), 0);
    assert!(arena.alloc(1, 1).is_err());
    assert!(arena.alloc(u64::MAX, 1).is_err());
    for align in [0, 3, 8192] {
        assert!(matches!(arena.alloc(1, align), Err(Error::BadAlignment { .. })));
    }
    // Aligning would reach beyond the end: no wrap, no overflow.
    let segment = Segment::create_anonymous("small", &small).unwrap();
    assert!(matches!(segment.arena().alloc(0, 4096), Err(Error::ArenaFull { .. })));
}

#[test]
fn arena_contains_what_it_holds() {
    let segment = anonymous();
    let arena = segment.arena();
    assert_eq!((arena.start().get(), arena.end().get()), (HEADER_LEN, LEN));
    assert!(arena.contains(arena.start(), LEN - HEADER_LEN));
    assert!(!arena.contains(arena.start(), LEN - HEADER_LEN + 1));
    assert!(!arena.contains(Offset::new(HEADER_LEN - 1), 1));
    assert!(arena.contains(arena.end(), 0));
    assert!(!arena.contains(arena.end(), 1));
    assert!(!arena.contains(Offset::new(u64::MAX), u64::MAX));
}

#[test]
fn wild_watermark_is_corrupt_and_not_followed() {
    for wild in [0, LEN + 1, u64::MAX] {
        let segment = anonymous();
        File::from(duplicate(&segment)).write_all_at(&wild.to_ne_bytes(), 88).unwrap();
        let error = segment.arena().alloc(8, 8).unwrap_err();
        assert!(matches!(error, Error::Corrupt { .. }), "{wild:#x}: {error}");
        assert_eq!(segment.arena().remaining(), 0);
    }
}

#[test]
fn pieces_taken_by_several_threads_do_not_overlap() {
    let segment = anonymous();
    let mut pieces: Vec<u64> = std::thread::scope(|scope| {
        let takers: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    (0..100)
                        .map(|_| segment.arena().alloc(40, 8).unwrap().get())
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        takers.into_iter().flat_map(|taker| taker.join().unwrap()).collect()
    });
    pieces.sort_unstable();
    assert_eq!(pieces.len(), 400);
    assert!(pieces.windows(2).all(|pair| pair[1] - pair[0] >= 40));
}

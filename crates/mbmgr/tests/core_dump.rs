//! Keys and what is derived from them stay out of core dumps: a child with keys in every place where a
//! manager keeps them is made to dump core by the kernel, and the dump is searched.

#![expect(unsafe_code, reason = "takes back the advice that keeps the segment out of dumps")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use mbmgr::{Algorithm, Config, Direction, Job, Key, Manager, Options};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::Signal;
use nix::sys::wait::WaitStatus;
use shmem::Segment;

#[expect(dead_code, reason = "shared by several test programs")]
mod common;
use common::{Board, Child, bytes, job, reopen};

const CONFIG: Config = Config { ring: 32, lanes: 16, keys: 4 };
/// A word that the child keeps on its heap, so that a search that finds nothing cannot pass.
const MARKER: u64 = 0x6d61_726b_6572_2121;

/// Byte `i` of key number `n`, by itself: no copy of the key may be made in making it.
fn key_byte(n: u64, i: u64) -> u8 {
    let mut z = (n * 1000 + i + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (z ^ (z >> 27)).to_le_bytes()[5]
}

fn with_key<T>(n: u64, len: u64, use_it: impl FnOnce(&[u8]) -> T) -> T {
    let mut key: Vec<u8> = (0..len).map(|i| key_byte(n, i)).collect();
    let used = use_it(&key);
    for byte in &mut key {
        *std::hint::black_box(byte) = 0;
    }
    std::hint::black_box(&key);
    used
}

/// Fills a manager with keys and jobs that wait, and some that were run.
fn fill(segment: &Arc<Segment>) -> Manager {
    let mut manager = Manager::create(segment, &CONFIG, &Options::default()).unwrap();
    let small = with_key(0, 16, |key| manager.add_key(Key::Aes(key)).unwrap());
    let large = with_key(1, 32, |key| manager.add_key(Key::Aes(key)).unwrap());
    let mac = with_key(2, 40, |key| manager.add_key(Key::HmacSha256(key)).unwrap());
    for user in 0..20 {
        manager.submit(&job(segment, small, user)).unwrap();
        let at = segment.arena().alloc(256, 64).unwrap();
        let ctr = Job::cipher(Algorithm::Aes256Ctr, Direction::Encrypt, large, &[1; 16]).unwrap();
        manager.submit(&ctr.in_place(at, 100)).unwrap();
        let digest = segment.arena().alloc(64, 64).unwrap();
        let tag = Job::mac(Algorithm::HmacSha256, mac).from_to(at, digest, 200);
        manager.submit(&tag).unwrap();
        if user == 10 {
            while manager.flush().unwrap().is_some() {}
        }
    }
    manager
}

/// A child that dumps core, and where the dump is.
fn dump(segment: &Arc<Segment>, dir: &Path, dump_segment_too: bool) -> (PathBuf, u64) {
    let board = Board::new();
    let child = {
        let (segment, dir) = (reopen(segment), dir.to_owned());
        Child::run(move || {
            let dump_segment_too = std::hint::black_box(dump_segment_too);
            let marker = Box::new([MARKER; 4]);
            std::env::set_current_dir(dir).unwrap();
            let (_, hard) = getrlimit(Resource::RLIMIT_CORE).unwrap();
            setrlimit(Resource::RLIMIT_CORE, hard, hard).unwrap();
            let manager = fill(&segment);
            if dump_segment_too {
                let at = std::ptr::with_exposed_provenance_mut(segment.address());
                let len = usize::try_from(segment.len()).unwrap();
                // SAFETY: advice about our own mapping.
                assert_eq!(unsafe { libc::madvise(at, len, libc::MADV_DODUMP) }, 0);
            }
            board.put(1, std::ptr::from_ref(&dump_segment_too).addr() as u64);
            board.put(0, 1);
            std::hint::black_box((&manager, &marker));
            std::process::abort();
        })
    };
    let pid = child.0;
    let ended = child.end();
    assert_eq!(board.get(0), 1, "the child did not come to its end: {ended:?}");
    assert!(matches!(ended, WaitStatus::Signaled(_, Signal::SIGABRT, true)), "{ended:?}");
    let found = [format!("core.{pid}"), "core".to_owned()].map(|name| dir.join(name));
    let found = found.into_iter().find(|path| path.exists());
    (found.expect("the core dump is in the child's directory"), board.get(1))
}

/// Everything secret that the key table holds, in both byte orders, in pieces that mean something.
fn secrets(segment: &Segment) -> Vec<Vec<u8>> {
    let table = segment.root(0).unwrap().unwrap().get() + 256 + 8384;
    let mut secrets = vec![];
    for entry in 0..3 {
        let at = shmem::Offset::new(table + entry * 512 + 16);
        let material = bytes(segment, at, 480);
        for piece in material.chunks(16).filter(|piece| piece.iter().any(|&byte| byte != 0)) {
            secrets.push(piece.to_vec());
            let swapped = piece.chunks(4).flat_map(|word| word.iter().rev().copied());
            secrets.push(swapped.collect());
        }
    }
    for (n, len) in [(0, 16), (1, 32), (2, 40)] {
        secrets.push((0..len).map(|i| key_byte(n, i)).collect());
    }
    secrets
}

/// The memory in a core dump, without its notes. Those hold the vector registers, in which the round
/// keys of the last run stay until something else uses them, and without the stack of the thread that
/// called, where its frames may have spilled some: neither can be kept from a dump, nor is cleared.
fn memory_of(core: &[u8], on_stack: u64) -> Vec<u8> {
    let number = |at: usize, len: usize| {
        let bytes = core[at..at + len].iter().rev();
        bytes.fold(0_usize, |value, &byte| value << 8 | usize::from(byte))
    };
    let (headers, size, count) = (number(32, 8), number(54, 2), number(56, 2));
    let mut memory = Vec::with_capacity(core.len());
    for header in (0..count).map(|i| headers + i * size) {
        const LOAD: usize = 1;
        if number(header, 4) == LOAD {
            let (at, len) = (number(header + 8, 8), number(header + 32, 8));
            let address = number(header + 16, 8) as u64;
            if (address..address + len as u64).contains(&on_stack) {
                continue;
            }
            memory.extend_from_slice(&core[at..at + len]);
        }
    }
    memory
}

fn occurrences(haystack: &[u8], needle: &[u8]) -> usize {
    let mut count = 0;
    let mut from = 0;
    while let Some(at) = haystack[from..].iter().position(|byte| byte == &needle[0]) {
        count += usize::from(haystack[from + at..].starts_with(needle));
        from += at + 1;
    }
    count
}

#[test]
fn core_dump_of_an_owner_holds_no_key() {
    let pattern = std::fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap();
    let (_, hard) = getrlimit(Resource::RLIMIT_CORE).unwrap();
    if pattern.starts_with(['/', '|', '@']) || hard == 0 {
        // Where dumps go elsewhere they cannot be searched; say so rather than pass in silence.
        eprintln!("not checked: core_pattern is {pattern:?}, the limit {hard}");
        return;
    }
    let dir = std::env::temp_dir().join(format!("takeover-core-{}", std::process::id()));
    std::fs::create_dir(&dir).unwrap();
    let mut found = Vec::new();
    for dump_segment_too in [false, true] {
        let options = shmem::SegmentOptions {
            len: Manager::segment_len(&CONFIG, 1 << 16),
            layout_hash: mbmgr::LAYOUT_HASH,
            ..shmem::SegmentOptions::default()
        };
        let segment = Segment::create_anonymous("core", &options).unwrap();
        let (core, on_stack) = dump(&segment, &dir, dump_segment_too);
        let dumped = memory_of(&std::fs::read(&core).unwrap(), on_stack);
        std::fs::remove_file(core).unwrap();
        assert!(occurrences(&dumped, &MARKER.to_ne_bytes()) >= 4, "the dump holds the heap");
        let secrets = secrets(&segment);
        assert!(secrets.len() > 100);
        found.push(secrets.iter().filter(|secret| occurrences(&dumped, secret) > 0).count());
    }
    std::fs::remove_dir_all(&dir).unwrap();
    assert!(found[1] > 50, "a dump with the segment shows what would be found: {found:?}");
    assert_eq!(found[0], 0, "pieces of keys or schedules in the memory of the dump");
}

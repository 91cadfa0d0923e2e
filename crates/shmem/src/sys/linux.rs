//! Memory on Linux: POSIX shared memory, memfd, mappings at an address.
//! `segment.rs`, `placement.rs` and `name.rs` call it. Named files survive their process.

#![expect(unsafe_code, reason = "system calls")]

use std::fs::File;
use std::io;
use std::num::NonZeroUsize;
use std::os::fd::OwnedFd;
use std::ptr::NonNull;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, SealFlag, fcntl, posix_fallocate};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::mman::{
    MapFlags, MmapAdvise, ProtFlags, madvise, mmap, munmap, shm_open, shm_unlink,
};
use nix::sys::resource::{Resource, getrlimit};
use nix::sys::stat::Mode;
use nix::sys::statvfs::statvfs;

use crate::placement::MapRequest;

/// Where POSIX shared memory shows its names.
const NAMES: &str = "/dev/shm";

/// Where identical placement puts segments: far from what the loader, the heap, the stacks and the
/// sanitizers use, at multiples of 1 GiB.
const WINDOW_START: usize = 0x2000_0000_0000;
const WINDOW_SLOT: usize = 1 << 30;
const WINDOW_SLOTS: u64 = 1 << 14;

pub(crate) fn create_named(name: &str) -> io::Result<File> {
    let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_RDWR | OFlag::O_CLOEXEC;
    Ok(shm_open(slashed(name).as_str(), flags, Mode::S_IRUSR | Mode::S_IWUSR)?.into())
}

pub(crate) fn open_named(name: &str) -> io::Result<File> {
    let flags = OFlag::O_RDWR | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW;
    Ok(shm_open(slashed(name).as_str(), flags, Mode::empty())?.into())
}

pub(crate) fn unlink_named(name: &str) -> io::Result<()> {
    Ok(shm_unlink(slashed(name).as_str())?)
}

fn slashed(name: &str) -> String {
    format!("/{name}")
}

/// Bytes that are left for named memory; `None` where its file system has no limit of its own.
pub(crate) fn free_named() -> io::Result<Option<u64>> {
    let system = statvfs(NAMES)?;
    let is_limited = system.blocks() > 0;
    Ok(is_limited.then(|| system.blocks_available().saturating_mul(system.fragment_size())))
}

/// Every name of shared memory on this system, ours or not.
pub(crate) fn segment_names() -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(NAMES)? {
        if let Ok(name) = entry?.file_name().into_string() {
            names.push(name);
        }
    }
    Ok(names)
}

/// Sets the length and reserves the memory, so that a full system is an error here and not a
/// SIGBUS later.
pub(crate) fn set_len_and_reserve(file: &File, len: u64) -> io::Result<()> {
    set_len(file, len)?;
    let len = i64::try_from(len).map_err(|_| Errno::EFBIG)?;
    loop {
        match posix_fallocate(file, 0, len) {
            Err(Errno::EINTR) => {}
            other => return Ok(other?),
        }
    }
}

/// Beyond RLIMIT_FSIZE the system sends SIGXFSZ, which ends the process: an error is better.
fn set_len(file: &File, len: u64) -> io::Result<()> {
    let (limit, _) = getrlimit(Resource::RLIMIT_FSIZE)?;
    if len > limit {
        let what = format!("RLIMIT_FSIZE allows files of {limit} bytes, not of {len}: raise it");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, what));
    }
    file.set_len(len)
}

/// A file without a name, of this length for good.
pub(crate) fn create_anonymous(label: &str, len: u64) -> io::Result<File> {
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    let fd: OwnedFd = memfd_create(label, flags)?;
    let file = File::from(fd);
    set_len(&file, len)?;
    let seals = SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SEAL;
    fcntl(&file, FcntlArg::F_ADD_SEALS(seals))?;
    Ok(file)
}

/// A mapping at an address that we asked for; unmapped when dropped.
pub(crate) struct FixedMapping {
    base: NonNull<u8>,
    len: usize,
}

impl FixedMapping {
    pub(crate) fn base(&self) -> NonNull<u8> {
        self.base
    }
}

impl Drop for FixedMapping {
    fn drop(&mut self) {
        // SAFETY: exactly the mapping that `map_fixed` made, and nobody refers to it any more.
        let _ = unsafe { munmap(self.base.cast(), self.len) };
    }
}

/// Maps a file at exactly `address`; `None` where something lies there already.
pub(crate) fn map_fixed(
    file: &File,
    address: usize,
    request: MapRequest,
) -> io::Result<Option<FixedMapping>> {
    let len = NonZeroUsize::new(request.len).ok_or(Errno::EINVAL)?;
    let mut flags = MapFlags::MAP_FIXED_NOREPLACE;
    flags |= if request.private { MapFlags::MAP_PRIVATE } else { MapFlags::MAP_SHARED };
    if request.populate {
        flags |= MapFlags::MAP_POPULATE;
    }
    let access = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
    // SAFETY: NOREPLACE never takes the place of a mapping that exists.
    let base = match unsafe { mmap(NonZeroUsize::new(address), len, access, flags, file, 0) } {
        Ok(base) => base.cast(),
        Err(Errno::EEXIST) => return Ok(None),
        Err(e) => return Err(e.into()),
    };
    let mapping = FixedMapping { base, len: request.len };
    // A kernel too old for NOREPLACE takes the address for a hint.
    Ok((base.as_ptr().addr() == address).then_some(mapping))
}

/// The line of the memory map that first overlaps the range.
pub(crate) fn occupant(address: usize, len: usize) -> Option<String> {
    let end = address.saturating_add(len);
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    maps.lines().find(|line| overlaps(line, address, end).unwrap_or(false)).map(|line| {
        // The name stands in a far column; one space is enough in a message.
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    })
}

fn overlaps(line: &str, address: usize, end: usize) -> Option<bool> {
    let (from, to) = line.split_whitespace().next()?.split_once('-')?;
    let from = usize::from_str_radix(from, 16).ok()?;
    let to = usize::from_str_radix(to, 16).ok()?;
    Some(from < end && to > address)
}

/// An address that other processes are likely to have free, another one each time: two segments of
/// two creators must fit into one process.
pub(crate) fn placement_address() -> usize {
    let slot = (random_u64() % WINDOW_SLOTS) as usize;
    WINDOW_START + slot * WINDOW_SLOT
}

/// Keeps keys and data out of core dumps; where that is refused, we go on.
pub(crate) fn keep_out_of_core_dumps(base: NonNull<u8>, len: usize) {
    // SAFETY: advice about a mapping that the caller just made; it changes no byte.
    let _ = unsafe { madvise(base.cast(), len, MmapAdvise::MADV_DONTDUMP) };
}

pub(crate) fn page_size() -> usize {
    // SAFETY: reads a constant of the system.
    usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096)
}

/// A random number, also in a forked child another than its parent's.
pub(crate) fn random_u64() -> u64 {
    let mut bytes = [0u8; 8];
    // SAFETY: the buffer is ours, of the length given.
    let got = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
    if usize::try_from(got) == Ok(bytes.len()) {
        return u64::from_ne_bytes(bytes);
    }
    // Only a system without the call comes here; O_EXCL still keeps names apart.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let nanos = now.map_or(0, |d| u64::from(d.subsec_nanos()) ^ (d.as_secs() << 30));
    nanos ^ (u64::from(std::process::id()) << 40)
}

//! A segment: a file in memory that several processes map, with a header, roots and an arena.
//!
//! Everything above works on one, through checked offsets. A segment outlives its processes: the
//! bytes that they stored, in the order in which they stored them, are what a successor finds. A
//! named one stays until it is unlinked, an anonymous one until its last descriptor is closed.

#![expect(unsafe_code, reason = "turns checked offsets into references and pointers")]

use std::fmt;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::gate::GatedFile;
use crate::layout::{self, FLAG_POPULATE, HEADER_LEN, Header, MAGIC, Shared, VERSION};
use crate::placement::{MapRequest, Mapping};
use crate::{Arena, Error, Offset, Owner, Placement, Result, SegmentName, bytes, sys};

/// What a new segment shall be.
#[derive(Clone, Debug, Default)]
pub struct SegmentOptions {
    /// Its length in bytes, with the header's [`HEADER_LEN`].
    pub len: u64,
    /// Where it lies in memory.
    pub placement: Placement,
    /// A hash of the layout of what the client keeps in it; who opens it must give the same.
    pub layout_hash: u64,
    /// Map every page at once, here and for those who open it.
    pub populate: bool,
}

/// A mapped segment.
pub struct Segment {
    base: NonNull<u8>,
    len: u64,
    arena_start: u64,
    arena_end: u64,
    file: GatedFile,
    name: Option<SegmentName>,
    /// Writes stay in this process.
    private: bool,
    /// Keeps `base` valid.
    _mapping: Mapping,
}

// SAFETY: `base` stays mapped as long as the segment lives, and all access through it is atomic, or
// by raw pointers whose use is the caller's to justify.
unsafe impl Send for Segment {}
// SAFETY: as above.
unsafe impl Sync for Segment {}

impl Segment {
    /// Creates a named segment, mode 0600. A name that exists is refused; a full system too.
    pub fn create_named(name: &SegmentName, options: &SegmentOptions) -> Result<Arc<Segment>> {
        layout::check_len(options.len)?;
        let file = sys::create_named(name.as_str()).map_err(|e| match e.kind() {
            std::io::ErrorKind::AlreadyExists => Error::Exists { name: name.to_string() },
            _ => Error::system("shm_open", e),
        })?;
        let made = sys::set_len_and_reserve(&file, options.len)
            .map_err(|e| Error::system("reserving memory for the segment", e))
            .and_then(|()| Segment::initialise(file, Some(name.clone()), options));
        if made.is_err() {
            // The name is ours since O_EXCL; the first error is the one to report.
            let _ = sys::unlink_named(name.as_str());
        }
        made
    }

    /// Creates a segment without a name, to be passed on by descriptor. It is sealed: its file can
    /// neither shrink nor grow.
    pub fn create_anonymous(label: &str, options: &SegmentOptions) -> Result<Arc<Segment>> {
        layout::check_len(options.len)?;
        let file = sys::create_anonymous(label, options.len)
            .map_err(|e| Error::system("memfd_create", e))?;
        Segment::initialise(file, None, options)
    }

    /// Bytes that named segments may still take on this system; `None` where nothing but memory limits
    /// them. Anonymous segments take none of it.
    pub fn room_for_named() -> Result<Option<u64>> {
        sys::free_named().map_err(|e| Error::system("looking for room for segments", e))
    }

    /// Opens a named segment.
    pub fn open_named(
        name: &SegmentName,
        placement: Placement,
        layout_hash: u64,
    ) -> Result<Arc<Segment>> {
        let file = sys::open_named(name.as_str()).map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => Error::NotFound { name: name.to_string() },
            _ => Error::system("shm_open", e),
        })?;
        Segment::attach(file, Some(name.clone()), placement, layout_hash, false)
    }

    /// Opens the segment behind a descriptor.
    pub fn open_fd(fd: OwnedFd, placement: Placement, layout_hash: u64) -> Result<Arc<Segment>> {
        Segment::attach(File::from(fd), None, placement, layout_hash, false)
    }

    /// Opens the segment behind a descriptor as a copy of its present state: what this process
    /// writes stays in this process. Pages not written here still follow the original.
    pub fn open_private_copy(
        fd: OwnedFd,
        placement: Placement,
        layout_hash: u64,
    ) -> Result<Arc<Segment>> {
        Segment::attach(File::from(fd), None, placement, layout_hash, true)
    }

    /// Removes a name. Whoever has the segment mapped keeps it. No such name is no error.
    pub fn unlink(name: &SegmentName) -> Result<()> {
        match sys::unlink_named(name.as_str()) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::system("shm_unlink", e))
            }
            _ => Ok(()),
        }
    }

    /// The descriptor, to be passed to a child; it closes on exec unless the caller clears that.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.file.get().as_fd()
    }

    /// The name, where it was made or opened by name.
    pub fn name(&self) -> Option<&SegmentName> {
        self.name.as_ref()
    }

    /// The length in bytes, header included.
    #[expect(clippy::len_without_is_empty, reason = "no segment is empty: it has a header")]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Maps the pages that are in use now, so that a takeover does not wait for them one by one. Where
    /// the system refuses, they come when they are touched.
    pub fn prefault(&self) {
        if self.private {
            // It would copy every page.
            return;
        }
        let used = self.len.saturating_sub(self.arena().remaining());
        sys::populate(self.base, usize::try_from(used).unwrap_or(0));
    }

    /// Keeps the segment's pages in memory, never swapped out: needs RLIMIT_MEMLOCK of its length.
    pub fn lock_memory(&self) -> Result<()> {
        sys::lock_memory(self.base, usize::try_from(self.len).unwrap_or(usize::MAX))
            .map_err(|e| Error::system("mlock (see RLIMIT_MEMLOCK)", e))
    }

    /// The address of the header in this process.
    pub fn address(&self) -> usize {
        self.base.as_ptr().addr()
    }

    /// Who created the segment, as the header says: for messages, not for decisions.
    pub fn creator(&self) -> Owner {
        let header = self.header();
        // Relaxed: written before the magic, which was read with Acquire when opening.
        let part = |word: &AtomicU64| word.load(Ordering::Relaxed);
        Owner {
            pid: u32::try_from(part(&header.creator_pid)).unwrap_or(0),
            start_time: part(&header.creator_start_time),
            boot_id: u128::from(part(&header.creator_boot_id[0])) << 64
                | u128::from(part(&header.creator_boot_id[1])),
            namespace: part(&header.creator_namespace),
        }
    }

    /// The object of type `T` at `at`: bounds and alignment are checked.
    #[inline]
    pub fn shared<T: Shared>(&self, at: Offset) -> Result<&T> {
        let object = self.pointer(at, size_of::<T>() as u64)?.cast::<T>();
        if !object.is_aligned() {
            return Err(Error::Misaligned { at, align: align_of::<T>() });
        }
        // SAFETY: in bounds of a mapping that lives as long as `self`, and aligned; `T: Shared` has
        // no invalid bit pattern and is all atomics, so changes by others are no data race.
        Ok(unsafe { object.as_ref() })
    }

    /// `count` objects of type `T` from `at` on: bounds and alignment are checked.
    pub fn shared_slice<T: Shared>(&self, at: Offset, count: usize) -> Result<&[T]> {
        let len = (size_of::<T>() as u64).saturating_mul(count as u64);
        let first = self.pointer(at, len)?.cast::<T>();
        if !first.is_aligned() {
            return Err(Error::Misaligned { at, align: align_of::<T>() });
        }
        // SAFETY: as in `shared`; all `count` objects were checked to lie in the mapping, whose
        // length fits an `isize`.
        Ok(unsafe { std::slice::from_raw_parts(first.as_ptr(), count) })
    }

    /// A pointer to `len` bytes from `at` on, all in the segment and behind the header. Others may
    /// be changing them; what is done with the pointer is the caller's to justify.
    #[inline]
    pub fn pointer(&self, at: Offset, len: u64) -> Result<NonNull<u8>> {
        self.pointer_from(HEADER_LEN, at, len)
    }

    /// Copies bytes out, from anywhere in the segment, also the header. Bytes that change meanwhile
    /// come out old or new.
    pub fn read(&self, at: Offset, into: &mut [u8]) -> Result<()> {
        let from = self.pointer_from(0, at, into.len() as u64)?;
        // SAFETY: the range was just checked to lie in the mapping.
        unsafe { bytes::copy_out(from.as_ptr(), into) };
        Ok(())
    }

    /// Copies bytes in.
    pub fn write(&self, at: Offset, from: &[u8]) -> Result<()> {
        let to = self.pointer(at, from.len() as u64)?;
        // SAFETY: the range was just checked to lie in the mapping, behind the header.
        unsafe { bytes::copy_in(to.as_ptr(), from) };
        Ok(())
    }

    /// Overwrites with zeros, which the compiler may not leave out.
    pub fn zeroize(&self, at: Offset, len: u64) -> Result<()> {
        let to = self.pointer(at, len)?;
        let len = usize::try_from(len).map_err(|_| self.out_of_bounds(HEADER_LEN, at, len))?;
        // SAFETY: the range was just checked to lie in the mapping, behind the header.
        unsafe { bytes::zeroize(to.as_ptr(), len) };
        Ok(())
    }

    /// The part that is given out piece by piece.
    #[inline]
    pub fn arena(&self) -> Arena<'_> {
        Arena::new(self, self.arena_start, self.arena_end)
    }

    /// The file behind the mapping.
    pub(crate) fn file(&self) -> &File {
        self.file.get()
    }

    /// Whether what this process writes stays in it: [`Segment::open_private_copy`].
    pub(crate) fn is_private(&self) -> bool {
        self.private
    }

    /// The header, which is in bounds of every segment that was created or opened.
    #[inline]
    pub(crate) fn header(&self) -> &Header {
        // SAFETY: `initialise` and `attach` made sure that a page-aligned mapping of at least
        // `HEADER_LEN` bytes begins at `base`; `Header` is `Shared`.
        unsafe { self.base.cast::<Header>().as_ref() }
    }

    #[inline]
    fn pointer_from(&self, start: u64, at: Offset, len: u64) -> Result<NonNull<u8>> {
        if at.get() < start || at.get() > self.len || len > self.len - at.get() {
            return Err(self.out_of_bounds(start, at, len));
        }
        // SAFETY: at ≤ len, the mapping's length, which fits an `isize` (`check_len`). The cast
        // loses nothing for the same reason.
        #[expect(clippy::cast_possible_truncation, reason = "checked to be at most len")]
        Ok(unsafe { self.base.add(at.get() as usize) })
    }

    #[cold]
    pub(crate) fn out_of_bounds(&self, start: u64, at: Offset, len: u64) -> Error {
        Error::OutOfBounds { at, len, start, end: self.len }
    }

    /// Maps a new file and writes its header, the magic last.
    fn initialise(
        file: File,
        name: Option<SegmentName>,
        options: &SegmentOptions,
    ) -> Result<Arc<Segment>> {
        let request = MapRequest {
            len: layout::check_len(options.len)?,
            populate: options.populate,
            private: false,
        };
        let mapping = Mapping::create(&file, request, options.placement)?;
        let segment = Segment::assemble(file, name, mapping, request, HEADER_LEN, options.len)?;
        let header = segment.header();
        let creator = Owner::current();
        let [boot_high, boot_low] = creator.boot_words();
        let flags = if options.populate { FLAG_POPULATE } else { 0 };
        // Relaxed: the magic's Release publishes them.
        header.version.store(VERSION, Ordering::Relaxed);
        header.flags.store(flags, Ordering::Relaxed);
        header.layout_hash.store(layout::mixed_hash(options.layout_hash), Ordering::Relaxed);
        header.len.store(options.len, Ordering::Relaxed);
        header.address.store(segment.address() as u64, Ordering::Relaxed);
        header.creator_pid.store(u64::from(creator.pid), Ordering::Relaxed);
        header.creator_start_time.store(creator.start_time, Ordering::Relaxed);
        header.creator_boot_id[0].store(boot_high, Ordering::Relaxed);
        header.creator_boot_id[1].store(boot_low, Ordering::Relaxed);
        header.creator_namespace.store(creator.namespace, Ordering::Relaxed);
        header.arena_start.store(HEADER_LEN, Ordering::Relaxed);
        header.arena_end.store(options.len, Ordering::Relaxed);
        header.arena_next.store(HEADER_LEN, Ordering::Relaxed);
        // Commits: the segment exists. Release pairs with the Acquire fence in `checked_header`.
        header.magic.store(MAGIC, Ordering::Release);
        Ok(Arc::new(segment))
    }

    /// Checks the header of an existing file, then maps it.
    fn attach(
        file: File,
        name: Option<SegmentName>,
        placement: Placement,
        layout_hash: u64,
        private: bool,
    ) -> Result<Arc<Segment>> {
        let mut header = layout::checked_header(&file, layout_hash)?;
        let len = layout::check_len(*header.len.get_mut())?;
        let address = *header.address.get_mut();
        let address = usize::try_from(address)
            .ok()
            .filter(|&a| a != 0 && a % sys::page_size() == 0 && a.checked_add(len).is_some())
            .ok_or_else(|| Error::corrupt(format!("creator's address {address:#x}")))?;
        // A private copy would copy every page if it were populated.
        let populate = *header.flags.get_mut() & FLAG_POPULATE != 0 && !private;
        let request = MapRequest { len, populate, private };
        let mapping = Mapping::open(&file, request, placement, address)?;
        let (start, end) = (*header.arena_start.get_mut(), *header.arena_end.get_mut());
        Ok(Arc::new(Segment::assemble(file, name, mapping, request, start, end)?))
    }

    fn assemble(
        file: File,
        name: Option<SegmentName>,
        mapping: Mapping,
        request: MapRequest,
        arena_start: u64,
        arena_end: u64,
    ) -> Result<Segment> {
        let base = mapping.base().ok_or_else(|| Error::corrupt("mapped at address zero"))?;
        sys::keep_out_of_core_dumps(base, request.len);
        let (len, private) = (request.len as u64, request.private);
        let file = GatedFile::new(file);
        Ok(Segment { base, len, arena_start, arena_end, file, name, private, _mapping: mapping })
    }
}

impl fmt::Debug for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Segment")
            .field("name", &self.name)
            .field("len", &self.len)
            .field("address", &format_args!("{:#x}", self.address()))
            .finish_non_exhaustive()
    }
}

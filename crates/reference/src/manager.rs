//! A manager of the library: in memory of the process, as most users have it, or in a segment, as its
//! own multi-process test has it. Called by the benchmark and by the sweep's subject. In a segment
//! its state survives a crash, as the library left it.
#![expect(unsafe_code, reason = "calls the library through the shim")]

use std::ffi::{CStr, c_int, c_void};
use std::ptr::{self, NonNull};
use std::sync::Arc;

use shmem::{Offset, Segment};

use crate::batch::Batch;
use crate::error::{Error, Result};
use crate::ffi::{self, RawDone, RawJob};
use crate::home::Home;
use crate::words::{Algorithm, Architecture, Direction, Done, Key, Request};

/// The most jobs of one burst.
pub const MAX_BURST: u32 = 128;
/// The most jobs that are outstanding.
pub const MAX_QUEUE: usize = 256;

/// The version of the library that is in use.
#[must_use]
pub fn version() -> String {
    // SAFETY: the library returns a constant string that ends with 0.
    unsafe { CStr::from_ptr(ffi::reference_version()) }.to_string_lossy().into_owned()
}

/// Bytes of the manager alone.
fn raw_size() -> u64 {
    // SAFETY: has no preconditions.
    unsafe { ffi::reference_size() as u64 }
}

/// A manager of the library.
pub struct Manager {
    raw: NonNull<c_void>,
    home: Home,
    in_process: bool,
    sequence: u64,
}

// SAFETY: the manager is memory that no thread is tied to; the library keeps an error number for each
// thread only.
unsafe impl Send for Manager {}

impl Drop for Manager {
    fn drop(&mut self) {
        if self.in_process {
            // SAFETY: `in_process` took it from `reference_allocate`, and it is freed once.
            unsafe { ffi::reference_free(self.raw.as_ptr()) }
        }
    }
}

impl Manager {
    /// Bytes that a manager with its keys and IVs takes in the arena.
    #[must_use]
    pub fn size() -> u64 {
        Home::bytes(raw_size())
    }

    /// A manager in memory of the process; its keys, IVs and buffers lie in `segment`.
    ///
    /// # Errors
    /// [`Error::Unavailable`], or the segment's.
    pub fn in_process(segment: &Arc<Segment>, architecture: Architecture) -> Result<Manager> {
        let home = Home::create(segment, 0)?;
        // SAFETY: has no preconditions.
        let raw = NonNull::new(unsafe { ffi::reference_allocate(architecture.number()) })
            .ok_or(Error::Unavailable(architecture.name()))?;
        Manager { raw, home, in_process: true, sequence: 0 }.expect(architecture)
    }

    /// A manager in the segment; its root is published last.
    ///
    /// # Errors
    /// [`Error::Unavailable`], or the segment's.
    pub fn create(segment: &Arc<Segment>, architecture: Architecture) -> Result<Manager> {
        let home = Home::create(segment, raw_size())?;
        let memory = home.segment.pointer(home.manager(), raw_size())?;
        // SAFETY: `memory` is `reference_size` bytes on a line's boundary, which `home` allocated for
        // this and keeps mapped.
        let raw = unsafe { ffi::reference_place(memory.as_ptr().cast(), architecture.number()) };
        let raw = NonNull::new(raw).ok_or(Error::Unavailable(architecture.name()))?;
        let manager = Manager { raw, home, in_process: false, sequence: 0 }.expect(architecture)?;
        segment.publish_root(0, manager.home.at())?;
        Ok(manager)
    }

    /// Attaches to the manager at root 0, as the library's own secondary does: the pointers are set
    /// again, the state is kept.
    ///
    /// # Errors
    /// [`Error::NoManager`], [`Error::Moved`], or the segment's.
    pub fn attach(segment: &Arc<Segment>) -> Result<Manager> {
        let home = Home::open(segment, 0, raw_size())?;
        let memory = home.segment.pointer(home.manager(), raw_size())?;
        // SAFETY: as in `create`; the memory was made a manager by it, at this address.
        let raw = unsafe { ffi::reference_attach(memory.as_ptr().cast()) };
        let raw = NonNull::new(raw).ok_or(Error::Unavailable("the manager's own"))?;
        let sequence = home.submitted()?;
        Ok(Manager { raw, home, in_process: false, sequence })
    }

    /// The library falls back silently where it lacks the code that was asked for.
    fn expect(self, architecture: Architecture) -> Result<Manager> {
        let expected = match architecture {
            Architecture::Auto => None,
            other => Some(other),
        };
        match expected {
            Some(expected) if self.architecture() != expected => {
                Err(Error::Unavailable(architecture.name()))
            }
            _ => Ok(self),
        }
    }

    /// The code that is in use.
    #[must_use]
    pub fn architecture(&self) -> Architecture {
        // SAFETY: `raw` is a manager.
        match unsafe { ffi::reference_architecture(self.raw.as_ptr()) } {
            2 => Architecture::Sse,
            3 => Architecture::Avx,
            4 => Architecture::Avx2,
            5 => Architecture::Avx512,
            _ => Architecture::Auto,
        }
    }

    /// The segment of keys, IVs and buffers.
    #[must_use]
    pub fn segment(&self) -> &Arc<Segment> {
        &self.home.segment
    }

    /// Jobs submitted and not returned, as the library counts them.
    #[must_use]
    pub fn queue_len(&self) -> u64 {
        // SAFETY: `raw` is a manager.
        u64::from(unsafe { ffi::reference_queue(self.raw.as_ptr()) })
    }

    /// Adds a key for jobs of `algorithm`.
    ///
    /// # Errors
    /// [`Error::KeyLength`], [`Error::KeyTableFull`], or the segment's.
    pub fn add_key(&mut self, algorithm: Algorithm, key: &[u8]) -> Result<Key> {
        let refused = || Error::KeyLength { algorithm: algorithm.name(), len: key.len() };
        match algorithm {
            Algorithm::Cbc | Algorithm::Ctr if matches!(key.len(), 16 | 24 | 32) => {}
            Algorithm::HmacSha256 | Algorithm::HmacSha512 if !key.is_empty() => {}
            _ => return Err(refused()),
        }
        let kind = algorithm.key_kind() | (key.len() as u64) << 8;
        let index = self.home.take_key(kind)?;
        let [first, second] = self.home.material(index);
        let half = |at| self.home.segment.pointer(at, 240).map(|p| p.as_ptr().cast::<c_void>());
        let (first, second) = (half(first)?, half(second)?);
        let raw = self.raw.as_ptr();
        let (bytes, len) = (key.as_ptr(), key.len() as u64);
        let failed = if algorithm.is_cipher() {
            // SAFETY: `raw` is a manager, the key has the length that is given, each half holds 15
            // round keys on a boundary of 16.
            unsafe { ffi::reference_expand(raw, bytes, len, first, second) }
        } else {
            let number = algorithm.number();
            // SAFETY: `raw` is a manager, the key has the length that is given, each half holds a
            // state of the hash.
            unsafe { ffi::reference_pads(raw, number, bytes, len, first, second) }
        };
        if failed != 0 { Err(refused()) } else { Ok(Key { index }) }
    }

    /// Checks a request, as the job that the shim takes; its IV lies at `iv`.
    pub(crate) fn prepare(&self, request: &Request, iv: Option<Offset>) -> Result<RawJob> {
        let (algorithm, segment) = (request.algorithm, self.segment());
        let tag_len = match request.tag_len {
            0 => algorithm.digest_len(),
            len => u64::from(len).min(algorithm.digest_len()),
        };
        let out = if algorithm.is_cipher() { request.len } else { tag_len };
        for (what, at, len) in
            [("source", request.src, request.len), ("destination", request.dst, out)]
        {
            if !segment.arena().contains(at, len) {
                return Err(Error::ForeignBuffer { what, at, len });
            }
        }
        let mismatch = || Error::KeyKind { algorithm: algorithm.name() };
        let (key, key_len) = match request.key {
            Some(key) => {
                let kind = self.home.key_kind(key.index)?.ok_or_else(mismatch)?;
                if kind & 0xff != algorithm.key_kind() {
                    return Err(mismatch());
                }
                let [first, second] = self.home.material(key.index);
                let half = |at| segment.pointer(at, 240).map(|p| p.as_ptr().cast_const().cast());
                ([half(first)?, half(second)?], kind >> 8)
            }
            None if algorithm.key_kind() == 0 => ([ptr::null(); 2], 0),
            None => return Err(mismatch()),
        };
        let iv = match iv {
            Some(at) => segment.pointer(at, 16)?.as_ptr().cast_const(),
            None => ptr::null(),
        };
        let mut job = RawJob {
            src: segment.pointer(request.src, request.len)?.as_ptr(),
            dst: segment.pointer(request.dst, out)?.as_ptr(),
            len: request.len,
            iv,
            iv_len: u64::from(request.iv_len),
            key,
            key_len,
            tag_len,
            user: request.user,
            user2: 0,
            is_hash: 0,
            cipher_mode: 0,
            cipher_direction: 0,
            hash_alg: 0,
        };
        let direction = u32::from(request.direction == Direction::Decrypt);
        // SAFETY: `job` is the struct that the shim fills.
        match unsafe { ffi::reference_bind(&raw mut job, algorithm.number(), direction) } {
            0 => Ok(job),
            _ => Err(Error::Refused(algorithm.name().to_owned())),
        }
    }

    /// Submits a job; at most one that is complete comes back.
    ///
    /// # Errors
    /// The request's errors, [`Error::QueueFull`], or [`Error::Refused`].
    pub fn submit(&mut self, request: &Request) -> Result<Option<Done>> {
        if self.queue_len() >= MAX_QUEUE as u64 {
            return Err(Error::QueueFull(MAX_QUEUE));
        }
        let iv = match request.iv_len {
            0 => None,
            _ => Some(self.home.store_iv(self.sequence, &request.iv)?),
        };
        let mut job = self.prepare(request, iv)?;
        job.user2 = self.sequence;
        self.sequence += 1;
        self.home.count(self.sequence)?;
        let mut done = RawDone::default();
        // SAFETY: `raw` is a manager with room for a job; `prepare` found the buffers in the arena,
        // which stays mapped, as do keys and IV, until the job comes back or the manager is dropped.
        let came =
            unsafe { ffi::reference_submit(self.raw.as_ptr(), &raw const job, &raw mut done) };
        self.report(came, done)
    }

    /// Finishes at least the earliest job; `None` when nothing is outstanding.
    ///
    /// # Errors
    /// [`Error::Refused`].
    pub fn flush(&mut self) -> Result<Option<Done>> {
        let mut done = RawDone::default();
        // SAFETY: `raw` is a manager; its jobs' memory stays mapped.
        let came = unsafe { ffi::reference_flush(self.raw.as_ptr(), &raw mut done) };
        self.report(came, done)
    }

    /// The next job in order that is complete already.
    ///
    /// # Errors
    /// [`Error::Refused`].
    pub fn completed(&mut self) -> Result<Option<Done>> {
        let mut done = RawDone::default();
        // SAFETY: `raw` is a manager.
        let came = unsafe { ffi::reference_completed(self.raw.as_ptr(), &raw mut done) };
        self.report(came, done)
    }

    fn report(&self, came: c_int, done: RawDone) -> Result<Option<Done>> {
        if came == 0 {
            return Ok(None);
        }
        Ok(Some(Done { sequence: done.user2, user: done.user, complete: done.completed != 0 }))
    }

    /// What the library says of its last error.
    fn error_text(&self) -> String {
        // SAFETY: `raw` is a manager; the library returns a constant string that ends with 0.
        unsafe {
            let error = ffi::reference_error(self.raw.as_ptr());
            CStr::from_ptr(ffi::reference_error_text(error)).to_string_lossy().into_owned()
        }
    }

    /// Submits a batch job by job; returns how many came back complete.
    ///
    /// `checked` validates each job as [`Manager::submit`] does; otherwise the library trusts it.
    ///
    /// # Errors
    /// [`Error::OtherSegment`].
    pub fn submit_all(&mut self, batch: &Batch, checked: bool) -> Result<u64> {
        let jobs = self.jobs(batch)?;
        // SAFETY: `raw` is a manager; `Batch::new` checked the jobs as `submit` does, the library
        // makes room by itself when its queue is full.
        Ok(unsafe {
            ffi::reference_submit_all(
                self.raw.as_ptr(),
                jobs.as_ptr(),
                jobs.len() as u64,
                c_int::from(checked),
            )
        })
    }

    /// Submits a batch in bursts of `burst` jobs, 1 to [`MAX_BURST`]; returns how many came back
    /// complete.
    ///
    /// # Errors
    /// [`Error::OtherSegment`].
    pub fn burst_all(&mut self, batch: &Batch, burst: u32, checked: bool) -> Result<u64> {
        let jobs = self.jobs(batch)?;
        // SAFETY: as in `submit_all`; a burst is not longer than the shim's list.
        Ok(unsafe {
            ffi::reference_burst_all(
                self.raw.as_ptr(),
                jobs.as_ptr(),
                jobs.len() as u64,
                burst.clamp(1, MAX_BURST),
                c_int::from(checked),
            )
        })
    }

    /// Flushes until nothing is outstanding; returns how many came back complete.
    pub fn flush_all(&mut self) -> u64 {
        // SAFETY: `raw` is a manager; its jobs' memory stays mapped.
        unsafe { ffi::reference_flush_all(self.raw.as_ptr()) }
    }

    /// An error unless all that was submitted is complete.
    ///
    /// # Errors
    /// [`Error::Incomplete`].
    pub fn expect_all(&self, completed: u64, submitted: u64) -> Result<()> {
        if completed == submitted {
            return Ok(());
        }
        Err(Error::Incomplete { completed, submitted, text: self.error_text() })
    }

    fn jobs<'a>(&self, batch: &'a Batch) -> Result<&'a [RawJob]> {
        if Arc::ptr_eq(self.segment(), batch.segment()) {
            Ok(batch.jobs())
        } else {
            Err(Error::OtherSegment)
        }
    }
}

//! Jobs of any algorithm that the library has, from raw key to tag, for comparing results. In memory of
//! the process; nothing here survives a crash.
#![expect(unsafe_code, reason = "calls the library through the shim")]

use std::ffi::{c_int, c_void};
use std::ptr::NonNull;
use std::sync::Arc;

use shmem::{Offset, Segment};

use crate::error::{Error, Result};
use crate::ffi;
use crate::words::Architecture;

/// A job, as `struct exact_job` of `exact.c` has it.
#[repr(C)]
struct RawJob {
    key: *const u8,
    key_len: u64,
    iv: *const u8,
    iv_len: u64,
    aad: *const u8,
    aad_len: u64,
    src: *const u8,
    dst: *mut u8,
    len: u64,
    tag: *mut u8,
    tag_len: u64,
    hash_key: *const u8,
    hash_key_len: u64,
    head_len: u64,
    hash_len: u64,
    hash: u32,
    hash_first: u32,
    pieces: *const u64,
    piece_count: u64,
    algorithm: u32,
    decrypt: u32,
    done: u64,
}

unsafe extern "C" {
    fn exact_algorithm(name: *const u8, len: usize) -> i32;
    fn exact_prepare(manager: *mut c_void, jobs: *const RawJob, count: u64) -> *mut c_void;
    fn exact_release(keys: *mut c_void);
    fn exact_again(
        manager: *mut c_void,
        jobs: *mut RawJob,
        keys: *mut c_void,
        count: u64,
        checked: c_int,
    ) -> u64;
    fn exact_finish(manager: *mut c_void) -> u64;
    fn exact_run(manager: *mut c_void, jobs: *mut RawJob, count: u64) -> u64;
}

/// What a job computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExactAlgorithm(u32);

impl ExactAlgorithm {
    /// The library's algorithm of this name, such as `aes-128-gcm`; `None` if it has none.
    #[must_use]
    pub fn named(name: &str) -> Option<ExactAlgorithm> {
        // SAFETY: the bytes of `name` are readable.
        u32::try_from(unsafe { exact_algorithm(name.as_ptr(), name.len()) })
            .ok()
            .map(ExactAlgorithm)
    }
}

/// A job, and after [`Exact::run`] its result.
#[derive(Clone, Debug)]
pub struct ExactJob {
    /// What it computes.
    pub algorithm: ExactAlgorithm,
    /// Whether it decrypts.
    pub decrypt: bool,
    /// The raw key.
    pub key: Vec<u8>,
    /// The IV; empty where there is none.
    pub iv: Vec<u8>,
    /// Associated data of an AEAD.
    pub aad: Vec<u8>,
    /// The message.
    pub source: Vec<u8>,
    /// What comes out, of a cipher or AEAD.
    pub output: Vec<u8>,
    /// What comes out of a hash, MAC, AEAD or chain: as many bytes as it is long.
    pub tag: Vec<u8>,
    /// What a cipher is chained with.
    pub chain: Option<ExactChain>,
    /// Lengths of the message's pieces, of GCM and ChaCha20-Poly1305; none where it comes in one.
    pub pieces: Vec<u64>,
}

/// The hash of a chained job.
#[derive(Clone, Debug)]
pub struct ExactChain {
    /// What it computes; `docsis-crc32` also puts its tag behind what it covers.
    pub algorithm: ExactAlgorithm,
    /// The raw key; empty where there is none.
    pub key: Vec<u8>,
    /// Whether it comes before the cipher.
    pub first: bool,
    /// Bytes before the message that it covers too.
    pub head: Vec<u8>,
    /// Bytes of the message that it covers.
    pub cover: usize,
}

/// A manager of the library in memory of the process.
#[derive(Debug)]
pub struct Exact(NonNull<c_void>);

impl Drop for Exact {
    fn drop(&mut self) {
        // SAFETY: `new` took it from `reference_allocate`, and it is freed once.
        unsafe { ffi::reference_free(self.0.as_ptr()) }
    }
}

impl Exact {
    /// A manager that uses this code.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub fn new(architecture: Architecture) -> Result<Exact> {
        // SAFETY: has no preconditions.
        NonNull::new(unsafe { ffi::reference_allocate(architecture.number()) })
            .map(Exact)
            .ok_or(Error::Unavailable(architecture.name()))
    }

    /// Runs all jobs together, in their order; what comes out is in the jobs.
    ///
    /// # Errors
    /// [`Error::Refused`] with the number of the first job that the library does not complete.
    pub fn run(&mut self, jobs: &mut [ExactJob]) -> Result<()> {
        let raw = |job: &mut ExactJob| {
            let head = job.chain.as_ref().map_or(&[][..], |chain| &chain.head);
            job.output = [head, &job.source].concat();
            let (head, chain) = (head.len(), job.chain.as_ref());
            // A chained job works in place: the library hashes at the source, in both orders.
            let dst = job.output[head..].as_mut_ptr();
            RawJob {
                key: job.key.as_ptr(),
                key_len: job.key.len() as u64,
                iv: job.iv.as_ptr(),
                iv_len: job.iv.len() as u64,
                aad: job.aad.as_ptr(),
                aad_len: job.aad.len() as u64,
                src: if chain.is_some() { dst.cast_const() } else { job.source.as_ptr() },
                dst,
                len: job.source.len() as u64,
                tag: job.tag.as_mut_ptr(),
                tag_len: job.tag.len() as u64,
                hash_key: chain.map_or(std::ptr::null(), |chain| chain.key.as_ptr()),
                hash_key_len: chain.map_or(0, |chain| chain.key.len() as u64),
                head_len: head as u64,
                hash_len: chain.map_or(0, |chain| (head + chain.cover) as u64),
                hash: chain.map_or(0, |chain| chain.algorithm.0 + 1),
                pieces: job.pieces.as_ptr(),
                piece_count: job.pieces.len() as u64,
                hash_first: chain.map_or(0, |chain| u32::from(chain.first)),
                algorithm: job.algorithm.0,
                decrypt: u32::from(job.decrypt),
                done: 0,
            }
        };
        let mut raws: Vec<RawJob> = jobs.iter_mut().map(raw).collect();
        // SAFETY: the manager is one; each pointer is to a vector of the length beside it, which lives
        // in `jobs` and is not touched before the call has returned with nothing outstanding.
        let came = unsafe { exact_run(self.0.as_ptr(), raws.as_mut_ptr(), raws.len() as u64) };
        for job in jobs.iter_mut() {
            let head = job.chain.as_ref().map_or(0, |chain| chain.head.len());
            job.output.drain(..head);
        }
        let first = raws.iter().position(|job| job.done == 0);
        match first {
            None if came == raws.len() as u64 => Ok(()),
            _ => Err(Error::Refused(format!("job {} of a batch", first.unwrap_or_default()))),
        }
    }
}

/// A job of a batch: as [`ExactJob`], its buffers in a segment.
#[derive(Clone, Debug)]
pub struct Placed {
    /// What it computes.
    pub algorithm: ExactAlgorithm,
    /// Whether it decrypts.
    pub decrypt: bool,
    /// The raw key.
    pub key: Vec<u8>,
    /// The IV; empty where there is none.
    pub iv: Vec<u8>,
    /// The message.
    pub src: Offset,
    /// What comes out, of a cipher or AEAD.
    pub dst: Offset,
    /// Bytes of the message.
    pub len: u64,
    /// What comes out of a hash, MAC, AEAD or chain.
    pub tag: Offset,
    /// Its length.
    pub tag_len: u64,
    /// The hash that follows the cipher, over the whole message, and its raw key.
    pub hash: Option<(ExactAlgorithm, Vec<u8>)>,
}

/// Jobs whose keys are expanded once, to be submitted again and again, for the benchmark.
pub struct ExactBatch {
    manager: Exact,
    keys: NonNull<c_void>,
    raws: Vec<RawJob>,
    /// What `raws` lead to.
    _own: Vec<Placed>,
    _segment: Arc<Segment>,
}

impl Drop for ExactBatch {
    fn drop(&mut self) {
        self.finish();
        // SAFETY: `new` took them from `exact_prepare`, no job that uses them is outstanding, and they
        // are freed once.
        unsafe { exact_release(self.keys.as_ptr()) }
    }
}

impl ExactBatch {
    /// Jobs of a manager of their own.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Refused`], or the segment's.
    pub fn new(
        segment: &Arc<Segment>,
        architecture: Architecture,
        jobs: Vec<Placed>,
    ) -> Result<ExactBatch> {
        let manager = Exact::new(architecture)?;
        let raw = |job: &Placed| -> Result<RawJob> {
            let hash = job.hash.as_ref();
            Ok(RawJob {
                key: job.key.as_ptr(),
                key_len: job.key.len() as u64,
                iv: job.iv.as_ptr(),
                iv_len: job.iv.len() as u64,
                aad: job.iv.as_ptr(),
                aad_len: 0,
                src: segment.pointer(job.src, job.len)?.as_ptr(),
                dst: segment.pointer(job.dst, 1)?.as_ptr(),
                len: job.len,
                tag: segment.pointer(job.tag, job.tag_len)?.as_ptr(),
                tag_len: job.tag_len,
                hash_key: hash.map_or(std::ptr::null(), |(_, key)| key.as_ptr()),
                hash_key_len: hash.map_or(0, |(_, key)| key.len() as u64),
                head_len: 0,
                hash_len: hash.map_or(0, |_| job.len),
                hash: hash.map_or(0, |(algorithm, _)| algorithm.0 + 1),
                hash_first: 0,
                pieces: std::ptr::null(),
                piece_count: 0,
                algorithm: job.algorithm.0,
                decrypt: u32::from(job.decrypt),
                done: 0,
            })
        };
        let raws = jobs.iter().map(raw).collect::<Result<Vec<_>>>()?;
        // SAFETY: the manager is one; keys and IVs are vectors of the lengths beside them.
        let keys = unsafe { exact_prepare(manager.0.as_ptr(), raws.as_ptr(), raws.len() as u64) };
        let keys = NonNull::new(keys).ok_or_else(|| Error::Refused("a key".to_owned()))?;
        let segment = Arc::clone(segment);
        Ok(ExactBatch { manager, keys, raws, _own: jobs, _segment: segment })
    }

    /// Submits every job once, with the library's validation or without; returns how many came back
    /// complete.
    pub fn again(&mut self, checked: bool) -> u64 {
        let (jobs, count) = (self.raws.as_mut_ptr(), self.raws.len() as u64);
        let (manager, keys) = (self.manager.0.as_ptr(), self.keys.as_ptr());
        // SAFETY: keys were expanded for these jobs; buffers, keys and IVs live as long as the batch.
        unsafe { exact_again(manager, jobs, keys, count, c_int::from(checked)) }
    }

    /// Finishes what is outstanding; returns how many came back complete.
    pub fn finish(&mut self) -> u64 {
        // SAFETY: the manager is one; what its jobs lead to lives as long as the batch.
        unsafe { exact_finish(self.manager.0.as_ptr()) }
    }
}

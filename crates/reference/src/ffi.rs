//! What `shim.c` offers, word for word. Called by `manager` alone. The manager's state lies where
//! `manager` puts it; whether it survives a crash there is the library's affair.

#![expect(unsafe_code, reason = "declares the shim")]

use std::ffi::{c_char, c_int, c_void};

/// A job as the shim takes it: `struct reference_job`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub(crate) struct RawJob {
    pub(crate) src: *const u8,
    pub(crate) dst: *mut u8,
    pub(crate) len: u64,
    pub(crate) iv: *const u8,
    pub(crate) iv_len: u64,
    pub(crate) key: [*const c_void; 2],
    pub(crate) key_len: u64,
    pub(crate) tag_len: u64,
    pub(crate) user: u64,
    pub(crate) user2: u64,
    pub(crate) is_hash: u32,
    pub(crate) cipher_mode: u32,
    pub(crate) cipher_direction: u32,
    pub(crate) hash_alg: u32,
}

/// A job that came back: `struct reference_done`.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RawDone {
    pub(crate) user: u64,
    pub(crate) user2: u64,
    pub(crate) status: u32,
    pub(crate) completed: u32,
}

unsafe extern "C" {
    pub(crate) fn reference_version() -> *const c_char;
    pub(crate) fn reference_size() -> usize;
    pub(crate) fn reference_architecture(manager: *const c_void) -> u32;
    pub(crate) fn reference_queue(manager: *mut c_void) -> u32;
    pub(crate) fn reference_error(manager: *mut c_void) -> c_int;
    pub(crate) fn reference_error_text(error: c_int) -> *const c_char;
    pub(crate) fn reference_allocate(architecture: u32) -> *mut c_void;
    pub(crate) fn reference_free(manager: *mut c_void);
    pub(crate) fn reference_place(memory: *mut c_void, architecture: u32) -> *mut c_void;
    pub(crate) fn reference_attach(memory: *mut c_void) -> *mut c_void;
    pub(crate) fn reference_bind(job: *mut RawJob, algorithm: u32, direction: u32) -> c_int;
    pub(crate) fn reference_expand(
        manager: *mut c_void,
        key: *const u8,
        len: u64,
        encrypt: *mut c_void,
        decrypt: *mut c_void,
    ) -> c_int;
    pub(crate) fn reference_pads(
        manager: *mut c_void,
        algorithm: u32,
        key: *const u8,
        len: u64,
        inner: *mut c_void,
        outer: *mut c_void,
    ) -> c_int;
    pub(crate) fn reference_submit(
        manager: *mut c_void,
        job: *const RawJob,
        done: *mut RawDone,
    ) -> c_int;
    pub(crate) fn reference_flush(manager: *mut c_void, done: *mut RawDone) -> c_int;
    pub(crate) fn reference_completed(manager: *mut c_void, done: *mut RawDone) -> c_int;
    pub(crate) fn reference_submit_all(
        manager: *mut c_void,
        jobs: *const RawJob,
        count: u64,
        checked: c_int,
    ) -> u64;
    pub(crate) fn reference_flush_all(manager: *mut c_void) -> u64;
    pub(crate) fn reference_burst_all(
        manager: *mut c_void,
        jobs: *const RawJob,
        count: u64,
        burst: u32,
        checked: c_int,
    ) -> u64;
}

//! What differs between systems, behind one small interface. The rest of the crate calls it and
//! makes no system call by itself. Another system adds a file here and a line below.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
mod linux_death;
#[cfg(target_os = "linux")]
mod linux_gate;
#[cfg(target_os = "linux")]
mod linux_lease;
#[cfg(target_os = "linux")]
mod linux_memory;
#[cfg(target_os = "linux")]
mod linux_process;
#[cfg(target_os = "linux")]
mod linux_slice;

#[cfg(target_os = "linux")]
pub(crate) use linux::{
    FixedMapping, create_anonymous, create_named, free_named, keep_out_of_core_dumps, map_fixed,
    occupant, open_named, page_size, placement_address, random_u64, segment_names,
    set_len_and_reserve, unlink_named,
};
#[cfg(target_os = "linux")]
pub(crate) use linux_death::{await_last_stores, let_others_await_us, prove_alive};
#[cfg(target_os = "linux")]
pub(crate) use linux_gate::{is_byte_locked, try_lock_byte, unlock_byte};
#[cfg(target_os = "linux")]
pub(crate) use linux_lease::{
    DeathNotice, OWNER_DIED, TID_MASK, WAITERS, block_signals, wait_while, wake_all, wake_one,
};
#[cfg(target_os = "linux")]
pub(crate) use linux_memory::{PrivatePages, ReadyEvent, lock_memory, populate};
#[cfg(target_os = "linux")]
pub(crate) use linux_process::{
    ProcessHandle, boot_id, own_start_time, pid_namespace, process_state, thread_exists, thread_of,
    ticks_per_second,
};
#[cfg(target_os = "linux")]
pub(crate) use linux_slice::ShortSlices;

#[cfg(not(target_os = "linux"))]
compile_error!("shmem runs on Linux so far; another system needs its file in src/sys");

//! What differs between systems, behind one small interface. The rest of the crate calls it and
//! names no system call. Another system adds a file here and a line below.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
mod linux_lease;
#[cfg(target_os = "linux")]
mod linux_memory;
#[cfg(target_os = "linux")]
mod linux_slice;

#[cfg(target_os = "linux")]
pub(crate) use linux::{
    FixedMapping, create_anonymous, create_named, keep_out_of_core_dumps, map_fixed, occupant,
    open_named, page_size, placement_address, random_u64, segment_names, set_len_and_reserve,
    unlink_named,
};
#[cfg(target_os = "linux")]
pub(crate) use linux_lease::{
    DeathNotice, OWNER_DIED, ProcessHandle, TID_MASK, WAITERS, block_signals, boot_id, maps_file,
    pid_namespace, process_state, thread_exists, thread_of, ticks_per_second, wait_while, wake_all,
    wake_one,
};

#[cfg(target_os = "linux")]
pub(crate) use linux_memory::{PrivatePages, ReadyEvent, lock_memory, populate};
#[cfg(target_os = "linux")]
pub(crate) use linux_slice::ShortSlices;

#[cfg(not(target_os = "linux"))]
compile_error!("shmem runs on Linux so far; another system needs its file in src/sys");

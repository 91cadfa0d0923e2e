//! Where a segment lies in a process: anywhere, or at the creator's address.
//!
//! `segment.rs` calls it to map a file. A mapping dies with its process; what it wrote stays.

#![expect(unsafe_code, reason = "maps a file privately")]

use std::fs::File;
use std::ptr::NonNull;

use memmap2::{MmapOptions, MmapRaw};

use crate::{Error, Result, sys};

/// Addresses that a creator tries before it gives up.
const TRIES: u32 = 32;

/// Where a segment is mapped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Placement {
    /// Wherever the system likes, in each process anew.
    #[default]
    Anywhere,
    /// The creator chooses an address that others are likely to have free; who opens the segment
    /// gets exactly that address, or [`Error::AddressOccupied`].
    Identical,
}

/// How to map a file.
#[derive(Clone, Copy)]
pub(crate) struct MapRequest {
    pub(crate) len: usize,
    pub(crate) populate: bool,
    /// Writes stay in this process.
    pub(crate) private: bool,
}

/// A mapped file; unmapped when dropped.
pub(crate) enum Mapping {
    Anywhere(MmapRaw),
    Fixed(sys::FixedMapping),
}

impl Mapping {
    pub(crate) fn base(&self) -> Option<NonNull<u8>> {
        match self {
            Mapping::Anywhere(raw) => NonNull::new(raw.as_mut_ptr()),
            Mapping::Fixed(fixed) => Some(fixed.base()),
        }
    }

    /// Maps a new segment for its creator.
    pub(crate) fn create(file: &File, request: MapRequest, placement: Placement) -> Result<Self> {
        if placement == Placement::Anywhere {
            return Mapping::anywhere(file, request);
        }
        let mut tried = 0;
        for _ in 0..TRIES {
            tried = sys::placement_address();
            if let Some(fixed) = map_at(file, request, tried)? {
                return Ok(Mapping::Fixed(fixed));
            }
        }
        Err(occupied(tried, request.len))
    }

    /// Maps an existing segment, whose creator has it at `address`.
    pub(crate) fn open(
        file: &File,
        request: MapRequest,
        placement: Placement,
        address: usize,
    ) -> Result<Self> {
        if placement == Placement::Anywhere {
            return Mapping::anywhere(file, request);
        }
        match map_at(file, request, address)? {
            Some(fixed) => Ok(Mapping::Fixed(fixed)),
            None => Err(occupied(address, request.len)),
        }
    }

    fn anywhere(file: &File, request: MapRequest) -> Result<Self> {
        let mut options = MmapOptions::new();
        options.len(request.len);
        if request.populate {
            options.populate();
        }
        let raw = if request.private {
            // SAFETY: the mapping is never used as a slice: it becomes raw at once, and is accessed
            // by pointers and atomics, which a change of the file under it cannot make unsound.
            unsafe { options.map_copy(file) }.map(MmapRaw::from)
        } else {
            options.map_raw(file)
        };
        Ok(Mapping::Anywhere(raw.map_err(|e| Error::system("mmap", e))?))
    }
}

fn map_at(file: &File, request: MapRequest, address: usize) -> Result<Option<sys::FixedMapping>> {
    sys::map_fixed(file, address, request).map_err(|e| Error::system("mmap at an address", e))
}

fn occupied(address: usize, len: usize) -> Error {
    let occupant = sys::occupant(address, len).unwrap_or_else(|| "an unnamed mapping".to_owned());
    Error::AddressOccupied { address: address as u64, len: len as u64, occupant }
}

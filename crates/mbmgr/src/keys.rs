//! The key table: what is derived from a key once, kept in the segment so that a secondary can go on,
//! and copied to the process so that a kernel never reads it from there. An entry survives a crash
//! whole, or is zeroized by the next owner.

use shmem::seeded::{Bug, seeded};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::compiler_fence;

use shmem::Secrets;
use zeroize::Zeroizing;

use crate::algorithm::Algorithm;
use crate::cipher::cbc_mac::{cmac_keys, xcbc_keys};
use crate::error::{Error, Result};
use crate::kernel::{GcmKey, Kernels, Schedule};
use crate::layout::{KEY_FILLING, KEY_FREE, KEY_MATERIAL, KEY_READY, KEY_REMOVING, KeyEntry};
use crate::region::{Region, commit32};
use crate::scrub::scrub_stack;

mod material;

pub(crate) use material::{KeyKind, LastKeys, Material};

/// Names a key of one manager, in every process that comes to own it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KeyId {
    index: u32,
    generation: u32,
}

impl KeyId {
    /// The id as a number, to pass to another process.
    #[must_use]
    #[inline]
    pub fn to_bits(self) -> u64 {
        u64::from(self.index) | u64::from(self.generation) << 32
    }

    /// The id that [`KeyId::to_bits`] gave. Any number will do: an id that names no key is refused
    /// where it is used.
    #[must_use]
    #[inline]
    pub fn from_bits(bits: u64) -> KeyId {
        let bytes = bits.to_le_bytes();
        KeyId {
            index: u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]),
            generation: u32::from_le_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]),
        }
    }
}

/// A key as the caller has it.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub enum Key<'a> {
    /// 16, 24 or 32 bytes (FIPS 197).
    Aes(&'a [u8]),
    /// Any length (FIPS 198-1).
    HmacSha256(&'a [u8]),
    /// Any length (FIPS 198-1).
    HmacSha512(&'a [u8]),
    /// A key for this algorithm, and for those that take the same kind of key (such as all modes of
    /// AES with keys of one length).
    For(Algorithm, &'a [u8]),
}

struct LocalKey {
    id: KeyId,
    kind: KeyKind,
    material: Material,
}

/// The process's side of the key table.
pub(crate) struct KeyTable {
    keys: Secrets<Option<LocalKey>>,
}

impl KeyTable {
    /// A table without keys, in memory that core dumps leave out.
    pub(crate) fn new(region: &Region) -> Result<KeyTable> {
        Ok(KeyTable { keys: Secrets::from_fn(region.config.keys as usize, |_| None)? })
    }

    /// Keeps the keys from being swapped out.
    pub(crate) fn lock_memory(&self) -> Result<()> {
        Ok(self.keys.lock()?)
    }

    /// Reads the table of a manager that is taken over: finishes removals and withdraws half-filled
    /// entries, both by zeroizing, which can be done twice.
    pub(crate) fn recover(&mut self, region: &Region) {
        let mut found = false;
        for ((place, entry), index) in self.keys.iter_mut().zip(region.keys()).zip(0..) {
            // Acquire pairs with the commit of `KEY_READY` in `KeyTable::add`.
            let state = entry.state.load(Acquire);
            found |= state != KEY_FREE && recover_key(entry, state, index, place);
        }
        if found {
            scrub_stack();
        }
    }

    /// Removes every key; no job may need one.
    ///
    /// # Errors
    /// None in practice: each key that is looked up is there.
    pub(crate) fn remove_all(&mut self, region: &Region) -> Result<()> {
        for index in 0..self.keys.len() {
            if let Some(id) = self.keys[index].as_ref().map(|key| key.id) {
                self.remove(region, id)?;
            }
        }
        Ok(())
    }

    pub(crate) fn add(&mut self, region: &Region, key: Key<'_>) -> Result<KeyId> {
        let keys = region.config.keys;
        let free = self.keys.iter().position(Option::is_none);
        let index = free.ok_or(Error::KeyTableFull { keys })?;
        let (kind, material) = Material::derive(key)?;

        let entry = &region.keys()[index];
        // Commits that the entry is being filled: a crash from here on zeroizes it.
        commit32(&entry.state, KEY_FILLING);
        let generation = entry.generation.load(Relaxed).wrapping_add(1);
        entry.generation.store(generation, Relaxed);
        entry.kind.store(kind.id(), Relaxed);
        for (word, bytes) in entry.material.iter().zip(material.to_bytes().chunks_exact(8)) {
            word.store(u64::from_ne_bytes(bytes.try_into().expect("chunks of 8")), Relaxed);
        }
        // Commits the entry.
        commit32(&entry.state, KEY_READY);

        let index32 = u32::try_from(index).expect("the table has a u32 length");
        let id = KeyId { index: index32, generation };
        self.keys[index] = Some(LocalKey { id, kind, material });
        scrub_stack();
        Ok(id)
    }

    /// Removes a key that no job uses.
    pub(crate) fn remove(&mut self, region: &Region, id: KeyId) -> Result<()> {
        match self.keys.get_mut(id.index as usize) {
            Some(place) if place.as_ref().is_some_and(|key| key.id == id) => *place = None,
            _ => return Err(Error::UnknownKey { key: id.to_bits() }),
        }
        clear_entry(&region.keys()[id.index as usize]);
        Ok(())
    }

    /// The index of a key, if there is one and it is of `kind`.
    #[inline]
    pub(crate) fn index_of(&self, id: KeyId, kind: KeyKind) -> Option<u32> {
        let key = self.keys.get(id.index as usize)?.as_ref()?;
        (key.id == id && key.kind == kind).then_some(id.index)
    }

    /// The index of a key that must be of `kind`; otherwise says what it is.
    pub(crate) fn find(&self, id: KeyId, kind: KeyKind, algorithm: Algorithm) -> Result<u32> {
        match self.keys.get(id.index as usize) {
            Some(Some(key)) if key.id == id => {
                if key.kind == kind {
                    return Ok(id.index);
                }
                let (takes, found) = (kind.name(), key.kind.name());
                Err(Error::KeyKind { algorithm, takes, found })
            }
            _ => Err(Error::UnknownKey { key: id.to_bits() }),
        }
    }

    /// The material of a key that [`KeyTable::find`] found. It stays while jobs use it.
    #[inline]
    pub(crate) fn material(&self, index: u32) -> Option<&Material> {
        self.keys.get(index as usize)?.as_ref().map(|key| &key.material)
    }

    /// The encrypt and the decrypt schedule of an AES key that [`KeyTable::find`] found.
    ///
    /// # Panics
    /// If it is not one: going on would write wrong bytes.
    #[inline]
    pub(crate) fn schedules(&self, index: u32) -> (&Schedule, &Schedule) {
        match self.material(index) {
            Some(Material::Aes { encrypt, decrypt, .. }) => (encrypt, decrypt),
            _ => unreachable!("the job's check found an AES key at {index}"),
        }
    }

    /// The key of the chain of an AES-CMAC, or of an XCBC-MAC, with a key that [`KeyTable::find`] found,
    /// and what its last block is xored with.
    ///
    /// # Panics
    /// As [`KeyTable::schedules`].
    #[inline]
    pub(crate) fn mac(&self, index: u32, is_xcbc: bool) -> (&Schedule, &LastKeys) {
        match self.material(index) {
            Some(Material::Aes { encrypt, more, .. }) if !is_xcbc => {
                (encrypt, more.cmac.get_or_init(|| cmac_keys(encrypt)))
            }
            Some(Material::Aes { encrypt, more, .. }) => {
                let (schedule, last) = more.xcbc.get_or_init(|| xcbc_keys(encrypt));
                (schedule, last)
            }
            _ => unreachable!("the job's check found an AES key at {index}"),
        }
    }

    /// What GCM derives from an AES key that [`KeyTable::find`] found.
    ///
    /// # Panics
    /// As [`KeyTable::schedules`].
    #[inline]
    pub(crate) fn gcm(&self, index: u32, kernels: Kernels) -> &GcmKey {
        match self.material(index) {
            Some(Material::Aes { encrypt, more, .. }) => {
                more.gcm.get_or_init(|| kernels.gcm_key(encrypt))
            }
            _ => unreachable!("the job's check found an AES key at {index}"),
        }
    }
}

/// Commits the removal, zeroizes, commits the entry free.
fn clear_entry(entry: &KeyEntry) {
    // Commits the removal: a crash from here on goes on zeroizing.
    let removing = if seeded(Bug::KeyFreedEarly) { KEY_FREE } else { KEY_REMOVING };
    commit32(&entry.state, removing);
    entry.kind.store(0, Relaxed);
    for word in &entry.material {
        // Atomic stores to memory that others see are not elided.
        word.store(0, Relaxed);
    }
    compiler_fence(Release);
    // Commits that the material is gone.
    commit32(&entry.state, KEY_FREE);
}

/// Copies an entry in use into its `place`, and clears one that is not ready; true if there is a key.
fn recover_key(entry: &KeyEntry, state: u32, index: u32, place: &mut Option<LocalKey>) -> bool {
    let kind = entry.kind.load(Relaxed);
    let kind = KeyKind::ALL.iter().copied().find(|known| known.id() == kind);
    let (KEY_READY, Some(kind)) = (state, kind) else {
        clear_entry(entry);
        return false;
    };
    // In words: they are zeroized one volatile store each.
    let mut words = Zeroizing::new([0_u64; KEY_MATERIAL / 8]);
    for (into, word) in words.iter_mut().zip(&entry.material) {
        *into = word.load(Relaxed);
    }
    let id = KeyId { index, generation: entry.generation.load(Relaxed) };
    let material = Material::from_bytes(kind, zerocopy::transmute_ref!(&*words));
    *place = Some(LocalKey { id, kind, material });
    true
}

//! The key table: what is derived from a key once, kept in the segment so that a secondary can go on,
//! and copied to the process so that a kernel never reads it from there. An entry survives a crash
//! whole, or is zeroized by the next owner.

use shmem::seeded::{Bug, seeded};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::compiler_fence;

use shmem::Secrets;
use zeroize::{Zeroize, Zeroizing};

use crate::algorithm::Algorithm;
use crate::error::{Error, Result};
use crate::kernel::{Schedule, expand_key};
use crate::layout::{KEY_FILLING, KEY_FREE, KEY_MATERIAL, KEY_READY, KEY_REMOVING, KeyEntry};
use crate::region::{Region, commit32};

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
pub enum Key<'a> {
    /// 16, 24 or 32 bytes (FIPS 197).
    Aes(&'a [u8]),
    /// Any length (FIPS 198-1).
    HmacSha256(&'a [u8]),
    /// Any length (FIPS 198-1).
    HmacSha512(&'a [u8]),
}

/// What a key can be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyKind {
    Aes128,
    Aes192,
    Aes256,
    HmacSha256,
    HmacSha512,
}

impl KeyKind {
    const ALL: [KeyKind; 5] = [
        KeyKind::Aes128,
        KeyKind::Aes192,
        KeyKind::Aes256,
        KeyKind::HmacSha256,
        KeyKind::HmacSha512,
    ];

    fn id(self) -> u32 {
        match self {
            KeyKind::Aes128 => 1,
            KeyKind::Aes192 => 2,
            KeyKind::Aes256 => 3,
            KeyKind::HmacSha256 => 4,
            KeyKind::HmacSha512 => 5,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            KeyKind::Aes128 => "aes-128",
            KeyKind::Aes192 => "aes-192",
            KeyKind::Aes256 => "aes-256",
            KeyKind::HmacSha256 => "hmac-sha256",
            KeyKind::HmacSha512 => "hmac-sha512",
        }
    }

    /// Bytes of an AES key.
    pub(crate) fn key_len(self) -> Option<usize> {
        match self {
            KeyKind::Aes128 => Some(16),
            KeyKind::Aes192 => Some(24),
            KeyKind::Aes256 => Some(32),
            KeyKind::HmacSha256 | KeyKind::HmacSha512 => None,
        }
    }
}

/// The process's copy of a key's material.
#[expect(clippy::large_enum_variant, reason = "it lies in the table's own memory, never boxed")]
pub(crate) enum Material {
    Aes { encrypt: Schedule, decrypt: Schedule },
    Hmac256 { inner: [u32; 8], outer: [u32; 8] },
    Hmac512 { inner: [u64; 8], outer: [u64; 8] },
}

impl Drop for Material {
    fn drop(&mut self) {
        match self {
            // A schedule zeroizes itself.
            Material::Aes { .. } => {}
            Material::Hmac256 { inner, outer } => {
                inner.zeroize();
                outer.zeroize();
            }
            Material::Hmac512 { inner, outer } => {
                inner.zeroize();
                outer.zeroize();
            }
        }
    }
}

impl Material {
    fn derive(key: Key<'_>) -> Result<(KeyKind, Material)> {
        match key {
            Key::Aes(bytes) => {
                let kind = match bytes.len() {
                    16 => KeyKind::Aes128,
                    24 => KeyKind::Aes192,
                    32 => KeyKind::Aes256,
                    len => return Err(Error::KeyLength { len }),
                };
                let (encrypt, decrypt) =
                    expand_key(bytes).ok_or(Error::KeyLength { len: bytes.len() })?;
                Ok((kind, Material::Aes { encrypt, decrypt }))
            }
            Key::HmacSha256(bytes) => {
                let (inner, outer) = crate::hmac::midstates_256(bytes);
                Ok((KeyKind::HmacSha256, Material::Hmac256 { inner, outer }))
            }
            Key::HmacSha512(bytes) => {
                let (inner, outer) = crate::hmac::midstates_512(bytes);
                Ok((KeyKind::HmacSha512, Material::Hmac512 { inner, outer }))
            }
        }
    }

    /// The material in the segment's byte order.
    fn to_bytes(&self) -> Zeroizing<[u8; KEY_MATERIAL]> {
        let mut bytes = Zeroizing::new([0; KEY_MATERIAL]);
        match self {
            Material::Aes { encrypt, decrypt } => {
                let (first, second) = bytes.split_at_mut(KEY_MATERIAL / 2);
                first.copy_from_slice(encrypt.round_keys.as_flattened());
                second.copy_from_slice(decrypt.round_keys.as_flattened());
            }
            Material::Hmac256 { inner, outer } => {
                for (into, word) in bytes.chunks_exact_mut(4).zip(inner.iter().chain(outer)) {
                    into.copy_from_slice(&word.to_be_bytes());
                }
            }
            Material::Hmac512 { inner, outer } => {
                for (into, word) in bytes.chunks_exact_mut(8).zip(inner.iter().chain(outer)) {
                    into.copy_from_slice(&word.to_be_bytes());
                }
            }
        }
        bytes
    }

    fn from_bytes(kind: KeyKind, bytes: &[u8; KEY_MATERIAL]) -> Material {
        let schedule = |from: &[u8], rounds| {
            let mut schedule = Schedule { round_keys: [[0; 16]; 15], rounds };
            schedule.round_keys.as_flattened_mut().copy_from_slice(from);
            schedule
        };
        let (first, second) = bytes.split_at(KEY_MATERIAL / 2);
        match kind {
            KeyKind::Aes128 | KeyKind::Aes192 | KeyKind::Aes256 => {
                let rounds = match kind {
                    KeyKind::Aes128 => 10,
                    KeyKind::Aes192 => 12,
                    _ => 14,
                };
                Material::Aes {
                    encrypt: schedule(first, rounds),
                    decrypt: schedule(second, rounds),
                }
            }
            KeyKind::HmacSha256 => {
                let word = |i: usize| {
                    u32::from_be_bytes(bytes[4 * i..4 * i + 4].try_into().expect("4 bytes"))
                };
                let inner = std::array::from_fn(word);
                Material::Hmac256 { inner, outer: std::array::from_fn(|i| word(8 + i)) }
            }
            KeyKind::HmacSha512 => {
                let word = |i: usize| {
                    u64::from_be_bytes(bytes[8 * i..8 * i + 8].try_into().expect("8 bytes"))
                };
                let inner = std::array::from_fn(word);
                Material::Hmac512 { inner, outer: std::array::from_fn(|i| word(8 + i)) }
            }
        }
    }
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
        for ((key, entry), index) in self.keys.iter_mut().zip(region.keys()).zip(0..) {
            *key = recover_key(entry, index);
        }
        scrub_stack();
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

    /// The index of a key that must be of `kind`.
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
            Some(Material::Aes { encrypt, decrypt }) => (encrypt, decrypt),
            _ => unreachable!("the job's check found an AES key at {index}"),
        }
    }
}

/// Overwrites the stack below the caller, where moves of key material may have left copies of it.
/// What a kernel spills to its own frame is overwritten by the next calls, not by this.
#[inline(never)]
fn scrub_stack() {
    let mut below = [0_u8; 8192];
    below.zeroize();
    std::hint::black_box(&below);
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

fn recover_key(entry: &KeyEntry, index: u32) -> Option<LocalKey> {
    // Acquire pairs with the commit of `KEY_READY` in `KeyTable::add`.
    let state = entry.state.load(Acquire);
    if state == KEY_FREE {
        return None;
    }
    let kind = entry.kind.load(Relaxed);
    let kind = KeyKind::ALL.into_iter().find(|known| known.id() == kind);
    let (KEY_READY, Some(kind)) = (state, kind) else {
        clear_entry(entry);
        return None;
    };
    let mut bytes = Zeroizing::new([0; KEY_MATERIAL]);
    for (into, word) in bytes.chunks_exact_mut(8).zip(&entry.material) {
        into.copy_from_slice(&word.load(Relaxed).to_ne_bytes());
    }
    let id = KeyId { index, generation: entry.generation.load(Relaxed) };
    Some(LocalKey { id, kind, material: Material::from_bytes(kind, &bytes) })
}

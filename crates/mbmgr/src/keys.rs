//! The key table: what is derived from a key once, kept in the segment so that a secondary can go on,
//! and copied to the process so that a kernel never reads it from there. An entry survives a crash
//! whole, or is zeroized by the next owner.

use shmem::seeded::{Bug, seeded};
use std::sync::OnceLock;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::compiler_fence;

use shmem::Secrets;
use zeroize::{Zeroize, Zeroizing};

use crate::algorithm::Algorithm;
use crate::cipher::cbc_mac::{cmac_keys, xcbc_keys};
use crate::error::{Error, Result};
use crate::kernel::{GcmKey, Kernels, Schedule, expand_key};
use crate::layout::{KEY_FILLING, KEY_FREE, KEY_MATERIAL, KEY_READY, KEY_REMOVING, KeyEntry};
use crate::region::{Region, commit32};
use crate::scrub::scrub_stack;

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

/// What a kind of key is kept as.
#[derive(Clone, Copy)]
enum Form {
    /// Two AES schedules, of a key of so many bytes.
    Aes(usize),
    /// Two states of SHA-1.
    Hmac160,
    /// Two states of SHA-256, or of a hash that differs in its initial value.
    Hmac256,
    /// Two states of SHA-512, or of a hash that differs in its initial value.
    Hmac512,
    /// The key's own bytes, so many.
    Raw(usize),
    /// The key as HMAC pads it to a block of 64 bytes (FIPS 198-1, step 3), by this hash.
    Padded(fn(&[u8], &mut [u8; RAW])),
}

macro_rules! kinds {
    ($($kind:ident $id:literal $name:literal $form:expr;)*) => {
        /// What a key can be used for.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum KeyKind {
            $($kind),*
        }

        impl KeyKind {
            const ALL: &[KeyKind] = &[$(KeyKind::$kind),*];

            /// What the segment stores. Never reused, never zero.
            fn id(self) -> u32 {
                match self {
                    $(KeyKind::$kind => $id),*
                }
            }

            pub(crate) fn name(self) -> &'static str {
                match self {
                    $(KeyKind::$kind => $name),*
                }
            }

            fn form(self) -> Form {
                match self {
                    $(KeyKind::$kind => $form),*
                }
            }
        }
    };
}

kinds! {
    Aes128 1 "aes-128" Form::Aes(16);
    Aes192 2 "aes-192" Form::Aes(24);
    Aes256 3 "aes-256" Form::Aes(32);
    HmacSha256 4 "hmac-sha256" Form::Hmac256;
    HmacSha512 5 "hmac-sha512" Form::Hmac512;
    HmacSha224 6 "hmac-sha224" Form::Hmac256;
    HmacSha384 7 "hmac-sha384" Form::Hmac512;
    HmacSha1 8 "hmac-sha1" Form::Hmac160;
    HmacMd5 9 "hmac-md5" Form::Padded(pad_key::<md5::Md5>);
    HmacSm3 10 "hmac-sm3" Form::Padded(pad_key::<sm3::Sm3>);
    Xts128 11 "aes-128-xts" Form::Raw(32);
    Xts256 12 "aes-256-xts" Form::Raw(64);
    ChaCha20 13 "chacha20" Form::Raw(32);
    Poly1305 14 "poly1305" Form::Raw(32);
    Ghash 15 "ghash" Form::Raw(16);
    Des 16 "des" Form::Raw(8);
    TripleDes 17 "3des" Form::Raw(24);
    Sm4 18 "sm4" Form::Raw(16);
    Zuc128 19 "zuc-128" Form::Raw(16);
    Zuc256 20 "zuc-256" Form::Raw(32);
}

impl KeyKind {
    /// Bytes of a key of this kind; `None` where any length will do.
    pub(crate) fn key_len(self) -> Option<usize> {
        match self.form() {
            Form::Aes(len) | Form::Raw(len) => Some(len),
            Form::Hmac160 | Form::Hmac256 | Form::Hmac512 | Form::Padded(_) => None,
        }
    }

    /// The kind of AES key of so many bytes.
    fn aes(len: usize) -> Result<KeyKind> {
        match len {
            16 => Ok(KeyKind::Aes128),
            24 => Ok(KeyKind::Aes192),
            32 => Ok(KeyKind::Aes256),
            _ => Err(Error::KeyLength { len }),
        }
    }
}

/// Bytes that a key of its own bytes has at most.
const RAW: usize = 64;

/// A key of at most a block as it is, a longer one as its hash.
fn pad_key<D: sha2::Digest>(key: &[u8], block: &mut [u8; RAW]) {
    if key.len() > RAW {
        let digest = D::digest(key);
        block[..digest.len()].copy_from_slice(&digest);
    } else {
        block[..key.len()].copy_from_slice(key);
    }
}

/// The process's copy of a key's material.
#[expect(clippy::large_enum_variant, reason = "it lies in the table's own memory, never boxed")]
pub(crate) enum Material {
    Aes { encrypt: Schedule, decrypt: Schedule, more: Derived },
    Hmac256 { inner: [u32; 8], outer: [u32; 8] },
    Hmac512 { inner: [u64; 8], outer: [u64; 8] },
    Raw { bytes: [u8; RAW], len: usize },
}

/// What modes derive from an AES key: made when it is first used, in this process's memory alone.
#[derive(Default)]
pub(crate) struct Derived {
    gcm: OnceLock<GcmKey>,
    cmac: OnceLock<LastKeys>,
    xcbc: OnceLock<(Schedule, LastKeys)>,
}

/// What the last block of a CBC-MAC is xored with: a whole one, and a padded one.
pub(crate) type LastKeys = Zeroizing<[[u8; 16]; 2]>;

impl Drop for Material {
    fn drop(&mut self) {
        match self {
            // Schedules and GCM's key zeroize themselves.
            Material::Aes { .. } => {}
            Material::Hmac256 { inner, outer } => {
                inner.zeroize();
                outer.zeroize();
            }
            Material::Hmac512 { inner, outer } => {
                inner.zeroize();
                outer.zeroize();
            }
            Material::Raw { bytes, .. } => bytes.zeroize(),
        }
    }
}

impl Material {
    fn derive(key: Key<'_>) -> Result<(KeyKind, Material)> {
        let (kind, bytes) = match key {
            Key::Aes(bytes) => (KeyKind::aes(bytes.len())?, bytes),
            Key::HmacSha256(bytes) => (KeyKind::HmacSha256, bytes),
            Key::HmacSha512(bytes) => (KeyKind::HmacSha512, bytes),
            Key::For(algorithm, bytes) => {
                let kind = algorithm.row().key;
                let kind = kind.ok_or(Error::KeyPresence { algorithm, needs: false })?;
                let takes = kind.key_len().filter(|takes| *takes != bytes.len());
                if let Some(takes) = takes {
                    return Err(Error::KeyLengthFor { algorithm, len: bytes.len(), takes });
                }
                (kind, bytes)
            }
        };
        let material = match kind.form() {
            Form::Aes(_) => {
                let (encrypt, decrypt) =
                    expand_key(bytes).ok_or(Error::KeyLength { len: bytes.len() })?;
                Material::Aes { encrypt, decrypt, more: Derived::default() }
            }
            Form::Hmac160 => {
                let (inner, outer) = crate::hmac::midstates_160(bytes);
                Material::Hmac256 { inner, outer }
            }
            Form::Hmac256 => {
                let (inner, outer) = crate::hmac::midstates_256(bytes, kind == KeyKind::HmacSha224);
                Material::Hmac256 { inner, outer }
            }
            Form::Hmac512 => {
                let (inner, outer) = crate::hmac::midstates_512(bytes, kind == KeyKind::HmacSha384);
                Material::Hmac512 { inner, outer }
            }
            Form::Raw(len) => {
                let mut own = [0; RAW];
                own[..len].copy_from_slice(bytes);
                Material::Raw { bytes: own, len }
            }
            Form::Padded(pad) => {
                let mut own = [0; RAW];
                pad(bytes, &mut own);
                Material::Raw { bytes: own, len: RAW }
            }
        };
        Ok((kind, material))
    }

    /// The material in the segment's byte order.
    fn to_bytes(&self) -> Zeroizing<[u8; KEY_MATERIAL]> {
        let mut bytes = Zeroizing::new([0; KEY_MATERIAL]);
        match self {
            Material::Aes { encrypt, decrypt, .. } => {
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
            Material::Raw { bytes: own, .. } => bytes[..RAW].copy_from_slice(&own[..]),
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
        match kind.form() {
            Form::Aes(len) => {
                let rounds = match len {
                    16 => 10,
                    24 => 12,
                    _ => 14,
                };
                Material::Aes {
                    encrypt: schedule(first, rounds),
                    decrypt: schedule(second, rounds),
                    more: Derived::default(),
                }
            }
            Form::Hmac160 | Form::Hmac256 => {
                let word = |i: usize| {
                    u32::from_be_bytes(bytes[4 * i..4 * i + 4].try_into().expect("4 bytes"))
                };
                let inner = std::array::from_fn(word);
                Material::Hmac256 { inner, outer: std::array::from_fn(|i| word(8 + i)) }
            }
            Form::Hmac512 => {
                let word = |i: usize| {
                    u64::from_be_bytes(bytes[8 * i..8 * i + 8].try_into().expect("8 bytes"))
                };
                let inner = std::array::from_fn(word);
                Material::Hmac512 { inner, outer: std::array::from_fn(|i| word(8 + i)) }
            }
            Form::Raw(_) | Form::Padded(_) => {
                let mut own = [0; RAW];
                own.copy_from_slice(&bytes[..RAW]);
                Material::Raw { bytes: own, len: kind.key_len().unwrap_or(RAW) }
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

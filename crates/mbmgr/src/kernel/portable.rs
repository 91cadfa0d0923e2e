//! The portable backend: the RustCrypto crates, one block after the other, with the same steps and
//! the same log as the vector kernels. Called by `Kernels`, and by the x86 entries for hashes that
//! have no vector form there.

use core::ptr;

use aes::cipher::{BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};
use aes::hazmat::mix_columns;
use aes::{Aes128, Aes192, Aes256, Block};
use ghash::GHash;
use ghash::universal_hash::UniversalHash;
use sha2::block_api::{compress256, compress512};
use shmem::seeded::{Bug, seeded};
use zeroize::Zeroize;

use super::{BLOCK, GcmKey, GcmRun, Lane, LaneKeys, MAX_LANES, Schedule, WIDE_STEP, wrong_lanes};
use crate::journal::{LOG_CHAIN, Log};

/// A key of the RustCrypto cipher, made anew from a schedule: its layout is never stored.
enum Cipher {
    Aes128(Aes128),
    Aes192(Aes192),
    Aes256(Aes256),
}

impl Cipher {
    /// From the first two round keys of an encrypt schedule: together they begin with the key.
    fn new(first: &[u8; BLOCK], second: &[u8; BLOCK], rounds: u32) -> Cipher {
        let mut key = [0_u8; 32];
        key[..BLOCK].copy_from_slice(first);
        key[BLOCK..].copy_from_slice(second);
        let cipher = match rounds {
            ..=10 => Cipher::Aes128(Aes128::new(first.into())),
            11..=12 => {
                let mut short = [0_u8; 24];
                short.copy_from_slice(&key[..24]);
                let cipher = Aes192::new(&short.into());
                short.zeroize();
                Cipher::Aes192(cipher)
            }
            _ => Cipher::Aes256(Aes256::new(&key.into())),
        };
        key.zeroize();
        cipher
    }

    fn of_encrypt_schedule(key: &Schedule) -> Cipher {
        Cipher::new(&key.round_keys[0], &key.round_keys[1], key.rounds)
    }

    /// The decrypt schedule ends with the key; all its inner round keys went through InvMixColumns.
    fn of_decrypt_schedule(key: &Schedule) -> Cipher {
        let last = match key.rounds {
            ..=10 => 10,
            11..=12 => 12,
            _ => 14,
        };
        let mut second = Block::from(key.round_keys[last - 1]);
        mix_columns(&mut second);
        let cipher = Cipher::new(&key.round_keys[last], second.as_ref(), key.rounds);
        second.zeroize();
        cipher
    }

    fn encrypt(&self, block: &mut [u8; BLOCK]) {
        match self {
            Cipher::Aes128(cipher) => cipher.encrypt_block(block.into()),
            Cipher::Aes192(cipher) => cipher.encrypt_block(block.into()),
            Cipher::Aes256(cipher) => cipher.encrypt_block(block.into()),
        }
    }

    fn decrypt(&self, block: &mut [u8; BLOCK]) {
        match self {
            Cipher::Aes128(cipher) => cipher.decrypt_block(block.into()),
            Cipher::Aes192(cipher) => cipher.decrypt_block(block.into()),
            Cipher::Aes256(cipher) => cipher.decrypt_block(block.into()),
        }
    }
}

fn check_lanes(lanes: &[Lane]) {
    if !(1..=MAX_LANES).contains(&lanes.len()) {
        wrong_lanes(lanes.len());
    }
}

fn xor(block: &mut [u8; BLOCK], other: &[u8; BLOCK]) {
    for (byte, other) in block.iter_mut().zip(other) {
        *byte ^= other;
    }
}

/// # Safety
/// As [`super::Kernels::cbc_encrypt`].
pub(super) unsafe fn cbc_encrypt(
    lanes: &mut [Lane],
    keys: &LaneKeys,
    rounds: u32,
    len: usize,
    log: Option<&Log<'_>>,
) {
    let block = |cipher: &Cipher, chain: &mut [u8; BLOCK], input: &[u8; BLOCK]| {
        xor(chain, input);
        cipher.encrypt(chain);
    };
    // SAFETY: the caller's duties.
    unsafe { encrypt_lanes(lanes, keys, rounds, len, log, block) }
}

/// # Safety
/// As [`super::Kernels::cfb_encrypt`].
pub(super) unsafe fn cfb_encrypt(
    lanes: &mut [Lane],
    keys: &LaneKeys,
    rounds: u32,
    len: usize,
    log: Option<&Log<'_>>,
) {
    let block = |cipher: &Cipher, chain: &mut [u8; BLOCK], input: &[u8; BLOCK]| {
        cipher.encrypt(chain);
        xor(chain, input);
    };
    // SAFETY: the caller's duties.
    unsafe { encrypt_lanes(lanes, keys, rounds, len, log, block) }
}

/// A mode that chains blocks: `block` makes a ciphertext block of the one before it and an input.
///
/// # Safety
/// As [`super::Kernels::cbc_encrypt`].
unsafe fn encrypt_lanes(
    lanes: &mut [Lane],
    keys: &LaneKeys,
    rounds: u32,
    len: usize,
    log: Option<&Log<'_>>,
    block: impl Fn(&Cipher, &mut [u8; BLOCK], &[u8; BLOCK]),
) {
    check_lanes(lanes);
    let ciphers: Vec<Cipher> = (0..lanes.len())
        .map(|lane| Cipher::new(&keys.keys[0][lane], &keys.keys[1][lane], rounds))
        .collect();
    for (k, offset) in (0..len).step_by(BLOCK).enumerate() {
        if let Some(log) = log {
            let slot = log.slot(k as u64);
            if seeded(Bug::LogAfterCommit) {
                log.commit(k as u64);
            }
            for (i, lane) in lanes.iter().enumerate() {
                // SAFETY: `offset < len`, so the block is readable; the slot holds 16 lanes'
                // blocks.
                unsafe {
                    let input = lane.src.add(offset);
                    ptr::copy_nonoverlapping(input, slot.add(i * BLOCK), BLOCK);
                }
            }
            if !seeded(Bug::FenceRemoved) {
                log.commit(k as u64);
            }
        }
        for (lane, cipher) in lanes.iter_mut().zip(&ciphers) {
            // SAFETY: `offset < len`, so the block is readable.
            let input = unsafe { lane.src.add(offset).cast::<[u8; BLOCK]>().read() };
            block(cipher, &mut lane.chain, &input);
            // SAFETY: `offset < len`, so the block is writable.
            unsafe { lane.dst.add(offset).cast::<[u8; BLOCK]>().write(lane.chain) };
        }
        if let Some(log) = log
            && seeded(Bug::FenceRemoved)
        {
            log.commit(k as u64);
        }
    }
}

/// # Safety
/// As [`super::Kernels::cbc_mac`].
pub(super) unsafe fn cbc_mac(lanes: &mut [Lane], keys: &LaneKeys, rounds: u32, len: usize) {
    check_lanes(lanes);
    for (i, lane) in lanes.iter_mut().enumerate() {
        let cipher = Cipher::new(&keys.keys[0][i], &keys.keys[1][i], rounds);
        for offset in (0..len).step_by(BLOCK) {
            // SAFETY: `offset < len` and both are multiples of a block: readable.
            let input = unsafe { lane.src.add(offset).cast::<[u8; BLOCK]>().read() };
            xor(&mut lane.chain, &input);
            cipher.encrypt(&mut lane.chain);
        }
    }
}

/// # Safety
/// As [`super::Kernels::cbc_decrypt`].
pub(super) unsafe fn cbc_decrypt(
    key: &Schedule,
    src: *const u8,
    dst: *mut u8,
    len: usize,
    chain: &mut [u8; BLOCK],
    log: Option<&Log<'_>>,
) {
    let cipher = Cipher::of_decrypt_schedule(key);
    for (k, start) in (0..len).step_by(WIDE_STEP).enumerate() {
        let end = len.min(start + WIDE_STEP);
        if let Some(log) = log {
            let slot = log.slot(k as u64);
            // SAFETY: `start..end` is readable; a slot holds a wide step and, at LOG_CHAIN, a
            // block.
            unsafe {
                ptr::copy_nonoverlapping(src.add(start), slot, end - start);
                if !seeded(Bug::ChainNotLogged) {
                    ptr::copy_nonoverlapping(chain.as_ptr(), slot.add(LOG_CHAIN), BLOCK);
                }
            }
            log.commit(k as u64);
        }
        for offset in (start..end).step_by(BLOCK) {
            // SAFETY: `offset < len` and both are multiples of a block: readable.
            let input = unsafe { src.add(offset).cast::<[u8; BLOCK]>().read() };
            let mut block = input;
            cipher.decrypt(&mut block);
            xor(&mut block, chain);
            *chain = input;
            // SAFETY: as above: writable.
            unsafe { dst.add(offset).cast::<[u8; BLOCK]>().write(block) };
        }
    }
}

/// # Safety
/// As [`super::Kernels::ctr`].
pub(super) unsafe fn ctr(
    key: &Schedule,
    src: *const u8,
    dst: *mut u8,
    len: usize,
    counter: &[u8; BLOCK],
    log: Option<&Log<'_>>,
) {
    let cipher = Cipher::of_encrypt_schedule(key);
    let mut counter = u128::from_be_bytes(*counter);
    for (k, start) in (0..len).step_by(WIDE_STEP).enumerate() {
        let end = len.min(start + WIDE_STEP);
        if let Some(log) = log {
            let slot = log.slot(k as u64);
            // SAFETY: `start..end` is readable, and a slot holds a wide step.
            unsafe { ptr::copy_nonoverlapping(src.add(start), slot, end - start) };
            log.commit(k as u64);
        }
        for offset in (start..end).step_by(BLOCK) {
            let count = BLOCK.min(end - offset);
            let mut block = [0_u8; BLOCK];
            // SAFETY: `offset + count <= len`: readable.
            unsafe { ptr::copy_nonoverlapping(src.add(offset), block.as_mut_ptr(), count) };
            let mut stream = counter.to_be_bytes();
            cipher.encrypt(&mut stream);
            counter = counter.wrapping_add(1);
            xor(&mut block, &stream);
            // SAFETY: `offset + count <= len`: writable.
            unsafe { ptr::copy_nonoverlapping(block.as_ptr(), dst.add(offset), count) };
        }
    }
}

/// # Safety
/// As [`super::Kernels::ecb`].
pub(super) unsafe fn ecb<const DECRYPT: bool>(
    key: &Schedule,
    src: *const u8,
    dst: *mut u8,
    len: usize,
    log: Option<&Log<'_>>,
) {
    let cipher = match DECRYPT {
        true => Cipher::of_decrypt_schedule(key),
        false => Cipher::of_encrypt_schedule(key),
    };
    for (k, start) in (0..len).step_by(WIDE_STEP).enumerate() {
        let end = len.min(start + WIDE_STEP);
        if let Some(log) = log {
            let slot = log.slot(k as u64);
            // SAFETY: `start..end` is readable, and a slot holds a wide step.
            unsafe { ptr::copy_nonoverlapping(src.add(start), slot, end - start) };
            log.commit(k as u64);
        }
        for offset in (start..end).step_by(BLOCK) {
            // SAFETY: `offset < len` and both are multiples of a block: readable.
            let mut block = unsafe { src.add(offset).cast::<[u8; BLOCK]>().read() };
            if DECRYPT {
                cipher.decrypt(&mut block);
            } else {
                cipher.encrypt(&mut block);
            }
            // SAFETY: as above: writable.
            unsafe { dst.add(offset).cast::<[u8; BLOCK]>().write(block) };
        }
    }
}

/// # Safety
/// As [`super::Kernels::ghash`].
pub(super) unsafe fn ghash(key: &GcmKey, hash: &mut [u8; BLOCK], from: *const u8, len: usize) {
    let mut crates = GHash::new(&key.hash_key.into());
    // The hash so far is added to the first block.
    let mut before = *hash;
    for offset in (0..len).step_by(BLOCK) {
        let mut block = [0_u8; BLOCK];
        let count = BLOCK.min(len - offset);
        // SAFETY: `offset + count <= len`: readable.
        unsafe { ptr::copy_nonoverlapping(from.add(offset), block.as_mut_ptr(), count) };
        xor(&mut block, &before);
        before = [0; BLOCK];
        crates.update(&[block.into()]);
    }
    if len > 0 {
        *hash = crates.finalize().into();
    }
}

/// # Safety
/// As [`super::Kernels::gcm_stream`].
pub(super) unsafe fn gcm_stream(run: &GcmRun<'_>, log: Option<&Log<'_>>) {
    let cipher = Cipher::of_encrypt_schedule(run.schedule);
    let [high @ .., a, b, c, d] = run.first;
    let mut low = u32::from_be_bytes([a, b, c, d]);
    for (k, start) in (0..run.len).step_by(WIDE_STEP).enumerate() {
        let end = run.len.min(start + WIDE_STEP);
        if let Some(log) = log {
            let slot = log.slot(k as u64);
            // SAFETY: `start..end` is readable, and a slot holds a wide step.
            unsafe { ptr::copy_nonoverlapping(run.src.add(start), slot, end - start) };
            log.commit(k as u64);
        }
        for offset in (start..end).step_by(BLOCK) {
            low = low.wrapping_add(1);
            let mut stream = [0_u8; BLOCK];
            stream[..12].copy_from_slice(&high);
            stream[12..].copy_from_slice(&low.to_be_bytes());
            cipher.encrypt(&mut stream);
            let count = BLOCK.min(end - offset);
            let mut block = [0_u8; BLOCK];
            // SAFETY: `offset + count <= len`: readable, and writable.
            unsafe {
                ptr::copy_nonoverlapping(run.src.add(offset), block.as_mut_ptr(), count);
                xor(&mut block, &stream);
                ptr::copy_nonoverlapping(block.as_ptr(), run.dst.add(offset), count);
            }
        }
    }
}

/// # Safety
/// As [`super::Kernels::gcm_tag`].
pub(super) unsafe fn gcm_tag(run: &GcmRun<'_>, text: *const u8) -> [u8; BLOCK] {
    let mut hash = [0; BLOCK];
    let bits = |len: usize| u128::from(8 * len as u64);
    let lengths = (bits(run.aad_len) << 64 | bits(run.len)).to_be_bytes();
    // SAFETY: the caller's duty, and a block of ours.
    unsafe {
        ghash(run.key, &mut hash, run.aad, run.aad_len);
        ghash(run.key, &mut hash, text, run.len);
        ghash(run.key, &mut hash, lengths.as_ptr(), BLOCK);
    }
    let mut tag = run.first;
    Cipher::of_encrypt_schedule(run.schedule).encrypt(&mut tag);
    xor(&mut tag, &hash);
    tag
}

/// # Safety
/// As [`super::Kernels::gcm_seal`].
pub(super) unsafe fn gcm_seal(run: &GcmRun<'_>, log: Option<&Log<'_>>) -> [u8; BLOCK] {
    // SAFETY: the caller's duty.
    unsafe {
        gcm_stream(run, log);
        gcm_tag(run, run.dst)
    }
}

/// # Safety
/// As [`super::Kernels::sha1`].
pub(super) unsafe fn sha1(
    state: &mut [[u32; MAX_LANES]; 8],
    data: &[*const u8; MAX_LANES],
    active: usize,
    blocks: usize,
) {
    for (lane, &start) in data.iter().enumerate().take(active) {
        let mut words = core::array::from_fn(|word| state[word][lane]);
        for i in 0..blocks {
            // SAFETY: lane `lane < active` is readable for `blocks` blocks.
            let block = unsafe { start.add(64 * i).cast::<[u8; 64]>().read() };
            sha1::block_api::compress(&mut words, &[block]);
        }
        for (row, word) in state.iter_mut().zip(words) {
            row[lane] = word;
        }
    }
}

/// # Safety
/// As [`super::Kernels::sha256`].
pub(super) unsafe fn sha256(
    state: &mut [[u32; MAX_LANES]; 8],
    data: &[*const u8; MAX_LANES],
    active: usize,
    blocks: usize,
) {
    for (lane, &start) in data.iter().enumerate().take(active) {
        let mut words = core::array::from_fn(|word| state[word][lane]);
        for i in 0..blocks {
            // SAFETY: lane `lane < active` is readable for `blocks` blocks.
            let block = unsafe { start.add(64 * i).cast::<[u8; 64]>().read() };
            compress256(&mut words, &[block]);
        }
        for (row, word) in state.iter_mut().zip(words) {
            row[lane] = word;
        }
    }
}

/// # Safety
/// As [`super::Kernels::sha512`].
pub(super) unsafe fn sha512(
    state: &mut [[u64; MAX_LANES]; 8],
    data: &[*const u8; MAX_LANES],
    active: usize,
    blocks: usize,
) {
    for (lane, &start) in data.iter().enumerate().take(active) {
        let mut words = core::array::from_fn(|word| state[word][lane]);
        for i in 0..blocks {
            // SAFETY: lane `lane < active` is readable for `blocks` blocks.
            let block = unsafe { start.add(128 * i).cast::<[u8; 128]>().read() };
            compress512(&mut words, &[block]);
        }
        for (row, word) in state.iter_mut().zip(words) {
            row[lane] = word;
        }
    }
}

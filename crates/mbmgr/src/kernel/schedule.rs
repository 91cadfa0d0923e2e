//! AES key schedules in the byte order of FIPS-197, the same for every backend, and the lanes'
//! round keys transposed. Schedules are kept in the segment's key table and so survive a crash;
//! [`LaneKeys`] is process-local and is made again.

use aes::Block;
use aes::hazmat::{cipher_round, inv_mix_columns};
use zerocopy::{FromBytes, Immutable, IntoBytes, transmute_mut};
use zeroize::{DefaultIsZeroes, Zeroize};

use super::{BLOCK, MAX_LANES};

/// Most round keys that a schedule has (AES-256).
pub(crate) const ROUND_KEYS: usize = 15;

/// The round keys of one AES key, in order of use: for encrypting, or for decrypting by the
/// equivalent inverse cipher. Unused round keys are zero.
#[derive(Clone)]
#[repr(C, align(16))]
pub(crate) struct Schedule {
    pub(crate) round_keys: [[u8; BLOCK]; ROUND_KEYS],
    /// 10, 12 or 14.
    pub(crate) rounds: u32,
}

/// What is zeroized by one store: of bytes each would be one, on the way of every takeover.
#[derive(Clone, Copy, Default, FromBytes, IntoBytes, Immutable)]
#[repr(transparent)]
struct RoundKey([u8; BLOCK]);

impl DefaultIsZeroes for RoundKey {}

fn zeroize_round_keys(keys: &mut [[u8; BLOCK]]) {
    for key in keys {
        let key: &mut RoundKey = transmute_mut!(key);
        key.zeroize();
    }
}

impl Drop for Schedule {
    fn drop(&mut self) {
        zeroize_round_keys(&mut self.round_keys);
        self.rounds.zeroize();
    }
}

/// The encrypt and the decrypt schedule of a key of 16, 24 or 32 bytes; `None` for other lengths.
///
/// Takes the same time for every key of one length: the S-box is that of an AES round.
pub(crate) fn expand_key(key: &[u8]) -> Option<(Schedule, Schedule)> {
    let rounds = match key.len() {
        16 => 10_u32,
        24 => 12,
        32 => 14,
        _ => return None,
    };
    let last = rounds as usize;
    let key_words = key.len() / 4;
    let mut words = [[0_u8; 4]; 4 * ROUND_KEYS];
    for (word, bytes) in words.iter_mut().zip(key.chunks_exact(4)) {
        word.copy_from_slice(bytes);
    }
    let mut constant = 1_u8;
    for i in key_words..4 * (last + 1) {
        let mut word = words[i - 1];
        if i % key_words == 0 {
            word.rotate_left(1);
            word = substitute(word);
            word[0] ^= constant;
            constant = (constant << 1) ^ if constant & 0x80 == 0 { 0 } else { 0x1b };
        } else if key_words == 8 && i % key_words == 4 {
            word = substitute(word);
        }
        for (byte, earlier) in word.iter_mut().zip(words[i - key_words]) {
            *byte ^= earlier;
        }
        words[i] = word;
    }

    let mut encrypt = Schedule { round_keys: [[0; BLOCK]; ROUND_KEYS], rounds };
    for (round_key, columns) in encrypt.round_keys.iter_mut().zip(words.chunks_exact(4)) {
        round_key.copy_from_slice(columns.as_flattened());
    }
    words.zeroize();

    let mut decrypt = Schedule { round_keys: [[0; BLOCK]; ROUND_KEYS], rounds };
    for round in 0..=last {
        let mut block = Block::from(encrypt.round_keys[last - round]);
        if round != 0 && round != last {
            inv_mix_columns(&mut block);
        }
        decrypt.round_keys[round].copy_from_slice(&block);
        block.zeroize();
    }
    Some((encrypt, decrypt))
}

/// The S-box on each byte of a word: a round on four equal columns, with MixColumns undone.
/// ShiftRows does nothing to equal columns.
fn substitute(word: [u8; 4]) -> [u8; 4] {
    let mut block = Block::default();
    for column in block.chunks_exact_mut(4) {
        column.copy_from_slice(&word);
    }
    cipher_round(&mut block, &Block::default());
    inv_mix_columns(&mut block);
    let substituted = [block[0], block[1], block[2], block[3]];
    block.zeroize();
    substituted
}

/// Round keys of the lanes, transposed: one vector load takes a round's keys of neighbouring lanes.
#[repr(C, align(64))]
pub(crate) struct LaneKeys {
    pub(super) keys: [[[u8; BLOCK]; MAX_LANES]; ROUND_KEYS],
    /// Whether all lanes in use have the key of lane 0, as far as the owner said.
    shared: bool,
}

impl LaneKeys {
    pub(crate) fn new() -> LaneKeys {
        LaneKeys { keys: [[[0; BLOCK]; MAX_LANES]; ROUND_KEYS], shared: false }
    }

    /// Gives `lane` the key of an encrypt schedule.
    pub(crate) fn set(&mut self, lane: usize, key: &Schedule) {
        for (lanes, round_key) in self.keys.iter_mut().zip(&key.round_keys) {
            lanes[lane] = *round_key;
        }
    }

    /// Says whether all lanes that the next run has use the key of lane 0.
    #[inline(always)]
    pub(crate) fn set_shared(&mut self, shared: bool) {
        self.shared = shared;
    }

    #[inline(always)]
    pub(crate) fn is_shared(&self) -> bool {
        self.shared
    }

    /// Exchanges the keys of two lanes. Not inlined: its addresses would be made ready by every run, also
    /// by those that exchange nothing.
    #[inline(never)]
    pub(crate) fn swap(&mut self, a: usize, b: usize) {
        for lanes in &mut self.keys {
            lanes.swap(a, b);
        }
    }

    /// Zeroizes the key of `lane`.
    pub(crate) fn clear(&mut self, lane: usize) {
        for lanes in &mut self.keys {
            lanes[lane].zeroize();
        }
    }
}

impl Drop for LaneKeys {
    fn drop(&mut self) {
        zeroize_round_keys(self.keys.as_flattened_mut());
    }
}

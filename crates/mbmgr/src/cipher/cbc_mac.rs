//! The keys of MACs made of the AES-CBC chain: CMAC (NIST SP 800-38B, RFC 4493) and XCBC-MAC (RFC 3566).
//! Called by `keys`, once for each key; the chain itself is `lanes::mac`. Process-local.

use zeroize::Zeroizing;

use super::aes::Aes;
use crate::kernel::{BLOCK, Schedule, expand_key};
use crate::keys::LastKeys;

/// Multiplication by x in GF(2^128), big-endian.
fn double(block: [u8; BLOCK]) -> [u8; BLOCK] {
    let value = u128::from_be_bytes(block);
    ((value << 1) ^ ((value >> 127) * 0x87)).to_be_bytes()
}

/// What the last block of a CMAC is xored with.
pub(crate) fn cmac_keys(key: &Schedule) -> LastKeys {
    let mut zero = [0; BLOCK];
    Aes::of_schedule(key).encrypt(&mut zero);
    let first = double(zero);
    Zeroizing::new([first, double(first)])
}

/// The key of the chain of an XCBC-MAC, and what its last block is xored with.
///
/// # Panics
/// Never: a key of one block can be expanded.
pub(crate) fn xcbc_keys(key: &Schedule) -> (Schedule, LastKeys) {
    let mut keys = Zeroizing::new([[1; BLOCK], [2; BLOCK], [3; BLOCK]]);
    Aes::of_schedule(key).encrypt_all(&mut keys[..]);
    let (chain, _) = expand_key(&keys[0]).expect("a key of 16 bytes");
    (chain, Zeroizing::new([keys[1], keys[2]]))
}

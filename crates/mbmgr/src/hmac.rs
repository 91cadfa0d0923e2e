//! HMAC (FIPS 198-1) seen from a hash lane: the two hash states that a key comes down to. Process-local.

use sha1::Sha1;
use sha2::block_api::{compress256, compress512};
use sha2::{Digest, Sha224, Sha256, Sha384, Sha512};
use zeroize::Zeroizing;

const INNER_PAD: u8 = 0x36;
const OUTER_PAD: u8 = 0x5c;

/// Initial hash value of SHA-1 (FIPS 180-4, 5.3.1), with three words that it does not have.
pub(crate) const SHA1_INIT: [u32; 8] =
    [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0, 0, 0, 0];

/// Initial hash value of SHA-256 (FIPS 180-4, 5.3.3).
pub(crate) const SHA256_INIT: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// Initial hash value of SHA-512 (FIPS 180-4, 5.3.5).
pub(crate) const SHA512_INIT: [u64; 8] = [
    0x6a09_e667_f3bc_c908,
    0xbb67_ae85_84ca_a73b,
    0x3c6e_f372_fe94_f82b,
    0xa54f_f53a_5f1d_36f1,
    0x510e_527f_ade6_82d1,
    0x9b05_688c_2b3e_6c1f,
    0x1f83_d9ab_fb41_bd6b,
    0x5be0_cd19_137e_2179,
];

/// Initial hash value of SHA-224 (FIPS 180-4, 5.3.2).
pub(crate) const SHA224_INIT: [u32; 8] = [
    0xc105_9ed8,
    0x367c_d507,
    0x3070_dd17,
    0xf70e_5939,
    0xffc0_0b31,
    0x6858_1511,
    0x64f9_8fa7,
    0xbefa_4fa4,
];

/// Initial hash value of SHA-384 (FIPS 180-4, 5.3.4).
pub(crate) const SHA384_INIT: [u64; 8] = [
    0xcbbb_9d5d_c105_9ed8,
    0x629a_292a_367c_d507,
    0x9159_015a_3070_dd17,
    0x152f_ecd8_f70e_5939,
    0x6733_2667_ffc0_0b31,
    0x8eb4_4a87_6858_1511,
    0xdb0c_2e0d_64f9_8fa7,
    0x47b5_481d_befa_4fa4,
];

/// SHA-1 states after the inner and the outer key pad, each with three words more.
pub(crate) fn midstates_160(key: &[u8]) -> ([u32; 8], [u32; 8]) {
    let mut block = Zeroizing::new([0_u8; 64]);
    if key.len() > block.len() {
        block[..20].copy_from_slice(&Sha1::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let state = |pad: u8| {
        let padded = Zeroizing::new(block.map(|byte| byte ^ pad));
        let mut state = SHA1_INIT;
        if let Some(words) = state.first_chunk_mut() {
            sha1::block_api::compress(words, std::slice::from_ref(&padded));
        }
        state
    };
    (state(INNER_PAD), state(OUTER_PAD))
}

/// SHA-256 states, or SHA-224 states if `short`, after the inner and the outer key pad.
pub(crate) fn midstates_256(key: &[u8], short: bool) -> ([u32; 8], [u32; 8]) {
    let mut block = Zeroizing::new([0_u8; 64]);
    if key.len() > block.len() && short {
        block[..28].copy_from_slice(&Sha224::digest(key));
    } else if key.len() > block.len() {
        block[..32].copy_from_slice(&Sha256::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let state = |pad: u8| {
        let padded = Zeroizing::new(block.map(|byte| byte ^ pad));
        let mut state = if short { SHA224_INIT } else { SHA256_INIT };
        compress256(&mut state, std::slice::from_ref(&padded));
        state
    };
    (state(INNER_PAD), state(OUTER_PAD))
}

/// SHA-512 states, or SHA-384 states if `short`, after the inner and the outer key pad.
pub(crate) fn midstates_512(key: &[u8], short: bool) -> ([u64; 8], [u64; 8]) {
    let mut block = Zeroizing::new([0_u8; 128]);
    if key.len() > block.len() && short {
        block[..48].copy_from_slice(&Sha384::digest(key));
    } else if key.len() > block.len() {
        block[..64].copy_from_slice(&Sha512::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let state = |pad: u8| {
        let padded = Zeroizing::new(block.map(|byte| byte ^ pad));
        let mut state = if short { SHA384_INIT } else { SHA512_INIT };
        compress512(&mut state, std::slice::from_ref(&padded));
        state
    };
    (state(INNER_PAD), state(OUTER_PAD))
}

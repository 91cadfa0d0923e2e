//! Published vectors: the key expansions of FIPS-197 appendix A and its examples of appendix C, CBC
//! and CTR of SP 800-38A appendix F, the one-block messages of FIPS 180.

use super::{Backend, Kernels, Lane, LaneKeys, MAX_LANES, expand_key};

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let value = |digit: u8| match digit {
        b'0'..=b'9' => digit - b'0',
        _ => digit.to_ascii_lowercase() - b'a' + 10,
    };
    digits.as_chunks::<2>().0.iter().map(|[high, low]| value(*high) << 4 | value(*low)).collect()
}

const KEY_128: &str = "2b7e1516 28aed2a6 abf71588 09cf4f3c";
const KEY_192: &str = "8e73b0f7 da0e6452 c810f32b 809079e5 62f8ead2 522c6b7b";
const KEY_256: &str = "603deb10 15ca71be 2b73aef0 857d7781 1f352c07 3b6108d7 2d9810a3 0914dff4";

#[test]
fn key_expansion_of_fips_197() {
    let cases = [
        (KEY_128, "a0fafe17 88542cb1 23a33939 2a6c7605", "d014f9a8 c9ee2589 e13f0cc8 b6630ca6"),
        (KEY_192, "62f8ead2 522c6b7b fe0c91f7 2402f5a5", "e98ba06f 448c773c 8ecc7204 01002202"),
        (KEY_256, "1f352c07 3b6108d7 2d9810a3 0914dff4", "fe4890d1 e6188d0b 046df344 706c631e"),
    ];
    for (key, second, last) in cases {
        let key = hex(key);
        let (encrypt, decrypt) = expand_key(&key).expect("a key length of AES");
        assert_eq!(encrypt.rounds as usize, key.len() / 4 + 6);
        assert_eq!(encrypt.round_keys[0], key[..16]);
        assert_eq!(encrypt.round_keys[1], *hex(second));
        assert_eq!(encrypt.round_keys[encrypt.rounds as usize], *hex(last));
        assert_eq!(decrypt.rounds, encrypt.rounds);
        assert_eq!(decrypt.round_keys[0], encrypt.round_keys[encrypt.rounds as usize]);
        assert_eq!(decrypt.round_keys[decrypt.rounds as usize], encrypt.round_keys[0]);
    }
    for len in [0, 15, 17, 20, 33] {
        assert!(expand_key(&vec![0; len]).is_none(), "a key of {len} bytes");
    }
}

/// The equivalent inverse cipher's round keys of FIPS-197 appendix C.1, rounds 1 and 9 of use.
#[test]
fn inverse_schedule_of_fips_197() {
    let (_, decrypt) = expand_key(&hex("000102030405060708090a0b0c0d0e0f")).expect("16 bytes");
    assert_eq!(decrypt.round_keys[1], *hex("13aa29be9c8faff6f770f58000f7bf03"));
    assert_eq!(decrypt.round_keys[9], *hex("8c56dff0825dd3f9805ad3fc8659d7fd"));
}

const PLAIN: &str = "6bc1bee22e409f96e93d7e117393172a ae2d8a571e03ac9c9eb76fac45af8e51
    30c81c46a35ce411e5fbc1191a0a52ef f69f2445df4f9b17ad2b417be66c3710";
const IV: &str = "000102030405060708090a0b0c0d0e0f";
const COUNTER: &str = "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff";

/// Key, CBC ciphertext, CTR ciphertext.
const MODES: [(&str, &str, &str); 3] = [
    (
        KEY_128,
        "7649abac8119b246cee98e9b12e9197d 5086cb9b507219ee95db113a917678b2
         73bed6b8e3c1743b7116e69e22229516 3ff1caa1681fac09120eca307586e1a7",
        "874d6191b620e3261bef6864990db6ce 9806f66b7970fdff8617187bb9fffdff
         5ae4df3edbd5d35e5b4f09020db03eab 1e031dda2fbe03d1792170a0f3009cee",
    ),
    (
        KEY_192,
        "4f021db243bc633d7178183a9fa071e8 b4d9ada9ad7dedf4e5e738763f69145a
         571b242012fb7ae07fa9baac3df102e0 08b0e27988598881d920a9e64f5615cd",
        "1abc932417521ca24f2b0459fe7e6e0b 090339ec0aa6faefd5ccc2c6f4ce8e94
         1e36b26bd1ebc670d1bd1d665620abf7 4f78a7f6d29809585a97daec58c6b050",
    ),
    (
        KEY_256,
        "f58c4c04d6e5f1ba779eabfb5f7bfbd6 9cfc4e967edb808d679f777bc6702c7d
         39f23369a9d9bacfa530e26304231461 b2eb05e2c39be9fcda6c19078c6a9d1b",
        "601ec313775789a5b7a7f504bbf3d228 f443e3ca4d62b59aca84e990cacaf5c5
         2b0930daa23de94ce87017ba2d84988d dfc9c58db67aada613c2dd08457941a6",
    ),
];

#[test]
fn modes_of_sp_800_38a() {
    let (plain, iv, counter) = (hex(PLAIN), hex(IV), hex(COUNTER));
    let iv: [u8; 16] = iv.try_into().expect("16 bytes");
    let counter: [u8; 16] = counter.try_into().expect("16 bytes");
    for kernels in Backend::ALL.into_iter().filter_map(Kernels::new) {
        for (key, cbc, ctr) in MODES {
            let (encrypt, decrypt) = expand_key(&hex(key)).expect("a key length of AES");
            let (cbc, ctr) = (hex(cbc), hex(ctr));
            let mut keys = LaneKeys::new();
            keys.set(0, &encrypt);
            let mut buffer = plain.clone();
            let (len, at) = (buffer.len(), buffer.as_mut_ptr());
            // SAFETY: the buffer is `len` bytes long, and used in place.
            unsafe {
                let mut lanes = [Lane { src: at, dst: at, chain: iv }];
                kernels.cbc_encrypt(&mut lanes, &keys, encrypt.rounds, len, None);
                assert_eq!(buffer, cbc, "{:?}", kernels.backend());
                kernels.cbc_decrypt(&decrypt, at, at, len, &mut iv.clone(), None);
                assert_eq!(buffer, plain, "{:?}", kernels.backend());
                kernels.ctr(&encrypt, at, at, len, &counter, None);
                assert_eq!(buffer, ctr, "{:?}", kernels.backend());
            }
        }
    }
}

/// "abc", padded to one block.
#[test]
fn hashes_of_fips_180() {
    let iv_256: [u32; 8] = [
        0x6a09_e667,
        0xbb67_ae85,
        0x3c6e_f372,
        0xa54f_f53a,
        0x510e_527f,
        0x9b05_688c,
        0x1f83_d9ab,
        0x5be0_cd19,
    ];
    let iv_512: [u64; 8] = [
        0x6a09_e667_f3bc_c908,
        0xbb67_ae85_84ca_a73b,
        0x3c6e_f372_fe94_f82b,
        0xa54f_f53a_5f1d_36f1,
        0x510e_527f_ade6_82d1,
        0x9b05_688c_2b3e_6c1f,
        0x1f83_d9ab_fb41_bd6b,
        0x5be0_cd19_137e_2179,
    ];
    let mut block = [0_u8; 128];
    block[..4].copy_from_slice(b"abc\x80");
    let mut short = block;
    short[63] = 24;
    block[127] = 24;
    for kernels in Backend::ALL.into_iter().filter_map(Kernels::new) {
        let mut state_256 = iv_256.map(|word| [word; MAX_LANES]);
        let mut state_512 = iv_512.map(|word| [word; MAX_LANES]);
        // SAFETY: every lane's message is the block.
        unsafe {
            kernels.sha256(&mut state_256, &[short.as_ptr(); MAX_LANES], MAX_LANES, 1);
            kernels.sha512(&mut state_512, &[block.as_ptr(); MAX_LANES], MAX_LANES, 1);
        }
        for lane in 0..MAX_LANES {
            let digest: Vec<u8> =
                state_256.iter().flat_map(|row| row[lane].to_be_bytes()).collect();
            let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
            assert_eq!(digest, hex(expected), "{:?}", kernels.backend());
            let digest: Vec<u8> =
                state_512.iter().flat_map(|row| row[lane].to_be_bytes()).collect();
            let expected = "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a
                2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f";
            assert_eq!(digest, hex(expected), "{:?}", kernels.backend());
        }
    }
}

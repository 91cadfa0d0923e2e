//! The examples of the standards, and two modes by their definitions.

use aes::cipher::{BlockCipherEncrypt, KeyInit};
use mbmgr::Algorithm;

use super::cases::{self, Case, both_directions};
use super::{check, hex};

/// The key and the plaintext of the examples of NIST SP 800-38A, appendix F.
const KEY_128: &str = "2b7e151628aed2a6abf7158809cf4f3c";
const KEY_192: &str = "8e73b0f7da0e6452c810f32b809079e562f8ead2522c6b7b";
const KEY_256: &str = "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4";
const PLAIN: &str = "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51
    30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710";
const IV: &str = "000102030405060708090a0b0c0d0e0f";

#[test]
fn examples_of_sp_800_38a() {
    let case = |algorithm, key, iv, out| {
        Case::cipher(algorithm, &hex(key), &hex(iv), &hex(PLAIN), &hex(out))
    };
    let cases = [
        case(
            Algorithm::Aes128Ecb,
            KEY_128,
            "",
            "3ad77bb40d7a3660a89ecaf32466ef97f5d3d58503b9699de785895a96fdbaaf
             43b1cd7f598ece23881b00e3ed0306887b0c785e27e8ad3f8223207104725dd4",
        ),
        case(
            Algorithm::Aes192Ecb,
            KEY_192,
            "",
            "bd334f1d6e45f25ff712a214571fa5cc974104846d0ad3ad7734ecb3ecee4eef
             ef7afd2270e2e60adce0ba2face6444e9a4b41ba738d6c72fb16691603c18e0e",
        ),
        case(
            Algorithm::Aes256Ecb,
            KEY_256,
            "",
            "f3eed1bdb5d2a03c064b5a7e3db181f8591ccb10d410ed26dc5ba74a31362870
             b6ed21b99ca6f4f9f153e7b1beafed1d23304b7a39f9f3ff067d8d8f9e24ecc7",
        ),
        case(
            Algorithm::Aes128Cfb,
            KEY_128,
            IV,
            "3b3fd92eb72dad20333449f8e83cfb4ac8a64537a0b3a93fcde3cdad9f1ce58b
             26751f67a3cbb140b1808cf187a4f4dfc04b05357c5d1c0eeac4c66f9ff7f2e6",
        ),
        case(
            Algorithm::Aes192Cfb,
            KEY_192,
            IV,
            "cdc80d6fddf18cab34c25909c99a417467ce7f7f81173621961a2b70171d3d7a
             2e1e8a1dd59b88b1c8e60fed1efac4c9c05f9f9ca9834fa042ae8fba584b09ff",
        ),
        case(
            Algorithm::Aes256Cfb,
            KEY_256,
            IV,
            "dc7e84bfda79164b7ecd8486985d386039ffed143b28b1c832113c6331e5407b
             df10132415e54b92a13ed0a8267ae2f975a385741ab9cef82031623d55b1e471",
        ),
        // Without a short last block DOCSIS is CBC (F.2.1, F.2.5).
        case(
            Algorithm::Aes128Docsis,
            KEY_128,
            IV,
            "7649abac8119b246cee98e9b12e9197d5086cb9b507219ee95db113a917678b2
             73bed6b8e3c1743b7116e69e222295163ff1caa1681fac09120eca307586e1a7",
        ),
        case(
            Algorithm::Aes256Docsis,
            KEY_256,
            IV,
            "f58c4c04d6e5f1ba779eabfb5f7bfbd69cfc4e967edb808d679f777bc6702c7d
             39f23369a9d9bacfa530e26304231461b2eb05e2c39be9fcda6c19078c6a9d1b",
        ),
    ];
    check("sp-800-38a", &both_directions(&cases));
}

/// The stream of a short last block is the cipher on the ciphertext block before it, or on the IV.
#[test]
fn docsis_ends_as_cfb() {
    // A message of less than a block: F.3.13 has the same IV and key, so its first bytes.
    let short = Case::cipher(
        Algorithm::Aes128Docsis,
        &hex(KEY_128),
        &hex(IV),
        &hex(PLAIN)[..7],
        &hex("3b3fd92eb72dad"),
    );
    // After a block: that of F.2.1, and the cipher on it.
    let first = hex("7649abac8119b246cee98e9b12e9197d");
    let mut stream = aes::Block::try_from(first.as_slice()).unwrap();
    aes::Aes128::new_from_slice(&hex(KEY_128)).unwrap().encrypt_block(&mut stream);
    let plain = hex(PLAIN);
    let rest = plain[16..25].iter().zip(stream).map(|(byte, stream)| byte ^ stream);
    let out = first.iter().copied().chain(rest).collect::<Vec<_>>();
    let algorithm = Algorithm::Aes128Docsis;
    let long = Case::cipher(algorithm, &hex(KEY_128), &hex(IV), &plain[..25], &out);
    check("docsis-as-cfb", &both_directions(&[short, long]));
}

/// 128-EIA3 by its definition (ETSI/SAGE, document 1, 4.3): for every bit that is set, 32 bits of the
/// key stream from its place on. The published sets end inside a byte, which a job cannot.
#[test]
fn eia3_is_that_of_the_definition() {
    let (key, iv) = ([0x3d; 16], [0x5b; 16]);
    let mut cases = Vec::new();
    for len in [0, 1, 4, 33, 600] {
        let message = cases::bytes(len, usize::try_from(len).unwrap());
        let mut stream = zuc::zuc128::Zuc128Keystream::new(&key, &iv);
        let words = (0..message.len() / 4 + 4).map(|_| stream.generate()).collect::<Vec<_>>();
        let window = |bit: usize| {
            let both = u64::from(words[bit / 32]) << 32 | u64::from(words[bit / 32 + 1]);
            u32::try_from(both << (bit % 32) >> 32).unwrap()
        };
        let bits = 8 * message.len();
        let set = (0..bits).filter(|bit| message[bit / 8] >> (7 - bit % 8) & 1 == 1);
        let mac =
            set.map(window).fold(0, |a, b| a ^ b) ^ window(bits) ^ words[bits.div_ceil(32) + 1];
        let mut case = Case::mac(Algorithm::ZucEia3, &key, &message, &mac.to_be_bytes());
        case.iv = iv.to_vec();
        cases.push(case);
    }
    check("eia3-by-definition", &cases);
}

#[test]
fn examples_of_stream_and_legacy_ciphers() {
    let sunscreen = b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip \
        for the future, sunscreen would be it.";
    let sm4 = "0123456789abcdeffedcba9876543210";
    let tdes = "0123456789abcdef23456789abcdef01456789abcdef0123";
    let cipher = |algorithm, key: &str, iv: &str, plain: &[u8], out: &str| {
        Case::cipher(algorithm, &hex(key), &hex(iv), plain, &hex(out))
    };
    let cases = [
        // RFC 8439, 2.4.2.
        cipher(
            Algorithm::ChaCha20,
            "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
            "000000000000004a00000000",
            sunscreen,
            "6e2e359a2568f98041ba0728dd0d6981e97e7aec1d4360c20a27afccfd9fae0b
             f91b65c5524733ab8f593dabcd62b3571639d624e65152ab8f530c359f0861d8
             07ca0dbf500d6a6156a38e088a22b65e52bc514d16ccf806818ce91ab7793736
             5af90bbf74a35be6b40b8eedf2785e42874d",
        ),
        // FIPS 81, appendix C.
        cipher(
            Algorithm::DesCbc,
            "0123456789abcdef",
            "1234567890abcdef",
            b"Now is the time for all ",
            "e5c7cdde872bf27c43e934008c389c0f683788499a7c05f6",
        ),
        // NIST SP 800-67, B.1: three blocks of ECB, each the first block of a CBC with a zero IV.
        cipher(Algorithm::TripleDesCbc, tdes, "0000000000000000", b"The qufc", "a826fd8ce53b855f"),
        cipher(Algorithm::TripleDesCbc, tdes, "0000000000000000", b"k brown ", "cce21c8112256fe6"),
        cipher(Algorithm::TripleDesCbc, tdes, "0000000000000000", b"fox jump", "68d5c05dd9b6b900"),
        // GB/T 32907, example 1.
        cipher(Algorithm::Sm4Ecb, sm4, "", &hex(sm4), "681edf34d206965e86b3e94f536e4246"),
        // draft-ribose-cfrg-sm4, A.2.2.1 and A.2.5.1.
        cipher(
            Algorithm::Sm4Cbc,
            sm4,
            IV,
            &hex("aaaaaaaabbbbbbbbccccccccddddddddeeeeeeeeffffffffaaaaaaaabbbbbbbb"),
            "78ebb11cc40b0a48312aaeb2040244cb4cb7016951909226979b0d15dc6a8f6d",
        ),
        cipher(
            Algorithm::Sm4Ctr,
            sm4,
            IV,
            &hex("aaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbccccccccccccccccdddddddddddddddd
                 eeeeeeeeeeeeeeeeffffffffffffffffaaaaaaaaaaaaaaaabbbbbbbbbbbbbbbb"),
            "ac3236cb970cc20791364c395a1342d1a3cbc1878c6f30cd074cce385cdd70c7
             f234bc0e24c11980fd1286310ce37b926e02fcd0faa0baf38b2933851d824514",
        ),
        // 128-EEA3 test set 1 (ETSI/SAGE, document 3): COUNT 66035492, BEARER f, DIRECTION 0, of
        // whose 193 bits the first 192 are here.
        cipher(
            Algorithm::ZucEea3,
            "173d14ba5003731d7a60049470f00a29",
            "66035492780000006603549278000000",
            &hex("6cf65340735552ab0c9752fa6f9025fe0bd675d9005875b2"),
            "a6c85fc66afb8533aafc2518dfe784940ee1e4b030238cc8",
        ),
        // ZUC-256, version 1.1, test vector 1: the key stream of zeros.
        Case::cipher(
            Algorithm::Zuc256Eea3,
            &[0; 32],
            &[0; 23],
            &[0; 32],
            &hex("58d03ad62e032ce2dafc683a39bdcb0352a2bc67f1b7de74163ce3a101ef5558"),
        ),
    ];
    check("examples-of-ciphers", &both_directions(&cases));
}

#[test]
fn examples_of_macs() {
    let mac = |algorithm, key: &str, input: &[u8], tag: &str| {
        Case::mac(algorithm, &hex(key), input, &hex(tag))
    };
    let xcbc = "000102030405060708090a0b0c0d0e0f";
    let counted = (0..34).collect::<Vec<u8>>();
    // ZUC-256, version 1.1, test vector 1 of the MAC: key, IV and 400 bits of zeros.
    let mut eia3 = Case::mac(Algorithm::Zuc256Eia3, &[0; 32], &[0; 50], &hex("9b972a74"));
    eia3.iv = vec![0; 23];
    let cases = [
        eia3,
        // RFC 3566, test cases 1 to 6.
        mac(Algorithm::Aes128Xcbc, xcbc, &[], "75f0251d528ac01c4573dfd584d79f29"),
        mac(Algorithm::Aes128Xcbc, xcbc, &counted[..3], "5b376580ae2f19afe7219ceef172756f"),
        mac(Algorithm::Aes128Xcbc, xcbc, &counted[..16], "d2a246fa349b68a79998a4394ff7a263"),
        mac(Algorithm::Aes128Xcbc, xcbc, &counted[..20], "47f51b4564966215b8985c63055ed308"),
        mac(Algorithm::Aes128Xcbc, xcbc, &counted[..32], "f54f0ec8d2b9f3d36807734bd5283fd4"),
        mac(Algorithm::Aes128Xcbc, xcbc, &counted, "becbb3bccdb518a30677d548"),
        // RFC 8439, 2.5.2.
        mac(
            Algorithm::Poly1305,
            "85d6be7857556d337f4452fe42d506a80103808afb0db2fd4abff6af4149f51b",
            b"Cryptographic Forum Research Group",
            "a8061dc1305136c6c22b8baf0c0127a9",
        ),
        // McGrew and Viega, GCM test case 2: one block of ciphertext and the lengths.
        mac(
            Algorithm::Ghash,
            "66e94bd4ef8a2c3b884cfa59ca342b2e",
            &hex("0388dace60b6a392f328c2b971b2fe7800000000000000000000000000000080"),
            "f38cbb1ad69223dcc3457ae5b6b0f885",
        ),
        // RFC 2202, 2, test cases 1, 2 and 6.
        mac(
            Algorithm::HmacMd5,
            "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b",
            b"Hi There",
            "9294727a3638bb1c13f48ef8158bfc9d",
        ),
        Case::mac(
            Algorithm::HmacMd5,
            b"Jefe",
            b"what do ya want for nothing?",
            &hex("750c783e6ab0b503eaa86e310a5db738"),
        ),
        Case::mac(
            Algorithm::HmacMd5,
            &[0xaa; 80],
            b"Test Using Larger Than Block-Size Key - Hash Key First",
            &hex("6b1ab7fe4bd7bf8f0b62e6ce61b9d0cd"),
        ),
    ];
    check("examples-of-macs", &cases);
}

#[test]
fn examples_of_hashes() {
    let hash =
        |algorithm, input: &[u8], digest: &str| Case::mac(algorithm, &[], input, &hex(digest));
    let cases = [
        // FIPS 180-4 examples.
        hash(Algorithm::Sha1, b"abc", "a9993e364706816aba3e25717850c26c9cd0d89d"),
        hash(
            Algorithm::Sha1,
            b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
            "84983e441c3bd26ebaae4aa1f95129e5e54670f1",
        ),
        hash(Algorithm::Sha224, b"abc", "23097d223405d8228642a477bda255b32aadbce4bda0b3f7e36c9da7"),
        hash(
            Algorithm::Sha256,
            b"abc",
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        ),
        hash(
            Algorithm::Sha384,
            b"abc",
            "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed
             8086072ba1e7cc2358baeca134c825a7",
        ),
        hash(
            Algorithm::Sha512,
            b"abc",
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a
             2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
        ),
        // FIPS 202 examples.
        hash(
            Algorithm::Sha3_224,
            b"abc",
            "e642824c3f8cf24ad09234ee7d3c766fc9a3a5168d0c94ad73b46fdf",
        ),
        hash(
            Algorithm::Sha3_256,
            b"",
            "a7ffc6f8bf1ed76651c14756a061d662f580ff4de43b49fa82d80a4b80f8434a",
        ),
        hash(
            Algorithm::Sha3_256,
            b"abc",
            "3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532",
        ),
        hash(
            Algorithm::Sha3_384,
            b"abc",
            "ec01498288516fc926459f58e2c6ad8df9b473cb0fc08c2596da7cf0e49be4b2
             98d88cea927ac7f539f1edf228376d25",
        ),
        hash(
            Algorithm::Sha3_512,
            b"abc",
            "b751850b1a57168a5693cd924b6b096e08f621827444f70d884f5d0240d2712e
             10e116e9192af3c91a7ec57647e3934057340b4cf408d5a56592f8274eec53f0",
        ),
        hash(
            Algorithm::Shake128,
            b"",
            "7f9c2ba4e88f827d616045507605853ed73b8093f6efbc88eb1a6eacfa66ef26",
        ),
        hash(
            Algorithm::Shake256,
            b"",
            "46b9dd2b0ba88d13233b3feb743eeb243fcd52ea62b81b82b50c27646ed5762f
             d75dc4ddd8c0f200cb05019d67b592f6fc821c49479ab48640292eacb3b7c4be",
        ),
        // GB/T 32905, appendix A.
        hash(
            Algorithm::Sm3,
            b"abc",
            "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0",
        ),
        // The check value of the catalogue of parametrised CRC algorithms.
        hash(Algorithm::Crc32, b"123456789", "2639f4cb"),
    ];
    check("examples-of-hashes", &cases);
}

/// RFC 3686, 6, test vectors 1 to 9: the 12 bytes of nonce and IV.
#[test]
fn examples_of_rfc_3686() {
    let counted = |len: u8| (0..len).collect::<Vec<u8>>();
    let single = b"Single block msg";
    let case = |algorithm, key: &str, iv: &str, plain: &[u8], out: &str| {
        Case::cipher(algorithm, &hex(key), &hex(iv), plain, &hex(out))
    };
    let cases = [
        case(
            Algorithm::Aes128Ctr,
            "ae6852f8121067cc4bf7a5765577f39e",
            "000000300000000000000000",
            single,
            "e4095d4fb7a7b3792d6175a3261311b8",
        ),
        case(
            Algorithm::Aes128Ctr,
            "7e24067817fae0d743d6ce1f32539163",
            "006cb6dbc0543b59da48d90b",
            &counted(32),
            "5104a106168a72d9790d41ee8edad388eb2e1efc46da57c8fce630df9141be28",
        ),
        case(
            Algorithm::Aes128Ctr,
            "7691be035e5020a8ac6e618529f9a0dc",
            "00e0017b27777f3f4a1786f0",
            &counted(36),
            "c1cf48a89f2ffdd9cf4652e9efdb72d74540a42bde6d7836d59a5ceaaef3105325b2072f",
        ),
        case(
            Algorithm::Aes192Ctr,
            "16af5b145fc9f579c175f93e3bfb0eed863d06ccfdb78515",
            "0000004836733c147d6d93cb",
            single,
            "4b55384fe259c9c84e7935a003cbe928",
        ),
        case(
            Algorithm::Aes192Ctr,
            "7c5cb2401b3dc33c19e7340819e0f69c678c3db8e6f6a91a",
            "0096b03b020c6eadc2cb500d",
            &counted(32),
            "453243fc609b23327edfaafa7131cd9f8490701c5ad4a79cfc1fe0ff42f4fb00",
        ),
        case(
            Algorithm::Aes192Ctr,
            "02bf391ee8ecb159b959617b0965279bf59b60a786d3e0fe",
            "0007bdfd5cbd60278dcc0912",
            &counted(36),
            "96893fc55e5c722f540b7dd1ddf7e758d288bc95c69165884536c811662f2188abee0935",
        ),
        case(
            Algorithm::Aes256Ctr,
            "776beff2851db06f4c8a0542c8696f6c6a81af1eec96b4d37fc1d689e6c1c104",
            "00000060db5672c97aa8f0b2",
            single,
            "145ad01dbf824ec7560863dc71e3e0c0",
        ),
        case(
            Algorithm::Aes256Ctr,
            "f6d66d6bd52d59bb0796365879eff886c66dd51a5b6a99744b50590c87a23884",
            "00faac24c1585ef15a43d875",
            &counted(32),
            "f05e231b3894612c49ee000b804eb2a9b8306b508f839d6a5530831d9344af1c",
        ),
        case(
            Algorithm::Aes256Ctr,
            "ff7a617ce69148e4f1726e2f43581de2aa62d9f805532edff1eed687fb54153d",
            "001cc5b751a51d70a1c11148",
            &counted(36),
            "eb6c52821d0bbbf7ce7594462aca4faab407df866569fd07f48cc0b583d6071f1ec0e6b8",
        ),
    ];
    check("rfc-3686", &both_directions(&cases));
}

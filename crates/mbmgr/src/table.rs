//! The table of algorithms: one row each. To add one, write its file in `cipher` and its row here;
//! where its key is of a new kind, a row in `keys::KeyKind` too. Process-local: the segment stores the
//! id of a row, so a row's id is never reused.

use crate::algorithm::Kind;
use crate::cipher::{ccm, cfb, chacha, digests, docsis, gcm, legacy, sm4, xts, zuc};
use crate::keys::KeyKind;
use crate::lanes::single::{ByAead, ByCipher, ByMac, Single};

/// Who runs the jobs of a row.
pub(crate) enum Engine {
    /// Lanes of CBC encryption; decryption in wide steps.
    Cbc,
    /// Counter mode in wide steps.
    Ctr,
    /// Electronic code book in wide steps.
    Ecb,
    /// Lanes of CBC encryption, decryption in wide steps; a rest that fills no block by itself.
    Docsis(&'static dyn Single),
    /// Lanes of CFB encryption; decryption by itself.
    Cfb(&'static dyn Single),
    /// Lanes of the AES-CBC chain.
    CbcMac,
    /// Lanes of the AES-CBC chain, then counter mode in wide steps; a message in pieces by itself.
    Ccm(&'static dyn Single),
    /// Galois/counter mode in wide steps; a message in pieces by itself.
    Gcm(&'static dyn Single),
    /// The hash of Galois/counter mode in wide steps.
    Gmac,
    /// Lanes of SHA-1.
    Sha1,
    /// Lanes of SHA-256 and what differs from it in its initial value only.
    Sha256,
    /// Lanes of SHA-512 and what differs from it in its initial value only.
    Sha512,
    /// A job by itself.
    Single(&'static dyn Single),
}

impl Engine {
    /// Who runs a job by itself, if that can be.
    pub(crate) fn single(&self) -> Option<&'static dyn Single> {
        match self {
            Engine::Single(single)
            | Engine::Docsis(single)
            | Engine::Cfb(single)
            | Engine::Ccm(single)
            | Engine::Gcm(single) => Some(*single),
            _ => None,
        }
    }
}

/// The lengths of an IV that an algorithm takes.
pub(crate) enum Ivs {
    No,
    One(usize, &'static str),
    Two(usize, usize, &'static str),
    Between(usize, usize, &'static str),
}

impl Ivs {
    #[inline]
    pub(crate) fn fits(&self, len: usize) -> bool {
        match *self {
            Ivs::No => len == 0,
            Ivs::One(only, _) => len == only,
            Ivs::Two(a, b, _) => len == a || len == b,
            Ivs::Between(min, max, _) => (min..=max).contains(&len),
        }
    }

    pub(crate) fn takes(&self) -> &'static str {
        match *self {
            Ivs::No => "none",
            Ivs::One(_, takes) | Ivs::Two(_, _, takes) | Ivs::Between(_, _, takes) => takes,
        }
    }
}

/// The lengths of a tag or digest: from `min` to `max` in steps.
pub(crate) struct Tags {
    pub(crate) min: usize,
    pub(crate) max: usize,
    pub(crate) step: usize,
}

impl Tags {
    #[inline]
    pub(crate) fn fits(&self, len: usize) -> bool {
        (self.min..=self.max).contains(&len) && (len - self.min).is_multiple_of(self.step)
    }

    pub(crate) fn takes(&self) -> String {
        match *self {
            Tags { max: 0, .. } => "none".to_owned(),
            Tags { min, max, .. } if min == max => format!("{max}"),
            Tags { min, max, step: 1 } => format!("{min} to {max}"),
            Tags { min, max, step } => format!("{min} to {max} in steps of {step}"),
        }
    }
}

/// One row of the table.
pub(crate) struct Row {
    pub(crate) algorithm: Algorithm,
    /// What the segment stores. Never reused, never zero.
    pub(crate) id: u16,
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) engine: Engine,
    pub(crate) key: Option<KeyKind>,
    pub(crate) ivs: Ivs,
    /// Tag, digest or MAC.
    pub(crate) tags: Tags,
    /// A job's length is a multiple of this, a power of two.
    pub(crate) block: usize,
    /// The shortest job.
    pub(crate) min: usize,
}

/// Blocks, and the shortest job.
const fn shape(kind: Kind, block: usize, min: usize) -> (usize, usize) {
    match kind {
        Kind::Cbc | Kind::Ctr | Kind::Cipher => (block, min),
        _ => (block, 0),
    }
}

macro_rules! rows {
    ($($(#[$doc:meta])* $algorithm:ident $id:literal $name:literal $kind:ident $engine:expr,
       $key:expr, $ivs:expr, $tags:expr, $shape:expr;)*) => {
        /// A cipher, hash or MAC.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Algorithm {
            $($(#[$doc])* $algorithm),*
        }

        pub(crate) const ROWS: &[Row] = &[$(Row {
            algorithm: Algorithm::$algorithm,
            id: $id,
            name: $name,
            kind: Kind::$kind,
            engine: $engine,
            key: $key,
            ivs: $ivs,
            tags: $tags,
            block: shape(Kind::$kind, $shape.0, $shape.1).0,
            min: shape(Kind::$kind, $shape.0, $shape.1).1,
        }),*];

        impl Algorithm {
            /// Every algorithm, in the order of the table.
            pub const ALL: &[Algorithm] = &[$(Algorithm::$algorithm),*];
        }
    };
}

// What the columns below are written with.
const NO_IV: Ivs = Ivs::No;
const IV8: Ivs = Ivs::One(8, "8");
const IV12: Ivs = Ivs::One(12, "12");
const IV16: Ivs = Ivs::One(16, "16");
const IV12_16: Ivs = Ivs::Two(12, 16, "12 or 16");
const IV_GCM: Ivs = Ivs::Between(1, MAX_IV, "1 to 1024");
const IV_CCM: Ivs = Ivs::Between(7, 13, "7 to 13");
const IV23: Ivs = Ivs::One(23, "23");
const NO_TAG: Tags = Tags { min: 0, max: 0, step: 1 };
const TAG16: Tags = Tags { min: 16, max: 16, step: 1 };
const TAG_CCM: Tags = Tags { min: 4, max: 16, step: 2 };
const BYTES: (usize, usize) = (1, 1);
const BLOCKS8: (usize, usize) = (8, 8);
const BLOCKS16: (usize, usize) = (16, 16);
const FROM16: (usize, usize) = (1, 16);

const fn up_to(max: usize) -> Tags {
    Tags { min: 4, max, step: 1 }
}

const fn key(kind: KeyKind) -> Option<KeyKind> {
    Some(kind)
}

macro_rules! cipher {
    ($cipher:ty) => {
        Engine::Single(&ByCipher::<$cipher>::NEW)
    };
}
macro_rules! aead {
    ($cipher:ty) => {
        Engine::Single(&ByAead::<$cipher>::NEW)
    };
}
macro_rules! mac {
    ($mac:ty) => {
        Engine::Single(&ByMac::<$mac>::NEW)
    };
}

const GCM: Engine = Engine::Gcm(&ByAead::<gcm::Gcm>::NEW);
const CCM: Engine = Engine::Ccm(&ByAead::<ccm::Ccm>::NEW);
const CFB: Engine = Engine::Cfb(&ByCipher::<cfb::Cfb>::NEW);
const DOCSIS: Engine = Engine::Docsis(&ByCipher::<docsis::Residual>::NEW);

/// The longest IV.
pub(crate) const MAX_IV: usize = 1024;

use KeyKind as K;

rows! {
    /// AES-CBC with a key of 16 bytes.
    Aes128Cbc 1 "aes-128-cbc" Cbc Engine::Cbc, key(K::Aes128), IV16, NO_TAG, BLOCKS16;
    /// AES-CBC with a key of 24 bytes.
    Aes192Cbc 2 "aes-192-cbc" Cbc Engine::Cbc, key(K::Aes192), IV16, NO_TAG, BLOCKS16;
    /// AES-CBC with a key of 32 bytes.
    Aes256Cbc 3 "aes-256-cbc" Cbc Engine::Cbc, key(K::Aes256), IV16, NO_TAG, BLOCKS16;
    /// AES-CTR with a key of 16 bytes.
    Aes128Ctr 4 "aes-128-ctr" Ctr Engine::Ctr, key(K::Aes128), IV12_16, NO_TAG, BYTES;
    /// AES-CTR with a key of 24 bytes.
    Aes192Ctr 5 "aes-192-ctr" Ctr Engine::Ctr, key(K::Aes192), IV12_16, NO_TAG, BYTES;
    /// AES-CTR with a key of 32 bytes.
    Aes256Ctr 6 "aes-256-ctr" Ctr Engine::Ctr, key(K::Aes256), IV12_16, NO_TAG, BYTES;
    /// SHA-256.
    Sha256 7 "sha256" Hash Engine::Sha256, None, NO_IV, up_to(32), BYTES;
    /// SHA-512.
    Sha512 8 "sha512" Hash Engine::Sha512, None, NO_IV, up_to(64), BYTES;
    /// HMAC with SHA-256.
    HmacSha256 9 "hmac-sha256" Hmac Engine::Sha256, key(K::HmacSha256), NO_IV, up_to(32), BYTES;
    /// HMAC with SHA-512.
    HmacSha512 10 "hmac-sha512" Hmac Engine::Sha512, key(K::HmacSha512), NO_IV, up_to(64), BYTES;
    /// SHA-224.
    Sha224 11 "sha224" Hash Engine::Sha256, None, NO_IV, up_to(28), BYTES;
    /// SHA-384.
    Sha384 12 "sha384" Hash Engine::Sha512, None, NO_IV, up_to(48), BYTES;
    /// HMAC with SHA-224.
    HmacSha224 13 "hmac-sha224" Hmac Engine::Sha256, key(K::HmacSha224), NO_IV, up_to(28), BYTES;
    /// HMAC with SHA-384.
    HmacSha384 14 "hmac-sha384" Hmac Engine::Sha512, key(K::HmacSha384), NO_IV, up_to(48), BYTES;
    /// SHA-1. Legacy: collisions are known.
    Sha1 15 "sha1" Hash Engine::Sha1, None, NO_IV, up_to(20), BYTES;
    /// HMAC with SHA-1.
    HmacSha1 16 "hmac-sha1" Hmac Engine::Sha1, key(K::HmacSha1), NO_IV, up_to(20), BYTES;
    /// HMAC with MD5. Legacy.
    HmacMd5 17 "hmac-md5" Hmac mac!(digests::ByHmac<md5::Md5>), key(K::HmacMd5), NO_IV, up_to(16),
        BYTES;
    /// AES-GCM (NIST SP 800-38D) with a key of 16 bytes.
    Aes128Gcm 18 "aes-128-gcm" Aead GCM, key(K::Aes128), IV_GCM, up_to(16), BYTES;
    /// AES-GCM with a key of 24 bytes.
    Aes192Gcm 19 "aes-192-gcm" Aead GCM, key(K::Aes192), IV_GCM, up_to(16), BYTES;
    /// AES-GCM with a key of 32 bytes.
    Aes256Gcm 20 "aes-256-gcm" Aead GCM, key(K::Aes256), IV_GCM, up_to(16), BYTES;
    /// AES-CCM (NIST SP 800-38C) with a key of 16 bytes.
    Aes128Ccm 21 "aes-128-ccm" Aead CCM, key(K::Aes128), IV_CCM, TAG_CCM, BYTES;
    /// AES-CCM with a key of 24 bytes.
    Aes192Ccm 22 "aes-192-ccm" Aead CCM, key(K::Aes192), IV_CCM, TAG_CCM, BYTES;
    /// AES-CCM with a key of 32 bytes.
    Aes256Ccm 23 "aes-256-ccm" Aead CCM, key(K::Aes256), IV_CCM, TAG_CCM, BYTES;
    /// ChaCha20-Poly1305 (RFC 8439).
    ChaCha20Poly1305 24 "chacha20-poly1305" Aead aead!(chacha::ChaCha20Poly1305),
        key(K::ChaCha20), IV12, TAG16, BYTES;
    /// AES-ECB with a key of 16 bytes.
    Aes128Ecb 25 "aes-128-ecb" Cipher Engine::Ecb, key(K::Aes128), NO_IV, NO_TAG, BLOCKS16;
    /// AES-ECB with a key of 24 bytes.
    Aes192Ecb 26 "aes-192-ecb" Cipher Engine::Ecb, key(K::Aes192), NO_IV, NO_TAG, BLOCKS16;
    /// AES-ECB with a key of 32 bytes.
    Aes256Ecb 27 "aes-256-ecb" Cipher Engine::Ecb, key(K::Aes256), NO_IV, NO_TAG, BLOCKS16;
    /// AES-CFB-128 with a key of 16 bytes.
    Aes128Cfb 28 "aes-128-cfb" Cipher CFB, key(K::Aes128), IV16, NO_TAG, BYTES;
    /// AES-CFB-128 with a key of 24 bytes.
    Aes192Cfb 29 "aes-192-cfb" Cipher CFB, key(K::Aes192), IV16, NO_TAG, BYTES;
    /// AES-CFB-128 with a key of 32 bytes.
    Aes256Cfb 30 "aes-256-cfb" Cipher CFB, key(K::Aes256), IV16, NO_TAG, BYTES;
    /// AES-XTS (IEEE 1619) with two keys of 16 bytes.
    Aes128Xts 31 "aes-128-xts" Cipher cipher!(xts::Xts), key(K::Xts128), IV16, NO_TAG, FROM16;
    /// AES-XTS with two keys of 32 bytes.
    Aes256Xts 32 "aes-256-xts" Cipher cipher!(xts::Xts), key(K::Xts256), IV16, NO_TAG, FROM16;
    /// AES-CBC as DOCSIS has it, with a short last block, and a key of 16 bytes.
    Aes128Docsis 33 "aes-128-docsis" Cipher DOCSIS, key(K::Aes128), IV16, NO_TAG,
        BYTES;
    /// AES-CBC as DOCSIS has it, with a short last block, and a key of 32 bytes.
    Aes256Docsis 34 "aes-256-docsis" Cipher DOCSIS, key(K::Aes256), IV16, NO_TAG,
        BYTES;
    /// ChaCha20 (RFC 8439); the block counter begins at 1, as in its combination with Poly1305.
    ChaCha20 35 "chacha20" Cipher cipher!(chacha::ChaCha20), key(K::ChaCha20), IV12, NO_TAG, BYTES;
    /// DES-CBC. Legacy: a key of 56 bits can be searched.
    DesCbc 36 "des-cbc" Cipher cipher!(legacy::Cbc8<des::Des>), key(K::Des), IV8, NO_TAG, BLOCKS8;
    /// Triple DES in CBC mode, with three keys. Legacy.
    TripleDesCbc 37 "3des-cbc" Cipher cipher!(legacy::Cbc8<des::TdesEde3>), key(K::TripleDes), IV8,
        NO_TAG, BLOCKS8;
    /// SM4-ECB (GB/T 32907).
    Sm4Ecb 38 "sm4-ecb" Cipher cipher!(sm4::Ecb), key(K::Sm4), NO_IV, NO_TAG, BLOCKS16;
    /// SM4-CBC.
    Sm4Cbc 39 "sm4-cbc" Cipher cipher!(sm4::Cbc), key(K::Sm4), IV16, NO_TAG, BLOCKS16;
    /// SM4-CTR.
    Sm4Ctr 40 "sm4-ctr" Cipher cipher!(sm4::Ctr), key(K::Sm4), IV12_16, NO_TAG, BYTES;
    /// AES-CMAC (NIST SP 800-38B) with a key of 16 bytes.
    Aes128Cmac 41 "aes-128-cmac" Mac Engine::CbcMac, key(K::Aes128), NO_IV, up_to(16), BYTES;
    /// AES-CMAC with a key of 24 bytes.
    Aes192Cmac 42 "aes-192-cmac" Mac Engine::CbcMac, key(K::Aes192), NO_IV, up_to(16), BYTES;
    /// AES-CMAC with a key of 32 bytes.
    Aes256Cmac 43 "aes-256-cmac" Mac Engine::CbcMac, key(K::Aes256), NO_IV, up_to(16), BYTES;
    /// AES-XCBC-MAC (RFC 3566), of which 12 bytes are used.
    Aes128Xcbc 44 "aes-128-xcbc" Mac Engine::CbcMac, key(K::Aes128), NO_IV, up_to(16), BYTES;
    /// AES-GMAC (NIST SP 800-38D) with a key of 16 bytes.
    Aes128Gmac 45 "aes-128-gmac" Mac Engine::Gmac, key(K::Aes128), IV_GCM, up_to(16), BYTES;
    /// AES-GMAC with a key of 24 bytes.
    Aes192Gmac 46 "aes-192-gmac" Mac Engine::Gmac, key(K::Aes192), IV_GCM, up_to(16), BYTES;
    /// AES-GMAC with a key of 32 bytes.
    Aes256Gmac 47 "aes-256-gmac" Mac Engine::Gmac, key(K::Aes256), IV_GCM, up_to(16), BYTES;
    /// GHASH alone, over the message padded with zeros to whole blocks: a building block.
    Ghash 48 "ghash" Mac mac!(gcm::Ghash), key(K::Ghash), NO_IV, up_to(16), BYTES;
    /// Poly1305 (RFC 8439) with a key that is used once.
    Poly1305 49 "poly1305" Mac mac!(chacha::Poly1305), key(K::Poly1305), NO_IV, TAG16, BYTES;
    /// SHA3-224.
    Sha3_224 50 "sha3-224" Hash mac!(digests::ByDigest<sha3::Sha3_224>), None, NO_IV, up_to(28),
        BYTES;
    /// SHA3-256.
    Sha3_256 51 "sha3-256" Hash mac!(digests::ByDigest<sha3::Sha3_256>), None, NO_IV, up_to(32),
        BYTES;
    /// SHA3-384.
    Sha3_384 52 "sha3-384" Hash mac!(digests::ByDigest<sha3::Sha3_384>), None, NO_IV, up_to(48),
        BYTES;
    /// SHA3-512.
    Sha3_512 53 "sha3-512" Hash mac!(digests::ByDigest<sha3::Sha3_512>), None, NO_IV, up_to(64),
        BYTES;
    /// SHAKE128, up to 64 bytes of output.
    Shake128 54 "shake128" Hash mac!(digests::ByXof<shake::Shake128>), None, NO_IV, up_to(64),
        BYTES;
    /// SHAKE256, up to 64 bytes of output.
    Shake256 55 "shake256" Hash mac!(digests::ByXof<shake::Shake256>), None, NO_IV, up_to(64),
        BYTES;
    /// SM3 (GB/T 32905).
    Sm3 56 "sm3" Hash mac!(digests::ByDigest<sm3::Sm3>), None, NO_IV, up_to(32), BYTES;
    /// HMAC with SM3.
    HmacSm3 57 "hmac-sm3" Hmac mac!(digests::ByHmac<sm3::Sm3>), key(K::HmacSm3), NO_IV, up_to(32),
        BYTES;
    /// The CRC of Ethernet (IEEE 802.3), least significant byte first. Not a MAC: it finds accidents.
    Crc32 58 "crc32" Hash mac!(digests::Crc32), None, NO_IV, up_to(4), BYTES;
    /// 128-EEA3 (ETSI/SAGE); the IV is the 16 bytes that COUNT, BEARER and DIRECTION come down to.
    ZucEea3 59 "zuc-eea3" Cipher cipher!(zuc::Eea3), key(K::Zuc128), IV16, NO_TAG, BYTES;
    /// 128-EIA3, over whole bytes; the IV as for 128-EEA3.
    ZucEia3 60 "zuc-eia3" Mac mac!(zuc::Eia3), key(K::Zuc128), IV16, up_to(4), BYTES;
    /// The stream cipher ZUC-256, with the packed IV of 184 bits.
    Zuc256Eea3 61 "zuc-256-eea3" Cipher cipher!(zuc::Eea3Of256), key(K::Zuc256), IV23, NO_TAG,
        BYTES;
    /// The MAC of ZUC-256 with a tag of 4 bytes, over whole bytes.
    Zuc256Eia3 62 "zuc-256-eia3" Mac mac!(zuc::Eia3Of256), key(K::Zuc256), IV23, up_to(4), BYTES;
}

// `Algorithm::row` indexes the table by the variant's own number, `from_id` by the id.
const _: () = {
    let mut i = 0;
    while i < ROWS.len() {
        assert!(ROWS[i].algorithm as usize == i);
        assert!(ROWS[i].id as usize == i + 1);
        i += 1;
    }
};

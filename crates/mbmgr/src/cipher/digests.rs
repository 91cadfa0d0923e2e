//! Hashes and HMACs on the RustCrypto crates, SHAKE, and the CRC of Ethernet.

use std::marker::PhantomData;

use sha2::digest::{Digest, ExtendableOutput, KeyInit, Update, XofReader};

use super::{Mac, Request, Tag, tag_of};

/// A hash of the crates.
pub(crate) struct ByDigest<D>(PhantomData<fn() -> D>);

/// HMAC over a hash of the crates; the key is padded to a block already.
pub(crate) struct ByHmac<D>(PhantomData<fn() -> D>);

/// A hash of any length of the crates.
pub(crate) struct ByXof<X>(PhantomData<fn() -> X>);

/// CRC-32 of IEEE 802.3.
pub(crate) struct Crc32;

impl<D: Digest> Mac for ByDigest<D> {
    type State = D;

    fn start(_request: &Request<'_>) -> D {
        D::new()
    }

    fn update(hash: &mut D, bytes: &[u8]) {
        Digest::update(hash, bytes);
    }

    fn finish(hash: D) -> Tag {
        tag_of(&hash.finalize())
    }
}

impl<D: hmac::EagerHash> Mac for ByHmac<D>
where
    hmac::Hmac<D>: KeyInit + hmac::Mac,
{
    type State = hmac::Hmac<D>;

    fn start(request: &Request<'_>) -> Self::State {
        <Self::State as KeyInit>::new_from_slice(request.raw_key()).expect("any length will do")
    }

    fn update(hash: &mut Self::State, bytes: &[u8]) {
        hmac::Mac::update(hash, bytes);
    }

    fn finish(hash: Self::State) -> Tag {
        tag_of(&hmac::Mac::finalize(hash).into_bytes())
    }
}

impl<X: ExtendableOutput + Update + Default> Mac for ByXof<X> {
    type State = X;

    fn start(_request: &Request<'_>) -> X {
        X::default()
    }

    fn update(hash: &mut X, bytes: &[u8]) {
        hash.update(bytes);
    }

    fn finish(hash: X) -> Tag {
        let mut tag = [0; 64];
        hash.finalize_xof().read(&mut tag);
        tag
    }
}

impl Mac for Crc32 {
    type State = crc32fast::Hasher;

    fn start(_request: &Request<'_>) -> crc32fast::Hasher {
        crc32fast::Hasher::new()
    }

    fn update(hasher: &mut crc32fast::Hasher, bytes: &[u8]) {
        hasher.update(bytes);
    }

    fn finish(hasher: crc32fast::Hasher) -> Tag {
        tag_of(&hasher.finalize().to_le_bytes())
    }
}

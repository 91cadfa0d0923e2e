//! ZUC: the stream ciphers and MACs of 3GPP (128-EEA3 and 128-EIA3) and their successors with 256 bits,
//! on the `zuc` crate. Its key stream cannot be entered in the middle: a recovery counts up to there.

use zuc::zuc128::{Zuc128Keystream, Zuc128Mac};
use zuc::zuc256::{Zuc256Keystream, Zuc256Mac};

use super::{Chain, Cipher, Mac, Request, Tag, tag_of, xor};

/// 128-EEA3.
pub(crate) struct Eea3;

/// 128-EIA3.
pub(crate) struct Eia3;

/// ZUC-256.
pub(crate) struct Eea3Of256;

/// The MAC of ZUC-256.
pub(crate) struct Eia3Of256;

/// A key stream, and how far into it the next word is.
pub(crate) struct Stream<K> {
    words: K,
    at: u64,
}

fn fixed<const N: usize>(bytes: &[u8]) -> &[u8; N] {
    bytes.try_into().expect("the length that the table asks for")
}

/// A whole number of words at a time, but for the end.
fn step<K>(stream: &mut Stream<K>, at: u64, bytes: &mut [u8], word: impl Fn(&mut K) -> u32) {
    while stream.at < at {
        word(&mut stream.words);
        stream.at += 4;
    }
    for bytes in bytes.chunks_mut(4) {
        xor(bytes, &word(&mut stream.words).to_be_bytes());
        stream.at += 4;
    }
}

impl Cipher for Eea3 {
    type State = Stream<Zuc128Keystream>;
    const CHAINED: bool = false;

    fn start(request: &Request<'_>) -> Self::State {
        let words = Zuc128Keystream::new(fixed(request.raw_key()), fixed(request.iv));
        Stream { words, at: 0 }
    }

    fn step(stream: &mut Self::State, at: u64, _chain: &mut Chain, bytes: &mut [u8]) {
        step(stream, at, bytes, Zuc128Keystream::generate);
    }
}

impl Cipher for Eea3Of256 {
    type State = Stream<Zuc256Keystream>;
    const CHAINED: bool = false;

    fn start(request: &Request<'_>) -> Self::State {
        let words = Zuc256Keystream::new(fixed(request.raw_key()), fixed(request.iv));
        Stream { words, at: 0 }
    }

    fn step(stream: &mut Self::State, at: u64, _chain: &mut Chain, bytes: &mut [u8]) {
        step(stream, at, bytes, Zuc256Keystream::generate);
    }
}

impl Mac for Eia3 {
    type State = Zuc128Mac;

    fn start(request: &Request<'_>) -> Zuc128Mac {
        Zuc128Mac::new(fixed(request.raw_key()), fixed(request.iv))
    }

    fn update(mac: &mut Zuc128Mac, bytes: &[u8]) {
        mac.update(bytes);
    }

    fn finish(mac: Zuc128Mac) -> Tag {
        tag_of(&mac.finish(&[], 0).to_be_bytes())
    }
}

impl Mac for Eia3Of256 {
    type State = Zuc256Mac<u32>;

    fn start(request: &Request<'_>) -> Self::State {
        Zuc256Mac::new(fixed(request.raw_key()), fixed(request.iv))
    }

    fn update(mac: &mut Self::State, bytes: &[u8]) {
        mac.update(bytes);
    }

    fn finish(mac: Self::State) -> Tag {
        tag_of(&mac.finish(&[], 0).to_be_bytes())
    }
}

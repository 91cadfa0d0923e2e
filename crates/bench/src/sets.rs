//! The sets of rows that are measured together.

use std::str::FromStr;

use anyhow::{Result, bail};
use mbmgr::{Algorithm, Backend, Direction, Kind};

use crate::row::{Api, Keys, Sizes, Spec, Spread};

/// Sizes of the table, in bytes.
pub const TABLE_SIZES: [u64; 5] = [64, 256, 1024, 4096, 16384];

/// Algorithms of the table.
const TABLE: [(Algorithm, Direction); 8] = [
    (Algorithm::Aes128Cbc, Direction::Encrypt),
    (Algorithm::Aes256Cbc, Direction::Encrypt),
    (Algorithm::Aes128Cbc, Direction::Decrypt),
    (Algorithm::Aes128Ctr, Direction::Encrypt),
    (Algorithm::Sha256, Direction::Encrypt),
    (Algorithm::HmacSha256, Direction::Encrypt),
    (Algorithm::Sha512, Direction::Encrypt),
    (Algorithm::HmacSha512, Direction::Encrypt),
];

/// Other algorithms that IPsec, TLS and storage use, with kernels of ours.
const MORE: [(Algorithm, Direction); 13] = [
    (Algorithm::Sha1, Direction::Encrypt),
    (Algorithm::HmacSha1, Direction::Encrypt),
    (Algorithm::Aes128Cmac, Direction::Encrypt),
    (Algorithm::Aes256Cmac, Direction::Encrypt),
    (Algorithm::Aes128Gcm, Direction::Encrypt),
    (Algorithm::Aes256Gcm, Direction::Encrypt),
    (Algorithm::Aes128Gmac, Direction::Encrypt),
    (Algorithm::Aes128Ccm, Direction::Encrypt),
    (Algorithm::Aes256Ccm, Direction::Encrypt),
    (Algorithm::Aes128Cfb, Direction::Encrypt),
    (Algorithm::Aes128Docsis, Direction::Encrypt),
    (Algorithm::Aes128Docsis, Direction::Decrypt),
    (Algorithm::Aes128Ecb, Direction::Encrypt),
];

/// Encrypt-then-MAC, as IPsec and TLS have it.
const CHAINS: [(Algorithm, Algorithm); 4] = [
    (Algorithm::Aes128Cbc, Algorithm::HmacSha1),
    (Algorithm::Aes128Cbc, Algorithm::HmacSha256),
    (Algorithm::Aes256Cbc, Algorithm::HmacSha512),
    (Algorithm::Aes128Ctr, Algorithm::HmacSha256),
];

/// A set of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Set {
    /// The table: 16 lanes, in place, job by job.
    Table,
    /// As the table, other algorithms.
    More,
    /// A cipher and a MAC of what it wrote, in one job.
    Chain,
    /// The table with bursts.
    Burst,
    /// The table with 1, 4 and 8 lanes.
    Lanes,
    /// The ciphers of the table out of place.
    OutOfPlace,
    /// Mixed lengths.
    Imix,
    /// Every buffer at the start of a page.
    SamePageOffset,
    /// The keyed algorithms of the table, with a key for each job.
    Keys,
    /// The table for each backend of this machine but the best.
    Backends,
    /// Rings of 256 to 65536 jobs, 1 to 64 managers.
    Scale,
    /// All of them.
    Full,
}

impl Set {
    /// The names, for messages.
    pub const NAMES: &str = "table, more, chain, burst, lanes, out-of-place, imix, same-page-offset, keys, backends, scale or full";

    /// Its rows.
    #[must_use]
    pub fn rows(self) -> Vec<Spec> {
        let table = table();
        match self {
            Set::Table => table,
            Set::More => rows_of(&MORE),
            Set::Chain => chains(),
            Set::Burst => with(&table, |spec| spec.api = Api::Burst),
            Set::Lanes => [1, 4, 8]
                .into_iter()
                .flat_map(|lanes| with(&table, |spec| spec.lanes = lanes))
                .collect(),
            Set::OutOfPlace => {
                let ciphers: Vec<Spec> = table.into_iter().filter(|spec| spec.in_place).collect();
                with(&ciphers, |spec| spec.in_place = false)
            }
            Set::Imix => TABLE.map(|(what, way)| Spec::new(what, way, Sizes::Imix)).to_vec(),
            Set::SamePageOffset => with(&table, |spec| spec.spread = Spread::SamePageOffset),
            Set::Keys => {
                let keyed = table.into_iter().filter(|spec| is_keyed(spec.algorithm));
                let mut rows = with(&keyed.collect::<Vec<_>>(), |spec| spec.keys = Keys::Each);
                let cbc = |spec: &&Spec| spec.algorithm.kind() == Kind::Cbc;
                let crowded: Vec<Spec> = rows.iter().filter(cbc).copied().collect();
                rows.extend(with(&crowded, |spec| spec.spread = Spread::SamePageOffset));
                rows
            }
            Set::Backends => Backend::available()
                .into_iter()
                .filter(|&backend| backend != Backend::best())
                .flat_map(|backend| with(&table, |spec| spec.backend = Some(backend)))
                .collect(),
            Set::Scale => scale(),
            Set::Full => [
                Set::Table,
                Set::More,
                Set::Chain,
                Set::Burst,
                Set::Lanes,
                Set::OutOfPlace,
                Set::Imix,
                Set::SamePageOffset,
                Set::Keys,
                Set::Backends,
                Set::Scale,
            ]
            .into_iter()
            .flat_map(Set::rows)
            .collect(),
        }
    }
}

impl FromStr for Set {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Set> {
        Ok(match text {
            "table" => Set::Table,
            "more" => Set::More,
            "chain" => Set::Chain,
            "burst" => Set::Burst,
            "lanes" => Set::Lanes,
            "out-of-place" => Set::OutOfPlace,
            "imix" => Set::Imix,
            "same-page-offset" => Set::SamePageOffset,
            "keys" => Set::Keys,
            "backends" => Set::Backends,
            "scale" => Set::Scale,
            "full" => Set::Full,
            _ => bail!("`{text}` is no set of rows: use {}", Set::NAMES),
        })
    }
}

fn table() -> Vec<Spec> {
    rows_of(&TABLE)
}

fn rows_of(table: &[(Algorithm, Direction)]) -> Vec<Spec> {
    table
        .iter()
        .flat_map(|&(what, way)| TABLE_SIZES.map(|len| Spec::new(what, way, Sizes::All(len))))
        .collect()
}

fn chains() -> Vec<Spec> {
    let rows = |(cipher, hash)| {
        let rows = rows_of(&[(cipher, Direction::Encrypt)]);
        with(&rows, move |spec| spec.hash = Some(hash))
    };
    CHAINS.into_iter().flat_map(rows).collect()
}

fn with(rows: &[Spec], change: impl Fn(&mut Spec)) -> Vec<Spec> {
    let mut rows = rows.to_vec();
    rows.iter_mut().for_each(change);
    rows
}

fn scale() -> Vec<Spec> {
    let base = [Algorithm::Aes128Cbc, Algorithm::HmacSha256]
        .map(|what| Spec::new(what, Direction::Encrypt, Sizes::All(256)));
    let rings = [256, 4096, 65536].into_iter().flat_map(|ring| with(&base, |s| s.ring = ring));
    let managers = [8, 64].into_iter().flat_map(|count| with(&base, |s| s.managers = count));
    // As many slots in all as 8 managers have by default, so that they fit into the cache.
    let small = with(&base, |s| (s.managers, s.ring) = (64, 32));
    rings.chain(managers).chain(small).collect()
}

/// Whether a row has a key.
pub(crate) fn is_keyed(algorithm: Algorithm) -> bool {
    algorithm.kind() != Kind::Hash
}

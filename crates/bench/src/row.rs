//! What is measured, and what came out: a `Spec` asks, a `Row` answers. Both print as JSON.

use std::fmt;
use std::str::FromStr;

use anyhow::{Result, bail};
use mbmgr::{Algorithm, Backend, Direction, Kind};
use serde::Serialize;

/// Lengths of the jobs of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sizes {
    /// All the same.
    All(u64),
    /// 7 of 64, 4 of 594 and 1 of 1420 bytes, rounded to the cipher's block.
    Imix,
}

impl Sizes {
    /// The length of job `index`.
    #[must_use]
    pub fn of(self, algorithm: Algorithm, index: u64) -> u64 {
        let len = match self {
            Sizes::All(len) => len,
            Sizes::Imix => match index % 12 {
                0 | 2 | 4 | 6 | 8 | 10 | 11 => 64,
                5 => 1420,
                _ => 594,
            },
        };
        if algorithm.kind() == Kind::Cbc { len.div_ceil(16) * 16 } else { len }
    }
}

impl fmt::Display for Sizes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Sizes::All(len) => f.pad(&len.to_string()),
            Sizes::Imix => f.pad("imix"),
        }
    }
}

impl FromStr for Sizes {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Sizes> {
        match text.parse() {
            _ if text == "imix" => Ok(Sizes::Imix),
            Ok(len) if (1..=1 << 20).contains(&len) => Ok(Sizes::All(len)),
            _ => bail!("size `{text}` is neither `imix` nor a number of bytes up to 1048576"),
        }
    }
}

/// How jobs are handed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Api {
    /// One call for each job.
    Job,
    /// One call for each 16 jobs.
    Burst,
}

impl fmt::Display for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Api::Job => "job",
            Api::Burst => "burst",
        })
    }
}

impl FromStr for Api {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Api> {
        match text {
            "job" => Ok(Api::Job),
            "burst" => Ok(Api::Burst),
            _ => bail!("`{text}` is no interface: use job or burst"),
        }
    }
}

/// Where the buffers lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Spread {
    /// At page offsets that differ, so that they share no sets of the L1 cache.
    Spread,
    /// All at the start of a page.
    SamePageOffset,
}

/// Whose keys the jobs use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Keys {
    /// All jobs the same.
    One,
    /// Each job its own.
    Each,
}

/// One question.
#[derive(Clone, Copy, Debug)]
pub struct Spec {
    /// What the jobs compute.
    pub algorithm: Algorithm,
    /// What each cipher job is chained with: encrypt-then-MAC.
    pub hash: Option<Algorithm>,
    /// Which way.
    pub direction: Direction,
    /// How long they are.
    pub sizes: Sizes,
    /// Lanes of our manager; for both managers, jobs that are handed in between two flushes if it
    /// is below 16.
    pub lanes: u32,
    /// Whether the output replaces the input.
    pub in_place: bool,
    /// How jobs are handed in.
    pub api: Api,
    /// Our kernels; `None` takes the best.
    pub backend: Option<Backend>,
    /// Where the buffers lie.
    pub spread: Spread,
    /// Whose keys the jobs use.
    pub keys: Keys,
    /// Slots of our ring.
    pub ring: u32,
    /// Our managers in one segment, used in turn.
    pub managers: u32,
}

impl Spec {
    /// A row of the table: 16 lanes, in place, job by job, best backend.
    #[must_use]
    pub fn new(algorithm: Algorithm, direction: Direction, sizes: Sizes) -> Spec {
        Spec {
            algorithm,
            hash: None,
            direction,
            sizes,
            lanes: 16,
            in_place: algorithm.is_cipher(),
            api: Api::Job,
            backend: None,
            spread: Spread::Spread,
            keys: Keys::One,
            ring: 256,
            managers: 1,
        }
    }

    /// What the jobs compute, as `--cipher` of a sweep takes it.
    #[must_use]
    pub fn name(&self) -> String {
        match self.hash {
            None => self.algorithm.name().to_owned(),
            Some(hash) => format!("{}+{hash}", self.algorithm),
        }
    }

    /// Bytes of a job's IV.
    pub(crate) fn iv_len(&self) -> usize {
        match self.algorithm.kind() {
            Kind::Aead | Kind::Mac if self.algorithm.takes_iv(12) => 12,
            Kind::Cbc | Kind::Ctr | Kind::Cipher if self.algorithm.takes_iv(16) => 16,
            _ => 0,
        }
    }

    /// Bytes of a job's digest or tag; 0 where it has none.
    pub(crate) fn tag_len(&self) -> usize {
        self.hash.unwrap_or(self.algorithm).digest_len().unwrap_or(0)
    }

    /// Jobs that differ.
    pub(crate) fn jobs(&self) -> u64 {
        match self.sizes {
            Sizes::All(_) => 16,
            // In-place jobs of the same buffer must not be outstanding together: with unequal lengths a
            // long one stays for many submits.
            Sizes::Imix => 192,
        }
    }

    /// Bytes of all jobs that differ.
    pub(crate) fn bytes(&self) -> u64 {
        (0..self.jobs()).map(|job| self.sizes.of(self.algorithm, job)).sum()
    }
}

/// One answer. Cycles are time stamp ticks for a job, as medians; `core` ones are the core's own.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// Name of the algorithm, or of cipher and hash.
    pub cipher: String,
    /// encrypt or decrypt.
    pub direction: String,
    /// Bytes of a job, or `imix`.
    pub size: String,
    /// Lanes.
    pub lanes: u32,
    /// Whether the output replaces the input.
    pub in_place: bool,
    /// How jobs are handed in.
    pub api: Api,
    /// Our kernels.
    pub backend: String,
    /// Where the buffers lie.
    pub buffers: Spread,
    /// Whose keys the jobs use.
    pub keys: Keys,
    /// Slots of our ring.
    pub ring: u32,
    /// Our managers in one segment.
    pub managers: u32,
    /// Ours, ticks for a job.
    pub ours_cycles: f64,
    /// (largest - smallest round) / median.
    pub ours_spread: f64,
    /// The reference's, its jobs validated as ours are.
    pub reference_cycles: Option<f64>,
    /// As `ours_spread`.
    pub reference_spread: Option<f64>,
    /// reference / ours: above 1, ours is faster.
    pub ratio: Option<f64>,
    /// The reference's without validation of its jobs.
    pub reference_nocheck_cycles: Option<f64>,
    /// reference without validation / ours.
    pub ratio_nocheck: Option<f64>,
    /// RustCrypto, one buffer at a time.
    pub rustcrypto_cycles: Option<f64>,
    /// RustCrypto / ours.
    pub rustcrypto_ratio: Option<f64>,
    /// aws-lc-rs, one buffer at a time.
    pub aws_lc_cycles: Option<f64>,
    /// aws-lc-rs / ours.
    pub aws_lc_ratio: Option<f64>,
    /// Ours, ticks for a byte.
    pub ours_cpb: f64,
    /// Ours, core cycles for a byte.
    pub ours_core_cpb: f64,
    /// What the unit that bounds the algorithm needs at least, core cycles for a byte.
    pub limit_core_cpb: Option<f64>,
    /// The unit that sets the limit.
    pub limited_by: Option<&'static str>,
    /// limit / ours.
    pub of_limit: Option<f64>,
    /// Ours, in units of 10^9 bytes a second.
    pub ours_gb_per_s: f64,
    /// Time stamp ticks per core cycle during this row.
    pub ticks_per_core_cycle: f64,
}

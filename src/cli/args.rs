//! What `takeover run` and `takeover sweep` ask in common: the jobs, and the manager they go through.

use clap::Args;
use fixtures::algorithm::is_cipher;
use fixtures::chained::Suite;
use fixtures::scenario::{CrashPoint, Scenario, Sizes, parse_backend, parse_placement};
use mbmgr::{Backend, Direction};
use shmem::Placement;

/// A backend choice; `auto` is `None`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Choice(Option<Backend>);

#[derive(Debug, Args)]
pub(super) struct JobArgs {
    /// What the jobs compute: aes-128-cbc, aes-256-gcm, aes-128-cmac, sha256, hmac-sha512, …; or a
    /// cipher and a hash, in the order in which they run: aes-128-cbc+hmac-sha1, crc32+aes-128-docsis
    #[arg(long, value_name = "NAME", default_value = "aes-128-cbc", value_parser = parse::<Suite>)]
    pub(super) cipher: Suite,
    /// encrypt or decrypt
    #[arg(long, value_name = "DIRECTION", default_value = "encrypt", value_parser = parse::<Direction>)]
    pub(super) direction: Direction,
    /// Lanes of the manager, 1 to 16
    #[arg(long, default_value_t = 16)]
    pub(super) lanes: u32,
    /// Slots of the manager's ring, a power of two from 1 to 65536
    #[arg(long, default_value_t = 256)]
    pub(super) ring: u32,
    /// Number of jobs
    #[arg(long, default_value_t = 15, value_parser = at_least_one::<u64>)]
    pub(super) jobs: u64,
    /// Bytes of a job, or a range from which lengths are drawn (16-4096)
    #[arg(long, value_name = "BYTES", default_value = "272", value_parser = parse::<Sizes>)]
    pub(super) size: Sizes,
    /// Give every job an output buffer of its own (hashes and MACs always have one)
    /// [default: in place]
    #[arg(long)]
    pub(super) out_of_place: bool,
    /// Give every job its message in up to 12 pieces (scatter-gather; AEADs only)
    #[arg(long)]
    pub(super) pieces: bool,
    /// Where both processes map the segment of the jobs: identical (at the same address) or anywhere
    #[arg(long, value_name = "PLACEMENT", default_value = "anywhere", value_parser = parse_place)]
    pub(super) placement: Placement,
    /// The primary's backend: auto, portable, aesni, vaes256 or vaes512
    #[arg(long, default_value = "auto", value_parser = parse_choice)]
    pub(super) backend: Choice,
    /// The backend of who takes over: auto, portable, aesni, vaes256 or vaes512
    #[arg(long, value_name = "BACKEND", default_value = "auto", value_parser = parse_choice)]
    pub(super) standby_backend: Choice,
    /// Keys, IVs, inputs, lengths, guard bytes and draws are generated from this number
    #[arg(long, default_value_t = 1)]
    pub(super) seed: u64,
}

impl JobArgs {
    /// The scenario of these jobs, without a crash and with nothing flushed.
    pub(super) fn scenario(&self) -> Scenario {
        Scenario {
            algorithm: self.cipher.algorithm,
            hash: self.cipher.hash,
            direction: self.direction,
            lanes: self.lanes,
            ring: self.ring,
            jobs: self.jobs,
            sizes: self.size,
            in_place: is_cipher(self.cipher.algorithm) && !self.out_of_place,
            pieces: self.pieces,
            placement: self.placement,
            backend: self.backend.0,
            standby_backend: self.standby_backend.0,
            partial_flush: 0,
            seed: self.seed,
            crash: CrashPoint::None,
            ..Scenario::default()
        }
    }
}

/// An option's value. clap prints only the outermost message of an error: this is the whole chain.
pub(super) fn parse<T: std::str::FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: T::Err| format!("{error:#}"))
}

fn parse_place(text: &str) -> Result<Placement, String> {
    parse_placement(text).map_err(|error| format!("{error:#}"))
}

fn parse_choice(text: &str) -> Result<Choice, String> {
    parse_backend(text).map(Choice).map_err(|error| format!("{error:#}"))
}

/// A number of which 0 would do nothing and call it a success.
pub(super) fn at_least_one<T>(text: &str) -> Result<T, String>
where
    T: std::str::FromStr<Err: std::fmt::Display> + PartialEq + From<u8>,
{
    match text.parse::<T>() {
        Ok(number) if number == T::from(0) => {
            Err("0 would do nothing, and call that a success: give at least 1".to_owned())
        }
        other => other.map_err(|error| error.to_string()),
    }
}

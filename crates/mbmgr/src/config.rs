//! How a manager is made and how a process uses it. The first lies in the segment, the second not.

use crate::error::{Error, Result};
use crate::kernel::{Backend, MAX_LANES};

/// The shape of a manager; written into the segment once, at creation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Jobs that the ring holds: a power of two, 1 to 65536. Default 256.
    pub ring: u32,
    /// Jobs that a lane group collects before it runs: 1 to 16. Default 16.
    pub lanes: u32,
    /// Entries of the key table: 1 to 65536. Default 64.
    pub keys: u32,
}

impl Default for Config {
    fn default() -> Self {
        Config { ring: 256, lanes: 16, keys: 64 }
    }
}

impl Config {
    pub(crate) fn check(&self) -> Result<()> {
        let refuse =
            |what, value: u32, must| Err(Error::Config { what, value: u64::from(value), must });
        if !self.ring.is_power_of_two() || self.ring > 65536 {
            return refuse("the ring", self.ring, "a power of two from 1 to 65536");
        }
        if self.lanes == 0 || self.lanes as usize > MAX_LANES {
            return refuse("the number of lanes", self.lanes, "from 1 to 16");
        }
        if self.keys == 0 || self.keys > 65536 {
            return refuse("the number of keys", self.keys, "from 1 to 65536");
        }
        Ok(())
    }
}

/// When a job's slot may be used again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Acknowledge {
    /// The next call acknowledges what the calls before it returned.
    #[default]
    NextCall,
    /// Only [`crate::Manager::acknowledge`] does.
    Explicit,
}

/// How this process uses a manager; the next owner may choose otherwise.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// The kernels to use; `None` takes the best that the CPU has.
    pub backend: Option<Backend>,
    /// When slots are freed.
    pub acknowledge: Acknowledge,
}

//! What the figures of a run depend on.

use std::fs;

use serde::Serialize;

use crate::clock::ticks_per_second;
use crate::limits::Limits;

/// The machine of a run.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// What the CPU calls itself.
    pub cpu: String,
    /// Cores that this system has.
    pub cores: usize,
    /// The kernel's release.
    pub kernel: String,
    /// Time stamp ticks in a second.
    pub ticks_per_second: f64,
    /// The core that was measured.
    pub core: usize,
    /// Our best backend here.
    pub backend: &'static str,
    /// The version of the reference library, if it is compiled in.
    pub reference: Option<String>,
    /// The code that the reference chose.
    pub reference_architecture: Option<&'static str>,
    /// What the execution units can do.
    pub limits: Limits,
}

impl Machine {
    /// Looks at this machine; `core` is the one that this thread is pinned to.
    #[must_use]
    pub fn look(core: usize) -> Machine {
        let (reference, reference_architecture) = reference();
        let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = info.lines().find(|line| line.starts_with("model name"));
        let cpu = model.and_then(|line| line.split(':').nth(1)).unwrap_or("unknown");
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Machine {
            cpu: cpu.trim().to_owned(),
            cores: info.lines().filter(|line| line.starts_with("processor")).count(),
            kernel: kernel.trim().to_owned(),
            ticks_per_second: ticks_per_second(),
            core,
            backend: mbmgr::Backend::best().name(),
            reference,
            reference_architecture,
            limits: Limits::measure(),
        }
    }
}

#[cfg(feature = "ipsec-mb")]
fn reference() -> (Option<String>, Option<&'static str>) {
    let architecture = crate::theirs::architecture_in_use().ok();
    (Some(reference::version()), architecture)
}

#[cfg(not(feature = "ipsec-mb"))]
fn reference() -> (Option<String>, Option<&'static str>) {
    (None, None)
}

//! All rows of a run and the machine that they were measured on: what `takeover bench throughput
//! --json` prints. Called by the command and the bench target; nothing survives a crash.

use anyhow::Result;
use serde::Serialize;

use crate::machine::Machine;
use crate::row::{Row, Spec};
use crate::throughput::{Effort, measure};

/// What a run found.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// In the order of the request.
    pub rows: Vec<Row>,
    /// Where.
    pub machine: Machine,
}

impl Report {
    /// Measures `specs` one after the other on this thread, which should be pinned to `core`; `each`
    /// sees every row as it is done, and how many there will be.
    ///
    /// # Errors
    /// When a contender refuses a row or computes something else than RustCrypto does.
    pub fn measure(
        specs: &[Spec],
        core: usize,
        effort: &Effort,
        mut each: impl FnMut(&Row, usize),
    ) -> Result<Report> {
        let machine = Machine::look(core);
        let mut rows = Vec::new();
        for spec in specs {
            let row = measure(spec, &machine.limits, effort)?;
            each(&row, specs.len());
            rows.push(row);
        }
        Ok(Report { rows, machine })
    }
}

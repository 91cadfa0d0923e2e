//! A report as a table of text. Called by `takeover bench throughput` and benches/throughput.rs;
//! nothing survives a crash.

use std::fmt;

use comfy_table::{CellAlignment, Table, presets};

use crate::report::Report;
use crate::row::{Keys, Row, Spread};

/// A column of the table: its head, and a row's text, empty where there is none.
type Column = (&'static str, fn(&Row) -> String);

/// Columns that are left out where no row has them.
const COLUMNS: [Column; 16] = [
    ("bytes", |row| row.size.clone()),
    ("keys", |row| if row.keys == Keys::Each { "each".to_owned() } else { String::new() }),
    (
        "offsets",
        |row| if row.buffers == Spread::Spread { String::new() } else { "same".to_owned() },
    ),
    ("lanes", |row| differs(row.lanes, 16)),
    ("ring", |row| differs(row.ring, 256)),
    ("managers", |row| differs(row.managers, 1)),
    ("ours", |row| format!("{:.0}", row.ours_cycles)),
    ("±%", |row| format!("{:.0}", 50.0 * row.ours_spread)),
    ("reference", |row| number(row.reference_cycles, 0)),
    ("±%", |row| number(row.reference_spread.map(|spread| 50.0 * spread), 0)),
    ("ratio", |row| number(row.ratio, 2)),
    ("nocheck", |row| number(row.ratio_nocheck, 2)),
    ("RustCrypto", |row| number(row.rustcrypto_ratio, 1)),
    ("aws-lc", |row| number(row.aws_lc_ratio, 1)),
    ("core c/B", |row| format!("{:.3}", row.ours_core_cpb)),
    ("limit", |row| number(row.limit_core_cpb, 3)),
];

fn differs(value: u32, usual: u32) -> String {
    if value == usual { String::new() } else { value.to_string() }
}

fn number(value: Option<f64>, places: usize) -> String {
    value.map(|value| format!("{value:.places$}")).unwrap_or_default()
}

/// What stands in the first column.
fn name(row: &Row) -> String {
    let mut name = row.cipher.clone();
    if ["cbc", "docsis", "ecb"].iter().any(|mode| row.cipher.contains(mode)) {
        name.push_str(if row.direction == "decrypt" { " dec" } else { " enc" });
    }
    name
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let machine = &self.machine;
        writeln!(
            f,
            "{}, core {}, time stamp counter {:.3} GHz, backend {}",
            machine.cpu,
            machine.core,
            machine.ticks_per_second / 1e9,
            machine.backend
        )?;
        if let Some(reference) = &machine.reference {
            let code = machine.reference_architecture.unwrap_or("unknown");
            writeln!(f, "reference: intel-ipsec-mb {reference}, its code for {code}")?;
        }
        let shown: Vec<&Column> = COLUMNS
            .iter()
            .filter(|(_, text)| self.rows.iter().any(|row| !text(row).is_empty()))
            .collect();
        let mut table = Table::new();
        table.load_style(presets::UTF8_BORDERS_ONLY);
        let head = ["", "api", "backend"].into_iter().chain(shown.iter().map(|(head, _)| *head));
        table.set_header(head.chain(["GB/s"]));
        for row in &self.rows {
            let mut cells = vec![name(row), row.api.to_string(), row.backend.clone()];
            cells.extend(shown.iter().map(|(_, text)| text(row)));
            cells.push(format!("{:.2}", row.ours_gb_per_s));
            table.add_row(cells);
        }
        for column in table.column_iter_mut().skip(3) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        writeln!(f, "{table}")?;
        write!(
            f,
            "ours, reference: time stamp ticks a job, ± half of (largest - smallest round) of the \
             median.\nratio: reference / ours, above 1 ours is faster; nocheck: its calls that do not \
             validate a job;\nRustCrypto, aws-lc: one buffer at a time / ours. limit: what the unit that \
             bounds the cipher\nneeds for a byte at least, in core cycles, measured here."
        )
    }
}

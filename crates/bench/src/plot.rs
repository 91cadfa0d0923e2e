//! The rows as a picture: a panel for each cipher and direction, in it for each size a bar of ours
//! beside those of the others, in GB/s, with the limit of the machine's units as a line. Plain SVG
//! without scripts or fonts of its own. Called by the command.

use std::fmt::Write as _;

use crate::report::Report;
use crate::row::Row;

const PANEL: (f64, f64) = (300.0, 190.0);
const COLUMNS: usize = 4;
const MARGIN: f64 = 24.0;
const HEAD: f64 = 74.0;
/// Inside a panel: room for the title above, the sizes below, the scale at the left.
const INSET: (f64, f64, f64) = (30.0, 22.0, 36.0);

/// A series of bars: its name, its colour, and its ticks for a job.
type Series = (&'static str, &'static str, fn(&Row) -> Option<f64>);

const SERIES: [Series; 4] = [
    ("takeover, journal on", "#1f6feb", |row| Some(row.ours_cycles)),
    ("reference library", "#d29922", |row| row.reference_cycles),
    ("RustCrypto, one at a time", "#8b949e", |row| row.rustcrypto_cycles),
    ("aws-lc-rs, one at a time", "#6e7681", |row| row.aws_lc_cycles),
];

/// A panel: rows that differ in their size only.
struct Panel<'a> {
    title: String,
    rows: Vec<&'a Row>,
}

/// Draws a report.
#[must_use]
pub fn svg(report: &Report) -> String {
    let panels = panels(&report.rows);
    let series: Vec<Series> = SERIES
        .into_iter()
        .filter(|(.., of)| report.rows.iter().any(|row| of(row).is_some()))
        .collect();
    let columns = panels.len().clamp(1, COLUMNS);
    let lines = panels.len().div_ceil(COLUMNS);
    let width = 2.0 * MARGIN + float(columns) * PANEL.0;
    let height = HEAD + float(lines) * PANEL.1 + MARGIN;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         width=\"{width}\" height=\"{height}\" font-family=\"system-ui, sans-serif\" \
         font-size=\"11\" fill=\"#24292f\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n"
    );
    head(&mut out, report, &series);
    for (index, panel) in panels.iter().enumerate() {
        let x = MARGIN + float(index % COLUMNS) * PANEL.0;
        let y = HEAD + float(index / COLUMNS) * PANEL.1;
        draw(&mut out, panel, &series, (x, y), report.machine.ticks_per_second);
    }
    out.push_str("</svg>\n");
    out
}

fn panels(rows: &[Row]) -> Vec<Panel<'_>> {
    let mut panels: Vec<Panel<'_>> = Vec::new();
    for row in rows {
        let title = title(row);
        match panels.iter_mut().find(|panel| panel.title == title) {
            Some(panel) => panel.rows.push(row),
            None => panels.push(Panel { title, rows: vec![row] }),
        }
    }
    panels
}

/// What is the same in a panel.
fn title(row: &Row) -> String {
    let mut title = row.cipher.clone();
    if row.cipher.contains("cbc") {
        let _ = write!(title, " {}", row.direction);
    }
    if row.lanes != 16 {
        let _ = write!(title, ", {} lanes", row.lanes);
    }
    if !row.in_place && row.cipher.starts_with("aes") {
        title.push_str(", out of place");
    }
    let _ = write!(title, " ({}, {})", row.api, row.backend);
    title
}

fn head(out: &mut String, report: &Report, series: &[Series]) {
    let machine = &report.machine;
    let mut under = machine.cpu.clone();
    if let Some(reference) = &machine.reference {
        let _ = write!(under, "; intel-ipsec-mb {reference}");
        if let Some(architecture) = machine.reference_architecture {
            let _ = write!(under, " ({architecture})");
        }
    }
    let _ = writeln!(
        out,
        "<text x=\"{MARGIN}\" y=\"24\" font-size=\"15\" font-weight=\"600\">Throughput by job size \
         in bytes, GB/s of one core</text>\n\
         <text x=\"{MARGIN}\" y=\"41\" fill=\"#57606a\">{}</text>",
        escape(&under)
    );
    let mut x = MARGIN;
    for (name, colour, _) in series {
        let _ = writeln!(
            out,
            "<rect x=\"{x}\" y=\"52\" width=\"10\" height=\"10\" fill=\"{colour}\"/>\
             <text x=\"{}\" y=\"61\">{name}</text>",
            x + 14.0
        );
        x += 34.0 + 6.2 * float(name.len());
    }
    let _ = writeln!(
        out,
        "<line x1=\"{x}\" x2=\"{}\" y1=\"57\" y2=\"57\" stroke=\"#cf222e\" stroke-width=\"1.5\"/>\
         <text x=\"{}\" y=\"61\">limit of the units, measured</text>",
        x + 14.0,
        x + 18.0
    );
}

fn draw(out: &mut String, panel: &Panel<'_>, series: &[Series], at: (f64, f64), hertz: f64) {
    let (top, bottom, left) = INSET;
    let (x, y) = (at.0 + left, at.1 + top);
    let (width, height) = (PANEL.0 - left - 14.0, PANEL.1 - top - bottom);
    let most = panel.rows.iter().flat_map(|row| {
        let bars =
            series.iter().filter_map(|(.., of)| of(row)).map(|cycles| rate(row, cycles, hertz));
        bars.chain(limit(row, hertz)).collect::<Vec<_>>()
    });
    let most = most.fold(0.0, f64::max).max(1e-9);
    let _ = writeln!(
        out,
        "<text x=\"{}\" y=\"{}\" font-weight=\"600\">{}</text>",
        at.0 + 6.0,
        at.1 + 18.0,
        escape(&panel.title)
    );
    let step = step(most);
    let mut mark = 0.0;
    while mark <= most {
        let line = y + height * (1.0 - mark / most);
        let _ = writeln!(
            out,
            "<line x1=\"{x}\" x2=\"{:.1}\" y1=\"{line:.1}\" y2=\"{line:.1}\" stroke=\"#d0d7de\" \
             stroke-width=\"0.6\"/><text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\" \
             fill=\"#57606a\">{}</text>",
            x + width,
            x - 5.0,
            line + 4.0,
            short(mark)
        );
        mark += step;
    }
    let slot = width / float(panel.rows.len());
    let bar = slot * 0.84 / float(series.len());
    for (index, row) in panel.rows.iter().enumerate() {
        let from = x + slot * (float(index) + 0.08);
        for (number, (name, colour, of)) in series.iter().enumerate() {
            let Some(cycles) = of(row) else { continue };
            let rate = rate(row, cycles, hertz);
            let tall = height * rate / most;
            let _ = writeln!(
                out,
                "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{tall:.1}\" \
                 fill=\"{colour}\"><title>{name}, {} bytes: {rate:.2} GB/s, {cycles:.0} ticks a \
                 job</title></rect>",
                from + bar * float(number),
                y + height - tall,
                bar * 0.94,
                row.size
            );
        }
        if let Some(limit) = limit(row, hertz) {
            let line = y + height * (1.0 - limit / most);
            let _ = writeln!(
                out,
                "<line x1=\"{from:.1}\" x2=\"{:.1}\" y1=\"{line:.1}\" y2=\"{line:.1}\" \
                 stroke=\"#cf222e\" stroke-width=\"1.5\"/>",
                from + slot * 0.84
            );
        }
        let _ = writeln!(
            out,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            from + slot * 0.42,
            y + height + 14.0,
            row.size
        );
    }
}

/// Units of 10^9 bytes a second at so many ticks for a job.
fn rate(row: &Row, cycles: f64, hertz: f64) -> f64 {
    let bytes = row.ours_cycles / row.ours_cpb;
    bytes / cycles * hertz / 1e9
}

/// What the units could do, at the clock of the row.
fn limit(row: &Row, hertz: f64) -> Option<f64> {
    row.limit_core_cpb.map(|limit| hertz / (limit * row.ticks_per_core_cycle) / 1e9)
}

/// The distance of the scale's lines: four to eight of them.
fn step(most: f64) -> f64 {
    let power = 10_f64.powf((most / 4.0).log10().floor());
    [5.0, 2.0, 1.0].into_iter().map(|step| step * power).find(|s| most / s >= 4.0).unwrap_or(power)
}

fn short(value: f64) -> String {
    if value.fract().abs() < 1e-9 { format!("{value:.0}") } else { format!("{value:.2}") }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[expect(clippy::cast_precision_loss, reason = "numbers of panels and bars are small")]
fn float(count: usize) -> f64 {
    count as f64
}

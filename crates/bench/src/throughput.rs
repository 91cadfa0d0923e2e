//! One row measured: all contenders over the same jobs, interleaved in short batches, so that a change
//! of the clock or a neighbour's work meets all of them alike; medians of each round, then of rounds.

use anyhow::{Context as _, Result, ensure};
use mbmgr::Algorithm;

use crate::clock::{as_f64, ticks_per_cycle, ticks_per_second, time};
use crate::limits::Limits;
use crate::ours::{self, Ours};
use crate::rig::Rig;
use crate::row::{Row, Sizes, Spec};
use crate::single::Single;
#[cfg(feature = "ipsec-mb")]
use crate::theirs::{self, Theirs};

/// How much work a row is worth.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// Rounds, whose medians give the row's median and spread.
    pub rounds: usize,
    /// Batches of each contender in a round.
    pub batches: usize,
    /// Time stamp ticks that a batch of ours takes, about.
    pub batch_ticks: u64,
    /// Whether the one-buffer contenders run too: they are slow.
    pub singles: bool,
}

impl Default for Effort {
    fn default() -> Self {
        Effort { rounds: 21, batches: 15, batch_ticks: 400_000, singles: true }
    }
}

/// Someone who is measured.
struct Contender<'a> {
    run: Box<dyn FnMut(u64) -> Result<()> + 'a>,
    /// Turns of a batch, as a part of ours: the slow ones do less.
    part: u64,
    /// Ticks for a job: by round, by batch.
    rounds: Vec<f64>,
    batch: Vec<f64>,
}

/// A median and (largest - smallest) / median.
#[derive(Clone, Copy)]
struct Figure {
    median: f64,
    spread: f64,
}

/// Names of the contenders, as they are measured; ours is first.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Who {
    Ours,
    Reference,
    ReferenceNocheck,
    RustCrypto,
    AwsLc,
}

/// Measures one row, after checking that all contenders compute the same.
///
/// # Errors
/// When a contender refuses the row or computes something else than RustCrypto does.
pub fn measure(spec: &Spec, limits: &Limits, effort: &Effort) -> Result<Row> {
    let rig = Rig::new(spec, managers_size(spec))?;
    let mut ours = Ours::new(&rig)?;
    let mut rustcrypto = Single::rustcrypto(&rig)?;
    let expected = rustcrypto.outputs(&rig);
    rig.check("our manager", &expected, || ours.run_once())?;
    let backend = ours.backend();
    let jobs = spec.jobs();

    // Shared by two contenders, and before them, so that it outlives them.
    #[cfg(feature = "ipsec-mb")]
    let mut theirs = Theirs::new(&rig)?.map(std::cell::RefCell::new);
    let mut field: Vec<(Who, Contender<'_>)> = Vec::new();
    field.push((Who::Ours, Contender::new(1, |turns| count(ours.run(turns)?))));
    #[cfg(feature = "ipsec-mb")]
    if let Some(theirs) = &mut theirs {
        rig.check("the reference", &expected, || theirs.get_mut().run_once(jobs))?;
        let theirs = &*theirs;
        let run = |checked| {
            Contender::new(1, move |turns| count(theirs.borrow_mut().run(turns, checked)?))
        };
        field.push((Who::Reference, run(true)));
        field.push((Who::ReferenceNocheck, run(false)));
    }
    if effort.singles {
        let run = move |turns| {
            rustcrypto.run(turns);
            Ok(())
        };
        field.push((Who::RustCrypto, Contender::new(8, run)));
        #[cfg(feature = "aws-lc-rs")]
        if let Some(mut single) = Single::aws_lc(&rig)? {
            rig.check_outputs("aws-lc-rs", &expected, &single.outputs(&rig))?;
            let run = move |turns| {
                single.run(turns);
                Ok(())
            };
            field.push((Who::AwsLc, Contender::new(8, run)));
        }
    }

    let ratio = race(&mut field, jobs, effort)?;
    let figure =
        |who| field.iter().find(|(name, _)| *name == who).map(|(_, contender)| contender.figure());
    row(spec, limits, backend, ratio, figure)
}

fn managers_size(spec: &Spec) -> u64 {
    #[cfg(feature = "ipsec-mb")]
    let theirs = theirs::size(spec);
    #[cfg(not(feature = "ipsec-mb"))]
    let theirs = 0;
    ours::size(spec) + theirs
}

#[expect(clippy::unnecessary_wraps, reason = "fits the contenders' closures")]
fn count(done: u64) -> Result<()> {
    std::hint::black_box(done);
    Ok(())
}

impl<'a> Contender<'a> {
    fn new(part: u64, run: impl FnMut(u64) -> Result<()> + 'a) -> Contender<'a> {
        Contender { run: Box::new(run), part, rounds: Vec::new(), batch: Vec::new() }
    }

    /// Ticks of `turns` turns.
    fn time(&mut self, turns: u64) -> Result<u64> {
        let mut result = Ok(());
        let ticks = time(|| result = (self.run)(turns));
        result.map(|()| ticks)
    }

    fn figure(&self) -> Figure {
        let median = median(&self.rounds);
        let largest = self.rounds.iter().copied().fold(f64::MIN, f64::max);
        let smallest = self.rounds.iter().copied().fold(f64::MAX, f64::min);
        Figure { median, spread: (largest - smallest) / median }
    }
}

/// Runs all contenders in turn; returns the median of the ticks per core cycle.
fn race(field: &mut [(Who, Contender<'_>)], jobs: u64, effort: &Effort) -> Result<f64> {
    // Warm caches, predictors and the clock, and find out how many turns a batch has.
    let (_, first) = field.first_mut().context("nobody to measure")?;
    let mut turns = 1;
    loop {
        let ticks = first.time(turns)?;
        if ticks >= effort.batch_ticks / 2 {
            turns = (turns * effort.batch_ticks / ticks).max(1);
            break;
        }
        turns *= 2;
    }
    let mut ratios = Vec::new();
    for _ in 0..effort.rounds {
        for _ in 0..effort.batches {
            for (_, contender) in field.iter_mut() {
                let turns = (turns / contender.part).max(1);
                let ticks = contender.time(turns)?;
                contender.batch.push(as_f64(ticks) / as_f64(turns * jobs));
            }
            ratios.push(ticks_per_cycle());
        }
        for (_, contender) in field.iter_mut() {
            contender.rounds.push(median(&contender.batch));
            contender.batch.clear();
        }
    }
    Ok(median(&ratios))
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

fn row(
    spec: &Spec,
    limits: &Limits,
    backend: &str,
    ticks_per_core_cycle: f64,
    figure: impl Fn(Who) -> Option<Figure>,
) -> Result<Row> {
    let ours = figure(Who::Ours).context("ours was not measured")?;
    ensure!(ours.median > 0.0, "the time stamp counter stands still");
    let reference = figure(Who::Reference);
    let nocheck = figure(Who::ReferenceNocheck).map(|figure| figure.median);
    let rustcrypto = figure(Who::RustCrypto).map(|figure| figure.median);
    let aws_lc = figure(Who::AwsLc).map(|figure| figure.median);
    let per = |cycles: Option<f64>| cycles.map(|cycles| cycles / ours.median);
    let len = as_f64(spec.bytes()) / as_f64(spec.jobs());
    let ours_cpb = ours.median / len;
    let ours_core_cpb = ours_cpb / ticks_per_core_cycle;
    let (limit, limited_by) = limit(spec, limits).unzip();
    Ok(Row {
        cipher: spec.name(),
        direction: spec.direction.to_string(),
        size: spec.sizes.to_string(),
        lanes: spec.lanes,
        in_place: spec.in_place,
        api: spec.api,
        backend: backend.to_owned(),
        buffers: spec.spread,
        keys: spec.keys,
        ring: spec.ring,
        managers: spec.managers,
        ours_cycles: ours.median,
        ours_spread: ours.spread,
        reference_cycles: reference.map(|figure| figure.median),
        reference_spread: reference.map(|figure| figure.spread),
        ratio: per(reference.map(|figure| figure.median)),
        reference_nocheck_cycles: nocheck,
        ratio_nocheck: per(nocheck),
        rustcrypto_cycles: rustcrypto,
        rustcrypto_ratio: per(rustcrypto),
        aws_lc_cycles: aws_lc,
        aws_lc_ratio: per(aws_lc),
        ours_cpb,
        ours_core_cpb,
        limit_core_cpb: limit,
        limited_by,
        of_limit: limit.map(|limit| limit / ours_core_cpb),
        ours_gb_per_s: ticks_per_second() / ours_cpb / 1e9,
        ticks_per_core_cycle,
    })
}

/// The limit of a row's mixture, and what sets it.
fn limit(spec: &Spec, limits: &Limits) -> Option<(f64, &'static str)> {
    let algorithm: Algorithm = spec.algorithm;
    if spec.hash.is_some() {
        return None;
    }
    if let Sizes::All(len) = spec.sizes {
        return limits.of(algorithm, len);
    }
    let (mut cycles, mut by) = (0.0, None);
    for job in 0..spec.jobs() {
        let len = spec.sizes.of(algorithm, job);
        let (limit, unit) = limits.of(algorithm, len)?;
        cycles += limit * as_f64(len);
        by = Some(unit);
    }
    Some((cycles / as_f64(spec.bytes()), by?))
}

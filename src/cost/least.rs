//! The least that anything takes: what each formula for a time can come to, over all batches and rows.
//!
//! Times are whole nanoseconds, and a formula that is rounded loses half of one at most. Batches are looked at one by one
//! as far as that is little work, which needs no allowance for rounding; beyond, times are taken at both ends of each run of
//! batches over which a sample's time only rises or only falls.

use std::ops::RangeInclusive;

use super::curve::Curve;
use super::lookup::Lookup;
use super::parts::{Parts, ProfiledUnit};
use super::speed::Speed;
use crate::model::{Coverage, Graph, LayerId, Segment};

/// Layers of a network, and what a device takes for them at least.
#[derive(Clone, Debug, PartialEq)]
pub struct Piece {
    /// The layers.
    pub segment: Segment,
    /// Nanoseconds of the whole device for each sample.
    pub nanos: f64,
}

/// The steps that a least time is asked of.
#[derive(Clone, Copy)]
pub struct Scope<'a> {
    /// What rows of the network's layers are worth.
    pub coverage: &'a Coverage<'a>,
    /// The most samples of a step.
    pub samples: u32,
    /// The most samples of a step that computes all rows of a segment.
    pub samples_whole: &'a dyn Fn(&Segment) -> u32,
}

/// What rounding takes off a time at most, in nanoseconds.
const ROUNDING: f64 = 0.5;

/// Look-ups of a time at most, as far as batches are looked at one by one.
const LOOKUPS_MAX: usize = 200_000;

/// Batches over which no curve has a bend.
type Run = RangeInclusive<u32>;

/// The batches up to `most` in runs over which no curve has a bend: singly while that is little work.
fn runs<'a>(curves: impl Iterator<Item = &'a Curve>, most: u32) -> Vec<Run> {
    let curves: Vec<&Curve> = curves.collect();
    let singles = (LOOKUPS_MAX / curves.len().max(1)).clamp(64, 4096) as u32;
    let mut runs: Vec<Run> = (1..=most.min(singles)).map(|batch| batch..=batch).collect();
    if most > singles {
        let bends = curves.iter().flat_map(|curve| curve.points.iter().map(|point| point.batch));
        let mut ends: Vec<u32> = bends.filter(|batch| (singles + 1..most).contains(batch)).collect();
        ends.extend([singles + 1, most]);
        ends.sort_unstable();
        ends.dedup();
        // A lone end is a run of one batch.
        runs.extend(ends.windows(2).map(|pair| pair[0]..=pair[1]).chain([most..=most]));
    }
    runs
}

impl Curve {
    /// Nanoseconds of a sample, the least and the most, over batches that [`runs`] gave; `None` if none of them has a time.
    fn of_sample(&self, batches: &Run) -> Option<(f64, f64)> {
        let (&first, &last) = (batches.start(), batches.end());
        let at = |batch: u32| Some(self.estimate(batch).ok()?.time.as_nanos_f64() / f64::from(batch));
        if first == last {
            return at(first).map(|time| (time, time));
        }
        if matches!(self.form(), Lookup::Kcc2020 | Lookup::Kcc2020Later) {
            // Between points it is linear in the time of a sample, with that of copies on top or without.
            let low = self.points.iter().map(|point| point.of_sample).fold(f64::INFINITY, f64::min);
            let copies = |point: &super::curve::Profiled| point.io.unwrap_or(0.0) / f64::from(point.batch);
            let most = self.points.iter().map(|point| point.of_sample).fold(0.0, f64::max);
            let high = most + self.points.iter().map(copies).fold(0.0, f64::max);
            return Some((low * 1e6 - ROUNDING / f64::from(first), high * 1e6 + ROUNDING / f64::from(first)));
        }
        // What is linear in the batch, over the batch, only rises or only falls; waves are off a line by less than one.
        let wave = if self.wave.size > 1 { self.wave.line.slope * 1e6 } else { 0.0 };
        let ends = [first, last].into_iter().filter_map(|batch| Some((batch, at(batch)?)));
        let ends = ends.map(|(batch, time)| {
            let off = (wave + ROUNDING) / f64::from(batch) + ROUNDING / f64::from(first);
            (time - off, time + off)
        });
        ends.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
    }

    /// The least nanoseconds of a sample in batches up to `most`; `None` if none has a time.
    pub(super) fn least(&self, most: u32) -> Option<f64> {
        let runs = runs(std::iter::once(self), most);
        let least = runs.iter().filter_map(|run| Some(self.of_sample(run)?.0)).reduce(f64::min);
        least.map(|nanos| nanos.max(0.0))
    }
}

impl Parts {
    /// Each unit by itself and each segment that was profiled as one step.
    ///
    /// A step that was not profiled as such is made of units and of segments that stand for them. It takes what they take,
    /// but units save a share if they are not the first of their step, which the first unit of the network always is. What
    /// rounding takes off a sum of saved times is taken off each unit that saves.
    pub(super) fn least(&self, whole: Option<&Curve>, scope: &Scope<'_>) -> Vec<Piece> {
        let curves = self.units.iter().chain(&self.segments).flat_map(|unit| unit.curves.values());
        let runs = runs(curves.chain(whole), scope.samples);
        let kept: Vec<f64> = runs.iter().map(|run| self.kept(whole, run)).collect();
        let piece = |unit: &ProfiledUnit, saves: bool| {
            let rounding = ROUNDING * scope.coverage.rows(unit.segment.last());
            let of_run = |(run, &kept): (&Run, &f64)| match unit.least(scope, run)? {
                least if saves && kept < 1.0 => Some(kept * least - rounding / f64::from(*run.start())),
                least => Some(least),
            };
            let nanos = runs.iter().zip(&kept).filter_map(of_run).reduce(f64::min)?;
            Some(Piece { segment: unit.segment.clone(), nanos: nanos.max(0.0) })
        };
        let units = self.units.iter().enumerate().filter_map(|(index, unit)| piece(unit, index > 0));
        units.chain(self.segments.iter().filter_map(|segment| piece(segment, false))).collect()
    }

    /// The part of its time that a unit keeps at least which runs in one step with another before it.
    fn kept(&self, whole: Option<&Curve>, run: &Run) -> f64 {
        let Some(whole) = whole.and_then(|whole| whole.of_sample(run)) else { return 1.0 };
        let times = self.units.iter().map(|unit| unit.of_sample(self.height(unit), run));
        match times.collect::<Option<Vec<(f64, f64)>>>().as_deref() {
            Some([first, others @ ..]) if !others.is_empty() => {
                let others: f64 = others.iter().map(|time| time.1).sum();
                ((whole.0 - first.1) / others).clamp(0.0, 1.0)
            }
            _ => 1.0,
        }
    }
}

impl ProfiledUnit {
    /// Nanoseconds of so many rows of a sample, the least and the most; `None` if no batch of the run has a time.
    fn of_sample(&self, rows: u32, run: &Run) -> Option<(f64, f64)> {
        let first = *run.start();
        if first == *run.end() {
            let time = self.estimate(rows, first).ok()?.time.as_nanos_f64() / f64::from(first);
            return Some((time, time));
        }
        let (below, above) = (self.curves.range(..=rows).next_back(), self.curves.range(rows..).next());
        let ((low, below), (high, above)) = (below.or(above)?, above.or(below)?);
        let (from, to) = (below.of_sample(run)?, above.of_sample(run)?);
        let between = |a: f64, b: f64| match low == high {
            true => a * f64::from(rows) / f64::from(*low),
            false => a + (b - a) * f64::from(rows - low) / f64::from(high - low),
        };
        let rounding = ROUNDING / f64::from(first);
        Some((between(from.0, to.0) - rounding, between(from.1, to.1) + rounding))
    }

    /// Nanoseconds of a sample at least, whatever rows a step computes; `None` if no batch of the run has a time.
    ///
    /// Between none and numbers of rows that were profiled the time is linear, and so is what rows are worth until they are
    /// worth all: their ratio is least at an end, or where they come to be worth all. Other rows are rounded, one of them the most.
    fn least(&self, scope: &Scope<'_>, run: &Run) -> Option<f64> {
        let last = self.segment.last();
        let needed = scope.coverage.rows(last);
        let (mut least, mut before) = (f64::INFINITY, (0.0, 0.0));
        for (&rows, curve) in &self.curves {
            let (rows, Some((time, _))) = (f64::from(rows), curve.of_sample(run)) else { continue };
            least = least.min(time / scope.coverage.of_rows(last, rows));
            let (low, known) = before;
            if low < needed && needed < rows {
                least = least.min(known + (time - known) * (needed - low) / (rows - low));
            }
            before = (rows, time);
        }
        let has_one_row = needed < 1.5 && self.curves.len() == 1 && self.curves.contains_key(&1);
        let rounding = if has_one_row { 0.0 } else { ROUNDING * needed / f64::from(*run.start()) };
        least.is_finite().then_some(least - rounding)
    }
}

impl Speed {
    /// Each layer that multiplies, for what it multiplies, and the last one for what each step takes by itself.
    ///
    /// A step takes no less for each row than rows take on an average, and no less for few rows than for a tile of them. On some
    /// of the units it computes no less in all, but what a step takes by itself is their part only.
    pub(super) fn least(&self, graph: &Graph, scope: &Scope<'_>) -> Vec<Piece> {
        let step = self.step.as_nanos_f64() / f64::from(self.units.max(1));
        // Rounded is the whole step: what that loses is less than what it takes by itself, or is taken off each layer.
        let (step, rounding) = if step >= ROUNDING { (step - ROUNDING, 0.0) } else { (step, ROUNDING) };
        let of_layer = |layer: LayerId| {
            let rows = scope.coverage.rows(layer);
            let macs = graph.macs_of_row(layer) * rows.max(f64::from(self.row_tile.max(1)));
            let computing = (macs * self.rate.nanos() - rounding * rows).max(0.0);
            if layer == graph.output() { computing + step / f64::from(scope.samples.max(1)) } else { computing }
        };
        let layers = graph.layer_ids().filter(|&layer| !graph.is_input(layer));
        layers.map(|layer| Piece { segment: Segment::range(layer, layer), nanos: of_layer(layer) }).collect()
    }
}

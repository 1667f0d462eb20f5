//! Times of parts of a network, put together from the times of its units.
//!
//! Each unit was measured as a step of its own. In one step with others, it finds what it reads where the unit before
//! has just left it, and takes less time: by the share that the units of the whole network, all but the first, save
//! when they run in one step. Longer segments of whole units that were profiled stand for them where units were not, and
//! where they are faster: a device that knows how to run layers faster does so.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::curve::Curve;
use super::lookup::Lookup;
use super::series::Series;
use super::trace::{LayerKey, Row, Rows, Trace};
use super::{Basis, Estimate};
use crate::model::{Graph, Segment, Work, unit_name, units};
use crate::platform::Precision;
use crate::units::Duration;

/// The profiled units of a network on one device, and longer segments that were profiled as one step.
#[derive(Clone, Debug)]
pub struct Parts {
    graph: Graph,
    pub(super) units: Vec<ProfiledUnit>,
    pub(super) segments: Vec<ProfiledUnit>,
    /// Of the segments, those of whole units of which one was not profiled; the longest first.
    longer: Vec<usize>,
    /// Of the segments, those of units that follow each other: by the first, which units.
    runs: Vec<(Range<usize>, usize)>,
}

#[derive(Clone, Debug)]
pub(super) struct ProfiledUnit {
    name: String,
    pub(super) segment: Segment,
    /// By rows of the output, all of them being its height. Empty if it was not profiled.
    pub(super) curves: BTreeMap<u32, Curve>,
}

impl Parts {
    /// The units of `graph` and other segments of it, `first..last`, that `trace` has; `None` if it has none.
    pub fn new(
        trace: &Trace,
        device: &str,
        precision: Precision,
        model: &str,
        graph: &Graph,
        lookup: Lookup,
        extrapolate_unpredictable: bool,
    ) -> Option<Parts> {
        let mut rows: BTreeMap<(&str, Rows), Vec<&Row>> = BTreeMap::new();
        for row in &trace.rows {
            if let (LayerKey::Named(layer), None) = (&row.layer, &row.beside)
                && (row.device.as_str(), row.precision, row.model.as_str()) == (device, precision, model)
            {
                rows.entry((layer, row.rows)).or_default().push(row);
            }
        }
        let curves = |name: &str, height: u32| {
            let of_unit = rows.range((name, Rows::All)..).take_while(|((layer, _), _)| *layer == name);
            let curve = |((_, rows), found): (&(&str, Rows), &Vec<&Row>)| {
                let rows = match rows {
                    Rows::All => height,
                    Rows::Count(count) => *count,
                };
                let curve = Curve::with_errors(Series::of_rows(found, trace.kind), lookup, extrapolate_unpredictable);
                (rows, curve)
            };
            of_unit.map(curve).collect()
        };
        let unit = |segment: Segment| {
            let name = unit_name(graph, &segment);
            let curves = curves(&name, graph.shape(segment.last()).rows);
            ProfiledUnit { name, segment, curves }
        };
        let units: Vec<ProfiledUnit> = units(graph).into_iter().map(unit).collect();
        let names: BTreeSet<&str> = rows.keys().map(|&(name, _)| name).collect();
        let others = names.into_iter().filter(|name| units.iter().all(|unit| unit.name != *name));
        let segments: Vec<ProfiledUnit> = others.filter_map(|name| graph.find_segment(name)).map(unit).collect();
        let is_any = units.iter().chain(&segments).any(|unit| !unit.curves.is_empty());
        let stands_for_units = |segment: &ProfiledUnit| {
            let mut inside = units.iter().filter(|unit| unit.overlaps(&segment.segment));
            let is_whole = inside.clone().all(|unit| unit.is_inside(&segment.segment));
            is_whole && inside.any(|unit| unit.curves.is_empty())
        };
        let mut longer: Vec<usize> = (0..segments.len()).filter(|&index| stands_for_units(&segments[index])).collect();
        longer.sort_by_key(|&index| std::cmp::Reverse(segments[index].segment.layers().count()));
        let run = |index: usize| {
            let segment: &Segment = &segments[index].segment;
            let inside: Vec<usize> = (0..units.len()).filter(|&unit| units[unit].is_inside(segment)).collect();
            let run = *inside.first()?..inside.last()? + 1;
            let layers: usize = inside.iter().map(|&unit| units[unit].segment.layers().count()).sum();
            (run.len() == inside.len() && layers == segment.layers().count()).then_some((run, index))
        };
        let mut runs: Vec<(Range<usize>, usize)> = (0..segments.len()).filter_map(run).collect();
        runs.sort_by_key(|(run, index)| (run.start, *index));
        // Where units were not profiled, and one segment only has them, there is nothing to choose.
        let has_units = |run: &Range<usize>| run.clone().all(|unit| !units[unit].curves.is_empty());
        let overlaps = |(run, index): &(Range<usize>, usize), (other, at): &(Range<usize>, usize)| {
            index != at && run.start < other.end && other.start < run.end
        };
        if !runs.iter().any(|run| has_units(&run.0) || runs.iter().any(|other| overlaps(run, other))) {
            runs.clear();
        }
        is_any.then(|| Parts { graph: graph.clone(), units, segments, longer, runs })
    }

    /// Whether they are units of `graph`.
    pub fn are_of(&self, graph: &Graph) -> bool {
        self.graph == *graph
    }

    /// The parts that another profile of the same machine might have given; `None` if nothing has repeats.
    pub(super) fn resampled(&self, draw: u64) -> Option<Parts> {
        let (mut parts, mut is_any) = (self.clone(), false);
        for curve in parts.units.iter_mut().chain(&mut parts.segments).flat_map(|unit| unit.curves.values_mut()) {
            if let Some(resampled) = curve.resampled(draw) {
                (*curve, is_any) = (resampled, true);
            }
        }
        is_any.then_some(parts)
    }

    /// The time of `work`, given that of the whole network for as many samples, if it is known.
    ///
    /// # Errors
    /// What is missing, and what would help.
    pub(super) fn estimate(&self, work: &Work, whole: Option<Duration>) -> Result<Estimate, String> {
        let batch = work.region.samples.len() as u32;
        if let Some(profiled) = self.segments.iter().find(|profiled| profiled.segment == work.segment) {
            return profiled.estimate(work.region.rows.len() as u32, batch);
        }
        let needed = self.graph.rows_needed(&work.segment, &work.region.rows);
        let of_part = |part: &ProfiledUnit| {
            let rows = needed.get(&part.segment.last()).map_or(0, |rows| rows.len() as u32);
            part.estimate(rows, batch)
        };
        let kept = || 1.0 - self.saved(batch, whole).unwrap_or(0.0);
        let by_units = self.by_units(&work.segment, of_part, kept);
        match self.by_runs(&work.segment, of_part, kept) {
            Some(run) if !by_units.as_ref().is_ok_and(|units| units.time <= run.time) => Ok(run),
            _ => by_units,
        }
    }

    /// What units take, and for those that were not profiled the longest segments that were.
    fn by_units(
        &self,
        segment: &Segment,
        of_part: impl Fn(&ProfiledUnit) -> Result<Estimate, String>,
        kept: impl Fn() -> f64,
    ) -> Result<Estimate, String> {
        let longer = self.longer(segment);
        let is_covered = |unit: &&ProfiledUnit| longer.iter().any(|longer| longer.overlaps(&unit.segment));
        let units = self.units.iter().filter(|unit| unit.overlaps(segment) && !is_covered(unit));
        let mut parts: Vec<&ProfiledUnit> = longer.iter().copied().chain(units).collect();
        parts.sort_by_key(|part| part.segment.first());
        let (mut layers, mut basis, mut times) = (0, Basis::Measured, Vec::new());
        for part in parts {
            let inside = part.segment.layers().filter(|&layer| segment.contains(layer)).count();
            if inside < part.segment.layers().count() {
                return Err(format!("it was profiled by units, and this cuts through `{}`", part.name));
            }
            let estimate = of_part(part)?;
            times.push(estimate.time.as_nanos_f64());
            basis = basis.max(estimate.basis);
            layers += inside;
        }
        debug_assert_eq!(layers, segment.layers().count(), "every layer is in a unit");
        let nanos = match times.as_slice() {
            [first, others @ ..] if !others.is_empty() => {
                basis = Basis::Modelled;
                first + others.iter().sum::<f64>() * kept()
            }
            alone => alone.iter().sum(),
        };
        Ok(modelled(nanos, basis))
    }

    /// The least that units and profiled segments of units that follow each other take, one after the other; `None` if no
    /// such segment is a part of `segment`, or nobody knows enough.
    fn by_runs(
        &self,
        segment: &Segment,
        of_part: impl Fn(&ProfiledUnit) -> Result<Estimate, String>,
        kept: impl Fn() -> f64,
    ) -> Option<Estimate> {
        let is_part = |(run, index): &&(Range<usize>, usize)| run.len() > 1 && self.segments[*index].is_inside(segment);
        let runs: Vec<&(Range<usize>, usize)> = self.runs.iter().filter(is_part).collect();
        if runs.is_empty() {
            return None;
        }
        let inside: Vec<usize> = (0..self.units.len()).filter(|&unit| self.units[unit].is_inside(segment)).collect();
        let kept = kept();
        // By the number of units that are done, the least time.
        let mut least = vec![f64::INFINITY; inside.len() + 1];
        least[0] = 0.0;
        for (done, &unit) in inside.iter().enumerate() {
            let since = least[done];
            let mut reach = |count: usize, part: &ProfiledUnit, factor: f64| {
                if let Ok(estimate) = of_part(part) {
                    let time = since + estimate.time.as_nanos_f64() * factor;
                    least[done + count] = least[done + count].min(time);
                }
            };
            reach(1, &self.units[unit], if done > 0 { kept } else { 1.0 });
            for (run, index) in runs.iter().filter(|(run, _)| run.start == unit) {
                reach(run.len(), &self.segments[*index], 1.0);
            }
        }
        let nanos = least[inside.len()];
        nanos.is_finite().then(|| modelled(nanos, Basis::Modelled))
    }

    /// All rows of a unit's output.
    pub(super) fn height(&self, unit: &ProfiledUnit) -> u32 {
        self.graph.shape(unit.segment.last()).rows
    }

    /// Segments inside `segment`, none of which overlap, that stand for units that were not profiled; the longest first.
    fn longer(&self, segment: &Segment) -> Vec<&ProfiledUnit> {
        let mut taken: Vec<&ProfiledUnit> = Vec::new();
        for longer in self.longer.iter().map(|&index| &self.segments[index]) {
            if longer.is_inside(segment) && taken.iter().all(|other| !other.overlaps(&longer.segment)) {
                taken.push(longer);
            }
        }
        taken
    }

    /// The share of their time that units save which run in one step with the one before them; `None` if it is not known.
    /// Layers that run together take no longer than one by one: where it looks so, times vary more than there is to save.
    fn saved(&self, batch: u32, whole: Option<Duration>) -> Option<f64> {
        let time = |unit: &ProfiledUnit| Some(unit.estimate(self.height(unit), batch).ok()?.time.as_nanos_f64());
        let (first, others) = self.units.split_first()?;
        let (first, others) = (time(first)?, others.iter().map(time).sum::<Option<f64>>()?);
        Some(((first + others - whole?.as_nanos_f64()) / others).clamp(0.0, 1.0))
    }
}

/// Something always takes some time.
fn modelled(nanos: f64, basis: Basis) -> Estimate {
    Estimate { time: Duration::from_nanos_f64(nanos).max(Duration::from_nanos(1)), basis }
}

impl ProfiledUnit {
    fn overlaps(&self, segment: &Segment) -> bool {
        self.segment.layers().any(|layer| segment.contains(layer))
    }

    fn is_inside(&self, segment: &Segment) -> bool {
        self.segment.layers().all(|layer| segment.contains(layer))
    }

    /// The time of `rows` rows of `batch` samples: linear between profiled numbers of rows, and in proportion to rows
    /// below the smallest.
    pub(super) fn estimate(&self, rows: u32, batch: u32) -> Result<Estimate, String> {
        let at = |curve: &Curve| curve.estimate(batch).map_err(|refusal| format!("`{}`: {refusal}", self.name));
        if let Some(curve) = self.curves.get(&rows) {
            return at(curve);
        }
        let below = self.curves.range(..rows).next_back();
        let above = self.curves.range(rows..).next();
        let scaled = |estimate: Estimate, factor: f64| Estimate {
            time: Duration::from_nanos_f64(estimate.time.as_nanos_f64() * factor),
            basis: Basis::Modelled,
        };
        match (below, above) {
            (Some((&low, below)), Some((&high, above))) => {
                let (below, above) = (at(below)?, at(above)?);
                let along = f64::from(rows - low) / f64::from(high - low);
                let nanos = below.time.as_nanos_f64() * (1.0 - along) + above.time.as_nanos_f64() * along;
                let basis = below.basis.max(above.basis).max(Basis::Interpolated);
                Ok(Estimate { time: Duration::from_nanos_f64(nanos), basis })
            }
            (None, Some((&known, curve))) | (Some((&known, curve)), None) => {
                Ok(scaled(at(curve)?, f64::from(rows) / f64::from(known)))
            }
            (None, None) => Err(format!("the trace has no time of `{}`; profile it with --units", self.name)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Conv, Layer, LayerId, ModelId, Op, Region, Shape};

    /// Two convolutions with activations, 8 rows.
    fn graph() -> Graph {
        let layer = |name: &str, op, inputs: &[u32]| Layer {
            name: name.into(),
            op,
            inputs: inputs.iter().copied().map(LayerId).collect(),
        };
        let conv = || Op::Conv(Conv::square(4, 3).pad(1));
        let relu = || Op::Activation(crate::model::Activation::Relu);
        let layers = vec![
            layer("input", Op::Input(Shape::fp32(4, 8, 8)), &[]),
            layer("a", conv(), &[0]),
            layer("a.relu", relu(), &[1]),
            layer("b", conv(), &[2]),
            layer("b.relu", relu(), &[3]),
        ];
        Graph::new("net", layers).unwrap()
    }

    const HEADER: &str = "# coinfer trace 1\n# source: s\n# revision: r\n# hardware: h\n# software: s\n# date: d\n\
                          # kind: measured\ndevice,model,layer,batch,rows,statistic,repeat,time_ms\n";

    fn parts(rows: &str) -> Option<Parts> {
        let trace = Trace::parse(format!("{HEADER}{rows}").as_bytes()).unwrap();
        Parts::new(&trace, "cpu", Precision::Fp32, "net", &graph(), Lookup::Table, false)
    }

    const UNITS: &str = "cpu,net,a..a.relu,1,all,median,5,8\ncpu,net,a..a.relu,1,4,median,5,5\n\
                         cpu,net,b..b.relu,1,all,median,5,6\n";

    fn estimate(layers: (u32, u32), rows: std::ops::Range<u32>, whole: Option<f64>) -> Result<(f64, Basis), String> {
        let segment = Segment::range(LayerId(layers.0), LayerId(layers.1));
        let work = Work { model: ModelId(0), segment, region: Region { samples: 0..1, rows } };
        let estimate = parts(UNITS).unwrap().estimate(&work, whole.map(Duration::from_millis_f64))?;
        Ok((estimate.time.as_millis_f64(), estimate.basis))
    }

    #[test]
    fn a_unit_takes_what_was_measured_and_rows_lie_between() {
        assert_eq!(estimate((1, 2), 0..8, None), Ok((8.0, Basis::Measured)));
        assert_eq!(estimate((1, 2), 2..6, None), Ok((5.0, Basis::Measured)));
        assert_eq!(estimate((1, 2), 0..6, None), Ok((6.5, Basis::Interpolated)));
        assert_eq!(estimate((1, 2), 0..2, None), Ok((2.5, Basis::Modelled)));
    }

    #[test]
    fn several_units_count_the_rows_of_their_halo_and_all_but_the_first_save_a_share() {
        assert_eq!(estimate((1, 4), 0..8, None), Ok((14.0, Basis::Modelled)));
        assert_eq!(estimate((1, 4), 0..8, Some(12.0)), Ok((12.0, Basis::Modelled)), "`b` saves a third");
        let halo = 5.0 + (8.0 - 5.0) / 4.0;
        assert_eq!(estimate((1, 4), 0..4, None), Ok((halo + 3.0, Basis::Modelled)));
        assert_eq!(estimate((1, 4), 0..4, Some(12.0)), Ok((halo + 2.0, Basis::Modelled)));
        assert_eq!(estimate((3, 4), 0..4, Some(12.0)), Ok((3.0, Basis::Modelled)), "it is the first of its step");
    }

    #[test]
    fn a_segment_that_was_profiled_as_one_step_takes_what_was_measured() {
        let both = parts(&format!("{UNITS}cpu,net,a..b.relu,1,all,median,5,11\n")).unwrap();
        let segment = Segment::range(LayerId(1), LayerId(4));
        let work = Work { model: ModelId(0), segment, region: Region { samples: 0..1, rows: 0..8 } };
        let estimate = both.estimate(&work, None).unwrap();
        assert_eq!((estimate.time, estimate.basis), (Duration::from_millis_f64(11.0), Basis::Measured));
    }

    #[test]
    fn segments_that_were_profiled_and_are_faster_stand_for_their_units() {
        let layer = |name: &str, input: u32| Layer {
            name: name.into(),
            op: Op::Conv(Conv::square(4, 3).pad(1)),
            inputs: vec![LayerId(input)],
        };
        let input = Layer { name: "input".into(), op: Op::Input(Shape::fp32(4, 8, 8)), inputs: vec![] };
        let layers = vec![input, layer("a", 0), layer("b", 1), layer("c", 2), layer("d", 3)];
        let graph = Graph::new("net", layers).unwrap();
        let rows = |rows: &[(&str, u32)]| -> String {
            rows.iter().map(|(layer, time)| format!("cpu,net,{layer},1,all,median,5,{time}\n")).collect()
        };
        let time = |extra: &[(&str, u32)], whole: Option<f64>| {
            let text = rows(&[&[("a", 2), ("b", 4), ("c", 4), ("d", 8)], extra].concat());
            let trace = Trace::parse(format!("{HEADER}{text}").as_bytes()).unwrap();
            let parts = Parts::new(&trace, "cpu", Precision::Fp32, "net", &graph, Lookup::Table, false).unwrap();
            let region = Region { samples: 0..1, rows: 0..8 };
            let work = Work { model: ModelId(0), segment: Segment::range(LayerId(1), LayerId(4)), region };
            parts.estimate(&work, whole.map(Duration::from_millis_f64)).unwrap().time.as_millis_f64()
        };
        assert_eq!(time(&[], None), 18.0);
        assert_eq!(time(&[("b..c", 9)], None), 18.0, "a slower one does not");
        assert_eq!(time(&[("b..c", 5)], None), 15.0);
        assert_eq!(time(&[("a..b", 3), ("b..c", 5), ("c..d", 9)], None), 12.0, "the best of those that overlap");
        assert_eq!(time(&[("b..c", 3)], Some(10.0)), 9.0, "`d` saves a half, as it does after `c`");
    }

    /// Milliseconds of layers of the network by these rows of a trace.
    fn time(rows: &str, layers: (u32, u32)) -> Result<f64, String> {
        let segment = Segment::range(LayerId(layers.0), LayerId(layers.1));
        let work = Work { model: ModelId(0), segment, region: Region { samples: 0..1, rows: 0..8 } };
        Ok(parts(rows).unwrap().estimate(&work, None)?.time.as_millis_f64())
    }

    #[test]
    fn a_longer_segment_stands_for_units_that_were_not_profiled() {
        let group = |layer: &str, time: u32| format!("cpu,net,{layer},1,all,median,5,{time}\n");
        let both = group("a..b.relu", 11);
        assert_eq!(time(&both, (1, 4)), Ok(11.0));
        assert_eq!(time(&both, (1, 2)), Err("the trace has no time of `a..a.relu`; profile it with --units".into()));
        let beside = format!("{both}{}", group("a..a.relu", 8));
        assert_eq!(time(&beside, (1, 2)), Ok(8.0));
        let cut = format!("{}{}", group("a..b", 7), group("b.relu", 2));
        assert_eq!(time(&cut, (1, 3)), Ok(7.0), "as it was profiled");
        assert_eq!(time(&cut, (1, 4)), Err("the trace has no time of `a..a.relu`; profile it with --units".into()));
    }

    #[test]
    fn what_was_not_profiled_is_refused() {
        let error = estimate((1, 3), 0..8, None).unwrap_err();
        assert_eq!(error, "it was profiled by units, and this cuts through `b..b.relu`");
        assert!(parts("cpu,net,whole,1,all,median,5,8\n").is_none());
        let some = parts("cpu,net,a..a.relu,1,all,median,5,8\n").unwrap();
        let segment = Segment::range(LayerId(1), LayerId(4));
        let work = Work { model: ModelId(0), segment, region: Region { samples: 0..1, rows: 0..8 } };
        let error = some.estimate(&work, None).unwrap_err();
        assert_eq!(error, "the trace has no time of `b..b.relu`; profile it with --units");
    }
}

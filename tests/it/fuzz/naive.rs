//! Where data is and how much of it, cell by cell: a cell is a row of a layer's output of one sample.
//!
//! It shares no code with the check and follows the same documented rules.

use std::collections::BTreeMap;
use std::ops::Range;

use coinfer::model::{LayerId, ModelId, Region, Work};
use coinfer::plan::{Action, Lane, Plan, Step};
use coinfer::platform::{DeviceId, Memory};
use coinfer::problem::Problem;
use coinfer::timeline::Timeline;
use coinfer::units::Time;

/// Since when cells are where they are.
#[derive(Default)]
struct Cells(BTreeMap<(DeviceId, ModelId, LayerId, u32), Vec<Option<Time>>>);

impl Cells {
    fn put(&mut self, (device, model, layer): (DeviceId, ModelId, LayerId), region: &Region, at: Time) {
        for sample in region.samples.clone() {
            let rows = self.0.entry((device, model, layer, sample)).or_default();
            rows.resize(rows.len().max(region.rows.end as usize), None);
            for row in &mut rows[region.rows.start as usize..region.rows.end as usize] {
                *row = Some(row.map_or(at, |known| known.min(at)));
            }
        }
    }

    /// A cell of `region` that is not there at `time`, as sample and row.
    fn missing(
        &self,
        (device, model, layer): (DeviceId, ModelId, LayerId),
        region: &Region,
        time: Time,
    ) -> Option<(u32, u32)> {
        region.samples.clone().find_map(|sample| {
            let rows = self.0.get(&(device, model, layer, sample));
            let is_there =
                |&row: &u32| rows.and_then(|rows| *rows.get(row as usize)?).is_some_and(|since| since <= time);
            region.rows.clone().find(|row| !is_there(row)).map(|row| (sample, row))
        })
    }
}

/// Whether all that steps read is there when they begin, each output is computed once, and all are home at the end; of
/// each network there are so many `samples`.
pub(super) fn flow(problem: &Problem, plan: &Plan, timeline: &Timeline, samples: &[u32]) -> Result<(), String> {
    let (mut cells, mut computed) = (Cells::default(), Cells::default());
    // A stand-in for a device, since what is computed once may be in many places.
    let nowhere = DeviceId(u32::MAX);
    for (index, (step, span)) in plan.steps.iter().zip(&timeline.spans).enumerate() {
        let needs = |cells: &Cells, device: DeviceId, model: ModelId, layer: LayerId, region: &Region| {
            let network = problem.model(model);
            if network.graph.is_input(layer) && network.home.is_none_or(|home| home == device) {
                return Ok(());
            }
            match cells.missing((device, model, layer), region, span.start) {
                Some(cell) => Err(format!("step {index} reads {cell:?} of layer {} on device {}", layer.0, device.0)),
                None => Ok(()),
            }
        };
        match (&step.action, step.lane.map(|lane| plan.lane_at(lane))) {
            (Action::Compute(work), Some(&Lane::Compute { device, .. })) => {
                let graph = &problem.model(work.model).graph;
                for (layer, rows) in graph.rows_needed(&work.segment, &work.region.rows) {
                    if !work.segment.contains(layer) {
                        let region = Region { samples: work.region.samples.clone(), rows };
                        needs(&cells, device, work.model, layer, &region)?;
                    }
                }
                for layer in graph.exposed(&work.segment) {
                    let is_last = layer == work.segment.last();
                    let rows = if is_last { work.region.rows.clone() } else { 0..graph.shape(layer).rows };
                    let region = Region { samples: work.region.samples.clone(), rows };
                    cells.put((device, work.model, layer), &region, span.end);
                    computed.put((nowhere, work.model, layer), &region, span.end);
                }
            }
            (Action::Transfer { model, layer, region, to }, Some(&Lane::Link(link))) => {
                let link = problem.platform.link(link);
                let from = if link.to == *to { link.from } else { link.to };
                needs(&cells, from, *model, *layer, region)?;
                cells.put((*to, *model, *layer), region, span.end);
            }
            _ => {}
        }
    }
    for ((index, network), &samples) in problem.models.iter().enumerate().zip(samples) {
        let (model, output) = (ModelId(index as u32), network.graph.output());
        let whole = Region { samples: 0..samples, rows: 0..network.graph.shape(output).rows };
        let end = timeline.spans.iter().map(|span| span.end).max().unwrap_or_default();
        if let Some(cell) = computed.missing((nowhere, model, output), &whole, end) {
            return Err(format!("{cell:?} of the output of model {index} is never computed"));
        }
        if let Some(cell) = network.home.and_then(|home| cells.missing((home, model, output), &whole, end)) {
            return Err(format!("{cell:?} of the output of model {index} is not home at the end"));
        }
    }
    Ok(())
}

/// Steps that were issued together, and when.
pub(crate) type Issued = (Time, Range<usize>);

/// Whether all that lies in a memory at a time fits: the weights of all that is issued and has not ended on a user,
/// the activations of what runs, and what waits to be read, or at home to be taken away.
pub(crate) fn room(problem: &Problem, plan: &Plan, timeline: &Timeline, issued: &[Issued]) -> Result<(), String> {
    for memory @ Memory { name, users, .. } in &problem.platform.memories {
        let Some(capacity) = memory.most_held() else { continue };
        let mut all = Vec::new();
        for &device in users {
            let mut changes = Changes { problem, plan, timeline, device, all: Vec::new() };
            issued.iter().for_each(|(at, steps)| changes.add(*at, steps.clone()));
            all.extend(
                changes.all.into_iter().map(|(time, what, bytes)| (time, what.map(|what| (device, what)), bytes)),
            );
        }
        // What ends at a time goes before anything comes.
        all.sort_by_key(|(time, what, bytes)| (*time, *bytes > 0, *what));
        let (mut data, mut weights) = (0, BTreeMap::new());
        for (time, what, bytes) in all {
            match what {
                None => data += bytes,
                Some(layer) => {
                    let held = weights.entry(layer).or_insert((0, 0));
                    *held = (held.0 + bytes.signum(), bytes.abs());
                }
            }
            let all = data + weights.values().filter(|(count, _)| *count > 0).map(|(_, bytes)| bytes).sum::<i64>();
            if bytes > 0 && all > i64::try_from(capacity.0).unwrap_or(i64::MAX) {
                return Err(format!("`{name}` holds {all} B at {time:?}, {data} B of it data, and has {capacity}"));
            }
        }
    }
    Ok(())
}

/// What comes to a device and goes, when: weights of a layer, or data.
struct Changes<'a> {
    problem: &'a Problem,
    plan: &'a Plan,
    timeline: &'a Timeline,
    device: DeviceId,
    all: Vec<Change>,
}

/// When how many bytes come or go: of a layer's weights, or of data.
type Change = (Time, Option<(ModelId, LayerId)>, i64);

impl Changes<'_> {
    fn lies(&mut self, from: Time, until: Time, what: Option<(ModelId, LayerId)>, bytes: i64) {
        self.all.extend([(from, what, bytes), (until.max(from), what, -bytes)]);
    }

    /// The part of a layer's output that a step puts on the device, and those that it reads there.
    fn touched(&self, step: usize) -> (Option<Place>, Vec<Place>) {
        let Step { action, lane, .. } = &self.plan.steps[step];
        match (action, lane.map(|lane| self.plan.lane_at(lane))) {
            (Action::Compute(Work { model, segment, region }), Some(Lane::Compute { device, .. }))
                if *device == self.device =>
            {
                let of_rows = |rows| Region { samples: region.samples.clone(), rows };
                let needed = self.problem.model(*model).graph.rows_needed(segment, &region.rows).into_iter();
                let read = needed.filter(|(layer, rows)| !segment.contains(*layer) && !rows.is_empty());
                let read = read.map(|(layer, rows)| (*model, layer, of_rows(rows))).collect();
                (Some((*model, segment.last(), region.clone())), read)
            }
            (Action::Transfer { model, layer, region, to }, Some(&Lane::Link(link))) => {
                let place = (*model, *layer, region.clone());
                let link = self.problem.platform.link(link);
                match (*to == self.device, link.from == self.device || link.to == self.device) {
                    (true, _) => (Some(place), Vec::new()),
                    (false, true) => (None, vec![place]),
                    _ => (None, Vec::new()),
                }
            }
            _ => (None, Vec::new()),
        }
    }

    /// When a step has read what it needs: what is sent has left a latency before all of it has arrived.
    fn read(&self, step: usize) -> Time {
        let end = self.timeline.spans[step].end;
        match self.plan.steps[step].lane.map(|lane| self.plan.lane_at(lane)) {
            Some(Lane::Link(link)) => {
                let latency = self.problem.platform.link(*link).latency;
                Time::from_nanos(end.as_nanos() - latency.as_nanos().min(end.as_nanos()))
            }
            _ => end,
        }
    }

    fn bytes(&self, (model, layer, region): &Place) -> i64 {
        let precision = self.problem.platform.device(self.device).precision;
        self.problem.model(*model).graph.sizes(precision).bytes(*layer, region).0 as i64
    }

    /// All of a plan that was issued at `at`.
    fn add(&mut self, at: Time, steps: Range<usize>) {
        let touched: Vec<_> = steps.clone().map(|step| (step, self.touched(step))).collect();
        let spans = self.timeline.spans.clone();
        let is_there = |(put, read): &(Option<Place>, Vec<Place>)| put.is_some() || !read.is_empty();
        let ends = touched.iter().filter(|(_, touched)| is_there(touched)).map(|(step, _)| spans[*step].end);
        let Some(end) = ends.max() else { return };
        // Who reads a part of what was put there, or was there: since when it lies there, and what is read of it.
        let mut items: Vec<(Time, Place)> = Vec::new();
        items.extend(touched.iter().filter_map(|(step, (put, _))| Some((spans[*step].start, put.clone()?))));
        let mut inputs: BTreeMap<(ModelId, LayerId, u32), Place> = BTreeMap::new();
        for (model, layer, region) in touched.iter().flat_map(|(_, (_, read))| read) {
            let network = self.problem.model(*model);
            if network.graph.is_input(*layer) && network.home == Some(self.device) {
                for sample in region.samples.clone() {
                    let whole = Region { samples: sample..sample + 1, rows: 0..network.graph.shape(*layer).rows };
                    inputs.insert((*model, *layer, sample), (*model, *layer, whole));
                }
            }
        }
        items.extend(inputs.into_values().map(|place| (at, place)));
        for (since, item) in &items {
            let (model, layer, region) = item;
            let network = self.problem.model(*model);
            let stays = *layer == network.graph.output() && network.home == Some(self.device);
            let mut until = if stays { end } else { *since };
            for (step, (put, read)) in &touched {
                let is_own = put.as_ref() == Some(item) && spans[*step].start == *since;
                let parts = read.iter().filter(|(of, from, _)| (of, from) == (model, layer));
                let parts = parts.filter_map(|(_, _, other)| common(region, other)).collect::<Vec<_>>();
                if is_own || (!parts.is_empty() && spans[*step].start >= *since) {
                    until = until.max(if is_own { spans[*step].end } else { self.read(*step) });
                    // What a step reads and computes is among its activations.
                    let own: i64 = match is_own {
                        true => self.bytes(item),
                        false => parts.into_iter().map(|part| self.bytes(&(*model, *layer, part))).sum(),
                    };
                    if matches!(self.plan.steps[*step].action, Action::Compute(_)) {
                        self.lies(spans[*step].start, spans[*step].end, None, -own);
                    }
                }
            }
            self.lies(*since, until, None, self.bytes(item));
        }
        for step in steps {
            let Action::Compute(work) = &self.plan.steps[step].action else { continue };
            if touched[step - touched[0].0].1.0.is_none() {
                continue;
            }
            let sizes = self.problem.model(work.model).graph.sizes(self.problem.platform.device(self.device).precision);
            let layers: Vec<_> = work.segment.layers().map(|layer| (layer, sizes.layer_parameters(layer).0)).collect();
            let activations = sizes.activations(work).0;
            self.lies(spans[step].start, spans[step].end, None, activations as i64);
            layers.into_iter().for_each(|(layer, bytes)| self.lies(at, end, Some((work.model, layer)), bytes as i64));
        }
    }
}

/// A part of a layer's output.
type Place = (ModelId, LayerId, Region);

fn common(one: &Region, other: &Region) -> Option<Region> {
    let both = |one: &Range<u32>, other: &Range<u32>| one.start.max(other.start)..one.end.min(other.end);
    let region = Region { samples: both(&one.samples, &other.samples), rows: both(&one.rows, &other.rows) };
    (!region.is_empty()).then_some(region)
}

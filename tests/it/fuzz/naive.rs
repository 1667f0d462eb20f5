//! Where data is and how much of it, cell by cell: a cell is a row of a layer's output of one sample.
//!
//! It shares no code with the check and follows the same documented rules.

use std::collections::BTreeMap;

use coinfer::model::{LayerId, ModelId, Region};
use coinfer::plan::{Action, Lane, Plan};
use coinfer::platform::DeviceId;
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

/// Whether all that steps read is there when they begin, each output is computed once, and all are home at the end.
pub(super) fn flow(problem: &Problem, plan: &Plan, timeline: &Timeline) -> Result<(), String> {
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
    for (index, network) in problem.models.iter().enumerate() {
        let (model, output) = (ModelId(index as u32), network.graph.output());
        let whole = Region { samples: 0..problem.samples(), rows: 0..network.graph.shape(output).rows };
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

/// Whether the weights of all that a device runs and the activations of what runs at a time fit its memory.
pub(super) fn room(problem: &Problem, plan: &Plan, timeline: &Timeline) -> Result<(), String> {
    for (index, device) in problem.platform.devices.iter().enumerate() {
        let mut weights = BTreeMap::new();
        let mut live = Vec::new();
        for (step, span) in plan.steps.iter().zip(&timeline.spans) {
            let (Action::Compute(work), Some(lane)) = (&step.action, step.lane) else { continue };
            if !matches!(plan.lane_at(lane), Lane::Compute { device, .. } if device.0 as usize == index) {
                continue;
            }
            let graph = &problem.model(work.model).graph;
            let of_layer = |layer: LayerId| ((work.model, layer), graph.layer_parameters(layer).0);
            weights.extend(work.segment.layers().map(of_layer));
            live.push((*span, graph.activations(work).0));
        }
        let at = |time: Time| {
            let running = live.iter().filter(|(span, _)| span.start <= time && time < span.end);
            running.map(|(_, bytes)| bytes).sum::<u64>()
        };
        let most = live.iter().map(|(span, _)| at(span.start)).max().unwrap_or(0) + weights.values().sum::<u64>();
        // In the numbers that the device computes with.
        let most = most * device.precision.bytes() / 4;
        if most > device.memory.0 {
            return Err(format!("`{}` holds {most} B at a time, and has {}", device.name, device.memory));
        }
    }
    Ok(())
}

//! Where data is: every row that is read must be there, and every output must be computed once and come home.

use std::collections::BTreeMap;
use std::ops::Range;

use super::cover::{intersection, uncovered};
use super::{Action, Lane, LaneId, Plan, StepId, Violation};
use crate::model::{LayerId, ModelId, Region, Work};
use crate::platform::DeviceId;
use crate::problem::{Model, Problem};

/// Adds what is read where it is not, computed twice or not at all, or left away from home.
pub(super) fn check_presence(plan: &Plan, problem: &Problem, holdings: &Holdings, found: &mut Vec<Violation>) {
    check_inputs(plan, problem, holdings, found);
    check_outputs(problem, holdings, found);
}

/// A part of a layer's output on a device, and the step that put it there.
pub(super) struct Held {
    pub(super) by: StepId,
    pub(super) region: Region,
}

/// What steps put where, by device, model and layer; each list in order of its first sample.
pub(super) struct Holdings {
    computed: BTreeMap<(ModelId, LayerId), Vec<Held>>,
    pub(super) on_device: BTreeMap<(DeviceId, ModelId, LayerId), Shelf>,
}

/// All that is put in one place.
#[derive(Default)]
pub(super) struct Shelf {
    pub(super) held: Vec<Held>,
    /// The most samples that one entry covers.
    samples_max: u32,
}

impl Holdings {
    pub(super) fn of(plan: &Plan, problem: &Problem) -> Holdings {
        let mut holdings = Holdings { computed: BTreeMap::new(), on_device: BTreeMap::new() };
        for by in plan.step_ids() {
            let step = plan.step_at(by);
            match (&step.action, step.lane.map(|lane| plan.lane_at(lane))) {
                (Action::Compute(work), Some(&Lane::Compute { device, .. })) => {
                    let graph = &problem.model(work.model).graph;
                    for layer in graph.exposed(&work.segment) {
                        let rows = if layer == work.segment.last() {
                            work.region.rows.clone()
                        } else {
                            0..graph.shape(layer).rows
                        };
                        let region = Region { samples: work.region.samples.clone(), rows };
                        let computed = holdings.computed.entry((work.model, layer)).or_default();
                        computed.push(Held { by, region: region.clone() });
                        holdings.hold((device, work.model, layer), Held { by, region });
                    }
                }
                (Action::Transfer { model, layer, region, to }, _) => {
                    holdings.hold((*to, *model, *layer), Held { by, region: region.clone() });
                }
                _ => {}
            }
        }
        let shelves = holdings.on_device.values_mut().map(|shelf| &mut shelf.held);
        for held in holdings.computed.values_mut().chain(shelves) {
            held.sort_by_key(|held| (held.region.samples.start, held.by));
        }
        holdings
    }

    fn hold(&mut self, place: (DeviceId, ModelId, LayerId), held: Held) {
        let shelf = self.on_device.entry(place).or_default();
        shelf.samples_max = shelf.samples_max.max(held.region.samples.len() as u32);
        shelf.held.push(held);
    }

    /// What `place` is given of `samples`.
    fn around(&self, place: (DeviceId, ModelId, LayerId), samples: &Range<u32>) -> impl Iterator<Item = &Held> {
        self.on_device.get(&place).into_iter().flat_map(|shelf| shelf.around(samples.clone()).map(|(_, held)| held))
    }
}

impl Shelf {
    /// What is put here of `samples`, each with its index.
    pub(super) fn around(&self, samples: Range<u32>) -> impl Iterator<Item = (usize, &Held)> {
        let first = samples.start.saturating_sub(self.samples_max);
        let from = self.held.partition_point(|held| held.region.samples.start < first);
        let to = self.held.partition_point(|held| held.region.samples.start < samples.end);
        (from..to).zip(&self.held[from..to]).filter(move |(_, held)| held.region.samples.end > samples.start)
    }
}

/// A part of a layer's output that a step reads on a device.
pub(super) struct Reading {
    pub(super) step: StepId,
    pub(super) lane: LaneId,
    pub(super) device: DeviceId,
    pub(super) model: ModelId,
    pub(super) layer: LayerId,
    pub(super) region: Region,
}

/// Tells all that steps read outside of what they compute.
pub(super) fn each_reading(plan: &Plan, problem: &Problem, mut tell: impl FnMut(Reading)) {
    for id in plan.step_ids() {
        let step = plan.step_at(id);
        let Some(lane) = step.lane else { continue };
        match (&step.action, plan.lane_at(lane)) {
            (Action::Compute(Work { model, segment, region }), &Lane::Compute { device, .. }) => {
                for (layer, rows) in problem.model(*model).graph.rows_needed(segment, &region.rows) {
                    if !segment.contains(layer) && !rows.is_empty() {
                        let region = Region { samples: region.samples.clone(), rows };
                        tell(Reading { step: id, lane, device, model: *model, layer, region });
                    }
                }
            }
            (Action::Transfer { model, layer, region, to }, &Lane::Link(link)) => {
                let device = problem.platform.link(link).opposite(*to);
                tell(Reading { step: id, lane, device, model: *model, layer: *layer, region: region.clone() });
            }
            _ => {}
        }
    }
}

fn check_inputs(plan: &Plan, problem: &Problem, holdings: &Holdings, found: &mut Vec<Violation>) {
    let mut order = Order::of(plan);
    each_reading(plan, problem, |Reading { step, lane, device, model, layer, region }| {
        let Model { graph, home, .. } = problem.model(model);
        if graph.is_input(layer) && home.is_none_or(|home| home == device) {
            return;
        }
        let candidates: Vec<&Held> = holdings.around((device, model, layer), &region.samples).collect();
        let there = order.before(plan, step, lane, candidates);
        if let Some(region) = uncovered(&region, &there) {
            let layer = graph.layer(layer).name.clone();
            let device = problem.platform.device(device).name.clone();
            found.push(Violation::MissingInput { step, region, layer, model: graph.name().to_owned(), device });
        }
    });
}

/// Which steps have ended before which begin.
struct Order {
    before_on_lane: Vec<Option<StepId>>,
    /// For lanes that asked: one bit for each step that is known to have ended before the lane's latest step.
    ///
    /// What has ended before a step has ended before all later steps of its lane, so that each lane looks at each
    /// step once.
    ended: BTreeMap<LaneId, Vec<u64>>,
}

impl Order {
    fn of(plan: &Plan) -> Order {
        let mut last = vec![None; plan.lanes.len()];
        let before = |id: StepId| plan.step_at(id).lane.and_then(|lane| last[lane.0 as usize].replace(id));
        Order { before_on_lane: plan.step_ids().map(before).collect(), ended: BTreeMap::new() }
    }

    /// The regions of those candidates that `step`, which runs on `lane`, waits for, directly or not.
    fn before<'a>(&mut self, plan: &Plan, step: StepId, lane: LaneId, candidates: Vec<&'a Held>) -> Vec<&'a Region> {
        let is_direct = |held: &&Held| {
            let same_lane = plan.step_at(held.by).lane == Some(lane) && held.by < step;
            same_lane || plan.step_at(step).after.iter().take(DIRECT_MAX).any(|&on| on == held.by)
        };
        let (direct, open): (Vec<&Held>, Vec<&Held>) = candidates.into_iter().partition(is_direct);
        let mut there: Vec<&Region> = direct.iter().map(|held| &held.region).collect();
        if open.iter().any(|held| held.by < step) {
            let ended = self.ended.entry(lane).or_insert_with(|| vec![0; plan.steps.len().div_ceil(64)]);
            let mut ahead = vec![step];
            while let Some(at) = ahead.pop() {
                let before = plan.step_at(at).after.iter().copied().chain(self.before_on_lane[at.0 as usize]);
                ahead.extend(before.filter(|id| {
                    let (word, bit) = (&mut ended[id.0 as usize / 64], 1 << (id.0 % 64));
                    let is_new = *word & bit == 0;
                    *word |= bit;
                    is_new
                }));
            }
            let has_ended = |held: &&&Held| ended[held.by.0 as usize / 64] & (1 << (held.by.0 % 64)) != 0;
            there.extend(open.iter().filter(has_ended).map(|held| &held.region));
        }
        there
    }
}

/// Of a step that waits for more steps than this, only these are looked through before all its past is.
const DIRECT_MAX: usize = 16;

fn check_outputs(problem: &Problem, holdings: &Holdings, found: &mut Vec<Violation>) {
    for (&(model, layer), computed) in &holdings.computed {
        let graph = &problem.model(model).graph;
        let mut open: Vec<&Held> = Vec::new();
        for held in computed {
            open.retain(|earlier| earlier.region.samples.end > held.region.samples.start);
            // One overlap of a step is enough to say: a step that stands there n times would have n * n.
            let twice = open.iter().find_map(|earlier| Some((earlier, intersection(&earlier.region, &held.region)?)));
            if let Some((earlier, region)) = twice {
                let (first, second) = (earlier.by.min(held.by), earlier.by.max(held.by));
                let (layer, model) = (graph.layer(layer).name.clone(), graph.name().to_owned());
                found.push(Violation::ComputedTwice { first, second, layer, model, region });
            }
            open.push(held);
        }
    }
    for (index, Model { graph, home, .. }) in problem.models.iter().enumerate() {
        let (model, output) = (ModelId(index as u32), graph.output());
        let all = Region { samples: 0..problem.samples_of(model), rows: 0..graph.shape(output).rows };
        if graph.is_input(output) {
            continue;
        }
        let computed: Vec<&Region> =
            holdings.computed.get(&(model, output)).into_iter().flatten().map(|h| &h.region).collect();
        if let Some(region) = uncovered(&all, &computed) {
            found.push(Violation::NotComputed { region, model: graph.name().to_owned() });
        } else if let Some(home) = *home {
            let returned: Vec<&Region> =
                holdings.around((home, model, output), &all.samples).map(|h| &h.region).collect();
            if let Some(region) = uncovered(&all, &returned) {
                let home = problem.platform.device(home).name.clone();
                found.push(Violation::NotReturned { region, model: graph.name().to_owned(), home });
            }
        }
    }
}

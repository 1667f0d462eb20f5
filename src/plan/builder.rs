//! Builds plans: who makes one says what is computed where and what is brought there, and lanes, transfers, and the memory
//! that lanes need follow.

use std::collections::BTreeMap;
use std::ops::Range;

use super::cover::intersection;
use super::room::working_sets;
use super::{Action, Lane, LaneId, Plan, StepId};
use crate::model::{LayerId, ModelId, Region, Segment, Work};
use crate::platform::{DeviceId, LinkId, RouteError};
use crate::problem::{Model, Problem};
use crate::units::{Bytes, Share};

/// A plan as it grows.
///
/// Each device that computes has one lane for all of it, and each link one. Inputs of models with a home are held there from
/// the start; what steps compute is held where they run. What is computed must have been brought; [`crate::plan::check`]
/// says so if it was not.
pub struct Builder<'a> {
    problem: &'a Problem,
    plan: Plan,
    lanes: BTreeMap<LaneKey, LaneId>,
    held: BTreeMap<(ModelId, LayerId), Vec<Stored>>,
    routes: BTreeMap<(DeviceId, DeviceId), Vec<(LinkId, DeviceId)>>,
}

/// What a lane stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum LaneKey {
    Device(DeviceId),
    Link(LinkId),
}

/// A part of a layer's output on a device, and the step that put it there; inputs were there before.
#[derive(Clone, Debug)]
struct Stored {
    device: DeviceId,
    region: Region,
    by: Option<StepId>,
}

impl<'a> Builder<'a> {
    /// A plan for `problem` that has no step yet.
    pub fn new(problem: &'a Problem) -> Builder<'a> {
        let (plan, lanes) = (Plan::default(), BTreeMap::new());
        let mut builder = Builder { problem, plan, lanes, held: BTreeMap::new(), routes: BTreeMap::new() };
        for (model, Model { graph, home }) in (0..).map(ModelId).zip(&problem.models) {
            for layer in graph.layer_ids().filter(|&layer| graph.is_input(layer)) {
                if let &Some(device) = home {
                    let region = builder.all_rows(model, layer, 0..problem.samples());
                    builder.held.insert((model, layer), vec![Stored { device, region, by: None }]);
                }
            }
        }
        builder
    }

    /// These samples of a layer's output, with all rows.
    pub fn all_rows(&self, model: ModelId, layer: LayerId, samples: Range<u32>) -> Region {
        Region { samples, rows: 0..self.problem.model(model).graph.shape(layer).rows }
    }

    /// Gives `device` its lane now, if it has none: lanes are numbered in the order of first use.
    pub fn reserve(&mut self, device: DeviceId) {
        self.lane(LaneKey::Device(device));
    }

    /// Gives what `device` computes from now on a lane of its own, which holds `share` of it.
    pub fn part(&mut self, device: DeviceId, share: Share) -> LaneId {
        let lane = self.plan.lane(Lane::Compute { device, share, memory: Bytes(0) });
        self.turn_to(device, lane);
        lane
    }

    /// Puts what `device` computes from now on on one of its lanes.
    pub fn turn_to(&mut self, device: DeviceId, lane: LaneId) {
        self.lanes.insert(LaneKey::Device(device), lane);
    }

    /// Makes data take these links from one device to another, instead of [`crate::platform::Platform::route`].
    pub fn lead(&mut self, from: DeviceId, to: DeviceId, route: Vec<(LinkId, DeviceId)>) {
        self.routes.insert((from, to), route);
    }

    /// Says that a part of a layer's output comes from `device` alone, when `by` has ended, whoever has parts of it too.
    pub fn hold(&mut self, device: DeviceId, (model, layer): (ModelId, LayerId), region: Region, by: StepId) {
        let held = self.held.entry((model, layer)).or_default();
        held.retain(|known| intersection(&known.region, &region).as_ref() != Some(&known.region));
        held.push(Stored { device, region, by: Some(by) });
    }

    /// Adds the transfers of what `device` lacks of a part of a layer's output, each of which waits for `after` and for the
    /// step that put it where it comes from; the steps after which `device` has the part.
    ///
    /// Data comes from the first of `sources` that has it, or else from whoever had it first. Inputs of models without a
    /// home are everywhere.
    ///
    /// # Errors
    /// No links lead there.
    pub fn bring(
        &mut self,
        device: DeviceId,
        (model, layer): (ModelId, LayerId),
        region: &Region,
        sources: Option<&[DeviceId]>,
        after: &[StepId],
    ) -> Result<Vec<StepId>, RouteError> {
        let held = self.held.get(&(model, layer)).map_or(&[][..], Vec::as_slice);
        let mut missing = vec![region.clone()];
        let mut arrived = Vec::new();
        take(&mut missing, held, |held| held.device == device, |_, held| arrived.extend(held.by));
        let mut found: Vec<(DeviceId, Region, Option<StepId>)> = Vec::new();
        let mut collect = |region, held: &Stored| found.push((held.device, region, held.by));
        match sources {
            None => take(&mut missing, held, |_| true, collect),
            Some(sources) => {
                for &source in sources {
                    take(&mut missing, held, |held| held.device == source, &mut collect);
                }
            }
        }
        for (source, region, by) in found {
            let waits: Vec<StepId> = after.iter().copied().chain(by).collect();
            let last = self.send((source, device), (model, layer), &region, &waits)?;
            arrived.extend(last);
            self.held.entry((model, layer)).or_default().push(Stored { device, region, by: last });
        }
        Ok(arrived)
    }

    /// Adds the transfers of a part of a layer's output along the route between two devices, the first of which waits for
    /// `after`; the last of them, `None` where there is nothing to cross.
    ///
    /// # Errors
    /// No links lead there.
    pub fn send(
        &mut self,
        (from, to): (DeviceId, DeviceId),
        (model, layer): (ModelId, LayerId),
        region: &Region,
        after: &[StepId],
    ) -> Result<Option<StepId>, RouteError> {
        if !self.routes.contains_key(&(from, to)) {
            self.routes.insert((from, to), self.problem.platform.route(from, to)?);
        }
        let mut last: Option<StepId> = None;
        for hop in 0..self.routes[&(from, to)].len() {
            let (link, to) = self.routes[&(from, to)][hop];
            let lane = self.lane(LaneKey::Link(link));
            let action = Action::Transfer { model, layer, region: region.clone(), to };
            last = Some(self.plan.step(lane, action, last.as_ref().map_or(after, std::slice::from_ref)));
        }
        Ok(last)
    }

    /// Adds the transfers of all that `segment` reads for these samples, with all rows, and its computation; all of them wait
    /// for `after`.
    ///
    /// # Errors
    /// No links lead there.
    pub fn run(
        &mut self,
        device: DeviceId,
        (model, segment): (ModelId, &Segment),
        samples: Range<u32>,
        after: &[StepId],
    ) -> Result<StepId, RouteError> {
        let mut waits = after.to_vec();
        for layer in self.problem.model(model).graph.read_by(segment) {
            let region = self.all_rows(model, layer, samples.clone());
            waits.extend(self.bring(device, (model, layer), &region, None, after)?);
        }
        waits.sort_unstable();
        waits.dedup();
        let region = self.all_rows(model, segment.last(), samples);
        Ok(self.compute(device, Work { model, segment: segment.clone(), region }, &waits))
    }

    /// Adds a computation on `device`, which then holds what is read of it elsewhere.
    pub fn compute(&mut self, device: DeviceId, work: Work, after: &[StepId]) -> StepId {
        let graph = &self.problem.model(work.model).graph;
        let exposed: Vec<LayerId> = graph.exposed(&work.segment).collect();
        let lane = self.lane(LaneKey::Device(device));
        let by = self.plan.step(lane, Action::Compute(work.clone()), after);
        for layer in exposed {
            let region = match layer == work.segment.last() {
                true => work.region.clone(),
                false => self.all_rows(work.model, layer, work.region.samples.clone()),
            };
            self.held.entry((work.model, layer)).or_default().push(Stored { device, region, by: Some(by) });
        }
        by
    }

    /// Adds what makes steps wait for all of `steps`.
    pub fn join(&mut self, steps: &[StepId]) -> StepId {
        self.plan.join(steps)
    }

    /// Brings all outputs to where they belong.
    ///
    /// # Errors
    /// No links lead there.
    pub fn bring_home(&mut self) -> Result<(), RouteError> {
        for (model, Model { graph, home }) in (0..).map(ModelId).zip(&self.problem.models) {
            if let Some(home) = *home {
                let all = self.all_rows(model, graph.output(), 0..self.problem.samples());
                self.bring(home, (model, graph.output()), &all, None, &[])?;
            }
        }
        Ok(())
    }

    /// The plan, each lane with the memory for what it runs.
    pub fn finish(mut self) -> Plan {
        for (index, needed) in working_sets(&self.plan, self.problem).into_iter().enumerate() {
            if let Lane::Compute { memory, .. } = &mut self.plan.lanes[index] {
                *memory = needed;
            }
        }
        self.plan
    }

    fn lane(&mut self, key: LaneKey) -> LaneId {
        let plan = &mut self.plan;
        *self.lanes.entry(key).or_insert_with(|| {
            plan.lane(match key {
                // What it must hold is known when the plan is.
                LaneKey::Device(device) => Lane::Compute { device, share: Share::FULL, memory: Bytes(0) },
                LaneKey::Link(link) => Lane::Link(link),
            })
        })
    }
}

/// Takes away from `missing` what is held by those that `is_source` names, and says what that is.
fn take(
    missing: &mut Vec<Region>,
    held: &[Stored],
    is_source: impl Fn(&Stored) -> bool,
    mut found: impl FnMut(Region, &Stored),
) {
    for stored in held.iter().filter(|stored| is_source(stored)) {
        if missing.is_empty() {
            return;
        }
        let mut left = Vec::new();
        for part in missing.drain(..) {
            match intersection(&part, &stored.region) {
                Some(both) => {
                    left.extend(without(&part, &both));
                    found(both, stored);
                }
                None => left.push(part),
            }
        }
        *missing = left;
    }
}

/// What is left of `whole` without a part of it: rows above and below, and all rows of the samples before and behind.
fn without(whole: &Region, part: &Region) -> impl Iterator<Item = Region> {
    let of_rows = |rows: Range<u32>| Region { samples: part.samples.clone(), rows };
    let of_samples = |samples: Range<u32>| Region { samples, rows: whole.rows.clone() };
    let parts = [
        of_samples(whole.samples.start..part.samples.start),
        of_rows(whole.rows.start..part.rows.start),
        of_rows(part.rows.end..whole.rows.end),
        of_samples(part.samples.end..whole.samples.end),
    ];
    parts.into_iter().filter(|part| !part.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_and_what_is_left_make_up_the_whole_once() {
        let region = |samples: Range<u32>, rows: Range<u32>| Region { samples, rows };
        let whole = region(2..7, 1..6);
        for (start, end) in (2..7).flat_map(|start| (start + 1..=7).map(move |end| (start, end))) {
            for (top, bottom) in (1..6).flat_map(|top| (top + 1..=6).map(move |bottom| (top, bottom))) {
                let part = region(start..end, top..bottom);
                let parts: Vec<Region> = without(&whole, &part).chain([part.clone()]).collect();
                let cells = |part: &Region| part.samples.len() * part.rows.len();
                assert_eq!(parts.iter().map(cells).sum::<usize>(), cells(&whole));
                for (index, a) in parts.iter().enumerate() {
                    assert!(parts[index + 1..].iter().all(|b| intersection(a, b).is_none()), "{parts:?}");
                }
            }
        }
    }
}

//! Plans whose steps are parts of networks over some samples: each gets what it reads from where that is.

use std::ops::Range;

use crate::engine::simulate;
use crate::model::{Graph, LayerId, ModelId, Region, Segment, Work};
use crate::plan::{Action, Lane, LaneId, Plan, StepId, check, working_sets};
use crate::platform::{Device, DeviceId, LinkId, Platform};
use crate::problem::Problem;
use crate::strategy::PlanError;
use crate::units::{Bytes, Duration, Share};

/// A plan as it grows.
pub(super) struct Stages<'a> {
    problem: &'a Problem,
    plan: Plan,
    lanes: Vec<(Place, LaneId)>,
    /// Where outputs of layers are, and since which step.
    held: Vec<Held>,
}

/// What a lane stands for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Device(DeviceId),
    Link(LinkId),
}

/// Samples of a layer's output that a device has.
struct Held {
    model: ModelId,
    layer: LayerId,
    device: DeviceId,
    samples: Range<u32>,
    since: StepId,
}

impl<'a> Stages<'a> {
    pub(super) fn new(problem: &'a Problem) -> Stages<'a> {
        Stages { problem, plan: Plan::default(), lanes: Vec::new(), held: Vec::new() }
    }

    /// Adds the computation of `segment` on `device`, and before it the transfers of what is read and is elsewhere.
    /// All of them wait for `after`.
    ///
    /// # Errors
    /// No links lead there.
    pub(super) fn compute(
        &mut self,
        device: DeviceId,
        (model, segment): (ModelId, &Segment),
        samples: Range<u32>,
        after: &[StepId],
    ) -> Result<StepId, PlanError> {
        let mut waits = after.to_vec();
        for layer in reads(&self.problem.model(model).graph, segment) {
            self.bring(device, model, layer, &samples, after, &mut waits)?;
        }
        waits.sort_unstable();
        waits.dedup();
        let lane = self.lane(Place::Device(device));
        let graph = &self.problem.model(model).graph;
        let region = Region { samples: samples.clone(), rows: 0..graph.shape(segment.last()).rows };
        let work = Work { model, segment: segment.clone(), region };
        let since = self.plan.step(lane, Action::Compute(work), &waits);
        for layer in graph.exposed(segment) {
            self.held.push(Held { model, layer, device, samples: samples.clone(), since });
        }
        Ok(since)
    }

    /// Adds what makes steps wait for all of `steps`.
    pub(super) fn join(&mut self, steps: &[StepId]) -> StepId {
        self.plan.join(steps)
    }

    /// The plan, with outputs sent home and memory for what each lane runs.
    pub(super) fn finish(mut self) -> Result<Plan, PlanError> {
        let problem = self.problem;
        for model in (0..problem.models.len() as u32).map(ModelId) {
            if let Some(home) = problem.model(model).home {
                let output = problem.model(model).graph.output();
                self.bring(home, model, output, &(0..problem.samples()), &[], &mut Vec::new())?;
            }
        }
        for (index, needed) in working_sets(&self.plan, problem).into_iter().enumerate() {
            if let Lane::Compute { memory, .. } = &mut self.plan.lanes[index] {
                *memory = needed;
            }
        }
        Ok(self.plan)
    }

    /// Adds transfers of `samples` of a layer's output to `device` unless they are there, and to `waits` what brings them.
    fn bring(
        &mut self,
        device: DeviceId,
        model: ModelId,
        layer: LayerId,
        samples: &Range<u32>,
        after: &[StepId],
        waits: &mut Vec<StepId>,
    ) -> Result<(), PlanError> {
        let entry = self.problem.model(model);
        if entry.graph.is_input(layer) {
            return match entry.home {
                Some(home) if home != device => {
                    waits.push(self.send((home, device), model, layer, samples.clone(), after)?);
                    Ok(())
                }
                _ => Ok(()),
            };
        }
        let is_it =
            |held: &&Held| (held.model, held.layer) == (model, layer) && overlap(&held.samples, samples).is_some();
        let mut found: Vec<(Range<u32>, DeviceId, StepId)> = Vec::new();
        for held in self.held.iter().filter(is_it) {
            let part = overlap(&held.samples, samples).expect("it overlaps");
            match found.iter_mut().find(|(known, ..)| *known == part) {
                Some(known) if held.device == device => *known = (part, device, held.since),
                Some(_) => {}
                None => found.push((part, held.device, held.since)),
            }
        }
        for (part, from, since) in found {
            let arrived = if from == device {
                since
            } else {
                let waits: Vec<StepId> = after.iter().copied().chain([since]).collect();
                let arrived = self.send((from, device), model, layer, part.clone(), &waits)?;
                self.held.push(Held { model, layer, device, samples: part, since: arrived });
                arrived
            };
            waits.push(arrived);
        }
        Ok(())
    }

    /// Adds the transfers from one device to another; the last of them.
    fn send(
        &mut self,
        (from, to): (DeviceId, DeviceId),
        model: ModelId,
        layer: LayerId,
        samples: Range<u32>,
        after: &[StepId],
    ) -> Result<StepId, PlanError> {
        let region = Region { samples, rows: 0..self.problem.model(model).graph.shape(layer).rows };
        let mut waits = after.to_vec();
        for (link, to) in route(&self.problem.platform, from, to)? {
            let lane = self.lane(Place::Link(link));
            let action = Action::Transfer { model, layer, region: region.clone(), to };
            waits = vec![self.plan.step(lane, action, &waits)];
        }
        Ok(waits[waits.len() - 1])
    }

    fn lane(&mut self, place: Place) -> LaneId {
        if let Some(&(_, lane)) = self.lanes.iter().find(|(known, _)| *known == place) {
            return lane;
        }
        let lane = self.plan.lane(match place {
            // What it must hold is known when the plan is.
            Place::Device(device) => Lane::Compute { device, share: Share::FULL, memory: Bytes(0) },
            Place::Link(link) => Lane::Link(link),
        });
        self.lanes.push((place, lane));
        lane
    }
}

/// The links that data takes between devices.
pub(super) fn route(platform: &Platform, from: DeviceId, to: DeviceId) -> Result<Vec<(LinkId, DeviceId)>, PlanError> {
    platform.route(from, to).map_err(|error| PlanError::Infeasible(error.to_string()))
}

/// Layers outside of `segment` that it reads, inputs among them.
pub(super) fn reads(graph: &Graph, segment: &Segment) -> Vec<LayerId> {
    let inputs = segment.layers().flat_map(|layer| &graph.layer(layer).inputs);
    let mut outside: Vec<LayerId> = inputs.copied().filter(|&input| !segment.contains(input)).collect();
    outside.sort_unstable();
    outside.dedup();
    outside
}

/// The most samples that a device's memory, if it holds nothing else, and its limits let a step of `segment` have.
pub(super) fn samples_max(problem: &Problem, device: DeviceId, (model, segment): (ModelId, &Segment)) -> u32 {
    let Device { memory, limits, .. } = problem.platform.device(device);
    let sizes = problem.sizes(model, device);
    let one = Region { samples: 0..1, rows: 0..problem.model(model).graph.shape(segment.last()).rows };
    let each = sizes.activations(&Work { model, segment: segment.clone(), region: one });
    let left = memory.0.saturating_sub(sizes.parameters(segment).0);
    let fit = left.checked_div(each.0).map_or(u32::MAX, |fit| fit.min(u32::MAX.into()) as u32);
    fit.min(limits.batch_max.unwrap_or(u32::MAX))
}

/// How long `plan` takes in simulation, of a problem whose samples are all there at the start.
///
/// # Errors
/// It breaks a rule, or nobody knows what one of its steps takes.
pub(super) fn simulated(problem: &Problem, plan: &Plan) -> Result<Duration, PlanError> {
    let checked = check(plan.clone(), problem).map_err(|violations| {
        let first = violations.first().map(ToString::to_string).unwrap_or_default();
        PlanError::Infeasible(first)
    })?;
    Ok(simulate(problem, &checked)?.makespan())
}

/// As [`simulated`]; `None` if the plan breaks a rule.
pub(super) fn simulated_if_sound(problem: &Problem, plan: &Plan) -> Result<Option<Duration>, PlanError> {
    match simulated(problem, plan) {
        Err(PlanError::Infeasible(_)) => Ok(None),
        other => other.map(Some),
    }
}

fn overlap(a: &Range<u32>, b: &Range<u32>) -> Option<Range<u32>> {
    let both = a.start.max(b.start)..a.end.min(b.end);
    (!both.is_empty()).then_some(both)
}

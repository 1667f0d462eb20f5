//! The rules that every executed plan obeys.
//!
//! Independent of the strategies on purpose: a plan is judged by what it says, not by who made it.

use std::ops::Deref;

use super::presence::{Holdings, check_presence};
use super::room::{lane_excesses, limit_excesses, memory_excesses, reservation_excesses};
use super::{Action, Lane, Plan, StepId, Violation};
use crate::model::{LayerId, ModelId, OpKind, Region, Work};
use crate::platform::DeviceId;
use crate::problem::Problem;

/// A plan that [`check`] accepted. Only these are executed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedPlan(Plan);

impl Deref for CheckedPlan {
    type Target = Plan;
    fn deref(&self) -> &Plan {
        &self.0
    }
}

impl CheckedPlan {
    /// The plan for the one network of a problem that [`crate::problem::Questions`] gave, as one of the whole problem's `model`.
    pub(crate) fn of_model(mut self, model: ModelId) -> CheckedPlan {
        for step in &mut self.0.steps {
            match &mut step.action {
                Action::Compute(work) => work.model = model,
                Action::Transfer { model: of, .. } => *of = model,
                Action::Join => {}
            }
        }
        self
    }
}

/// Accepts the plan or lists every rule it breaks.
///
/// Rules: indices point at something and `after` points back; steps fit their lanes; regions are parts of
/// outputs; devices support operators, precision and sizes, and transfers follow their link; segments are convex;
/// shares, memory and loadables of a device are not exceeded, and each lane's working set fits; every row that is read is
/// there by a step that is waited for; every output is computed exactly once and comes home; what waits between steps fits
/// too.
pub fn check(plan: Plan, problem: &Problem) -> Result<CheckedPlan, Vec<Violation>> {
    let mut found = Vec::new();
    find_unknown(&plan, problem, &mut found);
    if !found.is_empty() {
        return Err(found); // the other rules follow the indices
    }
    for step in plan.step_ids() {
        check_step(&plan, problem, step, &mut found);
    }
    let of_devices = limit_excesses(&plan, problem).into_iter().chain(reservation_excesses(&plan, problem));
    found.extend(of_devices.map(|(_, violation)| violation));
    check_links(&plan, problem, &mut found);
    found.extend(lane_excesses(&plan, problem));
    if !found.is_empty() {
        return Err(found); // where data is follows from steps that are sound
    }
    let holdings = Holdings::of(&plan, problem);
    check_presence(&plan, problem, &holdings, &mut found);
    let beyond = memory_excesses(&plan, problem, &holdings);
    found.extend(beyond.into_iter().map(|(_, violation)| violation));
    if found.is_empty() { Ok(CheckedPlan(plan)) } else { Err(found) }
}

fn find_unknown(plan: &Plan, problem: &Problem, found: &mut Vec<Violation>) {
    let mut known = |place: String, what: &'static str, index: u32, count: usize| {
        let is_known = (index as usize) < count;
        if !is_known {
            found.push(Violation::Unknown { place, what, index, count });
        }
        is_known
    };
    let platform = &problem.platform;
    for (index, lane) in plan.lanes.iter().enumerate() {
        match lane {
            Lane::Compute { device, .. } => known(format!("lane {index}"), "device", device.0, platform.devices.len()),
            Lane::Link(link) => known(format!("lane {index}"), "link", link.0, platform.links.len()),
        };
    }
    let mut forward = Vec::new();
    for (index, step) in plan.steps.iter().enumerate() {
        if let Some(lane) = step.lane.filter(|lane| lane.0 as usize >= plan.lanes.len()) {
            known(format!("step {index}"), "lane", lane.0, plan.lanes.len());
        }
        for &on in step.after.iter().filter(|on| on.0 as usize >= index) {
            forward.push(Violation::Forward { step: StepId(index as u32), on });
        }
        let (model, layer) = match &step.action {
            Action::Compute(work) => (work.model, work.segment.last()),
            Action::Transfer { model, layer, to, .. } => {
                if to.0 as usize >= platform.devices.len() {
                    known(format!("step {index}"), "device", to.0, platform.devices.len());
                }
                (*model, *layer)
            }
            Action::Join => continue,
        };
        match problem.models.get(model.0 as usize) {
            None => drop(known(format!("step {index}"), "model", model.0, problem.models.len())),
            Some(model) if layer.0 as usize >= model.graph.layers().len() => {
                known(format!("step {index}"), "layer", layer.0, model.graph.layers().len());
            }
            Some(_) => {}
        }
    }
    found.append(&mut forward);
}

fn check_step(plan: &Plan, problem: &Problem, id: StepId, found: &mut Vec<Violation>) {
    let step = plan.step_at(id);
    match (&step.action, step.lane.map(|lane| plan.lane_at(lane))) {
        (Action::Compute(work), Some(Lane::Compute { device, .. })) => check_compute(problem, id, work, *device, found),
        (Action::Transfer { model, layer, region, to }, Some(Lane::Link(link))) => {
            check_region(problem, id, *model, *layer, region, found);
            let link = problem.platform.link(*link);
            if !(link.leads(link.from, *to) || link.leads(link.to, *to)) {
                let to = problem.platform.device(*to).name.clone();
                found.push(Violation::WrongWay { step: id, to, link: link.name.clone() });
            }
        }
        (Action::Join, None) => {}
        (Action::Compute(_), _) => {
            found.push(Violation::Lane { step: id, reason: "it computes, and needs a lane of a device" })
        }
        (Action::Transfer { .. }, _) => {
            found.push(Violation::Lane { step: id, reason: "it transfers, and needs a lane of a link" })
        }
        (Action::Join, Some(_)) => found.push(Violation::Lane { step: id, reason: "a join has no lane" }),
    }
}

fn check_compute(problem: &Problem, step: StepId, work: &Work, device: DeviceId, found: &mut Vec<Violation>) {
    let graph = &problem.model(work.model).graph;
    let model = || graph.name().to_owned();
    let segment = &work.segment;
    check_region(problem, step, work.model, segment.last(), &work.region, found);
    let device = problem.platform.device(device);
    for layer in segment.layers().map(|id| graph.layer(id)) {
        let kind = layer.op.kind();
        let layer = || layer.name.clone();
        if kind == OpKind::Input {
            found.push(Violation::ComputesInput { step, layer: layer(), model: model() });
        } else if device.unsupported.contains(&kind) {
            let device = device.name.clone();
            found.push(Violation::Unsupported { step, layer: layer(), model: model(), device, kind });
        }
    }
    if let Some(hole) = graph.hole(segment) {
        let hole = graph.layer(hole).name.clone();
        found.push(Violation::NotConvex { step, segment: segment.to_string(), model: model(), hole });
    }
    let is_split = work.region.rows != (0..graph.shape(segment.last()).rows);
    if let (true, Some(exposed)) = (is_split, graph.exposed(segment).find(|&id| id != segment.last())) {
        let exposed = graph.layer(exposed).name.clone();
        found.push(Violation::SplitOutputs { step, segment: segment.to_string(), model: model(), exposed });
    }
}

fn check_region(
    problem: &Problem,
    step: StepId,
    model: ModelId,
    layer: LayerId,
    region: &Region,
    found: &mut Vec<Violation>,
) {
    let graph = &problem.model(model).graph;
    let (samples, rows) = (problem.samples_of(model), graph.shape(layer).rows);
    if region.is_empty() || region.samples.end > samples || region.rows.end > rows {
        let (region, model) = (region.clone(), graph.name().to_owned());
        found.push(Violation::Region { step, region, model, samples, rows });
    }
}

/// Finds links with several lanes.
fn check_links(plan: &Plan, problem: &Problem, found: &mut Vec<Violation>) {
    let mut lanes = vec![0; problem.platform.links.len()];
    for lane in &plan.lanes {
        if let Lane::Link(link) = lane {
            lanes[link.0 as usize] += 1;
        }
    }
    for (link, &count) in problem.platform.links.iter().zip(&lanes).filter(|&(_, &count)| count > 1) {
        found.push(Violation::SharedLink { link: link.name.clone(), count });
    }
}

//! What devices accept: precision, sizes, and how much they keep loaded.

use std::collections::BTreeSet;

use super::{Action, Lane, Plan, StepId, Violation};
use crate::model::{LayerId, ModelId, OpKind, Region, Work};
use crate::platform::{Device, DeviceId};
use crate::problem::Problem;

/// Finds what the devices of a plan, whose indices point at something, do not accept.
pub(super) fn check_limits(plan: &Plan, problem: &Problem, found: &mut Vec<Violation>) {
    for device in problem.platform.device_ids() {
        check_device(plan, problem, device, found);
    }
}

/// The steps that compute on `device`.
fn steps_on(plan: &Plan, device: DeviceId) -> impl Iterator<Item = (StepId, &Work)> {
    plan.step_ids().filter_map(move |id| {
        let step = plan.step_at(id);
        match (&step.action, step.lane.map(|lane| plan.lane_at(lane))) {
            (Action::Compute(work), Some(Lane::Compute { device: on, .. })) if *on == device => Some((id, work)),
            _ => None,
        }
    })
}

fn check_device(plan: &Plan, problem: &Problem, id: DeviceId, found: &mut Vec<Violation>) {
    let device = problem.platform.device(id);
    let name = || device.name.clone();
    let limits = &device.limits;
    if let Some(precisions) = limits.precisions.as_ref().filter(|possible| !possible.contains(&device.precision))
        && let Some((step, _)) = steps_on(plan, id).next()
    {
        let possible = precisions.iter().map(|precision| precision.name()).collect::<Vec<_>>().join(" or ");
        found.push(Violation::Precision { step, device: name(), precision: device.precision, possible });
    }
    if let Some(limit) = limits.batch_max {
        for (step, work) in steps_on(plan, id).filter(|(_, work)| work.region.samples.len() > limit as usize) {
            let batch = work.region.samples.len() as u32;
            found.push(Violation::BatchTooLarge { step, device: name(), batch, limit });
        }
    }
    if let Some(limit) = limits.dimension_max {
        steps_on(plan, id).for_each(|(step, work)| check_dimensions(problem, step, work, device, limit, found));
    }
    if let Some(limit) = limits.loadables_max {
        let count = steps_on(plan, id).map(|(_, work)| loadable(work)).collect::<BTreeSet<_>>().len();
        if count > limit as usize {
            found.push(Violation::TooManyLoadables { device: name(), count, limit });
        }
    }
}

/// What is compiled for a step: layers, the number of samples, and rows, since those at an edge are padded.
fn loadable(work: &Work) -> (ModelId, Vec<LayerId>, usize, (u32, u32)) {
    let Region { samples, rows } = &work.region;
    (work.model, work.segment.layers().collect(), samples.len(), (rows.start, rows.end))
}

/// Finds layers that the step computes or reads and that are larger than `limit` in channels, rows or columns.
fn check_dimensions(
    problem: &Problem,
    step: StepId,
    work: &Work,
    device: &Device,
    limit: u32,
    found: &mut Vec<Violation>,
) {
    let graph = &problem.model(work.model).graph;
    for (id, rows) in graph.rows_needed(&work.segment, &work.region.rows) {
        let layer = graph.layer(id);
        // What these put out has no shape of its own: a fully connected layer reads maps as they are.
        if matches!(layer.op.kind(), OpKind::Opaque | OpKind::Flatten | OpKind::Dropout) {
            continue;
        }
        let shape = graph.shape(id);
        let size = shape.channels.max(rows.len() as u32).max(shape.cols);
        if size > limit {
            let (layer, model, device) = (layer.name.clone(), graph.name().to_owned(), device.name.clone());
            found.push(Violation::DimensionTooLarge { step, layer, model, device, size, limit });
        }
    }
}

//! What devices accept and hold: the one place that says what fits, which strategies ask and the check holds.

use std::collections::BTreeSet;

use super::footprint::{Activations, Passage, surely_fits};
use super::presence::Holdings;
use super::{Action, Lane, LaneId, Plan, StepId, Violation};
use crate::model::{LayerId, ModelId, OpKind, Region, Segment, Sizes, Work};
use crate::platform::{Device, DeviceId, Memory};
use crate::problem::Problem;
use crate::units::{Bytes, Share};

/// Why `device` can run no step of `segment` with all rows, if it cannot, whatever else it does.
pub(crate) fn obstacle(problem: &Problem, device: DeviceId, (model, segment): (ModelId, &Segment)) -> Option<String> {
    let graph = &problem.model(model).graph;
    let device = problem.platform.device(device);
    let Device { name, limits, precision, .. } = device;
    if let Some(layer) = device.lacks(graph, segment) {
        return Some(format!("`{name}` does not support `{}`", layer.name));
    }
    if let Some(possible) = impossible_precision(device) {
        return Some(format!("`{name}` computes in {possible} only, not in {precision}"));
    }
    let rows = 0..graph.shape(segment.last()).rows;
    let region = Region { samples: 0..1, rows };
    let work = Work { model, segment: segment.clone(), region };
    let (layer, size) = too_large(problem, &work, device).into_iter().next()?;
    let (layer, limit) = (&graph.layer(layer).name, limits.dimension_max?);
    Some(format!("`{name}` takes dimensions up to {limit}, and `{layer}` has one of {size}"))
}

/// The most samples that a step of `segment`, with all rows, can have on `device` beside other weights of `beside` bytes.
pub(crate) fn samples_max(
    problem: &Problem,
    device: DeviceId,
    (model, segment): (ModelId, &Segment),
    beside: Bytes,
) -> u32 {
    let limits = &problem.platform.device(device).limits;
    let sizes = problem.sizes(model, device);
    let one = Region { samples: 0..1, rows: 0..problem.model(model).graph.shape(segment.last()).rows };
    let each = sizes.activations(&Work { model, segment: segment.clone(), region: one });
    let platform = &problem.platform;
    let left = |most: Bytes, weights: Bytes| most.0.checked_sub(weights.0);
    let (at_once, in_all) = (largest_weights(&sizes, segment), sizes.parameters(segment) + beside);
    let Some(left) = left(platform.capacity(device), at_once).zip(left(platform.most_held(device), in_all)) else {
        return 0;
    };
    let left = left.0.min(left.1);
    let fit = left.checked_div(each.0).map_or(u32::MAX, |fit| fit.min(u32::MAX.into()) as u32);
    fit.min(limits.batch_max.unwrap_or(u32::MAX))
}

/// The most that a layer of `segment` has of weights: a memory that pages holds those of others at other times.
fn largest_weights(sizes: &Sizes<'_>, segment: &Segment) -> Bytes {
    segment.layers().map(|layer| sizes.layer_parameters(layer)).max().unwrap_or_default()
}

/// What `plan`, whose indices point at something, asks of devices beyond what they accept and of memories beyond what they
/// hold, with a device that can do with less; in the platform's order where the kind of excess is the same. Of those that
/// share a memory, it is the one that computes with the most data.
pub(crate) fn excesses(plan: &Plan, problem: &Problem) -> Vec<(DeviceId, Violation)> {
    let mut found = limit_excesses(plan, problem);
    found.extend(reservation_excesses(plan, problem));
    found.extend(memory_excesses(plan, problem, &Holdings::of(plan, problem)));
    found
}

/// Steps that devices do not accept, and more loadables than they keep.
pub(super) fn limit_excesses(plan: &Plan, problem: &Problem) -> Vec<(DeviceId, Violation)> {
    let of_device = |device| {
        let mut found = Vec::new();
        check_device(plan, problem, device, &mut found);
        found.into_iter().map(move |violation| (device, violation))
    };
    problem.platform.device_ids().flat_map(of_device).collect()
}

/// Lanes that reserve more than there is.
pub(super) fn reservation_excesses(plan: &Plan, problem: &Problem) -> Vec<(DeviceId, Violation)> {
    let mut found = Vec::new();
    let mut reserved = vec![(0u32, Bytes(0)); problem.platform.devices.len()];
    for lane in &plan.lanes {
        if let Lane::Compute { device, share, memory } = *lane {
            let units = problem.platform.device(device).units;
            if Share::of_units(share.units_of(units), units) != Some(share) {
                let device_name = problem.platform.device(device).name.clone();
                found.push((device, Violation::PartOfUnit { device: device_name, share, units }));
            }
            let (basis_points, bytes) = &mut reserved[device.0 as usize];
            (*basis_points, *bytes) = (basis_points.saturating_add(share.basis_points().into()), *bytes + memory);
        }
    }
    for (id, &(basis_points, _)) in problem.platform.device_ids().zip(&reserved) {
        if basis_points > Share::FULL.basis_points().into() {
            let device = problem.platform.device(id).name.clone();
            found.push((id, Violation::Oversubscribed { device, basis_points }));
        }
    }
    for memory @ Memory { name, users, .. } in &problem.platform.memories {
        let of = |device: &DeviceId| reserved[device.0 as usize].1;
        let all: Bytes = users.iter().map(of).sum();
        if let (Some(capacity), Some(most)) = (memory.most_held(), users.iter().max_by_key(|device| of(device)))
            && all > capacity
        {
            found.push((*most, Violation::OutOfMemory { memory: name.clone(), reserved: all, capacity }));
        }
    }
    found
}

/// Memories that do not hold what lies there at one time.
pub(super) fn memory_excesses(plan: &Plan, problem: &Problem, holdings: &Holdings) -> Vec<(DeviceId, Violation)> {
    let of_steps = paged_excesses(plan, problem);
    if surely_fits(plan, problem, holdings) {
        return of_steps;
    }
    let passage = Passage::of(plan, problem, holdings);
    let excess = |(memory, footprint): (&Memory, super::Footprint)| {
        let (data, total, capacity) = (footprint.data, footprint.total(), memory.most_held()?);
        let (name, weights) = (memory.name.clone(), Bytes(total.0 - data.0));
        let violation = Violation::Overfull { memory: name, weights, data, capacity };
        (total > capacity).then_some((passage.largest_user(memory)?, violation))
    };
    let together = problem.platform.memories.iter().zip(passage.footprints()).filter_map(excess);
    of_steps.into_iter().chain(together).collect()
}

/// Memories that page and do not hold the activations of a step and the weights of one of its layers.
fn paged_excesses(plan: &Plan, problem: &Problem) -> Vec<(DeviceId, Violation)> {
    let excess = |memory: &Memory| {
        let capacity = memory.capacity.filter(|_| memory.paging.is_some())?;
        let mut known = Activations::default();
        let (mut weights, mut data, mut largest) = (Bytes(0), Bytes(0), None);
        for &device in &memory.users {
            for (_, work) in steps_on(plan, device) {
                let of_step = largest_weights(&problem.sizes(work.model, device), &work.segment);
                let activations = known.of(problem, device, work);
                if largest.is_none() || of_step + activations > weights + data {
                    (weights, data, largest) = (of_step, activations, Some(device));
                }
            }
        }
        let violation = Violation::Overfull { memory: memory.name.clone(), weights, data, capacity };
        largest.filter(|_| weights + data > capacity).map(|device| (device, violation))
    };
    problem.platform.memories.iter().filter_map(excess).collect()
}

/// Lanes whose steps need more than they reserve.
pub(super) fn lane_excesses(plan: &Plan, problem: &Problem) -> Vec<Violation> {
    let exceeds = |(index, needed): (usize, Bytes)| match plan.lanes[index] {
        Lane::Compute { memory: reserved, .. } if needed > reserved => {
            Some(Violation::WorkingSet { lane: LaneId(index as u32), reserved, needed })
        }
        _ => None,
    };
    working_sets(plan, problem).into_iter().enumerate().filter_map(exceeds).collect()
}

/// What each lane must hold: the weights of all layers it runs and the activations of its largest step.
pub(super) fn working_sets(plan: &Plan, problem: &Problem) -> Vec<Bytes> {
    let mut layers: Vec<BTreeSet<(ModelId, LayerId)>> = vec![BTreeSet::new(); plan.lanes.len()];
    let mut activations = vec![Bytes(0); plan.lanes.len()];
    let mut known = Activations::default();
    for step in &plan.steps {
        if let (Some(lane), Action::Compute(work)) = (step.lane, &step.action)
            && let Lane::Compute { device, .. } = plan.lane_at(lane)
        {
            let lane = lane.0 as usize;
            layers[lane].extend(work.segment.layers().map(|layer| (work.model, layer)));
            activations[lane] = activations[lane].max(known.of(problem, *device, work));
        }
    }
    let needed = |(index, lane): (usize, &Lane)| match lane {
        Lane::Compute { device, .. } => {
            let weights = |&(model, layer): &(ModelId, LayerId)| problem.sizes(model, *device).layer_parameters(layer);
            layers[index].iter().map(weights).sum::<Bytes>() + activations[index]
        }
        Lane::Link(_) => Bytes(0),
    };
    plan.lanes.iter().enumerate().map(needed).collect()
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
    if let Some(possible) = impossible_precision(device)
        && let Some((step, _)) = steps_on(plan, id).next()
    {
        found.push(Violation::Precision { step, device: name(), precision: device.precision, possible });
    }
    if let Some(limit) = limits.batch_max {
        for (step, work) in steps_on(plan, id).filter(|(_, work)| work.region.samples.len() > limit as usize) {
            let batch = work.region.samples.len() as u32;
            found.push(Violation::BatchTooLarge { step, device: name(), batch, limit });
        }
    }
    if let Some(limit) = limits.dimension_max {
        for (step, work) in steps_on(plan, id) {
            for (layer, size) in too_large(problem, work, device) {
                let graph = &problem.model(work.model).graph;
                let (layer, model) = (graph.layer(layer).name.clone(), graph.name().to_owned());
                found.push(Violation::DimensionTooLarge { step, layer, model, device: name(), size, limit });
            }
        }
    }
    if let Some(limit) = limits.loadables_max {
        let count = steps_on(plan, id).map(|(_, work)| loadable(work)).collect::<BTreeSet<_>>().len();
        if count > limit as usize {
            found.push(Violation::TooManyLoadables { device: name(), count, limit });
        }
    }
}

/// What a device can compute in, if its precision is not among it.
fn impossible_precision(device: &Device) -> Option<String> {
    let precisions = device.limits.precisions.as_ref().filter(|possible| !possible.contains(&device.precision))?;
    Some(precisions.iter().map(|precision| precision.name()).collect::<Vec<_>>().join(" or "))
}

/// What is compiled for a step: layers, the number of samples, and rows, since those at an edge are padded.
fn loadable(work: &Work) -> (ModelId, Vec<LayerId>, usize, (u32, u32)) {
    let Region { samples, rows } = &work.region;
    (work.model, work.segment.layers().collect(), samples.len(), (rows.start, rows.end))
}

/// Layers that `work` computes or reads and that are larger in channels, rows or columns than a device takes, with that
/// size.
fn too_large(problem: &Problem, work: &Work, device: &Device) -> Vec<(LayerId, u32)> {
    let Some(limit) = device.limits.dimension_max else { return Vec::new() };
    let graph = &problem.model(work.model).graph;
    // What these put out has no shape of its own: a fully connected layer reads maps as they are.
    let has_shape = |id| !matches!(graph.layer(id).op.kind(), OpKind::Opaque | OpKind::Flatten | OpKind::Dropout);
    let needed = graph.rows_needed(&work.segment, &work.region.rows).into_iter().filter(|(id, _)| has_shape(*id));
    let size = |(id, rows): (LayerId, std::ops::Range<u32>)| {
        let shape = graph.shape(id);
        (id, shape.channels.max(rows.len() as u32).max(shape.cols))
    };
    needed.map(size).filter(|(_, size)| *size > limit).collect()
}

//! Several networks one after the other, each shared by itself.

use super::PlanError;
use super::batch_split::BatchSplit;
use crate::model::ModelId;
use crate::plan::{Action, Lane, LaneId, Plan, StepId};
use crate::platform::DeviceId;
use crate::problem::Problem;
use crate::units::Bytes;

/// The plans that `plan` makes for each model, as one plan.
///
/// Devices begin with the next network when they have done their part of the one before; none waits for the others.
/// The weights of all networks stay in memory.
pub(super) fn in_turn(
    problem: &Problem,
    plan: impl Fn(&BatchSplit<'_>) -> Result<Plan, PlanError>,
) -> Result<Plan, PlanError> {
    let mut whole = Plan::default();
    // Of each lane, the most that steps need beside the weights.
    let mut beside_weights: Vec<Bytes> = Vec::new();
    for model in (0..problem.models.len() as u32).map(ModelId) {
        let split = BatchSplit::new(problem, model)?;
        append(&mut whole, &mut beside_weights, plan(&split)?, |device| split.parameters(device));
    }
    Ok(whole)
}

/// Adds the steps of `plan`, whose computing lanes hold weights of `parameters` of their device, behind those of `whole`.
fn append(whole: &mut Plan, beside_weights: &mut Vec<Bytes>, plan: Plan, parameters: impl Fn(DeviceId) -> Bytes) {
    let lanes: Vec<LaneId> = plan
        .lanes
        .into_iter()
        .map(|lane| {
            let beside = match lane {
                Lane::Compute { device, memory, .. } => Bytes(memory.0.saturating_sub(parameters(device).0)),
                Lane::Link(_) => Bytes(0),
            };
            let known =
                whole.lanes.iter_mut().zip(&mut *beside_weights).position(|(known, most)| match (known, &lane) {
                    (Lane::Compute { device, memory, .. }, Lane::Compute { device: other, .. }) if device == other => {
                        let weights = Bytes(memory.0 - most.0) + parameters(*other);
                        *most = beside.max(*most);
                        *memory = weights + *most;
                        true
                    }
                    (Lane::Link(link), Lane::Link(other)) => link == other,
                    _ => false,
                });
            known.map_or_else(
                || {
                    beside_weights.push(beside);
                    whole.lane(lane)
                },
                |index| LaneId(index as u32),
            )
        })
        .collect();
    let first = whole.steps.len() as u32;
    for step in plan.steps {
        let after: Vec<StepId> = step.after.iter().map(|on| StepId(on.0 + first)).collect();
        match step.lane {
            Some(lane) => whole.step(lanes[lane.0 as usize], step.action, &after),
            None => {
                debug_assert_eq!(step.action, Action::Join, "what has no lane is a join");
                whole.join(&after)
            }
        };
    }
}

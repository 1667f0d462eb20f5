//! Asking how samples are shared until the plan fits.

use super::{BatchSplit, Division};
use crate::model::ModelId;
use crate::plan::room::excesses;
use crate::plan::{Action, Builder, Lane, Plan, Violation};
use crate::platform::DeviceId;
use crate::problem::Problem;
use crate::strategy::PlanError;
use crate::strategy::simulated::simulated;
use crate::units::{Bytes, Duration};

/// What plans have shown of a device.
#[derive(Clone, Default)]
pub(super) struct Tried {
    /// The most samples that a step may have, and what showed it.
    pub(super) most: Option<(u32, Violation)>,
    /// Whether it does not hold the inputs of its next step while it computes.
    pub(super) holds_one_step: bool,
}

/// The plan of all networks, one after the other, each shared as `share` says, which is told all of them.
///
/// Devices begin with the next network when they have done their part of the one before; none waits for the others. The
/// weights of all networks stay in memory. The inputs of a device's next step are sent while it computes, if it holds both;
/// where data that waits leaves no room for as many samples as fit by themselves, `share` is asked again with less.
///
/// # Errors
/// `share` fails, a network finds no device, or some device has too little memory for what must lie there.
pub(in crate::strategy) fn planned(
    problem: &Problem,
    share: impl Fn(&[BatchSplit<'_>]) -> Result<Vec<Division>, PlanError>,
) -> Result<Plan, PlanError> {
    planned_after(problem, &share, vec![Tried::default(); problem.platform.devices.len()])
}

/// All networks of `problem`, with what fits by itself.
///
/// # Errors
/// A network finds no device.
pub(in crate::strategy) fn splits(problem: &Problem) -> Result<Vec<BatchSplit<'_>>, PlanError> {
    splits_after(problem, &vec![Tried::default(); problem.platform.devices.len()])
}

fn splits_after<'a>(problem: &'a Problem, tried: &[Tried]) -> Result<Vec<BatchSplit<'a>>, PlanError> {
    let models = (0..problem.models.len() as u32).map(ModelId);
    models.map(|model| BatchSplit::new(problem, model, tried)).collect()
}

/// How the samples of all networks are shared.
type Sharing<'a> = dyn Fn(&[BatchSplit<'_>]) -> Result<Vec<Division>, PlanError> + 'a;

/// As [`planned`], after plans have shown so much.
fn planned_after(problem: &Problem, share: &Sharing<'_>, mut tried: Vec<Tried>) -> Result<Plan, PlanError> {
    loop {
        let splits = splits_after(problem, &tried)?;
        let mut builder = Builder::new(problem);
        for (split, division) in splits.iter().zip(share(&splits)?) {
            split.add(&mut builder, &division, &tried)?;
        }
        let plan = builder.finish();
        let beyond = excesses(&plan, problem);
        if beyond.is_empty() {
            return Ok(plan);
        }
        for (device, violation) in beyond {
            let Some((largest, each)) = largest_step(problem, &plan, device) else {
                return Err(PlanError::Infeasible(violation.to_string()));
            };
            let known = &mut tried[device.0 as usize];
            if violation.beyond_memory().is_some() && !std::mem::replace(&mut known.holds_one_step, true) {
                continue;
            }
            // Each round takes away a sample at least, so that there is an end to it. Of a memory that others use too, half
            // of the step at most: they can give way as well.
            let most = if problem.platform.shares_memory(device) { largest.div_ceil(2) } else { largest };
            let left = match violation.beyond_memory() {
                Some(beyond) => largest - beyond.0.div_ceil(each.0.max(1)).clamp(1, most.into()) as u32,
                None => 0,
            };
            if left == 0 && violation.beyond_memory().is_some() && problem.platform.shares_memory(device) {
                return without_a_sharer(problem, share, &tried, device, &violation);
            }
            if known.most.as_ref().is_none_or(|(most, _)| left < *most) {
                known.most = Some((left, violation));
            }
        }
    }
}

/// More devices than this that share a memory are not left out in turn, whose number of orders grows too fast.
const SHARERS_MAX: usize = 4;

/// The fastest plan that leaves out one of the devices which share a memory with `device` that does not hold a sample on each.
fn without_a_sharer(
    problem: &Problem,
    share: &Sharing<'_>,
    tried: &[Tried],
    device: DeviceId,
    violation: &Violation,
) -> Result<Plan, PlanError> {
    let platform = &problem.platform;
    let is_in = |other: &DeviceId| tried[other.0 as usize].most.as_ref().is_none_or(|(most, _)| *most > 0);
    let sharers: Vec<DeviceId> =
        platform.device_ids().filter(|&other| platform.share_memory(device, other)).filter(is_in).collect();
    let mut best: Option<(Duration, Plan)> = None;
    let mut reason = PlanError::Infeasible(violation.to_string());
    for &out in sharers.iter().filter(|&&out| out == device || sharers.len() <= SHARERS_MAX) {
        let mut tried = tried.to_vec();
        // The others have what it leaves.
        sharers.iter().for_each(|sharer| tried[sharer.0 as usize] = Tried::default());
        tried[out.0 as usize].most = Some((0, violation.clone()));
        match planned_after(problem, share, tried) {
            Ok(plan) => {
                let makespan = simulated(problem, &plan)?.unwrap_or(Duration::MAX);
                if best.as_ref().is_none_or(|(least, _)| makespan < *least) {
                    best = Some((makespan, plan));
                }
            }
            Err(error) => reason = error,
        }
    }
    best.map(|(_, plan)| plan).ok_or(reason)
}

/// As [`planned`], where no network's shares depend on those of others.
pub(in crate::strategy) fn in_turn(
    problem: &Problem,
    share: impl Fn(&BatchSplit<'_>) -> Result<Division, PlanError>,
) -> Result<Plan, PlanError> {
    planned(problem, |splits| splits.iter().map(&share).collect())
}

/// The samples of the largest step on `device`, and the activations of one of them; `None` if it runs none.
fn largest_step(problem: &Problem, plan: &Plan, device: DeviceId) -> Option<(u32, Bytes)> {
    let on_device =
        plan.steps.iter().filter_map(|step| match (&step.action, step.lane.map(|lane| plan.lane_at(lane))) {
            (Action::Compute(work), Some(Lane::Compute { device: on, .. })) if *on == device => Some(work),
            _ => None,
        });
    let largest = on_device.max_by_key(|work| work.region.samples.len())?;
    let samples = largest.region.samples.len() as u32;
    let activations = problem.sizes(largest.model, device).activations(largest);
    Some((samples, Bytes(activations.0 / u64::from(samples))))
}

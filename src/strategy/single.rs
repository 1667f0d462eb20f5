//! One device does everything: the baseline of every cooperation.

use serde::{Deserialize, Serialize};

use super::batch_split::BatchSplit;
use super::in_turn::in_turn;
use super::{PlanError, Strategy};
use crate::cost::Uncalibrated;
use crate::model::ModelId;
use crate::plan::{Plan, check};
use crate::platform::DeviceId;
use crate::problem::Problem;
use crate::units::Duration;

/// All networks on one device, one after the other, in as few steps as its memory allows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Single {
    /// The device; if absent, the one that is fastest alone.
    pub device: Option<String>,
}

impl Strategy for Single {
    fn name(&self) -> &'static str {
        "single"
    }

    fn plan(&self, problem: &Problem) -> Result<Plan, PlanError> {
        plan_alone(problem, self.device.as_deref(), |split, unit| split.waves(unit, split.samples()))
    }
}

/// The plan of the named device alone, or of the one that is fastest with all networks, in steps of the sizes that `steps`
/// gives for a unit.
pub(super) fn plan_alone(
    problem: &Problem,
    device: Option<&str>,
    steps: impl Fn(&BatchSplit<'_>, usize) -> Vec<u32>,
) -> Result<Plan, PlanError> {
    let on = |name: &str| {
        in_turn(problem, |split| {
            let unit = split.unit_named(name)?;
            time(split, unit, &steps(split, unit))?;
            let mut of_unit = vec![Vec::new(); split.units.len()];
            of_unit[unit] = steps(split, unit);
            Ok(split.plan(&of_unit))
        })
    };
    if let Some(name) = device {
        return on(name);
    }
    let mut plans = Vec::new();
    for device in by_speed(problem, &steps)? {
        let plan = on(&problem.platform.device(device).name)?;
        // One network fits, since its samples were counted; several may not.
        if problem.models.len() == 1 || check(plan.clone(), problem).is_ok() {
            return Ok(plan);
        }
        plans.push(plan);
    }
    // The check says what is wrong with the fastest.
    Ok(plans.swap_remove(0))
}

/// The devices that can run all networks, fastest first and one at least; of equally fast ones in the platform's order.
fn by_speed(problem: &Problem, steps: impl Fn(&BatchSplit<'_>, usize) -> Vec<u32>) -> Result<Vec<DeviceId>, PlanError> {
    let mut totals: Vec<Option<Duration>> = vec![Some(Duration::ZERO); problem.platform.devices.len()];
    let mut unknown = None;
    for model in (0..problem.models.len() as u32).map(ModelId) {
        let split = BatchSplit::new(problem, model)?;
        let mut times = vec![None; totals.len()];
        for (unit, of_unit) in split.units.iter().enumerate() {
            match time(&split, unit, &steps(&split, unit)) {
                Ok(time) => times[of_unit.device.0 as usize] = Some(time),
                Err(error) => unknown = unknown.or(Some(error)),
            }
        }
        totals
            .iter_mut()
            .zip(times)
            .for_each(|(total, time)| *total = total.zip(time).map(|(total, time)| total + time));
    }
    let mut known: Vec<(Duration, DeviceId)> =
        problem.platform.device_ids().zip(totals).filter_map(|(device, total)| Some((total?, device))).collect();
    known.sort();
    match unknown {
        Some(error) if known.is_empty() => Err(error.into()),
        _ if known.is_empty() => Err(PlanError::Infeasible("no device can run all networks".into())),
        _ => Ok(known.into_iter().map(|(_, device)| device).collect()),
    }
}

/// What a unit takes for steps of such sizes.
fn time(split: &BatchSplit<'_>, unit: usize, steps: &[u32]) -> Result<Duration, Uncalibrated> {
    // Equal steps take equal time, so each size is looked up once.
    let mut sizes = steps.to_vec();
    sizes.sort_unstable();
    sizes.dedup();
    let of_size = |&size: &u32| {
        let count = steps.iter().filter(|&&step| step == size).count() as u32;
        Ok(split.time(unit, size)? * count)
    };
    sizes.iter().map(of_size).sum()
}

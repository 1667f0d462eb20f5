//! One device does everything: the baseline of every cooperation.

use serde::{Deserialize, Serialize};

use super::batch_split::{BatchDevice, BatchSplit, planned};
use super::{PlanError, Strategy};
use crate::cost::Uncalibrated;
use crate::plan::Plan;
use crate::platform::DeviceId;
use crate::problem::Problem;
use crate::units::Duration;

/// The whole batch of all networks on one device, in as few steps as its memory and its limits allow.
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
        alone(problem, self.device.as_deref(), |split, unit| split.waves(unit, split.samples()))
    }
}

/// The plan of the named device alone, or of the one that is fastest with all networks, in steps of the sizes that `steps`
/// gives for each network and the unit that the device is there.
pub(super) fn alone(
    problem: &Problem,
    device: Option<&str>,
    steps: impl Fn(&BatchSplit<'_>, usize) -> Vec<u32>,
) -> Result<Plan, PlanError> {
    planned(problem, |splits| {
        let device = match device {
            Some(name) => {
                let units = splits.iter().map(|split| split.unit_named(name)).collect::<Result<Vec<_>, _>>()?;
                let device = splits[0].units[units[0]].device;
                time(splits, device, &steps)?;
                device
            }
            None => fastest(problem, splits, &steps)?,
        };
        let of_network = |split: &BatchSplit<'_>| {
            let is_it = |(index, unit): (usize, &BatchDevice)| match unit.device == device {
                true => steps(split, index),
                false => Vec::new(),
            };
            split.consecutive(&split.units.iter().enumerate().map(is_it).collect::<Vec<_>>())
        };
        Ok(splits.iter().map(of_network).collect())
    })
}

/// The device that can run all networks and is done first with them.
pub(super) fn fastest(
    problem: &Problem,
    splits: &[BatchSplit<'_>],
    steps: &impl Fn(&BatchSplit<'_>, usize) -> Vec<u32>,
) -> Result<DeviceId, PlanError> {
    let runs_all = |device: &DeviceId| splits.iter().all(|split| split.unit_of(*device).is_some());
    let times: Vec<_> =
        problem.platform.device_ids().filter(runs_all).map(|device| (device, time(splits, device, steps))).collect();
    let known = times.iter().filter_map(|(device, time)| Some((*device, *time.as_ref().ok()?)));
    match known.min_by_key(|&(_, time)| time) {
        Some((device, _)) => Ok(device),
        None => Err(times
            .into_iter()
            .find_map(|(_, time)| time.err())
            .map_or_else(|| PlanError::Infeasible("no device can run all networks".into()), PlanError::from)),
    }
}

/// How long a device, which can run all networks, takes for them.
fn time(
    splits: &[BatchSplit<'_>],
    device: DeviceId,
    steps: &impl Fn(&BatchSplit<'_>, usize) -> Vec<u32>,
) -> Result<Duration, Uncalibrated> {
    let of_network = |split: &BatchSplit<'_>| {
        let unit = split.unit_of(device).expect("the device can run all networks");
        let steps = steps(split, unit);
        // Equal steps take equal time, so each size is looked up once.
        let mut sizes = steps.clone();
        sizes.sort_unstable();
        sizes.dedup();
        let of_size = |&size: &u32| {
            let count = steps.iter().filter(|&&step| step == size).count() as u32;
            Ok(split.time(unit, size)? * count)
        };
        sizes.iter().map(of_size).sum::<Result<Duration, Uncalibrated>>()
    };
    splits.iter().map(of_network).sum()
}

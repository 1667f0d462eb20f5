//! One device does everything: the baseline of every cooperation.

use serde::{Deserialize, Serialize};

use super::batch_split::BatchSplit;
use super::in_turn::in_turn;
use super::{PlanError, Strategy};
use crate::cost::Uncalibrated;
use crate::plan::Plan;
use crate::problem::Problem;
use crate::units::Duration;

/// The whole batch on one device, in as few steps as its memory allows.
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
        in_turn(problem, |split| plan_alone(split, self.device.as_deref(), |unit| split.waves(unit, split.samples())))
    }
}

/// The plan of the named unit alone, or of the fastest one, in steps of the sizes that `steps` gives for it.
pub(super) fn plan_alone(
    split: &BatchSplit<'_>,
    device: Option<&str>,
    steps: impl Fn(usize) -> Vec<u32>,
) -> Result<Plan, PlanError> {
    let time = |unit: usize| -> Result<Duration, Uncalibrated> {
        let steps = steps(unit);
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
    let unit = match device {
        Some(name) => {
            let unit = split.unit_named(name)?;
            time(unit)?;
            unit
        }
        None => {
            let times: Vec<_> = (0..split.units.len()).map(|unit| (unit, time(unit))).collect();
            let known = times.iter().filter_map(|(unit, time)| Some((*unit, *time.as_ref().ok()?)));
            match known.min_by_key(|&(_, time)| time) {
                Some((unit, _)) => unit,
                None => {
                    return Err(times.into_iter().find_map(|(_, time)| time.err()).expect("a split has units").into());
                }
            }
        }
    };
    let mut of_unit = vec![Vec::new(); split.units.len()];
    of_unit[unit] = steps(unit);
    Ok(split.plan(&of_unit))
}

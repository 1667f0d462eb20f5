//! Each query goes to the first device that is free.

use serde::{Deserialize, Serialize};

use super::{PlanError, Single, Strategy};
use crate::plan::Plan;
use crate::problem::Problem;

/// A query goes to the first of these devices that is free, whole; if none is, it waits. The classic queue of several
/// servers, in which the first named is preferred.
///
/// An offline load is one query, and goes to the first device.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FirstFree {
    /// Names of devices, in the order of preference; all of the platform if absent.
    pub devices: Option<Vec<String>>,
}

impl FirstFree {
    fn devices(&self, problem: &Problem) -> Vec<String> {
        let all = || problem.platform.devices.iter().map(|device| device.name.clone()).collect();
        self.devices.clone().unwrap_or_else(all)
    }
}

impl Strategy for FirstFree {
    fn name(&self) -> &'static str {
        "first_free"
    }

    fn plan(&self, problem: &Problem) -> Result<Plan, PlanError> {
        Ok(self.alternatives(problem)?.swap_remove(0))
    }

    /// One for each device that can run the load by itself.
    fn alternatives(&self, problem: &Problem) -> Result<Vec<Plan>, PlanError> {
        let alone = |device| Single { device: Some(device) }.plan(problem);
        let (mut plans, mut refusal) = (Vec::new(), None);
        for device in self.devices(problem) {
            match alone(device) {
                Ok(plan) => plans.push(plan),
                Err(error) => refusal = refusal.or(Some(error)),
            }
        }
        match refusal {
            Some(error) if plans.is_empty() => Err(error),
            _ if plans.is_empty() => Err(PlanError::Unsupported("there is no device to choose from".into())),
            _ => Ok(plans),
        }
    }
}

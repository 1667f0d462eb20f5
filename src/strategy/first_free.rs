//! Each query goes to the first device that is free.

use serde::{Deserialize, Serialize};

use super::{PlanError, Proposal, Single, Strategy};
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
        Ok(self.propose(problem)?.plan)
    }

    /// One plan for each device that can run the load by itself.
    fn propose(&self, problem: &Problem) -> Result<Proposal, PlanError> {
        let alone = |device| Single { device: Some(device) }.plan(problem);
        let (mut found, mut refusal): (Option<Proposal>, _) = (None, None);
        for device in self.devices(problem) {
            match (alone(device), &mut found) {
                (Ok(plan), None) => found = Some(plan.into()),
                (Ok(plan), Some(found)) => found.alternatives.push(plan),
                (Err(error), _) => refusal = refusal.or(Some(error)),
            }
        }
        let none = || PlanError::Unsupported("there is no device to choose from".into());
        found.ok_or_else(|| refusal.unwrap_or_else(none))
    }
}

//! MoDNN: every layer shared by itself.

use serde::{Deserialize, Serialize};

use super::rows::{Transport, divided, one_by_one};
use super::{PlanError, Strategy};
use crate::plan::Plan;
use crate::problem::Problem;

/// Shares the rows of each layer in proportion to the boards' speeds, and gathers its output before the next.
///
/// Source: Mao, Chen, Nixon, Krieger and Chen, "MoDNN: local distributed mobile computing system for deep neural
/// network", DATE 2017 (its one-dimensional partition of convolutional layers).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Modnn {
    /// The devices that share rows; all but the home if absent.
    pub boards: Option<Vec<String>>,
}

impl Strategy for Modnn {
    fn name(&self) -> &'static str {
        "modnn"
    }

    fn plan(&self, problem: &Problem) -> Result<Plan, PlanError> {
        Ok(divided(problem, self.boards.as_deref(), |split| Ok(one_by_one(split, Transport::Gather)?.into()))?.plan)
    }
}

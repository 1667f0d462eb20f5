//! The same number of samples for every device: what a split does that knows nothing.

use serde::{Deserialize, Serialize};

use super::batch_split::in_turn;
use super::{PlanError, Strategy};
use crate::plan::Plan;
use crate::problem::Problem;

/// Equal shares of the batch, the first devices taking one more where it does not divide.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Even {}

impl Strategy for Even {
    fn name(&self) -> &'static str {
        "even"
    }

    fn plan(&self, problem: &Problem) -> Result<Plan, PlanError> {
        in_turn(problem, |split| {
            let (samples, count) = (split.samples(), split.units.len() as u32);
            let shares: Vec<u32> = (0..count).map(|unit| samples / count + u32::from(unit < samples % count)).collect();
            Ok(split.in_waves(&shares))
        })
    }
}

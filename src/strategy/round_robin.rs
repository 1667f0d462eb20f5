//! Devices take turns: what a dispatcher does that knows nothing and keeps the order of samples.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use super::batch_split::in_turn;
use super::{PlanError, Strategy};
use crate::plan::Plan;
use crate::problem::Problem;

/// Every device in turn takes the next samples, as many at a time as `chunk` says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RoundRobin {
    /// Samples of a turn; fewer on a device that does not take as many in a step.
    pub chunk: NonZeroU32,
}

impl Default for RoundRobin {
    fn default() -> Self {
        RoundRobin { chunk: NonZeroU32::MIN }
    }
}

impl Strategy for RoundRobin {
    fn name(&self) -> &'static str {
        "round_robin"
    }

    fn plan(&self, problem: &Problem) -> Result<Plan, PlanError> {
        in_turn(problem, |split| {
            let mut turns = vec![(Vec::new(), Vec::new()); split.units.len()];
            let (mut first, mut unit) = (0, (0..split.units.len()).cycle());
            while first < split.samples() {
                let unit = unit.next().expect("a split has units");
                let (steps, used) = &mut turns[unit];
                let size = split.units[unit].size(used, self.chunk.get().min(split.samples() - first));
                steps.push(first..first + size);
                first += size;
            }
            Ok(turns.into_iter().map(|(steps, _)| steps).collect::<Vec<_>>().into())
        })
    }
}

//! One device does everything in many small steps: what a split must beat where small batches run best.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use super::single::alone;
use super::{PlanError, Strategy};
use crate::plan::Plan;
use crate::problem::Problem;

/// The whole batch on one device, a few samples at a time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct MicroBatchedSingle {
    /// The device; if absent, the one that is fastest alone in this way.
    pub device: Option<String>,
    /// Samples a step; fewer where memory does not hold as many.
    pub batch: NonZeroU32,
}

impl Default for MicroBatchedSingle {
    fn default() -> Self {
        MicroBatchedSingle { device: None, batch: NonZeroU32::MIN }
    }
}

impl Strategy for MicroBatchedSingle {
    fn name(&self) -> &'static str {
        "micro_batched_single"
    }

    fn plan(&self, problem: &Problem) -> Result<Plan, PlanError> {
        alone(problem, self.device.as_deref(), |split, unit| {
            let (mut left, mut used) = (split.samples(), Vec::new());
            std::iter::from_fn(|| {
                let size = (left > 0).then(|| split.units[unit].size(&mut used, left.min(self.batch.get())))?;
                left -= size;
                Some(size)
            })
            .collect()
        })
    }
}

//! Self-scheduling: a device that is done takes the next chunk of what is left.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use super::batch_split::{BatchSplit, Division, planned};
use super::{PlanError, Strategy};
use crate::plan::Plan;
use crate::problem::Problem;
use crate::units::Duration;

/// Guided self-scheduling (Polychronopoulos and Kuck, IEEE Transactions on Computers 1987): whoever is idle takes
/// `ceil(left / (divisor * devices))` samples, until none are left; of several networks, those of the first are taken first.
///
/// A device counts as idle when its outputs are back. The published rule has divisor 1. Its first chunks are too large for devices of very unequal speed, which a
/// larger divisor mends at the price of more and smaller steps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Guided {
    /// Divides the chunk of the published rule.
    pub divisor: NonZeroU32,
    /// No chunk is smaller, except the last.
    pub chunk_min: NonZeroU32,
}

impl Default for Guided {
    fn default() -> Self {
        Guided { divisor: NonZeroU32::MIN, chunk_min: NonZeroU32::MIN }
    }
}

impl Strategy for Guided {
    fn name(&self) -> &'static str {
        "guided"
    }

    fn plan(&self, problem: &Problem) -> Result<Plan, PlanError> {
        planned(problem, |splits| {
            // A device that is done with one network takes of the next.
            let mut free = vec![Duration::ZERO; problem.platform.devices.len()];
            splits.iter().map(|split| self.share(split, &mut free)).collect()
        })
    }
}

impl Guided {
    /// Shares the samples of a network among devices that are `free` at some times, and says when they are free again.
    fn share(&self, split: &BatchSplit<'_>, free: &mut [Duration]) -> Result<Division, PlanError> {
        let parts = self.divisor.get().saturating_mul(split.units.len() as u32);
        let mut chunks = vec![Vec::new(); split.units.len()];
        let mut used = vec![Vec::new(); split.units.len()];
        let mut first = 0;
        while first < split.samples() {
            let free_at = |&unit: &usize| free[split.units[unit].device.0 as usize];
            let unit = (0..split.units.len()).min_by_key(free_at).expect("a split has units");
            let left = split.samples() - first;
            let wanted = left.div_ceil(parts).max(self.chunk_min.get()).min(left);
            let chunk = split.units[unit].size(&mut used[unit], wanted);
            free[split.units[unit].device.0 as usize] += split.time(unit, chunk)?;
            chunks[unit].push(chunk);
            first += chunk;
        }
        Ok(split.consecutive(&chunks))
    }
}

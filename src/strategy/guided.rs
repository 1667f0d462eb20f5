//! Self-scheduling: a device that is done takes the next chunk of what is left.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use super::in_turn::in_turn;
use super::{PlanError, Strategy};
use crate::plan::Plan;
use crate::problem::Problem;
use crate::units::Duration;

/// Guided self-scheduling (Polychronopoulos and Kuck, IEEE Transactions on Computers 1987): whoever is idle takes
/// `ceil(left / (divisor * devices))` samples, until none are left.
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
        in_turn(problem, |split| {
            let parts = self.divisor.get().saturating_mul(split.units.len() as u32);
            let mut chunks = vec![Vec::new(); split.units.len()];
            let mut free = vec![Duration::ZERO; split.units.len()];
            let mut left = split.samples();
            while left > 0 {
                let (unit, _) = free.iter().enumerate().min_by_key(|&(_, free)| free).expect("a split has units");
                let wanted = left.div_ceil(parts).max(self.chunk_min.get());
                let chunk = wanted.min(left).min(split.units[unit].capacity);
                free[unit] += split.time(unit, chunk)?;
                chunks[unit].push(chunk);
                left -= chunk;
            }
            Ok(split.plan(&chunks))
        })
    }
}

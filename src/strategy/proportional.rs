//! Samples in proportion to throughput: what a split does that knows one number of each device.

use serde::{Deserialize, Serialize};

use super::batch_split::in_turn;
use super::{PlanError, Strategy};
use crate::plan::Plan;
use crate::problem::Problem;

/// Shares of the batch in proportion to each device's throughput on the whole batch alone.
///
/// Fractions of samples go to the devices with the largest ones (Hamilton's method of largest remainders).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Proportional {}

impl Strategy for Proportional {
    fn name(&self) -> &'static str {
        "proportional"
    }

    fn plan(&self, problem: &Problem) -> Result<Plan, PlanError> {
        in_turn(problem, |split| {
            let mut throughputs = Vec::new();
            for (index, unit) in split.units.iter().enumerate() {
                let batch = split.samples().min(unit.capacity);
                let seconds = split.time(index, batch)?.as_secs_f64();
                throughputs.push(f64::from(batch) / seconds.max(1e-9));
            }
            Ok(split.in_waves(&apportion(split.samples(), &throughputs)))
        })
    }
}

/// `total` in whole parts proportional to `weights`, which are positive.
fn apportion(total: u32, weights: &[f64]) -> Vec<u32> {
    let sum: f64 = weights.iter().sum();
    let exact: Vec<f64> = weights.iter().map(|weight| f64::from(total) * weight / sum).collect();
    let mut parts: Vec<u32> = exact.iter().map(|part| (part.floor() as u32).min(total)).collect();
    let mut by_remainder: Vec<usize> = (0..weights.len()).collect();
    by_remainder.sort_by(|&a, &b| exact[b].fract().total_cmp(&exact[a].fract()).then(a.cmp(&b)));
    let mut left = total.saturating_sub(parts.iter().sum());
    for &index in by_remainder.iter().cycle() {
        if left == 0 {
            break;
        }
        parts[index] += 1;
        left -= 1;
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_proportional_and_whole() {
        assert_eq!(apportion(10, &[1.0, 1.0, 2.0]), [3, 2, 5]);
        assert_eq!(apportion(7, &[1e-12, 1.0]), [0, 7]);
        assert_eq!(apportion(1, &[1.0, 1.0]), [1, 0]);
    }
}

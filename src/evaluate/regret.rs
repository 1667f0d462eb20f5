//! What it may cost that profiles are off: the plan that is best by a profile often is one whose times were found too short.

use super::{Evaluated, is_certain};
use crate::engine::simulate;
use crate::plan::CheckedPlan;
use crate::problem::Problem;

/// Draws of costs.
const DRAWS: u64 = 100;

/// Notes with each result how much slower than the best of these plans it is expected to be ([`Outcome::regret`]), if an
/// offline load is run without chance and traces have repeats.
///
/// [`Outcome::regret`]: crate::metrics::Outcome::regret
pub fn note_regrets<E>(problem: &Problem, results: &mut [Result<Evaluated, E>]) {
    let plans: Vec<&CheckedPlan> = results.iter().flatten().map(|result| &result.plan).collect();
    if !is_certain(problem) || plans.is_empty() {
        return;
    }
    let mut sums = vec![0.0; plans.len()];
    for draw in 0..DRAWS {
        let Some(world) = problem.resampled(draw) else { return };
        let times = plans.iter().map(|plan| Some(simulate(&world, plan).ok()?.makespan().as_nanos_f64()));
        let Some(times) = times.collect::<Option<Vec<f64>>>() else { return };
        let best = times.iter().copied().fold(f64::INFINITY, f64::min);
        if best > 0.0 {
            sums.iter_mut().zip(times).for_each(|(sum, time)| *sum += time / best - 1.0);
        }
    }
    for (result, sum) in results.iter_mut().flatten().zip(sums) {
        result.outcome.regret = Some(sum / DRAWS as f64);
    }
}

//! What it may cost that profiles are off: the plan that is best by a profile often is one whose times were found too short.

use rayon::prelude::*;

use super::{Evaluated, is_certain};
use crate::engine::simulate;
use crate::plan::CheckedPlan;
use crate::problem::Problem;

/// Draws of costs, of which none is one that a strategy chooses by.
const DRAWS: std::ops::Range<u64> = 1_000..1_100;

/// Notes with each result how much slower than the best of these plans it is expected to be ([`Outcome::regret`]), if an
/// offline load is run without chance and traces have repeats.
///
/// [`Outcome::regret`]: crate::metrics::Outcome::regret
pub fn note_regrets<E>(problem: &Problem, results: &mut [Result<Evaluated, E>]) {
    let plans: Vec<&CheckedPlan> = results.iter().flatten().map(|result| &result.plan).collect();
    if !is_certain(problem) || plans.len() < 2 {
        return;
    }
    let losses = |draw: u64| {
        let world = problem.resampled(draw)?;
        let nanos = |plan: &&CheckedPlan| Some(simulate(&world, plan).ok()?.makespan().as_nanos_f64());
        let times = plans.iter().map(nanos).collect::<Option<Vec<f64>>>()?;
        let best = times.iter().copied().fold(f64::INFINITY, f64::min);
        (best > 0.0).then(|| times.iter().map(|time| time / best - 1.0).collect::<Vec<f64>>())
    };
    let losses: Vec<Vec<f64>> = DRAWS.into_par_iter().filter_map(losses).collect();
    if losses.is_empty() {
        return;
    }
    for (index, result) in results.iter_mut().flatten().enumerate() {
        result.outcome.regret = Some(losses.iter().map(|of_draw| of_draw[index]).sum::<f64>() / losses.len() as f64);
    }
}

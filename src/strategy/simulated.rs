//! How long plans take in simulation, and whether devices take them.

use crate::engine::simulate;
use crate::plan::room::excesses;
use crate::plan::{Plan, check};
use crate::problem::Problem;
use crate::strategy::PlanError;
use crate::units::Duration;

/// How long `plan` takes, of a problem whose samples are all there at the start; `None` if it breaks a rule.
///
/// # Errors
/// Nobody knows what one of its steps takes.
pub(super) fn simulated(problem: &Problem, plan: &Plan) -> Result<Option<Duration>, PlanError> {
    match check(plan.clone(), problem) {
        Ok(plan) => Ok(Some(simulate(problem, &plan)?.makespan())),
        Err(_) => Ok(None),
    }
}

/// `plan`, if devices accept and hold all of it.
///
/// # Errors
/// They do not.
pub(super) fn accepted(problem: &Problem, plan: Plan) -> Result<Plan, PlanError> {
    match excesses(&plan, problem).into_iter().next() {
        None => Ok(plan),
        Some((_, violation)) => Err(PlanError::Infeasible(violation.to_string())),
    }
}

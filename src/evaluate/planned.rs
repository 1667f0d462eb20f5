//! Asks a strategy once, and keeps all that comes of it.

use super::EvaluateError;
use crate::plan::{CheckedPlan, Plan, check};
use crate::problem::{Ledger, Problem, Profiling, SearchCost};
use crate::strategy::Strategy;
use crate::units::Duration;

/// What a strategy says of a problem, checked.
#[derive(Debug)]
pub struct Planned {
    /// Its plan.
    pub plan: CheckedPlan,
    /// Further ones of which any will do as well, where queries arrive over time.
    pub alternatives: Vec<CheckedPlan>,
    /// The makespan that it expects, if it forecasts one.
    pub expected: Option<Duration>,
    /// What the profiles would take of all that it asked the costs; `None` unless something says what profiling takes.
    pub search: Option<SearchCost>,
}

/// The plan of a strategy for `problem`, from planning once, with its forecast and, if `profiling` says what profiles
/// take, what it asked of the costs.
///
/// # Errors
/// There is no plan, or it breaks rules.
pub fn planned(
    problem: &Problem,
    strategy: &dyn Strategy,
    profiling: Option<&Profiling>,
) -> Result<Planned, EvaluateError> {
    let (proposal, search) = match profiling {
        None => (strategy.propose(problem)?, None),
        Some(profiling) => {
            let (noted, ledger) = Ledger::open(problem);
            let proposal = strategy.propose(&noted)?;
            (proposal, Some(ledger.charge(problem, profiling)))
        }
    };
    let checked = |plan: Plan| check(plan, problem).map_err(EvaluateError::Unsound);
    let expected = proposal.expected.and_then(|expected| expected.makespan(problem));
    let alternatives = proposal.alternatives.into_iter().map(checked).collect::<Result<_, _>>()?;
    Ok(Planned { plan: checked(proposal.plan)?, alternatives, expected, search })
}

//! Turns a case into outcomes: plans, checks and simulates each strategy, and compares it with the baseline and the
//! bound. Nothing is read, written or printed here.

mod error;
mod planned;
mod regret;
mod replicate;
#[cfg(test)]
mod tests;

pub use error::EvaluateError;
pub use planned::{Planned, planned};
pub use regret::note_regrets;
pub use replicate::Replicated;

use replicate::replicate;

use crate::cost::Estimate;
use crate::engine::{estimates, simulate_estimated};
use crate::metrics::Outcome;
use crate::plan::CheckedPlan;
use crate::platform::DeviceId;
use crate::problem::{Load, Problem};
use crate::scenario::{Case, Entry};
use crate::strategy::Single;
use crate::strategy::bound::lower_bound;
use crate::timeline::Timeline;
use crate::units::Duration;

/// A plan that was run, and what came of it.
#[derive(Debug)]
pub struct Evaluated {
    /// Of a load that is served, the plan that was issued first.
    pub plan: CheckedPlan,
    /// The plan, run once.
    pub timeline: Timeline,
    /// By step, what it takes alone.
    pub estimates: Vec<Estimate>,
    /// What the strategy achieved.
    pub outcome: Outcome,
    /// Of a load that is served, or in which chance or faults have a part.
    pub replicated: Option<Replicated>,
}

/// The result of each strategy of a case, in the order of the scenario.
///
/// ```
/// use std::path::Path;
///
/// use coinfer::evaluate::evaluate;
/// use coinfer::scenario::Scenario;
///
/// let scenario = Scenario::read(Path::new("scenarios/kcc2020-vgg16.toml"), &[]).expect("it is sound");
/// for result in evaluate(&scenario.case().expect("it is sound")) {
///     let outcome = result.expect("the strategy has a plan").outcome;
///     println!("{}: {}", outcome.strategy, outcome.makespan);
/// }
/// ```
pub fn evaluate(case: &Case) -> Vec<Result<Evaluated, EvaluateError>> {
    let reference = Reference::of(case);
    let mut results: Vec<_> = case.strategies.iter().map(|entry| reference.evaluate(case, entry)).collect();
    note_regrets(&case.problem, &mut results);
    results
}

/// What the strategies of a case are compared with.
#[derive(Clone, Copy, Debug)]
pub struct Reference {
    bound: Option<Duration>,
    baseline: Option<Duration>,
}

impl Reference {
    /// What strategies of `case` are compared with.
    pub fn of(case: &Case) -> Reference {
        // A bound on times without variation is none on times that vary.
        let is_bounded = case.problem.variation.is_none() && !matches!(case.problem.load, Load::PerModel(_));
        let bound = if is_bounded { lower_bound(&case.problem) } else { None };
        Reference { bound, baseline: baseline(case) }
    }

    /// The result of one strategy of `case`, which plans once for each problem that it is asked about: the offline load, or
    /// each number of samples that is dispatched.
    ///
    /// # Errors
    /// The strategy has no plan, a plan that breaks rules, or one that cannot be run to its end.
    pub fn evaluate(&self, case: &Case, entry: &Entry) -> Result<Evaluated, EvaluateError> {
        let &Reference { bound, baseline } = self;
        let problem = &case.problem;
        if !is_certain(problem) {
            let replicated = replicate(case, entry, baseline, bound)?;
            let plan = replicated.plan.clone();
            let estimates = estimates(problem, &plan)?;
            let timeline = simulate_estimated(problem, &plan, &estimates);
            let outcome = replicated.outcome.clone();
            return Ok(Evaluated { plan, timeline, estimates, outcome, replicated: Some(replicated) });
        }
        let Planned { plan, expected, search, .. } =
            planned(problem, entry.strategy.as_ref(), case.profiling.as_ref())?;
        let (timeline, estimates) = simulated(problem, &plan)?;
        let outcome = Outcome::new(problem, &*entry.name, &plan, &timeline, &estimates, baseline, bound);
        let outcome = Outcome { expected, search, ..outcome };
        Ok(Evaluated { plan, timeline, estimates, outcome, replicated: None })
    }
}

fn simulated(problem: &Problem, plan: &CheckedPlan) -> Result<(Timeline, Vec<Estimate>), EvaluateError> {
    let estimates = estimates(problem, plan)?;
    let timeline = simulate_estimated(problem, plan, &estimates);
    match timeline.makespan() {
        Duration::MAX => Err(EvaluateError::TooLong),
        _ => Ok((timeline, estimates)),
    }
}

/// Whether a plan runs once, in the same way each time.
fn is_certain(problem: &Problem) -> bool {
    matches!(problem.load, Load::Offline { .. }) && problem.variation.is_none() && problem.faults.is_empty()
}

/// What the load takes on the baseline device alone, or on the fastest one if none is named.
fn baseline(case: &Case) -> Option<Duration> {
    let name = |device: DeviceId| case.problem.platform.device(device).name.clone();
    let single = Single { device: case.baseline.device.map(name) };
    if !matches!(case.problem.load, Load::Offline { .. }) {
        return None;
    }
    let mut problem = case.problem.clone();
    if case.baseline.is_at_hand {
        problem.models.iter_mut().for_each(|model| model.home = None);
    }
    if !is_certain(&problem) {
        // In the same world: with its faults, and over the same random draws.
        let entry = Entry { name: "baseline".to_owned(), strategy: Box::new(single) };
        return Some(replicate(&case.about(problem), &entry, None, None).ok()?.outcome.makespan);
    }
    let plan = planned(&problem, &single, None).ok()?.plan;
    Some(simulated(&problem, &plan).ok()?.0.makespan())
}

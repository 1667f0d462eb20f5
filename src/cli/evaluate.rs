//! Plans, checks and simulates every strategy of a case: what `run` does once and `sweep` at every point.

use super::Terminal;
use super::replicate::{Replicated, replicate};
use super::stopwatch::Stopwatch;
use crate::cost::Estimate;
use crate::engine::{estimates, simulate_estimated};
use crate::plan::{CheckedPlan, Plan, check};
use crate::platform::DeviceId;
use crate::problem::{Ledger, Load, Problem, SearchCost};
use crate::report::{Failure, Outcome};
use crate::scenario::{Case, Entry};
use crate::strategy::bound::lower_bound;
use crate::strategy::{Single, Strategy};
use crate::timeline::Timeline;
use crate::units::Duration;

/// A plan that was run, and what came of it.
pub(super) struct Evaluated {
    /// Of a load that is served, the plan that was issued first.
    pub(super) plan: CheckedPlan,
    pub(super) timeline: Timeline,
    pub(super) estimates: Vec<Estimate>,
    pub(super) outcome: Outcome,
    /// Of a load that is served, or in which chance or faults have a part.
    pub(super) replicated: Option<Replicated>,
}

/// Each strategy's result, in the order of the scenario; `terminal` hears how long each took.
pub(super) fn evaluate(case: &Case, terminal: Option<&Terminal>) -> Vec<Result<Evaluated, Failure>> {
    let reference = Reference::of(case);
    case.strategies.iter().map(|entry| reference.evaluate(case, entry, terminal)).collect()
}

/// What strategies are compared with.
pub(super) struct Reference {
    bound: Option<Duration>,
    baseline: Option<Duration>,
}

impl Reference {
    /// What strategies of `case` are compared with.
    pub(super) fn of(case: &Case) -> Reference {
        // A bound on times without variation is none on times that vary.
        let bound = if case.problem.variation.is_none() { lower_bound(&case.problem) } else { None };
        Reference { bound, baseline: baseline(case) }
    }

    /// The result of one strategy of `case`; `terminal` hears how long it took.
    pub(super) fn evaluate(
        &self,
        case: &Case,
        entry: &Entry,
        terminal: Option<&Terminal>,
    ) -> Result<Evaluated, Failure> {
        let &Reference { bound, baseline } = self;
        let watch = Stopwatch::start();
        let result = match is_certain(&case.problem) {
            true => simulated(&case.problem, entry.strategy.as_ref()).map(|(plan, timeline, estimates)| {
                let outcome = Outcome::new(&case.problem, &*entry.name, &plan, &timeline, &estimates, baseline, bound);
                let (expected, search) = foreseen(case, entry.strategy.as_ref());
                let outcome = Outcome { expected, search, ..outcome };
                Evaluated { plan, timeline, estimates, outcome, replicated: None }
            }),
            false => replicate(case, entry, baseline, bound).and_then(|replicated| {
                let plan = replicated.plan.clone();
                let estimates = estimates(&case.problem, &plan).map_err(|error| error.to_string())?;
                let timeline = simulate_estimated(&case.problem, &plan, &estimates);
                let outcome = replicated.outcome.clone();
                Ok(Evaluated { plan, timeline, estimates, outcome, replicated: Some(replicated) })
            }),
        };
        let result = result.map_err(|reason| Failure { strategy: entry.name.clone(), reason });
        if let Some(terminal) = terminal {
            terminal.tell_more(|| format!("{}: planned and simulated in {:.1?}", entry.name, watch.elapsed()));
        }
        result
    }
}

/// The makespan that a strategy expects, and what the profiles would take that it asks for while it plans.
fn foreseen(case: &Case, strategy: &dyn Strategy) -> (Option<Duration>, Option<SearchCost>) {
    let expected = strategy.expects(&case.problem).ok().flatten();
    let search = case.profiling.as_ref().map(|profiling| {
        let (noted, ledger) = Ledger::open(&case.problem);
        // That it plans is known, since it has.
        drop(strategy.plan(&noted));
        ledger.charge(&case.problem, profiling)
    });
    (expected, search)
}

/// The plan of a strategy for `problem`, checked, or why there is none.
pub(super) fn planned(problem: &Problem, strategy: &dyn Strategy) -> Result<CheckedPlan, String> {
    checked(problem, strategy.plan(problem).map_err(|error| error.to_string())?)
}

/// The plan, checked, or which rules it breaks.
pub(super) fn checked(problem: &Problem, plan: Plan) -> Result<CheckedPlan, String> {
    check(plan, problem).map_err(|violations| {
        let messages: Vec<String> = violations.iter().map(ToString::to_string).collect();
        format!("its plan breaks rules: {}", messages.join("; "))
    })
}

fn simulated(problem: &Problem, strategy: &dyn Strategy) -> Result<(CheckedPlan, Timeline, Vec<Estimate>), String> {
    let plan = planned(problem, strategy)?;
    let estimates = estimates(problem, &plan).map_err(|error| error.to_string())?;
    let timeline = simulate_estimated(problem, &plan, &estimates);
    if timeline.makespan() == Duration::MAX {
        return Err("it would take 584 years or more, which is the longest that can be simulated".into());
    }
    Ok((plan, timeline, estimates))
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
    if !is_certain(&case.problem) {
        // In the same world: with its faults, and over the same random draws.
        let entry = Entry { name: "baseline".to_owned(), strategy: Box::new(single) };
        return Some(replicate(case, &entry, None, None).ok()?.outcome.makespan);
    }
    let mut problem = case.problem.clone();
    if case.baseline.is_at_hand {
        problem.models.iter_mut().for_each(|model| model.home = None);
    }
    let (_, timeline, _) = simulated(&problem, &single).ok()?;
    Some(timeline.makespan())
}

//! What holds for every scenario, whatever it says and whichever strategy shares the work.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use coinfer::cost::Estimate;
use coinfer::engine::{estimates, simulate_estimated};
use coinfer::evaluate::{EvaluateError, evaluate};
use coinfer::plan::{CheckedPlan, Lane, Plan, Violation, check};
use coinfer::problem::Problem;
use coinfer::scenario::{Case, Entry};
use coinfer::strategy::PlanError;
use coinfer::strategy::bound::lower_bound;
use coinfer::timeline::Timeline;
use coinfer::units::{Duration, Time};
use toml::Value;

use super::scenario::Written;
use super::{naive, service};
use crate::reference;

/// A rule that a scenario breaks, and how.
#[derive(Debug)]
pub(super) struct Broken {
    pub(super) rule: &'static str,
    pub(super) how: String,
}

/// What was found of scenarios.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// How often strategies came to what.
    pub(super) tally: BTreeMap<String, u32>,
    /// What is wrong.
    pub(super) broken: Vec<Broken>,
    /// Which strategy is looked at.
    strategy: &'static str,
}

const SOUND: &str = "the check accepts every plan of a strategy";
const FITTING: &str = "every plan of a strategy keeps to the limits and the memory of devices";

/// Which of the two is broken.
fn rule_of(found: &[Violation]) -> &'static str {
    let is_too_large = |violation: &Violation| {
        use Violation::{BatchTooLarge, DimensionTooLarge, OutOfMemory, TooManyLoadables};
        matches!(
            violation,
            BatchTooLarge { .. } | DimensionTooLarge { .. } | OutOfMemory { .. } | TooManyLoadables { .. }
        )
    };
    if found.iter().all(is_too_large) { FITTING } else { SOUND }
}

impl Findings {
    fn count(&mut self, what: String) {
        *self.tally.entry(what).or_default() += 1;
    }

    /// Notes that `rule` is broken unless `holds`.
    pub(super) fn demand(&mut self, rule: &'static str, holds: bool, how: impl FnOnce() -> String) {
        if !holds {
            self.broken.push(Broken { rule, how: format!("{}: {}", self.strategy, how()) });
        }
    }

    /// The plan, checked. Notes what is wrong with it otherwise.
    pub(super) fn checked(&mut self, plan: Plan, question: &Problem) -> Result<CheckedPlan, Vec<Violation>> {
        let checked = check(plan, question);
        if let Err(found) = &checked {
            self.demand(rule_of(found), false, || format!("{found:?}"));
        }
        checked
    }

    /// Goes on after a panic, which it notes.
    fn guarded(&mut self, judge: impl FnOnce(&mut Findings)) {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| judge(self))) {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or(panic.downcast_ref::<&str>().map(|&text| text.to_owned()));
            self.demand("nothing panics", false, || text.unwrap_or_default());
        }
    }
}

/// Reads the scenario in `folder`, and holds all rules against it.
pub(super) fn judge(written: &Written, folder: &Path) -> Findings {
    let mut findings = Findings { strategy: "none", ..Findings::default() };
    findings.guarded(|findings| match written.read_in(folder) {
        Ok(scenario) => judge_case(&scenario.case().unwrap(), faster(written, folder).as_ref(), findings),
        Err(faults) => {
            let first = faults.to_string().lines().next().unwrap_or_default().to_owned();
            findings.count(format!("refused: {first}"));
        }
    });
    findings
}

fn judge_case(case: &Case, faster: Option<&Problem>, findings: &mut Findings) {
    let bound = if case.problem.variation.is_none() { lower_bound(&case.problem) } else { None };
    for entry in &case.strategies {
        findings.strategy = entry.strategy.name();
        findings.guarded(|findings| {
            let came_to = judge_strategy(case, entry, bound, faster, findings);
            findings.count(format!("{}: {came_to}", findings.strategy));
        });
    }
    // All that the program does, up to its figures.
    findings.guarded(|findings| {
        for (entry, result) in case.strategies.iter().zip(evaluate(case)) {
            findings.strategy = entry.strategy.name();
            if let Err(EvaluateError::Unsound(found)) = result {
                findings.demand(rule_of(&found), false, || format!("{found:?}"));
            }
        }
    });
}

/// What became of one strategy, in a word.
fn judge_strategy(
    case: &Case,
    entry: &Entry,
    bound: Option<Duration>,
    faster: Option<&Problem>,
    findings: &mut Findings,
) -> &'static str {
    let question = case.problem.offline(case.problem.samples());
    let strategy = entry.strategy.as_ref();
    let proposal = match strategy.propose(&question) {
        Ok(proposal) => proposal,
        Err(PlanError::Infeasible(_)) => return "infeasible",
        Err(PlanError::Unsupported(_)) => return "unsupported",
        Err(PlanError::Uncalibrated(_)) => return "uncalibrated",
    };
    let again = strategy.propose(&question);
    findings.demand("equal input gives equal plans", again.as_ref() == Ok(&proposal), || {
        format!("{proposal:?} and {again:?}")
    });
    let mut first = None;
    for plan in std::iter::once(proposal.plan).chain(proposal.alternatives) {
        let Ok(plan) = findings.checked(plan, &question) else { return "refused" };
        let Ok(times) = estimates(&question, &plan) else { return "uncalibrated" };
        let makespan = judge_plan(&question, &plan, &times, bound, faster, findings);
        first = first.or(Some(makespan));
    }
    match first {
        Some(Duration::MAX) => "too long",
        Some(makespan) => service::judge(case, strategy, makespan, findings),
        None => "nothing",
    }
}

/// All that holds for one plan when nothing varies or breaks; its makespan.
fn judge_plan(
    question: &Problem,
    plan: &CheckedPlan,
    times: &[Estimate],
    bound: Option<Duration>,
    faster: Option<&Problem>,
    findings: &mut Findings,
) -> Duration {
    let timeline = simulate_estimated(question, plan, times);
    let makespan = timeline.makespan();
    findings.demand("a timeline obeys its plan", timeline.obeys(plan, &question.platform), || {
        format!("{plan:?} {timeline:?}")
    });
    let again = simulate_estimated(question, plan, times);
    findings.demand("equal input gives equal timelines", again == timeline, || format!("{timeline:?} {again:?}"));
    if makespan == Duration::MAX {
        return makespan;
    }
    findings.demand("no plan is below its bound", bound.is_none_or(|bound| makespan >= bound), || {
        format!("{makespan} where the bound is {bound:?}")
    });
    check_alone(question, plan, times, &timeline, findings);
    check_engine(question, plan, times, &timeline, findings);
    let flow = naive::flow(question, plan, &timeline, &vec![question.samples(); question.models.len()]);
    findings.demand("what is read is there", flow.is_ok(), || format!("{flow:?}"));
    let room = naive::room(question, plan, &timeline, &[(Time::ZERO, 0..plan.steps.len())]);
    findings.demand("what a device holds fits", room.is_ok(), || format!("{room:?}"));
    if let Some(faster) = faster.filter(|_| !question.contention && timeline.faults.is_empty()) {
        let faster = faster.offline(question.samples());
        if let Ok(plan) = check((**plan).clone(), &faster) {
            let quick = estimates(&faster, &plan).map(|times| simulate_estimated(&faster, &plan, &times).makespan());
            findings.demand(
                "more bandwidth slows no plan",
                quick.as_ref().is_ok_and(|&quick| quick <= makespan),
                || format!("{makespan}, and {quick:?} with twice the bandwidth"),
            );
        }
    }
    makespan
}

/// Nothing takes less time than alone, and a device that computes while no other does takes just that.
fn check_alone(
    question: &Problem,
    plan: &CheckedPlan,
    times: &[Estimate],
    timeline: &Timeline,
    findings: &mut Findings,
) {
    let computes = |step: usize| {
        let lane = plan.steps[step].lane.map(|lane| plan.lane_at(lane));
        matches!(lane, Some(Lane::Compute { .. }))
    };
    let waits = timeline.waits();
    for (step, (span, estimate)) in timeline.spans.iter().zip(times).enumerate() {
        let (took, alone) = (span.duration(), estimate.time + waits[step]);
        findings.demand("contention only slows", took >= alone, || format!("step {step}: {took}, {estimate:?}"));
        let is_beside = |&other: &usize| {
            let that = timeline.spans[other];
            other != step && computes(other) && that.start < span.end && span.start < that.end
        };
        let is_alone = computes(step) && !(0..plan.steps.len()).any(|other| is_beside(&other));
        findings.demand("a lone device is not slowed", !is_alone || took == alone, || {
            format!("step {step} takes {took} instead of {} ({:?})", alone, question.platform.interference)
        });
    }
}

/// The engine agrees with a naive simulation, but for roundings.
fn check_engine(
    question: &Problem,
    plan: &CheckedPlan,
    times: &[Estimate],
    timeline: &Timeline,
    findings: &mut Findings,
) {
    let is_known = question.platform.devices.iter().all(|device| device.traffic.is_some());
    if question.contention && question.platform.contended_memories().next().is_some() && !is_known {
        return; // the naive simulation does not know what steps move
    }
    let nanos: Vec<u64> = times.iter().map(|estimate| estimate.time.as_nanos()).collect();
    let waits: Vec<u64> = timeline.waits().iter().map(|wait| wait.as_nanos()).collect();
    let naive = reference::simulate_paged(question, plan, &nanos, &waits);
    let error = |span: &coinfer::timeline::Span, naive: &(u64, u64)| {
        span.start.as_nanos().abs_diff(naive.0).max(span.end.as_nanos().abs_diff(naive.1))
    };
    let worst = timeline.spans.iter().zip(&naive).map(|(span, naive)| error(span, naive)).max().unwrap_or(0);
    // Rates are computed in another order there, so that times are rounded in other ways.
    let slack = plan.steps.len() as u64 + timeline.makespan().as_nanos() / 1_000_000_000;
    findings.demand("the engine agrees with a naive simulation", worst <= slack, || {
        format!("{:?} instead of {naive:?}", timeline.spans)
    });
}

/// The same with links of twice the bandwidth, where nothing else bounds what they carry.
fn faster(written: &Written, folder: &Path) -> Option<Problem> {
    let mut written = written.clone();
    if written.table.contains_key("nics") {
        return None;
    }
    for link in written.table.get_mut("links")?.as_array_mut()? {
        let bandwidth = link.get_mut("bandwidth")?;
        let (rate, unit) = bandwidth.as_str()?.split_once(' ')?;
        *bandwidth = Value::String(format!("{} {unit}", 2.0 * rate.parse::<f64>().ok()?));
    }
    Some(written.read_in(folder).ok()?.case().ok()?.problem)
}

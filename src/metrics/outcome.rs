//! What one strategy achieved on one problem, or why it has nothing to show.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::replication::{MovedPages, Used, use_of_plan};
use super::service::{interval, queries_per_second};
use super::{Chance, QueryFigures, Replication, Service};
use crate::cost::{Basis, Estimate};
use crate::model::{Graph, ModelId, Segment, count_samples};
use crate::plan::{Action, CheckedPlan, Lane, Step, StepId};
use crate::platform::DeviceId;
use crate::problem::{Load, Problem, SearchCost, Tenant};
use crate::timeline::Timeline;
use crate::units::{Duration, Time};

/// What one strategy achieved on one problem. Every float is finite.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// The strategy's name.
    pub strategy: String,
    /// Time from the first start to the last end.
    pub makespan: Duration,
    /// Samples that the plan covers, over all models.
    pub samples: u32,
    /// Samples per second of the makespan; 0 if nothing took time.
    pub samples_per_s: f64,
    /// The baseline's makespan over this one; `None` without a baseline or if nothing took time.
    pub speedup: Option<f64>,
    /// A time that no plan can beat, if one is known.
    pub lower_bound: Option<Duration>,
    /// How far the makespan is above the lower bound, as a fraction of the bound.
    pub gap: Option<f64>,
    /// By how much the plan is expected to be slower than the best one beside it, as a fraction of that, since profiles are
    /// off; `None` where repeats do not say by how much, or it was not asked for.
    #[serde(default)]
    pub regret: Option<f64>,
    /// Share of the steps' isolated time that was measured, from 0 to 1.
    pub measured_share: f64,
    /// The worst basis among the steps' estimates.
    pub basis: Basis,
    /// Samples that each device began, for every device in the platform's order.
    pub split: Vec<(String, u32)>,
    /// Time from the first start until each device ended its last step, in the same order. `None` if it ran none.
    pub finish: Vec<(String, Option<Duration>)>,
    /// Number of steps.
    pub steps: usize,
    /// By device, the part of the time that it computed, in the same order.
    pub utilisation: Vec<(String, f64)>,
    /// Joules that the run took; `None` where nothing says what devices draw.
    pub energy_j: Option<f64>,
    /// What steps found missing in memories that page; `None` if none does.
    #[serde(default)]
    pub pages: Option<MovedPages>,
    /// What chance did; `None` if nothing varies.
    pub chance: Option<Chance>,
    /// How queries were served; `None` for an offline load.
    pub service: Option<Service>,
    /// How the queries of each network were served, where networks have loads of their own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<(String, Service)>,
    /// The makespan that the strategy itself expected, if it forecasts one.
    pub expected: Option<Duration>,
    /// What the profiles would take that the strategy needs to plan; `None` where nothing says what profiling takes.
    pub search: Option<SearchCost>,
    /// The longest recovery from a fault, averaged over replications; `None` if nothing broke, or a run did not recover.
    pub recovery: Option<Duration>,
}

/// Why a strategy has no outcome.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The strategy's name.
    pub strategy: String,
    /// The reason, for the user.
    pub reason: String,
}

impl Failure {
    /// That `strategy` failed for such a reason.
    pub fn new(strategy: &str, reason: &impl ToString) -> Failure {
        Failure { strategy: strategy.to_owned(), reason: reason.to_string() }
    }
}

impl Outcome {
    /// The outcome of `plan` as `timeline` shows it. `estimates` has the isolated time of each step.
    pub fn new(
        problem: &Problem,
        strategy: impl Into<String>,
        plan: &CheckedPlan,
        timeline: &Timeline,
        estimates: &[Estimate],
        baseline: Option<Duration>,
        lower_bound: Option<Duration>,
    ) -> Outcome {
        let makespan = timeline.makespan();
        let samples = problem.samples().saturating_mul(problem.models.len() as u32);
        let basis = estimates.iter().map(|estimate| estimate.basis).max();
        let basis = basis.unwrap_or(Basis::Measured);
        let Used { utilisation, energy, pages } = use_of_plan(problem, plan, timeline);
        Outcome {
            strategy: strategy.into(),
            makespan,
            samples,
            samples_per_s: if makespan > Duration::ZERO { f64::from(samples) / makespan.as_secs_f64() } else { 0.0 },
            speedup: baseline.and_then(|baseline| ratio(baseline, makespan)),
            lower_bound,
            gap: lower_bound.and_then(|bound| ratio(makespan, bound)).map(|ratio| ratio - 1.0),
            regret: None,
            measured_share: measured_share(estimates).unwrap_or(f64::from(u8::from(basis == Basis::Measured))),
            basis,
            split: split(problem, plan, |_| true),
            finish: finish(problem, plan, timeline),
            steps: plan.steps.len(),
            utilisation: named(problem, utilisation),
            energy_j: energy,
            pages,
            chance: None,
            service: None,
            networks: Vec::new(),
            expected: None,
            search: None,
            recovery: None,
        }
    }

    /// The outcome of all replications of a load that is served.
    ///
    /// # Panics
    /// If there is no replication.
    pub fn of_replications(
        problem: &Problem,
        strategy: impl Into<String>,
        replications: &[Replication],
        missed: Vec<String>,
        baseline: Option<Duration>,
        lower_bound: Option<Duration>,
    ) -> Outcome {
        let mean = |figure: &dyn Fn(&Replication) -> f64| {
            replications.iter().map(figure).sum::<f64>() / replications.len() as f64
        };
        let first = replications.first().expect("there is a replication");
        let makespan_ms = mean(&|replication| replication.makespan.as_millis_f64());
        let makespan = Duration::from_millis_f64(makespan_ms);
        let is_offline = matches!(problem.load, Load::Offline { .. });
        let (baseline, lower_bound) = if is_offline { (baseline, lower_bound) } else { (None, None) };
        let devices = 0..problem.platform.devices.len();
        let recovered = replications.iter().all(|replication| replication.unrecovered == 0);
        // Where networks have loads of their own, a query is of one of them.
        let networks = if matches!(problem.load, Load::PerModel(_)) { 1 } else { problem.models.len() as u64 };
        let samples = problem.load.samples_in_all().saturating_mul(networks);
        let samples_each = samples as f64 / f64::from(problem.load.queries().max(1));
        let all: Vec<&QueryFigures> = replications.iter().map(|replication| &replication.queries).collect();
        let service_of = |(index, tenant): (usize, &Tenant)| {
            let runs: Vec<&QueryFigures> =
                replications.iter().map(|replication| &replication.networks[index]).collect();
            (problem.model(tenant.model).graph.name().to_owned(), Service::of(&runs))
        };
        let networks = match &problem.load {
            Load::PerModel(tenants) => tenants.iter().enumerate().map(service_of).collect(),
            _ => Vec::new(),
        };
        let makespans: Vec<f64> = replications.iter().map(|replication| replication.makespan.as_millis_f64()).collect();
        Outcome {
            strategy: strategy.into(),
            makespan,
            samples: u32::try_from(samples).unwrap_or(u32::MAX),
            samples_per_s: queries_per_second(&all).mean * samples_each,
            speedup: baseline.and_then(|baseline| ratio(baseline, makespan)),
            lower_bound,
            gap: lower_bound.and_then(|bound| ratio(makespan, bound)).map(|ratio| ratio - 1.0),
            regret: None,
            measured_share: first.measured_share,
            basis: first.basis,
            split: first.split.clone(),
            finish: first.split.iter().map(|(device, _)| (device.clone(), None)).collect(),
            steps: first.steps,
            utilisation: named(problem, devices.map(|device| mean(&|replication| replication.utilisation[device]))),
            energy_j: first.energy.map(|_| mean(&|replication| replication.energy.unwrap_or(0.0))),
            pages: MovedPages::mean(replications.iter().filter_map(|replication| replication.pages)),
            chance: (replications.len() > 1).then(|| Chance {
                replications: replications.len() as u32,
                makespan_ms: interval(&makespans),
                missed,
            }),
            service: (!is_offline).then(|| Service::of(&all)),
            networks,
            expected: None,
            search: None,
            recovery: first.recovery.filter(|_| recovered).map(|_| {
                let longest = |replication: &Replication| replication.recovery.unwrap_or_default().as_millis_f64();
                Duration::from_millis_f64(mean(&longest))
            }),
        }
    }
}

/// A figure for every device.
fn named(problem: &Problem, figures: impl IntoIterator<Item = f64>) -> Vec<(String, f64)> {
    problem.platform.devices.iter().map(|device| device.name.clone()).zip(figures).collect()
}

/// `None` unless both are positive.
fn ratio(numerator: Duration, denominator: Duration) -> Option<f64> {
    let is_known = numerator > Duration::ZERO && denominator > Duration::ZERO;
    is_known.then(|| numerator.as_nanos_f64() / denominator.as_nanos_f64())
}

/// `None` if no step takes time.
fn measured_share(estimates: &[Estimate]) -> Option<f64> {
    let nanos = |estimate: &Estimate| u128::from(estimate.time.as_nanos());
    let all: u128 = estimates.iter().map(nanos).sum();
    let measured = estimates.iter().filter(|estimate| estimate.basis == Basis::Measured);
    let measured: u128 = measured.map(nanos).sum();
    (all > 0).then(|| measured as f64 / all as f64)
}

/// Samples of each model whose inputs each device read, wholly or in part, in the steps that `has_run`: where a network is
/// cut, those that begin there.
pub(super) fn split(problem: &Problem, plan: &CheckedPlan, has_run: impl Fn(StepId) -> bool) -> Vec<(String, u32)> {
    let mut parts: Vec<Vec<(ModelId, Range<u32>)>> = vec![Vec::new(); problem.platform.devices.len()];
    for step in plan.step_ids().filter(|step| has_run(*step)).map(|step| plan.step_at(step)) {
        if let (Action::Compute(work), Some(device)) = (&step.action, device_of(plan, step))
            && reads_inputs(&problem.model(work.model).graph, &work.segment)
        {
            parts[device.0 as usize].push((work.model, work.region.samples.clone()));
        }
    }
    let devices = problem.platform.devices.iter().zip(parts);
    devices.map(|(device, parts)| (device.name.clone(), count_samples(parts))).collect()
}

fn reads_inputs(graph: &Graph, segment: &Segment) -> bool {
    segment.layers().flat_map(|layer| &graph.layer(layer).inputs).any(|&input| graph.is_input(input))
}

/// The device that runs `step`; `None` for joins and transfers.
fn device_of(plan: &CheckedPlan, step: &Step) -> Option<DeviceId> {
    match *plan.lane_at(step.lane?) {
        Lane::Compute { device, .. } => Some(device),
        Lane::Link(_) => None,
    }
}

fn finish(problem: &Problem, plan: &CheckedPlan, timeline: &Timeline) -> Vec<(String, Option<Duration>)> {
    let start = timeline.spans.iter().map(|span| span.start).min().unwrap_or_default();
    let mut ends: Vec<Option<Time>> = vec![None; problem.platform.devices.len()];
    for (step, span) in plan.steps.iter().zip(&timeline.spans) {
        if let Some(device) = device_of(plan, step) {
            let end = &mut ends[device.0 as usize];
            *end = (*end).max(Some(span.end));
        }
    }
    let devices = problem.platform.devices.iter().zip(ends);
    devices.map(|(device, end)| (device.name.clone(), end.map(|end| end - start))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::example::{self, Part};

    fn outcome(parts: &[Part], baseline: Option<Duration>, bound: Option<Duration>) -> Outcome {
        let run = example::run(parts);
        Outcome::new(&run.problem, "hand", &run.plan, &run.timeline, &run.estimates, baseline, bound)
    }

    fn split(parts: &[Part]) -> Vec<u32> {
        let outcome = outcome(parts, None, None);
        outcome.split.into_iter().map(|(_, samples)| samples).collect()
    }

    #[test]
    fn a_device_that_computes_nothing_is_in_the_split_and_has_no_finish() {
        let outcome = outcome(&[(0, 0..6, 0..8), (2, 6..10, 0..8)], None, None);
        let split = [("cpu".into(), 6), ("igpu".into(), 0), ("gpu".into(), 4)];
        assert_eq!(outcome.split, split);
        let ms = |ms: u64| Some(Duration::from_nanos(ms * 1_000_000));
        assert_eq!(outcome.finish, [("cpu".into(), ms(18)), ("igpu".into(), None), ("gpu".into(), ms(4))]);
    }

    #[test]
    fn samples_split_by_rows_count_once_for_each_device() {
        let parts = [(0, 0..10, 0..2), (0, 0..10, 2..4), (1, 0..7, 4..8), (2, 7..9, 4..8), (2, 9..10, 4..8)];
        assert_eq!(split(&parts), [10, 7, 3]);
    }

    #[test]
    fn rates_and_ratios_follow_from_the_makespan() {
        let ms = |ms: u64| Some(Duration::from_nanos(ms * 1_000_000));
        let outcome = outcome(&[(0, 0..6, 0..8), (2, 6..10, 0..8)], ms(36), ms(12));
        assert_eq!(outcome.makespan, ms(18).unwrap());
        assert_eq!(outcome.samples_per_s, 10.0 / 0.018);
        assert_eq!((outcome.speedup, outcome.gap), (Some(2.0), Some(0.5)));
        assert_eq!((outcome.measured_share, outcome.basis), (18.0 / 23.0, Basis::Modelled));
    }

    #[test]
    fn a_run_that_takes_no_time_has_only_finite_numbers() {
        let run = example::run(&[(0, 0..10, 0..8)]);
        let still = Timeline { spans: vec![Default::default(); run.timeline.spans.len()], ..run.timeline };
        let zero = Some(Duration::ZERO);
        let outcome = Outcome::new(&run.problem, "hand", &run.plan, &still, &[], zero, zero);
        assert_eq!((outcome.samples_per_s, outcome.speedup, outcome.gap), (0.0, None, None));
        assert_eq!(outcome.measured_share, 1.0);
    }
}

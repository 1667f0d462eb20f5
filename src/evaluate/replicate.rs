//! Serves the load of a case with one strategy, as often as its figures need.

use std::collections::BTreeMap;
use std::collections::btree_map;
use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;

use super::{EvaluateError, Planned, planned};
use crate::cost::Estimate;
use crate::engine::{Query, Question, ServeError, Served, Streams, estimates, serve};
use crate::metrics::{CommonWarmUp, Outcome, Replication, WarmUpEnd};
use crate::model::ModelId;
use crate::plan::{CheckedPlan, Plan};
use crate::problem::{Load, Problem, WarmUpRule};
use crate::scenario::{Case, Entry};
use crate::statistics::{Histogram, Interval, Pooled, Progress, Replications, StopRule, Target};
use crate::strategy::Strategy;
use crate::timeline::Timeline;
use crate::units::{Duration, Time};

/// All replications of a load.
#[derive(Debug)]
pub struct Replicated {
    /// What the strategy achieved.
    pub outcome: Outcome,
    /// The plan that was issued first.
    pub plan: CheckedPlan,
    /// The beginning of the first replication as one plan, with its timeline and what each step takes alone.
    pub recorded: (Plan, Timeline, Vec<Estimate>),
    /// The queries of the first replication; empty for an offline load.
    pub queries: Vec<Query>,
    /// The latencies of all replications.
    pub latencies: Histogram,
    /// By replication, what strategies are compared by in milliseconds: the mean latency, or the makespan of an offline
    /// load.
    pub compared: Vec<f64>,
}

/// Steps of the first replication that are kept to be looked at.
const RECORDED_MAX: usize = 10_000;
/// Replications at a time: of each there is a histogram.
const CHUNK: u32 = 16;

/// The replications of one strategy.
pub(super) fn replicate(
    case: &Case,
    entry: &Entry,
    baseline: Option<Duration>,
    bound: Option<Duration>,
) -> Result<Replicated, EvaluateError> {
    let problem = &case.problem;
    let is_offline = matches!(problem.load, Load::Offline { .. });
    let mut replications = Vec::new();
    let mut first: Option<Served> = None;
    let plans = Plans { case, strategy: entry.strategy.as_ref(), known: Mutex::default() };
    let mut missed = Vec::new();
    let warm_up = match case.replications.warm_up {
        WarmUpRule::None => WarmUpEnd::Start,
        WarmUpRule::Fixed(time) => WarmUpEnd::At(Time::ZERO + time),
        WarmUpRule::Mser5 => {
            let count = if problem.is_random() { case.replications.min } else { 1 };
            let mut common = CommonWarmUp::default();
            for index in 0..count {
                common.add(&plans.serve(index)?);
            }
            let (end, is_steady) = common.end();
            if !is_steady {
                missed.push("it never becomes steady: more arrives than is done, or the run is too short".to_owned());
            }
            end
        }
    };
    let run = |index: u32| -> Result<(Replication, Served), EvaluateError> {
        let served = plans.serve(index)?;
        let figures = Replication::of(problem, &served, warm_up)?;
        if figures.queries.latencies.is_empty() && figures.queries.completed > 0 {
            return Err(EvaluateError::WarmUp { lasted: figures.makespan });
        }
        Ok((figures, served))
    };
    let compared = |replication: &Replication| match is_offline {
        true => replication.makespan.as_millis_f64(),
        false => replication.queries.latency_mean,
    };
    if problem.is_random() {
        let (rule, mut tallies) = stop_rule(case, is_offline);
        let mut progress = Replications::new(rule);
        while let Progress::Needs(more) = progress.progress() {
            let from = progress.count();
            // The first runs before the others, which then find its plans.
            let count = if from == 0 { 1 } else { more.min(CHUNK) };
            let runs: Vec<_> = (from..from + count)
                .into_par_iter()
                // Of all but the first, nothing but the figures is kept.
                .map(|index| run(index).map(|(figures, served)| (figures, (index == 0).then_some(served))))
                .collect();
            for run in runs {
                // What comes after the decision is left out.
                if !progress.needs_more() {
                    break;
                }
                let (replication, served) = run?;
                progress.push(&tallies.iter_mut().map(|tally| tally.add(&replication)).collect::<Vec<_>>());
                first = first.or(served);
                replications.push(replication);
            }
        }
        if let Progress::Exhausted(targets) = progress.progress() {
            missed.extend(targets.iter().map(ToString::to_string));
        }
    } else {
        let (replication, served) = run(0)?;
        replications.push(replication);
        first = Some(served);
    }
    let first = first.expect("there is a replication");
    let Some(issue) = first.issues.first() else {
        return Err(EvaluateError::AllDropped);
    };
    let mut latencies = Histogram::new();
    replications.iter().for_each(|replication| latencies.merge(&replication.queries.latencies));
    Ok(Replicated {
        outcome: Outcome::of_replications(problem, &*entry.name, &replications, missed, baseline, bound),
        plan: first.plans[issue.plan as usize].clone(),
        recorded: recorded(problem, &first)?,
        queries: if is_offline { Vec::new() } else { first.queries },
        latencies,
        compared: replications.iter().map(compared).collect(),
    })
}

/// Level of confidence of all intervals.
const LEVEL: f64 = 0.95;

/// What replications say of a figure so far.
enum Tally {
    Mean(fn(&Replication) -> f64, Vec<f64>),
    /// A percentile of latencies, as a share.
    Percentile(f64, Pooled),
}

impl Tally {
    /// How sure the figure is with one more replication.
    fn add(&mut self, replication: &Replication) -> f64 {
        match self {
            Tally::Mean(figure, values) => {
                values.push(figure(replication));
                Interval::of(values, LEVEL).map_or(f64::INFINITY, |interval| interval.relative())
            }
            Tally::Percentile(share, latencies) => {
                latencies.add(&replication.queries.latencies);
                latencies.percentile(*share, LEVEL).map_or(f64::NAN, |percentile| percentile.relative())
            }
        }
    }
}

/// What must be how sure, and the figures that this is about.
fn stop_rule(case: &Case, is_offline: bool) -> (StopRule, Vec<Tally>) {
    let asked = &case.replications;
    let (mut targets, mut tallies): (Vec<Target>, Vec<Tally>) = (Vec::new(), Vec::new());
    let mut add = |name: &str, relative_max: Option<f64>, tally: Tally| {
        if let Some(relative_max) = relative_max {
            targets.push(Target { name: name.to_owned(), relative_max });
            tallies.push(tally);
        }
    };
    let mean = |figure: fn(&Replication) -> f64| Tally::Mean(figure, Vec::new());
    match is_offline {
        true => add("the makespan", asked.mean_error, mean(|replication| replication.makespan.as_millis_f64())),
        false => {
            add("the mean latency", asked.mean_error, mean(|replication| replication.queries.latency_mean));
            add("the 99th percentile", asked.p99_error, Tally::Percentile(0.99, Pooled::default()));
        }
    }
    (StopRule { replications_min: asked.min, replications_max: asked.max, targets }, tallies)
}

/// The beginning of a replication as one plan.
fn recorded(problem: &Problem, served: &Served) -> Result<(Plan, Timeline, Vec<Estimate>), EvaluateError> {
    let (plan, timeline, origins) = served.recorded(RECORDED_MAX);
    let mut known: BTreeMap<u32, Vec<Estimate>> = BTreeMap::new();
    let mut of_steps = Vec::with_capacity(origins.len());
    for (index, step) in origins {
        let of_plan = match known.entry(index) {
            btree_map::Entry::Occupied(known) => known.into_mut(),
            btree_map::Entry::Vacant(new) => new.insert(estimates(problem, &served.plans[index as usize])?),
        };
        of_steps.push(of_plan[step.0 as usize]);
    }
    Ok((plan, timeline, of_steps))
}

/// The plans of a strategy, shared by all replications.
struct Plans<'a> {
    case: &'a Case,
    strategy: &'a dyn Strategy,
    /// By network and number of samples, or why there are none.
    known: Mutex<BTreeMap<(Option<ModelId>, u32), Answer>>,
}

/// Plans for a question, or why there are none.
type Answer = Result<Vec<CheckedPlan>, String>;

impl Plans<'_> {
    fn serve(&self, index: u32) -> Result<Served, ServeError> {
        serve(&self.case.problem, &mut |question| self.plans(question), &Streams::new(self.case.seed, index))
    }

    fn plans(&self, question: &Question) -> Result<Vec<CheckedPlan>, String> {
        // Under a fault, costs are others.
        if question.is_degraded {
            return self.make(&question.problem);
        }
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (question.model, question.problem.samples());
        if let Some(plans) = known().get(&key).cloned() {
            return plans;
        }
        // Not under the lock: a strategy may share its work among the threads that run replications, which take it too.
        let plans = self.make(&question.problem);
        known().entry(key).or_insert(plans).clone()
    }

    fn make(&self, question: &Problem) -> Result<Vec<CheckedPlan>, String> {
        let Planned { plan, alternatives, .. } =
            planned(question, self.strategy, None).map_err(|error| error.to_string())?;
        Ok([vec![plan], alternatives].concat())
    }
}

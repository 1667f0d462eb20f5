//! What replays say of predictions: errors of steps and makespans, the ranking of strategies, and a verdict.

use serde::Serialize;

use crate::cost::Errors;
use crate::cost::statistics::{kendall_tau, quantile};
use crate::plan::{Action, CheckedPlan};
use crate::replay::Round;
use crate::timeline::Timeline;
use crate::units::Duration;

/// The rounds of one plan beside their predictions.
#[derive(Clone, Debug)]
pub struct Replayed {
    /// The strategy's name.
    pub strategy: String,
    /// As the traces say.
    pub predicted: Timeline,
    /// Each round, with what the traces say if devices are as fast as they were just before it.
    pub rounds: Vec<(Round, Timeline)>,
    /// The largest difference of the outputs from those of a single device, over their magnitude; `None` if the
    /// backend computes nothing.
    pub difference: Option<f64>,
}

/// How far the prediction for one plan was off.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// The strategy's name.
    pub strategy: String,
    /// The makespan that the traces predict, in milliseconds.
    pub predicted_ms: f64,
    /// The median of the makespans that they predict for the speed of the devices just before each round.
    pub recalibrated_ms: f64,
    /// The median of the measured makespans.
    pub measured_ms: f64,
    /// The shortest.
    pub measured_ms_min: f64,
    /// The longest.
    pub measured_ms_max: f64,
    /// Rounds.
    pub rounds: usize,
    /// The median over rounds of `recalibrated / measured - 1`.
    pub error: f64,
    /// `predicted / measured - 1`.
    pub error_as_profiled: f64,
    /// Errors of the steps that compute, over all rounds; `None` if none does.
    pub steps: Option<Errors>,
    /// The median over steps that compute of their span over the time that the hardware was busy: 1 if nothing else
    /// ran on their cores.
    pub isolation: f64,
    /// See [`Replayed::difference`].
    pub difference: Option<f64>,
}

/// All plans of a run, and whether the predictions hold.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Replay {
    /// The scenario's name.
    pub scenario: String,
    /// What the plans ran on.
    pub backend: String,
    /// The runtime that executed them.
    pub runtime: String,
    /// Whether real hardware computed.
    pub is_real: bool,
    /// Devices that are slowed on purpose.
    pub emulated: Vec<String>,
    /// By strategy.
    pub comparisons: Vec<Comparison>,
    /// Rank correlation of predicted and measured makespans (Kendall's tau-b); `None` for less than two strategies.
    pub kendall_tau: Option<f64>,
    /// What else a reader should know.
    pub notes: Vec<String>,
    /// The largest error of a makespan that passes.
    pub tolerance: f64,
    /// Why the predictions do not hold, or cannot be judged. They hold if there is nothing.
    pub objections: Vec<String>,
}

/// The largest relative difference of outputs that rounding explains.
pub(super) const DIFFERENCE_MAX: f64 = 1e-4;
/// Above this, other programs took part of the cores' time.
pub(super) const ISOLATION_MAX: f64 = 1.05;
/// Shorter steps tell nothing of isolation.
const STEP_NANOS_MIN: u64 = 1_000_000;

impl Comparison {
    /// Of a plan that was replayed at least once.
    ///
    /// # Panics
    /// If there is no round.
    pub fn new(plan: &CheckedPlan, replayed: &Replayed) -> Comparison {
        let millis = |timeline: &Timeline| timeline.makespan().as_millis_f64();
        let measured = sorted(replayed.rounds.iter().map(|(round, _)| millis(&round.timeline)));
        let recalibrated = sorted(replayed.rounds.iter().map(|(_, predicted)| millis(predicted)));
        let error = |(round, predicted): &(Round, Timeline)| relative(millis(predicted), millis(&round.timeline));
        let computing = || plan.step_ids().filter(|&step| matches!(plan.step_at(step).action, Action::Compute(_)));
        let steps = replayed.rounds.iter().flat_map(|(round, predicted)| {
            let duration = |timeline: &Timeline, step| timeline.span(step).duration().as_millis_f64();
            computing().map(move |step| relative(duration(predicted, step), duration(&round.timeline, step)))
        });
        let isolation = sorted(replayed.rounds.iter().flat_map(|(round, _)| {
            let is_long = move |step: &crate::plan::StepId| {
                round.timeline.span(*step).duration() >= Duration::from_nanos(STEP_NANOS_MIN)
            };
            computing().filter(is_long).map(|step| {
                let busy = round.busy[step.0 as usize].as_nanos_f64();
                round.timeline.span(step).duration().as_nanos_f64() / busy.max(1.0)
            })
        }));
        let predicted_ms = millis(&replayed.predicted);
        let measured_ms = quantile(&measured, 0.5);
        Comparison {
            strategy: replayed.strategy.clone(),
            predicted_ms,
            recalibrated_ms: quantile(&recalibrated, 0.5),
            measured_ms,
            measured_ms_min: measured[0],
            measured_ms_max: measured[measured.len() - 1],
            rounds: replayed.rounds.len(),
            error: quantile(&sorted(replayed.rounds.iter().map(error)), 0.5),
            error_as_profiled: relative(predicted_ms, measured_ms),
            steps: Errors::of(steps),
            isolation: if isolation.is_empty() { 1.0 } else { quantile(&isolation, 0.5) },
            difference: replayed.difference,
        }
    }
}

impl Replay {
    /// The replay with its verdict: what speaks against each comparison is added to the objections.
    pub fn judged(mut self) -> Replay {
        if !self.is_real {
            self.objections.push("no hardware took part".into());
        }
        let found = self.comparisons.iter().filter_map(|comparison| comparison.objection(self.tolerance));
        self.objections.extend(found.collect::<Vec<_>>());
        let makespans = |comparison: &Comparison| (comparison.recalibrated_ms, comparison.measured_ms);
        self.kendall_tau = kendall_tau(&self.comparisons.iter().map(makespans).collect::<Vec<_>>());
        self
    }

    /// Whether the predictions hold.
    pub fn is_valid(&self) -> bool {
        self.objections.is_empty()
    }
}

impl Comparison {
    /// Why this plan does not confirm its prediction.
    fn objection(&self, tolerance: f64) -> Option<String> {
        let Comparison { strategy, isolation, error, .. } = self;
        let percent = |fraction: f64| fraction * 100.0;
        if let Some(difference) =
            self.difference.filter(|&difference| difference.is_nan() || difference > DIFFERENCE_MAX)
        {
            return Some(format!("{strategy}: outputs differ from a single device's by {difference:.1e}"));
        }
        if *isolation > ISOLATION_MAX {
            return Some(format!("{strategy}: not isolated, steps took {isolation:.2} times their computing time"));
        }
        (error.abs() > tolerance).then(|| {
            format!(
                "{strategy}: the makespan is off by {:+.1} %, more than {:.1} %",
                percent(*error),
                percent(tolerance)
            )
        })
    }
}

/// `predicted / measured - 1`, or 0 if nothing took time.
fn relative(predicted: f64, measured: f64) -> f64 {
    if measured > 0.0 { predicted / measured - 1.0 } else { 0.0 }
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

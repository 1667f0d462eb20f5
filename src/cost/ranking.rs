//! Whether predictions tell good plans from bad ones.

use std::collections::BTreeSet;

use serde::Serialize;

use super::validation::{Scheme, SeriesValidation};
use crate::statistics::{kendall_tau, mean};

/// How well the plans of a network are ranked.
///
/// Plans are splits of a profiled batch over at most three devices, each part a batch inside the profiled range of
/// its device; the makespan is that of the slowest device. Each part is predicted without its measurement. Of more
/// than 300 plans of a batch, 300 evenly spread ones count, and of more than eight devices the first eight.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Ranking {
    /// The network, as the trace calls it.
    pub model: String,
    /// Whether the tables of all its devices can be trusted.
    pub is_predictable: bool,
    /// A choice among plans for each batch that has three plans or more.
    pub choices: Vec<Choice>,
}

/// Predicted and measured order of the plans of one batch.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Choice {
    /// Samples that are split.
    pub batch: u32,
    /// Plans that were compared.
    pub plans: usize,
    /// Kendall's tau-b of predicted and measured makespans; `None` if those of a side are all equal.
    pub tau: Option<f64>,
    /// How much longer the plan that is best by prediction takes than the best plan, both as measured.
    pub regret: f64,
}

/// What several choices come to.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct RankingSummary {
    /// Choices among plans.
    pub choices: usize,
    /// Plans that were compared.
    pub plans: usize,
    /// Mean of Kendall's tau-b.
    pub tau: Option<f64>,
    /// Mean regret of the plan that is best by prediction.
    pub regret: f64,
    /// Largest regret.
    pub regret_max: f64,
}

impl RankingSummary {
    /// Of these choices; `None` if there are none.
    pub fn of<'a>(choices: impl IntoIterator<Item = &'a Choice>) -> Option<RankingSummary> {
        let choices: Vec<&Choice> = choices.into_iter().collect();
        let regrets: Vec<f64> = choices.iter().map(|choice| choice.regret).collect();
        let taus: Vec<f64> = choices.iter().filter_map(|choice| choice.tau).collect();
        Some(RankingSummary {
            choices: choices.len(),
            plans: choices.iter().map(|choice| choice.plans).sum(),
            tau: mean(&taus),
            regret: mean(&regrets)?,
            regret_max: regrets.into_iter().fold(0.0, f64::max),
        })
    }
}

const PLANS_MIN: usize = 3;
const PLANS_MAX: usize = 300;
const BUSY_MAX: usize = 3;
const DEVICES_MAX: usize = 8;

/// One device's share of a plan.
#[derive(Clone, Copy)]
struct SplitPart {
    batch: u32,
    predicted_ms: f64,
    measured_ms: f64,
}

/// A plan's makespans, predicted and measured.
type Makespans = (f64, f64);

/// The rankings of all networks that two devices or more have parts for, in the order of first appearance.
pub(super) fn rank_plans(validated: &[SeriesValidation]) -> Vec<Ranking> {
    let whole = || validated.iter().filter(|series| series.layer.is_none());
    let mut seen = BTreeSet::new();
    let models = whole().map(|series| series.model.as_str()).filter(|&model| seen.insert(model));
    let ranking = |model: &str| {
        let of_model = whole().filter(|series| series.model == model).take(DEVICES_MAX);
        let of_model: Vec<&SeriesValidation> = of_model.collect();
        let devices: Vec<Vec<SplitPart>> = of_model.iter().map(|series| parts(series)).collect();
        let batches: BTreeSet<u32> =
            of_model.iter().flat_map(|series| series.predictions.iter().map(|prediction| prediction.batch)).collect();
        let choices = batches.into_iter().filter_map(|batch| choose(&devices, batch)).collect();
        let is_predictable = of_model.iter().all(|series| series.unpredictable.is_none());
        (of_model.len() > 1).then(|| Ranking { model: model.to_owned(), is_predictable, choices })
    };
    models.filter_map(ranking).collect()
}

fn parts(series: &SeriesValidation) -> Vec<SplitPart> {
    let inside = series.predictions.iter().filter(|prediction| prediction.scheme == Scheme::Inside);
    let part = |prediction: &super::Prediction| {
        let &super::Prediction { batch, measured_ms, predicted_ms, .. } = prediction;
        Some(SplitPart { batch, predicted_ms: predicted_ms?, measured_ms })
    };
    inside.filter_map(part).collect()
}

fn choose(devices: &[Vec<SplitPart>], batch: u32) -> Option<Choice> {
    let mut plans = Vec::new();
    extend(devices, batch, BUSY_MAX, (0.0, 0.0), &mut plans);
    if plans.len() > PLANS_MAX {
        let count = plans.len();
        plans = (0..PLANS_MAX).map(|index| plans[index * count / PLANS_MAX]).collect();
    }
    let best = plans.iter().map(|plan| plan.1).min_by(f64::total_cmp)?;
    let chosen = plans.iter().min_by(|a, b| a.0.total_cmp(&b.0))?;
    let enough = plans.len() >= PLANS_MIN;
    enough.then(|| Choice { batch, plans: plans.len(), tau: kendall_tau(&plans), regret: chosen.1 / best - 1.0 })
}

/// Adds the makespans of all ways to share the `left` samples among `busy` of the devices, beside what others do.
fn extend(devices: &[Vec<SplitPart>], left: u32, busy: usize, beside: Makespans, plans: &mut Vec<Makespans>) {
    if left == 0 {
        plans.push(beside);
        return;
    }
    let Some((device, others)) = devices.split_first().filter(|_| busy > 0) else {
        return;
    };
    extend(others, left, busy, beside, plans);
    for part in device.iter().filter(|part| part.batch <= left) {
        let makespans = (beside.0.max(part.predicted_ms), beside.1.max(part.measured_ms));
        extend(others, left - part.batch, busy - 1, makespans, plans);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(parts: &[(u32, f64, f64)]) -> Vec<SplitPart> {
        parts.iter().map(|&(batch, predicted_ms, measured_ms)| SplitPart { batch, predicted_ms, measured_ms }).collect()
    }

    #[test]
    fn regret_is_what_the_wrong_choice_costs() {
        // Predicted, splits of 4 as 2/2, 4/0 and 0/4 take 3, 4 and 5; measured 3.3, 3 and 5.
        let devices = [device(&[(2, 2.0, 2.0), (4, 4.0, 3.0)]), device(&[(2, 3.0, 3.3), (4, 5.0, 5.0)])];
        let choice = choose(&devices, 4).unwrap();
        assert_eq!((choice.batch, choice.plans), (4, 3));
        assert!((choice.regret - 0.1).abs() < 1e-12);
        assert!((choice.tau.unwrap() - 1.0 / 3.0).abs() < 1e-12);
        assert_eq!(choose(&devices, 5), None);
    }

    #[test]
    fn at_most_three_devices_are_busy_and_plans_are_thinned() {
        let same = vec![device(&[(1, 1.0, 1.0), (2, 2.0, 2.0)]); 4];
        let plans = |batch| choose(&same, batch).map(|choice| choice.plans);
        assert_eq!(plans(1), Some(4));
        assert_eq!(plans(6), Some(4), "two samples on three of four");
        assert_eq!(plans(7), None);
        let many = vec![device(&(1..=20).map(|batch| (batch, 1.0, 1.0)).collect::<Vec<_>>()); 8];
        assert_eq!(choose(&many, 20).unwrap().plans, PLANS_MAX);
    }
}

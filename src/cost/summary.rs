//! What the validation of several series comes to, and whether that is good enough.

use serde::Serialize;

use super::noise::{Noise, pooled};
use super::ranking::RankingSummary;
use super::validation::{Prediction, Scheme, SeriesValidation, Validation};
use crate::statistics::Errors;

/// What the validation of several series comes to.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Group {
    /// Series in it.
    pub series: usize,
    /// Series whose tables cannot be trusted beyond their ends.
    pub unpredictable: usize,
    /// Errors inside the profiled range, each batch predicted from the others.
    pub inside: Option<Errors>,
    /// Errors at the smallest batches, predicted from larger ones.
    pub below: Option<Errors>,
    /// Errors at the largest batches, predicted from smaller ones.
    pub beyond: Option<Errors>,
    /// Largest batches that the cost model refused to predict.
    pub refused: usize,
    /// Errors of networks predicted from one of their batches and the device's other networks.
    pub transferred: Option<Errors>,
    /// How often measurements lie in their intervals.
    pub coverage: Option<Coverage>,
    /// The noise of raw repeats.
    pub noise: Option<Noise>,
}

/// How often measurements lie in their intervals.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Coverage {
    /// Measurements that have an interval.
    pub count: usize,
    /// Share of them that lies in it.
    pub share: f64,
}

/// A figure beside what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Target {
    /// What the figure is.
    pub name: &'static str,
    /// The figure; `None` if the trace does not have it.
    pub figure: Option<f64>,
    /// What it should be at most, or at least.
    pub limit: f64,
    /// Whether more is better.
    pub is_least: bool,
    /// Whether the figure is a fraction that people read in percent.
    pub is_percent: bool,
}

impl Target {
    /// Whether it is met, if the trace has the figure.
    pub fn is_met(&self) -> Option<bool> {
        let figure = self.figure?;
        Some(if self.is_least { figure >= self.limit } else { figure <= self.limit })
    }
}

/// What `series` come to.
pub fn group<'a>(series: impl IntoIterator<Item = &'a SeriesValidation>) -> Group {
    let series: Vec<&SeriesValidation> = series.into_iter().collect();
    let predictions = || series.iter().flat_map(|series| &series.predictions);
    let errors = |scheme: Scheme| {
        let of_scheme = predictions().filter(|prediction| prediction.scheme == scheme);
        Errors::of(of_scheme.filter_map(Prediction::error))
    };
    let covered: Vec<bool> = predictions().filter_map(Prediction::is_covered).collect();
    let inside = covered.iter().filter(|&&is_covered| is_covered).count();
    let coverage = Coverage { count: covered.len(), share: inside as f64 / covered.len() as f64 };
    Group {
        series: series.len(),
        unpredictable: series.iter().filter(|series| series.unpredictable.is_some()).count(),
        inside: errors(Scheme::Inside),
        below: errors(Scheme::Below),
        beyond: errors(Scheme::Beyond),
        refused: predictions().filter(|prediction| prediction.predicted_ms.is_none()).count(),
        transferred: errors(Scheme::Transferred),
        coverage: (coverage.count > 0).then_some(coverage),
        noise: pooled(series.iter().filter_map(|series| series.noise.as_ref())),
    }
}

/// The figures that a calibration should reach, over the series whose tables can be trusted.
pub fn targets(validation: &Validation) -> Vec<Target> {
    let predictable = || validation.series.iter().filter(|series| series.unpredictable.is_none());
    let layers = group(predictable().filter(|series| series.layer.is_some()));
    let networks = group(predictable().filter(|series| series.layer.is_none()));
    let rankings = validation.rankings.iter().filter(|ranking| ranking.is_predictable);
    let ranking = RankingSummary::of(rankings.flat_map(|ranking| &ranking.choices));
    let at_most = |name, figure, limit| Target { name, figure, limit, is_least: false, is_percent: true };
    let mean = |errors: Option<Errors>| errors.map(|errors| errors.mean);
    vec![
        at_most("layers: median error", layers.inside.map(|errors| errors.median), 0.05),
        at_most("layers: 95th percentile of errors", layers.inside.map(|errors| errors.p95), 0.15),
        at_most("networks: mean error, calibrated", mean(networks.inside), 0.05),
        at_most("networks: mean error, transferred", mean(networks.transferred), 0.10),
        Target {
            name: "plans: Kendall's tau",
            figure: ranking.and_then(|ranking| ranking.tau),
            limit: 0.9,
            is_least: true,
            is_percent: false,
        },
        at_most("plans: regret of the best", ranking.map(|ranking| ranking.regret), 0.03),
    ]
}

//! How far a trace can be trusted: each measurement predicted as if it had not been made.
//!
//! Every figure is a pure function of the trace. Nothing here is fitted to the targets it is compared with.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::curve::Curve;
use super::lookup::{Lookup, Score, scores};
use super::noise::{Noise, pooled};
use super::ranking::{Ranking, rank_plans};
use super::series::Series;
use super::surface::{ShareErrors, shares_left_out};
use super::trace::{LayerKey, Row, Trace};
use super::transfer::transfer;
use crate::platform::Precision;
use crate::statistics::student_t;
use crate::units::Share;

/// What validation found of a trace.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Validation {
    /// Every network and layer on every device, in the trace's order.
    pub series: Vec<SeriesValidation>,
    /// How well plans are ranked, by network; only those that two devices or more have.
    pub rankings: Vec<Ranking>,
    /// How well times on shares of a device follow from other shares; of networks that three or more were measured of.
    pub shares: Vec<SharesValidation>,
}

/// What validation found of a network on shares of a device.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SharesValidation {
    /// The device, as the trace calls it, and what it computed in unless that is fp32.
    pub device: String,
    /// The network, as the trace calls it.
    pub model: String,
    /// Shares that were measured.
    pub shares: usize,
    /// What leaving out each of them but the least and the greatest gives.
    #[serde(flatten)]
    pub errors: ShareErrors,
}

/// What validation found of one network, or one of its layers, on one device.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SeriesValidation {
    /// The device, as the trace calls it, and what it computed in unless that is fp32: `gpu at fp16`.
    pub device: String,
    /// The network, as the trace calls it.
    pub model: String,
    /// The layer; `None` for the whole network.
    pub layer: Option<String>,
    /// Batches that were profiled.
    pub batches: usize,
    /// The form that [`Lookup::CrossValidated`] has here.
    pub form: Lookup,
    /// What the choice was made from; empty if too few batches were profiled.
    pub scores: Vec<Score>,
    /// Why the table cannot be trusted beyond its end, if so.
    pub unpredictable: Option<String>,
    /// Why nothing can be validated, if so, and what would help.
    pub refusal: Option<String>,
    /// What raw repeats say, if there are any.
    pub noise: Option<Noise>,
    /// Each measurement with its predictions, by scheme and batch.
    pub predictions: Vec<Prediction>,
}

/// A measurement and what was predicted without it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Prediction {
    /// Samples.
    pub batch: u32,
    /// From what it was predicted.
    pub scheme: Scheme,
    /// Milliseconds of the batch.
    pub measured_ms: f64,
    /// Milliseconds of the batch; `None` where the cost model refuses to extrapolate.
    pub predicted_ms: Option<f64>,
    /// Between which milliseconds nine of ten measurements should be; inside the range only.
    pub interval_ms: Option<[f64; 2]>,
}

/// From what a measurement was predicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scheme {
    /// From the network's other batches on the same device, some smaller and some larger.
    Inside,
    /// From the network's other batches on the same device, all larger.
    Below,
    /// From the network's other batches on the same device, all smaller.
    Beyond,
    /// From one batch of the network and the device's other networks; see [`validate`].
    Transferred,
}

impl Prediction {
    /// `predicted / measured - 1`, if there is a prediction.
    pub fn error(&self) -> Option<f64> {
        Some(self.predicted_ms? / self.measured_ms - 1.0)
    }

    /// Whether the measurement lies in the interval, if there is one.
    pub fn is_covered(&self) -> Option<bool> {
        let [low, high] = self.interval_ms?;
        Some((low..=high).contains(&self.measured_ms))
    }
}

/// How often a measurement should lie in its interval.
pub const NOMINAL_COVERAGE: f64 = 0.9;
/// With fewer residuals of other batches there is no interval.
const RESIDUALS_MIN: usize = 4;

/// Predicts each measurement of whole networks and layers from others.
///
/// - Leave one batch out: the curve that [`Lookup::CrossValidated`] gives for the other batches of the series; the
///   form is chosen anew without the batch. The smallest and the largest batch are apart, as extrapolation. Of more
///   than 64 others, 64 evenly spread ones are predicted.
/// - Leave one network out: the median profiled batch of a whole network stands, and its other batches follow the
///   geometric mean of the shapes of the device's other networks: `time(batch) / time(median batch)`. Networks whose
///   tables are unpredictable neither lend their shape nor are predicted so.
/// - Intervals: lognormal about the prediction, as wide as the residuals of the series' other inner batches say, by
///   Student's t for that many residuals with mean zero.
/// - Ranking of plans: see [`Ranking`].
/// - Shares of devices: see [`ShareErrors`].
pub fn validate(trace: &Trace) -> Validation {
    let parts = split(trace);
    let found = parts.iter().filter_map(|((device, precision, model, layer), part)| {
        let series = Series::new(part, device, *precision, model, layer)?;
        Some((validate_series(&series, &precision.of(device), model, layer), series))
    });
    let (mut validated, series): (Vec<SeriesValidation>, Vec<Series>) = found.unzip();
    let transferred = transfer(&validated, &series);
    for (validation, predictions) in validated.iter_mut().zip(transferred) {
        validation.predictions.extend(predictions);
    }
    let rankings = rank_plans(&validated);
    Validation { series: validated, rankings, shares: validate_shares(trace) }
}

fn validate_shares(trace: &Trace) -> Vec<SharesValidation> {
    if trace.shares.is_empty() {
        return Vec::new();
    }
    let shares = trace.shares.keys().copied().chain([Share::FULL]);
    let parts: Vec<(Share, Trace)> = shares.map(|share| (share, trace.of_share(share))).collect();
    let rows = parts.iter().flat_map(|(_, part)| &part.rows);
    let places = rows.map(|row| (row.device.as_str(), row.precision, row.model.as_str()));
    let validation = |(device, precision, model): (&str, Precision, &str)| {
        let curve = |part| Curve::new(part, device, precision, model, Lookup::CrossValidated, false);
        let curves: BTreeMap<Share, Curve> =
            parts.iter().filter_map(|(share, part)| Some((*share, curve(part)?))).collect();
        let errors = shares_left_out(&curves)?;
        let (device, model) = (precision.of(device), model.to_owned());
        Some(SharesValidation { device, model, shares: curves.len(), errors })
    };
    places.collect::<BTreeSet<_>>().into_iter().filter_map(validation).collect()
}

/// Device, precision, network and layer.
type Place<'a> = (&'a str, Precision, &'a str, &'a LayerKey);

/// A trace for each network and layer on each device, in the order of first appearance; copies have none.
fn split(trace: &Trace) -> Vec<(Place<'_>, Trace)> {
    let mut places: BTreeMap<Place<'_>, usize> = BTreeMap::new();
    let mut parts: Vec<(Place<'_>, Trace)> = Vec::new();
    for row in trace.rows.iter().filter(|row| row.layer != LayerKey::Io) {
        let Row { device, precision, model, layer, .. } = row;
        let place = (device.as_str(), *precision, model.as_str(), layer);
        let index = *places.entry(place).or_insert(parts.len());
        if index == parts.len() {
            let header = BTreeMap::new();
            parts.push((place, Trace { kind: trace.kind, header, rows: vec![], shares: BTreeMap::new() }));
        }
        parts[index].1.rows.push(row.clone());
    }
    parts
}

fn validate_series(series: &Series, device: &str, model: &str, layer: &LayerKey) -> SeriesValidation {
    let curve = Curve::from_series(series, Lookup::CrossValidated, false);
    let mut predictions = if series.times.len() > 1 { leave_batches_out(series) } else { vec![] };
    add_intervals(&mut predictions);
    let refusal = "only one batch was profiled, so none can be predicted from others; profile at least 1, 2, 8 and 64";
    SeriesValidation {
        device: device.to_owned(),
        model: model.to_owned(),
        layer: match layer {
            LayerKey::Named(name) => Some(name.clone()),
            LayerKey::Whole | LayerKey::Io => None,
        },
        batches: series.times.len(),
        form: curve.form(),
        scores: scores(series),
        unpredictable: curve.unpredictable().map(str::to_owned),
        refusal: predictions.is_empty().then(|| refusal.to_owned()),
        noise: pooled(series.noise.values()),
        predictions,
    }
}

fn leave_batches_out(series: &Series) -> Vec<Prediction> {
    let (first, last) = (series.times.keys().next().copied(), series.times.keys().next_back().copied());
    let batches = first.into_iter().chain(series.inner()).chain(last);
    let prediction = |batch: u32| {
        let measured_ms = series.times[&batch].of_batch(batch);
        let estimate = Curve::from_series(&series.without(batch), Lookup::CrossValidated, false).estimate(batch);
        let scheme = match Some(batch) {
            batch if batch == first => Scheme::Below,
            batch if batch == last => Scheme::Beyond,
            _ => Scheme::Inside,
        };
        let predicted_ms = estimate.ok().map(|estimate| estimate.time.as_millis_f64());
        Prediction { batch, scheme, measured_ms, predicted_ms, interval_ms: None }
    };
    let mut predictions: Vec<Prediction> = batches.map(prediction).collect();
    predictions.sort_by_key(|prediction| (prediction.scheme, prediction.batch));
    predictions
}

/// Gives each prediction inside the range the interval that the residuals of the others say.
fn add_intervals(predictions: &mut [Prediction]) {
    let residual = |prediction: &Prediction| {
        let predicted = prediction.predicted_ms.filter(|_| prediction.scheme == Scheme::Inside)?;
        Some((prediction.measured_ms / predicted).ln())
    };
    let residuals: Vec<Option<f64>> = predictions.iter().map(residual).collect();
    let squares: f64 = residuals.iter().flatten().map(|residual| residual.powi(2)).sum();
    let others = residuals.iter().flatten().count().saturating_sub(1);
    if others < RESIDUALS_MIN {
        return;
    }
    let factor = student_t(NOMINAL_COVERAGE, others as f64);
    for (prediction, own) in predictions.iter_mut().zip(residuals) {
        let (Some(own), Some(predicted)) = (own, prediction.predicted_ms) else { continue };
        let sigma = ((squares - own.powi(2)).max(0.0) / others as f64).sqrt();
        let width = (factor * sigma).exp();
        prediction.interval_ms = Some([predicted / width, predicted * width]);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{group, targets};
    use super::*;

    const BATCHES: [u32; 7] = [1, 2, 4, 8, 16, 32, 64];

    /// Device, network, layer, and the time by batch.
    type Profile<'a> = (&'a str, &'a str, &'a str, &'a dyn Fn(u32) -> f64);

    fn trace(series: &[Profile<'_>], batches: &[u32]) -> Trace {
        let mut text = "# coinfer trace 1\n# source: s\n# revision: r\n# hardware: h\n# software: w\n# date: d\n\
                        # kind: measured\ndevice,model,layer,batch,rows,statistic,repeat,time_ms\n"
            .to_owned();
        for (device, model, layer, time) in series {
            for &batch in batches {
                text += &format!("{device},{model},{layer},{batch},all,median,9,{}\n", time(batch));
            }
        }
        Trace::parse(text.as_bytes()).unwrap()
    }

    fn line(batch: u32) -> f64 {
        2.0 + 3.0 * f64::from(batch)
    }

    #[test]
    fn a_line_is_predicted_without_error_and_twice_the_line_from_it() {
        let twice = |batch: u32| 2.0 * line(batch);
        let validation = validate(&trace(&[("d", "m", "whole", &line), ("d", "n", "whole", &twice)], &BATCHES));
        let all = group(&validation.series);
        for (errors, count) in [(all.inside, 10), (all.below, 2), (all.beyond, 2), (all.transferred, 12)] {
            let errors = errors.unwrap();
            assert_eq!(errors.count, count);
            assert!(errors.max < 1e-6, "{errors:?}");
        }
        assert_eq!((all.refused, all.unpredictable, all.noise), (0, 0, None));
        assert!(validation.series.iter().all(|series| series.form == Lookup::AffineAll));
    }

    #[test]
    fn a_time_that_differs_by_a_tenth_has_this_error() {
        // The median batch, 8, is the anchor of transfers.
        let bumped = |batch: u32| if batch == 16 { 2.2 * line(batch) } else { 2.0 * line(batch) };
        let validation = validate(&trace(&[("d", "m", "whole", &line), ("d", "n", "whole", &bumped)], &BATCHES));
        let errors = |scheme: Scheme, batch: u32| {
            let predictions = &validation.series[1].predictions;
            predictions.iter().find(|found| (found.scheme, found.batch) == (scheme, batch)).unwrap().error().unwrap()
        };
        assert!((errors(Scheme::Transferred, 16) + 1.0 / 11.0).abs() < 1e-6);
        assert!(errors(Scheme::Transferred, 32).abs() < 1e-6);
        assert!((errors(Scheme::Inside, 16) + 1.0 / 11.0).abs() < 1e-6, "the others lie on a line");
        let found = group(&validation.series[1..]);
        assert!((found.transferred.unwrap().max - 1.0 / 11.0).abs() < 1e-6);
        assert!((found.transferred.unwrap().bias + 1.0 / 66.0).abs() < 1e-6);
    }

    #[test]
    fn an_interval_is_as_wide_as_the_other_residuals_say() {
        let jagged = |batch: u32| line(batch) * if batch.ilog2().is_multiple_of(2) { 1.03 } else { 0.97 };
        let validation = validate(&trace(&[("d", "m", "whole", &jagged)], &BATCHES));
        let covered = group(&validation.series).coverage.unwrap();
        assert_eq!(covered.count, 5);
        assert!(covered.share >= 0.8);
        let few = validate(&trace(&[("d", "m", "whole", &jagged)], &BATCHES[..6]));
        assert_eq!(group(&few.series).coverage, None, "three other residuals are too few");
    }

    #[test]
    fn one_batch_cannot_be_validated_and_does_not_hinder_others() {
        let mut trace = trace(&[("d", "m", "whole", &line), ("d", "n", "whole", &line)], &BATCHES);
        trace.rows.retain(|row| row.model == "m" || row.batch == 8);
        let validation = validate(&trace);
        assert_eq!(validation.series[0].refusal, None);
        assert!(validation.series[1].refusal.as_ref().unwrap().starts_with("only one batch was profiled"));
        assert_eq!(validation.series[1].predictions, []);
    }

    #[test]
    fn an_unpredictable_table_is_not_extrapolated_and_lends_no_shape() {
        let square = |batch: u32| f64::from(batch * batch);
        let validation = validate(&trace(&[("d", "m", "whole", &line), ("d", "n", "whole", &square)], &BATCHES));
        let found = &validation.series[1];
        assert!(found.unpredictable.as_ref().unwrap().starts_with("time grows by 4.0"));
        assert_eq!(found.form, Lookup::PiecewiseLinear);
        assert_eq!((group([found]).refused, group([found]).beyond), (1, None));
        assert_eq!(group(&validation.series).transferred, None);
        assert_eq!(targets(&validation)[2].is_met(), Some(true), "the table that can be trusted alone counts");
    }

    #[test]
    fn layers_are_apart_from_networks_and_copies_are_no_series() {
        let whole: Profile<'_> = ("d", "m", "whole", &line);
        let validation = validate(&trace(&[whole, ("d", "m", "conv1", &line), ("d", "m", "io", &line)], &BATCHES));
        let layers: Vec<Option<&str>> = validation.series.iter().map(|series| series.layer.as_deref()).collect();
        assert_eq!(layers, [None, Some("conv1")]);
        let met: Vec<Option<bool>> = targets(&validation).iter().map(super::super::Target::is_met).collect();
        assert_eq!(met, [Some(true), Some(true), Some(true), None, None, None]);
    }

    #[test]
    fn plans_of_two_devices_with_exact_curves_are_ranked_without_regret() {
        let slow = |batch: u32| 3.0 * line(batch);
        let batches: Vec<u32> = (1..=12).collect();
        let validation = validate(&trace(&[("d", "m", "whole", &line), ("e", "m", "whole", &slow)], &batches));
        let [ranking] = &validation.rankings[..] else { panic!("{:?}", validation.rankings) };
        let summary = super::super::RankingSummary::of(&ranking.choices).unwrap();
        assert!(summary.regret_max < 1e-9 && summary.tau.unwrap() > 0.99 && summary.choices > 5, "{summary:?}");
    }
}

//! Times of a network from one of its batches and the device's other networks.

use super::curve::Curve;
use super::lookup::Lookup;
use super::series::Series;
use super::validation::{Prediction, Scheme, SeriesValidation};

/// For each series, predictions of its batches but the median one; see [`super::validate`]. None for layers, for
/// unpredictable tables, and where the device has no other network with these batches.
pub(super) fn transfer(validated: &[SeriesValidation], series: &[Series]) -> Vec<Vec<Prediction>> {
    let curve = |(validation, series): (&SeriesValidation, &Series)| {
        let can_lend = validation.layer.is_none() && validation.unpredictable.is_none();
        can_lend.then(|| Curve::from_series(series, Lookup::CrossValidated, false))
    };
    let curves: Vec<Option<Curve>> = validated.iter().zip(series).map(curve).collect();
    let of_series = |index: usize| {
        if curves[index].is_none() {
            return vec![];
        }
        let lenders: Vec<&Curve> = validated
            .iter()
            .zip(&curves)
            .filter(|(other, _)| other.device == validated[index].device && other.model != validated[index].model)
            .filter_map(|(_, curve)| curve.as_ref())
            .collect();
        predict(&series[index], &lenders)
    };
    (0..series.len()).map(of_series).collect()
}

fn predict(series: &Series, lenders: &[&Curve]) -> Vec<Prediction> {
    let times = series.of_batch();
    let (anchor, anchor_ms) = times[times.len() / 2];
    let others = times.iter().filter(|(batch, _)| *batch != anchor);
    let prediction = |&(batch, measured_ms): &(u32, f64)| {
        let shapes: Vec<f64> = lenders.iter().filter_map(|curve| shape(curve, batch, anchor)).collect();
        let mean = crate::statistics::mean(&shapes)?;
        let predicted_ms = Some(anchor_ms * mean.exp());
        Some(Prediction { batch, scheme: Scheme::Transferred, measured_ms, predicted_ms, interval_ms: None })
    };
    others.filter_map(prediction).collect()
}

/// The logarithm of the time at `batch` over that at `anchor`; `None` if one lies outside what was profiled.
fn shape(curve: &Curve, batch: u32, anchor: u32) -> Option<f64> {
    let inside = |batch| curve.estimate(batch).ok().filter(|_| curve.profiles(batch));
    let (time, at_anchor) = (inside(batch)?.time, inside(anchor)?.time);
    Some((time.as_nanos_f64() / at_anchor.as_nanos_f64()).ln())
}

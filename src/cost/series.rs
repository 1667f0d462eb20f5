//! The measurements of one network, or one of its layers, on one device: what a curve is made from.

use std::collections::BTreeMap;

use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use super::Basis;
use super::noise::{Noise, errors_by_batch, noise_by_batch};
use super::trace::{Kind, LayerKey, Point, Row, Trace, points};
use crate::platform::Precision;

/// What was measured at each batch.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Series {
    pub(super) times: BTreeMap<u32, Point>,
    /// Of copying inputs to the device and outputs back.
    pub(super) copies: BTreeMap<u32, Point>,
    /// Where there are raw repeats.
    pub(super) noise: BTreeMap<u32, Noise>,
    /// There, by how much the logarithms of times may be off: their standard errors.
    pub(super) errors: BTreeMap<u32, f64>,
    pub(super) is_measured: bool,
}

const INNER_MAX: usize = 64;

impl Series {
    /// What `trace` has; `None` if that is nothing.
    pub(super) fn new(
        trace: &Trace,
        device: &str,
        precision: Precision,
        model: &str,
        layer: &LayerKey,
    ) -> Option<Series> {
        let times = trace.times(device, precision, model, layer);
        let copies = if *layer == LayerKey::Whole { LayerKey::Io } else { layer.clone() };
        let copies = trace.times(device, precision, model, &copies);
        let noise = noise_by_batch(trace.rows_of(device, precision, model, layer, None));
        let errors = errors_by_batch(&noise);
        let is_measured = trace.kind == Kind::Measured;
        (!times.is_empty()).then_some(Series { times, copies, noise, errors, is_measured })
    }

    /// Of these rows, which are of one layer, one number of rows and one device, and not empty.
    pub(super) fn of_rows(rows: &[&Row], kind: Kind) -> Series {
        let times = points(rows.iter().copied());
        let errors = errors_by_batch(&noise_by_batch(rows.iter().copied()));
        Series { times, errors, is_measured: kind == Kind::Measured, ..Series::default() }
    }

    /// Milliseconds at each batch, ascending.
    pub(super) fn of_batch(&self) -> Vec<(u32, f64)> {
        self.times.iter().map(|(&batch, time)| (batch, time.of_batch(batch))).collect()
    }

    /// As another profile of the same machine might have found it: each time off by an error drawn from its repeats, which
    /// leaves its median as it is. What was measured once has one error, whoever uses it.
    pub(super) fn resampled(&self, draw: u64) -> Series {
        let mut hash = blake3::Hasher::new();
        hash.update(&draw.to_le_bytes());
        for (batch, point) in &self.times {
            hash.update(&batch.to_le_bytes()).update(&point.time_ms.to_le_bytes());
        }
        let draws = &mut ChaCha8Rng::from_seed(*hash.finalize().as_bytes());
        let mut series = self.clone();
        for (batch, error) in &self.errors {
            let normal: f64 = StandardNormal.sample(draws);
            if let Some(point) = series.times.get_mut(batch) {
                point.time_ms *= libm::exp(error * normal);
            }
        }
        series
    }

    /// As if `batch` had not been measured.
    pub(super) fn without(&self, batch: u32) -> Series {
        let mut series = self.clone();
        series.times.remove(&batch);
        series.copies.remove(&batch);
        series.noise.remove(&batch);
        series
    }

    /// The batches that others lie below and above; of more than 64, which would take long to leave out one by one,
    /// 64 evenly spread ones.
    pub(super) fn inner(&self) -> Vec<u32> {
        let inner: Vec<u32> = self.times.keys().copied().skip(1).take(self.times.len().saturating_sub(2)).collect();
        let count = inner.len().min(INNER_MAX);
        (0..count).map(|index| inner[index * inner.len() / count]).collect()
    }

    /// Whether repeats prove that the time falls from one batch to the next: by more than three times the spread of
    /// single repeats of both. Medians are surer than that, but conditions may have changed between the batches.
    pub(super) fn falls(&self, before: u32, after: u32) -> bool {
        let (Some(first), Some(second)) = (self.noise.get(&before), self.noise.get(&after)) else {
            return false;
        };
        let fall = (self.times[&before].of_batch(before) / self.times[&after].of_batch(after)).ln();
        fall > 0.0 && fall > 3.0 * first.sigma.hypot(second.sigma)
    }

    /// The basis of times at measured points.
    pub(super) fn at_points(&self) -> Basis {
        if self.is_measured { Basis::Measured } else { Basis::Modelled }
    }
}

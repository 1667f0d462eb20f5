//! What samples say and how sure it is: quantiles, intervals, warm-up, when to stop replicating, latency histograms.
//!
//! Pure functions of numbers. What the numbers are of, and where they come from, is the business of others.

mod errors;
mod histogram;
mod interval;
mod percentile;
mod replications;
mod warm_up;

pub use errors::Errors;
pub(crate) use errors::kendall_tau;
pub use histogram::Histogram;
pub(crate) use interval::student_t;
pub use interval::{Comparison, Interval, compare};
pub use percentile::{Percentile, Pooled, values_needed};
pub use replications::{Missed, Progress, Replications, StopRule, Target};
pub use warm_up::{Pilot, WarmUp, warm_up};

/// Arithmetic mean; `None` of nothing.
pub(crate) fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// The median of values in any order; `None` of nothing.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    (!values.is_empty()).then(|| quantile(&values, 0.5))
}

/// The quantile of ascending values, linear between two of them (Hyndman and Fan, 1996, type 7).
///
/// # Panics
/// If there is no value.
pub(crate) fn quantile(sorted: &[f64], share: f64) -> f64 {
    let at = share * (sorted.len() - 1) as f64;
    let (low, high) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    low + (high - low) * at.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_or_between_the_two_there() {
        assert_eq!((median([3.0, 1.0, 2.0]), median([4.0, 1.0, 2.0, 3.0]), median([])), (Some(2.0), Some(2.5), None));
    }
}

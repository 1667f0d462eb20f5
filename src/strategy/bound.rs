//! How fast any plan could be: lower bounds of the makespan.

use super::batch_split::BatchSplit;
use crate::problem::Problem;
use crate::units::Duration;

/// A time that no plan which runs whole networks can beat: `B / sum over devices of max over b of b / t(b)`.
///
/// Every device works at its best throughput all the time; `b` goes up to what memory holds. Contention only
/// slows, so the bound also holds with it. `None` if it is not known: several models, or no calibration.
pub fn lower_bound(problem: &Problem) -> Option<Duration> {
    let split = BatchSplit::new(problem).ok()?;
    let best_rate = |unit: usize| {
        let batches = 1..=split.samples().min(split.units[unit].capacity);
        let rates = batches.filter_map(|batch| {
            let time = split.compute_time(unit, batch).ok()?;
            (time > Duration::ZERO).then(|| f64::from(batch) / time.as_nanos_f64())
        });
        rates.max_by(f64::total_cmp).unwrap_or(0.0)
    };
    let rate: f64 = (0..split.units.len()).map(best_rate).sum();
    // Rounded down by more than the error of the sum, so that it stays a bound.
    let nanos = f64::from(split.samples()) / rate * (1.0 - 1e-12);
    (rate > 0.0).then(|| Duration::from_nanos_f64(nanos.floor()))
}

//! How fast any plan could be: lower bounds of the makespan.

use super::batch_split::Whole;
use crate::model::ModelId;
use crate::platform::DeviceId;
use crate::problem::Problem;
use crate::units::Duration;

/// A time that no plan which runs whole networks on whole devices can beat:
/// `B / sum over devices of max over b of b / t(b)` for B samples.
///
/// Every device works at its best throughput all the time, without waiting for data; `b` goes up to what memory
/// holds. Contention only slows, so the bound also holds with it. `None` if it is not known: several models, no
/// calibration, or a step that takes no time.
pub fn lower_bound(problem: &Problem) -> Option<Duration> {
    let [_] = problem.models.as_slice() else { return None };
    let whole = Whole::new(problem, ModelId(0)).ok()?;
    let best_rate = |device: DeviceId| {
        let capacity = whole.capacity(device).unwrap_or(0); // what cannot run here adds nothing
        let rates = (1..=problem.samples().min(capacity)).filter_map(|batch| {
            let time = whole.compute_time(device, batch).ok()?;
            Some(f64::from(batch) / time.as_nanos_f64())
        });
        rates.max_by(f64::total_cmp).unwrap_or(0.0)
    };
    let rate: f64 = problem.platform.device_ids().map(best_rate).sum();
    // Rounded down by more than the error of the sum, so that it stays a bound.
    let nanos = f64::from(problem.samples()) / rate * (1.0 - 1e-12);
    (rate > 0.0 && rate.is_finite()).then(|| Duration::from_nanos_f64((nanos - 0.5).max(0.0)))
}

//! The lookups of Lee, Choi and Park (KCC 2020) and of the later revision of their program.

use super::Basis;
use super::curve::{Curve, Profiled, Refusal};

impl Curve {
    /// Times per sample, linear between two points and the last one beyond the table.
    pub(super) fn kcc2020(&self, batch: u32) -> Result<(f64, Basis), Refusal> {
        let last = self.last();
        if let Ok(index) = self.position(batch) {
            return Ok((self.points[index].of_sample * f64::from(batch), Basis::Measured));
        }
        if batch > last.batch {
            return Ok((last.of_sample * f64::from(batch), Basis::Extrapolated));
        }
        let (low, high) = self.around(batch)?;
        Ok((lerp(low, high, batch, |point| point.of_sample) * f64::from(batch), Basis::Interpolated))
    }

    /// As [`Curve::kcc2020`], with copies between points and nothing beyond the table.
    pub(super) fn kcc2020_later(&self, batch: u32) -> Result<(f64, Basis), Refusal> {
        if let Ok(index) = self.position(batch) {
            return Ok((self.points[index].of_batch, Basis::Measured));
        }
        let (low, high) = self.around(batch)?;
        let io_low = low.io.ok_or(Refusal::NoIo(low.batch))? / f64::from(low.batch);
        let io_high = high.io.ok_or(Refusal::NoIo(high.batch))? / f64::from(high.batch);
        let of_sample = |point: &Profiled| point.of_sample + if point.batch == low.batch { io_low } else { io_high };
        Ok((lerp(low, high, batch, of_sample) * f64::from(batch), Basis::Interpolated))
    }

    /// The points at 2^n + 1 and 2^(n+1) - 1 around a batch that was not profiled and lies between them.
    fn around(&self, batch: u32) -> Result<(&Profiled, &Profiled), Refusal> {
        let power = u64::from(1u32 << batch.ilog2());
        let (low, high) = (power + 1, 2 * power - 1);
        if !(low < batch.into() && u64::from(batch) < high) {
            return Err(Refusal::NotProfiled(batch));
        }
        let point = |wanted: u64| {
            let wanted = wanted as u32; // below 2 * batch, and a table ends at a million
            self.position(wanted).map(|index| &self.points[index]).map_err(|_| Refusal::NotProfiled(wanted))
        };
        Ok((point(low)?, point(high)?))
    }
}

fn lerp(low: &Profiled, high: &Profiled, batch: u32, value: impl Fn(&Profiled) -> f64) -> f64 {
    let slope = (value(high) - value(low)) / (f64::from(high.batch) - f64::from(low.batch));
    value(low) + slope * (f64::from(batch) - f64::from(low.batch))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::curve::tests::curve;
    use super::super::lookup::Lookup;
    use super::super::series::Series;
    use super::super::trace::Point;
    use super::*;
    use crate::units::Duration;

    use Basis::{Extrapolated, Interpolated, Measured};

    #[test]
    fn kcc2020_interpolates_time_per_sample_and_keeps_the_last_one() {
        let times = [(1, 1.0), (2, 4.0), (3, 9.0), (4, 8.0), (5, 10.0), (7, 28.0)];
        let curve = curve(Lookup::Kcc2020, &times);
        let expected = [(1, 1.0, Measured), (6, 18.0, Interpolated), (7, 28.0, Measured), (10, 40.0, Extrapolated)];
        for (batch, millis, basis) in expected {
            let estimate = curve.estimate(batch).unwrap();
            assert_eq!((estimate.time, estimate.basis), (Duration::from_millis_f64(millis), basis), "batch {batch}");
        }
    }

    #[test]
    fn kcc2020_refuses_what_lies_between_no_two_points_of_its_rule() {
        let curve = curve(Lookup::Kcc2020, &[(1, 1.0), (3, 9.0), (5, 10.0), (7, 28.0)]);
        assert_eq!(curve.estimate(2), Err(Refusal::NotProfiled(2)));
        assert_eq!(curve.estimate(4), Err(Refusal::NotProfiled(4)));
    }

    #[test]
    fn the_later_lookup_fails_past_its_table() {
        let curve = curve(Lookup::Kcc2020Later, &[(4, 8.0), (5, 10.0), (7, 14.0)]);
        assert_eq!(curve.estimate(10), Err(Refusal::NotProfiled(9)));
        assert_eq!(curve.estimate(9), Err(Refusal::NotProfiled(9)));
        assert_eq!(curve.estimate(6), Err(Refusal::NoIo(5)));
    }

    #[test]
    fn the_later_lookup_adds_copies_between_points_only() {
        let times = BTreeMap::from([5, 7].map(|batch| (batch, Point { time_ms: 2.0, per_sample: true })));
        let copies =
            BTreeMap::from([5, 7].map(|batch| (batch, Point { time_ms: f64::from(batch), per_sample: false })));
        let series = Series { times, copies, is_measured: true, ..Series::default() };
        let curve = Curve::from_series(&series, Lookup::Kcc2020Later, false);
        assert_eq!(curve.estimate(5).unwrap().time, Duration::from_millis_f64(10.0));
        assert_eq!(curve.estimate(6).unwrap().time, Duration::from_millis_f64(18.0));
    }
}

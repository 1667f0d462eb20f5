//! The time of one network on one device as a function of the batch, from its profiled points.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::fit::{Affine, find_thrash, fit_affine, pool_adjacent_violators};
use super::trace::{Kind, LayerKey, Point, Trace};
use super::{Basis, Estimate};
use crate::units::Duration;

/// How times between and beyond profiled batches are found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Lookup {
    /// Monotone (pool-adjacent-violators) piecewise-linear in the profiled range, affine beyond it; affine
    /// throughout if fewer than six batches were profiled.
    #[default]
    PiecewiseLinear,
    /// Affine from batch 2 on, least squares of the relative error; batch 1 as profiled, since it often runs
    /// other kernels; with two profiled batches or fewer, through all of them.
    Affine,
    /// Profiled batches only.
    Exact,
    /// As Lee, Choi and Park (KCC 2020) look up: times per sample, linear between the batches 2^n + 1 and
    /// 2^(n+1) - 1, and the last one beyond the table.
    Kcc2020,
    /// As the later revision of the same authors' program: as `kcc2020`, with the time of copies added between
    /// profiled batches (and only there), and nothing beyond the table.
    Kcc2020Later,
}

/// The time of one network on one device as a function of the batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    points: Vec<Profiled>,
    lookup: Lookup,
    affine: Affine,
    unpredictable: Option<String>,
    extrapolate_unpredictable: bool,
    at_points: Basis,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Profiled {
    batch: u32,
    of_sample: f64,
    of_batch: f64,
    /// As `of_batch`, made monotone.
    monotone: f64,
    io: Option<f64>,
}

/// Why a curve has no value at a batch.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The lookup needs a batch that was not profiled.
    #[error("batch {0} was not profiled, and the lookup in use needs it; profile it or use another `costs.lookup`")]
    NotProfiled(u32),
    /// The lookup adds copies, and the trace has none.
    #[error("the trace has no `io` row at batch {0}, which the lookup in use needs")]
    NoIo(u32),
    /// Beyond a table that cannot be trusted.
    #[error(
        "the table ends at batch {last} and is not extrapolated, since {why}; \
         profile larger batches, or set costs.extrapolate_unpredictable = true to do it all the same"
    )]
    Unpredictable {
        /// The largest profiled batch.
        last: u32,
        /// What is wrong with the table.
        why: String,
    },
}

impl Curve {
    /// The curve of a whole network in `trace`; `None` if the trace does not have it.
    pub fn new(
        trace: &Trace,
        device: &str,
        model: &str,
        lookup: Lookup,
        extrapolate_unpredictable: bool,
    ) -> Option<Curve> {
        let times = trace.times(device, model, &LayerKey::Whole);
        let copies = trace.times(device, model, &LayerKey::Io);
        let at_points = if trace.kind == Kind::Measured { Basis::Measured } else { Basis::Modelled };
        (!times.is_empty()).then(|| Curve::from_points(&times, &copies, lookup, extrapolate_unpredictable, at_points))
    }

    fn from_points(
        times: &BTreeMap<u32, Point>,
        copies: &BTreeMap<u32, Point>,
        lookup: Lookup,
        extrapolate_unpredictable: bool,
        at_points: Basis,
    ) -> Curve {
        let of_batch: Vec<(u32, f64)> = times.iter().map(|(&batch, time)| (batch, time.of_batch(batch))).collect();
        let monotone = pool_adjacent_violators(&of_batch.iter().map(|&(_, time)| time).collect::<Vec<_>>());
        let profiled = |((&batch, time), monotone): ((&u32, &Point), f64)| Profiled {
            batch,
            of_sample: time.of_sample(batch),
            of_batch: time.of_batch(batch),
            monotone,
            io: copies.get(&batch).map(|io| io.of_batch(batch)),
        };
        let points: Vec<Profiled> = times.iter().zip(monotone).map(profiled).collect();
        let has_few = lookup == Lookup::PiecewiseLinear && points.len() < 6;
        let lookup = if has_few { Lookup::Affine } else { lookup };
        let affine = fit_affine(&of_batch);
        let unpredictable = find_thrash(&of_batch);
        Curve { points, lookup, affine, unpredictable, extrapolate_unpredictable, at_points }
    }

    /// Why times beyond the table cannot be trusted, if so.
    ///
    /// A table is unpredictable if time grows by more than 2.5 per doubling of the batch twice in a row, or
    /// falls by more than 1.5 as the batch grows: memory thrash, or a measurement that was disturbed.
    pub fn unpredictable(&self) -> Option<&str> {
        self.unpredictable.as_deref()
    }

    /// The largest profiled batch.
    pub fn batch_max(&self) -> u32 {
        self.last().batch
    }

    /// The time of a batch of `batch` samples; none take no time.
    pub fn estimate(&self, batch: u32) -> Result<Estimate, Refusal> {
        if batch == 0 {
            return Ok(Estimate { time: Duration::ZERO, basis: self.at_points });
        }
        if batch > self.last().batch
            && let (Some(why), false) = (&self.unpredictable, self.extrapolate_unpredictable)
        {
            return Err(Refusal::Unpredictable { last: self.last().batch, why: why.clone() });
        }
        let (millis, basis) = match self.lookup {
            Lookup::PiecewiseLinear => self.piecewise_linear(batch),
            Lookup::Affine => self.affine(batch),
            Lookup::Exact => match self.position(batch) {
                Ok(index) => (self.points[index].of_batch, self.at_points),
                Err(_) => return Err(Refusal::NotProfiled(batch)),
            },
            Lookup::Kcc2020 => self.kcc2020(batch)?,
            Lookup::Kcc2020Later => self.kcc2020_later(batch)?,
        };
        // Something always takes some time, however flat a fit is.
        let time = Duration::from_millis_f64(millis).max(Duration::from_nanos(1));
        Ok(Estimate { time, basis: basis.max(self.at_points) })
    }

    fn position(&self, batch: u32) -> Result<usize, usize> {
        self.points.binary_search_by_key(&batch, |point| point.batch)
    }

    fn last(&self) -> &Profiled {
        self.points.last().expect("a curve has a point")
    }

    fn piecewise_linear(&self, batch: u32) -> (f64, Basis) {
        match self.position(batch) {
            Ok(index) => {
                let point = &self.points[index];
                let basis = if point.monotone == point.of_batch { Basis::Measured } else { Basis::Interpolated };
                (point.monotone, basis)
            }
            Err(0) => {
                (self.points[0].monotone * f64::from(batch) / f64::from(self.points[0].batch), Basis::Extrapolated)
            }
            Err(index) if index == self.points.len() => {
                let last = self.last();
                (last.monotone + self.affine.slope * f64::from(batch - last.batch), Basis::Extrapolated)
            }
            Err(index) => {
                let (low, high) = (&self.points[index - 1], &self.points[index]);
                let along = f64::from(batch - low.batch) / f64::from(high.batch - low.batch);
                (low.monotone + (high.monotone - low.monotone) * along, Basis::Interpolated)
            }
        }
    }

    fn affine(&self, batch: u32) -> (f64, Basis) {
        let first = &self.points[0];
        if batch == 1 && first.batch == 1 {
            return (first.of_batch, Basis::Measured);
        }
        let inside = (first.batch..=self.last().batch).contains(&batch);
        let basis = if inside { Basis::Interpolated } else { Basis::Extrapolated };
        (self.affine.at(batch), basis)
    }

    fn kcc2020(&self, batch: u32) -> Result<(f64, Basis), Refusal> {
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

    fn kcc2020_later(&self, batch: u32) -> Result<(f64, Basis), Refusal> {
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
    use super::*;

    fn curve(lookup: Lookup, times: &[(u32, f64)]) -> Curve {
        let point = |&(batch, time_ms): &(u32, f64)| (batch, Point { time_ms, per_sample: false });
        let times = times.iter().map(point).collect();
        Curve::from_points(&times, &BTreeMap::new(), lookup, false, Basis::Measured)
    }

    fn check(lookup: Lookup, times: &[(u32, f64)], expected: &[(u32, f64, Basis)]) {
        let curve = curve(lookup, times);
        for &(batch, millis, basis) in expected {
            let estimate = curve.estimate(batch).unwrap();
            assert_eq!((estimate.time, estimate.basis), (Duration::from_millis_f64(millis), basis), "batch {batch}");
        }
    }

    use Basis::{Extrapolated, Interpolated, Measured};

    #[test]
    fn kcc2020_interpolates_time_per_sample_and_keeps_the_last_one() {
        let times = [(1, 1.0), (2, 4.0), (3, 9.0), (4, 8.0), (5, 10.0), (7, 28.0)];
        check(
            Lookup::Kcc2020,
            &times,
            &[(1, 1.0, Measured), (6, 18.0, Interpolated), (7, 28.0, Measured), (10, 40.0, Extrapolated)],
        );
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
        let curve = Curve::from_points(&times, &copies, Lookup::Kcc2020Later, false, Basis::Measured);
        assert_eq!(curve.estimate(5).unwrap().time, Duration::from_millis_f64(10.0));
        assert_eq!(curve.estimate(6).unwrap().time, Duration::from_millis_f64(18.0));
    }

    #[test]
    fn piecewise_linear_is_monotone_and_has_an_affine_tail() {
        let times = [(1, 5.0), (2, 12.0), (4, 22.0), (8, 42.0), (16, 82.0), (32, 162.0)];
        check(
            Lookup::PiecewiseLinear,
            &times,
            &[(1, 5.0, Measured), (6, 32.0, Interpolated), (32, 162.0, Measured), (34, 172.0, Extrapolated)],
        );
        let with_dip = [(1, 5.0), (2, 12.0), (4, 24.0), (5, 20.0), (8, 42.0), (16, 82.0)];
        check(
            Lookup::PiecewiseLinear,
            &with_dip,
            &[(4, 22.0, Interpolated), (5, 22.0, Interpolated), (8, 42.0, Measured)],
        );
    }

    #[test]
    fn affine_keeps_batch_1_apart() {
        let times = [(1, 5.0), (2, 12.0), (4, 22.0), (8, 42.0)];
        check(Lookup::Affine, &times, &[(1, 5.0, Measured), (3, 17.0, Interpolated), (16, 82.0, Extrapolated)]);
        check(Lookup::PiecewiseLinear, &times, &[(16, 82.0, Extrapolated)]);
    }

    #[test]
    fn the_exact_table_refuses_what_it_does_not_have() {
        let curve = curve(Lookup::Exact, &[(1, 1.0), (4, 4.0)]);
        assert_eq!(curve.estimate(4).unwrap().basis, Measured);
        let message =
            "batch 3 was not profiled, and the lookup in use needs it; profile it or use another `costs.lookup`";
        assert_eq!(curve.estimate(3).unwrap_err().to_string(), message);
    }

    #[test]
    fn a_table_that_thrashes_is_flagged_and_not_extrapolated() {
        let thrashing =
            curve(Lookup::PiecewiseLinear, &[(1, 1.0), (2, 3.0), (4, 12.0), (8, 50.0), (16, 200.0), (17, 201.0)]);
        assert_eq!(thrashing.unpredictable(), Some("time grows by 3.0 from batch 1 to 2 and by 4.0 from there to 4"));
        assert!(thrashing.estimate(12).is_ok());
        assert!(matches!(thrashing.estimate(18), Err(Refusal::Unpredictable { last: 17, .. })));
        let disturbed = curve(Lookup::PiecewiseLinear, &[(1, 1.0), (2, 2.0), (3, 9.0), (4, 4.0)]);
        assert_eq!(disturbed.unpredictable(), Some("batch 3 takes 2.2 times as long as batch 4"));
        assert_eq!(curve(Lookup::Affine, &[(1, 1.0), (2, 4.0), (4, 8.0)]).unpredictable(), None);
    }
}

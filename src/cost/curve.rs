//! The time of one network on one device as a function of the batch, from its profiled points.

use std::sync::Arc;

use super::fit::{Wave, find_thrash, fit_affine, fit_affine_all, fit_wave, pool_adjacent_violators};
use super::lookup::{Lookup, choose, scores};
use super::series::Series;
use super::trace::{LayerKey, Point, Trace};
use super::{Basis, Estimate};
use crate::platform::Precision;
use crate::units::Duration;

/// The time of one network on one device as a function of the batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    pub(super) points: Vec<Profiled>,
    lookup: Lookup,
    /// In waves of one sample but for [`Lookup::Wave`], and beyond a table.
    pub(super) wave: Wave,
    unpredictable: Option<String>,
    extrapolate_unpredictable: bool,
    at_points: Basis,
    /// What it was made from, if that is known to be off by something.
    origin: Option<Arc<Series>>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Profiled {
    pub(super) batch: u32,
    pub(super) of_sample: f64,
    pub(super) of_batch: f64,
    /// As `of_batch`, made monotone.
    monotone: f64,
    pub(super) io: Option<f64>,
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
        precision: Precision,
        model: &str,
        lookup: Lookup,
        extrapolate_unpredictable: bool,
    ) -> Option<Curve> {
        let series = Series::new(trace, device, precision, model, &LayerKey::Whole)?;
        Some(Curve::with_errors(series, lookup, extrapolate_unpredictable))
    }

    /// As [`Self::from_series`], and can be [resampled](Self::resampled) if there are repeats.
    pub(super) fn with_errors(series: Series, lookup: Lookup, extrapolate_unpredictable: bool) -> Curve {
        let curve = Curve::from_series(&series, lookup, extrapolate_unpredictable);
        let has_errors = !series.errors.is_empty();
        Curve { origin: has_errors.then(|| Arc::new(series)), ..curve }
    }

    /// The curve that another profile of the same machine might have given, of the same form; `None` if there are no repeats.
    pub(super) fn resampled(&self, draw: u64) -> Option<Curve> {
        let series = self.origin.as_deref()?.resampled(draw);
        let curve = Curve::from_series(&series, self.lookup, self.extrapolate_unpredictable);
        Some(Curve { unpredictable: self.unpredictable.clone(), ..curve })
    }

    /// The curve of what was measured, which must be something.
    pub(super) fn from_series(series: &Series, lookup: Lookup, extrapolate_unpredictable: bool) -> Curve {
        let of_batch = series.of_batch();
        let times: Vec<f64> = of_batch.iter().map(|&(_, time)| time).collect();
        let falls = |index: usize| index > 0 && series.falls(of_batch[index - 1].0, of_batch[index].0);
        let monotone = pool_adjacent_violators(&times, falls);
        let profiled = |((&batch, time), monotone): ((&u32, &Point), f64)| Profiled {
            batch,
            of_sample: time.of_sample(batch),
            of_batch: time.of_batch(batch),
            monotone,
            io: series.copies.get(&batch).map(|io| io.of_batch(batch)),
        };
        let points: Vec<Profiled> = series.times.iter().zip(monotone).map(profiled).collect();
        let unpredictable = find_thrash(&of_batch);
        let lookup = match lookup {
            // No form fits such a table, and with large errors of all of them the simplest one would be chosen.
            Lookup::CrossValidated if unpredictable.is_some() => Lookup::PiecewiseLinear,
            Lookup::CrossValidated => choose(&scores(series)),
            lookup => lookup,
        };
        let has_few = lookup == Lookup::PiecewiseLinear && points.len() < 6;
        let lookup = if has_few { Lookup::Affine } else { lookup };
        Curve {
            points,
            lookup,
            wave: match lookup {
                Lookup::Wave => fit_wave(&of_batch),
                Lookup::AffineAll => Wave { size: 1, line: fit_affine_all(&of_batch) },
                _ => Wave { size: 1, line: fit_affine(&of_batch) },
            },
            unpredictable,
            extrapolate_unpredictable,
            at_points: series.at_points(),
            origin: None,
        }
    }

    /// The form that it has: the lookup that was asked for, or what that one chose.
    pub fn form(&self) -> Lookup {
        self.lookup
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

    /// The batches that were profiled, and what they took in milliseconds.
    pub(super) fn measured(&self) -> impl Iterator<Item = (u32, f64)> {
        self.points.iter().map(|point| (point.batch, point.of_batch))
    }

    /// The basis of times at profiled batches.
    pub(super) fn at_points(&self) -> Basis {
        self.at_points
    }

    /// Whether a batch lies in the profiled range.
    pub(super) fn profiles(&self, batch: u32) -> bool {
        (self.points[0].batch..=self.last().batch).contains(&batch)
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
            Lookup::PiecewiseLinear => self.piecewise_linear(batch, |point| point.monotone),
            Lookup::Table => self.piecewise_linear(batch, |point| point.of_batch),
            Lookup::Affine | Lookup::Wave => self.fitted(batch, true),
            Lookup::AffineAll => self.fitted(batch, false),
            Lookup::CrossValidated => unreachable!("a curve has the form that was chosen"),
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

    /// Where a batch is among the points, or would be.
    pub(super) fn position(&self, batch: u32) -> Result<usize, usize> {
        self.points.binary_search_by_key(&batch, |point| point.batch)
    }

    pub(super) fn last(&self) -> &Profiled {
        self.points.last().expect("a curve has a point")
    }

    fn piecewise_linear(&self, batch: u32, value: impl Fn(&Profiled) -> f64) -> (f64, Basis) {
        match self.position(batch) {
            Ok(index) => {
                let point = &self.points[index];
                let basis = if value(point) == point.of_batch { Basis::Measured } else { Basis::Interpolated };
                (value(point), basis)
            }
            Err(0) => {
                let first = &self.points[0];
                (value(first) * f64::from(batch) / f64::from(first.batch), Basis::Extrapolated)
            }
            Err(index) if index == self.points.len() => {
                let last = self.last();
                (value(last) + self.wave.line.slope * f64::from(batch - last.batch), Basis::Extrapolated)
            }
            Err(index) => {
                let (low, high) = (&self.points[index - 1], &self.points[index]);
                let along = f64::from(batch - low.batch) / f64::from(high.batch - low.batch);
                (value(low) + (value(high) - value(low)) * along, Basis::Interpolated)
            }
        }
    }

    /// The value of a fit; batch 1 as profiled if it is kept apart.
    fn fitted(&self, batch: u32, keeps_first: bool) -> (f64, Basis) {
        let first = &self.points[0];
        if keeps_first && batch == 1 && first.batch == 1 {
            return (first.of_batch, Basis::Measured);
        }
        let basis = if self.profiles(batch) { Basis::Interpolated } else { Basis::Extrapolated };
        (self.wave.at(batch), basis)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Of milliseconds by batch.
    pub(in crate::cost) fn curve(lookup: Lookup, times: &[(u32, f64)]) -> Curve {
        let point = |&(batch, time_ms): &(u32, f64)| (batch, Point { time_ms, per_sample: false });
        let times = times.iter().map(point).collect();
        Curve::from_series(&Series { times, is_measured: true, ..Series::default() }, lookup, false)
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
    fn the_line_through_all_batches_counts_batch_1_and_a_table_is_kept_as_it_is() {
        let line = [(1, 5.0), (2, 7.0), (4, 11.0), (8, 19.0)];
        check(Lookup::AffineAll, &line, &[(1, 5.0, Interpolated), (3, 9.0, Interpolated), (16, 35.0, Extrapolated)]);
        let dip = [(2, 4.0), (4, 10.0), (8, 8.0)];
        check(Lookup::Table, &dip, &[(1, 2.0, Extrapolated), (4, 10.0, Measured), (6, 9.0, Interpolated)]);
    }

    #[test]
    fn waves_are_steps_and_keep_batch_1_apart() {
        let times: Vec<(u32, f64)> = (1..=16).map(|batch: u32| (batch, f64::from(batch.div_ceil(4)))).collect();
        check(Lookup::Wave, &times, &[(1, 1.0, Measured), (5, 2.0, Interpolated), (17, 5.0, Extrapolated)]);
    }

    #[test]
    fn cross_validation_takes_the_form_that_the_times_have() {
        let line = [(1, 5.0), (2, 7.0), (3, 9.0), (4, 11.0), (8, 19.0), (16, 35.0)];
        assert_eq!(curve(Lookup::CrossValidated, &line).form(), Lookup::AffineAll);
        assert_eq!(curve(Lookup::CrossValidated, &line[..3]).form(), Lookup::Affine);
    }

    /// The time at batch 4 of a table that falls from there to 5, with repeats that vary by this share.
    fn at_a_dip(spread: f64) -> (f64, Basis) {
        let header = "# coinfer trace 1\n# source: s\n# revision: r\n# hardware: h\n# software: w\n# date: d\n\
                      # kind: measured\ndevice,model,layer,batch,rows,statistic,repeat,time_ms\n";
        let mut text = header.to_owned();
        for (batch, time) in [(1, 5.0), (2, 12.0), (4, 24.0), (5, 20.0), (8, 42.0), (16, 82.0)] {
            for (repeat, sign) in [-1.0, 0.0, 1.0].into_iter().enumerate() {
                text += &format!("d,m,whole,{batch},all,raw,{repeat},{}\n", time * (1.0 + sign * spread));
            }
        }
        let trace = Trace::parse(text.as_bytes()).unwrap();
        let curve = Curve::new(&trace, "d", Precision::Fp32, "m", Lookup::default(), false).unwrap();
        let estimate = curve.estimate(4).unwrap();
        (estimate.time.as_millis_f64(), estimate.basis)
    }

    #[test]
    fn a_dip_stays_where_repeats_prove_it() {
        assert_eq!(at_a_dip(0.01), (24.0, Measured));
        assert_eq!(at_a_dip(0.05), (22.0, Interpolated), "24 and 20 are less than three spreads apart");
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

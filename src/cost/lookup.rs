//! The forms that a curve can have, and which of them a series supports.

use serde::{Deserialize, Serialize};

use super::curve::Curve;
use super::series::Series;
use crate::statistics::mean;

/// How times between and beyond profiled batches are found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Lookup {
    /// Monotone (pool-adjacent-violators) piecewise-linear in the profiled range, affine beyond it; affine
    /// throughout if fewer than six batches were profiled. A time that falls stays where raw repeats prove it.
    #[default]
    PiecewiseLinear,
    /// Affine from batch 2 on, least squares of the relative error; batch 1 as profiled, since it often runs
    /// other kernels; with two profiled batches or fewer, through all of them.
    Affine,
    /// Affine through all profiled batches, batch 1 too, least squares of the relative error.
    AffineAll,
    /// In steps: affine in the number of waves, each of as many samples as fits best; batch 1 as profiled.
    Wave,
    /// Linear between profiled batches just as they are, affine beyond them.
    Table,
    /// Of `affine_all`, `affine`, `wave`, `piecewise_linear` and `table` the first whose mean error, each inner batch
    /// predicted from the others, is within one standard error of the least; chosen for each device and model.
    /// `piecewise_linear` if fewer than five batches were profiled or the table is unpredictable.
    CrossValidated,
    /// Profiled batches only.
    Exact,
    /// As Lee, Choi and Park (KCC 2020) look up: times per sample, linear between the batches 2^n + 1 and
    /// 2^(n+1) - 1, and the last one beyond the table.
    Kcc2020,
    /// As the later revision of the same authors' program: as `kcc2020`, with the time of copies added between
    /// profiled batches (and only there), and nothing beyond the table.
    Kcc2020Later,
}

/// The forms that cross-validation chooses from, the one with the fewest parameters first.
pub(super) const CANDIDATES: [Lookup; 5] =
    [Lookup::AffineAll, Lookup::Affine, Lookup::Wave, Lookup::PiecewiseLinear, Lookup::Table];

/// With fewer batches to leave out, a mean error says nothing.
const INNER_MIN: usize = 3;

/// How well a form predicts the inner batches of a series, each from all the others.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Score {
    /// The form.
    pub form: Lookup,
    /// Inner batches that were left out; of more than 64, as many evenly spread ones.
    pub count: usize,
    /// Mean absolute relative error.
    pub mean: f64,
    /// Standard error of this mean.
    pub standard_error: f64,
}

impl Lookup {
    /// Its name in scenarios.
    pub fn name(self) -> &'static str {
        match self {
            Lookup::PiecewiseLinear => "piecewise_linear",
            Lookup::Affine => "affine",
            Lookup::AffineAll => "affine_all",
            Lookup::Wave => "wave",
            Lookup::Table => "table",
            Lookup::CrossValidated => "cross_validated",
            Lookup::Exact => "exact",
            Lookup::Kcc2020 => "kcc2020",
            Lookup::Kcc2020Later => "kcc2020_later",
        }
    }
}

/// The scores of all candidates; none if there are too few batches to tell.
pub(super) fn scores(series: &Series) -> Vec<Score> {
    let inner = series.inner();
    if inner.len() < INNER_MIN {
        return vec![];
    }
    let left_out: Vec<(u32, f64, Series)> =
        inner.into_iter().map(|batch| (batch, series.times[&batch].of_batch(batch), series.without(batch))).collect();
    let score = |form: Lookup| {
        let error = |(batch, time, others): &(u32, f64, Series)| {
            let predicted = Curve::from_series(others, form, true).estimate(*batch);
            let predicted = predicted.expect("every candidate has a time inside the range").time;
            (predicted.as_millis_f64() / time - 1.0).abs()
        };
        let errors: Vec<f64> = left_out.iter().map(error).collect();
        let mean = mean(&errors).expect("there are inner batches");
        let squares: f64 = errors.iter().map(|error| (error - mean).powi(2)).sum();
        let count = errors.len();
        let variance = squares / (count - 1) as f64;
        Score { form, count, mean, standard_error: (variance / count as f64).sqrt() }
    };
    CANDIDATES.into_iter().map(score).collect()
}

/// The first form whose error is within one standard error of the least (Breiman et al., 1984, section 3.4.3);
/// piecewise-linear if there are no scores.
pub(super) fn choose(scores: &[Score]) -> Lookup {
    let best = scores.iter().min_by(|a, b| a.mean.total_cmp(&b.mean));
    let Some(best) = best else {
        return Lookup::PiecewiseLinear;
    };
    let limit = best.mean + best.standard_error;
    scores.iter().find(|score| score.mean <= limit).unwrap_or(best).form
}

#[cfg(test)]
mod tests {
    use super::super::trace::Point;
    use super::*;

    fn check(scores: &[(Lookup, f64, f64)], expected: Lookup) {
        let score = |&(form, mean, standard_error)| Score { form, count: 9, mean, standard_error };
        assert_eq!(choose(&scores.iter().map(score).collect::<Vec<_>>()), expected);
    }

    #[test]
    fn the_simplest_form_within_one_standard_error_of_the_best_is_chosen() {
        let (simple, middle, best) = (Lookup::AffineAll, Lookup::Affine, Lookup::PiecewiseLinear);
        check(&[(simple, 0.09, 0.5), (middle, 0.039, 0.0), (best, 0.03, 0.01)], middle);
        check(&[(simple, 0.09, 0.5), (middle, 0.041, 0.5), (best, 0.03, 0.01)], best);
        check(&[(simple, 0.041, 0.0), (middle, 0.038, 0.0), (best, 0.03, 0.01)], middle);
        check(&[], best);
    }

    fn chosen(time: impl Fn(u32) -> f64, batches: &[u32]) -> Lookup {
        let point = |&batch: &u32| (batch, Point { time_ms: time(batch), per_sample: false });
        choose(&scores(&Series { times: batches.iter().map(point).collect(), ..Series::default() }))
    }

    const BATCHES: [u32; 11] = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64];

    #[test]
    fn each_form_is_found_where_the_times_have_it() {
        let line = |batch: u32| 2.0 + 3.0 * f64::from(batch);
        assert_eq!(chosen(line, &BATCHES), Lookup::AffineAll);
        assert_eq!(chosen(|batch| if batch == 1 { 20.0 } else { line(batch) }, &BATCHES), Lookup::Affine);
        let all: Vec<u32> = (1..=33).collect();
        assert_eq!(chosen(|batch| 1.0 + 9.0 * f64::from(batch.div_ceil(8)), &all), Lookup::Wave);
        let bent = |batch: u32| if batch < 16 { f64::from(batch) } else { 16.0 + 4.0 * f64::from(batch - 16) };
        assert_eq!(chosen(bent, &all), Lookup::PiecewiseLinear);
    }

    #[test]
    fn four_batches_are_too_few_to_choose() {
        assert_eq!(chosen(f64::from, &BATCHES[..4]), Lookup::PiecewiseLinear);
        assert_eq!(chosen(f64::from, &BATCHES[..5]), Lookup::AffineAll);
    }
}

//! Fits of time against batch, as pure functions of profiled points.

/// Milliseconds of a batch: `fixed + slope * batch`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Affine {
    pub(super) fixed: f64,
    pub(super) slope: f64,
}

impl Affine {
    /// Milliseconds of a batch of `batch`.
    pub(super) fn at(&self, batch: u32) -> f64 {
        self.fixed + self.slope * f64::from(batch)
    }
}

/// Milliseconds that grow by steps: a device works off samples in waves, and a wave that is not full takes as long as
/// a full one (NVIDIA, Matrix Multiplication Background, "Wave Quantization").
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Wave {
    /// Samples of a full wave.
    pub(super) size: u32,
    /// Milliseconds by the number of waves.
    pub(super) line: Affine,
}

impl Wave {
    /// Milliseconds of a batch of `batch`.
    pub(super) fn at(&self, batch: u32) -> f64 {
        self.line.at(batch.div_ceil(self.size))
    }
}

/// Larger waves are not looked for.
const WAVE_MAX: u32 = 32;

/// The closest non-decreasing sequence, in least squares (Ayer et al., 1955). It may fall only before the indices that
/// `falls_before` is true of.
pub(super) fn pool_adjacent_violators(values: &[f64], falls_before: impl Fn(usize) -> bool) -> Vec<f64> {
    let mut pools: Vec<(f64, usize)> = Vec::new();
    // Pools before this one are no longer joined.
    let mut first = 0;
    for (index, &value) in values.iter().enumerate() {
        if falls_before(index) {
            first = pools.len();
        }
        let mut pool = (value, 1);
        while pools.len() > first
            && let Some(&(mean, count)) = pools.last()
            && mean > pool.0
        {
            pools.pop();
            pool = ((mean * count as f64 + pool.0 * pool.1 as f64) / (count + pool.1) as f64, count + pool.1);
        }
        pools.push(pool);
    }
    pools.iter().flat_map(|&(mean, count)| std::iter::repeat_n(mean, count)).collect()
}

/// The points without batch 1, which often runs other kernels, if there are two others.
fn without_first(points: &[(u32, f64)]) -> &[(u32, f64)] {
    if points.len() > 2 && points[0].0 == 1 { &points[1..] } else { points }
}

/// The line from batch 2 on; see [`fit_line`].
///
/// # Panics
/// If there is no point.
pub(super) fn fit_affine(points: &[(u32, f64)]) -> Affine {
    let fitted = without_first(points);
    let first = if fitted.len() < points.len() { 2 } else { 1 };
    fit_line(fitted, first).unwrap_or_else(|| throughput(points))
}

/// The line through all batches; see [`fit_line`].
///
/// # Panics
/// If there is no point.
pub(super) fn fit_affine_all(points: &[(u32, f64)]) -> Affine {
    fit_line(points, 1).unwrap_or_else(|| throughput(points))
}

/// The size of wave, and the line through the numbers of waves from batch 2 on, with the least squared relative
/// error; the smallest size of several. Each size has at least three numbers of waves. Waves of 1 are the line of
/// [`fit_affine`].
///
/// # Panics
/// If there is no point.
pub(super) fn fit_wave(points: &[(u32, f64)]) -> Wave {
    let fitted = without_first(points);
    let mut best = Wave { size: 1, line: fit_affine(points) };
    let error = |wave: &Wave| fitted.iter().map(|&(batch, time)| (wave.at(batch) / time - 1.0).powi(2)).sum::<f64>();
    let mut least = error(&best);
    for size in 2..=WAVE_MAX {
        let waves: Vec<(u32, f64)> = fitted.iter().map(|&(batch, time)| (batch.div_ceil(size), time)).collect();
        let changes = waves.windows(2).filter(|pair| pair[0].0 < pair[1].0).count();
        if changes < 2 {
            continue;
        }
        let Some(line) = fit_line(&waves, 1) else { continue };
        let wave = Wave { size, line };
        let found = error(&wave);
        // More than rounding.
        if found < least * (1.0 - 1e-9) {
            (best, least) = (wave, found);
        }
    }
    best
}

/// Least squares of the relative error.
///
/// `None` if the line falls, is not above zero at `first` and from there on, or begins below zero and has fewer than
/// three points to prove it.
fn fit_line(points: &[(u32, f64)], first: u32) -> Option<Affine> {
    let mut sums = [0.0; 5];
    for &(batch, y) in points {
        let x = f64::from(batch);
        let weight = 1.0 / (y * y);
        for (sum, term) in sums.iter_mut().zip([1.0, x, x * x, y, x * y]) {
            *sum += weight * term;
        }
    }
    let [w, x, xx, y, xy] = sums;
    let determinant = w * xx - x * x;
    let line = Affine { fixed: (xx * y - x * xy) / determinant, slope: (w * xy - x * y) / determinant };
    let begins_well = line.fixed >= 0.0 || (points.len() > 2 && line.at(first) > 0.0);
    let is_sound = points.len() > 1 && line.slope > 0.0 && line.slope.is_finite() && begins_well;
    is_sound.then_some(line)
}

/// The throughput of the last point.
fn throughput(points: &[(u32, f64)]) -> Affine {
    let &(batch_max, slowest) = points.last().expect("a curve has a point");
    Affine { fixed: 0.0, slope: slowest / f64::from(batch_max) }
}

/// Why times beyond the points, which are in order of the batch, cannot be trusted, if so.
///
/// Either time grows by more than 2.5 per doubling of the batch twice in a row, or it falls by more than 1.5 as the
/// batch grows: memory thrash, or a measurement that was disturbed.
pub(super) fn find_thrash(points: &[(u32, f64)]) -> Option<String> {
    let growth = |batch: u32| {
        let time_at = |wanted: u32| points.binary_search_by_key(&wanted, |point| point.0).ok().map(|at| points[at].1);
        Some(time_at(batch.checked_mul(2)?)? / time_at(batch)?)
    };
    for &(batch, _) in points {
        if let (Some(first), Some(second)) = (growth(batch), batch.checked_mul(2).and_then(growth))
            && first > 2.5
            && second > 2.5
        {
            let (twice, four_times) = (2 * batch, 4 * u64::from(batch));
            return Some(format!(
                "time grows by {first:.1} from batch {batch} to {twice} and by {second:.1} from there to {four_times}"
            ));
        }
    }
    let mut slowest = points.first()?;
    for point in points {
        if slowest.1 > 1.5 * point.1 {
            let (ratio, before, after) = (slowest.1 / point.1, slowest.0, point.0);
            return Some(format!("batch {before} takes {ratio:.1} times as long as batch {after}"));
        }
        if point.1 > slowest.1 {
            slowest = point;
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pooling_is_the_least_squares_monotone_fit() {
        let pool = |values: &[f64]| pool_adjacent_violators(values, |_| false);
        assert_eq!(pool(&[1.0, 3.0, 2.0, 4.0]), [1.0, 2.5, 2.5, 4.0]);
        assert_eq!(pool(&[3.0, 2.0, 1.0]), [2.0, 2.0, 2.0]);
    }

    #[test]
    fn pools_do_not_cross_a_fall_that_is_allowed() {
        let pool = |values: &[f64], falls: usize| pool_adjacent_violators(values, |index| index == falls);
        assert_eq!(pool(&[1.0, 5.0, 3.0, 4.0, 2.0], 2), [1.0, 5.0, 3.0, 3.0, 3.0]);
        assert_eq!(pool(&[3.0, 2.0, 1.0], 1), [3.0, 1.5, 1.5]);
    }

    #[test]
    fn a_line_may_begin_below_zero_if_it_is_proven_and_above_zero_where_it_is_used() {
        let exact = |points: &[(u32, f64)]| {
            let line = fit_affine(points);
            (line.fixed.round(), line.slope.round())
        };
        assert_eq!(exact(&[(1, 9.0), (2, 4.0), (4, 10.0), (8, 22.0)]), (-2.0, 3.0));
        assert_eq!(exact(&[(2, 4.0), (4, 10.0)]), (0.0, 3.0), "two points prove no start below zero");
        assert_eq!(exact(&[(4, 2.0), (8, 14.0), (16, 38.0)]), (0.0, 2.0), "batch 1 would take less than nothing");
        assert_eq!(exact(&[(1, 5.0), (2, 4.0), (3, 3.0)]), (0.0, 1.0), "time does not fall with the batch");
    }

    #[test]
    fn waves_are_found_where_time_grows_by_steps() {
        let points: Vec<(u32, f64)> =
            (1..=24).map(|batch: u32| (batch, 3.0 + 5.0 * f64::from(batch.div_ceil(6)))).collect();
        let wave = fit_wave(&points);
        assert_eq!(wave.size, 6);
        assert!((wave.at(13) - 18.0).abs() < 1e-9 && (wave.at(25) - 28.0).abs() < 1e-9);
        let straight: Vec<(u32, f64)> = (1..=24).map(|batch| (batch, 3.0 + 5.0 * f64::from(batch))).collect();
        assert_eq!(fit_wave(&straight).size, 1);
    }

    #[test]
    fn batch_1_counts_for_the_line_through_all() {
        let points = [(1, 1.0), (2, 12.0), (4, 22.0), (8, 42.0)];
        assert!((fit_affine(&points).fixed - 2.0).abs() < 1e-9);
        assert!(fit_affine_all(&points).fixed < 0.0);
    }
}

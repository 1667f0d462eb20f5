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

/// The closest non-decreasing sequence, in least squares (Ayer et al., 1955).
pub(super) fn pool_adjacent_violators(values: &[f64]) -> Vec<f64> {
    let mut pools: Vec<(f64, usize)> = Vec::new();
    for &value in values {
        let mut pool = (value, 1);
        while let Some(&(mean, count)) = pools.last()
            && mean > pool.0
        {
            pools.pop();
            pool = ((mean * count as f64 + pool.0 * pool.1 as f64) / (count + pool.1) as f64, count + pool.1);
        }
        pools.push(pool);
    }
    pools.iter().flat_map(|&(mean, count)| std::iter::repeat_n(mean, count)).collect()
}

/// Least squares of the relative error over the batches from 2 on.
///
/// Where this falls with the batch, begins below zero or has one point only, it is the throughput of the last point.
///
/// # Panics
/// If there is no point.
pub(super) fn fit_affine(points: &[(u32, f64)]) -> Affine {
    let has_own_first = points.len() > 2 && points[0].0 == 1;
    let fitted = if has_own_first { &points[1..] } else { points };
    let mut sums = [0.0; 5];
    for &(batch, y) in fitted {
        let x = f64::from(batch);
        let weight = 1.0 / (y * y);
        for (sum, term) in sums.iter_mut().zip([1.0, x, x * x, y, x * y]) {
            *sum += weight * term;
        }
    }
    let [w, x, xx, y, xy] = sums;
    let determinant = w * xx - x * x;
    let affine = Affine { fixed: (xx * y - x * xy) / determinant, slope: (w * xy - x * y) / determinant };
    let is_sound = fitted.len() > 1 && affine.slope > 0.0 && affine.slope.is_finite() && affine.fixed >= 0.0;
    let &(batch_max, slowest) = points.last().expect("a curve has a point");
    if is_sound { affine } else { Affine { fixed: 0.0, slope: slowest / f64::from(batch_max) } }
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
        assert_eq!(pool_adjacent_violators(&[1.0, 3.0, 2.0, 4.0]), [1.0, 2.5, 2.5, 4.0]);
        assert_eq!(pool_adjacent_violators(&[3.0, 2.0, 1.0]), [2.0, 2.0, 2.0]);
    }
}

//! Figures that sum up errors of predictions and rankings.

use serde::{Deserialize, Serialize};

use super::{mean, quantile};

/// What signed relative errors, `predicted / measured - 1`, come to; all but `count` are fractions.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Errors {
    /// How many there are.
    pub count: usize,
    /// Mean of their magnitudes.
    pub mean: f64,
    /// Median of their magnitudes.
    pub median: f64,
    /// 95th percentile of their magnitudes.
    pub p95: f64,
    /// Largest magnitude.
    pub max: f64,
    /// Mean with signs: above 0 if predictions are too long.
    pub bias: f64,
    /// Share of magnitudes of at most 0.1.
    pub within_10_percent: f64,
}

impl Errors {
    /// Of these errors; `None` if there are none.
    pub fn of(errors: impl IntoIterator<Item = f64>) -> Option<Errors> {
        let errors: Vec<f64> = errors.into_iter().collect();
        let mut sizes: Vec<f64> = errors.iter().map(|error| error.abs()).collect();
        sizes.sort_by(f64::total_cmp);
        let close = sizes.iter().filter(|&&size| size <= 0.1).count();
        Some(Errors {
            count: sizes.len(),
            mean: mean(&sizes)?,
            median: quantile(&sizes, 0.5),
            p95: quantile(&sizes, 0.95),
            max: *sizes.last()?,
            bias: mean(&errors)?,
            within_10_percent: close as f64 / sizes.len() as f64,
        })
    }
}

/// Rank correlation of pairs with regard to ties (Kendall, 1945: tau-b); `None` if a side is all ties.
pub(crate) fn kendall_tau(pairs: &[(f64, f64)]) -> Option<f64> {
    let (mut score, mut first_differs, mut second_differs) = (0i64, 0i64, 0i64);
    for (index, one) in pairs.iter().enumerate() {
        for other in &pairs[index + 1..] {
            let first = one.0.total_cmp(&other.0) as i64;
            let second = one.1.total_cmp(&other.1) as i64;
            score += first * second;
            first_differs += first.abs();
            second_differs += second.abs();
        }
    }
    let scale = (first_differs as f64 * second_differs as f64).sqrt();
    (scale > 0.0).then(|| score as f64 / scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_summed_up_by_size_and_bias_by_sign() {
        let errors = Errors::of([0.1, -0.3, 0.05, -0.05]).unwrap();
        assert_eq!((errors.count, errors.max, errors.within_10_percent), (4, 0.3, 0.75));
        assert!((errors.mean - 0.125).abs() < 1e-12 && (errors.bias + 0.05).abs() < 1e-12);
        assert!((errors.median - 0.075).abs() < 1e-12 && (errors.p95 - 0.27).abs() < 1e-12);
        assert_eq!(Errors::of([]), None);
    }

    #[test]
    fn tau_is_1_for_equal_orders_and_accounts_for_ties() {
        assert_eq!(kendall_tau(&[(1.0, 10.0), (2.0, 20.0), (3.0, 30.0)]), Some(1.0));
        assert_eq!(kendall_tau(&[(1.0, 3.0), (2.0, 2.0), (3.0, 1.0)]), Some(-1.0));
        let tied = kendall_tau(&[(1.0, 1.0), (1.0, 2.0), (2.0, 3.0)]).unwrap();
        assert!((tied - 2.0 / 6f64.sqrt()).abs() < 1e-12);
        assert_eq!(kendall_tau(&[(1.0, 1.0), (1.0, 2.0)]), None);
    }
}

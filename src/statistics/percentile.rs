//! Percentiles of what several replications have recorded, and how sure they are.

use serde::{Deserialize, Serialize};

use super::interval::student_t;
use super::{Histogram, mean};

/// A percentile and how far the truth may be from it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Percentile {
    /// Of all values together.
    pub value: f64,
    /// Lower end of its interval; `None` if a single replication cannot say.
    pub low: Option<f64>,
    /// Upper end.
    pub high: Option<f64>,
}

impl Percentile {
    /// The distance of the farther end; `None` without an interval.
    pub fn reach(&self) -> Option<f64> {
        Some((self.value - self.low?).max(self.high? - self.value))
    }

    /// That as a share of the percentile: 0 if both are 0, infinite without an interval.
    pub fn relative(&self) -> f64 {
        match self.reach() {
            Some(0.0) => 0.0,
            Some(reach) => reach / self.value,
            None => f64::INFINITY,
        }
    }
}

/// The durations of several replications together.
///
/// The mean of percentiles of each is no estimate: a replication has few values beyond its own 99th percentile, and where
/// these depend on each other, as latencies of a loaded queue do, their mean is too small by far.
#[derive(Clone, Debug, Default)]
pub struct Pooled {
    all: Histogram,
    /// By replication, the sizes that it has, in nanoseconds and ascending, with how many are no longer.
    replications: Vec<Vec<(u64, u64)>>,
}

impl Pooled {
    /// Adds a replication.
    pub fn add(&mut self, durations: &Histogram) {
        self.all.merge(durations);
        self.replications.push(durations.ranks());
    }

    /// How many durations there are.
    pub fn count(&self) -> u64 {
        self.all.count()
    }

    /// The percentile of all in milliseconds; `None` of nothing.
    pub fn millis(&self, share: f64) -> Option<f64> {
        Some(self.all.quantile(share)?.as_millis_f64())
    }

    /// The percentile of all in milliseconds with its interval at `level`; `None` of nothing.
    ///
    /// The share of durations beyond the percentile varies from replication to replication; what it may be is the interval
    /// of a ratio (Cochran, Sampling Techniques, 1977, section 6.4), and the percentiles at its ends are those of the
    /// interval (Woodruff, Confidence intervals for medians and other position measures, 1952). Where most of what is
    /// beyond comes from a few replications, the spread is itself known badly, which costs degrees of freedom
    /// (Satterthwaite, 1946), and what may be beyond grows by factors rather than by amounts.
    ///
    /// # Panics
    /// Unless `0 < share < 1` and `0 < level < 1`.
    pub fn percentile(&self, share: f64, level: f64) -> Option<Percentile> {
        assert!(0.0 < share && share < 1.0, "a percentile lies within");
        let nanos = self.all.quantile(share)?.as_nanos();
        let value = self.millis(share)?;
        let Some(reach) = self.reach(self.all.last_alike(nanos), level) else {
            return Some(Percentile { value, low: None, high: None });
        };
        let beyond = 1.0 - share;
        let factor = reach / beyond;
        // The exponential of the factor to its square, so that bytes are the same on every machine.
        let most_beyond = (beyond * (1.0 + factor + factor * factor / 2.0)).min(1.0);
        Some(Percentile { value, low: self.millis(1.0 - most_beyond), high: self.millis((share + reach).min(1.0)) })
    }

    /// How far the share of durations beyond `nanos` may be from what it is over all replications.
    fn reach(&self, nanos: u64, level: f64) -> Option<f64> {
        let beyond = |ranks: &Vec<(u64, u64)>| {
            let within = match ranks.partition_point(|&(size, _)| size <= nanos) {
                0 => 0,
                sizes => ranks[sizes - 1].1,
            };
            let count = ranks.last().map_or(0, |last| last.1);
            ((count - within) as f64, count as f64)
        };
        let counts: Vec<(f64, f64)> = self.replications.iter().map(beyond).collect();
        let number = counts.len() as f64;
        let per_replication = mean(&counts.iter().map(|(_, count)| *count).collect::<Vec<_>>())?;
        let ratio = counts.iter().map(|(beyond, _)| beyond).sum::<f64>() / (per_replication * number);
        let squares: Vec<f64> = counts.iter().map(|(beyond, count)| (beyond - ratio * count).powi(2)).collect();
        let variance = mean(&squares).filter(|_| counts.len() > 1)?;
        if variance == 0.0 {
            return Some(0.0);
        }
        let kurtosis = mean(&squares.iter().map(|square| square * square).collect::<Vec<_>>())? / (variance * variance);
        let freedom = (2.0 * (number - 1.0) / (kurtosis.max(3.0) - 1.0)).max(1.0);
        Some(student_t(level, freedom) * (variance / (number - 1.0)).sqrt() / per_replication)
    }
}

/// How many values a percentile needs at least, so that it is sure at 99 % that two of them lie beyond: 662 for the 99th.
///
/// Source: MLPerf inference rules, early stopping.
///
/// # Panics
/// Unless `0 < share < 1`.
pub fn values_needed(share: f64) -> u64 {
    assert!(0.0 < share && share < 1.0, "a percentile lies within");
    let (mut none, mut count) = (1.0, 0u32);
    // The probability that one at most of `count` values lies beyond.
    while none * (1.0 + f64::from(count) * (1.0 - share) / share) > 0.01 {
        none *= share;
        count += 1;
    }
    u64::from(count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Duration;

    fn pooled(replications: &[&[u64]]) -> Pooled {
        let mut pooled = Pooled::default();
        for millis in replications {
            let mut histogram = Histogram::new();
            millis.iter().for_each(|&millis| histogram.record(Duration::from_nanos(millis * 1_000_000)));
            pooled.add(&histogram);
        }
        pooled
    }

    #[test]
    fn a_percentile_is_that_of_all_values_together() {
        let (low, high): (Vec<u64>, Vec<u64>) = ((1..=100).collect(), (101..=200).collect());
        let found = pooled(&[&low, &high]).percentile(0.99, 0.95).unwrap();
        assert!((found.value - 198.0).abs() < 0.1, "{found:?}");
        // The mean of both percentiles would be 149.
        assert!(found.low.unwrap() <= found.value && found.value <= found.high.unwrap());
        assert_eq!(pooled(&[]).percentile(0.99, 0.95), None);
    }

    #[test]
    fn one_replication_has_no_interval_and_equal_ones_have_one_of_no_width() {
        let values: Vec<u64> = (1..=100).collect();
        let alone = pooled(&[&values]).percentile(0.9, 0.95).unwrap();
        assert_eq!((alone.low, alone.high, alone.relative()), (None, None, f64::INFINITY));
        let equal = pooled(&[&values, &values]).percentile(0.9, 0.95).unwrap();
        assert_eq!((equal.low, equal.high, equal.relative()), (Some(equal.value), Some(equal.value), 0.0));
    }

    #[test]
    fn so_many_values_are_needed_as_the_rules_of_mlperf_say() {
        assert_eq!([0.9, 0.99].map(values_needed), [64, 662]);
    }
}

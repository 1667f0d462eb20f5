//! Latencies of many queries in bounded memory.

use hdrhistogram::Histogram as Buckets;

use crate::units::Duration;

/// How many durations there were of each size, sizes told apart to three significant digits (Tene, HdrHistogram).
///
/// Mean, shortest and longest are exact. 440 kB at most, whatever the number of durations; 220 kB up to a minute.
#[derive(Clone, Debug)]
pub struct Histogram {
    buckets: Buckets<u64>,
    /// Nanoseconds.
    sum: u128,
    min: u64,
    max: u64,
}

/// Longer ones are taken for this, 292 years.
const NANOS_MAX: u64 = i64::MAX as u64;

impl Default for Histogram {
    fn default() -> Self {
        let buckets = Buckets::new(3).expect("three digits are within what a histogram can hold");
        Histogram { buckets, sum: 0, min: u64::MAX, max: 0 }
    }
}

impl Histogram {
    /// An empty histogram.
    pub fn new() -> Histogram {
        Histogram::default()
    }

    /// Adds a duration.
    pub fn record(&mut self, duration: Duration) {
        let nanos = duration.as_nanos().min(NANOS_MAX);
        self.buckets.record(nanos).expect("it grows to the largest number that is recorded");
        self.sum += u128::from(nanos);
        self.min = self.min.min(nanos);
        self.max = self.max.max(nanos);
    }

    /// Adds what another has recorded. The order in which histograms are merged makes no difference.
    pub fn merge(&mut self, other: &Histogram) {
        self.buckets.add(&other.buckets).expect("it grows to the largest number that is recorded");
        self.sum += other.sum;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }

    /// How many durations there are.
    pub fn count(&self) -> u64 {
        self.buckets.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.count() == 0
    }

    /// The mean of the durations in nanoseconds, exact but for the division; `None` of nothing.
    pub fn mean_nanos(&self) -> Option<f64> {
        (!self.is_empty()).then(|| self.sum as f64 / self.count() as f64)
    }

    /// The shortest, exactly; `None` of nothing.
    pub fn min(&self) -> Option<Duration> {
        (!self.is_empty()).then(|| Duration::from_nanos(self.min))
    }

    /// The longest, exactly; `None` of nothing.
    pub fn max(&self) -> Option<Duration> {
        (!self.is_empty()).then(|| Duration::from_nanos(self.max))
    }

    /// The shortest duration that at least `share` of all do not exceed (Hyndman and Fan, 1996, type 1), to 0.05 %;
    /// `share` 0.99 is the 99th percentile. `None` of nothing.
    ///
    /// # Panics
    /// Unless `0 <= share <= 1`.
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        assert!((0.0..=1.0).contains(&share), "a share lies between 0 and 1");
        let rank = (share * self.count() as f64).ceil();
        if rank <= 1.0 {
            return self.min();
        }
        if rank >= self.count() as f64 {
            return self.max();
        }
        Some(self.middle(self.buckets.value_at_quantile(share)))
    }

    /// The sizes that were recorded and how many durations had them, shortest first.
    pub fn iter(&self) -> impl Iterator<Item = (Duration, u64)> {
        let recorded = self.buckets.iter_recorded();
        recorded.map(|entry| (self.middle(entry.value_iterated_to()), entry.count_at_value()))
    }

    /// The longest that is not told apart from `nanos`.
    pub(super) fn last_alike(&self, nanos: u64) -> u64 {
        self.buckets.highest_equivalent(nanos)
    }

    /// The sizes that were recorded, as the longest that is not told apart from each, and how many are no longer.
    pub(super) fn ranks(&self) -> Vec<(u64, u64)> {
        let mut within = 0;
        let rank = |entry: hdrhistogram::iterators::IterationValue<u64>| {
            within += entry.count_at_value();
            (self.last_alike(entry.value_iterated_to()), within)
        };
        self.buckets.iter_recorded().map(rank).collect()
    }

    /// What stands for all that are not told apart from `nanos`: nearer to each than either end.
    fn middle(&self, nanos: u64) -> Duration {
        Duration::from_nanos(self.buckets.median_equivalent(nanos).clamp(self.min, self.max))
    }
}

impl PartialEq for Histogram {
    /// Whether they have recorded the same, as far as they can tell.
    fn eq(&self, other: &Histogram) -> bool {
        (self.sum, self.min, self.max) == (other.sum, other.min, other.max) && self.iter().eq(other.iter())
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn of(nanos: impl IntoIterator<Item = u64>) -> Histogram {
        let mut histogram = Histogram::new();
        nanos.into_iter().for_each(|nanos| histogram.record(Duration::from_nanos(nanos)));
        histogram
    }

    #[test]
    fn quantiles_are_those_of_the_durations_to_three_digits() {
        let histogram = of((1..=100_000).map(|index| index * 1000));
        for (share, expected) in [(0.5, 50e6), (0.9, 90e6), (0.99, 99e6), (0.999, 99.9e6)] {
            let found = histogram.quantile(share).unwrap().as_nanos_f64();
            assert!((found / expected - 1.0).abs() < 0.0005, "{share}: {found}");
        }
        assert_eq!(histogram.mean_nanos(), Some(50_000_500.0));
        assert_eq!(histogram.quantile(0.0), histogram.min());
        assert_eq!(histogram.quantile(1.0), Some(Duration::from_nanos(100_000_000)));
    }

    #[test]
    fn a_single_duration_is_every_quantile_exactly() {
        let histogram = of([123_456_789]);
        for share in [0.0, 0.5, 0.99, 1.0] {
            assert_eq!(histogram.quantile(share), Some(Duration::from_nanos(123_456_789)));
        }
        assert_eq!(histogram.iter().collect::<Vec<_>>(), [(Duration::from_nanos(123_456_789), 1)]);
    }

    #[test]
    fn nothing_has_no_quantiles_and_the_longest_duration_is_no_fault() {
        let histogram = Histogram::new();
        assert_eq!((histogram.quantile(0.5), histogram.mean_nanos(), histogram.max()), (None, None, None));
        assert_eq!(histogram.iter().count(), 0);
        let histogram = of([0, u64::MAX]);
        assert_eq!((histogram.min(), histogram.max()), (Some(Duration::ZERO), Some(Duration::from_nanos(NANOS_MAX))));
        assert!(histogram.buckets.distinct_values() * 8 <= 480_000);
    }

    proptest! {
        #[test]
        fn merging_is_recording_all_in_any_order(first in vec(any::<u64>(), 0..40), second in vec(0u64..5000, 0..40)) {
            let all = of(first.iter().chain(&second).copied());
            for (mut one, other) in [(of(first.clone()), of(second.clone())), (of(second.clone()), of(first.clone()))] {
                one.merge(&other);
                prop_assert_eq!(&one, &all);
                prop_assert_eq!(one.quantile(0.9), all.quantile(0.9));
            }
        }

        #[test]
        fn a_quantile_is_the_nearest_rank(mut nanos in vec(0u64..1 << 40, 1..60), share in 0.0..=1.0) {
            let found = of(nanos.clone()).quantile(share).unwrap().as_nanos_f64();
            nanos.sort();
            let rank = (share * nanos.len() as f64).ceil().max(1.0) as usize;
            let exact = nanos[rank - 1] as f64;
            prop_assert!((found - exact).abs() <= 0.0005 * exact, "{} {}", found, exact);
        }

        #[test]
        fn iterating_gives_every_duration_in_ascending_order(nanos in vec(any::<u64>(), 0..60)) {
            let histogram = of(nanos.clone());
            let rows: Vec<_> = histogram.iter().collect();
            prop_assert!(rows.is_sorted_by_key(|row| row.0));
            prop_assert_eq!(rows.iter().map(|row| row.1).sum::<u64>(), nanos.len() as u64);
        }
    }
}

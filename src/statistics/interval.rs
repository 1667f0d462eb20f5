//! Confidence intervals of means over replications, and whether two strategies differ.

use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, StudentsT};

use super::mean;

/// A mean and how far the truth may be from it at some level of confidence, in the unit of the values.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Middle of the interval.
    pub mean: f64,
    /// Distance of either end from the middle, 0 or more.
    pub half_width: f64,
}

impl Interval {
    /// Student's t interval of the mean of independent values, such as one figure of each replication (Student, 1908).
    ///
    /// `level` is the share of such intervals that hold the truth, for example 0.95. `None` of fewer than two values.
    ///
    /// # Panics
    /// Unless `0 < level < 1`.
    pub fn of(values: &[f64], level: f64) -> Option<Interval> {
        let count = values.len();
        let mean = mean(values).filter(|_| count > 1)?;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let deviation = (squares / (count - 1) as f64 / count as f64).sqrt();
        Some(Interval { mean, half_width: student_t(level, (count - 1) as f64) * deviation })
    }

    /// The interval of the mean of `a - b`, pair by pair: figures of two strategies that met the same random world.
    ///
    /// It is narrower than intervals of each by itself, as far as the two suffer from the same chances (Law, Simulation
    /// Modeling and Analysis, 2015, section 10.2.1). `None` of fewer than two pairs.
    ///
    /// # Panics
    /// If the slices differ in length, or unless `0 < level < 1`.
    pub fn of_differences(a: &[f64], b: &[f64], level: f64) -> Option<Interval> {
        assert_eq!(a.len(), b.len(), "paired values come in pairs");
        let differences: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - b).collect();
        Interval::of(&differences, level)
    }

    /// Lower end.
    pub fn low(&self) -> f64 {
        self.mean - self.half_width
    }

    /// Upper end.
    pub fn high(&self) -> f64 {
        self.mean + self.half_width
    }

    /// Whether `value` lies inside, ends included.
    pub fn contains(&self, value: f64) -> bool {
        (self.low()..=self.high()).contains(&value)
    }

    /// The half width as a share of the mean: 0 if both are 0, infinite if only the mean is, NaN if either is.
    pub fn relative(&self) -> f64 {
        if self.half_width == 0.0 { 0.0 } else { self.half_width / self.mean.abs() }
    }
}

/// What paired values say of the means of two strategies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Comparison {
    /// The first has the smaller mean.
    Less,
    /// The first has the larger mean.
    Greater,
    /// The interval of the difference holds 0: what was seen may be chance.
    NotDistinguishable,
}

/// Compares figures of two strategies that met the same random world, replication by replication; gives the interval of
/// the differences `a - b` too. `None` of fewer than two pairs.
///
/// # Panics
/// If the slices differ in length, or unless `0 < level < 1`.
pub fn compare(a: &[f64], b: &[f64], level: f64) -> Option<(Comparison, Interval)> {
    let difference = Interval::of_differences(a, b, level)?;
    let comparison = if difference.high() < 0.0 {
        Comparison::Less
    } else if difference.low() > 0.0 {
        Comparison::Greater
    } else {
        Comparison::NotDistinguishable
    };
    Some((comparison, difference))
}

/// How many standard deviations of its mean a two-sided interval at `level` reaches, by degrees of freedom.
///
/// # Panics
/// Unless `0 < level < 1` and there is a degree of freedom.
pub(crate) fn student_t(level: f64, freedom: f64) -> f64 {
    assert!(0.0 < level && level < 1.0, "a level of confidence lies between 0 and 1");
    let student = StudentsT::new(0.0, 1.0, freedom).expect("there is a degree of freedom");
    student.inverse_cdf((1.0 + level) / 2.0)
}

#[cfg(test)]
mod tests {
    use rand::distr::{Distribution, StandardUniform};
    use rand::rngs::ChaCha8Rng;
    use rand::{RngExt, SeedableRng};

    use super::*;

    #[test]
    fn quantiles_are_those_of_published_tables() {
        // Student's t, two-sided, from any table.
        for (level, freedom, expected) in
            [(0.95, 1.0, 12.7062), (0.95, 19.0, 2.0930), (0.99, 19.0, 2.8609), (0.9, 99.0, 1.6604)]
        {
            assert!((student_t(level, freedom) - expected).abs() < 1e-4, "{level} {freedom}");
        }
    }

    #[test]
    fn an_interval_is_the_mean_and_t_times_its_deviation() {
        let interval = Interval::of(&[9.0, 10.0, 11.0, 10.0], 0.95).unwrap();
        assert_eq!(interval.mean, 10.0);
        // s = sqrt(2/3), s / sqrt(4) = 0.40825, t(3) = 3.18245.
        assert!((interval.half_width - 1.29923).abs() < 1e-5);
        assert!((interval.low() - 8.70077).abs() < 1e-5 && (interval.high() - 11.29923).abs() < 1e-5);
        assert!(interval.contains(11.2) && !interval.contains(11.3));
        assert!((interval.relative() - 0.129923).abs() < 1e-6);
        assert_eq!((Interval::of(&[1.0], 0.95), Interval::of(&[], 0.95)), (None, None));
    }

    #[test]
    fn intervals_hold_the_truth_as_often_as_they_say() {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let mut held = 0;
        for _ in 0..2000 {
            let values: [f64; 20] = std::array::from_fn(|_| {
                let parts: [f64; 12] = std::array::from_fn(|_| StandardUniform.sample(&mut random));
                parts.iter().sum::<f64>()
            });
            held += u32::from(Interval::of(&values, 0.95).unwrap().contains(6.0));
        }
        // 1900 expected, with a standard deviation of 9.7.
        assert!((1862..=1938).contains(&held), "{held}");
    }

    #[test]
    fn common_random_numbers_tell_apart_what_separate_ones_do_not() {
        let mut random = ChaCha8Rng::seed_from_u64(2);
        let world: Vec<f64> = (0..20).map(|_| random.random::<f64>()).collect();
        let other: Vec<f64> = (0..20).map(|_| random.random::<f64>() + 0.01).collect();
        let faster: Vec<f64> = world.iter().map(|value| value * 0.99).collect();
        let slower: Vec<f64> = world.iter().map(|value| value + 0.001).collect();
        assert_eq!(compare(&faster, &world, 0.95).unwrap().0, Comparison::Less);
        assert_eq!(compare(&slower, &world, 0.95).unwrap().0, Comparison::Greater);
        assert_eq!(compare(&other, &world, 0.95).unwrap().0, Comparison::NotDistinguishable);
        let paired = compare(&faster, &world, 0.95).unwrap().1;
        assert!(paired.half_width < Interval::of(&world, 0.95).unwrap().half_width / 50.0);
    }

    #[test]
    fn equal_or_undefined_figures_are_not_distinguishable() {
        let same = [3.5, 1.25, 8.0];
        let (comparison, difference) = compare(&same, &same, 0.95).unwrap();
        assert_eq!((comparison, difference.half_width), (Comparison::NotDistinguishable, 0.0));
        let (comparison, _) = compare(&[f64::NAN, 1.0], &[1.0, 1.0], 0.95).unwrap();
        assert_eq!(comparison, Comparison::NotDistinguishable);
        assert_eq!(compare(&[2.0, 2.0], &[1.0, 1.0], 0.95).unwrap().0, Comparison::Greater);
    }
}

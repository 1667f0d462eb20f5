//! How far a machine repeats itself: one plan, replayed twice as if it were two.

use serde::{Deserialize, Serialize};

use crate::statistics::Interval;

/// How far two replays of the same plan are apart, of which each ran once in each round.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NoiseFloor {
    /// The strategy that made the plan.
    pub strategy: String,
    /// Rounds of each.
    pub rounds: usize,
    /// The second makespan over the first, less one: the geometric mean over rounds.
    pub difference: f64,
    /// The lower end of its 95 % confidence interval, by Student's t of the logarithms.
    pub difference_low: f64,
    /// The upper end.
    pub difference_high: f64,
}

impl NoiseFloor {
    /// Of the makespans of both in each round; `None` of fewer than two rounds.
    pub fn of(strategy: &str, makespans: impl IntoIterator<Item = (f64, f64)>) -> Option<NoiseFloor> {
        let ratios = makespans.into_iter().filter(|(first, second)| *first > 0.0 && *second > 0.0);
        let logarithms: Vec<f64> = ratios.map(|(first, second)| (second / first).ln()).collect();
        let Interval { mean, half_width } = Interval::of(&logarithms, 0.95)?;
        Some(NoiseFloor {
            strategy: strategy.to_owned(),
            rounds: logarithms.len(),
            difference: mean.exp_m1(),
            difference_low: (mean - half_width).exp_m1(),
            difference_high: (mean + half_width).exp_m1(),
        })
    }

    /// The most by which equal plans may differ here: the farther end of the interval.
    pub fn most(&self) -> f64 {
        self.difference_low.abs().max(self.difference_high.abs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_makespans_have_no_floor_and_noise_one_that_falls_with_rounds() {
        let floor = NoiseFloor::of("exact", [(5.0, 5.0); 3]).unwrap();
        assert_eq!((floor.difference, floor.most(), floor.rounds), (0.0, 0.0, 3));
        let noisy = |rounds: usize| {
            let pair = |round: usize| if round.is_multiple_of(2) { (100.0, 104.0) } else { (104.0, 100.0) };
            NoiseFloor::of("exact", (0..rounds).map(pair)).unwrap()
        };
        assert!(noisy(4).most() > noisy(8).most() && noisy(8).most() > noisy(32).most());
        assert!(noisy(32).difference.abs() < 1e-12 && noisy(32).most() < 0.02);
        assert_eq!(NoiseFloor::of("exact", [(5.0, 5.0)]), None);
    }

    #[test]
    fn who_comes_second_and_is_always_slower_is_told_with_its_interval() {
        let floor = NoiseFloor::of("exact", [(100.0, 128.0), (100.0, 129.0), (100.0, 127.0)]).unwrap();
        assert!((floor.difference - 0.28).abs() < 1e-3);
        assert!(floor.difference_low > 0.2 && floor.difference_high < 0.35 && floor.most() == floor.difference_high);
    }
}

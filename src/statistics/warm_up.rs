//! How much of the start of a run to leave out, so that its mean is that of the long run.

use super::mean;

/// Observations that are averaged to one before the search.
const BATCH: usize = 5;
/// So few batches at the end are never judged by themselves: they may agree by chance (Hoad, Robinson and Davies, 2010,
/// section 3).
const BATCHES_MIN: usize = 5;

/// What the observations of a run say about its warm-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WarmUp {
    /// The run is steady once the first `drop` observations are left out. At most half of the observations.
    Ends {
        /// How many to leave out, a multiple of 5.
        drop: usize,
    },
    /// The best truncation lies in the second half of the run: it is still changing, or its load is too high to ever be
    /// steady. A mean of it says nothing; it needs a longer run.
    NotConverged,
    /// There are fewer than 50 observations, of which nothing can be said.
    TooShort,
}

/// The truncation by MSER-5, from observations in the order of time.
///
/// Of the means of batches of five it drops as many from the start as make the standard error of the mean of the others
/// smallest, and if two numbers do, the smaller (White, 1997; White, Cobb and Spratt, A comparison of five steady-state
/// truncation heuristics for simulation, 2000). Keeps a fifth of the observations in memory, not the observations.
pub fn warm_up(observations: impl IntoIterator<Item = f64>) -> WarmUp {
    let mut batches = Vec::new();
    let mut batch = Vec::with_capacity(BATCH);
    for observation in observations {
        batch.push(observation);
        if batch.len() == BATCH {
            batches.extend(mean(&batch));
            batch.clear();
        }
    }
    if batches.len() < 2 * BATCHES_MIN {
        return WarmUp::TooShort;
    }
    let drop = truncation(&batches);
    if drop > batches.len() / 2 { WarmUp::NotConverged } else { WarmUp::Ends { drop: drop * BATCH } }
}

/// How many values to drop from the start to make the squared standard error of the mean of the others smallest.
fn truncation(values: &[f64]) -> usize {
    let (mut best, mut drop) = (f64::INFINITY, values.len());
    let (mut mean, mut squares, mut count) = (0.0, 0.0, 0.0);
    for (index, &value) in values.iter().enumerate().rev() {
        // One more value towards the start (Welford, 1962).
        count += 1.0;
        let distance = value - mean;
        mean += distance / count;
        squares += distance * (value - mean);
        let error = squares / (count * count);
        if count >= BATCHES_MIN as f64 && error <= best {
            (best, drop) = (error, index);
        }
    }
    drop
}

#[cfg(test)]
mod tests {
    use rand::rngs::ChaCha8Rng;
    use rand::{RngExt, SeedableRng};

    use super::*;

    fn noisy(count: usize, at: impl Fn(usize) -> f64) -> Vec<f64> {
        let mut random = ChaCha8Rng::seed_from_u64(3);
        (0..count).map(|index| at(index) + random.random::<f64>() - 0.5).collect()
    }

    #[test]
    fn a_transient_is_dropped_and_little_more() {
        let step = noisy(2000, |index| if index < 300 { 5.0 } else { 0.0 });
        let WarmUp::Ends { drop } = warm_up(step) else { panic!("it converges") };
        assert!((300..=330).contains(&drop), "{drop}");
        let fading = noisy(4000, |index| 10.0 * (-(index as f64) / 100.0).exp());
        let WarmUp::Ends { drop } = warm_up(fading.iter().copied()) else { panic!("it converges") };
        assert!((300..=800).contains(&drop), "{drop}");
        let (before, after) = (mean(&fading).unwrap(), mean(&fading[drop..]).unwrap());
        assert!(before > 0.2 && after.abs() < 0.05, "{before} {after}");
    }

    #[test]
    fn a_run_without_transient_keeps_all_or_nearly_all() {
        assert_eq!(warm_up([7.0; 100]), WarmUp::Ends { drop: 0 });
        let WarmUp::Ends { drop } = warm_up(noisy(1000, |_| 3.0)) else { panic!("it converges") };
        assert!(drop <= 100, "{drop}");
    }

    #[test]
    fn a_run_that_keeps_changing_has_not_converged() {
        assert_eq!(warm_up(noisy(1000, |index| index as f64 / 10.0)), WarmUp::NotConverged);
        assert_eq!(warm_up(noisy(1000, |index| if index < 700 { 9.0 } else { 0.0 })), WarmUp::NotConverged);
    }

    #[test]
    fn the_last_few_batches_do_not_win_by_agreeing_by_chance() {
        let mut values = noisy(200, |_| 0.0);
        values.extend([0.5; 20]);
        assert!(matches!(warm_up(values), WarmUp::Ends { .. }));
    }

    #[test]
    fn a_few_observations_say_nothing() {
        assert_eq!(warm_up([]), WarmUp::TooShort);
        assert_eq!(warm_up([1.0; 49]), WarmUp::TooShort);
        assert_eq!(warm_up([1.0; 50]), WarmUp::Ends { drop: 0 });
    }
}

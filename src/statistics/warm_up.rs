//! How much of the start of a run to leave out, so that its mean is that of the long run.

/// Observations that are averaged to one before the search.
const BATCH: usize = 5;
/// So few batches at the end are never judged by themselves: they may agree by chance (Hoad, Robinson and Davies, 2010,
/// section 3).
const BATCHES_MIN: usize = 5;

/// What observations say about the warm-up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WarmUp {
    /// A run is steady once the first `drop` observations are left out. At most half of the observations.
    Ends {
        /// How many to leave out, a multiple of 5.
        drop: usize,
    },
    /// The best truncation lies in the second half: the run is still changing, or its load is too high to ever be
    /// steady. A mean of it says nothing; it needs to be longer.
    NotConverged,
    /// There are fewer than 50 observations, of which nothing can be said.
    TooShort,
}

/// The truncation by MSER-5 of a single run, from its observations in the order of time.
///
/// Of the means of batches of five it drops as many from the start as make the standard error of the mean of the others
/// smallest, and if two numbers do, the smaller (White, 1997; White, Cobb and Spratt, A comparison of five steady-state
/// truncation heuristics for simulation, 2000).
///
/// It cannot tell the warm-up from a long queue that happens to be at the start: means of runs that were each cut by
/// themselves are too low, at a load of 0.9 and 20,000 queries by 4 %. Where there are replications, use [`Pilot`].
pub fn warm_up(observations: impl IntoIterator<Item = f64>) -> WarmUp {
    let mut pilot = Pilot::default();
    pilot.add(observations);
    pilot.warm_up()
}

/// Replications from whose average the warm-up of all replications is found.
///
/// What is left of chance in the average of twenty replications is small against the warm-up, which they have in common.
/// So the truncation depends little on what any of them has observed, and their means stay unbiased. The same number is
/// then dropped from each replication, from those of the pilot and from all later ones (averaging as in Welch, The
/// statistical analysis of simulation results, 1983). Keeps a fifth of the observations of one run in memory.
#[derive(Clone, Debug, Default)]
pub struct Pilot {
    /// Sums over the replications of the means of batches.
    batches: Vec<f64>,
    replications: u32,
}

impl Pilot {
    /// Adds the observations of a replication in the order of time. Of replications that differ in length, what all have
    /// counts.
    pub fn add(&mut self, observations: impl IntoIterator<Item = f64>) {
        let mut observations = observations.into_iter();
        let mut count = 0;
        while self.replications == 0 || count < self.batches.len() {
            let batch: [Option<f64>; BATCH] = std::array::from_fn(|_| observations.next());
            let Some(sum) = batch.into_iter().sum::<Option<f64>>() else { break };
            match self.batches.get_mut(count) {
                Some(batch) => *batch += sum / BATCH as f64,
                None => self.batches.push(sum / BATCH as f64),
            }
            count += 1;
        }
        self.batches.truncate(count);
        self.replications += 1;
    }

    /// The truncation by MSER-5 of the average; see [`warm_up`].
    pub fn warm_up(&self) -> WarmUp {
        if self.batches.len() < 2 * BATCHES_MIN {
            return WarmUp::TooShort;
        }
        let drop = truncation(&self.batches);
        if drop > self.batches.len() / 2 { WarmUp::NotConverged } else { WarmUp::Ends { drop: drop * BATCH } }
    }
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
    use crate::statistics::mean;

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
    fn a_pilot_finds_what_replications_have_in_common() {
        // Each has a warm-up of 200 and a disturbance of its own somewhere.
        let replication = |number: usize| {
            (0..2000).map(move |index| {
                let common = if index < 200 { -4.0 } else { 0.0 };
                let own = if (50 * number..50 * number + 100).contains(&index) { 3.0 } else { 0.0 };
                common + own
            })
        };
        let mut pilot = Pilot::default();
        (0..40).for_each(|number| pilot.add(replication(number)));
        assert_eq!(pilot.warm_up(), WarmUp::Ends { drop: 200 });
        assert_eq!(warm_up(replication(8)), WarmUp::Ends { drop: 500 }, "alone, it drops its disturbance too");
    }

    #[test]
    fn a_pilot_is_as_long_as_its_shortest_replication() {
        let mut pilot = Pilot::default();
        assert_eq!(pilot.warm_up(), WarmUp::TooShort);
        for length in [100, 60, 80] {
            pilot.add(vec![1.0; length]);
        }
        assert_eq!((pilot.batches.len(), pilot.warm_up()), (12, WarmUp::Ends { drop: 0 }));
        pilot.add([1.0; 49]);
        pilot.add([1.0; 100]);
        assert_eq!((pilot.batches.len(), pilot.warm_up()), (9, WarmUp::TooShort));
    }

    #[test]
    fn a_few_observations_say_nothing() {
        assert_eq!(warm_up([]), WarmUp::TooShort);
        assert_eq!(warm_up([1.0; 49]), WarmUp::TooShort);
        assert_eq!(warm_up([1.0; 50]), WarmUp::Ends { drop: 0 });
    }
}

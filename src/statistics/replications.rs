//! When there are enough replications of a run.

use std::fmt;

/// How sure a figure must be.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// The figure, as reports call it.
    pub name: String,
    /// Largest distance of an end of its confidence interval, as a share of the figure.
    pub relative_max: f64,
}

impl Target {
    /// For means: 1 %.
    pub fn of_mean(name: &str) -> Target {
        Target { name: name.to_owned(), relative_max: 0.01 }
    }

    /// For the 99th percentile: 5 %.
    pub fn of_p99(name: &str) -> Target {
        Target { name: name.to_owned(), relative_max: 0.05 }
    }
}

/// When to stop replicating: as soon as every target is met, but within bounds.
#[derive(Clone, Debug, PartialEq)]
pub struct StopRule {
    /// Replications that are made in any case, 2 or more.
    pub replications_min: u32,
    /// Replications that are never exceeded, `replications_min` or more.
    pub replications_max: u32,
    /// What must be how sure; none means that `replications_min` are enough.
    pub targets: Vec<Target>,
}

impl StopRule {
    /// At least 20 replications and at most `replications_max`.
    pub fn new(replications_max: u32, targets: Vec<Target>) -> StopRule {
        let replications_max = replications_max.max(2);
        StopRule { replications_min: replications_max.min(20), replications_max, targets }
    }
}

/// A target that the last replication did not meet.
#[derive(Clone, Debug, PartialEq)]
pub struct Missed {
    /// The target.
    pub target: Target,
    /// What was reached: the distance of an end as a share of the figure.
    pub relative: f64,
}

impl fmt::Display for Missed {
    /// For example `latency_p99 is known to 7.2 %, not to 5 %`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Target { name, relative_max } = &self.target;
        match self.relative {
            relative if relative.is_finite() => {
                write!(f, "{name} is known to {:.1} %, not to {} %", relative * 100.0, relative_max * 100.0)
            }
            _ => write!(f, "{name} has no mean to be known to {} % of", relative_max * 100.0),
        }
    }
}

/// Whether there are enough replications.
#[derive(Clone, Debug, PartialEq)]
pub enum Progress {
    /// More are needed, by the present spread about this many; at least 1, and within the rule's bounds.
    Needs(u32),
    /// Every target is met.
    Met,
    /// No more are allowed, and these targets are not met.
    Exhausted(Vec<Missed>),
}

/// Counts replications, in the order of their indices, until they are enough.
///
/// A driver may run many at a time on any number of threads, as long as it adds them in the order of their indices: the
/// rule decides after each, and what comes after its decision is left out. So the result depends on the seed alone.
///
/// ```
/// use coinfer::statistics::{Interval, Progress, Replications, StopRule, Target};
///
/// let rule = StopRule::new(100, vec![Target::of_mean("latency_mean")]);
/// let mut replications = Replications::new(rule);
/// let mut latencies = Vec::new();
/// while let Progress::Needs(_) = replications.progress() {
///     latencies.push(10.0 + 0.1 * f64::from(replications.count() % 3)); // what the next replication gave
///     replications.push(&[Interval::of(&latencies, 0.95).map_or(f64::INFINITY, |interval| interval.relative())]);
/// }
/// assert_eq!((replications.progress(), replications.count()), (Progress::Met, 20));
/// ```
#[derive(Clone, Debug)]
pub struct Replications {
    rule: StopRule,
    count: u32,
    progress: Progress,
}

impl Replications {
    /// None yet.
    ///
    /// # Panics
    /// If the rule's bounds contradict each other.
    pub fn new(rule: StopRule) -> Replications {
        assert!(2 <= rule.replications_min && rule.replications_min <= rule.replications_max, "a rule's bounds agree");
        let progress = Progress::Needs(rule.replications_min);
        Replications { rule, count: 0, progress }
    }

    /// Adds the next replication. `relative` says how sure the figure of each target is with it: the distance of an end of
    /// its interval as a share of the figure. Does nothing, and gives `false`, if the rule has already decided.
    ///
    /// Where a figure does not exist, such as a percentile of no queries, that is not finite: its target cannot be met.
    ///
    /// # Panics
    /// If there is not one for each target.
    pub fn push(&mut self, relative: &[f64]) -> bool {
        assert_eq!(relative.len(), self.rule.targets.len(), "each target is known to some degree");
        if !self.needs_more() {
            return false;
        }
        self.count += 1;
        self.progress = self.decide(relative);
        true
    }

    /// Whether the rule has not decided yet.
    pub fn needs_more(&self) -> bool {
        matches!(self.progress, Progress::Needs(_))
    }

    /// Replications that count.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Whether there are enough.
    pub fn progress(&self) -> Progress {
        self.progress.clone()
    }

    fn decide(&self, relative: &[f64]) -> Progress {
        let StopRule { replications_min, replications_max, ref targets } = self.rule;
        let count = self.count;
        if count < replications_min {
            return Progress::Needs(replications_min - count);
        }
        let is_met = |target: &Target, relative: f64| relative <= target.relative_max;
        let reached = targets.iter().zip(relative.iter().copied());
        let missed: Vec<Missed> = reached
            .filter(|&(target, relative)| !is_met(target, relative))
            .map(|(target, relative)| Missed { target: target.clone(), relative })
            .collect();
        if missed.is_empty() {
            return Progress::Met;
        }
        if count == replications_max {
            return Progress::Exhausted(missed);
        }
        let factor = |missed: &Missed| missed.relative / missed.target.relative_max;
        let largest = missed.iter().map(factor).fold(1.0, f64::max);
        // The width falls with the root of their number. Never more than there are: the present spread is a guess.
        let needed = f64::from(count) * (largest.powi(2) - 1.0);
        let more = (needed.ceil() as u32).clamp(1, count);
        Progress::Needs(more.min(replications_max - count))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::rngs::ChaCha8Rng;
    use rand::{RngExt, SeedableRng};

    use super::*;
    use crate::statistics::Interval;

    /// Figures of a replication, the same whoever asks: the second varies more.
    fn figures(index: u32, spread: f64) -> [f64; 2] {
        let mut random = ChaCha8Rng::seed_from_u64(u64::from(index));
        [100.0 + spread * random.random::<f64>(), 300.0 + 10.0 * spread * random.random::<f64>()]
    }

    fn rule(max: u32) -> StopRule {
        StopRule::new(max, vec![Target::of_mean("latency_mean"), Target::of_p99("latency_p99")])
    }

    /// Drives as an engine with `threads` threads would.
    fn drive(rule: StopRule, threads: u32, spread: f64) -> Replications {
        let mut replications = Replications::new(rule);
        while let Progress::Needs(more) = replications.progress() {
            let first = replications.count();
            for index in first..first + more.max(threads) {
                replications.push(&reached(index + 1, spread));
            }
        }
        replications
    }

    /// How sure the figures of the first `count` replications are.
    fn reached(count: u32, spread: f64) -> [f64; 2] {
        [0, 1].map(|target| {
            let values: Vec<f64> = (0..count).map(|index| figures(index, spread)[target]).collect();
            Interval::of(&values, 0.95).map_or(f64::INFINITY, |interval| interval.relative())
        })
    }

    #[test]
    fn twenty_are_made_even_if_fewer_would_do() {
        let replications = drive(rule(1000), 1, 0.001);
        assert_eq!((replications.count(), replications.progress()), (20, Progress::Met));
    }

    #[test]
    fn it_stops_once_each_target_is_met() {
        let replications = drive(rule(1000), 1, 20.0);
        assert_eq!(replications.progress(), Progress::Met);
        assert!((21..200).contains(&replications.count()), "{}", replications.count());
        let [mean, p99] = reached(replications.count(), 20.0);
        assert!(mean <= 0.01 && p99 <= 0.05);
    }

    #[test]
    fn the_targets_that_were_not_met_are_named() {
        let Progress::Exhausted(missed) = drive(rule(25), 1, 100.0).progress() else { panic!("they are not met") };
        let texts: Vec<String> = missed.iter().map(Missed::to_string).collect();
        assert_eq!(texts, ["latency_mean is known to 7.8 %, not to 1 %", "latency_p99 is known to 16.0 %, not to 5 %"]);
    }

    #[test]
    fn a_figure_that_does_not_exist_meets_no_target() {
        let mut replications = Replications::new(StopRule::new(2, vec![Target::of_p99("latency_p99")]));
        replications.push(&[f64::INFINITY]);
        replications.push(&[f64::NAN]);
        let Progress::Exhausted(missed) = replications.progress() else { panic!("it is not met") };
        assert_eq!(missed[0].to_string(), "latency_p99 has no mean to be known to 5 % of");
        assert!(!replications.push(&[1.0]));
    }

    #[test]
    fn without_targets_the_least_number_is_enough() {
        let mut replications = Replications::new(StopRule::new(30, vec![]));
        while replications.push(&[]) {}
        assert_eq!((replications.count(), replications.progress()), (20, Progress::Met));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn the_result_does_not_depend_on_how_many_run_at_a_time(threads in 1u32..50, spread in 0.0..60.0) {
            let (one, many) = (drive(rule(60), 1, spread), drive(rule(60), threads, spread));
            prop_assert_eq!((one.progress(), one.count()), (many.progress(), many.count()));
        }
    }
}

//! When there are enough replications of a run.

use std::fmt;

use super::Interval;

/// How sure a figure must be.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// The figure, as reports call it.
    pub name: String,
    /// Largest half width of its confidence interval, as a share of its mean.
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
    /// Level of confidence of the intervals, between 0 and 1.
    pub level: f64,
    /// What must be how sure; none means that `replications_min` are enough.
    pub targets: Vec<Target>,
}

impl StopRule {
    /// At least 20 replications and at most `replications_max`, at 95 % confidence.
    pub fn new(replications_max: u32, targets: Vec<Target>) -> StopRule {
        let replications_max = replications_max.max(2);
        StopRule { replications_min: replications_max.min(20), replications_max, level: 0.95, targets }
    }
}

/// A target that the last replication did not meet.
#[derive(Clone, Debug, PartialEq)]
pub struct Missed {
    /// The target.
    pub target: Target,
    /// What was reached.
    pub interval: Interval,
}

impl fmt::Display for Missed {
    /// For example `latency_p99 is known to 7.2 %, not to 5 %`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Target { name, relative_max } = &self.target;
        match self.interval.relative() {
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

/// The figures of replications, in the order of their indices.
///
/// A driver may run many at a time on any number of threads, as long as it pushes their figures in the order of the
/// replications: the rule decides after each, and what comes after its decision is left out. So the result depends on
/// the seed alone.
///
/// ```
/// use coinfer::statistics::{Progress, Replications, StopRule, Target};
///
/// let rule = StopRule::new(100, vec![Target::of_mean("latency_mean")]);
/// let mut replications = Replications::new(rule);
/// while let Progress::Needs(more) = replications.progress() {
///     let first = replications.count();
///     for index in first..first + more {
///         replications.push(&[10.0 + 0.1 * f64::from(index % 3)]); // what replication `index` gave
///     }
/// }
/// assert_eq!((replications.progress(), replications.count()), (Progress::Met, 20));
/// ```
#[derive(Clone, Debug)]
pub struct Replications {
    rule: StopRule,
    /// By target, then replication.
    values: Vec<Vec<f64>>,
    progress: Progress,
}

impl Replications {
    /// None yet.
    ///
    /// # Panics
    /// If the rule's bounds contradict each other, or its level is not between 0 and 1.
    pub fn new(rule: StopRule) -> Replications {
        assert!(2 <= rule.replications_min && rule.replications_min <= rule.replications_max, "a rule's bounds agree");
        assert!(0.0 < rule.level && rule.level < 1.0, "a level of confidence lies between 0 and 1");
        let progress = Progress::Needs(rule.replications_min);
        // A rule without targets still counts.
        Replications { values: vec![vec![]; rule.targets.len().max(1)], rule, progress }
    }

    /// Adds the figures of the next replication, one for each target in their order. Does nothing, and gives `false`, if
    /// the rule has already decided.
    ///
    /// A figure that does not exist in a replication, such as a percentile of no queries, is NaN: its target cannot be
    /// met.
    ///
    /// # Panics
    /// If there is not one figure for each target.
    pub fn push(&mut self, figures: &[f64]) -> bool {
        assert_eq!(figures.len(), self.rule.targets.len(), "a replication has a figure for each target");
        if !matches!(self.progress, Progress::Needs(_)) {
            return false;
        }
        match figures {
            [] => self.values[0].push(0.0),
            _ => self.values.iter_mut().zip(figures).for_each(|(values, &figure)| values.push(figure)),
        }
        self.progress = self.decide();
        true
    }

    /// Replications that count.
    pub fn count(&self) -> u32 {
        self.values[0].len() as u32
    }

    /// Whether there are enough.
    pub fn progress(&self) -> Progress {
        self.progress.clone()
    }

    /// The figures of a target by replication.
    ///
    /// # Panics
    /// If there are fewer targets.
    pub fn values(&self, target: usize) -> &[f64] {
        &self.values[..self.rule.targets.len()][target]
    }

    /// The confidence interval of a target, at the rule's level; `None` before the second replication.
    ///
    /// # Panics
    /// If there are fewer targets.
    pub fn interval(&self, target: usize) -> Option<Interval> {
        Interval::of(self.values(target), self.rule.level)
    }

    fn decide(&self) -> Progress {
        let StopRule { replications_min, replications_max, ref targets, .. } = self.rule;
        let count = self.count();
        if count < replications_min {
            return Progress::Needs(replications_min - count);
        }
        let met = |target: &Target, interval: &Interval| interval.relative() <= target.relative_max;
        let missed: Vec<Missed> = targets
            .iter()
            .enumerate()
            .filter_map(|(index, target)| Some((target, self.interval(index)?)))
            .filter(|(target, interval)| !met(target, interval))
            .map(|(target, interval)| Missed { target: target.clone(), interval })
            .collect();
        if missed.is_empty() {
            return Progress::Met;
        }
        if count == replications_max {
            return Progress::Exhausted(missed);
        }
        let factor = |missed: &Missed| missed.interval.relative() / missed.target.relative_max;
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
                replications.push(&figures(index, spread));
            }
        }
        replications
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
        assert!(replications.interval(0).unwrap().relative() <= 0.01);
        assert!(replications.interval(1).unwrap().relative() <= 0.05);
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
        replications.push(&[f64::NAN]);
        replications.push(&[1.0]);
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
            prop_assert_eq!(one.progress(), many.progress());
            prop_assert_eq!(one.values(1), many.values(1));
        }
    }
}

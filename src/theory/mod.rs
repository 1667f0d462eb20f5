//! How far the engine is from theory, where theory has an exact answer.
//!
//! Each case is a problem like any other: it is served, replicated and summed up as a user's scenario would be. What a
//! case must come to is what [`crate::engine::theory`] says.

mod cases;
mod platforms;
mod table;

pub use cases::cases;
pub use table::{theory_csv, theory_json, theory_markdown, theory_table};

use serde::Serialize;

use crate::engine::{Fate, Served, Streams, serve};
use crate::metrics::window_start;
use crate::metrics::{CommonWarmUp, Replication};
use crate::plan::CheckedPlan;
use crate::problem::{Load, Problem};
use crate::statistics::{Interval, mean};

/// A load whose mean figures are known exactly.
#[derive(Clone)]
pub struct TheoryCase {
    /// Its name in the literature and what distinguishes it from others of that name.
    pub name: String,
    /// The part of the time that its busiest station works, or would work if nothing were lost.
    pub load: f64,
    /// How far the mean over all replications may be from theory, as a share of it.
    pub bias_max: f64,
    /// What is served.
    pub problem: Problem,
    /// Who plans.
    planner: fn(&Problem) -> Result<Vec<CheckedPlan>, String>,
    /// What theory says.
    pub expected: Vec<(Figure, f64)>,
}

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Figure {
    /// The mean latency of queries that are done, in milliseconds.
    LatencyMean,
    /// The share of queries that are turned away.
    Lost,
}

/// Replications of each seed: the least that reports are made from.
pub const REPLICATIONS: u32 = 20;
/// The level of confidence of the intervals that must hold the truth.
const LEVEL: f64 = 0.99;

impl TheoryCase {
    /// The same case with so many queries in each replication.
    pub fn with_queries(mut self, count: u32) -> TheoryCase {
        match &mut self.problem.load {
            Load::Server(server) => server.queries = count,
            Load::SingleStream { queries, .. } | Load::MultiStream { queries, .. } => *queries = count,
            Load::Offline { .. } | Load::PerModel(_) => {}
        }
        self
    }

    /// Serves the case [`REPLICATIONS`] times under a seed. Gives, for each figure, its values by replication.
    ///
    /// # Errors
    /// If it cannot be served, which is a fault of the engine or of the case.
    pub fn run(&self, seed: u64) -> Result<Vec<Vec<f64>>, String> {
        let serve_once = |replication: u32| {
            let served = serve(
                &self.problem,
                &mut |question| (self.planner)(&question.problem),
                &Streams::new(seed, replication),
            );
            served.map_err(|error| format!("{}: {error}", self.name))
        };
        let all: Vec<Served> = (0..REPLICATIONS).map(serve_once).collect::<Result<_, String>>()?;
        let mut common = CommonWarmUp::default();
        all.iter().for_each(|served| common.add(served));
        let (warm_up, _) = common.end();
        let mut values = vec![Vec::new(); self.expected.len()];
        for served in &all {
            let replication = Replication::of(&self.problem, served, warm_up).map_err(|error| error.to_string())?;
            for ((figure, _), values) in self.expected.iter().zip(&mut values) {
                values.push(match figure {
                    Figure::LatencyMean => replication.queries.latency_mean,
                    Figure::Lost => {
                        let start = window_start(&self.problem, served, warm_up);
                        let fates = served.queries.iter().filter(|query| query.arrived >= start);
                        let lost: Vec<f64> = fates.map(|query| f64::from(query.fate == Fate::Dropped)).collect();
                        mean(&lost).unwrap_or(f64::NAN)
                    }
                });
            }
        }
        Ok(values)
    }
}

/// What many seeds of a case say of one of its figures. Biases are shares of what theory says.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Agreement {
    /// The name of the case.
    pub case: String,
    /// What is compared.
    pub figure: Figure,
    /// The load of the case.
    pub load: f64,
    /// What theory says.
    pub theory: f64,
    /// The mean over all seeds and replications.
    pub simulated: f64,
    /// `simulated / theory - 1`.
    pub bias: f64,
    /// Half the width of the interval of the bias at 99 % confidence.
    pub bias_half_width: f64,
    /// How large the bias may be.
    pub bias_max: f64,
    /// Seeds whose own interval at 99 % confidence holds what theory says.
    pub covered: u32,
    /// Seeds in all.
    pub seeds: u32,
}

impl Agreement {
    /// The agreement of each figure of a case, from what [`TheoryCase::run`] gave for each of several seeds.
    pub fn of(case: &TheoryCase, runs: &[Vec<Vec<f64>>]) -> Vec<Agreement> {
        let of_figure = |(index, &(figure, theory)): (usize, &(Figure, f64))| {
            let is_covered = |run: &&Vec<Vec<f64>>| {
                Interval::of(&run[index], LEVEL).is_some_and(|interval| interval.contains(theory))
            };
            let values: Vec<f64> = runs.iter().flat_map(|run| run[index].iter().copied()).collect();
            let all = Interval::of(&values, LEVEL).unwrap_or(Interval { mean: f64::NAN, half_width: f64::NAN });
            Agreement {
                case: case.name.clone(),
                figure,
                load: case.load,
                theory,
                simulated: all.mean,
                bias: all.mean / theory - 1.0,
                bias_half_width: all.half_width / theory,
                bias_max: case.bias_max,
                covered: runs.iter().filter(is_covered).count() as u32,
                seeds: runs.len() as u32,
            }
        };
        case.expected.iter().enumerate().map(of_figure).collect()
    }

    /// Whether the bias is within its limit, or exceeds it by no more than chance explains.
    pub fn is_unbiased(&self) -> bool {
        self.bias.abs() - self.bias_half_width <= self.bias_max
    }

    /// Whether intervals hold the truth as often as they say: 95 times of 100 at least.
    pub fn is_covered(&self) -> bool {
        self.covered >= covered_min(self.seeds)
    }

    /// Whether the engine agrees with theory.
    pub fn is_within(&self) -> bool {
        self.is_unbiased() && self.is_covered()
    }
}

/// The least number of `seeds` whose intervals hold the truth that intervals at 99 % do not fall short of by chance, but
/// once in 1000 times: 95 of 100.
fn covered_min(seeds: u32) -> u32 {
    // From the binomial distribution: all hold it, all but one, and so on.
    let (hits, misses) = (LEVEL, 1.0 - LEVEL);
    let mut probability = hits.powf(f64::from(seeds));
    let mut below = 1.0 - probability;
    let mut least = seeds;
    while least > 0 && below > 0.001 {
        probability *= f64::from(least) / f64::from(seeds - least + 1) * misses / hits;
        below -= probability;
        least -= 1;
    }
    least
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ninety_five_of_a_hundred_intervals_must_hold_the_truth() {
        assert_eq!([1, 4, 10, 30, 100, 1000].map(covered_min), [0, 3, 8, 27, 95, 979]);
    }

    #[test]
    fn a_bias_beyond_its_limit_is_told_from_chance() {
        let case = cases().swap_remove(0);
        let (_, theory) = case.expected[0];
        let run = |factor: f64| {
            let value = |index: u32| theory * (factor + 0.001 * f64::from(index % 3) - 0.001);
            vec![(0..REPLICATIONS).map(value).collect::<Vec<f64>>()]
        };
        let of = |factor: f64| Agreement::of(&case, &[run(factor), run(factor)]).remove(0);
        assert!(of(1.0).is_within() && of(1.0).covered == 2);
        assert!(of(1.0051).is_unbiased() && !of(1.0051).is_covered());
        assert!(!of(1.01).is_unbiased() && !of(0.99).is_unbiased());
    }
}

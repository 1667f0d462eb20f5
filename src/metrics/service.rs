//! Figures over all replications of a run with chance.

use serde::{Deserialize, Serialize};

use super::QueryFigures;
use crate::statistics::{Interval, Percentile, Pooled};

/// What chance did to a run. Intervals are of 95 % confidence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Chance {
    /// How often it was run.
    pub replications: u32,
    /// Makespan in milliseconds.
    pub makespan_ms: Interval,
    /// What is not known as well as was asked for, for the user.
    pub missed: Vec<String>,
}

/// How queries were served. Counts and percentiles are of all replications together; means are averages over them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Service {
    /// Queries that arrived.
    pub queries: u64,
    /// Of these, done.
    pub completed: u64,
    /// Of these, dropped.
    pub dropped: u64,
    /// Of those done, after their deadline.
    pub late: u64,
    /// Queries done a second.
    pub qps: Interval,
    /// Mean latency in milliseconds; `None` if a replication has no query that was done.
    pub latency_mean_ms: Option<Interval>,
    /// Percentiles of latency in milliseconds; `None` as above.
    pub percentiles: Option<Percentiles>,
    /// Queries that waited, averaged over time.
    pub queue_mean: f64,
    /// The most that ever waited at once.
    pub queue_max: u32,
}

/// Percentiles of latencies in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Percentiles {
    /// The median.
    pub p50: f64,
    /// The 90th percentile.
    pub p90: f64,
    /// The 95th percentile.
    pub p95: f64,
    /// The 99th percentile.
    pub p99: Percentile,
    /// The 99.9th percentile.
    pub p999: f64,
    /// Queries that they are of.
    pub queries: u64,
}

/// The interval of a mean over replications at 95 %; of values that are all the same it has no width.
pub(super) fn interval(values: &[f64]) -> Interval {
    if let [first, rest @ ..] = values
        && rest.iter().all(|value| value == first)
    {
        return Interval { mean: *first, half_width: 0.0 };
    }
    Interval::of(values, 0.95).unwrap_or(Interval { mean: 0.0, half_width: 0.0 })
}

/// Queries done a second, over all replications together: the ratio of the sums, since a mean of ratios is too high where
/// runs are short. Its interval is that of the ratio estimator (Cochran, Sampling Techniques, 1977, section 6.4).
pub(super) fn queries_per_second(replications: &[&QueryFigures]) -> Interval {
    let sum = |figure: fn(&QueryFigures) -> f64| replications.iter().map(|run| figure(run)).sum::<f64>();
    let seconds = sum(|replication| replication.seconds);
    if seconds <= 0.0 {
        return Interval { mean: 0.0, half_width: 0.0 };
    }
    let ratio = sum(|replication| replication.ended) / seconds;
    let residuals: Vec<f64> = replications.iter().map(|run| run.ended - ratio * run.seconds).collect();
    let half_width = interval(&residuals).half_width / (seconds / replications.len() as f64);
    Interval { mean: ratio, half_width }
}

impl Service {
    /// Of all replications, of which there is one at least.
    pub fn of(replications: &[&QueryFigures]) -> Service {
        let all = |figure: fn(&QueryFigures) -> f64| replications.iter().map(|run| figure(run)).collect::<Vec<f64>>();
        let known = |values: Vec<f64>| values.iter().all(|value| value.is_finite()).then_some(values);
        let mut latencies = Pooled::default();
        replications.iter().for_each(|replication| latencies.add(&replication.latencies));
        let percentiles = || {
            Some(Percentiles {
                p50: latencies.millis(0.5)?,
                p90: latencies.millis(0.9)?,
                p95: latencies.millis(0.95)?,
                p99: latencies.percentile(0.99, 0.95)?,
                p999: latencies.millis(0.999)?,
                queries: latencies.count(),
            })
        };
        let sum = |count: fn(&QueryFigures) -> u64| replications.iter().map(|run| count(run)).sum::<u64>();
        Service {
            queries: sum(|replication| replication.completed + replication.dropped),
            completed: sum(|replication| replication.completed),
            dropped: sum(|replication| replication.dropped),
            late: sum(|replication| replication.late),
            qps: queries_per_second(replications),
            latency_mean_ms: known(all(|replication| replication.latency_mean)).map(|values| interval(&values)),
            percentiles: percentiles(),
            queue_mean: interval(&all(|replication| replication.queue_mean)).mean,
            queue_max: replications.iter().map(|replication| replication.queue_max).max().unwrap_or(0),
        }
    }
}

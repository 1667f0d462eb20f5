//! What figures show of results: quantities with their units and confidence intervals, and means over seeds.

use std::collections::BTreeMap;

use crate::output::{ResultLine, ResultsTable};
use crate::statistics;
use crate::statistics::Interval;

/// A value and the ends of its 95 % confidence interval, if known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Banded {
    pub(crate) value: f64,
    pub(crate) band: Option<(f64, f64)>,
}

/// What lines of results say, with the unit as axes have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Metric {
    /// Queries, or samples where there are none.
    Throughput,
    Speedup,
    MakespanMs,
    LatencyMeanMs,
    LatencyP99Ms,
    /// Joules a sample.
    Energy,
}

impl Metric {
    /// The title of its axis.
    pub(crate) fn title(self, table: &ResultsTable) -> &'static str {
        match self {
            Metric::Throughput if table.has("qps") => "throughput (queries/s)",
            Metric::Throughput => "throughput (samples/s)",
            Metric::Speedup => "speed-up",
            Metric::MakespanMs => "makespan (ms)",
            Metric::LatencyMeanMs => "mean latency (ms)",
            Metric::LatencyP99Ms => "99th percentile of latency (ms)",
            Metric::Energy => "energy (J/sample)",
        }
    }

    /// What a line says, if that can be drawn.
    pub(crate) fn of(self, table: &ResultsTable, line: &ResultLine) -> Option<Banded> {
        let value = |column: &str| table.value(line, column);
        let banded = |column: &str, low: &str, high: &str| {
            let band = value(low).zip(value(high)).filter(|(low, high)| low <= high);
            Some(Banded { value: value(column)?, band })
        };
        let found = match self {
            Metric::Throughput if table.has("qps") => banded("qps", "qps_low", "qps_high"),
            Metric::Throughput => {
                // The rate is the samples over the makespan, and so are the ends of its interval.
                let samples = value("samples");
                let rate = |column: &str| Some(samples? * 1e3 / value(column).filter(|&ms| ms > 0.0)?);
                let band = rate("makespan_high_ms").zip(rate("makespan_low_ms"));
                Some(Banded { value: value("samples_per_s")?, band })
            }
            Metric::Speedup => Some(Banded { value: value("speedup")?, band: None }),
            Metric::MakespanMs => banded("makespan_ms", "makespan_low_ms", "makespan_high_ms"),
            Metric::LatencyMeanMs => banded("latency_mean_ms", "latency_mean_low_ms", "latency_mean_high_ms"),
            Metric::LatencyP99Ms => banded("latency_p99_ms", "latency_p99_low_ms", "latency_p99_high_ms"),
            Metric::Energy => {
                let samples = value("samples").filter(|&samples| samples > 0.0)?;
                Some(Banded { value: value("energy_j")? / samples, band: None })
            }
        };
        found.filter(|found| super::is_drawable(found.value))
    }
}

/// What a metric says of each strategy at each point of a sweep, and another one: means over seeds.
pub(super) fn pairs(table: &ResultsTable, first: Metric, second: Metric) -> Vec<Vec<(f64, f64)>> {
    // By strategy and settings.
    type Key<'a> = (usize, Vec<&'a str>);
    let mut found: BTreeMap<Key<'_>, Vec<(f64, f64)>> = BTreeMap::new();
    for line in &table.lines {
        let Some((x, y)) = first.of(table, line).zip(second.of(table, line)) else { continue };
        let settings = table.settings().iter().zip(line.cells.iter()).filter(|(name, _)| !is_seed(name));
        let point = settings.map(|(_, value)| value).collect();
        found.entry((table.strategy_index(line), point)).or_default().push((x.value, y.value));
    }
    let mut pairs = vec![Vec::new(); table.strategies.len()];
    for ((strategy, _), values) in found {
        let means = mean(values.iter().map(|pair| pair.0)).zip(mean(values.iter().map(|pair| pair.1)));
        pairs[strategy].extend(means.map(|(x, y)| (x.value, y.value)));
    }
    pairs
}

/// Whether a setting only repeats a point with other random draws.
pub(super) fn is_seed(name: &str) -> bool {
    name == "seed"
}

/// The mean of values and its 95 % t interval, which needs two of them.
pub(super) fn mean(values: impl Iterator<Item = f64>) -> Option<Banded> {
    let values: Vec<f64> = values.collect();
    let band = Interval::of(&values, 0.95).map(|interval| (interval.low(), interval.high()));
    let value = statistics::mean(&values)?;
    Some(Banded { value, band: band.filter(|(low, high)| low.is_finite() && high.is_finite()) })
}

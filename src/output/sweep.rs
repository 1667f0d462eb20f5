//! The results of a sweep: a line a strategy for a terminal, and one JSON object with all results.
//!
//! Both take one row after the other, since a sweep may have more results than fit into memory.

use std::collections::BTreeSet;
use std::io;

use serde::Serialize;

use super::encode::json_text;
use super::grid::{decimals, named_grid, or_dash, page};
use super::results::{OutcomeView, Pairs, ResultRow};
use crate::metrics::{Failure, Outcome};

/// A sweep as lines for a terminal, gathered row after row.
#[derive(Clone, Debug, Default)]
pub struct SweepTable {
    strategies: Vec<SweptStrategy>,
    /// Names of settings, in the order of first appearance.
    names: Vec<String>,
    point_count: usize,
    last_point: Option<Vec<(String, String)>>,
    /// The first reasons of failures, and how often there was each.
    reasons: Vec<(Failure, usize)>,
    /// Hashes of further reasons, which are only counted.
    further: BTreeSet<[u8; 8]>,
}

/// What is said of a strategy.
#[derive(Clone, Debug, Default)]
struct SweptStrategy {
    strategy: String,
    result_count: usize,
    failure_count: usize,
    speedup: Mean,
    gap: Mean,
    gap_max: Option<f64>,
    samples_per_s_max: Option<f64>,
    /// Of loads with queries, in milliseconds and as shares.
    latency: Mean,
    p99: Mean,
    missed: Mean,
    qps_max: Option<f64>,
}

/// An arithmetic mean.
#[derive(Clone, Copy, Debug, Default)]
struct Mean {
    sum: f64,
    count: usize,
}

impl SweepTable {
    /// Adds a row. Those of a point follow each other.
    pub fn add(&mut self, row: &ResultRow<'_>) {
        if self.last_point.as_deref() != Some(row.settings) {
            self.point_count += 1;
            self.last_point = Some(row.settings.to_vec());
            for (name, _) in row.settings {
                if !self.names.contains(name) {
                    self.names.push(name.clone());
                }
            }
        }
        match row.result {
            Ok(outcome) => self.gathered(&outcome.strategy).add(outcome),
            Err(failure) => {
                self.gathered(&failure.strategy).failure_count += 1;
                self.add_reason(failure);
            }
        }
    }

    /// Rows so far.
    pub fn row_count(&self) -> usize {
        self.strategies.iter().map(|strategy| strategy.result_count + strategy.failure_count).sum()
    }

    /// Rows so far that are failures.
    pub fn failure_count(&self) -> usize {
        self.strategies.iter().map(|strategy| strategy.failure_count).sum()
    }

    /// The first failure.
    pub fn first_failure(&self) -> Option<&Failure> {
        self.reasons.first().map(|(failure, _)| failure)
    }

    /// Lines of at most 80 columns: a line a strategy, then what the columns mean, and failures.
    ///
    /// With `bold`, the header is set in bold by ANSI escapes.
    pub fn print(&self, scenario: &str, bold: bool) -> String {
        let lines = match self.strategies.as_slice() {
            [] => vec!["The sweep has no results.".to_owned()],
            strategies if strategies.iter().any(|strategy| strategy.missed.count > 0) => service_grid(strategies, bold),
            strategies => strategy_grid(strategies, bold),
        };
        page(lines, self.captions(scenario))
    }

    fn gathered(&mut self, strategy: &str) -> &mut SweptStrategy {
        let known = self.strategies.iter().position(|gathered| gathered.strategy == strategy);
        let index = known.unwrap_or_else(|| {
            self.strategies.push(SweptStrategy { strategy: strategy.to_owned(), ..SweptStrategy::default() });
            self.strategies.len() - 1
        });
        &mut self.strategies[index]
    }

    fn add_reason(&mut self, failure: &Failure) {
        if let Some((_, count)) = self.reasons.iter_mut().find(|(known, _)| known == failure) {
            *count += 1;
        } else if self.reasons.len() < REASONS_MAX {
            self.reasons.push((failure.clone(), 1));
        } else {
            let hash = blake3::hash(format!("{}: {}", failure.strategy, failure.reason).as_bytes());
            self.further.insert(*hash.as_bytes().first_chunk().expect("a hash has 32 bytes"));
        }
    }

    fn captions(&self, scenario: &str) -> Vec<String> {
        let mut first =
            format!("{scenario}: {} point{}", self.point_count, if self.point_count == 1 { "" } else { "s" });
        if !self.names.is_empty() {
            first += &format!(" of {}", self.names.join(", "));
        }
        let mut captions = vec![first];
        if !self.strategies.is_empty() {
            let is_served = self.strategies.iter().any(|strategy| strategy.missed.count > 0);
            let meanings: &[&str] = if is_served { &SERVICE_MEANINGS } else { &MEANINGS };
            captions.extend(meanings.iter().map(|&meaning| meaning.to_owned()));
        }
        captions.extend(self.reasons.iter().map(|(Failure { strategy, reason }, count)| match count {
            1 => format!("failed: {strategy}: {reason}"),
            count => format!("failed: {strategy}: {reason} ({count} times)"),
        }));
        if let more @ 1.. = self.further.len() {
            captions.push(format!("failed: for {more} more reasons, which results.csv has"));
        }
        captions
    }
}

impl SweptStrategy {
    fn add(&mut self, outcome: &Outcome) {
        let max = |known: Option<f64>, value: f64| Some(known.map_or(value, |known| known.max(value)));
        self.result_count += 1;
        self.samples_per_s_max = max(self.samples_per_s_max, outcome.samples_per_s);
        outcome.speedup.into_iter().for_each(|speedup| self.speedup.add(speedup));
        if let Some(service) = &outcome.service {
            let missed = (service.dropped + service.late) as f64 / service.queries.max(1) as f64;
            self.missed.add(missed * 100.0);
            service.latency_mean_ms.iter().for_each(|interval| self.latency.add(interval.mean));
            service.percentiles.iter().for_each(|percentiles| self.p99.add(percentiles.p99.value));
            self.qps_max = max(self.qps_max, service.qps.mean);
        }
        if let Some(gap) = outcome.gap.map(|gap| gap * 100.0) {
            self.gap.add(gap);
            self.gap_max = max(self.gap_max, gap);
        }
    }
}

impl Mean {
    fn add(&mut self, value: f64) {
        self.sum += value;
        self.count += 1;
    }

    /// `None` of nothing.
    fn value(self) -> Option<f64> {
        (self.count > 0).then(|| self.sum / self.count as f64)
    }
}

/// Hands every row to its argument, in order.
pub type ForEachRow<'a> = &'a mut dyn FnMut(&mut dyn FnMut(&ResultRow<'_>) -> io::Result<()>) -> io::Result<()>;

/// Writes the sweep as one JSON object with a newline at its end; goes through all rows twice.
///
/// Results have the keys of [`summary_json`](super::summary_json) after the point's `settings`. What is not known is
/// `null`.
///
/// # Errors
/// Those of `output` and of `rows`.
pub fn write_sweep_json(output: &mut dyn io::Write, scenario: &str, rows: ForEachRow<'_>) -> io::Result<()> {
    write!(output, "{{\n  \"scenario\": {},\n  \"results\": [", json_text(&scenario).trim_end())?;
    let mut is_first = true;
    rows(&mut |row| match row.result {
        Ok(outcome) => write_entry(output, row, OutcomeView::from(outcome), &mut is_first),
        Err(_) => Ok(()),
    })?;
    write!(output, "{}],\n  \"failures\": [", if is_first { "" } else { "\n  " })?;
    is_first = true;
    rows(&mut |row| match row.result {
        Ok(_) => Ok(()),
        Err(failure) => write_entry(output, row, failure, &mut is_first),
    })?;
    writeln!(output, "{}]\n}}", if is_first { "" } else { "\n  " })
}

/// Writes an entry of a list of the outer object.
fn write_entry(
    output: &mut dyn io::Write,
    row: &ResultRow<'_>,
    entry: impl Serialize,
    is_first: &mut bool,
) -> io::Result<()> {
    let settings = Pairs::of(row.settings, String::as_str);
    // JSON has no line breaks within texts, so that each one is of the layout.
    let text = json_text(&AtPoint { settings, entry }).trim_end().replace('\n', "\n    ");
    let separator = if std::mem::take(is_first) { "" } else { "," };
    write!(output, "{separator}\n    {text}")
}

#[derive(Serialize)]
struct AtPoint<'a, T> {
    settings: Pairs<'a, &'a str>,
    #[serde(flatten)]
    entry: T,
}

/// Each column's title and unit.
const TITLES: [(&str, &str); 7] = [
    ("strategy", ""),
    ("results", ""),
    ("failed", ""),
    ("mean", "speed-up"),
    ("mean gap", "%"),
    ("worst gap", "%"),
    ("best", "images/s"),
];
/// What the titles mean.
const MEANINGS: [&str; 3] = [
    "mean: arithmetic, over the points at which the strategy has a result",
    "speed-up: over the baseline at the same point",
    "gap: above the lower bound at the same point, which no plan with these costs can beat",
];
/// Further reasons of failures are only counted.
const REASONS_MAX: usize = 5;

fn strategy_grid(strategies: &[SweptStrategy], bold: bool) -> Vec<String> {
    let rates = strategies.iter().filter_map(|strategy| strategy.samples_per_s_max);
    let rates = decimals(4, rates.collect::<Vec<f64>>().into_iter());
    let figures = |strategy: &SweptStrategy| {
        let SweptStrategy { speedup, gap, gap_max, samples_per_s_max, .. } = strategy;
        let figures = [(speedup.value(), 2), (gap.value(), 1), (*gap_max, 1), (*samples_per_s_max, rates)];
        figures.map(|(value, decimals)| or_dash(value, decimals))
    };
    named_grid(&TITLES, rows(strategies, figures), bold)
}

/// A row a strategy: how many results it has, how often it failed, and its figures.
fn rows(strategies: &[SweptStrategy], figures: impl Fn(&SweptStrategy) -> [String; 4]) -> Vec<(String, Vec<String>)> {
    let row = |strategy: &SweptStrategy| {
        let counts = [strategy.result_count, strategy.failure_count].map(|count| count.to_string());
        (strategy.strategy.clone(), counts.into_iter().chain(figures(strategy)).collect())
    };
    strategies.iter().map(row).collect()
}

/// As [`TITLES`], of loads with queries.
const SERVICE_TITLES: [(&str, &str); 7] = [
    ("strategy", ""),
    ("results", ""),
    ("failed", ""),
    ("latency", "mean ms"),
    ("p99", "mean ms"),
    ("missed", "mean %"),
    ("best", "queries/s"),
];
const SERVICE_MEANINGS: [&str; 2] = [
    "mean: arithmetic, over the points at which the strategy has a result",
    "missed: queries that were dropped, or done after the deadline",
];

fn service_grid(strategies: &[SweptStrategy], bold: bool) -> Vec<String> {
    let figures = |strategy: &SweptStrategy| {
        let SweptStrategy { latency, p99, missed, qps_max, .. } = strategy;
        [latency.value(), p99.value(), missed.value(), *qps_max].map(|value| or_dash(value, 1))
    };
    named_grid(&SERVICE_TITLES, rows(strategies, figures), bold)
}

#[cfg(test)]
mod tests {
    use super::super::grid::{WIDTH, columns};
    use super::super::results::summary_json;
    use super::*;
    use crate::metrics::{Failure, example};

    type Settings = Vec<(String, String)>;

    fn settings(batch: u32) -> Settings {
        vec![("load.offline.samples".into(), batch.to_string())]
    }

    fn printed(scenario: &str, rows: &[ResultRow<'_>]) -> String {
        let mut table = SweepTable::default();
        rows.iter().for_each(|row| table.add(row));
        let text = table.print(scenario, false);
        for line in text.lines() {
            assert!(columns(line) <= WIDTH, "{} columns: {line}", columns(line));
        }
        text
    }

    fn json(scenario: &str, rows: &[ResultRow<'_>]) -> String {
        let mut output = Vec::new();
        write_sweep_json(&mut output, scenario, &mut |each| rows.iter().try_for_each(each)).unwrap();
        String::from_utf8(output).unwrap()
    }

    /// Two points, at the second of which `exact` fails.
    fn check(expected: impl Fn(&[ResultRow<'_>])) {
        let outcomes = example::summary(&["greedy", "exact", "greedy"]).outcomes;
        let failure = Failure { strategy: "exact".into(), reason: "100 samples are more than it can search".into() };
        let points = [settings(10), settings(100)];
        let row = |point: usize, result| ResultRow { settings: &points[point], result };
        expected(&[
            row(0, Ok(&outcomes[0])),
            row(0, Ok(&outcomes[1])),
            row(1, Ok(&outcomes[2])),
            row(1, Err(&failure)),
        ]);
    }

    #[test]
    fn every_strategy_has_a_line_with_means_over_its_results() {
        check(|rows| {
            insta::assert_snapshot!(printed("kcc2020-vgg16-sweep", rows), @"
        strategy  results  failed      mean  mean gap  worst gap      best
                                   speed-up         %          %  images/s
        ------------------------------------------------------------------
        greedy          2       0      1.39     200.0      260.0     833.3
        exact           1       1      1.33     200.0      200.0     666.7

        kcc2020-vgg16-sweep: 2 points of load.offline.samples
        mean: arithmetic, over the points at which the strategy has a result
        speed-up: over the baseline at the same point
        gap: above the lower bound at the same point, which no plan with these costs can
          beat
        failed: exact: 100 samples are more than it can search
        ")
        });
    }

    #[test]
    fn every_point_and_strategy_has_an_entry() {
        check(|rows| {
            let value: serde_json::Value = serde_json::from_str(&json("s", rows)).unwrap();
            assert_eq!(value["results"].as_array().unwrap().len(), 3);
            // A result has the fields of that of a run, and the settings of its point in front.
            let text = json("kcc2020-vgg16-sweep", &rows[2..]);
            let head = "{\n  \"scenario\": \"kcc2020-vgg16-sweep\",\n  \"results\": [\n    {\n      \"settings\": {\n";
            assert!(text.starts_with(head), "{text}");
            let value: serde_json::Value = serde_json::from_str(&text).unwrap();
            let run = summary_json(&example::summary(&["greedy", "exact", "greedy"]));
            let mut expected = serde_json::from_str::<serde_json::Value>(&run).unwrap()["results"][2].take();
            let settings = serde_json::json!({"load.offline.samples": "100"});
            expected["settings"] = settings.clone();
            assert_eq!(value["results"], serde_json::json!([expected]));
            let reason = "100 samples are more than it can search";
            let failure = serde_json::json!({"settings": settings, "strategy": "exact", "reason": reason});
            assert_eq!(value["failures"], serde_json::json!([failure]));
        });
    }

    #[test]
    fn a_sweep_without_results_says_so() {
        insta::assert_snapshot!(printed("empty", &[]), @"
        The sweep has no results.

        empty: 0 points
        ");
    }

    #[test]
    fn only_the_first_reasons_are_listed() {
        let failure = |index: u32| Failure {
            strategy: format!("a strategy with a long name, number {}", index % 7),
            reason: "x".repeat(100),
        };
        let failures: Vec<Failure> = (0..14).map(failure).collect();
        let rows: Vec<_> = failures.iter().map(|failure| ResultRow { settings: &[], result: Err(failure) }).collect();
        let text = printed("failing", &rows);
        assert_eq!(text.matches("(2 times)").count(), REASONS_MAX, "{text}");
        assert!(text.ends_with("failed: for 2 more reasons, which results.csv has\n"), "{text}");
    }
}

//! The results of a sweep: a line a strategy for a terminal, and one JSON object with all results.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::grid::{NAME_BREAKS, columns, decimals, grid, page, room, wrap};
use super::rows::distinct;
use super::summary::{Entry, FailureEntry, Pairs, json_text};
use super::{Outcome, ResultRow};

/// The sweep as lines of at most 80 columns: a line a strategy, then what the columns mean, and failures.
///
/// With `bold`, the header is set in bold by ANSI escapes.
pub fn sweep_table(scenario: &str, rows: &[ResultRow<'_>], bold: bool) -> String {
    let lines = match rows {
        [] => vec!["The sweep has no results.".to_owned()],
        _ => strategy_grid(rows, bold),
    };
    page(lines, captions(scenario, rows))
}

/// The sweep as one JSON object with a newline at its end.
///
/// Results have the keys of [`summary_json`](super::summary_json) after the point's `settings`. What is not known is
/// `null`.
pub fn sweep_json(scenario: &str, rows: &[ResultRow<'_>]) -> String {
    let mut object = Object { scenario, results: vec![], failures: vec![] };
    for row in rows {
        let settings = Pairs(row.settings.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect());
        match row.result {
            Ok(outcome) => object.results.push(AtPoint { settings, entry: outcome.into() }),
            Err(failure) => object.failures.push(AtPoint { settings, entry: failure.into() }),
        }
    }
    json_text(&object)
}

#[derive(Serialize)]
struct Object<'a> {
    scenario: &'a str,
    results: Vec<AtPoint<'a, Entry<'a>>>,
    failures: Vec<AtPoint<'a, FailureEntry<'a>>>,
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

fn strategy_grid(rows: &[ResultRow<'_>], bold: bool) -> Vec<String> {
    let strategies = distinct(rows.iter().map(strategy_of));
    let outcomes = |strategy: &str| -> Vec<&Outcome> {
        let of_strategy = rows.iter().filter(|row| strategy_of(row) == strategy);
        of_strategy.filter_map(|row| row.result.ok()).collect()
    };
    let best = |outcomes: &[&Outcome]| outcomes.iter().map(|outcome| outcome.samples_per_s).max_by(f64::total_cmp);
    let rates: Vec<f64> = strategies.iter().filter_map(|strategy| best(&outcomes(strategy))).collect();
    let decimals = decimals(4, rates.into_iter());
    let numbers = |strategy: &&str| {
        let all = rows.iter().filter(|row| strategy_of(row) == *strategy).count();
        let outcomes = outcomes(strategy);
        let speedups: Vec<f64> = outcomes.iter().filter_map(|outcome| outcome.speedup).collect();
        let gaps: Vec<f64> = outcomes.iter().filter_map(|outcome| outcome.gap).map(|gap| gap * 100.0).collect();
        let shown = |value: Option<f64>, decimals| value.map_or("-".to_owned(), |value| format!("{value:.decimals$}"));
        [
            outcomes.len().to_string(),
            (all - outcomes.len()).to_string(),
            shown(mean(&speedups), 2),
            shown(mean(&gaps), 1),
            shown(gaps.iter().copied().max_by(f64::total_cmp), 1),
            shown(best(&outcomes), decimals),
        ]
    };
    let numbers: Vec<[String; 6]> = strategies.iter().map(numbers).collect();
    let names_width = strategies.iter().map(|name| columns(name)).max().unwrap_or(0);
    let names_width = names_width.min(room(&TITLES, &numbers)).max(NARROWEST);
    let lines = strategies.iter().zip(numbers).map(|(strategy, numbers)| {
        let name = wrap(strategy, names_width, "", NAME_BREAKS).join("\n");
        std::iter::once(name).chain(numbers).collect()
    });
    grid(&TITLES, 1, lines, bold)
}

/// Names are wrapped to no less than this.
const NARROWEST: usize = 8;

fn captions(scenario: &str, rows: &[ResultRow<'_>]) -> Vec<String> {
    let points: BTreeSet<_> = rows.iter().map(|row| row.settings).collect();
    let names = distinct(rows.iter().flat_map(|row| row.settings.iter().map(|(name, _)| name.as_str())));
    let mut first = format!("{scenario}: {} point{}", points.len(), if points.len() == 1 { "" } else { "s" });
    if !names.is_empty() {
        first += &format!(" of {}", names.join(", "));
    }
    let mut captions = vec![first];
    if !rows.is_empty() {
        captions.extend(MEANINGS.map(str::to_owned));
    }
    // Counts by strategy and reason, in the order of first appearance.
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let failures = rows.iter().filter_map(|row| row.result.err());
    let failures: Vec<String> = failures.map(|failure| format!("{}: {}", failure.strategy, failure.reason)).collect();
    failures.iter().for_each(|failure| *counts.entry(failure).or_default() += 1);
    let failures = distinct(failures.iter().map(String::as_str));
    captions.extend(failures.iter().take(REASONS_MAX).map(|failure| match counts[*failure] {
        1 => format!("failed: {failure}"),
        count => format!("failed: {failure} ({count} times)"),
    }));
    if let Some(more @ 1..) = failures.len().checked_sub(REASONS_MAX) {
        captions.push(format!("failed: for {more} more reasons, which results.csv has"));
    }
    captions
}

fn strategy_of<'a>(row: &ResultRow<'a>) -> &'a str {
    match row.result {
        Ok(outcome) => &outcome.strategy,
        Err(failure) => &failure.strategy,
    }
}

/// `None` of nothing.
fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::super::grid::WIDTH;
    use super::*;
    use crate::report::{Failure, example};

    type Settings = Vec<(String, String)>;

    fn settings(batch: u32) -> Settings {
        vec![("load.offline.samples".into(), batch.to_string())]
    }

    fn printed(scenario: &str, rows: &[ResultRow<'_>]) -> String {
        let text = sweep_table(scenario, rows, false);
        for line in text.lines() {
            assert!(columns(line) <= WIDTH, "{} columns: {line}", columns(line));
        }
        text
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
            let value: serde_json::Value = serde_json::from_str(&sweep_json("s", rows)).unwrap();
            assert_eq!(value["results"].as_array().unwrap().len(), 3);
            let text = sweep_json("kcc2020-vgg16-sweep", &rows[2..]);
            insta::assert_snapshot!(text, @r#"
            {
              "scenario": "kcc2020-vgg16-sweep",
              "results": [
                {
                  "settings": {
                    "load.offline.samples": "100"
                  },
                  "strategy": "greedy",
                  "makespan_ms": 12.0,
                  "samples_per_s": 833.3333333333334,
                  "speedup": 1.6666666666666667,
                  "lower_bound_ms": 5.0,
                  "gap": 1.4,
                  "measured_share": 0.631578947368421,
                  "split": {
                    "cpu": 4,
                    "igpu": 0,
                    "gpu": 6
                  },
                  "basis": "modelled",
                  "samples": 10,
                  "steps": 4,
                  "finish_ms": {
                    "cpu": 12.0,
                    "igpu": null,
                    "gpu": 6.0
                  }
                }
              ],
              "failures": [
                {
                  "settings": {
                    "load.offline.samples": "100"
                  },
                  "strategy": "exact",
                  "reason": "100 samples are more than it can search"
                }
              ]
            }
            "#);
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

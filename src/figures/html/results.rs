//! The tables of a report: what strategies achieved, taken together and at each point, and why some did not.

use std::collections::BTreeMap;

use super::escape::escaped;
use super::table::{TableCell, Title, table_html};
use crate::output::{Accuracy, COLUMNS, ResultColumn, ResultLine, ResultsTable};

/// More lines make the page slow; `results.csv` has them all.
const LINES_MAX: usize = 2000;
/// Further reasons of failures are only counted.
const REASONS_MAX: usize = 50;

/// A line a result.
pub(super) fn results_html(table: &ResultsTable) -> String {
    let columns: Vec<&ResultColumn> =
        COLUMNS.iter().filter(|column| !column.title.is_empty() && table.has(column.name)).collect();
    let text = |name: &str| Title { name: name.to_owned(), unit: String::new() };
    // What devices did is the last.
    let of_device = |prefix: &'static str| {
        let behind = table.header[table.setting_count..].iter();
        behind.filter_map(move |column| Some((column, column.strip_prefix(prefix)?))).collect::<Vec<_>>()
    };
    let (splits, busy) = (of_device("split_"), of_device("utilisation_"));
    let mut titles: Vec<Title> = vec![text("strategy")];
    titles.extend(table.settings().iter().map(|name| text(name)));
    titles.extend(columns.iter().map(|column| Title { name: column.title.into(), unit: column.unit.into() }));
    titles.extend(splits.iter().map(|(_, device)| Title { name: (*device).into(), unit: "samples".into() }));
    titles.extend(busy.iter().map(|(_, device)| Title { name: (*device).into(), unit: "% busy".into() }));
    let row = |line: &ResultLine| {
        let number = |column: &str, factor: f64| match table.value(line, column) {
            Some(value) => TableCell::Number(value * factor, None),
            None => TableCell::Unknown,
        };
        let mut cells = vec![TableCell::Text(table.strategy(line).to_owned())];
        cells.extend(line.cells.iter().take(table.setting_count).map(|value| match value.parse::<f64>() {
            Ok(number) if number.is_finite() => TableCell::Number(number, None),
            _ => TableCell::Text(value.to_owned()),
        }));
        cells.extend(columns.iter().map(|column| {
            let [low, high] = column.ends().map(|end| table.value(line, &end));
            match number(column.name, column.factor()) {
                TableCell::Number(value, _) => TableCell::Number(value, low.zip(high)),
                other => other,
            }
        }));
        cells.extend(splits.iter().map(|(column, _)| number(column, 1.0)));
        cells.extend(busy.iter().map(|(column, _)| number(column, 100.0)));
        cells
    };
    let rows: Vec<Vec<TableCell>> = table.lines.iter().take(LINES_MAX).map(row).collect();
    let more = table.lines.len().saturating_sub(LINES_MAX);
    let note = match more {
        0 => String::new(),
        _ => format!("<p class=\"note\">The first {LINES_MAX} of {} lines of results.csv.</p>\n", table.lines.len()),
    };
    table_html(&titles, &rows) + &note
}

/// Of a sweep, a line a strategy: means over points, and the best.
pub(super) fn strategies_html(table: &ResultsTable) -> String {
    let title = |name: &str, unit: &str| Title { name: name.into(), unit: unit.into() };
    let rate = if table.has("qps") { ("qps", "queries/s") } else { ("samples_per_s", "samples/s") };
    let mut titles = vec![title("strategy", ""), title("results", ""), title("failed", "")];
    titles.extend([title("mean speed-up", ""), title("mean gap", "%"), title("worst gap", "%"), title("best", rate.1)]);
    titles.push(title("lowest p99", "latency, ms"));
    let lines_of = |strategy: &String| {
        let lines: Vec<&ResultLine> = table.lines.iter().filter(|line| table.strategy(line) == strategy).collect();
        let values = |column: &str| lines.iter().filter_map(|line| table.value(line, column)).collect::<Vec<f64>>();
        let count = values("makespan_ms").len();
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        let most = |values: &[f64]| values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let known = |values: Vec<f64>, of: &dyn Fn(&[f64]) -> f64| match values.as_slice() {
            [] => TableCell::Unknown,
            values => TableCell::Number(of(values), None),
        };
        let gaps: Vec<f64> = values("gap").into_iter().map(|gap| gap * 100.0).collect();
        vec![
            TableCell::Text(strategy.clone()),
            TableCell::Number(count as f64, None),
            TableCell::Number((lines.len() - count) as f64, None),
            known(values("speedup"), &mean),
            known(gaps.clone(), &mean),
            known(gaps, &most),
            known(values(rate.0), &most),
            known(values("latency_p99_ms"), &|values| values.iter().copied().fold(f64::INFINITY, f64::min)),
        ]
    };
    table_html(&titles, &table.strategies.iter().map(lines_of).collect::<Vec<_>>())
}

/// Why strategies have no result, and how often; empty if all have one.
pub(super) fn failures_html(table: &ResultsTable) -> String {
    let Some(column) = table.header.iter().rposition(|name| name == "error") else { return String::new() };
    let mut counts: BTreeMap<(&str, &str), u32> = BTreeMap::new();
    for line in table.lines.iter().filter(|line| !line.cells[column].is_empty()) {
        *counts.entry((table.strategy(line), &line.cells[column])).or_default() += 1;
    }
    if counts.is_empty() {
        return String::new();
    }
    let title = |name: &str| Title { name: name.into(), unit: String::new() };
    let more = counts.len().saturating_sub(REASONS_MAX);
    let rows = counts.into_iter().take(REASONS_MAX).map(|((strategy, reason), count)| {
        vec![
            TableCell::Text(strategy.to_owned()),
            TableCell::Text(reason.to_owned()),
            TableCell::Number(f64::from(count), None),
        ]
    });
    let note =
        if more > 0 { format!("<p class=\"note\">{more} more are in results.csv.</p>\n") } else { String::new() };
    table_html(&[title("strategy"), title("reason"), title("results")], &rows.collect::<Vec<_>>()) + &note
}

/// Predicted and measured times, below what they come to.
pub(super) fn accuracy_html(accuracy: &Accuracy) -> String {
    let title = |name: &str, unit: &str| Title { name: name.into(), unit: unit.into() };
    let titles = [title("of", ""), title("predicted", "ms"), title("measured", "ms"), title("error", "%")];
    let cells = accuracy.rows.iter().take(LINES_MAX).map(|row| {
        vec![
            TableCell::Text(row.series.clone()),
            TableCell::Number(row.predicted_ms, None),
            TableCell::Number(row.measured_ms, None),
            TableCell::Number((row.predicted_ms / row.measured_ms - 1.0) * 100.0, None),
        ]
    });
    let verdict = match accuracy.verdict.as_str() {
        "" => String::new(),
        verdict => format!("<p class=\"note\">{}</p>\n", escaped(verdict)),
    };
    verdict + &table_html(&titles, &cells.collect::<Vec<_>>())
}

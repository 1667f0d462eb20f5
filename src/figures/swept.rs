//! What a sweep varies: the axis that figures have to the right, and the lines that results form over it.

use std::collections::BTreeMap;

use super::axis::Axis;
use super::canvas::Width;
use super::metric::{Banded, Metric, is_seed, mean};
use crate::output::results_table::texts;
use crate::output::{ResultLine, ResultsTable};

/// Results along a swept setting.
pub(crate) struct Swept<'a> {
    table: &'a ResultsTable,
    /// The name of the setting.
    pub(super) setting: &'a str,
    unit: String,
    /// The name of the setting with its unit, as axes have it.
    pub(crate) title: String,
    /// Its values, ascending.
    pub(crate) values: Vec<f64>,
    /// A strategy, or a strategy with the other settings that vary.
    pub(crate) series: Vec<SweptSeries<'a>>,
}

/// Results of one strategy along a swept setting, with other settings fixed.
pub(crate) struct SweptSeries<'a> {
    /// Of the strategy, and what distinguishes it from others of it.
    pub(crate) name: String,
    /// By which it looks different from others.
    pub(crate) index: usize,
    /// Values of the setting, ascending, each with the lines there: several if seeds vary.
    pub(crate) points: Vec<(f64, Vec<&'a ResultLine>)>,
}

/// Values of the swept setting with the lines there, by bits that are ordered as they are.
type Points<'a> = BTreeMap<u64, (f64, Vec<&'a ResultLine>)>;

/// More lines cannot be told apart.
const SERIES_MAX: usize = 28;

impl<'a> Swept<'a> {
    /// Along the setting `against`, or without that, the one with the most values that are all numbers. Lines along
    /// which only `seed` differs are one.
    ///
    /// # Errors
    /// Why there is no such setting, and what to do.
    pub(crate) fn new(table: &'a ResultsTable, against: Option<&str>) -> Result<Swept<'a>, String> {
        let columns: Vec<SettingColumn> =
            (0..table.setting_count).map(|index| SettingColumn::new(table, index)).collect();
        let axis = match against {
            Some(name) => named(table, &columns, name)?,
            None => widest(&columns).ok_or(NO_AXIS)?,
        };
        let others: Vec<usize> = (0..table.setting_count)
            .filter(|&index| index != axis && columns[index].count > 1 && !is_seed(&table.header[index]))
            .collect();
        // By the places of other settings and of the strategy.
        let mut groups: BTreeMap<(Vec<usize>, usize), Points<'_>> = BTreeMap::new();
        for line in table.lines.iter().filter(|line| table.is_outcome(line)) {
            let Some((value, _)) = number(&line.cells[axis]) else { continue };
            let key = others.iter().map(|&index| columns[index].place(&line.cells[index])).collect();
            let points = groups.entry((key, table.strategy_index(line))).or_default();
            points.entry(ordered(value)).or_insert((value, Vec::new())).1.push(line);
        }
        if groups.len() > SERIES_MAX {
            let names: Vec<&str> = others.iter().map(|&index| table.header[index].as_str()).collect();
            return Err(format!(
                "a sweep with at most {SERIES_MAX} lines, but this has {}; choose some by --where, such as --where \
                 strategy=NAME{}",
                groups.len(),
                names.iter().map(|name| format!(" --where {name}=VALUE")).collect::<String>()
            ));
        }
        let strategy_count = table.strategies.len();
        let has_others = !others.is_empty();
        let mut places: Vec<Vec<usize>> = groups.keys().map(|(key, _)| key.clone()).collect();
        places.dedup();
        let series = groups.into_iter().map(|((key, strategy), points)| {
            let first = points.values().next().map(|(_, lines)| lines[0]);
            let settings = others.iter().map(|&index| {
                let name = table.header[index].rsplit('.').next().unwrap_or_default();
                format!(", {name}={}", first.map_or("", |line| &line.cells[index]))
            });
            let group = places.iter().position(|place| *place == key).unwrap_or_default();
            SweptSeries {
                name: table.strategies[strategy].clone() + &settings.collect::<String>(),
                index: if has_others { group * strategy_count + strategy } else { strategy },
                points: points.into_values().collect(),
            }
        });
        let mut series: Vec<SweptSeries<'a>> = series.collect();
        series.sort_by_key(|series| series.index);
        let mut values: Vec<f64> = series.iter().flat_map(|series| series.points.iter().map(|(x, _)| *x)).collect();
        values.sort_by(f64::total_cmp);
        values.dedup();
        if values.len() < 2 {
            return Err(NO_AXIS.to_owned());
        }
        let setting = &table.header[axis];
        let title = title(setting, &columns[axis].unit);
        let unit = columns[axis].unit.clone().unwrap_or_default();
        Ok(Swept { table, setting, unit, title, values, series })
    }

    /// The value of the setting that `text` says, if it is one of those here.
    pub(super) fn value_of(&self, text: &str) -> Option<f64> {
        let (value, unit) = number(text)?;
        (unit == self.unit && self.values.contains(&value)).then_some(value)
    }

    /// The strategy of a series.
    pub(super) fn strategy(&self, series: &SweptSeries<'a>) -> &'a str {
        series.points.first().map_or("", |(_, lines)| self.table.strategy(lines[0]))
    }

    /// Whether the results have the value of the setting that `text` says, and it is not shown here.
    pub(super) fn hides_value(&self, text: &str) -> bool {
        let is_same = |found: &String| number(text).is_some_and(|value| number(found) == Some(value));
        self.value_of(text).is_none() && self.table.setting_values(self.setting).iter().any(is_same)
    }

    /// Whether the results have a strategy of this name that is not shown here.
    pub(super) fn hides_strategy(&self, strategy: &str) -> bool {
        let is_shown = self.series.iter().any(|series| self.strategy(series) == strategy);
        !is_shown && self.table.strategies.iter().any(|name| name == strategy)
    }

    /// Whether the setting grows by factors rather than by steps, as doubled values do.
    pub(crate) fn is_geometric(&self) -> bool {
        let pairs = || self.values.windows(2);
        let (first, last) = (self.values[0], self.values[self.values.len() - 1]);
        let is_wide = first > 0.0 && self.values.len() > 2 && last / first >= 4.0;
        is_wide && variation(pairs().map(|pair| pair[1] / pair[0])) < variation(pairs().map(|pair| pair[1] - pair[0]))
    }

    /// The axis of the setting.
    pub(super) fn axis(&self, width: Width) -> Axis {
        // A marker on an edge would hide it.
        if self.is_geometric() { Axis::log_at(&self.values, 0.03) } else { self.linear_axis(width) }
    }

    /// The axis of the setting with room for half a cell before the first and after the last value.
    pub(super) fn cell_axis(&self, width: Width) -> Axis {
        let half = 0.5 / (self.values.len() - 1) as f64;
        if self.is_geometric() { Axis::log_at(&self.values, half) } else { self.linear_axis(width) }
    }

    fn linear_axis(&self, width: Width) -> Axis {
        let count = if width == Width::Column { 6 } else { 11 };
        Axis::between(self.values[0], self.values[self.values.len() - 1], count)
    }

    /// What the lines at a point say; the mean and its interval if there are several.
    pub(crate) fn value(&self, lines: &[&ResultLine], metric: Metric) -> Option<Banded> {
        match lines {
            [line] => metric.of(self.table, line),
            _ => mean(lines.iter().filter_map(|line| Some(metric.of(self.table, line)?.value))),
        }
    }

    /// The share of the samples that `device` computed at a point.
    pub(super) fn share(&self, lines: &[&ResultLine], device: &str) -> Option<f64> {
        let column = format!("split_{device}");
        let share = |line: &&ResultLine| {
            let samples = self.table.value(line, "samples").filter(|&samples| samples > 0.0)?;
            Some(self.table.value(line, &column)? / samples)
        };
        mean(lines.iter().filter_map(share)).map(|mean| mean.value)
    }

    /// Whether bands are of several seeds or of what replications say; `None` if there are none.
    pub(crate) fn band_source(&self, metric: Metric) -> Option<&'static str> {
        let mut banded = self
            .series
            .iter()
            .flat_map(|series| &series.points)
            .filter(|(_, lines)| self.value(lines, metric).is_some_and(|value| value.band.is_some()));
        let (_, lines) = banded.next()?;
        Some(if lines.len() > 1 { "95 % confidence over seeds" } else { "95 % confidence over replications" })
    }
}

const NO_AXIS: &str = "a sweep over a setting with numbers; \
                       `coinfer sweep SCENARIO --set load.offline.samples=1,2,4,8` makes one";

/// The values of a setting.
struct SettingColumn {
    /// Distinct texts, in the order of first appearance.
    texts: Vec<String>,
    count: usize,
    /// `None` unless all values are numbers with the same unit.
    unit: Option<String>,
    is_seed: bool,
}

impl SettingColumn {
    fn new(table: &ResultsTable, index: usize) -> SettingColumn {
        let texts = texts(&table.lines, index);
        let unit = number(texts.first().map_or("", String::as_str)).map(|(_, unit)| unit.to_owned());
        let unit = unit.filter(|unit| texts.iter().all(|text| number(text).is_some_and(|(_, found)| found == unit)));
        SettingColumn { count: texts.len(), texts, unit, is_seed: is_seed(&table.header[index]) }
    }

    fn place(&self, text: &str) -> usize {
        self.texts.iter().position(|found| found == text).unwrap_or_default()
    }
}

fn named(table: &ResultsTable, columns: &[SettingColumn], name: &str) -> Result<usize, String> {
    let Some(index) = table.settings().iter().position(|setting| setting == name) else {
        let settings = table.settings().join(", ");
        return Err(match settings.as_str() {
            "" => NO_AXIS.to_owned(),
            _ => format!("a setting for --against that was swept: {settings}"),
        });
    };
    match &columns[index] {
        SettingColumn { unit: None, .. } => Err(format!("numbers with one unit for --against, which `{name}` has not")),
        SettingColumn { count: ..=1, .. } => Err(format!("more than one value of `{name}`")),
        _ => Ok(index),
    }
}

/// The setting with the most values that are numbers, the first if there are several.
fn widest(columns: &[SettingColumn]) -> Option<usize> {
    let candidates = columns.iter().enumerate();
    let candidates = candidates.filter(|(_, column)| column.count > 1 && column.unit.is_some() && !column.is_seed);
    candidates.rev().max_by_key(|(_, column)| column.count).map(|(index, _)| index)
}

/// A number that an axis can show, and the unit behind it.
fn number(text: &str) -> Option<(f64, &str)> {
    let end = text.find(|c: char| !matches!(c, '0'..='9' | '.' | '-' | '+' | 'e' | 'E' | '_')).unwrap_or(text.len());
    let value: f64 = text[..end].replace('_', "").parse().ok()?;
    let is_shown = value == 0.0 || (1e-12..1e15).contains(&value.abs());
    is_shown.then(|| (value, text[end..].trim()))
}

/// Bits that are ordered as the floats are.
fn ordered(value: f64) -> u64 {
    let bits = (value + 0.0).to_bits();
    if value.is_sign_negative() && value != 0.0 { !bits } else { bits | 1 << 63 }
}

/// The title of the axis of a setting.
fn title(name: &str, unit: &Option<String>) -> String {
    let (name, unit) = match (name, unit.as_deref()) {
        ("load.offline.samples", _) => ("batch size", "samples"),
        (name, unit) => (name, unit.unwrap_or_default()),
    };
    if unit.is_empty() { name.to_owned() } else { format!("{name} ({unit})") }
}

/// The standard deviation of values over their mean.
fn variation(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let count = values.clone().count() as f64;
    let mean = values.clone().sum::<f64>() / count;
    (values.map(|value| (value - mean).powi(2)).sum::<f64>() / count).sqrt() / mean
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::results_table::tests::table;

    const HEADER: &str = "strategy,samples,makespan_ms,samples_per_s,qps,qps_low,qps_high";

    /// Title and values of the axis, and names with points of the series.
    fn check(settings: &str, lines: &str, against: Option<&str>) -> String {
        let table = table(&format!("{settings},{HEADER}\n{lines}"));
        let swept = match Swept::new(&table, against) {
            Ok(swept) => swept,
            Err(cause) => return cause,
        };
        let series = swept.series.iter().map(|series| {
            let points = series.points.iter().map(|(x, lines)| {
                let Banded { value, band } = swept.value(lines, Metric::Throughput).unwrap();
                let band = band.map(|(low, high)| format!("[{low:.1} {high:.1}]")).unwrap_or_default();
                format!(" {x}:{value:.1}{band}")
            });
            format!("\n{} {}{}", series.index, series.name, points.collect::<String>())
        });
        format!("{} {:?}{}", swept.title, swept.values, series.collect::<String>())
    }

    #[test]
    fn the_setting_with_most_numbers_is_the_axis_and_others_make_lines() {
        let lines = "2,1 GB/s,a,1,1,20,,,\n1,1 GB/s,a,1,1,10,,,\n10,1 GB/s,a,1,1,30,,,\n1,2 GB/s,b,1,1,40,,,\n1,2 GB/s,a,,,,,,\n";
        insta::assert_snapshot!(check("load.offline.samples,link.bandwidth", lines, None), @"
        batch size (samples) [1.0, 2.0, 10.0]
        0 a, bandwidth=1 GB/s 1:10.0 2:20.0 10:30.0
        3 b, bandwidth=2 GB/s 1:40.0
        ");
        insta::assert_snapshot!(check("load.offline.samples,link.bandwidth", lines, Some("link.bandwidth")), @"
        link.bandwidth (GB/s) [1.0, 2.0]
        0 a, samples=2 1:20.0
        2 a, samples=1 1:10.0
        3 b, samples=1 2:40.0
        4 a, samples=10 1:30.0
        ");
    }

    #[test]
    fn seeds_give_a_mean_with_its_interval_and_replications_theirs() {
        let seeds = "1,1,a,1,1,10,,,\n1,2,a,1,1,14,,,\n2,1,a,1,1,20,,,\n";
        insta::assert_snapshot!(check("batch,seed", seeds, None), @"
        batch [1.0, 2.0]
        0 a 1:12.0[-13.4 37.4] 2:20.0
        ");
        let lines = "1,a,1,1,10,5,4,6\n2,a,1,1,10,7,,\n";
        insta::assert_snapshot!(check("rate", lines, None), @"
        rate [1.0, 2.0]
        0 a 1:5.0[4.0 6.0] 2:7.0
        ");
    }

    #[test]
    fn what_has_no_axis_says_what_is_needed() {
        let told = |against| check("mode,batch", "x,1,a,1,1,10,,,\ny,1,a,1,1,14,,,\n", against);
        insta::assert_snapshot!([told(None), told(Some("mode")), told(Some("batch")), told(Some("c"))].join("\n"), @"
        a sweep over a setting with numbers; `coinfer sweep SCENARIO --set load.offline.samples=1,2,4,8` makes one
        numbers with one unit for --against, which `mode` has not
        more than one value of `batch`
        a setting for --against that was swept: mode, batch
        ");
        let many: String = (0..30).map(|index| format!("m{index},{},a,1,1,10,,,\n", index % 2)).collect();
        insta::assert_snapshot!(check("mode,batch", &many, None), @"a sweep with at most 28 lines, but this has 30; choose some by --where, such as --where strategy=NAME --where mode=VALUE");
    }

    #[test]
    fn values_that_grow_by_factors_have_a_logarithmic_axis() {
        let is_geometric = |values: &[u32]| {
            let lines: String = values.iter().map(|value| format!("{value},a,1,1,10,,,\n")).collect();
            let table = table(&format!("batch,{HEADER}\n{lines}"));
            Swept::new(&table, None).unwrap().is_geometric()
        };
        assert!(is_geometric(&[1, 2, 4, 8]) && is_geometric(&[1, 10, 100]) && is_geometric(&[1, 5, 10, 50]));
        assert!(!is_geometric(&[1, 2, 3, 4, 5]) && !is_geometric(&[10, 20]));
    }
}

//! `results.csv` read back: what figures of strategies and sweeps are drawn from.

use std::collections::BTreeMap;

use csv::StringRecord;

use super::read::{CsvMistake, REMEDY, records, shown, wrong_count};
use crate::output::distinct;

/// The lines of `results.csv`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ResultsTable {
    /// The names of its columns: settings, `strategy`, and what it achieved.
    pub header: Vec<String>,
    /// How many of them are settings.
    pub setting_count: usize,
    /// A line a point and strategy.
    pub lines: Vec<ResultLine>,
    /// Strategies of the whole file in the order of first appearance; a strategy looks the same in all figures.
    pub strategies: Vec<String>,
    /// What speed-ups are relative to, if the whole file tells: the only strategy that has 1 wherever it has one.
    pub baseline: Option<String>,
    /// For each setting, its values in the whole file.
    setting_values: Vec<Vec<String>>,
    /// For each column, whether some line of the file has a number in it.
    filled: Vec<bool>,
}

/// What a strategy did at a point.
#[derive(Clone, Debug, PartialEq)]
pub struct ResultLine {
    /// The text of each column.
    pub cells: StringRecord,
    /// The value of each column, if it is a finite number.
    values: Vec<Option<f64>>,
}

/// The columns without which nothing can be drawn.
const REQUIRED: [&str; 3] = ["strategy", "makespan_ms", "samples_per_s"];
/// What comes after the strategy and is no number.
const WORDS: [&str; 2] = ["basis", "error"];

impl ResultsTable {
    /// Reads a file that [`results_csv`](crate::output::results_csv) wrote. What comes before `strategy` are settings;
    /// other columns may be in any order, and only `makespan_ms` and `samples_per_s` must be there.
    ///
    /// # Errors
    /// All faults of the file, in its order.
    pub fn read(bytes: &[u8]) -> Result<ResultsTable, Vec<CsvMistake>> {
        let mut records = records(bytes);
        let (_, header) = records.next().transpose().map_err(|fault| vec![fault])?.unwrap_or_default();
        let missing: Vec<&str> =
            REQUIRED.into_iter().filter(|name| !header.iter().any(|column| column == *name)).collect();
        if !missing.is_empty() {
            let cause = format!("columns are missing: {}", missing.join(", "));
            return Err(vec![CsvMistake { line: 1, cause, remedy: "make the results again".into() }]);
        }
        let setting_count = header.iter().position(|column| column == "strategy").unwrap_or_default();
        let mut faults = Vec::new();
        let mut lines = Vec::new();
        for record in records {
            match record {
                Err(fault) => faults.push(fault),
                Ok((number, record)) if record.len() != header.len() => {
                    faults.push(wrong_count(number, record.len(), header.len()));
                }
                Ok((number, record)) => lines.push(line(number, record, &header, setting_count, &mut faults)),
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        let strategies = texts(&lines, setting_count);
        let setting_values = (0..setting_count).map(|index| texts(&lines, index)).collect();
        let baseline = baseline(&lines, setting_count, header.iter().position(|column| column == "speedup"));
        let filled = |column: usize| lines.iter().any(|line| line.values[column].is_some());
        let filled = (0..header.len()).map(filled).collect();
        let header = header.iter().map(str::to_owned).collect();
        Ok(ResultsTable { header, setting_count, lines, strategies, baseline, setting_values, filled })
    }

    /// The names of the settings that points differ in or share.
    pub fn settings(&self) -> &[String] {
        &self.header[..self.setting_count]
    }

    /// The values of a setting in the whole file, in the order of first appearance.
    pub(crate) fn setting_values(&self, name: &str) -> &[String] {
        self.settings().iter().position(|setting| setting == name).map_or(&[], |index| &self.setting_values[index])
    }

    /// Devices that have a column `split_<device>`.
    pub fn devices(&self) -> Vec<&str> {
        self.header[self.setting_count..].iter().filter_map(|column| column.strip_prefix("split_")).collect()
    }

    /// The strategy of a line.
    pub fn strategy<'a>(&self, line: &'a ResultLine) -> &'a str {
        &line.cells[self.setting_count]
    }

    /// The strategy's place among all of the file.
    pub(crate) fn strategy_index(&self, line: &ResultLine) -> usize {
        let name = self.strategy(line);
        self.strategies.iter().position(|strategy| strategy == name).unwrap_or_default()
    }

    /// What a line has in a column behind the strategy; `None` if there is no such column or no number in it.
    pub fn value(&self, line: &ResultLine, column: &str) -> Option<f64> {
        line.values[self.place(column)?]
    }

    /// Whether some line of the file has a number in a column behind the strategy.
    pub fn has(&self, column: &str) -> bool {
        self.place(column).is_some_and(|index| self.filled[index])
    }

    fn place(&self, column: &str) -> Option<usize> {
        let behind = &self.header[self.setting_count..];
        behind.iter().position(|name| name == column).map(|index| self.setting_count + index)
    }

    /// Whether the strategy has a result in this line.
    pub(crate) fn is_outcome(&self, line: &ResultLine) -> bool {
        self.value(line, "makespan_ms").is_some()
    }

    /// The lines that have these values: names of columns, and what they say. Of a column that is named several times,
    /// one of its values.
    ///
    /// # Errors
    /// What is wrong with a condition, if there is no such column, or no line has that value in it.
    pub fn only(mut self, conditions: &[(String, String)]) -> Result<ResultsTable, String> {
        for (name, wanted) in alternatives(conditions) {
            let columns = &self.header[..=self.setting_count];
            let Some(index) = columns.iter().position(|column| column == name) else {
                return Err(format!("no column is called `{name}`; name one of {}", columns.join(", ")));
            };
            let found = texts(&self.lines, index);
            if let Some(wanted) = wanted.iter().find(|wanted| !found.iter().any(|text| text == *wanted)) {
                let some: Vec<&str> = found.iter().map(String::as_str).take(VALUES_MAX).collect();
                let more = if found.len() > VALUES_MAX { ", ..." } else { "" };
                return Err(format!("`{name}` is nowhere `{wanted}`; it is {}{more}", some.join(", ")));
            }
            self.lines.retain(|line| wanted.contains(&&line.cells[index]));
        }
        Ok(self)
    }
}

/// Names in the order of first appearance, each with all its values.
pub fn alternatives(conditions: &[(String, String)]) -> Vec<(&str, Vec<&str>)> {
    let names = distinct(conditions.iter().map(|(name, _)| name.as_str())).into_iter();
    let of = |name| conditions.iter().filter(move |(found, _)| found == name).map(|(_, value)| value.as_str());
    names.map(|name| (name, of(name).collect())).collect()
}

/// Further values are not listed.
const VALUES_MAX: usize = 12;

/// The distinct texts of a column.
pub(crate) fn texts(lines: &[ResultLine], column: usize) -> Vec<String> {
    distinct(lines.iter().map(|line| &line.cells[column])).into_iter().map(str::to_owned).collect()
}

/// The only strategy whose speed-ups are all 1, since a baseline's are.
fn baseline(lines: &[ResultLine], strategy: usize, speedup: Option<usize>) -> Option<String> {
    let mut is_one: BTreeMap<&str, bool> = BTreeMap::new();
    for line in lines {
        if let Some(value) = line.values[speedup?] {
            *is_one.entry(&line.cells[strategy]).or_insert(true) &= value == 1.0;
        }
    }
    let mut found = is_one.into_iter().filter(|(_, is_one)| *is_one).map(|(name, _)| name.to_owned());
    found.next().filter(|_| found.next().is_none())
}

fn line(
    number: u64,
    cells: StringRecord,
    header: &StringRecord,
    setting_count: usize,
    faults: &mut Vec<CsvMistake>,
) -> ResultLine {
    let number_of = |text: &str| text.parse().ok().filter(|value: &f64| value.is_finite());
    let values: Vec<Option<f64>> = cells.iter().map(number_of).collect();
    for (index, column) in header.iter().enumerate().skip(setting_count + 1) {
        if values[index].is_none() && !cells[index].is_empty() && !WORDS.contains(&column) {
            let cause = format!("`{column}` is `{}`, not a finite number", shown(&cells[index]));
            faults.push(CsvMistake { line: number, cause, remedy: REMEDY.into() });
        }
    }
    ResultLine { cells, values }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The table with these lines behind a header.
    pub(crate) fn table(text: &str) -> ResultsTable {
        ResultsTable::read(text.trim_start().replace("\n ", "\n").replace("  ", "").as_bytes()).unwrap()
    }

    #[test]
    fn columns_are_found_by_name_and_settings_never_hide_results() {
        let table = table(
            "samples,b,strategy,samples,makespan_ms,samples_per_s,split_cpu,basis,error\n1,x,greedy,2,4,0.5,7,measured,\n",
        );
        assert_eq!(table.settings(), ["samples", "b"]);
        assert_eq!(table.devices(), ["cpu"]);
        let line = &table.lines[0];
        assert_eq!(
            ["samples", "split_cpu", "qps", "error"].map(|name| table.value(line, name)),
            [Some(2.0), Some(7.0), None, None]
        );
        assert!(table.has("makespan_ms") && !table.has("qps"));
    }

    #[test]
    fn every_fault_is_told() {
        let text = "strategy,makespan_ms,samples_per_s,error\na,1,x,\na,1\na,NaN,1,no\n\"a\nb\",,,failed\n";
        let faults: Vec<String> =
            ResultsTable::read(text.as_bytes()).unwrap_err().iter().map(|f| f.to_string()).collect();
        insta::assert_snapshot!(faults.join("\n"), @"
        line 2: `samples_per_s` is `x`, not a finite number; correct it or make the results again
        line 3: there are 2 values for 4 columns; add or remove values, and quote those that have commas
        line 4: `makespan_ms` is `NaN`, not a finite number; correct it or make the results again
        ");
        let faults = ResultsTable::read(b"strategy,samples\n").unwrap_err();
        insta::assert_snapshot!(faults[0].to_string(), @"line 1: columns are missing: makespan_ms, samples_per_s; make the results again");
    }

    #[test]
    fn the_baseline_is_the_only_strategy_whose_speedups_are_all_1() {
        let baseline = |lines: &str| {
            let text = format!("b,strategy,makespan_ms,samples_per_s,speedup\n{lines}");
            table(&text).baseline
        };
        assert_eq!(baseline("1,x,1,1,1\n1,y,1,1,1\n2,x,1,1,1\n2,y,1,1,2\n3,x,,,\n").as_deref(), Some("x"));
        assert_eq!(baseline("1,x,1,1,1\n1,y,1,1,1\n"), None);
        assert_eq!(baseline("1,x,1,1,\n"), None);
    }

    #[test]
    fn conditions_keep_lines_and_the_order_of_strategies() {
        let table = table("b,strategy,makespan_ms,samples_per_s\n1,x,1,1\n1,y,1,1\n2,y,1,1\n");
        let only = |name: &str, value: &str| table.clone().only(&[(name.into(), value.into())]);
        let kept = only("strategy", "y").unwrap();
        assert_eq!((kept.lines.len(), kept.strategies.len()), (2, 2));
        let both = [("b".to_owned(), "2".to_owned()), ("b".to_owned(), "1".to_owned())];
        assert_eq!(table.clone().only(&both).unwrap().lines.len(), 3);
        assert_eq!(only("c", "1").unwrap_err(), "no column is called `c`; name one of b, strategy");
        assert_eq!(only("b", "3").unwrap_err(), "`b` is nowhere `3`; it is 1, 2");
    }
}

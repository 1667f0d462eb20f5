//! Published values along a swept setting, which figures show beside what was simulated.

use std::collections::BTreeSet;

use csv::StringRecord;

use super::legend::Legend;
use super::metric::Metric;
use super::swept::Swept;
use crate::output::CsvMistake;
use crate::output::ResultsTable;
use crate::output::read::{records, shown as shortened, wrong_count};

/// What was published of a strategy at a value of the swept setting.
#[derive(Clone, Debug, PartialEq)]
pub struct PublishedPoint {
    /// The name of the strategy, as legends of the sweep have it.
    pub series: String,
    /// The value of the setting.
    pub value: f64,
    /// Samples or queries a second, as the sweep counts.
    pub throughput: f64,
}

/// Why there are no published values.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublishedError {
    /// What the results need for them.
    #[error("{0}")]
    Sweep(String),
    /// All faults of the file, in its order.
    #[error("{} faults", .0.len())]
    File(Vec<CsvMistake>),
}

/// Reads values that were published of the sweep in `table` along `against`, or without that, the setting that figures
/// choose.
///
/// The first column is the setting, with values of the sweep, and each other one a strategy, with samples or queries a
/// second, or nothing where none was published. Lines before the columns' names that begin with `#` say where it is
/// from. What the whole file of results has but `table` has no longer is left out.
///
/// # Errors
/// That `table` is no sweep along a setting, or what is wrong with the file.
pub fn read_published_csv(
    bytes: &[u8],
    table: &ResultsTable,
    against: Option<&str>,
) -> Result<Vec<PublishedPoint>, PublishedError> {
    let swept = Swept::new(table, against).map_err(PublishedError::Sweep)?;
    let (above, body) = below_comments(bytes);
    let mut reader = PublishedReader { swept: &swept, points: Vec::new(), rows: Vec::new(), faults: Vec::new() };
    reader.read(body);
    let PublishedReader { points, mut faults, .. } = reader;
    if faults.is_empty() {
        return Ok(points);
    }
    faults.iter_mut().for_each(|fault| fault.line += above);
    Err(PublishedError::File(faults))
}

/// How many lines the comments at the top are, and what follows.
fn below_comments(bytes: &[u8]) -> (u64, &[u8]) {
    let mut body = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut above = 0;
    while body.starts_with(b"#") {
        let end = body.iter().position(|&byte| byte == b'\n').map_or(body.len(), |end| end + 1);
        body = &body[end..];
        above += 1;
    }
    (above, body)
}

/// What is in a column.
enum PublishedColumn {
    /// Values of this series.
    Series(usize),
    /// Nothing that is shown.
    Hidden,
}

struct PublishedReader<'a> {
    swept: &'a Swept<'a>,
    points: Vec<PublishedPoint>,
    /// Values of the setting, and the lines that have them.
    rows: Vec<(f64, u64)>,
    faults: Vec<CsvMistake>,
}

impl PublishedReader<'_> {
    fn read(&mut self, body: &[u8]) {
        let mut records = records(body);
        let (line, header) = match records.next() {
            Some(Ok(header)) => header,
            Some(Err(fault)) => return self.faults.push(fault),
            None => return self.fault(1, "there are no columns".into(), self.columns_wanted()),
        };
        let is_setting = header[0].trim() == self.swept.setting;
        if !is_setting {
            let cause = format!(
                "the first column is `{}`, not the swept setting `{}`",
                shortened(header[0].trim()),
                self.swept.setting
            );
            self.fault(line, cause, self.columns_wanted());
        }
        let columns = self.columns(line, &header);
        let mut last = line;
        for record in records {
            last = match &record {
                Ok((line, _)) => *line,
                Err(fault) => fault.line,
            };
            match record {
                Err(fault) => self.faults.push(fault),
                Ok((line, record)) if record.len() != header.len() => {
                    self.faults.push(wrong_count(line, record.len(), header.len()));
                }
                Ok((line, record)) => {
                    // Whatever the first column is, it need not have the setting's values.
                    let value = if is_setting { self.setting(line, record[0].trim()) } else { None };
                    self.row(line, value, &columns, &header, &record);
                }
            }
        }
        if !body.ends_with(b"\n") {
            let cause = "the last line has no end, so that something may be missing";
            self.fault(last, cause.into(), "compare it with the source, and end it with a line break".into());
        }
        if self.points.is_empty() && self.faults.is_empty() {
            let remedy = "add a row for each value of the setting, or show other results by --where";
            self.fault(line, "below this is nothing that the figure shows".into(), remedy.into());
        }
    }

    /// What each column after the first is.
    fn columns(&mut self, line: u64, header: &StringRecord) -> Vec<PublishedColumn> {
        let mut columns = Vec::new();
        let mut seen = BTreeSet::new();
        for name in header.iter().map(str::trim).skip(1) {
            if !seen.insert(name) {
                let cause = format!("`{}` is there twice", shortened(name));
                self.fault(line, cause, "name each strategy once".into());
            }
            columns.push(match self.swept.series.iter().position(|series| series.name == name) {
                Some(series) => PublishedColumn::Series(series),
                None => {
                    if !self.swept.hides_strategy(name) {
                        let cause = format!("nothing in the figure is called `{}`", shortened(name));
                        self.fault(line, cause, format!("name {}", self.strategies()));
                    }
                    PublishedColumn::Hidden
                }
            });
        }
        if columns.is_empty() {
            self.fault(line, "columns of strategies are missing".into(), self.columns_wanted());
        }
        columns
    }

    /// The value of the setting in a row, if it is one that is shown and new.
    fn setting(&mut self, line: u64, text: &str) -> Option<f64> {
        let Some(value) = self.swept.value_of(text) else {
            if !self.swept.hides_value(text) {
                let cause = format!("`{}` is no value of `{}` in the sweep", shortened(text), self.swept.setting);
                self.fault(line, cause, "correct or delete the row, or sweep over this value too".into());
            }
            return None;
        };
        if let Some((_, before)) = self.rows.iter().find(|(found, _)| *found == value) {
            let cause = format!("`{text}` has a row already, {} above this", lines(line - before));
            self.fault(line, cause, "delete one of them".into());
            return None;
        }
        self.rows.push((value, line));
        Some(value)
    }

    fn row(
        &mut self,
        line: u64,
        value: Option<f64>,
        columns: &[PublishedColumn],
        header: &StringRecord,
        record: &StringRecord,
    ) {
        for (index, column) in columns.iter().enumerate() {
            let text = record[index + 1].trim();
            if text.is_empty() {
                continue;
            }
            let Some(throughput) = text.parse().ok().filter(|&value| super::is_drawable(value)) else {
                let cause = format!(
                    "`{}` of `{}` is no positive number of samples or queries a second",
                    shortened(text),
                    shortened(header[index + 1].trim())
                );
                self.fault(line, cause, "correct it, or leave it empty if none was published".into());
                continue;
            };
            if let (Some(value), PublishedColumn::Series(series)) = (value, column) {
                let series = self.swept.series[*series].name.clone();
                self.points.push(PublishedPoint { series, value, throughput });
            }
        }
    }

    fn fault(&mut self, line: u64, cause: String, remedy: String) {
        self.faults.push(CsvMistake { line, cause, remedy });
    }

    fn columns_wanted(&self) -> String {
        format!("begin with a column `{}`, and add one for each strategy: {}", self.swept.setting, self.strategies())
    }

    fn strategies(&self) -> String {
        let names: Vec<String> = self.swept.series.iter().map(|series| format!("`{}`", series.name)).collect();
        names.join(", ")
    }
}

fn lines(count: u64) -> String {
    if count == 1 { "one line".to_owned() } else { format!("{count} lines") }
}

/// The points that a figure of the sweep has, each with what its series looks like.
pub(super) fn shown<'a>(
    points: &'a [PublishedPoint],
    swept: &Swept<'_>,
    metric: Metric,
) -> Vec<(usize, &'a PublishedPoint)> {
    if metric != Metric::Throughput {
        return Vec::new();
    }
    let index_of = |name: &str| swept.series.iter().find(|series| series.name == name).map(|series| series.index);
    let is_here = |point: &&PublishedPoint| swept.values.contains(&point.value);
    points.iter().filter(is_here).filter_map(|point| Some((index_of(&point.series)?, point))).collect()
}

/// Adds what published points look like, if there are some.
pub(super) fn add_published(legend: &mut Legend<'_>, points: &[(usize, &PublishedPoint)]) {
    let mut looks: Vec<usize> = points.iter().map(|(index, _)| *index).collect();
    looks.sort_unstable();
    looks.dedup();
    looks.truncate(LOOKS_MAX);
    if looks.is_empty() {
        return;
    }
    legend.add("published", move |canvas, (x, y)| {
        let left = x - (looks.len() as i32 - 1) * LOOK / 2;
        for (place, &index) in looks.iter().enumerate() {
            canvas.open_marker((left + place as i32 * LOOK, y), index, 100);
        }
    });
}

/// Markers in a legend, and the width of one.
const LOOKS_MAX: usize = 3;
const LOOK: i32 = 24;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::output::results_table::tests::table;

    /// What a file says of a sweep over batches 4, 16, 64 and 128 of `gpu`, `gpu+dla` and `best`; the last of each
    /// are not shown.
    fn check(text: &[u8]) -> String {
        let mut rows = "batch,strategy,makespan_ms,samples_per_s\n".to_owned();
        for strategy in ["gpu", "gpu+dla", "best"] {
            rows += &[4, 16, 64, 128].map(|batch| format!("{batch},{strategy},1,1\n")).concat();
        }
        let shown = [("strategy", "gpu"), ("strategy", "gpu+dla"), ("batch", "4"), ("batch", "16"), ("batch", "64")];
        let shown = shown.map(|(name, value)| (name.to_owned(), value.to_owned()));
        match read_published_csv(text, &table(&rows).only(&shown).unwrap(), None) {
            Ok(points) => {
                let shown = |point: &PublishedPoint| format!("{} {}: {}", point.series, point.value, point.throughput);
                points.iter().map(shown).collect::<Vec<_>>().join("\n")
            }
            Err(PublishedError::Sweep(needed)) => needed,
            Err(PublishedError::File(faults)) => {
                faults.iter().map(CsvMistake::to_string).collect::<Vec<_>>().join("\n")
            }
        }
    }

    #[test]
    fn a_file_may_have_less_than_the_sweep_and_hidden_strategies() {
        let text = "\u{feff}# from a paper\r\n# figure 3\r\nbatch, gpu+dla, best, gpu\r\n128.0,560.7,,\r\n64, 493.9, 5,\r\n4.0,195.9,,625.7\r\n";
        insta::assert_snapshot!(check(text.as_bytes()), @"
        gpu+dla 64: 493.9
        gpu+dla 4: 195.9
        gpu 4: 625.7
        ");
    }

    #[test]
    fn every_fault_is_told_at_once_with_its_line() {
        let text = "# from a paper\n\nbatch,gpu,gpu-dla,gpu\n4,NaN,-1,1\n\n32,1,1,1\n16,0,inf,x\n16,1,1,1\n64,1\n4 GB,1e999,,1\n,1,1,1\n";
        insta::assert_snapshot!(check(text.as_bytes()), @"
        line 3: nothing in the figure is called `gpu-dla`; name `gpu`, `gpu+dla`
        line 3: `gpu` is there twice; name each strategy once
        line 4: `NaN` of `gpu` is no positive number of samples or queries a second; correct it, or leave it empty if none was published
        line 4: `-1` of `gpu-dla` is no positive number of samples or queries a second; correct it, or leave it empty if none was published
        line 6: `32` is no value of `batch` in the sweep; correct or delete the row, or sweep over this value too
        line 7: `0` of `gpu` is no positive number of samples or queries a second; correct it, or leave it empty if none was published
        line 7: `inf` of `gpu-dla` is no positive number of samples or queries a second; correct it, or leave it empty if none was published
        line 7: `x` of `gpu` is no positive number of samples or queries a second; correct it, or leave it empty if none was published
        line 8: `16` has a row already, one line above this; delete one of them
        line 9: there are 2 values for 4 columns; add or remove values, and quote those that have commas
        line 10: `4 GB` is no value of `batch` in the sweep; correct or delete the row, or sweep over this value too
        line 10: `1e999` of `gpu` is no positive number of samples or queries a second; correct it, or leave it empty if none was published
        line 11: `` is no value of `batch` in the sweep; correct or delete the row, or sweep over this value too
        ");
    }

    #[test]
    fn a_wrong_header_does_not_hide_the_faults_of_rows() {
        let texts = [
            "",
            "# only this",
            "batch\n4\n",
            "samples,gpu\n4,-1\n32\n",
            "batch,gpu\n",
            "batch,gpu\n128,1\n",
            "batch,gpu\n4,62",
            "b\u{1b},\u{1b}\n4,1\n",
        ];
        insta::assert_snapshot!(texts.map(|text| check(text.as_bytes())).join("\n--\n"), @r"
        line 1: there are no columns; begin with a column `batch`, and add one for each strategy: `gpu`, `gpu+dla`
        --
        line 2: there are no columns; begin with a column `batch`, and add one for each strategy: `gpu`, `gpu+dla`
        --
        line 1: columns of strategies are missing; begin with a column `batch`, and add one for each strategy: `gpu`, `gpu+dla`
        --
        line 1: the first column is `samples`, not the swept setting `batch`; begin with a column `batch`, and add one for each strategy: `gpu`, `gpu+dla`
        line 2: `-1` of `gpu` is no positive number of samples or queries a second; correct it, or leave it empty if none was published
        line 3: there are 1 values for 2 columns; add or remove values, and quote those that have commas
        --
        line 1: below this is nothing that the figure shows; add a row for each value of the setting, or show other results by --where
        --
        line 1: below this is nothing that the figure shows; add a row for each value of the setting, or show other results by --where
        --
        line 2: the last line has no end, so that something may be missing; compare it with the source, and end it with a line break
        --
        line 1: the first column is `b\u{1b}`, not the swept setting `batch`; begin with a column `batch`, and add one for each strategy: `gpu`, `gpu+dla`
        line 1: nothing in the figure is called `\u{1b}`; name `gpu`, `gpu+dla`
        ");
        insta::assert_snapshot!([&b"\xff,gpu\n4,1\n"[..], b"batch,gpu\n4,\xff\n16,-1\n"].map(check).join("\n--\n"), @"
        line 1: this is not UTF-8 text; save the file as UTF-8, or name another file
        --
        line 2: this is not UTF-8 text; save the file as UTF-8, or name another file
        line 3: `-1` of `gpu` is no positive number of samples or queries a second; correct it, or leave it empty if none was published
        ");
    }

    #[test]
    fn values_have_the_unit_of_the_sweep_and_lines_their_settings() {
        let rows: String =
            ["1 GB/s", "2 GB/s"].map(|rate| ["x", "y"].map(|mode| format!("{rate},{mode},a,1,1\n")).concat()).concat();
        let table = table(&format!("link.bandwidth,mode,strategy,makespan_ms,samples_per_s\n{rows}"));
        let read = |text: &str| read_published_csv(text.as_bytes(), &table, None);
        let point = PublishedPoint { series: "a, mode=y".into(), value: 2.0, throughput: 5.0 };
        assert_eq!(read("link.bandwidth,\"a, mode=y\"\n2 GB/s,5\n"), Ok(vec![point]));
        let Err(PublishedError::File(faults)) = read("link.bandwidth,a\n2,5\n") else { panic!("two faults") };
        let faults: Vec<String> = faults.iter().map(CsvMistake::to_string).collect();
        insta::assert_snapshot!(faults.join("\n"), @"
        line 1: nothing in the figure is called `a`; name `a, mode=x`, `a, mode=y`
        line 2: `2` is no value of `link.bandwidth` in the sweep; correct or delete the row, or sweep over this value too
        ");
    }

    #[test]
    fn without_a_sweep_the_file_is_not_read() {
        let table = table("strategy,makespan_ms,samples_per_s\na,1,1\n");
        let told = read_published_csv(b"x", &table, None).unwrap_err();
        assert!(told.to_string().starts_with("a sweep over a setting with numbers"), "{told}");
    }

    #[test]
    fn the_shipped_file_has_the_points_that_evidence_is_about() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        let rows = |path: &str| {
            let text = std::fs::read_to_string(root.join(path)).unwrap();
            let lines: Vec<String> = text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect();
            lines[1..].to_vec()
        };
        assert_eq!(rows("docs/ksc2022-published.csv"), rows("tests/data/ksc2022-figure.csv"));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes: Vec<u8>, lines in "[-#0-9a-z,.\"\n\r]{0,100}") {
            for header in ["", "# a\n", "batch,gpu\n"] {
                for body in [bytes.as_slice(), lines.as_bytes()] {
                    check(&[header.as_bytes(), body].concat());
                }
            }
        }
    }
}

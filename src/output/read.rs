//! Reads the CSV of a figure back, with all faults of a file at once.

use csv::StringRecord;

/// What is wrong at one place of a CSV file, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {cause}; {remedy}")]
pub struct CsvMistake {
    /// The line on which the record begins, from 1.
    pub line: u64,
    /// What is wrong.
    pub cause: String,
    /// What the user can do.
    pub remedy: String,
}

/// A line of a file that has the right columns. Values that cannot be read become faults and are `None`.
pub(crate) struct Line<'a> {
    number: u64,
    columns: &'a [&'static str],
    /// Where each of `columns` is in the record.
    places: &'a [usize],
    record: StringRecord,
    faults: &'a mut Vec<CsvMistake>,
}

/// The rows of a file with just these columns, in any order. Lines for which `row` gives `None` have none.
///
/// # Errors
/// The faults of all lines in the file's order, or only those of the header if that is wrong.
pub(crate) fn read_rows<T>(
    bytes: &[u8],
    columns: &[&'static str],
    mut row: impl FnMut(&mut Line<'_>) -> Option<T>,
) -> Result<Vec<T>, Vec<CsvMistake>> {
    let mut faults = Vec::new();
    let mut records = records(bytes);
    let header = records.next().transpose().map_err(|fault| vec![fault])?;
    let places = header_places(&header.unwrap_or_default().1, columns)?;
    let mut rows = Vec::new();
    for record in records {
        let (number, record) = match record {
            Ok(record) => record,
            Err(fault) => {
                faults.push(fault);
                continue;
            }
        };
        let count = record.len();
        let mut line = Line { number, columns, places: &places, record, faults: &mut faults };
        if count == columns.len() {
            rows.extend(row(&mut line));
        } else {
            line.faults.push(wrong_count(number, count, columns.len()));
        }
    }
    if faults.is_empty() { Ok(rows) } else { Err(faults) }
}

/// The records of a file with their lines, or that one is no text.
pub(crate) fn records(bytes: &[u8]) -> impl Iterator<Item = Result<(u64, StringRecord), CsvMistake>> {
    let reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(bytes);
    let mut lines = LineCounter { bytes, at: 0, line: 1 };
    reader.into_byte_records().map(move |record| {
        let record = record.expect("bytes in memory can be read, and records may differ in length");
        let number = lines.line_of_record(record.position().map_or(0, |position| position.byte() as usize));
        match StringRecord::from_byte_record(record) {
            Ok(record) => Ok((number, record)),
            Err(_) => Err(CsvMistake {
                line: number,
                cause: "this is not UTF-8 text".into(),
                remedy: "save the file as UTF-8, or name another file".into(),
            }),
        }
    })
}

/// That a line has `count` values and should have as many as there are columns.
pub(crate) fn wrong_count(line: u64, count: usize, columns: usize) -> CsvMistake {
    let cause = format!("there are {count} values for {columns} columns");
    CsvMistake { line, cause, remedy: "add or remove values, and quote those that have commas".into() }
}

/// Tells on which line a record begins. The reader's own count is one less after blank lines and `\r\n`.
struct LineCounter<'a> {
    bytes: &'a [u8],
    /// The line of the byte here is known.
    at: usize,
    line: u64,
}

impl LineCounter<'_> {
    /// The line of the first byte from `start` on that ends no line; `start` never decreases.
    fn line_of_record(&mut self, start: usize) -> u64 {
        let ends = self.bytes[start..].iter().take_while(|byte| matches!(byte, b'\r' | b'\n'));
        let start = start + ends.count();
        let passed = &self.bytes[self.at..start];
        self.line += passed.iter().filter(|&&byte| byte == b'\n').count() as u64;
        self.at = start;
        self.line
    }
}

/// Where each column is in `header`.
fn header_places(header: &StringRecord, columns: &[&str]) -> Result<Vec<usize>, Vec<CsvMistake>> {
    let place = |column: &&str| header.iter().position(|name| name == *column);
    let places: Vec<usize> = columns.iter().filter_map(place).collect();
    if places.len() == columns.len() && header.len() == columns.len() {
        return Ok(places);
    }
    let missing: Vec<&str> = columns.iter().copied().filter(|column| place(column).is_none()).collect();
    let is_extra = |(index, _): &(usize, &str)| !places.contains(index);
    let extra = header.iter().enumerate().filter(is_extra).take(EXTRA_MAX);
    let extra: Vec<String> = extra.map(|(_, name)| format!("`{}`", shown(name))).collect();
    let mut causes = Vec::new();
    if header.is_empty() {
        causes.push("the file is empty".to_owned());
    } else if !missing.is_empty() {
        causes.push(format!("columns are missing: {}", missing.join(", ")));
    }
    if !extra.is_empty() {
        causes.push(format!("columns are unknown or repeated: {}", extra.join(", ")));
    }
    Err(vec![CsvMistake {
        line: 1,
        cause: causes.join(", and "),
        remedy: format!("make the results again, or name these columns: {}", columns.join(",")),
    }])
}

/// Further wrong columns are not listed.
const EXTRA_MAX: usize = 8;

impl Line<'_> {
    /// The line's number in its file, from 1.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// The text in `column`, which may be empty.
    pub(crate) fn text(&self, column: &str) -> &str {
        let index = self.columns.iter().position(|name| *name == column);
        let index = index.expect("only columns of the file are asked for");
        &self.record[self.places[index]]
    }

    /// A whole number.
    pub(crate) fn count(&mut self, column: &str) -> Option<u32> {
        let value = self.text(column).parse().ok();
        self.or_fault(value, column, "a whole number from 0 to 4294967295")
    }

    /// A finite number that is not negative.
    pub(crate) fn quantity(&mut self, column: &str) -> Option<f64> {
        let value = self.text(column).parse().ok();
        let value = value.filter(|value: &f64| value.is_finite() && *value >= 0.0);
        self.or_fault(value, column, "a finite number from 0 on")
    }

    /// What `read` reads in `column`, or `Some(None)` if that is empty.
    pub(crate) fn unless_empty<T>(
        &mut self,
        column: &str,
        read: impl FnOnce(&mut Self, &str) -> Option<T>,
    ) -> Option<Option<T>> {
        match self.text(column) {
            "" => Some(None),
            _ => read(self, column).map(Some),
        }
    }

    /// Says that the line is wrong.
    pub(crate) fn fault(&mut self, cause: String, remedy: String) {
        self.faults.push(CsvMistake { line: self.number, cause, remedy });
    }

    pub(crate) fn or_fault<T>(&mut self, value: Option<T>, column: &str, expected: &str) -> Option<T> {
        if value.is_none() {
            let cause = match self.text(column) {
                "" => format!("`{column}` is empty, not {expected}"),
                text => format!("`{column}` is `{}`, not {expected}", shown(text)),
            };
            self.fault(cause, REMEDY.into());
        }
        value
    }
}

/// What to do about a value that is wrong.
pub(crate) const REMEDY: &str = "correct it or make the results again";

/// `text` as messages show it: on one line, and short.
pub(crate) fn shown(text: &str) -> String {
    let mut shown: String = text.chars().take(40).flat_map(char::escape_debug).collect();
    if text.chars().nth(40).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use serde::Deserialize;

    use super::super::record::read_csv;
    use super::super::{ResultsTable, read_finish_times_csv, read_latency_csv, read_timeline_csv};
    use crate::cost::Basis;

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "it is shown")]
    struct Row {
        name: String,
        count: u32,
        nanos: u64,
        quantity: Option<f64>,
        kind: Basis,
    }

    /// All faults of a file of such rows.
    fn check(bytes: &[u8]) -> String {
        match read_csv::<Row>(bytes) {
            Ok(rows) => format!("{rows:?}"),
            Err(faults) => faults.iter().map(|fault| format!("{fault}\n")).collect(),
        }
    }

    #[test]
    fn columns_may_be_in_any_order() {
        let text = "kind,count,quantity,name,nanos\r\nmeasured,2,,\"a,b\",3\r\n";
        assert_eq!(
            check(text.as_bytes()),
            "[Row { name: \"a,b\", count: 2, nanos: 3, quantity: None, kind: Measured }]"
        );
        assert_eq!(check(b"\xef\xbb\xbfname,count,nanos,quantity,kind"), "[]");
    }

    #[test]
    fn a_wrong_header_is_told_once() {
        let shown = [&b""[..], b"name,count,count,nanos,quantity,kin\n1,2"].map(check);
        insta::assert_snapshot!(shown.join("\n"), @"
        line 1: the file is empty; make the results again, or name these columns: name,count,nanos,quantity,kind

        line 1: columns are missing: kind, and columns are unknown or repeated: `count`, `kin`; make the results again, or name these columns: name,count,nanos,quantity,kind
        ");
    }

    #[test]
    fn every_fault_of_every_line_is_told() {
        let text = b"name,count,nanos,quantity,kind\na,-1,1.5,NaN,inf\n\n\"two\nlines\",1,2,,modelled\n\
            a,4294967296,18446744073709551616,-1,1e300\na,1,2\na,\x1b[1m,0x,1e999,\na,1,2,\xff,3\n\
            a,1,2,3,measured\na,99999999999999999999999999999999999999999999999999,2,3,measured\n";
        insta::assert_snapshot!(check(text), @r#"
        line 2: `count` is `-1`, not a whole number from 0 to 4294967295; correct it or make the results again
        line 2: `nanos` is `1.5`, not a whole number from 0 to 2^64 - 1; correct it or make the results again
        line 2: `quantity` is `NaN`, not a finite number from 0 on; correct it or make the results again
        line 2: `kind` is `inf`, not `measured`, `interpolated`, `extrapolated` or `modelled`; correct it or make the results again
        line 6: `count` is `4294967296`, not a whole number from 0 to 4294967295; correct it or make the results again
        line 6: `nanos` is `18446744073709551616`, not a whole number from 0 to 2^64 - 1; correct it or make the results again
        line 6: `quantity` is `-1`, not a finite number from 0 on; correct it or make the results again
        line 6: `kind` is `1e300`, not `measured`, `interpolated`, `extrapolated` or `modelled`; correct it or make the results again
        line 7: there are 3 values for 5 columns; add or remove values, and quote those that have commas
        line 8: `count` is `\u{1b}[1m`, not a whole number from 0 to 4294967295; correct it or make the results again
        line 8: `nanos` is `0x`, not a whole number from 0 to 2^64 - 1; correct it or make the results again
        line 8: `quantity` is `1e999`, not a finite number from 0 on; correct it or make the results again
        line 8: `kind` is empty, not `measured`, `interpolated`, `extrapolated` or `modelled`; correct it or make the results again
        line 9: this is not UTF-8 text; save the file as UTF-8, or name another file
        line 11: `count` is `9999999999999999999999999999999999999999…`, not a whole number from 0 to 4294967295; correct it or make the results again
        "#);
    }

    #[test]
    fn faults_have_the_right_line_whatever_ends_lines() {
        for start in ["", "\u{feff}", "\r\n\n"] {
            let text = format!("{start}name,count,nanos,quantity,kind\r\na,1,2,3,measured\r\n\na,x,2,3,measured\r\n");
            let expected = format!("line {}: ", 4 + start.matches('\n').count());
            assert!(check(text.as_bytes()).starts_with(&expected), "{}", check(text.as_bytes()));
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_a_reader_panic(bytes: Vec<u8>, lines in "[-0-9a-z,.\"\n\r]{0,200}") {
            for header in ["", "batch,strategy,samples_per_s,makespan_ms\n", "strategy,device,finish_ms\n", "latency_ms,count\n"] {
                for body in [bytes.as_slice(), lines.as_bytes()] {
                    let bytes = [header.as_bytes(), body].concat();
                    let _ = ResultsTable::read(&bytes);
                    let _ = read_latency_csv(&bytes);
                    let _ = read_finish_times_csv(&bytes);
                    let _ = read_timeline_csv(&bytes);
                }
            }
        }
    }
}

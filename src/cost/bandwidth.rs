//! Measured bandwidth of shared memories, in the project's own CSV form, with its provenance.

use std::collections::{BTreeMap, BTreeSet};

use super::read::{fault, read_header, read_kind, text_of};
use super::trace::Mistake;
use crate::platform::BandwidthTable;
use crate::units::BytesPerSec;

const MAGIC: &str = "# coinfer bandwidth 1";
const COLUMNS: [&str; 3] = ["alone_gb_s", "external_gb_s", "achieved_gb_s"];
/// More is a mistake.
const GIGABYTES_MAX: f64 = 1e6;
/// By how much a measurement may exceed what it is at most.
const NOISE: f64 = 0.05;
/// After so many faults, the rest is not listed.
const FAULTS_MAX: usize = 100;

/// A point of the grid, in bytes per second.
struct BandwidthRow {
    line: usize,
    alone: u64,
    external: u64,
    achieved: u64,
}

/// The table, or everything that is wrong with it in file order.
///
/// # Errors
/// What is not as `traces/README.md` says: the header, a value, a point that is missing from the grid or there twice.
pub fn parse_bandwidth(bytes: &[u8]) -> Result<BandwidthTable, Vec<Mistake>> {
    let text = text_of(bytes)?;
    let mut faults = Vec::new();
    let (header, table, first_line) = read_header(text, MAGIC, "a table of shared bandwidth", &mut faults);
    read_kind(&header, &mut faults);
    let is_whole = faults.len();
    let rows = read_rows(table, first_line, &mut faults);
    if faults.len() == is_whole {
        check_grid(&rows, first_line, &mut faults);
    }
    faults.sort_by_key(|fault| fault.line);
    if !faults.is_empty() {
        return Err(faults);
    }
    let side = |need: fn(&BandwidthRow) -> u64| rows.iter().map(need).collect::<BTreeSet<u64>>().into_iter().collect();
    let (own, others): (Vec<u64>, Vec<u64>) = (side(|row| row.alone), side(|row| row.external));
    let achieved: BTreeMap<(u64, u64), u64> =
        rows.iter().map(|row| ((row.alone, row.external), row.achieved)).collect();
    let rates = |needs: &[u64]| needs.iter().map(|&need| rate(need)).collect::<Vec<_>>();
    Ok(BandwidthTable::new(&rates(&own), &rates(&others), |row, column| rate(achieved[&(own[row], others[column])])))
}

fn rate(bytes: u64) -> BytesPerSec {
    BytesPerSec::new(bytes as f64).expect("a rate that was read is positive")
}

fn read_rows(table: &str, first_line: usize, faults: &mut Vec<Mistake>) -> Vec<BandwidthRow> {
    let mut lines = (first_line..).zip(table.lines()).filter(|(_, line)| !line.trim().is_empty());
    let (line, header) = lines.next().unwrap_or((first_line, ""));
    if header.split(',').map(str::trim).ne(COLUMNS) {
        let cause = "the table does not begin with its columns";
        faults.push(fault(line, cause, format!("write `{}`", COLUMNS.join(","))));
        return Vec::new();
    }
    let mut rows = Vec::new();
    for (line, text) in lines {
        if faults.len() >= FAULTS_MAX {
            faults.push(fault(line, "the file is read no further", "correct the lines above first"));
            break;
        }
        rows.extend(read_row(line, text, faults));
    }
    if rows.is_empty() && faults.is_empty() {
        faults.push(fault(line, "the table has no point", "add a row for each point of the grid"));
    }
    rows
}

fn read_row(line: usize, text: &str, faults: &mut Vec<Mistake>) -> Option<BandwidthRow> {
    let fields: Vec<&str> = text.split(',').map(str::trim).collect();
    let Ok(fields) = <[&str; 3]>::try_from(fields.as_slice()) else {
        let cause = format!("the row has {} fields where the table has {} columns", fields.len(), COLUMNS.len());
        faults.push(fault(line, cause, "give every column a value; the file may be cut off"));
        return None;
    };
    let mut rate = |index: usize| {
        let bytes = fields[index].parse::<f64>().ok().filter(|giga| (1e-9..=GIGABYTES_MAX).contains(giga));
        if bytes.is_none() {
            let cause = format!("`{}` is not a bandwidth for `{}`", fields[index], COLUMNS[index]);
            faults.push(fault(line, cause, "use GB/s, above 0 and at most 1000000"));
        }
        bytes.map(|giga| (giga * 1e9).round() as u64)
    };
    let [alone, external, achieved] = [0, 1, 2].map(&mut rate);
    let row = BandwidthRow { line, alone: alone?, external: external?, achieved: achieved? };
    if row.achieved as f64 > row.alone as f64 * (1.0 + NOISE) {
        let cause = format!("a device that gets {} alone would get {} beside others", fields[0], fields[2]);
        faults.push(fault(line, cause, "it gets no more, but for 5 % of noise; see whether columns are exchanged"));
        return None;
    }
    Some(row)
}

/// Finds points that are missing or there twice.
fn check_grid(rows: &[BandwidthRow], first_line: usize, faults: &mut Vec<Mistake>) {
    let mut seen: BTreeMap<(u64, u64), usize> = BTreeMap::new();
    for row in rows {
        if let Some(first) = seen.insert((row.alone, row.external), row.line) {
            let cause = format!("this is the same point as on line {first}");
            faults.push(fault(row.line, cause, "remove one of them"));
        }
    }
    let own: BTreeSet<u64> = rows.iter().map(|row| row.alone).collect();
    let others: BTreeSet<u64> = rows.iter().map(|row| row.external).collect();
    let points = own.iter().flat_map(|&own| others.iter().map(move |&other| (own, other)));
    let giga = |bytes: u64| bytes as f64 / 1e9;
    for (own, other) in points.filter(|point| !seen.contains_key(point)).take(FAULTS_MAX) {
        let line = rows.iter().rfind(|row| row.alone == own).map_or(first_line, |row| row.line);
        let cause = format!("the grid has no point of {} beside {}", giga(own), giga(other));
        faults.push(fault(line, cause, "add it; the file may be cut off"));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HEADER: &str = "# coinfer bandwidth 1\n# source: s\n# revision: r\n# hardware: h\n# software: w\n# date: d\n\
        # kind: measured\nalone_gb_s,external_gb_s,achieved_gb_s\n";

    fn check(text: &str, expected: &[&str]) {
        let found: Vec<String> = match parse_bandwidth(text.as_bytes()) {
            Ok(_) => vec![],
            Err(faults) => faults.iter().map(|f| format!("{}: {}; {}", f.line, f.cause, f.remedy)).collect(),
        };
        assert_eq!(found, expected);
    }

    #[test]
    fn points_may_come_in_any_order() {
        let ordered = parse_bandwidth(format!("{HEADER}10,20,10\n10,40,9\n30,20,24\n30,40,15\n").as_bytes()).unwrap();
        let mixed = format!("\u{feff}{HEADER}30,40, 15\r\n10,20,10.0\n\n3e1,20,24\n10,40,9").replace('\n', "\r\n");
        assert_eq!(parse_bandwidth(mixed.as_bytes()), Ok(ordered));
    }

    #[test]
    fn every_fault_of_a_table_is_listed() {
        check(
            &format!("{HEADER}10,20,NaN\n10,-40,9\n0,20,24\n30,40\n30,20,31.4\n30,20,31.6\n30,inf,1e7\n"),
            &[
                "9: `NaN` is not a bandwidth for `achieved_gb_s`; use GB/s, above 0 and at most 1000000",
                "10: `-40` is not a bandwidth for `external_gb_s`; use GB/s, above 0 and at most 1000000",
                "11: `0` is not a bandwidth for `alone_gb_s`; use GB/s, above 0 and at most 1000000",
                "12: the row has 2 fields where the table has 3 columns; give every column a value; the file may be cut off",
                "14: a device that gets 30 alone would get 31.6 beside others; it gets no more, but for 5 % of noise; see whether columns are exchanged",
                "15: `inf` is not a bandwidth for `external_gb_s`; use GB/s, above 0 and at most 1000000",
                "15: `1e7` is not a bandwidth for `achieved_gb_s`; use GB/s, above 0 and at most 1000000",
            ],
        );
    }

    #[test]
    fn points_that_are_missing_or_there_twice_are_named() {
        check(
            &format!("{HEADER}10,20,10\n10,40,9\n10,20,9\n30,20,24\n"),
            &[
                "11: this is the same point as on line 9; remove one of them",
                "12: the grid has no point of 30 beside 40; add it; the file may be cut off",
            ],
        );
    }

    #[test]
    fn what_is_no_table_is_refused() {
        check(HEADER, &["8: the table has no point; add a row for each point of the grid"]);
        let columns = HEADER.replace("alone_gb_s", "own");
        check(
            &columns,
            &["8: the table does not begin with its columns; write `alone_gb_s,external_gb_s,achieved_gb_s`"],
        );
        let faults = parse_bandwidth(b"# coinfer trace 1\n\xff").unwrap_err();
        assert_eq!((faults.len(), faults[0].line), (1, 2));
        let faults = parse_bandwidth(b"a,b\n").unwrap_err();
        assert_eq!(faults[0].cause, "the first line does not say that this is a table of shared bandwidth");
        assert!(faults.iter().any(|fault| fault.cause == "the header does not state `source`"));
    }

    proptest! {
        #[test]
        fn whatever_the_rows_there_are_faults_or_a_table(rows in "([0-9.e,#\n -]|.){0,60}") {
            if let Err(faults) = parse_bandwidth(format!("{HEADER}{rows}").as_bytes()) {
                prop_assert!(!faults.is_empty() && faults.is_sorted_by_key(|fault| fault.line));
            }
        }
    }

    #[test]
    fn a_table_with_very_many_faults_is_not_read_to_its_end() {
        let faults = parse_bandwidth(format!("{HEADER}{}", "x\n".repeat(1000)).as_bytes()).unwrap_err();
        assert_eq!((faults.len(), faults[100].cause.as_str()), (101, "the file is read no further"));
        let diagonal: String = (1..2000).map(|need| format!("{need},{need},{need}\n")).collect();
        assert_eq!(parse_bandwidth(format!("{HEADER}{diagonal}").as_bytes()).unwrap_err().len(), FAULTS_MAX);
    }
}

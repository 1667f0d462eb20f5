//! The files of recorded arrivals that a scenario names, each read once.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::InputFile;
use super::decode::shorten;
use super::diagnostic::{Faults, Sources};
use super::document::Node;
use super::file::{FileFault, Load, TEXT_BYTES_MAX};
use super::profiles::add_faults;
use crate::cost::Fault;
use crate::units::{Duration, Time};

/// All recorded arrivals of a scenario and of its sweep.
#[derive(Debug)]
pub(super) struct ArrivalFiles {
    /// The folder of the scenario, which files are named relative to.
    folder: PathBuf,
    /// By path; faulty ones are left out.
    loaded: BTreeMap<PathBuf, Arc<[Time]>>,
}

impl ArrivalFiles {
    /// Reads with `load` every file that one of `named` is the name of.
    pub(super) fn load(
        folder: &Path,
        named: &[&Node],
        load: Load<'_>,
        inputs: &mut Vec<InputFile>,
        sources: &mut Sources,
        faults: &mut Faults,
    ) -> ArrivalFiles {
        let (mut loaded, mut seen) = (BTreeMap::new(), BTreeSet::new());
        for node in named {
            let path = folder.join(node.as_str().unwrap_or_default());
            if !seen.insert(path.clone()) {
                continue;
            }
            let bytes = match load(&path, TEXT_BYTES_MAX) {
                Ok(bytes) => bytes,
                Err(FileFault { cause, remedy }) => {
                    faults.add(&node.at, cause, remedy);
                    continue;
                }
            };
            inputs.push(InputFile::new(&path, &bytes));
            match parse(&bytes) {
                Ok(times) => drop(loaded.insert(path, times.into())),
                Err(found) => {
                    add_faults(&path.to_string_lossy(), &String::from_utf8_lossy(&bytes), found, sources, faults);
                }
            }
        }
        ArrivalFiles { folder: folder.to_owned(), loaded }
    }

    /// The arrivals in the file called `name` in the scenario, in ascending order and at least one. `None` if it is
    /// faulty.
    pub(super) fn get(&self, name: &str) -> Option<&[Time]> {
        self.loaded.get(&self.folder.join(name)).map(|times| &**times)
    }
}

/// The columns that a file may have, and the unit of each in nanoseconds.
const COLUMNS: [(&str, f64); 4] = [("arrival_s", 1e9), ("arrival_ms", 1e6), ("arrival_us", 1e3), ("arrival_ns", 1.0)];

/// What a file begins with.
const HEADER: &str = "begin with `arrival_s`, `arrival_ms`, `arrival_us` or `arrival_ns`, and a time on each line";

/// Later arrivals are a mistake: 1000 days.
const NANOS_MAX: f64 = 8.64e16;

/// After so many faults, a file is read no further.
const FAULTS_MAX: usize = 1000;

/// The arrivals in ascending order, or what is wrong with the file, line by line.
fn parse(bytes: &[u8]) -> Result<Vec<Time>, Vec<Fault>> {
    let fault = |line: usize, cause: String, remedy: &str| Fault { line, cause, remedy: remedy.to_owned() };
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let line = 1 + bytes[..error.valid_up_to()].iter().filter(|&&byte| byte == b'\n').count();
        vec![fault(line, "the file is not valid UTF-8".to_owned(), "save it as UTF-8 text")]
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let rows = (1..).zip(text.lines().map(str::trim));
    let mut rows = rows.filter(|(_, row)| !row.is_empty() && !row.starts_with('#'));
    let Some((line, header)) = rows.next() else {
        return Err(vec![fault(1, "the file is empty".to_owned(), HEADER)]);
    };
    let Some(&(_, nanos)) = COLUMNS.iter().find(|(column, _)| *column == header) else {
        let cause = format!("`{}` is not the header of recorded arrivals", shorten(header));
        return Err(vec![fault(line, cause, HEADER)]);
    };
    let (mut times, mut faults) = (Vec::new(), Vec::new());
    for (line, row) in rows {
        if faults.len() == FAULTS_MAX {
            faults.push(fault(line, "the file is read no further".to_owned(), "correct the lines above first"));
            break;
        }
        let time = row.parse::<f64>().ok().map(|time| time * nanos).filter(|time| (0.0..=NANOS_MAX).contains(time));
        let Some(time) = time.map(|time| Time::ZERO + Duration::from_nanos_f64(time)) else {
            let cause = format!("`{}` is not a time since the start", shorten(row));
            faults.push(fault(line, cause, "use a number, from 0 for the start to 1000 days later"));
            continue;
        };
        if times.last().is_some_and(|&before| time < before) {
            faults.push(fault(line, "this arrival comes before the one above it".to_owned(), "sort the times"));
        }
        times.push(time);
    }
    if faults.is_empty() && times.is_empty() {
        faults.push(fault(line, "no arrival is recorded".to_owned(), "add a time below the header"));
    }
    if faults.is_empty() { Ok(times) } else { Err(faults) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Vec<u64> {
        parse(text.as_bytes()).unwrap().into_iter().map(Time::as_nanos).collect()
    }

    #[test]
    fn the_header_says_the_unit_and_comments_and_empty_lines_say_nothing() {
        assert_eq!(
            read("\u{feff}# from a log\r\narrival_s\r\n0\r\n\r\n 1.5 \r\n# a pause\r\n2e3"),
            [0, 1_500_000_000, 2_000_000_000_000]
        );
        assert_eq!(read("arrival_ms\n1.5"), [1_500_000]);
        assert_eq!(read("arrival_us\n1.5"), [1500]);
        assert_eq!(read("arrival_ns\n1.5\n2"), [2, 2]);
    }

    #[test]
    fn a_file_with_very_many_faults_is_not_read_to_its_end() {
        let faults = parse(format!("arrival_s\n{}", "x\n".repeat(100_000)).as_bytes()).unwrap_err();
        assert_eq!(
            (faults.len(), faults[1000].line, faults[1000].cause.as_str()),
            (1001, 1002, "the file is read no further")
        );
    }

    proptest! {
        #[test]
        fn whatever_the_bytes_there_are_faults_or_times_in_order(rows in "(arrival_m?s\n)?([0-9.e#\n -]|.){0,60}") {
            match parse(rows.as_bytes()) {
                Ok(times) => prop_assert!(!times.is_empty() && times.is_sorted()),
                Err(faults) => prop_assert!(!faults.is_empty()),
            }
        }
    }
}

//! Files of recorded arrivals.

use super::decode::shorten;
use crate::cost::Fault;
use crate::units::{Duration, Time};

/// The columns that a file may have, and the unit of each in nanoseconds.
const COLUMNS: [(&str, f64); 4] = [("arrival_s", 1e9), ("arrival_ms", 1e6), ("arrival_us", 1e3), ("arrival_ns", 1.0)];

/// What a file begins with.
const HEADER: &str = "begin with `arrival_s`, `arrival_ms`, `arrival_us` or `arrival_ns`, and a time on each line";

/// Later arrivals are a mistake: 1000 days.
const NANOS_MAX: f64 = 8.64e16;

/// After so many faults, a file is read no further.
const FAULTS_MAX: usize = 1000;

/// The arrivals in ascending order and at least one, or what is wrong with the file, line by line.
pub(super) fn parse(bytes: &[u8]) -> Result<Vec<Time>, Vec<Fault>> {
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

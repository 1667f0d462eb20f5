//! When each device is done under each strategy, as tidy rows.

use super::read::{CsvFault, Line, read_rows};
use super::rows::{csv_bytes, text};
use crate::metrics::Outcome;
use crate::units::Duration;

/// When one device ended its last step under one strategy.
#[derive(Clone, Debug, PartialEq)]
pub struct FinishRow {
    /// The strategy's name.
    pub strategy: String,
    /// The device's name.
    pub device: String,
    /// Time from the first start; `None` if the device ran nothing.
    pub finish: Option<Duration>,
}

/// The rows of `outcomes`, in their order and that of the devices.
pub fn finish_rows(outcomes: &[Outcome]) -> Vec<FinishRow> {
    let rows = outcomes.iter().flat_map(|outcome| {
        outcome.finish.iter().map(|(device, finish)| FinishRow {
            strategy: outcome.strategy.clone(),
            device: device.clone(),
            finish: *finish,
        })
    });
    rows.collect()
}

/// The rows as CSV.
pub fn finish_times_csv(rows: &[FinishRow]) -> Vec<u8> {
    let line = |row: &FinishRow| {
        let finish = text(row.finish.map(Duration::as_millis_f64));
        vec![row.strategy.clone(), row.device.clone(), finish]
    };
    csv_bytes(COLUMNS, rows.iter().map(line))
}

/// The rows of a file that [`finish_times_csv`] wrote.
///
/// # Errors
/// All faults of the file, in its order.
pub fn read_finish_times_csv(bytes: &[u8]) -> Result<Vec<FinishRow>, Vec<CsvFault>> {
    read_rows(bytes, &COLUMNS, |line| {
        Some(FinishRow {
            finish: line.unless_empty("finish_ms", Line::millis)?,
            strategy: line.text("strategy").to_owned(),
            device: line.text("device").to_owned(),
        })
    })
}

const COLUMNS: [&str; 3] = ["strategy", "device", "finish_ms"];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::metrics::example;

    #[test]
    fn the_csv_has_the_rows_of_the_figure() {
        let rows = finish_rows(&example::summary(&["single", "greedy"]).outcomes);
        insta::assert_snapshot!(String::from_utf8(finish_times_csv(&rows)).unwrap(), @"
        strategy,device,finish_ms
        single,cpu,18
        single,igpu,
        single,gpu,4
        greedy,cpu,15
        greedy,igpu,
        greedy,gpu,5
        ");
    }

    proptest! {
        /// Milliseconds as floats have all nanoseconds of 13 days.
        #[test]
        fn rows_that_are_written_read_back(cells: Vec<(String, String, Option<u64>)>) {
            let row = |(strategy, device, finish): (String, String, Option<u64>)| FinishRow {
                strategy,
                device,
                finish: finish.map(|nanos| Duration::from_nanos(nanos >> 14)),
            };
            let rows: Vec<_> = cells.into_iter().map(row).collect();
            prop_assert_eq!(read_finish_times_csv(&finish_times_csv(&rows)), Ok(rows));
        }
    }
}

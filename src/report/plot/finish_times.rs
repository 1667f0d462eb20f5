//! When each device is done under each strategy: the balance of a plan at a glance.

use std::collections::BTreeMap;

use super::axis::Axis;
use super::bars::{Bar, Chart, Group, Piece, bars_svg};
use super::canvas::Width;
use super::read::{CsvFault, Line, read_rows};
use super::{is_drawable, series};
use crate::report::Outcome;
use crate::report::rows::{csv_bytes, text};
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

/// The figure: a group of bars a strategy, a bar a device.
pub fn finish_times_svg(title: &str, rows: &[FinishRow], width: Width) -> String {
    let strategies = series(rows.iter().map(|row| row.strategy.as_str()));
    let devices = series(rows.iter().map(|row| row.device.as_str()));
    let millis = |row: &FinishRow| row.finish.map(Duration::as_millis_f64).filter(|&value| is_drawable(value));
    let cells: BTreeMap<(&str, &str), &FinishRow> =
        rows.iter().map(|row| ((&*row.strategy, &*row.device), row)).collect();
    let bar = |strategy: &str, paint: usize| {
        let value = cells.get(&(strategy, devices[paint])).and_then(|row| millis(row));
        Bar { pieces: value.map(|length| Piece { length, paint }).into_iter().collect(), ..Bar::default() }
    };
    let groups = strategies.iter().map(|strategy| Group {
        name: (*strategy).to_owned(),
        bars: (0..devices.len()).map(|device| bar(strategy, device)).collect(),
    });
    let chart = Chart {
        title,
        axis: Axis::new(rows.iter().filter_map(millis).fold(0.0, f64::max), 5),
        axis_title: "finish time (ms)",
        paint: &|canvas, frame, device| canvas.device_box(frame, device),
        paints: devices.iter().map(|name| (*name).to_owned()).collect(),
        mark: None,
    };
    bars_svg(&chart, &groups.collect::<Vec<_>>(), width)
}

const COLUMNS: [&str; 3] = ["strategy", "device", "finish_ms"];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::report::example;

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

    #[test]
    fn any_number_of_devices_and_strategies_is_drawn() {
        for (strategies, devices) in [(0, 0), (1, 1), (7, 3), (2, 20), (60, 40)] {
            let row = |index: usize| FinishRow {
                strategy: format!("strategy {}", index % strategies),
                device: format!("device {}", index / strategies),
                finish: (!index.is_multiple_of(5)).then(|| Duration::from_nanos((index as u64) << (index % 64))),
            };
            let rows: Vec<_> = (0..strategies * devices).map(row).collect();
            assert!(finish_times_svg("t", &rows, Width::Column).ends_with("</svg>\n"), "{strategies} x {devices}");
        }
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

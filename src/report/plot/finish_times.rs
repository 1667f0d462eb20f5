//! When each device is done under each strategy: the balance of a plan at a glance.

use std::collections::BTreeMap;

use super::axis::{Axis, Side};
use super::canvas::{Anchor, Canvas, Frame, GREY, INK, LINE, Pixel, TEXT, draw, text_width, widest};
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
pub fn finish_times_svg(title: &str, rows: &[FinishRow]) -> String {
    let strategies = series(rows.iter().map(|row| row.strategy.as_str()));
    let devices = series(rows.iter().map(|row| row.device.as_str()));
    let bar = (72 / devices.len().max(1) as i32).clamp(8, 24);
    let group = (bar * devices.len() as i32 + 24).max(108);
    let names_width = widest(devices.iter().copied()).min(260);
    let frame = Frame {
        left: 90,
        top: 48,
        right: 90 + (group * strategies.len() as i32).max(360),
        bottom: 408.max(48 + LINE * devices.len() as i32),
    };
    let legend = frame.right + 24;
    let width = legend + 110.max(names_width + 46);
    draw((width, frame.bottom + 96), |canvas| {
        canvas.title(title, width);
        let millis = |row: &FinishRow| row.finish.map(Duration::as_millis_f64).filter(|&value| is_drawable(value));
        let cells: BTreeMap<(&str, &str), &FinishRow> =
            rows.iter().map(|row| ((&*row.strategy, &*row.device), row)).collect();
        let axis = Axis::new(rows.iter().filter_map(millis).fold(0.0, f64::max), 6);
        axis.draw(canvas, frame, Side::Left, "finish time (ms)");
        let group = frame.width() / strategies.len().max(1) as i32;
        for (index, strategy) in strategies.iter().enumerate() {
            let middle = frame.left + group * index as i32 + group / 2;
            let mut left = middle - bar * devices.len() as i32 / 2;
            for (device, name) in devices.iter().enumerate() {
                if let Some(value) = cells.get(&(*strategy, *name)).and_then(|row| millis(row)) {
                    let column = Frame {
                        left: left + 1,
                        top: frame.y(axis.at(value)).min(frame.bottom - 1),
                        right: left + bar - 1,
                        bottom: frame.bottom,
                    };
                    canvas.device_box(column, device);
                    canvas.outline(column, INK);
                }
                left += bar;
            }
            draw_name(canvas, strategy, (middle, frame.bottom + 16), group - 8);
        }
        canvas.line((frame.left, frame.bottom), (frame.right, frame.bottom), GREY, 1);
        for (index, device) in devices.iter().enumerate() {
            let top = frame.top + LINE * index as i32;
            let sample = Frame { left: legend, top: top + 3, right: legend + 28, bottom: top + 17 };
            canvas.device_box(sample, index);
            canvas.outline(sample, INK);
            canvas.text(device, (legend + 36, top + 10), Anchor::Left, TEXT, INK, width - legend - 40);
        }
        if rows.is_empty() {
            canvas.no_data(frame);
        }
    })
}

const COLUMNS: [&str; 3] = ["strategy", "device", "finish_ms"];

/// Writes `name` on up to four lines, broken where words end.
fn draw_name(canvas: &mut Canvas<'_>, name: &str, (x, mut y): Pixel, room: i32) {
    let mut lines: Vec<String> = Vec::new();
    for word in name.split_inclusive([' ', '_', '-', '/']) {
        let is_full = lines.len() == NAME_LINES_MAX;
        match lines.last_mut() {
            Some(line) if is_full || fits(line, word, room) => line.push_str(word),
            _ => lines.push(word.to_owned()),
        }
    }
    for line in &lines {
        canvas.text(line.trim(), (x, y), Anchor::Center, TEXT, INK, room);
        y += 16;
    }
}

const NAME_LINES_MAX: usize = 4;

/// Whether `word` fits at the end of `line`.
fn fits(line: &str, word: &str, room: i32) -> bool {
    text_width(line, TEXT) + text_width(word.trim_end(), TEXT) <= room
}

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
            assert!(finish_times_svg("t", &rows).ends_with("</svg>\n"), "{strategies} x {devices}");
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

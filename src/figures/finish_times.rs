//! When each device is done under each strategy: the balance of a plan at a glance.

use std::collections::BTreeMap;

use super::axis::Axis;
use super::bars::{Bar, BarGroup, BarPiece, Chart, bars_svg};
use super::canvas::Width;
use super::{is_drawable, series};
use crate::output::FinishRow;

/// The figure: a group of bars a strategy, a bar a device.
pub fn finish_times_svg(title: &str, rows: &[FinishRow], width: Width) -> String {
    let strategies = series(rows.iter().map(|row| row.strategy.as_str()));
    let devices = series(rows.iter().map(|row| row.device.as_str()));
    let millis = |row: &FinishRow| row.finish_ms.filter(|&value| is_drawable(value));
    let cells: BTreeMap<(&str, &str), &FinishRow> =
        rows.iter().map(|row| ((&*row.strategy, &*row.device), row)).collect();
    let bar = |strategy: &str, paint: usize| {
        let value = cells.get(&(strategy, devices[paint])).and_then(|row| millis(row));
        Bar { pieces: value.map(|length| BarPiece { length, paint }).into_iter().collect(), ..Bar::default() }
    };
    let groups = strategies.iter().map(|strategy| BarGroup {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_number_of_devices_and_strategies_is_drawn() {
        for (strategies, devices) in [(0, 0), (1, 1), (7, 3), (2, 20), (60, 40)] {
            let row = |index: usize| FinishRow {
                strategy: format!("strategy {}", index % strategies),
                device: format!("device {}", index / strategies),
                finish_ms: (!index.is_multiple_of(5)).then(|| ((index as u64) << (index % 64)) as f64 / 1e6),
            };
            let rows: Vec<_> = (0..strategies * devices).map(row).collect();
            assert!(finish_times_svg("t", &rows, Width::Column).ends_with("</svg>\n"), "{strategies} x {devices}");
        }
    }
}

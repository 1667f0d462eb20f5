//! Figures as SVG, each drawn from tidy rows whose CSV can lie beside it.
//!
//! Colours are those of Okabe and Ito (2008), which the colour-blind can tell apart; shapes, dashes and hatching
//! tell the same in black and white. Values that are not finite, or not positive, are left out, and so
//! are strategies and devices after the first hundred.

mod axis;
mod canvas;
mod finish_times;
mod predicted;
mod predicted_rows;
mod read;
mod throughput;
mod throughput_rows;
mod timeline;
mod timeline_rows;

pub use finish_times::{FinishRow, finish_rows, finish_times_csv, finish_times_svg, read_finish_times_csv};
pub use predicted::predicted_svg;
pub(super) use predicted_rows::scheme_name;
pub use predicted_rows::{PredictedRow, predicted_csv, predicted_rows, read_predicted_csv};
pub use read::CsvFault;
pub use throughput::throughput_svg;
pub use throughput_rows::{ThroughputRow, read_throughput_csv, throughput_csv, throughput_rows};
pub use timeline::timeline_svg;
pub use timeline_rows::{TimelineRow, read_timeline_csv, timeline_rows};

use super::rows::distinct;

/// The strategies or devices that a figure shows, in the order of first appearance.
fn series<'a>(names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut series = distinct(names);
    series.truncate(SERIES_MAX);
    series
}

/// Further strategies and devices are not drawn; the figure could not be read.
const SERIES_MAX: usize = 100;

/// Whether a figure can show `value`: positive, and of a size that axes can label.
fn is_drawable(value: f64) -> bool {
    (1e-9..1e15).contains(&value)
}

//! Figures as SVG, drawn from the files of a results folder, for a column or a page.
//!
//! Colours are those of Okabe and Ito (2008), which the colour-blind can tell apart, and of cividis (Nuñez, Anderton
//! and Renslow 2018); shapes, dashes and hatching tell the same in black and white. Values that are not finite, or not
//! positive, are left out, and so are strategies and devices after the first hundred.

mod accuracy;
mod accuracy_rows;
mod axis;
mod bars;
mod breakdown;
mod canvas;
mod cdf;
mod effect_rows;
mod finish_times;
mod front;
mod gain;
mod heatmap;
mod latency_rows;
mod legend;
mod lines;
pub(super) mod metric;
mod pareto;
mod predicted_rows;
mod preset;
mod published;
mod read;
mod results_table;
mod search;
mod speedup;
mod strokes;
pub(super) mod style;
pub(super) mod swept;
mod timeline;
mod timeline_rows;
mod tornado;

pub use accuracy::accuracy_svg;
pub use accuracy_rows::{Accuracy, AccuracyRow, calibration_accuracy, read_replay_json};
pub use canvas::Width;
pub use effect_rows::read_sensitivity_csv;
pub use finish_times::{FinishRow, finish_rows, finish_times_csv, finish_times_svg, read_finish_times_csv};
pub use latency_rows::{LatencyRow, read_latency_csv};
pub(super) use predicted_rows::scheme_name;
pub use predicted_rows::{PredictedRow, predicted_csv, predicted_rows, read_predicted_csv};
pub use preset::{Figure, Look, Material, Preset, StrategyMaterial, figures, throughput_figure, tornados};
pub use published::{PublishedError, PublishedPoint, read_published_csv};
pub use read::CsvFault;
pub use results_table::{ResultLine, ResultsTable, alternatives};
pub use timeline::timeline_svg;
pub use timeline_rows::{TimelineRow, read_timeline_csv, timeline_rows};
pub use tornado::tornado_svg;

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

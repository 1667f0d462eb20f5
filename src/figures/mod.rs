//! Figures as SVG, drawn from the files of a results folder, for a column or a page; and such a folder as one HTML page.
//!
//! Colours are those of Okabe and Ito (2008), which the colour-blind can tell apart, and of cividis (Nuñez, Anderton
//! and Renslow 2018); shapes, dashes and hatching tell the same in black and white. Values that are not finite, or not
//! positive, are left out, and so are strategies and devices after the first hundred.

mod accuracy;
mod axis;
mod bars;
mod breakdown;
mod canvas;
mod cdf;
mod finish_times;
mod front;
mod gain;
mod heatmap;
pub mod html;
mod legend;
mod lines;
mod metric;
mod pareto;
mod preset;
mod published;
mod search;
mod speedup;
mod strokes;
mod style;
mod swept;
mod timeline;
mod tornado;

pub use accuracy::accuracy_svg;
pub use canvas::Width;
pub use finish_times::finish_times_svg;
pub use preset::{Figure, Look, Material, Preset, StrategyMaterial, figures, throughput_figure, tornados};
pub use published::{PublishedError, PublishedPoint, read_published_csv};
pub use timeline::timeline_svg;
pub use tornado::tornado_svg;

use crate::output::distinct;

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

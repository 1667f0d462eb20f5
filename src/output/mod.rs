//! What is said of metrics: tables for a terminal of 80 columns, CSV and JSON, and the folder that has them.
//!
//! Everything here is a pure function from data to text or back, except [`Folder`], which puts files into place. Equal
//! arguments give equal bytes.

mod accuracy_rows;
mod calibration;
mod calibration_table;
mod effect_rows;
mod files;
mod finish_rows;
mod folder;
pub(crate) mod grid;
mod latency_rows;
mod layers;
mod links;
mod manifest;
mod models;
mod predicted_rows;
pub(crate) mod read;
mod readings;
mod replay_files;
mod replay_sweep;
pub(crate) mod results_table;
pub(crate) mod rows;
pub(crate) mod sensitivity;
mod service_table;
pub(crate) mod summary;
mod sweep;
mod table;
mod timeline_rows;
mod unfinished;

pub use accuracy_rows::{Accuracy, AccuracyRow, calibration_accuracy, read_replay_json};
pub use calibration::{Calibration, calibration_json, errors_csv};
pub use calibration_table::calibration_table;
pub use effect_rows::read_sensitivity_csv;
pub use files::{latency_csv, plan_json, queries_csv, timeline_csv, timeline_json};
pub use finish_rows::{FinishRow, finish_rows, finish_times_csv, read_finish_times_csv};
pub use folder::{Folder, FolderError, slugs};
pub(crate) use latency_rows::percentile;
pub use latency_rows::{LatencyRow, read_latency_csv};
pub use layers::{layers_csv, layers_json, layers_table};
pub use links::{LINK_MAGIC, LinkFigures, LinkReading, link_figures, links_csv};
pub use manifest::{Input, Manifest, manifest_json};
pub use models::{CountedModel, models_csv, models_json, models_table};
pub use predicted_rows::{PredictedRow, predicted_csv, predicted_rows, read_predicted_csv};
pub use read::CsvFault;
pub use readings::readings_text;
pub use replay_files::{both_rows, replay_csv, replay_json, replay_table, replayed_summary_json};
pub use replay_sweep::{ReplaySummary, ReplayedPoint, replay_sweep_csv, replay_sweep_json, replay_sweep_table};
pub use results_table::{ResultLine, ResultsTable, alternatives};
pub use rows::{ResultColumns, ResultRow, results_csv};
pub use sensitivity::{Effect, Gauge, Sensitivity, sensitivity_csv, sensitivity_json, sensitivity_table};
pub use summary::summary_json;
pub use sweep::{ForEachRow, SweepTable, write_sweep_json};
pub use table::table;
pub use timeline_rows::{TimelineRow, read_timeline_csv, timeline_rows};
pub use unfinished::unfinished_csv;

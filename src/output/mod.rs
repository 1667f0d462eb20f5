//! What is said of metrics: tables for a terminal of 80 columns, CSV and JSON, and the folder that has them.
//!
//! Everything here is a pure function from data to text or back, except [`Folder`], which puts files into place. Equal
//! arguments give equal bytes.

mod accuracy_rows;
mod calibration;
mod calibration_table;
mod encode;
mod files;
mod folder;
pub(crate) mod grid;
mod layers;
mod links;
mod manifest;
mod models;
mod plain;
pub(crate) mod read;
mod readings;
mod record;
mod replay_files;
mod replay_sweep;
mod results;
pub(crate) mod results_table;
pub(crate) mod sensitivity;
mod service_table;
mod steps;
mod sweep;
mod table;

pub use accuracy_rows::{Accuracy, AccuracyRow, calibration_accuracy, read_replay_json};
pub use calibration::{Calibration, calibration_json, errors_csv};
pub use calibration_table::calibration_table;
pub(crate) use encode::{distinct, json_text};
pub use files::{plan_json, timeline_json};
pub use folder::{Folder, FolderError, slugs};
pub use layers::{layers_csv, layers_json, layers_table};
pub use links::{LINK_MAGIC, LinkFigures, LinkReading, link_figures, links_csv};
pub use manifest::{Input, Manifest, manifest_json};
pub use models::{CountedModel, models_csv, models_json, models_table};
pub(crate) use plain::percentile;
pub use plain::{FinishRow, LatencyRow, PredictedRow, finish_rows, finish_times_csv, latency_csv, predicted_csv};
pub use plain::{predicted_rows, queries_csv, read_finish_times_csv, read_latency_csv, read_predicted_csv};
pub use read::CsvMistake;
pub use readings::readings_text;
pub(crate) use record::paths_csv;
pub use replay_files::{replay_json, replay_table, replayed_summary_json};
pub use replay_sweep::{ReplaySummary, ReplayedPoint, replay_sweep_csv, replay_sweep_json, replay_sweep_table};
pub(crate) use results::{COLUMNS, ResultColumn};
pub use results::{ResultColumns, ResultRow, results_csv, summary_json};
pub use results_table::{ResultLine, ResultsTable, alternatives};
pub use sensitivity::{Effect, Gauge, Sensitivity, read_sensitivity_csv};
pub use sensitivity::{sensitivity_csv, sensitivity_json, sensitivity_table};
pub use steps::{TimelineRow, both_rows, read_timeline_csv, replay_csv, timeline_csv, timeline_rows, unfinished_csv};
pub use sweep::{ForEachRow, SweepTable, write_sweep_json};
pub use table::table;

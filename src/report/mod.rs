//! What a run has to say: metrics of timelines, tables, files and figures.
//!
//! Everything here is a pure function from data to text, except [`Folder`], which puts files into place.
//! Equal arguments give equal bytes.

mod boards;
mod calibration;
mod calibration_table;
mod compared;
#[cfg(test)]
mod example;
mod files;
mod folder;
mod grid;
pub mod html;
mod layers;
mod links;
mod manifest;
mod models;
mod outcome;
pub mod plot;
mod readings;
mod replay;
mod replay_files;
mod replay_sweep;
mod replication;
mod rows;
mod sensitivity;
mod service;
mod service_table;
mod summary;
mod sweep;
mod table;
pub mod theory;
mod warm_up;

pub use boards::{Board, Lost, unfinished_csv};
pub use calibration::{Calibration, calibration_json, errors_csv};
pub use calibration_table::calibration_table;
pub use compared::{Compared, compared_with_best};
pub use files::{latency_csv, plan_json, queries_csv, timeline_csv, timeline_json};
pub use folder::{Folder, FolderError, slugs};
pub use layers::{layers_csv, layers_json, layers_table};
pub use links::{LINK_MAGIC, LinkFigures, LinkReading, link_figures, links_csv};
pub use manifest::{Input, Manifest, manifest_json};
pub use models::{CountedModel, models_csv, models_json, models_table};
pub use outcome::{Failure, OUTCOME_REVISION, Outcome};
pub use readings::readings_text;
pub use replay::{Comparison, Replay, Replayed};
pub use replay_files::{both_rows, replay_csv, replay_json, replay_table, replayed_summary_json};
pub use replay_sweep::{ReplaySummary, ReplayedPoint, replay_sweep_csv, replay_sweep_json, replay_sweep_table};
pub use replication::{QueryFigures, Replication, WarmUpEnd};
pub use rows::{ResultColumns, ResultRow, results_csv};
pub use sensitivity::{Effect, Gauge, Sensitivity, sensitivity_csv, sensitivity_json, sensitivity_table};
pub use service::{Chance, Percentiles, Service};
pub use summary::{Summary, summary_json};
pub use sweep::{ForEachRow, SweepTable, write_sweep_json};
pub use table::table;
pub use warm_up::CommonWarmUp;

//! Predictions beside measurements, from a replay or from a calibration.

use serde::Deserialize;

use super::predicted_rows::PredictedRow;
use crate::cost::Scheme;

/// A measured time and its prediction.
#[derive(Clone, Debug, PartialEq)]
pub struct AccuracyRow {
    /// The strategy or device.
    pub series: String,
    /// Milliseconds; of several rounds, the median.
    pub measured_ms: f64,
    /// Milliseconds.
    pub predicted_ms: f64,
    /// The shortest and the longest of several rounds.
    pub measured_range_ms: Option<(f64, f64)>,
    /// Whether it is a batch beyond those from which it was predicted.
    pub is_beyond: bool,
}

/// The rows of a calibration that compare within a network; others are not of the model's making.
pub fn calibration_accuracy(rows: &[PredictedRow]) -> Vec<AccuracyRow> {
    let shown = rows.iter().filter(|row| row.scheme != Scheme::Transferred);
    let row = |row: &PredictedRow| {
        Some(AccuracyRow {
            series: row.device.clone(),
            measured_ms: row.measured_ms,
            predicted_ms: row.predicted_ms?,
            measured_range_ms: None,
            is_beyond: row.scheme != Scheme::Inside,
        })
    };
    shown.filter_map(row).collect()
}

/// The rows of `replay.json`, of one replay or of those at the points of a sweep: makespans of strategies, predicted
/// for the speed of the devices just before each round.
///
/// # Errors
/// What is wrong with the file.
pub fn read_replay_json(bytes: &[u8]) -> Result<Vec<AccuracyRow>, serde_json::Error> {
    let file: File = serde_json::from_slice(bytes)?;
    let of_points = file.points.into_iter().flat_map(|point| point.replay.comparisons);
    let row = |comparison: Comparison| AccuracyRow {
        series: comparison.strategy,
        measured_ms: comparison.measured_ms,
        predicted_ms: comparison.recalibrated_ms,
        measured_range_ms: Some((comparison.measured_ms_min, comparison.measured_ms_max)),
        is_beyond: false,
    };
    Ok(file.comparisons.into_iter().chain(of_points).map(row).collect())
}

/// What is needed of `replay.json`.
#[derive(Deserialize)]
struct File {
    #[serde(default)]
    comparisons: Vec<Comparison>,
    #[serde(default)]
    points: Vec<Point>,
}

#[derive(Deserialize)]
struct Point {
    replay: Replay,
}

#[derive(Deserialize)]
struct Replay {
    comparisons: Vec<Comparison>,
}

#[derive(Deserialize)]
struct Comparison {
    strategy: String,
    recalibrated_ms: f64,
    measured_ms: f64,
    measured_ms_min: f64,
    measured_ms_max: f64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{Comparison, ReplayedPoint, example, replay_json, replay_sweep_json};

    #[test]
    fn replays_of_a_run_and_of_a_sweep_read_back() {
        let comparison = Comparison {
            strategy: "greedy".into(),
            same_plan_as: None,
            predicted_ms: 8.0,
            recalibrated_ms: 9.5,
            measured_ms: 9.0,
            measured_ms_min: 8.0,
            measured_ms_max: 10.0,
            rounds: 2,
            error: 0.055,
            error_as_profiled: -0.111,
            steps: None,
            isolation: 1.0,
            difference: None,
        };
        let mut replay = example::replay();
        replay.comparisons.push(comparison);
        let row = AccuracyRow {
            series: "greedy".into(),
            measured_ms: 9.0,
            predicted_ms: 9.5,
            measured_range_ms: Some((8.0, 10.0)),
            is_beyond: false,
        };
        assert_eq!(read_replay_json(replay_json(&replay).as_bytes()).unwrap(), std::slice::from_ref(&row));
        let point = ReplayedPoint { settings: vec![], replay };
        let sweep = replay_sweep_json(&[point.clone(), point]);
        assert_eq!(read_replay_json(sweep.as_bytes()).unwrap(), [row.clone(), row]);
        assert!(read_replay_json(b"{\"comparisons\": 1}").is_err());
    }
}

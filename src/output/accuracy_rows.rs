//! Predictions beside measurements, from a replay or from a calibration.

use serde::Deserialize;

use super::{PredictedRow, ReplayedPoint};
use crate::cost::Scheme;
use crate::metrics::{Comparison, Replay, Verdict};

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

/// Predictions beside measurements, and what to think of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Accuracy {
    /// A row a prediction.
    pub rows: Vec<AccuracyRow>,
    /// What a replay concludes; empty of a calibration.
    pub verdict: String,
    /// Whether a replay ran on no hardware, so that nothing was measured.
    pub is_mock: bool,
}

/// The rows of a calibration that compare within a network; others are not of the model's making.
pub fn calibration_accuracy(rows: &[PredictedRow]) -> Accuracy {
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
    Accuracy { rows: shown.filter_map(row).collect(), ..Accuracy::default() }
}

/// What `replay.json` says, of one replay or of those at the points of a sweep: makespans of strategies, predicted
/// for the speed of the devices just before each round.
///
/// # Errors
/// What is wrong with the file.
pub fn read_replay_json(bytes: &[u8]) -> Result<Accuracy, serde_json::Error> {
    let file: ReplayFile = serde_json::from_slice(bytes)?;
    let replays: Vec<Replay> = match file.points {
        Some(points) => points.into_iter().map(|point| point.replay).collect(),
        None => vec![serde_json::from_slice(bytes)?],
    };
    let verdict = match replays.as_slice() {
        [replay] => replay.sentence(),
        replays => {
            let valid = replays.iter().filter(|replay| replay.verdict() == Verdict::Valid).count();
            format!("{valid} of {} points are VALID", replays.len())
        }
    };
    let is_mock = replays.iter().any(|replay| !replay.is_real);
    let row = |comparison: Comparison| AccuracyRow {
        series: comparison.strategy,
        measured_ms: comparison.measured_ms,
        predicted_ms: comparison.recalibrated_ms,
        measured_range_ms: Some((comparison.measured_ms_min, comparison.measured_ms_max)),
        is_beyond: false,
    };
    let rows = replays.into_iter().flat_map(|replay| replay.comparisons).map(row).collect();
    Ok(Accuracy { rows, verdict, is_mock })
}

/// What tells the two kinds of `replay.json`.
#[derive(Deserialize)]
struct ReplayFile {
    /// Of a sweep; a single replay is the whole file.
    points: Option<Vec<ReplayedPoint>>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::example;
    use crate::output::{replay_json, replay_sweep_json};

    #[test]
    fn replays_of_a_run_and_of_a_sweep_read_back() {
        let mut replay = example::replay();
        replay.comparisons.push(example::comparison("greedy"));
        let row = AccuracyRow {
            series: "greedy".into(),
            measured_ms: 9.0,
            predicted_ms: 9.5,
            measured_range_ms: Some((8.0, 10.0)),
            is_beyond: false,
        };
        let read = |text: &str| read_replay_json(text.as_bytes()).unwrap();
        let valid = read(&replay_json(&replay));
        assert_eq!((&*valid.rows, valid.is_mock), (std::slice::from_ref(&row), false));
        let point = ReplayedPoint { settings: vec![], replay: replay.clone() };
        let mock = ReplayedPoint { settings: vec![], replay: Replay { is_real: false, ..replay }.judged() };
        let sweep = read(&replay_sweep_json(&[point, mock.clone()]));
        assert_eq!((&*sweep.rows, sweep.is_mock), (&[row.clone(), row][..], true));
        assert_eq!(
            (&*valid.verdict, &*sweep.verdict),
            ("VALID: every makespan is within 10.0 %", "1 of 2 points are VALID")
        );
        let mock = read(&replay_json(&mock.replay));
        assert_eq!((&*mock.verdict, mock.is_mock), ("INVALID: no hardware took part", true));
        assert!(read_replay_json(b"{\"comparisons\": 1}").is_err());
    }
}

//! Plain rows of files: finish times of devices, latencies, queries, and measurements beside what was predicted of them.

use serde::{Deserialize, Serialize};

use super::read::{CsvMistake, REMEDY};
use super::record::{fields, paths_csv, read_csv, read_each, records_csv};
use crate::cost::{Scheme, Validation};
use crate::engine::{Fate, Query};
use crate::metrics::Outcome;
use crate::statistics::Histogram;
use crate::units::{Duration, Time};

/// A line of `finish-times.csv`: when one device ended its last step under one strategy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FinishRow {
    /// The strategy's name.
    pub strategy: String,
    /// The device's name.
    pub device: String,
    /// Milliseconds from the first start; `None` if the device ran nothing.
    pub finish_ms: Option<f64>,
}

/// The rows of `outcomes`, in their order and that of the devices.
pub fn finish_rows(outcomes: &[Outcome]) -> Vec<FinishRow> {
    let rows = outcomes.iter().flat_map(|outcome| {
        outcome.finish.iter().map(|(device, finish)| FinishRow {
            strategy: outcome.strategy.clone(),
            device: device.clone(),
            finish_ms: finish.map(Duration::as_millis_f64),
        })
    });
    rows.collect()
}

/// The rows as CSV.
pub fn finish_times_csv(rows: &[FinishRow]) -> Vec<u8> {
    records_csv(rows.iter().cloned())
}

/// The rows of a file that [`finish_times_csv`] wrote.
///
/// # Errors
/// All faults of the file, in its order.
pub fn read_finish_times_csv(bytes: &[u8]) -> Result<Vec<FinishRow>, Vec<CsvMistake>> {
    read_csv(bytes)
}

/// A line of `queries.csv`, in the order of arrival.
#[derive(Serialize, Deserialize)]
struct QueryRow {
    /// When it arrived, in nanoseconds since the run began.
    arrived_ns: Time,
    /// When a plan with it was issued, or it was dropped.
    begun_ns: Time,
    /// When the plan with it ended, or it was dropped.
    ended_ns: Time,
    /// `done`; `dropped` if the queue was full, or `expired` if its deadline passed while it waited.
    fate: Fate,
    /// The network that it is of; no such column unless networks have loads of their own.
    network: Option<String>,
}

/// The queries as CSV; each is of one of `networks`, if these have loads of their own.
pub fn queries_csv(queries: &[Query], networks: &[&str]) -> Vec<u8> {
    let columns = fields::<QueryRow>().iter().filter(|name| **name != "network" || !networks.is_empty());
    let row = |query: &Query| QueryRow {
        arrived_ns: query.arrived,
        begun_ns: query.begun,
        ended_ns: query.ended,
        fate: query.fate,
        network: networks.get(usize::from(query.tenant)).map(|network| (*network).to_owned()),
    };
    paths_csv(&columns.map(|&name| (name, name)).collect::<Vec<_>>(), queries.iter().map(row))
}

/// A line of `latency.csv`: a bin of a histogram of latencies, which ascend.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LatencyRow {
    /// Milliseconds from the arrival of a query to the end of its last sample.
    pub latency_ms: f64,
    /// Queries that took so long.
    pub count: u64,
}

/// A histogram of latencies as CSV: each that occurs, ascending, and how often.
pub fn latency_csv(latencies: &Histogram) -> Vec<u8> {
    records_csv(latencies.iter().map(|(latency, count)| LatencyRow { latency_ms: latency.as_millis_f64(), count }))
}

/// The rows of a file that [`latency_csv`] wrote.
///
/// # Errors
/// All faults of the file, in its order.
pub fn read_latency_csv(bytes: &[u8]) -> Result<Vec<LatencyRow>, Vec<CsvMistake>> {
    let mut before = 0.0;
    read_each(bytes, |line, row: LatencyRow| {
        if row.latency_ms < before {
            line.fault(format!("`latency_ms` is {}, less than {before} before it", row.latency_ms), REMEDY.into());
        }
        before = row.latency_ms;
        Some(row)
    })
}

/// The smallest latency that at least `share` of all queries do not exceed; `None` without queries.
pub(crate) fn percentile(rows: &[LatencyRow], share: f64) -> Option<f64> {
    let all: f64 = rows.iter().map(|row| row.count as f64).sum();
    let mut reached = 0.0;
    let found = rows.iter().find(|row| {
        reached += row.count as f64;
        row.count > 0 && reached >= share * all
    });
    found.map(|row| row.latency_ms)
}

/// A line of `predicted-measured.csv`: a measurement and what was predicted without it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PredictedRow {
    /// The device's name.
    pub device: String,
    /// The network's name.
    pub model: String,
    /// The layer's name; empty for the whole network.
    pub layer: String,
    /// Samples.
    pub batch: u32,
    /// From what it was predicted: batches on both sides (`inside`), larger ones (`below`), smaller ones (`beyond`), or one
    /// batch and the device's other networks (`transferred`).
    pub scheme: Scheme,
    /// Milliseconds of the batch.
    pub measured_ms: f64,
    /// Milliseconds of the batch, if the cost model has a prediction.
    pub predicted_ms: Option<f64>,
    /// Lower end of the interval in milliseconds, if there is one.
    pub low_ms: Option<f64>,
    /// Upper end of the interval in milliseconds, if there is one.
    pub high_ms: Option<f64>,
}

/// The rows of a validation, in its order.
pub fn predicted_rows(validation: &Validation) -> Vec<PredictedRow> {
    let rows = validation.series.iter().flat_map(|series| {
        series.predictions.iter().map(|prediction| PredictedRow {
            device: series.device.clone(),
            model: series.model.clone(),
            layer: series.layer.clone().unwrap_or_default(),
            batch: prediction.batch,
            scheme: prediction.scheme,
            measured_ms: prediction.measured_ms,
            predicted_ms: prediction.predicted_ms,
            low_ms: prediction.interval_ms.map(|[low, _]| low),
            high_ms: prediction.interval_ms.map(|[_, high]| high),
        })
    });
    rows.collect()
}

/// The rows as CSV.
pub fn predicted_csv(rows: &[PredictedRow]) -> Vec<u8> {
    records_csv(rows.iter().cloned())
}

/// The rows of a file that [`predicted_csv`] wrote.
///
/// # Errors
/// All faults of the file, in its order.
pub fn read_predicted_csv(bytes: &[u8]) -> Result<Vec<PredictedRow>, Vec<CsvMistake>> {
    read_csv(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::example;

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
    fn percentiles_are_latencies_that_so_many_queries_do_not_exceed() {
        let rows: Vec<LatencyRow> =
            (1..=100).map(|value| LatencyRow { latency_ms: f64::from(value), count: 2 }).collect();
        assert_eq!([0.0, 0.5, 0.99, 1.0].map(|share| percentile(&rows, share)), [1.0, 50.0, 99.0, 100.0].map(Some));
        assert_eq!(percentile(&[], 0.5), None);
    }

    #[test]
    fn latencies_ascend() {
        let faults = read_latency_csv(b"latency_ms,count\n2,1\n1,1\n").unwrap_err();
        insta::assert_snapshot!(faults[0].to_string(), @"line 3: `latency_ms` is 1, less than 2 before it; correct it or make the results again");
    }
}

//! Histograms of latencies as tidy rows.

use super::read::{CsvFault, REMEDY, read_rows};

/// A bin of a histogram of latencies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LatencyRow {
    /// Milliseconds from the arrival of a query to the end of its last sample.
    pub latency_ms: f64,
    /// Queries that took so long.
    pub count: u64,
}

/// The rows of a file `latency.csv` with the columns `latency_ms` and `count`, latencies ascending.
///
/// # Errors
/// All faults of the file, in its order.
pub fn read_latency_csv(bytes: &[u8]) -> Result<Vec<LatencyRow>, Vec<CsvFault>> {
    let mut before = 0.0;
    read_rows(bytes, &["latency_ms", "count"], |line| {
        let latency_ms = line.quantity("latency_ms");
        let count = line.total("count");
        let (latency_ms, count) = (latency_ms?, count?);
        if latency_ms < before {
            line.fault(format!("`latency_ms` is {latency_ms}, less than {before} before it"), REMEDY.into());
        }
        before = latency_ms;
        Some(LatencyRow { latency_ms, count })
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

#[cfg(test)]
mod tests {
    use super::*;

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

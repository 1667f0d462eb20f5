//! Throughput of strategies by batch size as tidy rows.

use super::read::{CsvFault, Line, read_rows};
use crate::report::rows::{csv_bytes, text};

/// What one strategy achieved with one batch size.
#[derive(Clone, Debug, PartialEq)]
pub struct ThroughputRow {
    /// Samples in the batch.
    pub batch: u32,
    /// The strategy's name.
    pub strategy: String,
    /// Samples per second.
    pub samples_per_s: f64,
    /// Over the baseline with the same batch, if known.
    pub speedup: Option<f64>,
}

/// The rows as CSV.
pub fn throughput_csv(rows: &[ThroughputRow]) -> Vec<u8> {
    let line = |row: &ThroughputRow| {
        let rate = row.samples_per_s.to_string();
        vec![row.batch.to_string(), row.strategy.clone(), rate, text(row.speedup)]
    };
    csv_bytes(std::iter::once(COLUMNS.map(str::to_owned).into()).chain(rows.iter().map(line)))
}

/// The rows of a file that [`throughput_csv`] wrote.
///
/// # Errors
/// All faults of the file, in its order.
pub fn read_throughput_csv(bytes: &[u8]) -> Result<Vec<ThroughputRow>, Vec<CsvFault>> {
    read_rows(bytes, &COLUMNS, |line| {
        let batch = line.count("batch");
        let samples_per_s = line.quantity("samples_per_s");
        let speedup = line.unless_empty("speedup", Line::quantity);
        Some(ThroughputRow {
            batch: batch?,
            strategy: line.text("strategy").to_owned(),
            samples_per_s: samples_per_s?,
            speedup: speedup?,
        })
    })
}

const COLUMNS: [&str; 4] = ["batch", "strategy", "samples_per_s", "speedup"];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn row(batch: u32, strategy: &str, samples_per_s: f64, speedup: Option<f64>) -> ThroughputRow {
        ThroughputRow {
            batch,
            strategy: strategy.into(),
            samples_per_s,
            speedup,
        }
    }

    #[test]
    fn the_csv_has_the_rows_of_the_figure() {
        let rows = [row(1, "greedy", 50.5, Some(1.25)), row(2, "single", 40.0, None)];
        insta::assert_snapshot!(String::from_utf8(throughput_csv(&rows)).unwrap(), @"
        batch,strategy,samples_per_s,speedup
        1,greedy,50.5,1.25
        2,single,40,
        ");
    }

    proptest! {
        #[test]
        fn rows_that_are_written_read_back(
            cells in proptest::collection::vec((any::<u32>(), any::<String>(), 0.0..f64::MAX, proptest::option::of(0.0..1e3)), 0..20)
        ) {
            let rows: Vec<_> = cells
                .iter()
                .map(|(batch, strategy, rate, speedup)| row(*batch, strategy, *rate, *speedup))
                .collect();
            prop_assert_eq!(read_throughput_csv(&throughput_csv(&rows)), Ok(rows));
        }
    }
}

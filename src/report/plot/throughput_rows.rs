//! Throughput of strategies by batch size as tidy rows.

use std::collections::BTreeSet;

use super::read::{CsvFault, Line, read_rows};
use crate::report::rows::{csv_bytes, text};
use crate::report::{Outcome, ResultRow};

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

/// The rows of a sweep whose points differ in the batch only, in the order of `results`; failures have none.
///
/// Empty where a figure against the batch would mislead, since another setting varies too: if a strategy has two
/// results with as many samples. Also empty if all results have as many samples.
pub fn throughput_rows(results: &[ResultRow<'_>]) -> Vec<ThroughputRow> {
    let outcomes = results.iter().filter_map(|row| row.result.ok());
    let row = |outcome: &Outcome| ThroughputRow {
        batch: outcome.samples,
        strategy: outcome.strategy.clone(),
        samples_per_s: outcome.samples_per_s,
        speedup: outcome.speedup,
    };
    let rows: Vec<ThroughputRow> = outcomes.map(row).collect();
    let mut seen = BTreeSet::new();
    let is_distinct = rows.iter().all(|row| seen.insert((&*row.strategy, row.batch)));
    let varies = rows.iter().any(|row| row.batch != rows[0].batch);
    if is_distinct && varies { rows } else { vec![] }
}

/// The rows as CSV.
pub fn throughput_csv(rows: &[ThroughputRow]) -> Vec<u8> {
    let line = |row: &ThroughputRow| {
        let rate = row.samples_per_s.to_string();
        vec![row.batch.to_string(), row.strategy.clone(), rate, text(row.speedup)]
    };
    csv_bytes(COLUMNS, rows.iter().map(line))
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
    use crate::report::{Failure, example};

    fn row(batch: u32, strategy: &str, samples_per_s: f64, speedup: Option<f64>) -> ThroughputRow {
        ThroughputRow { batch, strategy: strategy.into(), samples_per_s, speedup }
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

    /// Batch and strategy of each row of results with these numbers of samples; 0 stands for a failure.
    fn rows_of(results: &[(&str, u32)]) -> Vec<(u32, String)> {
        let failure = Failure { strategy: "legion".into(), reason: "no rows".into() };
        let mut outcomes = vec![];
        for (strategy, samples) in results {
            let mut outcome = example::summary(&[strategy]).outcomes.remove(0);
            outcome.samples = *samples;
            outcomes.push(outcome);
        }
        let results = outcomes.iter().map(|outcome| ResultRow {
            settings: &[],
            result: if outcome.samples > 0 { Ok(outcome) } else { Err(&failure) },
        });
        let rows = throughput_rows(&results.collect::<Vec<_>>());
        rows.into_iter().map(|row| (row.batch, row.strategy)).collect()
    }

    #[test]
    fn only_a_sweep_of_the_batch_alone_has_rows() {
        let sweep = rows_of(&[("a", 1), ("b", 1), ("a", 2), ("b", 0), ("a", 4), ("b", 4)]);
        let expected = [(1, "a"), (1, "b"), (2, "a"), (4, "a"), (4, "b")];
        assert_eq!(sweep, expected.map(|(batch, strategy)| (batch, strategy.to_owned())));
        assert_eq!(rows_of(&[("a", 1), ("a", 2), ("a", 1)]), []);
        assert_eq!(rows_of(&[("a", 8), ("b", 8)]), []);
        assert_eq!(rows_of(&[("a", 8)]), []);
        assert_eq!(rows_of(&[("a", 0), ("a", 0)]), []);
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

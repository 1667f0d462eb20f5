//! Measurements and their predictions as tidy rows.

use super::read::{CsvFault, Line, read_rows};
use crate::cost::{Scheme, Validation};
use crate::output::rows::{csv_bytes, text};

/// A measurement and what was predicted without it.
#[derive(Clone, Debug, PartialEq)]
pub struct PredictedRow {
    /// The device's name.
    pub device: String,
    /// The network's name.
    pub model: String,
    /// The layer's name; empty for the whole network.
    pub layer: String,
    /// Samples.
    pub batch: u32,
    /// From what it was predicted.
    pub scheme: Scheme,
    /// Milliseconds of the batch.
    pub measured_ms: f64,
    /// Milliseconds of the batch, if the cost model has a prediction.
    pub predicted_ms: Option<f64>,
    /// Lower end of the interval, if there is one.
    pub low_ms: Option<f64>,
    /// Upper end of the interval, if there is one.
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
    let line = |row: &PredictedRow| {
        vec![
            row.device.clone(),
            row.model.clone(),
            row.layer.clone(),
            row.batch.to_string(),
            scheme_name(row.scheme).to_owned(),
            row.measured_ms.to_string(),
            text(row.predicted_ms),
            text(row.low_ms),
            text(row.high_ms),
        ]
    };
    csv_bytes(COLUMNS, rows.iter().map(line))
}

/// The rows of a file that [`predicted_csv`] wrote.
///
/// # Errors
/// All faults of the file, in its order.
pub fn read_predicted_csv(bytes: &[u8]) -> Result<Vec<PredictedRow>, Vec<CsvFault>> {
    read_rows(bytes, &COLUMNS, |line| {
        let batch = line.count("batch");
        let scheme = SCHEMES.into_iter().find(|&scheme| scheme_name(scheme) == line.text("scheme"));
        let scheme = line.or_fault(scheme, "scheme", "`inside`, `below`, `beyond` or `transferred`");
        let measured_ms = line.quantity("measured_ms");
        let predicted_ms = line.unless_empty("predicted_ms", Line::quantity);
        let low_ms = line.unless_empty("low_ms", Line::quantity);
        let high_ms = line.unless_empty("high_ms", Line::quantity);
        Some(PredictedRow {
            device: line.text("device").to_owned(),
            model: line.text("model").to_owned(),
            layer: line.text("layer").to_owned(),
            batch: batch?,
            scheme: scheme?,
            measured_ms: measured_ms?,
            predicted_ms: predicted_ms?,
            low_ms: low_ms?,
            high_ms: high_ms?,
        })
    })
}

const COLUMNS: [&str; 9] =
    ["device", "model", "layer", "batch", "scheme", "measured_ms", "predicted_ms", "low_ms", "high_ms"];

const SCHEMES: [Scheme; 4] = [Scheme::Inside, Scheme::Below, Scheme::Beyond, Scheme::Transferred];

/// The name of a scheme in files.
pub(crate) fn scheme_name(scheme: Scheme) -> &'static str {
    match scheme {
        Scheme::Inside => "inside",
        Scheme::Below => "below",
        Scheme::Beyond => "beyond",
        Scheme::Transferred => "transferred",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn rows_that_are_written_read_back(
            cells in proptest::collection::vec(
                (any::<[String; 3]>(), any::<u32>(), 0usize..4, 0.0..f64::MAX, proptest::option::of(0.0..1e3)), 0..20,
            )
        ) {
            let row = |([device, model, layer], batch, scheme, measured_ms, other): ([String; 3], _, usize, _, _)| {
                let scheme = SCHEMES[scheme];
                PredictedRow { device, model, layer, batch, scheme, measured_ms, predicted_ms: other, low_ms: other, high_ms: None }
            };
            let rows: Vec<PredictedRow> = cells.into_iter().map(row).collect();
            prop_assert_eq!(read_predicted_csv(&predicted_csv(&rows)), Ok(rows));
        }
    }

    #[test]
    fn what_is_no_scheme_is_a_fault() {
        let text = format!("{}\nd,m,,1,sideways,1,,,\n", COLUMNS.join(","));
        let faults = read_predicted_csv(text.as_bytes()).unwrap_err();
        insta::assert_snapshot!(faults[0].to_string(), @"line 2: `scheme` is `sideways`, not `inside`, `below`, `beyond` or `transferred`; correct it or make the results again");
    }
}

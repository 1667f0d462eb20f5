//! Traces: profiling measurements in the project's own CSV form, with their provenance.
//!
//! A trace begins with `# key: value` lines and goes on as CSV in long form, one
//! measurement a row. `traces/README.md` describes it for those who write one.

use std::collections::BTreeMap;

use super::noise::repeat_ratios;
use super::read::parse;
use super::write::write;
use crate::platform::Precision;
use crate::statistics::median;
use crate::units::Share;

/// A file of measurements.
#[derive(Clone, Debug, PartialEq)]
pub struct Trace {
    /// How the figures came to be.
    pub kind: Kind,
    /// The provenance as written, key by key.
    pub header: BTreeMap<String, Vec<String>>,
    /// The measurements of whole devices, in file order.
    pub rows: Vec<Row>,
    /// Those of parts of devices, by the share of the device that ran them.
    pub shares: BTreeMap<Share, Vec<Row>>,
}

/// How the figures of a trace came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Taken from the hardware.
    Measured,
    /// Read from a published figure.
    Digitised,
    /// Computed from other figures.
    Derived,
}

/// One measurement.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Line in the file, from 1.
    pub line: usize,
    /// The device, as the trace calls it.
    pub device: String,
    /// The network, as the trace calls it.
    pub model: String,
    /// What the device computed in.
    pub precision: Precision,
    /// What of the network.
    pub layer: LayerKey,
    /// Samples.
    pub batch: u32,
    /// Rows of the output.
    pub rows: Rows,
    /// The device that ran the same network all the time meanwhile; none if the device ran alone.
    pub beside: Option<String>,
    /// What the time is a statistic of.
    pub statistic: Statistic,
    /// Index of the repeat, or the number of repeats that a statistic is over.
    pub repeat: u32,
    /// Milliseconds, of the batch or of one sample.
    pub time_ms: f64,
    /// Whether `time_ms` is of one sample of the batch.
    pub per_sample: bool,
}

/// Which part of a network a measurement is of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub enum LayerKey {
    /// All of its computation.
    Whole,
    /// Copying its inputs to the device and its outputs back.
    Io,
    /// One layer, or a fused segment as `first..last`: the names of its first and last layer.
    Named(String),
}

/// Which rows of the output a measurement is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub enum Rows {
    /// All of them.
    All,
    /// This many.
    Count(u32),
}

/// What a time is over several repeats; the first that a point has is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Statistic {
    /// One repeat; several of a point are summarised by their median.
    Raw,
    /// Median of the repeats.
    Median,
    /// Arithmetic mean of the repeats.
    Mean,
    /// Sum over the repeats.
    Sum,
    /// Shortest repeat.
    Min,
}

/// One thing wrong with a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Line in the file, from 1.
    pub line: usize,
    /// What is wrong.
    pub cause: String,
    /// What to do about it.
    pub remedy: String,
}

impl Trace {
    /// What the first line of a trace is.
    pub const MAGIC: &str = "# coinfer trace 1";

    /// Reads a trace, or lists everything that is wrong with it in file order.
    pub fn parse(bytes: &[u8]) -> Result<Trace, Vec<Mistake>> {
        parse(bytes)
    }

    /// The measurements of devices that ran with `share` of their compute units, as if that were all of them.
    pub fn of_share(&self, share: Share) -> Trace {
        let rows =
            if share == Share::FULL { self.rows.clone() } else { self.shares.get(&share).cloned().unwrap_or_default() };
        Trace { kind: self.kind, header: self.header.clone(), rows, shares: BTreeMap::new() }
    }

    /// The trace as text, which [`Trace::parse`] reads back as an equal trace but for the lines of its rows.
    ///
    /// The required keys of the header come first; the columns `precision`, `beside` and `share` are there only if a row
    /// needs them. Rows of both time forms cannot share a table: then times of samples are written as times of batches.
    pub fn to_csv(&self) -> String {
        write(self)
    }

    /// The time of each profiled batch of a whole network, or of its copies, in milliseconds of the batch.
    ///
    /// Empty if the trace has none. Rows that were taken beside another busy device do not count.
    pub fn times(&self, device: &str, precision: Precision, model: &str, layer: &LayerKey) -> BTreeMap<u32, Point> {
        self.points(device, precision, model, layer, None)
    }

    /// As [`Trace::times`], of the rows that were taken while `beside` ran the same network all the time.
    pub fn times_beside(
        &self,
        device: &str,
        precision: Precision,
        model: &str,
        layer: &LayerKey,
        beside: &str,
    ) -> BTreeMap<u32, Point> {
        self.points(device, precision, model, layer, Some(beside))
    }

    /// How repeats on a device vary: by network and batch, what each raw repeat took by the time of its point, which is
    /// their median, so that these ratios times that are the repeats. Of points that have three of them or more; those of
    /// layers count where there are none of the whole network. Empty if the trace keeps no single repeats.
    pub fn repeat_ratios(&self, device: &str, precision: Precision) -> BTreeMap<(&str, u32), Vec<f64>> {
        repeat_ratios(self, device, precision)
    }

    fn points(
        &self,
        device: &str,
        precision: Precision,
        model: &str,
        layer: &LayerKey,
        beside: Option<&str>,
    ) -> BTreeMap<u32, Point> {
        points(self.rows_of(device, precision, model, layer, beside))
    }

    /// The rows of all rows of a layer.
    pub(super) fn rows_of<'a>(
        &'a self,
        device: &'a str,
        precision: Precision,
        model: &'a str,
        layer: &'a LayerKey,
        beside: Option<&'a str>,
    ) -> impl Iterator<Item = &'a Row> {
        self.rows.iter().filter(move |row| {
            let of_device = row.device == device && row.precision == precision;
            let of_network = of_device && row.model == model && row.layer == *layer;
            of_network && row.rows == Rows::All && row.beside.as_deref() == beside
        })
    }
}

/// The time at each batch of rows that differ in nothing else.
pub(super) fn points<'a>(rows: impl Iterator<Item = &'a Row>) -> BTreeMap<u32, Point> {
    let mut points: BTreeMap<u32, Vec<&Row>> = BTreeMap::new();
    for row in rows {
        points.entry(row.batch).or_default().push(row);
    }
    points.into_iter().map(|(batch, rows)| (batch, summarise(&rows))).collect()
}

/// The time at one batch, in the form that it was recorded in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Milliseconds, of the batch or of one sample.
    pub time_ms: f64,
    /// Whether `time_ms` is of one sample of the batch.
    pub per_sample: bool,
}

impl Point {
    /// Milliseconds of a batch of `batch`.
    pub fn of_batch(&self, batch: u32) -> f64 {
        if self.per_sample { self.time_ms * f64::from(batch) } else { self.time_ms }
    }

    /// Milliseconds of one sample in a batch of `batch`.
    pub fn of_sample(&self, batch: u32) -> f64 {
        if self.per_sample { self.time_ms } else { self.time_ms / f64::from(batch) }
    }
}

/// Rows of one point to one time: those of the first statistic that there is, by their median.
fn summarise(rows: &[&Row]) -> Point {
    let statistic = rows.iter().map(|row| row.statistic).min().expect("a point has a row");
    let of_statistic = rows.iter().filter(|row| row.statistic == statistic);
    let times = of_statistic.map(|row| match statistic {
        Statistic::Sum => row.time_ms / f64::from(row.repeat),
        _ => row.time_ms,
    });
    let time_ms = median(times).expect("a point has a row");
    Point { time_ms, per_sample: rows[0].per_sample }
}

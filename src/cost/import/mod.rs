//! Importing: profiles in the project's own form, several of them as one.

use std::collections::BTreeMap;

use super::trace::{Fault, LayerKey, Trace};

/// A file to import.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// Its name, for messages and for the header of the trace.
    pub name: &'a str,
    /// Its content.
    pub bytes: &'a [u8],
}

/// What the user says about the files.
#[derive(Clone, Debug, Default)]
pub struct Hints {
    /// The format of all files; by their content if none.
    pub format: Option<Format>,
    /// The device; it takes the place of the one that a file names.
    pub device: Option<String>,
    /// The network; it takes the place of the one that a file names.
    pub model: Option<String>,
    /// Samples of each run.
    pub batch: Option<u32>,
    /// Columns of a CSV file and the fields that they hold, as (column, field).
    pub columns: Vec<(String, String)>,
}

/// A format that can be imported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Format {
    /// The project's own traces; several are joined.
    Trace,
    /// Profiles of ONNX Runtime.
    OnnxRuntime,
    /// What trtexec exports.
    Trtexec,
    /// Reports of TVM's profiler.
    Tvm,
    /// Output of benchncnn.
    Ncnn,
    /// Chrome traces that PyTorch's profiler exports.
    PytorchChrome,
    /// Any other table.
    Csv,
}

/// A trace made of other files.
#[derive(Clone, Debug)]
pub struct Imported {
    /// The measurements.
    pub trace: Trace,
    /// How each row of each file was taken, in file order.
    pub readings: Vec<Reading>,
    /// What a careful user should know.
    pub notes: Vec<String>,
}

/// How one row of a file was taken.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// Index of the file.
    pub source: usize,
    /// Line in the file, from 1.
    pub line: Option<usize>,
    /// What the file calls it.
    pub name: String,
    /// What it was taken for.
    pub class: Class,
    /// Why.
    pub why: String,
    /// Milliseconds that the row states.
    pub time_ms: Option<f64>,
}

/// What a row of a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// A time of a whole network.
    Whole,
    /// A layer.
    Layer,
    /// A change of layout on an edge between layers.
    Reformat,
    /// A copy to or from the device.
    Transfer,
    /// A part of a segment that ran on a deep learning accelerator.
    DlaGroup,
    /// Not used.
    Dropped,
}

/// One thing wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFault {
    /// Index of the file; 0 if no file was given.
    pub source: usize,
    /// What is wrong with it.
    pub fault: Fault,
}

/// Makes one trace of `sources`, or lists everything that is wrong with them, by file and line.
pub fn import(sources: &[Source], hints: &Hints) -> Result<Imported, Vec<SourceFault>> {
    let (mut faults, mut readings, mut seen) = (Vec::new(), Vec::new(), BTreeMap::new());
    let mut joined: Option<Trace> = None;
    for (source, Source { bytes, .. }) in sources.iter().enumerate() {
        let mut trace = match Trace::parse(bytes) {
            Ok(trace) => trace,
            Err(found) => {
                faults.extend(found.into_iter().map(|fault| SourceFault { source, fault }));
                continue;
            }
        };
        for row in &mut trace.rows {
            row.device = hints.device.clone().unwrap_or_else(|| row.device.clone());
            row.model = hints.model.clone().unwrap_or_else(|| row.model.clone());
            let class = match row.layer {
                LayerKey::Whole => Class::Whole,
                LayerKey::Io => Class::Transfer,
                LayerKey::Named(_) => Class::Layer,
            };
            let name = format!("{} {} at batch {}", row.device, row.model, row.batch);
            let why = "the trace says so".to_owned();
            readings.push(Reading { source, line: Some(row.line), name, class, why, time_ms: Some(row.time_ms) });
            let key = (row.device.clone(), row.model.clone(), row.layer.clone(), row.batch, row.rows, row.repeat);
            if let Some(first) = seen.insert((key, row.statistic, row.beside.clone()), source) {
                let cause = format!("{} measures the same {}", sources[first].name, row.model);
                let fault = Fault { line: row.line, cause, remedy: "name one of the files only".into() };
                faults.push(SourceFault { source, fault });
            }
        }
        match &mut joined {
            Some(joined) => joined.rows.extend(trace.rows),
            None => joined = Some(trace),
        }
    }
    match joined {
        Some(trace) if faults.is_empty() => Ok(Imported { trace, readings, notes: vec![] }),
        _ => Err(faults),
    }
}

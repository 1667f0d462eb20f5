//! Importing: profiles that other programs wrote in, traces in the project's own form out.
//!
//! Pure functions of bytes. What a file does not say is asked for, never guessed: which device, which network
//! and, unless a shape tells, which batch. Every row of the input gets a [`Reading`] that says how it was taken.
//! Which device a layer runs on, and which layers of a model a name stands for, is for those who use the trace.

mod build;
mod detect;
mod finish;
mod json;
mod name;
mod ncnn;
mod onnx_runtime;
mod own;
mod pytorch;
mod table;
mod text;
mod trtexec;
mod tvm;

use build::TraceBuilder;
use text::Text;

use super::trace::{Mistake, Trace};
use crate::platform::Precision;

/// A file to import.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// Its name, for messages and for the header of the trace.
    pub name: &'a str,
    /// Its content, as it is or compressed with gzip.
    pub bytes: &'a [u8],
}

/// What the user says about the files.
#[derive(Clone, Debug, Default)]
pub struct Hints {
    /// The format of all files; by their content if none.
    pub format: Option<Format>,
    /// The device; it takes the place of the one that a file names.
    pub device: Option<String>,
    /// The network; it takes the place of the one that a file names, or picks one of several.
    pub model: Option<String>,
    /// What the device computed in; it takes the place of what a file says, which is often nothing: then fp32.
    pub precision: Option<Precision>,
    /// Samples of each run; it takes the place of what a shape says.
    pub batch: Option<u32>,
    /// Columns of a CSV file and the fields that they hold, as (column, field).
    pub columns: Vec<(String, String)>,
}

/// A format that can be imported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Format {
    /// The project's own traces; several are joined.
    Trace,
    /// Profiles of ONNX Runtime, as JSON.
    OnnxRuntime,
    /// What trtexec exports with `--exportProfile`, `--exportTimes` and `--exportLayerInfo`, and its log.
    Trtexec,
    /// Reports of TVM's profiler, as JSON or CSV.
    Tvm,
    /// Output of benchncnn, and of ncnn built with `NCNN_BENCHMARK`.
    Ncnn,
    /// Chrome traces that PyTorch's profiler exports.
    PytorchChrome,
    /// Any other table, whose columns are named as fields or mapped to them.
    Csv,
}

/// A trace made of other files.
#[derive(Clone, Debug)]
pub struct Imported {
    /// The measurements.
    pub trace: Trace,
    /// How each row of each file was taken, in file order.
    pub readings: Vec<Reading>,
    /// What a careful user should know; the trace's header has them too.
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
    /// A layer, or a fused segment.
    Layer,
    /// A change of layout on an edge between layers.
    Reformat,
    /// A copy to or from the device.
    Transfer,
    /// A part of a segment that ran on a deep learning accelerator (DLA).
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
    pub fault: Mistake,
}

/// Makes one trace of `sources`, or lists everything that is wrong with them, by file and line.
///
/// Layers are named as the profiler names them, and a fused segment as `first..last`. A layer that occurs several
/// times in a run gets `_2`, `_3` and so on. Layout changes that only trtexec lists are named
/// `reformat into X` and `reformat out of X`.
pub fn import(sources: &[Source], hints: &Hints) -> Result<Imported, Vec<SourceFault>> {
    let mut builder = TraceBuilder::new(sources, hints);
    let texts = text::read(sources, &mut builder);
    let mut formats: Vec<(Format, Text)> = Vec::new();
    for text in texts {
        match detect::format(&text, hints) {
            Ok(format) => formats.push((format, text)),
            Err(fault) => builder.refuse(text.source, fault),
        }
    }
    formats.sort_by_key(|(format, text)| (*format, text.source));
    for group in formats.chunk_by(|(first, _), (second, _)| first == second) {
        let texts: Vec<&Text> = group.iter().map(|(_, text)| text).collect();
        match group[0].0 {
            Format::Trace => own::read(&texts, &mut builder),
            Format::OnnxRuntime => onnx_runtime::read(&texts, &mut builder),
            Format::Trtexec => trtexec::read(&texts, &mut builder),
            Format::Tvm => tvm::read(&texts, &mut builder),
            Format::Ncnn => ncnn::read(&texts, &mut builder),
            Format::PytorchChrome => pytorch::read(&texts, &mut builder),
            Format::Csv => table::read(&texts, &mut builder),
        }
    }
    builder.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The whole result as text: rows without provenance, then notes, or the faults.
    pub(super) fn summary(files: &[(&str, &[u8])], hints: &Hints) -> String {
        let sources: Vec<Source> = files.iter().map(|(name, bytes)| Source { name, bytes }).collect();
        match import(&sources, hints) {
            Ok(imported) => {
                let csv = imported.trace.to_csv();
                let mut read = Trace::parse(csv.as_bytes()).expect("an imported trace is one");
                let mut made = imported.trace.clone();
                read.rows.iter_mut().chain(&mut made.rows).for_each(|row| row.line = 0);
                assert_eq!(read, made);
                let rows = csv.lines().filter(|line| !line.starts_with('#')).skip(1);
                let notes = imported.notes.iter().map(|note| format!("note: {note}"));
                rows.map(str::to_owned).chain(notes).collect::<Vec<_>>().join("\n")
            }
            Err(faults) => {
                let line =
                    |f: &SourceFault| format!("{}:{}: {}; {}", f.source, f.fault.line, f.fault.cause, f.fault.remedy);
                faults.iter().map(line).collect::<Vec<_>>().join("\n")
            }
        }
    }

    /// The readings of files that can be imported, one a line.
    pub(super) fn readings(files: &[(&str, &[u8])], hints: &Hints) -> Vec<String> {
        let sources: Vec<Source> = files.iter().map(|(name, bytes)| Source { name, bytes }).collect();
        let imported = import(&sources, hints).expect("the files are right");
        let line = |r: &Reading| format!("{:?} {}: {}", r.class, r.name, r.why);
        imported.readings.iter().map(line).collect()
    }

    /// Hints of a device and a network.
    pub(super) fn named(device: &str, model: &str) -> Hints {
        Hints { device: Some(device.to_owned()), model: Some(model.to_owned()), ..Hints::default() }
    }

    #[test]
    fn nothing_to_import_is_a_fault() {
        let none = "0:1: no file was given; name the files to import";
        assert_eq!(summary(&[], &Hints::default()), none);
        let empty = "0:1: the file is empty; export it again, and let the program that writes it end first";
        assert_eq!(summary(&[("a", b"")], &Hints::default()), empty);
        assert_eq!(summary(&[("a", b" \n\t")], &Hints::default()), empty);
    }

    #[test]
    fn a_file_without_anything_to_read_is_a_fault() {
        let hints = Hints { format: Some(Format::Ncnn), ..named("d", "m") };
        let right: (&str, &[u8]) = ("right", b"loop_count = 1\n a min = 1 max = 1 avg = 1\n");
        assert_eq!(
            summary(&[right, ("wrong", b"hello\n")], &hints),
            "1:1: the file has no measurement in the format that it was read as; \
             check the file, or name another format with --format"
        );
    }

    #[test]
    fn faults_of_all_files_are_listed() {
        let found = summary(&[("a", b"hello"), ("b", b"a\n\xff"), ("c", b"")], &Hints::default());
        let lines: Vec<&str> = found.lines().collect();
        assert_eq!(lines.len(), 3, "{found}");
        assert!(lines[0].starts_with("0:1: the format of the file was not recognised; "), "{found}");
        assert!(lines[1].starts_with("1:2: the file is not valid UTF-8; "), "{found}");
        assert!(lines[2].starts_with("2:1: the file is empty; "), "{found}");
    }
}

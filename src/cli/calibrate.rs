//! `coinfer calibrate`: says how far profiles can be trusted, and which form the costs of each series have.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;

use super::file::{read_whole, write_whole};
use super::results::Results;
use super::run::Format as Print;
use super::{Error, Terminal};
use crate::cost;
use crate::cost::import::{Format, Hints, Imported, Source, import};
use crate::cost::{Kind, Validation, validate};
use crate::figures::{Width, accuracy_svg};
use crate::output::{Calibration, Input, calibration_json, calibration_table, errors_csv, readings_text, slugs};
use crate::output::{calibration_accuracy, predicted_csv, predicted_rows};
use crate::platform::Precision;
use crate::scenario::{Diagnostics, Scenario};

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  coinfer calibrate traces/kcc2020-profile.csv\n  \
                        coinfer calibrate scenarios/kcc2020-vgg16.toml --print json\n  \
                        coinfer calibrate profile.json --device board --model resnet-18 --to board.csv")]
pub(super) struct Calibrate {
    /// Traces, profiles of other programs, or scenarios, of which the traces are calibrated
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Format of the files; by their content if absent
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// The device, in place of the one that a file names
    #[arg(long, value_name = "NAME")]
    device: Option<String>,
    /// The network, in place of the one that a file names
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// Samples of each run, in place of what a file says
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    batch: Option<u32>,
    /// What the device computed in, in place of what a file says: fp32, fp16 or int8; fp32 if nobody says it
    #[arg(long, value_name = "PRECISION", value_parser = precision)]
    precision: Option<Precision>,
    /// Which field of a trace a column of a table is, such as latency=time_ms
    #[arg(long = "map", value_name = "COLUMN=FIELD", value_parser = column_and_field)]
    columns: Vec<(String, String)>,
    /// Also print how each row was read
    #[arg(long)]
    explain: bool,
    /// Give each layer a line
    #[arg(long)]
    layers: bool,
    /// Folder for results; they go to DIR/calibration/<trace>-<hash>
    #[arg(long, value_name = "DIR", default_value = "results")]
    out: PathBuf,
    /// Also write the files as one trace
    #[arg(long, value_name = "TRACE.csv")]
    to: Option<PathBuf>,
    /// What to print on standard output
    #[arg(long, value_enum, default_value_t = Print::Table)]
    print: Print,
}

fn precision(text: &str) -> Result<Precision, &'static str> {
    Precision::find(text).ok_or("use fp32, fp16 or int8")
}

fn column_and_field(text: &str) -> Result<(String, String), String> {
    let (column, field) = text.rsplit_once('=').ok_or("write COLUMN=FIELD, such as latency=time_ms")?;
    Ok((column.trim().to_owned(), field.trim().to_owned()))
}

impl Calibrate {
    pub(super) fn execute(self, terminal: &Terminal) -> Result<(), Error> {
        let files = read(&self.files)?;
        let imported = self.import(&files)?;
        if let Some(path) = &self.to {
            write_whole(path, imported.trace.to_csv().as_bytes())?;
            terminal.tell(&format!("trace in {}", path.display()));
        }
        if self.explain {
            let names: Vec<&str> = files.traces.iter().map(|file| file.name.as_str()).collect();
            let text = readings_text(&names, &imported.readings);
            match self.print {
                Print::Table => terminal.print(text)?,
                Print::Csv | Print::Json => terminal.error(text.trim_end()),
            }
        }
        let calibration =
            Calibration { name: name(&self.files), validation: validate(&imported.trace), notes: notes(imported) };
        let Validation { series, shares, .. } = &calibration.validation;
        if shares.is_empty() && series.iter().all(|series| series.predictions.is_empty()) {
            return self.nothing_to_validate(terminal);
        }
        let results = self.begin(&calibration.name, &files)?;
        let rows = predicted_rows(&calibration.validation);
        results.write("calibration.json", calibration_json(&calibration))?;
        results.write("errors.csv", errors_csv(&calibration))?;
        results.write("predicted-measured.csv", predicted_csv(&rows))?;
        let accuracy = calibration_accuracy(&rows);
        results.write("accuracy.svg", accuracy_svg(&calibration.name, &accuracy, Width::Page))?;
        let folder = results.commit()?;
        terminal.print(match self.print {
            Print::Table => calibration_table(&calibration, self.layers, terminal.is_bold()).into_bytes(),
            Print::Csv => errors_csv(&calibration),
            Print::Json => calibration_json(&calibration).into_bytes(),
        })?;
        terminal.tell(&format!("results in {}", folder.display()));
        Ok(())
    }

    fn import(&self, files: &Files) -> Result<Imported, Error> {
        let hints = Hints {
            format: self.format,
            device: self.device.clone(),
            model: self.model.clone(),
            batch: self.batch,
            precision: self.precision,
            columns: self.columns.clone(),
        };
        let sources: Vec<Source<'_>> =
            files.traces.iter().map(|file| Source { name: &file.name, bytes: &file.bytes }).collect();
        if sources.is_empty() && files.unread.is_empty() {
            return Err(Error::Usage("the scenario names no trace; name one".to_owned()));
        }
        let imported = if sources.is_empty() { Err(vec![]) } else { import(&sources, &hints) };
        let found = match imported {
            Ok(imported) if files.unread.is_empty() => return Ok(imported),
            Ok(_) => vec![],
            Err(found) => found,
        };
        let mut faults: BTreeMap<usize, Vec<cost::Mistake>> = BTreeMap::new();
        for fault in found {
            faults.entry(fault.source).or_default().push(fault.fault);
        }
        let unread = files.unread.iter().map(|(name, fault)| (name.as_str(), &[][..], vec![fault.clone()]));
        let faulty = faults.into_iter().filter_map(|(index, found)| {
            let file = files.traces.get(index)?;
            Some((file.name.as_str(), &file.bytes[..], found))
        });
        Err(Error::Input(Diagnostics::of_files(unread.chain(faulty))))
    }

    /// An error, unless the user has got a trace.
    fn nothing_to_validate(&self, terminal: &Terminal) -> Result<(), Error> {
        let message = "nothing can be validated: every network and layer has one batch only, so none can be predicted \
                       from others; profile several, at least 1, 2, 8 and 64, and name all their files at once";
        if self.to.is_none() {
            return Err(Error::Usage(message.to_owned()));
        }
        terminal.tell(message);
        Ok(())
    }

    fn begin(&self, name: &str, files: &Files) -> Result<Results, Error> {
        let hints = [("device", self.device.clone()), ("model", self.model.clone())];
        let format = self.format.map(|format| format!("{format:?}"));
        let batch = self.batch.map(|batch| batch.to_string());
        let precision = self.precision.map(|precision| precision.to_string());
        let others = [("batch", batch), ("precision", precision), ("format", format)];
        let stated = hints.into_iter().chain(others).filter_map(|(key, value)| Some(format!("{key}={}", value?)));
        let columns = self.columns.iter().map(|(column, field)| format!("map={column}={field}"));
        let settings: Vec<String> = stated.chain(columns).collect();
        let inputs = files.scenarios.iter().chain(&files.traces);
        let inputs = inputs
            .map(|file| Input { path: file.name.clone(), blake3: blake3::hash(&file.bytes).to_hex().to_string() })
            .collect();
        let folder = self.out.join("calibration");
        Results::of_inputs(&folder, &format!("{name}-"), "calibrate", name, inputs, &settings, 0)
    }
}

/// What is calibrated.
#[derive(Default)]
struct Files {
    scenarios: Vec<File>,
    traces: Vec<File>,
    /// The names of files that cannot be read, and why.
    unread: Vec<(String, cost::Mistake)>,
}

struct File {
    name: String,
    bytes: Vec<u8>,
}

/// Reads the files, and those that scenarios name, each once.
fn read(paths: &[PathBuf]) -> Result<Files, Error> {
    let (mut files, mut unread, mut traces) = (Files::default(), Vec::new(), Vec::new());
    let mut read_file = |path: &Path| {
        let name = path.display().to_string();
        match read_whole(path) {
            Ok(bytes) => Some(File { name, bytes }),
            Err(cause) => {
                unread.push((name, cost::Mistake { line: 1, cause, remedy: "name a file that can be read".into() }));
                None
            }
        }
    };
    for path in paths {
        if path.extension().is_some_and(|extension| extension == "toml") {
            let scenario = Scenario::read(path, &[])?;
            files.scenarios.extend(read_file(path));
            traces.extend(scenario.traces().map(Path::to_owned));
        } else {
            traces.push(path.clone());
        }
    }
    let mut seen = std::collections::BTreeSet::new();
    traces.retain(|path| seen.insert(std::fs::canonicalize(path).unwrap_or_else(|_| path.clone())));
    files.traces = traces.iter().filter_map(|path| read_file(path)).collect();
    files.unread = unread;
    Ok(files)
}

/// The first file's name without what follows its last dot, safe as a folder's name, and how many others there are.
fn name(paths: &[PathBuf]) -> String {
    let stem = paths.first().and_then(|path| path.file_stem()).unwrap_or_default().to_string_lossy();
    let slug = slugs([&*stem]).remove(0);
    match paths.len() {
        0 | 1 => slug,
        count => format!("{slug}-and-{}-more", count - 1),
    }
}

fn notes(imported: Imported) -> Vec<String> {
    let mut notes = imported.notes;
    match imported.trace.kind {
        Kind::Measured => {}
        Kind::Digitised => notes.insert(0, "times were read from published figures, not measured".into()),
        Kind::Derived => notes.insert(0, "times were computed from other figures, not measured".into()),
    }
    notes
}

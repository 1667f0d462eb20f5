//! Scenario files: the TOML form with positions, overrides and sweeps, and diagnostics for what is wrong with it.
//!
//! What comes out is a problem with strategies. Nothing is planned or run here.

mod arrival_files;
mod constants;
mod content;
mod decode;
mod diagnostic;
mod document;
mod file;
mod form;
mod lower;
mod names;
mod onnx_files;
mod overrides;
mod parsed;
mod path;
mod points;
mod profiles;
mod range;
mod read;
mod scalar;
mod schema;
mod sweep;
#[cfg(test)]
mod tests;
mod text_files;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rayon::prelude::*;

pub use constants::{Constant, Constants, End, Study};
pub use diagnostic::Diagnostics;
pub(crate) use diagnostic::likely;
pub use file::InputFile;
pub(crate) use file::NETWORK_BYTES_MAX;
pub use overrides::Overrides;
pub use points::{Point, PointKey, Points, Stride};
pub use schema::schema;

use decode::shorten;
use diagnostic::{Mistakes, Sources};
use document::{Node, Value};
use file::{FileMistake, Load};
use onnx_files::OnnxFiles;
use profiles::Traces;
use sweep::Sweep;
use text_files::TextFiles;

use crate::cost::parse_bandwidth;
use crate::model::Weights;
use crate::platform::{BandwidthTable, DeviceId};
use crate::problem::{Problem, Profiling, Replications};
use crate::strategy::Strategy;

/// A scenario without mistakes, with its overrides and traces.
#[derive(Debug)]
pub struct Scenario {
    name: String,
    inputs: Vec<InputFile>,
    sources: Sources,
    root: Node,
    sweep: Sweep,
    files: Files,
    /// The hash of each file that the scenario names, by where it is.
    hashes: BTreeMap<PathBuf, String>,
    folder: PathBuf,
    seed: u64,
}

/// What a scenario names, read once.
#[derive(Debug)]
struct Files {
    traces: Traces,
    networks: OnnxFiles,
    arrivals: TextFiles<Arc<arrival_files::Recording>>,
    bandwidths: TextFiles<Arc<BandwidthTable>>,
}

/// A scenario as a problem, with what is to be done about it.
pub struct Case {
    /// The question.
    pub problem: Problem,
    /// The strategies, in the scenario's order; at least one.
    pub strategies: Vec<Entry>,
    /// What speed-ups are over.
    pub baseline: Baseline,
    /// What profiling takes, if the scenario says it.
    pub profiling: Option<Profiling>,
    /// Seed of all random draws.
    pub seed: u64,
    /// How often a run is repeated in which something is left to chance, and what of each counts.
    pub replications: Replications,
    /// What a reader of the results should know, in one line each.
    pub notes: Vec<String>,
    /// Weights by model; `None` for networks whose inside is not known.
    pub weights: Vec<Option<Arc<Weights>>>,
    /// By device, where its profile is.
    pub profiles: Vec<Option<Profile>>,
    /// By model, what traces call it.
    pub profiled_models: Vec<String>,
}

impl Case {
    /// The case of another problem, without strategies.
    pub(crate) fn about(&self, problem: Problem) -> Case {
        Case {
            problem,
            strategies: Vec::new(),
            notes: self.notes.clone(),
            weights: self.weights.clone(),
            profiles: self.profiles.clone(),
            profiled_models: self.profiled_models.clone(),
            ..*self
        }
    }
}

/// What speed-ups are over: the whole load on one device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Baseline {
    /// Which one; the fastest if `None`.
    pub device: Option<DeviceId>,
    /// Whether it has its inputs at hand and keeps its outputs, wherever the models' homes are.
    pub is_at_hand: bool,
}

/// Where the profile of a device is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// The file.
    pub trace: PathBuf,
    /// What it calls the device.
    pub device: String,
    /// The hardware and the software that it was taken on; `None` if it was not read.
    pub taken_on: Option<(String, String)>,
    /// What the device was then, if the trace says it.
    pub unit: Option<String>,
    /// How the device differs from the one that was profiled.
    pub mismatch: Option<String>,
}

/// The key of a trace's header that says what a device was: its name there, a colon, and the cores.
pub const DEVICE_KEY: &str = "device";

/// A strategy of a scenario.
pub struct Entry {
    /// Unique in the scenario.
    pub name: String,
    /// What it does.
    pub strategy: Box<dyn Strategy>,
}

/// Points whose mistakes are looked for before more are tried.
const CHUNK: usize = 4096;

impl Scenario {
    /// Reads the scenario at `path`, changed by `overrides` such as `load.offline.samples=100`, and its traces.
    ///
    /// # Errors
    /// Everything that is wrong with any of them.
    pub fn read(path: &Path, overrides: &[String]) -> Result<Scenario, Diagnostics> {
        let overrides = Overrides::of_set(overrides);
        Scenario::parse(path, file::read(path, file::TEXT_BYTES_MAX), &overrides, false, Some(&file::read))
    }

    /// As [`Scenario::read`], without the traces, which are to be made: there are no costs.
    ///
    /// # Errors
    /// Everything else that is wrong.
    pub fn read_unprofiled(path: &Path, overrides: &[String]) -> Result<Scenario, Diagnostics> {
        let overrides = Overrides::of_set(overrides);
        Scenario::parse(path, file::read(path, file::TEXT_BYTES_MAX), &overrides, false, None)
    }

    /// As [`Scenario::read`], and overrides may change the sweep.
    ///
    /// # Errors
    /// Everything that is wrong with any of them.
    pub fn read_sweep(path: &Path, overrides: &Overrides) -> Result<Scenario, Diagnostics> {
        Scenario::parse(path, file::read(path, file::TEXT_BYTES_MAX), overrides, true, Some(&file::read))
    }

    /// The scenario that `bytes` are, if the file at `path` had these; `load` reads traces, if they are to be read.
    fn parse(
        path: &Path,
        bytes: Result<Vec<u8>, FileMistake>,
        overrides: &Overrides,
        sweeps: bool,
        load: Option<Load<'_>>,
    ) -> Result<Scenario, Diagnostics> {
        let (mut sources, mut mistakes) = (Sources::default(), Mistakes::default());
        let mut root = read::parse_file(path, &bytes, &mut sources, &mut mistakes);
        if !mistakes.is_empty() {
            return Err(Diagnostics::new(mistakes, &sources));
        }
        let changes = overrides.apply(sweeps, &mut root, &mut sources, &mut mistakes);
        let sweep = Sweep::new(root.get("sweep"), changes, &mut mistakes);
        let mut inputs = vec![InputFile::new(path, bytes.as_deref().unwrap_or_default())];
        let folder = path.parent().unwrap_or(Path::new(""));
        let traces = names(&root, &sweep, "devices", None, "trace");
        let traces = Traces::load(folder, &traces, load, &mut inputs, &mut sources, &mut mistakes);
        // All else is read even where there are no profiles yet.
        let load = load.unwrap_or(&file::read);
        let networks = names(&root, &sweep, "models", Some("onnx"), "file");
        let networks = OnnxFiles::load(folder, &networks, load, &mut inputs, &mut mistakes);
        let mut arrivals = names(&root, &sweep, "load", Some("recorded"), "file");
        arrivals.extend(names(&root, &sweep, "models", Some("recorded"), "file"));
        let parse = |bytes: &[u8]| arrival_files::parse(bytes).map(Arc::new);
        let arrivals = TextFiles::load(folder, &arrivals, (load, parse), &mut inputs, &mut sources, &mut mistakes);
        let bandwidths = names(&root, &sweep, "memories", None, "file");
        let parse = |bytes: &[u8]| parse_bandwidth(bytes).map(Arc::new);
        let bandwidths = TextFiles::load(folder, &bandwidths, (load, parse), &mut inputs, &mut sources, &mut mistakes);
        let files = Files { traces, networks, arrivals, bandwidths };
        let name = read::name(&root, path, &mut mistakes);
        let case = lower::lower(&root, &files, &mut mistakes);
        mistakes.into_result(&sources)?;
        let seed = case.expect("a scenario without mistakes is a case").seed;
        // Points copy the tree, and a sweep may be larger than all else.
        root.remove("sweep");
        let hashes = inputs[1..].iter().map(|input| (input.path.clone(), input.hash.clone())).collect();
        let folder = folder.to_owned();
        Ok(Scenario { name, inputs, sources, root, sweep, files, hashes, folder, seed })
    }

    /// Names the folder of results; a safe file name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Seed of all random draws, unless a sweep sets it.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// What results depend on: the scenario file first, then what it names.
    pub fn inputs(&self) -> &[InputFile] {
        &self.inputs
    }

    /// Where its traces are, in order of their paths.
    pub fn traces(&self) -> impl Iterator<Item = &Path> {
        self.files.traces.paths()
    }

    /// The scenario as it stands, without its sweep.
    ///
    /// # Errors
    /// None so far: mistakes are found by reading.
    pub fn case(&self) -> Result<Case, Diagnostics> {
        let mut mistakes = Mistakes::default();
        let case = lower::lower(&self.root, &self.files, &mut mistakes);
        mistakes.into_result(&self.sources)?;
        Ok(case.expect("a scenario without mistakes is a case"))
    }

    /// All points of the sweep, in order; one without settings if there is no sweep.
    ///
    /// # Errors
    /// Everything that is wrong with any point. So [`Scenario::case_at`] succeeds for each.
    pub fn points(&self) -> Result<Points, Diagnostics> {
        self.points_of(Stride::ALL)
    }

    /// As [`Scenario::points`], of a part of them.
    ///
    /// # Errors
    /// Everything that is wrong with any of these.
    pub fn points_of(&self, stride: Stride) -> Result<Points, Diagnostics> {
        let mut mistakes = Mistakes::default();
        let choices = self.sweep.choices(&mut mistakes);
        let indices: Vec<usize> = (stride.first..choices.len()).step_by(stride.count).collect();
        let mut keys = Vec::with_capacity(indices.len());
        for chunk in indices.chunks(CHUNK) {
            let resolve = |&index: &usize| {
                let (root, mut mistakes) = self.root_at(&choices.point(index));
                lower::lower(&root, &self.files, &mut mistakes);
                (content::key(&root, &|name| self.hashes.get(&self.folder.join(name)).cloned()), mistakes)
            };
            let found: Vec<(PointKey, Mistakes)> = chunk.par_iter().map(resolve).collect();
            for (index, (key, found)) in chunk.iter().zip(found) {
                keys.push(key);
                if !found.is_empty() {
                    let point = choices.point(*index);
                    let settings = point.settings().iter().map(|(path, value)| format!("{path} = {}", shorten(value)));
                    mistakes.extend_noted(found, &format!("at {}", settings.collect::<Vec<_>>().join(", ")));
                }
            }
            if mistakes.len() > CHUNK {
                break;
            }
        }
        mistakes.into_result(&self.sources)?;
        Ok(Points::new(choices, stride, keys))
    }

    /// The scenario with the values of a point of its sweep.
    ///
    /// # Errors
    /// None for a point that [`Scenario::points`] of this scenario returned.
    pub fn case_at(&self, point: &Point) -> Result<Case, Diagnostics> {
        let (root, mut mistakes) = self.root_at(point);
        let case = lower::lower(&root, &self.files, &mut mistakes);
        mistakes.into_result(&self.sources)?;
        Ok(case.expect("a point without mistakes is a case"))
    }

    fn root_at(&self, point: &Point) -> (Node, Mistakes) {
        let (mut root, mut mistakes) = (self.root.clone(), Mistakes::default());
        self.sweep.apply(point, &mut root, &mut mistakes);
        (root, mistakes)
    }
}

/// The texts under `key` anywhere in `section` of the scenario, or in the tables there that are called `within`, and those
/// that a sweep sets, in the file's order.
fn names<'a>(
    root: &'a Node,
    sweep: &'a Sweep,
    section: &'a str,
    within: Option<&'a str>,
    key: &'a str,
) -> Vec<&'a Node> {
    let fits = |name: &str| within.is_none_or(|within| within == name);
    let mut found = Vec::new();
    for (path, node) in sweep.values(section) {
        match node.as_str() {
            Some(_) if path.ends_with(key) && within.is_none_or(|within| path.has(within)) => found.push(node),
            _ => find_texts(node, (within, key), path.last().is_some_and(fits), &mut found),
        }
    }
    if let Some(node) = root.get(section) {
        find_texts(node, (within, key), fits(section), &mut found);
    }
    found.sort_by_key(|node| node.at.start);
    found
}

/// Adds the texts under `key` in the tables called `within`, of which `node` is one or not.
fn find_texts<'a>(node: &'a Node, (within, key): (Option<&str>, &str), is_within: bool, found: &mut Vec<&'a Node>) {
    match &node.value {
        Value::Table(table) => {
            for entry in &table.0 {
                if is_within && entry.key == key && entry.node.as_str().is_some() {
                    found.push(&entry.node);
                }
                let is_within = within.is_none_or(|within| within == entry.key);
                find_texts(&entry.node, (within, key), is_within, found);
            }
        }
        Value::List(list) => list.iter().for_each(|node| find_texts(node, (within, key), is_within, found)),
        _ => {}
    }
}

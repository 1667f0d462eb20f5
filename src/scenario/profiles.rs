//! The traces that a scenario names, each read once, and the curves that follow from them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::diagnostic::{Diagnostics, Faults, Sources};
use super::document::Node;
use super::file::{FileFault, Load, TEXT_BYTES_MAX};
use super::{DEVICE_KEY, InputFile};
use crate::cost;
use crate::cost::{Curve, LayerKey, Lookup, Parts, Trace};
use crate::model::Graph;
use crate::problem::Ratios;
use crate::statistics::median;

/// All traces of a scenario and of its sweep.
#[derive(Debug)]
pub(super) struct Traces {
    /// The folder of the scenario, which traces are named relative to.
    folder: PathBuf,
    are_read: bool,
    /// By path; `None` if it is faulty.
    loaded: BTreeMap<PathBuf, Option<Profiles>>,
    /// Curves that were asked for. Points of a sweep share them.
    curves: Mutex<BTreeMap<Key, Option<Curve>>>,
    parts: Mutex<BTreeMap<Key, Option<Arc<Parts>>>>,
    /// What repeats on devices took by their mean, by trace and device; `None` if there are no repeats.
    ratios: Mutex<BTreeMap<(PathBuf, String), Option<Ratios>>>,
}

/// Trace, device, model, lookup and whether to extrapolate.
type Key = (PathBuf, String, String, u8, bool);

/// A trace and what it has.
#[derive(Debug)]
pub(super) struct Profiles {
    trace: Trace,
    /// The networks that it has times of, by device.
    models: BTreeMap<String, BTreeSet<String>>,
}

impl Traces {
    /// Reads with `load` every trace that one of `named` is the name of; none if there is nothing to read with.
    pub(super) fn load(
        folder: &Path,
        named: &[&Node],
        load: Option<Load<'_>>,
        inputs: &mut Vec<InputFile>,
        sources: &mut Sources,
        faults: &mut Faults,
    ) -> Traces {
        let mut loaded = BTreeMap::new();
        for (node, load) in named.iter().flat_map(|node| Some((node, load?))) {
            let path = folder.join(node.as_str().unwrap_or_default());
            if loaded.contains_key(&path) {
                continue;
            }
            let profiles = match load(&path, TEXT_BYTES_MAX) {
                Ok(bytes) => {
                    inputs.push(InputFile::new(&path, &bytes));
                    parse(&path, &bytes, sources, faults)
                }
                Err(FileFault { cause, remedy }) => {
                    faults.add(&node.at, cause, remedy);
                    None
                }
            };
            loaded.insert(path, profiles);
        }
        Traces {
            folder: folder.to_owned(),
            are_read: load.is_some(),
            loaded,
            curves: Mutex::default(),
            parts: Mutex::default(),
            ratios: Mutex::default(),
        }
    }

    /// Whether traces were to be read.
    pub(super) fn are_read(&self) -> bool {
        self.are_read
    }

    /// Where the trace called `name` in the scenario is.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The trace called `name` in the scenario; `None` if it is faulty or was not to be read.
    pub(super) fn get(&self, name: &str) -> Option<&Profiles> {
        self.loaded.get(&self.folder.join(name))?.as_ref()
    }

    /// The time of `model` on `device`, both as the trace calls them.
    pub(super) fn curve(
        &self,
        trace: &str,
        device: &str,
        model: &str,
        lookup: Lookup,
        extrapolate: bool,
    ) -> Option<Curve> {
        let profiles = self.get(trace)?;
        let key = (self.folder.join(trace), device.to_owned(), model.to_owned(), lookup as u8, extrapolate);
        let mut curves = self.curves.lock().unwrap_or_else(PoisonError::into_inner);
        let curve = || Curve::new(&profiles.trace, device, model, lookup, extrapolate);
        curves.entry(key).or_insert_with(curve).clone()
    }

    /// What raw repeats on `device`, as the trace calls it, took by their mean; `None` if it keeps no repeats.
    pub(super) fn ratios(&self, trace: &str, device: &str) -> Option<Ratios> {
        let profiles = self.get(trace)?;
        let key = (self.folder.join(trace), device.to_owned());
        let mut ratios = self.ratios.lock().unwrap_or_else(PoisonError::into_inner);
        ratios.entry(key).or_insert_with(|| Ratios::new(profiles.trace.repeat_ratios(device)).ok()).clone()
    }

    /// The times of the units of `graph`, which the trace calls `model`, on `device`.
    pub(super) fn parts(
        &self,
        trace: &str,
        device: &str,
        model: &str,
        graph: &Graph,
        lookup: Lookup,
        extrapolate: bool,
    ) -> Option<Arc<Parts>> {
        let profiles = self.get(trace)?;
        let key = (self.folder.join(trace), device.to_owned(), model.to_owned(), lookup as u8, extrapolate);
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Parts::new(&profiles.trace, device, model, graph, lookup, extrapolate).map(Arc::new);
        match parts.entry(key).or_insert_with(new) {
            Some(known) if !known.are_of(graph) => new(),
            known => known.clone(),
        }
    }
}

impl Profiles {
    /// The hardware and the software that it was taken on.
    pub(super) fn taken_on(&self) -> (String, String) {
        let stated = |key| self.trace.header.get(key).map_or_else(String::new, |values| values.join("; "));
        (stated("hardware"), stated("software"))
    }

    /// What `device` was when it was profiled, if the trace says it.
    pub(super) fn unit(&self, device: &str) -> Option<&str> {
        let stated = self.trace.header.get(DEVICE_KEY)?.iter();
        stated.filter_map(|text| text.strip_prefix(device)?.strip_prefix(": ")).next()
    }

    /// The median factor by which whole networks on `device` are slower while `beside` runs the same, of those in
    /// `models`; `None` if that was not measured.
    pub(super) fn slowdown(&self, device: &str, beside: &str, models: &BTreeSet<&str>) -> Option<f64> {
        let mut factors: Vec<f64> = Vec::new();
        for model in models {
            let alone = self.trace.times(device, model, &LayerKey::Whole);
            let both = self.trace.times_beside(device, model, &LayerKey::Whole, beside);
            factors.extend(
                both.iter()
                    .filter_map(|(&batch, point)| Some(point.of_batch(batch) / alone.get(&batch)?.of_batch(batch))),
            );
        }
        median(factors)
    }

    /// The devices it has.
    pub(super) fn devices(&self) -> impl Iterator<Item = &str> {
        self.models.keys().map(String::as_str)
    }

    /// The networks that it has times of on `device`, as the trace calls it.
    pub(super) fn models(&self, device: &str) -> impl Iterator<Item = &str> {
        self.models.get(device).into_iter().flatten().map(String::as_str)
    }
}

fn parse(path: &Path, bytes: &[u8], sources: &mut Sources, faults: &mut Faults) -> Option<Profiles> {
    if bytes.trim_ascii().is_empty() {
        let start = sources.add(path.to_string_lossy(), "");
        let remedy = "write a trace into it, or name another one; traces begin with `# coinfer trace 1`";
        faults.add(&(start..start), "the trace is empty", remedy);
        return None;
    }
    match Trace::parse(bytes) {
        Ok(trace) => {
            let mut models: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
            for row in &trace.rows {
                let of_device = models.entry(row.device.clone()).or_default();
                if row.layer != LayerKey::Io {
                    of_device.insert(row.model.clone());
                }
            }
            Some(Profiles { trace, models })
        }
        Err(found) => {
            add_faults(&path.to_string_lossy(), &String::from_utf8_lossy(bytes), found, sources, faults);
            None
        }
    }
}

/// Adds what is wrong with a file that has this text.
pub(super) fn add_faults(name: &str, text: &str, found: Vec<cost::Fault>, sources: &mut Sources, faults: &mut Faults) {
    let start = sources.add(name, text);
    let (mut lines, mut end) = (Vec::new(), start);
    for line in text.split_inclusive('\n') {
        lines.push(end..end + line.trim_end().len());
        end += line.len();
    }
    for fault in found {
        let at = lines.get(fault.line.saturating_sub(1)).unwrap_or(&(end..end)).clone();
        faults.add(&at, fault.cause, fault.remedy);
    }
}

impl Diagnostics {
    /// What is wrong with files that are no scenarios: each one's name, its bytes and its faults. Lines of files that
    /// are no text are not shown.
    pub fn of_files<'a>(files: impl IntoIterator<Item = (&'a str, &'a [u8], Vec<cost::Fault>)>) -> Diagnostics {
        let (mut sources, mut faults) = (Sources::default(), Faults::default());
        for (name, bytes, found) in files {
            add_faults(name, std::str::from_utf8(bytes).unwrap_or_default(), found, &mut sources, &mut faults);
        }
        Diagnostics::new(faults, &sources)
    }
}

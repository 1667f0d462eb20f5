//! The traces that a scenario names, each read once, and the curves that follow from them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::diagnostic::{Diagnostics, Mistakes, Sources};
use super::document::Node;
use super::file::{FileMistake, Load, TEXT_BYTES_MAX};
use super::{DEVICE_KEY, InputFile};
use crate::cost;
use crate::cost::{Curve, LayerKey, Lookup, Parts, Trace};
use crate::model::Graph;
use crate::platform::Precision;
use crate::problem::Ratios;
use crate::statistics::median;
use crate::units::Share;

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
    /// What repeats on devices took by the times of their points, by trace and device.
    ratios: Mutex<BTreeMap<(PathBuf, String, Precision), Arc<RatiosOf>>>,
}

/// By network, as traces call it, and batch.
pub(super) type RatiosOf = BTreeMap<(String, u32), Ratios>;

/// Trace, device, precision, model, lookup, whether to extrapolate, and share of the device.
type Key = (PathBuf, String, Precision, String, u8, bool, Share);

/// A network on a device, as a trace calls both.
pub(super) struct TraceNames<'a> {
    pub(super) trace: &'a str,
    pub(super) device: &'a str,
    /// What the device computes in.
    pub(super) precision: Precision,
    pub(super) model: String,
    /// The part of the device that ran it.
    pub(super) share: Share,
}

/// A trace and what it has.
#[derive(Debug)]
pub(super) struct Profiles {
    trace: Trace,
    /// What it has of parts of devices.
    of_shares: BTreeMap<Share, Trace>,
    /// The networks that it has times of and the precisions of these, by device.
    models: BTreeMap<String, BTreeMap<String, BTreeSet<Precision>>>,
}

impl Traces {
    /// Reads with `load` every trace that one of `named` is the name of; none if there is nothing to read with.
    pub(super) fn load(
        folder: &Path,
        named: &[&Node],
        load: Option<Load<'_>>,
        inputs: &mut Vec<InputFile>,
        sources: &mut Sources,
        mistakes: &mut Mistakes,
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
                    parse(&path, &bytes, sources, mistakes)
                }
                Err(FileMistake { cause, remedy }) => {
                    mistakes.add(&node.at, cause, remedy);
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

    /// Where the traces are, in order.
    pub(super) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.loaded.keys().map(PathBuf::as_path)
    }

    /// Where the trace called `name` in the scenario is.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The trace called `name` in the scenario; `None` if it is faulty or was not to be read.
    pub(super) fn get(&self, name: &str) -> Option<&Profiles> {
        self.loaded.get(&self.folder.join(name))?.as_ref()
    }

    /// The time of a whole network.
    pub(super) fn curve(&self, of: &TraceNames<'_>, lookup: Lookup, extrapolate: bool) -> Option<Curve> {
        let profiles = self.get(of.trace)?;
        let mut curves = self.curves.lock().unwrap_or_else(PoisonError::into_inner);
        let trace = profiles.of_share(of.share)?;
        let curve = || Curve::new(trace, of.device, of.precision, &of.model, lookup, extrapolate);
        curves.entry(self.key(of, lookup, extrapolate)).or_insert_with(curve).clone()
    }

    fn key(&self, of: &TraceNames<'_>, lookup: Lookup, extrapolate: bool) -> Key {
        let path = self.folder.join(of.trace);
        (path, of.device.to_owned(), of.precision, of.model.clone(), lookup as u8, extrapolate, of.share)
    }

    /// What raw repeats on `device`, as the trace calls it, took by the times of their points; empty if it keeps none.
    pub(super) fn ratios(&self, trace: &str, device: &str, precision: Precision) -> Option<Arc<RatiosOf>> {
        let profiles = self.get(trace)?;
        let key = (self.folder.join(trace), device.to_owned(), precision);
        let mut ratios = self.ratios.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || {
            let found = profiles.trace.repeat_ratios(device, precision).into_iter();
            let of_point = |((model, batch), ratios): ((&str, u32), _)| {
                Some(((model.to_owned(), batch), Ratios::new(ratios).ok()?))
            };
            Arc::new(found.filter_map(of_point).collect())
        };
        Some(ratios.entry(key).or_insert_with(new).clone())
    }

    /// The times of the units of `graph`, which is the network.
    pub(super) fn parts(
        &self,
        of: &TraceNames<'_>,
        graph: &Graph,
        lookup: Lookup,
        extrapolate: bool,
    ) -> Option<Arc<Parts>> {
        let profiles = self.get(of.trace)?;
        let trace = profiles.of_share(of.share)?;
        let key = self.key(of, lookup, extrapolate);
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || {
            let (device, model) = (of.device, &of.model);
            Parts::new(trace, device, of.precision, model, graph, lookup, extrapolate).map(Arc::new)
        };
        match parts.entry(key).or_insert_with(new) {
            Some(known) if !known.are_of(graph) => new(),
            known => known.clone(),
        }
    }
}

impl Profiles {
    /// What it has of devices with this share of their compute units.
    fn of_share(&self, share: Share) -> Option<&Trace> {
        if share == Share::FULL { Some(&self.trace) } else { self.of_shares.get(&share) }
    }

    /// Parts of devices that it has rows of.
    pub(super) fn shares(&self) -> impl Iterator<Item = Share> {
        self.of_shares.keys().copied()
    }

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
    pub(super) fn slowdown(
        &self,
        device: &str,
        precision: Precision,
        beside: &str,
        models: &BTreeSet<&str>,
    ) -> Option<f64> {
        let mut factors: Vec<f64> = Vec::new();
        for model in models {
            let alone = self.trace.times(device, precision, model, &LayerKey::Whole);
            let both = self.trace.times_beside(device, precision, model, &LayerKey::Whole, beside);
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

    /// The networks that it has times of on `device`, as the trace calls it, in `precision`.
    pub(super) fn models(&self, device: &str, precision: Precision) -> impl Iterator<Item = &str> {
        let models = self.models.get(device).into_iter().flatten();
        models.filter(move |(_, precisions)| precisions.contains(&precision)).map(|(model, _)| model.as_str())
    }

    /// The precisions in which it has times of `model` on `device`, as the trace calls both.
    pub(super) fn precisions(&self, device: &str, model: &str) -> impl Iterator<Item = Precision> {
        self.models.get(device).and_then(|models| models.get(model)).into_iter().flatten().copied()
    }
}

fn parse(path: &Path, bytes: &[u8], sources: &mut Sources, mistakes: &mut Mistakes) -> Option<Profiles> {
    if bytes.trim_ascii().is_empty() {
        let start = sources.add(path.to_string_lossy(), "");
        let remedy = "write a trace into it, or name another one; traces begin with `# coinfer trace 1`";
        mistakes.add(&(start..start), "the trace is empty", remedy);
        return None;
    }
    match Trace::parse(bytes) {
        Ok(trace) => {
            let mut models: BTreeMap<String, BTreeMap<String, BTreeSet<Precision>>> = BTreeMap::new();
            for row in trace.rows.iter().chain(trace.shares.values().flatten()) {
                let of_device = models.entry(row.device.clone()).or_default();
                if row.layer != LayerKey::Io {
                    of_device.entry(row.model.clone()).or_default().insert(row.precision);
                }
            }
            let of_shares = trace.shares.keys().map(|&share| (share, trace.of_share(share))).collect();
            Some(Profiles { trace, of_shares, models })
        }
        Err(found) => {
            add_mistakes(&path.to_string_lossy(), &String::from_utf8_lossy(bytes), found, sources, mistakes);
            None
        }
    }
}

/// Adds what is wrong with a file that has this text.
pub(super) fn add_mistakes(
    name: &str,
    text: &str,
    found: Vec<cost::Mistake>,
    sources: &mut Sources,
    mistakes: &mut Mistakes,
) {
    let start = sources.add(name, text);
    let (mut lines, mut end) = (Vec::new(), start);
    for line in text.split_inclusive('\n') {
        lines.push(end..end + line.trim_end().len());
        end += line.len();
    }
    for fault in found {
        let at = lines.get(fault.line.saturating_sub(1)).unwrap_or(&(end..end)).clone();
        mistakes.add(&at, fault.cause, fault.remedy);
    }
}

impl Diagnostics {
    /// What is wrong with files that are no scenarios: each one's name, its bytes and its mistakes. Lines of files that
    /// are no text are not shown.
    pub fn of_files<'a>(files: impl IntoIterator<Item = (&'a str, &'a [u8], Vec<cost::Mistake>)>) -> Diagnostics {
        let (mut sources, mut mistakes) = (Sources::default(), Mistakes::default());
        for (name, bytes, found) in files {
            add_mistakes(name, std::str::from_utf8(bytes).unwrap_or_default(), found, &mut sources, &mut mistakes);
        }
        Diagnostics::new(mistakes, &sources)
    }
}

//! The trace in the making, which every reader of a format adds to.

use std::collections::{BTreeMap, BTreeSet};

use super::super::read::{BATCH_MAX, TIME_MS_MAX, TIME_MS_MIN};
use super::super::trace::{Kind, LayerKey, Mistake, Row, Rows, Statistic};
use super::name::{brief, clean, one_line};
use super::{Class, Hints, Reading, Source, SourceFault};
use crate::platform::Precision;
use crate::units::Share;

/// Faults of a file that are listed one by one.
pub(super) const FAULTS_MAX: usize = 100;
/// Faults of a file that are kept, to be put in order of lines.
const FAULTS_KEPT: usize = 10_000;
/// Notes that are listed one by one.
const NOTES_MAX: usize = 50;

/// A fault of a file.
pub(super) fn fault(line: usize, cause: impl Into<String>, remedy: impl Into<String>) -> Mistake {
    Mistake { line, cause: cause.into(), remedy: remedy.into() }
}

/// Where a measurement was found.
#[derive(Clone, Copy, Debug)]
pub(super) struct At {
    /// Index of the file.
    pub(super) source: usize,
    /// Line in it, from 1.
    pub(super) line: usize,
}

/// What was measured.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Subject {
    /// The device.
    pub(super) device: String,
    /// The network.
    pub(super) model: String,
    /// What the device computed in.
    pub(super) precision: Precision,
    /// Samples.
    pub(super) batch: u32,
    /// What of the network.
    pub(super) layer: LayerKey,
}

/// The trace in the making.
pub(super) struct TraceBuilder<'a> {
    /// What the user says.
    pub(super) hints: &'a Hints,
    pub(super) names: Vec<&'a str>,
    pub(super) kind: Option<(Kind, usize)>,
    pub(super) header: BTreeMap<String, Vec<String>>,
    stated: BTreeMap<(String, String), usize>,
    pub(super) rows: Vec<(usize, usize, Share, Row)>,
    pub(super) series: BTreeMap<Subject, Series>,
    pub(super) readings: Vec<Reading>,
    pub(super) notes: Vec<String>,
    pub(super) notes_left_out: usize,
    /// Places without a measurable time, and places with some repeats too short to measure.
    pub(super) untimed: Vec<String>,
    pub(super) summed: Vec<String>,
    pub(super) faults: Vec<SourceFault>,
    /// Faults of each file.
    pub(super) fault_counts: BTreeMap<usize, usize>,
    /// Files that describe others and have no measurement of their own.
    pub(super) descriptions: BTreeSet<usize>,
    /// Measurements so far, which gives them their order.
    count: usize,
}

/// Raw repeats of one place.
pub(super) struct Series {
    pub(super) order: usize,
    pub(super) repeats: Vec<(At, f64)>,
}

impl<'a> TraceBuilder<'a> {
    /// An empty trace.
    pub(super) fn new(sources: &[Source<'a>], hints: &'a Hints) -> TraceBuilder<'a> {
        TraceBuilder {
            hints,
            names: sources.iter().map(|source| source.name).collect(),
            kind: None,
            header: BTreeMap::new(),
            stated: BTreeMap::new(),
            rows: vec![],
            series: BTreeMap::new(),
            readings: vec![],
            notes: vec![],
            notes_left_out: 0,
            untimed: vec![],
            summed: vec![],
            faults: vec![],
            fault_counts: BTreeMap::new(),
            descriptions: BTreeSet::new(),
            count: 0,
        }
    }

    /// Records what is wrong with a file, once.
    pub(super) fn refuse(&mut self, source: usize, fault: Mistake) {
        let found = SourceFault { source, fault };
        let listed = self.faults.iter().rev().take(FAULTS_MAX).any(|known| *known == found);
        if listed {
            return;
        }
        let count = self.fault_counts.entry(source).or_insert(0);
        *count += 1;
        if *count <= FAULTS_KEPT {
            self.faults.push(found);
        }
    }

    /// States that a file has no measurement, and need not have one.
    pub(super) fn describes(&mut self, source: usize) {
        self.descriptions.insert(source);
    }

    /// Whether anything is wrong so far.
    pub(super) fn has_faults(&self) -> bool {
        !self.faults.is_empty()
    }

    /// Records what a careful user should know, once.
    pub(super) fn note(&mut self, note: impl Into<String>) {
        let note = note.into();
        if self.notes.contains(&note) {
            return;
        }
        if self.notes.len() < NOTES_MAX {
            self.notes.push(note);
        } else {
            self.notes_left_out += 1;
        }
    }

    /// Adds to the provenance what no other file stated.
    pub(super) fn state(&mut self, source: usize, key: &str, value: &str) {
        let value = value.split('\n').map(str::trim).collect::<Vec<_>>().join(" ");
        let first = *self.stated.entry((key.to_owned(), value.clone())).or_insert(source);
        if first == source {
            self.header.entry(key.to_owned()).or_default().push(value);
        }
    }

    /// Says how the figures of a file came to be.
    pub(super) fn of_kind(&mut self, source: usize, kind: Kind) {
        match self.kind {
            Some((known, first)) if known != kind => {
                let cause =
                    format!("its figures are {}, and those of `{}` are {}", word(kind), self.name(first), word(known));
                self.refuse(source, fault(1, cause, "import them apart"));
            }
            _ => self.kind = self.kind.or(Some((kind, source))),
        }
    }

    /// States that a file of another program was read.
    pub(super) fn of_program(&mut self, source: usize, software: &str) {
        self.of_kind(source, Kind::Measured);
        let name = self.name(source).to_owned();
        self.state(source, "source", &name);
        self.state(source, "software", software);
    }

    /// Records how a row was taken.
    pub(super) fn reading(&mut self, at: At, name: &str, class: Class, why: impl Into<String>, time_ms: Option<f64>) {
        let (source, line) = (at.source, Some(at.line));
        self.readings.push(Reading { source, line, name: one_line(name), class, why: why.into(), time_ms });
    }

    /// The device of a file: what the user says, or else what the file does.
    pub(super) fn device(&mut self, source: usize, stated: Option<&str>) -> Option<String> {
        let hint = self.hints.device.clone();
        self.stated(source, hint.as_deref().or(stated), "device it was recorded on", "--device")
    }

    /// The network of a file: what the user says, or else what the file does.
    pub(super) fn model(&mut self, source: usize, stated: Option<&str>) -> Option<String> {
        let hint = self.hints.model.clone();
        self.stated(source, hint.as_deref().or(stated), "network it is of", "--model")
    }

    fn stated(&mut self, source: usize, name: Option<&str>, what: &str, flag: &str) -> Option<String> {
        let name = name.map(str::trim).filter(|name| !name.is_empty()).map(clean);
        if name.is_none() {
            let cause = format!("the file does not say which {what}");
            self.refuse(source, fault(1, cause, format!("name it with {flag}")));
        }
        name
    }

    /// What the device of a file computed in: what the user says, or else what the file does, or else fp32.
    pub(super) fn precision(&mut self, stated: Option<Precision>) -> Precision {
        if let (Some(hint), Some(stated)) = (self.hints.precision, stated)
            && hint != stated
        {
            self.note(format!("the precision is {hint} as the user says, though a file says {stated}"));
        }
        self.hints.precision.or(stated).unwrap_or_default()
    }

    /// The samples of a run: what the user says, or else what a shape does.
    pub(super) fn batch(&mut self, at: At, of_shape: Option<i64>) -> Option<u32> {
        let usable = |batch: i64| u32::try_from(batch).ok().filter(|batch| (1..=BATCH_MAX).contains(batch));
        let found = match self.hints.batch {
            Some(batch) => {
                let other = of_shape.filter(|&of_shape| of_shape != i64::from(batch));
                if let Some(other) = other {
                    self.note(format!("the batch is {batch} as the user says, though a shape says {other}"));
                }
                usable(i64::from(batch))
            }
            None => of_shape.and_then(usable),
        };
        if found.is_none() {
            let cause = match self.hints.batch {
                Some(batch) => format!("`{batch}` is not a batch"),
                None => "no shape says how many samples a run has".to_owned(),
            };
            self.refuse(at.source, fault(at.line, cause, format!("give it with --batch, from 1 to {BATCH_MAX}")));
        }
        found
    }

    /// Whether `time_ms` is a time, if a short one; it is a fault if not.
    pub(super) fn is_time(&mut self, at: At, what: &str, time_ms: f64) -> bool {
        let right = (0.0..=TIME_MS_MAX).contains(&time_ms);
        if !right {
            let cause = format!("`{}` has {time_ms} ms, which is not a time", brief(what));
            self.refuse(at.source, fault(at.line, cause, "export it again; times lie between 0 and 1000 days"));
        }
        right
    }

    /// Adds one repeat of a place.
    pub(super) fn repeat(&mut self, at: At, place: Subject, time_ms: f64) {
        self.count += 1;
        let series = self.series.entry(place).or_insert(Series { order: self.count, repeats: vec![] });
        series.repeats.push((at, time_ms));
    }

    /// Adds a time that is a statistic over repeats.
    pub(super) fn statistic(&mut self, at: At, place: Subject, statistic: Statistic, repeats: u32, time_ms: f64) {
        if time_ms < TIME_MS_MIN {
            self.untimed.push(described(&place));
            return;
        }
        self.row(at.source, Share::FULL, made_row(at, &place, statistic, repeats.clamp(1, BATCH_MAX), time_ms));
    }

    /// Adds a row as it is, which was measured on a share of its device.
    pub(super) fn row(&mut self, source: usize, share: Share, row: Row) {
        self.count += 1;
        self.rows.push((self.count, source, share, row));
    }

    /// Name of a file.
    pub(super) fn name(&self, source: usize) -> &'a str {
        self.names.get(source).copied().unwrap_or_default()
    }
}

pub(super) fn made_row(at: At, subject: &Subject, statistic: Statistic, repeat: u32, time_ms: f64) -> Row {
    Row {
        line: at.line,
        device: subject.device.clone(),
        model: subject.model.clone(),
        precision: subject.precision,
        layer: subject.layer.clone(),
        batch: subject.batch,
        rows: Rows::All,
        beside: None,
        statistic,
        repeat,
        time_ms,
        per_sample: false,
    }
}

pub(super) fn described(subject: &Subject) -> String {
    let layer = match &subject.layer {
        LayerKey::Whole => "whole",
        LayerKey::Io => "io",
        LayerKey::Named(name) => name,
    };
    let device = subject.precision.of(&brief(&subject.device));
    format!("{} of {} on {device} at batch {}", brief(layer), brief(&subject.model), subject.batch)
}

pub(super) fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Measured => "measured",
        Kind::Digitised => "digitised",
        Kind::Derived => "derived",
    }
}

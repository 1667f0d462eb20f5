//! The end of an import: from what was gathered to a trace, or to all faults.

use std::collections::{BTreeMap, BTreeSet};

use super::super::read::{BATCH_MAX, HEADER_KEYS, TIME_MS_MIN};
use super::super::trace::{Kind, Row, Statistic, Trace};
use super::build::{At, FAULTS_MAX, Subject, TraceBuilder, described, fault, made_row, word};
use super::{Imported, SourceFault};
use crate::units::Share;

/// Names that a note lists.
const NAMES_MAX: usize = 5;
const NOT_STATED: &str = "not stated";

impl TraceBuilder<'_> {
    /// The finished trace, or all faults.
    pub(super) fn finish(mut self) -> Result<Imported, Vec<SourceFault>> {
        self.emit_series();
        self.note_short();
        self.unify_times();
        self.find_duplicates();
        if self.faults.is_empty() {
            self.find_unread();
        }
        if self.rows.is_empty() && self.faults.is_empty() {
            let cause = "the files have no measurement that can be used";
            self.refuse(0, fault(1, cause, "see with --explain how each row was read"));
        }
        if !self.faults.is_empty() {
            return Err(listed(self.faults, &self.fault_counts));
        }
        if self.notes_left_out > 0 {
            self.notes.push(format!("{} more notes were left out", self.notes_left_out));
        }
        for note in &self.notes {
            self.header.entry("note".to_owned()).or_default().push(note.clone());
        }
        let kind = self.kind.map_or(Kind::Measured, |(kind, _)| kind);
        self.header.insert("kind".to_owned(), vec![word(kind).to_owned()]);
        for key in HEADER_KEYS {
            let values = self.header.entry(key.to_owned()).or_default();
            if values.iter().all(String::is_empty) {
                *values = vec![NOT_STATED.to_owned()];
            }
        }
        self.rows.sort_by_key(|(order, ..)| *order);
        self.readings.sort_by_key(|reading| (reading.source, reading.line));
        let mut shares: BTreeMap<Share, Vec<Row>> = BTreeMap::new();
        for (_, _, share, row) in self.rows {
            shares.entry(share).or_default().push(row);
        }
        let rows = shares.remove(&Share::FULL).unwrap_or_default();
        let trace = Trace { kind, header: self.header, rows, shares };
        Ok(Imported { trace, readings: self.readings, notes: self.notes })
    }

    /// Raw repeats, or their sum where some are too short for the clock of the profiler.
    fn emit_series(&mut self) {
        let mut taken: BTreeMap<Subject, u32> = BTreeMap::new();
        for (.., row) in self.rows.iter().filter(|(_, _, share, _)| *share == Share::FULL) {
            if row.statistic == Statistic::Raw {
                let repeat = taken.entry(place_of(row)).or_insert(0);
                *repeat = row.repeat.max(*repeat);
            }
        }
        for (place, series) in std::mem::take(&mut self.series) {
            let Some(&(first, _)) = series.repeats.first() else { continue };
            let all = series.repeats.len();
            let earlier = taken.get(&place).copied().unwrap_or(0);
            let room = (BATCH_MAX - earlier) as usize;
            if all > room {
                self.note(format!("{}: {} repeats beyond {BATCH_MAX} were left out", described(&place), all - room));
            }
            let repeats = &series.repeats[..all.min(room)];
            let short = repeats.iter().filter(|(_, time_ms)| *time_ms < TIME_MS_MIN).count();
            if short == 0 {
                for (index, &(at, time_ms)) in (earlier + 1..).zip(repeats) {
                    self.rows.push((
                        series.order,
                        at.source,
                        Share::FULL,
                        made_row(at, &place, Statistic::Raw, index, time_ms),
                    ));
                }
                continue;
            }
            let sum: f64 = repeats.iter().map(|(_, time_ms)| time_ms).sum();
            if sum < TIME_MS_MIN {
                self.untimed.push(described(&place));
                continue;
            }
            if !self.is_time(first, "the sum of repeats", sum) {
                continue;
            }
            self.summed.push(described(&place));
            let count = repeats.len();
            let row = made_row(first, &place, Statistic::Sum, count as u32, sum);
            self.rows.push((series.order, first.source, Share::FULL, row));
        }
    }

    fn note_short(&mut self) {
        let why = "left out, since it took no measurable time";
        let untimed = std::mem::take(&mut self.untimed);
        self.note_of(&untimed, why);
        let why = "given as the sum of all repeats, since some were too short for the profiler's clock";
        let summed = std::mem::take(&mut self.summed);
        self.note_of(&summed, why);
    }

    fn note_of(&mut self, places: &[String], why: &str) {
        if !places.is_empty() {
            let more = places.len().saturating_sub(NAMES_MAX);
            let more = if more > 0 { format!("; and {more} more") } else { String::new() };
            self.note(format!("{why}: {}{more}", places[..places.len().min(NAMES_MAX)].join("; ")));
        }
    }

    /// Makes times of samples times of batches, where files have both: one table has one of them.
    fn unify_times(&mut self) {
        let of_samples = self.rows.iter().filter(|(.., row)| row.per_sample).count();
        if of_samples == 0 || of_samples == self.rows.len() {
            return;
        }
        self.note("times of one sample were made times of the batch, as the other files have them");
        let mut rows = std::mem::take(&mut self.rows);
        for (_, source, _, row) in rows.iter_mut().filter(|(.., row)| row.per_sample) {
            row.time_ms *= f64::from(row.batch);
            row.per_sample = false;
            self.is_time(At { source: *source, line: row.line }, &row.model, row.time_ms);
        }
        self.rows = rows;
    }

    /// Refuses files of which nothing was read at all.
    fn find_unread(&mut self) {
        let read: BTreeSet<usize> = self.readings.iter().map(|reading| reading.source).collect();
        for source in 0..self.names.len() {
            if !read.contains(&source) && !self.descriptions.contains(&source) {
                let cause = "the file has no measurement in the format that it was read as";
                self.refuse(source, fault(1, cause, "check the file, or name another format with --format"));
            }
        }
    }

    fn find_duplicates(&mut self) {
        let mut seen: BTreeMap<_, (usize, usize)> = BTreeMap::new();
        let mut found = vec![];
        for (_, source, share, row) in &self.rows {
            let repeat = if row.statistic == Statistic::Raw { row.repeat } else { 0 };
            let key = (place_of(row), *share, row.rows, row.beside.clone(), row.statistic, repeat);
            if let Some((first, line)) = seen.insert(key, (*source, row.line)) {
                let name = self.names.get(first).copied().unwrap_or_default();
                let cause = format!("this measures the same as line {line} of {name}: {}", described(&place_of(row)));
                found.push((*source, fault(row.line, cause, "give one of the two only")));
            }
        }
        for (source, fault) in found {
            self.refuse(source, fault);
        }
    }
}

fn place_of(row: &Row) -> Subject {
    let Row { device, model, precision, batch, layer, .. } = row.clone();
    Subject { device, model, precision, batch, layer }
}

/// Faults in order of files and lines, with those beyond a bearable number of a file counted only.
fn listed(mut faults: Vec<SourceFault>, counts: &BTreeMap<usize, usize>) -> Vec<SourceFault> {
    faults.sort_by_key(|found| (found.source, found.fault.line));
    let mut listed: Vec<SourceFault> = Vec::new();
    for of_file in faults.chunk_by(|first, second| first.source == second.source) {
        let shown = of_file.len().min(FAULTS_MAX);
        listed.extend_from_slice(&of_file[..shown]);
        if let [next, ..] = &of_file[shown..] {
            let cause = format!(
                "{} more faults follow from here on",
                counts.get(&next.source).map_or(0, |count| count - shown)
            );
            let fault = fault(next.fault.line, cause, "mend those above first");
            listed.push(SourceFault { source: next.source, fault });
        }
    }
    listed
}

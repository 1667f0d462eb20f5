//! What a reader of times by trtexec should know.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::PoisonError;

use super::Board;
use crate::model::Segment;
use crate::platform::Precision;

/// Layers that a note names.
const NAMED_MAX: usize = 8;

impl Board {
    /// What a reader of its times should know; of where layers ran, for the engines that were used so far.
    pub fn notes(&self) -> Vec<String> {
        let mut notes = vec![
            "steps were timed by trtexec, each alone and in a process of its own: a time is the median of iterations of \
             the computation on the unit, with changes of layout at its ends, without process start and copies from the \
             host"
                .to_owned(),
        ];
        if let Some(standin) = self.standin() {
            notes.insert(0, format!("{standin} took the place of trtexec: no time is of any GPU or DLA"));
        }
        if super::units(&self.platform).any(|unit| unit.precision == Precision::Int8) {
            notes
                .push("int8 without calibration, with fp16 where there is no int8: times count, outputs do not".into());
        }
        notes.extend(self.fallen_back());
        notes
    }

    /// Which layers ran on the GPU that a DLA was asked for, with the batches that this is so for.
    fn fallen_back(&self) -> Vec<String> {
        let engines = self.engines.lock().unwrap_or_else(PoisonError::into_inner);
        let mut found: BTreeMap<[String; 2], (f64, BTreeSet<u32>)> = BTreeMap::new();
        for ((device, model, layers, _, batch), engine) in engines.iter() {
            let placement = &engine.placement;
            let is_dla = self.unit(*device).is_some_and(|unit| unit.dla_core.is_some());
            if !is_dla || placement.gpu.is_empty() {
                continue;
            }
            let segment = Segment::new(layers.iter().copied()).expect("an engine is of a segment");
            let name = &self.platform.device(*device).name;
            let fallen = format!("{} ran on the GPU instead of `{name}`", named(&placement.gpu));
            let entry = found.entry([self.part_name(*model, &segment), fallen]);
            entry.or_insert_with(|| (placement.gpu_share, BTreeSet::new())).1.insert(*batch);
        }
        let note = |([part, fallen], (share, batches)): ([String; 2], (f64, BTreeSet<u32>))| {
            let batches: Vec<String> = batches.iter().map(ToString::to_string).collect();
            let percent = share * 100.0;
            format!("{part}, batch {}: {fallen} ({percent:.0} % of the profiled time)", batches.join(" and "))
        };
        found.into_iter().map(note).collect()
    }
}

/// The first of these names, and how many more there are.
pub(super) fn named(layers: &[String]) -> String {
    let shown: Vec<String> = layers.iter().take(NAMED_MAX).map(|layer| format!("`{layer}`")).collect();
    match layers.len().checked_sub(NAMED_MAX) {
        Some(more) if more > 0 => format!("{} and {more} more", shown.join(", ")),
        _ => shown.join(", "),
    }
}

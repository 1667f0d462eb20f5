//! Reads what a results folder has to draw figures and reports from.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::Error;
use super::file::read_whole;
use crate::figures::html::Provenance;
use crate::figures::{Material, StrategyMaterial};
use crate::output::{Accuracy, CsvMistake, ResultsTable, calibration_accuracy, read_replay_json};
use crate::output::{Effect, slugs};
use crate::output::{
    alternatives, read_finish_times_csv, read_latency_csv, read_predicted_csv, read_sensitivity_csv, read_timeline_csv,
};

/// Further faults of one file are only counted.
const FAULTS_MAX: usize = 20;

/// What the folder `results` has, of which only lines with the values of `conditions`.
pub(super) fn read_material(results: &Path, conditions: &[(String, String)]) -> Result<Material, Error> {
    let mut reader = Reader { folder: results.to_owned(), faults: Vec::new() };
    reader.refuse_other_things()?;
    let material = reader.material();
    reader.done()?;
    only(material, conditions).map_err(|cause| Error::Usage(format!("--where: {cause}")))
}

/// Where the results of the folder come from.
pub(super) fn read_provenance(results: &Path) -> Result<Provenance, Error> {
    let mut reader = Reader { folder: results.to_owned(), faults: Vec::new() };
    let manifest = reader.json("manifest.json").unwrap_or_default();
    let Summary { notes, .. } = reader.json("summary.json").unwrap_or_default();
    reader.done()?;
    Ok(Provenance { manifest, notes })
}

/// A folder and what is wrong with its files.
struct Reader {
    folder: PathBuf,
    faults: Vec<String>,
}

impl Reader {
    fn refuse_other_things(&self) -> Result<(), Error> {
        let shown = self.folder.display();
        let remedy = "name a folder that `coinfer run`, `sweep`, `sensitivity`, `replay` or `calibrate` made";
        match fs::metadata(&self.folder) {
            Err(error) => Err(Error::Usage(format!("cannot read `{shown}`: {error}; {remedy}"))),
            Ok(found) if !found.is_dir() => Err(Error::Usage(format!("`{shown}` is no folder; {remedy}"))),
            Ok(_) if !self.folder.join("manifest.json").is_file() => {
                Err(Error::Usage(format!("`{shown}` has no manifest.json, so it is no folder of results; {remedy}")))
            }
            Ok(_) => Ok(()),
        }
    }

    /// Tells all faults, if there are some.
    fn done(self) -> Result<(), Error> {
        if self.faults.is_empty() {
            return Ok(());
        }
        let faults = self.faults.join("\n  ");
        Err(Error::Usage(format!("`{}` cannot be read:\n  {faults}", self.folder.display())))
    }

    fn material(&mut self) -> Material {
        let Titled { scenario } = self.json("manifest.json").unwrap_or_default();
        let Summary { baseline, .. } = self.json("summary.json").unwrap_or_default();
        let results = self.csv("results.csv", ResultsTable::read);
        let strategies = results.as_ref().map(|table| self.strategies(table)).unwrap_or_default();
        Material {
            title: scenario,
            baseline,
            results,
            finish: self.csv("finish-times.csv", read_finish_times_csv).unwrap_or_default(),
            strategies,
            accuracy: self.accuracy(),
            effects: self.csv("sensitivity.csv", read_sensitivity_csv).unwrap_or_default(),
        }
    }

    /// The folders of strategies; a sweep has none.
    fn strategies(&mut self, table: &ResultsTable) -> Vec<StrategyMaterial> {
        if table.setting_count > 0 {
            return Vec::new();
        }
        let has_plan = |name: &&String| {
            let mut lines = table.lines.iter().filter(|line| table.strategy(line) == **name);
            lines.any(|line| table.value(line, "makespan_ms").is_some())
        };
        let names: Vec<(usize, &String)> =
            table.strategies.iter().enumerate().filter(|(_, name)| has_plan(name)).collect();
        let folders = slugs(names.iter().map(|(_, name)| name.as_str()));
        let of_strategy = names.into_iter().zip(folders).map(|((index, name), folder)| StrategyMaterial {
            name: name.clone(),
            index,
            timeline: self.csv(&format!("{folder}/timeline.csv"), read_timeline_csv).unwrap_or_default(),
            latencies: self.csv(&format!("{folder}/latency.csv"), read_latency_csv).unwrap_or_default(),
            folder,
        });
        of_strategy.collect()
    }

    fn accuracy(&mut self) -> Accuracy {
        if let Some(bytes) = self.bytes("replay.json") {
            return match read_replay_json(&bytes) {
                Ok(found) => found,
                Err(error) => {
                    self.fault("replay.json", format!("{error}; make the results again"));
                    Accuracy::default()
                }
            };
        }
        let rows = self.csv("predicted-measured.csv", read_predicted_csv);
        calibration_accuracy(&rows.unwrap_or_default())
    }

    /// What `read` reads in a file, if there is one that has no faults.
    fn csv<T>(&mut self, name: &str, read: impl Fn(&[u8]) -> Result<T, Vec<CsvMistake>>) -> Option<T> {
        let bytes = self.bytes(name)?;
        let faults = match read(&bytes) {
            Ok(found) => return Some(found),
            Err(faults) => faults,
        };
        self.faults.extend(csv_faults(&self.folder.join(name), &faults));
        None
    }

    fn json<T: DeserializeOwned>(&mut self, name: &str) -> Option<T> {
        let bytes = self.bytes(name)?;
        match serde_json::from_slice(&bytes) {
            Ok(found) => Some(found),
            Err(error) => {
                self.fault(name, format!("{error}; make the results again"));
                None
            }
        }
    }

    /// The file's bytes, if there is one that can be read.
    fn bytes(&mut self, name: &str) -> Option<Vec<u8>> {
        let path = self.folder.join(name);
        if !path.is_file() {
            return None;
        }
        read_whole(&path).map_err(|cause| self.faults.push(cause)).ok()
    }

    fn fault(&mut self, name: &str, cause: String) {
        self.faults.push(format!("{}: {cause}", self.folder.join(name).display()));
    }
}

/// A line for each fault of a file.
pub(super) fn csv_faults(path: &Path, faults: &[CsvMistake]) -> Vec<String> {
    let shown = path.display();
    let line = |CsvMistake { line, cause, remedy }: &CsvMistake| format!("{shown}:{line}: {cause}; {remedy}");
    let mut told: Vec<String> = faults.iter().take(FAULTS_MAX).map(line).collect();
    if let Some(more @ 1..) = faults.len().checked_sub(FAULTS_MAX) {
        told.push(format!("{shown}: and {more} more faults"));
    }
    told
}

/// What of the material has these values: for each key that is named, one of those named with it.
fn only(mut material: Material, conditions: &[(String, String)]) -> Result<Material, String> {
    if conditions.is_empty() {
        return Ok(material);
    }
    if material.results.is_none() && !material.effects.is_empty() {
        material.effects = only_effects(material.effects, conditions)?;
        return Ok(material);
    }
    let table = material.results.take().ok_or("there is no results.csv to choose from")?.only(conditions)?;
    let is_left = |name: &str| table.lines.iter().any(|line| table.strategy(line) == name);
    material.finish.retain(|row| is_left(&row.strategy));
    material.strategies.retain(|strategy| is_left(&strategy.name));
    material.accuracy.rows.retain(|row| is_left(&row.series));
    material.results = Some(table);
    Ok(material)
}

/// The effects on a strategy, or of a constant.
fn only_effects(mut effects: Vec<Effect>, conditions: &[(String, String)]) -> Result<Vec<Effect>, String> {
    for (name, wanted) in alternatives(conditions) {
        let text: fn(&Effect) -> &str = match name {
            "strategy" => |effect| &effect.strategy,
            "key" => |effect| &effect.key,
            _ => return Err(format!("no column to choose by is called `{name}`; name strategy or key")),
        };
        if let Some(absent) = wanted.iter().find(|wanted| effects.iter().all(|effect| text(effect) != **wanted)) {
            return Err(format!("`{name}` is nowhere `{absent}` in sensitivity.csv"));
        }
        effects.retain(|effect| wanted.contains(&text(effect)));
    }
    Ok(effects)
}

/// What is needed of `manifest.json`.
#[derive(Default, Deserialize)]
struct Titled {
    scenario: String,
}

/// What is needed of `summary.json`.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Summary {
    baseline: Option<String>,
    notes: Vec<String>,
}

//! Where results go and what they say of their origin.

use std::io;
use std::path::{Path, PathBuf};

use crate::engine::OUTCOME_REVISION;
use crate::output::{Folder, Input, Manifest, manifest_json};
use crate::scenario::Scenario;

use super::Error;

/// What results follow from, and so what they are called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Origin {
    pub(super) manifest: Manifest,
    /// A hash of all that the results depend on.
    pub(super) run: String,
}

impl Origin {
    /// What `command` does with a scenario and such settings.
    pub(super) fn of_scenario(command: &str, scenario: &Scenario, settings: &[String]) -> Origin {
        let inputs = scenario.inputs().iter();
        let inputs =
            inputs.map(|file| Input { path: file.path.display().to_string(), blake3: file.hash.clone() }).collect();
        Origin::new(command, scenario.name(), inputs, settings, scenario.seed())
    }

    fn new(command: &str, name: &str, inputs: Vec<Input>, settings: &[String], seed: u64) -> Origin {
        let mut hasher = blake3::Hasher::new();
        let (version, revision) = (env!("CARGO_PKG_VERSION"), OUTCOME_REVISION.to_string());
        let of_inputs = inputs.iter().map(|input| input.blake3.as_str());
        for part in
            [command, version, &revision].into_iter().chain(of_inputs).chain(settings.iter().map(String::as_str))
        {
            hasher.update(&(part.len() as u64).to_le_bytes()).update(part.as_bytes());
        }
        let run = hasher.finalize().to_hex()[..8].to_owned();
        let manifest = Manifest {
            scenario: name.to_owned(),
            command: vec![command.to_owned(), inputs.first().map_or_else(String::new, |file| file.path.clone())],
            settings: settings.iter().map(|text| split_setting(text)).collect(),
            inputs,
            seed,
            version: version.to_owned(),
            commit: option_env!("COINFER_COMMIT").map(str::to_owned),
            created: now(),
        };
        Origin { manifest, run }
    }
}

/// A results folder, and the manifest that goes into it.
pub(super) struct Results {
    folder: Folder,
    manifest: Manifest,
}

impl Results {
    /// Begins the folder `out/<scenario>/<prefix><run>` for what `command` does with a scenario.
    pub(super) fn begin(
        out: &Path,
        prefix: &str,
        command: &str,
        scenario: &Scenario,
        overrides: &[String],
    ) -> Result<Results, Error> {
        Results::of_origin(&out.join(scenario.name()), prefix, Origin::of_scenario(command, scenario, overrides))
    }

    /// Begins the folder `folder/<prefix><run>` for what `command` does with `inputs`, of which the results are called
    /// `name`.
    pub(super) fn of_inputs(
        folder: &Path,
        prefix: &str,
        command: &str,
        name: &str,
        inputs: Vec<Input>,
        settings: &[String],
        seed: u64,
    ) -> Result<Results, Error> {
        Results::of_origin(folder, prefix, Origin::new(command, name, inputs, settings, seed))
    }

    /// Begins the folder `folder/<prefix><run>`.
    pub(super) fn of_origin(folder: &Path, prefix: &str, origin: Origin) -> Result<Results, Error> {
        let target: PathBuf = folder.join(format!("{prefix}{}", origin.run));
        Ok(Results { folder: Folder::create(&target)?, manifest: origin.manifest })
    }

    /// Writes one file.
    pub(super) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> Result<(), Error> {
        Ok(self.folder.write(name, bytes)?)
    }

    /// Writes one file of which not all need to fit into memory: what `write` writes.
    pub(super) fn write_with(
        &self,
        name: &str,
        write: impl FnOnce(&mut dyn io::Write) -> io::Result<()>,
    ) -> Result<(), Error> {
        Ok(self.folder.write_with(name, write)?)
    }

    /// Makes the results appear and returns where.
    pub(super) fn commit(self) -> Result<PathBuf, Error> {
        self.folder.write("manifest.json", manifest_json(&self.manifest))?;
        Ok(self.folder.commit()?)
    }
}

/// `key=value` as its two parts.
fn split_setting(text: &str) -> (String, String) {
    let (key, value) = text.split_once('=').unwrap_or((text, ""));
    (key.trim().to_owned(), value.trim().to_owned())
}

#[allow(clippy::disallowed_methods, reason = "the manifest says when it was made; nothing else depends on it")]
pub(super) fn now() -> String {
    humantime::format_rfc3339_seconds(std::time::SystemTime::now()).to_string()
}

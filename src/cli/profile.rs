//! `coinfer profile`: measures the networks of a scenario on this machine and writes the traces that it names.

use std::collections::BTreeMap;
use std::fs;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;

use super::file::write_whole;
use super::hardware::{HardwareArgs, heard, interruption};
use super::links::{links_path, profile_links};
use super::results::now;
use super::visits::Visits;
use super::{Error, ScenarioArgs, Terminal};
use crate::cost::Trace;
use crate::measure::{self, Asked, Provenance, Watch, networks};
use crate::platform::DeviceId;
use crate::replay::Hardware;
use crate::scenario::{Case, Scenario};

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  coinfer profile scenarios/local-cpu.toml\n  \
                        coinfer profile scenarios/local-cpu.toml --units --parts 1,2 --batches 1,2 -o units.csv\n  \
                        coinfer profile scenarios/local-cpu-sweep.toml --segments conv1..maxpool -o front.csv")]
pub(super) struct Profile {
    #[command(flatten)]
    scenario: ScenarioArgs,
    /// The trace to write; the one that the scenario names if absent
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Batches to measure; powers of two up to the load, and the load, if absent
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=65536))]
    batches: Vec<u32>,
    /// Visits to each of them
    #[arg(long, value_name = "COUNT", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    repeats: u32,
    /// Measure single layers too, each with the activations that follow it
    #[arg(long)]
    units: bool,
    /// Measure these layers too, each entry as one step, of each network that has them
    #[arg(long, value_name = "FIRST..LAST,..", value_delimiter = ',')]
    segments: Vec<String>,
    /// With --units and --segments: parts that the rows of their outputs are cut into
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "1",
          value_parser = clap::value_parser!(u32).range(1..=1024))]
    parts: Vec<u32>,
    /// Measure the links to agents, and between them, instead of networks; the result goes beside the scenario if no
    /// file is named
    #[arg(long, conflicts_with_all = ["batches", "units", "segments", "parts", "alone", "fresh"])]
    link: bool,
    /// Run each step once at a time, after others, with caches as cold as steps of plans find them, instead of again and
    /// again
    #[arg(long)]
    cold: bool,
    /// Do not measure how devices slow each other
    #[arg(long)]
    alone: bool,
    /// Forget what an interrupted run has measured
    #[arg(long)]
    fresh: bool,
    #[command(flatten)]
    hardware: HardwareArgs,
}

impl Profile {
    pub(super) fn execute(self, terminal: &Terminal) -> Result<(), Error> {
        let ScenarioArgs { scenario: path, overrides } = &self.scenario;
        let scenario = Scenario::read_unprofiled(path, overrides)?;
        let case = scenario.case()?;
        if self.link {
            let output = self.output.clone().unwrap_or_else(|| links_path(path));
            return profile_links(&case, &self.hardware.fleet(&case)?, self.repeats, &output, terminal);
        }
        let heard = heard(terminal);
        let watch = Watch { interrupted: interruption(), heard: &heard };
        let (networks, samples) = networks(&scenario)?;
        let asked = self.asked();
        let profile = measure::Profile::new(&case, &networks, samples, &asked, &watch)?;
        let outputs = self.outputs(&case, profile.devices())?;
        let hardware = profile.hardware(&self.hardware.settings()?)?;
        let revision = option_env!("COINFER_COMMIT").unwrap_or("not known");
        let mut provenance = Provenance::of(&hardware, now().split('T').next().unwrap_or_default(), revision);
        if self.cold {
            provenance.note("each step ran once at a time, after others, with cold caches");
        }
        let mut journal = self.visits(&outputs, &profile, &provenance, terminal);
        let mut visits = journal.all().to_vec();
        profile.measure(&hardware, &mut visits, |visit| journal.add(visit.clone()), &watch)?;

        for note in notes(&hardware, profile.devices()) {
            terminal.tell(&note);
            provenance.note(&note);
        }
        for (path, devices) in &outputs {
            write_whole(path, profile.trace(&visits, devices, &provenance).to_csv().as_bytes())?;
            terminal.print(format!("{}\n", path.display()))?;
        }
        let drift = profile.drift(&visits);
        terminal.tell(&format!("the speed of the machine varied by {:.1} % meanwhile", drift * 100.0));
        let (unsteady, again) = (profile.unsteady(&visits), profile.again(&visits));
        if again > 0 {
            let left = if unsteady == 0 {
                String::new()
            } else {
                format!("; {unsteady} never found it within 3 % of its usual speed, as notes in the trace say")
            };
            terminal.tell(&format!("{again} visits were made again, since it was off{left}"));
        }
        journal.remove();
        Ok(())
    }

    /// What is to be measured.
    fn asked(&self) -> Asked {
        Asked {
            batches: self.batches.clone(),
            repeats: self.repeats,
            units: self.units,
            segments: self.segments.clone(),
            parts: self.parts.clone(),
            cold: self.cold,
            alone: self.alone,
        }
    }

    /// What was measured before, if a profile with this key was interrupted.
    fn visits(
        &self,
        outputs: &BTreeMap<PathBuf, Vec<DeviceId>>,
        profile: &measure::Profile<'_>,
        provenance: &Provenance,
        terminal: &Terminal,
    ) -> Visits {
        let path = journal_path(outputs);
        let visits = Visits::open(&path, &profile.key(provenance), self.fresh, |visit| profile.knows(visit));
        if !visits.all().is_empty() {
            terminal.tell(&format!("going on after {} visits in {}", visits.all().len(), path.display()));
        }
        visits
    }

    /// The traces to write, with their devices.
    fn outputs(&self, case: &Case, devices: &[DeviceId]) -> Result<BTreeMap<PathBuf, Vec<DeviceId>>, Error> {
        let mut outputs: BTreeMap<PathBuf, Vec<DeviceId>> = BTreeMap::new();
        for &device in devices {
            let named = case.profiles[device.0 as usize].as_ref().map(|profile| profile.trace.clone());
            let path = self.output.clone().or(named).ok_or_else(|| {
                let name = &case.problem.platform.device(device).name;
                Error::Usage(format!("`{name}` names no trace to write; add `trace = \"..\"`, or use -o FILE"))
            })?;
            outputs.entry(path).or_default().push(device);
        }
        for path in outputs.keys() {
            check_output(path)?;
        }
        if self.parts != [1] && !self.units && self.segments.is_empty() {
            return Err(Error::Usage("--parts cuts what --units or --segments measure; name one of them".into()));
        }
        Ok(outputs)
    }
}

/// What a reader of the times of `devices` should know.
fn notes(hardware: &Hardware, devices: &[DeviceId]) -> Vec<String> {
    let mut notes: Vec<String> = Vec::new();
    for driver in devices.iter().filter_map(|&device| hardware.driver(device)) {
        for note in driver.describe().notes {
            if !notes.contains(&note) {
                notes.push(note);
            }
        }
    }
    notes
}

/// Only a trace may be replaced, and a journal is kept beside a file only.
fn check_output(path: &Path) -> Result<(), Error> {
    let shown = path.display();
    let Ok(found) = fs::metadata(path) else { return Ok(()) };
    if !found.is_file() {
        return Err(Error::Usage(format!("`{shown}` is no file; name one for the trace")));
    }
    let mut start = [0; Trace::MAGIC.len()];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut start));
    if found.len() > 0 && (read.is_err() || start != *Trace::MAGIC.as_bytes()) {
        return Err(Error::Usage(format!("`{shown}` exists and is no trace; choose another file with -o")));
    }
    Ok(())
}

fn journal_path(outputs: &BTreeMap<PathBuf, Vec<DeviceId>>) -> PathBuf {
    let first = outputs.keys().next().expect("there is a device");
    let name = first.file_name().unwrap_or_default().to_string_lossy();
    first.with_file_name(format!(".{name}.unfinished"))
}

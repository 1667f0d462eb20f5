//! `coinfer profile`: measures the networks of a scenario on this machine and writes the traces that it names.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::fs::File;
use std::io::Read;
use std::iter;
use std::path::{Path, PathBuf};

use clap::Args;
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom;

use super::bench::{Bench, Network};
use super::file::write_whole;
use super::hardware::{HardwareArgs, interruption};
use super::links::{links_path, profile_links};
use super::profile_trace::{Provenance, trace};
use super::visits::{Visit, Visits};
use super::{Error, ScenarioArgs, Terminal};
use crate::cost::Trace;
use crate::platform::{Device, DeviceId, Runtime};
use crate::problem::Model;
use crate::replay::DeviceInfo;
use crate::replay::cpu::processor;
use crate::replay::profile::Target;
use crate::scenario::{Case, Scenario};
use crate::statistics::median;
use crate::units::Bytes;

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

/// What visits are called that look whether the speed of the machine changes.
const SENTINEL: &str = "sentinel";
/// Visits between two looks at the sentinel.
const SENTINEL_EVERY: usize = 12;
impl Profile {
    pub(super) fn execute(self, terminal: &Terminal) -> Result<(), Error> {
        let ScenarioArgs { scenario: path, overrides } = &self.scenario;
        let scenario = Scenario::read_unprofiled(path, overrides)?;
        let case = scenario.case()?;
        if self.link {
            let output = self.output.clone().unwrap_or_else(|| links_path(path));
            return profile_links(&case, &self.hardware.fleet(&case)?, self.repeats, &output, terminal);
        }
        let (networks, samples) = networks(&scenario)?;
        let devices = devices(&case, &networks, terminal);
        if devices.is_empty() {
            return Err(Error::Usage(
                "no device of the scenario says which cores it is; write `cpu = { cores = \"0\" }`, \
                 `agent = { address = \"10.0.0.2:7071\" }`, or `tensorrt = {}`"
                    .into(),
            ));
        }
        let has = |layers: &String| networks.iter().any(|network| network.graph.find_segment(layers).is_some());
        if let Some(layers) = self.segments.iter().find(|layers| !has(layers)) {
            return Err(Error::Usage(format!(
                "no network computes `{layers}`, as FIRST..LAST in this order; `coinfer models NAME` lists the layers of one"
            )));
        }
        let outputs = self.outputs(&case, &devices)?;
        let (library, fleet) = (self.hardware.library()?, self.hardware.fleet(&case)?);
        let models = networks
            .iter()
            .map(|network| (Model { graph: network.graph.clone(), home: None }, network.weights.clone()));
        let board = self.hardware.board(&case, &models.collect::<Vec<_>>())?;
        if self.cold && board.is_some() {
            let reason = "trtexec warms up and repeats what it times: leave --cold out, or devices of TensorRT";
            return Err(Error::Usage(reason.into()));
        }
        let (targets, pairs) = (self.targets(&devices, samples), self.pairs(&case, &devices, terminal));
        let info = DeviceInfo { name: processor(), software: library.version(), memory: Bytes(0) };
        let mut provenance = Provenance::of(&case, &info, &fleet, board.as_deref());
        if self.cold {
            provenance.note("each step ran once at a time, after others, with cold caches");
        }
        let networks_key: Vec<_> = networks.iter().map(|network| (&network.name, &network.graph)).collect();
        let (repeats, seed) = (self.repeats, case.seed);
        let key = format!("{targets:?} {pairs:?} {repeats} {seed} {} {provenance:?} {networks_key:?}", self.cold);
        let mut visits = self.visits(&outputs, &key, &case, &networks, terminal);
        interruption();
        let bench =
            Bench::new(&case, &networks, &targets, &pairs, (library, fleet, board.clone()), self.cold, terminal)?;
        self.measure(bench, &mut visits, &targets, &pairs, &devices, terminal)?;

        for note in board.iter().flat_map(|board| board.notes()) {
            terminal.tell(&note);
            provenance.note(&note);
        }
        let names: Vec<&str> = networks.iter().map(|network| network.name.as_str()).collect();
        let drift = drift(visits.all(), &devices);
        for (path, devices) in &outputs {
            let trace = trace(&case, &names, visits.all(), devices, &provenance, drift);
            write_whole(path, trace.to_csv().as_bytes())?;
            terminal.print(format!("{}\n", path.display()))?;
        }
        terminal.tell(&format!("the speed of the machine varied by {:.1} % meanwhile", drift * 100.0));
        visits.remove();
        Ok(())
    }

    /// What was measured before, if a profile with this key was interrupted.
    fn visits(
        &self,
        outputs: &BTreeMap<PathBuf, Vec<DeviceId>>,
        key: &str,
        case: &Case,
        networks: &[Network],
        terminal: &Terminal,
    ) -> Visits {
        let path = journal_path(outputs);
        let device_count = case.problem.platform.devices.len() as u32;
        let is_known = |visit: &Visit| {
            let devices = visit.measured.iter().flat_map(|measured| [Some(measured.device), measured.beside]);
            visit.network < networks.len() && devices.flatten().all(|device| device.0 < device_count)
        };
        let visits = Visits::open(&path, key, self.fresh, is_known);
        if !visits.all().is_empty() {
            terminal.tell(&format!("going on after {} visits in {}", visits.all().len(), path.display()));
        }
        visits
    }

    /// Makes every visit that `visits` does not have: devices alone in random order, with a look at the sentinel now
    /// and then, and devices in pairs.
    fn measure(
        &self,
        mut bench: Bench<'_>,
        visits: &mut Visits,
        targets: &[Target],
        pairs: &[[DeviceId; 2]],
        devices: &[DeviceId],
        terminal: &Terminal,
    ) -> Result<(), Error> {
        bench.warm_up(targets, devices)?;
        let networks = bench.networks.len();
        let schedule = self.schedule(bench.networks, targets, bench.case.seed);
        let of_networks = || (0..networks).flat_map(|network| (0..pairs.len()).map(move |pair| (network, pair)));
        let pair_visits: Vec<(usize, usize)> = (0..self.repeats).flat_map(|_| of_networks()).collect();
        let sentinels = schedule.len() / SENTINEL_EVERY + 1;
        let progress = terminal.progress((schedule.len() + pair_visits.len() + sentinels) as u64, "visits");
        for (index, (network, target)) in schedule.iter().enumerate() {
            if index % SENTINEL_EVERY == 0 {
                for &device in devices {
                    let name = format!("{SENTINEL} {index} {}", device.0);
                    bench.visit(visits, name, 0, &Target::Whole { device, batch: 1 })?;
                }
                progress.inc(1);
            }
            bench.visit(visits, format!("{index}"), *network, &targets[*target])?;
            progress.inc(1);
        }
        for (index, (network, pair)) in pair_visits.iter().enumerate() {
            let target = bench.balanced(visits, *network, &pairs[*pair]);
            bench.visit(visits, format!("pair {index}"), *network, &target)?;
            progress.inc(1);
        }
        progress.finish_and_clear();
        Ok(())
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

    /// What is measured of each network, alone.
    fn targets(&self, devices: &[DeviceId], samples: u32) -> Vec<Target> {
        let mut batches: BTreeSet<u32> = self.batches.iter().copied().collect();
        if batches.is_empty() {
            batches.extend((0..).map(|power| 1u32 << power).take_while(|&batch| batch < samples));
            batches.insert(samples);
        }
        let mut targets = Vec::new();
        for &device in devices {
            for &batch in &batches {
                targets.push(Target::Whole { device, batch });
                for &parts in &self.parts.iter().copied().collect::<BTreeSet<u32>>() {
                    targets.extend(self.units.then_some(Target::Units { device, batch, parts }));
                    let segments: BTreeSet<&String> = self.segments.iter().collect();
                    let target = |layers: &String| Target::Segment { device, batch, parts, layers: layers.clone() };
                    targets.extend(segments.into_iter().map(target));
                }
            }
        }
        targets
    }

    /// The pairs of devices that are measured together.
    fn pairs(&self, case: &Case, devices: &[DeviceId], terminal: &Terminal) -> Vec<[DeviceId; 2]> {
        if self.alone {
            return Vec::new();
        }
        let of = |(index, &first): (usize, &DeviceId)| devices[index + 1..].iter().map(move |&second| [first, second]);
        let all: Vec<[DeviceId; 2]> = devices.iter().enumerate().flat_map(of).collect();
        let is_board = |device: DeviceId| case.problem.platform.device(device).runtime.tensorrt().is_some();
        let (kept, apart): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|&[first, second]| is_board(first) == is_board(second));
        for pair in apart {
            let [first, second] = pair.map(|device| &case.problem.platform.device(device).name);
            terminal.tell(&format!("{first} and {second} are not measured together: TensorRT runs one of them only"));
        }
        kept
    }

    /// Every target of every network, as often as asked for, in random order.
    fn schedule(&self, networks: &[Network], targets: &[Target], seed: u64) -> Vec<(usize, usize)> {
        let of_network = |(index, network): (usize, &'_ Network)| {
            let is_there = |&target: &usize| targets[target].is_of(&network.graph);
            (0..targets.len()).filter(is_there).map(|target| (index, target)).collect::<Vec<_>>()
        };
        let all: Vec<(usize, usize)> = networks.iter().enumerate().flat_map(of_network).collect();
        let mut visits = Vec::new();
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        for _ in 0..self.repeats {
            let mut round = all.clone();
            round.shuffle(&mut random);
            visits.extend(round);
        }
        visits
    }
}

/// Whether the scenario says where a device is.
fn is_hardware(case: &Case, device: DeviceId) -> bool {
    case.problem.platform.device(device).runtime != Runtime::Simulated
}

/// The devices that are measured: hardware that can run the networks; of several with one profile, the first.
fn devices(case: &Case, networks: &[Network], terminal: &Terminal) -> Vec<DeviceId> {
    let platform = &case.problem.platform;
    let mut devices: Vec<DeviceId> = Vec::new();
    for device in platform.device_ids().filter(|&device| is_hardware(case, device)) {
        let Device { name, unsupported, class, .. } = platform.device(device);
        let mut layers = networks.iter().flat_map(|network| network.graph.layers());
        if let Some(layer) = layers.find(|layer| unsupported.contains(&layer.op.kind())) {
            terminal.tell(&format!("{name} is not measured: it does not support `{}`", layer.name));
            continue;
        }
        let trace = |device: DeviceId| case.profiles[device.0 as usize].as_ref().map(|profile| &profile.trace);
        let same = |&&other: &&DeviceId| platform.device(other).class == *class && trace(other) == trace(device);
        match devices.iter().find(same) {
            Some(&other) => {
                let other = &platform.device(other).name;
                terminal.tell(&format!("{name} is not measured: it has the profile of {other}"));
            }
            None => devices.push(device),
        }
    }
    devices
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

/// The networks of the scenario and of its sweep that have layers, and the largest load.
fn networks(scenario: &Scenario) -> Result<(Vec<Network>, u32), Error> {
    let mut found: BTreeMap<String, Network> = BTreeMap::new();
    let mut samples = 0;
    let points = scenario.points()?;
    for case in iter::once(scenario.case()).chain(points.iter().map(|point| scenario.case_at(&point))) {
        let case = case?;
        samples = samples.max(case.problem.dispatch.samples_max(case.problem.samples()));
        for ((model, weights), name) in case.problem.models.iter().zip(&case.weights).zip(&case.profiled_models) {
            if let Some(weights) = weights {
                let network = || Network { name: name.clone(), graph: model.graph.clone(), weights: weights.clone() };
                found.entry(name.clone()).or_insert_with(network);
            }
        }
    }
    if found.is_empty() {
        return Err(Error::Usage("no model of the scenario has layers; name one by `zoo` or `onnx`".into()));
    }
    Ok((found.into_values().collect(), samples))
}

fn journal_path(outputs: &BTreeMap<PathBuf, Vec<DeviceId>>) -> PathBuf {
    let first = outputs.keys().next().expect("there is a device");
    let name = first.file_name().unwrap_or_default().to_string_lossy();
    first.with_file_name(format!(".{name}.unfinished"))
}

/// How far the sentinel's times are apart: its slowest over its fastest, of medians of a device, less one.
fn drift(visits: &[Visit], devices: &[DeviceId]) -> f64 {
    let of_device = |&device: &DeviceId| {
        let visits = visits.iter().filter(|visit| visit.name.starts_with(SENTINEL));
        let times = visits.flat_map(|visit| &visit.measured).filter(|measured| measured.device == device);
        let times: Vec<f64> = times.map(|measured| measured.time.as_nanos_f64()).collect();
        // Medians of three tell drift from single slow runs.
        let medians = times.windows(3).filter_map(|window| median(window.iter().copied()));
        let (low, high) = medians.fold((f64::MAX, 0.0f64), |(low, high), time| (low.min(time), high.max(time)));
        if high > 0.0 { high / low - 1.0 } else { 0.0 }
    };
    devices.iter().map(of_device).fold(0.0, f64::max)
}

//! `coinfer profile`: measures the networks of a scenario on this machine and writes the traces that it names.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use clap::Args;
use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom;

use super::hardware::{HardwareArgs, host, interruption};
use super::journal::{Journal, Visit};
use super::profile_trace::{Provenance, trace};
use super::{Error, ScenarioArgs, Terminal};
use crate::cli::file::write_whole;
use crate::cost::LayerKey;
use crate::cost::statistics::quantile;
use crate::model::{Graph, Weights};
use crate::platform::DeviceId;
use crate::problem::Model;
use crate::replay::cpu::{Cpu, Runtime};
use crate::replay::profile::{Measured, Measurement, Target};
use crate::replay::{Backend, Crew, Limits, assemble};
use crate::scenario::{Case, Scenario};
use crate::units::Duration;

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  coinfer profile scenarios/local-cpu.toml\n  \
                        coinfer profile scenarios/local-cpu.toml --units --parts 1,2 --batches 1,2 -o units.csv")]
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
    /// With --units: parts that the rows of each layer are cut into
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "1",
          value_parser = clap::value_parser!(u32).range(1..=1024))]
    parts: Vec<u32>,
    /// Do not measure how devices slow each other
    #[arg(long)]
    alone: bool,
    /// Forget what an interrupted run has measured
    #[arg(long)]
    fresh: bool,
    #[command(flatten)]
    hardware: HardwareArgs,
}

/// A step that takes longer does not run.
const DEADLINE: Duration = Duration::from_nanos(120_000_000_000);
/// Short steps are repeated in a visit until they have taken this long, so often at most.
const VISIT_NANOS: u64 = 20_000_000;
const RUNS_MAX: usize = 5;
/// Longer steps need no run to get used to after another target.
const LONG_NANOS: u64 = 150_000_000;
/// Visits between two looks at the sentinel.
const SENTINEL_EVERY: usize = 12;
/// Warm-up ends after so many runs or so long, or when medians of five have settled.
const WARM_UP_RUNS: usize = 10;
const WARM_UP_NANOS: u64 = 2_000_000_000;

/// A network to be profiled.
struct Network {
    /// What traces call it.
    name: String,
    graph: Graph,
    weights: std::sync::Arc<Weights>,
}

impl Profile {
    pub(super) fn execute(self, terminal: &Terminal) -> Result<(), Error> {
        let ScenarioArgs { scenario: path, overrides } = &self.scenario;
        let scenario = Scenario::read_unprofiled(path, overrides)?;
        let case = scenario.case()?;
        let (networks, samples) = networks(&scenario)?;
        let devices: Vec<DeviceId> =
            case.problem.platform.device_ids().filter(|id| case.units[id.0 as usize].is_some()).collect();
        if devices.is_empty() {
            return Err(Error::Usage(
                "no device of the scenario says which cores it is; write `cpu = { cores = \"0\" }`".into(),
            ));
        }
        let outputs = self.outputs(&case, &devices)?;
        let runtime = self.hardware.runtime()?;
        let targets = self.targets(&devices, samples);
        let pairs = self.pairs(&devices);

        let provenance = Provenance::of(&case, &runtime, &devices);
        let key = format!(
            "{targets:?} {pairs:?} {} {provenance:?} {:?}",
            self.repeats,
            networks.iter().map(|network| &network.name).collect::<Vec<_>>()
        );
        let journal_path = journal_path(&outputs);
        let mut journal = Journal::open(&journal_path, &key, self.fresh)?;
        if !journal.visits().is_empty() {
            terminal.tell(&format!("going on after {} visits in {}", journal.visits().len(), journal_path.display()));
        }
        let mut bench = Bench::new(&case, &networks, &targets, &pairs, runtime, terminal)?;
        bench.warm_up(&targets, &devices)?;
        let visits = self.schedule(networks.len(), &targets, case.seed);
        let pair_visits: Vec<(usize, usize)> = (0..self.repeats)
            .flat_map(|_| (0..networks.len()).flat_map(|network| (0..pairs.len()).map(move |pair| (network, pair))))
            .collect();
        let sentinels = visits.len() / SENTINEL_EVERY + 1;
        let progress = terminal.progress((visits.len() + pair_visits.len() + sentinels) as u64, "visits");
        for (index, (network, target)) in visits.iter().enumerate() {
            if index % SENTINEL_EVERY == 0 {
                for &device in &devices {
                    bench.visit(
                        &mut journal,
                        format!("sentinel {index} {}", device.0),
                        0,
                        &Target::Whole { device, batch: 1 },
                    )?;
                }
                progress.inc(1);
            }
            bench.visit(&mut journal, format!("{index}"), *network, &targets[*target])?;
            progress.inc(1);
        }
        for (index, (network, pair)) in pair_visits.iter().enumerate() {
            let target = bench.balanced(&journal, *network, &pairs[*pair]);
            bench.visit(&mut journal, format!("pair {index}"), *network, &target)?;
            progress.inc(1);
        }
        progress.finish_and_clear();
        let names: Vec<&str> = networks.iter().map(|network| network.name.as_str()).collect();
        let drift = drift(journal.visits(), &devices);
        for (path, devices) in &outputs {
            let trace = trace(&case, &names, journal.visits(), devices, &provenance, drift);
            write_whole(path, trace.to_csv().as_bytes())?;
            terminal.print(format!("{}\n", path.display()))?;
        }
        terminal.tell(&format!("the speed of the machine varied by {:.1} % meanwhile", drift * 100.0));
        journal.remove();
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
                if self.units {
                    let parts: BTreeSet<u32> = self.parts.iter().copied().collect();
                    targets.extend(parts.into_iter().map(|parts| Target::Units { device, batch, parts }));
                }
            }
        }
        targets
    }

    /// The pairs of devices that are measured together.
    fn pairs(&self, devices: &[DeviceId]) -> Vec<[DeviceId; 2]> {
        if self.alone {
            return Vec::new();
        }
        let of = |(index, &first): (usize, &DeviceId)| devices[index + 1..].iter().map(move |&second| [first, second]);
        devices.iter().enumerate().flat_map(of).collect()
    }

    /// Every target of every network, as often as asked for, in random order.
    fn schedule(&self, networks: usize, targets: &[Target], seed: u64) -> Vec<(usize, usize)> {
        let mut visits = Vec::new();
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        for _ in 0..self.repeats {
            let mut round: Vec<(usize, usize)> =
                (0..networks).flat_map(|network| (0..targets.len()).map(move |target| (network, target))).collect();
            round.shuffle(&mut random);
            visits.extend(round);
        }
        visits
    }
}

/// The networks of the scenario and of its sweep that have layers, and the largest load.
fn networks(scenario: &Scenario) -> Result<(Vec<Network>, u32), Error> {
    let mut found: BTreeMap<String, Network> = BTreeMap::new();
    let mut samples = 0;
    let mut cases = vec![scenario.case()?];
    for point in scenario.points()? {
        cases.push(scenario.case_at(&point)?);
    }
    for case in cases {
        samples = samples.max(case.problem.samples());
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
        let visits = visits.iter().filter(|visit| visit.name.starts_with("sentinel"));
        let times = visits.flat_map(|visit| &visit.measured).filter(|measured| measured.device == device);
        let times: Vec<f64> = times.map(|measured| measured.time.as_nanos_f64()).collect();
        // Medians of three tell drift from single slow runs.
        let medians = times.windows(3).map(|window| median(window.to_vec()));
        let (low, high) = medians.fold((f64::MAX, 0.0f64), |(low, high), time| (low.min(time), high.max(time)));
        if high > 0.0 { high / low - 1.0 } else { 0.0 }
    };
    devices.iter().map(of_device).fold(0.0, f64::max)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    quantile(&values, 0.5)
}

/// Engines and crews of everything that is measured.
struct Bench<'a> {
    case: &'a Case,
    networks: &'a [Network],
    hosts: Vec<std::sync::Arc<crate::replay::cpu::Host>>,
    crews: BTreeMap<(usize, Target), (Measurement, Crew)>,
    last: Option<(usize, Target)>,
    terminal: &'a Terminal,
}

impl<'a> Bench<'a> {
    fn new(
        case: &'a Case,
        networks: &'a [Network],
        targets: &[Target],
        pairs: &[[DeviceId; 2]],
        runtime: Runtime,
        terminal: &'a Terminal,
    ) -> Result<Bench<'a>, Error> {
        let alone = targets.iter().map(Target::samples).max().unwrap_or(1);
        let samples = if pairs.is_empty() { alone } else { alone.max(PAIR_SAMPLES_MAX) };
        let host = |network: &Network| {
            let model = Model { graph: network.graph.clone(), home: None };
            host(case, &[(model, network.weights.clone())], runtime.clone(), samples)
        };
        let hosts = networks.iter().map(host).collect::<Result<_, _>>()?;
        Ok(Bench { case, networks, hosts, crews: BTreeMap::new(), last: None, terminal })
    }

    /// Opens everything and runs it until its time has settled.
    fn warm_up(&mut self, targets: &[Target], devices: &[DeviceId]) -> Result<(), Error> {
        let sentinels = devices.iter().map(|&device| (0, Target::Whole { device, batch: 1 }));
        let networks = 0..self.networks.len();
        let all = networks.flat_map(|network| targets.iter().map(move |target| (network, target.clone())));
        let all: BTreeSet<(usize, Target)> = sentinels.chain(all).collect();
        let progress = self.terminal.progress(all.len() as u64, "warmed up");
        for (network, target) in all {
            let mut times: Vec<f64> = Vec::new();
            while times.len() < WARM_UP_RUNS && times.iter().sum::<f64>() < WARM_UP_NANOS as f64 && !has_settled(&times)
            {
                let measured = self.run(network, &target)?;
                times.push(measured.iter().map(|measured| measured.time.as_nanos_f64()).sum());
            }
            progress.inc(1);
        }
        progress.finish_and_clear();
        Ok(())
    }

    /// Measures a target, unless the journal has the visit.
    fn visit(&mut self, journal: &mut Journal, name: String, network: usize, target: &Target) -> Result<(), Error> {
        if journal.has(&name) {
            return Ok(());
        }
        let is_new = self.last.replace((network, target.clone())) != Some((network, target.clone()));
        let mut measured = self.run(network, target)?;
        let total = |measured: &[Measured]| measured.iter().fold(Duration::ZERO, |sum, measured| sum + measured.time);
        if is_new && total(&measured).as_nanos() < LONG_NANOS {
            measured = self.run(network, target)?;
        }
        let mut runs = 1;
        while runs < RUNS_MAX && total(&measured).as_nanos() < VISIT_NANOS {
            measured.extend(self.run(network, target)?);
            runs += 1;
        }
        journal.add(Visit { name, network, measured })
    }

    fn run(&mut self, network: usize, target: &Target) -> Result<Vec<Measured>, Error> {
        let key = (network, target.clone());
        if !self.crews.contains_key(&key) {
            let graph = &self.networks[network].graph;
            let measurement = target.measurement(&self.case.problem.platform, graph).map_err(|violations| {
                let why: Vec<String> = violations.iter().map(ToString::to_string).collect();
                Error::Usage(format!("{} cannot be profiled: {}", self.networks[network].name, why.join("; ")))
            })?;
            let backend = Cpu::new(self.hosts[network].clone());
            backend.probe()?;
            let crew = assemble(&measurement.plan, &backend)?;
            self.crews.insert(key.clone(), (measurement, crew));
        }
        let (measurement, crew) = self.crews.get_mut(&key).expect("it was inserted");
        let round = crew.round(&measurement.plan, &Limits { deadline: DEADLINE, interrupted: interruption() })?;
        Ok(measurement.read(&round))
    }

    /// The pair with steps on both devices that take about as long, by what was measured alone.
    fn balanced(&self, journal: &Journal, network: usize, &[first, second]: &[DeviceId; 2]) -> Target {
        let alone = |device: DeviceId| {
            let visits = journal.visits().iter().filter(|visit| visit.network == network);
            let is_it = |measured: &&Measured| {
                measured.device == device
                    && measured.batch == 1
                    && measured.layer == LayerKey::Whole
                    && measured.beside.is_none()
            };
            let times: Vec<f64> = visits
                .flat_map(|visit| &visit.measured)
                .filter(is_it)
                .map(|measured| measured.time.as_nanos_f64())
                .collect();
            if times.is_empty() { 1.0 } else { median(times) }
        };
        let ratio = (alone(second) / alone(first)).max(1e-6);
        let steps =
            |ratio: f64| ((PAIR_STEPS as f64 * ratio).round() as u32).clamp(PAIR_STEPS, PAIR_SAMPLES_MAX - PAIR_STEPS);
        let lanes = match ratio >= 1.0 {
            true => [(first, steps(ratio)), (second, PAIR_STEPS)],
            false => [(first, PAIR_STEPS), (second, steps(1.0 / ratio))],
        };
        Target::Pair { lanes, batch: 1 }
    }
}

/// Steps of the slower device of a pair, and samples of both.
const PAIR_STEPS: u32 = 3;
const PAIR_SAMPLES_MAX: u32 = 32;

/// Whether the last five medians of five differ by less than 1 %.
fn has_settled(times: &[f64]) -> bool {
    let medians: Vec<f64> = times.windows(5).map(|window| median(window.to_vec())).collect();
    let Some(last) = medians.len().checked_sub(5).map(|first| &medians[first..]) else { return false };
    let (low, high) = last.iter().fold((f64::MAX, 0.0f64), |(low, high), &time| (low.min(time), high.max(time)));
    high < low * 1.01
}

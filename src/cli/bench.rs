//! What a profile runs: engines and crews of everything that it measures, each used again and again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::hardware::{host, interruption};
use super::visits::{Visit, Visits};
use super::{Error, Terminal};
use crate::cost::LayerKey;
use crate::model::{Graph, ModelId, Weights, Work};
use crate::platform::DeviceId;
use crate::problem::Model;
use crate::replay::cpu::{Host, Library};
use crate::replay::profile::{Measured, Measurement, Target};
use crate::replay::remote::{Fleet, Remote};
use crate::replay::tensorrt::Board;
use crate::replay::{Crew, Limits, assemble};
use crate::scenario::Case;
use crate::statistics::median;
use crate::units::Duration;

/// A step that takes longer does not run.
const DEADLINE: Duration = Duration::from_nanos(120_000_000_000);
/// Short steps are repeated in a visit until they have taken this long, so often at most.
const VISIT_NANOS: u64 = 20_000_000;
const RUNS_MAX: usize = 5;
/// Longer steps need no run to get used to after another target.
const LONG_NANOS: u64 = 150_000_000;
/// Warm-up ends after so many runs or so long, or when medians of five have settled.
const WARM_UP_RUNS: usize = 10;
const WARM_UP_NANOS: u64 = 2_000_000_000;
/// Steps of the slower device of a pair, and samples of both.
const PAIR_STEPS: u32 = 3;
const PAIR_SAMPLES_MAX: u32 = 32;

/// A network to be profiled.
pub(super) struct Network {
    /// What traces call it.
    pub(super) name: String,
    pub(super) graph: Graph,
    pub(super) weights: Arc<Weights>,
}

/// Engines and crews of everything that is measured.
pub(super) struct Bench<'a> {
    pub(super) case: &'a Case,
    pub(super) networks: &'a [Network],
    hosts: Vec<Arc<Host>>,
    fleet: Arc<Fleet>,
    /// Of the devices that TensorRT runs.
    board: Option<Arc<Board>>,
    crews: BTreeMap<(usize, Target), (Measurement, Crew)>,
    last: Option<(usize, Target)>,
    /// Whether a target runs once a visit, after others, as steps of plans do.
    is_cold: bool,
    terminal: &'a Terminal,
}

impl<'a> Bench<'a> {
    pub(super) fn new(
        case: &'a Case,
        networks: &'a [Network],
        targets: &[Target],
        pairs: &[[DeviceId; 2]],
        (library, fleet, board): (Library, Arc<Fleet>, Option<Arc<Board>>),
        is_cold: bool,
        terminal: &'a Terminal,
    ) -> Result<Bench<'a>, Error> {
        // trtexec makes its own inputs.
        let runtime = |device: &DeviceId| &case.problem.platform.device(*device).runtime;
        let needs_inputs = |devices: &[DeviceId]| devices.iter().all(|device| runtime(device).tensorrt().is_none());
        let alone = targets.iter().filter(|target| needs_inputs(&target.devices())).map(Target::samples);
        let alone = alone.max().unwrap_or(1);
        let is_paired = pairs.iter().any(|pair| needs_inputs(pair));
        let samples = if is_paired { alone.max(PAIR_SAMPLES_MAX) } else { alone };
        let host = |network: &Network| {
            let model = Model { graph: network.graph.clone(), home: None };
            host(case, &[(model, network.weights.clone())], library.clone(), samples)
        };
        let hosts = networks.iter().map(host).collect::<Result<_, _>>()?;
        Ok(Bench { case, networks, hosts, fleet, board, crews: BTreeMap::new(), last: None, is_cold, terminal })
    }

    /// Opens everything and runs it until its time has settled.
    pub(super) fn warm_up(&mut self, targets: &[Target], devices: &[DeviceId]) -> Result<(), Error> {
        let sentinels = devices.iter().map(|&device| (0, Target::Whole { device, batch: 1 }));
        let networks = 0..self.networks.len();
        let known = self.networks;
        let all = networks.flat_map(|network| {
            let there = targets.iter().filter(move |target| target.is_of(&known[network].graph));
            there.map(move |target| (network, target.clone()))
        });
        let all: BTreeSet<(usize, Target)> = sentinels.chain(all).collect();
        let progress = self.terminal.progress(all.len() as u64, "warmed up");
        for (network, target) in all {
            if let Some(board) = self.board_of(&target) {
                for (device, work, _) in self.works(network, &target)? {
                    board.prepare(device, &work)?;
                }
                progress.inc(1);
                continue;
            }
            let mut times: Vec<f64> = Vec::new();
            let runs_max = if self.is_cold { 1 } else { WARM_UP_RUNS };
            while times.len() < runs_max && times.iter().sum::<f64>() < WARM_UP_NANOS as f64 && !has_settled(&times) {
                let measured = self.run(network, &target)?;
                times.push(measured.iter().map(|measured| measured.time.as_nanos_f64()).sum());
            }
            progress.inc(1);
        }
        progress.finish_and_clear();
        Ok(())
    }

    /// Measures a target, unless `visits` has it.
    pub(super) fn visit(
        &mut self,
        visits: &mut Visits,
        name: String,
        network: usize,
        target: &Target,
    ) -> Result<(), Error> {
        if visits.has(&name) {
            return Ok(());
        }
        if let Some(board) = self.board_of(target) {
            let measured = self.timed(&board, network, target)?;
            return visits.add(Visit { name, network, measured });
        }
        let is_new = self.last.replace((network, target.clone())) != Some((network, target.clone()));
        let mut measured = self.run(network, target)?;
        if self.is_cold {
            return visits.add(Visit { name, network, measured });
        }
        let total = |measured: &[Measured]| measured.iter().fold(Duration::ZERO, |sum, measured| sum + measured.time);
        if is_new && total(&measured).as_nanos() < LONG_NANOS {
            measured = self.run(network, target)?;
        }
        let mut runs = 1;
        while runs < RUNS_MAX && total(&measured).as_nanos() < VISIT_NANOS {
            measured.extend(self.run(network, target)?);
            runs += 1;
        }
        visits.add(Visit { name, network, measured })
    }

    /// The board, if TensorRT runs all devices of `target`.
    fn board_of(&self, target: &Target) -> Option<Arc<Board>> {
        let board = self.board.as_ref()?;
        target.devices().iter().all(|&device| board.unit(device).is_some()).then(|| board.clone())
    }

    /// What `target` times of a network: where, what, and what it is called.
    fn works(&self, network: usize, target: &Target) -> Result<Vec<(DeviceId, Work, Measured)>, Error> {
        let measurement = self.measurement(network, target)?;
        let model = ModelId(network as u32);
        let of =
            |(work, measured): (&Work, &Measured)| (measured.device, Work { model, ..work.clone() }, measured.clone());
        Ok(measurement.timed().map(of).collect())
    }

    /// The times of `target`, whose devices are all of `board`; of two devices, each once while the other runs.
    fn timed(&self, board: &Board, network: usize, target: &Target) -> Result<Vec<Measured>, Error> {
        let mut works = self.works(network, target)?;
        if let Target::Pair { .. } = target {
            // Their steps are equal.
            works.dedup_by_key(|(device, ..)| *device);
        }
        let time = |(device, work, measured): &(DeviceId, Work, Measured)| {
            let time = match measured.beside {
                None => board.time(*device, work)?,
                Some(other) => {
                    let beside = works.iter().find(|(device, ..)| *device == other);
                    let (_, others, _) = beside.expect("a pair has steps on both devices");
                    board.time_beside((*device, work), (other, others))?
                }
            };
            Ok(Measured { time, ..measured.clone() })
        };
        works.iter().map(time).collect()
    }

    fn measurement(&self, network: usize, target: &Target) -> Result<Measurement, Error> {
        let Network { name, graph, .. } = &self.networks[network];
        target.measurement(&self.case.problem.platform, graph).map_err(|violations| {
            let why: Vec<String> = violations.iter().map(ToString::to_string).collect();
            Error::Usage(format!("{name} cannot be profiled: {}", why.join("; ")))
        })
    }

    fn run(&mut self, network: usize, target: &Target) -> Result<Vec<Measured>, Error> {
        let key = (network, target.clone());
        if !self.crews.contains_key(&key) {
            let measurement = self.measurement(network, target)?;
            let backend = Remote::new(self.hosts[network].clone(), self.fleet.clone())?;
            let crew = assemble(&measurement.plan, &backend)?;
            self.crews.insert(key.clone(), (measurement, crew));
        }
        let (measurement, crew) = self.crews.get_mut(&key).expect("it was inserted");
        let round = crew.round(&measurement.plan, &Limits { deadline: DEADLINE, interrupted: interruption() })?;
        Ok(measurement.read(&round))
    }

    /// The pair with steps on both devices that take about as long, by what was measured alone.
    pub(super) fn balanced(&self, visits: &Visits, network: usize, &[first, second]: &[DeviceId; 2]) -> Target {
        let alone = |device: DeviceId| {
            let of_network = visits.all().iter().filter(|visit| visit.network == network);
            let is_it = |measured: &&Measured| {
                measured.device == device
                    && measured.batch == 1
                    && measured.layer == LayerKey::Whole
                    && measured.beside.is_none()
            };
            let times: Vec<f64> = of_network
                .flat_map(|visit| &visit.measured)
                .filter(is_it)
                .map(|measured| measured.time.as_nanos_f64())
                .collect();
            median(times).unwrap_or(1.0)
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

/// Whether the last five medians of five differ by less than 1 %.
fn has_settled(times: &[f64]) -> bool {
    let medians: Vec<f64> = times.windows(5).filter_map(|window| median(window.iter().copied())).collect();
    let Some(last) = medians.len().checked_sub(5).map(|first| &medians[first..]) else { return false };
    let (low, high) = last.iter().fold((f64::MAX, 0.0f64), |(low, high), &time| (low.min(time), high.max(time)));
    high < low * 1.01
}

//! What a profile runs: plans of everything that it measures, each used again and again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{MeasureError, Network, Visit, Watch};
use crate::cost::LayerKey;
use crate::model::{Graph, ModelId, Work};
use crate::platform::DeviceId;
use crate::replay::profile::{Measured, Measurement, Target};
use crate::replay::tensorrt::Board;
use crate::replay::{Hardware, Inputs, Limits, Opened};
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

/// Plans of everything that is measured, open on hardware.
pub(super) struct Bench<'a> {
    case: &'a Case,
    networks: &'a [Network],
    hardware: &'a Hardware,
    opened: BTreeMap<(usize, Target), (Measurement, Opened)>,
    last: Option<(usize, Target)>,
    /// Whether a target runs once a visit, after others, as steps of plans do.
    is_cold: bool,
    watch: &'a Watch<'a>,
}

/// The samples that the targets of a profile need.
pub(super) fn samples(targets: &[Target], pairs: &[[DeviceId; 2]]) -> u32 {
    let alone = targets.iter().map(Target::samples).max().unwrap_or(1);
    if pairs.is_empty() { alone } else { alone.max(PAIR_SAMPLES_MAX) }
}

impl<'a> Bench<'a> {
    pub(super) fn new(
        case: &'a Case,
        networks: &'a [Network],
        hardware: &'a Hardware,
        is_cold: bool,
        watch: &'a Watch<'a>,
    ) -> Bench<'a> {
        Bench { case, networks, hardware, opened: BTreeMap::new(), last: None, is_cold, watch }
    }

    /// Opens everything and runs it until its time has settled.
    pub(super) fn warm_up(&mut self, targets: &[Target], devices: &[DeviceId]) -> Result<(), MeasureError> {
        let sentinels = devices.iter().map(|&device| (0, Target::Whole { device, batch: 1 }));
        let networks = 0..self.networks.len();
        let known = self.networks;
        let all = networks.flat_map(|network| {
            let there = targets.iter().filter(move |target| target.is_of(&known[network].graph));
            there.map(move |target| (network, target.clone()))
        });
        let all: BTreeSet<(usize, Target)> = sentinels.chain(all).collect();
        self.watch.begin(all.len() as u64, "warmed up");
        for (network, target) in all {
            if let Some(board) = self.board_of(&target) {
                for (device, work, _) in self.works(network, &target)? {
                    board.prepare(device, &work)?;
                }
                self.watch.advance();
                continue;
            }
            let mut times: Vec<f64> = Vec::new();
            let runs_max = if self.is_cold { 1 } else { WARM_UP_RUNS };
            while times.len() < runs_max && times.iter().sum::<f64>() < WARM_UP_NANOS as f64 && !has_settled(&times) {
                let measured = self.run(network, &target)?;
                times.push(measured.iter().map(|measured| measured.time.as_nanos_f64()).sum());
            }
            self.watch.advance();
        }
        self.watch.end();
        Ok(())
    }

    /// Measures a target, as a visit called `name`.
    pub(super) fn visit(&mut self, name: String, network: usize, target: &Target) -> Result<Visit, MeasureError> {
        if let Some(board) = self.board_of(target) {
            let measured = self.timed(&board, network, target)?;
            return Ok(Visit { name, network, measured });
        }
        let is_new = self.last.replace((network, target.clone())) != Some((network, target.clone()));
        let mut measured = self.run(network, target)?;
        if self.is_cold {
            return Ok(Visit { name, network, measured });
        }
        let total = |measured: &[Measured]| measured.iter().fold(Duration::ZERO, |sum, measured| sum + measured.time);
        if is_new && total(&measured).as_nanos() < LONG_NANOS {
            measured = self.run(network, target)?;
        }
        // Of a pair, only what ran wholly beside the other is a time: a machine that is busy can leave a device none.
        let devices = target.devices();
        let lacks_times = |known: &[Measured]| devices.iter().any(|on| known.iter().all(|time| time.device != *on));
        let mut runs = 1;
        while runs < RUNS_MAX && (total(&measured).as_nanos() < VISIT_NANOS || lacks_times(&measured)) {
            measured.extend(self.run(network, target)?);
            runs += 1;
        }
        Ok(Visit { name, network, measured })
    }

    /// The board, if TensorRT runs all devices of `target`.
    fn board_of(&self, target: &Target) -> Option<Arc<Board>> {
        let board = self.hardware.board()?;
        target.devices().iter().all(|&device| board.unit(device).is_some()).then(|| board.clone())
    }

    /// What `target` times of a network: where, what, and what it is called.
    fn works(&self, network: usize, target: &Target) -> Result<Vec<(DeviceId, Work, Measured)>, MeasureError> {
        let measurement = self.measurement(network, target)?;
        let of = |(work, measured): (&Work, &Measured)| (measured.device, work.clone(), measured.clone());
        Ok(measurement.timed().map(of).collect())
    }

    /// The times of `target`, whose devices are all of `board`; of two devices, each once while the other runs.
    fn timed(&self, board: &Board, network: usize, target: &Target) -> Result<Vec<Measured>, MeasureError> {
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

    fn measurement(&self, network: usize, target: &Target) -> Result<Measurement, MeasureError> {
        let graphs: Vec<&Graph> = self.networks.iter().map(|network| &network.graph).collect();
        target.measurement(&self.case.problem.platform, &graphs, ModelId(network as u32)).map_err(|violations| {
            let why: Vec<String> = violations.iter().map(ToString::to_string).collect();
            MeasureError::Unprofiled { network: self.networks[network].name.clone(), reason: why.join("; ") }
        })
    }

    fn run(&mut self, network: usize, target: &Target) -> Result<Vec<Measured>, MeasureError> {
        let key = (network, target.clone());
        if !self.opened.contains_key(&key) {
            let measurement = self.measurement(network, target)?;
            let predicted = vec![Duration::ZERO; measurement.plan.steps.len()];
            let opened = self.hardware.open(&measurement.plan, &predicted, Inputs::Everywhere)?;
            self.opened.insert(key.clone(), (measurement, opened));
        }
        let (measurement, opened) = self.opened.get_mut(&key).expect("it was inserted");
        let limits = Limits { deadline: DEADLINE, interrupted: self.watch.interrupted };
        let round = opened.measured(&measurement.plan, &limits)?;
        Ok(measurement.read(&round))
    }

    /// The pair with steps on both devices that take about as long, by what was measured alone.
    pub(super) fn balanced(visits: &[Visit], network: usize, &[first, second]: &[DeviceId; 2]) -> Target {
        let alone = |device: DeviceId| {
            let of_network = visits.iter().filter(|visit| visit.network == network);
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

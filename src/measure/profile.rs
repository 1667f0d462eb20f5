//! Profiles: the networks of a scenario, measured on its devices.

use std::collections::BTreeMap;
use std::iter;
use std::sync::Arc;

use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom;

use super::bench::{Bench, samples};
use super::sentinel::{Speeds, is_again};
use super::targets::{devices, pairs, targets};
use super::tour::{Tour, Visited, due};
use super::trace::{Provenance, trace};
use super::{MeasureError, Watch};
use crate::cost::Trace;
use crate::model::{Graph, Weights};
use crate::platform::DeviceId;
use crate::replay::profile::{Measured, Target};
use crate::replay::{Hardware, Networks, Settings, Timing};
use crate::scenario::{Case, Scenario};

/// A network to be profiled.
#[derive(Clone, Debug)]
pub struct Network {
    /// What traces call it.
    pub name: String,
    /// Its layers.
    pub graph: Graph,
    /// Its weights.
    pub weights: Arc<Weights>,
}

/// What a profile is to measure.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Batches; powers of two up to the load, and the load, if empty.
    pub batches: Vec<u32>,
    /// Visits to each of them.
    pub repeats: u32,
    /// Whether single layers are measured too, each with the activations that follow it.
    pub units: bool,
    /// Layers that are measured too, each entry as one step, of each network that has them.
    pub segments: Vec<String>,
    /// Parts that the rows of the outputs of units and segments are cut into.
    pub parts: Vec<u32>,
    /// Whether each step runs once at a time, after others.
    pub cold: bool,
    /// Whether devices are not measured beside each other.
    pub alone: bool,
}

/// The measurements of one visit to a target.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Visit {
    /// Unique in the profile.
    pub name: String,
    /// Index of the network.
    pub network: usize,
    /// What was timed.
    pub measured: Vec<Measured>,
}

/// Times that a visit is made again, at most. All together are no more than there are without.
const AGAIN_MAX: u32 = 5;

/// The networks of a scenario and of its sweep that have layers, and the largest load.
///
/// # Errors
/// No network has layers, or a point of the sweep has faults.
pub fn networks(scenario: &Scenario) -> Result<(Vec<Network>, u32), MeasureError> {
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
        return Err(MeasureError::NoNetworks);
    }
    Ok((found.into_values().collect(), samples))
}

/// A profile that can be taken.
pub struct Profile<'a> {
    case: &'a Case,
    networks: &'a [Network],
    asked: &'a Asked,
    devices: Vec<DeviceId>,
    /// What is measured of each network, alone.
    targets: Vec<Target>,
    /// The devices that are measured together.
    pairs: Vec<[DeviceId; 2]>,
}

impl<'a> Profile<'a> {
    /// Of `networks` on the devices of `case` that something runs, for loads of up to `samples`.
    ///
    /// # Errors
    /// There is no such device, or no network has a segment that is asked for.
    pub fn new(
        case: &'a Case,
        networks: &'a [Network],
        samples: u32,
        asked: &'a Asked,
        watch: &Watch<'_>,
    ) -> Result<Profile<'a>, MeasureError> {
        let devices = devices(case, networks, watch);
        if devices.is_empty() {
            return Err(MeasureError::NoHardware);
        }
        let has = |layers: &String| networks.iter().any(|network| network.graph.find_segment(layers).is_some());
        if let Some(layers) = asked.segments.iter().find(|layers| !has(layers)) {
            return Err(MeasureError::NoSegment { layers: layers.clone() });
        }
        let (targets, pairs) = (targets(asked, &devices, samples), pairs(case, asked, &devices, watch));
        Ok(Profile { case, networks, asked, devices, targets, pairs })
    }

    /// The devices that are measured.
    pub fn devices(&self) -> &[DeviceId] {
        &self.devices
    }

    /// The hardware that it is taken on.
    ///
    /// # Errors
    /// A device is not there, cannot be used, or cannot be measured so.
    pub fn hardware(&self, settings: &Settings) -> Result<Hardware, MeasureError> {
        let network = |network: &Network| crate::replay::Network {
            graph: network.graph.clone(),
            weights: network.weights.clone(),
            home: None,
        };
        let samples = samples(&self.targets, &self.pairs);
        let networks = Networks::new(self.networks.iter().map(network).collect(), samples, self.case.seed)?;
        let hardware = Hardware::start(&self.case.problem.platform, networks, settings)?;
        let is_alone =
            |&device: &DeviceId| hardware.driver(device).is_some_and(|driver| driver.timing() == Timing::Alone);
        if self.asked.cold && self.devices.iter().any(is_alone) {
            return Err(MeasureError::NeverCold);
        }
        Ok(hardware)
    }

    /// What it depends on: visits of a profile with the same key count for this one.
    pub fn key(&self, provenance: &Provenance) -> String {
        let Profile { case, networks, asked, targets, pairs, .. } = self;
        let networks: Vec<_> = networks.iter().map(|network| (&network.name, &network.graph)).collect();
        let (repeats, cold, seed) = (asked.repeats, asked.cold, case.seed);
        // Visits are named in another way since they are made again.
        format!("again {targets:?} {pairs:?} {repeats} {seed} {cold} {} {networks:?}", provenance.key())
    }

    /// Whether a visit can be of it.
    pub fn knows(&self, visit: &Visit) -> bool {
        let device_count = self.case.problem.platform.devices.len() as u32;
        let devices = visit.measured.iter().flat_map(|measured| [Some(measured.device), measured.beside]);
        visit.network < self.networks.len() && devices.flatten().all(|device| device.0 < device_count)
    }

    /// Makes every visit on `hardware` that `visits` does not have: devices alone in random order, and then in pairs, with a
    /// look at the sentinel now and then. What was measured while the speed of a device was off is measured again, within
    /// bounds. Each visit is given to `keep`, and added.
    ///
    /// # Errors
    /// Hardware failed, or what `keep` says.
    pub fn measure<E: From<MeasureError>>(
        &self,
        hardware: &Hardware,
        visits: &mut Vec<Visit>,
        mut keep: impl FnMut(&Visit) -> Result<(), E>,
        watch: &Watch<'_>,
    ) -> Result<(), E> {
        let mut bench = Bench::new(self.case, self.networks, hardware, self.asked.cold, watch);
        bench.warm_up(&self.targets, &self.devices)?;
        let mut tour = Tour { bench, visits, keep: &mut keep, devices: &self.devices, watch };
        let schedule = self.schedule();
        let mut left = schedule.len();
        for before in 0..=AGAIN_MAX {
            let mut due = due(&schedule, before, tour.visits);
            if before > 0 {
                due.truncate(left);
                left -= due.len();
            }
            if !due.is_empty() {
                tour.make(&due, if before == 0 { "visits" } else { "visits again" })?;
            }
        }
        Ok(())
    }

    /// Every target of every network, as often as asked for, in random order, and every pair after them.
    fn schedule(&self) -> Vec<(usize, Visited<'_>)> {
        let of_network = |(index, network): (usize, &'a Network)| {
            let there = self.targets.iter().filter(|target| target.is_of(&network.graph));
            there.map(move |target| (index, Visited::Alone(target)))
        };
        let all: Vec<(usize, Visited<'_>)> = self.networks.iter().enumerate().flat_map(of_network).collect();
        let mut visits = Vec::new();
        let mut random = ChaCha8Rng::seed_from_u64(self.case.seed);
        for _ in 0..self.asked.repeats {
            let mut round = all.clone();
            round.shuffle(&mut random);
            visits.extend(round);
        }
        let pairs = || {
            (0..self.networks.len())
                .flat_map(|network| self.pairs.iter().map(move |pair| (network, Visited::Pair(pair))))
        };
        visits.extend((0..self.asked.repeats).flat_map(|_| pairs()));
        visits
    }

    /// The trace of `devices` that `visits` make, as far as they were made at the usual speed; of what never was, what was
    /// measured closest to it, with a note.
    pub fn trace(&self, visits: &[Visit], devices: &[DeviceId], provenance: &Provenance) -> Trace {
        let names: Vec<&str> = self.networks.iter().map(|network| network.name.as_str()).collect();
        trace(self.case, &names, &Speeds::of(visits), devices, provenance)
    }

    /// How far the sentinel's times are apart: its slowest over its fastest, of medians of a device, less one.
    pub fn drift(&self, visits: &[Visit]) -> f64 {
        Speeds::of(visits).drift()
    }

    /// How many visits were made again, since the speed of their devices was off.
    pub fn again(&self, visits: &[Visit]) -> usize {
        visits.iter().filter(|visit| is_again(visit)).count()
    }

    /// How many visits never found the devices at their usual speed.
    pub fn unsteady(&self, visits: &[Visit]) -> usize {
        Speeds::of(visits).unsteady().len()
    }
}

impl std::fmt::Debug for Profile<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Profile").field("devices", &self.devices).field("asked", self.asked).finish_non_exhaustive()
    }
}

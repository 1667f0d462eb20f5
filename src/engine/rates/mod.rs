//! How fast each lane goes, given what else runs: every effect of [`crate::platform::Interference`], and faults.
//!
//! Each effect tells which devices a start or an end changes; only the lanes of these are looked at again.

mod hosts;
mod memory;
mod network;
mod packages;
mod pairwise;

use hosts::Hosts;
use memory::Memories;
pub use network::Interfaces;
use packages::Packages;
use pairwise::Pairwise;

use crate::plan::{Lane, LaneId};
use crate::platform::{DeviceId, LinkId, Platform};
use crate::problem::Problem;
use crate::units::Duration;

/// Speeds of lanes: isolated time done per unit of time.
#[derive(Clone, Debug)]
pub(super) struct Rates {
    lanes: Vec<LaneState>,
    devices: Vec<DeviceState>,
    pairwise: Pairwise,
    memories: Memories,
    packages: Packages,
    hosts: Hosts,
    changed: Changed,
    network: Interfaces,
}

#[derive(Clone, Copy, Debug)]
struct LaneState {
    /// `NONE` for links.
    device: u32,
    /// As the step on it was last told.
    rate: f64,
}

#[derive(Clone, Debug)]
struct DeviceState {
    /// Steps running on it.
    running: u32,
    /// What a fault leaves of its speed.
    health: f64,
    lanes: Vec<LaneId>,
}

const NONE: u32 = u32::MAX;

/// Devices whose speed may differ from what their lanes last heard.
#[derive(Clone, Debug, Default)]
struct Changed {
    devices: Vec<u32>,
    is_listed: Vec<bool>,
}

impl Changed {
    #[inline]
    fn add(&mut self, device: u32) {
        if !std::mem::replace(&mut self.is_listed[device as usize], true) {
            self.devices.push(device);
        }
    }
}

impl Rates {
    /// The rates of `lanes`; `None` if nothing ever changes them.
    pub(super) fn new(problem: &Problem, lanes: &[Lane]) -> Option<Rates> {
        let interference = &problem.platform.interference;
        let none = Default::default();
        let effects = if problem.contention { interference } else { &none };
        let slow = problem.contention && problem.platform.contended_memories().next().is_some();
        let has_effects =
            slow || !(effects.slowdowns.is_empty() && effects.packages.is_empty() && effects.hosts.is_empty());
        if !has_effects && interference.nics.is_empty() && problem.faults.is_empty() {
            return None;
        }
        let count = problem.platform.devices.len();
        let mut rates = Rates {
            lanes: Vec::new(),
            devices: vec![DeviceState { running: 0, health: 1.0, lanes: Vec::new() }; count],
            pairwise: Pairwise::new(&effects.slowdowns, count),
            memories: if slow { Memories::new(&problem.platform) } else { Memories::default() },
            packages: Packages::new(&effects.packages, &problem.platform),
            hosts: Hosts::new(&effects.hosts, count),
            changed: Changed { devices: Vec::new(), is_listed: vec![false; count] },
            network: Interfaces::of(&problem.platform),
        };
        lanes.iter().for_each(|lane| rates.add(lane, &problem.platform));
        Some(rates)
    }

    /// Adds a lane.
    pub(super) fn add(&mut self, lane: &Lane, platform: &Platform) {
        let device = match lane {
            Lane::Compute { device, .. } => device.0,
            Lane::Link(_) => NONE,
        };
        if let Some(state) = self.devices.get_mut(device as usize) {
            state.lanes.push(LaneId(self.lanes.len() as u32));
        }
        self.lanes.push(LaneState { device, rate: 1.0 });
        self.memories.add_lane();
        self.network.add(lane, platform);
    }

    /// Rates of transfers over `network` alone.
    pub(super) fn of_network(network: Interfaces, lanes: usize) -> Rates {
        Rates {
            lanes: vec![LaneState { device: NONE, rate: 1.0 }; lanes],
            devices: Vec::new(),
            pairwise: Pairwise::default(),
            memories: Memories::default(),
            packages: Packages::default(),
            hosts: Hosts::default(),
            changed: Changed::default(),
            network,
        }
    }

    /// `lane` begins a step that moves `traffic` bytes per second when alone. Returns the rate at which it begins, and
    /// how much of `isolated` passes before it shares anything with others.
    #[inline]
    pub(super) fn begin(&mut self, lane: LaneId, traffic: u64, isolated: Duration) -> (f64, Duration) {
        let Some(device) = self.device_of(lane) else {
            let (health, alone) = self.network.begin(lane, isolated);
            self.lanes[lane.0 as usize].rate = health;
            return (health, alone);
        };
        self.devices[device as usize].running += 1;
        match self.devices[device as usize].running {
            1 => self.turn(device, true),
            _ => self.pairwise.crowd(device, true, &mut self.changed),
        }
        self.memories.begin(lane, device, traffic, &mut self.changed);
        // Others on the device, if any, were told the device's speed; what this start changes is told with the rest.
        // A memory has marked all its devices as changed.
        let rate = if self.memories.shares(device) { 1.0 } else { self.speed(device) };
        self.lanes[lane.0 as usize].rate = rate;
        (rate, isolated)
    }

    /// If the transfer on `lane` has passed its overhead and begins to send: the isolated time that this takes. Its
    /// rate is among the changed ones.
    #[inline]
    pub(super) fn send(&mut self, lane: LaneId) -> Option<Duration> {
        if self.device_of(lane).is_some() {
            return None;
        }
        let to_send = self.network.send(lane)?;
        self.lanes[lane.0 as usize].rate = f64::NAN; // unlike any rate
        Some(to_send)
    }

    /// `lane` ends its step, or loses it.
    #[inline]
    pub(super) fn end(&mut self, lane: LaneId) {
        let Some(device) = self.device_of(lane) else {
            self.network.end(lane);
            return;
        };
        self.memories.end(lane, device, &mut self.changed);
        debug_assert!(self.devices[device as usize].running > 0, "what ends has begun");
        self.devices[device as usize].running -= 1;
        match self.devices[device as usize].running {
            0 => self.turn(device, false),
            _ => self.pairwise.crowd(device, false, &mut self.changed),
        }
    }

    /// Leaves `device` with this part of its speed.
    pub(super) fn set_health(&mut self, device: DeviceId, health: f64) {
        self.devices[device.0 as usize].health = health;
        self.changed.add(device.0);
    }

    /// Leaves `link` with this part of its bandwidth.
    pub(super) fn set_link_health(&mut self, link: LinkId, health: f64) {
        self.network.set_health(link, health);
    }

    fn device_of(&self, lane: LaneId) -> Option<u32> {
        let device = self.lanes[lane.0 as usize].device;
        (device != NONE).then_some(device)
    }

    /// `device` becomes busy or idle.
    #[inline]
    fn turn(&mut self, device: u32, is_busy: bool) {
        self.pairwise.turn(device, is_busy, &mut self.changed);
        self.packages.turn(device, is_busy, &mut self.changed);
        self.hosts.turn(device, is_busy, &mut self.changed);
    }

    /// The speed of all lanes of `device`, but for what they read and write. Effects are taken to be independent, so that
    /// what each leaves multiplies: measurements of one at a time know of no other rule.
    #[inline]
    fn speed(&self, device: u32) -> f64 {
        let rest = self.packages.speed(device) * self.hosts.speed(device);
        self.pairwise.speed(device) * rest * self.devices[device as usize].health
    }

    /// Calls `apply` with each lane whose rate has changed since the last call, and its rate.
    #[inline]
    pub(super) fn for_each_changed(&mut self, mut apply: impl FnMut(LaneId, f64)) {
        for index in 0..self.changed.devices.len() {
            let device = self.changed.devices[index];
            self.changed.is_listed[device as usize] = false;
            let speed = self.speed(device);
            for &lane in &self.devices[device as usize].lanes {
                let rate = speed * self.memories.speed(lane, device);
                let told = &mut self.lanes[lane.0 as usize].rate;
                if *told != rate {
                    *told = rate;
                    apply(lane, rate);
                }
            }
        }
        self.changed.devices.clear();
        let Self { lanes, network, .. } = self;
        network.for_each_changed(|lane, rate| {
            let told = &mut lanes[lane.0 as usize].rate;
            if *told != rate {
                *told = rate;
                apply(lane, rate);
            }
        });
    }
}

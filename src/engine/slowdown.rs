//! How fast each lane goes, given which devices are busy.
//!
//! The slowdowns that busy devices cause on a device add up, as whole millionths, so that no rounding
//! error builds up however often devices turn busy and idle.

use crate::plan::{CheckedPlan, Lane, LaneId};
use crate::problem::Problem;

/// Devices with the steps they run and the slowdown they suffer. Empty if contention is off.
#[derive(Clone, Debug, Default)]
pub(super) struct Slowdowns {
    devices: Vec<DeviceState>,
    /// The device of each lane; `None` for links, which nothing slows.
    device_of: Vec<Option<usize>>,
    /// Devices whose excess may differ from what their lanes last heard.
    changed: Vec<usize>,
}

#[derive(Clone, Debug, Default)]
struct DeviceState {
    /// Steps running on it.
    running: u32,
    /// Additional time that its steps suffer, in millionths.
    excess_ppm: u64,
    /// `excess_ppm` when its lanes last heard.
    applied_ppm: u64,
    is_changed: bool,
    /// What its being busy adds to others.
    effects: Vec<(usize, u64)>,
    lanes: Vec<LaneId>,
}

impl Slowdowns {
    pub(super) fn new(problem: &Problem, plan: &CheckedPlan) -> Slowdowns {
        if !problem.contention || problem.platform.interference.slowdowns.is_empty() {
            return Slowdowns::default();
        }
        let mut devices = vec![DeviceState::default(); problem.platform.devices.len()];
        for slowdown in &problem.platform.interference.slowdowns {
            let effects = &mut devices[slowdown.busy.0 as usize].effects;
            effects.push((slowdown.device.0 as usize, slowdown.excess_ppm.into()));
        }
        let device_of = |lane: &Lane| match lane {
            Lane::Compute { device, .. } => Some(device.0 as usize),
            Lane::Link(_) => None,
        };
        let device_of: Vec<Option<usize>> = plan.lanes.iter().map(device_of).collect();
        for (lane, device) in device_of.iter().enumerate() {
            if let Some(device) = device {
                devices[*device].lanes.push(LaneId(lane as u32));
            }
        }
        Slowdowns { devices, device_of, changed: Vec::new() }
    }

    /// Whether nothing slows anything.
    pub(super) fn is_empty(&self) -> bool {
        self.devices.is_empty()
    }

    /// `lane` begins a step.
    pub(super) fn begin(&mut self, lane: LaneId) {
        let Some(device) = self.device_of[lane.0 as usize] else {
            return;
        };
        self.devices[device].running += 1;
        if self.devices[device].running == 1 {
            self.spread(device, |excess, added| excess + added);
        }
    }

    /// `lane` ends a step.
    pub(super) fn end(&mut self, lane: LaneId) {
        let Some(device) = self.device_of[lane.0 as usize] else {
            return;
        };
        self.devices[device].running -= 1;
        if self.devices[device].running == 0 {
            self.spread(device, |excess, added| excess - added);
        }
    }

    fn spread(&mut self, busy: usize, change: impl Fn(u64, u64) -> u64) {
        for index in 0..self.devices[busy].effects.len() {
            let (slowed, added) = self.devices[busy].effects[index];
            let slowed_state = &mut self.devices[slowed];
            slowed_state.excess_ppm = change(slowed_state.excess_ppm, added);
            if !slowed_state.is_changed {
                slowed_state.is_changed = true;
                self.changed.push(slowed);
            }
        }
    }

    /// Isolated time done per unit of time on `lane`, as its device's running steps were last told.
    pub(super) fn rate(&self, lane: LaneId) -> f64 {
        self.device_of[lane.0 as usize].map_or(1.0, |device| rate(self.devices[device].applied_ppm))
    }

    /// Calls `apply` with each lane whose rate has changed since the last call, and its rate.
    pub(super) fn for_each_changed(&mut self, mut apply: impl FnMut(LaneId, f64)) {
        for device in self.changed.drain(..) {
            let state = &mut self.devices[device];
            state.is_changed = false;
            if state.applied_ppm != state.excess_ppm {
                state.applied_ppm = state.excess_ppm;
                let rate = rate(state.excess_ppm);
                state.lanes.iter().for_each(|&lane| apply(lane, rate));
            }
        }
    }
}

fn rate(excess_ppm: u64) -> f64 {
    1e6 / (1e6 + excess_ppm as f64)
}

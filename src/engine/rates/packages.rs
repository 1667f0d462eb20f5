//! Chips that clock all their devices down while the busy ones would draw more than the budget.
//!
//! Times were taken with the device alone, at the clock that the budget leaves it then: it is slowed by what others take of
//! that.

use super::Changed;
use crate::platform::{DeviceId, Package, Platform};

#[derive(Clone, Debug, Default)]
pub(super) struct Packages {
    packages: Vec<PackageState>,
    /// By device. Empty if there are no packages.
    of_device: Vec<Option<Member>>,
}

#[derive(Clone, Copy, Debug)]
struct Member {
    package: u32,
    /// The power that its being busy adds, in microwatts.
    power: u64,
    /// Its clock when nothing else is busy.
    clock_alone: f64,
}

#[derive(Clone, Debug)]
struct PackageState {
    devices: Vec<u32>,
    /// What the budget leaves when all are idle, in microwatts.
    budget: u64,
    exponent: f64,
    /// What the busy ones add, in microwatts.
    drawn: u64,
    clock: f64,
}

impl PackageState {
    /// The clock of all devices, as a part of the highest, if the busy ones would add `drawn` at that.
    fn clock(&self, drawn: u64) -> f64 {
        match drawn > self.budget {
            true => libm::pow(self.budget as f64 / drawn as f64, 1.0 / self.exponent),
            false => 1.0,
        }
    }
}

fn microwatts(watts: f64) -> u64 {
    (watts * 1e6).round() as u64
}

impl Packages {
    pub(super) fn new(packages: &[Package], platform: &Platform) -> Packages {
        if packages.is_empty() {
            return Packages::default();
        }
        let mut of_device = vec![None; platform.devices.len()];
        let mut states = Vec::new();
        for (index, package) in (0..).zip(packages) {
            let power = |device: &DeviceId| {
                let power = platform.device(*device).power.unwrap_or_default();
                [power.idle, power.active].map(|watts| microwatts(watts.as_f64()))
            };
            let idle: u64 = package.devices.iter().map(|device| power(device)[0]).sum();
            let state = PackageState {
                devices: package.devices.iter().map(|device| device.0).collect(),
                budget: microwatts(package.budget.as_f64()).saturating_sub(idle),
                exponent: package.exponent,
                drawn: 0,
                clock: 1.0,
            };
            for device in &package.devices {
                let [idle, active] = power(device);
                let power = active.saturating_sub(idle);
                of_device[device.0 as usize] = Some(Member { package: index, power, clock_alone: state.clock(power) });
            }
            states.push(state);
        }
        Packages { packages: states, of_device }
    }

    #[inline]
    pub(super) fn turn(&mut self, device: u32, is_busy: bool, changed: &mut Changed) {
        let Some(&Some(Member { package, power, .. })) = self.of_device.get(device as usize) else { return };
        let package = &mut self.packages[package as usize];
        package.drawn = if is_busy { package.drawn + power } else { package.drawn - power };
        let clock = package.clock(package.drawn);
        if clock != package.clock {
            package.clock = clock;
            package.devices.iter().for_each(|&device| changed.add(device));
        }
    }

    #[inline]
    pub(super) fn speed(&self, device: u32) -> f64 {
        match self.of_device.get(device as usize) {
            // While it is idle itself, the clock may be higher than that.
            Some(&Some(Member { package, clock_alone, .. })) => {
                (self.packages[package as usize].clock / clock_alone).min(1.0)
            }
            _ => 1.0,
        }
    }
}

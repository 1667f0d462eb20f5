//! Chips that clock all their devices down while the busy ones would draw more than the budget.

use super::Changed;
use crate::platform::{Package, Platform};

#[derive(Clone, Debug, Default)]
pub(super) struct Packages {
    packages: Vec<PackageState>,
    /// By device, its package and the power that its being busy adds, in microwatts. Empty if there are no packages.
    of_device: Vec<Option<(u32, u64)>>,
}

#[derive(Clone, Debug)]
struct PackageState {
    devices: Vec<u32>,
    /// What the budget leaves when all are idle, in microwatts.
    budget: u64,
    exponent: f64,
    /// What the busy ones add, in microwatts.
    drawn: u64,
    speed: f64,
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
            let mut idle = 0;
            for device in &package.devices {
                let power = platform.device(*device).power.unwrap_or_default();
                let [idle_power, active] = [power.idle, power.active].map(|watts| microwatts(watts.as_f64()));
                idle += idle_power;
                of_device[device.0 as usize] = Some((index, active.saturating_sub(idle_power)));
            }
            states.push(PackageState {
                devices: package.devices.iter().map(|device| device.0).collect(),
                budget: microwatts(package.budget.as_f64()).saturating_sub(idle),
                exponent: package.exponent,
                drawn: 0,
                speed: 1.0,
            });
        }
        Packages { packages: states, of_device }
    }

    #[inline]
    pub(super) fn turn(&mut self, device: u32, is_busy: bool, changed: &mut Changed) {
        let Some(&Some((index, power))) = self.of_device.get(device as usize) else { return };
        let package = &mut self.packages[index as usize];
        package.drawn = if is_busy { package.drawn + power } else { package.drawn - power };
        let speed = match package.drawn > package.budget {
            true => (package.budget as f64 / package.drawn as f64).powf(1.0 / package.exponent),
            false => 1.0,
        };
        if speed != package.speed {
            package.speed = speed;
            package.devices.iter().for_each(|&device| changed.add(device));
        }
    }

    #[inline]
    pub(super) fn speed(&self, device: u32) -> f64 {
        match self.of_device.get(device as usize) {
            Some(&Some((index, _))) => self.packages[index as usize].speed,
            _ => 1.0,
        }
    }
}

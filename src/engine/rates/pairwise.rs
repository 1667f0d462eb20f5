//! Factors between pairs of devices, and between parts of one.
//!
//! The slowdowns that busy devices and parts cause on a device add up, as whole millionths, so that no rounding error builds up
//! however often devices turn busy and idle.

use super::Changed;
use crate::platform::Slowdown;

#[derive(Clone, Debug, Default)]
pub(super) struct Pairwise {
    /// By device, the additional time that its steps suffer, in millionths. Empty if nothing slows anything.
    excess_ppm: Vec<u64>,
    /// By device, what its being busy adds to which others.
    effects: Vec<Vec<(u32, u64)>>,
    /// By device, what each lane of it that runs adds to its others.
    among: Vec<u64>,
}

impl Pairwise {
    pub(super) fn new(slowdowns: &[Slowdown], devices: usize) -> Pairwise {
        if slowdowns.is_empty() {
            return Pairwise::default();
        }
        let mut effects = vec![Vec::new(); devices];
        let mut among = vec![0; devices];
        for slowdown in slowdowns {
            let excess = u64::from(slowdown.excess_ppm);
            match slowdown.device == slowdown.busy {
                true => among[slowdown.device.0 as usize] += excess,
                false => effects[slowdown.busy.0 as usize].push((slowdown.device.0, excess)),
            }
        }
        Pairwise { excess_ppm: vec![0; devices], effects, among }
    }

    /// One lane more, or less, runs on a device beside others of it.
    #[inline]
    pub(super) fn crowd(&mut self, device: u32, is_more: bool, changed: &mut Changed) {
        let Some(added) = self.among.get(device as usize).filter(|added| **added > 0) else { return };
        let excess = &mut self.excess_ppm[device as usize];
        *excess = if is_more { *excess + added } else { *excess - added };
        changed.add(device);
    }

    #[inline]
    pub(super) fn turn(&mut self, device: u32, is_busy: bool, changed: &mut Changed) {
        let Some(effects) = self.effects.get(device as usize) else { return };
        for &(slowed, added) in effects {
            let excess = &mut self.excess_ppm[slowed as usize];
            *excess = if is_busy { *excess + added } else { *excess - added };
            changed.add(slowed);
        }
    }

    #[inline]
    pub(super) fn speed(&self, device: u32) -> f64 {
        self.excess_ppm.get(device as usize).map_or(1.0, |&excess| 1e6 / (1e6 + excess as f64))
    }
}

//! Processors that lend threads to the drivers of other devices.

use super::Changed;
use crate::platform::Host;

#[derive(Clone, Debug, Default)]
pub(super) struct Hosts {
    /// By device, its threads and those that drivers hold now. Empty if drivers hold none.
    threads: Vec<Option<(u32, u32)>>,
    /// By device, what its being busy holds of which host.
    holds: Vec<Vec<(u32, u32)>>,
}

impl Hosts {
    pub(super) fn new(hosts: &[Host], devices: usize) -> Hosts {
        if hosts.is_empty() {
            return Hosts::default();
        }
        let (mut threads, mut holds) = (vec![None; devices], vec![Vec::new(); devices]);
        for host in hosts {
            threads[host.device.0 as usize] = Some((host.threads, 0));
            for (device, held) in &host.holds {
                holds[device.0 as usize].push((host.device.0, *held));
            }
        }
        Hosts { threads, holds }
    }

    #[inline]
    pub(super) fn turn(&mut self, device: u32, is_busy: bool, changed: &mut Changed) {
        let Some(holds) = self.holds.get(device as usize) else { return };
        for &(host, count) in holds {
            let (_, held) = self.threads[host as usize].as_mut().expect("threads are held of hosts only");
            *held = if is_busy { *held + count } else { *held - count };
            changed.add(host);
        }
    }

    /// The part of its threads that is left. Where drivers hold all of them, its threads take turns with those that poll, in
    /// equal parts of time; no more than one is left then, so that a driver more never makes it faster.
    #[inline]
    pub(super) fn speed(&self, device: u32) -> f64 {
        match self.threads.get(device as usize) {
            Some(&Some((threads, held))) if held > 0 => {
                let (threads, held) = (f64::from(threads), f64::from(held));
                let turns = threads * threads / (threads + held);
                (threads - held).max(turns.min(1.0)) / threads
            }
            _ => 1.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::DeviceId;

    /// How many times as long a step takes while drivers hold so many of its threads.
    fn stretch(threads: u32, held: u32) -> f64 {
        let host = Host { device: DeviceId(0), threads, holds: vec![(DeviceId(1), held)] };
        let mut hosts = Hosts::new(&[host], 2);
        let mut changed = Changed { devices: Vec::new(), is_listed: vec![false; 2] };
        hosts.turn(1, true, &mut changed);
        1.0 / hosts.speed(0)
    }

    #[test]
    fn a_driver_more_never_makes_a_processor_faster() {
        assert_eq!([1, 2, 3, 4].map(|held| (stretch(4, held) * 1e6).round() / 1e6), [1.333333, 2.0, 4.0, 4.0]);
        assert_eq!((stretch(1, 1), stretch(1, 3), stretch(2, 6)), (2.0, 4.0, 4.0));
        for threads in 1..40 {
            let stretches: Vec<f64> = (0..200).map(|held| stretch(threads, held)).collect();
            assert!(stretches[0] == 1.0 && stretches.is_sorted(), "{threads}: {stretches:?}");
        }
    }
}

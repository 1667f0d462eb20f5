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

    /// The part of its threads that is left; if none is, its threads take turns with those that poll.
    #[inline]
    pub(super) fn speed(&self, device: u32) -> f64 {
        match self.threads.get(device as usize) {
            Some(&Some((threads, held))) if held > 0 => {
                let (threads, held) = (f64::from(threads), f64::from(held));
                if held < threads { (threads - held) / threads } else { threads / (threads + held) }
            }
            _ => 1.0,
        }
    }
}

//! Memories whose bandwidth devices share.
//!
//! Traffic is counted in whole bytes per second, so that sums stay exact.

use super::Changed;
use crate::plan::LaneId;
use crate::platform::{BandwidthRule, Memory, Platform};

#[derive(Clone, Debug, Default)]
pub(super) struct Memories {
    memories: Vec<MemoryState>,
    /// By device, the memory that slows it. Empty if none does.
    of_device: Vec<Option<u32>>,
    /// By lane, the traffic of its step.
    traffic: Vec<u64>,
}

#[derive(Clone, Debug)]
struct MemoryState {
    rule: BandwidthRule,
    devices: Vec<u32>,
    /// What all running steps need together.
    traffic: u64,
}

impl Memories {
    pub(super) fn new(platform: &Platform) -> Memories {
        let mut of_device = vec![None; platform.devices.len()];
        for (index, (memory, _)) in (0..).zip(platform.contended_memories()) {
            memory.users.iter().for_each(|device| of_device[device.0 as usize] = Some(index));
        }
        let state = |(memory, rule): (&Memory, &BandwidthRule)| MemoryState {
            rule: rule.clone(),
            devices: memory.users.iter().map(|device| device.0).collect(),
            traffic: 0,
        };
        Memories { memories: platform.contended_memories().map(state).collect(), of_device, traffic: Vec::new() }
    }

    pub(super) fn add_lane(&mut self) {
        self.traffic.push(0);
    }

    /// Whether `device` shares a memory.
    #[inline]
    pub(super) fn shares(&self, device: u32) -> bool {
        self.index(device).is_some()
    }

    #[inline]
    fn index(&self, device: u32) -> Option<usize> {
        self.of_device.get(device as usize).copied().flatten().map(|index| index as usize)
    }

    #[inline]
    pub(super) fn begin(&mut self, lane: LaneId, device: u32, traffic: u64, changed: &mut Changed) {
        if let Some(index) = self.index(device) {
            let memory = &mut self.memories[index];
            self.traffic[lane.0 as usize] = traffic;
            memory.traffic = memory.traffic.saturating_add(traffic);
            memory.devices.iter().for_each(|&device| changed.add(device));
        }
    }

    #[inline]
    pub(super) fn end(&mut self, lane: LaneId, device: u32, changed: &mut Changed) {
        if let Some(index) = self.index(device) {
            let traffic = std::mem::take(&mut self.traffic[lane.0 as usize]);
            let memory = &mut self.memories[index];
            debug_assert!(memory.traffic >= traffic, "a memory counts what its running steps need");
            memory.traffic = memory.traffic.saturating_sub(traffic);
            memory.devices.iter().for_each(|&device| changed.add(device));
        }
    }

    /// The speed that its memory leaves to the step on `lane`.
    #[inline]
    pub(super) fn speed(&self, lane: LaneId, device: u32) -> f64 {
        self.index(device).map_or(1.0, |index| {
            let (own, memory) = (self.traffic[lane.0 as usize], &self.memories[index]);
            memory.rule.speed(own as f64, memory.traffic.saturating_sub(own) as f64)
        })
    }
}

//! Queries whose samples are computed together, and what of them is to be computed again.

use super::flights::Loss;
use crate::platform::DeviceId;

/// Queries whose samples are computed together, by one plan or, after a fault, by several.
#[derive(Default)]
pub(super) struct Groups {
    groups: Vec<QueryGroup>,
    free: Vec<u32>,
    /// Groups of which samples were lost.
    pub(super) redo: Vec<Redo>,
}

#[derive(Default)]
pub(super) struct QueryGroup {
    /// By its place on the floor.
    pub(super) tenant: usize,
    pub(super) queries: Vec<u32>,
    /// Plans under way, and parts that wait to be computed again.
    pub(super) parts: u32,
}

/// Samples of a group that were lost.
#[derive(Clone, Copy)]
pub(super) struct Redo {
    pub(super) group: u32,
    pub(super) samples: u32,
    /// The device that must be back before.
    pub(super) waits_for: Option<DeviceId>,
}

impl Groups {
    pub(super) fn at(&self, place: u32) -> &QueryGroup {
        &self.groups[place as usize]
    }

    pub(super) fn at_mut(&mut self, place: u32) -> &mut QueryGroup {
        &mut self.groups[place as usize]
    }

    /// The place of a new group of `queries`, which one plan computes.
    pub(super) fn add(&mut self, tenant: usize, queries: impl Iterator<Item = u32>) -> u32 {
        let place = self.free.pop().unwrap_or_else(|| {
            self.groups.push(QueryGroup::default());
            self.groups.len() as u32 - 1
        });
        let group = &mut self.groups[place as usize];
        (group.tenant, group.parts) = (tenant, 1);
        group.queries.extend(queries);
        place
    }

    /// Nothing is left to do of the group.
    pub(super) fn remove(&mut self, place: u32) {
        self.groups[place as usize].queries.clear();
        self.free.push(place);
    }

    /// What is to be computed again waits for plans, and for a device.
    pub(super) fn redo(&mut self, losses: Vec<Loss>, waits_for: Option<DeviceId>) {
        for Loss { group, samples, is_over } in losses {
            self.redo.push(Redo { group, samples, waits_for });
            if !is_over {
                self.groups[group as usize].parts += 1;
            }
        }
    }

    /// The groups of which nothing is under way, each once.
    pub(super) fn lost(&self) -> Vec<u32> {
        let mut waiting: Vec<u32> = self.redo.iter().map(|redo| redo.group).collect();
        waiting.sort_unstable();
        let is_lost = |parts: &&[u32]| parts.len() as u32 == self.at(parts[0]).parts;
        waiting.chunk_by(|group, other| group == other).filter(is_lost).map(|parts| parts[0]).collect()
    }

    /// What is to be computed again of the group is no more than `samples`. Returns how many parts are left of it.
    pub(super) fn limit(&mut self, place: u32, mut samples: u32) -> u32 {
        let mut kept = 0;
        self.redo.retain_mut(|redo| {
            if redo.group == place {
                redo.samples = redo.samples.min(samples);
                samples -= redo.samples;
                kept += u32::from(redo.samples > 0);
            }
            redo.samples > 0
        });
        kept
    }
}

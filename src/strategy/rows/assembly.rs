//! The plan of groups whose rows are divided.

use super::chain::is_input;
use super::{MODEL, RowGroup, RowSplit, Transport};
use crate::model::{LayerId, Region};
use crate::plan::{Builder, Plan, StepId};
use crate::platform::{DeviceId, LinkId};
use crate::strategy::PlanError;

impl<'a> RowSplit<'a> {
    /// The plan in which boards run `groups` one after the other, and the home what is behind them.
    ///
    /// With [`Transport::Gather`], the home has the whole output of a group before it sends any of it on.
    ///
    /// # Errors
    /// Data cannot get where it must.
    pub(in crate::strategy) fn plan(&self, groups: &[RowGroup], transport: Transport) -> Result<Plan, PlanError> {
        let mut assembly = Assembly { split: self, builder: Builder::new(self.problem) };
        assembly.prepare(groups);
        for group in groups {
            match transport {
                Transport::Gather => assembly.gather(group)?,
                Transport::Neighbour => assembly.exchange(group)?,
            }
        }
        assembly.finish()
    }

    /// Links from one board to another, with the device at the end of each: direct ones, or by the home, which all boards
    /// reach.
    pub(super) fn between(&self, from: usize, to: usize) -> Vec<(LinkId, DeviceId)> {
        let (from, to) = (&self.boards[from], &self.boards[to]);
        let by_home = || [from.outward.clone(), to.inward.clone()].concat();
        self.problem.platform.route(from.device, to.device).unwrap_or_else(|_| by_home())
    }
}

/// A plan as it grows.
struct Assembly<'s, 'a> {
    split: &'s RowSplit<'a>,
    builder: Builder<'a>,
}

impl Assembly<'_, '_> {
    /// Gives lanes to all devices that compute, and says how boards reach each other.
    fn prepare(&mut self, groups: &[RowGroup]) {
        let boards = &self.split.boards;
        for (index, board) in boards.iter().enumerate() {
            if groups.iter().any(|group| !group.rows[index].is_empty()) {
                self.builder.reserve(board.device);
            }
            for (other, to) in boards.iter().enumerate().filter(|(other, _)| *other != index) {
                self.builder.lead(board.device, to.device, self.split.between(index, other));
            }
        }
        if self.split.tail.is_some() {
            self.builder.reserve(self.split.home);
        }
    }

    /// The home scatters what boards need, and gathers what they compute.
    fn gather(&mut self, group: &RowGroup) -> Result<(), PlanError> {
        let RowSplit { home, chain, .. } = self.split;
        let sent = self.bring(group, |_| vec![*home])?;
        let output = chain.output(group.units.end - 1);
        let mut returned = Vec::new();
        for (board, arrived) in sent {
            let computed = self.compute(group, board, &arrived);
            let (device, region) = (self.split.boards[board].device, self.region(group.rows[board].clone()));
            returned
                .push(self.builder.send((device, *home), (MODEL, output), &region, &[computed])?.unwrap_or(computed));
        }
        // Of the pieces at home, none is sent on before all are there.
        let whole = self.builder.join(&returned);
        let rows = self.region(0..chain.height(group.units.end - 1));
        self.builder.hold(*home, (MODEL, output), rows, whole);
        Ok(())
    }

    /// Boards send each other what they lack, and keep what they compute.
    fn exchange(&mut self, group: &RowGroup) -> Result<(), PlanError> {
        let split = self.split;
        let devices: Vec<DeviceId> = split.boards.iter().map(|board| board.device).collect();
        let graph = split.graph();
        let sources = |layer: LayerId| if is_input(graph, layer) { vec![split.home] } else { devices.clone() };
        for (board, arrived) in self.bring(group, sources)? {
            self.compute(group, board, &arrived);
        }
        Ok(())
    }

    /// Sends boards what they read for their rows and do not have, from the first of the sources that have it; for each
    /// board that takes part, the steps that its computing waits for.
    fn bring(
        &mut self,
        group: &RowGroup,
        sources: impl Fn(LayerId) -> Vec<DeviceId>,
    ) -> Result<Vec<(usize, Vec<StepId>)>, PlanError> {
        let mut sent = Vec::new();
        for &board in group.order.iter().filter(|&&board| !group.rows[board].is_empty()) {
            let mut arrived = Vec::new();
            for reading in self.split.chain.readings(&group.units, &group.rows[board]) {
                let (device, region) = (self.split.boards[board].device, self.region(reading.rows));
                let sources = sources(reading.layer);
                arrived.extend(self.builder.bring(device, (MODEL, reading.layer), &region, Some(&sources), &[])?);
            }
            sent.push((board, arrived));
        }
        Ok(sent)
    }

    fn compute(&mut self, group: &RowGroup, board: usize, arrived: &[StepId]) -> StepId {
        let work = self.split.work(group.units.clone(), group.rows[board].clone());
        self.builder.compute(self.split.boards[board].device, work, arrived)
    }

    /// Brings home what is read behind the front, and runs it there.
    fn finish(mut self) -> Result<Plan, PlanError> {
        let split = self.split;
        let devices: Vec<DeviceId> = split.boards.iter().map(|board| board.device).collect();
        let mut arrived = Vec::new();
        for unit in (0..split.len()).filter(|&unit| split.chain.leaves(unit)) {
            let (layer, region) = ((MODEL, split.chain.output(unit)), self.region(0..split.chain.height(unit)));
            arrived.extend(self.builder.bring(split.home, layer, &region, Some(&devices), &[])?);
        }
        if let Some(tail) = &split.tail {
            arrived = vec![self.builder.compute(split.home, split.whole(tail), &arrived)];
        }
        self.builder.join(&arrived);
        Ok(self.builder.finish())
    }

    fn region(&self, rows: std::ops::Range<u32>) -> Region {
        Region { samples: self.split.samples(), rows }
    }
}

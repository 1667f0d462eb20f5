//! The plan of groups whose rows are divided.

use std::collections::BTreeMap;
use std::ops::Range;

use super::chain::is_input;
use super::{Group, MODEL, RowSplit, Transport};
use crate::model::{LayerId, Region, Work};
use crate::plan::{Action, Lane, LaneId, Plan, StepId};
use crate::platform::{DeviceId, LinkId};
use crate::units::{Bytes, Share};

impl RowSplit<'_> {
    /// The plan in which boards run `groups` one after the other, and the home what is behind them.
    ///
    /// With [`Transport::Gather`], the home has the whole output of a group before it sends any of it on.
    pub(in crate::strategy) fn plan(&self, groups: &[Group], transport: Transport) -> Plan {
        let mut assembly =
            Assembly { split: self, plan: Plan::default(), lanes: BTreeMap::new(), held: BTreeMap::new() };
        assembly.reserve(groups);
        for group in groups {
            match transport {
                Transport::Gather => assembly.gather(group),
                Transport::Neighbour => assembly.exchange(group),
            }
        }
        assembly.finish();
        assembly.plan
    }

    /// Links from one board to another, with the device at the end of each.
    pub(super) fn between(&self, from: usize, to: usize) -> Vec<(LinkId, DeviceId)> {
        self.route(self.boards[from].device, self.boards[to].device)
    }

    /// Links between devices: direct ones, or by the home, which all boards reach.
    fn route(&self, from: DeviceId, to: DeviceId) -> Vec<(LinkId, DeviceId)> {
        let platform = &self.problem.platform;
        platform.route(from, to).unwrap_or_else(|_| {
            let board = |device| self.boards.iter().find(|board| board.device == device);
            let outward = board(from).map(|board| board.outward.clone()).unwrap_or_default();
            let inward = board(to).map(|board| board.inward.clone()).unwrap_or_default();
            [outward, inward].concat()
        })
    }
}

/// Rows of a layer's output on a device, and the step that put them there; inputs were there before.
#[derive(Clone, Debug)]
struct Held {
    rows: Range<u32>,
    by: Option<StepId>,
}

/// A plan as it grows.
struct Assembly<'s, 'a> {
    split: &'s RowSplit<'a>,
    plan: Plan,
    lanes: BTreeMap<Place, LaneId>,
    /// What was computed or sent where.
    held: BTreeMap<(DeviceId, LayerId), Vec<Held>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    Device(DeviceId),
    Link(LinkId),
}

impl Assembly<'_, '_> {
    /// Adds a lane for each device, with the memory for the weights of all that it runs and for its largest step.
    fn reserve(&mut self, groups: &[Group]) {
        let split = self.split;
        for (index, board) in split.boards.iter().enumerate() {
            let own = groups.iter().filter(|group| !group.rows[index].is_empty());
            let works: Vec<Work> =
                own.map(|group| split.work(group.units.clone(), group.rows[index].clone())).collect();
            if !works.is_empty() {
                self.add_lane(board.device, &works);
            }
        }
        if let Some(tail) = &split.tail {
            self.add_lane(split.home, &[split.whole(tail)]);
        }
        let home = |layer| (split.home, layer);
        let graph = split.graph();
        for layer in graph.layer_ids().filter(|&layer| is_input(graph, layer)) {
            let rows = 0..graph.shape(layer).rows;
            self.held.insert(home(layer), vec![Held { rows, by: None }]);
        }
    }

    fn add_lane(&mut self, device: DeviceId, works: &[Work]) {
        let sizes = self.split.problem.sizes(MODEL, device);
        let weights: Bytes = works.iter().map(|work| sizes.parameters(&work.segment)).sum();
        let live = works.iter().map(|work| sizes.activations(work)).max().unwrap_or_default();
        let lane = self.plan.lane(Lane::Compute { device, share: Share::FULL, memory: weights + live });
        self.lanes.insert(Place::Device(device), lane);
    }

    /// The home scatters what boards need, and gathers what they compute.
    fn gather(&mut self, group: &Group) {
        let split = self.split;
        let sent: Vec<(usize, Vec<StepId>)> = group
            .order
            .iter()
            .filter(|&&board| !group.rows[board].is_empty())
            .map(|&board| (board, self.bring(group, board, |_| vec![split.home])))
            .collect();
        let output = split.chain.output(group.units.end - 1);
        let mut returned = Vec::new();
        for (board, arrived) in sent {
            let computed = self.compute(group, board, &arrived);
            let rows = &group.rows[board];
            returned.extend(self.send(&split.boards[board].outward, output, rows, &[computed]).or(Some(computed)));
        }
        // Of the pieces at home, none is sent on before all are there.
        let whole = self.plan.join(&returned);
        let rows = 0..split.chain.height(group.units.end - 1);
        self.held.insert((split.home, output), vec![Held { rows, by: Some(whole) }]);
    }

    /// Boards send each other what they lack, and keep what they compute.
    fn exchange(&mut self, group: &Group) {
        let split = self.split;
        let devices: Vec<DeviceId> = split.boards.iter().map(|board| board.device).collect();
        let graph = split.graph();
        let sources = |layer: LayerId| if is_input(graph, layer) { vec![split.home] } else { devices.clone() };
        let sent: Vec<(usize, Vec<StepId>)> = group
            .order
            .iter()
            .filter(|&&board| !group.rows[board].is_empty())
            .map(|&board| (board, self.bring(group, board, sources)))
            .collect();
        let output = split.chain.output(group.units.end - 1);
        for (board, arrived) in sent {
            let by = Some(self.compute(group, board, &arrived));
            let rows = group.rows[board].clone();
            self.held.entry((devices[board], output)).or_default().push(Held { rows, by });
        }
    }

    /// Sends `board` what it reads for its rows and does not have, from the first of the sources that have it; the steps
    /// that its computing waits for.
    fn bring(&mut self, group: &Group, board: usize, sources: impl Fn(LayerId) -> Vec<DeviceId>) -> Vec<StepId> {
        let device = self.split.boards[board].device;
        let mut arrived = Vec::new();
        for reading in self.split.chain.readings(&group.units, &group.rows[board]) {
            arrived.extend(self.fetch(device, reading.layer, &reading.rows, &sources(reading.layer)));
        }
        arrived
    }

    /// The steps after which `device` has these rows of a layer's output.
    fn fetch(&mut self, device: DeviceId, layer: LayerId, rows: &Range<u32>, sources: &[DeviceId]) -> Vec<StepId> {
        let mut arrived = Vec::new();
        let mut missing = vec![rows.clone()];
        let here = self.held.get(&(device, layer)).cloned().unwrap_or_default();
        take(&mut missing, &here, |_, by| arrived.extend(by));
        for &source in sources.iter().filter(|&&source| source != device) {
            let there = self.held.get(&(source, layer)).cloned().unwrap_or_default();
            let mut found = Vec::new();
            take(&mut missing, &there, |rows, by| found.push((rows, by)));
            for (rows, by) in found {
                let route = self.split.route(source, device);
                let by = self.send(&route, layer, &rows, by.as_slice()).or(by);
                arrived.extend(by);
                self.held.entry((device, layer)).or_default().push(Held { rows, by });
            }
        }
        arrived
    }

    fn compute(&mut self, group: &Group, board: usize, arrived: &[StepId]) -> StepId {
        let work = self.split.work(group.units.clone(), group.rows[board].clone());
        let lane = self.lanes[&Place::Device(self.split.boards[board].device)];
        self.plan.step(lane, Action::Compute(work), arrived)
    }

    /// Adds the transfers of rows along a route; the last, if there is one.
    fn send(
        &mut self,
        route: &[(LinkId, DeviceId)],
        layer: LayerId,
        rows: &Range<u32>,
        after: &[StepId],
    ) -> Option<StepId> {
        let mut last = None;
        for &(link, to) in route {
            let plan = &mut self.plan;
            let lane = *self.lanes.entry(Place::Link(link)).or_insert_with(|| plan.lane(Lane::Link(link)));
            let region = Region { samples: self.split.samples(), rows: rows.clone() };
            let action = Action::Transfer { model: MODEL, layer, region, to };
            last = Some(plan.step(lane, action, last.as_slice().first().map_or(after, std::slice::from_ref)));
        }
        last
    }

    /// Brings home what is read behind the front, and runs it there.
    fn finish(&mut self) {
        let split = self.split;
        let devices: Vec<DeviceId> = split.boards.iter().map(|board| board.device).collect();
        let mut arrived = Vec::new();
        for unit in (0..split.len()).filter(|&unit| split.chain.leaves(unit)) {
            let rows = 0..split.chain.height(unit);
            arrived.extend(self.fetch(split.home, split.chain.output(unit), &rows, &devices));
        }
        if let Some(tail) = &split.tail {
            let lane = self.lanes[&Place::Device(split.home)];
            arrived = vec![self.plan.step(lane, Action::Compute(split.whole(tail)), &arrived)];
        }
        self.plan.join(&arrived);
    }
}

/// Takes away from `missing` what is `held`, and says what it is and by which step.
fn take(missing: &mut Vec<Range<u32>>, held: &[Held], mut found: impl FnMut(Range<u32>, Option<StepId>)) {
    for Held { rows, by } in held {
        let mut left = Vec::new();
        for range in missing.drain(..) {
            let both = range.start.max(rows.start)..range.end.min(rows.end);
            if both.is_empty() {
                left.push(range);
                continue;
            }
            left.extend([range.start..both.start, both.end..range.end].into_iter().filter(|rest| !rest.is_empty()));
            found(both, *by);
        }
        *missing = left;
    }
}

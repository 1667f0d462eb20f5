//! What all row splits share: one network whose layers run in groups, the rows of each group divided over boards.
//!
//! The front of the network, whose outputs have rows to divide, runs on boards; what is behind it, such as fully
//! connected layers, runs on the home of the data. A strategy chooses the groups and the rows of each board; here it
//! learns what these need and cost, and gets a plan of them.

mod assembly;
mod chain;
mod forecast;
mod grouping;
mod measured;
mod shares;
#[cfg(test)]
mod tests;

pub use forecast::{Corrections, Messages};
pub(super) use forecast::{Forecast, Rows, Settings, unknown};
pub(super) use grouping::{best, k_best, merged};
pub(super) use measured::round_time;
pub(super) use shares::{equal, proportional};

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::simulated::simulated;
use super::{Expectation, PlanError, Proposal};
use crate::model::{Graph, ModelId, Region, Segment, Work};
use crate::plan::room::{excesses, obstacle};
use crate::plan::{Plan, Violation};
use crate::platform::{DeviceId, LinkId};
use crate::problem::Problem;
use crate::units::{Duration, Share};
pub(super) use chain::Chain;

/// How data gets from one group to the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    /// The home gathers a group's whole output and scatters what the boards need for the next group.
    #[default]
    Gather,
    /// Boards keep their rows and send each other what the next group needs of them.
    Neighbour,
}

/// How rows are divided over boards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Ratio {
    /// In proportion to the boards' speeds with the layer that has the most multiply-accumulates, for all groups alike.
    #[default]
    Speed,
    /// For each group the rows with which the last board is done earliest, by bisection of that time.
    Exact,
}

impl From<Ratio> for Rows {
    fn from(ratio: Ratio) -> Rows {
        match ratio {
            Ratio::Speed => Rows::Weighted,
            Ratio::Exact => Rows::Earliest,
        }
    }
}

/// One network of a problem, whose rows boards share.
pub(super) struct RowSplit<'a> {
    problem: &'a Problem,
    /// The device that has the inputs and gets the outputs.
    home: DeviceId,
    /// In the platform's order.
    pub(super) boards: Vec<RowDevice>,
    /// What boards run.
    pub(super) chain: Chain<'a>,
    /// What the home runs when the boards are done.
    tail: Option<Segment>,
}

/// A device that takes rows.
#[derive(Clone)]
pub(super) struct RowDevice {
    pub(super) device: DeviceId,
    /// Links from the home, with the device at the end of each.
    inward: Vec<(LinkId, DeviceId)>,
    /// Links to the home.
    outward: Vec<(LinkId, DeviceId)>,
    /// How fast it is with the layer that has the most multiply-accumulates, alone: such layers per nanosecond.
    pub(super) speed: f64,
}

/// Layers that run as one, and who takes which rows of their output.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct RowGroup {
    /// Units of the front.
    pub(super) units: Range<usize>,
    /// By board; empty for those that take none.
    pub(super) rows: Vec<Range<u32>>,
    /// Boards in the order in which they are sent their inputs.
    pub(super) order: Vec<usize>,
}

const MODEL: ModelId = ModelId(0);

impl<'a> RowSplit<'a> {
    /// The row split of the network of `problem` over the devices called `boards`, or over all but the home.
    ///
    /// # Errors
    /// There are several networks, none with a home, or nothing to divide; or no board but those left `out` can run the front.
    fn new(problem: &'a Problem, boards: Option<&[String]>, out: &[(DeviceId, Violation)]) -> Result<Self, PlanError> {
        let [model] = problem.models.as_slice() else {
            return Err(PlanError::Unsupported("rows of one network are shared, and the scenario has several".into()));
        };
        let graph = &model.graph;
        let Some(home) = model.home else {
            let reason = "has no `home`, which sends inputs to the boards and runs what has no rows to divide";
            return Err(PlanError::Unsupported(format!("{} {reason}", graph.name())));
        };
        let (chain, tail) = Chain::new(graph);
        if chain.is_empty() {
            return Err(PlanError::Infeasible(format!("no layer of {} has rows to divide", graph.name())));
        }
        let front = chain.segment(0..chain.len());
        let probe = chain.heaviest();
        let (mut found, mut obstacles) = (Vec::new(), Vec::new());
        for name in boards.into_iter().flatten() {
            if !problem.platform.device_ids().any(|device| problem.platform.device(device).name == *name) {
                return Err(PlanError::Unsupported(format!("the strategy asks for `{name}`: there is no such device")));
            }
        }
        for device in problem.platform.device_ids().filter(|&device| device != home) {
            let is_asked = boards.is_none_or(|names| names.contains(&problem.platform.device(device).name));
            let is_out = out.iter().find(|(known, _)| *known == device).map(|(_, violation)| violation.to_string());
            let board = || is_out.map_or_else(|| RowDevice::new(problem, graph, (&front, &probe), home, device), Err);
            match is_asked.then(board) {
                Some(Ok(board)) => found.push(board),
                Some(Err(obstacle)) => obstacles.push(obstacle),
                None => {}
            }
        }
        if found.is_empty() {
            let why = if obstacles.is_empty() { "there is none but the home".into() } else { obstacles.join("; ") };
            return Err(PlanError::Infeasible(format!("no board can run {}: {why}", graph.name())));
        }
        if let Some(obstacle) = tail.as_ref().and_then(|tail| obstacle(problem, home, (MODEL, tail))) {
            return Err(PlanError::Infeasible(format!("the home runs what has no rows to divide: {obstacle}")));
        }
        Ok(RowSplit { problem, home, boards: found, chain, tail })
    }

    fn graph(&self) -> &'a Graph {
        &self.problem.models[0].graph
    }

    /// Units of the front.
    pub(super) fn len(&self) -> usize {
        self.chain.len()
    }

    /// The speeds of all boards.
    pub(super) fn speeds(&self) -> Vec<f64> {
        self.boards.iter().map(|board| board.speed).collect()
    }

    fn samples(&self) -> Range<u32> {
        0..self.problem.samples()
    }

    fn work(&self, units: Range<usize>, rows: Range<u32>) -> Work {
        let region = Region { samples: self.samples(), rows };
        Work { model: MODEL, segment: self.chain.segment(units), region }
    }

    /// The board that runs the front fastest alone; of equal ones the first.
    pub(super) fn fastest_board(&self) -> usize {
        let by_speed = |&a: &usize, &b: &usize| self.boards[b].speed.total_cmp(&self.boards[a].speed);
        (0..self.boards.len()).min_by(by_speed).expect("a row split has boards")
    }

    /// A group in which boards take `rows`; who computes longest is sent its inputs first.
    pub(super) fn group(&self, units: Range<usize>, rows: Vec<Range<u32>>) -> Result<RowGroup, PlanError> {
        let time = |(board, rows): (&RowDevice, &Range<u32>)| match rows.is_empty() {
            true => Ok(Duration::ZERO),
            false => {
                let work = self.work(units.clone(), rows.clone());
                Ok(self.problem.costs.compute(board.device, Share::FULL, &work)?.time)
            }
        };
        let times = self.boards.iter().zip(&rows).map(time).collect::<Result<Vec<_>, PlanError>>()?;
        let mut order: Vec<usize> = (0..rows.len()).collect();
        order.sort_by_key(|&board| std::cmp::Reverse(times[board]));
        Ok(RowGroup { units, rows, order })
    }

    /// The board that is left out where `device` has too little: itself, or, of those that use the memory which does not hold
    /// what the home needs there, the slowest.
    fn gives_way(&self, device: DeviceId, violation: &Violation) -> Option<DeviceId> {
        let full =
            self.problem.platform.memories.iter().find(|memory| Some(memory.name.as_str()) == violation.memory());
        let uses_it = |board: &&RowDevice| full.is_some_and(|memory| memory.users.contains(&board.device));
        let slowest = || self.boards.iter().filter(uses_it).min_by(|a, b| a.speed.total_cmp(&b.speed));
        let board = self.boards.iter().find(|board| board.device == device).or_else(slowest)?;
        Some(board.device)
    }

    /// The plan that is fastest in simulation; of equal ones the first.
    pub(super) fn fastest(&self, plans: impl IntoIterator<Item = Result<Plan, PlanError>>) -> Result<Plan, PlanError> {
        let offline = self.problem.offline(self.problem.samples());
        let mut best: Option<(Duration, Plan)> = None;
        for plan in plans {
            let plan = plan?;
            // Of those that have no room, one is for who asks to find that out.
            let time = simulated(&offline, &plan)?.unwrap_or(Duration::MAX);
            if best.as_ref().is_none_or(|(least, _)| time < *least) {
                best = Some((time, plan));
            }
        }
        best.map(|(_, plan)| plan).ok_or_else(unknown)
    }

    /// All rows of what a segment computes.
    fn whole(&self, segment: &Segment) -> Work {
        let rows = 0..self.graph().shape(segment.last()).rows;
        Work { model: MODEL, segment: segment.clone(), region: Region { samples: self.samples(), rows } }
    }

    /// What is expected of groups that take `nanos` in all: the home runs what is behind the front.
    pub(super) fn expectation(&self, nanos: f64) -> Expectation {
        let rest = self.tail.as_ref().map(|tail| (self.home, self.whole(tail)));
        Expectation { chosen: Duration::from_nanos_f64(nanos), rest }
    }
}

/// What `propose` says of the rows of `problem`, over the boards whose memory and limits let them take part in it: it is
/// asked again without those that do not, as often as that takes. Boards that share a memory with the home leave it room.
///
/// # Errors
/// There is no row split, no board is left, the home has too little memory, or `propose` fails.
pub(super) fn divided(
    problem: &Problem,
    boards: Option<&[String]>,
    propose: impl Fn(&RowSplit<'_>) -> Result<Proposal, PlanError>,
) -> Result<Proposal, PlanError> {
    let mut out: Vec<(DeviceId, Violation)> = Vec::new();
    loop {
        let split = RowSplit::new(problem, boards, &out)?;
        let proposal = propose(&split)?;
        let beyond = excesses(&proposal.plan, problem);
        if beyond.is_empty() {
            return Ok(proposal);
        }
        for (device, violation) in beyond {
            let Some(board) = split.gives_way(device, &violation) else {
                return Err(PlanError::Infeasible(violation.to_string()));
            };
            if out.iter().all(|(known, _)| *known != board) {
                out.push((board, violation));
            }
        }
    }
}

/// The plan in which each unit is a group by itself, its rows divided by speed.
pub(super) fn one_by_one(split: &RowSplit<'_>, transport: Transport) -> Result<Plan, PlanError> {
    let speeds = split.speeds();
    let group = |unit: usize| split.group(unit..unit + 1, proportional(&speeds, split.chain.height(unit)));
    let groups = (0..split.len()).map(group).collect::<Result<Vec<_>, _>>()?;
    split.plan(&groups, transport)
}

impl RowDevice {
    /// `device` as a board, or why it cannot be one.
    fn new(
        problem: &Problem,
        graph: &Graph,
        (front, probe): (&Segment, &Segment),
        home: DeviceId,
        device: DeviceId,
    ) -> Result<RowDevice, String> {
        let (name, most) = (&problem.platform.device(device).name, problem.platform.most_held(device));
        if let Some(layer) = problem.platform.device(device).lacks(graph, front) {
            return Err(format!("`{name}` does not support `{}`", layer.name));
        }
        let weights = problem.sizes(MODEL, device).parameters(front);
        if weights > most {
            return Err(format!("`{name}` has {most}, too little for weights of {weights}"));
        }
        let region = Region { samples: 0..problem.samples(), rows: 0..graph.shape(probe.last()).rows };
        let work = Work { model: MODEL, segment: probe.clone(), region };
        let time = problem.costs.compute(device, Share::FULL, &work).map_err(|error| error.to_string())?.time;
        let route = |from, to| problem.platform.route(from, to).map_err(|error| error.to_string());
        let speed = 1.0 / time.as_nanos_f64().max(1.0);
        Ok(RowDevice { device, inward: route(home, device)?, outward: route(device, home)?, speed })
    }
}

//! What all batch splits share: one network, whole, on every device that can take some samples of the batch.

use crate::cost::Uncalibrated;
use crate::model::{LayerId, ModelId, Region, Segment, Work};
use crate::plan::{Action, Lane, LaneId, Plan, StepId};
use crate::platform::{DeviceId, LinkId};
use crate::problem::{Model, Problem};
use crate::strategy::PlanError;
use crate::units::{Duration, Share};

/// A problem of one network whose samples are shared among devices.
pub(super) struct BatchSplit<'a> {
    problem: &'a Problem,
    model: ModelId,
    whole: Segment,
    /// The devices that can take at least one sample, in the platform's order.
    pub(super) units: Vec<Unit>,
}

/// A device that can take samples.
pub(super) struct Unit {
    pub(super) device: DeviceId,
    /// The most samples that fit into its memory at once.
    pub(super) capacity: u32,
    /// Links that its inputs take, with the device at the end of each. Empty if they are there already.
    inward: Vec<(LinkId, DeviceId)>,
    /// Links that its outputs take.
    outward: Vec<(LinkId, DeviceId)>,
}

impl<'a> BatchSplit<'a> {
    /// The batch split that `problem` asks for.
    pub(super) fn new(problem: &'a Problem) -> Result<Self, PlanError> {
        let [model] = problem.models.as_slice() else {
            let count = problem.models.len();
            return Err(PlanError::Unsupported(format!("a batch split shares one model, and there are {count}")));
        };
        let name = model.graph.name();
        let Some(whole) = model.graph.whole() else {
            return Err(PlanError::Infeasible(format!("{name} has nothing to compute")));
        };
        let mut obstacles = Vec::new();
        let mut units = Vec::new();
        for device in problem.platform.device_ids() {
            match Unit::new(problem, model, &whole, device) {
                Ok(unit) => units.push(unit),
                Err(obstacle) => obstacles.push(obstacle),
            }
        }
        if units.is_empty() {
            return Err(PlanError::Infeasible(format!("no device can run {name}: {}", obstacles.join("; "))));
        }
        Ok(BatchSplit { problem, model: ModelId(0), whole, units })
    }

    /// Samples to share.
    pub(super) fn samples(&self) -> u32 {
        self.problem.samples()
    }

    /// The index among the units of the device called `name`.
    pub(super) fn unit_named(&self, name: &str) -> Result<usize, PlanError> {
        let named = |unit: &Unit| self.problem.platform.device(unit.device).name == name;
        self.units.iter().position(named).ok_or_else(|| {
            let exists = self.problem.platform.devices.iter().any(|device| device.name == name);
            let why = if exists { "cannot run this model" } else { "does not exist" };
            PlanError::Unsupported(format!("the strategy asks for device `{name}`, which {why}"))
        })
    }

    /// Computing time of `batch` samples in one step on a unit that runs alone.
    pub(super) fn compute_time(&self, unit: usize, batch: u32) -> Result<Duration, Uncalibrated> {
        if batch == 0 {
            return Ok(Duration::ZERO);
        }
        let work = self.work(0..batch);
        Ok(self.problem.costs.compute(self.units[unit].device, Share::FULL, &work)?.time)
    }

    /// Time of `batch` samples in one step on a unit that runs alone, from sending inputs to receiving outputs.
    pub(super) fn time(&self, unit: usize, batch: u32) -> Result<Duration, Uncalibrated> {
        let mut total = self.compute_time(unit, batch)?;
        let graph = &self.problem.model(self.model).graph;
        let Unit { inward, outward, .. } = &self.units[unit];
        if batch > 0 && !(inward.is_empty() && outward.is_empty()) {
            let moved = |layer| graph.bytes(layer, &self.all_rows(layer, 0..batch));
            for layer in self.inputs() {
                for &(link, _) in inward {
                    total += self.problem.costs.transfer(link, moved(layer))?.time;
                }
            }
            for &(link, _) in outward {
                total += self.problem.costs.transfer(link, moved(graph.output()))?.time;
            }
        }
        Ok(total)
    }

    /// Time of `samples` on a unit that runs alone, in as many steps as its memory requires.
    pub(super) fn time_in_waves(&self, unit: usize, samples: u32) -> Result<Duration, Uncalibrated> {
        if samples <= self.units[unit].capacity {
            return self.time(unit, samples);
        }
        let waves = self.waves(unit, samples);
        // Waves differ by one sample at most, so there are two sizes.
        let (first, last) = (waves[0], waves[waves.len() - 1]);
        let count_first = waves.iter().filter(|&&size| size == first).count() as u32;
        let rest = self.time(unit, last)? * (waves.len() as u32 - count_first);
        Ok(self.time(unit, first)? * count_first + rest)
    }

    /// `samples` on a unit in the fewest steps that fit its memory, of equal size or one apart.
    pub(super) fn waves(&self, unit: usize, samples: u32) -> Vec<u32> {
        let count = samples.div_ceil(self.units[unit].capacity);
        (0..count).map(|index| samples / count + u32::from(index < samples % count)).collect()
    }

    /// The plan in which each unit runs steps of the given sizes, one after the other.
    pub(super) fn plan(&self, steps_of_unit: &[Vec<u32>]) -> Plan {
        let mut builder = Builder { split: self, plan: Plan::default(), link_lanes: Vec::new() };
        let mut next_sample = 0;
        let mut firsts = Vec::new();
        for sizes in steps_of_unit {
            firsts.push(next_sample);
            next_sample += sizes.iter().sum::<u32>();
        }
        let lanes: Vec<Option<LaneId>> =
            self.units.iter().zip(steps_of_unit).map(|(unit, sizes)| builder.compute_lane(unit, sizes)).collect();
        let mut ends = Vec::new();
        for round in 0..steps_of_unit.iter().map(Vec::len).max().unwrap_or(0) {
            for (index, unit) in self.units.iter().enumerate() {
                if let (Some(&size), Some(lane)) = (steps_of_unit[index].get(round), lanes[index]) {
                    let samples = firsts[index]..firsts[index] + size;
                    firsts[index] += size;
                    ends.push(builder.step(unit, lane, samples));
                }
            }
        }
        builder.plan.join(&ends);
        builder.plan
    }

    /// The plan in which each unit runs its samples in the fewest steps that fit its memory.
    pub(super) fn plan_split(&self, split: &[u32]) -> Plan {
        let steps: Vec<Vec<u32>> = split.iter().enumerate().map(|(unit, &samples)| self.waves(unit, samples)).collect();
        self.plan(&steps)
    }

    fn inputs(&self) -> impl Iterator<Item = LayerId> + '_ {
        let graph = &self.problem.model(self.model).graph;
        (0..graph.layers().len() as u32).map(LayerId).filter(|&id| graph.is_input(id))
    }

    fn all_rows(&self, layer: LayerId, samples: std::ops::Range<u32>) -> Region {
        Region { samples, rows: 0..self.problem.model(self.model).graph.layer(layer).output.rows }
    }

    fn work(&self, samples: std::ops::Range<u32>) -> Work {
        let output = self.problem.model(self.model).graph.output();
        Work { model: self.model, segment: self.whole.clone(), region: self.all_rows(output, samples) }
    }
}

impl Unit {
    /// `device` as a unit, or why it cannot be one.
    fn new(problem: &Problem, model: &Model, whole: &Segment, device: DeviceId) -> Result<Unit, String> {
        let graph = &model.graph;
        let Device { name, memory, unsupported, .. } = problem.platform.device(device);
        if let Some(layer) =
            whole.layers().map(|id| graph.layer(id)).find(|layer| unsupported.contains(&layer.op.kind()))
        {
            return Err(format!("`{name}` does not support `{}`", layer.name));
        }
        let one = Work {
            model: ModelId(0),
            segment: whole.clone(),
            region: Region { samples: 0..1, rows: 0..graph.layer(graph.output()).output.rows },
        };
        let left = memory.0.saturating_sub(graph.parameters(whole).0);
        let capacity = left.checked_div(graph.activations(&one).0).unwrap_or(u64::MAX).min(u32::MAX.into()) as u32;
        if capacity == 0 || *memory < graph.parameters(whole) {
            return Err(format!("`{name}` has {memory}, too little for one sample"));
        }
        let route = |from, to| problem.platform.route(from, to).map_err(|error| error.to_string());
        let (inward, outward) = match model.home {
            Some(home) => (route(home, device)?, route(device, home)?),
            None => (Vec::new(), Vec::new()),
        };
        Ok(Unit { device, capacity, inward, outward })
    }
}

use crate::platform::Device;

/// A plan as it grows.
struct Builder<'a> {
    split: &'a BatchSplit<'a>,
    plan: Plan,
    link_lanes: Vec<(LinkId, LaneId)>,
}

impl Builder<'_> {
    /// A lane on the unit's device with memory for the largest of the steps; none if there are none.
    fn compute_lane(&mut self, unit: &Unit, sizes: &[u32]) -> Option<LaneId> {
        let largest = *sizes.iter().max()?;
        let graph = &self.split.problem.model(self.split.model).graph;
        let memory = graph.parameters(&self.split.whole) + graph.activations(&self.split.work(0..largest));
        Some(self.plan.lane(Lane::Compute { device: unit.device, share: Share::FULL, memory }))
    }

    /// Adds the transfers and the computation of `samples` on a unit; the id of what ends them.
    fn step(&mut self, unit: &Unit, lane: LaneId, samples: std::ops::Range<u32>) -> StepId {
        let split = self.split;
        let mut arrived = Vec::new();
        for layer in split.inputs().filter(|_| !unit.inward.is_empty()) {
            arrived.push(self.transfer(&unit.inward, layer, &samples, Vec::new()));
        }
        let arrived: Vec<StepId> = arrived.into_iter().flatten().collect();
        let computed = self.plan.step(lane, Action::Compute(split.work(samples.clone())), &arrived);
        let output = split.problem.model(split.model).graph.output();
        self.transfer(&unit.outward, output, &samples, vec![computed]).map_or(computed, |returned| returned)
    }

    /// Adds the transfers of a layer along a route; the id of the last, if there is one.
    fn transfer(
        &mut self,
        route: &[(LinkId, DeviceId)],
        layer: LayerId,
        samples: &std::ops::Range<u32>,
        mut after: Vec<StepId>,
    ) -> Option<StepId> {
        for &(link, to) in route {
            let region = self.split.all_rows(layer, samples.clone());
            let lane = self.link_lane(link);
            let action = Action::Transfer { model: self.split.model, layer, region, to };
            after = vec![self.plan.step(lane, action, &after)];
        }
        after.first().copied()
    }

    fn link_lane(&mut self, link: LinkId) -> LaneId {
        if let Some(&(_, lane)) = self.link_lanes.iter().find(|(known, _)| *known == link) {
            return lane;
        }
        let lane = self.plan.lane(Lane::Link(link));
        self.link_lanes.push((link, lane));
        lane
    }
}

//! What all batch splits share: one network, whole, on every device that can take some samples of the batch.

use std::ops::Range;

use crate::cost::Uncalibrated;
use crate::model::{Graph, LayerId, ModelId, Region, Segment, Work};
use crate::plan::{Action, Lane, LaneId, Plan, StepId};
use crate::platform::{Device, DeviceId, LinkId};
use crate::problem::Problem;
use crate::strategy::PlanError;
use crate::units::{Bytes, Duration, Share};

/// One network of a problem, run whole.
pub(super) struct Whole<'a> {
    problem: &'a Problem,
    model: ModelId,
    segment: Segment,
}

/// One network of a problem, whose samples are shared among devices.
pub(super) struct BatchSplit<'a> {
    whole: Whole<'a>,
    /// The devices that can take at least one sample, in the platform's order.
    pub(super) units: Vec<Unit>,
    /// Why each other device cannot.
    obstacles: Vec<(DeviceId, String)>,
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

impl<'a> Whole<'a> {
    /// `model` of `problem`, if it has something to compute.
    pub(super) fn new(problem: &'a Problem, model: ModelId) -> Result<Self, PlanError> {
        let graph = &problem.model(model).graph;
        let nothing = || PlanError::Infeasible(format!("{} has nothing to compute", graph.name()));
        let segment = graph.whole().ok_or_else(nothing)?;
        Ok(Whole { problem, model, segment })
    }

    fn graph(&self) -> &'a Graph {
        &self.problem.model(self.model).graph
    }

    fn work(&self, samples: Range<u32>) -> Work {
        let region = self.all_rows(self.graph().output(), samples);
        Work { model: self.model, segment: self.segment.clone(), region }
    }

    fn all_rows(&self, layer: LayerId, samples: Range<u32>) -> Region {
        Region { samples, rows: 0..self.graph().shape(layer).rows }
    }

    /// The most samples that `device` can run in one step beside the weights of all networks, or why it can run none.
    pub(super) fn capacity(&self, device: DeviceId) -> Result<u32, String> {
        let Device { name, memory, .. } = self.problem.platform.device(device);
        if let Some(layer) = self.problem.platform.device(device).lacks(self.graph(), &self.segment) {
            return Err(format!("`{name}` does not support `{}`", layer.name));
        }
        let activations = self.problem.sizes(self.model, device).activations(&self.work(0..1)).0;
        let weights = |model: ModelId| {
            let whole = self.problem.model(model).graph.whole();
            whole.map_or(Bytes(0), |segment| self.problem.sizes(model, device).parameters(&segment))
        };
        let weights: Bytes = (0..self.problem.models.len() as u32).map(|model| weights(ModelId(model))).sum();
        let left = memory.0.checked_sub(weights.0);
        match left.map(|left| left.checked_div(activations).unwrap_or(u64::MAX)) {
            None | Some(0) => Err(format!("`{name}` has {memory}, too little for one sample")),
            Some(samples) => Ok(samples.min(u32::MAX.into()) as u32),
        }
    }

    /// Computing time of `batch` samples in one step on a device that runs alone.
    pub(super) fn compute_time(&self, device: DeviceId, batch: u32) -> Result<Duration, Uncalibrated> {
        if batch == 0 {
            return Ok(Duration::ZERO);
        }
        Ok(self.problem.costs.compute(device, Share::FULL, &self.work(0..batch))?.time)
    }
}

impl<'a> BatchSplit<'a> {
    /// The batch split of `model` that `problem` asks for.
    pub(super) fn new(problem: &'a Problem, model: ModelId) -> Result<Self, PlanError> {
        let whole = Whole::new(problem, model)?;
        let (mut units, mut obstacles) = (Vec::new(), Vec::new());
        for device in problem.platform.device_ids() {
            match Unit::new(&whole, device) {
                Ok(unit) => units.push(unit),
                Err(obstacle) => obstacles.push((device, obstacle)),
            }
        }
        if units.is_empty() {
            let name = whole.graph().name();
            let why: Vec<&str> = obstacles.iter().map(|(_, obstacle)| obstacle.as_str()).collect();
            return Err(PlanError::Infeasible(format!("no device can run {name}: {}", why.join("; "))));
        }
        Ok(BatchSplit { whole, units, obstacles })
    }

    /// Weights that a device needs.
    pub(super) fn parameters(&self, device: DeviceId) -> Bytes {
        self.whole.problem.sizes(self.whole.model, device).parameters(&self.whole.segment)
    }

    /// Samples to share.
    pub(super) fn samples(&self) -> u32 {
        self.whole.problem.samples()
    }

    /// The index among the units of the device called `name`.
    pub(super) fn unit_named(&self, name: &str) -> Result<usize, PlanError> {
        let is_named = |device: DeviceId| self.whole.problem.platform.device(device).name == name;
        self.units.iter().position(|unit| is_named(unit.device)).ok_or_else(|| {
            let obstacle = self.obstacles.iter().find(|&&(device, _)| is_named(device));
            let why = obstacle.map_or("there is no such device", |(_, obstacle)| obstacle);
            PlanError::Unsupported(format!("the strategy asks for device `{name}`: {why}"))
        })
    }

    /// Time of `batch` samples in one step on a unit that runs alone, from sending inputs to receiving outputs.
    pub(super) fn time(&self, unit: usize, batch: u32) -> Result<Duration, Uncalibrated> {
        let Unit { device, inward, outward, .. } = &self.units[unit];
        let mut total = self.whole.compute_time(*device, batch)?;
        if batch > 0 && !(inward.is_empty() && outward.is_empty()) {
            let Whole { problem, model, .. } = self.whole;
            let moved = |hop, layer| problem.sent(hop, model, layer, &self.whole.all_rows(layer, 0..batch));
            for layer in self.inputs() {
                for &hop in inward {
                    total += problem.arrival(hop.0, moved(hop, layer))?;
                }
            }
            for &hop in outward {
                total += problem.arrival(hop.0, moved(hop, self.whole.graph().output()))?;
            }
        }
        Ok(total)
    }

    /// Time of `samples` on a unit that runs alone, in as many steps as its memory requires.
    pub(super) fn time_in_waves(&self, unit: usize, samples: u32) -> Result<Duration, Uncalibrated> {
        if samples <= self.units[unit].capacity {
            return self.time(unit, samples);
        }
        let count = samples.div_ceil(self.units[unit].capacity);
        let (size, larger) = (samples / count, samples % count);
        let rest = self.time(unit, size)? * (count - larger);
        Ok(if larger > 0 { self.time(unit, size + 1)? * larger + rest } else { rest })
    }

    /// `samples` on a unit in the fewest steps that fit its memory, of equal size or one apart.
    pub(super) fn waves(&self, unit: usize, samples: u32) -> Vec<u32> {
        let count = samples.div_ceil(self.units[unit].capacity);
        (0..count).map(|index| samples / count + u32::from(index < samples % count)).collect()
    }

    /// The plan in which each unit runs its samples in the fewest steps that fit its memory.
    pub(super) fn plan_split(&self, split: &[u32]) -> Plan {
        let steps: Vec<Vec<u32>> = split.iter().enumerate().map(|(unit, &samples)| self.waves(unit, samples)).collect();
        self.plan(&steps)
    }

    /// The plan in which each unit runs steps of the given sizes, one after the other.
    ///
    /// A step's inputs are sent when the step before it has been computed, so that memory holds those of one step.
    /// On links that several transfers share, they go in the order in which they are expected to be ready, and a
    /// step's inputs before the outputs of the step before it.
    pub(super) fn plan(&self, steps_of_unit: &[Vec<u32>]) -> Plan {
        let mut builder = Builder { split: self, plan: Plan::default(), link_lanes: Vec::new() };
        let mut first = 0;
        let mut queues: Vec<Queue<'_>> = Vec::new();
        for (unit, sizes) in self.units.iter().zip(steps_of_unit) {
            let lane = builder.compute_lane(unit, sizes);
            queues.push(Queue { unit, lane, sizes, first, free: Duration::ZERO, computed: None });
            first += sizes.iter().sum::<u32>();
        }
        let mut ends = Vec::new();
        let left = |&index: &usize, queues: &[Queue<'_>]| !queues[index].sizes.is_empty();
        while let Some(index) =
            (0..queues.len()).filter(|index| left(index, &queues)).min_by_key(|&index| (queues[index].free, index))
        {
            let queue = &mut queues[index];
            let samples = queue.first..queue.first + queue.sizes[0];
            queue.free += self.time(index, queue.sizes[0]).unwrap_or_default();
            let before = queue.computed.take();
            let computed = builder.compute(queue, samples.clone(), before.as_ref().map(|(_, step)| *step));
            ends.extend(before.map(|(samples, step)| builder.send_back(queue.unit, samples, step)));
            queue.computed = Some((samples, computed));
            queue.first += queue.sizes[0];
            queue.sizes = &queue.sizes[1..];
        }
        queues.sort_by_key(|queue| queue.free);
        for queue in queues {
            ends.extend(queue.computed.map(|(samples, step)| builder.send_back(queue.unit, samples, step)));
        }
        builder.plan.join(&ends);
        builder.plan
    }

    fn inputs(&self) -> impl Iterator<Item = LayerId> + use<'a> {
        let graph = self.whole.graph();
        (0..graph.layers().len() as u32).map(LayerId).filter(|&id| graph.is_input(id))
    }
}

impl Unit {
    /// `device` as a unit, or why it cannot be one.
    fn new(whole: &Whole<'_>, device: DeviceId) -> Result<Unit, String> {
        let platform = &whole.problem.platform;
        let capacity = whole.capacity(device)?;
        let mut batches = 1..=capacity.min(whole.problem.samples());
        if !batches.any(|batch| whole.compute_time(device, batch).is_ok()) {
            return Err(format!("`{}` has no times of {}", platform.device(device).name, whole.graph().name()));
        }
        let route = |from, to| platform.route(from, to).map_err(|error| error.to_string());
        let (inward, outward) = match whole.problem.model(whole.model).home {
            Some(home) => (route(home, device)?, route(device, home)?),
            None => (Vec::new(), Vec::new()),
        };
        Ok(Unit { device, capacity, inward, outward })
    }
}

/// The steps of a unit that are not in the plan yet.
struct Queue<'a> {
    unit: &'a Unit,
    /// `None` if it has no steps at all.
    lane: Option<LaneId>,
    sizes: &'a [u32],
    /// The first sample of the next step.
    first: u32,
    /// When the unit is expected to be done with the steps in the plan.
    free: Duration,
    /// Its latest step, whose outputs have not been sent back.
    computed: Option<(Range<u32>, StepId)>,
}

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
        let whole = &self.split.whole;
        let sizes = whole.problem.sizes(whole.model, unit.device);
        let memory = sizes.parameters(&whole.segment) + sizes.activations(&whole.work(0..largest));
        Some(self.plan.lane(Lane::Compute { device: unit.device, share: Share::FULL, memory }))
    }

    /// Adds the transfers of inputs, which wait for the unit's step `before`, and the computation of `samples`.
    fn compute(&mut self, queue: &Queue<'_>, samples: Range<u32>, before: Option<StepId>) -> StepId {
        let lane = queue.lane.expect("a queue that has a step has a lane");
        let mut arrived = Vec::new();
        for layer in self.split.inputs().filter(|_| !queue.unit.inward.is_empty()) {
            arrived.extend(self.transfer(&queue.unit.inward, layer, &samples, before));
        }
        self.plan.step(lane, Action::Compute(self.split.whole.work(samples)), &arrived)
    }

    /// Adds the transfers of the outputs of `computed`; what ends them.
    fn send_back(&mut self, unit: &Unit, samples: Range<u32>, computed: StepId) -> StepId {
        let output = self.split.whole.graph().output();
        self.transfer(&unit.outward, output, &samples, Some(computed)).unwrap_or(computed)
    }

    /// Adds the transfers of a layer along a route, the first of which waits for `after`; the last, if there is one.
    fn transfer(
        &mut self,
        route: &[(LinkId, DeviceId)],
        layer: LayerId,
        samples: &Range<u32>,
        mut after: Option<StepId>,
    ) -> Option<StepId> {
        for &(link, to) in route {
            let region = self.split.whole.all_rows(layer, samples.clone());
            let lane = self.link_lane(link);
            let action = Action::Transfer { model: self.split.whole.model, layer, region, to };
            after = Some(self.plan.step(lane, action, after.as_slice()));
        }
        after
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

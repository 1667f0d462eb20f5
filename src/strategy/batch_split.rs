//! What all batch splits share: networks, whole, on every device that can take some samples of the batch.

mod planned;

use std::collections::VecDeque;
use std::ops::Range;

use crate::cost::Uncalibrated;
use crate::model::{Graph, LayerId, ModelId, Region, Segment, Work};
use crate::plan::room::{obstacle, samples_max};
use crate::plan::{Builder, StepId};
use crate::platform::{DeviceId, LinkId};
use crate::problem::Problem;
use crate::strategy::PlanError;
use crate::units::{Bytes, Duration, Share};
use planned::Tried;
pub(super) use planned::{in_turn, planned, splits};

/// One network of a problem, run whole.
struct Whole<'a> {
    problem: &'a Problem,
    model: ModelId,
    segment: Segment,
}

/// One network of a problem, whose samples are shared among devices.
pub(super) struct BatchSplit<'a> {
    whole: Whole<'a>,
    /// The devices that can take at least one sample, in the platform's order.
    pub(super) units: Vec<BatchDevice>,
    /// Why each other device cannot.
    obstacles: Vec<(DeviceId, String)>,
}

/// A device that can take samples.
pub(super) struct BatchDevice {
    pub(super) device: DeviceId,
    /// The most samples of a step that fit into its memory and that it accepts.
    pub(super) capacity: u32,
    /// How many sizes its steps may have; any number if absent.
    pub(super) sizes_max: Option<u32>,
    /// Links that its inputs take, with the device at the end of each. Empty if they are there already.
    inward: Vec<(LinkId, DeviceId)>,
    /// Links that its outputs take.
    outward: Vec<(LinkId, DeviceId)>,
}

/// How the samples of a network are shared among units.
pub(super) struct Division {
    /// The samples of the steps of each unit, in order.
    pub(super) steps: Vec<Vec<Range<u32>>>,
    /// What lanes for this network hold of their devices. Networks that have all of a device take turns on one lane.
    pub(super) share: Share,
}

impl<'a> Whole<'a> {
    /// `model` of `problem`, if it has something to compute.
    fn new(problem: &'a Problem, model: ModelId) -> Result<Self, PlanError> {
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
    fn capacity(&self, device: DeviceId, tried: &[Tried]) -> Result<u32, String> {
        let Whole { problem, model, segment } = self;
        if let Some(obstacle) = obstacle(problem, device, (*model, segment)) {
            return Err(obstacle);
        }
        let weights = |other: ModelId| {
            let whole = problem.model(other).graph.whole().filter(|_| other != *model);
            whole.map_or(Bytes(0), |segment| problem.sizes(other, device).parameters(&segment))
        };
        let others: Bytes = (0..problem.models.len() as u32).map(|other| weights(ModelId(other))).sum();
        let fit = samples_max(problem, device, (*model, segment), others);
        match (&tried[device.0 as usize].most, fit) {
            (_, 0) => {
                let (name, capacity) = (&problem.platform.device(device).name, problem.platform.capacity(device));
                Err(format!("`{name}` has {capacity}, too little for one sample"))
            }
            (Some((0, violation)), _) => Err(violation.to_string()),
            (Some((most, _)), _) => Ok(fit.min(*most)),
            (None, _) => Ok(fit),
        }
    }

    /// Computing time of `batch` samples in one step on a share of a device that runs alone.
    fn compute_time(&self, device: DeviceId, share: Share, batch: u32) -> Result<Duration, Uncalibrated> {
        if batch == 0 {
            return Ok(Duration::ZERO);
        }
        Ok(self.problem.costs.compute(device, share, &self.work(0..batch))?.time)
    }
}

impl<'a> BatchSplit<'a> {
    /// The batch split of `model` that `problem` asks for.
    fn new(problem: &'a Problem, model: ModelId, tried: &[Tried]) -> Result<Self, PlanError> {
        let whole = Whole::new(problem, model)?;
        let (mut units, mut obstacles) = (Vec::new(), Vec::new());
        for device in problem.platform.device_ids() {
            match BatchDevice::new(&whole, device, tried) {
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

    /// The first network of `problem` by itself.
    pub(super) fn first(problem: &'a Problem) -> Result<Self, PlanError> {
        BatchSplit::new(problem, ModelId(0), &vec![Tried::default(); problem.platform.devices.len()])
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

    /// The index among the units of `device`, if it is one.
    pub(super) fn unit_of(&self, device: DeviceId) -> Option<usize> {
        self.units.iter().position(|unit| unit.device == device)
    }

    /// Time of `batch` samples in one step on a unit that runs alone, from sending inputs to receiving outputs.
    pub(super) fn time(&self, unit: usize, batch: u32) -> Result<Duration, Uncalibrated> {
        self.time_on(unit, Share::FULL, batch)
    }

    /// The same on a share of the unit.
    pub(super) fn time_on(&self, unit: usize, share: Share, batch: u32) -> Result<Duration, Uncalibrated> {
        let BatchDevice { device, inward, outward, .. } = &self.units[unit];
        let mut total = self.whole.compute_time(*device, share, batch)?;
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

    /// Time of `samples` on a unit that runs alone, in as many steps as its memory and its limits require.
    pub(super) fn time_in_waves(&self, unit: usize, samples: u32) -> Result<Duration, Uncalibrated> {
        let count = self.wave_count(unit, samples);
        count.map_or(Ok(Duration::ZERO), |count| self.time_of_waves(unit, Share::FULL, samples, count))
    }

    /// Time of `samples` in `count` steps, of equal size or one apart, on a share of a unit that runs alone.
    pub(super) fn time_of_waves(
        &self,
        unit: usize,
        share: Share,
        samples: u32,
        count: u32,
    ) -> Result<Duration, Uncalibrated> {
        let (size, larger) = (samples / count, samples % count);
        let rest = self.time_on(unit, share, size)? * (count - larger);
        Ok(if larger > 0 { self.time_on(unit, share, size + 1)? * larger + rest } else { rest })
    }

    /// `samples` on a unit in the fewest steps that it accepts and that fit its memory, of equal size or one apart.
    pub(super) fn waves(&self, unit: usize, samples: u32) -> Vec<u32> {
        self.waves_of(samples, self.wave_count(unit, samples).unwrap_or(0))
    }

    /// `samples` in `count` steps, of equal size or one apart.
    pub(super) fn waves_of(&self, samples: u32, count: u32) -> Vec<u32> {
        (0..count).map(|index| samples / count + u32::from(index < samples % count)).collect()
    }

    /// The fewest steps of `samples` on a unit; `None` if there are none to run.
    fn wave_count(&self, unit: usize, samples: u32) -> Option<u32> {
        let fewest = samples.div_ceil(self.units[unit].capacity).max(1);
        (fewest..=samples).find(|&count| self.accepts(unit, samples, count))
    }

    /// Whether a unit has loadables for `count` steps of `samples`, of equal size or one apart.
    pub(super) fn accepts(&self, unit: usize, samples: u32, count: u32) -> bool {
        self.units[unit].sizes_max != Some(1) || samples.is_multiple_of(count)
    }

    /// Consecutive samples for steps of these sizes of each unit.
    pub(super) fn consecutive(&self, sizes_of_unit: &[Vec<u32>]) -> Division {
        let mut first = 0;
        let mut next = |&size: &u32| {
            first += size;
            first - size..first
        };
        sizes_of_unit.iter().map(|sizes| sizes.iter().map(&mut next).collect()).collect::<Vec<_>>().into()
    }

    /// The division in which each unit runs so many samples, in the fewest steps that it accepts.
    pub(super) fn in_waves(&self, split: &[u32]) -> Division {
        let sizes = split.iter().enumerate().map(|(unit, &samples)| self.waves(unit, samples));
        self.consecutive(&sizes.collect::<Vec<_>>())
    }

    /// Adds the steps of each unit to a plan, one after the other.
    ///
    /// A step's inputs are sent while the step before it is computed, or after that where memory holds those of one step
    /// only. On links that several transfers share, they go in the order in which they are expected to be ready, and a
    /// step's inputs before outputs.
    fn add(&self, builder: &mut Builder<'_>, division: &Division, tried: &[Tried]) -> Result<(), PlanError> {
        let mut queues: Vec<Queue<'_>> = Vec::new();
        for (unit, steps) in self.units.iter().zip(&division.steps) {
            match division.share {
                _ if steps.is_empty() => {}
                Share::FULL => builder.reserve(unit.device),
                share => _ = builder.part(unit.device, share),
            }
            // Where nothing is sent, nothing is sent ahead.
            let ahead = !unit.inward.is_empty() && !tried[unit.device.0 as usize].holds_one_step;
            let before = VecDeque::from(vec![(Duration::ZERO, None); 1 + usize::from(ahead)]);
            queues.push(Queue { device: unit.device, steps, free: Duration::ZERO, before, outputs: VecDeque::new() });
        }
        let (home, model, output) = (self.home(), self.whole.model, self.whole.graph().output());
        let mut ends = Vec::new();
        let events = |(index, queue): (usize, &Queue<'_>)| {
            let inputs = queue.before.front().filter(|_| !queue.steps.is_empty()).map(|(at, _)| (*at, index, false));
            inputs.into_iter().chain(queue.outputs.front().map(|(at, ..)| (*at, index, true)))
        };
        while let Some((_, index, are_outputs)) = queues.iter().enumerate().flat_map(events).min() {
            let queue = &mut queues[index];
            if are_outputs {
                let (_, samples, computed) = queue.outputs.pop_front().expect("there are outputs");
                let route = home.map(|home| (queue.device, home));
                let region = self.whole.all_rows(output, samples);
                let sent = route.map(|route| builder.send(route, (model, output), &region, &[computed])).transpose()?;
                ends.push(sent.flatten().unwrap_or(computed));
                continue;
            }
            let samples = queue.steps[0].clone();
            queue.steps = &queue.steps[1..];
            let (_, after) = queue.before.pop_front().expect("a step has one before it");
            let mut arrived = Vec::new();
            for layer in self.inputs() {
                if let Some(home) = home {
                    let region = self.whole.all_rows(layer, samples.clone());
                    arrived.extend(builder.send((home, queue.device), (model, layer), &region, after.as_slice())?);
                }
            }
            let computed = builder.compute(queue.device, self.whole.work(samples.clone()), &arrived);
            queue.free += self.time_on(index, division.share, samples.len() as u32).unwrap_or_default();
            queue.before.push_back((queue.free, Some(computed)));
            queue.outputs.push_back((queue.free, samples, computed));
        }
        builder.join(&ends);
        Ok(())
    }

    fn home(&self) -> Option<DeviceId> {
        self.whole.problem.model(self.whole.model).home
    }

    fn inputs(&self) -> impl Iterator<Item = LayerId> + use<'a> {
        let graph = self.whole.graph();
        graph.layer_ids().filter(|&id| graph.is_input(id))
    }
}

impl From<Vec<Vec<Range<u32>>>> for Division {
    fn from(steps: Vec<Vec<Range<u32>>>) -> Division {
        Division { steps, share: Share::FULL }
    }
}

impl BatchDevice {
    /// `device` as a unit, or why it cannot be one.
    fn new(whole: &Whole<'_>, device: DeviceId, tried: &[Tried]) -> Result<BatchDevice, String> {
        let platform = &whole.problem.platform;
        let capacity = whole.capacity(device, tried)?;
        let mut batches = 1..=capacity.min(whole.problem.samples());
        if !batches.any(|batch| whole.compute_time(device, Share::FULL, batch).is_ok()) {
            return Err(format!("`{}` has no times of {}", platform.device(device).name, whole.graph().name()));
        }
        let route = |from, to| platform.route(from, to).map_err(|error| error.to_string());
        let (inward, outward) = match whole.problem.model(whole.model).home {
            Some(home) => (route(home, device)?, route(device, home)?),
            None => (Vec::new(), Vec::new()),
        };
        // Each network has the same part of the loadables that a device keeps.
        let loadables = platform.device(device).limits.loadables_max;
        let sizes_max = loadables.map(|count| (count / whole.problem.models.len() as u32).max(1));
        Ok(BatchDevice { device, capacity, sizes_max, inward, outward })
    }

    /// The size of a step for at most `wanted` samples, beside steps of the sizes in `used`, to which it is added: as many as
    /// fit, unless the device keeps no loadable for that size.
    pub(super) fn size(&self, used: &mut Vec<u32>, wanted: u32) -> u32 {
        let wanted = wanted.min(self.capacity);
        // One loadable is for single samples, so that whatever is left can be run.
        let is_free = |used: &Vec<u32>| {
            let others = used.iter().filter(|&&size| size != 1).count() as u32;
            self.sizes_max.is_none_or(|most| others + 1 < most)
        };
        let size = match used.contains(&wanted) || is_free(used) {
            true => wanted,
            false => used.iter().copied().filter(|&size| size <= wanted).max().unwrap_or(1),
        };
        if !used.contains(&size) {
            used.push(size);
        }
        size
    }
}

/// The steps of a unit that are not in the plan yet.
struct Queue<'a> {
    device: DeviceId,
    steps: &'a [Range<u32>],
    /// When the unit is expected to be done with the steps in the plan.
    free: Duration,
    /// The latest steps in the plan, with when each is expected to be done: the inputs of the next wait for the first of
    /// them. At first they are none.
    before: VecDeque<(Duration, Option<StepId>)>,
    /// Steps in the plan whose outputs have not been sent back, with when they are expected to be.
    outputs: VecDeque<(Duration, Range<u32>, StepId)>,
}

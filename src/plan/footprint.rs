//! What a plan holds in each memory: weights, activations, and data that waits.

mod touches;

use std::collections::BTreeMap;

pub(crate) use touches::{Touch, Touched, Touches};

use super::cover::intersection;
use super::presence::{Holdings, Reading, each_reading};
use super::{Action, Lane, Plan, StepId};
use crate::model::{LayerId, ModelId, Region, Work, count_samples};
use crate::platform::{DeviceId, Memory};
use crate::problem::{Model, Problem};
use crate::units::Bytes;

/// What a plan holds in one memory, in the numbers that its users compute with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Footprint {
    /// Weights of all layers that it runs, once for each user that does: plans of one problem share them.
    pub weights: BTreeMap<(DeviceId, ModelId, LayerId), Bytes>,
    /// The most that activations and data that waits can take at one time: each plan under way has its own.
    pub data: Bytes,
}

impl Footprint {
    /// Weights and data.
    pub fn total(&self) -> Bytes {
        self.weights.values().copied().sum::<Bytes>() + self.data
    }
}

/// What `plan`, whose indices point at something, holds in each memory of the platform, by memory.
///
/// A step holds its activations ([`crate::model::Sizes::activations`]), which are what it reads, computes and leaves. Beside
/// them waits what a device was sent or computed, from the start of the step that puts it there to the end of the last
/// that reads it; who sends has read when all has left, a latency before it has arrived. At the home of a model the inputs of all samples that the plan is about lie from the start until all are
/// read, and its outputs to the end.
/// Without a home, inputs come from outside when a step reads them, and outputs leave when it ends.
///
/// When steps run is not known, so that this is what can lie there at one time in any run: what could be there while a
/// step runs, if nothing says that it comes later or has been read before.
pub fn footprints(plan: &Plan, problem: &Problem) -> Vec<Footprint> {
    Passage::of(plan, problem, &Holdings::of(plan, problem)).footprints()
}

/// Bytes on a device, and the steps between which they lie there.
struct Item {
    device: DeviceId,
    bytes: Bytes,
    /// The step that puts it there; what has none is there from the start.
    by: Option<StepId>,
    /// By lane, the last step that must have ended before it goes, by its place on the lane.
    until: BTreeMap<usize, u32>,
    /// Whether it stays when all of these have ended.
    stays: bool,
    /// Computing steps that hold a part of it among their activations, with what that is.
    own: Vec<(StepId, Bytes)>,
}

/// All that lies on devices in the course of a plan.
pub(super) struct Passage<'a> {
    plan: &'a Plan,
    problem: &'a Problem,
    items: Vec<Item>,
    /// By lane, its steps.
    queues: Vec<Vec<StepId>>,
    /// By step, its place on its lane.
    places: Vec<u32>,
    /// By computing step, what its activations take.
    activations: Vec<Bytes>,
}

impl<'a> Passage<'a> {
    pub(super) fn of(plan: &'a Plan, problem: &'a Problem, holdings: &Holdings) -> Passage<'a> {
        let mut queues = vec![Vec::new(); plan.lanes.len()];
        let (mut places, mut activations) = (vec![0; plan.steps.len()], vec![Bytes(0); plan.steps.len()]);
        let mut known = Activations::default();
        for id in plan.step_ids() {
            let step = plan.step_at(id);
            let Some(lane) = step.lane else { continue };
            let queue: &mut Vec<StepId> = &mut queues[lane.0 as usize];
            places[id.0 as usize] = queue.len() as u32;
            queue.push(id);
            if let (Action::Compute(work), Some(device)) = (&step.action, device_of(plan, id)) {
                activations[id.0 as usize] = known.of(problem, device, work);
            }
        }
        let mut passage = Passage { plan, problem, items: Vec::new(), queues, places, activations };
        passage.collect(holdings);
        passage
    }

    /// Finds what lies where, and who reads it.
    fn collect(&mut self, holdings: &Holdings) {
        let (plan, problem) = (self.plan, self.problem);
        let mut inputs = BTreeMap::new();
        for (place, region) in inputs_at_home(plan, problem) {
            inputs.insert(place, self.items.len());
            self.add(place, &region, None);
        }
        let mut first_of = BTreeMap::new();
        for (&place, shelf) in &holdings.on_device {
            first_of.insert(place, self.items.len());
            for held in &shelf.held {
                self.add(place, &held.region, Some(held.by));
            }
        }
        each_reading(plan, problem, |Reading { step, device, model, layer, region, .. }| {
            let place = (device, model, layer);
            let mut read = |item: usize, part: &Region| {
                let bytes = problem.sizes(model, device).bytes(layer, part);
                self.read(item, step, bytes);
            };
            if let Some(&item) = inputs.get(&place) {
                read(item, &region);
            }
            let Some(shelf) = holdings.on_device.get(&place) else { return };
            for (index, held) in shelf.around(region.samples.clone()).filter(|(_, held)| held.by < step) {
                if let Some(part) = intersection(&held.region, &region) {
                    read(first_of[&place] + index, &part);
                }
            }
        });
    }

    fn add(&mut self, (device, model, layer): (DeviceId, ModelId, LayerId), region: &Region, by: Option<StepId>) {
        let Model { graph, home } = self.problem.model(model);
        let bytes = self.problem.sizes(model, device).bytes(layer, region);
        let stays = layer == graph.output() && *home == Some(device);
        self.items.push(Item { device, bytes, by, until: BTreeMap::new(), stays, own: Vec::new() });
        if let Some(by) = by {
            self.read(self.items.len() - 1, by, bytes);
        }
    }

    /// A step needs an item, of which it holds `bytes` itself if it computes.
    fn read(&mut self, item: usize, step: StepId, bytes: Bytes) {
        let lane = self.plan.step_at(step).lane.expect("only steps with lanes read and write").0 as usize;
        let item = &mut self.items[item];
        let until = item.until.entry(lane).or_default();
        *until = (*until).max(self.places[step.0 as usize]);
        if matches!(self.plan.step_at(step).action, Action::Compute(_)) {
            item.own.push((step, bytes));
        }
    }

    /// The user of a memory whose largest step holds most.
    pub(super) fn largest_user(&self, memory: &Memory) -> Option<DeviceId> {
        let most = |device: &&DeviceId| {
            let of_device = |lane: &Lane| matches!(lane, Lane::Compute { device: on, .. } if on == *device);
            let lanes = self.plan.lanes.iter().zip(&self.queues).filter(|(lane, _)| of_device(lane));
            lanes.flat_map(|(_, queue)| queue).map(|step| self.activations[step.0 as usize]).max()
        };
        memory.users.iter().max_by_key(most).copied()
    }

    pub(super) fn footprints(&self) -> Vec<Footprint> {
        let clocks = Clocks::of(self.plan, &self.places);
        let weights = weights(self.plan, self.problem);
        let mut by_device = vec![Vec::new(); self.problem.platform.devices.len()];
        for (index, item) in self.items.iter().enumerate() {
            by_device[item.device.0 as usize].push(index);
        }
        let of_memory = |memory: &Memory| {
            let users = || memory.users.iter().map(|&device| (device, device.0 as usize));
            let of_device = |(device, index): (DeviceId, usize)| {
                weights[index].iter().map(move |(&(model, layer), &bytes)| ((device, model, layer), bytes))
            };
            let items: Vec<usize> = users().flat_map(|(_, index)| by_device[index].iter().copied()).collect();
            Footprint { weights: users().flat_map(of_device).collect(), data: self.data_in(memory, &items, &clocks) }
        };
        self.problem.platform.memories.iter().map(of_memory).collect()
    }

    /// The most that activations and these items, which are those in `memory`, take there at one time.
    fn data_in(&self, memory: &Memory, items: &[usize], clocks: &Clocks) -> Bytes {
        let is_user = |device: &DeviceId| memory.users.contains(device);
        let is_first = |item: &&Item| item.by.is_none();
        let mut most: Bytes =
            items.iter().map(|&index| &self.items[index]).filter(is_first).map(|item| item.bytes).sum();
        for (lane, queue) in self.queues.iter().enumerate() {
            match self.plan.lanes[lane] {
                Lane::Compute { device, .. } if is_user(&device) => {
                    let waiting = self.waiting(lane, items, clocks);
                    let needed = queue.iter().zip(waiting).map(|(id, waits)| self.activations[id.0 as usize] + waits);
                    most = most.max(needed.max().unwrap_or_default() + self.beside(lane, memory));
                }
                // The most lies there when something computes, or is just put there.
                Lane::Link(link) => {
                    let link = self.problem.platform.link(link);
                    if !is_user(&link.from) && !is_user(&link.to) {
                        continue;
                    }
                    let comes = |id: &StepId| {
                        let action = &self.plan.step_at(*id).action;
                        matches!(action, Action::Transfer { to, .. } if is_user(to))
                    };
                    let waiting = self.waiting(lane, items, clocks);
                    let arriving = queue.iter().zip(waiting).filter(|(id, _)| comes(id));
                    most = arriving.fold(most, |most, (_, waits)| most.max(waits));
                }
                Lane::Compute { .. } => {}
            }
        }
        most
    }

    /// The most that steps on the other lanes of the users of a memory hold while one on `lane` runs.
    fn beside(&self, lane: usize, memory: &Memory) -> Bytes {
        let is_other = |(index, other): &(usize, &Lane)| {
            *index != lane && matches!(other, Lane::Compute { device: on, .. } if memory.users.contains(on))
        };
        let others = self.plan.lanes.iter().enumerate().filter(is_other);
        let most =
            |(index, _): (usize, &Lane)| self.queues[index].iter().map(|id| self.activations[id.0 as usize]).max();
        others.filter_map(most).sum()
    }

    /// For each step of a lane, the most of these items that can lie where they are while it runs, without what it
    /// holds itself.
    fn waiting(&self, lane: usize, items: &[usize], clocks: &Clocks) -> Vec<Bytes> {
        let queue = &self.queues[lane];
        // What appears before a place, and what is gone there.
        let mut change = vec![(0u64, 0u64); queue.len() + 1];
        let mut own = vec![0u64; queue.len()];
        for item in items.iter().map(|&index| &self.items[index]) {
            let first = item.by.map_or(0, |by| clocks.ended(by, lane)) as usize;
            let is_gone = |step: &StepId| item.until.iter().all(|(&on, &place)| clocks.ended(*step, on) > place);
            let end = if item.stays { queue.len() } else { queue.partition_point(|step| !is_gone(step)) };
            if first < end {
                change[first].0 = change[first].0.saturating_add(item.bytes.0);
                change[end].1 = change[end].1.saturating_add(item.bytes.0);
            }
            for (step, bytes) in &item.own {
                if self.plan.step_at(*step).lane.is_some_and(|on| on.0 as usize == lane) {
                    let own = &mut own[self.places[step.0 as usize] as usize];
                    *own = own.saturating_add(bytes.0);
                }
            }
        }
        let mut lies: u64 = 0;
        let of_place = |((appears, goes), own): (&(u64, u64), u64)| {
            lies = lies.saturating_add(*appears).saturating_sub(*goes);
            Bytes(lies.saturating_sub(own))
        };
        change.iter().zip(own).map(of_place).collect()
    }
}

/// Whether no run can hold more than a memory has, by what lies there in the course of the whole plan.
pub(super) fn surely_fits(plan: &Plan, problem: &Problem, holdings: &Holdings) -> bool {
    let mut needed: Vec<Bytes> = weights(plan, problem).iter().map(|weights| weights.values().copied().sum()).collect();
    let mut add = |device: DeviceId, bytes: Bytes| needed[device.0 as usize] = needed[device.0 as usize] + bytes;
    let (mut largest, mut known) = (vec![Bytes(0); plan.lanes.len()], Activations::default());
    for step in &plan.steps {
        if let (Action::Compute(work), Some(lane)) = (&step.action, step.lane)
            && let Lane::Compute { device, .. } = plan.lane_at(lane)
        {
            let largest = &mut largest[lane.0 as usize];
            *largest = (*largest).max(known.of(problem, *device, work));
        }
    }
    for (lane, largest) in plan.lanes.iter().zip(largest) {
        if let Lane::Compute { device, .. } = lane {
            add(*device, largest);
        }
    }
    for ((device, model, layer), region) in inputs_at_home(plan, problem) {
        add(device, problem.sizes(model, device).bytes(layer, &region));
    }
    for (&(device, model, layer), shelf) in &holdings.on_device {
        let sizes = problem.sizes(model, device);
        add(device, shelf.held.iter().map(|held| sizes.bytes(layer, &held.region)).sum());
    }
    let of_users = |memory: &Memory| memory.users.iter().map(|device| needed[device.0 as usize]).sum::<Bytes>();
    problem.platform.memories.iter().all(|memory| memory.most_held().is_none_or(|most| of_users(memory) <= most))
}

/// What lies at the homes of models from the start: their inputs of all samples that the plan is about.
fn inputs_at_home(plan: &Plan, problem: &Problem) -> Vec<((DeviceId, ModelId, LayerId), Region)> {
    let mut samples = vec![Vec::new(); problem.models.len()];
    for (model, range) in plan.steps.iter().filter_map(|step| step.action.samples()) {
        samples[model.0 as usize].push((model, range));
    }
    let mut found = Vec::new();
    for ((index, Model { graph, home }), samples) in (0..).zip(&problem.models).zip(samples) {
        let Some(home) = *home else { continue };
        let count = count_samples(samples);
        for layer in graph.layer_ids().filter(|&layer| graph.is_input(layer)) {
            let region = Region { samples: 0..count, rows: 0..graph.shape(layer).rows };
            found.push(((home, ModelId(index), layer), region));
        }
    }
    found
}

/// By device, the weights of all layers that it runs.
fn weights(plan: &Plan, problem: &Problem) -> Vec<BTreeMap<(ModelId, LayerId), Bytes>> {
    let mut weights = vec![BTreeMap::new(); problem.platform.devices.len()];
    for id in plan.step_ids() {
        if let (Action::Compute(Work { model, segment, .. }), Some(device)) =
            (&plan.step_at(id).action, device_of(plan, id))
        {
            let (sizes, known) = (problem.sizes(*model, device), &mut weights[device.0 as usize]);
            // All layers of a segment that was seen are known; most plans run the same one again and again.
            if [segment.first(), segment.last()].iter().all(|layer| known.contains_key(&(*model, *layer)))
                && segment.layers().all(|layer| known.contains_key(&(*model, layer)))
            {
                continue;
            }
            known.extend(segment.layers().map(|layer| ((*model, layer), sizes.layer_parameters(layer))));
        }
    }
    weights
}

/// What steps hold; plans run the same layers over the same rows again and again.
#[derive(Default)]
pub(super) struct Activations<'a> {
    /// By device: the latest work, and what a sample of it holds.
    latest: BTreeMap<DeviceId, (&'a Work, Bytes)>,
}

impl<'a> Activations<'a> {
    pub(super) fn of(&mut self, problem: &Problem, device: DeviceId, work: &'a Work) -> Bytes {
        let samples = work.region.samples.len() as u64;
        let is_like = |other: &Work| {
            (other.model, &other.segment, &other.region.rows) == (work.model, &work.segment, &work.region.rows)
        };
        match self.latest.get(&device) {
            Some((other, each)) if is_like(other) => *each * samples,
            _ => {
                let all = problem.sizes(work.model, device).activations(work);
                self.latest.insert(device, (work, Bytes(all.0 / samples.max(1))));
                all
            }
        }
    }
}

fn device_of(plan: &Plan, step: StepId) -> Option<DeviceId> {
    match plan.lane_at(plan.step_at(step).lane?) {
        Lane::Compute { device, .. } => Some(*device),
        Lane::Link(_) => None,
    }
}

/// For each step, how many steps of each lane have ended, or have left their link, when it begins, whatever the times.
struct Clocks {
    lanes: usize,
    ended: Vec<u32>,
}

impl Clocks {
    fn of(plan: &Plan, places: &[u32]) -> Clocks {
        let lanes = plan.lanes.len();
        let mut clocks = Clocks { lanes, ended: vec![0; plan.steps.len() * lanes] };
        let mut last = vec![None; lanes];
        for id in plan.step_ids() {
            let step = plan.step_at(id);
            let before = step.lane.and_then(|lane| last[lane.0 as usize].replace(id));
            let start = id.0 as usize * lanes;
            let (known, open) = clocks.ended.split_at_mut(start);
            for on in step.after.iter().copied().chain(before) {
                let of_on = &known[on.0 as usize * lanes..][..lanes];
                open.iter_mut().zip(of_on).for_each(|(mine, its)| *mine = (*mine).max(*its));
                if let Some(lane) = plan.step_at(on).lane {
                    let mine = &mut open[lane.0 as usize];
                    *mine = (*mine).max(places[on.0 as usize] + 1);
                }
            }
        }
        clocks
    }

    fn ended(&self, step: StepId, lane: usize) -> u32 {
        self.ended[step.0 as usize * self.lanes + lane]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cost::{Basis, CostModel, Estimate, Uncalibrated};
    use crate::model::{Graph, Precision};
    use crate::plan::{LaneId, check};
    use crate::platform::{Device, DeviceKind, Direction, Link, LinkId, Platform};
    use crate::problem::Load;
    use crate::units::{BytesPerSec, Duration, Share};

    const HOME: DeviceId = DeviceId(0);
    const GPU: DeviceId = DeviceId(1);
    const MODEL: ModelId = ModelId(0);

    /// The inputs of five samples, until the last is sent, and by then the outputs of the others.
    const HOME_MAX: u64 = 5 * 40 + 4 * 10;

    struct Free;

    impl CostModel for Free {
        fn compute(&self, _: DeviceId, _: Share, _: &Work) -> Result<Estimate, Uncalibrated> {
            Ok(Estimate { time: Duration::ZERO, basis: Basis::Modelled })
        }
        fn transfer(&self, _: LinkId, _: Bytes) -> Result<Estimate, Uncalibrated> {
            Ok(Estimate { time: Duration::ZERO, basis: Basis::Modelled })
        }
    }

    /// A network of 1000 B that takes 100 B a sample, puts out 10 B and reads 40 B, at home on one of two devices.
    fn problem(samples: u32) -> Problem {
        let device = |name: &str| (Device::new(name, DeviceKind::Gpu), Bytes(2_000));
        let link = |name: &str, ends| Link::new(name, ends, Direction::OneWay, BytesPerSec::new(1e9).unwrap());
        let platform = Platform {
            links: vec![link("up", (HOME, GPU)), link("down", (GPU, HOME))],
            ..Platform::new(["home", "gpu"].map(device))
        };
        let graph = Graph::opaque("net", 40, 10, Bytes(1000), Bytes(100)).unwrap();
        let models = vec![Model { graph, home: Some(HOME) }];
        Problem::new(models, platform, Load::Offline { samples }, Free)
    }

    /// Each sample in a step of its own on the GPU, which waits for what `after` says of the one before.
    fn one_by_one(samples: u32, after: impl Fn(&[StepId]) -> Vec<StepId>) -> Plan {
        let mut plan = Plan::default();
        let (up, down) = (plan.lane(Lane::Link(LinkId(0))), plan.lane(Lane::Link(LinkId(1))));
        let gpu = plan.lane(Lane::Compute { device: GPU, share: Share::FULL, memory: Bytes(1_100) });
        let sent = |layer, sample, to| Action::Transfer {
            model: MODEL,
            layer: LayerId(layer),
            region: Region { samples: sample..sample + 1, rows: 0..1 },
            to,
        };
        let mut before = Vec::new();
        for sample in 0..samples {
            let arrived = plan.step(up, sent(0, sample, GPU), &after(&before));
            let segment = crate::model::Segment::range(LayerId(1), LayerId(1));
            let region = Region { samples: sample..sample + 1, rows: 0..1 };
            let computed = plan.step(gpu, Action::Compute(Work { model: MODEL, segment, region }), &[arrived]);
            before = vec![computed, plan.step(down, sent(1, sample, HOME), &[computed])];
        }
        plan
    }

    fn data(samples: u32, after: impl Fn(&[StepId]) -> Vec<StepId>) -> [u64; 2] {
        let problem = problem(samples);
        let footprints = footprints(&one_by_one(samples, after), &problem);
        assert_eq!(footprints[1].total(), footprints[1].data + Bytes(1000));
        [0, 1].map(|device| footprints[device].data.0)
    }

    #[test]
    fn what_could_wait_at_one_time_counts_and_what_has_been_read_does_not() {
        assert_eq!(data(5, |before| before.to_vec()), [HOME_MAX, 100], "one step at a time");
        assert_eq!(data(5, |before| before[..before.len().min(1)].to_vec()), [HOME_MAX, 100 + 4 * 10], "outputs wait");
        assert_eq!(data(5, |_| Vec::new()), [HOME_MAX, 100 + 4 * 40], "inputs wait, which are more");
    }

    #[test]
    fn two_lanes_of_a_device_hold_the_weights_once_and_their_activations_both() {
        let (problem, mut plan) = (problem(4), one_by_one(4, <[StepId]>::to_vec));
        let other = plan.lane(plan.lanes[2].clone());
        for step in plan.steps.iter_mut().filter(|step| step.lane == Some(LaneId(2))).skip(2) {
            step.lane = Some(other);
        }
        let footprint = &footprints(&plan, &problem)[1];
        assert_eq!((footprint.data, footprint.total()), (Bytes(200), Bytes(1200)));
    }

    #[test]
    fn devices_hold_data_in_the_numbers_that_they_compute_with() {
        let layers = vec![
            ("input", crate::model::Op::Input(crate::model::Shape::fp32(10, 1, 1)), vec![]),
            ("dense", crate::model::Op::Dense { units: 5, bias: true }, vec![LayerId(0)]),
        ];
        let layer = |(name, op, inputs): (&str, _, _)| crate::model::Layer { name: name.into(), op, inputs };
        let mut problem = problem(2);
        problem.models[0].graph = Graph::new("net", layers.into_iter().map(layer).collect()).unwrap();
        problem.platform.devices[1].precision = Precision::Fp16;
        let plan = one_by_one(2, <[StepId]>::to_vec);
        let footprints = footprints(&plan, &problem);
        assert_eq!(footprints[0].data, Bytes(2 * 4 * 10 + 4 * 5));
        assert_eq!((footprints[1].data, footprints[1].total()), (Bytes(2 * 15), Bytes(2 * (15 + 55))));
        let sent = |step: usize| match &plan.steps[step].action {
            Action::Transfer { model, layer, region, to } => {
                problem.sent((LinkId((*to == HOME).into()), *to), *model, *layer, region)
            }
            _ => unreachable!("it is a transfer"),
        };
        assert_eq!((sent(0), sent(2)), (Bytes(40), Bytes(10)), "as the sender has them");
    }

    #[test]
    fn a_plan_whose_data_does_not_fit_is_refused_with_its_sizes() {
        let mut problem = problem(5);
        problem.platform.memories[0].capacity = Some(Bytes(239));
        let found = check(one_by_one(5, <[StepId]>::to_vec), &problem).unwrap_err();
        let found: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(found, ["`home` holds 240 B at one time, weights of 0 B and data of 240 B, and has 239 B"]);
        problem.platform.memories[0].capacity = Some(Bytes(240));
        check(one_by_one(5, <[StepId]>::to_vec), &problem).unwrap();
    }
}

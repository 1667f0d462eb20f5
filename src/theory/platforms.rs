//! Devices, links and plans of the cases.

use std::iter;

use crate::cost::{Basis, CostModel, Estimate, Uncalibrated};
use crate::model::{Activation, Graph, Layer, LayerId, ModelId, Op, Region, Segment, Shape as Output, Work};
use crate::plan::{Action, CheckedPlan, Lane, Plan, check};
use crate::platform::{BandwidthRule, Device, DeviceId, DeviceKind, Direction, Link, LinkId, Nic, Platform, Sharing};
use crate::problem::{Jitter, Load, Model, Problem, Shape, Variation};
use crate::strategy::{FirstFree, Proposal, Strategy};
use crate::units::{Bytes, BytesPerSec, Duration, Share};

/// What steps take: the same on all devices but for the factor of each, and on all links.
struct Costs {
    /// By device, in milliseconds.
    devices: Vec<Batch>,
    /// By link, in milliseconds.
    links: Vec<f64>,
}

/// Milliseconds of a batch: `fixed + per_sample * b`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Batch {
    pub(super) per_sample: f64,
    pub(super) fixed: f64,
}

impl CostModel for Costs {
    fn compute(&self, device: DeviceId, _: Share, work: &Work) -> Result<Estimate, Uncalibrated> {
        let Batch { per_sample, fixed } = self.devices[device.0 as usize];
        let millis = fixed + per_sample * work.region.samples.len() as f64;
        Ok(Estimate { time: Duration::from_millis_f64(millis), basis: Basis::Modelled })
    }

    fn transfer(&self, link: LinkId, _: Bytes) -> Result<Estimate, Uncalibrated> {
        Ok(Estimate { time: Duration::from_millis_f64(self.links[link.0 as usize]), basis: Basis::Modelled })
    }
}

/// A distribution with coefficient of variation 1 and without memory.
pub(super) const EXPONENTIAL: Shape = Shape::Gamma { cv: 1.0, shift: 0.0 };

fn jitter(shape: &Shape) -> Jitter {
    Jitter::new(shape.clone(), None).expect("the shapes of the cases are within their ranges")
}

fn rate(bytes_per_s: f64) -> BytesPerSec {
    BytesPerSec::new(bytes_per_s).expect("the rates of the cases are positive")
}

fn platform(count: u32) -> Platform {
    Platform::new((0..count).map(|index| (Device::new(format!("d{index}"), DeviceKind::Gpu), Bytes(1 << 40))))
}

fn links(ends: impl Iterator<Item = (u32, u32)>, bandwidth: BytesPerSec) -> Vec<Link> {
    let link = |(from, to): (u32, u32)| {
        Link::new(format!("d{from} to d{to}"), (DeviceId(from), DeviceId(to)), Direction::OneWay, bandwidth)
    };
    ends.map(link).collect()
}

/// A network of so many layers in a row.
fn row(layers: u32) -> Graph {
    let input = Layer { name: "input".into(), op: Op::Input(Output::flat(1)), inputs: vec![] };
    let layer = |index: u32| Layer {
        name: format!("layer {}", index + 1),
        op: Op::Activation(Activation::Relu),
        inputs: vec![LayerId(index)],
    };
    let layers = iter::once(input).chain((0..layers).map(layer)).collect();
    Graph::new("row", layers).expect("each layer reads the one before it")
}

fn problem(graph: Graph, platform: Platform, load: Load, costs: Costs, devices: Jitter, links: Jitter) -> Problem {
    let variation =
        Variation { devices: vec![devices; platform.devices.len()], links: vec![links; platform.links.len()] };
    let models = vec![Model { graph, home: None }];
    Problem { variation, ..Problem::new(models, platform, load, costs) }
}

/// Equal devices, each of which can compute a query.
pub(super) fn pool(load: Load, count: u32, batch: Batch, shape: &Shape) -> Problem {
    let platform = platform(count);
    let costs = Costs { devices: vec![batch; count as usize], links: vec![] };
    problem(row(1), platform, load, costs, jitter(shape), Jitter::NONE)
}

/// Equal devices that each need the whole of the memory that they share, so that n of them go at a speed of 1/n.
pub(super) fn memory_pool(load: Load, count: u32, batch: Batch, shape: &Shape) -> Problem {
    let mut problem = pool(load, count, batch, shape);
    let peak = rate(1e9);
    problem.platform.devices.iter_mut().for_each(|device| device.traffic = Some(peak));
    problem.platform.contend(BandwidthRule::Proportional { peak });
    problem.contention = true;
    problem
}

/// A device with a link to each of `count` others, all through one interface that one of them could fill; what is sent
/// takes `millis` alone, and devices take no time.
pub(super) fn interface_pool(load: Load, count: u32, millis: f64, shape: &Shape) -> Problem {
    let bandwidth = rate(1e6);
    let links = links((1..=count).map(|device| (0, device)), bandwidth);
    let nic = Nic { links: (0..count).map(LinkId).collect(), bandwidth, sharing: Sharing::Fair };
    let mut platform = Platform { links, ..platform(count + 1) };
    platform.interference.nics = vec![nic];
    let none = Batch { per_sample: 0.0, fixed: 0.0 };
    let costs = Costs { devices: vec![none; count as usize + 1], links: vec![millis; count as usize] };
    problem(row(1), platform, load, costs, Jitter::NONE, jitter(shape))
}

/// Devices in a row with a link from each to the next; a query passes all of them in turn. Both have the mean times that
/// are given, in milliseconds, and vary alike.
pub(super) fn chain(load: Load, devices_millis: &[f64], links_millis: &[f64], shape: &Shape) -> Problem {
    let count = devices_millis.len() as u32;
    let links = links((1..count).map(|device| (device - 1, device)), rate(1e9));
    let platform = Platform { links, ..platform(count) };
    let batch = |&per_sample: &f64| Batch { per_sample, fixed: 0.0 };
    let costs = Costs { devices: devices_millis.iter().map(batch).collect(), links: links_millis.to_vec() };
    problem(row(count), platform, load, costs, jitter(shape), jitter(shape))
}

fn checked(plan: Plan, problem: &Problem) -> Result<CheckedPlan, String> {
    check(plan, problem)
        .map_err(|violations| violations.iter().map(ToString::to_string).collect::<Vec<String>>().join("; "))
}

/// A query goes whole to the first device that is free.
pub(super) fn first_free(problem: &Problem) -> Result<Vec<CheckedPlan>, String> {
    let Proposal { plan, alternatives, .. } =
        FirstFree { devices: None }.propose(problem).map_err(|error| error.to_string())?;
    iter::once(plan).chain(alternatives).map(|plan| checked(plan, problem)).collect()
}

fn lane(device: u32) -> Lane {
    Lane::Compute { device: DeviceId(device), share: Share::FULL, memory: Bytes(1 << 40) }
}

fn region(problem: &Problem) -> Region {
    Region { samples: 0..problem.samples(), rows: 0..1 }
}

fn compute(problem: &Problem, layer: u32) -> Action {
    let segment = Segment::range(LayerId(layer), LayerId(layer));
    Action::Compute(Work { model: ModelId(0), segment, region: region(problem) })
}

fn transfer(problem: &Problem, layer: u32, to: u32) -> Action {
    Action::Transfer { model: ModelId(0), layer: LayerId(layer), region: region(problem), to: DeviceId(to) }
}

/// A query goes by the first link that is free to the device behind it.
pub(super) fn first_free_link(problem: &Problem) -> Result<Vec<CheckedPlan>, String> {
    let by_link = |index: u32| {
        let mut plan = Plan::default();
        let (link, device) = (plan.lane(Lane::Link(LinkId(index))), plan.lane(lane(index + 1)));
        let sent = plan.step(link, transfer(problem, 0, index + 1), &[]);
        plan.step(device, compute(problem, 1), &[sent]);
        checked(plan, problem)
    };
    (0..problem.platform.links.len() as u32).map(by_link).collect()
}

/// A layer on each device, one after the other.
pub(super) fn layer_by_layer(problem: &Problem) -> Result<Vec<CheckedPlan>, String> {
    let mut plan = Plan::default();
    let first = plan.lane(lane(0));
    let mut last = plan.step(first, compute(problem, 1), &[]);
    for index in 1..problem.platform.devices.len() as u32 {
        let (link, device) = (plan.lane(Lane::Link(LinkId(index - 1))), plan.lane(lane(index)));
        let sent = plan.step(link, transfer(problem, index, index), &[last]);
        last = plan.step(device, compute(problem, index + 1), &[sent]);
    }
    Ok(vec![checked(plan, problem)?])
}

//! Schedules that theory gives exactly, to the nanosecond.

use coinfer::cost::{Basis, CostModel, Estimate, Uncalibrated};
use coinfer::engine::simulate;
use coinfer::model::{Activation, Graph, Layer, LayerId, ModelId, Op, Region, Segment, Shape, Work};
use coinfer::plan::{Action, Lane, LaneId, Plan, StepId, check};
use coinfer::platform::{Device, DeviceId, DeviceKind, Direction, Link, LinkId, Platform};
use coinfer::problem::{Load, Model, Problem};
use coinfer::units::{Bytes, BytesPerSec, Duration, Share};
use proptest::prelude::*;

/// What a sample takes on each device in nanoseconds, and a transfer over each link.
#[derive(Clone)]
struct Shop {
    /// By device, then sample.
    devices: Vec<Vec<u64>>,
    links: Vec<u64>,
}

impl CostModel for Shop {
    fn compute(&self, device: DeviceId, _: Share, work: &Work) -> Result<Estimate, Uncalibrated> {
        let of_device = &self.devices[device.0 as usize];
        let nanos = work.region.samples.clone().map(|sample| of_device[sample as usize]).sum();
        Ok(Estimate { time: Duration::from_nanos(nanos), basis: Basis::Modelled })
    }
    fn transfer(&self, link: LinkId, _: Bytes) -> Result<Estimate, Uncalibrated> {
        Ok(Estimate { time: Duration::from_nanos(self.links[link.0 as usize]), basis: Basis::Modelled })
    }
}

impl Shop {
    fn samples(&self) -> u32 {
        self.devices[0].len() as u32
    }

    /// Layers in a row; links between the given pairs of devices.
    fn problem(&self, layers: u32, links: &[(u32, u32)]) -> Problem {
        let input = Layer { name: "input".into(), op: Op::Input(Shape::flat(1)), inputs: vec![] };
        let layer = |index: u32| Layer {
            name: format!("layer {}", index + 1),
            op: Op::Activation(Activation::Relu),
            inputs: vec![LayerId(index)],
        };
        let graph = Graph::new("row", std::iter::once(input).chain((0..layers).map(layer)).collect()).unwrap();
        let device = |index| (Device::new(format!("d{index}"), DeviceKind::Gpu), Bytes(1 << 30));
        let link = |&(from, to): &(u32, u32)| {
            let bandwidth = BytesPerSec::new(1e9).unwrap();
            Link::new(format!("{from}-{to}"), (DeviceId(from), DeviceId(to)), Direction::OneWay, bandwidth)
        };
        let platform =
            Platform { links: links.iter().map(link).collect(), ..Platform::new((0..self.devices.len()).map(device)) };
        let load = Load::Offline { samples: self.samples() };
        Problem::new(vec![Model { graph, home: None }], platform, load, self.clone())
    }

    /// The makespan if each sample passes all devices in turn, in this order of samples.
    fn row_makespan(&self, order: &[u32]) -> u64 {
        let count = self.devices.len() as u32;
        let between: Vec<(u32, u32)> = (1..count).map(|to| (to - 1, to)).collect();
        let problem = self.problem(count, &between);
        let mut plan = Plan::default();
        let devices: Vec<LaneId> = (0..count).map(|device| plan.lane(lane(device))).collect();
        let links: Vec<LaneId> = (0..count - 1).map(|link| plan.lane(Lane::Link(LinkId(link)))).collect();
        for &sample in order {
            let mut last = plan.step(devices[0], compute(1, sample), &[]);
            for to in 1..count {
                let sent = plan.step(links[to as usize - 1], transfer(to, sample, to), &[last]);
                last = plan.step(devices[to as usize], compute(to + 1, sample), &[sent]);
            }
        }
        makespan(&problem, plan)
    }
}

fn lane(device: u32) -> Lane {
    Lane::Compute { device: DeviceId(device), share: Share::FULL, memory: Bytes(1 << 29) }
}

fn region(sample: u32) -> Region {
    Region { samples: sample..sample + 1, rows: 0..1 }
}

fn compute(layer: u32, sample: u32) -> Action {
    let segment = Segment::range(LayerId(layer), LayerId(layer));
    Action::Compute(Work { model: ModelId(0), segment, region: region(sample) })
}

fn transfer(layer: u32, sample: u32, to: u32) -> Action {
    Action::Transfer { model: ModelId(0), layer: LayerId(layer), region: region(sample), to: DeviceId(to) }
}

fn makespan(problem: &Problem, plan: Plan) -> u64 {
    let plan = check(plan, problem).unwrap();
    let timeline = simulate(problem, &plan).unwrap();
    assert!(timeline.obeys(&plan, &problem.platform));
    timeline.makespan().as_nanos()
}

/// All orders of `items`.
fn orders(items: &[u32]) -> Vec<Vec<u32>> {
    let Some((&last, rest)) = items.split_last() else { return vec![vec![]] };
    let with_last = |order: Vec<u32>| {
        (0..=order.len()).map(move |at| {
            let mut order = order.clone();
            order.insert(at, last);
            order
        })
    };
    orders(rest).into_iter().flat_map(with_last).collect()
}

/// Johnson's rule (Optimal two- and three-stage production schedules, 1954): first those that are shorter on the first
/// machine, by that time; then the others, by the time on the second, the longest first.
fn johnson(first: &[u64], second: &[u64]) -> Vec<u32> {
    let mut order: Vec<u32> = (0..first.len() as u32).collect();
    order.sort_by_key(|&sample| {
        let (a, b) = (first[sample as usize], second[sample as usize]);
        if a <= b { (0, a) } else { (1, u64::MAX - b) }
    });
    order
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn no_order_of_a_flow_shop_of_two_machines_beats_johnsons(
        times in prop::collection::vec((0u64..1_000, 0u64..1_000), 1..6)
    ) {
        let (first, second): (Vec<u64>, Vec<u64>) = times.iter().copied().unzip();
        let shop = Shop { devices: vec![first.clone(), second.clone()], links: vec![0] };
        let samples: Vec<u32> = (0..shop.samples()).collect();
        let best = orders(&samples).iter().map(|order| shop.row_makespan(order)).min();
        prop_assert_eq!(best, Some(shop.row_makespan(&johnson(&first, &second))));
        // What each order takes, by the recursion of flow shops.
        let (mut ready, mut done) = (0, 0);
        for &sample in &samples {
            ready += first[sample as usize];
            done = done.max(ready) + second[sample as usize];
        }
        prop_assert_eq!(shop.row_makespan(&samples), done);
    }

    #[test]
    fn a_pipeline_takes_the_sum_of_its_stages_and_its_slowest_for_each_further_sample(
        stages in prop::collection::vec(0u64..10_000, 1..5), links in prop::collection::vec(0u64..10_000, 4),
        samples in 1usize..8,
    ) {
        let links = links[..stages.len() - 1].to_vec();
        let all: Vec<u64> = stages.iter().chain(&links).copied().collect();
        let shop = Shop { devices: stages.iter().map(|&stage| vec![stage; samples]).collect(), links };
        let order: Vec<u32> = (0..samples as u32).collect();
        let expected = all.iter().sum::<u64>() + (samples as u64 - 1) * all.iter().max().unwrap();
        prop_assert_eq!(shop.row_makespan(&order), expected);
    }

    #[test]
    fn a_join_waits_for_the_longest_branch_of_a_fork(
        branches in prop::collection::vec((0u64..1_000, 0u64..1_000, 0u64..1_000), 1..6), root in 0u64..1_000,
    ) {
        // Device 0 computes the first and the last layer of all samples; each other device the middle of one of them.
        let count = branches.len() as u32;
        let on = |nanos: u64| vec![nanos; branches.len()];
        let devices = std::iter::once(on(root)).chain(branches.iter().map(|&(_, nanos, _)| on(nanos))).collect();
        let links = branches.iter().flat_map(|&(out, _, back)| [out, back]).collect();
        let ends: Vec<(u32, u32)> = (1..=count).flat_map(|device| [(0, device), (device, 0)]).collect();
        let problem = Shop { devices, links }.problem(3, &ends);
        let mut plan = Plan::default();
        let whole = |layer: u32| {
            let segment = Segment::range(LayerId(layer), LayerId(layer));
            Action::Compute(Work { model: ModelId(0), segment, region: Region { samples: 0..count, rows: 0..1 } })
        };
        let host = plan.lane(lane(0));
        let fork = plan.step(host, whole(1), &[]);
        let branch = |plan: &mut Plan, index: u32| -> StepId {
            let out = plan.lane(Lane::Link(LinkId(2 * index)));
            let device = plan.lane(lane(index + 1));
            let back = plan.lane(Lane::Link(LinkId(2 * index + 1)));
            let sent = plan.step(out, transfer(1, index, index + 1), &[fork]);
            let computed = plan.step(device, compute(2, index), &[sent]);
            plan.step(back, transfer(2, index, 0), &[computed])
        };
        let branch_ends: Vec<StepId> = (0..count).map(|index| branch(&mut plan, index)).collect();
        let joined = plan.join(&branch_ends);
        plan.step(host, whole(3), &[joined]);
        let longest = branches.iter().map(|(out, nanos, back)| out + nanos + back).max().unwrap();
        prop_assert_eq!(makespan(&problem, plan), 2 * root * u64::from(count) + longest);
    }

    #[test]
    fn a_plan_of_one_lane_takes_the_sum_of_its_estimates(times in prop::collection::vec(0u64..1 << 50, 1..20)) {
        let shop = Shop { devices: vec![times.clone()], links: vec![] };
        let order: Vec<u32> = (0..shop.samples()).collect();
        prop_assert_eq!(shop.row_makespan(&order), times.iter().sum::<u64>());
    }
}

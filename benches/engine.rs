//! Engine speed in steps per second, on plans whose shape decides what the engine must do.

use coinfer::cost::{Basis, CostModel, Estimate, Uncalibrated};
use coinfer::engine::simulate;
use coinfer::model::{Graph, LayerId, ModelId, Region, Segment, Work};
use coinfer::plan::{Action, CheckedPlan, Lane, LaneId, Plan, StepId, check};
use coinfer::platform::{Device, DeviceId, DeviceKind, Direction, Link, LinkId, Platform};
use coinfer::problem::{Load, Model, Problem};
use coinfer::units::{Bytes, BytesPerSec, Duration, Share};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

/// Times that differ from sample to sample, so that lanes do not march in step.
struct Scattered;

impl CostModel for Scattered {
    fn compute(&self, _: DeviceId, _: Share, work: &Work) -> Result<Estimate, Uncalibrated> {
        let nanos = 1_000 + mix(work.region.samples.start.into()) % 1_000_000;
        Ok(Estimate { time: Duration::from_nanos(nanos), basis: Basis::Modelled })
    }
    fn transfer(&self, link: LinkId, _: Bytes) -> Result<Estimate, Uncalibrated> {
        Ok(Estimate { time: Duration::from_nanos(10_000 + mix(link.0.into()) % 1_000), basis: Basis::Modelled })
    }
}

/// SplitMix64's output function (Steele, Lea and Flood, OOPSLA 2014).
fn mix(seed: u64) -> u64 {
    let z = seed.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// `steps` samples of an opaque network on `devices` devices.
fn problem(devices: u32, steps: u32) -> Problem {
    let device = |index| (Device::new(format!("d{index}"), DeviceKind::Gpu), Bytes(1 << 30));
    let link = |from| {
        let ends = (DeviceId(from), DeviceId((from + 1) % devices));
        Link::new(format!("l{from}"), ends, Direction::OneWay, BytesPerSec::new(1e9).expect("it is positive"))
    };
    let models =
        vec![Model { graph: Graph::opaque("net", 4, 4, Bytes(0), Bytes(8)).expect("it is sound"), home: None }];
    let platform = Platform { links: (0..devices).map(link).collect(), ..Platform::new((0..devices).map(device)) };
    Problem::new(models, platform, Load::Offline { samples: steps }, Scattered)
}

/// A plan of one sample a step; step i runs on lane i modulo `lanes` and waits for `waits` random earlier steps.
fn plan(problem: &Problem, lanes: u32, steps: u32, waits: u64) -> CheckedPlan {
    let mut plan = Plan::default();
    for device in 0..lanes {
        plan.lane(Lane::Compute { device: DeviceId(device), share: Share::FULL, memory: Bytes(8) });
    }
    for index in 0..steps {
        let region = Region { samples: index..index + 1, rows: 0..1 };
        let segment = Segment::range(LayerId(1), LayerId(1));
        let on = |wait| StepId((mix(u64::from(index) * waits + wait) % u64::from(index.max(1))) as u32);
        let after: Vec<StepId> = (0..if index == 0 { 0 } else { waits }).map(on).collect();
        plan.step(LaneId(index % lanes), Action::Compute(Work { model: ModelId(0), segment, region }), &after);
    }
    check(plan, problem).expect("the plan is sound")
}

fn engine(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("engine");
    group.sample_size(10);
    let million = 1_000_000;
    let (one, thousand) = (problem(1, million), problem(1000, million));
    let cases = [
        ("a: chain of 1 M steps on one lane", &one, plan(&one, 1, million, 0)),
        ("b: 1 M steps over 1000 lanes with random dependencies", &thousand, plan(&thousand, 1000, million, 1)),
    ];
    for (name, problem, plan) in &cases {
        group.throughput(Throughput::Elements(problem.samples().into()));
        group.bench_function(*name, |bencher| bencher.iter(|| simulate(problem, plan)));
    }
    group.finish();
}

/// The check of the plans that the engine runs, and of one whose computations all wait for transfers by one join.
fn checking(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("check");
    group.sample_size(10);
    let hundred_thousand = 100_000;
    let (lanes, slots) = (problem(1000, hundred_thousand), problem(2, hundred_thousand));
    let mut at_home = slots;
    at_home.models[0].home = Some(DeviceId(0));
    let cases = [
        ("100 k steps over 1000 lanes", &lanes, plan(&lanes, 1000, hundred_thousand, 1)),
        ("100 k samples sent, joined, computed and returned", &at_home, joined_plan(&at_home, hundred_thousand)),
    ];
    for (name, problem, plan) in cases {
        group.throughput(Throughput::Elements(plan.steps.len() as u64));
        let plan: Plan = (*plan).clone();
        group.bench_function(name, |bencher| bencher.iter(|| check(plan.clone(), problem)));
    }
    group.finish();
}

/// Each sample is sent to the second device, all are awaited by one join, computed one by one and sent back.
fn joined_plan(problem: &Problem, samples: u32) -> CheckedPlan {
    let mut plan = Plan::default();
    let computing = plan.lane(Lane::Compute { device: DeviceId(1), share: Share::FULL, memory: Bytes(8) });
    let (there, back) = (plan.lane(Lane::Link(LinkId(0))), plan.lane(Lane::Link(LinkId(1))));
    let region = |index: u32| Region { samples: index..index + 1, rows: 0..1 };
    let transfer = |layer, index, to| Action::Transfer {
        model: ModelId(0),
        layer: LayerId(layer),
        region: region(index),
        to: DeviceId(to),
    };
    let sent: Vec<StepId> = (0..samples).map(|index| plan.step(there, transfer(0, index, 1), &[])).collect();
    let all = plan.join(&sent);
    for index in 0..samples {
        let segment = Segment::range(LayerId(1), LayerId(1));
        let work = Work { model: ModelId(0), segment, region: region(index) };
        let computed = plan.step(computing, Action::Compute(work), &[all]);
        plan.step(back, transfer(1, index, 0), &[computed]);
    }
    check(plan, problem).expect("the plan is sound")
}

criterion_group!(benches, engine, checking);
criterion_main!(benches);

//! Hand-made runs for the tests of reports.

use std::ops::Range;

use crate::cost::{Basis, CostModel, Estimate, Uncalibrated};
use crate::engine::{estimates, simulate};
use crate::metrics::{Comparison, Outcome, Replay, Summary};
use crate::model::{Graph, Layer, LayerId, ModelId, Op, Region, Shape, Work};
use crate::plan::{Action, CheckedPlan, Lane, Plan, check};
use crate::platform::{Device, DeviceId, DeviceKind, Direction, Link, LinkId, Platform};
use crate::problem::{Load, Model, Problem};
use crate::statistics::Errors;
use crate::timeline::Timeline;
use crate::units::{Bytes, BytesPerSec, Duration, Share};

/// A device, and the samples and rows that it computes.
pub(crate) type Part = (u32, Range<u32>, Range<u32>);

pub(crate) struct Example {
    pub(crate) problem: Problem,
    pub(crate) plan: CheckedPlan,
    pub(crate) timeline: Timeline,
    pub(crate) estimates: Vec<Estimate>,
}

/// Device 0 takes 3 ms a sample (measured), 1 takes 2 ms, the others 1 ms; transfers take 1 ms.
struct ByDevice;

impl CostModel for ByDevice {
    fn compute(&self, device: DeviceId, _: Share, work: &Work) -> Result<Estimate, Uncalibrated> {
        let (millis, basis) = match device.0 {
            0 => (3, Basis::Measured),
            1 => (2, Basis::Interpolated),
            _ => (1, Basis::Modelled),
        };
        let time = Duration::from_nanos(millis * 1_000_000) * work.region.samples.len() as u32;
        Ok(Estimate { time, basis })
    }

    fn transfer(&self, _: LinkId, _: Bytes) -> Result<Estimate, Uncalibrated> {
        Ok(Estimate { time: Duration::from_nanos(1_000_000), basis: Basis::Modelled })
    }
}

pub(crate) fn problem(devices: &[&str], samples: u32) -> Problem {
    let layer = |name: &str, op, inputs| Layer { name: name.into(), op, inputs };
    let input = Op::Input(Shape::fp32(1, 8, 8));
    let layers = vec![layer("input", input, vec![]), layer("copy", Op::Dropout, vec![LayerId(0)])];
    let device = |name: &&str| (Device::new(*name, DeviceKind::Cpu), Bytes(1 << 40));
    let ends = (DeviceId(0), DeviceId(devices.len() as u32 - 1));
    let link = Link::new("pcie", ends, Direction::EitherWay, BytesPerSec::new(1e9).unwrap());
    let models = vec![Model { graph: Graph::new("net", layers).unwrap(), home: None }];
    let platform = Platform { links: vec![link], ..Platform::new(devices.iter().map(device)) };
    Problem::new(models, platform, Load::Offline { samples }, ByDevice)
}

/// A run of `parts`, one step each, on the devices cpu, igpu and gpu with 10 samples. What the last device computed is
/// copied to the first; a join ends it.
pub(crate) fn run(parts: &[Part]) -> Example {
    let problem = problem(&["cpu", "igpu", "gpu"], 10);
    let mut plan = Plan::default();
    let lanes: Vec<_> = (0..3)
        .map(|device| plan.lane(Lane::Compute { device: DeviceId(device), share: Share::FULL, memory: Bytes(1 << 30) }))
        .collect();
    let link = plan.lane(Lane::Link(LinkId(0)));
    let graph = &problem.models[0].graph;
    let mut ends = Vec::new();
    for (device, samples, rows) in parts.iter().cloned() {
        let region = Region { samples, rows };
        let work = Work { model: ModelId(0), segment: graph.whole().unwrap(), region: region.clone() };
        ends.push(plan.step(lanes[device as usize], Action::Compute(work), &[]));
        if device == 2 {
            let transfer = Action::Transfer { model: ModelId(0), layer: graph.output(), region, to: DeviceId(0) };
            let after = [ends[ends.len() - 1]];
            ends.push(plan.step(link, transfer, &after));
        }
    }
    plan.join(&ends);
    let plan = check(plan, &problem).unwrap();
    Example {
        timeline: simulate(&problem, &plan).unwrap(),
        estimates: estimates(&problem, &plan).unwrap(),
        problem,
        plan,
    }
}

/// A summary in which each of `strategies` shares 10 samples among three devices, the first giving most to the CPU.
pub(crate) fn summary(strategies: &[&str]) -> Summary {
    let millis = |ms: u64| Some(Duration::from_nanos(ms * 1_000_000));
    let outcome = |(index, strategy): (usize, &&str)| {
        let cut = 6 - index as u32 % 5;
        let run = run(&[(0, 0..cut, 0..8), (2, cut..10, 0..8)]);
        Outcome::new(&run.problem, *strategy, &run.plan, &run.timeline, &run.estimates, millis(20), millis(5))
    };
    Summary {
        scenario: "three devices".into(),
        outcomes: strategies.iter().enumerate().map(outcome).collect(),
        failures: vec![],
        notes: vec![],
        contention: false,
        baseline: "single on gpu".into(),
    }
}

/// A replay on real hardware of no plan yet.
pub(crate) fn replay() -> Replay {
    Replay {
        scenario: "three devices".into(),
        backend: "Processor 2000".into(),
        runtime: "runtime 1.0".into(),
        is_real: true,
        unreal: vec![],
        is_assembled: false,
        is_as_profiled: false,
        emulated: vec![],
        boards: vec![],
        lost: vec![],
        comparisons: vec![],
        floor: None,
        kendall_tau: None,
        notes: vec![],
        tolerance: 0.1,
        objections: vec![],
        doubts: vec![],
    }
}

/// A plan whose makespan was predicted 5.5 % too long.
pub(crate) fn comparison(strategy: &str) -> Comparison {
    Comparison {
        strategy: strategy.into(),
        same_plan_as: None,
        predicted_ms: 8.0,
        recalibrated_ms: 9.5,
        measured_ms: 9.0,
        measured_ms_min: 8.0,
        measured_ms_max: 10.0,
        rounds: 2,
        error: 0.055,
        error_as_profiled: -0.111,
        steps: Errors::of([0.01, -0.02, 0.03]),
        isolation: 1.0,
        difference: Some(1.2e-6),
    }
}

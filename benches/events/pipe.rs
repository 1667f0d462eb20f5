//! The workload `pipe` as a plan: three devices in a row, with a transfer only when the next device is idle.

use coinfer::cost::{Basis, CostModel, Estimate, Uncalibrated};
use coinfer::engine::simulate;
use coinfer::model::{Graph, Layer, LayerId, ModelId, Op, Region, Segment, Shape, Work};
use coinfer::plan::{Action, CheckedPlan, Lane, LaneId, Plan, StepId, check};
use coinfer::platform::{Device, DeviceId, DeviceKind, Direction, Link, LinkId, Platform};
use coinfer::problem::{Load, Model, Problem};
use coinfer::units::{Bytes, BytesPerSec, Duration, Share};

use crate::workload::{self, Done, Draws};

/// What there is to simulate. The engine is what is measured, so that making and checking the plan is not.
pub(crate) struct Pipe {
    problem: Problem,
    plan: CheckedPlan,
}

/// The execution times, by device and sample.
struct Drawn([Vec<Duration>; 3]);

impl CostModel for Drawn {
    fn compute(&self, device: DeviceId, _: Share, work: &Work) -> Result<Estimate, Uncalibrated> {
        let time = self.0[device.0 as usize][work.region.samples.start as usize];
        Ok(Estimate { time, basis: Basis::Modelled })
    }

    fn transfer(&self, _: LinkId, size: Bytes) -> Result<Estimate, Uncalibrated> {
        Ok(Estimate { time: size / bandwidth(), basis: Basis::Modelled })
    }
}

fn bandwidth() -> BytesPerSec {
    BytesPerSec::new(workload::BANDWIDTH).expect("it is positive")
}

impl Pipe {
    /// The problem and its plan.
    pub(crate) fn new() -> Pipe {
        let opaque = |own: u32| Layer {
            name: format!("part {own}"),
            op: Op::Opaque {
                output: Shape::flat(workload::ITEM_BYTES as u32),
                parameters: Bytes(0),
                activations: Bytes(2 * workload::ITEM_BYTES),
            },
            inputs: vec![LayerId(own - 1)],
        };
        let input = Layer { name: "input".into(), op: Op::Input(Shape::flat(1)), inputs: vec![] };
        let graph = Graph::new("three parts", vec![input, opaque(1), opaque(2), opaque(3)]).expect("it is sound");
        let link = |from| {
            let ends = (DeviceId(from), DeviceId(from + 1));
            Link::new(format!("l{from}"), ends, Direction::OneWay, bandwidth())
        };
        let device = |index| (Device::new(format!("d{index}"), DeviceKind::Board), Bytes(1 << 30));
        let platform = Platform { links: vec![link(0), link(1)], ..Platform::new((0..3).map(device)) };
        let times = |seed| {
            let mut draws = Draws::new(seed);
            let seconds = (0..workload::ITEMS).map(|_| draws.exp(workload::EXECUTION));
            seconds.map(|seconds| Duration::from_nanos_f64(seconds * 1e9)).collect()
        };
        let load = Load::Offline { samples: workload::ITEMS as u32 };
        let problem = Problem::new(vec![Model { graph, home: None }], platform, load, Drawn([1, 2, 3].map(times)));
        let plan = check(rendezvous(), &problem).expect("the plan is sound");
        Pipe { problem, plan }
    }

    /// Simulates it.
    pub(crate) fn run(&self) -> Done {
        let timeline = simulate(&self.problem, &self.plan).expect("each time is drawn");
        let seconds = timeline.makespan().as_secs_f64();
        Done { check: seconds / workload::ITEMS as f64, events: timeline.spans.len() as u64 }
    }
}

/// Each item is computed and sent twice, and computed. A transfer waits until its receiver has handed on the item
/// before; its sender begins the next item when it has ended.
fn rendezvous() -> Plan {
    let mut plan = Plan::default();
    let memory = Bytes(2 * workload::ITEM_BYTES);
    let computing: [LaneId; 3] =
        [0, 1, 2].map(|device| plan.lane(Lane::Compute { device: DeviceId(device), share: Share::FULL, memory }));
    let sending: [LaneId; 2] = [0, 1].map(|link| plan.lane(Lane::Link(LinkId(link))));
    // What each device did last that kept it from its next item.
    let mut freed: [Option<StepId>; 3] = [None; 3];
    for item in 0..workload::ITEMS as u32 {
        let region = Region { samples: item..item + 1, rows: 0..1 };
        let compute = |plan: &mut Plan, device: usize, after: Option<StepId>| {
            let segment = Segment::range(LayerId(device as u32 + 1), LayerId(device as u32 + 1));
            let work = Work { model: ModelId(0), segment, region: region.clone() };
            plan.step(computing[device], Action::Compute(work), after.as_slice())
        };
        let mut computed = compute(&mut plan, 0, freed[0]);
        for device in 1..3 {
            let (layer, to) = (LayerId(device as u32), DeviceId(device as u32));
            let transfer = Action::Transfer { model: ModelId(0), layer, region: region.clone(), to };
            let after: Vec<StepId> = [Some(computed), freed[device]].into_iter().flatten().collect();
            let sent = plan.step(sending[device - 1], transfer, &after);
            freed[device - 1] = Some(sent);
            computed = compute(&mut plan, device, Some(sent));
        }
        freed[2] = Some(computed);
    }
    plan
}

//! The workload `contention`, which no other engine has: a plan of 1 M steps on 17 devices that all slow each other.

use coinfer::cost::{Basis, CostModel, Estimate, Uncalibrated};
use coinfer::engine::simulate;
use coinfer::model::{Graph, LayerId, ModelId, Region, Segment, Work};
use coinfer::plan::{Action, CheckedPlan, Lane, LaneId, Plan, StepId, check};
use coinfer::platform::{Device, DeviceId, DeviceKind, Direction, Interference, Link, LinkId, Platform, Slowdown};
use coinfer::problem::{Load, Model, Problem};
use coinfer::units::{Bytes, BytesPerSec, Duration, Share};

use crate::workload::{Done, Draws};

const DEVICES: u32 = 17;
const STEPS: u32 = 1_000_000;

/// What there is to simulate; as for `pipe`, making and checking the plan is not measured.
pub(crate) struct Contention {
    problem: Problem,
    plan: CheckedPlan,
}

/// The time of each step alone; transfers take 10 us.
struct Drawn(Vec<Duration>);

impl CostModel for Drawn {
    fn compute(&self, _: DeviceId, _: Share, work: &Work) -> Result<Estimate, Uncalibrated> {
        Ok(Estimate { time: self.0[work.region.samples.start as usize], basis: Basis::Modelled })
    }

    fn transfer(&self, _: LinkId, _: Bytes) -> Result<Estimate, Uncalibrated> {
        Ok(Estimate { time: Duration::from_nanos(10_000), basis: Basis::Modelled })
    }
}

impl Contention {
    /// The problem and its plan.
    pub(crate) fn new() -> Contention {
        let pairs = (0..DEVICES).flat_map(|device| (0..DEVICES).map(move |busy| (device, busy)));
        let slowdown = |(device, busy)| Slowdown {
            device: DeviceId(device),
            busy: DeviceId(busy),
            excess_ppm: 10_000 + busy * 997,
        };
        let slowdowns = pairs.filter(|(device, busy)| device != busy).map(slowdown).collect();
        let link = |from| {
            let ends = (DeviceId(from), DeviceId((from + 1) % DEVICES));
            Link::new(format!("l{from}"), ends, Direction::OneWay, BytesPerSec::new(1e9).expect("it is positive"))
        };
        let device = |index| (Device::new(format!("d{index}"), DeviceKind::Gpu), Bytes(1_000_000_000));
        let platform = Platform {
            links: (0..DEVICES).map(link).collect(),
            interference: Interference { slowdowns, ..Interference::default() },
            ..Platform::new((0..DEVICES).map(device))
        };
        let graph = Graph::opaque("net", 4, 4, Bytes(0), Bytes(8)).expect("it is sound");
        let mut draws = Draws::new(42);
        let times = (0..STEPS).map(|_| Duration::from_nanos(1_000 + draws.below(1_000_000) as u64)).collect();
        let load = Load::Offline { samples: STEPS };
        let problem = Problem::new(vec![Model { graph, home: None }], platform, load, Drawn(times));
        let problem = Problem { contention: true, ..problem };
        let plan = check(interrupted(), &problem).expect("the plan is sound");
        Contention { problem, plan }
    }

    /// Simulates it. Only steps that compute count, transfers do not.
    pub(crate) fn run(&self) -> Done {
        let timeline = simulate(&self.problem, &self.plan).expect("each time is drawn");
        Done { check: timeline.makespan().as_secs_f64(), events: STEPS.into() }
    }
}

/// A step on each device in turn, followed by a transfer that the next one on the device waits for: between two steps
/// a device is idle, so that every start and every end changes the speeds of the 16 others.
fn interrupted() -> Plan {
    let mut plan = Plan::default();
    let computing: Vec<LaneId> = (0..DEVICES)
        .map(|device| plan.lane(Lane::Compute { device: DeviceId(device), share: Share::FULL, memory: Bytes(8) }))
        .collect();
    let sending: Vec<LaneId> = (0..DEVICES).map(|link| plan.lane(Lane::Link(LinkId(link)))).collect();
    let mut sent: Vec<Option<StepId>> = vec![None; DEVICES as usize];
    for index in 0..STEPS {
        let (on, region) = ((index % DEVICES) as usize, Region { samples: index..index + 1, rows: 0..1 });
        let segment = Segment::range(LayerId(1), LayerId(1));
        let work = Work { model: ModelId(0), segment, region: region.clone() };
        let computed = plan.step(computing[on], Action::Compute(work), sent[on].as_slice());
        let to = DeviceId((index + 1) % DEVICES);
        let transfer = Action::Transfer { model: ModelId(0), layer: LayerId(1), region, to };
        sent[on] = Some(plan.step(sending[on], transfer, &[computed]));
    }
    plan
}

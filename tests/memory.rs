//! What the engine holds besides the plan. In a binary of its own, since it counts all allocations of the process.

use coinfer::cost::{Basis, CostModel, Estimate, Uncalibrated};
use coinfer::engine::simulate;
use coinfer::model::{Graph, LayerId, ModelId, Region, Segment, Work};
use coinfer::plan::{Action, Lane, LaneId, Plan, StepId, check};
use coinfer::platform::{Device, DeviceId, DeviceKind, LinkId, Platform};
use coinfer::problem::{Load, Model, Problem};
use coinfer::units::{Bytes, Duration, Share};
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

struct Millisecond;

impl CostModel for Millisecond {
    fn compute(&self, _: DeviceId, _: Share, _: &Work) -> Result<Estimate, Uncalibrated> {
        Ok(Estimate { time: Duration::from_nanos(1_000_000), basis: Basis::Modelled })
    }
    fn transfer(&self, _: LinkId, _: Bytes) -> Result<Estimate, Uncalibrated> {
        unreachable!("the plan has no transfers")
    }
}

#[test]
fn simulating_takes_at_most_200_bytes_a_step_above_the_plan() {
    let (steps, lanes) = (200_000, 1000);
    let device = |index| (Device::new(format!("d{index}"), DeviceKind::Gpu), Bytes(1 << 30));
    let models = vec![Model { graph: Graph::opaque("net", 4, 4, Bytes(0), Bytes(8)).unwrap(), home: None }];
    let platform = Platform::new((0..lanes).map(device));
    let problem = Problem::new(models, platform, Load::Offline { samples: steps }, Millisecond);
    let mut plan = Plan::default();
    for device in 0..lanes {
        plan.lane(Lane::Compute { device: DeviceId(device), share: Share::FULL, memory: Bytes(8) });
    }
    for index in 0..steps {
        let region = Region { samples: index..index + 1, rows: 0..1 };
        let work = Work { model: ModelId(0), segment: Segment::range(LayerId(1), LayerId(1)), region };
        let after = [StepId(index / 2), StepId(index / 3)];
        plan.step(LaneId(index % lanes), Action::Compute(work), if index == 0 { &[] } else { &after });
    }
    let plan = check(plan, &problem).unwrap();

    let before = ALLOCATOR.current_usage();
    ALLOCATOR.reset_peak_usage();
    let timeline = simulate(&problem, &plan).unwrap();
    let bytes_per_step = (ALLOCATOR.peak_usage() - before) as f64 / f64::from(steps);
    println!("{bytes_per_step:.1} bytes a step, timeline included");
    assert!(timeline.obeys(&plan, &problem.platform));
    assert!(bytes_per_step <= 200.0, "{bytes_per_step}");
}

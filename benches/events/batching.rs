//! The workload `batching`, which no other engine has: requests to a GPU that takes all that wait as one batch.
//!
//! A batch of b takes 0.1438 b + 1.8874 ms, and requests come at 0.7 of the rate that this allows at most. The mean
//! latency is then 9.8176 ms (by the embedded chain of Inoue, Performance Evaluation 2021).

use coinfer::cost::{Basis, CostModel, Estimate, Uncalibrated};
use coinfer::engine::{Streams, serve};
use coinfer::model::{Graph, LayerId, ModelId, Region, Segment, Work};
use coinfer::plan::{Action, CheckedPlan, Lane, Plan, check};
use coinfer::platform::{Device, DeviceId, DeviceKind, LinkId, Platform};
use coinfer::problem::{Arrivals, Dispatch, Load, Model, Problem, Server};
use coinfer::units::{Bytes, Duration, Share};

use crate::workload::Done;

const REQUESTS: u32 = 1_000_000;
const SAMPLE_MS: f64 = 0.1438;
const BATCH_MS: f64 = 1.8874;

struct Affine;

impl CostModel for Affine {
    fn compute(&self, _: DeviceId, _: Share, work: &Work) -> Result<Estimate, Uncalibrated> {
        let millis = SAMPLE_MS * work.region.samples.len() as f64 + BATCH_MS;
        Ok(Estimate { time: Duration::from_millis_f64(millis), basis: Basis::Modelled })
    }

    fn transfer(&self, _: LinkId, _: Bytes) -> Result<Estimate, Uncalibrated> {
        unreachable!("there is one device")
    }
}

/// A million requests. The check value is their mean latency in milliseconds.
pub(crate) fn batching() -> Done {
    let platform = Platform::new([(Device::new("gpu", DeviceKind::Gpu), Bytes(1 << 30))]);
    let graph = Graph::opaque("net", 4, 4, Bytes(0), Bytes(8)).expect("it is sound");
    let load = Load::Server(Server {
        arrivals: Arrivals::Poisson { gap_mean: Duration::from_millis_f64(SAMPLE_MS / 0.7) },
        together: 1,
        samples: 1,
        queries: REQUESTS,
        queue_max: None,
        deadline: None,
        drop_late: false,
    });
    let mut problem = Problem::new(vec![Model { graph, home: None }], platform, load, Affine);
    problem.dispatch = Dispatch::Batch { batch_max: 1 << 20, delay_max: Duration::ZERO, in_flight_max: None };
    let served =
        serve(&problem, &mut |question| whole(&question.problem), &Streams::new(42, 0)).expect("all requests end");
    let sum: Duration = served.queries.iter().map(|query| query.latency()).sum();
    Done { check: sum.as_nanos_f64() / 1e6 / f64::from(REQUESTS), events: served.done().count() as u64 }
}

/// All samples in one step.
fn whole(problem: &Problem) -> Result<Vec<CheckedPlan>, String> {
    let mut plan = Plan::default();
    let lane = plan.lane(Lane::Compute { device: DeviceId(0), share: Share::FULL, memory: Bytes(1 << 30) });
    let region = Region { samples: 0..problem.samples(), rows: 0..1 };
    let segment = Segment::range(LayerId(1), LayerId(1));
    plan.step(lane, Action::Compute(Work { model: ModelId(0), segment, region }), &[]);
    check(plan, problem).map(|plan| vec![plan]).map_err(|violations| format!("{violations:?}"))
}

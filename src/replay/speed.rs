//! How fast devices are just now, against what their traces say.
//!
//! The speed of a machine drifts by several percent a minute, all of it at once. A sample on each device just before
//! a round tells by how much, so that the prediction is judged and not the drift.

use std::ops::Range;

use super::{Backend, BackendError, Crew, Limits, assemble};
use crate::cost::statistics::quantile;
use crate::cost::{CostModel, Estimate, Uncalibrated};
use crate::model::{Graph, ModelId, Region, Segment, Work};
use crate::plan::{Action, CheckedPlan, Lane, LaneId, Plan, check};
use crate::platform::{Device, DeviceId, LinkId};
use crate::problem::{Load, Model, Problem};
use crate::units::{Bytes, Duration, Share};

/// Single samples of one network on each device in turn, ready to run.
pub struct SpeedProbe {
    plan: CheckedPlan,
    crew: Crew,
    /// What the traces say of one sample, by device.
    expected: Vec<Option<Duration>>,
}

/// Samples on each device, at most.
pub const PROBE_SAMPLES: u32 = 5;
/// A probe is to take no longer than this, if one sample a device does not.
const PROBE_TIME: Duration = Duration::from_nanos(300_000_000);

/// No costs, for plans that are not simulated.
pub(super) struct NoCosts;

impl CostModel for NoCosts {
    fn compute(&self, _: DeviceId, _: Share, _: &Work) -> Result<Estimate, Uncalibrated> {
        unreachable!("nothing is simulated")
    }
    fn transfer(&self, _: LinkId, _: Bytes) -> Result<Estimate, Uncalibrated> {
        unreachable!("nothing is simulated")
    }
}

impl SpeedProbe {
    /// Of the devices that can run the problem's first network and whose time for one sample of it is known, on
    /// `backend`, which has the network's inputs on every device.
    ///
    /// # Errors
    /// The backend cannot run it.
    pub fn new(problem: &Problem, backend: &dyn Backend) -> Result<SpeedProbe, BackendError> {
        let graph = &problem.models[0].graph;
        let whole = graph.whole().ok_or_else(|| unfit(backend, format!("{} has nothing to compute", graph.name())))?;
        let one = work(&whole, graph, 0..1);
        let time = |device| Some(problem.costs.compute(device, Share::FULL, &one).ok()?.time);
        let can_run = |&device: &DeviceId| runs(problem.platform.device(device), graph, &one);
        let expected: Vec<Option<Duration>> =
            problem.platform.device_ids().map(|device| Some(device).filter(can_run).and_then(time)).collect();
        let (plan, samples) = in_turn(problem, &whole, &expected);
        let model = Model { graph: graph.clone(), home: None };
        let (platform, load) = (problem.platform.clone(), Load::Offline { samples });
        let probed = Problem { models: vec![model], platform, load, costs: Box::new(NoCosts), contention: false };
        let plan = check(plan, &probed)
            .map_err(|violations| unfit(backend, violations.first().map(ToString::to_string).unwrap_or_default()))?;
        let crew = assemble(&plan, backend)?;
        Ok(SpeedProbe { plan, crew, expected })
    }

    /// By device, how many times as long as its trace says a sample takes now. 1 where no trace says anything.
    ///
    /// # Errors
    /// Hardware failed.
    pub fn measure(&mut self, limits: &Limits<'_>) -> Result<Vec<f64>, BackendError> {
        let round = self.crew.round(&self.plan, limits)?;
        let ratio = |(index, expected): (usize, &Option<Duration>)| {
            let Some(expected) = expected else { return 1.0 };
            let is_here = |lane| {
                let device = DeviceId(index as u32);
                matches!(self.plan.lane_at(lane), Lane::Compute { device: here, .. } if *here == device)
            };
            let steps = self.plan.step_ids().filter(|&step| self.plan.step_at(step).lane.is_some_and(is_here));
            let mut times: Vec<f64> = steps.map(|step| round.timeline.span(step).duration().as_nanos_f64()).collect();
            times.sort_by(f64::total_cmp);
            quantile(&times, 0.5) / expected.as_nanos_f64().max(1.0)
        };
        Ok(self.expected.iter().enumerate().map(ratio).collect())
    }
}

/// Samples on each device of which a time is `expected`, one after the other, and how many they are.
fn in_turn(problem: &Problem, whole: &Segment, expected: &[Option<Duration>]) -> (Plan, u32) {
    let graph = &problem.models[0].graph;
    let all = expected.iter().flatten().fold(Duration::ZERO, |sum, &time| sum + time);
    let repeats = PROBE_TIME.as_nanos().checked_div(all.as_nanos()).unwrap_or(0).clamp(1, PROBE_SAMPLES.into());
    let mut plan = Plan::default();
    let known = problem.platform.device_ids().filter(|device| expected[device.0 as usize].is_some());
    let lanes: Vec<LaneId> = known
        .map(|device| {
            let memory = problem.platform.device(device).memory;
            plan.lane(Lane::Compute { device, share: Share::FULL, memory })
        })
        .collect();
    let (mut last, mut samples) = (None, 0);
    for _ in 0..repeats {
        for &lane in &lanes {
            let action = Action::Compute(work(whole, graph, samples..samples + 1));
            last = Some(plan.step(lane, action, &Vec::from_iter(last)));
            samples += 1;
        }
    }
    (plan, samples)
}

/// Whether `device` supports the layers of `work` and has the memory for it.
fn runs(device: &Device, graph: &Graph, work: &Work) -> bool {
    let is_supported = |layer| !device.unsupported.contains(&graph.layer(layer).op.kind());
    graph.parameters(&work.segment) + graph.activations(work) <= device.memory
        && work.segment.layers().all(is_supported)
}

fn work(whole: &Segment, graph: &Graph, samples: Range<u32>) -> Work {
    let rows = 0..graph.shape(graph.output()).rows;
    Work { model: ModelId(0), segment: whole.clone(), region: Region { samples, rows } }
}

fn unfit(backend: &dyn Backend, reason: String) -> BackendError {
    BackendError::Unfit { backend: backend.name(), reason }
}

impl std::fmt::Debug for SpeedProbe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SpeedProbe").field("expected", &self.expected).finish_non_exhaustive()
    }
}

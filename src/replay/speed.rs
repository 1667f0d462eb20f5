//! How fast devices are just now, against what their traces say.
//!
//! The speed of a machine drifts by several percent a minute, all of it at once. Samples on each device just before
//! a round tell by how much, so that the prediction is judged and not the drift. Single samples are disturbed more
//! easily than whole rounds: what counts is the median of the latest probes.

use std::collections::VecDeque;
use std::ops::Range;

use super::{BackendError, Hardware, Inputs, Limits, Opened, Timing};
use crate::cost::{CostModel, Estimate, Uncalibrated};
use crate::model::{Graph, ModelId, Region, Segment, Work};
use crate::plan::{Action, CheckedPlan, Lane, LaneId, Plan, check};
use crate::platform::{DeviceId, LinkId, Platform};
use crate::problem::{Load, Model, Problem};
use crate::statistics::median;
use crate::units::{Bytes, Duration, Share};

/// Single samples of one network on each device in turn, ready to run.
pub struct SpeedProbe {
    plan: CheckedPlan,
    opened: Opened,
    /// What the traces say of one sample, by device.
    expected: Vec<Option<Duration>>,
    /// The latest probes, by device.
    latest: Vec<VecDeque<f64>>,
}

/// Probes whose median counts.
const LATEST: usize = 5;

/// Samples on each device, at most.
pub const PROBE_SAMPLES: u32 = 5;
/// A probe is to take no longer than this, if two samples a device do not.
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
    /// Of the devices of `hardware` that run when plans let them, that can run the problem's first network, and whose
    /// time for one sample of it is known. `None` if no device runs so.
    ///
    /// # Errors
    /// A device cannot run it.
    pub fn new(problem: &Problem, hardware: &Hardware) -> Result<Option<SpeedProbe>, BackendError> {
        let is_measured =
            |&device: &DeviceId| hardware.driver(device).is_some_and(|driver| driver.timing() == Timing::Measured);
        if !problem.platform.device_ids().any(|device| is_measured(&device)) {
            return Ok(None);
        }
        let graph = &problem.models[0].graph;
        let whole = graph.whole().ok_or_else(|| unfit(format!("{} has nothing to compute", graph.name())))?;
        let one = work(&whole, graph, 0..1);
        let time = |device| Some(problem.costs.compute(device, Share::FULL, &one).ok()?.time);
        let can_run = |&device: &DeviceId| runs(&problem.platform, device, graph, &one);
        let expected: Vec<Option<Duration>> = problem
            .platform
            .device_ids()
            .map(|device| Some(device).filter(is_measured).filter(can_run).and_then(time))
            .collect();
        let (plan, samples) = in_turn(problem, &whole, &expected);
        let model = Model { graph: graph.clone(), home: None };
        let (platform, load) = (problem.platform.clone(), Load::Offline { samples });
        let probed = Problem::new(vec![model], platform, load, NoCosts);
        let plan = check(plan, &probed)
            .map_err(|violations| unfit(violations.first().map(ToString::to_string).unwrap_or_default()))?;
        let opened = hardware.open(&plan, &vec![Duration::ZERO; plan.steps.len()], Inputs::Everywhere)?;
        let latest = vec![VecDeque::new(); expected.len()];
        Ok(Some(SpeedProbe { plan, opened, expected, latest }))
    }

    /// Probes each device. By device, how many times as long as its trace says a sample takes, the median of the latest
    /// probes; 1 where no trace says anything.
    ///
    /// # Errors
    /// Hardware failed.
    pub fn measure(&mut self, limits: &Limits<'_>) -> Result<Vec<f64>, BackendError> {
        let round = self.opened.measured(&self.plan, limits)?;
        for (index, (expected, latest)) in self.expected.iter().zip(&mut self.latest).enumerate() {
            let Some(expected) = expected else { continue };
            let is_here = |lane| {
                let device = DeviceId(index as u32);
                matches!(self.plan.lane_at(lane), Lane::Compute { device: here, .. } if *here == device)
            };
            let steps = self.plan.step_ids().filter(|&step| self.plan.step_at(step).lane.is_some_and(is_here));
            let times = steps.map(|step| round.duration(step).as_nanos_f64());
            // The first sample still finds the caches full of something else.
            let settled = median(times.skip(1)).expect("each device has two samples at least");
            let ratio = settled / expected.as_nanos_f64().max(1.0);
            latest.push_back(ratio);
            if latest.len() > LATEST {
                latest.pop_front();
            }
        }
        let speed = |latest: &VecDeque<f64>| median(latest.iter().copied()).unwrap_or(1.0);
        Ok(self.latest.iter().map(speed).collect())
    }
}

/// Samples on each device of which a time is `expected`, one after the other, and how many they are.
fn in_turn(problem: &Problem, whole: &Segment, expected: &[Option<Duration>]) -> (Plan, u32) {
    let graph = &problem.models[0].graph;
    let all = expected.iter().flatten().fold(Duration::ZERO, |sum, &time| sum + time);
    let repeats = PROBE_TIME.as_nanos().checked_div(all.as_nanos()).unwrap_or(0).clamp(2, PROBE_SAMPLES.into());
    let mut plan = Plan::default();
    let known = problem.platform.device_ids().filter(|device| expected[device.0 as usize].is_some());
    let lanes: Vec<LaneId> = known
        .map(|device| {
            let sizes = graph.sizes(problem.platform.device(device).precision);
            let memory = sizes.parameters(whole) + sizes.activations(&work(whole, graph, 0..1));
            plan.lane(Lane::Compute { device, share: Share::FULL, memory })
        })
        .collect();
    let (mut last, mut samples) = (None, 0);
    // All samples of a device follow each other: the first warms its caches up for the others.
    for &lane in &lanes {
        for _ in 0..repeats {
            let action = Action::Compute(work(whole, graph, samples..samples + 1));
            last = Some(plan.step(lane, action, &Vec::from_iter(last)));
            samples += 1;
        }
    }
    (plan, samples)
}

/// Whether `device` supports the layers of `work` and has the memory for it.
fn runs(platform: &Platform, device: DeviceId, graph: &Graph, work: &Work) -> bool {
    let capacity = platform.capacity(device);
    let device = platform.device(device);
    let sizes = graph.sizes(device.precision);
    let is_supported = |layer| !device.unsupported.contains(&graph.layer(layer).op.kind());
    sizes.parameters(&work.segment) + sizes.activations(work) <= capacity && work.segment.layers().all(is_supported)
}

fn work(whole: &Segment, graph: &Graph, samples: Range<u32>) -> Work {
    let rows = 0..graph.shape(graph.output()).rows;
    Work { model: ModelId(0), segment: whole.clone(), region: Region { samples, rows } }
}

fn unfit(reason: String) -> BackendError {
    BackendError::Unfit { backend: "the probe of speed", reason }
}

impl std::fmt::Debug for SpeedProbe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SpeedProbe").field("expected", &self.expected).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    use super::*;
    use crate::cost::Basis;
    use crate::model::{Graph, Layer, LayerId, Op, Shape};
    use crate::platform::{Device, DeviceKind, Platform};
    use crate::replay::clock::sleep;
    use crate::replay::{DeviceInfo, Driver, Gathered, Job, Networks, Prepared, Tensor, Trouble, Workspace};

    /// The first device is said to take 2 ms a sample; nothing is known of the second.
    struct FirstOnly;

    impl CostModel for FirstOnly {
        fn compute(&self, device: DeviceId, _: Share, _: &Work) -> Result<Estimate, Uncalibrated> {
            let unknown = || Uncalibrated::Compute {
                device: "second".into(),
                model: "net".into(),
                batch: 1,
                reason: "nothing is known".into(),
            };
            let known = device == DeviceId(0);
            known
                .then_some(Estimate { time: Duration::from_nanos(2_000_000), basis: Basis::Modelled })
                .ok_or_else(unknown)
        }
        fn transfer(&self, _: LinkId, _: Bytes) -> Result<Estimate, Uncalibrated> {
            unreachable!("nothing is moved")
        }
    }

    /// Every step takes 4 ms or a little more.
    struct Slow;

    impl Driver for Slow {
        fn describe(&self) -> DeviceInfo {
            DeviceInfo::new("slow", "none")
        }
        fn timing(&self) -> Timing {
            Timing::Measured
        }
        fn open(&self, _: &[(Tensor, Gathered)]) -> Result<Arc<dyn Workspace>, BackendError> {
            Ok(Arc::new(Slow))
        }
    }

    impl Workspace for Slow {
        fn prepare(self: Arc<Self>, _: &Job<'_>) -> Result<Prepared, BackendError> {
            Ok(Box::new(|| {
                sleep(Duration::from_nanos(4_000_000));
                Ok(Duration::ZERO.into())
            }))
        }
        fn put(&self, _: &Tensor, _: &Gathered) -> Result<(), Trouble> {
            Ok(())
        }
        fn get(&self, _: &Tensor) -> Result<Gathered, Trouble> {
            unreachable!("nothing is moved")
        }
    }

    #[test]
    fn a_device_is_as_slow_as_its_samples_and_an_unknown_one_as_its_trace_says() {
        let layer = |name: &str, op, inputs| Layer { name: name.into(), op, inputs };
        let layers =
            vec![layer("input", Op::Input(Shape::fp32(1, 2, 2)), vec![]), layer("copy", Op::Dropout, vec![LayerId(0)])];
        let device = |name: &str| (Device::new(name, DeviceKind::Cpu), Bytes(1 << 30));
        let models = vec![Model { graph: Graph::new("net", layers).unwrap(), home: None }];
        let platform = Platform::new(["first", "second"].map(device));
        let problem = Problem::new(models, platform, Load::Offline { samples: 1 }, FirstOnly);
        let driver = || Some(Arc::new(Slow) as Arc<dyn Driver>);
        let hardware = Hardware::with(&problem.platform, Networks::default(), vec![driver(), driver()]);
        let mut probe = SpeedProbe::new(&problem, &hardware).unwrap().unwrap();
        let limits = Limits { deadline: Duration::from_nanos(60_000_000_000), interrupted: &AtomicBool::new(false) };
        for _ in 0..2 {
            let speeds = probe.measure(&limits).unwrap();
            assert!(speeds[0] >= 2.0, "{speeds:?}");
            assert_eq!(speeds[1], 1.0);
        }
    }
}

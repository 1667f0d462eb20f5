//! What holds for samples of a network that a GPU and accelerators share.

use proptest::prelude::*;

use super::{Fronts, Search, Sharing, Waves};
use crate::cost::{Basis, CostModel, Estimate, Piece, Scope, Uncalibrated};
use crate::engine::simulate;
use crate::model::{Conv, Graph, Layer, LayerId, ModelId, Op, OpKind, Segment, Shape, Work};
use crate::plan::{Action, check};
use crate::platform::{BandwidthRule, Device, DeviceId, DeviceKind, Direction, Link, LinkId, Platform, Precision};
use crate::problem::{Load, Model, Problem};
use crate::strategy::bound::lower_bound;
use crate::strategy::simulated::simulated;
use crate::strategy::{DlaSplit, DlaStream, Shares, Strategy as _};
use crate::units::{Bytes, BytesPerSec, Duration, Share};

/// Three convolutions, a flattening and a dense layer.
fn graph() -> Graph {
    let layer = |name: &str, op, inputs: &[u32]| Layer {
        name: name.into(),
        op,
        inputs: inputs.iter().copied().map(LayerId).collect(),
    };
    let conv = || Op::Conv(Conv::square(4, 3).pad(1));
    let layers = vec![
        layer("input", Op::Input(Shape::fp32(4, 8, 8)), &[]),
        layer("a", conv(), &[0]),
        layer("b", conv(), &[1]),
        layer("c", conv(), &[2]),
        layer("flatten", Op::Flatten, &[3]),
        layer("d", Op::Dense { units: 10, bias: true }, &[4]),
    ];
    Graph::new("net", layers).unwrap()
}

/// What a step takes: something by itself, and something for each layer and sample, by device; some batches take longer.
#[derive(Clone, Debug)]
struct Times {
    /// By device, microseconds of a step and of a layer of a sample.
    devices: Vec<(u32, u32)>,
    /// By batch, modulo the length, percent of that.
    factors: Vec<u32>,
}

impl CostModel for Times {
    fn compute(&self, device: DeviceId, _: Share, work: &Work) -> Result<Estimate, Uncalibrated> {
        let (step, layer) = self.devices[device.0 as usize];
        let samples = work.region.samples.len();
        let layers = work.segment.layers().count();
        let factor = self.factors[samples % self.factors.len()];
        let micros = (u64::from(step) + u64::from(layer) * samples as u64 * layers as u64) * u64::from(factor) / 100;
        Ok(Estimate { time: Duration::from_nanos(micros.max(1) * 1000), basis: Basis::Modelled })
    }

    fn transfer(&self, _: LinkId, size: Bytes) -> Result<Estimate, Uncalibrated> {
        Ok(Estimate { time: Duration::from_nanos(50_000 + size.0), basis: Basis::Modelled })
    }

    /// Each layer, at the lowest factor, less the microsecond that rounding takes off a step.
    fn least(&self, device: DeviceId, _: ModelId, scope: &Scope<'_>) -> Option<Vec<Piece>> {
        let batches = 1..=scope.samples;
        let factor = batches.map(|samples| self.factors[samples as usize % self.factors.len()]).min().unwrap_or(0);
        let micros = f64::from(self.devices[device.0 as usize].1 * factor) / 100.0 - 1.0;
        let piece = |layer: u32| Piece {
            segment: Segment::range(LayerId(layer), LayerId(layer)),
            nanos: micros.max(0.0) * 1000.0,
        };
        Some((1..=5).map(piece).collect())
    }
}

/// A GPU and accelerators, of one class or each of its own, that share a memory.
fn problem(times: Times, is_one_class: bool, samples: u32) -> Problem {
    let mut platform = Platform::default();
    platform.add(Device::new("gpu", DeviceKind::Gpu), Bytes(1 << 30));
    for index in 1..times.devices.len() {
        let mut dla = Device::new(format!("dla{index}"), DeviceKind::Dla);
        dla.precision = Precision::Fp16;
        dla.unsupported.insert(OpKind::Dense);
        if is_one_class {
            dla.class = "dla".into();
        }
        platform.add(dla, Bytes(1 << 30));
        let ends = (DeviceId(index as u32), DeviceId(0));
        let rate = BytesPerSec::new(1e9).unwrap();
        platform.links.push(Link::new(format!("out{index}"), ends, Direction::OneWay, rate));
    }
    let rate = |giga: f64| BytesPerSec::new(giga * 1e9).unwrap();
    platform.devices.iter_mut().for_each(|device| device.traffic = Some(rate(20.0)));
    platform.contend(BandwidthRule::Proportional { peak: rate(30.0) });
    let model = Model { graph: graph(), home: None };
    Problem { contention: true, ..Problem::new(vec![model], platform, Load::Offline { samples }, times) }
}

/// The shortest makespan of all sharings there are, each simulated.
fn brute_force(problem: &Problem, shares: Shares, is_one_class: bool) -> Duration {
    let samples = problem.samples();
    let fronts = Fronts::new(problem, samples).unwrap();
    let accelerators = problem.platform.devices.len() as u32 - 1;
    let divided = |own: u32| -> Vec<Waves> {
        if own == 0 {
            return vec![Waves::default()];
        }
        (1..=own).filter(|count| own.is_multiple_of(*count)).map(|count| Waves { batch: own / count, count }).collect()
    };
    let mut best = Duration::MAX;
    let mut try_all = |cut: Option<usize>, own: &[u32]| {
        let mut sharings = vec![Vec::new()];
        for &own in own {
            let longer = |known: &Vec<Waves>| -> Vec<Vec<Waves>> {
                divided(own).into_iter().map(|rounds| [known.clone(), vec![rounds]].concat()).collect()
            };
            sharings = sharings.iter().flat_map(longer).collect();
        }
        for rounds in sharings {
            let plan = fronts.plan(problem, &Sharing { cut, rounds }).unwrap();
            if let Some(time) = simulated(problem, &plan).unwrap() {
                best = best.min(time);
            }
        }
    };
    let least = u32::from(shares == Shares::All);
    for cut in 0..fronts.cuts.len() {
        for first in least..=samples {
            if is_one_class {
                if let Some(left) = samples.checked_sub(first * accelerators).filter(|&left| left >= least && first > 0)
                {
                    try_all(Some(cut), &[first, left]);
                }
            } else {
                for second in least..=samples {
                    let left = samples.checked_sub(first + second);
                    if let Some(left) = left.filter(|&left| left >= least && first + second > 0) {
                        try_all(Some(cut), &[first, second, left]);
                    }
                }
            }
        }
    }
    if shares == Shares::Best {
        let idle = vec![0; if is_one_class { 1 } else { 2 }];
        try_all(None, &[idle, vec![samples]].concat());
    }
    best
}

fn times() -> impl Strategy<Value = Times> {
    let device = (0..2000u32, 10..600u32);
    let factors = prop::collection::vec(60..160u32, 1..6);
    (prop::collection::vec(device, 3), factors).prop_map(|(devices, factors)| Times { devices, factors })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn the_best_sharing_is_that_of_brute_force(times in times(), samples in 3..15u32, all in any::<bool>(), one in any::<bool>()) {
        let samples = if one { samples * 3 } else { samples };
        let shares = if all { Shares::All } else { Shares::Best };
        let mut times = times;
        if one {
            times.devices[2] = times.devices[1];
        }
        let problem = problem(times, one, samples);
        let split = DlaSplit { shares, ..DlaSplit::default() };
        let fronts = Fronts::new(&problem, samples).unwrap();
        let (time, sharing) = Search::new(&split, &fronts, samples).unwrap().best(samples).unwrap();
        prop_assert_eq!(time, brute_force(&problem, shares, one));
        let plan = check(split.plan(&problem).unwrap(), &problem).unwrap();
        prop_assert_eq!(simulate(&problem, &plan).unwrap().makespan(), time, "the plan is that of the search");
        prop_assert_eq!(fronts.samples(&sharing), samples);
        prop_assert!(lower_bound(&problem).is_none_or(|bound| bound <= time));
    }
}

#[test]
fn of_64_samples_the_best_sharing_is_that_of_brute_force() {
    let times = Times { devices: vec![(900, 100), (400, 250), (400, 250)], factors: vec![100, 80, 120] };
    let problem = problem(times, true, 64);
    let fronts = Fronts::new(&problem, 64).unwrap();
    for shares in [Shares::Best, Shares::All] {
        let split = DlaSplit { shares, ..DlaSplit::default() };
        let (time, _) = Search::new(&split, &fronts, 64).unwrap().best(64).unwrap();
        assert_eq!(time, brute_force(&problem, shares, true), "{shares:?}");
    }
}

/// A GPU of 100 us a layer and sample, accelerators three times slower.
fn plain(samples: u32) -> Problem {
    let times = Times { devices: vec![(200, 100), (500, 300), (500, 300)], factors: vec![100] };
    Problem { contention: false, ..problem(times, true, samples) }
}

#[test]
fn accelerators_help_large_batches_and_not_the_smallest() {
    let devices = |samples: u32| {
        let plan = DlaSplit::default().plan(&plain(samples)).unwrap();
        plan.lanes.len()
    };
    assert_eq!(devices(1), 1, "one sample cannot be shared");
    assert_eq!(devices(100), 5, "three units and two links");
}

#[test]
fn all_samples_can_be_for_the_accelerators_or_shared_evenly() {
    let fronts = |shares: Shares| -> Vec<(u32, u32)> {
        let plan = DlaSplit { shares, ..DlaSplit::default() }.plan(&plain(21)).unwrap();
        let of = |step: &crate::plan::Step| match (&step.action, step.lane) {
            (Action::Compute(work), Some(lane)) if work.segment.first() == LayerId(1) => {
                Some((lane.0, work.region.samples.len() as u32))
            }
            _ => None,
        };
        let mut by_lane = std::collections::BTreeMap::new();
        plan.steps.iter().filter_map(of).for_each(|(lane, samples)| *by_lane.entry(lane).or_insert(0) += samples);
        by_lane.into_iter().collect()
    };
    assert_eq!(fronts(Shares::Even).iter().map(|(_, samples)| *samples).collect::<Vec<_>>(), [7, 7, 7]);
    let mut dla: Vec<u32> = fronts(Shares::Dla).iter().map(|(_, samples)| *samples).collect();
    dla.sort_unstable();
    assert_eq!(dla, [1, 10, 10], "the GPU has what is left over");
}

#[test]
fn what_cannot_be_shared_says_why() {
    let refused = |change: &dyn Fn(&mut Problem)| {
        let mut problem = plain(8);
        change(&mut problem);
        DlaSplit::default().plan(&problem).unwrap_err().to_string()
    };
    assert_eq!(
        refused(&|problem| problem.platform.devices[0].kind = DeviceKind::Cpu),
        "there is no GPU, which runs what accelerators do not"
    );
    assert_eq!(
        refused(&|problem| problem.platform.devices[1].kind = DeviceKind::Gpu),
        "there are several GPUs, and one runs what accelerators do not"
    );
    let gpus = |problem: &mut Problem| problem.platform.devices.truncate(1);
    assert_eq!(refused(&gpus), "there is no device of kind `dla`");
    assert_eq!(
        refused(&|problem| problem.platform.links.clear()),
        "no plan is possible: no link leads from `dla1` to `gpu`"
    );
    let nothing = |problem: &mut Problem| {
        problem.platform.devices.iter_mut().skip(1).for_each(|dla| dla.unsupported.extend([OpKind::Conv]));
    };
    assert!(refused(&nothing).starts_with("no plan is possible: net has no front that the accelerators can run"));
}

/// As [`plain`], with a camera that sends samples of 1 KiB, one at a time, this many in a second.
fn streamed(rate: f64) -> Problem {
    let mut problem = plain(64);
    let camera = DeviceId(problem.platform.devices.len() as u32);
    let mut sender = Device::new("camera", DeviceKind::Cpu);
    sender.unsupported.extend([OpKind::Conv, OpKind::Dense]);
    problem.platform.add(sender, Bytes(1 << 30));
    let bandwidth = BytesPerSec::new(rate * 1024.0).unwrap();
    for unit in 0..camera.0 {
        let link = Link::new(format!("in{unit}"), (camera, DeviceId(unit)), Direction::EitherWay, bandwidth);
        problem.platform.links.push(link);
    }
    problem.models[0].home = Some(camera);
    // Transfers take what the links say, and steps what they took.
    #[derive(Clone)]
    struct Linked(Times, Platform);
    impl CostModel for Linked {
        fn compute(&self, device: DeviceId, share: Share, work: &Work) -> Result<Estimate, Uncalibrated> {
            self.0.compute(device, share, work)
        }
        fn transfer(&self, link: LinkId, size: Bytes) -> Result<Estimate, Uncalibrated> {
            Ok(Estimate { time: size / self.1.link(link).bandwidth, basis: Basis::Modelled })
        }
    }
    let times = Times { devices: vec![(200, 100), (500, 300), (500, 300), (1, 1)], factors: vec![100] };
    problem.costs = std::sync::Arc::new(Linked(times, problem.platform.clone()));
    problem
}

#[test]
fn a_stream_runs_on_the_gpu_until_more_arrive_than_it_can_take_and_batches_grow_with_the_rate() {
    // The batch of the first step of the GPU, and whether accelerators take part.
    let shape = |rate: f64| {
        let problem = streamed(rate);
        let plan = check(DlaStream::default().plan(&problem).unwrap(), &problem).unwrap();
        let computes = plan.steps.iter().filter_map(|step| match &step.action {
            Action::Compute(work) => Some((step.lane, work.clone())),
            _ => None,
        });
        let works: Vec<_> = computes.collect();
        let lanes: std::collections::BTreeSet<_> = works.iter().map(|(lane, _)| *lane).collect();
        (works.iter().map(|(_, work)| work.region.samples.end).min().unwrap(), lanes.len())
    };
    // Three links bring samples. The GPU takes 200 us for a step and 500 us for each sample: 1429 a second one by one, and
    // never more than 2000.
    assert_eq!(shape(300.0), (1, 1), "900 a second: one by one on the GPU keeps up");
    assert_eq!(shape(533.0), (2, 1), "1600 a second: two at a time do");
    assert_eq!(shape(900.0).1, 3, "2700 a second: the GPU needs help");
    let (batch, lanes) = shape(3000.0);
    assert!(batch > 10 && lanes == 3, "9000 a second are too many, and large batches are fastest: {batch} {lanes}");
}

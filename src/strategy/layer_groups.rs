//! Several networks at once, each in one or two groups of layers on devices of their own
//! (Dagli and Belviranli, HaX-CoNN, PPoPP 2024).

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::rows::Chain;
use super::simulated::simulated;
use super::{PlanError, Strategy};
use crate::model::{Graph, ModelId, Region, Segment, Work};
use crate::plan::{Builder, Plan};
use crate::platform::{DeviceId, DeviceKind};
use crate::problem::Problem;
use crate::units::{Duration, Share};

/// Places each network on one device, or its first layers on one and the others on another, so that all networks together
/// are done earliest in simulation, contention included.
///
/// A layer that its device does not support runs on the GPU, if there is only one, with a hand-over before and after. What
/// runs on one device goes one after the other, in the order that is best. Exact over all placements whose times are
/// known: all are looked at, and those simulated of which the time without contention is below the best. In O(P^M) for M
/// networks and P placements of each.
///
/// Source: Dagli and Belviranli, "Shared memory-contention-aware concurrent DNN execution for diversely heterogeneous
/// system-on-chips", PPoPP 2024; there an SMT solver looks for the placement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct LayerGroups {
    /// Names of devices that networks are placed on; all GPUs and accelerators if absent.
    pub devices: Option<Vec<String>>,
    /// Whether a network may change its device once.
    pub switch: bool,
    /// Whether no two networks may share a device.
    pub apart: bool,
}

impl Default for LayerGroups {
    fn default() -> Self {
        LayerGroups { devices: None, switch: true, apart: false }
    }
}

/// Placements of all networks together that are looked at, at most.
const PLACEMENTS_MAX: usize = 2_000_000;

/// Orders of the stages of one placement that are simulated, at most.
const ORDERS_MAX: f64 = 10_000.0;

/// Layers that run as one, on a device.
#[derive(Clone, Debug)]
struct Stage {
    device: DeviceId,
    segment: Segment,
    /// Nanoseconds, undisturbed.
    time: f64,
}

/// A network, as stages that follow each other.
#[derive(Clone, Debug)]
struct Placement {
    stages: Vec<Stage>,
    /// Nanoseconds of all of them.
    time: f64,
}

impl Strategy for LayerGroups {
    fn name(&self) -> &'static str {
        "layer_groups"
    }

    fn plan(&self, problem: &Problem) -> Result<Plan, PlanError> {
        let devices = self.devices(problem)?;
        let fallback = only_gpu(problem);
        let models = (0..problem.models.len() as u32).map(ModelId);
        let placements: Vec<Vec<Placement>> =
            models.map(|model| self.placements(problem, model, &devices, fallback)).collect::<Result<_, _>>()?;
        let count = placements.iter().map(Vec::len).try_fold(1, usize::checked_mul);
        if count.is_none_or(|count| count > PLACEMENTS_MAX) {
            return Err(PlanError::Unsupported(format!(
                "there are more than {PLACEMENTS_MAX} placements; use fewer networks or devices"
            )));
        }
        self.search(problem, &placements)
    }
}

impl LayerGroups {
    /// The fastest plan of all placements and orders.
    fn search(&self, problem: &Problem, placements: &[Vec<Placement>]) -> Result<Plan, PlanError> {
        let mut open: Vec<(f64, Vec<usize>)> = Vec::new();
        let mut chosen = vec![0; placements.len()];
        loop {
            let together: Vec<&Placement> = chosen.iter().zip(placements).map(|(&index, all)| &all[index]).collect();
            if !(self.apart && share_a_device(&together)) {
                open.push((bound(problem, &together), chosen.clone()));
            }
            let Some(grown) = (0..chosen.len()).find(|&at| chosen[at] + 1 < placements[at].len()) else { break };
            chosen[grown] += 1;
            chosen[..grown].fill(0);
        }
        if open.is_empty() {
            let reason = "networks cannot be kept apart: some device is needed by two of them";
            return Err(PlanError::Infeasible(reason.into()));
        }
        open.sort_by(|a, b| a.0.total_cmp(&b.0).then_with(|| a.1.cmp(&b.1)));
        let offline = problem.offline(problem.samples());
        let has_home = problem.models.iter().any(|model| model.home.is_some());
        let mut best: Option<(Duration, Plan)> = None;
        let mut reason = PlanError::Infeasible("no placement keeps the rules of its devices".into());
        for (bound, chosen) in open {
            if best.as_ref().is_some_and(|(time, _)| bound >= time.as_nanos_f64()) {
                break;
            }
            let together: Vec<&Placement> = chosen.iter().zip(placements).map(|(&index, all)| &all[index]).collect();
            for order in orders(&together, has_home)? {
                let plan = match assemble(problem, &together, &order) {
                    Ok(plan) => plan,
                    // Another placement may need no such link.
                    Err(error @ PlanError::Infeasible(_)) => {
                        reason = error;
                        break;
                    }
                    Err(error) => return Err(error),
                };
                let time = simulated(&offline, &plan)?;
                if let Some(time) = time.filter(|&time| best.as_ref().is_none_or(|(least, _)| time < *least)) {
                    best = Some((time, plan));
                }
            }
        }
        best.map(|(_, plan)| plan).ok_or(reason)
    }

    fn devices(&self, problem: &Problem) -> Result<Vec<DeviceId>, PlanError> {
        let kind = |device| problem.platform.device(device).kind;
        match &self.devices {
            Some(names) if names.is_empty() => Err(PlanError::Unsupported("there is no device to choose from".into())),
            Some(names) => names.iter().map(|name| named(problem, name)).collect(),
            None => Ok(problem
                .platform
                .device_ids()
                .filter(|&device| kind(device).is_gpu() || kind(device) == DeviceKind::Dla)
                .collect()),
        }
    }

    /// All ways to place a network on `devices`.
    ///
    /// # Errors
    /// There is none whose times are known.
    fn placements(
        &self,
        problem: &Problem,
        model: ModelId,
        devices: &[DeviceId],
        fallback: Option<DeviceId>,
    ) -> Result<Vec<Placement>, PlanError> {
        let graph = &problem.model(model).graph;
        let chain = Chain::whole(graph);
        let cuts: Vec<usize> = (1..chain.len()).filter(|&end| chain.is_group(&(0..end))).collect();
        let place = |parts: &[(DeviceId, Range<usize>)]| -> Option<Placement> {
            let mut stages = Vec::new();
            for (device, units) in parts {
                for (device, units) in with_fallback(problem, graph, &chain, *device, units.clone(), fallback)? {
                    let segment = chain.segment(units);
                    let time = time(problem, model, device, &segment)?;
                    stages.push(Stage { device, segment, time });
                }
            }
            let time = stages.iter().map(|stage| stage.time).sum();
            Some(Placement { stages, time })
        };
        let mut found: Vec<Placement> =
            devices.iter().filter_map(|&device| place(&[(device, 0..chain.len())])).collect();
        if self.switch {
            for &first in devices {
                for &second in devices.iter().filter(|&&second| second != first) {
                    found.extend(cuts.iter().filter_map(|&cut| place(&[(first, 0..cut), (second, cut..chain.len())])));
                }
            }
        }
        if found.is_empty() {
            let reason =
                "the times of no placement of it are known; profile it whole, by units, or by groups of layers";
            return Err(PlanError::Infeasible(format!("{}: {reason}", graph.name())));
        }
        Ok(found)
    }
}

/// What runs layers that others do not support.
fn only_gpu(problem: &Problem) -> Option<DeviceId> {
    let mut gpus = problem.platform.device_ids().filter(|&device| problem.platform.device(device).kind.is_gpu());
    gpus.next().filter(|_| gpus.next().is_none())
}

fn named(problem: &Problem, name: &str) -> Result<DeviceId, PlanError> {
    let found = problem.platform.device_ids().find(|&device| problem.platform.device(device).name == *name);
    found.ok_or_else(|| {
        PlanError::Unsupported(format!("the strategy asks for device `{name}`: there is no such device"))
    })
}

/// Units on `device`, and those that it does not support on `fallback`; `None` if those cannot run there, or cannot be
/// cut off.
fn with_fallback(
    problem: &Problem,
    graph: &Graph,
    chain: &Chain<'_>,
    device: DeviceId,
    units: Range<usize>,
    fallback: Option<DeviceId>,
) -> Option<Vec<(DeviceId, Range<usize>)>> {
    let runs = |device: DeviceId, unit: usize| {
        problem.platform.device(device).lacks(graph, &chain.segment(unit..unit + 1)).is_none()
    };
    let mut parts: Vec<(DeviceId, Range<usize>)> = Vec::new();
    for unit in units {
        let on = if runs(device, unit) { device } else { fallback.filter(|&other| runs(other, unit))? };
        match parts.last_mut() {
            Some((known, units)) if *known == on => units.end = unit + 1,
            _ => parts.push((on, unit..unit + 1)),
        }
    }
    parts.iter().all(|(_, units)| chain.is_group(&(0..units.end)) || units.end == chain.len()).then_some(parts)
}

/// Nanoseconds of all samples of a segment on a device; `None` if nobody knows.
fn time(problem: &Problem, model: ModelId, device: DeviceId, segment: &Segment) -> Option<f64> {
    let rows = 0..problem.model(model).graph.shape(segment.last()).rows;
    let nanos = |samples| {
        let work = Work { model, segment: segment.clone(), region: Region { samples, rows: rows.clone() } };
        Some(problem.costs.compute(device, Share::FULL, &work).ok()?.time.as_nanos_f64())
    };
    batches(problem, device).map(nanos).sum()
}

/// All samples, in the fewest steps that a device accepts, of equal size or one apart.
fn batches(problem: &Problem, device: DeviceId) -> impl Iterator<Item = Range<u32>> {
    let samples = problem.samples();
    let most = problem.platform.device(device).limits.batch_max.unwrap_or(samples);
    let count = u64::from(samples.div_ceil(most.max(1)).max(1));
    let first = move |index: u64| (u64::from(samples) * index / count) as u32;
    (0..count).map(move |index| first(index)..first(index + 1))
}

/// Nanoseconds that placed networks take at least: the longest of them, and all that one device has to do.
fn bound(problem: &Problem, together: &[&Placement]) -> f64 {
    let mut busy = vec![0.0; problem.platform.devices.len()];
    for stage in together.iter().flat_map(|placement| &placement.stages) {
        busy[stage.device.0 as usize] += stage.time;
    }
    together.iter().map(|placement| placement.time).chain(busy).fold(0.0, f64::max)
}

/// Whether two networks have stages on one device.
fn share_a_device(together: &[&Placement]) -> bool {
    let on = |placement: &Placement, device: DeviceId| placement.stages.iter().any(|stage| stage.device == device);
    let pairs = together.iter().enumerate().flat_map(|(index, a)| together[index + 1..].iter().map(move |b| (a, b)));
    pairs.into_iter().any(|(a, b)| a.stages.iter().any(|stage| on(b, stage.device)))
}

/// All orders in which stages of networks can follow each other, as the network whose turn it is. One is enough where no
/// device is shared and one network at most sends data.
///
/// # Errors
/// There are too many.
fn orders(together: &[&Placement], has_home: bool) -> Result<Vec<Vec<usize>>, PlanError> {
    let mut left: Vec<usize> = together.iter().map(|placement| placement.stages.len()).collect();
    let senders = together.iter().filter(|placement| placement.stages.len() > 1).count();
    if !(has_home || senders > 1 || share_a_device(together)) {
        let one_by_one = left.iter().enumerate().flat_map(|(network, &stages)| std::iter::repeat_n(network, stages));
        return Ok(vec![one_by_one.collect()]);
    }
    // A multinomial coefficient, as a product of binomials: each stage goes between those before it.
    let (mut count, mut before) = (1.0, 0);
    for &stages in &left {
        for stage in 1..=stages {
            before += 1;
            count *= before as f64 / stage as f64;
        }
    }
    if count > ORDERS_MAX {
        return Err(PlanError::Unsupported(format!(
            "the stages of these networks can follow each other in {count:.0} ways, and layer_groups looks at {ORDERS_MAX} at \
             most; use fewer networks"
        )));
    }
    let mut found = Vec::new();
    extend(&mut left, &mut Vec::new(), &mut found);
    Ok(found)
}

fn extend(left: &mut [usize], so_far: &mut Vec<usize>, found: &mut Vec<Vec<usize>>) {
    if left.iter().all(|&stages| stages == 0) {
        found.push(so_far.clone());
    }
    for network in 0..left.len() {
        if left[network] > 0 {
            left[network] -= 1;
            so_far.push(network);
            extend(left, so_far, found);
            so_far.pop();
            left[network] += 1;
        }
    }
}

/// The plan of placed networks whose stages are issued in `order`.
fn assemble(problem: &Problem, together: &[&Placement], order: &[usize]) -> Result<Plan, PlanError> {
    let mut builder = Builder::new(problem);
    let mut next = vec![0; together.len()];
    for &network in order {
        let stage = &together[network].stages[next[network]];
        next[network] += 1;
        for samples in batches(problem, stage.device) {
            builder.run(stage.device, (ModelId(network as u32), &stage.segment), samples, &[])?;
        }
    }
    builder.bring_home()?;
    Ok(builder.finish())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::cost::{Basis, CostModel, Estimate, Piece, Scope, Uncalibrated};
    use crate::model::{Activation, Conv, Layer, LayerId, Op, OpKind, Shape};
    use crate::plan::{Action, check};
    use crate::platform::{BandwidthRule, Device, Direction, Link, LinkId, Platform, Precision};
    use crate::problem::{Load, Model};
    use crate::strategy::Strategy as _;
    use crate::strategy::bound::lower_bound;
    use crate::units::{Bytes, BytesPerSec};

    /// Convolutions, of which the second is followed by an activation.
    fn graph(name: &str, convolutions: u32) -> Graph {
        let mut layers = vec![Layer { name: "input".into(), op: Op::Input(Shape::fp32(4, 8, 8)), inputs: vec![] }];
        let mut add = |name: String, op: Op| {
            let before = LayerId(layers.len() as u32 - 1);
            layers.push(Layer { name, op, inputs: vec![before] });
        };
        for index in 0..convolutions {
            add(format!("conv{index}"), Op::Conv(Conv::square(4, 3).pad(1)));
            if index == 1 {
                add("relu".into(), Op::Activation(Activation::Relu));
            }
        }
        Graph::new(name, layers).unwrap()
    }

    /// Microseconds of each layer, by model and device.
    #[derive(Clone, Debug)]
    struct Times([[u32; 2]; 2]);

    impl CostModel for Times {
        fn compute(&self, device: DeviceId, _: Share, work: &Work) -> Result<Estimate, Uncalibrated> {
            let of_layer = self.0[work.model.0 as usize][device.0 as usize];
            // Later layers are cheaper, so that it matters where a network is cut.
            let micros: u32 = work.segment.layers().map(|layer| of_layer / layer.0).sum();
            Ok(Estimate { time: Duration::from_nanos(u64::from(micros.max(1)) * 1000), basis: Basis::Modelled })
        }

        fn transfer(&self, _: LinkId, _: Bytes) -> Result<Estimate, Uncalibrated> {
            Ok(Estimate { time: Duration::from_nanos(20_000), basis: Basis::Modelled })
        }

        /// Each layer in a step of all samples, which take as long as one.
        fn least(&self, device: DeviceId, model: ModelId, scope: &Scope<'_>) -> Option<Vec<Piece>> {
            let of_layer = self.0[model.0 as usize][device.0 as usize];
            let piece = |layer: u32| Piece {
                segment: Segment::range(LayerId(layer), LayerId(layer)),
                nanos: f64::from(of_layer / layer) * 1000.0 / f64::from(scope.samples),
            };
            Some((1..=5 - model.0).map(piece).collect())
        }
    }

    /// Two networks, a GPU and a DLA that share a memory.
    fn problem(times: Times, has_relu: bool) -> Problem {
        let mut platform = Platform::default();
        platform.add(Device::new("gpu", DeviceKind::Gpu), Bytes(1 << 30));
        let mut dla = Device::new("dla", DeviceKind::Dla);
        dla.precision = Precision::Fp16;
        if !has_relu {
            dla.unsupported.insert(OpKind::Activation);
        }
        platform.add(dla, Bytes(1 << 30));
        let rate = |giga: f64| BytesPerSec::new(giga * 1e9).unwrap();
        let ends = (DeviceId(0), DeviceId(1));
        platform.links.push(Link::new("dram", ends, Direction::EitherWay, rate(1.0)));
        platform.devices.iter_mut().for_each(|device| device.traffic = Some(rate(20.0)));
        platform.contend(BandwidthRule::Proportional { peak: rate(35.0) });
        let models = vec![graph("a", 4), graph("b", 3)].into_iter().map(|graph| Model { graph, home: None });
        let problem = Problem::new(models.collect(), platform, Load::Offline { samples: 1 }, times);
        Problem { contention: true, ..problem }
    }

    fn time(problem: &Problem, strategy: &LayerGroups) -> Duration {
        simulated(problem, &strategy.plan(problem).unwrap()).unwrap().unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

        #[test]
        fn the_best_placement_is_the_best_of_all(
            times in prop::array::uniform2(prop::array::uniform2(50..900u32)),
            has_relu in any::<bool>(),
        ) {
            let problem = problem(Times(times), has_relu);
            let groups = LayerGroups::default();
            let devices = groups.devices(&problem).unwrap();
            let fallback = only_gpu(&problem);
            let of = |model: u32| groups.placements(&problem, ModelId(model), &devices, fallback).unwrap();
            let mut best = Duration::MAX;
            for a in &of(0) {
                for b in &of(1) {
                    let together = [a, b];
                    let alone = bound(&problem, &together);
                    for order in orders(&together, false).unwrap() {
                        let plan = assemble(&problem, &together, &order).unwrap();
                        let time = simulated(&problem, &plan).unwrap().expect("sound");
                        prop_assert!(time.as_nanos_f64() >= alone);
                        best = best.min(time);
                    }
                }
            }
            prop_assert_eq!(time(&problem, &groups), best);
            prop_assert!(lower_bound(&problem).unwrap() <= best);
            let fewer = LayerGroups { switch: false, ..groups.clone() };
            let apart = LayerGroups { apart: true, ..fewer.clone() };
            prop_assert!(best <= time(&problem, &fewer));
            if has_relu {
                prop_assert!(time(&problem, &fewer) <= time(&problem, &apart));
            } else {
                let error = apart.plan(&problem).unwrap_err().to_string();
                prop_assert!(error.contains("cannot be kept apart"), "the GPU runs what the DLA does not: {}", error);
            }
        }
    }

    #[test]
    fn what_the_dla_does_not_support_runs_on_the_gpu() {
        let problem = problem(Times([[100, 100]; 2]), false);
        let dla = LayerGroups { devices: Some(vec!["dla".into()]), ..LayerGroups::default() };
        let plan = check(dla.plan(&problem).unwrap(), &problem).unwrap();
        let transfers = plan.steps.iter().filter(|step| matches!(step.action, Action::Transfer { .. })).count();
        assert_eq!(transfers, 4, "each network goes to the GPU for one convolution, and back");
        let mut without = problem.clone();
        without.platform.devices[0].kind = DeviceKind::Cpu;
        let error = dla.plan(&without).unwrap_err().to_string();
        assert!(error.starts_with("no plan is possible: a: the times of no placement of it are known"), "{error}");
    }
}

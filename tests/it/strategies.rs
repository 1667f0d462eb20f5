//! What holds for the plan of every strategy on any platform, whatever its devices cost.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use coinfer::cost::{Basis, CostModel, Estimate, Piece, Scope, Uncalibrated};
use coinfer::engine::simulate;
use coinfer::model::{Graph, LayerId, ModelId, OpKind, Segment, Work};
use coinfer::plan::{Action, Lane, Plan, check};
use coinfer::platform::{Device, DeviceId, DeviceKind, Direction, Link, LinkId, Platform};
use coinfer::problem::{Load, Model, Problem};
use coinfer::strategy::bound::lower_bound;
use coinfer::strategy::{
    Even, Exact, Greedy, Guided, MicroBatchedSingle, PlanError, Proportional, RoundRobin, Single, Variant,
};
use coinfer::units::{Bytes, BytesPerSec, Duration, Share};
use proptest::prelude::*;

const BATCH_MAX: u32 = 24;

/// Microseconds of each batch on each device, in any order, and links as the platform says.
#[derive(Clone, Debug)]
struct Table {
    micros: Vec<Vec<u64>>,
    bandwidth: u32,
}

impl CostModel for Table {
    fn compute(&self, device: DeviceId, _: Share, work: &Work) -> Result<Estimate, Uncalibrated> {
        let micros = self.micros[device.0 as usize][work.region.samples.len() - 1];
        Ok(Estimate { time: Duration::from_nanos(micros * 1000), basis: Basis::Measured })
    }
    fn transfer(&self, _: LinkId, size: Bytes) -> Result<Estimate, Uncalibrated> {
        let rate = BytesPerSec::new(f64::from(self.bandwidth)).unwrap();
        Ok(Estimate { time: size / rate, basis: Basis::Modelled })
    }
    fn least(&self, device: DeviceId, _: ModelId, scope: &Scope<'_>) -> Option<Vec<Piece>> {
        let segment = Segment::range(LayerId(1), LayerId(1));
        let of_batch =
            |samples: u32| self.micros[device.0 as usize][samples as usize - 1] as f64 * 1000.0 / f64::from(samples);
        let nanos = (1..=(scope.samples_whole)(&segment)).map(of_batch).reduce(f64::min);
        Some(nanos.map(|nanos| Piece { segment, nanos }).into_iter().collect())
    }
}

#[derive(Clone, Debug)]
struct Drawn {
    table: Table,
    /// Samples that each device's memory holds.
    capacities: Vec<u32>,
    samples: u32,
    /// Whether inputs start on the first device, and whether its links are half-duplex.
    home: Option<bool>,
}

fn drawn() -> impl Strategy<Value = Drawn> {
    let device = (prop::collection::vec(1u64..1000, BATCH_MAX as usize), 1..=BATCH_MAX);
    (prop::collection::vec(device, 1..4), 1..=BATCH_MAX, prop::option::of(any::<bool>()), 1_000u32..1_000_000).prop_map(
        |(devices, samples, home, bandwidth)| {
            let (micros, capacities) = devices.into_iter().unzip();
            Drawn { table: Table { micros, bandwidth }, capacities, samples, home }
        },
    )
}

fn problem(drawn: &Drawn) -> Problem {
    let (parameters, activations) = (100, 10);
    let device = |(index, capacity): (usize, &u32)| {
        // What waits beside: at the home all inputs and outputs, elsewhere outputs that are not sent back yet.
        let waits = drawn.home.map_or(0, |_| if index == 0 { 4 + 6 } else { 6 }) * u64::from(drawn.samples);
        let memory = Bytes(parameters + activations * u64::from(*capacity) + 9 + waits);
        (Device::new(format!("d{index}"), DeviceKind::Gpu), memory)
    };
    let mut links = vec![];
    for other in 1..drawn.capacities.len() as u32 {
        let link = |from, to, direction| {
            let ends = (DeviceId(from), DeviceId(to));
            Link::new(format!("{from}-{to}"), ends, direction, BytesPerSec::new(1.0).unwrap())
        };
        match drawn.home {
            Some(true) => links.push(link(0, other, Direction::EitherWay)),
            _ => links.extend([link(0, other, Direction::OneWay), link(other, 0, Direction::OneWay)]),
        }
    }
    let graph = Graph::opaque("net", 4, 6, Bytes(parameters), Bytes(activations)).unwrap();
    let models = vec![Model { graph, home: drawn.home.map(|_| DeviceId(0)) }];
    let platform = Platform { links, ..Platform::new(drawn.capacities.iter().enumerate().map(device)) };
    Problem::new(models, platform, Load::Offline { samples: drawn.samples }, drawn.table.clone())
}

pub(crate) fn strategies() -> Vec<Box<dyn coinfer::strategy::Strategy>> {
    vec![
        Box::new(Exact { micro_batches: true, ..Exact::default() }),
        Box::new(Exact::default()),
        Box::new(Greedy::default()),
        Box::new(Greedy { variant: Variant::Later, ..Greedy::default() }),
        Box::new(Greedy { threshold: 1.3, exchange: true, ..Greedy::default() }),
        Box::new(Single::default()),
        Box::new(MicroBatchedSingle::default()),
        Box::new(Even::default()),
        Box::new(Proportional::default()),
        Box::new(Guided::default()),
        Box::new(RoundRobin::default()),
        Box::new(RoundRobin { chunk: 5.try_into().unwrap() }),
    ]
}

fn makespan(problem: &Problem, strategy: &dyn coinfer::strategy::Strategy) -> Result<Duration, PlanError> {
    let plan = check(strategy.plan(problem)?, problem).unwrap_or_else(|found| panic!("{}: {found:?}", strategy.name()));
    let timeline = simulate(problem, &plan)?;
    assert!(timeline.obeys(&plan, &problem.platform));
    Ok(timeline.makespan())
}

#[test]
fn two_boards_behind_one_half_duplex_link_work_at_the_same_time() {
    let drawn = Drawn {
        table: Table {
            micros: vec![vec![1_000_000; 24], (1..=24).map(|batch| batch * 100).collect()],
            bandwidth: 1_000_000,
        },
        capacities: vec![24, 24],
        samples: 24,
        home: Some(true),
    };
    let mut problem = problem(&drawn);
    // d0 is the home and slow; d1 and its twin d2 hang on a switch, d3, that computes nothing.
    let (twin, switch) = (problem.platform.devices[1].clone(), problem.platform.devices[0].clone());
    problem.platform.devices.push(Device { name: "d2".into(), ..twin });
    problem.platform.devices.push(Device { name: "switch".into(), unsupported: [OpKind::Opaque].into(), ..switch });
    let link = problem.platform.links[0].clone();
    let to_switch = |from| Link { name: format!("{from}-3"), from: DeviceId(from), to: DeviceId(3), ..link.clone() };
    problem.platform.links = [0, 1, 2].map(to_switch).into();
    let mut table = drawn.table;
    table.micros.push(table.micros[1].clone());
    problem.costs = Arc::new(table);
    let together = makespan(&problem, &Exact::default()).unwrap();
    let alone = makespan(&problem, &Single { device: Some("d1".into()) }).unwrap();
    // Computing 24 samples takes 2.4 ms; copies, over two hops each way, take 0.48 ms in all.
    assert!(together.as_nanos() * 10 < alone.as_nanos() * 7, "{together} together, {alone} alone");
}

/// As [`problem`], with that many networks, each with weights and times of its own.
fn problem_of_several(drawn: &Drawn, networks: u32) -> Problem {
    let mut problem = problem(drawn);
    let model = |index: u32| {
        let graph = Graph::opaque(format!("net{index}"), 4, 6 + index, Bytes(100 + u64::from(index)), Bytes(10));
        Model { graph: graph.unwrap(), home: problem.models[0].home }
    };
    problem.models = (0..networks).map(model).collect();
    problem
}

/// Bytes that each device keeps for the networks that it runs, and the most that a step needs beside.
fn needed(problem: &Problem, plan: &Plan) -> BTreeMap<DeviceId, Bytes> {
    let mut needed: BTreeMap<DeviceId, (BTreeSet<ModelId>, Bytes)> = BTreeMap::new();
    for step in &plan.steps {
        let (Some(lane), Action::Compute(work)) = (step.lane, &step.action) else { continue };
        let Lane::Compute { device, .. } = *plan.lane_at(lane) else { panic!("it computes on a link") };
        let (models, most) = needed.entry(device).or_default();
        models.insert(work.model);
        *most = (*most).max(problem.model(work.model).graph.activations(work));
    }
    let weights = |id: &ModelId| {
        let graph = &problem.model(*id).graph;
        graph.parameters(&graph.whole().unwrap())
    };
    needed
        .into_iter()
        .map(|(device, (models, most))| (device, models.iter().map(weights).sum::<Bytes>() + most))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn networks_in_turn_are_one_sound_plan_or_do_not_fit(drawn in drawn(), networks in 1u32..4, room in 0u64..400) {
        let drawn = Drawn { samples: drawn.samples.div_ceil(networks), ..drawn };
        let mut problem = problem_of_several(&drawn, networks);
        for memory in &mut problem.platform.memories {
            memory.capacity = memory.capacity.map(|capacity| capacity + Bytes(room));
        }
        let mut times: BTreeMap<&str, Duration> = BTreeMap::new();
        for strategy in strategies() {
            let plan = match strategy.plan(&problem) {
                Ok(plan) => check(plan, &problem).unwrap_or_else(|found| panic!("{}: {found:?}", strategy.name())),
                Err(error) => {
                    prop_assert!(networks > 1 && matches!(error, PlanError::Infeasible(_)), "{}: {error}", strategy.name());
                    continue;
                }
            };
            let timeline = simulate(&problem, &plan).unwrap();
            prop_assert!(timeline.obeys(&plan, &problem.platform));
            times.insert(strategy.name(), timeline.makespan());
            // Networks share one lane of each device and link, which holds the weights of all that it runs.
            let devices = plan.lanes.iter().filter_map(|lane| match lane {
                Lane::Compute { device, memory, .. } => Some((*device, *memory)),
                Lane::Link(_) => None,
            });
            let lanes: BTreeMap<DeviceId, Bytes> = devices.clone().collect();
            prop_assert_eq!(lanes.len(), devices.count(), "{}", strategy.name());
            prop_assert_eq!(lanes, needed(&problem, &plan), "{}", strategy.name());
            let links = plan.lanes.iter().filter_map(|lane| match lane { Lane::Link(link) => Some(*link), _ => None });
            prop_assert_eq!(links.clone().collect::<BTreeSet<LinkId>>().len(), links.count());
            // Every network computes every sample once.
            for model in (0..networks).map(ModelId) {
                let samples = plan.steps.iter().filter_map(|step| match &step.action {
                    Action::Compute(work) if work.model == model => Some(work.region.samples.len()),
                    _ => None,
                });
                prop_assert_eq!(samples.sum::<usize>(), drawn.samples as usize);
            }
        }
        prop_assert!(networks > 1 || times.len() > 5);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn every_plan_is_sound_and_not_faster_than_the_bound_or_the_optimum(drawn in drawn()) {
        let problem = problem(&drawn);
        let bound = lower_bound(&problem).unwrap();
        let times: Vec<Duration> =
            strategies().iter().map(|strategy| makespan(&problem, strategy.as_ref()).unwrap()).collect();
        for time in &times {
            prop_assert!(*time >= bound, "{time} < {bound}");
        }
        // With copies, steps of one device overlap with the copies of others, which the optimum does not count on.
        if drawn.home.is_none() {
            prop_assert!(times.iter().all(|time| *time >= times[0]), "{times:?}");
            let all_fit = drawn.capacities.iter().all(|&capacity| capacity >= drawn.samples);
            let one_step_each = [1, 2, 3, 4, 5, 7, 8];
            prop_assert!(!all_fit || one_step_each.iter().all(|&index| times[index] >= times[1]), "{times:?}");
        }
    }

    #[test]
    fn the_optimum_is_that_of_trying_everything(drawn in drawn()) {
        let drawn = Drawn { samples: drawn.samples.min(7), home: None, ..drawn };
        let problem = problem(&drawn);
        // The least time of each number of samples on a device, over all ways to cut them into steps.
        fn cut(times: &[u64], capacity: u32, left: u32) -> u64 {
            let sizes = 1..=left.min(capacity);
            sizes.map(|size| times[size as usize - 1] + cut(times, capacity, left - size)).min().unwrap_or(0)
        }
        fn share(drawn: &Drawn, device: usize, left: u32) -> u64 {
            if device == drawn.capacities.len() {
                return if left == 0 { 0 } else { u64::MAX };
            }
            let own = |own: u32| cut(&drawn.table.micros[device], drawn.capacities[device], own);
            (0..=left).map(|part| own(part).max(share(drawn, device + 1, left - part))).min().unwrap()
        }
        let tried = Duration::from_nanos(share(&drawn, 0, drawn.samples) * 1000);
        prop_assert_eq!(makespan(&problem, &Exact { micro_batches: true, ..Exact::default() }).unwrap(), tried);
    }

    #[test]
    fn more_bandwidth_never_slows_a_single_device(drawn in drawn(), factor in 2u32..10) {
        let slow = Drawn { home: Some(true), ..drawn };
        let mut fast = slow.clone();
        fast.table.bandwidth = slow.table.bandwidth.saturating_mul(factor);
        let last = format!("d{}", slow.capacities.len() - 1);
        let alone = MicroBatchedSingle { device: Some(last), ..MicroBatchedSingle::default() };
        let time = |drawn: &Drawn| makespan(&problem(drawn), &alone).unwrap();
        prop_assert!(time(&fast) <= time(&slow));
    }

    #[test]
    fn optima_of_all_batches_are_those_of_each(drawn in drawn()) {
        let drawn = Drawn { home: None, ..drawn };
        let optima = Exact::default().optima(&problem(&drawn)).unwrap();
        prop_assert_eq!(optima.len(), drawn.samples as usize);
        let capacity_min = *drawn.capacities.iter().min().unwrap();
        for samples in 1..=drawn.samples.min(capacity_min) {
            let one = makespan(&problem(&Drawn { samples, ..drawn.clone() }), &Exact::default()).unwrap();
            prop_assert_eq!(optima[samples as usize - 1], Some(one));
        }
    }
}

/// Microseconds of a sample of each network on each device; `None` where nobody knows.
#[derive(Clone, Debug)]
struct OfNetworks(Vec<Vec<Option<u64>>>);

impl CostModel for OfNetworks {
    fn compute(&self, device: DeviceId, _: Share, work: &Work) -> Result<Estimate, Uncalibrated> {
        let micros = self.0[work.model.0 as usize][device.0 as usize];
        let nanos = micros.map(|micros| micros * 1000 * work.region.samples.len() as u64);
        let time = Duration::from_nanos(nanos.ok_or_else(|| Uncalibrated::Compute {
            device: String::new(),
            model: String::new(),
            batch: 1,
            reason: String::new(),
        })?);
        Ok(Estimate { time, basis: Basis::Measured })
    }
    fn transfer(&self, _: LinkId, _: Bytes) -> Result<Estimate, Uncalibrated> {
        Ok(Estimate { time: Duration::ZERO, basis: Basis::Modelled })
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_device_alone_is_one_device_for_all_networks(
        micros in (1usize..4, 1usize..4).prop_flat_map(|(networks, devices)| {
            prop::collection::vec(prop::collection::vec(prop::option::weighted(0.9, 1u64..1000), devices), networks)
        }),
        samples in 1u32..5,
    ) {
        let devices = micros[0].len();
        let device = |index| (Device::new(format!("d{index}"), DeviceKind::Gpu), Bytes(1 << 30));
        let platform = Platform::new((0..devices).map(device));
        let graph = |index| Graph::opaque(format!("n{index}"), 4, 6, Bytes(100), Bytes(10)).unwrap();
        let models = (0..micros.len()).map(|index| Model { graph: graph(index), home: None }).collect();
        let problem = Problem::new(models, platform, Load::Offline { samples }, OfNetworks(micros.clone()));
        let total = |device: usize| micros.iter().map(|network| network[device]).sum::<Option<u64>>();
        let least = (0..devices).filter_map(total).min();
        for strategy in [&Single::default() as &dyn coinfer::strategy::Strategy, &MicroBatchedSingle::default()] {
            match strategy.plan(&problem) {
                Ok(plan) => {
                    prop_assert_eq!(plan.lanes.len(), 1, "all is computed on one device");
                    let expected = least.map(|micros| Duration::from_nanos(micros * 1000 * u64::from(samples)));
                    prop_assert_eq!(Some(makespan(&problem, strategy).unwrap()), expected);
                }
                Err(error) => prop_assert_eq!(least, None, "{}", error),
            }
        }
    }
}

//! What fits: whatever devices accept and hold, no plan that a strategy returns is refused by the check.

use std::sync::Arc;

use coinfer::cost::{Basis, CostModel, Estimate, Uncalibrated};
use coinfer::model::{Conv, Graph, Layer, LayerId, Op, Pooling, Shape, Window, Work};
use coinfer::plan::{Lane, Plan, check, footprints};
use coinfer::platform::{Device, DeviceId, DeviceKind, Direction, Link, LinkId, Memory, Platform, Precision};
use coinfer::problem::{Load, Model, Problem};
use coinfer::scenario::Scenario;
use coinfer::strategy::Strategy as _;
use coinfer::strategy::{
    Aofl, Coedge, Deepthings, DlaSplit, DlaStream, FirstFree, FullSearch, KBest, LayerGroups, Legion, Modnn, PlanError,
    Transport,
};
use coinfer::units::{Bytes, BytesPerSec, Duration, Share};
use proptest::prelude::*;

use crate::strategies::strategies as batch_splits;

/// A device takes so many microseconds for each multiply-accumulate in a hundred, and each step ten more.
#[derive(Clone, Debug)]
struct Speeds(Vec<u64>);

impl CostModel for Speeds {
    fn compute(&self, device: DeviceId, _: Share, work: &Work) -> Result<Estimate, Uncalibrated> {
        let cells = (work.region.samples.len() * work.region.rows.len() * work.segment.layers().count()) as u64;
        let micros = 10 + self.0[device.0 as usize] * cells;
        Ok(Estimate { time: Duration::from_nanos(micros * 1000), basis: Basis::Modelled })
    }
    fn transfer(&self, _: LinkId, size: Bytes) -> Result<Estimate, Uncalibrated> {
        Ok(Estimate { time: Duration::from_nanos(size.0), basis: Basis::Modelled })
    }
}

/// Two convolutions, a pooling and a dense layer.
fn graph(name: &str, channels: u32) -> Graph {
    let conv = || Op::Conv(Conv::square(channels, 3).pad(1));
    let pool = Op::Pool { pooling: Pooling::Max, rows: Window::new(2).stride(2), cols: Window::new(2).stride(2) };
    let ops = [Op::Input(Shape::fp32(2, 8, 8)), conv(), conv(), pool, Op::Dense { units: 4, bias: true }];
    let layer = |(index, op): (u32, Op)| Layer {
        name: format!("layer{index}"),
        op,
        inputs: index.checked_sub(1).map(LayerId).into_iter().collect(),
    };
    Graph::new(name, (0..).zip(ops).map(layer).collect()).unwrap()
}

#[derive(Clone, Debug)]
struct Drawn {
    micros: u64,
    /// In hundredths of what all samples of all networks need with all that could ever wait.
    memory: u64,
    precision: Precision,
    batch_max: Option<u32>,
    dimension_max: Option<u32>,
    loadables_max: Option<u32>,
    is_dla: bool,
}

fn drawn() -> impl Strategy<Value = (Vec<Drawn>, u32, usize, bool, bool)> {
    let precision = prop::sample::select(Precision::ALL.to_vec());
    let limits = (prop::option::of(1u32..9), prop::option::weighted(0.2, 4u32..9), prop::option::of(1u32..5));
    let device = (1u64..9, 1u64..130, precision, limits, any::<bool>()).prop_map(
        |(micros, memory, precision, (batch_max, dimension_max, loadables_max), is_dla)| Drawn {
            micros,
            memory,
            precision,
            batch_max,
            dimension_max,
            loadables_max,
            is_dla,
        },
    );
    (prop::collection::vec(device, 1..5), 1u32..13, 1usize..3, any::<bool>(), any::<bool>())
}

/// The first device is the home, if there is one, and linked to all others.
fn problem((devices, samples, networks, has_home, is_half_duplex): &(Vec<Drawn>, u32, usize, bool, bool)) -> Problem {
    let models: Vec<Model> = (0..*networks)
        .map(|index| Model {
            graph: graph(&format!("net{index}"), 2 + index as u32),
            home: has_home.then_some(DeviceId(0)),
        })
        .collect();
    let device = |(index, drawn): (usize, &Drawn)| {
        let kind = match (index, drawn.is_dla) {
            (1, _) => DeviceKind::Gpu,
            (2.., true) => DeviceKind::Dla,
            _ => DeviceKind::Cpu,
        };
        let mut device = Device::new(format!("d{index}"), kind);
        device.precision = drawn.precision;
        if device.limits.precisions.is_none() && drawn.precision == Precision::Int8 {
            device.limits.precisions = Some([Precision::Fp32, Precision::Int8].into());
        }
        device.limits.batch_max = drawn.batch_max;
        device.limits.dimension_max = drawn.dimension_max;
        device.limits.loadables_max = drawn.loadables_max;
        (device, Bytes(drawn.memory * 40 * u64::from(*samples)))
    };
    let link = |from: u32, to: u32, direction| {
        Link::new(format!("{from}-{to}"), (DeviceId(from), DeviceId(to)), direction, BytesPerSec::new(1e9).unwrap())
    };
    let links = (1..devices.len() as u32).flat_map(|other| match is_half_duplex {
        true => vec![link(0, other, Direction::EitherWay)],
        false => vec![link(0, other, Direction::OneWay), link(other, 0, Direction::OneWay)],
    });
    let platform = Platform { links: links.collect(), ..Platform::new(devices.iter().enumerate().map(device)) };
    let speeds = Speeds(devices.iter().map(|drawn| drawn.micros).collect());
    Problem::new(models, platform, Load::Offline { samples: *samples }, speeds)
}

fn others() -> Vec<Box<dyn coinfer::strategy::Strategy>> {
    vec![
        Box::new(FirstFree::default()),
        Box::new(Legion { wild_card: true, ..Legion::default() }),
        Box::new(Legion { transport: Transport::Neighbour, ..Legion::default() }),
        Box::new(FullSearch::default()),
        Box::new(KBest::default()),
        Box::new(Modnn::default()),
        Box::new(Coedge::default()),
        Box::new(Deepthings::default()),
        Box::new(Aofl::default()),
        Box::new(LayerGroups { devices: Some(vec!["d0".into()]), ..LayerGroups::default() }),
        Box::new(LayerGroups::default()),
        Box::new(DlaSplit::default()),
        Box::new(DlaStream::default()),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn no_plan_that_a_strategy_returns_is_refused(drawn in drawn(), shared in prop::option::of(1u64..200)) {
        let mut problem = problem(&drawn);
        problem.platform.memories.extend(shared.map(|percent| {
            let own: Bytes = problem.platform.memories.iter().filter_map(|memory| memory.capacity).sum();
            let users = problem.platform.device_ids().collect();
            Memory { name: "shared".into(), capacity: Some(Bytes(own.0 * percent / 100)), users, rule: None, paging: None }
        }));
        for strategy in batch_splits().into_iter().chain(others()) {
            let proposal = match strategy.propose(&problem) {
                Ok(proposal) => proposal,
                Err(PlanError::Uncalibrated(error)) => panic!("{}: {error}", strategy.name()),
                Err(_) => continue,
            };
            for plan in std::iter::once(proposal.plan).chain(proposal.alternatives) {
                let plan = check(plan, &problem).map_err(|found| {
                    let found: Vec<String> = found.iter().map(ToString::to_string).collect();
                    TestCaseError::fail(format!("{}: {found:?}", strategy.name()))
                })?;
                for (memory, footprint) in problem.platform.memories.iter().zip(footprints(&plan, &problem)) {
                    prop_assert!(footprint.total() <= memory.capacity.unwrap());
                }
            }
        }
    }

    #[test]
    fn limits_leave_every_batch_split_a_plan_where_one_sample_fits(drawn in drawn()) {
        let (mut devices, samples, networks, has_home, is_half_duplex) = drawn;
        for device in &mut devices {
            (device.memory, device.dimension_max) = (1_000, None);
            (device.precision, device.loadables_max) = (Precision::Fp16, device.loadables_max.map(|most| most.max(2)));
        }
        let problem = problem(&(devices, samples, networks, has_home, is_half_duplex));
        for strategy in batch_splits() {
            let plan = strategy.plan(&problem);
            prop_assert!(plan.is_ok(), "{}: {:?}", strategy.name(), plan.err());
        }
    }
}

/// The plan of each strategy of a scenario of two devices, one of which has `more`, or why there is none.
fn plans(load: &str, gpu: &str, npu: &str, home: &str, strategies: &[&str]) -> Vec<Result<Plan, String>> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("scenario.toml");
    let strategies: String = strategies
        .iter()
        .enumerate()
        .map(|(index, text)| format!("[[strategies]]\nname = \"s{index}\"\n{text}\n"))
        .collect();
    let device = |name: &str, more: &str| {
        let speed = if more.contains("speed") { "" } else { "speed = { rate = \"100 GMAC/s\" }" };
        format!("[[devices]]\nname = \"{name}\"\nkind = \"gpu\"\n{speed}\n{more}\n")
    };
    let text = format!(
        "[load]\n{load}\n{}{}[[links]]\nname = \"l\"\nbetween = [\"gpu\", \"npu\"]\nbandwidth = \"1 GB/s\"\n\
         [[models]]\nname = \"m\"\nzoo = \"vgg-16\"\n{home}\n{strategies}",
        device("gpu", gpu),
        device("npu", npu),
    );
    std::fs::write(&path, text).unwrap();
    let case = Scenario::read(&path, &[]).unwrap().case().unwrap();
    let problem = case.problem.offline(case.problem.samples());
    let plan = |entry: &coinfer::scenario::Entry| {
        let plan = entry.strategy.plan(&problem).map_err(|error| error.to_string())?;
        check(plan, &problem).map(|plan| Plan::clone(&plan)).map_err(|found| format!("{found:?}"))
    };
    case.strategies.iter().map(plan).collect()
}

/// The largest step of a plan on each of two devices.
fn largest(plan: &Plan) -> [usize; 2] {
    use coinfer::plan::{Action, Lane};
    [0, 1].map(|index| {
        let samples = plan.steps.iter().filter_map(|step| match (&step.action, plan.lane_at(step.lane?)) {
            (Action::Compute(work), Lane::Compute { device: DeviceId(on), .. }) if *on == index => {
                Some(work.region.samples.len())
            }
            _ => None,
        });
        samples.max().unwrap_or(0)
    })
}

#[test]
fn a_limit_of_samples_makes_several_steps_of_all_batch_splits() {
    let strategies = [
        "even = {}",
        "single = { device = \"npu\" }",
        "exact = {}",
        "greedy = {}",
        "proportional = {}",
        "guided = {}",
        "first_free = {}",
        "micro_batched_single = { device = \"npu\", batch = 50 }",
        "round_robin = { chunk = 10 }",
    ];
    let npu = "memory = \"8 GB\"\nlimits = { batch = 8 }";
    for plan in plans("offline = { samples = 100 }", "memory = \"8 GB\"", npu, "", &strategies) {
        let [_, npu] = largest(&plan.unwrap());
        assert!(npu <= 8, "{npu}");
    }
}

#[test]
fn devices_that_share_a_memory_give_way_to_each_other() {
    // Weights of both and a few samples more, of 16.
    let both = "[[memories]]\nname = \"both\"\ndevices = [\"gpu\", \"npu\"]\ncapacity = \"1250 MB\"";
    let strategies =
        ["even = {}", "exact = {}", "proportional = {}", "greedy = {}", "guided = {}", "round_robin = { chunk = 4 }"];
    for (plan, strategy) in plans("offline = { samples = 16 }", "", both, "", &strategies).into_iter().zip(strategies) {
        let steps = largest(&plan.unwrap_or_else(|error| panic!("{strategy}: {error}")));
        assert!(steps.iter().all(|&samples| (1..8).contains(&samples)), "{strategy}: {steps:?}");
    }
    // Weights of 553 and 277 MB: where one of them finds room only, it is the faster, though it takes more.
    let slow = format!("precision = \"fp16\"\nspeed = {{ rate = \"50 GMAC/s\" }}\n{}", both.replace("1250", "700"));
    for (plan, strategy) in plans("offline = { samples = 16 }", "", &slow, "", &strategies).into_iter().zip(strategies)
    {
        let [gpu, npu] = largest(&plan.unwrap_or_else(|error| panic!("{strategy}: {error}")));
        assert!(gpu > 0 && npu == 0, "{strategy}: {gpu} and {npu}");
    }
}

#[test]
fn boards_that_share_a_full_memory_with_the_home_leave_it_room() {
    let device = |micros| Drawn {
        micros,
        memory: 1_000,
        precision: Precision::Fp32,
        batch_max: None,
        dimension_max: None,
        loadables_max: None,
        is_dla: false,
    };
    let mut problem = problem(&(vec![device(2), device(1), device(1)], 1, 1, true, false));
    let users = vec![DeviceId(0), DeviceId(1)];
    problem.platform.memories.push(Memory { name: "both".into(), capacity: None, users, rule: None, paging: None });
    let computes_on = |plan: &Plan, device| {
        plan.lanes.iter().any(|lane| matches!(lane, Lane::Compute { device: on, .. } if *on == DeviceId(device)))
    };
    let strategy = Modnn::default();
    let plan = check(strategy.plan(&problem).unwrap(), &problem).unwrap();
    assert!(computes_on(&plan, 1) && computes_on(&plan, 2));
    let needed = footprints(&plan, &problem).last().unwrap().total();
    problem.platform.memories.last_mut().unwrap().capacity = Some(Bytes(needed.0 - 1));
    let plan = check(strategy.plan(&problem).unwrap(), &problem).unwrap();
    assert!(!computes_on(&plan, 1) && computes_on(&plan, 2));
}

#[test]
fn placements_that_no_link_allows_leave_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("scenario.toml");
    let device = |name: &str, memory: &str, rate: &str| {
        format!(
            "[[devices]]\nname = \"{name}\"\nkind = \"gpu\"\nmemory = \"{memory}\"\nspeed = {{ rate = \"{rate}\" }}\n"
        )
    };
    let text = format!(
        "[load]\noffline = {{ samples = 1 }}\n{}{}[[models]]\nname = \"n\"\nzoo = \"alexnet\"\n\
         [[strategies]]\nlayer_groups = {{}}\n",
        device("large", "400 MB", "99 GMAC/s"),
        device("fast", "40 MB", "300 GMAC/s"),
    );
    std::fs::write(&path, text).unwrap();
    let case = Scenario::read(&path, &[]).unwrap().case().unwrap();
    let plan = case.strategies[0].strategy.plan(&case.problem).unwrap();
    assert_eq!(largest(&plan), [1, 0]);
}

#[test]
fn layers_are_placed_where_devices_accept_fewer_samples() {
    let strategies = ["layer_groups = {}", "single = {}"];
    let gpu = "memory = \"8 GB\"\nlimits = { batch = 3 }";
    let npu = "memory = \"40 MB\"\nspeed = { rate = \"300 GMAC/s\" }";
    let plans = plans("offline = { samples = 7 }", gpu, npu, "", &strategies);
    let [grouped, alone] = [0, 1].map(|index| largest(plans[index].as_ref().unwrap()));
    assert!(grouped[0] <= 3 && alone == [3, 0], "{grouped:?} and {alone:?}");
}

#[test]
fn a_device_of_half_precision_holds_twice_as_much() {
    let plan = |precision: &str| {
        let npu = format!("memory = \"300 MiB\"\nprecision = \"{precision}\"");
        plans("offline = { samples = 1 }", "memory = \"1 MiB\"", &npu, "", &["single = {}"]).swap_remove(0)
    };
    assert_eq!(largest(&plan("fp16").unwrap()), [0, 1]);
    assert!(plan("fp32").unwrap_err().contains("`npu` has 300 MiB, too little for one sample"));
}

#[test]
fn a_home_that_does_not_hold_its_inputs_is_named_with_the_sizes() {
    let plan = |samples: u32| {
        let load = format!("offline = {{ samples = {samples} }}");
        plans(&load, "memory = \"600 MB\"", "memory = \"16 GB\"", "home = \"gpu\"", &["single = { device = \"npu\" }"])
            .swap_remove(0)
    };
    // Inputs of 602,112 B each stay until all are read, beside outputs of 4,000 B of all steps but the last, of 588 samples.
    assert!(plan(900).is_ok());
    let refusal = plan(20_000).unwrap_err();
    let expected = "no plan is possible: `gpu` holds 12119888000 B at one time, weights of 0 B and data of 12119888000 B, \
                    and has 600000000 B";
    assert_eq!(refusal, expected);
}

#[test]
fn several_networks_are_shared_together() {
    // d0 takes 2 ms for a sample of each network, d1 3 ms.
    #[derive(Clone)]
    struct Two;
    impl CostModel for Two {
        fn compute(&self, device: DeviceId, _: Share, work: &Work) -> Result<Estimate, Uncalibrated> {
            let millis = u64::from(device.0 + 2) * work.region.samples.len() as u64;
            Ok(Estimate { time: Duration::from_nanos(millis * 1_000_000), basis: Basis::Measured })
        }
        fn transfer(&self, _: LinkId, _: Bytes) -> Result<Estimate, Uncalibrated> {
            unreachable!("data is everywhere")
        }
    }
    let mut problem = problem(&(vec![], 1, 2, false, false));
    problem.platform = Platform::new(["d0", "d1"].map(|name| (Device::new(name, DeviceKind::Gpu), Bytes(1 << 30))));
    problem.costs = Arc::new(Two);
    let millis = |strategy: &dyn coinfer::strategy::Strategy| {
        let plan = check(strategy.plan(&problem).unwrap(), &problem).unwrap();
        coinfer::engine::simulate(&problem, &plan).unwrap().makespan().as_nanos() / 1_000_000
    };
    for strategy in batch_splits() {
        let millis = millis(strategy.as_ref());
        match strategy.name() {
            "exact" | "guided" => assert_eq!(millis, 3, "{}", strategy.name()),
            "single" => assert_eq!(millis, 4, "one device for all networks"),
            _ => {}
        }
    }
}

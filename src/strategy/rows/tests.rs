//! What holds for row splits of known networks on boards behind a switch.

use std::ops::Range;

use super::chain::Chain;
use super::{Corrections, Forecast, Messages, Rows, Settings, Transport};
use crate::cost::{Profile, Speed, TraceCosts};
use crate::engine::simulate;
use crate::model::{Graph, zoo};
use crate::plan::{Action, check};
use crate::platform::{Device, DeviceId, DeviceKind, Direction, Link, LinkId, Nic, Platform, Sharing};
use crate::problem::{Ledger, Load, Model, Problem, Profiling};
use crate::strategy::bound::lower_bound;
use crate::strategy::rows::RowSplit;
use crate::strategy::{Aofl, Coedge, Deepthings, FullSearch, KBest, Legion, Modnn, PlanError, Ratio, Strategy};
use crate::units::{Bytes, BytesPerSec, Duration, MacsPerSec};

const HOME: DeviceId = DeviceId(0);

fn expected(strategy: &dyn Strategy, problem: &Problem) -> Duration {
    strategy.propose(problem).unwrap().expected.unwrap().makespan(problem).unwrap()
}

/// A home and boards of these rates, in GMAC/s, behind a switch of 94 Mbit/s whose ports carry one message at a time.
fn problem(graph: Graph, rates: &[f64]) -> Problem {
    let bandwidth = BytesPerSec::new(94e6 / 8.0).unwrap();
    let mut platform = Platform::default();
    platform.add(Device::new("home", DeviceKind::Cpu), Bytes(16 << 30));
    for index in 0..rates.len() {
        platform.add(Device::new(format!("b{index}"), DeviceKind::Board), Bytes(4 << 30));
    }
    let devices: Vec<DeviceId> = platform.device_ids().collect();
    for &from in &devices {
        for &to in devices.iter().filter(|&&to| to != from) {
            let link = Link::new(format!("{}>{}", from.0, to.0), (from, to), Direction::OneWay, bandwidth);
            platform.links.push(Link { latency: Duration::from_millis_f64(1.0), ..link });
        }
    }
    let through = |device: DeviceId| -> Vec<LinkId> {
        let ends = |link: &LinkId| [platform.link(*link).from, platform.link(*link).to].contains(&device);
        platform.link_ids().filter(ends).collect()
    };
    let ports = devices.iter().map(|&device| Nic { links: through(device), bandwidth, sharing: Sharing::Serial });
    platform.interference.nics = ports.collect();
    let speed = |rate: f64| Speed {
        rate: MacsPerSec::new(rate * 1e9).unwrap(),
        step: Duration::from_millis_f64(2.0),
        row_tile: 1,
        units: 1,
        unit_tile: 1,
    };
    let of_device = |device: DeviceId, _| {
        let rate = device.0.checked_sub(1).map_or(100.0, |board| rates[board as usize]);
        Profile { speed: Some(speed(rate)), ..Profile::default() }
    };
    let costs = TraceCosts::new(&platform, &[&graph], of_device);
    Problem::new(vec![Model { graph, home: Some(HOME) }], platform, Load::Offline { samples: 1 }, costs)
}

fn strategies() -> Vec<Box<dyn Strategy>> {
    let neighbour = Transport::Neighbour;
    vec![
        Box::new(Legion::default()),
        Box::new(Legion { wild_card: true, ..Legion::default() }),
        Box::new(Legion { transport: neighbour, ..Legion::default() }),
        Box::new(Legion { messages: Messages::Apart, corrections: Corrections::ALL, ..Legion::default() }),
        Box::new(KBest::default()),
        Box::new(KBest { transport: neighbour, ..KBest::default() }),
        Box::new(Modnn::default()),
        Box::new(Coedge::default()),
        Box::new(Deepthings::default()),
        Box::new(Aofl::default()),
    ]
}

#[test]
fn plans_of_every_known_network_are_sound_and_not_faster_than_the_bound() {
    for network in zoo::names() {
        let problem = problem(zoo::graph(network).unwrap(), &[9.7, 5.0, 9.7]);
        let bound = lower_bound(&problem).unwrap();
        for strategy in strategies() {
            let name = strategy.name();
            let plan = strategy.plan(&problem).unwrap_or_else(|error| panic!("{name} of {network}: {error}"));
            let plan = check(plan, &problem).unwrap_or_else(|found| panic!("{name} of {network}: {:?}", found[0]));
            let makespan = simulate(&problem, &plan).unwrap().makespan();
            assert!(makespan >= bound, "{name} of {network}: {makespan} < {bound}");
        }
    }
}

#[test]
fn a_forecast_without_errors_is_what_the_engine_shows() {
    let problem = problem(zoo::graph("vgg-16").unwrap().until("pool5").unwrap().0, &[9.7, 9.7, 5.0]);
    let legion = Legion { corrections: Corrections::ALL, ..Legion::default() };
    let expected = expected(&legion, &problem).as_millis_f64();
    let plan = check(legion.plan(&problem).unwrap(), &problem).unwrap();
    let makespan = simulate(&problem, &plan).unwrap().makespan().as_millis_f64();
    // Latencies overlap with what is sent before; the forecast adds them up.
    let groups = plan.steps.iter().filter(|step| step.action == Action::Join).count() as f64;
    assert!((expected - makespan).abs() < groups * 6.0 * 1.0, "{expected} {makespan}");
}

#[test]
fn a_group_has_what_a_step_costs_by_itself_once_however_its_times_grow_with_its_rows() {
    // Boards of these rates take as long for a row whatever the rows, and what a step costs by itself.
    let problem = problem(zoo::graph("vgg-16").unwrap(), &[9.7, 9.7, 5.0]);
    let split = RowSplit::new(&problem, None, &[]).unwrap();
    let forecast = |row_steps| {
        let corrections = Corrections { row_steps, ..Corrections::ALL };
        let (rows, transport, messages) = (Rows::Weighted, Transport::Gather, Messages::Apart);
        Forecast::new(&split, split.speeds(), Settings { rows, transport, messages, corrections }).unwrap()
    };
    let [scaled, profiled] = [false, true].map(forecast);
    for (first, last) in (0..split.len()).flat_map(|last| (0..=last).map(move |first| (first, last))) {
        let [scaled, profiled] = [&scaled, &profiled].map(|forecast| forecast.time(first..last + 1).unwrap());
        assert!((scaled / profiled - 1.0).abs() < 1e-6, "{first} to {last}: {scaled} and {profiled}");
    }
}

#[test]
fn the_best_grouping_of_vgg_16_is_that_of_brute_force() {
    let problem = problem(zoo::graph("vgg-16").unwrap(), &[9.7, 9.7, 9.7, 5.0]);
    let split = RowSplit::new(&problem, None, &[]).unwrap();
    assert_eq!(split.len(), 18, "thirteen convolutions and five poolings");
    for transport in [Transport::Gather, Transport::Neighbour] {
        let (messages, corrections) = (Messages::Together, Corrections::default());
        let settings = Settings { rows: Rows::Weighted, transport, messages, corrections };
        let forecast = Forecast::new(&split, split.speeds(), settings).unwrap();
        let (found, _) = forecast.best().unwrap();
        // Every set of cuts, by the bits of a number; times are looked up once.
        let time = |start: usize, end: usize| forecast.time(start..end).unwrap_or(f64::INFINITY);
        let times: Vec<Vec<f64>> = (0..18)
            .map(|start| (0..=18).map(|end| if end > start { time(start, end) } else { 0.0 }).collect())
            .collect();
        let sum = |cuts: u32| {
            let (mut start, mut sum) = (0, 0.0);
            for end in (1..=18).filter(|&end| end == 18 || cuts & (1 << (end - 1)) != 0) {
                sum += times[start][end];
                start = end;
            }
            sum
        };
        let least = (0..1u32 << 17).map(sum).min_by(f64::total_cmp).unwrap();
        assert!((found - least).abs() <= 1e-9 * least, "{transport:?}: {found} {least}");
    }
}

#[test]
fn a_full_search_is_not_beaten_by_other_cuts_of_the_same_rows() {
    for (network, last) in [("vgg-16", "pool5"), ("resnet-18", "layer4.1.relu")] {
        let problem = problem(zoo::graph(network).unwrap().until(last).unwrap().0, &[9.7, 9.7, 5.0]);
        let makespan = |strategy: &dyn Strategy| {
            let plan = check(strategy.plan(&problem).unwrap(), &problem).unwrap();
            simulate(&problem, &plan).unwrap().makespan()
        };
        let full = FullSearch::default();
        let best = makespan(&full);
        assert_eq!(expected(&full, &problem), best, "groups add up, since the home gathers in between");
        for strategy in [&Legion::default() as &dyn Strategy, &KBest::default(), &Modnn::default()] {
            assert!(makespan(strategy) >= best, "{} of {network}", strategy.name());
        }
        let exact = FullSearch { ratio: Ratio::Exact, ..FullSearch::default() };
        assert!(makespan(&exact).as_millis_f64() <= 1.05 * best.as_millis_f64());
    }
}

#[test]
fn groups_keep_to_the_blocks_of_a_network() {
    let check = |network: &str, groups: &[Range<usize>], expected: bool| {
        let graph = zoo::graph(network).unwrap();
        let (chain, _) = Chain::new(&graph);
        groups.iter().for_each(|units| assert_eq!(chain.is_group(units), expected, "{units:?} of {network}"));
    };
    // Any units of a chain are a group.
    check("vgg-16", &[0..1, 3..9, 0..18], true);
    // resnet-18 begins with conv1, pool, then blocks of two convolutions and a sum.
    check("resnet-18", &[0..1, 0..2, 2..5, 2..8, 0..8, 2..4], true);
    check("resnet-18", &[0..3, 1..4], false);
}

#[test]
fn exact_rows_are_never_slower_and_much_faster_in_deep_groups() {
    let problem = problem(zoo::graph("vgg-16").unwrap(), &[9.7, 9.7, 9.7, 5.0, 5.0, 5.0]);
    let split = RowSplit::new(&problem, None, &[]).unwrap();
    let forecast = |rows| {
        let (transport, messages, corrections) = (Transport::Gather, Messages::Apart, Corrections::ALL);
        Forecast::new(&split, split.speeds(), Settings { rows, transport, messages, corrections }).unwrap()
    };
    let (weighted, earliest) = (forecast(Rows::Weighted), forecast(Rows::Earliest));
    let mut gains = Vec::new();
    for end in 1..=18 {
        for start in 0..end {
            let [by_speed, exact] = [&weighted, &earliest].map(|forecast| forecast.time(start..end).unwrap());
            assert!(exact <= by_speed * (1.0 + 1e-9), "{start}..{end}: {exact} {by_speed}");
            // The last eight units have 28 rows and fewer.
            if start >= 10 {
                gains.push(1.0 - exact / by_speed);
            }
        }
    }
    let (least, most) = (gains.iter().copied().fold(1.0, f64::min), gains.iter().copied().fold(0.0, f64::max));
    println!(
        "exact rows take {:.0} to {:.0} % less than proportional ones in deep groups",
        100.0 * least,
        100.0 * most
    );
    assert!(most > 0.1, "{gains:?}");
}

#[test]
fn strategies_are_charged_for_what_they_ask() {
    let front = || zoo::graph("vgg-16").unwrap().until("pool5").unwrap().0;
    let second = Duration::from_millis_f64(1000.0);
    let profiling = Profiling { build: second, session: second, warm_up: 0, repeats: 2 };
    let cost = |problem: &Problem, strategy: &dyn Strategy| {
        let (noted, ledger) = Ledger::open(problem);
        strategy.plan(&noted).unwrap();
        ledger.charge(problem, &profiling)
    };
    let mut boards = problem(front(), &[9.7, 9.7]);
    let legion = cost(&boards, &Legion::default());
    // 18 layers at a board's rows, and the heaviest whole, on two boards of which each has its own builds.
    assert_eq!((legion.profiles, legion.layers_built), (2 * 19, 2 * 19));
    assert_eq!(legion.build, second * 38);
    let weights = boards.models[0].graph.parameters(&boards.models[0].graph.whole().unwrap());
    assert!(legion.uploaded > weights * 2 && legion.upload > second * 38, "{legion:?}");
    // Boards of a class share builds, also where one has a row more: 7 rows are 4 and 3.
    boards.platform.devices.iter_mut().for_each(|device| device.class = "same".into());
    let shared = cost(&boards, &Legion::default());
    assert_eq!((shared.profiles, shared.layers_built), (2 * 19, 19));
    // A full search profiles each of the 171 groups on both, and the heaviest layer.
    let full = cost(&boards, &FullSearch::default());
    assert_eq!((full.profiles, full.layers_built), (2 * (171 + 1), 18 * 19 * 20 / 6 + 1));
    // Twice, on the busier board: all layers at half of their rows are half of the network.
    let all = 2.0
        * (boards.models[0]
            .graph
            .layer_ids()
            .map(|layer| {
                let rows = 0..boards.models[0].graph.shape(layer).rows;
                boards.models[0].graph.layer_macs(layer, &rows).0
            })
            .sum::<u64>() as f64
            / 9.7e9
            / 2.0
            + 18.0 * 2e-3);
    let probe = legion.run.as_secs_f64() - all;
    assert!((0.35..0.45).contains(&probe), "the heaviest layer takes a fifth of a second, twice: {probe}");
}

#[test]
fn what_cannot_be_shared_is_refused_with_a_reason() {
    let of = |problem: &Problem| match Legion::default().plan(problem) {
        Err(error @ (PlanError::Infeasible(_) | PlanError::Unsupported(_))) => error.to_string(),
        other => panic!("{other:?}"),
    };
    let vgg = || zoo::graph("vgg-16").unwrap();
    let mut homeless = problem(vgg(), &[1.0]);
    homeless.models[0].home = None;
    assert!(of(&homeless).starts_with("vgg-16 has no `home`"), "{}", of(&homeless));
    assert_eq!(of(&problem(vgg(), &[])), "no plan is possible: no board can run vgg-16: there is none but the home");
    let mut unable = problem(vgg(), &[1.0]);
    unable.platform.devices[1].unsupported.insert(crate::model::OpKind::Conv);
    assert!(of(&unable).ends_with("`b0` does not support `conv1_1`"), "{}", of(&unable));
    let mut small = problem(vgg(), &[1.0, 1.0]);
    small.platform.memories[1].capacity = Some(Bytes(1 << 20));
    let plan = Legion::default().plan(&small).unwrap();
    assert!(check(plan, &small).is_ok(), "the other board does it alone");
    small.platform.memories[2].capacity = Some(Bytes(1 << 20));
    assert!(of(&small).contains("`b0` has 1 MiB, too little for weights of"), "{}", of(&small));
    let named = Legion { boards: Some(vec!["b7".into()]), ..Legion::default() };
    let error = named.plan(&problem(vgg(), &[1.0])).unwrap_err().to_string();
    assert_eq!(error, "the strategy asks for `b7`: there is no such device");
}

//! Networks on parts of one device: what such parts take, how a device is divided, and what is served there.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use coinfer::cost::{Basis, CostModel, Curve, Estimate, Lookup, Profile, Row, Trace, TraceCosts, Uncalibrated};
use coinfer::engine::{Question, Streams, serve, simulate};
use coinfer::evaluate::{evaluate, planned};
use coinfer::model::{Graph, ModelId, Region, Work};
use coinfer::plan::{Lane, check};
use coinfer::platform::{Device, DeviceId, DeviceKind, LinkId, Platform, Precision};
use coinfer::problem::{Dispatch, Load, Model, Problem, Tenant};
use coinfer::scenario::Scenario;
use coinfer::strategy::{Partition, Partitioned, Strategy};
use coinfer::units::{Bytes, Duration, Share};

use crate::service::{ends, server};

const GPU: DeviceId = DeviceId(0);

fn traced(path: &str) -> Trace {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    Trace::parse(&std::fs::read(path).unwrap()).unwrap()
}

/// What was measured, by network, share and batch, in milliseconds.
fn measured(trace: &Trace) -> BTreeMap<(&str, Share, u32), f64> {
    let all = [(Share::FULL, &trace.rows)].into_iter().chain(trace.shares.iter().map(|(share, rows)| (*share, rows)));
    let of_rows = |(share, rows)| {
        let rows: &Vec<Row> = rows;
        rows.iter().map(move |row| ((row.model.as_str(), share, row.batch), row.time_ms))
    };
    all.flat_map(of_rows).collect()
}

/// Costs of one network by those of its rows that `keeps` is true of.
fn costs(trace: &Trace, model: &str, keeps: impl Fn(Share, u32) -> bool) -> TraceCosts {
    let graph = Graph::opaque(model, 4, 4, Bytes(0), Bytes(8)).unwrap();
    let shares = trace.shares.keys().copied().chain([Share::FULL]);
    let profiles = shares.filter_map(|share| {
        let mut trace = trace.of_share(share);
        trace.rows.retain(|row| keeps(share, row.batch));
        let device = trace.rows.first()?.device.clone();
        let whole = Curve::new(&trace, &device, Precision::Fp32, model, Lookup::PiecewiseLinear, false);
        Some((share, Profile { whole: Some(whole?), ..Profile::default() }))
    });
    let mut profiles: BTreeMap<Share, Profile> = profiles.collect();
    let full = profiles.remove(&Share::FULL).unwrap_or_default();
    let platform = Platform::new([(Device::new("gpu", DeviceKind::Gpu), Bytes(1 << 34))]);
    TraceCosts::new(&platform, &[&graph], |_, _| Profile { shares: profiles.clone(), ..full.clone() })
}

fn work(samples: u32) -> Work {
    let graph = Graph::opaque("net", 4, 4, Bytes(0), Bytes(8)).unwrap();
    Work { model: ModelId(0), segment: graph.whole().unwrap(), region: Region { samples: 0..samples, rows: 0..1 } }
}

/// Relative errors of what was measured and is not kept, where there is an estimate.
fn errors(trace: &Trace, keeps: impl Fn(Share, u32) -> bool) -> Vec<f64> {
    let all = measured(trace);
    let models: BTreeSet<&str> = all.keys().map(|(model, ..)| *model).collect();
    let mut errors = Vec::new();
    for model in models {
        let costs = costs(trace, model, &keeps);
        for ((_, share, batch), millis) in
            all.iter().filter(|((of, share, batch), _)| *of == model && !keeps(*share, *batch))
        {
            if let Ok(estimate) = costs.compute(GPU, *share, &work(*batch)) {
                assert!(estimate.basis > Basis::Measured);
                errors.push((estimate.time.as_millis_f64() / millis - 1.0).abs());
            }
        }
    }
    errors.sort_by(f64::total_cmp);
    errors
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// Of the V100, 12 points of each network say what the others take (`../shared/specs`: mean at most 2 %, 95 % within 5 %).
#[test]
fn times_on_shares_of_a_v100_follow_from_few() {
    let share = |points: u16| Share::from_basis_points(points).unwrap();
    let kept = [2000, 5000, 8000].map(share);
    let keeps = |share: Share, batch: u32| kept.contains(&share) && [1, 2, 8, 32].contains(&batch);
    let errors = errors(&traced("traces/igniter-v100.csv"), keeps);
    // Shares of 10 % and of all lie beyond those that are kept, and are refused.
    assert_eq!(errors.len(), 592);
    let (mean, p95) = (mean(&errors), errors[errors.len() * 95 / 100]);
    assert!(mean <= 0.02 && p95 <= 0.05, "{mean} {p95}");
}

/// Each slice of an A100 by the others: mean at most 8 %.
#[test]
fn times_on_slices_of_an_a100_follow_from_other_slices() {
    let trace = traced("traces/parvagpu-a100.csv");
    let shares: Vec<Share> = trace.shares.keys().copied().collect();
    // The least and the whole have no neighbours on both sides.
    let of_share = |out: &Share| errors(&trace, |share, _| share != *out);
    let errors: Vec<f64> = shares[1..].iter().flat_map(of_share).collect();
    assert!(errors.len() >= 150, "{}", errors.len());
    let mean = mean(&errors);
    assert!(mean <= 0.08, "{mean}");
}

/// What two networks on a V100 take from each other, by the mean of other pairs: mean error at most 5 %.
#[test]
fn networks_on_shares_slow_each_other_as_other_pairs_do() {
    let trace = traced("traces/igniter-v100.csv");
    let alone = measured(&trace);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/igniter-v100-pairs.csv");
    let text = std::fs::read_to_string(path).unwrap();
    let mut of_pair: BTreeMap<[String; 2], Vec<f64>> = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')).skip(1) {
        let cells: Vec<&str> = line.split(',').collect();
        for side in [0, 1] {
            let number = |column: usize| cells[2 * column + side].parse::<f64>().unwrap();
            let share = Share::from_basis_points((number(2) * 1e4).round() as u16).unwrap();
            let slower = number(3) / alone[&(cells[side], share, number(1) as u32)];
            of_pair.entry([cells[0].to_owned(), cells[1].to_owned()]).or_default().push(slower);
        }
    }
    assert_eq!(of_pair.values().map(Vec::len).sum::<usize>(), 1000);
    for (pair, slower) in &of_pair {
        let others: Vec<f64> =
            of_pair.iter().filter(|(other, _)| *other != pair).flat_map(|(_, all)| all.clone()).collect();
        let factor = mean(&others);
        let errors: Vec<f64> = slower.iter().map(|slower| (factor / slower - 1.0).abs()).collect();
        assert!(mean(&errors) <= 0.05, "{pair:?}: {}", mean(&errors));
        assert!((factor - 1.11).abs() < 0.01, "scenarios/igniter-v100*.toml say 1.11, and here it is {factor}");
    }
}

#[test]
fn a_share_that_is_no_whole_number_of_units_breaks_a_rule() {
    let mut problem = two(Load::Offline { samples: 4 });
    let plan = Partitioned { shares: Partition::Equal, ..Partitioned::default() }.plan(&problem).unwrap();
    let lanes: Vec<Share> = plan.lanes.iter().filter_map(share_of).collect();
    assert_eq!(lanes, [Share::from_basis_points(5000).unwrap(); 2]);
    assert!(check(plan.clone(), &problem).is_ok());
    problem.platform.devices[0].units = 3;
    let violations = check(plan, &problem).unwrap_err();
    assert_eq!(violations.len(), 2);
    insta::assert_snapshot!(violations[0], @"a lane holds 0.5 of `gpu`, no whole number of its 3 compute units");
}

fn share_of(lane: &Lane) -> Option<Share> {
    match lane {
        Lane::Compute { share, .. } => Some(*share),
        Lane::Link(_) => None,
    }
}

/// A time that is inversely proportional to the share but for a part of it.
struct Scaled;

impl CostModel for Scaled {
    fn compute(&self, _: DeviceId, share: Share, work: &Work) -> Result<Estimate, Uncalibrated> {
        let millis = f64::from(1 + work.model.0) * f64::from(work.region.samples.len() as u32) / share.fraction();
        Ok(Estimate { time: Duration::from_millis_f64(millis), basis: Basis::Modelled })
    }

    fn transfer(&self, _: LinkId, _: Bytes) -> Result<Estimate, Uncalibrated> {
        unreachable!("there is one device")
    }
}

/// Two networks, of which the second takes twice as long.
fn two(load: Load) -> Problem {
    let graph = |name: &str| Graph::opaque(name, 4, 4, Bytes(0), Bytes(8)).unwrap();
    let models = ["a", "b"].map(|name| Model { graph: graph(name), home: None });
    let platform = Platform::new([(Device::new("gpu", DeviceKind::Gpu), Bytes(1 << 30))]);
    Problem::new(models.into(), platform, load, Scaled)
}

#[test]
fn networks_run_at_once_and_the_one_with_more_to_do_has_more() {
    let problem = two(Load::Offline { samples: 3 });
    let plan = Partitioned::default().plan(&problem).unwrap();
    // 3 ms and 6 ms alone: 33 and 67 of 100 units.
    let shares: Vec<u16> = plan.lanes.iter().filter_map(share_of).map(Share::basis_points).collect();
    assert_eq!(shares, [3300, 6700]);
    let given = BTreeMap::from([("a".to_owned(), 0.25), ("b".to_owned(), 0.5)]);
    let given = Partitioned { shares: Partition::Given(given), ..Partitioned::default() };
    let planned = planned(&problem, &given, None).unwrap();
    let timeline = simulate(&problem, &planned.plan).unwrap();
    assert_eq!(timeline.makespan(), Duration::from_nanos(12_000_000));
}

#[test]
fn shares_that_are_given_wrongly_are_refused() {
    let problem = two(Load::Offline { samples: 3 });
    let refusal = |given: &[(&str, f64)]| {
        let given = given.iter().map(|(name, share)| ((*name).to_owned(), *share)).collect();
        let strategy = Partitioned { shares: Partition::Given(given), ..Partitioned::default() };
        strategy.plan(&problem).unwrap_err().to_string()
    };
    insta::assert_snapshot!(refusal(&[("a", 0.5)]), @"`shares` says nothing of `b`");
    insta::assert_snapshot!(refusal(&[("a", 0.5), ("c", 0.5)]), @"`shares` names `c`, and there is no such network");
    insta::assert_snapshot!(refusal(&[("a", 0.505), ("b", 0.5)]), @"`shares` gives `a` 0.505, which is no whole number of 100 units");
    insta::assert_snapshot!(refusal(&[("a", 0.0), ("b", 0.5)]), @"`shares` gives `a` 0, which is no whole number of 100 units");
    let strategy = Partitioned { shares: Partition::Equal, ..Partitioned::default() };
    let mut few = two(Load::Offline { samples: 3 });
    few.platform.devices[0].units = 1;
    insta::assert_snapshot!(strategy.plan(&few).unwrap_err(), @"no plan is possible: 2 networks cannot have units of 1 each");
    let more = [("a".to_owned(), 0.6), ("b".to_owned(), 0.6)].into();
    let strategy = Partitioned { shares: Partition::Given(more), ..Partitioned::default() };
    insta::assert_snapshot!(strategy.plan(&problem).unwrap_err(), @"`shares` gives 1.2 of the device in all, more than there is");
}

#[test]
fn tenants_with_equal_shares_do_not_wait_for_each_other() {
    let tenant = |model| Tenant { model: ModelId(model), load: Load::Server(server(10, 3)), priority: 0 };
    let mut problem = two(Load::PerModel(vec![tenant(0), tenant(1)]));
    problem.dispatch = Dispatch::Batch { batch_max: 1, delay_max: Duration::ZERO, in_flight_max: None };
    let strategy = Partitioned { shares: Partition::Equal, ..Partitioned::default() };
    let mut planner = |question: &Question| {
        let plan = strategy.plan(&question.problem).map_err(|error| error.to_string())?;
        Ok(vec![check(plan, &question.problem).map_err(|found| format!("{found:?}"))?])
    };
    let served = serve(&problem, &mut planner, &Streams::new(0, 0)).unwrap();
    // They come every 10 ms, and take 2 and 4 ms on halves.
    let mut ended = ends(&served);
    ended.sort_unstable();
    assert_eq!(ended, [12, 14, 22, 24, 32, 34]);
    let (plan, timeline, _) = served.recorded(usize::MAX);
    let plan = check(plan, &problem.offline(3)).unwrap();
    assert!(timeline.obeys(&plan, &problem.platform));
}

/// The example of iGniter: with parts of a V100 for each, networks keep their objectives.
#[test]
fn the_best_shares_keep_the_objectives_of_igniters_example() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios/igniter-v100.toml");
    let scenario = Scenario::read(&path, &["contention=false".to_owned()]).unwrap();
    let outcomes: Vec<_> =
        evaluate(&scenario.case().unwrap()).into_iter().map(|result| result.unwrap().outcome).collect();
    let missed = |index: usize| -> Vec<f64> {
        outcomes[index]
            .networks
            .iter()
            .map(|(_, service)| (service.late + service.dropped) as f64 / service.queries as f64)
            .collect()
    };
    assert_eq!(missed(0), [0.0; 3]);
    for other in [1, 2] {
        assert!(missed(other).iter().any(|missed| *missed > 0.1), "{:?}", missed(other));
    }
}

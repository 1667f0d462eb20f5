//! Exact sharing: devices around one, with everything that they contend for, against hand-made schedules and against a
//! naive simulation.

use std::sync::Arc;

use coinfer::cost::{Basis, CostModel, Estimate, Uncalibrated};
use coinfer::engine::{estimates, simulate};
use coinfer::model::{Graph, LayerId, ModelId, Region, Segment, Work};
use coinfer::plan::{Action, Lane, LaneId, Plan, StepId, check};
use coinfer::platform::{
    BandwidthRule, BandwidthTable, Device, DeviceId, DeviceKind, Direction, Host, Link, LinkId, Nic, Package, Platform,
    Power, Sharing, Slowdown,
};
use coinfer::problem::{Load, Model, Problem};
use coinfer::units::{Bytes, BytesPerSec, Duration, Share, Watts};
use proptest::prelude::*;

use crate::reference;

/// What samples and transfers take alone, in nanoseconds: by sample, and by link.
#[derive(Clone, Debug, Default)]
struct Times {
    samples: Vec<u64>,
    links: Vec<u64>,
}

impl CostModel for Times {
    fn compute(&self, _: DeviceId, _: Share, work: &Work) -> Result<Estimate, Uncalibrated> {
        let nanos = self.samples[work.region.samples.start as usize];
        Ok(Estimate { time: Duration::from_nanos(nanos), basis: Basis::Modelled })
    }
    fn transfer(&self, link: LinkId, _: Bytes) -> Result<Estimate, Uncalibrated> {
        Ok(Estimate { time: Duration::from_nanos(self.links[link.0 as usize]), basis: Basis::Modelled })
    }
}

fn rate(giga: f64) -> BytesPerSec {
    BytesPerSec::new(giga * 1e9).unwrap()
}

/// Device 0 with a link to each of the others and one back: link `2 i` leads to device `i + 1`, link `2 i + 1` back.
/// Overheads in nanoseconds, bandwidths in GB/s.
fn star(times: Times, links: &[(u64, f64)]) -> Problem {
    let device = |index| {
        let device = Device {
            traffic: Some(rate(30.0 + 7.0 * f64::from(index))),
            power: Some(Power { idle: Watts::new(1.0).unwrap(), active: Watts::new(6.0 + f64::from(index)).unwrap() }),
            ..Device::new(format!("d{index}"), DeviceKind::Gpu)
        };
        (device, Bytes(1 << 30))
    };
    let link = |(index, &(overhead, giga)): (u32, &(u64, f64))| {
        let around = DeviceId(index / 2 + 1);
        let ends = if index % 2 == 0 { (DeviceId(0), around) } else { (around, DeviceId(0)) };
        let overhead = Duration::from_nanos(overhead);
        Link { overhead, ..Link::new(format!("l{index}"), ends, Direction::OneWay, rate(giga)) }
    };
    let platform = Platform {
        links: (0..).zip(links).map(link).collect(),
        ..Platform::new((0..=links.len() as u32 / 2).map(device))
    };
    let models = vec![Model { graph: Graph::opaque("net", 4, 4, Bytes(0), Bytes(8)).unwrap(), home: None }];
    let samples = times.samples.len() as u32;
    Problem::new(models, platform, Load::Offline { samples }, times)
}

/// A sample: the device that computes it, on which of its two lanes, and whether its input and its output are sent.
#[derive(Clone, Copy, Debug)]
struct Sample {
    device: u32,
    lane: usize,
    is_sent: bool,
    is_sent_back: bool,
    /// Waits for the step so many before its first, if there is one.
    after: Option<usize>,
}

fn plan(problem: &Problem, samples: &[Sample]) -> Plan {
    let mut plan = Plan::default();
    let half = Share::from_basis_points(5_000).unwrap();
    let lanes: Vec<[LaneId; 2]> = problem
        .platform
        .device_ids()
        .map(|device| [(); 2].map(|()| plan.lane(Lane::Compute { device, share: half, memory: Bytes(1 << 20) })))
        .collect();
    let links: Vec<LaneId> =
        (0..problem.platform.links.len() as u32).map(|link| plan.lane(Lane::Link(LinkId(link)))).collect();
    for (index, sample) in (0..).zip(samples) {
        let region = Region { samples: index..index + 1, rows: 0..1 };
        let send =
            |layer, to| Action::Transfer { model: ModelId(0), layer: LayerId(layer), region: region.clone(), to };
        let mut after: Vec<StepId> = Vec::new();
        after.extend(sample.after.and_then(|back| plan.steps.len().checked_sub(back + 1)).map(|id| StepId(id as u32)));
        let link = sample.device.checked_sub(1).map(|around| 2 * around as usize);
        if let Some(up) = link.filter(|_| sample.is_sent) {
            after = vec![plan.step(links[up], send(0, DeviceId(sample.device)), &after)];
        }
        let segment = Segment::range(LayerId(1), LayerId(1));
        let work = Action::Compute(Work { model: ModelId(0), segment, region: region.clone() });
        let computed = plan.step(lanes[sample.device as usize][sample.lane], work, &after);
        if let Some(up) = link.filter(|_| sample.is_sent_back) {
            plan.step(links[up + 1], send(1, DeviceId(0)), &[computed]);
        }
    }
    plan
}

/// When each step begins and ends, by the engine.
fn spans(problem: &Problem, plan: &Plan) -> Vec<(u64, u64)> {
    let checked = check(plan.clone(), problem).unwrap();
    let timeline = simulate(problem, &checked).unwrap();
    assert!(timeline.obeys(&checked, &problem.platform));
    timeline.spans.iter().map(|span| (span.start.as_nanos(), span.end.as_nanos())).collect()
}

fn nic(links: &[u32], giga: f64, sharing: Sharing) -> Nic {
    Nic { links: links.iter().copied().map(LinkId).collect(), bandwidth: rate(giga), sharing }
}

/// When each of the transfers to the devices around ends, that all begin at 0; nothing is computed but for 0 ns.
fn sent(links: &[(u64, f64)], alone: &[u64], nics: Vec<Nic>) -> Vec<u64> {
    let count = links.len() / 2;
    let times = Times { samples: vec![0; count], links: alone.to_vec() };
    let mut problem = star(times, links);
    problem.platform.interference.nics = nics;
    let sample = |device| Sample { device, lane: 0, is_sent: true, is_sent_back: false, after: None };
    let samples: Vec<Sample> = (1..=count as u32).map(sample).collect();
    let plan = plan(&problem, &samples);
    let spans = spans(&problem, &plan);
    assert_eq!(spans, reference::simulate(&problem, &plan, &nanos(&problem, &plan)), "the reference agrees");
    let is_transfer = |(step, _): &(usize, &(u64, u64))| matches!(plan.steps[*step].action, Action::Transfer { .. });
    spans.iter().enumerate().filter(is_transfer).map(|(_, span)| span.1).collect()
}

fn nanos(problem: &Problem, plan: &Plan) -> Vec<u64> {
    let checked = check(plan.clone(), problem).unwrap();
    estimates(problem, &checked).unwrap().iter().map(|estimate| estimate.time.as_nanos()).collect()
}

const UP: [u32; 3] = [0, 2, 4];

#[test]
fn a_transfer_takes_its_overhead_first_and_then_a_fair_part_of_the_interface() {
    let links = [(100, 1.0); 4];
    // Each takes 100 ns of overhead; then both go at half speed until the shorter has sent its 900 ns, at 1900, and the
    // longer has sent 900 of its 2900 ns.
    let alone = [1000, 0, 3000, 0];
    assert_eq!(sent(&links, &alone, vec![nic(&[0, 2], 1.0, Sharing::Fair)]), [1900, 3900]);
    assert_eq!(sent(&links, &alone, vec![nic(&[0, 2], 2.0, Sharing::Fair)]), [1000, 3000]);
    // With different overheads, the first sends 300 of its 900 ns before the other sends any of its 2600 ns.
    let links = [(100, 1.0), (0, 1.0), (400, 1.0), (0, 1.0)];
    assert_eq!(sent(&links, &alone, vec![nic(&[0, 2], 1.0, Sharing::Fair)]), [1600, 3600]);
}

#[test]
fn what_a_link_has_sent_arrives_later_and_what_follows_is_sent_meanwhile() {
    let arrivals = |nics: Vec<Nic>| {
        let mut problem = star(Times { samples: vec![0; 4], links: vec![1000, 0] }, &[(200, 1.0); 2]);
        problem.platform.links[0].latency = Duration::from_nanos(10_000);
        problem.platform.interference.nics = nics;
        let sample = Sample { device: 1, lane: 0, is_sent: true, is_sent_back: false, after: None };
        let plan = plan(&problem, &[sample; 4]);
        let spans = spans(&problem, &plan);
        assert_eq!(spans, reference::simulate(&problem, &plan, &nanos(&problem, &plan)), "the reference agrees");
        let of_transfers =
            plan.steps.iter().zip(spans).filter(|(step, _)| matches!(step.action, Action::Transfer { .. }));
        of_transfers.map(|(_, span)| span).collect::<Vec<_>>()
    };
    let expected = [(0, 11_000), (1000, 12_000), (2000, 13_000), (3000, 14_000)];
    assert_eq!(arrivals(vec![]), expected);
    assert_eq!(arrivals(vec![nic(&[0], 1.0, Sharing::Serial)]), expected);
    // Half the bandwidth: 200 ns of overhead, and twice the other 800.
    assert_eq!(arrivals(vec![nic(&[0], 0.5, Sharing::Fair)])[3], (5400, 17_200));
}

#[test]
fn one_after_the_other_sends_in_the_order_of_beginning_and_what_is_empty_waits_too() {
    let links = [(100, 1.0); 6];
    let serial = || vec![nic(&UP, 1.0, Sharing::Serial)];
    assert_eq!(sent(&links, &[1000, 0, 3000, 0, 200, 0], serial()), [1000, 3900, 4000]);
    assert_eq!(sent(&links, &[1000, 0, 100, 0, 200, 0], serial()), [1000, 1000, 1100]);
    assert_eq!(sent(&[(0, 1.0); 6], &[1000, 0, 0, 0, 200, 0], serial()), [1000, 1000, 1200]);
    assert_eq!(sent(&[(0, 1.0); 6], &[0, 0, 0, 0, 0, 0], serial()), [0, 0, 0]);
    assert_eq!(sent(&[(0, 1.0); 6], &[0; 6], vec![nic(&UP, 1.0, Sharing::Fair)]), [0, 0, 0]);
}

#[test]
fn what_a_slow_link_leaves_goes_to_the_others() {
    // A link of 0.2 GB/s goes as fast as alone; the two others share the other 0.8 GB/s.
    let links = [(0, 0.2), (0, 1.0), (0, 1.0), (0, 1.0), (0, 1.0), (0, 1.0)];
    let found = sent(&links, &[5000, 0, 1000, 0, 1000, 0], vec![nic(&UP, 1.0, Sharing::Fair)]);
    assert_eq!(found, [5000, 2500, 2500]);
}

#[test]
fn each_flow_is_as_fast_as_its_scarcest_interface_allows() {
    // The classic line (Bertsekas and Gallager, 1992, section 6.5): the first passes both interfaces. The second has
    // 1 GB/s for two, the third has what they leave of 3 GB/s.
    let links = [(0, 10.0); 6];
    let nics = vec![nic(&[0, 2], 1.0, Sharing::Fair), nic(&[0, 4], 3.0, Sharing::Fair)];
    // Alone at 10 GB/s: 100 ns are 1000 bytes, which take 2000 ns at 0.5 GB/s and 400 ns at 2.5 GB/s.
    assert_eq!(sent(&links, &[100, 0, 100, 0, 100, 0], nics), [2000, 2000, 400]);
}

#[test]
fn both_directions_share_a_half_duplex_interface_only() {
    let both = |nics: Vec<Nic>| {
        let times = Times { samples: vec![0, 0], links: vec![1000, 1000] };
        let mut problem = star(times, &[(0, 1.0); 2]);
        problem.platform.interference.nics = nics;
        let up = Sample { device: 1, lane: 0, is_sent: true, is_sent_back: false, after: None };
        let down = Sample { lane: 1, is_sent: false, is_sent_back: true, ..up };
        let spans = spans(&problem, &plan(&problem, &[up, down]));
        (spans[0].1, spans[3].1)
    };
    assert_eq!(both(vec![nic(&[0, 1], 1.0, Sharing::Fair)]), (2000, 2000));
    assert_eq!(both(vec![nic(&[0, 1], 1.0, Sharing::Serial)]), (1000, 2000));
    assert_eq!(both(vec![nic(&[0], 1.0, Sharing::Fair), nic(&[1], 1.0, Sharing::Fair)]), (1000, 1000));
}

#[test]
fn every_effect_together_gives_the_schedule_computed_by_hand() {
    let times = Times { samples: vec![1000, 600], links: vec![0; 2] };
    let mut problem = star(times, &[(0, 1.0); 2]);
    problem.contention = true;
    // They need 30 and 37 GB/s and share 33.5: half of it.
    problem.platform.contend(BandwidthRule::Proportional { peak: rate(33.5) });
    let effects = &mut problem.platform.interference;
    let devices = vec![DeviceId(0), DeviceId(1)];
    // Device 1 slows device 0 by 25 %.
    effects.slowdowns = vec![Slowdown { device: DeviceId(0), busy: DeviceId(1), excess_ppm: 250_000 }];
    // Busy they draw 5 and 6 W more than the 2 W of both idle; the budget leaves 5.5 W of 11: half of the clock. Alone the
    // first stays within it, and the second goes at 11/12 of its clock, of which half the clock is 6/11.
    effects.packages = vec![Package { devices, budget: Watts::new(7.5).unwrap(), exponent: 1.0 }];
    // Device 1 holds one of four threads of device 0.
    effects.hosts = vec![Host { device: DeviceId(0), threads: 4, holds: vec![(DeviceId(1), 1)] }];
    let sample = |device| Sample { device, lane: 0, is_sent: false, is_sent_back: false, after: None };
    // Together device 0 goes at 0.8 * 0.5 * 0.5 * 0.75 = 0.15 and device 1 at 0.5 * 6/11. Device 1 ends at 2200, when 330
    // of 1000 ns are done; the other 670 go at full speed.
    let spans = spans(&problem, &plan(&problem, &[sample(0), sample(1)]));
    assert_eq!(spans, [(0, 2870), (0, 2200)]);
}

#[derive(Clone, Debug)]
struct Drawn {
    times: Times,
    links: Vec<(u64, f64)>,
    latencies: Vec<u64>,
    samples: Vec<Sample>,
    nics: Vec<Nic>,
    slowdowns: Vec<(u32, u32, u32)>,
    rule: Option<BandwidthRule>,
    package: Option<(f64, f64)>,
    host: Option<u32>,
}

const AROUND: u32 = 3;

fn any_star() -> impl Strategy<Value = Drawn> {
    let sample = (0..=AROUND, 0usize..2, any::<bool>(), any::<bool>(), prop::option::of(0usize..6))
        .prop_map(|(device, lane, is_sent, is_sent_back, after)| Sample { device, lane, is_sent, is_sent_back, after });
    let sharing = || prop_oneof![Just(Sharing::Fair), Just(Sharing::Serial)];
    let nics =
        (0.3f64..4.0, 0.3f64..4.0, sharing(), sharing(), 0usize..4).prop_map(|(out, back, first, second, shape)| {
            let (ups, downs) = ([0, 2, 4], [1, 3, 5]);
            match shape {
                0 => vec![],
                1 => vec![nic(&ups, out, first), nic(&downs, back, second)],
                2 => vec![nic(&[0, 1, 2, 3, 4, 5], out, first)],
                _ => vec![nic(&ups, out, first), nic(&[0, 1], back, second), nic(&[2, 3], back / 2.0, Sharing::Fair)],
            }
        });
    let rule = prop_oneof![
        Just(None),
        (20.0f64..100.0).prop_map(|peak| Some(BandwidthRule::Proportional { peak: rate(peak) })),
        (40.0f64..100.0, 1.0f64..40.0)
            .prop_map(|(peak, floor)| Some(BandwidthRule::ResidualOrFloor { peak: rate(peak), floor: rate(floor) })),
        (20.0f64..60.0, 30.0f64..60.0).prop_map(|(threshold, cap)| {
            let (threshold, cap, width) = (rate(threshold), rate(cap), rate(70.0));
            Some(BandwidthRule::Smooth { threshold, cap, width, exponent: 0.9 })
        }),
        (20.0f64..40.0, 5.0f64..20.0).prop_map(|(much, little)| {
            let achieved = [much.min(25.0), little, much, little];
            let table = BandwidthTable::new(&[25.0, 50.0].map(rate), &[20.0, 90.0].map(rate), |row, column| {
                rate(achieved[2 * row + column])
            });
            Some(BandwidthRule::Table(Arc::new(table)))
        }),
    ];
    let times = (prop::collection::vec(0u64..100_000, 12), prop::collection::vec(0u64..50_000, 6))
        .prop_map(|(samples, links)| Times { samples, links });
    let links = prop::collection::vec((1u64..5_000, 0.2f64..2.0), 2 * AROUND as usize);
    let latency = prop_oneof![Just(0), 1u64..5_000, 50_000u64..200_000];
    let latencies = prop::collection::vec(latency, 2 * AROUND as usize);
    let slowdowns = prop::collection::vec((0..=AROUND, 0..=AROUND, 0u32..2_000_000), 0..5);
    (
        (times, links, latencies, prop::collection::vec(sample, 1..12), nics),
        (slowdowns, rule, prop::option::of((8.0f64..30.0, 1.0f64..3.0)), prop::option::of(1u32..4)),
    )
        .prop_map(|((times, links, latencies, samples, nics), (slowdowns, rule, package, host))| Drawn {
            times,
            links,
            latencies,
            samples,
            nics,
            slowdowns,
            rule,
            package,
            host,
        })
}

fn problem_of(drawn: &Drawn) -> Problem {
    let mut times = drawn.times.clone();
    times.samples.truncate(drawn.samples.len());
    let mut problem = star(times, &drawn.links);
    problem.contention = true;
    for (link, latency) in problem.platform.links.iter_mut().zip(&drawn.latencies) {
        link.latency = Duration::from_nanos(*latency);
    }
    let devices: Vec<DeviceId> = problem.platform.device_ids().collect();
    drawn.rule.iter().for_each(|rule| problem.platform.contend(rule.clone()));
    let effects = &mut problem.platform.interference;
    let slowdown =
        |&(device, busy, excess_ppm): &_| Slowdown { device: DeviceId(device), busy: DeviceId(busy), excess_ppm };
    effects.slowdowns = drawn.slowdowns.iter().map(slowdown).collect();
    effects.packages.extend(drawn.package.map(|(budget, exponent)| {
        let budget = Watts::new(budget).unwrap();
        Package { devices: devices.clone(), budget, exponent }
    }));
    effects.hosts.extend(drawn.host.map(|threads| {
        let holds = (1..=AROUND).map(|device| (DeviceId(device), 1)).collect();
        Host { device: DeviceId(0), threads, holds }
    }));
    effects.nics = drawn.nics.clone();
    problem
}

proptest! {
    #[test]
    fn the_engine_equals_a_simulation_that_computes_all_rates_anew_at_every_event(drawn in any_star()) {
        let problem = problem_of(&drawn);
        let plan = plan(&problem, &drawn.samples);
        let found = spans(&problem, &plan);
        let expected = reference::simulate(&problem, &plan, &nanos(&problem, &plan));
        // Rates are computed in another order there, so that a time may be rounded the other way.
        for (step, (found, expected)) in found.iter().zip(&expected).enumerate() {
            let is_close = found.0.abs_diff(expected.0).max(found.1.abs_diff(expected.1)) <= plan.steps.len() as u64;
            prop_assert!(is_close, "step {step}: {found:?} instead of {expected:?}");
        }
    }

    #[test]
    fn a_device_that_works_alone_is_never_slowed(drawn in any_star(), device in 0..=AROUND, traffic in 1.0f64..1e4) {
        let mut problem = problem_of(&drawn);
        // Not by itself either, whatever it needs; a processor does not hold threads of its own.
        problem.platform.interference.slowdowns.retain(|slowdown| slowdown.device != slowdown.busy);
        problem.platform.devices[device as usize].traffic = Some(rate(traffic));
        let alone = |sample: &Sample| Sample { device, lane: 0, is_sent: false, is_sent_back: false, ..*sample };
        let samples: Vec<Sample> = drawn.samples.iter().map(alone).collect();
        let plan = plan(&problem, &samples);
        for (span, nanos) in spans(&problem, &plan).iter().zip(nanos(&problem, &plan)) {
            prop_assert_eq!(span.1 - span.0, nanos);
        }
    }

    #[test]
    fn no_flow_can_be_faster_without_a_slower_one_being_slowed(
        links in prop::collection::vec(0.1f64..3.0, 6), capacities in prop::collection::vec(0.1f64..3.0, 4),
        members in prop::collection::vec(prop::collection::btree_set(0u32..6, 1..5), 4),
    ) {
        let links: Vec<(u64, f64)> = links.iter().map(|&giga| (0, giga)).collect();
        let mut problem = star(Times { samples: vec![0], links: vec![0; 6] }, &links);
        problem.platform.interference.nics = members
            .iter()
            .zip(&capacities)
            .map(|(links, &giga)| nic(&links.iter().copied().collect::<Vec<_>>(), giga, Sharing::Fair))
            .collect();
        let flows: Vec<(usize, LinkId)> = (0..6).map(|link| (0, LinkId(link))).collect();
        let rates = reference::max_min(&problem.platform, &flows);
        let nics = &problem.platform.interference.nics;
        let used = |nic: &Nic| nic.links.iter().map(|link| rates[link.0 as usize]).sum::<f64>();
        prop_assert!(nics.iter().all(|nic| used(nic) <= nic.bandwidth.as_f64() * (1.0 + 1e-6)));
        for (link, &rate) in (0..6).map(LinkId).zip(&rates) {
            // It goes as fast as its link, or some interface is full where none is faster.
            let is_full = |nic: &&Nic| used(nic) >= nic.bandwidth.as_f64() * (1.0 - 1e-6);
            let leads = |nic: &&Nic| nic.links.iter().all(|other| rates[other.0 as usize] <= rate * (1.0 + 1e-6));
            let has_bottleneck = nics.iter().filter(|nic| nic.links.contains(&link)).filter(is_full).any(|nic| leads(&nic));
            prop_assert!(has_bottleneck || rate >= problem.platform.link(link).bandwidth.as_f64() * (1.0 - 1e-6));
        }
    }

    #[test]
    fn more_bandwidth_never_slows_a_chain(bandwidth in 0.1f64..10.0, more in 1.0f64..4.0, bytes in 1u64..1_000_000) {
        // A sample at a time over one link there and one back: nothing overlaps that could come in another order.
        let makespan = |giga: f64| {
            let sent = (bytes as f64 / giga).round() as u64;
            let times = Times { samples: vec![500; 3], links: vec![sent; 2] };
            let mut problem = star(times, &[(0, giga); 2]);
            problem.platform.interference.nics = vec![nic(&[0, 1], giga, Sharing::Fair)];
            let sample = Sample { device: 1, lane: 0, is_sent: true, is_sent_back: true, after: Some(0) };
            spans(&problem, &plan(&problem, &[sample; 3])).last().unwrap().1
        };
        prop_assert!(makespan(bandwidth * more) <= makespan(bandwidth));
    }
}

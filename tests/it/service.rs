//! What holds for every load that is served, whatever its plans, times and faults.

use coinfer::cost::{Basis, CostModel, Estimate, Uncalibrated};
use coinfer::engine::{ArrivalTimes, Fate, Question, Sampler, ServeError, Served, Streams, serve, simulate};
use coinfer::metrics::{Replication, WarmUpEnd};
use coinfer::model::{Graph, LayerId, ModelId, Region, Segment, Work};
use coinfer::plan::{Action, CheckedPlan, Lane, Plan, StepId, check};
use coinfer::platform::{Device, DeviceId, DeviceKind, Direction, Link, LinkId, Platform};
use coinfer::problem::{
    Arrivals, Change, Dispatch, Fault, Faults, Jitter, Load, Model, Problem, Server, Shape, Tenant, Variation,
};
use coinfer::statistics::{Comparison, compare};
use coinfer::units::{Bytes, Duration, Share, Time};
use proptest::prelude::*;

/// A millisecond for the batch and one for each of its samples, on every device.
struct Millis;

impl CostModel for Millis {
    fn compute(&self, _: DeviceId, _: Share, work: &Work) -> Result<Estimate, Uncalibrated> {
        Ok(Estimate { time: ms(1 + work.region.samples.len() as u64), basis: Basis::Modelled })
    }
    fn transfer(&self, _: LinkId, _: Bytes) -> Result<Estimate, Uncalibrated> {
        Ok(Estimate { time: ms(1), basis: Basis::Modelled })
    }
}

pub(crate) fn ms(millis: u64) -> Duration {
    Duration::from_nanos(millis * 1_000_000)
}

pub(crate) fn at(millis: u64) -> Time {
    Time::ZERO + ms(millis)
}

fn problem(devices: u32, load: Load) -> Problem {
    let device = |index| (Device::new(format!("d{index}"), DeviceKind::Gpu), Bytes(1 << 30));
    let platform = Platform::new((0..devices).map(device));
    let models = vec![Model { graph: Graph::opaque("net", 4, 4, Bytes(0), Bytes(8)).unwrap(), home: None }];
    Problem::new(models, platform, load, Millis)
}

pub(crate) fn server(gap: u64, queries: u32) -> Server {
    Server {
        arrivals: Arrivals::Deterministic { gap: ms(gap) },
        together: 1,
        samples: 1,
        queries,
        queue_max: None,
        deadline: None,
        drop_late: false,
    }
}

/// The samples in equal parts on all devices that work, the rest on the first of them; each part in one step.
fn even(problem: &Problem) -> Result<Vec<CheckedPlan>, String> {
    let mut plan = Plan::default();
    let working: Vec<DeviceId> = problem
        .platform
        .device_ids()
        .filter(|&device| problem.platform.device(device).unsupported.is_empty())
        .collect();
    let count = working.len() as u32;
    let share = problem.samples().checked_div(count).ok_or("no device is left")?;
    let mut from = 0;
    for (index, device) in working.into_iter().enumerate() {
        let samples = if index == 0 { problem.samples() - share * (count - 1) } else { share };
        if samples > 0 {
            let lane = plan.lane(Lane::Compute { device, share: Share::FULL, memory: Bytes(1 << 29) });
            let region = Region { samples: from..from + samples, rows: 0..1 };
            let segment = Segment::range(LayerId(1), LayerId(1));
            plan.step(lane, Action::Compute(Work { model: ModelId(0), segment, region }), &[]);
            from += samples;
        }
    }
    check(plan, problem).map(|plan| vec![plan]).map_err(|found| format!("{found:?}"))
}

/// All samples on one device, in one step.
fn alone(problem: &Problem, device: DeviceId) -> CheckedPlan {
    let mut plan = Plan::default();
    let lane = plan.lane(Lane::Compute { device, share: Share::FULL, memory: Bytes(1 << 29) });
    let region = Region { samples: 0..problem.samples(), rows: 0..1 };
    let segment = Segment::range(LayerId(1), LayerId(1));
    plan.step(lane, Action::Compute(Work { model: ModelId(0), segment, region }), &[]);
    check(plan, problem).unwrap()
}

/// Each device alone.
fn first_free(question: &Question) -> Result<Vec<CheckedPlan>, String> {
    let problem = &question.problem;
    Ok(problem.platform.device_ids().map(|device| alone(problem, device)).collect())
}

fn run(problem: &Problem, streams: &Streams) -> Result<Served, ServeError> {
    serve(problem, &mut |question| even(&question.problem), streams)
}

fn served(problem: &Problem) -> Served {
    run(problem, &Streams::new(0, 0)).unwrap()
}

pub(crate) fn ends(served: &Served) -> Vec<u64> {
    served.queries.iter().map(|query| query.ended.since_start().as_nanos() / 1_000_000).collect()
}

#[test]
fn plans_of_queries_that_wait_follow_each_other_on_their_lanes() {
    // A query takes 2 ms and one comes every ms.
    let served = served(&problem(1, Load::Server(server(1, 4))));
    assert_eq!(ends(&served), [3, 5, 7, 9]);
    assert_eq!(served.issues.iter().map(|issue| issue.at).collect::<Vec<_>>(), [at(1), at(3), at(5), at(7)]);
}

#[test]
fn a_batch_takes_all_that_wait_once_nothing_is_under_way() {
    let mut problem = problem(1, Load::Server(server(1, 6)));
    problem.dispatch = Dispatch::Batch { batch_max: 3, delay_max: Duration::ZERO, in_flight_max: None };
    // Who arrives as a batch ends is in time for the next: 1 alone, 2 and 3, the last three.
    assert_eq!(ends(&served(&problem)), [3, 6, 6, 10, 10, 10]);
}

#[test]
fn a_batch_that_is_not_full_waits_no_longer_than_the_delay() {
    let mut problem = problem(1, Load::Server(server(2, 4)));
    problem.dispatch = Dispatch::Batch { batch_max: 3, delay_max: ms(3), in_flight_max: None };
    // The first, of 2 ms, waits till 5 ms with the one of 4 ms, for 3 ms; the one of 6 ms waits till 9, with that of 8.
    assert_eq!(ends(&served(&problem)), [8, 8, 12, 12]);
}

#[test]
fn each_free_device_takes_a_batch_where_there_is_a_plan_for_each() {
    // Two devices; a batch of b takes 1 + b ms. One query comes every ms, and two are there at once when a device is free.
    let mut problem = problem(2, Load::Server(server(1, 6)));
    let ended = |problem: &Problem| ends(&serve(problem, &mut first_free, &Streams::new(0, 0)).unwrap());
    problem.dispatch = Dispatch::Batch { batch_max: 4, delay_max: Duration::ZERO, in_flight_max: None };
    assert_eq!(ended(&problem), [3, 4, 5, 6, 7, 8]);
    problem.dispatch = Dispatch::Batch { batch_max: 4, delay_max: Duration::ZERO, in_flight_max: Some(1) };
    assert_eq!(ended(&problem), [3, 6, 6, 10, 10, 10]);
}

#[test]
fn batches_that_may_overlap_begin_as_soon_as_a_step_of_them_can() {
    // A batch of two takes 2 ms on each device, one of three 3 ms on the first and 2 on the second.
    let load = Load::MultiStream { samples: 3, queries: 4, clients: 4 };
    let ended = |in_flight_max| {
        let mut problem = problem(2, load.clone());
        problem.dispatch = Dispatch::Batch { batch_max: 3, delay_max: Duration::ZERO, in_flight_max };
        served(&problem)
    };
    let (one, two) = (ended(None), ended(Some(2)));
    assert_eq!((ends(&one), ends(&two)), (vec![3, 6, 9, 12], vec![3, 6, 9, 12]));
    let begun = |served: &Served| served.queries.iter().map(|query| query.begun).collect::<Vec<_>>();
    // The second device is done a millisecond earlier.
    assert_eq!((begun(&one), begun(&two)), ([0, 3, 6, 9].map(at).into(), [0, 2, 4, 6].map(at).into()));
}

#[test]
fn a_query_that_finds_the_queue_full_is_dropped() {
    let mut load = server(1, 5);
    load.queue_max = Some(1);
    let mut problem = problem(1, Load::Server(load));
    problem.dispatch = Dispatch::PerQuery { in_flight_max: Some(1) };
    let served = served(&problem);
    let fates: Vec<Fate> = served.queries.iter().map(|query| query.fate).collect();
    // The first is served till 3 ms, the second waits till then; the third ends the wait of nobody.
    assert_eq!(fates, [Fate::Done, Fate::Done, Fate::Done, Fate::Dropped, Fate::Done]);
    assert_eq!(ends(&served), [3, 5, 7, 4, 9]);
}

#[test]
fn a_query_that_need_not_wait_is_never_dropped() {
    let fates = |together: u32, queue_max: u32, dispatch: Dispatch| {
        let load = Server { together, queue_max: Some(queue_max), ..server(1, 6) };
        let mut problem = problem(1, Load::Server(load));
        problem.dispatch = dispatch;
        let fates = served(&problem).queries.into_iter().map(|query| match query.fate {
            Fate::Done => 'd',
            Fate::Dropped => '-',
            Fate::Expired => 'e',
        });
        fates.collect::<String>()
    };
    let one = Dispatch::PerQuery { in_flight_max: Some(1) };
    let batches = Dispatch::Batch { batch_max: 2, delay_max: Duration::ZERO, in_flight_max: None };
    // A query takes 2 ms: each second one finds the device free, though none may wait.
    assert_eq!(fates(1, 0, one), "d-d-d-");
    // Of three at 1 ms one begins, one waits and one is dropped; of those of 2 ms all are, since one waits till 3 ms.
    assert_eq!(fates(3, 1, one), "dd----");
    // Two begin as a batch till 4 ms, one waits.
    assert_eq!(fates(3, 1, batches), "ddd---");
}

#[test]
fn a_query_that_waits_is_dropped_when_its_deadline_passes_however_many_may_be_under_way() {
    let mut load = server(1, 4);
    (load.deadline, load.drop_late) = (Some(ms(1)), true);
    for in_flight_max in [Some(1), Some(2), None] {
        let mut problem = problem(1, Load::Server(load.clone()));
        problem.dispatch = Dispatch::PerQuery { in_flight_max };
        let served = served(&problem);
        let fates: Vec<Fate> = served.queries.iter().map(|query| query.fate).collect();
        // The first is served till 3 ms, when the second still may begin; the third may not, and goes at 4 ms.
        assert_eq!(fates, [Fate::Done, Fate::Done, Fate::Expired, Fate::Done]);
        assert_eq!(ends(&served), [3, 5, 4, 7]);
    }
}

#[test]
fn a_batch_is_formed_of_those_whose_deadline_has_not_passed() {
    let load = Server { deadline: Some(ms(3)), drop_late: true, ..server(2, 5) };
    let mut problem = problem(1, Load::Server(load));
    problem.dispatch = Dispatch::Batch { batch_max: 3, delay_max: ms(9), in_flight_max: None };
    // Before three wait, at 6 ms, the first is gone, at 5 ms; and so on.
    assert_eq!(ends(&served(&problem)), [5, 7, 9, 11, 13]);
}

#[test]
fn who_waits_for_a_device_that_is_out_is_dropped_when_late_even_if_it_never_comes_back() {
    for dispatch in [
        Dispatch::PerQuery { in_flight_max: Some(1) },
        Dispatch::PerQuery { in_flight_max: None },
        Dispatch::Batch { batch_max: 2, delay_max: Duration::ZERO, in_flight_max: None },
    ] {
        for replanning in [None, Some(1)] {
            let load = Server { deadline: Some(ms(9)), drop_late: true, ..server(5, 4) };
            let mut problem =
                with_faults(problem(1, Load::Server(load)), &[(11, Change::Out { device: DeviceId(0) })], replanning);
            problem.dispatch = dispatch;
            let never = |problem: &Problem| match problem.platform.devices[0].unsupported.is_empty() {
                true => even(problem),
                false => Err("no device is left".to_owned()),
            };
            let served = serve(&problem, &mut |question| never(&question.problem), &Streams::new(0, 0)).unwrap();
            let fates: Vec<Fate> = served.queries.iter().map(|query| query.fate).collect();
            // The first is done at 7 ms. The second was begun at 10 ms; all of it is lost, so that it waits again.
            assert_eq!(fates, [Fate::Done, Fate::Expired, Fate::Expired, Fate::Expired]);
            assert_eq!(ends(&served), [7, 19, 24, 29]);
        }
    }
}

#[test]
fn what_a_late_query_lost_is_not_computed_again_but_its_batch_is() {
    let load = Server { deadline: Some(ms(6)), drop_late: true, ..server(1, 3) };
    let changes = [(5, Change::Out { device: DeviceId(0) }), (9, Change::Back { device: DeviceId(0) })];
    let mut problem = with_faults(problem(1, Load::Server(load)), &changes, None);
    problem.dispatch = Dispatch::Batch { batch_max: 2, delay_max: Duration::ZERO, in_flight_max: None };
    let served = served(&problem);
    let fates: Vec<Fate> = served.queries.iter().map(|query| query.fate).collect();
    // The first is done at 3 ms, and the others begin. They are lost at 5 ms; at 8 ms the second is late, and at 9 ms the
    // third is computed alone.
    assert_eq!(fates, [Fate::Done, Fate::Expired, Fate::Done]);
    assert_eq!(ends(&served), [3, 8, 11]);
    assert_eq!(served.issues.iter().map(|issue| issue.samples).collect::<Vec<_>>(), [1, 2, 1]);
}

#[test]
fn clients_send_their_next_query_when_the_last_is_done() {
    let served = served(&problem(1, Load::SingleStream { queries: 5, clients: 2 }));
    assert_eq!(ends(&served), [2, 4, 6, 8, 10]);
    assert_eq!(served.queries.iter().map(|query| query.arrived).collect::<Vec<_>>(), [0, 0, 2, 4, 6].map(at));
}

#[test]
fn an_offline_load_takes_as_long_as_its_plan() {
    let problem = problem(3, Load::Offline { samples: 20 });
    let plan = even(&problem).unwrap().remove(0);
    assert_eq!(served(&problem).timeline, simulate(&problem, &plan).unwrap());
}

#[test]
fn what_was_issued_is_one_sound_plan() {
    let mut load = server(1, 40);
    load.samples = 3;
    let mut problem = problem(2, Load::Server(load));
    problem.dispatch = Dispatch::Batch { batch_max: 12, delay_max: ms(1), in_flight_max: None };
    let served = served(&problem);
    let (plan, timeline, origins) = served.recorded(usize::MAX);
    let samples = served.issues.iter().map(|issue| issue.samples).sum();
    assert_eq!((samples, origins.len()), (120, plan.steps.len()));
    let checked = check(plan, &problem.offline(samples)).unwrap();
    assert!(timeline.obeys(&checked, &problem.platform));
    // Without waiting for arrivals, it can only be faster.
    let at_once = simulate(&problem, &checked).unwrap();
    assert!(at_once.makespan() <= timeline.makespan());
}

#[test]
fn a_load_beyond_the_capacity_shows_the_capacity_whatever_the_warm_up() {
    // Batches of 9 take 10 ms; one query comes every half millisecond.
    let mut load = server(1, 1000);
    load.arrivals = Arrivals::Deterministic { gap: Duration::from_nanos(500_000) };
    let mut problem = problem(1, Load::Server(load));
    problem.dispatch = Dispatch::Batch { batch_max: 9, delay_max: Duration::ZERO, in_flight_max: None };
    let served = served(&problem);
    for warm_up in [WarmUpEnd::Queries(100), WarmUpEnd::Queries(333), WarmUpEnd::At(at(77))] {
        let figures = Replication::of(&problem, &served, warm_up).unwrap();
        let per_second = figures.queries.ended / figures.queries.seconds;
        assert!((per_second - 900.0).abs() < 2.0, "{per_second}"); // the last batch is smaller
        assert_eq!(figures.utilisation, [1.0]);
    }
}

pub(crate) fn with_faults(mut problem: Problem, faults: &[(u64, Change)], replanning: Option<u64>) -> Problem {
    let faults = faults.iter().map(|&(millis, change)| Fault { at: at(millis), change }).collect();
    problem.faults = Faults { faults, replanning: replanning.map(ms) };
    problem
}

const SECOND: DeviceId = DeviceId(1);

#[test]
fn a_device_that_goes_half_as_fast_takes_twice_as_long_from_then_on() {
    let slow = Change::Speed { device: DeviceId(0), health: 0.5 };
    let healthy = Change::Speed { device: DeviceId(0), health: 1.0 };
    // 21 ms of work: 10 in the first 10, 5 in the next 10, 6 in the last 6.
    let problem = with_faults(problem(1, Load::Offline { samples: 20 }), &[(10, slow), (20, healthy)], None);
    assert_eq!(ends(&served(&problem)), [26]);
}

#[test]
fn what_a_device_loses_is_computed_by_those_that_are_left_after_planning_again() {
    let load = Load::Offline { samples: 20 };
    // Ten samples each take 11 ms; at 5 ms those of the second are lost, and at 7 ms there is a plan for ten more, which
    // wait for the first device till 11 ms and take 11 ms more.
    let problem = with_faults(problem(2, load), &[(5, Change::Out { device: SECOND })], Some(2));
    let served = served(&problem);
    assert_eq!(ends(&served), [22]);
    assert_eq!(served.lost.len(), 1);
    assert_eq!(served.timeline.span(served.lost[0]).duration(), ms(5));
    assert_eq!(served.recoveries[0].time, Some(ms(17)));
}

#[test]
fn planning_again_moves_what_has_not_begun_to_a_device_that_is_back() {
    // At 5 ms the second drops out; at 7 ms its ten samples wait for the first. From 9 ms on they are shared again.
    let changes = [(5, Change::Out { device: SECOND }), (8, Change::Back { device: SECOND })];
    let problem = with_faults(problem(2, Load::Offline { samples: 20 }), &changes, Some(1));
    let served = served(&problem);
    // Five samples on the second from 9 to 15 ms, five on the first after its first ten, from 11 to 17 ms.
    assert_eq!(ends(&served), [17]);
    assert_eq!(served.issues.iter().map(|issue| issue.samples).collect::<Vec<_>>(), [20, 10, 10]);
}

#[test]
fn queries_wait_until_they_begin_whether_or_not_they_have_a_plan() {
    let mut load = server(1, 5);
    load.queue_max = Some(1);
    // Plans queue on the lane: the third query finds the second waiting there.
    let served = served(&problem(1, Load::Server(load)));
    let fates: Vec<Fate> = served.queries.iter().map(|query| query.fate).collect();
    assert_eq!(fates, [Fate::Done, Fate::Done, Fate::Done, Fate::Dropped, Fate::Done]);
    assert_eq!(served.queries.iter().map(|query| query.begun).collect::<Vec<_>>(), [1, 3, 5, 4, 7].map(at));
}

/// Each sample goes over a link to the second device, which computes it, and back over another; messages take 1 ms of a
/// link and arrive 5 ms later.
fn over_links(problem: &Problem) -> Result<Vec<CheckedPlan>, String> {
    let mut plan = Plan::default();
    let [there, back] = [0, 1].map(|link| plan.lane(Lane::Link(LinkId(link))));
    let lane = plan.lane(Lane::Compute { device: SECOND, share: Share::FULL, memory: Bytes(1 << 29) });
    let region = Region { samples: 0..problem.samples(), rows: 0..1 };
    let transfer =
        |layer, to| Action::Transfer { model: ModelId(0), layer: LayerId(layer), region: region.clone(), to };
    let sent = plan.step(there, transfer(0, SECOND), &[]);
    let segment = Segment::range(LayerId(1), LayerId(1));
    let work = Work { model: ModelId(0), segment, region: region.clone() };
    let computed = plan.step(lane, Action::Compute(work), &[sent]);
    plan.step(back, transfer(1, DeviceId(0)), &[computed]);
    check(plan, problem).map(|plan| vec![plan]).map_err(|found| format!("{found:?}"))
}

fn with_links(queries: u32, faults: &[(u64, Change)]) -> Problem {
    let load = Load::Server(Server { together: queries, ..server(1, queries) });
    let mut problem = with_faults(problem(2, load), faults, None);
    let bandwidth = coinfer::units::BytesPerSec::new(1e9).unwrap();
    let link = |ends: (u32, u32)| Link {
        latency: ms(5),
        ..Link::new("l", (DeviceId(ends.0), DeviceId(ends.1)), Direction::OneWay, bandwidth)
    };
    problem.platform.links = [(0, 1), (1, 0)].map(link).into();
    problem.models[0].home = Some(DeviceId(0));
    problem
}

#[test]
fn messages_of_queries_follow_each_other_on_a_link_while_others_are_on_their_way() {
    let problem = with_links(10, &[]);
    let served = serve(&problem, &mut |question| over_links(&question.problem), &Streams::new(0, 0)).unwrap();
    // From when they come, at 1 ms: sent in 1 ms, there after 6, computed after 8, sent by 9 and back after 14; each takes
    // the device 2 ms.
    assert_eq!(ends(&served), (0..10).map(|index| 1 + 14 + 2 * index).collect::<Vec<_>>());
    let (plan, timeline, _) = served.recorded(usize::MAX);
    assert!(timeline.obeys(&plan, &problem.platform));
}

#[test]
fn what_is_on_its_way_to_a_device_that_drops_out_is_lost_and_sent_again() {
    let changes = [(8, Change::Out { device: SECOND }), (21, Change::Back { device: SECOND })];
    let problem = with_links(10, &changes);
    let served = serve(&problem, &mut |question| over_links(&question.problem), &Streams::new(0, 0)).unwrap();
    assert_eq!(ends(&served), (0..10).map(|index| 21 + 14 + 2 * index).collect::<Vec<_>>());
    // One is computed, one has arrived, the next five are on their way, and the eighth has just begun.
    assert!(served.lost.iter().all(|&step| served.timeline.span(step).end <= at(8)));
    let on_the_link = |step: &&StepId| served.timeline.span(**step).duration() == ms(1);
    assert_eq!(served.lost.iter().filter(on_the_link).count(), 6, "{:?}", served.lost);
}

#[test]
fn without_planning_again_the_work_waits_until_the_device_is_back() {
    let changes = [(5, Change::Out { device: SECOND }), (30, Change::Back { device: SECOND })];
    let waiting = with_faults(problem(2, Load::Offline { samples: 20 }), &changes, None);
    // Ten samples again, now shared by both: 6 ms.
    assert_eq!(ends(&served(&waiting)), [36]);
    let without_end = with_faults(problem(2, Load::Offline { samples: 20 }), &changes[..1], None);
    let error = run(&without_end, &Streams::new(0, 0)).unwrap_err();
    insta::assert_snapshot!(error, @"1 of 1 queries wait for `d1` without end; say when it comes back (`until`), or plan again (`replanning`)");
}

#[test]
fn what_a_device_loses_waits_for_it_however_much_it_is_and_others_go_on() {
    let changes = [(1, Change::Out { device: SECOND }), (30, Change::Back { device: SECOND })];
    let ended = |samples: u32| ends(&served(&with_faults(problem(2, Load::Offline { samples }), &changes, None)))[0];
    // Of two samples, the second loses one; of 20, ten.
    assert_eq!([2, 3, 4, 20].map(ended), [32, 32, 32, 36]);
    // A plan for one of two devices is lost with the second; the queries after it run on the first.
    let load = Load::SingleStream { queries: 6, clients: 2 };
    let served = serve(&with_faults(problem(2, load), &changes, None), &mut first_free, &Streams::new(0, 0)).unwrap();
    assert_eq!(ends(&served), [2, 32, 4, 6, 8, 10]);
}

#[test]
fn a_query_that_waits_to_be_computed_again_is_still_under_way() {
    let changes = [(1, Change::Out { device: DeviceId(0) }), (30, Change::Back { device: DeviceId(0) })];
    let mut problem = with_faults(problem(2, Load::SingleStream { queries: 5, clients: 3 }), &changes, None);
    for (in_flight_max, ended) in [(1, [32, 34, 36, 38, 40]), (2, [32, 2, 4, 6, 8])] {
        problem.dispatch = Dispatch::PerQuery { in_flight_max: Some(in_flight_max) };
        let served = serve(&problem, &mut first_free, &Streams::new(0, 0)).unwrap();
        assert_eq!(ends(&served), ended);
    }
}

proptest! {
    #[test]
    fn no_less_work_takes_longer_when_a_device_drops_out(
        samples in 1u32..40, from in 0u64..30, long in 1u64..60
    ) {
        let changes = [(from, Change::Out { device: SECOND }), (from + long, Change::Back { device: SECOND })];
        let ended = |samples: u32| {
            ends(&served(&with_faults(problem(2, Load::Offline { samples }), &changes, None)))[0]
        };
        prop_assert!(ended(samples) <= ended(samples + 1));
    }

    #[test]
    fn queries_recorded_at_one_time_are_served_as_those_that_come_together(
        gaps in prop::collection::vec(0u64..4, 1..20), together in 1u32..5, queue_max in prop::option::of(0u32..5),
        deadline in prop::option::of(1u64..9), devices in 1u32..3, dispatch in any_dispatch()
    ) {
        let times: Vec<Time> = gaps.iter().scan(0, |now, gap| { *now += gap; Some(at(*now)) }).collect();
        let load = Server { queue_max, deadline: deadline.map(ms), drop_late: deadline.is_some(), ..server(1, 1) };
        let queries = times.len() as u32 * together;
        let repeated = times.iter().flat_map(|&time| (0..together).map(move |_| time)).collect();
        let [one, many] = [(times, together), (repeated, 1)].map(|(times, together)| {
            let load = Server { arrivals: Arrivals::Recorded { times, samples: vec![] }, together, queries, ..load.clone() };
            let mut problem = problem(devices, Load::Server(load));
            problem.dispatch = dispatch;
            served(&problem)
        });
        prop_assert_eq!(one.queries, many.queries);
        prop_assert_eq!(one.timeline, many.timeline);
    }
}

#[test]
fn where_nobody_may_wait_queries_are_lost_as_erlang_says() {
    // Erlang, 1917: of the queries that come at a rate a to one server, a / (1 + a) find it busy, whatever its times.
    let arrivals = Arrivals::Poisson { gap_mean: ms(2) };
    let load = Server { arrivals, queue_max: Some(0), ..server(1, 200_000) };
    let batches_of_one = Dispatch::Batch { batch_max: 1, delay_max: Duration::ZERO, in_flight_max: None };
    for dispatch in [Dispatch::PerQuery { in_flight_max: None }, batches_of_one] {
        let mut problem = problem(1, Load::Server(load.clone()));
        problem.dispatch = dispatch;
        let lost = served(&problem).queries.iter().filter(|query| query.fate == Fate::Dropped).count();
        assert!((lost as f64 / 200_000.0 - 0.5).abs() < 0.005, "{lost}");
    }
}

/// Two networks on `devices` devices, each with a load of its own.
fn two_networks(devices: u32, loads: [(Load, u8); 2]) -> Problem {
    let mut problem = problem(devices, Load::Offline { samples: 1 });
    problem.models.push(Model { graph: Graph::opaque("other", 4, 4, Bytes(0), Bytes(8)).unwrap(), home: None });
    let tenant = |(index, (load, priority))| Tenant { model: ModelId(index), load, priority };
    problem.load = Load::PerModel((0..).zip(loads).map(tenant).collect());
    problem
}

#[test]
fn a_strategy_plans_the_network_of_a_query_only_and_batches_are_of_one_network() {
    let stream = |samples, queries| Load::MultiStream { samples, queries, clients: queries };
    let mut problem = two_networks(1, [(stream(1, 3), 0), (stream(2, 2), 0)]);
    problem.dispatch = Dispatch::Batch { batch_max: 4, delay_max: Duration::ZERO, in_flight_max: None };
    let mut asked = Vec::new();
    let mut planner = |question: &Question| {
        let networks: Vec<&str> = question.problem.models.iter().map(|model| model.graph.name()).collect();
        asked.push((networks.join(" "), question.problem.samples()));
        even(&question.problem)
    };
    let served = serve(&problem, &mut planner, &Streams::new(0, 0)).unwrap();
    assert_eq!(asked, [("net".to_owned(), 3), ("other".to_owned(), 4)]);
    // Three samples of the first take 4 ms; four of the second 5 ms.
    assert_eq!(ends(&served), [4, 4, 4, 9, 9]);
    assert_eq!(
        served.queries.iter().map(|query| (query.tenant, query.samples)).collect::<Vec<_>>()[2..],
        [(0, 1), (1, 2), (1, 2)]
    );
}

#[test]
fn who_has_a_higher_priority_begins_first() {
    let order = |priorities: [u8; 2]| {
        let load = Load::Server(server(1, 3));
        let problem = two_networks(1, priorities.map(|priority| (load.clone(), priority)));
        let mut begun: Vec<(Time, u16)> =
            served(&problem).queries.iter().map(|query| (query.begun, query.tenant)).collect();
        begun.sort();
        begun.into_iter().map(|(_, tenant)| tenant).collect::<Vec<_>>()
    };
    assert_eq!(order([0, 0]), [0, 1, 0, 1, 0, 1]);
    assert_eq!(order([0, 1]), [1, 1, 1, 0, 0, 0]);
    assert_eq!(order([3, 1]), [0, 0, 0, 1, 1, 1]);
}

#[test]
fn recorded_queries_have_samples_of_their_own_and_batches_take_what_fits() {
    let arrivals = Arrivals::Recorded { times: [0, 0, 0, 0].map(at).into(), samples: vec![3, 2, 4, 1] };
    let mut problem = problem(1, Load::Server(Server { arrivals, samples: 4, ..server(1, 4) }));
    assert_eq!(ends(&served(&problem)), [4, 7, 12, 14]);
    problem.dispatch = Dispatch::Batch { batch_max: 5, delay_max: Duration::ZERO, in_flight_max: None };
    assert_eq!(ends(&served(&problem)), [6, 6, 12, 12]);
    // The fourth would not fit, so that the batch of three is full.
    problem.dispatch = Dispatch::Batch { batch_max: 9, delay_max: ms(50), in_flight_max: None };
    assert_eq!(ends(&served(&problem)), [10, 10, 10, 52]);
    assert_eq!(problem.load.samples_in_all(), 10);
}

proptest! {
    #[test]
    fn of_each_network_all_queries_end_once_and_littles_law_holds(
        loads in [any_load(), any_load()], priorities in any::<[u8; 2]>(), dispatch in any_dispatch(), devices in 1u32..4
    ) {
        let [first, second] = loads;
        let mut problem = two_networks(devices, [(first, priorities[0]), (second, priorities[1])]);
        problem.dispatch = dispatch;
        let served = run(&problem, &Streams::new(1, 2)).unwrap();
        prop_assert_eq!(&run(&problem, &Streams::new(1, 2)).unwrap().queries, &served.queries);
        let Load::PerModel(tenants) = &problem.load else { unreachable!() };
        for (index, tenant) in (0..).zip(tenants) {
            let own: Vec<_> = served.queries.iter().filter(|query| query.tenant == index).collect();
            prop_assert_eq!(own.len() as u32, tenant.load.queries());
            let issued: u32 = served.issues.iter().filter(|issue| issue.tenant == index).map(|issue| issue.queries).sum();
            let done = own.iter().filter(|query| query.fate == Fate::Done).count();
            prop_assert_eq!(issued as usize, done);
            // In the order in which they came.
            let begun: Vec<Time> = own.iter().filter(|query| query.fate == Fate::Done).map(|query| query.begun).collect();
            prop_assert!(begun.is_sorted());
            let mut changes: Vec<(Time, i64)> =
                own.iter().flat_map(|query| [(query.arrived, 1), (query.ended, -1)]).collect();
            changes.sort();
            let (mut inside, mut area, mut before) = (0, 0, Time::ZERO);
            for (time, change) in changes {
                area += inside * (time - before).as_nanos() as i64;
                (inside, before) = (inside + change, time);
            }
            prop_assert_eq!(area, own.iter().map(|query| query.latency().as_nanos() as i64).sum::<i64>());
        }
        // What was issued is one sound plan of so many samples of each network.
        let samples = |index: u16| {
            served.issues.iter().filter(|issue| issue.tenant == index).map(|issue| issue.samples).sum::<u32>()
        };
        if samples(0) > 0 && samples(1) > 0 {
            let offline = [0, 1].map(|index| (Load::Offline { samples: samples(index) }, 0));
            let (plan, timeline, _) = served.recorded(usize::MAX);
            let checked = check(plan, &two_networks(devices, offline)).unwrap();
            prop_assert!(timeline.obeys(&checked, &problem.platform));
        }
    }

    #[test]
    fn two_networks_alike_are_served_as_one_with_the_queries_of_both(
        gaps in prop::collection::vec((0u64..4, any::<bool>()), 1..40), in_flight_max in prop::option::of(1u32..4)
    ) {
        let times: Vec<(Time, bool)> =
            gaps.iter().scan(0, |now, (gap, which)| { *now += gap; Some((at(*now), *which)) }).collect();
        let load = |times: Vec<Time>| {
            let queries = times.len() as u32;
            let arrivals = Arrivals::Recorded { times, samples: vec![] };
            (Load::Server(Server { arrivals, ..server(1, queries) }), 0)
        };
        let of = |which: bool| times.iter().filter(|(_, its)| *its == which).map(|(time, _)| *time).collect();
        let mut both = two_networks(1, [load(of(true)), load(of(false))]);
        let mut one = problem(1, load(times.iter().map(|(time, _)| *time).collect()).0);
        both.dispatch = Dispatch::PerQuery { in_flight_max };
        one.dispatch = both.dispatch;
        // Of those that come at one time, the first network's go first: the same times, whoever has them.
        let ended = |problem: &Problem| { let mut ends = ends(&served(problem)); ends.sort(); ends };
        prop_assert_eq!(ended(&both), ended(&one));
    }
}

/// Random arrivals at one device whose times vary.
fn random_queue(queries: u32) -> Problem {
    let arrivals = Arrivals::Poisson { gap_mean: ms(3) };
    let mut problem = problem(1, Load::Server(Server { arrivals, ..server(1, queries) }));
    problem.variation =
        Variation { devices: vec![Jitter::new(Shape::Lognormal { cv: 0.5 }, None).unwrap()], links: vec![] };
    problem
}

#[test]
fn queries_leave_one_device_as_lindleys_recursion_says_to_the_nanosecond() {
    // Lindley, The theory of queues with a single server, 1952.
    let problem = random_queue(2_000);
    let Load::Server(Server { arrivals, .. }) = &problem.load else { unreachable!() };
    let streams = Streams::new(3, 1);
    let mut sampler = Sampler::of_device(&problem.variation, &streams, DeviceId(0), 0);
    let mut free = Time::ZERO;
    let expected: Vec<(Time, Time)> = ArrivalTimes::new(arrivals, &streams, 0)
        .take(2_000)
        .map(|arrived| {
            free = free.max(arrived) + sampler.stretch(ms(2));
            (arrived, free)
        })
        .collect();
    let served = run(&problem, &streams).unwrap();
    let found: Vec<(Time, Time)> = served.queries.iter().map(|query| (query.arrived, query.ended)).collect();
    assert_eq!(found, expected);
}

#[test]
fn strategies_meet_the_same_chances_so_that_a_percent_between_them_shows() {
    let slower = Change::Speed { device: DeviceId(0), health: 0.99 };
    let (plain, slowed) = (random_queue(400), with_faults(random_queue(400), &[(0, slower)], None));
    let means = |problem: &Problem, seed: u64| -> Vec<f64> {
        let mean = |replication: u32| {
            let served = run(problem, &Streams::new(seed, replication)).unwrap();
            served.queries.iter().map(|query| query.latency().as_millis_f64()).sum::<f64>() / 400.0
        };
        (0..20).map(mean).collect()
    };
    let (same, paired) = compare(&means(&slowed, 1), &means(&plain, 1), 0.95).unwrap();
    let (other, separate) = compare(&means(&slowed, 1), &means(&plain, 2), 0.95).unwrap();
    assert_eq!((same, other), (Comparison::Greater, Comparison::NotDistinguishable));
    let variance_ratio = (separate.half_width / paired.half_width).powi(2);
    assert!(variance_ratio > 100.0, "{variance_ratio}");
}

#[derive(Clone, Debug)]
struct Drawn {
    devices: u32,
    load: Load,
    dispatch: Dispatch,
    faults: Vec<(u64, Change)>,
    cv: f64,
}

pub(crate) fn any_dispatch() -> impl Strategy<Value = Dispatch> {
    prop_oneof![
        prop::option::of(1u32..4).prop_map(|in_flight_max| Dispatch::PerQuery { in_flight_max }),
        (1u32..9, 0u64..4, prop::option::of(1u32..3)).prop_map(|(batch_max, delay, in_flight_max)| Dispatch::Batch {
            batch_max,
            delay_max: ms(delay),
            in_flight_max,
        }),
    ]
}

pub(crate) fn any_load() -> impl Strategy<Value = Load> {
    let server =
        (1u64..6, 1u32..3, 1u32..4, 1u32..60, prop::option::of(1u32..5), prop::option::of(1u64..9), any::<bool>())
            .prop_map(|(gap, together, samples, queries, queue_max, deadline, drop_late)| {
                let arrivals = Arrivals::Poisson { gap_mean: ms(gap) };
                Load::Server(Server {
                    arrivals,
                    together,
                    samples,
                    queries,
                    queue_max,
                    deadline: deadline.map(ms),
                    drop_late,
                })
            });
    let closed = (1u32..4, 1u32..40, 1u32..5).prop_map(|(samples, queries, clients)| Load::MultiStream {
        samples,
        queries,
        clients,
    });
    prop_oneof![server, closed]
}

fn any_service() -> impl Strategy<Value = Drawn> {
    let fault = (0u64..60, 1u64..20, 0u32..3, any::<bool>()).prop_map(|(from, long, device, is_out)| {
        let device = DeviceId(device);
        match is_out {
            true => [(from, Change::Out { device }), (from + long, Change::Back { device })],
            false => {
                [(from, Change::Speed { device, health: 0.3 }), (from + long, Change::Speed { device, health: 1.0 })]
            }
        }
    });
    let faults = prop::collection::vec(fault, 0..4);
    (any_load(), any_dispatch(), faults, 0.0..1.0).prop_map(|(load, dispatch, faults, cv)| {
        let mut faults: Vec<_> = faults.concat();
        faults.sort_by_key(|(millis, _)| *millis);
        Drawn { devices: 3, load, dispatch, faults, cv }
    })
}

proptest! {
    #[test]
    fn every_query_ends_once_and_nothing_is_out_of_order(drawn in any_service(), replanning in prop::option::of(0u64..5)) {
        let mut problem = with_faults(problem(drawn.devices, drawn.load.clone()), &drawn.faults, replanning);
        problem.dispatch = drawn.dispatch;
        let jitter = Jitter::new(Shape::Lognormal { cv: drawn.cv }, None).unwrap();
        problem.variation = Variation { devices: vec![jitter; 3], links: vec![] };
        let first = run(&problem, &Streams::new(1, 2));
        let Ok(served) = first else {
            // All devices were out when there had to be a plan.
            prop_assert!(first.unwrap_err().to_string().contains("no device is left"));
            return Ok(());
        };
        let again = run(&problem, &Streams::new(1, 2)).unwrap();
        prop_assert_eq!(&again.queries, &served.queries);
        prop_assert_eq!(served.queries.len() as u32, problem.load.queries());
        prop_assert!(served.queries.iter().all(|query| query.arrived <= query.begun && query.begun <= query.ended));
        prop_assert!(served.queries.is_sorted_by_key(|query| query.arrived));
        let done = served.queries.iter().filter(|query| query.fate == Fate::Done).count();
        let issued: u32 = served.issues.iter().map(|issue| issue.queries).sum();
        prop_assert!(issued as usize >= done);

        // Each lane runs one step at a time, and no more than the whole run.
        let horizon = served.timeline.spans.iter().map(|span| span.end).max().unwrap_or_default();
        let mut by_device: Vec<Vec<_>> = vec![Vec::new(); 3];
        for issue in &served.issues {
            let plan = &served.plans[issue.plan as usize];
            for (index, step) in (0..).zip(&plan.steps) {
                let Lane::Compute { device, .. } = plan.lane_at(step.lane.unwrap()) else { unreachable!() };
                let span = served.timeline.spans[(issue.first_step.0 + index) as usize];
                if span.duration() > Duration::ZERO {
                    prop_assert!(span.start >= issue.at);
                    by_device[device.0 as usize].push((span.start, span.end));
                }
            }
        }
        for spans in &mut by_device {
            spans.sort();
            prop_assert!(spans.windows(2).all(|pair| pair[0].1 <= pair[1].0));
            let busy: Duration = spans.iter().map(|(start, end)| *end - *start).sum();
            prop_assert!(busy <= horizon.since_start());
        }

        // What arrived is done, dropped, waiting or under way at all times, and no more wait or are under way than may.
        let mut moments: Vec<Time> = served.queries.iter().flat_map(|query| [query.arrived, query.begun]).collect();
        moments.dedup();
        for now in moments {
            let arrived = served.queries.iter().filter(|query| query.arrived <= now);
            let waiting = arrived.clone().filter(|query| query.begun > now).count();
            let under_way = arrived.clone().filter(|query| query.begun <= now && query.ended > now).count();
            let over = arrived.clone().filter(|query| query.ended <= now).count();
            prop_assert_eq!(arrived.count(), waiting + under_way + over);
            if let Load::Server(Server { queue_max: Some(limit), .. }) = problem.load {
                prop_assert!(waiting <= limit as usize);
            }
            if let Dispatch::PerQuery { in_flight_max: Some(limit) } = problem.dispatch
                && problem.faults.is_empty()
            {
                prop_assert!(under_way <= limit as usize);
            }
        }

        // Little's law: the time integral of queries in the system is the sum of the times they spent there.
        let mut changes: Vec<(Time, i64)> =
            served.queries.iter().flat_map(|query| [(query.arrived, 1), (query.ended, -1)]).collect();
        changes.sort();
        let mut inside = 0;
        let mut area = 0u64;
        let mut before = Time::ZERO;
        for (time, change) in changes {
            area += inside as u64 * (time - before).as_nanos();
            (inside, before) = (inside + change, time);
        }
        prop_assert_eq!(inside, 0);
        prop_assert_eq!(area, served.queries.iter().map(|query| query.latency().as_nanos()).sum::<u64>());
    }
}

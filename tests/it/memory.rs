//! Memory of plans under way together: who waits for it, who gives it back, and when.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;

use coinfer::cost::{Basis, CostModel, Estimate, Uncalibrated};
use coinfer::engine::{Fate, Issue, Question, ServeError, Served, Streams, serve, simulate};
use coinfer::model::{Graph, LayerId, ModelId, Region, Segment, Work};
use coinfer::plan::{Action, CheckedPlan, Footprint, Lane, Plan, check, footprints};
use coinfer::platform::{Device, DeviceId, DeviceKind, Direction, Link, LinkId, Memory, MemoryId, Platform};
use coinfer::problem::{Change, Load, Model, Problem, Server, Tenant};
use coinfer::strategy::{MicroBatchedSingle, Strategy as _};
use coinfer::units::{Bytes, BytesPerSec, Share, Time};
use proptest::prelude::*;

use crate::service::{any_dispatch, any_load, at, ends, ms, server, with_faults};

const HOME: DeviceId = DeviceId(0);
const WORKER: DeviceId = DeviceId(1);

/// A millisecond for a message, ten for what is computed.
struct Times;

impl CostModel for Times {
    fn compute(&self, _: DeviceId, _: Share, _: &Work) -> Result<Estimate, Uncalibrated> {
        Ok(Estimate { time: ms(10), basis: Basis::Modelled })
    }
    fn transfer(&self, _: LinkId, _: Bytes) -> Result<Estimate, Uncalibrated> {
        Ok(Estimate { time: ms(1), basis: Basis::Modelled })
    }
}

/// A network of 1000 B of weights, whose samples take 400 B, and with their outputs 404.
fn network(name: &str) -> Model {
    Model { graph: Graph::opaque(name, 400, 4, Bytes(1000), Bytes(404)).unwrap(), home: Some(HOME) }
}

/// A home that has the samples, and a worker that computes them, each with so much memory.
fn problem([home, worker]: [u64; 2], load: Load) -> Problem {
    let device = |name: &str, memory: u64| (Device::new(name, DeviceKind::Gpu), Bytes(memory));
    let link = |name: &str, ends| Link::new(name, ends, Direction::OneWay, BytesPerSec::new(1e9).unwrap());
    let platform = Platform {
        links: vec![link("there", (HOME, WORKER)), link("back", (WORKER, HOME))],
        ..Platform::new([device("home", home), device("worker", worker)])
    };
    Problem { costs: Arc::new(Times), ..Problem::new(vec![network("net")], platform, load, Times) }
}

/// All samples are sent to the worker, computed at once, and their outputs sent back.
fn sent(question: &Question) -> Result<Vec<CheckedPlan>, String> {
    let mut plan = Plan::default();
    let samples = 0..question.problem.samples();
    let region = Region { samples: samples.clone(), rows: 0..1 };
    let there = plan.lane(Lane::Link(LinkId(0)));
    let memory = Bytes(1000 + 404 * u64::from(samples.end));
    let lane = plan.lane(Lane::Compute { device: WORKER, share: Share::FULL, memory });
    let back = plan.lane(Lane::Link(LinkId(1)));
    let model = ModelId(0);
    let send = |layer: u32, to| Action::Transfer { model, layer: LayerId(layer), region: region.clone(), to };
    let first = plan.step(there, send(0, WORKER), &[]);
    let work = Work { model, segment: Segment::range(LayerId(1), LayerId(1)), region: region.clone() };
    let computed = plan.step(lane, Action::Compute(work), &[first]);
    plan.step(back, send(1, HOME), &[computed]);
    check(plan, &question.problem).map(|plan| vec![plan]).map_err(|found| format!("{found:?}"))
}

fn served(problem: &Problem) -> Result<Served, ServeError> {
    serve(problem, &mut sent, &Streams::new(0, 0))
}

fn begun(problem: &Problem) -> Vec<u64> {
    let served = served(problem).unwrap();
    served.queries.iter().map(|query| query.begun.since_start().as_nanos() / 1_000_000).collect()
}

const CLIENTS: Load = Load::SingleStream { queries: 6, clients: 6 };
const PLENTY: u64 = 1 << 30;

#[test]
fn a_query_waits_until_there_is_memory_for_it_beside_those_under_way() {
    let worker = |samples: u64| 1000 + samples * 404;
    // Inputs are sent one after the other, however many wait there.
    assert_eq!(begun(&problem([PLENTY, PLENTY], CLIENTS)), [0, 1, 2, 3, 4, 5]);
    // Weights lie there once, and data for each of two queries.
    assert_eq!(begun(&problem([PLENTY, worker(2)], CLIENTS)), [0, 1, 12, 22, 32, 42]);
    assert_eq!(begun(&problem([PLENTY, worker(1)], CLIENTS)), [0, 12, 24, 36, 48, 60]);
    // At home, inputs lie while they are computed, and outputs when they are back.
    assert_eq!(begun(&problem([2 * 404, PLENTY], CLIENTS)), [0, 1, 12, 22, 32, 42]);
    // A memory that both use holds all of it: of one query, its input twice while that is sent.
    let shared = |memory: u64| {
        let mut problem = problem([PLENTY, PLENTY], CLIENTS);
        let (name, users) = ("dram".to_owned(), vec![HOME, WORKER]);
        problem.platform.memories.push(Memory { name, capacity: Some(Bytes(memory)), users, rule: None, paging: None });
        problem
    };
    assert_eq!(begun(&shared(1000 + 4 * 400)), [0, 1, 12, 22, 32, 42]);
    assert_eq!(begun(&shared(1000 + 4 * 400 - 1)), [0, 12, 24, 36, 48, 60]);
    let error = served(&shared(1000 + 2 * 400 - 1)).unwrap_err().to_string();
    assert!(error.contains("dram") && error.contains("800") && error.contains("1799"), "{error}");
    // What never fits is refused with the sizes.
    let error = served(&problem([PLENTY, worker(1) - 1], CLIENTS)).unwrap_err().to_string();
    assert!(error.contains("1404") && error.contains("1403"), "{error}");
}

#[test]
fn the_inputs_of_the_next_step_are_sent_while_one_computes_if_memory_holds_both() {
    let strategy = MicroBatchedSingle { device: Some("worker".into()), batch: NonZeroU32::MIN };
    let millis = |memory: u64| {
        let problem = problem([PLENTY, memory], Load::Offline { samples: 5 });
        let plan = check(strategy.plan(&problem).unwrap(), &problem).unwrap();
        simulate(&problem, &plan).unwrap().makespan().as_nanos() / 1_000_000
    };
    // Beside the fourth step of 404 B lie three outputs of 4 B, if nothing is sent back in time, and the inputs of the fifth, of
    // 400 B; beside the fifth, four outputs.
    assert_eq!(millis(1000 + 404 + 3 * 4 + 400), 1 + 5 * 10 + 1);
    assert_eq!(millis(1000 + 404 + 3 * 4 + 399), 5 * (1 + 10) + 1);
    assert_eq!(millis(1000 + 404 + 4 * 4), 5 * (1 + 10) + 1);
}

#[test]
fn who_waits_for_memory_waits_in_the_queue() {
    let load = |queue_max, deadline| {
        let load = Server { together: 6, queue_max, deadline, drop_late: deadline.is_some(), ..server(1, 6) };
        let served = served(&problem([PLENTY, 1404], Load::Server(load))).unwrap();
        served.queries.iter().map(|query| query.fate).collect::<Vec<_>>()
    };
    let (done, dropped, expired) = (Fate::Done, Fate::Dropped, Fate::Expired);
    assert_eq!(load(Some(2), None), [done, done, done, dropped, dropped, dropped]);
    // They come at 1 ms; one begins every 12 ms.
    assert_eq!(load(None, Some(ms(25))), [done, done, done, expired, expired, expired]);
}

#[test]
fn what_lies_on_a_device_that_drops_out_is_given_back() {
    let changes = [(5, Change::Out { device: WORKER }), (20, Change::Back { device: WORKER })];
    for replanning in [None, Some(0)] {
        // There is memory for one: what was lost begins again at 20, and the second after it.
        let lossy =
            with_faults(problem([PLENTY, 1404], Load::SingleStream { queries: 2, clients: 2 }), &changes, replanning);
        let served = served(&lossy).unwrap();
        assert_eq!(ends(&served), [32, 44], "{replanning:?}");
    }
}

#[test]
fn what_needs_less_does_not_take_the_memory_that_who_came_before_waits_for() {
    // Data of three samples fits beside the weights of both networks. One query of three comes at 3 ms.
    let mut problem = problem([PLENTY, 2000 + 3 * 404], CLIENTS);
    problem.models.push(network("other"));
    let small = Load::SingleStream { queries: 12, clients: 12 };
    let large = Load::Server(Server { samples: 3, ..server(3, 1) });
    let tenant = |(model, load)| Tenant { model: ModelId(model), load, priority: model as u8 };
    problem.load = Load::PerModel([(0, small), (1, large)].map(tenant).into());
    let served = served(&problem).unwrap();
    let large = served.queries.iter().find(|query| query.tenant == 1).unwrap();
    // The three that were under way end at 12, 22 and 32 ms.
    assert_eq!((large.begun, large.ended), (at(32), at(44)));
    assert_eq!(served.queries.iter().filter(|query| query.begun < at(44)).count(), 4);
}

/// The most that plans under way hold in a memory at a time, by what each holds by itself from when it is issued to the end
/// of the last step that its users need.
fn most_held(problem: &Problem, served: &Served, memory: MemoryId) -> Bytes {
    let is_user = |device: &DeviceId| problem.platform.memory(memory).users.contains(device);
    let of_issue = |issue: &Issue| -> (Time, Time, Footprint) {
        let plan = &served.plans[issue.plan as usize];
        let touches = |lane: &Lane| match *lane {
            Lane::Compute { device, .. } => is_user(&device),
            Lane::Link(link) => [problem.platform.link(link).from, problem.platform.link(link).to].iter().any(is_user),
        };
        let steps = (issue.first_step.0..).zip(&plan.steps);
        let steps = steps.filter(|(_, step)| step.lane.is_some_and(|lane| touches(plan.lane_at(lane))));
        let end = steps.map(|(step, _)| served.timeline.spans[step as usize].end).max().unwrap_or(issue.at);
        (issue.at, end, footprints(plan, problem).swap_remove(memory.0 as usize))
    };
    let held: Vec<_> = served.issues.iter().map(of_issue).collect();
    let at = |time: Time| {
        let (mut weights, mut data) = (BTreeMap::new(), Bytes(0));
        for (_, _, footprint) in held.iter().filter(|(from, until, _)| (*from..*until).contains(&time)) {
            weights.extend(&footprint.weights);
            data = data + footprint.data;
        }
        weights.into_values().sum::<Bytes>() + data
    };
    held.iter().map(|(from, ..)| at(*from)).max().unwrap_or_default()
}

proptest! {
    #[test]
    fn plans_under_way_fit_the_memory_of_each_device_together(
        loads in [any_load(), any_load()], dispatch in any_dispatch(), home in 400u64..20_000, worker in 2_400u64..9_000,
        is_shared in any::<bool>(),
    ) {
        let mut problem = problem([home, worker], CLIENTS);
        if is_shared {
            problem.platform.memories[1].users.push(HOME);
        }
        problem.models.push(network("other"));
        problem.dispatch = dispatch;
        let tenant = |(model, load): (u32, &Load)| Tenant { model: ModelId(model), load: load.clone(), priority: 0 };
        problem.load = Load::PerModel((0..).zip(&loads).map(tenant).collect());
        let Ok(served) = served(&problem) else { return Ok(()) }; // a batch is too large by itself
        for id in problem.platform.memory_ids() {
            let (held, Memory { name, capacity, .. }) = (most_held(&problem, &served, id), problem.platform.memory(id));
            prop_assert!(held <= capacity.unwrap(), "{name} holds {held} of {capacity:?}");
        }
    }

    #[test]
    fn with_more_memory_no_query_of_a_stream_ends_later(queries in 1u32..20, few in 1u64..6, more in 1u64..6) {
        let load = Load::SingleStream { queries, clients: queries };
        let last = |samples: u64| ends(&served(&problem([PLENTY, 1000 + samples * 404], load.clone())).unwrap());
        let (short, ample) = (last(few), last(few + more));
        prop_assert!(ample.iter().zip(&short).all(|(ample, short)| ample <= short), "{ample:?} {short:?}");
    }

    /// Whatever breaks, memory comes back: a fault costs no more than its outage and what was under way.
    #[test]
    fn faults_leave_no_memory_taken(
        queries in 1u32..12, slots in 1u64..4, faults in prop::collection::vec((0u64..40, 1u64..10), 0..4),
        replanning in prop::option::of(0u64..5),
    ) {
        let mut from = 0;
        let changes: Vec<_> = faults.into_iter().flat_map(|(gap, long)| {
            let (out, back) = (from + gap, from + gap + long);
            from = back + 1;
            [(out, Change::Out { device: WORKER }), (back, Change::Back { device: WORKER })]
        }).collect();
        // A query takes 12 ms by itself, a fault undoes as much of each under way, and planning takes up to 4 ms.
        let latest = ms(from + 12 * u64::from(queries) + changes.len() as u64 * (12 * slots + 4));
        let load = Load::SingleStream { queries, clients: queries };
        let memory = [PLENTY, 1000 + slots * 404];
        let served = served(&with_faults(problem(memory, load.clone()), &changes, replanning));
        let Ok(served) = served else { panic!("{:?}", served.unwrap_err()) };
        prop_assert_eq!(served.done().count() as u32, queries);
        let last = served.queries.iter().map(|query| query.ended).max().unwrap_or_default();
        prop_assert!(last - Time::ZERO <= latest, "{last:?} {latest}");
    }
}

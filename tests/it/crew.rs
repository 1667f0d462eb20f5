//! Crews: threads, deadlines, faults and the order of steps, on hardware that is made up.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::sleep;

use coinfer::engine::estimates;
use coinfer::plan::{CheckedPlan, LaneId, Plan, StepId, check};
use coinfer::problem::Problem;
use coinfer::replay::{BackendError, Crew, Hardware, Inputs, Limits, Ran, Session};
use coinfer::timeline::Origin;
use coinfer::units::Duration;
use proptest::prelude::*;

use crate::fixture::{
    CPU, GPU, ROWS, batch_split, compute, front_and_tail, fused_row_split, lane, pipeline, problem, shares,
};

static GO_ON: AtomicBool = AtomicBool::new(false);

fn millis(count: u64) -> Duration {
    Duration::from_nanos(count * 1_000_000)
}

/// No step of these tests is late.
fn patient() -> Limits<'static> {
    Limits { deadline: millis(60_000), interrupted: &GO_ON }
}

/// What a lane does at one of its steps.
#[derive(Clone)]
enum Deed {
    Nothing,
    Fail,
    Panic,
    /// Wait until this is set, and say so to the counter.
    Hang(Arc<AtomicBool>, Arc<AtomicU32>),
    /// Set this.
    Set(Arc<AtomicBool>),
}

/// A lane that does something at each step of the whole plan.
struct Scripted(Vec<Deed>);

impl Session for Scripted {
    fn run(&mut self, step: StepId) -> Result<Ran, BackendError> {
        match &self.0[step.0 as usize] {
            Deed::Nothing => {}
            Deed::Fail => return Err(BackendError::Failed { step, reason: "out of paper".into() }),
            // As a panic, but without its message.
            Deed::Panic => resume_unwind(Box::new("made up")),
            Deed::Hang(until, ended) => {
                while !until.load(Ordering::Relaxed) {
                    sleep(std::time::Duration::from_millis(1));
                }
                ended.fetch_add(1, Ordering::Relaxed);
            }
            Deed::Set(flag) => flag.store(true, Ordering::Relaxed),
        }
        Ok(Duration::ZERO.into())
    }
}

fn crew(plan: &CheckedPlan, deeds: &[Deed]) -> Crew {
    Crew::new(plan.lanes.iter().map(|_| Box::new(Scripted(deeds.to_vec())) as Box<dyn Session>).collect()).unwrap()
}

/// The whole network on the CPU and on the GPU, a sample each at once, and one more on the GPU.
fn side_by_side() -> CheckedPlan {
    let mut plan = Plan::default();
    let (cpu, gpu) = (plan.lane(lane(CPU)), plan.lane(lane(GPU)));
    plan.step(cpu, compute(1..=4, 0..1, 0..1), &[]);
    plan.step(gpu, compute(1..=4, 1..2, 0..1), &[]);
    plan.step(gpu, compute(1..=4, 2..3, 0..1), &[]);
    check(plan, &problem(3, None)).unwrap()
}

#[test]
fn a_step_past_its_deadline_is_named_and_nobody_waits_for_it() {
    let plan = side_by_side();
    let (release, ended) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
    let hang = Deed::Hang(release.clone(), ended.clone());
    let mut crew = crew(&plan, &[Deed::Nothing, Deed::Nothing, hang]);
    let limits = Limits { deadline: millis(30), interrupted: &GO_ON };
    let late = BackendError::Deadline { step: StepId(2), deadline: millis(30) };
    assert_eq!(crew.round(&plan, &limits).unwrap_err(), late);
    assert_eq!(crew.round(&plan, &limits).unwrap_err(), late, "the crew is of no use any more");
    drop(crew);
    assert_eq!(ended.load(Ordering::Relaxed), 0, "the step still hangs");
    release.store(true, Ordering::Relaxed);
}

#[test]
fn a_late_step_is_found_while_other_lanes_go_on() {
    let mut plan = Plan::default();
    let (cpu, gpu) = (plan.lane(lane(CPU)), plan.lane(lane(GPU)));
    plan.step(cpu, compute(1..=4, 0..1, 0..1), &[]);
    let release = Arc::new(AtomicBool::new(false));
    let pause = Deed::Hang(Arc::new(AtomicBool::new(true)), Arc::default());
    let mut deeds = vec![Deed::Hang(release.clone(), Arc::default())];
    for sample in 1..1000 {
        plan.step(gpu, compute(1..=4, sample..sample + 1, 0..1), &[]);
        deeds.push(if sample == 999 { Deed::Set(release.clone()) } else { pause.clone() });
    }
    let plan = check(plan, &problem(1000, None)).unwrap();
    let limits = Limits { deadline: Duration::from_nanos(1), interrupted: &GO_ON };
    let error = crew(&plan, &deeds).round(&plan, &limits).unwrap_err();
    assert!(matches!(error, BackendError::Deadline { .. }), "{error}");
    release.store(true, Ordering::Relaxed);
}

#[test]
fn a_session_that_panics_loses_its_lane_only() {
    let plan = side_by_side();
    let mut crew = crew(&plan, &[Deed::Nothing, Deed::Panic, Deed::Nothing]);
    assert_eq!(crew.round(&plan, &patient()).unwrap_err(), BackendError::Lost { lane: LaneId(1) });
}

#[test]
fn a_session_that_fails_says_why() {
    let plan = side_by_side();
    let error = crew(&plan, &[Deed::Fail, Deed::Nothing, Deed::Nothing]).round(&plan, &patient()).unwrap_err();
    assert_eq!(error.to_string(), "step 0 failed: out of paper");
}

#[test]
fn a_crew_that_failed_gives_the_same_error_and_not_what_ended_since() {
    let plan = side_by_side();
    let mut crew = crew(&plan, &[Deed::Fail, Deed::Fail, Deed::Nothing]);
    let first = crew.round(&plan, &patient()).unwrap_err();
    assert!((0..3).all(|_| crew.round(&plan, &patient()).unwrap_err() == first));
}

#[test]
fn an_interruption_ends_a_round_during_a_long_step_and_between_short_ones() {
    let plan = side_by_side();
    let (interrupted, release) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let limits = Limits { deadline: millis(60_000), interrupted: &interrupted };
    let hang = Deed::Hang(release.clone(), Arc::default());
    let mut long = crew(&plan, &[hang, Deed::Set(interrupted.clone()), Deed::Nothing]);
    assert_eq!(long.round(&plan, &limits).unwrap_err(), BackendError::Interrupted);
    drop(long);
    release.store(true, Ordering::Relaxed);
    let mut short = crew(&plan, &[Deed::Nothing, Deed::Nothing, Deed::Nothing]);
    assert_eq!(short.round(&plan, &limits).unwrap_err(), BackendError::Interrupted);
}

#[test]
fn joins_take_no_time_and_need_no_lane() {
    let problem = problem(1, None);
    let mut plan = Plan::default();
    let cpu = plan.lane(lane(CPU));
    let begin = plan.join(&[]);
    let step = plan.step(cpu, compute(1..=4, 0..1, 0..1), &[begin]);
    let end = plan.join(&[step]);
    plan.join(&[end, begin]);
    let plan = check(plan, &problem).unwrap();
    let round = crew(&plan, &[const { Deed::Nothing }; 4]).round(&plan, &patient()).unwrap();
    assert!(round.timeline.obeys(&plan, &problem.platform));
    let joins = [begin, end].map(|join| round.timeline.span(join).duration());
    assert_eq!(joins, [Duration::ZERO; 2]);
}

/// A plan of one of the fixture's shapes with its problem.
fn shaped(shape: u32, samples: u32, cut: u32) -> (Problem, Plan) {
    match shape {
        0 => (problem(samples, Some(CPU)), batch_split(samples, cut.min(samples))),
        1 => (problem(samples, Some(CPU)), fused_row_split(samples, cut.clamp(1, ROWS - 1))),
        2 => (problem(samples, None), front_and_tail(samples, cut.clamp(1, samples - 1))),
        3 => (problem(samples, Some(GPU)), shares(samples)),
        _ => (problem(samples, None), pipeline(samples)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn every_checked_plan_runs_to_its_end_as_often_as_asked(shape in 0u32..5, samples in 2u32..6, cut in 0..=ROWS) {
        let (problem, plan) = shaped(shape, samples, cut);
        let plan = check(plan, &problem).unwrap();
        // The fixture's times are a few dozen microseconds a step.
        let times: Vec<Duration> = estimates(&problem, &plan).unwrap().iter().map(|estimate| estimate.time).collect();
        let mut opened = Hardware::mock(&problem.platform).open(&plan, &times, Inputs::AtHome).unwrap();
        for _ in 0..3 {
            let round = opened.measured(&plan, &patient()).unwrap();
            prop_assert_eq!(round.timeline.origin, Origin::Measured);
            prop_assert!(round.timeline.obeys(&plan, &problem.platform));
            for (step, &time) in plan.step_ids().zip(&times) {
                let is_join = plan.step_at(step).lane.is_none();
                prop_assert!(is_join || round.busy[step.0 as usize] == time);
                prop_assert!(is_join || round.timeline.span(step).duration() >= time);
            }
        }
    }
}

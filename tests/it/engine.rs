//! What holds for every plan that is simulated, and exact timelines of small ones.

use coinfer::engine::{estimates, simulate, simulate_estimated};
use coinfer::plan::{Lane, Plan, StepId, check};
use coinfer::platform::{BandwidthRule, DeviceId, Precision};
use coinfer::problem::Problem;
use coinfer::timeline::{Timeline, picture};
use coinfer::units::{BytesPerSec, Duration};
use proptest::prelude::*;

use crate::fixture::*;
use crate::reference;

fn run(problem: &Problem, plan: Plan) -> Timeline {
    let plan = check(plan, problem).unwrap();
    let timeline = simulate(problem, &plan).unwrap();
    assert!(timeline.obeys(&plan, &problem.platform));
    timeline
}

fn drawn(problem: &Problem, plan: Plan) -> String {
    let timeline = run(problem, plan.clone());
    format!("{}{}", picture(&plan, &timeline, 40), timeline.makespan())
}

#[test]
fn a_batch_split_ends_with_its_slowest_device() {
    insta::assert_snapshot!(drawn(&problem(10, None), {
        let mut plan = Plan::default();
        let (cpu, gpu) = (plan.lane(lane(CPU)), plan.lane(lane(GPU)));
        plan.step(cpu, compute(1..=4, 0..1, 0..1), &[]);
        plan.step(gpu, compute(1..=4, 1..10, 0..1), &[]);
        plan
    }), @r"
        lane 0 |000000000000000000000000000000000000....|
        lane 1 |1111111111111111111111111111111111111111|
        0.036 ms
    ");
}

#[test]
fn transfers_and_computations_wait_for_each_other() {
    insta::assert_snapshot!(drawn(&problem(4, Some(CPU)), batch_split(4, 1)), @r"
        lane 0 |0000000000000000000000000000000000000000|
        lane 1 |2222222222222222........................|
        lane 2 |1.......................................|
        lane 3 |...............3........................|
        0.032 ms
    ");
}

#[test]
fn devices_of_half_the_precision_need_half_of_a_memory() {
    let makespan = |precision: Precision, peak: f64| {
        let mut problem = problem(10, None);
        let peak = BytesPerSec::new(peak).unwrap();
        problem.contention = true;
        problem.platform.devices.iter_mut().for_each(|device| device.precision = precision);
        problem.platform.contend(BandwidthRule::Proportional { peak });
        let mut plan = Plan::default();
        let (cpu, gpu) = (plan.lane(lane(CPU)), plan.lane(lane(GPU)));
        plan.step(cpu, compute(1..=4, 0..1, 0..1), &[]);
        plan.step(gpu, compute(1..=4, 1..10, 0..1), &[]);
        run(&problem, plan).makespan().as_nanos()
    };
    let [slow, fast] = [(Precision::Fp32, 20e6), (Precision::Fp16, 20e6)].map(|(of, peak)| makespan(of, peak));
    assert!(slow > fast && fast > 36_000, "{slow} {fast}");
    assert_eq!(fast, makespan(Precision::Fp32, 40e6));
    assert_eq!(makespan(Precision::Int8, 20e6), makespan(Precision::Fp16, 40e6));
}

#[test]
fn a_pipeline_advances_slot_by_slot() {
    insta::assert_snapshot!(drawn(&problem(3, None), pipeline(3)), @r"
        lane 0 |1111111111111555555555555599999999999999|
        lane 1 |.............4............8............c|
        lane 2 |.............2............6............a|
        0.577 ms
    ");
}

#[test]
fn a_slowdown_stretches_only_the_time_that_it_lasts() {
    let problem = with_contention(problem(2, None), &[(CPU, DLA, 1_000_000)]);
    let mut plan = Plan::default();
    let (cpu, dla, gpu) = (plan.lane(lane(CPU)), plan.lane(lane(DLA)), plan.lane(lane(GPU)));
    let side = plan.lane(Lane::Link(GPU_DLA));
    // Alone, the CPU takes 32 us for 4 layers and a row, and the DLA 48 us for 3 layers and 8 rows.
    plan.step(cpu, compute(1..=4, 0..1, 0..1), &[]);
    let front = plan.step(dla, compute(1..=3, 1..2, 0..ROWS), &[]);
    let moved = plan.step(side, transfer(3, 1..2, 0..ROWS, GPU), &[front]);
    plan.step(gpu, compute(4..=4, 1..2, 0..1), &[moved]);
    let timeline = run(&problem, plan);
    // While the DLA runs, the CPU does half of its work: 24 us of 32 us, so that 8 us are left.
    assert_eq!(timeline.span(StepId(1)).duration(), Duration::from_nanos(48_000));
    assert_eq!(timeline.span(StepId(0)).duration(), Duration::from_nanos(56_000));
}

#[test]
fn slowdowns_add_up_and_reach_every_lane_of_a_device_and_count_a_device_once() {
    // The GPU has two lanes; CPU and DLA slow it by 50 % each, and two lanes on the CPU count as one busy CPU.
    let problem = with_contention(problem(6, None), &[(GPU, CPU, 500_000), (GPU, DLA, 500_000)]);
    let part = |device, memory| Lane::Compute {
        device,
        share: coinfer::units::Share::from_basis_points(5_000).unwrap(),
        memory: coinfer::units::Bytes(memory),
    };
    let mut plan = Plan::default();
    let [a, b] = [(); 2].map(|()| plan.lane(part(GPU, 4_000)));
    let [c, d] = [(); 2].map(|()| plan.lane(part(CPU, 4_000)));
    for (lane, sample) in [a, b, c, d].into_iter().zip(0..) {
        plan.step(lane, compute(1..=4, sample..sample + 1, 0..1), &[]);
    }
    let dla = plan.lane(lane(DLA));
    let front = plan.step(dla, compute(1..=3, 4..5, 0..ROWS), &[]);
    let side = plan.lane(Lane::Link(GPU_DLA));
    let moved = plan.step(side, transfer(3, 4..5, 0..ROWS, GPU), &[front]);
    plan.step(a, compute(4..=4, 4..5, 0..1), &[moved]);
    plan.step(c, compute(1..=4, 5..6, 0..1), &[]);
    let timeline = run(&problem, plan);
    // Alone each GPU step takes 8 us, and everything else runs all the while: twice as long, on both lanes.
    assert_eq!(timeline.span(StepId(0)).duration(), Duration::from_nanos(16_000));
    assert_eq!(timeline.span(StepId(1)).duration(), Duration::from_nanos(16_000));
}

#[test]
fn networks_on_parts_of_a_device_slow_each_other_and_none_slows_itself() {
    let problem = with_contention(problem(6, None), &[(GPU, GPU, 250_000)]);
    let part = |points| Lane::Compute {
        device: GPU,
        share: coinfer::units::Share::from_basis_points(points).unwrap(),
        memory: coinfer::units::Bytes(2_500),
    };
    let mut plan = Plan::default();
    let lanes = [5_000, 3_000, 2_000].map(|points| plan.lane(part(points)));
    for (lane, samples) in lanes.into_iter().zip([0..1, 1..3, 3..6]) {
        plan.step(lane, compute(1..=4, samples, 0..1), &[]);
    }
    let ends = run(&problem, plan).spans.iter().map(|span| span.end.as_nanos()).collect::<Vec<_>>();
    // Alone 8, 26.667 and 60 us. Three at once take 1.5 times as long, till 12 us; two 1.25 times, till 35.333, when the last has
    // 33.333 us left.
    assert_eq!(ends, [12_000, 35_333, 68_667]);
}

#[test]
fn with_contention_off_slowdowns_are_ignored() {
    let mut quiet = with_contention(problem(4, Some(CPU)), &[(CPU, GPU, 1_000_000)]);
    quiet.contention = false;
    assert_eq!(run(&quiet, batch_split(4, 1)), run(&problem(4, Some(CPU)), batch_split(4, 1)));
}

/// A plan, its samples and home, and slowdowns.
type Drawn = (Plan, u32, Option<DeviceId>, Vec<(DeviceId, DeviceId, u32)>);

fn any_plan() -> impl Strategy<Value = Drawn> {
    let slowdown = (0u32..3, 0u32..3, 0u32..2_000_000).prop_map(|(a, b, ppm)| (DeviceId(a), DeviceId(b), ppm));
    (0usize..5, 2u32..5, prop::collection::vec(slowdown, 0..4)).prop_flat_map(|(shape, samples, slowdowns)| {
        (1..samples, 1..ROWS).prop_map(move |(some, cut)| {
            let (plan, home) = match shape {
                0 => (batch_split(samples, some), Some(CPU)),
                1 => (fused_row_split(samples, cut), Some(CPU)),
                2 => (front_and_tail(samples, some), None),
                3 => (shares(samples), None),
                _ => (pipeline(samples), None),
            };
            (plan, samples, home, slowdowns.clone())
        })
    })
}

proptest! {
    #[test]
    fn every_checked_plan_runs_to_its_end_between_critical_path_and_total_work(
        (plan, samples, home, slowdowns) in any_plan()
    ) {
        let problem = match slowdowns.is_empty() {
            true => problem(samples, home),
            false => with_contention(problem(samples, home), &slowdowns),
        };
        let checked = check(plan.clone(), &problem).unwrap();
        let alone = estimates(&problem, &checked).unwrap();
        let timeline = simulate(&problem, &checked).unwrap();
        prop_assert!(timeline.obeys(&checked, &problem.platform));
        prop_assert_eq!(&timeline, &simulate(&problem, &checked).unwrap());
        prop_assert_eq!(&timeline, &simulate_estimated(&problem, &checked, &alone));

        let mut ends: Vec<Duration> = vec![];
        let mut free = vec![Duration::ZERO; plan.lanes.len()];
        for (step, estimate) in plan.steps.iter().zip(&alone) {
            let waited = step.after.iter().map(|on| ends[on.0 as usize]).max().unwrap_or_default();
            let queued = step.lane.map_or(Duration::ZERO, |lane| free[lane.0 as usize]);
            let end = waited.max(queued) + estimate.time;
            if let Some(lane) = step.lane { free[lane.0 as usize] = end; }
            ends.push(end);
        }
        let critical_path = ends.iter().copied().max().unwrap_or_default();
        let total: Duration = alone.iter().map(|estimate| estimate.time).sum();
        let nanos: Vec<u64> = alone.iter().map(|estimate| estimate.time.as_nanos()).collect();
        if problem.contention {
            for (span, expected) in timeline.spans.iter().zip(reference::simulate(&problem, &plan, &nanos)) {
                // Rates are computed in another order there, so that a time may be rounded the other way.
                let error = span.start.as_nanos().abs_diff(expected.0).max(span.end.as_nanos().abs_diff(expected.1));
                prop_assert!(error <= plan.steps.len() as u64, "{span:?} instead of {expected:?}");
            }
            prop_assert!(timeline.makespan() >= critical_path);
        } else {
            prop_assert_eq!(timeline.makespan(), critical_path);
            prop_assert!(timeline.makespan() <= total);
        }
        for (span, estimate) in timeline.spans.iter().zip(&alone) {
            prop_assert!(span.duration() >= estimate.time);
        }
    }
}

//! Simulated lanes: a step lasts as long as the cost model says, stretched by what runs beside it.

mod arrivals;
mod queue;
mod random;
mod slowdown;
pub mod theory;
mod variation;

pub use arrivals::ArrivalTimes;
pub use random::{Draw, Purpose, Stream, Streams};
pub use variation::Sampler;

use queue::Queue;
use slowdown::Slowdowns;

use crate::cost::{Basis, Estimate, Uncalibrated};
use crate::execute::{Completion, Lanes, execute};
use crate::plan::{Action, CheckedPlan, Lane, LaneId, Step, StepId};
use crate::problem::Problem;
use crate::timeline::{Origin, Timeline};
use crate::units::{Duration, Time};

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::convert::Infallible;

/// Runs `plan` in simulated time. Equal arguments give equal timelines.
///
/// Steps that end at the same time end in the order of their ids. With contention off, every step lasts exactly
/// its estimate.
pub fn simulate(problem: &Problem, plan: &CheckedPlan) -> Result<Timeline, Uncalibrated> {
    let prepare = |step| Ok(Prepared { isolated: estimate(problem, plan, step)?.time, lane: plan.step_at(step).lane });
    Ok(run(problem, plan, plan.step_ids().map(prepare).collect::<Result<_, _>>()?))
}

/// As [`simulate`] with what [`estimates`] gave for the plan, for those who report both.
///
/// # Panics
/// If there is not one estimate for each step.
pub fn simulate_estimated(problem: &Problem, plan: &CheckedPlan, estimates: &[Estimate]) -> Timeline {
    assert_eq!(estimates.len(), plan.steps.len(), "each step has an estimate");
    let prepare = |(estimate, step): (&Estimate, &Step)| Prepared { isolated: estimate.time, lane: step.lane };
    run(problem, plan, estimates.iter().zip(&plan.steps).map(prepare).collect())
}

fn run(problem: &Problem, plan: &CheckedPlan, steps: Vec<Prepared>) -> Timeline {
    let mut lanes = SimulatedLanes::new(problem, plan, steps);
    let Ok(spans) = execute(plan, &mut lanes);
    let timeline = Timeline { origin: Origin::Simulated, spans };
    debug_assert!(timeline.obeys(plan), "the engine starts a step only when all that it waits for has ended");
    timeline
}

/// How long each step takes when nothing disturbs it, by step id. Joins take no time.
pub fn estimates(problem: &Problem, plan: &CheckedPlan) -> Result<Vec<Estimate>, Uncalibrated> {
    plan.step_ids().map(|step| estimate(problem, plan, step)).collect()
}

fn estimate(problem: &Problem, plan: &CheckedPlan, step: StepId) -> Result<Estimate, Uncalibrated> {
    let step = plan.step_at(step);
    match (&step.action, step.lane.map(|lane| plan.lane_at(lane))) {
        (Action::Compute(work), Some(&Lane::Compute { device, share, .. })) => {
            problem.costs.compute(device, share, work)
        }
        (Action::Transfer { model, layer, region, .. }, Some(&Lane::Link(link))) => {
            problem.costs.transfer(link, problem.model(*model).graph.bytes(*layer, region))
        }
        (Action::Join, None) => Ok(Estimate { time: Duration::ZERO, basis: Basis::Measured }),
        _ => unreachable!("a checked plan places every action on a fitting lane"),
    }
}

/// A step in progress: what is left of it, and how fast it goes.
#[derive(Clone, Copy, Debug)]
struct Running {
    step: StepId,
    start: Time,
    /// When `remaining` and `rate` last changed.
    since: Time,
    /// Isolated nanoseconds left at `since`.
    remaining: f64,
    /// Isolated nanoseconds done per nanosecond; 1 if nothing disturbs it.
    rate: f64,
}

/// What the engine needs to know of a step, close together since steps start in no particular order.
#[derive(Clone, Copy, Debug)]
struct Prepared {
    isolated: Duration,
    /// `None` for joins.
    lane: Option<LaneId>,
}

struct SimulatedLanes {
    steps: Vec<Prepared>,
    now: Time,
    /// The step that each lane runs, if any; a lane runs one at a time.
    running: Vec<Running>,
    /// Lanes that run a step, by the end of that step.
    ends: Queue,
    /// Joins that are about to end, all of them now.
    joins: BinaryHeap<Reverse<StepId>>,
    slowdowns: Slowdowns,
}

impl SimulatedLanes {
    fn new(problem: &Problem, plan: &CheckedPlan, steps: Vec<Prepared>) -> Self {
        let idle = Running { step: StepId(0), start: Time::ZERO, since: Time::ZERO, remaining: 0.0, rate: 1.0 };
        SimulatedLanes {
            steps,
            now: Time::ZERO,
            running: vec![idle; plan.lanes.len()],
            ends: Queue::new(plan.lanes.len()),
            joins: BinaryHeap::new(),
            slowdowns: Slowdowns::new(problem, plan),
        }
    }

    /// Brings the ends of running steps up to date after starts and ends have changed their rates.
    fn apply_changed_rates(&mut self) {
        let Self { running, ends, slowdowns, now, .. } = self;
        slowdowns.for_each_changed(|lane, rate| {
            if !ends.contains(lane) {
                return;
            }
            let step = &mut running[lane.0 as usize];
            step.remaining = (step.remaining - (*now - step.since).as_nanos_f64() * step.rate).max(0.0);
            step.since = *now;
            step.rate = rate;
            ends.update(lane, *now + Duration::from_nanos_f64(step.remaining / rate));
        });
    }
}

impl Lanes for SimulatedLanes {
    type Error = Infallible;

    #[inline]
    fn start(&mut self, step: StepId) -> Result<(), Infallible> {
        let Prepared { isolated, lane } = self.steps[step.0 as usize];
        let Some(lane) = lane else {
            self.joins.push(Reverse(step));
            return Ok(());
        };
        let mut end = self.now + isolated;
        let mut rate = 1.0;
        if !self.slowdowns.is_empty() {
            self.slowdowns.begin(lane);
            rate = self.slowdowns.rate(lane);
            if rate != 1.0 {
                end = self.now + Duration::from_nanos_f64(isolated.as_nanos_f64() / rate);
            }
        }
        self.running[lane.0 as usize] =
            Running { step, start: self.now, since: self.now, remaining: isolated.as_nanos_f64(), rate };
        self.ends.push(lane, end, step);
        Ok(())
    }

    #[inline]
    fn next(&mut self) -> Result<Completion, Infallible> {
        if !self.slowdowns.is_empty() {
            self.apply_changed_rates();
        }
        if let Some(&Reverse(join)) = self.joins.peek()
            && self.ends.first().is_none_or(|(end, step)| (self.now, join) < (end, step))
        {
            self.joins.pop();
            return Ok(Completion { step: join, start: self.now, end: self.now });
        }
        let (lane, end) = self.ends.pop().expect("`execute` asks only while a step is running");
        self.now = end;
        if !self.slowdowns.is_empty() {
            self.slowdowns.end(lane);
        }
        let Running { step, start, .. } = self.running[lane.0 as usize];
        Ok(Completion { step, start, end })
    }
}

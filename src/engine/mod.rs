//! Simulated lanes: a step lasts as long as the cost model says, stretched by what runs beside it.

mod arrivals;
mod ends;
mod heap;
mod pager;
mod random;
mod rates;
mod service;
mod simulator;
pub mod theory;
mod timers;
mod variation;

use std::collections::BTreeMap;

pub use crate::execute::{Completion, Event};
pub use arrivals::ArrivalTimes;
pub use random::{Draw, Purpose, Stream, Streams};
pub use rates::Interfaces;
pub use service::{Fate, Issue, Planner, Query, Question, Recovery, ServeError, Served, serve};
pub use simulator::Simulator;
pub use variation::Sampler;

use pager::{Pager, Pages};
use simulator::{Prepared, Stalled};

use crate::cost::{Basis, Estimate, Uncalibrated};
use crate::execute::{Lanes, execute_plan};
use crate::model::Work;
use crate::plan::{Action, CheckedPlan, Lane, StepId, Touches};
use crate::platform::{DeviceId, Platform, Precision};
use crate::problem::{Model, Problem};
use crate::timeline::{Origin, Timeline};
use crate::units::Duration;

/// To be raised by every change that makes an outcome another one for the same input, or gives it another form:
/// sweeps then take none that an earlier build computed.
pub const OUTCOME_REVISION: u32 = 21;

/// Runs `plan` in simulated time. Equal arguments give equal timelines.
///
/// Steps that end at the same time end in the order of their ids. With contention off, every step keeps its lane
/// for exactly its estimate.
pub fn simulate(problem: &Problem, plan: &CheckedPlan) -> Result<Timeline, Uncalibrated> {
    Ok(simulate_estimated(problem, plan, &estimates(problem, plan)?))
}

/// As [`simulate`] with what [`estimates`] gave for the plan, for those who report both.
///
/// # Panics
/// If there is not one estimate for each step.
pub fn simulate_estimated(problem: &Problem, plan: &CheckedPlan, estimates: &[Estimate]) -> Timeline {
    assert_eq!(estimates.len(), plan.steps.len(), "each step has an estimate");
    let mut simulator = Simulator::of(problem, &plan.lanes);
    let traffic = traffic(problem, plan, estimates);
    let prepare = |step: StepId| {
        let index = step.0 as usize;
        let traffic = if traffic.is_empty() { 0 } else { traffic[index] };
        Prepared { step, lane: plan.steps[index].lane, isolated: estimates[index].time, wait: Duration::ZERO, traffic }
    };
    let whole = "no plan can deadlock, and nothing breaks";
    let (spans, faults) = match Paged::of(problem, plan) {
        None => (execute_plan(plan, &mut simulator, prepare).expect(whole), Vec::new()),
        Some((pager, pages)) => {
            let mut paged = Paged { simulator, pager, pages, plan };
            (execute_plan(plan, &mut paged, prepare).expect(whole), paged.pager.into_faults())
        }
    };
    let timeline = Timeline { origin: Origin::Simulated, spans, faults };
    debug_assert!(
        timeline.obeys(plan, &problem.platform),
        "the engine starts a step only when all that it waits for has ended"
    );
    timeline
}

/// Lanes of one plan whose steps use memory that pages.
struct Paged<'a> {
    simulator: Simulator,
    pager: Pager,
    pages: Pages,
    plan: &'a CheckedPlan,
}

impl Paged<'_> {
    /// `None` if no memory pages that the plan uses.
    fn of(problem: &Problem, plan: &CheckedPlan) -> Option<(Pager, Pages)> {
        let mut pager = Pager::new(&problem.platform.memories)?;
        let pages = pager.add(Touches::of(plan, problem)?);
        pager.issue(&pages, 0);
        Some((pager, pages))
    }
}

impl Lanes for Paged<'_> {
    type Step = Prepared;
    type Error = Stalled;

    fn start(&mut self, step: Prepared) -> Result<(), Stalled> {
        let now = self.simulator.now();
        let wait = step.lane.map(|lane| self.pager.begin((&self.pages, 0), step.step, lane, now, step.step));
        self.simulator.start(Prepared { wait: wait.unwrap_or_default(), ..step })
    }

    fn next(&mut self) -> Result<Event, Stalled> {
        let event = Lanes::next(&mut self.simulator)?;
        if let Event::Ended(Completion { step, .. }) = event {
            self.pager.end((&self.pages, 0), step, self.plan.step_at(step).lane);
        }
        Ok(event)
    }
}

/// How long each step keeps its lane when nothing disturbs it, by step id. Joins take no time.
pub fn estimates(problem: &Problem, plan: &CheckedPlan) -> Result<Vec<Estimate>, Uncalibrated> {
    plan.step_ids().map(|step| estimate(problem, plan, step)).collect()
}

fn estimate(problem: &Problem, plan: &CheckedPlan, step: StepId) -> Result<Estimate, Uncalibrated> {
    let step = plan.step_at(step);
    match (&step.action, step.lane.map(|lane| plan.lane_at(lane))) {
        (Action::Compute(work), Some(&Lane::Compute { device, share, .. })) => {
            problem.costs.compute(device, share, work)
        }
        (Action::Transfer { model, layer, region, to }, Some(&Lane::Link(link))) => {
            problem.costs.transfer(link, problem.sent((link, *to), *model, *layer, region))
        }
        (Action::Join, None) => Ok(Estimate { time: Duration::ZERO, basis: Basis::Measured }),
        _ => unreachable!("a checked plan places every action on a fitting lane"),
    }
}

/// What each step moves through a shared memory when alone, in bytes per second; empty if nothing shares memory.
fn traffic(problem: &Problem, plan: &CheckedPlan, estimates: &[Estimate]) -> Vec<u64> {
    if !problem.contention || problem.platform.contended_memories().next().is_none() {
        return Vec::new();
    }
    let of_step = |(step, estimate): (&crate::plan::Step, &Estimate)| match (
        &step.action,
        step.lane.map(|lane| plan.lane_at(lane)),
    ) {
        (Action::Compute(work), Some(Lane::Compute { device, .. })) => {
            traffic_of(&problem.platform, problem.model(work.model), *device, work, estimate.time)
        }
        _ => 0,
    };
    plan.steps.iter().zip(estimates).map(of_step).collect()
}

/// The devices of which a step is said to need more of a memory than that delivers, with the most that one needs, in bytes
/// per second.
pub fn needs_above_memory(problem: &Problem, plan: &CheckedPlan, estimates: &[Estimate]) -> BTreeMap<DeviceId, u64> {
    let mut above: BTreeMap<DeviceId, u64> = BTreeMap::new();
    for (step, need) in plan.steps.iter().zip(traffic(problem, plan, estimates)) {
        let Some(&Lane::Compute { device, .. }) = step.lane.map(|lane| plan.lane_at(lane)) else { continue };
        let memory = problem.platform.contended_memories().find(|(memory, _)| memory.users.contains(&device));
        if memory.and_then(|(_, rule)| rule.peak()).is_some_and(|peak| need as f64 > peak.as_f64()) {
            let most = above.entry(device).or_default();
            *most = need.max(*most);
        }
    }
    above
}

/// What the device is said to move, or else the weights, the inputs and the outputs of the work once each, in the numbers
/// that it computes with where the network has fp32.
fn traffic_of(platform: &Platform, model: &Model, device: DeviceId, work: &Work, time: Duration) -> u64 {
    let device = platform.device(device);
    match device.traffic {
        Some(rate) => rate.as_f64().round() as u64,
        None => {
            let part = device.precision.bytes() as f64 / Precision::Fp32.bytes() as f64;
            let bytes = model.graph.traffic(work).0 as f64 * part;
            (bytes / time.as_secs_f64().max(1e-9)).round() as u64
        }
    }
}

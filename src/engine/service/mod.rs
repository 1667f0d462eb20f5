//! Queries that arrive over time: a dispatcher issues plans for them, as a source of steps for the one loop.
//!
//! What it issued is kept, so that every figure of a service follows from its queries and its timeline.

mod dispatcher;
mod flights;
mod floor;
mod groups;
mod memory;
mod policy;
mod recovery;
mod template;
mod tenant;

use std::collections::BTreeMap;

use dispatcher::Dispatcher;
use serde::{Deserialize, Serialize};

use super::random::Streams;
use super::simulator::{Simulator, Stalled};
use crate::cost::Uncalibrated;
use crate::execute::execute;
use crate::model::ModelId;
use crate::plan::{Action, CheckedPlan, Lane, LaneId, Plan, Step, StepId};
use crate::problem::{Fault, Problem};
use crate::timeline::{PageFaults, Timeline};
use crate::units::{Duration, Time};

/// Everything that happened to the queries of a load.
#[derive(Clone, Debug)]
pub struct Served {
    /// The queries, in the order in which they arrived.
    pub queries: Vec<Query>,
    /// The lanes that were used.
    pub lanes: Vec<Lane>,
    /// The plans that were issued, each as often as `issues` says.
    pub plans: Vec<CheckedPlan>,
    /// By plan and lane of it, the lane among `lanes`.
    pub lanes_of: Vec<Vec<LaneId>>,
    /// What was issued, in order.
    pub issues: Vec<Issue>,
    /// The spans of all steps, one issue after the other. Steps that never ran, since a device had dropped out, have an
    /// empty span at the start of the run.
    pub timeline: Timeline,
    /// Steps that were under way on a device that dropped out. Their spans end when they lost their lane, or had left it.
    pub lost: Vec<StepId>,
    /// Steps that never ran to their end, those in `lost` among them.
    pub dead: Vec<StepId>,
    /// What came of each fault.
    pub recoveries: Vec<Recovery>,
}

/// What happened to a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Query {
    /// When it arrived.
    pub arrived: Time,
    /// When the first step of a plan for it began, or when it was dropped.
    pub begun: Time,
    /// When all its samples were computed, or when it was dropped.
    pub ended: Time,
    /// Its samples, of each network that it is of.
    pub samples: u32,
    /// Where networks have loads of their own, which of them it is of; or 0.
    pub tenant: u16,
    /// What became of it.
    pub fate: Fate,
}

/// What became of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// It was computed.
    Done,
    /// It found the queue full.
    Dropped,
    /// Its deadline passed while it waited.
    Expired,
}

/// A plan that was issued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Issue {
    /// Which plan, by its place in [`Served::plans`].
    pub plan: u32,
    /// The first of its steps among all.
    pub first_step: StepId,
    /// When.
    pub at: Time,
    /// Queries that it is for.
    pub queries: u32,
    /// Samples of each model that it computes.
    pub samples: u32,
    /// Where networks have loads of their own, whose queries they are; or 0.
    pub tenant: u16,
}

/// What came of a fault.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Recovery {
    /// What happened, and when.
    pub fault: Fault,
    /// Until all samples that it lost were computed, and no more queries were open than before it; `None` if that did
    /// not come.
    pub time: Option<Duration>,
}

impl Served {
    /// The queries that were done, in the order in which they arrived.
    pub fn done(&self) -> impl Iterator<Item = &Query> {
        self.queries.iter().filter(|query| query.fate == Fate::Done)
    }

    /// What was issued as one plan, as far as it has no more than `steps_max` steps, with its timeline and, for each
    /// step, which step of which of `plans` it is.
    ///
    /// Samples are numbered in the order of issue, those of each network by themselves where they have loads of their own,
    /// so that it is a plan for an offline load of all of them; where a device has dropped out, it has steps that never ran
    /// and others that make good for them.
    pub fn recorded(&self, steps_max: usize) -> (Plan, Timeline, Vec<(u32, StepId)>) {
        let mut recorded = Plan { lanes: self.lanes.clone(), steps: Vec::new() };
        let mut origins = Vec::new();
        let mut issued: BTreeMap<u16, u32> = BTreeMap::new();
        for issue in &self.issues {
            let (plan, lanes) = (&self.plans[issue.plan as usize], &self.lanes_of[issue.plan as usize]);
            let sample = issued.entry(issue.tenant).or_default();
            let after = sample.checked_add(issue.samples);
            let (Some(after), false) = (after, recorded.steps.len() + plan.steps.len() > steps_max) else { break };
            for (index, step) in (0..).zip(&plan.steps) {
                recorded.steps.push(Step {
                    lane: step.lane.map(|lane| lanes[lane.0 as usize]),
                    action: shifted(step.action.clone(), *sample),
                    after: step.after.iter().map(|on| StepId(issue.first_step.0 + on.0)).collect(),
                });
                origins.push((issue.plan, StepId(index)));
            }
            *sample = after;
        }
        let spans = self.timeline.spans[..recorded.steps.len()].to_vec();
        let is_in = |faults: &&PageFaults| (faults.step.0 as usize) < spans.len();
        let faults = self.timeline.faults.iter().filter(is_in).copied().collect();
        (recorded, Timeline { origin: self.timeline.origin, spans, faults }, origins)
    }
}

/// `action` on samples whose numbers are higher by `by`.
fn shifted(mut action: Action, by: u32) -> Action {
    let region = match &mut action {
        Action::Compute(work) => &mut work.region,
        Action::Transfer { region, .. } => region,
        Action::Join => return action,
    };
    region.samples = region.samples.start + by..region.samples.end + by;
    action
}

impl Query {
    /// From its arrival until it was done or dropped.
    pub fn latency(&self) -> Duration {
        self.ended - self.arrived
    }
}

/// Why a load could not be served to its end.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ServeError {
    /// There is no plan.
    #[error("no plan for {samples} samples at {}: {reason}", at.since_start())]
    Plan {
        /// Samples of each model.
        samples: u32,
        /// When it was asked for.
        at: Time,
        /// Why, for the user.
        reason: String,
    },
    /// A plan has a step of unknown duration.
    #[error(transparent)]
    Uncalibrated(#[from] Uncalibrated),
    /// Queries wait for something that does not come.
    #[error("{open} of {queries} queries wait for {} without end{remedy}", devices.join(" and "))]
    Stalled {
        /// How many wait.
        open: usize,
        /// Of how many.
        queries: usize,
        /// What can be done about it.
        remedy: &'static str,
        /// The names of devices that dropped out and did not come back.
        devices: Vec<String>,
    },
    /// Steps cannot be numbered.
    #[error("the load has more than 4294967295 steps; ask for fewer queries")]
    TooManySteps,
    /// It would take longer than can be simulated.
    #[error("it would take 584 years or more, which is the longest that can be simulated")]
    TooLong,
}

/// What a planner is asked: an offline problem.
#[derive(Clone)]
pub struct Question {
    /// The problem, of all networks that a query is of.
    pub problem: Problem,
    /// Which network that is, if it is one of several with loads of their own.
    pub model: Option<ModelId>,
    /// Whether a fault has left something slower, or gone.
    pub is_degraded: bool,
}

/// Plans for a problem, of which the first whose devices are free is issued; or why there are none.
pub type Planner<'a> = dyn FnMut(&Question) -> Result<Vec<CheckedPlan>, String> + 'a;

/// Serves the load of `problem` with the plans that `planner` gives, in simulated time. Equal arguments give equal
/// results.
///
/// `planner` is asked for offline problems: once for each number of samples that is dispatched, and, if
/// [`crate::problem::Faults::replanning`] is set, again after each fault, for what is left then. An offline load is one
/// query.
pub fn serve(problem: &Problem, planner: &mut Planner<'_>, streams: &Streams) -> Result<Served, ServeError> {
    let mut simulator = Simulator::of(problem, &[]);
    let mut dispatcher = Dispatcher::new(problem, planner, streams);
    match execute(&mut dispatcher, &mut simulator) {
        Ok(()) => dispatcher.into_served(),
        Err(Stalled) => Err(dispatcher.stalled()),
    }
}

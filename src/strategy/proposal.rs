//! What a strategy says of a problem: its plan, and what it can say besides without planning again.

use crate::model::Work;
use crate::plan::Plan;
use crate::platform::DeviceId;
use crate::problem::Problem;
use crate::units::{Duration, Share};

/// What came of planning once.
#[derive(Clone, Debug, PartialEq)]
pub struct Proposal {
    /// The plan.
    pub plan: Plan,
    /// Further ones of which any will do as well, where queries arrive over time: each query gets the first of all whose
    /// devices are free.
    pub alternatives: Vec<Plan>,
    /// How long the strategy expects the plan to take, if it forecasts that.
    pub expected: Option<Expectation>,
}

/// The makespan that a strategy expects of its plan: what it optimises may leave out what a simulation shows.
#[derive(Clone, Debug, PartialEq)]
pub struct Expectation {
    /// Time of what the strategy chose.
    pub chosen: Duration,
    /// What follows on a device whatever is chosen. Its time is looked up apart, since no choice depends on it: a
    /// strategy need not profile it.
    pub rest: Option<(DeviceId, Work)>,
}

impl Expectation {
    /// The makespan; `None` if nobody knows the time of the rest.
    pub fn makespan(&self, problem: &Problem) -> Option<Duration> {
        let time = |(device, work): &(DeviceId, Work)| problem.costs.compute(*device, Share::FULL, work).ok();
        let rest = match &self.rest {
            Some(rest) => time(rest)?.time,
            None => Duration::ZERO,
        };
        Some(self.chosen + rest)
    }
}

impl From<Plan> for Proposal {
    fn from(plan: Plan) -> Proposal {
        Proposal { plan, alternatives: Vec::new(), expected: None }
    }
}

//! Decides the plan. One file for each strategy, and for what they share.
//!
//! A strategy sees the problem and returns a plan. It does not run anything on hardware, and whether its plan
//! is sound is for [`crate::plan::check`] to say.

mod aofl;
mod batch_scheduler;
mod batch_split;
pub mod bound;
mod coedge;
mod deepthings;
mod dla_split;
mod dla_stream;
mod even;
mod exact;
mod first_free;
mod fronts;
mod full_search;
mod greedy;
mod guided;
mod k_best;
mod layer_groups;
mod legion;
mod micro_batched_single;
mod modnn;
mod partitioned;
mod proportional;
mod proposal;
mod round_robin;
mod rows;
mod simulated;
mod single;

pub use aofl::Aofl;
pub use batch_scheduler::{BatchScheduler, Concurrency, LoopOrder};
pub use coedge::Coedge;
pub use deepthings::Deepthings;
pub use dla_split::{DlaSplit, Shares};
pub use dla_stream::DlaStream;
pub use even::Even;
pub use exact::{Exact, Robust};
pub use first_free::FirstFree;
pub use full_search::FullSearch;
pub use greedy::{Greedy, Variant};
pub use guided::Guided;
pub use k_best::KBest;
pub use layer_groups::LayerGroups;
pub use legion::Legion;
pub use micro_batched_single::MicroBatchedSingle;
pub use modnn::Modnn;
pub use partitioned::{Partition, Partitioned};
pub use proportional::Proportional;
pub use proposal::{Expectation, Proposal};
pub use round_robin::RoundRobin;
pub use rows::{Corrections, Messages, Ratio, Transport};
pub use single::Single;

use crate::cost::Uncalibrated;
use crate::plan::Plan;
use crate::platform::RouteError;
use crate::problem::Problem;

/// Why a strategy has no plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// It cannot be done, whatever the plan.
    #[error("no plan is possible: {0}")]
    Infeasible(String),
    /// The strategy is not made for this problem.
    #[error("{0}")]
    Unsupported(String),
    /// The cost model has a gap where the strategy looks.
    #[error(transparent)]
    Uncalibrated(#[from] Uncalibrated),
}

impl From<RouteError> for PlanError {
    fn from(error: RouteError) -> PlanError {
        PlanError::Infeasible(error.to_string())
    }
}

/// A way of sharing inference among devices. Pure: equal problems give equal plans.
///
/// ```
/// use coinfer::model::{Region, Work};
/// use coinfer::plan::{Action, Lane, Plan};
/// use coinfer::platform::DeviceId;
/// use coinfer::problem::Problem;
/// use coinfer::model::ModelId;
/// use coinfer::strategy::{PlanError, Strategy};
/// use coinfer::units::Share;
///
/// /// Everything on the first device, in one step.
/// struct First;
///
/// impl Strategy for First {
///     fn name(&self) -> &'static str {
///         "first"
///     }
///     fn plan(&self, problem: &Problem) -> Result<Plan, PlanError> {
///         let graph = &problem.models[0].graph;
///         let whole = graph.whole().ok_or_else(|| PlanError::Infeasible("nothing to compute".into()))?;
///         let rows = 0..graph.shape(graph.output()).rows;
///         let region = Region { samples: 0..problem.samples(), rows };
///         let memory = problem.platform.capacity(DeviceId(0));
///         let mut plan = Plan::default();
///         let lane = plan.lane(Lane::Compute { device: DeviceId(0), share: Share::FULL, memory });
///         plan.step(lane, Action::Compute(Work { model: ModelId(0), segment: whole, region }), &[]);
///         Ok(plan)
///     }
/// }
/// ```
pub trait Strategy: Send + Sync {
    /// Name used in scenarios and reports.
    fn name(&self) -> &'static str;

    /// The plan for `problem`.
    fn plan(&self, problem: &Problem) -> Result<Plan, PlanError>;

    /// All that it says of `problem`, from planning once; to be written by strategies that say more than a plan.
    fn propose(&self, problem: &Problem) -> Result<Proposal, PlanError> {
        Ok(self.plan(problem)?.into())
    }
}

//! What runs where and in which order: the one artefact that engine and replay both execute.
//!
//! Plain data. [`check()`] is the only way to a [`CheckedPlan`], and only checked plans run.

mod builder;
mod check;
mod cover;
mod footprint;
mod frontier;
mod presence;
pub(crate) mod room;
mod violation;

pub use builder::Builder;
pub use check::{CheckedPlan, check};
pub use footprint::{Footprint, footprints};
pub(crate) use footprint::{Touch, Touched, Touches};
pub(crate) use frontier::Frontier;
pub use violation::Violation;

use std::ops::Range;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::model::{LayerId, ModelId, Region, Work};
use crate::platform::{DeviceId, LinkId};
use crate::units::{Bytes, Share};

/// Index of a lane in the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LaneId(pub u32);

/// Index of a step in the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StepId(pub u32);

/// An in-order queue: a CUDA stream or MPS partition, an OpenCL queue, a DLA core, a link.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Lane {
    /// A reserved part of a device.
    Compute {
        /// Which device.
        device: DeviceId,
        /// Reserved compute units.
        share: Share,
        /// Reserved memory: weights of every segment it runs and its largest activations.
        memory: Bytes,
    },
    /// A link; a half-duplex one carries both directions in list order.
    Link(LinkId),
}

impl Lane {
    /// Whether both are on the same device or link.
    pub fn is_beside(&self, other: &Lane) -> bool {
        match (self, other) {
            (Lane::Compute { device, .. }, Lane::Compute { device: its, .. }) => device == its,
            (Lane::Link(link), Lane::Link(its)) => link == its,
            _ => false,
        }
    }
}

/// What a step does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Action {
    /// Run layers over samples and rows.
    Compute(Work),
    /// Copy a region of a layer's output across the link of the step's lane.
    Transfer {
        /// The model.
        model: ModelId,
        /// Whose output.
        layer: LayerId,
        /// Which part of it.
        region: Region,
        /// The end of the link that receives it.
        to: DeviceId,
    },
    /// Take no time: a slot boundary or a merge point.
    Join,
}

impl Action {
    /// Which samples of which model it is about; `None` of joins.
    pub fn samples(&self) -> Option<(ModelId, Range<u32>)> {
        match self {
            Action::Compute(work) => Some((work.model, work.region.samples.clone())),
            Action::Transfer { model, region, .. } => Some((*model, region.samples.clone())),
            Action::Join => None,
        }
    }
}

/// One unit of execution. It starts when its lane has ended all earlier steps and every step in `after` has ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// Its queue; `None` for joins.
    pub lane: Option<LaneId>,
    /// What it does.
    pub action: Action,
    /// Steps it waits for, each earlier in the plan.
    pub after: SmallVec<[StepId; 4]>,
}

/// One round of cooperative inference.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Queues.
    pub lanes: Vec<Lane>,
    /// Steps; a lane runs its own in list order.
    pub steps: Vec<Step>,
}

impl Plan {
    /// Adds a lane.
    pub fn lane(&mut self, lane: Lane) -> LaneId {
        self.lanes.push(lane);
        LaneId(self.lanes.len() as u32 - 1)
    }

    /// Adds a step to `lane` that waits for `after`.
    pub fn step(&mut self, lane: LaneId, action: Action, after: &[StepId]) -> StepId {
        self.push(Some(lane), action, after)
    }

    /// Adds a join of `after`.
    pub fn join(&mut self, after: &[StepId]) -> StepId {
        self.push(None, Action::Join, after)
    }

    fn push(&mut self, lane: Option<LaneId>, action: Action, after: &[StepId]) -> StepId {
        self.steps.push(Step { lane, action, after: after.into() });
        StepId(self.steps.len() as u32 - 1)
    }

    /// The plan of some of its steps, by index, each with all that it waits for.
    pub(crate) fn of_steps(&self, is_taken: impl Fn(usize) -> bool) -> Plan {
        let mut taken = Plan { lanes: self.lanes.clone(), steps: Vec::new() };
        let mut places = vec![StepId(0); self.steps.len()];
        for (index, step) in self.steps.iter().enumerate().filter(|(index, _)| is_taken(*index)) {
            places[index] = StepId(taken.steps.len() as u32);
            let after = step.after.iter().map(|on| places[on.0 as usize]).collect();
            taken.steps.push(Step { lane: step.lane, action: step.action.clone(), after });
        }
        taken
    }

    /// Ids of all steps, in list order.
    pub fn step_ids(&self) -> impl DoubleEndedIterator<Item = StepId> + use<> {
        (0..self.steps.len() as u32).map(StepId)
    }

    /// The step with this id.
    pub fn step_at(&self, id: StepId) -> &Step {
        &self.steps[id.0 as usize]
    }

    /// The lane with this id.
    pub fn lane_at(&self, id: LaneId) -> &Lane {
        &self.lanes[id.0 as usize]
    }
}

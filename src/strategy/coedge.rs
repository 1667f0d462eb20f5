//! CoEdge: every board keeps its part of the image, and neighbours exchange halos.

use serde::{Deserialize, Serialize};

use super::rows::{Transport, divided, one_by_one};
use super::{PlanError, Strategy};
use crate::plan::Plan;
use crate::problem::Problem;

/// Divides rows once, in proportion to the boards' speeds; before each layer, boards get their halo from neighbours.
///
/// Source: Zeng, Chen, Zhou, Yang and Zhang, "CoEdge: cooperative DNN inference with adaptive workload partitioning over
/// heterogeneous edge devices", IEEE/ACM Transactions on Networking 2021. Its adaptation of the ratio to energy and
/// deadlines is left out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Coedge {
    /// The devices that share rows; all but the home if absent.
    pub boards: Option<Vec<String>>,
}

impl Strategy for Coedge {
    fn name(&self) -> &'static str {
        "coedge"
    }

    fn plan(&self, problem: &Problem) -> Result<Plan, PlanError> {
        Ok(divided(problem, self.boards.as_deref(), |split| Ok(one_by_one(split, Transport::Neighbour)?.into()))?.plan)
    }
}

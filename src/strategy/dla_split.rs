//! The front of a network on a GPU and deep-learning accelerators (Lee, Won and Park, KSC 2022).

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use super::fronts::{Fronts, Search};
use super::simulated::accepted;
use super::{PlanError, Strategy};
use crate::plan::Plan;
use crate::problem::Problem;

/// Cuts the network in two. The GPU and all accelerators run the front, each on samples of its own, in rounds of equal
/// size; when all are done, what the accelerators made is handed over, and the GPU runs the rest over all samples.
///
/// `B = sum over accelerators of N_D r_D + N_G r_G`, accelerators of one class (`count`) taking equal parts. Cut, sizes
/// and rounds are the best there are in simulation: all sharings whose time without contention, which no contention
/// shortens, is below the best simulated one are simulated. In O(C (B log B + B^K)) for C cuts and K classes, and as many
/// simulations as contention leaves in doubt.
///
/// A cut is looked at if every accelerator supports the front and its times are known on all units. Where inputs are
/// elsewhere (`home`), the sharing is that for inputs at hand.
///
/// Source: Lee, Won and Park, KSC 2022; its figure is in sjlee25/nvdla-parallelization-readme (a3e230b).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DlaSplit {
    /// How samples of the front are shared.
    pub shares: Shares,
    /// The most rounds of the GPU; any number if absent.
    pub gpu_rounds_max: Option<NonZeroU32>,
}

/// How samples of the front are shared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Shares {
    /// As is fastest; the GPU alone may be.
    #[default]
    Best,
    /// As is fastest of those in which every unit has some, as published.
    All,
    /// The same number for every unit; the GPU has what is left over.
    Even,
    /// All on the accelerators; the GPU has what is left over.
    Dla,
}

impl Strategy for DlaSplit {
    fn name(&self) -> &'static str {
        "dla_split"
    }

    fn plan(&self, problem: &Problem) -> Result<Plan, PlanError> {
        let fronts = Fronts::new(problem, problem.samples())?;
        let (_, sharing) = Search::new(self, &fronts, problem.samples())?.best(problem.samples())?;
        // The sharing is that for data at hand; what waits at the home and on its way there may leave it no room.
        accepted(problem, fronts.plan(problem, &sharing)?).or_else(|refusal| {
            accepted(problem, fronts.plan(problem, &fronts.on_gpu(problem.samples()))?).map_err(|_| refusal)
        })
    }
}

//! DeepThings: the first layers fused over equal tiles, the others on one device.

use serde::{Deserialize, Serialize};

use super::rows::{Transport, divided, equal};
use super::{PlanError, Strategy};
use crate::plan::Plan;
use crate::problem::Problem;

/// Fuses the first layers over equal parts of the rows, one for each board; the fastest board runs the others.
///
/// Source: Zhao, Barijough and Gerstlauer, "DeepThings: distributed adaptive deep learning inference on
/// resource-constrained IoT edge clusters", IEEE TCAD 2018. Its tiles divide columns too, and idle boards steal them;
/// here parts are as many as boards, of rows only.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Deepthings {
    /// The devices that share rows; all but the home if absent.
    pub boards: Option<Vec<String>>,
    /// The last of the fused layers; the one with which the whole is fastest if absent.
    pub until: Option<String>,
}

impl Strategy for Deepthings {
    fn name(&self) -> &'static str {
        "deepthings"
    }

    fn plan(&self, problem: &Problem) -> Result<Plan, PlanError> {
        let proposal = divided(problem, self.boards.as_deref(), |split| {
            let (length, count) = (split.len(), split.boards.len());
            let gateway = split.fastest_board();
            let is_cut = |&cut: &usize| {
                split.chain.is_group(&(0..cut)) && (cut == length || split.chain.is_group(&(cut..length)))
            };
            let cuts: Vec<usize> = match &self.until {
                None => (1..=length).filter(is_cut).collect(),
                Some(name) => {
                    let cut = split.chain.unit_named(name).map(|unit| unit + 1).filter(is_cut);
                    let refusal = || PlanError::Unsupported(format!("the network cannot be cut behind `{name}`"));
                    vec![cut.ok_or_else(refusal)?]
                }
            };
            let plan = |cut: usize| -> Result<Plan, PlanError> {
                let mut groups = vec![split.group(0..cut, equal(count, split.chain.height(cut - 1)))?];
                if cut < length {
                    let height = split.chain.height(length - 1);
                    let rows = (0..count).map(|board| if board == gateway { 0..height } else { 0..0 });
                    groups.push(split.group(cut..length, rows.collect())?);
                }
                split.plan(&groups, Transport::Gather)
            };
            Ok(split.fastest(cuts.into_iter().map(plan))?.into())
        });
        Ok(proposal?.plan)
    }
}

//! The full searching scheme: the cuts that are best by the times of all groups, each run by itself.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::rows::{
    Corrections, Forecast, Messages, Ratio, RowGroup, RowSplit, Rows, Settings, Transport, best, divided, proportional,
    round_time,
};
use super::{PlanError, Proposal, Strategy};
use crate::plan::Plan;
use crate::problem::Problem;

/// Runs every contiguous group of layers once and cuts where the sum of these times is least.
///
/// L layers need up to L (L + 1) / 2 profiles of groups, where Legion needs L of layers. The home gathers and scatters.
///
/// Source: the full searching scheme (FSS) of Choi, Lee, Kang and Park, ICCD 2021.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct FullSearch {
    /// The devices that share rows; all but the home if absent.
    pub boards: Option<Vec<String>>,
    /// How rows are divided; `speed` is the published way.
    pub ratio: Ratio,
}

impl Strategy for FullSearch {
    fn name(&self) -> &'static str {
        "full_search"
    }

    fn plan(&self, problem: &Problem) -> Result<Plan, PlanError> {
        Ok(self.propose(problem)?.plan)
    }

    fn propose(&self, problem: &Problem) -> Result<Proposal, PlanError> {
        divided(problem, self.boards.as_deref(), |split| {
            let (sum, groups) = self.search(split)?;
            let expected = Some(split.expectation(sum));
            Ok(Proposal { expected, ..split.plan(&groups, Transport::Gather)?.into() })
        })
    }
}

impl FullSearch {
    /// The groups with the least sum of measured times, and that in nanoseconds.
    fn search(&self, split: &RowSplit<'_>) -> Result<(f64, Vec<RowGroup>), PlanError> {
        let forecast = match self.ratio {
            Ratio::Speed => None,
            Ratio::Exact => {
                let (rows, transport) = (Rows::Earliest, Transport::Gather);
                let (messages, corrections) = (Messages::Together, Corrections::ALL);
                let settings = Settings { rows, transport, messages, corrections };
                Some(Forecast::new(split, split.speeds(), settings)?)
            }
        };
        let (speeds, length) = (split.speeds(), split.len());
        let group = |units: std::ops::Range<usize>| match &forecast {
            Some(forecast) => Ok(forecast.group(units)),
            None => split.group(units.clone(), proportional(&speeds, split.chain.height(units.end - 1))),
        };
        let pairs = (1..=length).flat_map(|end| (0..end).map(move |start| start..end));
        let groups: Vec<_> = pairs.filter(|units| split.chain.is_group(units)).collect();
        let measured = groups.into_par_iter().map(|units| {
            let group = group(units.clone())?;
            Ok((group.clone(), round_time(split, &group)?.as_nanos_f64()))
        });
        let measured: Vec<(RowGroup, f64)> = measured.collect::<Result<_, PlanError>>()?;
        let mut found = vec![vec![None; length]; length];
        for (index, (group, _)) in measured.iter().enumerate() {
            found[group.units.end - 1][group.units.start] = Some(index);
        }
        let (sum, chosen) =
            best(length, |units| found[units.end - 1][units.start].map(|index: usize| measured[index].1))
                .expect("each unit is a group by itself");
        let of_units = |units: std::ops::Range<usize>| found[units.end - 1][units.start].expect("it was chosen");
        Ok((sum, chosen.into_iter().map(|units| measured[of_units(units)].0.clone()).collect()))
    }
}

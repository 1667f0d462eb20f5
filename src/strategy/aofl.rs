//! AOFL: groups with equal tiles, each over as many boards as are worth it.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::rows::{Corrections, Forecast, Messages, RowSplit, Rows, Settings, Transport, best, divided};
use super::{PlanError, Proposal, Strategy};
use crate::plan::Plan;
use crate::problem::Problem;

/// Chooses cuts and, for each group, how many boards share its rows equally, by a forecast from single layers.
///
/// Source: Zhou, Samsonov, Sun, Cheng and Zhang, "Adaptive parallel execution of deep neural networks on heterogeneous
/// edge devices" (adaptive optimal fused-layer), ACM/IEEE SEC 2019. The fastest boards are taken first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Aofl {
    /// The devices that share rows; all but the home if absent.
    pub boards: Option<Vec<String>>,
}

impl Strategy for Aofl {
    fn name(&self) -> &'static str {
        "aofl"
    }

    fn plan(&self, problem: &Problem) -> Result<Plan, PlanError> {
        Ok(self.propose(problem)?.plan)
    }

    fn propose(&self, problem: &Problem) -> Result<Proposal, PlanError> {
        divided(problem, self.boards.as_deref(), |split| {
            let forecasts = forecasts(split)?;
            let (sum, groups) = chosen(split, &forecasts)?;
            let group = |units: Range<usize>| Some(fastest(&forecasts, &units)?.1.group(units));
            let groups: Vec<_> = groups.into_iter().filter_map(group).collect();
            let expected = Some(split.expectation(sum));
            Ok(Proposal { expected, ..split.plan(&groups, Transport::Gather)?.into() })
        })
    }
}

/// For each number of boards, what groups take on so many of the fastest.
fn forecasts<'s, 'a>(split: &'s RowSplit<'a>) -> Result<Vec<Forecast<'s, 'a>>, PlanError> {
    let speeds = split.speeds();
    let mut order: Vec<usize> = (0..speeds.len()).collect();
    order.sort_by(|&a, &b| speeds[b].total_cmp(&speeds[a]));
    let settings = Settings {
        rows: Rows::Weighted,
        transport: Transport::Gather,
        messages: Messages::Together,
        corrections: Corrections::default(),
    };
    let forecast = |count: usize| {
        let weight = |board| if order[..count].contains(&board) { 1.0 } else { 0.0 };
        let weights = (0..speeds.len()).map(weight).collect();
        Ok(Forecast::new(split, weights, settings)?)
    };
    (1..=speeds.len()).map(forecast).collect()
}

/// The least time of a group, and the forecast that has it.
fn fastest<'f, 's, 'a>(forecasts: &'f [Forecast<'s, 'a>], units: &Range<usize>) -> Option<(f64, &'f Forecast<'s, 'a>)> {
    let times = forecasts.iter().filter_map(|forecast| Some((forecast.time(units.clone())?, forecast)));
    times.filter(|(time, _)| time.is_finite()).min_by(|a, b| a.0.total_cmp(&b.0))
}

fn chosen(split: &RowSplit<'_>, forecasts: &[Forecast<'_, '_>]) -> Result<(f64, Vec<Range<usize>>), PlanError> {
    best(split.len(), |units| fastest(forecasts, &units).map(|(time, _)| time)).ok_or_else(super::rows::unknown)
}

//! Legion: fused-layer model parallelism (Choi, Lee, Kang and Park, ICCD 2021).

use serde::{Deserialize, Serialize};

use super::rows::{Corrections, Forecast, Group, Ratio, RowSplit, Rows, Transport, best, merged};
use super::{PlanError, Strategy};
use crate::plan::Plan;
use crate::problem::Problem;
use crate::units::Duration;

/// Runs layers in groups whose rows all boards share, with the cuts that are best by profiles of single layers.
///
/// Source: Choi, Lee, Kang and Park, "Legion: tailoring grouped neural execution considering heterogeneity on multiple
/// edge devices", ICCD 2021.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Legion {
    /// The devices that share rows; all but the home if absent.
    pub boards: Option<Vec<String>>,
    /// How rows are divided; `speed` is the published way.
    pub ratio: Ratio,
    /// How data gets from group to group; `gather` is the published way.
    pub transport: Transport,
    /// Whether the two groups whose merger is expected to help most are also tried as one, and the better of the two
    /// configurations is taken.
    pub wild_card: bool,
    /// Causes of error that the forecast leaves out; none is published.
    pub corrections: Corrections,
}

impl Strategy for Legion {
    fn name(&self) -> &'static str {
        "legion"
    }

    fn plan(&self, problem: &Problem) -> Result<Plan, PlanError> {
        let split = RowSplit::new(problem, self.boards.as_deref())?;
        let forecast = self.forecast(&split)?;
        let plan = |groups: &[std::ops::Range<usize>]| {
            let groups: Vec<Group> = groups.iter().map(|units| forecast.group(units.clone())).collect();
            split.plan(&groups, self.transport)
        };
        let (_, groups) = chosen(&split, &forecast)?;
        let first = plan(&groups);
        let other =
            merged(&groups, |units| forecast.time(units)).filter(|_| self.wild_card).map(|groups| plan(&groups));
        match other {
            Some(other) if split.simulated(&other)? < split.simulated(&first)? => Ok(other),
            _ => Ok(first),
        }
    }

    fn expects(&self, problem: &Problem) -> Result<Option<Duration>, PlanError> {
        let split = RowSplit::new(problem, self.boards.as_deref())?;
        let (sum, _) = chosen(&split, &self.forecast(&split)?)?;
        Ok(Some(Duration::from_nanos_f64(sum) + split.tail_time()?))
    }
}

impl Legion {
    fn forecast<'s, 'a>(&self, split: &'s RowSplit<'a>) -> Result<Forecast<'s, 'a>, PlanError> {
        let rows = match self.ratio {
            Ratio::Speed => Rows::Weighted,
            Ratio::Exact => Rows::Earliest,
        };
        Ok(Forecast::new(split, split.speeds(), rows, self.transport, self.corrections)?)
    }
}

/// The grouping with the least forecast, and the forecast in nanoseconds.
pub(super) fn chosen(
    split: &RowSplit<'_>,
    forecast: &Forecast<'_, '_>,
) -> Result<(f64, Vec<std::ops::Range<usize>>), PlanError> {
    best(split.len(), |units| forecast.time(units).filter(|time| time.is_finite()))
        .ok_or_else(|| PlanError::Infeasible("no grouping of the layers has times that are all known".into()))
}

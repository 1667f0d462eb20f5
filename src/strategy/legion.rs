//! Legion: fused-layer model parallelism (Choi, Lee, Kang and Park, ICCD 2021).

use serde::{Deserialize, Serialize};

use super::rows::{Corrections, Forecast, Messages, Ratio, RowSplit, Settings, Transport, divided, merged};
use super::{PlanError, Proposal, Strategy};
use crate::plan::Plan;
use crate::problem::Problem;

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
    /// How the times of messages between home and boards were taken. The published loss against a full search, 3.4 % on
    /// average, follows from `together`.
    pub messages: Messages,
    /// Causes of error that the forecast leaves out; none is published.
    pub corrections: Corrections,
}

impl Strategy for Legion {
    fn name(&self) -> &'static str {
        "legion"
    }

    fn plan(&self, problem: &Problem) -> Result<Plan, PlanError> {
        Ok(self.propose(problem)?.plan)
    }

    fn propose(&self, problem: &Problem) -> Result<Proposal, PlanError> {
        divided(problem, self.boards.as_deref(), |split| {
            let forecast = self.forecast(split)?;
            let (sum, groups) = forecast.best()?;
            let plan = forecast.plan(&groups);
            let plan = match merged(&groups, |units| forecast.time(units)).filter(|_| self.wild_card) {
                Some(merged) => split.fastest([plan, forecast.plan(&merged)])?,
                None => plan?,
            };
            Ok(Proposal { expected: Some(split.expectation(sum)), ..plan.into() })
        })
    }
}

impl Legion {
    fn forecast<'s, 'a>(&self, split: &'s RowSplit<'a>) -> Result<Forecast<'s, 'a>, PlanError> {
        let Legion { ratio, transport, messages, corrections, .. } = *self;
        let settings = Settings { rows: ratio.into(), transport, messages, corrections };
        Ok(Forecast::new(split, split.speeds(), settings)?)
    }
}

//! The best of several configurations that a forecast puts first.

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use super::rows::{Corrections, Forecast, Messages, Ratio, Settings, Transport, divided, k_best};
use super::{PlanError, Strategy};
use crate::plan::Plan;
use crate::problem::Problem;

/// Runs the configurations that Legion's forecast ranks first, and takes the fastest.
///
/// What the forecast leaves out, such as waiting for the home's interface, decides among configurations that it ranks
/// close together. Not published.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct KBest {
    /// How many configurations are run.
    pub count: NonZeroU32,
    /// The devices that share rows; all but the home if absent.
    pub boards: Option<Vec<String>>,
    /// How rows are divided.
    pub ratio: Ratio,
    /// How data gets from group to group.
    pub transport: Transport,
    /// How the times of messages between home and boards were taken.
    pub messages: Messages,
    /// Causes of error that the forecast leaves out.
    pub corrections: Corrections,
}

impl Default for KBest {
    fn default() -> Self {
        KBest {
            count: NonZeroU32::new(16).expect("16 is not 0"),
            boards: None,
            ratio: Ratio::Speed,
            transport: Transport::Gather,
            messages: Messages::default(),
            corrections: Corrections::default(),
        }
    }
}

impl Strategy for KBest {
    fn name(&self) -> &'static str {
        "k_best"
    }

    fn plan(&self, problem: &Problem) -> Result<Plan, PlanError> {
        let KBest { ratio, transport, messages, corrections, .. } = *self;
        let settings = Settings { rows: ratio.into(), transport, messages, corrections };
        let proposal = divided(problem, self.boards.as_deref(), |split| {
            let forecast = Forecast::new(split, split.speeds(), settings)?;
            let known = |units| forecast.time(units).filter(|time| time.is_finite());
            let ranked = k_best(split.len(), self.count.get() as usize, known);
            let plans = ranked.into_iter().map(|(_, groups)| forecast.plan(&groups));
            Ok(split.fastest(plans)?.into())
        });
        Ok(proposal?.plan)
    }
}

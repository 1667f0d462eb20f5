//! Why a strategy has no outcome.

use crate::cost::Uncalibrated;
use crate::engine::ServeError;
use crate::plan::Violation;
use crate::strategy::PlanError;
use crate::units::Duration;

/// Why a strategy has no outcome.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum EvaluateError {
    /// It has no plan.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// It has one that the check refuses: a mistake in the strategy.
    #[error("its plan breaks rules: {}", joined(.0))]
    Unsound(Vec<Violation>),
    /// The plan has a step of unknown duration.
    #[error(transparent)]
    Uncalibrated(#[from] Uncalibrated),
    /// The makespan is beyond what a time can hold.
    #[error("it would take 584 years or more, which is the longest that can be simulated")]
    TooLong,
    /// The load cannot be served to its end.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// No query arrives after the warm-up.
    #[error("the warm-up leaves no query of a run that lasts {:.3} s; shorten it", lasted.as_secs_f64())]
    WarmUp {
        /// How long the run lasts.
        lasted: Duration,
    },
    /// No plan was ever issued.
    #[error("every query was dropped before a plan could be issued")]
    AllDropped,
}

fn joined(violations: &[Violation]) -> String {
    violations.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

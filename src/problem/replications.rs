//! How often a run is repeated in which something is left to chance, and what of each counts.

use crate::units::Duration;

/// How many replications there are, and what of each counts. What is certain is run once.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Replications {
    /// Replications in any case, 2 or more.
    pub min: u32,
    /// Replications at most, `min` or more.
    pub max: u32,
    /// Half width of the confidence interval of a mean at which it is known well enough, as a share of the mean;
    /// `None` if it need not be known to any width.
    pub mean_error: Option<f64>,
    /// The same of the 99th percentile of latencies.
    pub p99_error: Option<f64>,
    /// What the start of a run does not count for.
    pub warm_up: WarmUpRule,
}

/// How much of the start of a run is left out of its figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WarmUpRule {
    /// Nothing: every query counts.
    None,
    /// What [`crate::statistics::warm_up`] finds in the latencies of the run.
    Mser5,
    /// Queries that arrive before this time.
    Fixed(Duration),
}

impl Default for Replications {
    /// 20 to 200, until means are known to 1 % and the 99th percentile to 5 %, of whole runs.
    fn default() -> Replications {
        Replications { min: 20, max: 200, mean_error: Some(0.01), p99_error: Some(0.05), warm_up: WarmUpRule::None }
    }
}

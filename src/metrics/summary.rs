//! What a run found out.

use super::{Failure, Outcome};

/// Everything that a run found out.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// The scenario's name.
    pub scenario: String,
    /// What strategies achieved.
    pub outcomes: Vec<Outcome>,
    /// Strategies that have no outcome.
    pub failures: Vec<Failure>,
    /// What the reader should know, a sentence each.
    pub notes: Vec<String>,
    /// Whether concurrent steps slowed each other.
    pub contention: bool,
    /// What speed-ups are relative to, such as `single on gpu`.
    pub baseline: String,
}

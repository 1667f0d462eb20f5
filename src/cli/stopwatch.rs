//! How long things take, which is printed and never stored.

use std::time::{Duration, Instant};

/// Runs from its start on.
pub(super) struct Stopwatch(Instant);

#[allow(clippy::disallowed_methods, reason = "no result depends on it")]
impl Stopwatch {
    pub(super) fn start() -> Stopwatch {
        Stopwatch(Instant::now())
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

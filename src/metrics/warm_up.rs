//! How much of the start of all replications of a load does not count.

use super::WarmUpEnd;
use crate::engine::Served;
use crate::statistics::{Pilot, WarmUp};

/// The warm-up that replications have in common, found from the average of the first of them.
#[derive(Clone, Debug, Default)]
pub struct CommonWarmUp {
    pilot: Pilot,
    /// Queries done in the replication that did fewest.
    done: Option<usize>,
}

impl CommonWarmUp {
    /// Adds a replication.
    pub fn add(&mut self, served: &Served) {
        self.pilot.add(served.done().map(|query| query.latency().as_nanos_f64()));
        let done = served.done().count();
        self.done = Some(self.done.map_or(done, |least| least.min(done)));
    }

    /// What to leave out of each replication, and whether what is left is steady. If it is not, half of the queries.
    pub fn end(&self) -> (WarmUpEnd, bool) {
        let (queries, is_steady) = match self.pilot.warm_up() {
            WarmUp::Ends { drop } => (drop, true),
            WarmUp::NotConverged => (self.done.unwrap_or(0) / 2, false),
            WarmUp::TooShort => (0, true),
        };
        (WarmUpEnd::Queries(queries), is_steady)
    }
}

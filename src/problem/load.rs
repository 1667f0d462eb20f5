//! When queries arrive, how many samples they have, and when plans are issued for them.

use serde::{Deserialize, Serialize};

use super::Arrivals;
use crate::units::Duration;

/// When queries arrive and how many samples each has, in the terms of MLPerf inference
/// (Reddi et al., ISCA 2020, section IV).
#[derive(Clone, Debug, PartialEq)]
pub enum Load {
    /// All samples are present at the start.
    Offline {
        /// Number of samples of each model.
        samples: u32,
    },
    /// Queries of one sample; a client sends its next when the last is done.
    SingleStream {
        /// Queries in all.
        queries: u32,
        /// Clients that send; MLPerf has one.
        clients: u32,
    },
    /// Queries of several samples; a client sends its next when the last is done.
    MultiStream {
        /// Samples per query.
        samples: u32,
        /// Queries in all.
        queries: u32,
        /// Clients that send; MLPerf has one.
        clients: u32,
    },
    /// Queries come whether or not others are done.
    Server(Server),
}

/// Queries that come whether or not others are done.
#[derive(Clone, Debug, PartialEq)]
pub struct Server {
    /// When they come.
    pub arrivals: Arrivals,
    /// How many come at each arrival.
    pub together: u32,
    /// Samples per query.
    pub samples: u32,
    /// Queries in all.
    pub queries: u32,
    /// Queries that may wait; who cannot begin at once and finds as many waiting is dropped. `None` if all may wait.
    pub queue_max: Option<u32>,
    /// A query that takes longer than this is late.
    pub deadline: Option<Duration>,
    /// Whether queries that wait, or must wait again since a fault lost all of them, are dropped when their deadline
    /// passes.
    pub drop_late: bool,
}

/// When plans are issued for queries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dispatch {
    /// A plan for each query, in the order of arrival, as long as no more than this number are under way.
    PerQuery {
        /// `None` for no limit: a query begins as soon as a step of its plan can.
        in_flight_max: Option<u32>,
    },
    /// When nothing is under way, one plan for all that wait, as one batch.
    Batch {
        /// Samples in a batch.
        batch_max: u32,
        /// How long the first of a batch that is not full may be kept waiting for more.
        delay_max: Duration,
    },
}

impl Default for Dispatch {
    fn default() -> Dispatch {
        Dispatch::PerQuery { in_flight_max: None }
    }
}

impl Dispatch {
    /// Samples of each model in the largest plan, where queries have `samples` each.
    pub fn samples_max(&self, samples: u32) -> u32 {
        match self {
            Dispatch::PerQuery { .. } => samples,
            Dispatch::Batch { batch_max, .. } => samples.max(*batch_max),
        }
    }
}

impl Load {
    /// What scenarios call it.
    pub fn name(&self) -> &'static str {
        match self {
            Load::Offline { .. } => "offline",
            Load::SingleStream { .. } => "single_stream",
            Load::MultiStream { .. } => "multi_stream",
            Load::Server(_) => "server",
        }
    }

    /// Samples of each model in a query, or in all for an offline load.
    pub fn samples(&self) -> u32 {
        match self {
            Load::Offline { samples } | Load::MultiStream { samples, .. } => *samples,
            Load::SingleStream { .. } => 1,
            Load::Server(server) => server.samples,
        }
    }

    /// Queries in all; one for an offline load.
    pub fn queries(&self) -> u32 {
        match self {
            Load::Offline { .. } => 1,
            Load::SingleStream { queries, .. } | Load::MultiStream { queries, .. } => *queries,
            Load::Server(server) => server.queries,
        }
    }
}

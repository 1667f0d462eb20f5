//! When queries arrive, how many samples they have, and when plans are issued for them.

use serde::{Deserialize, Serialize};

use super::Arrivals;
use crate::model::ModelId;
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
    /// Each network has a load of its own; none of these is of this kind.
    PerModel(Vec<Tenant>),
}

/// A network with a load of its own, which shares devices with others.
#[derive(Clone, Debug, PartialEq)]
pub struct Tenant {
    /// The network of its queries.
    pub model: ModelId,
    /// When they come.
    pub load: Load,
    /// Of queries that wait, those of a tenant with a higher number begin first.
    pub priority: u8,
}

/// Queries that come whether or not others are done.
#[derive(Clone, Debug, PartialEq)]
pub struct Server {
    /// When they come.
    pub arrivals: Arrivals,
    /// How many come at each arrival.
    pub together: u32,
    /// Samples per query; the most of any where recorded arrivals say how many each has.
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
    /// One plan for all queries of a network that wait, as one batch.
    Batch {
        /// Samples in a batch.
        batch_max: u32,
        /// How long the first of a batch that is not full may be kept waiting for more.
        delay_max: Duration,
        /// Batches of a network that are under way at a time. `None` for one, or for as many as a strategy offers plans to
        /// choose from, such as one for each device.
        in_flight_max: Option<u32>,
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
            Load::PerModel(_) => "of each network",
        }
    }

    /// Samples of each model in a query, the most of any, or in all for an offline load.
    pub fn samples(&self) -> u32 {
        match self {
            Load::Offline { samples } | Load::MultiStream { samples, .. } => *samples,
            Load::SingleStream { .. } => 1,
            Load::Server(server) => server.samples,
            Load::PerModel(tenants) => tenants.iter().map(|tenant| tenant.load.samples()).max().unwrap_or(0),
        }
    }

    /// Queries in all; one for an offline load.
    pub fn queries(&self) -> u32 {
        match self {
            Load::Offline { .. } => 1,
            Load::SingleStream { queries, .. } | Load::MultiStream { queries, .. } => *queries,
            Load::Server(server) => server.queries,
            Load::PerModel(tenants) => tenants.iter().map(|tenant| tenant.load.queries()).sum(),
        }
    }

    /// Samples of all queries, of each model that queries are of.
    pub fn samples_in_all(&self) -> u64 {
        match self {
            Load::Server(Server { arrivals: Arrivals::Recorded { samples, .. }, together, queries, .. })
                if !samples.is_empty() =>
            {
                let each = samples.iter().flat_map(|&samples| (0..*together).map(move |_| u64::from(samples)));
                each.take(*queries as usize).sum()
            }
            Load::PerModel(tenants) => tenants.iter().map(|tenant| tenant.load.samples_in_all()).sum(),
            _ => u64::from(self.samples()) * u64::from(self.queries()),
        }
    }

    /// Whether chance says when queries come.
    pub fn is_random(&self) -> bool {
        match self {
            Load::Server(server) => matches!(server.arrivals, Arrivals::Poisson { .. } | Arrivals::Bursty { .. }),
            Load::PerModel(tenants) => tenants.iter().any(|tenant| tenant.load.is_random()),
            _ => false,
        }
    }
}

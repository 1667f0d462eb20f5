//! A source of queries, of one network or of all, with those that wait.

use std::collections::{BTreeMap, VecDeque};

use crate::engine::{ArrivalTimes, Streams};
use crate::model::ModelId;
use crate::problem::{Arrivals, Load, Problem, Server};
use crate::units::{Duration, Time};

pub(super) struct Tenant<'a> {
    /// The network of its queries; `None` if they are of all.
    pub(super) model: Option<ModelId>,
    load: &'a Load,
    pub(super) priority: u8,
    /// The samples of each of its queries, if they are as many for all.
    pub(super) samples_each: Option<u32>,
    /// Of queries that come whether or not others are done.
    times: Option<ArrivalTimes<'a>>,
    /// Queries in all, and those that have arrived.
    queries: u32,
    arrived: u32,
    /// Queries that wait for a plan, the first to arrive in front.
    pub(super) waiting: VecDeque<u32>,
    /// Its batches that are under way.
    pub(super) under_way: u32,
    /// By number of samples, the templates that can be issued under the present condition.
    pub(super) plans: BTreeMap<u32, Vec<u32>>,
    /// The most plans to choose from that there were for any number of samples; 1 before there was any.
    pub(super) alternatives: u32,
    /// Whether a timer is set for the deadline of a query that waits, the first one when it was set.
    pub(super) is_deadline_timed: bool,
}

impl<'a> Tenant<'a> {
    /// All of `problem`.
    pub(super) fn all(problem: &'a Problem, streams: &Streams) -> Vec<Tenant<'a>> {
        let of = |index: u32, model: Option<ModelId>, load: &'a Load, priority: u8| Tenant {
            model,
            load,
            priority,
            samples_each: match load {
                Load::Server(Server { arrivals: Arrivals::Recorded { samples, .. }, .. }) if !samples.is_empty() => {
                    None
                }
                load => Some(load.samples()),
            },
            times: match load {
                Load::Server(server) => Some(ArrivalTimes::new(&server.arrivals, streams, index)),
                _ => None,
            },
            queries: load.queries(),
            arrived: 0,
            waiting: VecDeque::new(),
            under_way: 0,
            plans: BTreeMap::new(),
            alternatives: 1,
            is_deadline_timed: false,
        };
        match &problem.load {
            Load::PerModel(tenants) => (0..)
                .zip(tenants)
                .map(|(index, tenant)| of(index, Some(tenant.model), &tenant.load, tenant.priority))
                .collect(),
            load => vec![of(0, None, load, 0)],
        }
    }

    fn server(&self) -> Option<&'a Server> {
        match self.load {
            Load::Server(server) => Some(server),
            _ => None,
        }
    }

    /// Queries of clients that are there at the start.
    pub(super) fn clients(&self) -> u32 {
        let clients = match *self.load {
            Load::Offline { .. } => 1,
            Load::SingleStream { clients, .. } | Load::MultiStream { clients, .. } => clients,
            Load::Server(_) | Load::PerModel(_) => 0,
        };
        clients.min(self.queries)
    }

    /// Whether more queries will come by themselves or when others are done.
    #[inline]
    pub(super) fn expects_queries(&self) -> bool {
        self.arrived < self.queries
    }

    /// Whether its clients send a query when one is done.
    pub(super) fn is_closed(&self) -> bool {
        self.times.is_none()
    }

    /// When the next queries come by themselves, if any do.
    #[inline]
    pub(super) fn next_arrival(&mut self) -> Option<Time> {
        if self.expects_queries() { self.times.as_mut()?.next() } else { None }
    }

    /// How many come at an arrival.
    pub(super) fn together(&self) -> u32 {
        self.server().map_or(1, |server| server.together).min(self.queries - self.arrived)
    }

    /// A query arrives. Returns its samples.
    #[inline]
    pub(super) fn arrive(&mut self, id: u32) -> u32 {
        let samples = self.samples_each.unwrap_or_else(|| match self.load {
            Load::Server(Server { arrivals: Arrivals::Recorded { samples, .. }, together, .. }) => {
                samples[(self.arrived / together) as usize]
            }
            load => load.samples(),
        });
        self.arrived += 1;
        self.waiting.push_back(id);
        samples
    }

    /// Whether its queries may be dropped.
    pub(super) fn drops(&self) -> bool {
        self.queue_max().is_some() || self.drop_after().is_some()
    }

    /// Queries that may wait; `None` if all may.
    #[inline]
    pub(super) fn queue_max(&self) -> Option<usize> {
        Some(self.server()?.queue_max? as usize)
    }

    /// The deadline after which a query is dropped instead of begun.
    #[inline]
    pub(super) fn drop_after(&self) -> Option<Duration> {
        self.server().filter(|server| server.drop_late)?.deadline
    }
}

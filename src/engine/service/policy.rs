//! What may begin when: the rules by which queries that wait get plans.

use super::floor::{Begin, Floor};
use crate::engine::simulator::Simulator;
use crate::problem::Dispatch;
use crate::units::{Duration, Time};

/// Rules by which queries get plans.
///
/// It is asked once all is known that happens at a time, again and again until it has nothing more to begin, and finds
/// all that has happened on the floor. Faults, deadlines and full queues are the floor's concern.
pub(super) trait Policy {
    /// What begins next, now.
    fn next(&mut self, floor: &mut Floor<'_, '_>, simulator: &mut Simulator) -> Next;
}

/// The answer of a policy.
pub(super) enum Next {
    /// These queries begin.
    Begin(Begin),
    /// Nothing begins until something happens, or this time has come. If it `is_full`, arrivals change nothing.
    Wait { until: Option<Time>, is_full: bool },
}

/// The policy that a problem asks for.
pub(super) fn policy(dispatch: Dispatch) -> Box<dyn Policy> {
    match dispatch {
        Dispatch::PerQuery { in_flight_max } => Box::new(PerQuery { in_flight_max }),
        Dispatch::Batch { batch_max, delay_max, in_flight_max } => {
            Box::new(Batches { samples_max: batch_max, delay_max, in_flight_max })
        }
    }
}

/// A plan for each query, the first of its network to arrive in front.
struct PerQuery {
    in_flight_max: Option<u32>,
}

impl Policy for PerQuery {
    fn next(&mut self, floor: &mut Floor<'_, '_>, simulator: &mut Simulator) -> Next {
        if self.in_flight_max.is_some_and(|limit| floor.under_way() >= limit) {
            return Next::Wait { until: None, is_full: true };
        }
        let begin = floor.find_waiting(|floor, tenant| floor.plan_for(tenant, 1, simulator));
        begin.map_or(Next::Wait { until: None, is_full: false }, Next::Begin)
    }
}

/// A plan for all queries of a network that wait, as one batch.
struct Batches {
    samples_max: u32,
    delay_max: Duration,
    in_flight_max: Option<u32>,
}

impl Policy for Batches {
    fn next(&mut self, floor: &mut Floor<'_, '_>, simulator: &mut Simulator) -> Next {
        // Of several plans, each is for devices of its own.
        let is_full = |floor: &Floor<'_, '_>, tenant: usize| {
            floor.under_way_of(tenant) >= self.in_flight_max.unwrap_or_else(|| floor.alternatives(tenant))
        };
        let mut until = None;
        let begin = floor.find_waiting(|floor, tenant| {
            if is_full(floor, tenant) {
                return None;
            }
            let (count, is_whole) = floor.fitting(tenant, self.samples_max);
            let at = floor.first_arrived(tenant) + self.delay_max;
            if !is_whole && simulator.now() < at {
                until = Some(until.map_or(at, |other: Time| other.min(at)));
                return None;
            }
            floor.plan_for(tenant, count, simulator)
        });
        match begin {
            Some(begin) => Next::Begin(begin),
            None => Next::Wait { until, is_full: (0..floor.tenants.len()).all(|tenant| is_full(floor, tenant)) },
        }
    }
}

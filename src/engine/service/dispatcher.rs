//! Tells the floor what happens, and asks a policy what begins.

use super::floor::Floor;
use super::policy::{Next, Policy, policy};
use super::{Planner, ServeError, Served};
use crate::engine::Streams;
use crate::engine::simulator::{Simulator, Stalled};
use crate::execute::{Event, Source};
use crate::problem::{Fault, Problem};
use crate::units::Time;

/// A source of steps that asks for plans as queries arrive.
pub(super) struct Dispatcher<'a, 'p> {
    floor: Floor<'a, 'p>,
    policy: Box<dyn Policy>,
    faults: &'a [Fault],
    /// While strategies plan again, nothing is issued: how many times they still have to.
    replanning: u32,
    /// The time for which a timer is set to ask the policy again.
    asked_at: Option<Time>,
    /// Whether nothing begins before something other than an arrival happens.
    is_full: bool,
}

/// What a timer is for; its token is this and, times the number of kinds, which one of them.
#[derive(Clone, Copy)]
enum Timer {
    /// Queries of a tenant arrive.
    Arrival,
    /// The deadline of a query passes, the first of those of a tenant that wait.
    Deadline,
    /// The policy is asked again, or a deadline passes of a query of which something was lost.
    Decision,
    /// Strategies have planned again.
    Replanned,
    /// A fault happens.
    Fault,
}

const TIMERS: [Timer; 5] = [Timer::Arrival, Timer::Deadline, Timer::Decision, Timer::Replanned, Timer::Fault];

impl Timer {
    fn token(self, index: usize) -> u32 {
        index as u32 * TIMERS.len() as u32 + self as u32
    }

    fn of(token: u32) -> (Timer, usize) {
        let token = token as usize;
        (TIMERS[token % TIMERS.len()], token / TIMERS.len())
    }
}

impl<'a, 'p> Dispatcher<'a, 'p> {
    pub(super) fn new(problem: &'a Problem, planner: &'a mut Planner<'p>, streams: &'a Streams) -> Dispatcher<'a, 'p> {
        Dispatcher {
            floor: Floor::new(problem, planner, streams),
            policy: policy(problem.dispatch),
            faults: &problem.faults.faults,
            replanning: 0,
            asked_at: None,
            is_full: false,
        }
    }

    pub(super) fn into_served(self) -> Result<Served, ServeError> {
        self.floor.into_served()
    }

    /// The error of a service in which nothing more will happen.
    pub(super) fn stalled(self) -> ServeError {
        self.floor.stalled()
    }

    fn set_arrival_timer(&mut self, tenant: usize, simulator: &mut Simulator) {
        if let Some(at) = self.floor.tenants[tenant].next_arrival() {
            simulator.wake(at, Timer::Arrival.token(tenant));
        }
    }

    /// Issues all that may be issued now that all is known that happens now, and drops who may not wait.
    #[inline]
    fn decide(&mut self, simulator: &mut Simulator) {
        if !self.floor.waits() || simulator.has_more_now() {
            return;
        }
        if self.is_full {
            debug_assert!(matches!(self.policy.next(&mut self.floor, simulator), Next::Wait { is_full: true, .. }));
        } else {
            self.dispatch(simulator);
        }
        if self.floor.drops {
            self.drop_queries(simulator);
        }
    }

    /// Drops who may not wait.
    fn drop_queries(&mut self, simulator: &mut Simulator) {
        self.floor.drop_excess(simulator.now());
        if self.floor.drop_late(simulator.now()) {
            self.dispatch(simulator); // a batch may wait for whoever is first now
        }
        for tenant in 0..self.floor.tenants.len() {
            if !self.floor.tenants[tenant].is_deadline_timed
                && let Some(at) = self.floor.deadline(tenant)
            {
                self.floor.tenants[tenant].is_deadline_timed = true;
                simulator.wake(at, Timer::Deadline.token(tenant));
            }
        }
    }

    /// Issues all that may be issued now.
    fn dispatch(&mut self, simulator: &mut Simulator) {
        if self.replanning > 0 {
            return;
        }
        self.floor.redo(simulator);
        while self.floor.failed.is_none() {
            match self.policy.next(&mut self.floor, simulator) {
                Next::Begin(begin) => self.floor.begin(begin, simulator),
                Next::Wait { until, is_full } => {
                    self.is_full = is_full;
                    if let Some(at) = until.filter(|_| self.asked_at != until) {
                        self.asked_at = until;
                        simulator.wake(at, Timer::Decision.token(0));
                    }
                    return;
                }
            }
        }
    }

    fn break_down(&mut self, fault: Fault, simulator: &mut Simulator) {
        let now = simulator.now();
        for deadline in self.floor.break_down(fault, simulator) {
            simulator.wake(deadline.max(now), Timer::Decision.token(0));
        }
        if let Some(time) = self.floor.replanning() {
            self.replanning += 1;
            simulator.wake(now + time, Timer::Replanned.token(0));
        }
    }
}

impl Source<Simulator> for Dispatcher<'_, '_> {
    fn begin(&mut self, simulator: &mut Simulator) -> Result<(), Stalled> {
        for (index, fault) in self.faults.iter().enumerate() {
            simulator.wake(fault.at, Timer::Fault.token(index));
        }
        for tenant in 0..self.floor.tenants.len() {
            for _ in 0..self.floor.tenants[tenant].clients() {
                self.floor.arrive(tenant, Time::ZERO);
            }
            self.set_arrival_timer(tenant, simulator);
        }
        self.decide(simulator);
        Ok(())
    }

    #[inline]
    fn handle(&mut self, event: Event, simulator: &mut Simulator) -> Result<(), Stalled> {
        self.is_full &= matches!(event, Event::Woken { token } if matches!(Timer::of(token), (Timer::Arrival, _)));
        match event {
            Event::Ended(completion) => self.floor.complete(completion, simulator),
            Event::Sent { step } => self.floor.free_lane(step, simulator),
            Event::Woken { token } => match Timer::of(token) {
                (Timer::Arrival, tenant) => {
                    for _ in 0..self.floor.tenants[tenant].together() {
                        self.floor.arrive(tenant, simulator.now());
                    }
                    self.set_arrival_timer(tenant, simulator);
                }
                (Timer::Deadline, tenant) => self.floor.tenants[tenant].is_deadline_timed = false,
                (Timer::Decision, _) => {}
                (Timer::Replanned, _) => {
                    self.replanning -= 1;
                    if self.replanning == 0 {
                        self.floor.recall(simulator);
                    }
                }
                (Timer::Fault, index) => self.break_down(self.faults[index], simulator),
            },
        }
        self.decide(simulator);
        Ok(())
    }

    fn is_done(&self) -> bool {
        self.floor.failed.is_some() || self.floor.is_done()
    }
}

//! Decides which plan is issued when.

use std::collections::{BTreeMap, VecDeque};

use super::flights::{Flights, Loss, last_end};
use super::template::Template;
use super::{Fate, Issue, Planner, Query, Recovery, ServeError, Served};
use crate::engine::simulator::{Simulator, Stalled};
use crate::engine::{ArrivalTimes, Streams};
use crate::execute::{Event, Source};
use crate::platform::DeviceId;
use crate::problem::{Change, Condition, Dispatch, Load, Problem, Server};
use crate::timeline::{Origin, Timeline};
use crate::units::{Duration, Time};

/// A source of steps that asks for plans as queries arrive.
pub(super) struct Dispatcher<'a, 'p> {
    problem: &'a Problem,
    planner: &'a mut Planner<'p>,
    streams: &'a Streams,
    /// Of queries that come whether or not others are done.
    arrivals: Option<(ArrivalTimes<'a>, &'a Server)>,
    queries: Vec<Query>,
    /// Queries that wait for a plan, the first to arrive in front.
    waiting: VecDeque<u32>,
    /// Queries that arrived and are neither done nor dropped.
    open: u32,
    groups: Groups,
    flights: Flights,
    templates: Vec<Template>,
    /// By number of samples, the templates that can be issued under the present condition.
    plans: BTreeMap<u32, Vec<u32>>,
    issues: Vec<Issue>,
    condition: Condition,
    /// The problem under the present condition; `None` while it is the problem itself.
    degraded: Option<Problem>,
    /// While strategies plan again, nothing is issued: how many times they still have to.
    replanning: u32,
    /// The query for which a timer is set that ends its wait for a full batch.
    timed: Option<u32>,
    /// Whether a timer is set for the deadline of a query that waits, the first one when it was set.
    is_deadline_timed: bool,
    recoveries: Vec<Recovery>,
    /// Faults that are not made good yet.
    unrecovered: Vec<Unrecovered>,
    failed: Option<ServeError>,
}

/// Queries whose samples are computed together, by one plan or, after a fault, by several.
#[derive(Default)]
struct Groups {
    groups: Vec<Group>,
    free: Vec<u32>,
    redo: Vec<Redo>,
}

/// Samples of a group that were lost.
#[derive(Clone, Copy)]
struct Redo {
    group: u32,
    samples: u32,
    /// The device that must be back before.
    waits_for: Option<DeviceId>,
}

#[derive(Default)]
struct Group {
    queries: Vec<u32>,
    /// Plans under way, and parts that wait to be computed again.
    parts: u32,
}

impl Groups {
    /// What is to be computed again waits for plans, and for a device.
    fn redo(&mut self, losses: Vec<Loss>, waits_for: Option<DeviceId>) {
        for Loss { group, samples, is_over } in losses {
            self.redo.push(Redo { group, samples, waits_for });
            if !is_over {
                self.groups[group as usize].parts += 1;
            }
        }
    }

    /// Whether nothing of the group is under way.
    fn is_lost(&self, group: u32) -> bool {
        self.redo.iter().filter(|redo| redo.group == group).count() as u32 == self.groups[group as usize].parts
    }
}

struct Unrecovered {
    /// By its place in `recoveries`.
    recovery: usize,
    /// Queries that were open before.
    open: u32,
    /// Groups that lost samples.
    groups: Vec<u32>,
}

const ARRIVAL: u32 = 0;
const FULL_ENOUGH: u32 = 1;
const REPLANNED: u32 = 2;
/// The deadline of a query that waits passes.
const DEADLINE: u32 = 3;
/// The deadline of a query passes of which something was lost.
const DEADLINE_OF_LOST: u32 = 4;
/// And the number of the fault.
const FAULT: u32 = 5;

impl<'a, 'p> Dispatcher<'a, 'p> {
    pub(super) fn new(problem: &'a Problem, planner: &'a mut Planner<'p>, streams: &'a Streams) -> Dispatcher<'a, 'p> {
        let arrivals = match &problem.load {
            Load::Server(server) => Some((ArrivalTimes::new(&server.arrivals, streams, 0), server)),
            _ => None,
        };
        Dispatcher {
            problem,
            planner,
            streams,
            arrivals,
            queries: Vec::new(),
            waiting: VecDeque::new(),
            open: 0,
            groups: Groups::default(),
            flights: Flights::new(),
            templates: Vec::new(),
            plans: BTreeMap::new(),
            issues: Vec::new(),
            condition: Condition::healthy(&problem.platform),
            degraded: None,
            replanning: 0,
            timed: None,
            is_deadline_timed: false,
            recoveries: Vec::new(),
            unrecovered: Vec::new(),
            failed: None,
        }
    }

    pub(super) fn into_served(self) -> Result<Served, ServeError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let (lanes, spans, [lost, dead]) = self.flights.into_parts();
        if last_end(&spans) == Time::MAX {
            return Err(ServeError::TooLong);
        }
        Ok(Served {
            queries: self.queries,
            lanes,
            lanes_of: self.templates.iter().map(|template| template.lanes.clone()).collect(),
            plans: self.templates.into_iter().map(|template| template.plan).collect(),
            issues: self.issues,
            timeline: Timeline { origin: Origin::Simulated, spans },
            lost,
            dead,
            recoveries: self.recoveries,
        })
    }

    /// The error of a service in which nothing more will happen.
    pub(super) fn stalled(self) -> ServeError {
        let devices = self.problem.platform.devices.iter().zip(&self.condition.devices);
        let out = devices.filter(|(_, health)| **health == 0.0).map(|(device, _)| format!("`{}`", device.name));
        let remedy = match self.problem.faults.replanning {
            Some(_) => "; there is no plan without: say when it comes back (`until`)",
            None => "; say when it comes back (`until`), or plan again (`replanning`)",
        };
        ServeError::Stalled {
            remedy,
            open: self.problem.load.queries() as usize - (self.queries.len() - self.open as usize),
            queries: self.problem.load.queries() as usize,
            devices: out.collect(),
        }
    }

    /// Whether more queries will come by themselves or when others are done.
    fn expects_queries(&self) -> bool {
        self.queries.len() < self.problem.load.queries() as usize
    }

    fn arrive(&mut self, now: Time) {
        self.waiting.push_back(self.queries.len() as u32);
        self.queries.push(Query { arrived: now, begun: now, ended: now, fate: Fate::Done });
        self.open += 1;
    }

    /// The deadline after which a query is dropped instead of begun.
    fn deadline(&self) -> Option<Duration> {
        self.arrivals.as_ref().and_then(|(_, server)| server.deadline.filter(|_| server.drop_late))
    }

    /// Issues all that may be issued now that all is known that happens now, and drops who may not wait.
    fn decide(&mut self, simulator: &mut Simulator) {
        if self.waiting.is_empty() && self.groups.redo.is_empty() || simulator.has_more_now() {
            return;
        }
        self.dispatch(simulator);
        self.drop_excess(simulator.now());
        if let Some(deadline) = self.deadline()
            && self.drop_late(deadline, simulator)
        {
            self.dispatch(simulator); // a batch may wait for whoever is first now
        }
    }

    /// Drops the last of those that wait, as far as they are more than may. Called when all that could be issued was: who
    /// need not wait is never dropped.
    fn drop_excess(&mut self, now: Time) {
        let limit = self.arrivals.as_ref().and_then(|(_, server)| server.queue_max);
        while limit.is_some_and(|limit| self.waiting.len() > limit as usize)
            && let Some(id) = self.waiting.pop_back()
        {
            self.queries[id as usize].begun = now;
            self.drop(id, Fate::Dropped, now);
        }
    }

    fn drop(&mut self, id: u32, fate: Fate, now: Time) {
        let query = &mut self.queries[id as usize];
        (query.ended, query.fate) = (now, fate);
        self.open -= 1;
    }

    /// Drops who waits and is late, and who was begun and must wait again since all of it was lost. Sets a timer for the
    /// next. Returns whether any was dropped that had not begun.
    fn drop_late(&mut self, deadline: Duration, simulator: &mut Simulator) -> bool {
        let now = simulator.now();
        let mut has_dropped = false;
        while let Some(&id) = self.waiting.front()
            && self.queries[id as usize].arrived + deadline <= now
        {
            self.waiting.pop_front();
            self.queries[id as usize].begun = now;
            self.drop(id, Fate::Expired, now);
            has_dropped = true;
        }
        if let Some(&id) = self.waiting.front()
            && !std::mem::replace(&mut self.is_deadline_timed, true)
        {
            simulator.wake(self.queries[id as usize].arrived + deadline, DEADLINE);
        }
        let mut groups: Vec<u32> = self.groups.redo.iter().map(|redo| redo.group).collect();
        groups.sort_unstable();
        groups.dedup();
        groups.into_iter().for_each(|group| self.drop_lost(group, deadline, now));
        has_dropped
    }

    /// Drops the queries of a group that are late, if nothing of it is under way.
    fn drop_lost(&mut self, place: u32, deadline: Duration, now: Time) {
        if !self.groups.is_lost(place) {
            return;
        }
        let mut queries = std::mem::take(&mut self.groups.groups[place as usize].queries);
        queries.retain(|&id| {
            let is_late = self.queries[id as usize].arrived + deadline <= now;
            if is_late {
                self.drop(id, Fate::Expired, now);
            }
            !is_late
        });
        // What is lost is known by its number only: no more than whoever is left has.
        let mut most = self.problem.samples().saturating_mul(queries.len() as u32);
        let mut kept = 0;
        self.groups.redo.retain_mut(|redo| {
            if redo.group == place {
                redo.samples = redo.samples.min(most);
                most -= redo.samples;
                kept += u32::from(redo.samples > 0);
            }
            redo.samples > 0
        });
        let group = &mut self.groups.groups[place as usize];
        (group.parts, group.queries) = (kept, queries);
        if kept == 0 {
            self.free_group(place, now);
        }
    }

    fn set_arrival_timer(&mut self, simulator: &mut Simulator) {
        if self.expects_queries()
            && let Some((times, _)) = &mut self.arrivals
            && let Some(at) = times.next()
        {
            simulator.wake(at, ARRIVAL);
        }
    }

    /// Issues all that may be issued now.
    fn dispatch(&mut self, simulator: &mut Simulator) {
        if self.replanning > 0 {
            return;
        }
        let mut at = 0;
        while let Some(&Redo { group, samples, waits_for }) = self.groups.redo.get(at) {
            let is_back = waits_for.is_none_or(|device| self.condition.has(device));
            match self.working_template(samples, simulator).filter(|_| is_back) {
                Some(template) => {
                    self.groups.redo.remove(at);
                    self.issue(template, group, samples, simulator);
                }
                None => at += 1,
            }
        }
        match self.problem.dispatch {
            Dispatch::PerQuery { in_flight_max } => {
                let limit = in_flight_max.map_or(usize::MAX, |limit| limit as usize);
                while self.flights.count() < limit && !self.waiting.is_empty() {
                    let Some(template) = self.free_template(self.problem.samples(), simulator) else { return };
                    self.begin(1, template, self.problem.samples(), simulator);
                }
            }
            Dispatch::Batch { batch_max, delay_max } => {
                let now = simulator.now();
                if self.flights.count() > 0 || self.waiting.is_empty() {
                    return;
                }
                let of_query = self.problem.samples();
                let full = (batch_max / of_query).max(1) as usize;
                let first = self.waiting[0];
                let until = self.queries[first as usize].arrived + delay_max;
                if self.waiting.len() < full && now < until {
                    if self.timed != Some(first) {
                        self.timed = Some(first);
                        simulator.wake(until, FULL_ENOUGH);
                    }
                    return;
                }
                let count = self.waiting.len().min(full);
                let samples = of_query.saturating_mul(count as u32);
                if let Some(template) = self.free_template(samples, simulator) {
                    self.begin(count, template, samples, simulator);
                }
            }
        }
    }

    /// Issues a plan for the first `count` queries that wait.
    fn begin(&mut self, count: usize, template: u32, samples: u32, simulator: &mut Simulator) {
        let place = self.groups.free.pop().unwrap_or_else(|| {
            self.groups.groups.push(Group::default());
            self.groups.groups.len() as u32 - 1
        });
        let group = &mut self.groups.groups[place as usize];
        group.parts = 1;
        group.queries.extend(self.waiting.drain(..count));
        for id in &group.queries {
            self.queries[*id as usize].begun = simulator.now();
        }
        self.issue(template, place, samples, simulator);
    }

    fn issue(&mut self, template: u32, group: u32, samples: u32, simulator: &mut Simulator) {
        match self.flights.issue(&self.templates, template, group, simulator) {
            Some(first_step) => {
                let queries = self.groups.groups[group as usize].queries.len() as u32;
                self.issues.push(Issue { plan: template, first_step, at: simulator.now(), queries, samples });
            }
            None => self.failed = Some(ServeError::TooManySteps),
        }
    }

    /// A template for `samples` samples of which a step would begin now. Among several, the first whose lanes are free.
    fn free_template(&mut self, samples: u32, simulator: &mut Simulator) -> Option<u32> {
        let template = self.working_template(samples, simulator)?;
        self.flights.can_begin(&self.templates[template as usize]).then_some(template)
    }

    /// A template for `samples` samples whose devices work. Among several, the first whose lanes are free.
    fn working_template(&mut self, samples: u32, simulator: &mut Simulator) -> Option<u32> {
        if !self.plans.contains_key(&samples)
            && let Err(error) = self.plan(samples, simulator)
        {
            match self.degraded {
                // What has no plan now may have one after the next fault.
                Some(_) if matches!(error, ServeError::Plan { .. }) => {
                    self.plans.insert(samples, Vec::new());
                }
                _ => self.failed = Some(error),
            }
            return None;
        }
        let plans = &self.plans[&samples];
        let works =
            |index: &&u32| self.templates[**index as usize].devices.iter().all(|device| self.condition.has(*device));
        let mut working = plans.iter().filter(works);
        match plans.len() {
            1 => working.next().copied(),
            _ => working.find(|index| self.flights.has_free(&self.templates[**index as usize])).copied(),
        }
    }

    /// Asks for plans for `samples` samples.
    fn plan(&mut self, samples: u32, simulator: &mut Simulator) -> Result<(), ServeError> {
        let Dispatcher { problem, planner, streams, flights, templates, plans, .. } = self;
        let question = self.degraded.as_ref().unwrap_or(problem).offline(samples);
        let found = planner(&question);
        let found = found.map_err(|reason| ServeError::Plan { samples, at: simulator.now(), reason })?;
        let mut known = Vec::new();
        for plan in found {
            let find_lane = |lane: &_, number| flights.find_lane(lane, number, problem, streams, simulator);
            // Times are of healthy devices: the simulator slows what is not.
            templates.push(Template::new(&problem.offline(samples), plan, find_lane)?);
            known.push(templates.len() as u32 - 1);
        }
        plans.insert(samples, known);
        Ok(())
    }

    /// A part of a group has been computed.
    fn end_part(&mut self, place: u32, simulator: &mut Simulator) {
        let group = &mut self.groups.groups[place as usize];
        group.parts -= 1;
        if group.parts > 0 {
            return;
        }
        let now = simulator.now();
        let queries = std::mem::take(&mut group.queries);
        for id in &queries {
            self.queries[*id as usize].ended = now;
        }
        self.open -= queries.len() as u32;
        if self.arrivals.is_none() {
            // Whoever sent these sends the next ones.
            for _ in 0..queries.len() {
                if self.expects_queries() {
                    self.arrive(now);
                }
            }
        }
        let group = &mut self.groups.groups[place as usize];
        group.queries = queries; // to be filled again
        self.free_group(place, now);
    }

    /// Nothing is left to do of the group.
    fn free_group(&mut self, place: u32, now: Time) {
        self.groups.groups[place as usize].queries.clear();
        self.groups.free.push(place);
        self.unrecovered.iter_mut().for_each(|fault| fault.groups.retain(|group| *group != place));
        self.note_recoveries(now);
    }

    fn note_recoveries(&mut self, now: Time) {
        let (open, recoveries) = (self.open, &mut self.recoveries);
        self.unrecovered.retain(|fault| {
            let is_made_good = fault.groups.is_empty() && open <= fault.open;
            if is_made_good {
                let recovery = &mut recoveries[fault.recovery];
                recovery.time = Some(now - recovery.fault.at);
            }
            !is_made_good
        });
    }

    /// The fault with this number happens.
    fn break_down(&mut self, index: usize, simulator: &mut Simulator) {
        let fault = self.problem.faults.faults[index];
        self.condition.apply(fault.change);
        self.recoveries.push(Recovery { fault, time: None });
        let mut unrecovered = Unrecovered { recovery: self.recoveries.len() - 1, open: self.open, groups: Vec::new() };
        match fault.change {
            Change::Speed { device, health } => simulator.set_device_health(device, health),
            Change::Bandwidth { link, health } => simulator.set_link_health(link, health),
            Change::Back { device } => simulator.set_device_health(device, 1.0),
            Change::Out { device } => {
                let losses = self.flights.lose(&self.templates, device, simulator);
                unrecovered.groups.extend(losses.iter().map(|loss| loss.group));
                if let Some(deadline) = self.deadline() {
                    let now = simulator.now();
                    let groups = losses.iter().map(|loss| &self.groups.groups[loss.group as usize]);
                    for &id in groups.flat_map(|group| &group.queries) {
                        let deadline = self.queries[id as usize].arrived + deadline;
                        simulator.wake(deadline.max(now), DEADLINE_OF_LOST);
                    }
                }
                let is_planned_again = self.problem.faults.replanning.is_some();
                self.groups.redo(losses, Some(device).filter(|_| !is_planned_again));
            }
        }
        self.unrecovered.push(unrecovered);
        if let Some(time) = self.problem.faults.replanning {
            self.degraded = Some(self.problem.under(&self.condition));
            self.plans.clear();
            self.replanning += 1;
            simulator.wake(simulator.now() + time, REPLANNED);
        }
    }
}

impl Source<Simulator> for Dispatcher<'_, '_> {
    fn begin(&mut self, simulator: &mut Simulator) -> Result<(), Stalled> {
        for (index, fault) in (0..).zip(&self.problem.faults.faults) {
            simulator.wake(fault.at, FAULT + index);
        }
        let clients = match self.problem.load {
            Load::Offline { .. } => 1,
            Load::SingleStream { clients, .. } | Load::MultiStream { clients, .. } => clients,
            Load::Server(_) => 0,
        };
        for _ in 0..clients.min(self.problem.load.queries()) {
            self.arrive(Time::ZERO);
        }
        self.set_arrival_timer(simulator);
        self.decide(simulator);
        Ok(())
    }

    #[inline]
    fn handle(&mut self, event: Event, simulator: &mut Simulator) -> Result<(), Stalled> {
        match event {
            Event::Ended(completion) => {
                if let Some(group) = self.flights.complete(&self.templates, completion, simulator) {
                    self.end_part(group, simulator);
                }
            }
            Event::Sent { step } => self.flights.free_lane(&self.templates, step, simulator),
            Event::Woken { token: ARRIVAL } => {
                let together = self.arrivals.as_ref().map_or(1, |(_, server)| server.together);
                for _ in 0..together {
                    if self.expects_queries() {
                        self.arrive(simulator.now());
                    }
                }
                self.set_arrival_timer(simulator);
            }
            Event::Woken { token: FULL_ENOUGH | DEADLINE_OF_LOST } => {}
            Event::Woken { token: DEADLINE } => self.is_deadline_timed = false,
            Event::Woken { token: REPLANNED } => {
                self.replanning -= 1;
                if self.replanning == 0 {
                    let recalled = self.flights.recall(&self.templates, simulator);
                    self.groups.redo(recalled, None);
                }
            }
            Event::Woken { token } => self.break_down((token - FAULT) as usize, simulator),
        }
        self.decide(simulator);
        Ok(())
    }

    fn is_done(&self) -> bool {
        self.failed.is_some() || (self.open == 0 && !self.expects_queries() && self.flights.count() == 0)
    }
}

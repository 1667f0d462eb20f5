//! What there is to decide about: queries that wait, plans under way, and what works.

mod faults;
mod late;

use std::cmp::Reverse;

use smallvec::SmallVec;

use super::flights::{Flights, last_end};
use super::groups::{Groups, Redo};
use super::recovery::Recoveries;
use super::template::Template;
use super::tenant::Tenant;
use super::{Fate, Issue, Planner, Query, Question, ServeError, Served};
use crate::engine::Streams;
use crate::engine::simulator::Simulator;
use crate::execute::Completion;
use crate::plan::{StepId, Touches};
use crate::problem::{Condition, Problem, Questions};
use crate::units::Time;

/// For so many queries at most there is memory from the start.
const QUERIES_RESERVED: usize = 1 << 20;

pub(super) struct Floor<'a, 'p> {
    problem: &'a Problem,
    planner: &'a mut Planner<'p>,
    streams: &'a Streams,
    pub(super) tenants: Vec<Tenant<'a>>,
    /// Whether any of their queries may be dropped.
    pub(super) drops: bool,
    queries: Vec<Query>,
    /// Queries that arrived and are neither done nor dropped.
    open: u32,
    groups: Groups,
    flights: Flights<'a>,
    templates: Vec<Template>,
    issues: Vec<Issue>,
    condition: Condition,
    /// The problem under the present condition; `None` while it is the problem itself.
    degraded: Option<Questions>,
    healthy: Questions,
    recoveries: Recoveries,
    pub(super) failed: Option<ServeError>,
    /// Why there is no plan now for queries that wait for better times.
    unplanned: Option<ServeError>,
}

/// Queries that begin, with the plan for them.
pub(super) struct Begin {
    tenant: usize,
    /// How many, of those that wait the first.
    count: usize,
    samples: u32,
    template: u32,
}

/// What policies see.
impl Floor<'_, '_> {
    /// The first answer of `ask` about tenants whose queries wait: by priority, and then by which came first.
    #[inline]
    pub(super) fn find_waiting<T>(&mut self, mut ask: impl FnMut(&mut Self, usize) -> Option<T>) -> Option<T> {
        if let [only] = self.tenants.as_slice() {
            return if only.waiting.is_empty() { None } else { ask(self, 0) };
        }
        let waits = |tenant: &usize| !self.tenants[*tenant].waiting.is_empty();
        let mut found: SmallVec<[usize; 4]> = (0..self.tenants.len()).filter(waits).collect();
        found.sort_by_key(|&tenant| (Reverse(self.tenants[tenant].priority), self.tenants[tenant].waiting[0]));
        found.into_iter().find_map(|tenant| ask(self, tenant))
    }

    /// Batches under way, of which each query is one without batching. What was lost of one is computed again in its place.
    pub(super) fn under_way(&self) -> u32 {
        self.tenants.iter().map(|tenant| tenant.under_way).sum()
    }

    /// Of these, those of `tenant`.
    pub(super) fn under_way_of(&self, tenant: usize) -> u32 {
        self.tenants[tenant].under_way
    }

    /// How many plans there are for queries of `tenant` to choose from.
    pub(super) fn alternatives(&self, tenant: usize) -> u32 {
        self.tenants[tenant].alternatives
    }

    /// When the first query of `tenant` came, of which one waits.
    pub(super) fn first_arrived(&self, tenant: usize) -> Time {
        self.queries[self.tenants[tenant].waiting[0] as usize].arrived
    }

    /// How many queries of `tenant` a batch of so many samples takes, and whether more would not fit. One query always
    /// fits.
    pub(super) fn fitting(&self, tenant: usize, samples_max: u32) -> (usize, bool) {
        let waiting = &self.tenants[tenant].waiting;
        if let Some(each) = self.tenants[tenant].samples_each {
            let full = (samples_max / each).max(1) as usize;
            return (waiting.len().min(full), waiting.len() >= full);
        }
        let mut samples = 0u32;
        let fits = |id: &&u32| {
            samples = samples.saturating_add(self.queries[**id as usize].samples);
            samples <= samples_max
        };
        let count = waiting.iter().take_while(fits).count();
        (count.max(1), samples >= samples_max)
    }

    /// A plan for the first queries of `tenant` that wait, of which a step would begin now and for which there is memory.
    pub(super) fn plan_for(&mut self, tenant: usize, count: usize, simulator: &mut Simulator) -> Option<Begin> {
        let samples = match self.tenants[tenant].samples_each {
            Some(each) => each.saturating_mul(count as u32),
            None => self.samples_of(self.tenants[tenant].waiting.iter().take(count)),
        };
        let template = self.open_template(tenant, samples, true, simulator)?;
        Some(Begin { tenant, count, samples, template })
    }
}

impl<'a, 'p> Floor<'a, 'p> {
    pub(super) fn new(problem: &'a Problem, planner: &'a mut Planner<'p>, streams: &'a Streams) -> Floor<'a, 'p> {
        let tenants = Tenant::all(problem, streams);
        Floor {
            problem,
            planner,
            streams,
            drops: tenants.iter().any(Tenant::drops),
            tenants,
            queries: Vec::with_capacity((problem.load.queries() as usize).min(QUERIES_RESERVED)),
            open: 0,
            groups: Groups::default(),
            flights: Flights::new(problem),
            templates: Vec::new(),
            issues: Vec::new(),
            condition: Condition::healthy(&problem.platform),
            degraded: None,
            healthy: Questions::from(problem),
            recoveries: Recoveries::default(),
            failed: None,
            unplanned: None,
        }
    }

    pub(super) fn into_served(self) -> Result<Served, ServeError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let (lanes, timeline, [lost, dead]) = self.flights.into_parts();
        if last_end(&timeline.spans) == Time::MAX {
            return Err(ServeError::TooLong);
        }
        Ok(Served {
            queries: self.queries,
            lanes,
            lanes_of: self.templates.iter().map(|template| template.lanes.clone()).collect(),
            plans: self.templates.into_iter().map(|template| template.plan).collect(),
            issues: self.issues,
            timeline,
            lost,
            dead,
            recoveries: self.recoveries.into_all(),
        })
    }

    /// The error of a service in which nothing more will happen.
    pub(super) fn stalled(mut self) -> ServeError {
        let is_any_out = self.condition.devices.contains(&0.0);
        if let Some(error) = self.unplanned.take_if(|_| !is_any_out) {
            return error;
        }
        let devices = self.problem.platform.devices.iter().zip(&self.condition.devices);
        let out = devices.filter(|(_, health)| **health == 0.0).map(|(device, _)| format!("`{}`", device.name));
        let remedy = match self.problem.faults.replanning {
            Some(_) => "; there is no plan without: say when it comes back (`until`)",
            None => "; say when it comes back (`until`), or plan again (`replanning`)",
        };
        let queries = self.problem.load.queries() as usize;
        let open = queries - (self.queries.len() - self.open as usize);
        ServeError::Stalled { remedy, open, queries, devices: out.collect() }
    }

    /// Whether all queries have come, and have left.
    pub(super) fn is_done(&self) -> bool {
        self.open == 0 && self.flights.count() == 0 && !self.tenants.iter().any(Tenant::expects_queries)
    }

    /// Whether there is anything to decide about.
    #[inline]
    pub(super) fn waits(&self) -> bool {
        self.tenants.iter().any(|tenant| !tenant.waiting.is_empty()) || !self.groups.redo.is_empty()
    }

    /// A query of `tenant` arrives.
    #[inline]
    pub(super) fn arrive(&mut self, tenant: usize, now: Time) {
        let samples = self.tenants[tenant].arrive(self.queries.len() as u32);
        let query = Query { arrived: now, begun: now, ended: now, samples, tenant: tenant as u16, fate: Fate::Done };
        self.queries.push(query);
        self.open += 1;
    }

    /// Queries begin.
    pub(super) fn begin(&mut self, begin: Begin, simulator: &mut Simulator) {
        let Begin { tenant, count, samples, template } = begin;
        let group = self.groups.add(tenant, self.tenants[tenant].waiting.drain(..count));
        self.tenants[tenant].under_way += 1;
        for id in &self.groups.at(group).queries {
            self.queries[*id as usize].begun = simulator.now();
        }
        self.issue(template, group, samples, simulator);
    }

    /// Issues plans for what was lost, as far as there are any now and there is memory for them.
    pub(super) fn redo(&mut self, simulator: &mut Simulator) {
        self.flights.memory.release_claims();
        let mut at = 0;
        while let Some(&Redo { group, samples, waits_for }) = self.groups.redo.get(at) {
            let tenant = self.groups.at(group).tenant;
            let is_back = waits_for.is_none_or(|device| self.condition.has(device));
            let template = is_back.then(|| self.open_template(tenant, samples, false, simulator)).flatten();
            match template {
                Some(template) => {
                    self.groups.redo.remove(at);
                    self.issue(template, group, samples, simulator);
                }
                None => at += 1,
            }
        }
    }

    fn issue(&mut self, template: u32, group: u32, samples: u32, simulator: &mut Simulator) {
        let tenant = self.groups.at(group).tenant;
        match self.flights.issue(&self.templates, template, group, simulator) {
            Some(first_step) => {
                let queries = self.groups.at(group).queries.len() as u32;
                let (at, tenant) = (simulator.now(), tenant as u16);
                self.issues.push(Issue { plan: template, first_step, at, queries, samples, tenant });
            }
            None => self.failed = Some(ServeError::TooManySteps),
        }
    }

    fn samples_of<'b>(&self, queries: impl IntoIterator<Item = &'b u32>) -> u32 {
        let samples = queries.into_iter().map(|id| self.queries[*id as usize].samples);
        samples.fold(0, u32::saturating_add)
    }

    /// A template for `samples` samples whose devices work and for which there is memory; of which, if it is asked for, a
    /// step would begin now. If there is one only, plans queue on its lanes; among several, the first whose lanes are free.
    fn open_template(&mut self, tenant: usize, samples: u32, begins: bool, simulator: &mut Simulator) -> Option<u32> {
        if !self.tenants[tenant].plans.contains_key(&samples)
            && let Err(error) = self.plan(tenant, samples, simulator)
        {
            match self.degraded {
                // What has no plan now may have one after the next fault.
                Some(_) if matches!(error, ServeError::Plan { .. }) => {
                    self.tenants[tenant].plans.insert(samples, Vec::new());
                    self.unplanned = Some(error);
                }
                _ => self.failed = Some(error),
            }
            return None;
        }
        let plans = &self.tenants[tenant].plans[&samples];
        let is_open = |index: &u32| {
            let template = &self.templates[*index as usize];
            template.devices.iter().all(|device| self.condition.has(*device))
                && (plans.len() == 1 || self.flights.has_free(template))
                && (!begins || self.flights.can_begin(template))
        };
        let open: SmallVec<[u32; 4]> = plans.iter().copied().filter(is_open).collect();
        let found = open.iter().copied().find(|index| self.flights.has_room(&self.templates, *index));
        if let (None, Some(first)) = (found, open.first()) {
            self.flights.memory.claim(*first);
        }
        found
    }

    /// Asks for plans for `samples` samples of `tenant`.
    fn plan(&mut self, tenant: usize, samples: u32, simulator: &mut Simulator) -> Result<(), ServeError> {
        let Floor { problem, planner, streams, flights, templates, degraded, healthy, tenants, .. } = self;
        let index = tenant;
        let tenant = &mut tenants[index];
        let asked = |questions: &Questions| match tenant.model {
            Some(model) => questions.of_model(model, samples),
            None => questions.whole.offline(samples),
        };
        let question = Question {
            problem: asked(degraded.as_ref().unwrap_or(healthy)),
            model: tenant.model,
            is_degraded: degraded.is_some(),
        };
        let found = planner(&question);
        let found = found.map_err(|reason| ServeError::Plan { samples, at: simulator.now(), reason })?;
        // Times are of healthy devices: the simulator slows what is not.
        let healthy = asked(healthy);
        let mut known = Vec::new();
        for plan in found {
            let find_lane = |lane: &_, number| flights.find_lane((lane, number), index, problem, streams, simulator);
            let mut template = Template::new(&healthy, plan, find_lane)?;
            if let Some(model) = tenant.model {
                template.plan = template.plan.of_model(model);
            }
            flights.memory.add(&template);
            if let Some(pager) = &mut flights.pager {
                template.pages = Touches::of(&template.plan, problem).map(|touches| pager.add(touches));
            }
            templates.push(template);
            known.push(templates.len() as u32 - 1);
        }
        tenant.alternatives = tenant.alternatives.max(known.len() as u32);
        tenant.plans.insert(samples, known);
        Ok(())
    }

    /// A step has ended.
    #[inline]
    pub(super) fn complete(&mut self, completion: Completion, simulator: &mut Simulator) {
        if let Some(group) = self.flights.complete(&self.templates, completion, simulator) {
            self.end_part(group, simulator.now());
        }
    }

    /// A transfer has left its lane.
    pub(super) fn free_lane(&mut self, step: StepId, simulator: &mut Simulator) {
        self.flights.free_lane(&self.templates, step, simulator);
    }

    /// A part of a group has been computed.
    fn end_part(&mut self, place: u32, now: Time) {
        let group = self.groups.at_mut(place);
        let tenant = group.tenant;
        group.parts -= 1;
        if group.parts > 0 {
            return;
        }
        let queries = std::mem::take(&mut group.queries);
        for id in &queries {
            self.queries[*id as usize].ended = now;
        }
        self.open -= queries.len() as u32;
        if self.tenants[tenant].is_closed() {
            // Whoever sent these sends the next ones.
            for _ in 0..queries.len() {
                if self.tenants[tenant].expects_queries() {
                    self.arrive(tenant, now);
                }
            }
        }
        self.groups.at_mut(place).queries = queries; // to be filled again
        self.remove_group(place, now);
    }

    fn remove_group(&mut self, place: u32, now: Time) {
        self.tenants[self.groups.at(place).tenant].under_way -= 1;
        self.groups.remove(place);
        self.recoveries.forget(place);
        self.recoveries.note(self.open, now);
    }
}

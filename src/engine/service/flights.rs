//! Plans under way: the same lanes serve one after the other, each in list order.

mod losses;

use std::collections::VecDeque;

pub(super) use losses::Loss;

use super::memory::Stock;
use super::template::{Template, devices_of, is_alike};
use crate::engine::pager::Pager;
use crate::engine::simulator::{Prepared, Simulator};
use crate::engine::{Sampler, Streams};
use crate::execute::{Completion, Lanes};
use crate::plan::{Lane, LaneId, StepId};
use crate::platform::DeviceId;
use crate::problem::Problem;
use crate::timeline::{Origin, Span, Timeline};
use crate::units::{Duration, Share, Time};

/// Plans under way and the lanes that they run on.
pub(super) struct Flights<'a> {
    flights: Vec<Flight>,
    free: Vec<u32>,
    /// The first step and the place of each flight, in the order in which they were issued.
    order: VecDeque<(u32, u32)>,
    lanes: Vec<FloorLane>,
    pub(super) memory: Stock<'a>,
    /// What is in memories that page, if any does.
    pub(super) pager: Option<Pager>,
    /// Of all steps issued so far.
    pub(super) spans: Vec<Span>,
    /// Steps that were under way on a device that dropped out.
    pub(super) lost: Vec<StepId>,
    /// Steps that will never run, those in `lost` among them.
    pub(super) dead: Vec<StepId>,
    /// Steps released in the course of a completion that take no time.
    joins: Vec<StepId>,
}

#[derive(Default)]
struct Flight {
    template: u32,
    /// The number of its first step among all that were issued.
    first: u32,
    /// What each step still waits for, its turn on its lane included; or `ENDED` or `DEAD`.
    counts: Vec<u32>,
    /// Steps that must still end; the flight has ended at 0.
    left: u32,
    /// By memory of the template, those of them that need it.
    left_in: Vec<u32>,
    /// Whose samples it computes.
    group: u32,
}

/// A step that has ended.
pub(super) const ENDED: u32 = u32::MAX;
/// A step that will never run, since what it needs was lost.
pub(super) const DEAD: u32 = u32::MAX - 1;

struct FloorLane {
    lane: Lane,
    /// Which of the lanes that are alike it is.
    number: usize,
    /// The tenant that it is for, if it holds a share of its device only: what others have a like share of is not that.
    owner: Option<usize>,
    /// The devices that it needs.
    devices: Vec<DeviceId>,
    sampler: Sampler,
    /// Whose turn it is: a step that runs, or waits for others.
    current: Option<Turn>,
    /// The first steps of those that come next.
    queue: VecDeque<Turn>,
}

/// A step of a flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Turn {
    flight: u32,
    step: StepId,
}

impl<'a> Flights<'a> {
    pub(super) fn new(problem: &'a Problem) -> Flights<'a> {
        Flights {
            flights: Vec::new(),
            free: Vec::new(),
            order: VecDeque::new(),
            lanes: Vec::new(),
            memory: Stock::new(problem),
            pager: Pager::new(&problem.platform.memories),
            spans: Vec::new(),
            lost: Vec::new(),
            dead: Vec::new(),
            joins: Vec::new(),
        }
    }

    /// All lanes, in the order of the simulator.
    pub(super) fn into_parts(self) -> (Vec<Lane>, Timeline, [Vec<StepId>; 2]) {
        let faults = self.pager.map(Pager::into_faults).unwrap_or_default();
        let timeline = Timeline { origin: Origin::Simulated, spans: self.spans, faults };
        (self.lanes.into_iter().map(|state| state.lane).collect(), timeline, [self.lost, self.dead])
    }

    /// How many are under way.
    pub(super) fn count(&self) -> usize {
        self.flights.len() - self.free.len()
    }

    /// The lane of the simulator that is the `number`-th like `lane` of `tenant`; a new one if there is none so far.
    pub(super) fn find_lane(
        &mut self,
        (lane, number): (&Lane, usize),
        tenant: usize,
        problem: &Problem,
        streams: &Streams,
        simulator: &mut Simulator,
    ) -> LaneId {
        let owner = matches!(lane, Lane::Compute { share, .. } if *share < Share::FULL).then_some(tenant);
        let is_it = |known: &FloorLane| (known.number, known.owner) == (number, owner) && is_alike(&known.lane, lane);
        let known = self.lanes.iter().position(is_it);
        if let Some(index) = known {
            if let (Lane::Compute { memory, .. }, Lane::Compute { memory: needed, .. }) =
                (&mut self.lanes[index].lane, lane)
            {
                *memory = (*memory).max(*needed);
            }
            return LaneId(index as u32);
        }
        let beside = self.lanes.iter().filter(|known| known.lane.is_beside(lane)).count() as u32;
        let sampler = match lane {
            Lane::Compute { device, .. } => Sampler::of_device(&problem.variation, streams, *device, beside),
            Lane::Link(link) => Sampler::of_link(&problem.variation, streams, *link, beside),
        };
        let devices = devices_of(&problem.platform, lane);
        let state =
            FloorLane { lane: lane.clone(), number, owner, devices, sampler, current: None, queue: VecDeque::new() };
        self.lanes.push(state);
        simulator.add(lane, &problem.platform)
    }

    /// Whether nothing is under way or waits on any lane of `template`.
    pub(super) fn has_free(&self, template: &Template) -> bool {
        template.first_on_lane.iter().all(|(lane, _)| self.lanes[lane.0 as usize].current.is_none())
    }

    /// Whether a step of `template` would begin as soon as it was issued.
    #[inline]
    pub(super) fn can_begin(&self, template: &Template) -> bool {
        let is_free = |lane: &LaneId| self.lanes[lane.0 as usize].current.is_none();
        template.begins_on.is_empty() || template.begins_on.iter().any(is_free)
    }

    /// Whether there is memory for one more plan of a template.
    #[inline]
    pub(super) fn has_room(&mut self, templates: &[Template], index: u32) -> bool {
        let is_any_under_way = self.count() > 0;
        self.memory.has_room(templates, index, is_any_under_way)
    }

    /// Issues a plan: its steps queue behind those of earlier plans. Returns the number of its first step, or `None` if
    /// there are too many steps to number.
    pub(super) fn issue(
        &mut self,
        templates: &[Template],
        index: u32,
        group: u32,
        simulator: &mut Simulator,
    ) -> Option<StepId> {
        let template = &templates[index as usize];
        let first = self.spans.len() as u32;
        let count = template.steps.len();
        if self.spans.len() + count > u32::MAX as usize {
            return None;
        }
        self.spans.resize(self.spans.len() + count, Span::default());
        let place = self.free.pop().unwrap_or_else(|| {
            self.flights.push(Flight::default());
            self.flights.len() as u32 - 1
        });
        let flight = &mut self.flights[place as usize];
        (flight.template, flight.first, flight.left, flight.group) = (index, first, count as u32, group);
        flight.left_in.clone_from(&template.steps_in);
        self.memory.take(index);
        if let (Some(pager), Some(pages)) = (&mut self.pager, &template.pages) {
            pager.issue(pages, place);
        }
        flight.counts.clear();
        flight.counts.extend((0..count as u32).map(|step| template.frontier.count(StepId(step))));
        for &(_, step) in &template.first_on_lane {
            flight.counts[step.0 as usize] += 1; // its turn on the lane, which follows plans and not steps
        }
        self.order.push_back((first, place));
        for step in (0..count as u32).map(StepId) {
            if template.steps[step.0 as usize].lane.is_none()
                && self.flights[place as usize].counts[step.0 as usize] == 0
            {
                self.joins.push(step);
            }
        }
        for &(lane, step) in &template.first_on_lane {
            let turn = Turn { flight: place, step };
            let state = &mut self.lanes[lane.0 as usize];
            if state.current.is_none() {
                state.current = Some(turn);
                self.release(templates, turn, simulator);
            } else {
                state.queue.push_back(turn);
            }
        }
        self.end_joins(templates, place, simulator);
        Some(StepId(first))
    }

    /// A step has ended. Returns the group of the flight that ends with it, if one does.
    #[inline]
    pub(super) fn complete(
        &mut self,
        templates: &[Template],
        completion: Completion,
        simulator: &mut Simulator,
    ) -> Option<u32> {
        let Completion { step, start, end } = completion;
        self.spans[step.0 as usize] = Span { start, end };
        let place = self.find(step);
        let step = StepId(step.0 - self.flights[place as usize].first);
        self.end(templates, Turn { flight: place, step }, simulator);
        self.end_joins(templates, place, simulator);
        self.retire(place)
    }

    /// A transfer has left its lane, which is free for the next one; what was sent arrives later.
    pub(super) fn free_lane(&mut self, templates: &[Template], step: StepId, simulator: &mut Simulator) {
        let place = self.find(step);
        let flight = &self.flights[place as usize];
        let step = &templates[flight.template as usize].steps[(step.0 - flight.first) as usize];
        self.advance(templates, step.lane.expect("a transfer has a lane"), simulator);
    }

    /// The flight that a step belongs to.
    #[inline]
    fn find(&mut self, step: StepId) -> u32 {
        let after = match self.order.len() {
            1 => 1,
            _ => self.order.partition_point(|&(first, _)| first <= step.0),
        };
        self.order[after - 1].1
    }

    /// If all that the flight has left has ended, its group; its place is free then.
    #[inline]
    fn retire(&mut self, place: u32) -> Option<u32> {
        let flight = &self.flights[place as usize];
        if flight.left > 0 {
            return None;
        }
        debug_assert!(
            flight.counts.iter().all(|&count| count == ENDED || count == DEAD),
            "what is over has no step left to run"
        );
        let after = self.order.partition_point(|&(first, _)| first < flight.first);
        self.order.remove(after);
        self.free.push(place);
        if let Some(pager) = &mut self.pager {
            pager.retire(place);
        }
        self.memory.forget(place);
        Some(flight.group)
    }

    /// Marks a step as ended, and releases what waits for it.
    #[inline]
    fn end(&mut self, templates: &[Template], turn: Turn, simulator: &mut Simulator) {
        let Turn { flight: place, step } = turn;
        let flight = &mut self.flights[place as usize];
        let template = &templates[flight.template as usize];
        flight.counts[step.0 as usize] = ENDED;
        flight.left -= 1;
        if let (Some(pager), Some(pages)) = (&mut self.pager, &template.pages) {
            pager.end((pages, place), step, template.steps[step.0 as usize].lane);
        }
        for &memory in template.memories_of(step) {
            let left = &mut flight.left_in[memory as usize];
            *left -= 1;
            if *left == 0 {
                self.memory.give_back(place, flight.template, memory);
            }
        }
        if let Some(lane) = template.steps[step.0 as usize].lane
            && self.lanes[lane.0 as usize].current == Some(turn)
        {
            self.advance(templates, lane, simulator);
        }
        for dependent in template.frontier.dependents(step) {
            self.release(templates, Turn { flight: place, step: dependent }, simulator);
        }
    }

    /// Ends the joins that were released, which take no time.
    #[inline]
    fn end_joins(&mut self, templates: &[Template], place: u32, simulator: &mut Simulator) {
        while let Some(step) = self.joins.pop() {
            let first = self.flights[place as usize].first;
            let now = simulator.now();
            self.spans[(first + step.0) as usize] = Span { start: now, end: now };
            self.end(templates, Turn { flight: place, step }, simulator);
        }
    }

    /// Gives `lane` to the step after the current one.
    #[inline]
    fn advance(&mut self, templates: &[Template], lane: LaneId, simulator: &mut Simulator) {
        loop {
            let state = &mut self.lanes[lane.0 as usize];
            let Some(Turn { flight: place, step }) = state.current else { return };
            let template = &templates[self.flights[place as usize].template as usize];
            let next = template.frontier.next_on_lane(step).map(|step| Turn { flight: place, step });
            state.current = next.or_else(|| state.queue.pop_front());
            let Some(turn) = state.current else { return };
            if self.flights[turn.flight as usize].counts[turn.step.0 as usize] != DEAD {
                return self.release(templates, turn, simulator);
            }
        }
    }

    /// Something that the step waited for has come; begins it if that was the last.
    #[inline]
    fn release(&mut self, templates: &[Template], turn: Turn, simulator: &mut Simulator) {
        let flight = &mut self.flights[turn.flight as usize];
        let count = &mut flight.counts[turn.step.0 as usize];
        if *count == DEAD {
            return;
        }
        *count -= 1;
        if *count > 0 {
            return;
        }
        let step = &templates[flight.template as usize].steps[turn.step.0 as usize];
        let Some(lane) = step.lane else {
            self.joins.push(turn.step);
            return;
        };
        let of = || {
            let (model, samples) = templates[flight.template as usize].plan.step_at(turn.step).action.samples()?;
            Some((model, samples.len() as u32))
        };
        let isolated = self.lanes[lane.0 as usize].sampler.stretch_of(step.isolated, of);
        let number = StepId(flight.first + turn.step.0);
        let wait = match (&mut self.pager, &templates[flight.template as usize].pages) {
            (Some(pager), Some(pages)) => pager.begin((pages, turn.flight), turn.step, lane, simulator.now(), number),
            _ => Duration::ZERO,
        };
        let step = Prepared { step: number, lane: Some(lane), isolated, wait, traffic: step.traffic };
        simulator.start(step).unwrap_or_else(|_| unreachable!("a simulated step always begins"));
    }
}

/// When the last step ended.
pub(super) fn last_end(spans: &[Span]) -> Time {
    spans.iter().map(|span| span.end).max().unwrap_or_default()
}

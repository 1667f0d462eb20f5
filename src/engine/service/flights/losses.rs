//! What plans under way lose when a device drops out, and what is taken back of them.

use super::{DEAD, ENDED, Flights, Turn};
use crate::engine::service::template::{Template, TemplateStep};
use crate::engine::simulator::Simulator;
use crate::plan::{LaneId, StepId};
use crate::platform::DeviceId;

/// What the drop-out of a device costs a group.
pub(in crate::engine::service) struct Loss {
    pub(in crate::engine::service) group: u32,
    /// Samples that must be computed again.
    pub(in crate::engine::service) samples: u32,
    /// Whether nothing of the flight is left to run.
    pub(in crate::engine::service) is_over: bool,
}

impl Flights<'_> {
    /// `device` drops out: what it runs is lost, and what depends on that never begins.
    pub(in crate::engine::service) fn lose(
        &mut self,
        templates: &[Template],
        device: DeviceId,
        simulator: &mut Simulator,
    ) -> Vec<Loss> {
        for (index, state) in (0..).zip(&self.lanes) {
            if state.devices.contains(&device) {
                for (step, span) in simulator.cancel(LaneId(index)) {
                    self.spans[step.0 as usize] = span;
                    self.lost.push(step);
                }
                if let Some(pager) = &mut self.pager {
                    pager.leave(LaneId(index));
                }
            }
        }
        let lanes = &self.lanes;
        let needs =
            |step: &TemplateStep| step.lane.is_some_and(|lane| lanes[lane.0 as usize].devices.contains(&device));
        let under_way: Vec<u32> = self.order.iter().map(|&(_, place)| place).collect();
        let cannot_run = |template: &Template, counts: &[u32]| -> Vec<bool> {
            let mut is_dead = vec![false; counts.len()];
            for (index, step) in template.steps.iter().enumerate() {
                if counts[index] != ENDED && counts[index] != DEAD && (is_dead[index] || needs(step)) {
                    is_dead[index] = true;
                    let dependents = template.frontier.dependents(StepId(index as u32));
                    dependents.for_each(|step| is_dead[step.0 as usize] = true);
                } else {
                    is_dead[index] = false;
                }
            }
            is_dead
        };
        let dead = self.of_flights(templates, &under_way, cannot_run);
        self.kill(templates, dead, simulator)
    }

    /// Takes back all of which nothing has begun, sample by sample.
    pub(in crate::engine::service) fn recall(
        &mut self,
        templates: &[Template],
        simulator: &mut Simulator,
    ) -> Vec<Loss> {
        let under_way: Vec<u32> = self.order.iter().map(|&(_, place)| place).collect();
        let dead = self.of_flights(templates, &under_way, |template, counts| template.untouched(counts));
        self.kill(templates, dead, simulator)
    }

    /// What `find` finds of each flight.
    fn of_flights(
        &self,
        templates: &[Template],
        places: &[u32],
        find: impl Fn(&Template, &[u32]) -> Vec<bool>,
    ) -> Vec<(u32, Vec<bool>)> {
        let of_flight = |&place: &u32| {
            let flight = &self.flights[place as usize];
            (place, find(&templates[flight.template as usize], &flight.counts))
        };
        places.iter().map(of_flight).collect()
    }

    /// The marked steps of flights will never run. Returns what this costs.
    fn kill(&mut self, templates: &[Template], dead: Vec<(u32, Vec<bool>)>, simulator: &mut Simulator) -> Vec<Loss> {
        let mut losses = Vec::new();
        for (place, is_dead) in &dead {
            let flight = &mut self.flights[*place as usize];
            let samples = templates[flight.template as usize].samples_of(is_dead);
            if samples == 0 {
                continue;
            }
            let template = &templates[flight.template as usize];
            for memory in (0..).zip(&flight.left_in).filter(|(_, left)| **left > 0).map(|(memory, _)| memory) {
                self.memory.give_back(*place, flight.template, memory);
            }
            for (index, _) in is_dead.iter().enumerate().filter(|(_, is_dead)| **is_dead) {
                flight.counts[index] = DEAD;
                flight.left -= 1;
                self.dead.push(StepId(flight.first + index as u32));
                let needed = template.memories_of(StepId(index as u32));
                needed.iter().for_each(|memory| flight.left_in[*memory as usize] -= 1);
            }
            if flight.left > 0 {
                self.memory.shrink(*place, template, |index| flight.counts[index] != DEAD, &flight.left_in);
            }
            losses.push(Loss { group: flight.group, samples, is_over: flight.left == 0 });
        }
        for index in 0..self.lanes.len() as u32 {
            self.pass_dead(templates, LaneId(index), simulator);
        }
        for (place, _) in dead {
            self.retire(place);
        }
        losses
    }

    /// Takes dead steps from the lane, so that what follows is not kept waiting by what never ends.
    fn pass_dead(&mut self, templates: &[Template], lane: LaneId, simulator: &mut Simulator) {
        let flights = &self.flights;
        let is_dead = |turn: &Turn| flights[turn.flight as usize].counts[turn.step.0 as usize] == DEAD;
        let state = &mut self.lanes[lane.0 as usize];
        // Of those that queue, the first step that lives stands for the plan.
        let first_alive = |turn: Turn| {
            let template = &templates[flights[turn.flight as usize].template as usize];
            let following = std::iter::successors(Some(turn.step), |&step| template.frontier.next_on_lane(step));
            following.map(|step| Turn { step, ..turn }).find(|turn| !is_dead(turn))
        };
        state.queue = state.queue.drain(..).filter_map(first_alive).collect();
        if state.current.as_ref().is_some_and(is_dead) {
            self.advance(templates, lane, simulator);
        }
    }
}

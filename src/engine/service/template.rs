//! A plan that is issued again and again, with all that its steps need.

use std::ops::Range;

use super::ServeError;
use super::flights::{DEAD, ENDED};
use crate::engine::pager::Pages;
use crate::engine::{estimates, traffic};
use crate::model::{ModelId, count_samples};
use crate::plan::{CheckedPlan, Frontier, Lane, LaneId, Plan, StepId};
use crate::platform::{DeviceId, MemoryId, Platform};
use crate::problem::Problem;
use crate::units::Duration;

pub(super) struct Template {
    pub(super) plan: CheckedPlan,
    pub(super) steps: Vec<TemplateStep>,
    /// As before any step ran.
    pub(super) frontier: Frontier,
    /// The lanes that it uses, each with its first step there.
    pub(super) first_on_lane: Vec<(LaneId, StepId)>,
    /// The lanes of the steps that wait for nothing but their turn; none if there is nothing but joins.
    pub(super) begins_on: Vec<LaneId>,
    /// By lane of the plan, the lane of the simulator.
    pub(super) lanes: Vec<LaneId>,
    /// The devices that it computes on, or moves data from or to.
    pub(super) devices: Vec<DeviceId>,
    /// The memories of these.
    pub(super) memories: Vec<MemoryId>,
    /// By place among them, how many steps need it.
    pub(super) steps_in: Vec<u32>,
    /// By lane of the plan, the memories that its steps need, by place.
    memories_of: Vec<Vec<u16>>,
    /// What its steps use in memories that page, if they use any.
    pub(super) pages: Option<Pages>,
}

/// A step as the simulator needs it.
#[derive(Clone, Copy, Debug)]
pub(super) struct TemplateStep {
    /// Of the simulator, not of the plan; `None` for joins.
    pub(super) lane: Option<LaneId>,
    pub(super) isolated: Duration,
    pub(super) traffic: u64,
}

impl Template {
    /// The template of a plan for `problem`; `find_lane` says which lane of the simulator is which of the plan.
    pub(super) fn new(
        problem: &Problem,
        plan: CheckedPlan,
        mut find_lane: impl FnMut(&Lane, usize) -> LaneId,
    ) -> Result<Template, ServeError> {
        let estimates = estimates(problem, &plan)?;
        let traffic = traffic(problem, &plan, &estimates);
        // Two lanes of a plan that are alike are two of the simulator.
        let alike = |index: usize| plan.lanes[..index].iter().filter(|lane| is_alike(lane, &plan.lanes[index])).count();
        let lanes: Vec<LaneId> =
            (0..plan.lanes.len()).map(|index| find_lane(&plan.lanes[index], alike(index))).collect();
        let platform = &problem.platform;
        let mut devices: Vec<DeviceId> = plan.lanes.iter().flat_map(|lane| devices_of(platform, lane)).collect();
        devices.sort_unstable();
        devices.dedup();
        let uses = |device: &DeviceId, memory: MemoryId| platform.memory(memory).users.contains(device);
        let memories: Vec<MemoryId> =
            platform.memory_ids().filter(|&memory| devices.iter().any(|device| uses(device, memory))).collect();
        let of_lane = |lane: &Lane| {
            let needed = devices_of(platform, lane);
            let places = (0..).zip(&memories).filter(|(_, memory)| needed.iter().any(|device| uses(device, **memory)));
            places.map(|(place, _)| place).collect()
        };
        let memories_of: Vec<Vec<u16>> = plan.lanes.iter().map(of_lane).collect();
        let mut steps_in = vec![0; memories.len()];
        let mut first_on_lane: Vec<(LaneId, StepId)> = Vec::new();
        let mut steps = Vec::with_capacity(plan.steps.len());
        for (index, (step, estimate)) in plan.steps.iter().zip(&estimates).enumerate() {
            let lane = step.lane.map(|lane| lanes[lane.0 as usize]);
            if let Some(lane) = lane.filter(|lane| first_on_lane.iter().all(|(other, _)| other != lane)) {
                first_on_lane.push((lane, StepId(index as u32)));
            }
            let traffic = traffic.get(index).copied().unwrap_or(0);
            let needed = step.lane.iter().flat_map(|lane| &memories_of[lane.0 as usize]);
            needed.for_each(|place| steps_in[*place as usize] += 1);
            steps.push(TemplateStep { lane, isolated: estimate.time, traffic });
        }
        let begins_on = begins_on(&plan, &first_on_lane, &lanes);
        let frontier = Frontier::new(&plan);
        Ok(Template {
            frontier,
            plan,
            steps,
            first_on_lane,
            begins_on,
            lanes,
            devices,
            memories,
            steps_in,
            memories_of,
            pages: None,
        })
    }

    /// The memories that a step needs, by place among those of the template.
    #[inline]
    pub(super) fn memories_of(&self, step: StepId) -> &[u16] {
        self.plan.step_at(step).lane.map_or(&[], |lane| &self.memories_of[lane.0 as usize])
    }

    /// Marks the steps of samples of which nothing has begun, given what each step waits for.
    pub(super) fn untouched(&self, counts: &[u32]) -> Vec<bool> {
        let samples = |index: usize| self.plan.steps[index].action.samples();
        let is_waiting = |index: usize| counts[index] > 0 && counts[index] != ENDED && counts[index] != DEAD;
        let touched: Vec<_> = (0..counts.len()).filter(|&index| !is_waiting(index)).filter_map(samples).collect();
        let mut is_untouched = vec![false; counts.len()];
        // What a step that stays waits for must stay too.
        for index in (0..counts.len()).rev() {
            let meets = |(model, range): &(ModelId, Range<u32>)| {
                touched.iter().any(|(of, other)| of == model && other.start < range.end && range.start < other.end)
            };
            is_untouched[index] = is_waiting(index)
                && !samples(index).as_ref().is_some_and(meets)
                && self.frontier.dependents(StepId(index as u32)).all(|step| is_untouched[step.0 as usize]);
        }
        is_untouched
    }

    /// The samples that the steps marked in `is_dead` were to contribute to, over all models.
    pub(super) fn samples_of(&self, is_dead: &[bool]) -> u32 {
        let dead = self.plan.steps.iter().zip(is_dead).filter(|(_, is_dead)| **is_dead);
        let mut parts: Vec<_> = dead.filter_map(|(step, _)| step.action.samples()).collect();
        parts.sort_unstable_by_key(|(model, _)| *model);
        // A query has the same number of samples for each model; the one that lacks most decides.
        let of_models = parts.chunk_by(|(model, _), (other, _)| model == other);
        of_models.map(|parts| count_samples(parts.to_vec())).max().unwrap_or(0)
    }
}

/// The lanes whose first step waits for joins at most that wait for nothing themselves.
fn begins_on(plan: &Plan, first_on_lane: &[(LaneId, StepId)], lanes: &[LaneId]) -> Vec<LaneId> {
    let mut ends_at_once = vec![false; plan.steps.len()];
    let mut found = Vec::new();
    for (index, step) in plan.steps.iter().enumerate() {
        if !step.after.iter().all(|on| ends_at_once[on.0 as usize]) {
            continue;
        }
        match step.lane.map(|lane| (lanes[lane.0 as usize], StepId(index as u32))) {
            None => ends_at_once[index] = true,
            Some(first) if first_on_lane.contains(&first) => found.push(first.0),
            Some(_) => {}
        }
    }
    found
}

/// The devices that a lane needs: the one that it computes on, or both ends of its link.
pub(super) fn devices_of(platform: &Platform, lane: &Lane) -> Vec<DeviceId> {
    match lane {
        Lane::Compute { device, .. } => vec![*device],
        Lane::Link(link) => vec![platform.link(*link).from, platform.link(*link).to],
    }
}

/// Whether lanes are the same reservation, whatever memory they hold.
pub(super) fn is_alike(a: &Lane, b: &Lane) -> bool {
    match (a, b) {
        (Lane::Compute { device, share, .. }, Lane::Compute { device: other, share: its, .. }) => {
            (device, share) == (other, its)
        }
        (Lane::Link(link), Lane::Link(other)) => link == other,
        _ => false,
    }
}

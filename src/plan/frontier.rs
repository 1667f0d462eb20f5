//! Which steps may start next. Shared by the engine and replay, so that both obey the same order.

use super::{CheckedPlan, StepId};

const NONE: u32 = u32::MAX;

/// The steps that have not started, with what each still waits for.
///
/// 12 bytes a step and 4 a dependency.
#[derive(Clone, Debug)]
pub(crate) struct Frontier {
    /// One entry a step and a last one that only ends the list of dependents.
    waiting: Vec<Waiting>,
    dependents: Vec<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    /// Steps that must still end: those in `after`, and the one before on the lane.
    count: u32,
    /// Where the steps that wait for this one begin in `dependents`; they end where those of the next begin.
    dependents: u32,
    next_on_lane: u32,
}

impl Frontier {
    /// The frontier before any step ran.
    pub(crate) fn new(plan: &CheckedPlan) -> Frontier {
        let mut waiting = vec![Waiting { count: 0, dependents: 0, next_on_lane: NONE }; plan.steps.len() + 1];
        let mut last_on_lane = vec![NONE; plan.lanes.len()];
        for (index, step) in plan.steps.iter().enumerate() {
            waiting[index].count = step.after.len() as u32;
            for on in &step.after {
                waiting[on.0 as usize].dependents += 1;
            }
            if let Some(lane) = step.lane {
                let before = std::mem::replace(&mut last_on_lane[lane.0 as usize], index as u32);
                if before != NONE {
                    waiting[before as usize].next_on_lane = index as u32;
                    waiting[index].count += 1;
                }
            }
        }
        let mut total = 0;
        for step in &mut waiting {
            total += step.dependents;
            step.dependents = total;
        }
        // Filling each list from its end moves `dependents` from the end of the list to its beginning.
        let mut dependents = vec![0; total as usize];
        for (index, step) in plan.steps.iter().enumerate().rev() {
            for on in &step.after {
                let place = &mut waiting[on.0 as usize].dependents;
                *place -= 1;
                dependents[*place as usize] = index as u32;
            }
        }
        Frontier { waiting, dependents }
    }

    /// Steps that `step` waits for, the one before on its lane among them.
    pub(crate) fn count(&self, step: StepId) -> u32 {
        self.waiting[step.0 as usize].count
    }

    /// The step that follows on the lane of `step`.
    pub(crate) fn next_on_lane(&self, step: StepId) -> Option<StepId> {
        let next = self.waiting[step.0 as usize].next_on_lane;
        (next != NONE).then_some(StepId(next))
    }

    /// The steps that wait for `step` by name, each later in the plan.
    pub(crate) fn dependents(&self, step: StepId) -> impl Iterator<Item = StepId> + '_ {
        let at = step.0 as usize;
        let range = self.waiting[at].dependents as usize..self.waiting[at + 1].dependents as usize;
        self.dependents[range].iter().map(|&step| StepId(step))
    }

    /// Steps that may start before any other has ended, in list order.
    pub(crate) fn ready(&self) -> impl Iterator<Item = StepId> + '_ {
        let steps = &self.waiting[..self.waiting.len() - 1];
        steps.iter().enumerate().filter(|(_, step)| step.count == 0).map(|(index, _)| StepId(index as u32))
    }

    /// Marks `step` as ended and calls `start` for each step that this releases.
    #[inline]
    pub(crate) fn complete(&mut self, step: StepId, mut start: impl FnMut(StepId)) {
        let index = step.0 as usize;
        let Waiting { dependents, next_on_lane, .. } = self.waiting[index];
        let end = self.waiting[index + 1].dependents;
        if next_on_lane != NONE {
            release(&mut self.waiting, next_on_lane, &mut start);
        }
        for &next in &self.dependents[dependents as usize..end as usize] {
            release(&mut self.waiting, next, &mut start);
        }
    }

    /// Gives the lane of `step` to the next on it before `step` has ended; calls `start` if that releases it.
    pub(crate) fn free_lane(&mut self, step: StepId, mut start: impl FnMut(StepId)) {
        let next = std::mem::replace(&mut self.waiting[step.0 as usize].next_on_lane, NONE);
        if next != NONE {
            release(&mut self.waiting, next, &mut start);
        }
    }
}

/// Something that `step` waited for has come.
#[inline]
fn release(waiting: &mut [Waiting], step: u32, start: &mut impl FnMut(StepId)) {
    let count = &mut waiting[step as usize].count;
    *count -= 1;
    if *count == 0 {
        start(StepId(step));
    }
}

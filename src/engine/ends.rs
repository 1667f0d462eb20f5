//! Lanes that run a step, ordered by the end of that step, which may change.

use super::heap::{Heap, Places};
use crate::plan::{LaneId, StepId};
use crate::units::Time;

/// Which lane's step ends next. Ends at the same time are ordered by the ids of their steps.
#[derive(Clone, Debug)]
pub(super) struct Ends(Heap<LanePlaces>);

/// Where each lane stands in the heap; `NONE` if it runs nothing.
#[derive(Clone, Debug)]
struct LanePlaces(Vec<u32>);

const NONE: u32 = u32::MAX;

impl Places for LanePlaces {
    #[inline]
    fn put(&mut self, entry: u128, at: usize) {
        self.0[lane(entry).0 as usize] = at as u32;
    }
}

/// End, step and lane in one number that orders by them: 64, 32 and 32 bits.
#[inline]
fn entry(end: Time, step: StepId, lane: LaneId) -> u128 {
    u128::from(end.as_nanos()) << 64 | u128::from(step.0) << 32 | u128::from(lane.0)
}

#[inline]
fn end(entry: u128) -> Time {
    Time::from_nanos((entry >> 64) as u64)
}

#[inline]
fn step(entry: u128) -> StepId {
    StepId((entry >> 32) as u32)
}

#[inline]
fn lane(entry: u128) -> LaneId {
    LaneId(entry as u32)
}

impl Ends {
    /// Nothing runs on any of `lanes` lanes.
    pub(super) fn new(lanes: usize) -> Ends {
        Ends(Heap::new(lanes, LanePlaces(vec![NONE; lanes])))
    }

    /// Adds a lane that runs nothing.
    pub(super) fn add(&mut self) -> LaneId {
        self.0.places.0.push(NONE);
        LaneId(self.0.places.0.len() as u32 - 1)
    }

    /// Whether `lane` runs a step.
    #[inline]
    pub(super) fn contains(&self, lane: LaneId) -> bool {
        self.0.places.0[lane.0 as usize] != NONE
    }

    /// The end and the id of the step that ends first.
    #[inline]
    pub(super) fn first(&mut self) -> Option<(Time, StepId)> {
        self.0.first().map(|first| (end(first), step(first)))
    }

    /// `lane` runs `step` until `end`; it ran nothing before.
    #[inline]
    pub(super) fn push(&mut self, lane: LaneId, end: Time, step: StepId) {
        debug_assert!(!self.contains(lane), "a lane runs one step at a time");
        self.0.push(entry(end, step, lane));
    }

    /// The lane whose step ends first, which then runs nothing, and that end.
    #[inline]
    pub(super) fn pop(&mut self) -> Option<(LaneId, Time)> {
        let first = self.0.pop()?;
        self.0.places.0[lane(first).0 as usize] = NONE;
        Some((lane(first), end(first)))
    }

    /// The step of `lane`, which runs one, ends at `end` instead.
    pub(super) fn update(&mut self, lane: LaneId, end: Time) {
        self.0.fill_root();
        let at = self.0.places.0[lane.0 as usize] as usize;
        let step = step(self.0.at(at));
        self.0.replace(at, entry(end, step, lane));
    }

    /// The step of `lane`, which runs one, does not end.
    pub(super) fn remove(&mut self, lane: LaneId) {
        self.0.fill_root();
        let at = std::mem::replace(&mut self.0.places.0[lane.0 as usize], NONE);
        self.0.remove(at as usize);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn lanes_leave_in_order_of_end_and_step_whatever_moved_or_was_removed(
            steps in prop::collection::vec((0u64..50, prop::option::of(0u64..50), any::<bool>()), 1..40)
        ) {
            let at = |nanos| Time::ZERO + crate::units::Duration::from_nanos(nanos);
            let mut ends = Ends::new(steps.len());
            for (lane, &(end, ..)) in (0..).zip(&steps) {
                ends.push(LaneId(lane), at(end), StepId(lane));
            }
            for (lane, (_, moved, is_removed)) in (0..).zip(&steps) {
                if let Some(moved) = moved {
                    ends.update(LaneId(lane), at(*moved));
                }
                if *is_removed {
                    ends.remove(LaneId(lane));
                }
            }
            let kept = (0u32..).zip(&steps).filter(|(_, (.., is_removed))| !is_removed);
            let mut expected: Vec<_> = kept.map(|(lane, &(end, moved, _))| (at(moved.unwrap_or(end)), lane)).collect();
            expected.sort_unstable();
            let found: Vec<_> = std::iter::from_fn(|| ends.pop()).map(|(lane, end)| (end, lane.0)).collect();
            prop_assert_eq!(found, expected);
        }
    }
}

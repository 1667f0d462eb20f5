//! Lanes that run a step, ordered by the end of that step: a heap whose entries can be moved.

use crate::plan::{LaneId, StepId};
use crate::units::Time;

/// A 4-ary min-heap of lanes with the place of each, so that an end that changes is one sift.
#[derive(Clone, Debug)]
pub(super) struct Queue {
    heap: Vec<Entry>,
    /// Where each lane stands in `heap`; `NONE` if it runs nothing.
    place: Vec<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    end: Time,
    step: StepId,
    lane: LaneId,
}

const NONE: u32 = u32::MAX;
const ARITY: usize = 4;

impl Entry {
    fn before(&self, other: &Entry) -> bool {
        (self.end, self.step) < (other.end, other.step)
    }
}

impl Queue {
    /// An empty queue for `lanes` lanes.
    pub(super) fn new(lanes: usize) -> Queue {
        Queue {
            heap: Vec::with_capacity(lanes),
            place: vec![NONE; lanes],
        }
    }

    /// Whether `lane` runs a step.
    pub(super) fn contains(&self, lane: LaneId) -> bool {
        self.place[lane.0 as usize] != NONE
    }

    /// The end and the id of the step that ends first.
    pub(super) fn first(&self) -> Option<(Time, StepId)> {
        self.heap.first().map(|entry| (entry.end, entry.step))
    }

    /// `lane` runs `step` until `end`; it ran nothing before.
    pub(super) fn push(&mut self, lane: LaneId, end: Time, step: StepId) {
        debug_assert!(!self.contains(lane), "a lane runs one step at a time");
        let entry = Entry { end, step, lane };
        self.heap.push(entry);
        self.sift_up(self.heap.len() - 1, entry);
    }

    /// The lane whose step ends first, which then runs nothing, and that end.
    pub(super) fn pop(&mut self) -> Option<(LaneId, Time)> {
        let first = *self.heap.first()?;
        self.place[first.lane.0 as usize] = NONE;
        let last = self.heap.pop().expect("there is a first");
        if !self.heap.is_empty() {
            self.sift_down(0, last);
        }
        Some((first.lane, first.end))
    }

    /// The step of `lane`, which runs one, ends at `end` instead.
    pub(super) fn update(&mut self, lane: LaneId, end: Time) {
        let at = self.place[lane.0 as usize] as usize;
        let moved = Entry { end, ..self.heap[at] };
        if moved.before(&self.heap[at]) {
            self.sift_up(at, moved);
        } else {
            self.sift_down(at, moved);
        }
    }

    fn put(&mut self, at: usize, entry: Entry) {
        self.heap[at] = entry;
        self.place[entry.lane.0 as usize] = at as u32;
    }

    /// Puts `entry` at `at` or, while it comes before its parent, above.
    fn sift_up(&mut self, mut at: usize, entry: Entry) {
        while at > 0 {
            let parent = (at - 1) / ARITY;
            if !entry.before(&self.heap[parent]) {
                break;
            }
            self.put(at, self.heap[parent]);
            at = parent;
        }
        self.put(at, entry);
    }

    /// Puts `entry` at `at` or, while a child comes before it, below.
    fn sift_down(&mut self, mut at: usize, entry: Entry) {
        loop {
            let first = at * ARITY + 1;
            let children = &self.heap[first.min(self.heap.len())..(first + ARITY).min(self.heap.len())];
            let Some((&child, index)) = children
                .iter()
                .zip(first..)
                .reduce(|least, child| if child.0.before(least.0) { child } else { least })
            else {
                break;
            };
            if !child.before(&entry) {
                break;
            }
            self.put(at, child);
            at = index;
        }
        self.put(at, entry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn lanes_leave_in_order_of_end_and_step_whatever_moved(
            ends in prop::collection::vec((0u64..50, prop::option::of(0u64..50)), 1..40)
        ) {
            let at = |nanos| Time::ZERO + crate::units::Duration::from_nanos(nanos);
            let mut queue = Queue::new(ends.len());
            for (lane, &(end, _)) in ends.iter().enumerate() {
                queue.push(LaneId(lane as u32), at(end), StepId(lane as u32));
            }
            for (lane, moved) in ends.iter().enumerate().filter_map(|(lane, (_, moved))| Some((lane, (*moved)?))) {
                queue.update(LaneId(lane as u32), at(moved));
            }
            let mut expected: Vec<_> =
                ends.iter().enumerate().map(|(lane, &(end, moved))| (at(moved.unwrap_or(end)), lane as u32)).collect();
            expected.sort_unstable();
            let found: Vec<_> = std::iter::from_fn(|| queue.pop()).map(|(lane, end)| (end, lane.0)).collect();
            prop_assert_eq!(found, expected);
        }
    }
}

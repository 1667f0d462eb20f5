//! Lanes that run a step, ordered by the end of that step: a heap whose entries can be moved.

use std::hint::select_unpredictable;

use crate::plan::{LaneId, StepId};
use crate::units::Time;

/// A 4-ary min-heap of lanes with the place of each, so that an end that changes is one sift.
///
/// What leaves is usually followed at once by the next step of its lane. So the root stays vacant until the next
/// call, which either takes its place or fills it.
#[derive(Clone, Debug)]
pub(super) struct Queue {
    heap: Vec<Entry>,
    is_root_vacant: bool,
    /// Where each lane stands in `heap`; `NONE` if it runs nothing.
    place: Vec<u32>,
}

/// End, step and lane in one number that orders by them: 64, 32 and 32 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entry(u128);

const NONE: u32 = u32::MAX;
const ARITY: usize = 4;

impl Entry {
    fn new(end: Time, step: StepId, lane: LaneId) -> Entry {
        Entry(u128::from(end.as_nanos()) << 64 | u128::from(step.0) << 32 | u128::from(lane.0))
    }

    fn end(self) -> Time {
        Time::from_nanos((self.0 >> 64) as u64)
    }

    fn step(self) -> StepId {
        StepId((self.0 >> 32) as u32)
    }

    fn lane(self) -> LaneId {
        LaneId(self.0 as u32)
    }
}

impl Queue {
    /// An empty queue for `lanes` lanes.
    pub(super) fn new(lanes: usize) -> Queue {
        Queue { heap: Vec::with_capacity(lanes), is_root_vacant: false, place: vec![NONE; lanes] }
    }

    /// Whether `lane` runs a step.
    pub(super) fn contains(&self, lane: LaneId) -> bool {
        self.place[lane.0 as usize] != NONE
    }

    /// The end and the id of the step that ends first.
    pub(super) fn first(&mut self) -> Option<(Time, StepId)> {
        self.fill_root();
        self.heap.first().map(|entry| (entry.end(), entry.step()))
    }

    /// `lane` runs `step` until `end`; it ran nothing before.
    #[inline]
    pub(super) fn push(&mut self, lane: LaneId, end: Time, step: StepId) {
        debug_assert!(!self.contains(lane), "a lane runs one step at a time");
        let entry = Entry::new(end, step, lane);
        if std::mem::take(&mut self.is_root_vacant) {
            self.sift_down(0, entry);
        } else {
            self.heap.push(entry);
            self.sift_up(self.heap.len() - 1, entry);
        }
    }

    /// The lane whose step ends first, which then runs nothing, and that end.
    #[inline]
    pub(super) fn pop(&mut self) -> Option<(LaneId, Time)> {
        self.fill_root();
        let first = *self.heap.first()?;
        self.place[first.lane().0 as usize] = NONE;
        self.is_root_vacant = true;
        Some((first.lane(), first.end()))
    }

    /// The step of `lane`, which runs one, ends at `end` instead.
    pub(super) fn update(&mut self, lane: LaneId, end: Time) {
        self.fill_root();
        let at = self.place[lane.0 as usize] as usize;
        let moved = Entry::new(end, self.heap[at].step(), lane);
        if moved < self.heap[at] {
            self.sift_up(at, moved);
        } else {
            self.sift_down(at, moved);
        }
    }

    fn fill_root(&mut self) {
        if std::mem::take(&mut self.is_root_vacant) {
            let last = self.heap.pop().expect("a vacant root is an entry");
            if !self.heap.is_empty() {
                self.sift_down(0, last);
            }
        }
    }

    fn put(&mut self, at: usize, entry: Entry) {
        self.heap[at] = entry;
        self.place[entry.lane().0 as usize] = at as u32;
    }

    /// Puts `entry` at `at` or, while it comes before its parent, above.
    fn sift_up(&mut self, mut at: usize, entry: Entry) {
        while at > 0 {
            let parent = (at - 1) / ARITY;
            if entry > self.heap[parent] {
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
            let (child, index) = if let Some(&[a, b, c, d]) = self.heap.get(first..first + ARITY) {
                // Which child is least is as good as random, so a branch would be mispredicted.
                let left = select_unpredictable(b < a, (b, first + 1), (a, first));
                let right = select_unpredictable(d < c, (d, first + 3), (c, first + 2));
                select_unpredictable(right.0 < left.0, right, left)
            } else {
                let rest = self.heap.iter().skip(first).copied().zip(first..);
                let Some(least) = rest.min() else { break };
                least
            };
            if entry < child {
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

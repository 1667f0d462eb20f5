//! What is to happen at a time that does not change: arrivals, faults, the end of a wait.

use super::heap::Heap;
use crate::units::Time;

/// Tokens by time; those of the same time in the order in which they were set.
#[derive(Clone, Debug, Default)]
pub(super) struct Timers {
    heap: Heap<()>,
    /// How many were set since the heap was last renumbered.
    count: u32,
}

/// Time, number and token in one number that orders by them: 64, 32 and 32 bits.
#[inline]
fn entry(at: Time, number: u32, token: u32) -> u128 {
    u128::from(at.as_nanos()) << 64 | u128::from(number) << 32 | u128::from(token)
}

impl Timers {
    #[inline]
    pub(super) fn set(&mut self, at: Time, token: u32) {
        if self.count == u32::MAX {
            self.renumber();
        }
        self.heap.push(entry(at, self.count, token));
        self.count += 1;
    }

    /// The time of the first one.
    #[inline]
    pub(super) fn first(&mut self) -> Option<Time> {
        self.heap.first().map(|first| Time::from_nanos((first >> 64) as u64))
    }

    /// Takes the first one: its time and its token.
    #[inline]
    pub(super) fn pop(&mut self) -> Option<(Time, u32)> {
        let first = self.heap.pop()?;
        Some((Time::from_nanos((first >> 64) as u64), first as u32))
    }

    /// Numbers the timers that are set from 0, so that more can be set.
    #[cold]
    fn renumber(&mut self) {
        let mut entries = self.heap.drain();
        entries.sort_unstable();
        self.count = 0;
        for old in entries {
            self.heap.push(entry(Time::from_nanos((old >> 64) as u64), self.count, old as u32));
            self.count += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn tokens_come_by_time_and_then_as_they_were_set_even_if_renumbered(
            times in prop::collection::vec(0u64..9, 1..60), renumbered in 0usize..60
        ) {
            let mut timers = Timers::default();
            for (token, &at) in (0..).zip(&times) {
                if token as usize == renumbered {
                    timers.count = u32::MAX;
                }
                timers.set(Time::from_nanos(at), token);
            }
            let mut expected: Vec<(u64, u32)> = times.iter().copied().zip(0..).collect();
            expected.sort();
            let found: Vec<_> = std::iter::from_fn(|| timers.pop()).map(|(at, token)| (at.as_nanos(), token)).collect();
            prop_assert_eq!(found, expected);
        }
    }
}

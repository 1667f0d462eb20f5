//! The clock of an agent, told by ours.
//!
//! A reading is asked for and comes back; it was taken somewhere in between. Taken to be of the middle, it is off by
//! half of the round trip at most, so that of many the fastest counts (D. Mills, RFC 5905).

use std::time::{Duration as StdDuration, Instant};

use crate::replay::clock::duration;
use crate::units::Duration;

/// A moment on both clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Offset(Option<(Instant, u64, StdDuration)>);

impl Offset {
    /// From a reading, in nanoseconds, that was asked for at `before` and came at `after`.
    pub(super) fn read(before: Instant, after: Instant, reading: u64) -> Offset {
        let half = after.saturating_duration_since(before) / 2;
        Offset(Some((before + half, reading, half)))
    }

    /// The one that is known better.
    pub(super) fn better(self, other: Offset) -> Offset {
        match (self.0, other.0) {
            (Some((.., here)), Some((.., there))) if there < here => other,
            (None, _) => other,
            _ => self,
        }
    }

    /// How far times may be off.
    pub(super) fn error(self) -> Duration {
        self.0.map_or(Duration::ZERO, |(.., half)| duration(half))
    }

    /// When the agent's clock told `reading`; `None` if nothing is known of it, or if there is no such time.
    pub(super) fn instant(self, reading: u64) -> Option<Instant> {
        let (middle, known, _) = self.0?;
        match reading.checked_sub(known) {
            Some(later) => middle.checked_add(StdDuration::from_nanos(later)),
            None => middle.checked_sub(StdDuration::from_nanos(known - reading)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replay::clock::now;

    #[test]
    fn a_reading_is_of_the_middle_of_its_round_trip() {
        let start = now();
        let at = |millis: u64| start + StdDuration::from_millis(millis);
        let offset = Offset::read(at(10), at(14), 1_000_000_000);
        assert_eq!(offset.error(), Duration::from_nanos(2_000_000));
        assert_eq!(offset.instant(1_000_000_000), Some(at(12)));
        assert_eq!(offset.instant(1_005_000_000), Some(at(17)));
        assert_eq!(offset.instant(990_000_000), Some(at(2)));
    }

    #[test]
    fn the_fastest_reading_counts() {
        let start = now();
        let at = |millis: u64| start + StdDuration::from_millis(millis);
        let (slow, fast) = (Offset::read(at(0), at(10), 7), Offset::read(at(20), at(21), 9));
        for best in
            [slow.better(fast), fast.better(slow), Offset::default().better(fast), fast.better(Offset::default())]
        {
            assert_eq!(best, fast);
        }
        assert_eq!(Offset::default().instant(0), None);
    }
}

//! The clocks of a replay: one for all lanes, and the time that a thread has computed.

use crate::units::{Duration, Time};

/// One clock for all lanes of a round. Copies tell the same time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock(std::time::Instant);

#[allow(clippy::disallowed_methods, reason = "a replay measures")]
impl Clock {
    /// A clock that begins at zero now.
    pub(super) fn start() -> Clock {
        Clock(std::time::Instant::now())
    }

    /// The time on it.
    pub(super) fn now(&self) -> Time {
        Time::ZERO + duration(self.0.elapsed())
    }

    /// What it told at `instant`; zero before it began.
    pub(super) fn at(&self, instant: std::time::Instant) -> Time {
        Time::ZERO + duration(instant.saturating_duration_since(self.0))
    }
}

/// This moment, for what is told by another clock afterwards.
#[allow(clippy::disallowed_methods, reason = "a replay measures")]
pub(super) fn now() -> std::time::Instant {
    std::time::Instant::now()
}

/// As a duration of ours.
pub(super) fn duration(duration: std::time::Duration) -> Duration {
    Duration::from_nanos(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX))
}

/// How long the calling thread has computed, without the time that it waited or others ran on its core.
pub(super) fn thread_time() -> Time {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    let nanos = time.tv_sec.unsigned_abs().saturating_mul(1_000_000_000).saturating_add(time.tv_nsec.unsigned_abs());
    Time::from_nanos(nanos)
}

/// Sleeps for `left`. Sleeping leaves the core to others, as a device of its own would.
pub(super) fn sleep(left: Duration) {
    std::thread::sleep(std::time::Duration::from_nanos(left.as_nanos()));
}

//! Lanes, timers and a clock in simulated time: what every simulation here runs on.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::ends::Ends;
use super::rates::{Interfaces, Rates};
use super::timers::Timers;
use crate::execute::{Completion, Event, Lanes};
use crate::plan::{Lane, LaneId, StepId};
use crate::platform::{DeviceId, LinkId, Platform};
use crate::problem::Problem;
use crate::timeline::Span;
use crate::units::{Duration, Time};

/// Lanes that run steps, and timers.
///
/// What has happened is told in the order of time. Of what happens at the same time, steps end or leave their lanes first,
/// in the order of their ids, and timers follow in the order in which they were set. Who asks decides what begins next.
///
/// ```
/// use coinfer::engine::{Event, Simulator};
/// use coinfer::plan::{LaneId, StepId};
/// use coinfer::units::{Duration, Time};
///
/// // One lane serves two customers, who arrive at 0 and 1 ns and take 3 ns each.
/// let mut simulator = Simulator::new(1);
/// simulator.wake(Time::from_nanos(0), 0);
/// simulator.wake(Time::from_nanos(1), 1);
/// let (mut waiting, mut ends) = (Vec::new(), Vec::new());
/// while let Some(event) = simulator.next() {
///     match event {
///         Event::Woken { token } => waiting.push(token),
///         Event::Ended(ended) => ends.push(ended.end.as_nanos()),
///         Event::Sent { .. } => unreachable!("these lanes are no links"),
///     }
///     if simulator.is_idle(LaneId(0)) && !waiting.is_empty() {
///         let customer = waiting.remove(0);
///         simulator.begin(LaneId(0), StepId(customer), Duration::from_nanos(3));
///     }
/// }
/// assert_eq!(ends, [3, 6]);
/// ```
#[derive(Clone, Debug)]
pub struct Simulator {
    now: Time,
    /// The step that each lane runs, if any; a lane runs one at a time.
    running: Vec<Running>,
    /// Lanes that run a step, by the end of that step.
    ends: Ends,
    /// By lane, how long what it has sent is on its way while the lane sends other things. Empty if no link has a latency,
    /// so that all others pay nothing for it.
    latencies: Vec<Duration>,
    /// What has left its lane and not arrived, by when it does.
    under_way: BinaryHeap<Reverse<UnderWay>>,
    /// By lane, what the step on it will move per second, while it waits for memory. Empty if none has ever waited.
    waiting: Vec<Option<u64>>,
    /// Steps without a lane, which end as soon as they begin.
    joins: BinaryHeap<Reverse<StepId>>,
    timers: Timers,
    /// `None` if every step goes as fast as it does alone.
    rates: Option<Box<Rates>>,
}

/// A step in progress: what is left of it, and how fast it goes.
#[derive(Clone, Copy, Debug)]
struct Running {
    step: StepId,
    start: Time,
    /// When `remaining` and `rate` last changed.
    since: Time,
    /// Isolated nanoseconds left at `since`.
    remaining: f64,
    /// Isolated nanoseconds done per nanosecond; 1 if nothing disturbs it.
    rate: f64,
}

/// What a transfer has sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct UnderWay {
    arrival: Time,
    step: StepId,
    start: Time,
    lane: LaneId,
}

impl Running {
    const IDLE: Running = Running { step: StepId(0), start: Time::ZERO, since: Time::ZERO, remaining: 0.0, rate: 1.0 };
}

impl Simulator {
    /// A simulator at time 0 with this number of idle lanes that do not disturb each other.
    pub fn new(lanes: usize) -> Simulator {
        Simulator::with_rates(lanes, None)
    }

    /// As [`Simulator::new`], with lanes that send through common interfaces, one lane for each of `network`.
    pub fn with_network(lanes: usize, network: Interfaces) -> Simulator {
        Simulator::with_rates(lanes, Some(Rates::of_network(network, lanes)))
    }

    /// A simulator of `lanes`, which disturb each other as `problem` says.
    pub(super) fn of(problem: &Problem, lanes: &[Lane]) -> Simulator {
        let mut simulator = Simulator::with_rates(lanes.len(), Rates::new(problem, lanes));
        if problem.platform.links.iter().any(|link| link.latency > Duration::ZERO) {
            simulator.latencies = lanes.iter().map(|lane| latency(lane, &problem.platform)).collect();
        }
        simulator
    }

    fn with_rates(lanes: usize, rates: Option<Rates>) -> Simulator {
        Simulator {
            now: Time::ZERO,
            running: vec![Running::IDLE; lanes],
            ends: Ends::new(lanes),
            latencies: Vec::new(),
            under_way: BinaryHeap::new(),
            waiting: Vec::new(),
            joins: BinaryHeap::new(),
            timers: Timers::default(),
            rates: rates.map(Box::new),
        }
    }

    /// Adds an idle lane.
    pub(super) fn add(&mut self, lane: &Lane, platform: &Platform) -> LaneId {
        self.running.push(Running::IDLE);
        if let Some(rates) = &mut self.rates {
            rates.add(lane, platform);
        }
        if platform.links.iter().any(|link| link.latency > Duration::ZERO) {
            self.latencies.push(latency(lane, platform));
        }
        self.ends.add()
    }

    /// When the last event happened.
    #[inline]
    pub fn now(&self) -> Time {
        self.now
    }

    /// Whether `lane` runs nothing.
    #[inline]
    pub fn is_idle(&self, lane: LaneId) -> bool {
        !self.ends.contains(lane)
    }

    /// Begins `step` on `lane`, which is idle. It leaves the lane after `isolated`, or later if something disturbs it, and
    /// ends then, or after the latency of the lane's link.
    #[inline]
    pub fn begin(&mut self, lane: LaneId, step: StepId, isolated: Duration) {
        self.begin_with_traffic(lane, step, isolated, 0);
    }

    /// As [`Simulator::begin`]; the step moves `traffic` bytes per second when alone.
    #[inline]
    pub(super) fn begin_with_traffic(&mut self, lane: LaneId, step: StepId, isolated: Duration, traffic: u64) {
        debug_assert!(self.is_idle(lane), "a lane runs one step at a time");
        let now = self.now;
        let mut begun = Running { step, start: now, since: now, remaining: isolated.as_nanos_f64(), rate: 1.0 };
        let mut end = now + isolated;
        if let Some(rates) = &mut self.rates {
            let (rate, alone) = rates.begin(lane, traffic, isolated);
            (begun.rate, begun.remaining) = (rate, alone.as_nanos_f64());
            end = if rate == 1.0 { now + alone } else { now + Duration::from_nanos_f64(begun.remaining / rate) };
            if alone == Duration::ZERO
                && let Some(to_send) = rates.send(lane)
            {
                // It gets its rate before anything else happens.
                (begun.rate, begun.remaining, end) = (0.0, to_send.as_nanos_f64(), Time::MAX);
            }
        }
        self.running[lane.0 as usize] = begun;
        self.ends.push(lane, end, step);
    }

    /// As [`Simulator::begin_with_traffic`], once the step has waited for `wait`; meanwhile it disturbs nothing.
    #[cold]
    #[inline(never)]
    fn begin_after(&mut self, wait: Duration, lane: LaneId, step: StepId, isolated: Duration, traffic: u64) {
        debug_assert!(self.is_idle(lane), "a lane runs one step at a time");
        let now = self.now;
        self.running[lane.0 as usize] =
            Running { step, start: now, since: now, remaining: isolated.as_nanos_f64(), rate: 1.0 };
        self.waiting.resize(self.running.len(), None);
        self.waiting[lane.0 as usize] = Some(traffic);
        self.ends.push(lane, now + wait, step);
    }

    /// Begins a step without a lane, which ends at once.
    #[inline]
    pub(super) fn join(&mut self, step: StepId) {
        self.joins.push(Reverse(step));
    }

    /// Takes what `lane` runs, if it runs something, and what it has sent that is still on its way: none of it ends.
    /// Returns each step and when it had the lane, in the order in which they began.
    pub(super) fn cancel(&mut self, lane: LaneId) -> Vec<(StepId, Span)> {
        let mut cancelled = Vec::new();
        self.under_way.retain(|&Reverse(UnderWay { arrival, step, start, lane: of })| {
            if of == lane {
                let sent = Time::ZERO + arrival.since_start().saturating_sub(self.latencies[lane.0 as usize]);
                cancelled.push((step, Span { start, end: sent }));
            }
            of != lane
        });
        cancelled.sort_unstable_by_key(|(_, span)| span.start);
        if !self.is_idle(lane) {
            self.ends.remove(lane);
            let waits = self.waiting.get_mut(lane.0 as usize).and_then(Option::take).is_some();
            if let Some(rates) = self.rates.as_mut().filter(|_| !waits) {
                rates.end(lane);
            }
            let Running { step, start, .. } = self.running[lane.0 as usize];
            cancelled.push((step, Span { start, end: self.now }));
        }
        cancelled
    }

    /// Sets a timer that tells `token` at `at`, which is not past.
    #[inline]
    pub fn wake(&mut self, at: Time, token: u32) {
        debug_assert!(at >= self.now, "nothing happens in the past");
        self.timers.set(at, token);
    }

    /// Leaves `device` with `health` times its speed, from now on. Only where the problem has faults.
    pub(super) fn set_device_health(&mut self, device: DeviceId, health: f64) {
        self.rates.as_mut().expect("a problem with faults has rates").set_health(device, health);
    }

    /// Leaves `link` with `health` times its bandwidth, from now on. Only where the problem has faults.
    pub(super) fn set_link_health(&mut self, link: LinkId, health: f64) {
        self.rates.as_mut().expect("a problem with faults has rates").set_link_health(link, health);
    }

    /// What happens next, at which the clock then stands; `None` if nothing does.
    #[inline]
    #[allow(clippy::should_implement_trait, reason = "what happens depends on what the caller begins in between")]
    pub fn next(&mut self) -> Option<Event> {
        loop {
            self.apply_changed_rates();
            let end = self.ends.first();
            let arrival = self.under_way.peek().map(|&Reverse(first)| (first.arrival, first.step));
            let first = if arrival.is_some() && end.is_none_or(|end| arrival < Some(end)) { arrival } else { end };
            if let Some(event) = self.next_join(first).or_else(|| self.next_timer(first)) {
                return Some(event);
            }
            if arrival.is_some() && first == arrival {
                return self.next_arrival();
            }
            let (lane, end) = self.ends.pop()?;
            debug_assert!(end >= self.now, "what has happened is told in the order of time");
            self.now = end;
            if self.goes_on(lane) {
                continue;
            }
            if let Some(rates) = &mut self.rates {
                rates.end(lane);
            }
            let Running { step, start, .. } = self.running[lane.0 as usize];
            return Some(match self.latencies.get(lane.0 as usize) {
                Some(&latency) if latency > Duration::ZERO => {
                    self.under_way.push(Reverse(UnderWay { arrival: end + latency, step, start, lane }));
                    Event::Sent { step }
                }
                _ => Event::Ended(Completion { step, start, end }),
            });
        }
    }

    /// Whether anything else happens at the time at which the clock stands.
    #[inline]
    pub(super) fn has_more_now(&mut self) -> bool {
        loop {
            self.apply_changed_rates();
            let arrives_now = |first: &Reverse<UnderWay>| first.0.arrival == self.now;
            let is_woken_now = self.timers.first() == Some(self.now);
            if is_woken_now || !self.joins.is_empty() || self.under_way.peek().is_some_and(arrives_now) {
                return true;
            }
            if self.ends.first().is_none_or(|(end, _)| end > self.now) {
                return false;
            }
            let (lane, end) = self.ends.pop().expect("the first is there");
            if !self.goes_on(lane) {
                self.ends.push(lane, end, self.running[lane.0 as usize].step);
                return true;
            }
        }
    }

    /// If what has ended on `lane`, now, is what a step waits for before it begins, or a transfer before it sends, lets it
    /// go on.
    #[inline]
    fn goes_on(&mut self, lane: LaneId) -> bool {
        if !self.waiting.is_empty() && self.begin_waited(lane) {
            return true;
        }
        let Some(to_send) = self.rates.as_mut().and_then(|rates| rates.send(lane)) else { return false };
        let running = &mut self.running[lane.0 as usize];
        *running = Running { since: self.now, remaining: to_send.as_nanos_f64(), rate: 0.0, ..*running };
        self.ends.push(lane, Time::MAX, running.step);
        true
    }

    /// Begins the step on `lane` if it has waited. Kept apart, so that events without memory that pages stay as fast.
    #[cold]
    #[inline(never)]
    fn begin_waited(&mut self, lane: LaneId) -> bool {
        let Some(traffic) = self.waiting.get_mut(lane.0 as usize).and_then(Option::take) else { return false };
        let Running { step, start, remaining, .. } = self.running[lane.0 as usize];
        self.begin_with_traffic(lane, step, Duration::from_nanos_f64(remaining), traffic);
        self.running[lane.0 as usize].start = start;
        true
    }

    /// The first arrival of what is under way.
    fn next_arrival(&mut self) -> Option<Event> {
        let Reverse(UnderWay { arrival, step, start, .. }) = self.under_way.pop()?;
        debug_assert!(arrival >= self.now, "what has happened is told in the order of time");
        self.now = arrival;
        Some(Event::Ended(Completion { step, start, end: arrival }))
    }

    /// The first join, if no step ends or leaves its lane before it.
    #[inline]
    fn next_join(&mut self, end: Option<(Time, StepId)>) -> Option<Event> {
        let &Reverse(step) = self.joins.peek()?;
        if end.is_some_and(|(end, other)| (end, other) < (self.now, step)) {
            return None;
        }
        self.joins.pop();
        Some(Event::Ended(Completion { step, start: self.now, end: self.now }))
    }

    /// The first timer, if no step ends or leaves its lane before it or with it.
    #[inline]
    fn next_timer(&mut self, end: Option<(Time, StepId)>) -> Option<Event> {
        let at = self.timers.first()?;
        if end.is_some_and(|(end, _)| end <= at) {
            return None;
        }
        let (at, token) = self.timers.pop()?;
        debug_assert!(at >= self.now, "what has happened is told in the order of time");
        self.now = at;
        Some(Event::Woken { token })
    }

    /// Brings the ends of running steps up to date after starts and ends have changed their rates.
    #[inline]
    fn apply_changed_rates(&mut self) {
        let Self { running, ends, waiting, rates, now, .. } = self;
        let Some(rates) = rates else { return };
        rates.for_each_changed(|lane, rate| {
            if !ends.contains(lane) || waiting.get(lane.0 as usize).is_some_and(Option::is_some) {
                return;
            }
            debug_assert!((0.0..=1.0).contains(&rate), "contention and faults only slow: {rate}");
            let step = &mut running[lane.0 as usize];
            // At the rate before, whatever happened since was done; the rest goes at the new one. An end that was rounded to
            // a nanosecond may leave less than nothing.
            step.remaining = (step.remaining - (*now - step.since).as_nanos_f64() * step.rate).max(0.0);
            step.since = *now;
            step.rate = rate;
            // What waits for its turn does not end, even if nothing is left to send.
            let left = if rate > 0.0 { Duration::from_nanos_f64(step.remaining / rate) } else { Duration::MAX };
            ends.update(lane, *now + left);
        });
    }
}

/// How long what `lane` has sent is on its way while it sends other things.
fn latency(lane: &Lane, platform: &Platform) -> Duration {
    match lane {
        Lane::Compute { .. } => Duration::ZERO,
        Lane::Link(link) => platform.link(*link).latency,
    }
}

/// Something is to happen, but nothing ever will.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stalled;

/// What the simulator needs to know of a step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Prepared {
    pub(super) step: StepId,
    /// `None` for joins.
    pub(super) lane: Option<LaneId>,
    pub(super) isolated: Duration,
    /// What it waits for first, on its lane.
    pub(super) wait: Duration,
    /// Bytes per second that it moves through shared memory when alone.
    pub(super) traffic: u64,
}

impl Lanes for Simulator {
    type Step = Prepared;
    type Error = Stalled;

    #[inline]
    fn start(&mut self, prepared: Prepared) -> Result<(), Stalled> {
        let Prepared { step, lane, isolated, wait, traffic } = prepared;
        match lane {
            Some(lane) if wait > Duration::ZERO => self.begin_after(wait, lane, step, isolated, traffic),
            Some(lane) => self.begin_with_traffic(lane, step, isolated, traffic),
            None => self.join(step),
        }
        Ok(())
    }

    #[inline]
    fn next(&mut self) -> Result<Event, Stalled> {
        Simulator::next(self).ok_or(Stalled)
    }
}

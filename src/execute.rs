//! The one loop that runs steps, in simulated or real time, from a plan or as a dispatcher issues them.

use crate::plan::{CheckedPlan, Frontier, StepId};
use crate::timeline::Span;
use crate::units::Time;

/// A step that ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Completion {
    /// Which one.
    pub step: StepId,
    /// When it began.
    pub start: Time,
    /// When it ended.
    pub end: Time,
}

/// Something that happens while steps run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A step has ended; its lane is free, unless it became free before.
    Ended(Completion),
    /// The link of a transfer is free again, while what it sent is still on its way; the transfer ends when that arrives.
    Sent {
        /// The transfer.
        step: StepId,
    },
    /// The time of a timer has come.
    Woken {
        /// What the timer was set with.
        token: u32,
    },
}

/// Something that can run steps: simulated lanes or hardware.
pub(crate) trait Lanes {
    /// What has to be known of a step to run it.
    type Step;
    /// Why a step could not run.
    type Error;
    /// Begins `step`, whose lane is free and whose dependencies have ended. Does not wait for its end.
    fn start(&mut self, step: Self::Step) -> Result<(), Self::Error>;
    /// What happens next; called only while something is to happen.
    fn next(&mut self) -> Result<Event, Self::Error>;
}

/// Something that knows which steps may begin when: a plan, or a dispatcher.
pub(crate) trait Source<L: Lanes> {
    /// Starts what may begin before anything has happened.
    fn begin(&mut self, lanes: &mut L) -> Result<(), L::Error>;
    /// Starts what may begin now that `event` has happened.
    fn handle(&mut self, event: Event, lanes: &mut L) -> Result<(), L::Error>;
    /// Whether all that is to happen has happened.
    fn is_done(&self) -> bool;
}

/// Runs everything that `source` has on `lanes`.
pub(crate) fn execute<L: Lanes>(source: &mut impl Source<L>, lanes: &mut L) -> Result<(), L::Error> {
    source.begin(lanes)?;
    while !source.is_done() {
        let event = lanes.next()?;
        source.handle(event, lanes)?;
    }
    Ok(())
}

/// Runs every step of `plan` once and returns their spans, by step id; `prepare` says what `lanes` need of each.
pub(crate) fn execute_plan<L: Lanes>(
    plan: &CheckedPlan,
    lanes: &mut L,
    prepare: impl Fn(StepId) -> L::Step,
) -> Result<Vec<Span>, L::Error> {
    let spans = vec![Span::default(); plan.steps.len()];
    let mut planned = Planned { frontier: Frontier::new(plan), spans, left: plan.steps.len(), prepare };
    execute(&mut planned, lanes)?;
    Ok(planned.spans)
}

/// A plan as a source of steps.
struct Planned<F> {
    frontier: Frontier,
    spans: Vec<Span>,
    left: usize,
    prepare: F,
}

impl<L: Lanes, F: Fn(StepId) -> L::Step> Source<L> for Planned<F> {
    fn begin(&mut self, lanes: &mut L) -> Result<(), L::Error> {
        self.frontier.ready().try_for_each(|step| lanes.start((self.prepare)(step)))
    }

    #[inline]
    fn handle(&mut self, event: Event, lanes: &mut L) -> Result<(), L::Error> {
        let mut started = Ok(());
        let start_next = |next| {
            if started.is_ok() {
                started = lanes.start((self.prepare)(next));
            }
        };
        match event {
            Event::Ended(Completion { step, start, end }) => {
                self.left -= 1;
                self.spans[step.0 as usize] = Span { start, end };
                self.frontier.complete(step, start_next);
            }
            Event::Sent { step } => self.frontier.free_lane(step, start_next),
            Event::Woken { .. } => unreachable!("a plan sets no timers"),
        }
        started
    }

    fn is_done(&self) -> bool {
        self.left == 0
    }
}

//! The one loop that runs a plan, in simulated or real time.

use crate::plan::{CheckedPlan, Frontier, StepId};
use crate::timeline::Span;
use crate::units::Time;

/// A step that ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Completion {
    pub(crate) step: StepId,
    pub(crate) start: Time,
    pub(crate) end: Time,
}

/// Something that can run steps: simulated lanes or hardware.
pub(crate) trait Lanes {
    /// Why a step could not run.
    type Error;
    /// Begins `step`, whose lane is free and whose dependencies have ended. Does not wait for its end.
    fn start(&mut self, step: StepId) -> Result<(), Self::Error>;
    /// The next step to end; called only while one is running.
    fn next(&mut self) -> Result<Completion, Self::Error>;
}

/// Runs every step of `plan` once and returns their spans, by step id.
pub(crate) fn execute<L: Lanes>(plan: &CheckedPlan, lanes: &mut L) -> Result<Vec<Span>, L::Error> {
    let mut frontier = Frontier::new(plan);
    let mut started = Ok(());
    for step in frontier.ready() {
        lanes.start(step)?;
    }
    let mut spans = vec![Span::default(); plan.steps.len()];
    for _ in 0..plan.steps.len() {
        let Completion { step, start, end } = lanes.next()?;
        spans[step.0 as usize] = Span { start, end };
        frontier.complete(step, |next| {
            if started.is_ok() {
                started = lanes.start(next);
            }
        });
        std::mem::replace(&mut started, Ok(()))?;
    }
    Ok(spans)
}

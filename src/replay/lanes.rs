//! Lanes of a plan on hardware: steps that were prepared, and data that moves.

use std::sync::{Arc, Mutex, PoisonError};

use super::clock::{now, sleep};
use super::{BackendError, Prepared, Ran, Session, Tensor, There, Timing, Trouble, Workspace};
use crate::plan::StepId;
use crate::units::Duration;

/// A lane that computes.
pub(super) struct Computing {
    workspace: Arc<dyn Workspace>,
    /// In the lane's order.
    jobs: Vec<(StepId, Prepared)>,
    has_entered: bool,
}

impl Computing {
    /// Steps that are ready to run, in the lane's order.
    pub(super) fn new(workspace: Arc<dyn Workspace>, jobs: Vec<(StepId, Prepared)>) -> Computing {
        Computing { workspace, jobs, has_entered: false }
    }
}

impl Session for Computing {
    fn run(&mut self, step: StepId) -> Result<Ran, BackendError> {
        let of_step = |trouble: Trouble| trouble.of_step(step);
        if !std::mem::replace(&mut self.has_entered, true) {
            self.workspace.enter().map_err(of_step)?;
        }
        let index = find(&self.jobs, step, |job| job.0);
        (self.jobs[index].1)().map_err(of_step)
    }
}

/// A lane that moves data.
pub(super) struct Moving(pub(super) Vec<(StepId, Move)>);

pub(super) enum Move {
    Send {
        tensor: Tensor,
        from: Arc<dyn Workspace>,
        to: Arc<dyn Workspace>,
    },
    /// An end of it has no data: it takes as long as predicted.
    Wait(Duration),
}

impl Session for Moving {
    fn run(&mut self, step: StepId) -> Result<Ran, BackendError> {
        match &self.0[find(&self.0, step, |entry| entry.0)].1 {
            Move::Send { tensor, from, to } => from.send(tensor, &**to).map_err(|trouble| trouble.of_step(step)),
            Move::Wait(time) => {
                sleep(*time);
                Ok((*time).into())
            }
        }
    }
}

/// A lane of a plan of which some steps are timed one by one: no step runs beside another.
pub(super) struct InTurn {
    pub(super) session: Box<dyn Session>,
    pub(super) turn: Arc<Mutex<()>>,
    pub(super) timings: Arc<[Timing]>,
}

impl Session for InTurn {
    fn run(&mut self, step: StepId) -> Result<Ran, BackendError> {
        let timing = self.timings[step.0 as usize];
        if timing == Timing::Predicted {
            return Ok(Duration::ZERO.into());
        }
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let start = now();
        let ran = self.session.run(step)?;
        // What counts is how long it took when it was its turn.
        let there = ran.there.or_else(|| (timing == Timing::Measured).then(|| There { start, end: now() }));
        Ok(Ran { there, ..ran })
    }
}

/// Where the entry of `step` is. Entries are in the lane's order, which is that of the steps' ids.
fn find<T>(entries: &[T], step: StepId, id: impl Fn(&T) -> StepId) -> usize {
    entries.binary_search_by_key(&step, id).expect("a session runs the steps of its lane")
}

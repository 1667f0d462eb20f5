//! One thread for each lane, one clock, and deadlines.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{Builder, JoinHandle};

use super::clock::Clock;
use super::{BackendError, Ran, Session, There, cores};
use crate::execute::{Completion, Event, Lanes, execute_plan};
use crate::plan::{CheckedPlan, LaneId, StepId};
use crate::timeline::{Origin, Span, Timeline};
use crate::units::{Duration, Time};

/// The sessions of a plan, each on a thread of its own. They stay open from round to round.
pub struct Crew {
    /// By lane.
    queues: Vec<Sender<(StepId, Clock)>>,
    threads: Vec<JoinHandle<()>>,
    ended: Receiver<(LaneId, Ended)>,
    /// For joins, which no lane runs.
    joins: Sender<(LaneId, Ended)>,
    /// Why a round was given up. Steps of it may still run.
    failed: Option<BackendError>,
    /// What had ended by then.
    unfinished: Option<Unfinished>,
    /// Whether a step did not end, so that its thread cannot be waited for.
    is_stuck: bool,
}

/// What a step came to: when it ran, and what its session says of it.
type Ended = Result<(Completion, Ran), BackendError>;

/// When a round is given up.
#[derive(Clone, Copy, Debug)]
pub struct Limits<'a> {
    /// The longest time that a step may take.
    pub deadline: Duration,
    /// Set when the user asks to stop.
    pub interrupted: &'a AtomicBool,
}

/// One execution of a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Round {
    /// When each step ran.
    pub timeline: Timeline,
    /// How long the hardware was busy with each step. Less than its span if the lane had to share its core.
    pub busy: Vec<Duration>,
    /// When devices with clocks of their own say that each step ran, by step id; shorter if the last ones say nothing.
    pub there: Vec<Option<Span>>,
}

/// What of a round has ended before it was given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfinished {
    /// When each step ran; `None` if it did not end.
    pub spans: Vec<Option<Span>>,
}

impl Round {
    /// How long a step took by the clock of the device that ran it.
    pub fn duration(&self, step: StepId) -> Duration {
        let there = self.there.get(step.0 as usize).copied().flatten();
        there.unwrap_or(self.timeline.span(step)).duration()
    }
}

impl Crew {
    /// Starts a thread for each session, in the order of the plan's lanes.
    ///
    /// # Errors
    /// The system has no more threads.
    pub fn new(sessions: Vec<Box<dyn Session>>) -> io::Result<Crew> {
        let (done, ended) = channel();
        let (mut queues, mut threads) = (Vec::new(), Vec::new());
        for (lane, session) in (0..).map(LaneId).zip(sessions) {
            let (queue, steps) = channel();
            let done = done.clone();
            let thread = Builder::new().name(format!("lane {}", lane.0));
            threads.push(thread.spawn(move || work(lane, session, steps, done))?);
            queues.push(queue);
        }
        Ok(Crew { queues, threads, ended, joins: done, failed: None, unfinished: None, is_stuck: false })
    }

    /// Runs every step of `plan` once.
    ///
    /// # Errors
    /// A step failed, took too long or was interrupted. The crew is of no use then: each further round gives the same
    /// error.
    ///
    /// # Panics
    /// If there is not one session for each lane.
    pub fn round(&mut self, plan: &CheckedPlan, limits: &Limits<'_>) -> Result<Round, BackendError> {
        assert_eq!(self.queues.len(), plan.lanes.len(), "each lane has a session");
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let clock = Clock::start();
        let running = vec![None; plan.lanes.len()];
        let steps = vec![None; plan.steps.len()];
        let Crew { queues, ended, joins, .. } = self;
        let mut lanes = HardwareLanes { queues, ended, joins, plan, clock, running, steps, limits };
        // On a thread of its own, since the caller's priority is not ours to change.
        let outcome = std::thread::scope(|scope| {
            let lead = scope.spawn(|| {
                cores::lead();
                execute_plan(plan, &mut lanes, |step| step)
            });
            lead.join().expect("handing out steps does not panic")
        });
        let HardwareLanes { steps, running, .. } = lanes;
        match outcome {
            Ok(spans) => {
                let ran = || steps.iter().map(|step| step.as_ref().map(|(_, ran)| ran));
                let span = |There { start, end }| Span { start: clock.at(start), end: clock.at(end) };
                Ok(Round {
                    timeline: Timeline::new(Origin::Measured, spans),
                    busy: ran().map(|ran| ran.map_or(Duration::ZERO, |ran| ran.busy)).collect(),
                    there: ran().map(|ran| ran.and_then(|ran| ran.there).map(span)).collect(),
                })
            }
            Err(error) => {
                let spans = steps.iter().map(|step| step.map(|(Completion { start, end, .. }, _)| Span { start, end }));
                self.unfinished = Some(Unfinished { spans: spans.collect() });
                self.is_stuck = running.iter().any(Option::is_some);
                self.failed = Some(error.clone());
                Err(error)
            }
        }
    }
}

impl Crew {
    /// What had ended when a round was given up; `None` if none was.
    pub fn unfinished(&self) -> Option<&Unfinished> {
        self.unfinished.as_ref()
    }
}

impl Drop for Crew {
    /// Waits for the threads, unless one of them hangs in a step: no thread can be stopped from outside.
    fn drop(&mut self) {
        self.queues.clear();
        if !self.is_stuck {
            for thread in self.threads.drain(..) {
                // A lane that has panicked has said so when it ended its step.
                drop(thread.join());
            }
        }
    }
}

/// The life of a lane's thread.
fn work(lane: LaneId, mut session: Box<dyn Session>, steps: Receiver<(StepId, Clock)>, done: Sender<(LaneId, Ended)>) {
    for (step, clock) in steps {
        let start = clock.now();
        let outcome = catch_unwind(AssertUnwindSafe(|| session.run(step)));
        let end = clock.now();
        let ended = match outcome {
            Ok(outcome) => outcome.map(|ran| (Completion { step, start, end }, ran)),
            Err(_) => Err(BackendError::Lost { lane }),
        };
        if done.send((lane, ended)).is_err() {
            break;
        }
    }
}

struct HardwareLanes<'a> {
    queues: &'a [Sender<(StepId, Clock)>],
    ended: &'a mut Receiver<(LaneId, Ended)>,
    joins: &'a Sender<(LaneId, Ended)>,
    plan: &'a CheckedPlan,
    clock: Clock,
    /// What each lane runs, and since when.
    running: Vec<Option<(StepId, Time)>>,
    /// What has ended, by step.
    steps: Vec<Option<(Completion, Ran)>>,
    limits: &'a Limits<'a>,
}

/// How often an interruption is looked for while no step ends.
const GLANCE: std::time::Duration = std::time::Duration::from_millis(50);

impl HardwareLanes<'_> {
    /// The step that has run for longer than it may.
    fn overdue(&self) -> Option<StepId> {
        let now = self.clock.now();
        let is_overdue = |&(_, since): &(StepId, Time)| now - since > self.limits.deadline;
        self.running.iter().flatten().copied().find(is_overdue).map(|(step, _)| step)
    }
}

impl Lanes for HardwareLanes<'_> {
    type Step = StepId;
    type Error = BackendError;

    fn start(&mut self, step: StepId) -> Result<(), BackendError> {
        match self.plan.step_at(step).lane {
            Some(lane) => {
                self.running[lane.0 as usize] = Some((step, self.clock.now()));
                let queue = &self.queues[lane.0 as usize];
                queue.send((step, self.clock)).map_err(|_| BackendError::Lost { lane })
            }
            None => {
                let now = self.clock.now();
                let ended = Ok((Completion { step, start: now, end: now }, Duration::ZERO.into()));
                self.joins.send((LaneId(u32::MAX), ended)).expect("the crew holds the receiver");
                Ok(())
            }
        }
    }

    fn next(&mut self) -> Result<Event, BackendError> {
        loop {
            // Before each wait, so that a plan of many short steps can be stopped too.
            if self.limits.interrupted.load(Ordering::Relaxed) {
                return Err(BackendError::Interrupted);
            }
            if let Some(step) = self.overdue() {
                return Err(BackendError::Deadline { step, deadline: self.limits.deadline });
            }
            match self.ended.recv_timeout(GLANCE) {
                Ok((lane, ended)) => {
                    if let Some(running) = self.running.get_mut(lane.0 as usize) {
                        *running = None;
                    }
                    let (completion, ran) = ended?;
                    self.steps[completion.step.0 as usize] = Some((completion, ran));
                    return Ok(Event::Ended(completion));
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => unreachable!("the crew holds a sender"),
            }
        }
    }
}

//! A plan that is open on hardware, whatever runs each of its devices: its lanes, its data, and its rounds.

use std::sync::{Arc, Mutex};

use super::crew::{Crew, Limits, Round, Unfinished};
use super::lanes::{Computing, InTurn, Move, Moving};
use super::outputs::{Outputs, worse};
use super::{BackendError, Gathered, Hardware, Job, Session, Tensor, Timing, Workspace, cpu};
use crate::cost::Estimate;
use crate::engine::simulate_estimated;
use crate::model::ModelId;
use crate::plan::{Action, CheckedPlan, Lane, LaneId, StepId};
use crate::platform::{DeviceId, LinkId};
use crate::problem::Problem;
use crate::timeline::{Origin, Span, Timeline};
use crate::units::{Duration, Time};

/// A plan with a thread for each lane, and what it has on each device. It stays open from round to round.
pub struct Opened {
    crew: Crew,
    /// By device; `None` for those that the plan does not use.
    workspaces: Vec<Option<Arc<dyn Workspace>>>,
    /// By step.
    timings: Arc<[Timing]>,
    outputs: Outputs,
}

/// Where the inputs of networks are when a plan begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inputs {
    /// On the networks' homes; everywhere if they have none.
    AtHome,
    /// On every device.
    Everywhere,
}

impl Hardware {
    /// Opens `plan`, whose steps are predicted to take these times.
    ///
    /// # Errors
    /// A device cannot run what the plan asks of it, or is gone.
    ///
    /// # Panics
    /// If there is not one prediction for each step.
    pub fn open(&self, plan: &CheckedPlan, predicted: &[Duration], inputs: Inputs) -> Result<Opened, BackendError> {
        assert_eq!(plan.steps.len(), predicted.len(), "each step has a prediction");
        let workspaces = self.workspaces(plan, inputs)?;
        let timings: Arc<[Timing]> = plan.step_ids().map(|step| self.timing(plan, step)).collect();
        let opening = Opening { hardware: self, plan, predicted, workspaces: &workspaces };
        let lanes = (0..plan.lanes.len() as u32).map(LaneId);
        let mut sessions = lanes.map(|lane| opening.session(lane)).collect::<Result<Vec<_>, _>>()?;
        if timings.contains(&Timing::Alone) {
            let turn = Arc::new(Mutex::new(()));
            let in_turn = |session| -> Box<dyn Session> {
                Box::new(InTurn { session, turn: turn.clone(), timings: timings.clone() })
            };
            sessions = sessions.into_iter().map(in_turn).collect();
        }
        let crew = Crew::new(sessions).map_err(|error| BackendError::Unavailable {
            backend: "a thread for each lane",
            reason: format!("the plan has {} lanes, and a thread cannot be started: {error}", plan.lanes.len()),
        })?;
        let outputs = Outputs::of(plan, self.engines.clone());
        Ok(Opened { crew, workspaces, timings, outputs })
    }

    /// What `plan` has on each device that it uses.
    fn workspaces(&self, plan: &CheckedPlan, inputs: Inputs) -> Result<Vec<Option<Arc<dyn Workspace>>>, BackendError> {
        let is_of_plan = |model: ModelId| {
            plan.steps.iter().any(|step| match &step.action {
                Action::Compute(work) => work.model == model,
                Action::Transfer { model: sent, .. } => *sent == model,
                Action::Join => false,
            })
        };
        let uses = |device: DeviceId| {
            plan.lanes.iter().any(|lane| match *lane {
                Lane::Compute { device: of_lane, .. } => of_lane == device,
                Lane::Link(link) => {
                    let link = self.platform.link(link);
                    link.from == device || link.to == device
                }
            })
        };
        let open = |device: DeviceId| -> Result<Arc<dyn Workspace>, BackendError> {
            let given = |of_timing: Option<Timing>| match of_timing {
                // Nobody reads them.
                Some(Timing::Alone | Timing::Predicted) => Ok(Vec::new()),
                _ => self.engines.networks.inputs(device, inputs == Inputs::Everywhere, is_of_plan),
            };
            match self.driver(device) {
                Some(driver) => driver.open(&given(Some(driver.timing()))?),
                // It passes data on.
                None => Ok(cpu::in_memory(&given(None)?)),
            }
        };
        self.platform.device_ids().map(|device| uses(device).then(|| open(device)).transpose()).collect()
    }

    fn timing(&self, plan: &CheckedPlan, step: StepId) -> Timing {
        let of_device = |device| self.driver(device).map_or(Timing::Measured, |driver| driver.timing());
        let step = plan.step_at(step);
        match (&step.action, step.lane.map(|lane| plan.lane_at(lane))) {
            (Action::Compute(_), Some(Lane::Compute { device, .. })) => of_device(*device),
            (Action::Transfer { to, .. }, Some(Lane::Link(link))) => {
                let ends = [self.other_end(*link, *to), *to];
                let is_moved = ends.iter().all(|&end| of_device(end) == Timing::Measured);
                if is_moved { Timing::Measured } else { Timing::Predicted }
            }
            _ => Timing::Predicted,
        }
    }

    fn other_end(&self, link: LinkId, to: DeviceId) -> DeviceId {
        let link = self.platform.link(link);
        if link.to == to { link.from } else { link.to }
    }
}

/// A plan that is being opened.
struct Opening<'a> {
    hardware: &'a Hardware,
    plan: &'a CheckedPlan,
    predicted: &'a [Duration],
    workspaces: &'a [Option<Arc<dyn Workspace>>],
}

impl Opening<'_> {
    fn session(&self, lane: LaneId) -> Result<Box<dyn Session>, BackendError> {
        let Opening { hardware, plan, .. } = self;
        let steps = plan.step_ids().filter(|&step| plan.step_at(step).lane == Some(lane));
        let steps = steps.map(|step| (step, &plan.step_at(step).action));
        match *plan.lane_at(lane) {
            Lane::Compute { device, share, .. } => {
                if hardware.driver(device).is_none() {
                    return Err(BackendError::Simulated { device: hardware.platform.device(device).name.clone() });
                }
                let workspace = self.workspace(device);
                let prepare = |(step, action): (StepId, &Action)| {
                    let Action::Compute(work) = action else {
                        unreachable!("a checked plan places every action on a fitting lane")
                    };
                    let job = Job { step, work, share, predicted: self.predicted[step.0 as usize] };
                    Ok((step, workspace.clone().prepare(&job)?))
                };
                let jobs = steps.map(prepare).collect::<Result<_, BackendError>>()?;
                Ok(Box::new(Computing::new(workspace, jobs)))
            }
            Lane::Link(link) => {
                let moves = steps.map(|(step, action)| Ok((step, self.moving(link, step, action)?)));
                Ok(Box::new(Moving(moves.collect::<Result<_, BackendError>>()?)))
            }
        }
    }

    fn moving(&self, link: LinkId, step: StepId, action: &Action) -> Result<Move, BackendError> {
        let Action::Transfer { model, layer, region, to } = action else {
            unreachable!("a checked plan places every action on a fitting lane")
        };
        let hardware = self.hardware;
        let from = hardware.other_end(link, *to);
        let wait = Move::Wait(self.predicted[step.0 as usize]);
        let Some(network) = hardware.engines.networks.all.get(model.0 as usize) else { return Ok(wait) };
        let shape = network.graph.shape(*layer);
        let tensor = Tensor { model: *model, layer: *layer, region: region.clone(), shape };
        if hardware.timing(self.plan, step) == Timing::Measured {
            return Ok(Move::Send { tensor, from: self.workspace(from), to: self.workspace(*to) });
        }
        if hardware.driver(*to).is_none_or(|driver| driver.timing() == Timing::Measured) {
            // What computes nothing sends nothing, and its receiver is to compute all the same.
            let zeros = Gathered::whole(Arc::new(vec![0.0; tensor.count()]));
            self.workspace(*to).put(&tensor, &zeros).map_err(|trouble| trouble.of_opening("a replay"))?;
        }
        Ok(wait)
    }

    fn workspace(&self, device: DeviceId) -> Arc<dyn Workspace> {
        self.workspaces[device.0 as usize].clone().expect("the plan uses the device")
    }
}

impl Opened {
    /// Runs `plan`, of which this is, once. Where steps are timed one by one, the timeline is the one that follows if
    /// they take as long as that, if what was not measured takes what `estimates` say, and if what runs at once slows
    /// each other as `problem` says.
    ///
    /// # Errors
    /// A step failed, took too long or was interrupted. It is of no use then.
    pub fn round(
        &mut self,
        problem: &Problem,
        plan: &CheckedPlan,
        estimates: &[Estimate],
        limits: &Limits<'_>,
    ) -> Result<Round, BackendError> {
        if !self.is_assembled() {
            return self.crew.round(plan, limits);
        }
        // Steps wait for each other, and processes have a limit of their own.
        let round = self.crew.round(plan, &Limits { deadline: Duration::MAX, ..*limits })?;
        let timed = plan.step_ids().zip(estimates).map(|(step, estimate)| match self.timings[step.0 as usize] {
            Timing::Measured => Estimate { time: on_lane(problem, plan, step, round.duration(step)), ..*estimate },
            Timing::Alone => Estimate { time: round.busy[step.0 as usize], ..*estimate },
            Timing::Predicted => *estimate,
        });
        let timed: Vec<Estimate> = timed.collect();
        let Timeline { spans, .. } = simulate_estimated(problem, plan, &timed);
        Ok(Round { timeline: Timeline::new(Origin::Assembled, spans), busy: round.busy, there: vec![] })
    }

    /// Runs `plan`, of which this is, once, by the clock only.
    ///
    /// # Errors
    /// As for [`Opened::round`].
    pub fn measured(&mut self, plan: &CheckedPlan, limits: &Limits<'_>) -> Result<Round, BackendError> {
        self.crew.round(plan, limits)
    }

    /// Whether its timelines are put together from steps that are timed one by one.
    pub fn is_assembled(&self) -> bool {
        self.timings.contains(&Timing::Alone)
    }

    /// How far the outputs of the first `samples` of all `models` networks, which a round has left, are from those of
    /// one device that does everything itself: the largest difference over the largest magnitude; NaN if a number of
    /// either is none. `None` if a device gives no outputs.
    ///
    /// # Errors
    /// The plan has not computed them, or a device is gone.
    pub fn difference(&self, plan: &CheckedPlan, models: u32, samples: u32) -> Result<Option<f64>, BackendError> {
        let gives = |step: StepId| match plan.step_at(step).action {
            Action::Join => true,
            _ => self.timings[step.0 as usize] == Timing::Measured,
        };
        if !plan.step_ids().all(gives) {
            return Ok(None);
        }
        let of_model = |model| self.outputs.difference(&self.workspaces, ModelId(model), samples);
        let all = (0..models).map(of_model).collect::<Result<Vec<f64>, _>>()?;
        Ok(Some(all.into_iter().fold(0.0, worse)))
    }

    /// What had ended when a round was given up; `None` if none was.
    pub fn unfinished(&self) -> Option<&Unfinished> {
        self.crew.unfinished()
    }
}

/// How long a step that was measured alone kept its lane: until the latency of its link before it ended.
fn on_lane(problem: &Problem, plan: &CheckedPlan, step: StepId, measured: Duration) -> Duration {
    let span = Span { start: Time::ZERO, end: Time::ZERO + measured };
    let lane = plan.step_at(step).lane.map(|lane| plan.lane_at(lane));
    lane.map_or(measured, |lane| span.on_lane(lane, &problem.platform).duration())
}

impl std::fmt::Debug for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opened").field("timings", &self.timings).finish_non_exhaustive()
    }
}

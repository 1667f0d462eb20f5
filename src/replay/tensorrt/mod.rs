//! The TensorRT backend: GPU and DLAs of a board, by trtexec, which times engines of parts of networks.
//!
//! Each step is timed by itself, in a process of its own, and nothing passes from step to step: times mean something,
//! outputs do not. That a DLA took part is found in the profile of each engine; without that, it is an error.

mod command;
mod engines;
mod exports;
mod notes;
mod process;
mod program;

pub use process::Patience;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use super::cpu::{find, memory, processor};
use super::{Backend, BackendError, DeviceInfo, Ran, Round, Session};
use crate::cost::Estimate;
use crate::engine::simulate_estimated;
use crate::model::{Conv, Graph, Layer, LayerId, ModelId, Op, Region, Segment, Shape, Weights, Work, onnx, unit_name};
use crate::plan::{Action, CheckedPlan, Lane, LaneId, StepId};
use crate::platform::{DeviceId, Platform, TensorrtUnit};
use crate::problem::Problem;
use crate::statistics::median;
use crate::timeline::{Origin, Timeline};
use crate::units::Duration;
use engines::{Engine, Store};
use exports::Placement;
use notes::named;
use process::{Running, Trouble};
use program::Program;

/// Its name in scenarios and reports.
const NAME: &str = "tensorrt";

/// A board's GPU and DLAs with networks, and the engines that were built of them. Plans share it.
pub struct Board {
    platform: Platform,
    program: Program,
    networks: Vec<(Graph, Arc<Weights>)>,
    store: Store,
    patience: Patience,
    engines: Mutex<BTreeMap<Part, Arc<Engine>>>,
    /// What it is, once a first engine has told.
    info: DeviceInfo,
}

/// What an engine is of: a device, a network, its layers, rows of the last one's output, and samples.
type Part = (DeviceId, ModelId, Vec<LayerId>, (u32, u32), u32);

/// What trtexec prints just before it runs an engine again and again.
const STARTED: &str = "Starting inference";

impl Board {
    /// The devices of `platform` that TensorRT runs on this board, with `networks` by model, engines in the folder `store`,
    /// and the program called `trtexec`, or trtexec where it usually is. A first small engine for each unit shows that it
    /// is there.
    ///
    /// # Errors
    /// trtexec is missing or cannot do what is asked of it, or a DLA is missing.
    pub fn new(
        platform: &Platform,
        networks: Vec<(Graph, Arc<Weights>)>,
        store: &Path,
        trtexec: Option<&Path>,
        patience: Patience,
    ) -> Result<Board, BackendError> {
        let store = Store::open(store).map_err(|reason| missing(reason.into()))?;
        let folder = tempfile::tempdir().map_err(|error| missing(error.to_string().into()))?;
        let program = Program::open(trtexec, &folder.path().join("log"), &patience).map_err(missing)?;
        if let Some(lacking) = units(platform).find_map(|unit| program.lacks(unit)) {
            return Err(missing(lacking.into()));
        }
        let info = DeviceInfo { name: processor(), software: program.software(), memory: memory() };
        let platform = platform.clone();
        let mut board = Board { platform, program, networks, store, patience, engines: Mutex::default(), info };
        board.info.name = board.look()?;
        Ok(board)
    }

    /// Builds an engine of a single convolution for each unit, and says what hardware was found.
    fn look(&self) -> Result<String, BackendError> {
        let shape = Shape::fp32(16, 16, 16);
        let layer = |name: &str, op, inputs| Layer { name: name.into(), op, inputs };
        let convolution = layer("conv", Op::Conv(Conv::square(16, 3).pad(1)), vec![LayerId(0)]);
        let graph = Graph::new("probe", vec![layer("input", Op::Input(shape), vec![]), convolution]);
        let graph = graph.expect("a convolution is a network");
        let (weights, segment) = (Weights::Seeded(0), graph.whole().expect("it has a layer"));
        let onnx = onnx::write(&graph, &weights, &segment, &(0..16), Some(1)).expect("a convolution can be written");
        let mut hardware: BTreeSet<String> = BTreeSet::new();
        for unit in units(&self.platform) {
            let engine = self.store.engine(&self.program, unit, &onnx, 1, &self.patience);
            let placement =
                engine.and_then(|Engine { placement, .. }| Ok(check(unit, &placement).map(|()| placement)?));
            let placement = placement.map_err(|trouble| match trouble {
                Trouble::Interrupted => BackendError::Interrupted,
                Trouble::Failed(reason) => {
                    missing(format!("{unit} does not run a single convolution: {reason}").into())
                }
            })?;
            hardware.extend(placement.hardware);
        }
        let hardware =
            if hardware.is_empty() { self.info.name.clone() } else { Vec::from_iter(hardware).join(" and ") };
        Ok(match (self.standin(), engines::board()) {
            (Some(standin), _) => format!("no hardware ({standin})"),
            (None, Some(board)) => format!("{hardware} ({board})"),
            (None, None) => hardware,
        })
    }

    /// What it is.
    pub fn info(&self) -> &DeviceInfo {
        &self.info
    }

    /// What `device` is, if it is of this board.
    pub fn unit(&self, device: DeviceId) -> Option<&TensorrtUnit> {
        self.platform.device(device).runtime.tensorrt()
    }

    /// What took the place of NVIDIA's trtexec, by its own name; `None` if nothing did.
    pub fn standin(&self) -> Option<&str> {
        (!self.program.is_genuine()).then(|| self.program.name())
    }

    /// Builds what `device` needs to run `work`, unless it is there.
    ///
    /// # Errors
    /// It cannot run it, or a DLA would leave all of it to the GPU.
    pub fn prepare(&self, device: DeviceId, work: &Work) -> Result<(), BackendError> {
        self.engine(device, work).map(drop)
    }

    /// How long `work` takes on `device` alone: the median of several iterations.
    ///
    /// # Errors
    /// As for [`Board::prepare`], or it cannot be timed.
    pub fn time(&self, device: DeviceId, work: &Work) -> Result<Duration, BackendError> {
        let engine = self.engine(device, work)?;
        self.timed(device, work, &engine)
    }

    /// How long `work` takes on `device` while `other` runs all the time: the median of several iterations.
    ///
    /// # Errors
    /// As for [`Board::time`].
    pub fn time_beside(
        &self,
        (device, work): (DeviceId, &Work),
        (other, others): (DeviceId, &Work),
    ) -> Result<Duration, BackendError> {
        let (engine, beside) = (self.engine(device, work)?, self.engine(other, others)?);
        let unfit = |trouble| self.unfit(other, others, trouble);
        let folder = tempfile::tempdir().map_err(|error| unfit(error.to_string().into()))?;
        let arguments = command::occupy(&self.program, self.known(other)?, &beside.file);
        let running = Running::start(&self.program.path, &arguments, &folder.path().join("log"));
        let mut running = running.map_err(|reason| unfit(reason.into()))?;
        running.print(STARTED, &self.patience).map_err(unfit)?;
        let time = self.timed(device, work, &engine)?;
        match running.code() {
            Ok(None) => Ok(time),
            _ => Err(unfit("it ended while another device was timed beside it".to_owned().into())),
        }
    }

    fn timed(&self, device: DeviceId, work: &Work, engine: &Engine) -> Result<Duration, BackendError> {
        let unfit = |trouble| self.unfit(device, work, trouble);
        let folder = tempfile::tempdir().map_err(|error| unfit(error.to_string().into()))?;
        let times = folder.path().join("times.json");
        let arguments = command::time(&self.program, self.known(device)?, &engine.file, &times);
        let running = Running::start(&self.program.path, &arguments, &folder.path().join("log"));
        running.map_err(Trouble::Failed).and_then(|running| running.end(&self.patience)).map_err(unfit)?;
        let times = exports::times(&times, engine.batch).map_err(|reason| unfit(reason.into()))?;
        let middle = median(times.iter().map(|time| time.as_nanos_f64())).expect("there is an iteration");
        Ok(Duration::from_nanos_f64(middle))
    }

    fn known(&self, device: DeviceId) -> Result<&TensorrtUnit, BackendError> {
        self.unit(device).ok_or_else(|| {
            let name = &self.platform.device(device).name;
            let reason = format!("`{name}` is not one of its devices, and it runs plans of those only");
            BackendError::Unfit { backend: NAME, reason }
        })
    }

    fn engine(&self, device: DeviceId, work: &Work) -> Result<Arc<Engine>, BackendError> {
        let part = part(device, work);
        let mut engines = self.engines.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(engine) = engines.get(&part) {
            return Ok(engine.clone());
        }
        let unit = self.known(device)?;
        let unfit = |reason: String| self.unfit(device, work, reason.into());
        let (graph, weights) = &self.networks[work.model.0 as usize];
        let batch = work.region.samples.len() as u32;
        let onnx = onnx::write(graph, weights, &work.segment, &work.region.rows, Some(batch));
        let onnx = onnx.map_err(|error| unfit(error.to_string()))?;
        let engine = self.store.engine(&self.program, unit, &onnx, batch, &self.patience);
        let engine = Arc::new(engine.map_err(|trouble| self.unfit(device, work, trouble))?);
        check(unit, &engine.placement).map_err(unfit)?;
        engines.insert(part, engine.clone());
        Ok(engine)
    }

    fn unfit(&self, device: DeviceId, work: &Work, trouble: Trouble) -> BackendError {
        let reason = match trouble {
            Trouble::Interrupted => return BackendError::Interrupted,
            Trouble::Failed(reason) => reason,
        };
        let (name, batch) = (&self.platform.device(device).name, work.region.samples.len());
        let reason = format!("{}, batch {batch}, on `{name}`: {reason}", self.part_name(work.model, &work.segment));
        BackendError::Unfit { backend: NAME, reason }
    }

    fn part_name(&self, model: ModelId, segment: &Segment) -> String {
        let graph = &self.networks[model.0 as usize].0;
        match graph.whole().is_some_and(|whole| whole == *segment) {
            true => graph.name().to_owned(),
            false => format!("{} of {}", unit_name(graph, segment), graph.name()),
        }
    }
}

/// The devices of `platform` that TensorRT runs.
fn units(platform: &Platform) -> impl Iterator<Item = &TensorrtUnit> {
    platform.devices.iter().filter_map(|device| device.runtime.tensorrt())
}

/// Whether an engine ran where its device is.
fn check(unit: &TensorrtUnit, placement: &Placement) -> Result<(), String> {
    match (unit.dla_core, placement.dla.as_slice()) {
        (Some(core), []) => Err(format!(
            "nothing of it ran on DLA core {core}: by its profile, {} ran on the GPU",
            named(&placement.gpu)
        )),
        (None, [first, ..]) => Err(format!("it is to run on the GPU, and by its profile `{first}` ran on a DLA")),
        _ => Ok(()),
    }
}

fn part(device: DeviceId, work: &Work) -> Part {
    let Region { samples, rows } = &work.region;
    (device, work.model, work.segment.layers().collect(), (rows.start, rows.end), samples.len() as u32)
}

fn missing(trouble: Trouble) -> BackendError {
    match trouble {
        Trouble::Interrupted => BackendError::Interrupted,
        Trouble::Failed(reason) => BackendError::Unavailable { backend: NAME, reason },
    }
}

/// The GPU and DLAs of a board as the devices of one plan.
///
/// A round runs processes, so that its clock says nothing of the plan: what counts is how long each step was busy.
/// [`assembled`] makes a timeline of that.
pub struct Tensorrt {
    board: Arc<Board>,
    served: Arc<Served>,
}

/// What parts took when they were timed last, and the steps that have had this time. A step that comes again, in another
/// round, has its part timed again.
#[derive(Default)]
struct Served(Mutex<BTreeMap<Part, (Duration, BTreeSet<StepId>)>>);

impl Tensorrt {
    /// A backend for one plan on `board`.
    pub fn new(board: Arc<Board>) -> Tensorrt {
        Tensorrt { board, served: Arc::default() }
    }
}

impl Backend for Tensorrt {
    fn name(&self) -> &'static str {
        NAME
    }

    fn probe(&self) -> Result<DeviceInfo, BackendError> {
        Ok(self.board.info().clone())
    }

    fn open(&self, plan: &CheckedPlan, lane: LaneId) -> Result<Box<dyn Session>, BackendError> {
        let Lane::Compute { device, .. } = *plan.lane_at(lane) else { return Ok(Box::new(Nothing)) };
        let mut jobs = Vec::new();
        for step in plan.step_ids().filter(|&step| plan.step_at(step).lane == Some(lane)) {
            let Action::Compute(work) = &plan.step_at(step).action else {
                unreachable!("a checked plan places every action on a fitting lane")
            };
            self.board.prepare(device, work)?;
            jobs.push((step, work.clone()));
        }
        Ok(Box::new(Timing { device, jobs, board: self.board.clone(), served: self.served.clone() }))
    }
}

/// A lane that computes.
struct Timing {
    device: DeviceId,
    /// In the lane's order.
    jobs: Vec<(StepId, Work)>,
    board: Arc<Board>,
    served: Arc<Served>,
}

impl Session for Timing {
    fn run(&mut self, step: StepId) -> Result<Ran, BackendError> {
        let (_, work) = find(&self.jobs, step, |job| job.0);
        // Held while it is timed, so that nothing runs beside it.
        let mut served = self.served.0.lock().unwrap_or_else(PoisonError::into_inner);
        let part = part(self.device, work);
        if let Some((time, steps)) = served.get_mut(&part)
            && steps.insert(step)
        {
            return Ok(Ran::from(*time));
        }
        let time = self.board.time(self.device, work).map_err(|error| match error {
            BackendError::Unfit { reason, .. } => BackendError::Failed { step, reason },
            other => other,
        })?;
        served.insert(part, (time, BTreeSet::from([step])));
        Ok(Ran::from(time))
    }
}

/// A lane of a link: on a board, engines read and write the same memory, and trtexec passes nothing on.
struct Nothing;

impl Session for Nothing {
    fn run(&mut self, _: StepId) -> Result<Ran, BackendError> {
        Ok(Ran::from(Duration::ZERO))
    }
}

/// A round of `plan` on a board with the timeline that follows if its steps take as long as they were busy, transfers
/// take what `estimates` say, and what runs at once slows each other as the problem says.
pub fn assembled(problem: &Problem, plan: &CheckedPlan, estimates: &[Estimate], round: &Round) -> Round {
    let steps = plan.steps.iter().zip(estimates).zip(&round.busy);
    let timed = steps.map(|((step, estimate), &time)| match step.action {
        Action::Compute(_) => Estimate { time, ..*estimate },
        Action::Transfer { .. } | Action::Join => *estimate,
    });
    let estimates: Vec<Estimate> = timed.collect();
    let Timeline { spans, .. } = simulate_estimated(problem, plan, &estimates);
    Round { timeline: Timeline { origin: Origin::Assembled, spans }, busy: round.busy.clone(), there: vec![] }
}

impl fmt::Debug for Board {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Board").field("units", &units(&self.platform).collect::<Vec<_>>()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Tensorrt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tensorrt").finish_non_exhaustive()
    }
}

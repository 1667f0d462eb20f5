//! Devices that are the GPU or a DLA of a board, by trtexec, which times engines of parts of networks.
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
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::cpu::processor;
use super::networks::Networks;
use super::{
    BackendError, DeviceInfo, Driver, Gathered, Job, Network, Prepared, Ran, Tensor, Timing, Trouble, Workspace,
};
use crate::model::{Conv, Graph, Layer, LayerId, ModelId, Op, Region, Segment, Shape, Weights, Work, onnx, unit_name};
use crate::plan::StepId;
use crate::platform::{DeviceId, Platform, TensorrtUnit};
use crate::statistics::median;
use crate::units::Duration;
use engines::{Engine, Store};
use exports::Placement;
use notes::named;
use process::{ChildProcess, Failure};
use program::Program;

/// Its name in scenarios and reports.
const NAME: &str = "tensorrt";

/// A board's GPU and DLAs with networks, and the engines that were built of them. Plans share it.
pub struct Board {
    platform: Platform,
    program: Program,
    networks: Arc<Networks>,
    store: Store,
    patience: Patience,
    engines: Mutex<BTreeMap<Part, Arc<Engine>>>,
    /// What was found of the hardware, once a first engine has told.
    hardware: String,
}

/// What an engine is of: a device, a network, its layers, rows of the last one's output, and samples.
type Part = (DeviceId, ModelId, Vec<LayerId>, (u32, u32), u32);

/// Where trtexec and its engines are.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The program; trtexec where it usually is if `None`.
    pub program: Option<PathBuf>,
    /// The folder of engines; `None` if there is none.
    pub engines: Option<PathBuf>,
    /// How long one run of it is waited for.
    pub patience: Patience,
}

/// What trtexec prints just before it runs an engine again and again.
const STARTED: &str = "Starting inference";

impl Board {
    /// The board of `platform`, as [`Board::new`]; `None` if TensorRT runs none of its devices.
    pub(super) fn of(
        platform: &Platform,
        networks: &Arc<Networks>,
        settings: &Settings,
    ) -> Result<Option<Arc<Board>>, BackendError> {
        if units(platform).next().is_none() {
            return Ok(None);
        }
        let Settings { program, engines, patience } = settings;
        let absent = "there is no folder for engines, since HOME is not set; name one by --engines";
        let engines = engines.as_ref().ok_or_else(|| missing(absent.to_owned().into()))?;
        let board = Board::new(platform, networks.clone(), engines, program.as_deref(), *patience)?;
        Ok(Some(Arc::new(board)))
    }

    /// The devices of `platform` that TensorRT runs on this board, with `networks`, engines in the folder `store`,
    /// and the program called `trtexec`, or trtexec where it usually is. A first small engine for each unit shows that it
    /// is there.
    ///
    /// # Errors
    /// trtexec is missing or cannot do what is asked of it, or a DLA is missing.
    pub fn new(
        platform: &Platform,
        networks: Arc<Networks>,
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
        let (platform, hardware) = (platform.clone(), processor());
        let mut board = Board { platform, program, networks, store, patience, engines: Mutex::default(), hardware };
        board.hardware = board.look()?;
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
                Failure::Interrupted => BackendError::Interrupted,
                Failure::Failed(reason) => {
                    missing(format!("{unit} does not run a single convolution: {reason}").into())
                }
            })?;
            hardware.extend(placement.hardware);
        }
        let hardware = if hardware.is_empty() { self.hardware.clone() } else { Vec::from_iter(hardware).join(" and ") };
        Ok(match (self.standin(), engines::board()) {
            (Some(standin), _) => format!("no hardware ({standin})"),
            (None, Some(board)) => format!("{hardware} ({board})"),
            (None, None) => hardware,
        })
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
        let running = ChildProcess::start(&self.program.path, &arguments, &folder.path().join("log"));
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
        let running = ChildProcess::start(&self.program.path, &arguments, &folder.path().join("log"));
        running.map_err(Failure::Failed).and_then(|running| running.end(&self.patience)).map_err(unfit)?;
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
        let Network { graph, weights, .. } = &self.networks.all[work.model.0 as usize];
        let batch = work.region.samples.len() as u32;
        let onnx = onnx::write(graph, weights, &work.segment, &work.region.rows, Some(batch));
        let onnx = onnx.map_err(|error| unfit(error.to_string()))?;
        let engine = self.store.engine(&self.program, unit, &onnx, batch, &self.patience);
        let engine = Arc::new(engine.map_err(|trouble| self.unfit(device, work, trouble))?);
        check(unit, &engine.placement).map_err(unfit)?;
        engines.insert(part, engine.clone());
        Ok(engine)
    }

    fn unfit(&self, device: DeviceId, work: &Work, trouble: Failure) -> BackendError {
        let reason = match trouble {
            Failure::Interrupted => return BackendError::Interrupted,
            Failure::Failed(reason) => reason,
        };
        let (name, batch) = (&self.platform.device(device).name, work.region.samples.len());
        let reason = format!("{}, batch {batch}, on `{name}`: {reason}", self.part_name(work.model, &work.segment));
        BackendError::Unfit { backend: NAME, reason }
    }

    fn part_name(&self, model: ModelId, segment: &Segment) -> String {
        let graph = self.networks.graph(model);
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

fn missing(trouble: Failure) -> BackendError {
    match trouble {
        Failure::Interrupted => BackendError::Interrupted,
        Failure::Failed(reason) => BackendError::Unavailable { backend: NAME, reason },
    }
}

/// Runs a device that is a unit of a board.
///
/// A round runs processes, so that its clock says nothing of the plan: what counts is how long each step was busy.
#[derive(Clone, Debug)]
pub struct TensorrtDriver {
    board: Arc<Board>,
    device: DeviceId,
}

impl TensorrtDriver {
    /// Of `device`, if it is of `board`.
    pub fn new(board: &Arc<Board>, device: DeviceId) -> Option<TensorrtDriver> {
        board.unit(device)?;
        Some(TensorrtDriver { board: board.clone(), device })
    }
}

impl Driver for TensorrtDriver {
    fn describe(&self) -> DeviceInfo {
        let Board { hardware, program, .. } = &*self.board;
        let standin = self.board.standin().map(str::to_owned);
        DeviceInfo {
            unit: self.board.unit(self.device).map_or_else(String::new, ToString::to_string),
            is_real: standin.is_none(),
            standin,
            notes: self.board.notes(),
            ..DeviceInfo::new(hardware.clone(), program.software())
        }
    }

    fn timing(&self) -> Timing {
        Timing::Alone
    }

    fn open(&self, _: &[(Tensor, Gathered)]) -> Result<Arc<dyn Workspace>, BackendError> {
        // trtexec makes its own inputs.
        Ok(Arc::new(OnBoard { driver: self.clone(), served: Arc::default() }))
    }
}

/// What a plan has on a unit of a board.
struct OnBoard {
    driver: TensorrtDriver,
    served: Arc<Mutex<Served>>,
}

/// What parts took when they were timed last, and the steps that have had this time. A step that comes again, in another
/// round, has its part timed again.
type Served = BTreeMap<Part, (Duration, BTreeSet<StepId>)>;

impl Workspace for OnBoard {
    fn prepare(self: Arc<Self>, &Job { step, work, .. }: &Job<'_>) -> Result<Prepared, BackendError> {
        let TensorrtDriver { board, device } = self.driver.clone();
        board.prepare(device, work)?;
        let (served, work) = (self.served.clone(), work.clone());
        Ok(Box::new(move || {
            let mut served = served.lock().unwrap_or_else(PoisonError::into_inner);
            let part = part(device, &work);
            if let Some((time, steps)) = served.get_mut(&part)
                && steps.insert(step)
            {
                return Ok(Ran::from(*time));
            }
            let time = board.time(device, &work).map_err(|error| match error {
                BackendError::Unfit { reason, .. } => Trouble::Step(reason),
                other => Trouble::Lost(other),
            })?;
            served.insert(part, (time, BTreeSet::from([step])));
            Ok(Ran::from(time))
        }))
    }

    fn put(&self, _: &Tensor, _: &Gathered) -> Result<(), Trouble> {
        Ok(())
    }

    fn get(&self, _: &Tensor) -> Result<Gathered, Trouble> {
        Err(Trouble::Step("trtexec gives no outputs".into()))
    }
}

impl fmt::Debug for Board {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Board").field("units", &units(&self.platform).collect::<Vec<_>>()).finish_non_exhaustive()
    }
}

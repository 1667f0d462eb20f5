//! The seam between plans and what runs them: a driver for each device, and there a workspace for each plan.

use std::any::Any;
use std::sync::Arc;

use super::clock::Clock;
use super::remote::BoardInfo;
use super::{BackendError, Gathered, Ran, Tensor};
use crate::model::Work;
use crate::plan::StepId;
use crate::units::{Duration, Share};

/// What runs the steps of one device. Plans share it.
///
/// ```
/// use std::sync::Arc;
///
/// use coinfer::replay::{BackendError, DeviceInfo, Driver, Gathered, Job, Prepared, Ran, Tensor, Timing, Trouble, Workspace};
/// use coinfer::units::Duration;
///
/// /// A device on which everything has happened already.
/// struct Instant;
///
/// impl Driver for Instant {
///     fn describe(&self) -> DeviceInfo {
///         DeviceInfo::new("nothing", "none")
///     }
///     fn timing(&self) -> Timing {
///         Timing::Predicted
///     }
///     fn open(&self, _: &[(Tensor, Gathered)]) -> Result<Arc<dyn Workspace>, BackendError> {
///         Ok(Arc::new(Empty))
///     }
/// }
///
/// struct Empty;
///
/// impl Workspace for Empty {
///     fn prepare(self: Arc<Self>, _: &Job<'_>) -> Result<Prepared, BackendError> {
///         Ok(Box::new(|| Ok(Ran::from(Duration::ZERO))))
///     }
///     fn put(&self, _: &Tensor, _: &Gathered) -> Result<(), Trouble> {
///         Ok(())
///     }
///     fn get(&self, _: &Tensor) -> Result<Gathered, Trouble> {
///         Err(Trouble::Step("nothing was computed".into()))
///     }
/// }
/// ```
pub trait Driver: Send + Sync {
    /// What it is, and what a reader of its times should know.
    fn describe(&self) -> DeviceInfo;

    /// How the times of its steps come about.
    fn timing(&self) -> Timing;

    /// Room for one plan, which has `inputs` of networks from the start.
    ///
    /// # Errors
    /// The device is gone, or has not enough memory.
    fn open(&self, inputs: &[(Tensor, Gathered)]) -> Result<Arc<dyn Workspace>, BackendError>;

    /// Looks at its clock again, if it has one that drifts against ours.
    ///
    /// # Errors
    /// The device is gone.
    fn synchronise(&self) -> Result<(), BackendError> {
        Ok(())
    }
}

/// What one plan has on a device: its tensors, and what its steps need. Lanes share it, each on a thread of its own.
pub trait Workspace: Any + Send + Sync {
    /// Loads what a step needs: weights, engines, buffers. Not timed.
    ///
    /// # Errors
    /// The device cannot run it, or is gone.
    fn prepare(self: Arc<Self>, job: &Job<'_>) -> Result<Prepared, BackendError>;

    /// Takes the numbers of a tensor.
    ///
    /// # Errors
    /// The device has no room, or is gone.
    fn put(&self, tensor: &Tensor, numbers: &Gathered) -> Result<(), Trouble>;

    /// Gives the numbers of a tensor.
    ///
    /// # Errors
    /// A part of it was not computed and has not arrived, or the device is gone.
    fn get(&self, tensor: &Tensor) -> Result<Gathered, Trouble>;

    /// Moves a tensor to another device, and says how long that took. Devices that know a shorter way than over this
    /// program take it.
    ///
    /// # Errors
    /// As [`Workspace::get`] and [`Workspace::put`].
    fn send(&self, tensor: &Tensor, to: &dyn Workspace) -> Result<Ran, Trouble> {
        let clock = Clock::start();
        to.put(tensor, &self.get(tensor)?)?;
        Ok(clock.now().since_start().into())
    }

    /// Called once on each thread that runs steps of it, before the first.
    ///
    /// # Errors
    /// The thread cannot work for the device.
    fn enter(&self) -> Result<(), Trouble> {
        Ok(())
    }
}

/// A step that is to be prepared.
#[derive(Clone, Copy, Debug)]
pub struct Job<'a> {
    /// Which one.
    pub step: StepId,
    /// What it computes.
    pub work: &'a Work,
    /// The part of the device that its lane has.
    pub share: Share,
    /// How long it takes by the prediction, for what computes nothing.
    pub predicted: Duration,
}

/// A step that is ready to run, again and again.
pub type Prepared = Box<dyn FnMut() -> Result<Ran, Trouble> + Send>;

/// How the times of steps come about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timing {
    /// Steps run when the plan lets them, and give outputs; what counts is the clock of this program.
    Measured,
    /// Each step is timed by itself, without outputs; the engine puts the timeline of the plan together.
    Alone,
    /// Nothing is computed: steps take the time that was predicted.
    Predicted,
}

/// What a device is found to be.
#[derive(Clone, Debug, PartialEq)]
pub struct DeviceInfo {
    /// The vendor's name of the hardware.
    pub hardware: String,
    /// The software that executes networks, with its version.
    pub software: String,
    /// Which part of the hardware the device is, as traces record it; empty if there is nothing to say.
    pub unit: String,
    /// Whether hardware takes part.
    pub is_real: bool,
    /// What took the place of the vendor's software, by its own name.
    pub standin: Option<String>,
    /// Whether it is slowed, or its messages held, on purpose.
    pub is_emulated: bool,
    /// Whether other programs may take its cores.
    pub is_shared: bool,
    /// The agent that it is, if it is on another machine.
    pub board: Option<BoardInfo>,
    /// What a reader of its times should know, as far as it has run.
    pub notes: Vec<String>,
}

impl DeviceInfo {
    /// Of hardware of this machine, of which no more is to be said.
    pub fn new(hardware: impl Into<String>, software: impl Into<String>) -> DeviceInfo {
        DeviceInfo {
            hardware: hardware.into(),
            software: software.into(),
            unit: String::new(),
            is_real: true,
            standin: None,
            is_emulated: false,
            is_shared: false,
            board: None,
            notes: Vec::new(),
        }
    }
}

/// Why a device did not do what it should.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// What it was asked for cannot be done; the reason.
    Step(String),
    /// Nothing goes on with it.
    Lost(BackendError),
}

impl Trouble {
    /// As the error of a step that failed.
    pub(super) fn of_step(self, step: StepId) -> BackendError {
        match self {
            Trouble::Lost(error) => error,
            Trouble::Step(reason) => BackendError::Failed { step, reason },
        }
    }

    /// As the error of `backend`, which could not be made ready for a plan.
    pub(super) fn of_opening(self, backend: &'static str) -> BackendError {
        match self {
            Trouble::Lost(error) => error,
            Trouble::Step(reason) => BackendError::Unfit { backend, reason },
        }
    }
}

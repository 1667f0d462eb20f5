//! Hardware lanes: a checked plan run on real devices, in real time, by the same loop that simulates it.
//!
//! A [`Backend`] opens a [`Session`] for each lane; a [`Crew`] gives each session a thread of its own and takes the
//! times of all steps from one clock. The only module that may read clocks, start threads or call device runtimes.

pub mod agent;
mod clock;
mod cores;
pub mod cpu;
mod crew;
mod mock;
pub mod profile;
pub mod remote;
mod speed;
pub mod tensorrt;
pub mod wire;

pub use cores::{Hold, available};
pub use crew::{Crew, Limits, Round, Unfinished};
pub use mock::Mock;
pub use speed::{PROBE_SAMPLES, SpeedProbe};

use crate::plan::{CheckedPlan, LaneId, StepId};
use crate::units::{Bytes, Duration};

/// A kind of hardware that can run lanes.
///
/// ```
/// use coinfer::plan::{CheckedPlan, LaneId, StepId};
/// use coinfer::replay::{Backend, BackendError, DeviceInfo, Ran, Session};
/// use coinfer::units::{Bytes, Duration};
///
/// /// Hardware that does nothing, at once.
/// struct Instant;
///
/// impl Backend for Instant {
///     fn name(&self) -> &'static str {
///         "instant"
///     }
///     fn probe(&self) -> Result<DeviceInfo, BackendError> {
///         Ok(DeviceInfo { name: "nothing".into(), software: "none".into(), memory: Bytes(0) })
///     }
///     fn open(&self, _: &CheckedPlan, _: LaneId) -> Result<Box<dyn Session>, BackendError> {
///         struct Idle;
///         impl Session for Idle {
///             fn run(&mut self, _: StepId) -> Result<Ran, BackendError> {
///                 Ok(Ran::from(Duration::ZERO))
///             }
///         }
///         Ok(Box::new(Idle))
///     }
/// }
/// ```
pub trait Backend {
    /// Its name in scenarios and reports.
    fn name(&self) -> &'static str;

    /// Whether the hardware is there and can be used.
    fn probe(&self) -> Result<DeviceInfo, BackendError>;

    /// Loads everything that `lane` of `plan` will run: weights, engines, buffers. Not timed.
    fn open(&self, plan: &CheckedPlan, lane: LaneId) -> Result<Box<dyn Session>, BackendError>;
}

/// Opens every lane of `plan` on `backend`.
///
/// # Errors
/// The backend cannot run one of them.
pub fn assemble(plan: &CheckedPlan, backend: &dyn Backend) -> Result<Crew, BackendError> {
    let lanes = (0..plan.lanes.len() as u32).map(LaneId);
    let sessions = lanes.map(|lane| backend.open(plan, lane)).collect::<Result<_, _>>()?;
    Crew::new(sessions).map_err(|error| BackendError::Unavailable {
        backend: backend.name(),
        reason: format!("the plan has {} lanes, and a thread for each cannot be started: {error}", plan.lanes.len()),
    })
}

/// An open lane. It lives on a thread of its own.
pub trait Session: Send {
    /// Runs one step to its end and returns how long the hardware was busy with it.
    fn run(&mut self, step: StepId) -> Result<Ran, BackendError>;
}

/// What a session says of a step that it has run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ran {
    /// How long the hardware was busy.
    pub busy: Duration,
    /// When a device with a clock of its own says that it ran the step.
    pub there: Option<There>,
}

/// A time span by the clock of a device elsewhere, told by the clock of this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct There {
    /// When it began.
    pub start: std::time::Instant,
    /// When it ended.
    pub end: std::time::Instant,
}

impl From<Duration> for Ran {
    /// Of hardware of this machine, which was busy for so long.
    fn from(busy: Duration) -> Ran {
        Ran { busy, there: None }
    }
}

/// What a probe found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceInfo {
    /// The vendor's name of the hardware.
    pub name: String,
    /// The runtime that executes networks, with its version.
    pub software: String,
    /// Memory that lanes may reserve.
    pub memory: Bytes,
}

/// Why hardware did not do what a plan asks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BackendError {
    /// It is not there, or cannot be used.
    #[error("{backend} is not available: {reason}")]
    Unavailable {
        /// Which backend.
        backend: &'static str,
        /// What is missing, and what would help.
        reason: String,
    },
    /// It cannot run this plan.
    #[error("{backend} cannot run this plan: {reason}")]
    Unfit {
        /// Which backend.
        backend: &'static str,
        /// What it cannot do.
        reason: String,
    },
    /// A step failed.
    #[error("step {} failed: {reason}", step.0)]
    Failed {
        /// Which step.
        step: StepId,
        /// What the runtime said.
        reason: String,
    },
    /// A lane's session panicked, and the program has said so.
    #[error("lane {} was lost: what runs its steps has a fault", lane.0)]
    Lost {
        /// Which lane.
        lane: LaneId,
    },
    /// A device that is reached over a network is gone.
    #[error("`{device}` was lost: {reason}")]
    Gone {
        /// Its name.
        device: String,
        /// What was seen of it last.
        reason: String,
    },
    /// A step took too long.
    #[error("step {} did not end within {:.1} s", step.0, deadline.as_secs_f64())]
    Deadline {
        /// Which step.
        step: StepId,
        /// How long it could have taken.
        deadline: Duration,
    },
    /// The user has asked to stop.
    #[error("interrupted")]
    Interrupted,
}

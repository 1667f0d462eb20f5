//! Hardware lanes: a checked plan run on real devices, in real time, by the same loop that simulates it.
//!
//! What runs a device is its [`Driver`]; there, a plan has a [`Workspace`] with its tensors and prepared steps. One plan
//! may use devices of any kinds at once: [`Hardware`] has the drivers of a platform and opens plans on them. A [`Crew`]
//! gives each lane a thread of its own and takes the times of all steps from one clock. The only module that may read
//! clocks, start threads or call device runtimes.

pub mod agent;
mod clock;
mod cores;
pub mod cpu;
mod crew;
mod driver;
mod hardware;
mod lanes;
mod mock;
mod networks;
mod opened;
mod outputs;
pub mod profile;
pub mod remote;
mod speed;
mod tensor;
pub mod tensorrt;
pub mod wire;

pub use cores::{Hold, available};
pub use cpu::Gathered;
pub use crew::{Crew, Limits, Round, Unfinished};
pub use driver::{DeviceInfo, Driver, Job, Prepared, Timing, Trouble, Workspace};
pub use hardware::{Hardware, Settings};
pub use mock::Mock;
pub use networks::{Network, Networks};
pub use opened::{Inputs, Opened};
pub use speed::{PROBE_SAMPLES, SpeedProbe};
pub use tensor::Tensor;

use crate::plan::{LaneId, StepId};
use crate::units::Duration;

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

/// Why hardware did not do what a plan asks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BackendError {
    /// A device of the plan is simulated only.
    #[error("`{device}` does not say what runs it; write for example `runtime = {{ cpu = {{ cores = \"0\" }} }}`")]
    Simulated {
        /// Its name.
        device: String,
    },
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

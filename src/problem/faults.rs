//! What breaks while a scenario runs.

use crate::platform::{DeviceId, LinkId};
use crate::units::{Duration, Time};

/// Everything that breaks, and what is done about it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Faults {
    /// In the order of time.
    pub faults: Vec<Fault>,
    /// What planning again takes; `None` if strategies keep to their plans and wait.
    pub replanning: Option<Duration>,
}

/// Something that changes at a time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fault {
    /// When, since the run began.
    pub at: Time,
    /// What.
    pub change: Change,
}

/// What a device or a link is like from then on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Change {
    /// The device goes at this part of its speed, in (0, 1]; 1 is healthy again.
    Speed {
        /// Which device.
        device: DeviceId,
        /// The part that is left.
        health: f64,
    },
    /// The device drops out: the steps that it runs are lost.
    Out {
        /// Which device.
        device: DeviceId,
    },
    /// The device comes back, healthy and with all weights in place.
    Back {
        /// Which device.
        device: DeviceId,
    },
    /// The link has this part of its bandwidth, in (0, 1]; 1 is healthy again.
    Bandwidth {
        /// Which link.
        link: LinkId,
        /// The part that is left.
        health: f64,
    },
}

impl Faults {
    /// Whether nothing breaks.
    pub fn is_empty(&self) -> bool {
        self.faults.is_empty()
    }
}

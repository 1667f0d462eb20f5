//! Devices that are agents on other machines.
//!
//! Parts of networks are written here and uploaded before a round; in a round, tensors go from the device that has them
//! to the one that needs them, and from agent to agent directly.

mod attachment;
mod fleet;
mod link_probe;
mod offset;

pub use fleet::{BoardInfo, Fleet};
pub use link_probe::{Both, LinkProbe};

use std::sync::Arc;

use super::networks::Networks;
use super::{BackendError, DeviceInfo, Driver, Gathered, Tensor, Timing, Workspace};
use crate::platform::DeviceId;
use crate::units::Duration;
use attachment::Attachment;
use fleet::AgentDevice;

/// Its name in messages.
const NAME: &str = "remote";

/// Runs a device that is an agent.
pub struct AgentDriver {
    device: DeviceId,
    board: Arc<AgentDevice>,
    networks: Arc<Networks>,
    fleet: Arc<Fleet>,
}

impl AgentDriver {
    /// Of `device`, if it is an agent of `fleet`.
    pub fn new(fleet: &Arc<Fleet>, device: DeviceId, networks: Arc<Networks>) -> Option<AgentDriver> {
        let board = fleet.board(device)?.clone();
        Some(AgentDriver { device, board, networks, fleet: fleet.clone() })
    }
}

impl Driver for AgentDriver {
    fn describe(&self) -> DeviceInfo {
        let board = self.board.info(self.device);
        DeviceInfo {
            unit: board.unit.to_string(),
            is_emulated: board.unit.slowed > 1.0 || board.delay > Duration::ZERO,
            is_shared: !board.is_real_time,
            board: Some(board.clone()),
            ..DeviceInfo::new(board.hardware, board.software)
        }
    }

    fn timing(&self) -> Timing {
        Timing::Measured
    }

    fn open(&self, inputs: &[(Tensor, Gathered)]) -> Result<Arc<dyn Workspace>, BackendError> {
        let attachment = Attachment::begin(&self.fleet, &self.board, self.networks.clone())?;
        for (tensor, numbers) in inputs {
            attachment.put(tensor, numbers).map_err(|trouble| trouble.of_opening(NAME))?;
        }
        Ok(Arc::new(attachment))
    }

    fn synchronise(&self) -> Result<(), BackendError> {
        self.board.synchronise()
    }
}

impl std::fmt::Debug for AgentDriver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AgentDriver").field("device", &self.device).finish_non_exhaustive()
    }
}

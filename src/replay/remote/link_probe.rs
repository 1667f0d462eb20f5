//! How links to agents, and between them, carry data: regions of no network, sent as those of networks are.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use super::Fleet;
use super::NAME;
use super::attachment::Attachment;
use crate::model::{LayerId, ModelId, Shape};
use crate::platform::DeviceId;
use crate::replay::BackendError;
use crate::replay::clock::{duration, now};
use crate::replay::cpu::Port;
use crate::replay::wire::Sent;
use crate::units::{Bytes, Duration};

/// Sends data between devices, of which one at least is an agent.
pub struct LinkProbe {
    attachments: Vec<Option<Attachment>>,
    /// What agents hold already, to send it.
    held: Mutex<BTreeSet<(DeviceId, u64)>>,
}

/// Both directions of a way at once, and how long each took.
pub type Both = [Duration; 2];

impl LinkProbe {
    /// Begins a session on each agent.
    ///
    /// # Errors
    /// An agent gives none.
    pub fn new(fleet: Arc<Fleet>) -> Result<LinkProbe, BackendError> {
        let begin = |board: &Option<_>| {
            board.as_ref().map(|board| Attachment::begin(&fleet, board, Arc::default())).transpose()
        };
        let attachments = fleet.boards().iter().map(begin).collect::<Result<_, _>>()?;
        Ok(LinkProbe { attachments, held: Mutex::default() })
    }

    /// Whether there is a way to be measured between two devices.
    pub fn joins(&self, from: DeviceId, to: DeviceId) -> bool {
        [from, to].iter().any(|&device| self.end(device).is_some())
    }

    /// How long `size` takes from one device to the other, up to the moment when the receiver has said that it is there.
    /// Rounded up to whole numbers of four bytes.
    ///
    /// # Errors
    /// An agent is gone, or holds no more.
    pub fn send(&self, from: DeviceId, to: DeviceId, size: Bytes) -> Result<Duration, BackendError> {
        let sent = sent(size);
        let numbers = vec![1.0; sent.count() as usize];
        self.prepare(from, size, &numbers)?;
        let start = now();
        let moved = match (self.end(from), self.end(to)) {
            (Some(from), Some(to)) => from.forward(&sent, to),
            (Some(from), None) => from.fetch(&sent).map(drop),
            (None, Some(to)) => to.upload(&sent, &numbers),
            (None, None) => unreachable!("an end of the way is an agent, see `joins`"),
        };
        moved.map_err(|trouble| trouble.of_opening(NAME))?;
        Ok(duration(start.elapsed()))
    }

    /// As [`LinkProbe::send`], both ways at once.
    ///
    /// # Errors
    /// As there.
    pub fn send_both(&self, [one, other]: [DeviceId; 2], size: Bytes) -> Result<Both, BackendError> {
        let numbers = vec![1.0; sent(size).count() as usize];
        [one, other].iter().try_for_each(|&device| self.prepare(device, size, &numbers))?;
        std::thread::scope(|scope| {
            let back = scope.spawn(|| self.send(other, one, size));
            let forth = self.send(one, other, size)?;
            let back = back.join().expect("sending does not panic")?;
            Ok([forth, back])
        })
    }

    /// Puts on an agent what it is to send.
    fn prepare(&self, device: DeviceId, size: Bytes, numbers: &[f32]) -> Result<(), BackendError> {
        let Some(attachment) = self.end(device) else { return Ok(()) };
        let is_new = self.held.lock().unwrap_or_else(PoisonError::into_inner).insert((device, size.0));
        if is_new {
            attachment.upload(&sent(size), numbers).map_err(|trouble| trouble.of_opening(NAME))
        } else {
            Ok(())
        }
    }

    fn end(&self, device: DeviceId) -> Option<&Attachment> {
        self.attachments.get(device.0 as usize)?.as_ref()
    }
}

/// A region of this size; each size is the output of a layer of its own.
fn sent(size: Bytes) -> Sent {
    let count = size.0.div_ceil(4).clamp(1, 1 << 24) as u32;
    let port = Port { layer: LayerId(count), rows: 0..1, shape: Shape::fp32(1, 1, count) };
    Sent { model: ModelId(u32::MAX), port, samples: 0..1 }
}

impl std::fmt::Debug for LinkProbe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LinkProbe").finish_non_exhaustive()
    }
}

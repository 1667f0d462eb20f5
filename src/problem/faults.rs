//! What breaks while a scenario runs.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Problem;
use crate::cost::{CostModel, Estimate, Uncalibrated};
use crate::model::{OpKind, Work};
use crate::platform::{DeviceId, LinkId, Platform};
use crate::units::{Bytes, Duration, Share, Time};

/// Everything that breaks, and what is done about it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Faults {
    /// In the order of time.
    pub faults: Vec<Fault>,
    /// What planning again takes, for all that has not begun. `None` if plans stay as they are: what was lost waits until
    /// the device is back, and is then shared anew at once.
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
    /// The device drops out: the steps that it runs are lost, and what is on its way to it or from it.
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

/// What is left of devices and links at a time.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    /// By device, the part of its speed; 0 if it has dropped out.
    pub devices: Vec<f64>,
    /// By link, the part of its bandwidth.
    pub links: Vec<f64>,
}

impl Condition {
    /// Everything is in order.
    pub fn healthy(platform: &Platform) -> Condition {
        Condition { devices: vec![1.0; platform.devices.len()], links: vec![1.0; platform.links.len()] }
    }

    /// What `change` makes of it.
    pub fn apply(&mut self, change: Change) {
        match change {
            Change::Speed { device, health } => self.devices[device.0 as usize] = health,
            Change::Out { device } => self.devices[device.0 as usize] = 0.0,
            Change::Back { device } => self.devices[device.0 as usize] = 1.0,
            Change::Bandwidth { link, health } => self.links[link.0 as usize] = health,
        }
    }

    /// Whether the device can be used.
    pub fn has(&self, device: DeviceId) -> bool {
        self.devices[device.0 as usize] > 0.0
    }
}

/// The costs of what is left: slower devices and links take longer.
struct Degraded {
    healthy: Arc<dyn CostModel>,
    /// By link, the time that no fault makes longer.
    overheads: Vec<Duration>,
    condition: Condition,
}

/// `estimate` with all but its first part stretched.
fn stretched(estimate: Estimate, health: f64, first: Duration) -> Estimate {
    let rest = estimate.time.saturating_sub(first);
    let stretched = Duration::from_nanos_f64(rest.as_nanos_f64() / health);
    if health == 1.0 { estimate } else { Estimate { time: estimate.time.saturating_sub(rest) + stretched, ..estimate } }
}

impl CostModel for Degraded {
    fn compute(&self, device: DeviceId, share: Share, work: &Work) -> Result<Estimate, Uncalibrated> {
        let estimate = self.healthy.compute(device, share, work)?;
        Ok(stretched(estimate, self.condition.devices[device.0 as usize], Duration::ZERO))
    }

    fn transfer(&self, link: LinkId, size: Bytes) -> Result<Estimate, Uncalibrated> {
        let estimate = self.healthy.transfer(link, size)?;
        let index = link.0 as usize;
        Ok(stretched(estimate, self.condition.links[index], self.overheads[index]))
    }

    fn resampled(&self, draw: u64) -> Option<Arc<dyn CostModel>> {
        let healthy = self.healthy.resampled(draw)?;
        Some(Arc::new(Degraded { healthy, overheads: self.overheads.clone(), condition: self.condition.clone() }))
    }
}

impl Problem {
    /// The same question to what is left: devices that are out support nothing, and others take longer.
    pub fn under(&self, condition: &Condition) -> Problem {
        let mut problem = self.clone();
        let layers = self.models.iter().flat_map(|model| model.graph.layers());
        let kinds: BTreeSet<OpKind> = layers.map(|layer| layer.op.kind()).collect();
        for (device, health) in problem.platform.devices.iter_mut().zip(&condition.devices) {
            if *health == 0.0 {
                device.unsupported.extend(&kinds);
            }
        }
        let overheads = self.platform.links.iter().map(|link| link.overhead).collect();
        problem.costs = Arc::new(Degraded { healthy: self.costs.clone(), overheads, condition: condition.clone() });
        problem
    }
}

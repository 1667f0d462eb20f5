//! The remote backend: devices that are cores of this machine beside others that agents are.
//!
//! Parts of networks are written here and uploaded before a round; in a round, tensors go from the device that has them
//! to the one that needs them, and from agent to agent directly.

mod attachment;
mod fleet;
mod link_probe;
mod offset;

pub use fleet::{BoardInfo, Fleet};
pub use link_probe::{Both, LinkProbe};

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use super::clock::Clock;
use super::cpu::{Cpu, Host, Port, find};
use super::wire::Sent;
use super::{Backend, BackendError, DeviceInfo, Ran, Session};
use crate::model::{LayerId, ModelId, Region};
use crate::plan::{Action, CheckedPlan, Lane, LaneId, StepId};
use crate::platform::DeviceId;
use attachment::{Attachment, Trouble};

/// Its name in scenarios and reports.
const NAME: &str = "remote";

/// Devices of this machine and of others, for one plan.
pub struct Remote {
    cpu: Cpu,
    /// By device; `None` for those of this machine.
    attachments: Vec<Option<Arc<Attachment>>>,
    /// Where outputs come to be, of devices of other machines.
    outputs: Mutex<Vec<(DeviceId, ModelId, Region)>>,
    _fleet: Arc<Fleet>,
}

impl Remote {
    /// A backend for one plan, with inputs at the networks' homes.
    ///
    /// # Errors
    /// An agent gives no session, or not enough memory for inputs.
    pub fn new(host: Arc<Host>, fleet: Arc<Fleet>) -> Result<Remote, BackendError> {
        Remote::filled(Cpu::new(host), fleet, false)
    }

    /// As [`Remote::new`], with inputs on every device, wherever homes are.
    ///
    /// # Errors
    /// As there.
    pub fn with_inputs_everywhere(host: Arc<Host>, fleet: Arc<Fleet>) -> Result<Remote, BackendError> {
        Remote::filled(Cpu::with_inputs_everywhere(host), fleet, true)
    }

    fn filled(cpu: Cpu, fleet: Arc<Fleet>, everywhere: bool) -> Result<Remote, BackendError> {
        let begin = |device| fleet.board(device).map(|board| Attachment::begin(board).map(Arc::new)).transpose();
        let attachments = cpu.host.platform.device_ids().map(begin).collect::<Result<Vec<_>, _>>()?;
        for (model, network, inputs) in cpu.host.inputs() {
            for (device, attachment) in (0..).map(DeviceId).zip(&attachments) {
                let is_home = everywhere || network.home.is_none_or(|home| home == device);
                let Some(attachment) = attachment.as_ref().filter(|_| is_home) else { continue };
                for (&layer, numbers) in inputs {
                    let shape = network.graph.shape(layer);
                    let port = Port { layer, rows: 0..shape.rows, shape };
                    let sent = Sent { model, port, samples: 0..cpu.host.samples() };
                    attachment.put(&sent, numbers).map_err(Trouble::of_opening)?;
                }
            }
        }
        Ok(Remote { cpu, attachments, outputs: Mutex::default(), _fleet: fleet })
    }

    /// As [`Cpu::difference`], of outputs wherever they are.
    ///
    /// # Errors
    /// As there, or an agent is gone.
    pub fn difference(&self, model: ModelId, samples: u32) -> Result<f64, BackendError> {
        for (device, of_model, region) in self.outputs.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let Some(attachment) = self.attachment(*device).filter(|_| *of_model == model) else { continue };
            let sent = self.sent(model, self.cpu.host.output(model), region);
            let numbers = attachment.get(&sent).map_err(Trouble::of_opening)?;
            self.cpu.store.put((*device, model, sent.port.layer), region.clone(), numbers);
        }
        self.cpu.difference(model, samples)
    }

    fn attachment(&self, device: DeviceId) -> Option<&Arc<Attachment>> {
        self.attachments.get(device.0 as usize)?.as_ref()
    }

    fn sent(&self, model: ModelId, layer: LayerId, region: &Region) -> Sent {
        let shape = self.cpu.host.shape(model, layer);
        let port = Port { layer, rows: region.rows.clone(), shape };
        Sent { model, port, samples: region.samples.clone() }
    }

    /// Remembers a region of an output that comes to be on a device of another machine.
    fn note_output(&self, device: DeviceId, model: ModelId, region: &Region) {
        let mut outputs = self.outputs.lock().unwrap_or_else(PoisonError::into_inner);
        let output = (device, model, region.clone());
        if self.cpu.host.is_output_wanted(model, device) && !outputs.contains(&output) {
            outputs.push(output);
        }
    }

    fn computing(
        &self,
        device: DeviceId,
        attachment: &Arc<Attachment>,
        steps: &[(StepId, &Action)],
    ) -> Result<Computing, BackendError> {
        let mut jobs = Vec::new();
        for &(step, action) in steps {
            let Action::Compute(work) = action else {
                unreachable!("a checked plan places every action on a fitting lane")
            };
            jobs.push((step, attachment.open(&self.cpu.host, work)?, work.region.samples.clone()));
            if work.segment.contains(self.cpu.host.output(work.model)) {
                self.note_output(device, work.model, &work.region);
            }
        }
        Ok(Computing { attachment: attachment.clone(), jobs })
    }
}

impl Backend for Remote {
    fn name(&self) -> &'static str {
        NAME
    }

    fn probe(&self) -> Result<DeviceInfo, BackendError> {
        self.cpu.probe()
    }

    fn open(&self, plan: &CheckedPlan, lane: LaneId) -> Result<Box<dyn Session>, BackendError> {
        let steps = plan.step_ids().filter(|&step| plan.step_at(step).lane == Some(lane));
        let steps: Vec<_> = steps.map(|step| (step, &plan.step_at(step).action)).collect();
        match *plan.lane_at(lane) {
            Lane::Compute { device, .. } => match self.attachment(device) {
                Some(attachment) => Ok(Box::new(self.computing(device, attachment, &steps)?)),
                None => self.cpu.open(plan, lane),
            },
            Lane::Link(link) => {
                let of_link = self.cpu.host.platform.link(link);
                if [of_link.from, of_link.to].iter().all(|&end| self.attachment(end).is_none()) {
                    return self.cpu.open(plan, lane);
                }
                let mut moves = Vec::new();
                for (step, action) in steps {
                    let Action::Transfer { model, layer, region, to } = action else {
                        unreachable!("a checked plan places every action on a fitting lane")
                    };
                    let from = self.cpu.host.other_end(link, *to);
                    moves.push((step, Move { from, to: *to, sent: self.sent(*model, *layer, region) }));
                    if *layer == self.cpu.host.output(*model) {
                        self.note_output(*to, *model, region);
                    }
                }
                let attachments = self.attachments.clone();
                Ok(Box::new(Moving { moves, attachments, store: self.cpu.store.clone() }))
            }
        }
    }
}

/// A lane that computes elsewhere.
struct Computing {
    attachment: Arc<Attachment>,
    /// Segments and samples, in the lane's order.
    jobs: Vec<(StepId, u32, Range<u32>)>,
}

impl Session for Computing {
    fn run(&mut self, step: StepId) -> Result<Ran, BackendError> {
        let (_, segment, samples) = find(&self.jobs, step, |job| job.0);
        self.attachment.run(*segment, samples).map_err(|trouble| trouble.of_step(step))
    }
}

/// A lane that moves data, at least one end of which is elsewhere.
struct Moving {
    moves: Vec<(StepId, Move)>,
    attachments: Vec<Option<Arc<Attachment>>>,
    store: Arc<super::cpu::Store>,
}

struct Move {
    from: DeviceId,
    to: DeviceId,
    sent: Sent,
}

impl Session for Moving {
    fn run(&mut self, step: StepId) -> Result<Ran, BackendError> {
        let (_, Move { from, to, sent }) = find(&self.moves, step, |job| job.0);
        let clock = Clock::start();
        let end = |device: &DeviceId| self.attachments[device.0 as usize].as_ref();
        let (region, shape) = (sent.region(), sent.port.shape);
        let here = |device: DeviceId| (device, sent.model, sent.port.layer);
        let moved = match (end(from), end(to)) {
            (Some(from), Some(to)) => from.forward(sent, to),
            (Some(from), None) => from.get(sent).map(|numbers| self.store.put(here(*to), region, numbers)),
            (None, end) => match self.store.gather(here(*from), &region, shape) {
                None => Err(Trouble::Refused(format!("what it sends, {region}, is not there"))),
                Some(numbers) => match end {
                    Some(to) => to.put(sent, numbers.numbers()),
                    None => unreachable!("links between devices of this machine are the cpu backend's"),
                },
            },
        };
        moved.map_err(|trouble| trouble.of_step(step))?;
        Ok(clock.now().since_start().into())
    }
}

impl std::fmt::Debug for Remote {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Remote").finish_non_exhaustive()
    }
}

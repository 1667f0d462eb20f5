//! The CPU backend: devices are sets of cores, and data moves between them through memory.
//!
//! A device may be slowed on purpose, to stand for a slower one; then each of its steps takes a fixed multiple of the
//! time that its thread computed. Reports call such devices emulated.

mod compare;
mod host;
mod library;
mod loaded;
mod store;

pub(crate) use compare::worse;
pub(super) use host::Written;
pub use host::{Host, Network, processor};
pub use library::{Library, OnnxRuntime};

pub(super) use library::{Engine, Threads};
pub(super) use loaded::{Loaded, Port};
pub(super) use store::{Gathered, Store};

use std::sync::Arc;

use super::clock::{Clock, sleep, thread_time};
use super::{Backend, BackendError, DeviceInfo, Ran, Session, cores};
use crate::model::{LayerId, ModelId, Region, Work};
use crate::plan::{Action, CheckedPlan, Lane, LaneId, StepId};
use crate::platform::DeviceId;
use crate::units::{Bytes, Duration};

/// The cores of this machine as the devices of one plan.
///
/// Backends of several plans share a [`Host`] with its networks; each has the data of its own plan.
pub struct Cpu {
    pub(super) host: Arc<Host>,
    pub(super) store: Arc<Store>,
}

impl Cpu {
    /// A backend for one plan on `host`, with inputs at the networks' homes.
    pub fn new(host: Arc<Host>) -> Cpu {
        Cpu::filled(host, false)
    }

    /// As [`Cpu::new`], with inputs on every device, wherever homes are.
    pub fn with_inputs_everywhere(host: Arc<Host>) -> Cpu {
        Cpu::filled(host, true)
    }

    fn filled(host: Arc<Host>, everywhere: bool) -> Cpu {
        let store = Arc::new(Store::default());
        host.fill(&store, everywhere);
        Cpu { host, store }
    }

    /// How far the outputs of the first `samples` of `model`, which a round of the plan has left, are from those of
    /// one device that does everything itself: the largest difference over the largest magnitude. NaN if a number of
    /// either is none.
    ///
    /// # Errors
    /// The plan has not computed them, or the single device fails.
    ///
    /// # Panics
    /// If the host has fewer samples.
    pub fn difference(&self, model: ModelId, samples: u32) -> Result<f64, BackendError> {
        self.host.difference(&self.store, model, samples)
    }
}

impl Backend for Cpu {
    fn name(&self) -> &'static str {
        "cpu"
    }

    fn probe(&self) -> Result<DeviceInfo, BackendError> {
        self.host.probe()
    }

    fn open(&self, plan: &CheckedPlan, lane: LaneId) -> Result<Box<dyn Session>, BackendError> {
        let steps = plan.step_ids().filter(|&step| plan.step_at(step).lane == Some(lane));
        let steps = steps.map(|step| (step, &plan.step_at(step).action));
        match *plan.lane_at(lane) {
            Lane::Compute { device, .. } => {
                let unit = self.host.unit(device)?;
                let jobs = steps.map(|(step, action)| match action {
                    Action::Compute(work) => Ok((step, self.host.load(device, work)?, work.clone())),
                    _ => unreachable!("a checked plan places every action on a fitting lane"),
                });
                let jobs = jobs.collect::<Result<_, BackendError>>()?;
                let (threads, slowed, store) = (unit.threads.clone(), unit.slowed, self.store.clone());
                Ok(Box::new(Computing { device, jobs, threads, slowed, store, is_pinned: false }))
            }
            Lane::Link(link) => {
                let moves = steps.map(|(step, action)| match action {
                    Action::Transfer { model, layer, region, to } => {
                        let from = self.host.other_end(link, *to);
                        (step, Move { from, to: *to, model: *model, layer: *layer, region: region.clone() })
                    }
                    _ => unreachable!("a checked plan places every action on a fitting lane"),
                });
                let moves = moves.collect();
                Ok(Box::new(Copying { moves, store: self.store.clone(), host: self.host.clone() }))
            }
        }
    }
}

/// A lane that computes.
struct Computing {
    device: DeviceId,
    /// In the lane's order.
    jobs: Vec<(StepId, Arc<Loaded>, Work)>,
    threads: Threads,
    slowed: f64,
    store: Arc<Store>,
    is_pinned: bool,
}

impl Session for Computing {
    fn run(&mut self, step: StepId) -> Result<Ran, BackendError> {
        let failed = |reason| BackendError::Failed { step, reason };
        if !std::mem::replace(&mut self.is_pinned, true) {
            cores::pin(&self.threads.cores).map_err(failed)?;
        }
        let (_, loaded, work) = find(&self.jobs, step, |job| job.0);
        let (place, clock) = ((&*self.store, self.device), Clock::start());
        let computed = loaded.run(place, work.model, &work.region.samples, &self.threads).map_err(failed)?;
        let busy = Duration::from_nanos_f64(computed.as_nanos_f64() * self.slowed);
        if self.slowed > 1.0 {
            sleep(busy.saturating_sub(clock.now().since_start()));
        }
        Ok(busy.into())
    }
}

/// A lane that moves data.
struct Copying {
    moves: Vec<(StepId, Move)>,
    store: Arc<Store>,
    host: Arc<Host>,
}

struct Move {
    from: DeviceId,
    to: DeviceId,
    model: ModelId,
    layer: LayerId,
    region: Region,
}

impl Session for Copying {
    fn run(&mut self, step: StepId) -> Result<Ran, BackendError> {
        let (_, Move { from, to, model, layer, region }) = find(&self.moves, step, |job| job.0);
        let before = thread_time();
        let gathered = self.store.gather((*from, *model, *layer), region, self.host.shape(*model, *layer));
        let gathered = gathered
            .ok_or_else(|| BackendError::Failed { step, reason: format!("what it sends, {region}, is not there") })?;
        self.store.put((*to, *model, *layer), region.clone(), Arc::new(gathered.numbers().to_vec()));
        Ok((thread_time() - before).into())
    }
}

/// The entry of `step`. Entries are in the lane's order, which is that of the steps' ids.
pub(super) fn find<T>(entries: &[T], step: StepId, id: impl Fn(&T) -> StepId) -> &T {
    let index = entries.binary_search_by_key(&step, id).expect("a session runs the steps of its lane");
    &entries[index]
}

impl std::fmt::Debug for Cpu {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cpu").finish_non_exhaustive()
    }
}

/// Memory of this machine, as far as the system tells it.
pub(super) fn memory() -> Bytes {
    let info = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = info.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix("kB"));
    Bytes(total.and_then(|kilobytes| kilobytes.trim().parse().ok()).unwrap_or(0)) * 1024
}

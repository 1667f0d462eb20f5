//! Devices that are cores of this machine: data moves between them through memory.
//!
//! A device may be slowed on purpose, to stand for a slower one; then each of its steps takes a fixed multiple of the
//! time that its thread computed. Reports call such devices emulated.

mod engines;
mod library;
mod loaded;
mod store;

pub use engines::Engines;
pub use library::{Library, OnnxRuntime};
pub use store::Gathered;

pub(super) use library::{Engine, Threads};
pub(super) use loaded::{Loaded, Port};
pub(super) use store::Store;

use std::any::Any;
use std::sync::Arc;

use super::clock::{Clock, sleep, thread_time};
use super::cores::{self, Hold};
use super::{BackendError, DeviceInfo, Driver, Job, Prepared, Ran, Tensor, Timing, Trouble, Workspace};
use crate::platform::Cores;
use crate::units::{Bytes, Duration};

/// Its name in messages.
const NAME: &str = "cpu";

/// Runs a device that is cores of this machine.
#[derive(Clone, Debug)]
pub struct CoresDriver {
    unit: Cores,
    threads: Threads,
    engines: Arc<Engines>,
}

impl CoresDriver {
    /// Starts the threads of `unit`.
    ///
    /// # Errors
    /// This machine does not have the cores.
    pub fn start(unit: &Cores, engines: Arc<Engines>) -> Result<CoresDriver, BackendError> {
        let unavailable = |reason| BackendError::Unavailable { backend: NAME, reason };
        let available = cores::available().map_err(unavailable)?;
        if let Some(core) = unit.cores.iter().find(|core| !available.contains(core)) {
            let reason = format!("there is no core {core} for this program; there are {available:?}");
            return Err(unavailable(reason));
        }
        let threads = Threads::start(&unit.cores, unit.threads).map_err(unavailable)?;
        engines.note(&threads);
        Ok(CoresDriver { unit: unit.clone(), threads, engines })
    }
}

impl Driver for CoresDriver {
    fn describe(&self) -> DeviceInfo {
        DeviceInfo {
            unit: self.unit.to_string(),
            is_emulated: self.unit.slowed > 1.0,
            is_shared: self.threads.hold == Hold::Shared,
            ..DeviceInfo::new(processor(), self.engines.library.version())
        }
    }

    fn timing(&self) -> Timing {
        Timing::Measured
    }

    fn open(&self, inputs: &[(Tensor, Gathered)]) -> Result<Arc<dyn Workspace>, BackendError> {
        Ok(Arc::new(OnCores { driver: Some(self.clone()), store: filled(inputs) }))
    }
}

/// What a plan has in the memory of this machine.
struct OnCores {
    /// There if it computes.
    driver: Option<CoresDriver>,
    store: Arc<Store>,
}

impl Workspace for OnCores {
    fn prepare(self: Arc<Self>, job: &Job<'_>) -> Result<Prepared, BackendError> {
        let Some(CoresDriver { unit, threads, engines }) = &self.driver else {
            return Err(unfit("no cores compute what only passes by".into()));
        };
        let (loaded, threads) = (engines.load(job.work, threads)?, threads.clone());
        let (slowed, store, work) = (unit.slowed, self.store.clone(), job.work.clone());
        Ok(Box::new(move || {
            let clock = Clock::start();
            let computed = loaded.run(&store, work.model, &work.region.samples, &threads).map_err(Trouble::Step)?;
            let busy = Duration::from_nanos_f64(computed.as_nanos_f64() * slowed);
            if slowed > 1.0 {
                sleep(busy.saturating_sub(clock.now().since_start()));
            }
            Ok(busy.into())
        }))
    }

    fn put(&self, tensor: &Tensor, numbers: &Gathered) -> Result<(), Trouble> {
        self.store.put(tensor, numbers.clone().into_whole());
        Ok(())
    }

    fn get(&self, tensor: &Tensor) -> Result<Gathered, Trouble> {
        let found = self.store.gather(tensor.model, tensor.layer, &tensor.region, tensor.shape);
        found.ok_or_else(|| Trouble::Step(format!("what it sends, {}, is not there", tensor.region)))
    }

    fn send(&self, tensor: &Tensor, to: &dyn Workspace) -> Result<Ran, Trouble> {
        let clock = Clock::start();
        let to_cores = (to as &dyn Any).downcast_ref::<OnCores>();
        let Some(to_cores) = to_cores else {
            to.put(tensor, &self.get(tensor)?)?;
            return Ok(clock.now().since_start().into());
        };
        let before = thread_time();
        // A copy of its own, as a device with memory of its own would have.
        to_cores.store.put(tensor, Arc::new(self.get(tensor)?.numbers().to_vec()));
        Ok((thread_time() - before).into())
    }

    fn enter(&self) -> Result<(), Trouble> {
        let Some(driver) = &self.driver else { return Ok(()) };
        cores::pin(&driver.threads.cores).map(drop).map_err(Trouble::Step)
    }
}

/// What a plan has on a device that computes nothing and passes data on.
pub(super) fn in_memory(inputs: &[(Tensor, Gathered)]) -> Arc<dyn Workspace> {
    Arc::new(OnCores { driver: None, store: filled(inputs) })
}

fn filled(inputs: &[(Tensor, Gathered)]) -> Arc<Store> {
    let store = Store::default();
    inputs.iter().for_each(|(tensor, numbers)| store.put(tensor, numbers.clone().into_whole()));
    Arc::new(store)
}

/// Cores cannot do what is asked of them.
pub(super) fn unfit(reason: String) -> BackendError {
    BackendError::Unfit { backend: NAME, reason }
}

/// Memory of this machine, as far as the system tells it.
pub(super) fn memory() -> Bytes {
    let info = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = info.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix("kB"));
    Bytes(total.and_then(|kilobytes| kilobytes.trim().parse().ok()).unwrap_or(0)) * 1024
}

/// The processor's name, as far as the system tells it.
pub fn processor() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    name.map_or_else(|| "unknown processor".into(), |(_, name)| name.trim().to_owned())
}

//! What an agent computes with: threads on cores, a clock, and engines that sessions share.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::Builder;

use prost::bytes::Bytes;
use tokio::sync::oneshot;

use super::budget::{Budget, Reservation};
use crate::model::onnx::{Border, inspect};
use crate::platform::Cores;
use crate::replay::clock::Clock;
use crate::replay::cores;
use crate::replay::cpu::{Engine, Library, Loaded, Port, Threads};
use crate::replay::wire::{Declared, Refusal};

/// What an agent computes with. All its sessions share it.
pub(super) struct Device {
    pub(super) library: Library,
    pub(super) threads: Threads,
    pub(super) slowed: f64,
    pub(super) clock: Clock,
    /// Of all sessions.
    pub(super) budget: Arc<Budget>,
    /// By model and declaration. An engine lives as long as a session has it.
    engines: Mutex<BTreeMap<[u8; 32], Weak<Shared>>>,
}

/// An engine that sessions may share.
pub(super) struct Shared {
    pub(super) loaded: Loaded,
    _held: Reservation,
}

impl Device {
    pub(super) fn start(unit: &Cores, library: Library, budget: Arc<Budget>) -> Result<Device, String> {
        let threads = Threads::start(&unit.cores, unit.threads)?;
        let (slowed, clock) = (unit.slowed, Clock::start());
        Ok(Device { library, threads, slowed, clock, budget, engines: Mutex::default() })
    }

    /// The engine of this declaration, if a session has it.
    pub(super) fn find(&self, declared: &Declared) -> Option<Arc<Shared>> {
        self.engines.lock().unwrap_or_else(PoisonError::into_inner).get(&key(declared))?.upgrade()
    }

    /// Loads an uploaded model, which is looked at first, and for whose memory `held` stands.
    pub(super) fn load(&self, declared: &Declared, model: Vec<u8>, held: Reservation) -> Result<Arc<Shared>, Refusal> {
        if *blake3::hash(&model).as_bytes() != declared.hash {
            return Err(Refusal::Malformed("the model is not the one that was declared".into()));
        }
        let model = Bytes::from(model);
        check(&model, declared).map_err(|reason| Refusal::Malformed(format!("the model is refused: {reason}")))?;
        let names = |ports: &[(String, Port)]| ports.iter().map(|(name, _)| name.clone()).collect();
        let ports = |ports: &[(String, Port)]| ports.iter().map(|(_, port)| port.clone()).collect();
        let (reads, writes) = (names(&declared.reads), names(&declared.writes));
        // Nobody else has the bytes, so that they are not copied.
        let load = || Engine::load(&self.library, model.into(), reads, writes, &self.threads);
        let engine = guarded(load)?.map_err(|reason| Refusal::Malformed(format!("the model cannot run: {reason}")))?;
        let loaded = Loaded { engine, reads: ports(&declared.reads), writes: ports(&declared.writes) };
        let shared = Arc::new(Shared { loaded, _held: held });
        let mut engines = self.engines.lock().unwrap_or_else(PoisonError::into_inner);
        engines.retain(|_, engine| engine.strong_count() > 0);
        engines.insert(key(declared), Arc::downgrade(&shared));
        Ok(shared)
    }

    /// Engines that are loaded.
    pub(super) fn engine_count(&self) -> usize {
        let engines = self.engines.lock().unwrap_or_else(PoisonError::into_inner);
        engines.values().filter(|engine| engine.strong_count() > 0).count()
    }
}

/// What `action` gives; a fault of the runtime is a reason, not the end of the agent.
pub(super) fn guarded<R>(action: impl FnOnce() -> R) -> Result<R, Refusal> {
    // What a panic leaves half done belongs to the engine, which nobody gets then, or to its session.
    catch_unwind(AssertUnwindSafe(action)).map_err(|_| Refusal::Failed("the runtime has a fault".into()))
}

/// What tells engines apart: the model, and what is declared of it.
fn key(declared: &Declared) -> [u8; 32] {
    *blake3::hash(format!("{declared:?}").as_bytes()).as_bytes()
}

/// Whether the model's inputs and outputs are those that were declared.
fn check(model: &Bytes, declared: &Declared) -> Result<(), String> {
    let borders = inspect(model)?;
    for (found, declared) in [(&borders.inputs, &declared.reads), (&borders.outputs, &declared.writes)] {
        if found.len() != declared.len() {
            return Err(format!("it has {} of what were declared to be {}", found.len(), declared.len()));
        }
        for (name, port) in declared {
            let border = found.iter().find(|border| border.name == *name);
            let border = border.ok_or_else(|| format!("it has no `{name}`"))?;
            if !fits(border, port) {
                return Err(format!("`{name}` is not as it was declared"));
            }
        }
    }
    Ok(())
}

fn fits(border: &Border, port: &Port) -> bool {
    let [_, sizes @ ..] = border.dims.as_slice() else { return false };
    let declared = [port.shape.channels, port.rows.len() as u32, port.shape.cols];
    sizes.len() == 3 && sizes.iter().zip(declared).all(|(size, declared)| *size == Some(declared.into()))
}

/// A thread on the device's cores that does one thing after the other, and ends with this.
pub(super) struct Worker(Sender<Job>);

type Job = Box<dyn FnOnce() + Send>;

impl Worker {
    pub(super) fn start(cores: &[usize]) -> Result<Worker, Refusal> {
        let (sender, jobs): (_, Receiver<Job>) = channel();
        let cores = cores.to_owned();
        let work = move || {
            // The cores were there when the agent began.
            drop(cores::pin(&cores));
            jobs.into_iter().for_each(|job| job());
        };
        let thread = Builder::new().name("session".into()).spawn(work);
        thread.map_err(|error| Refusal::TooMuch(format!("no thread can be started: {error}")))?;
        Ok(Worker(sender))
    }

    /// What `action` gives, on the thread.
    pub(super) async fn ask<R: Send + 'static>(
        &self,
        action: impl FnOnce() -> Result<R, Refusal> + Send + 'static,
    ) -> Result<R, Refusal> {
        let (done, answer) = oneshot::channel();
        let ended = || Refusal::Failed("the session has ended".into());
        // Whoever asked may have gone.
        let job = move || drop(done.send(guarded(action).flatten()));
        self.0.send(Box::new(job)).map_err(|_| ended())?;
        answer.await.map_err(|_| ended())?
    }
}

//! Engines of parts of networks, each loaded once, for all devices that are cores of this machine.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::library::{Engine, Input, Library, Threads};
use super::loaded::{Loaded, Piece, Port};
use super::store::Store;
use super::unfit;
use crate::model::{LayerId, ModelId, Region, Work};
use crate::replay::BackendError;
use crate::replay::cores::available;
use crate::replay::networks::{Networks, Written};

/// What executes networks on cores of this machine, with what it has loaded. Devices share it.
pub struct Engines {
    pub(in crate::replay) library: Library,
    pub(in crate::replay) networks: Arc<Networks>,
    loaded: Mutex<BTreeMap<Part, Arc<Loaded>>>,
    /// Of the first device.
    first: OnceLock<Threads>,
    /// What a single device makes of the inputs, by network, once it was asked for.
    references: Mutex<BTreeMap<ModelId, Arc<Vec<f32>>>>,
}

/// What an engine is of. rten shares one among devices; ONNX Runtime binds it to threads.
type Part = (Option<(Vec<usize>, usize)>, ModelId, Vec<LayerId>, (u32, u32));

/// Samples that a single device computes at a time for comparison, so that memory stays small.
const REFERENCE_BATCH: u32 = 4;

impl Engines {
    /// Nothing is loaded yet.
    pub fn new(library: Library, networks: Arc<Networks>) -> Engines {
        Engines { library, networks, loaded: Mutex::default(), first: OnceLock::new(), references: Mutex::default() }
    }

    /// Threads of a device are known.
    pub(super) fn note(&self, threads: &Threads) {
        // A second device changes nothing.
        drop(self.first.set(threads.clone()));
    }

    /// The engine of `work` for these threads, for any number of samples.
    pub(super) fn load(&self, work: &Work, threads: &Threads) -> Result<Arc<Loaded>, BackendError> {
        let binds = matches!(self.library, Library::OnnxRuntime(_));
        let rows = (work.region.rows.start, work.region.rows.end);
        let bound = binds.then(|| (threads.cores.clone(), threads.count));
        let part: Part = (bound, work.model, work.segment.layers().collect(), rows);
        let mut known = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(loaded) = known.get(&part) {
            return Ok(loaded.clone());
        }
        let graph = self.networks.graph(work.model);
        let Written { bytes, reads, writes } = self.networks.write(work).map_err(unfit)?;
        let names =
            |ports: &[Port]| -> Vec<String> { ports.iter().map(|port| graph.layer(port.layer).name.clone()).collect() };
        let engine = Engine::load(&self.library, bytes, names(&reads), names(&writes), threads);
        let engine = engine.map_err(|error| unfit(format!("{} of {}: {error}", work.segment, graph.name())))?;
        let loaded = Arc::new(Loaded { engine, reads, writes });
        known.insert(part, loaded.clone());
        Ok(loaded)
    }

    /// The outputs of `model` for all samples, by one device: the first of this machine, or a core of its own.
    pub(in crate::replay) fn reference(&self, model: ModelId) -> Result<Arc<Vec<f32>>, BackendError> {
        let mut references = self.references.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(reference) = references.get(&model) {
            return Ok(reference.clone());
        }
        let threads = match self.first.get() {
            Some(threads) => threads.clone(),
            None => Threads::start(&available().map_err(unfit)?[..1], 1).map_err(unfit)?,
        };
        let (graph, count) = (self.networks.graph(model), self.networks.samples);
        let segment = graph.whole().ok_or_else(|| unfit(format!("{} has nothing to compute", graph.name())))?;
        let rows = 0..graph.shape(graph.output()).rows;
        let loaded = self.load(&Work { model, segment, region: Region { samples: 0..count, rows } }, &threads)?;
        let store = Store::default();
        for (tensor, numbers) in self.networks.inputs_of(model)? {
            store.put(&tensor, numbers.into_whole());
        }
        let mut all = Vec::new();
        for first in (0..count).step_by(REFERENCE_BATCH as usize) {
            let samples = first..count.min(first + REFERENCE_BATCH);
            let gather = |port: &Port| {
                let piece = port.gather(&store, model, port.region(&samples));
                piece.expect("all inputs are there")
            };
            let pieces: Vec<Piece> = loaded.reads.iter().map(gather).collect();
            let inputs: Vec<Input<'_>> = pieces.iter().map(Piece::input).collect();
            let (outputs, _) = loaded.engine.run(&inputs, &threads).map_err(unfit)?;
            all.extend(outputs.into_iter().next_back().unwrap_or_default());
        }
        let all = Arc::new(all);
        references.insert(model, all.clone());
        Ok(all)
    }
}

impl std::fmt::Debug for Engines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engines").field("library", &self.library.version()).finish_non_exhaustive()
    }
}

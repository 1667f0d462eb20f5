//! What plans on one machine share: networks with their inputs, engines that are loaded once, and threads.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use rand::distr::{Distribution, Uniform};
use rand::{SeedableRng, rngs::ChaCha8Rng};

use super::library::{Engine, Library, Threads};
use super::loaded::{Loaded, Port};
use super::memory;
use super::store::Store;
use crate::model::{Graph, LayerId, ModelId, Op, Region, Shape, Weights, Work, onnx};
use crate::platform::{Cores, DeviceId, LinkId, Platform};
use crate::replay::cores::{self, Hold};
use crate::replay::{BackendError, DeviceInfo};
use crate::units::Bytes;

/// A network with its weights.
#[derive(Clone, Debug)]
pub struct Network {
    /// Its layers.
    pub graph: Graph,
    /// Its weights.
    pub weights: Arc<Weights>,
    /// Where its inputs are; on every device if `None`.
    pub home: Option<DeviceId>,
}

/// A machine's cores as devices, with networks and the inputs of one load.
pub struct Host {
    pub(in crate::replay) platform: Platform,
    library: Library,
    /// By device; `None` for those that are not cores of this machine.
    pub(super) units: Vec<Option<Started>>,
    pub(super) networks: Vec<Network>,
    /// The inputs of each network, by layer.
    pub(super) inputs: Vec<BTreeMap<LayerId, Arc<Vec<f32>>>>,
    pub(super) samples: u32,
    engines: Mutex<BTreeMap<Part, Arc<Loaded>>>,
    /// What single devices make of the inputs, by network, once it was asked for.
    pub(super) references: Mutex<BTreeMap<ModelId, Arc<Vec<f32>>>>,
}

/// A unit with its threads.
#[derive(Clone, Debug)]
pub(super) struct Started {
    pub(super) threads: Threads,
    pub(super) slowed: f64,
}

/// A part of a network as an ONNX file, with what it reads and writes.
pub(in crate::replay) struct Written {
    pub(in crate::replay) bytes: Vec<u8>,
    pub(in crate::replay) reads: Vec<Port>,
    pub(in crate::replay) writes: Vec<Port>,
}

/// What an engine is of. rten shares one among devices; ONNX Runtime binds it to threads.
type Part = (Option<DeviceId>, ModelId, Vec<LayerId>, (u32, u32));

impl Host {
    /// Starts the threads of the devices that are cores of this machine, and draws `samples` inputs of each network from `seed`.
    ///
    /// # Errors
    /// Cores that this machine does not have, a network whose inside is not known, or more inputs than fit the memory.
    pub fn new(
        platform: &Platform,
        library: Library,
        networks: Vec<Network>,
        samples: u32,
        seed: u64,
    ) -> Result<Host, BackendError> {
        networks.iter().try_for_each(|network| refuse_opaque(&network.graph))?;
        refuse_large(&networks, samples)?;
        let started = platform.devices.iter().map(|device| device.runtime.cores().map(start).transpose());
        let started = started.collect::<Result<Vec<_>, _>>();
        let units = started.map_err(|reason| BackendError::Unavailable { backend: "cpu", reason })?;
        let inputs = (0u64..).zip(&networks).map(|(index, network)| draw_inputs(&network.graph, samples, seed, index));
        Ok(Host {
            platform: platform.clone(),
            library,
            units,
            inputs: inputs.collect(),
            networks,
            samples,
            engines: Mutex::default(),
            references: Mutex::default(),
        })
    }

    /// How firmly the devices' threads hold their cores; of several, the least. `None` if no device is of this machine.
    pub fn hold(&self) -> Option<Hold> {
        self.units.iter().flatten().map(|unit| unit.threads.hold).max()
    }

    pub(super) fn probe(&self) -> Result<DeviceInfo, BackendError> {
        Ok(DeviceInfo { name: processor(), software: self.library.version(), memory: memory() })
    }

    pub(super) fn unit(&self, device: DeviceId) -> Result<&Started, BackendError> {
        self.units[device.0 as usize].as_ref().ok_or_else(|| BackendError::Unavailable {
            backend: "cpu",
            reason: format!(
                "`{}` does not say which cores it is; write for example `cpu = {{ cores = \"0\" }}`",
                self.platform.device(device).name
            ),
        })
    }

    /// Each network with its inputs, by layer.
    pub(in crate::replay) fn inputs(
        &self,
    ) -> impl Iterator<Item = (ModelId, &Network, &BTreeMap<LayerId, Arc<Vec<f32>>>)> {
        let of_networks = self.networks.iter().zip(&self.inputs);
        (0..).map(ModelId).zip(of_networks).map(|(model, (network, inputs))| (model, network, inputs))
    }

    /// Samples of each network.
    pub(in crate::replay) fn samples(&self) -> u32 {
        self.samples
    }

    /// The layer that a network's outputs are of.
    pub(in crate::replay) fn output(&self, model: ModelId) -> LayerId {
        self.networks[model.0 as usize].graph.output()
    }

    /// Whether outputs on `device` are where they must go.
    pub(in crate::replay) fn is_output_wanted(&self, model: ModelId, device: DeviceId) -> bool {
        self.networks[model.0 as usize].home.is_none_or(|home| home == device)
    }

    /// What files of a network call a layer.
    pub(in crate::replay) fn layer_name(&self, model: ModelId, layer: LayerId) -> String {
        self.networks[model.0 as usize].graph.layer(layer).name.clone()
    }

    pub(in crate::replay) fn shape(&self, model: ModelId, layer: LayerId) -> Shape {
        self.networks[model.0 as usize].graph.shape(layer)
    }

    pub(in crate::replay) fn other_end(&self, link: LinkId, to: DeviceId) -> DeviceId {
        let link = self.platform.link(link);
        if link.to == to { link.from } else { link.to }
    }

    /// Puts the inputs where plans expect them, or on every device.
    pub(super) fn fill(&self, store: &Store, everywhere: bool) {
        for (index, (network, inputs)) in self.networks.iter().zip(&self.inputs).enumerate() {
            for (&layer, numbers) in inputs {
                let region = Region { samples: 0..self.samples, rows: 0..network.graph.shape(layer).rows };
                let at_home = |&device: &DeviceId| everywhere || network.home.is_none_or(|home| home == device);
                for device in self.platform.device_ids().filter(at_home) {
                    store.put((device, ModelId(index as u32), layer), region.clone(), numbers.clone());
                }
            }
        }
    }

    /// The engine of `work` on `device`, for any number of samples.
    pub(super) fn load(&self, device: DeviceId, work: &Work) -> Result<Arc<Loaded>, BackendError> {
        let unit = self.unit(device)?;
        let binds = matches!(self.library, Library::OnnxRuntime(_));
        let rows = (work.region.rows.start, work.region.rows.end);
        let part: Part = (binds.then_some(device), work.model, work.segment.layers().collect(), rows);
        let mut engines = self.engines.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(loaded) = engines.get(&part) {
            return Ok(loaded.clone());
        }
        let loaded = Arc::new(self.load_engine(work, &unit.threads)?);
        engines.insert(part, loaded.clone());
        Ok(loaded)
    }

    fn load_engine(&self, work: &Work, threads: &Threads) -> Result<Loaded, BackendError> {
        let segment = &work.segment;
        let graph = &self.networks[work.model.0 as usize].graph;
        let Written { bytes, reads, writes } = self.write(work)?;
        let names =
            |ports: &[Port]| -> Vec<String> { ports.iter().map(|port| graph.layer(port.layer).name.clone()).collect() };
        let engine = Engine::load(&self.library, bytes, names(&reads), names(&writes), threads);
        let engine = engine.map_err(|error| unfit(format!("{} of {}: {error}", segment, graph.name())))?;
        Ok(Loaded { engine, reads, writes })
    }

    /// The network's part that `work` runs, as an ONNX file.
    pub(in crate::replay) fn write(&self, work: &Work) -> Result<Written, BackendError> {
        let segment = &work.segment;
        let Network { graph, weights, .. } = &self.networks[work.model.0 as usize];
        let bytes = onnx::write(graph, weights, segment, &work.region.rows, None);
        let bytes = bytes.map_err(|error| unfit(format!("{}: {error}", graph.name())))?;
        let needed = graph.rows_needed(segment, &work.region.rows);
        let port = |layer: LayerId| Port { layer, rows: needed[&layer].clone(), shape: graph.shape(layer) };
        let reads = needed.keys().filter(|&&layer| !segment.contains(layer)).map(|&layer| port(layer)).collect();
        let writes = graph.exposed(segment).map(port).collect();
        Ok(Written { bytes, reads, writes })
    }
}

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Host").field("library", &self.library.version()).finish_non_exhaustive()
    }
}

/// The cpu backend cannot do what is asked of it.
pub(super) fn unfit(reason: String) -> BackendError {
    BackendError::Unfit { backend: "cpu", reason }
}

fn start(unit: &Cores) -> Result<Started, String> {
    let available = cores::available()?;
    if let Some(core) = unit.cores.iter().find(|core| !available.contains(core)) {
        return Err(format!("there is no core {core} for this program; there are {available:?}"));
    }
    Ok(Started { threads: Threads::start(&unit.cores, unit.threads)?, slowed: unit.slowed })
}

fn refuse_opaque(graph: &Graph) -> Result<(), BackendError> {
    let is_opaque = graph.layers().iter().any(|layer| matches!(layer.op, Op::Opaque { .. }));
    let reason = || format!("{} is known by its sizes only; give its layers by `zoo` or `onnx`", graph.name());
    if is_opaque { Err(unfit(reason())) } else { Ok(()) }
}

/// Refuses inputs and outputs that would fill more than half of the memory.
fn refuse_large(networks: &[Network], samples: u32) -> Result<(), BackendError> {
    let of_sample = |Network { graph, .. }: &Network| {
        let ends = graph.layer_ids().filter(|&layer| graph.is_input(layer) || layer == graph.output());
        ends.map(|layer| Bytes(size_of::<f32>() as u64) * graph.shape(layer).elements()).sum::<Bytes>()
    };
    let needed = networks.iter().map(of_sample).sum::<Bytes>() * u64::from(samples);
    let memory = memory();
    if memory > Bytes(0) && needed.0 > memory.0 / 2 {
        let reason = format!("inputs and outputs of {samples} samples are {needed}, and this machine has {memory}");
        return Err(unfit(format!("{reason}; use fewer samples")));
    }
    Ok(())
}

/// Inputs between -1 and 1, equal on every machine.
fn draw_inputs(graph: &Graph, samples: u32, seed: u64, model: u64) -> BTreeMap<LayerId, Arc<Vec<f32>>> {
    let range = Uniform::new_inclusive(-1.0f32, 1.0).expect("-1 is less than 1");
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(model);
    let draw = |layer: LayerId| {
        let count = graph.shape(layer).elements() * u64::from(samples);
        (layer, Arc::new(range.sample_iter(&mut random).take(count as usize).collect()))
    };
    graph.layer_ids().filter(|&layer| graph.is_input(layer)).map(draw).collect()
}

/// The processor's name, as far as the system tells it.
pub fn processor() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    name.map_or_else(|| "unknown processor".into(), |(_, name)| name.trim().to_owned())
}

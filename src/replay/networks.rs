//! The networks that plans run, with inputs of one load, and parts of them as ONNX files.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use rand::distr::{Distribution, Uniform};
use rand::{SeedableRng, rngs::ChaCha8Rng};

use super::cpu::{Port, memory};
use super::{BackendError, Gathered, Tensor};
use crate::model::{Graph, LayerId, ModelId, Op, Region, Weights, Work, onnx};
use crate::platform::DeviceId;
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

/// Networks with inputs, which all devices share.
#[derive(Debug, Default)]
pub struct Networks {
    pub(super) all: Vec<Network>,
    /// Inputs of each.
    pub(super) samples: u32,
    seed: u64,
    /// Of each network, once a device needed them.
    inputs: OnceLock<Vec<Drawn>>,
}

/// The inputs of a network, by layer.
type Drawn = BTreeMap<LayerId, Arc<Vec<f32>>>;

/// A part of a network as an ONNX file, with what it reads and writes.
pub(super) struct Written {
    pub(super) bytes: Vec<u8>,
    pub(super) reads: Vec<Port>,
    pub(super) writes: Vec<Port>,
}

impl Networks {
    /// `samples` inputs of each network will be drawn from `seed`.
    ///
    /// # Errors
    /// The inside of a network is not known.
    pub fn new(networks: Vec<Network>, samples: u32, seed: u64) -> Result<Networks, BackendError> {
        networks.iter().try_for_each(|network| refuse_opaque(&network.graph))?;
        Ok(Networks { all: networks, samples, seed, inputs: OnceLock::new() })
    }

    pub(super) fn graph(&self, model: ModelId) -> &Graph {
        &self.all[model.0 as usize].graph
    }

    /// The inputs of the networks `models` that `device` has from the start, or that are `everywhere`.
    pub(super) fn inputs(
        &self,
        device: DeviceId,
        everywhere: bool,
        models: impl Fn(ModelId) -> bool,
    ) -> Result<Vec<(Tensor, Gathered)>, BackendError> {
        let mut found = Vec::new();
        let of_networks = self.all.iter().zip(self.drawn()?);
        for (model, (network, inputs)) in (0..).map(ModelId).zip(of_networks) {
            let is_here = everywhere || network.home.is_none_or(|home| home == device);
            for (&layer, numbers) in inputs.iter().filter(|_| is_here && models(model)) {
                let shape = network.graph.shape(layer);
                let region = Region { samples: 0..self.samples, rows: 0..shape.rows };
                found.push((Tensor { model, layer, region, shape }, Gathered::whole(numbers.clone())));
            }
        }
        Ok(found)
    }

    /// All inputs of a network.
    pub(super) fn inputs_of(&self, model: ModelId) -> Result<Vec<(Tensor, Gathered)>, BackendError> {
        self.inputs(DeviceId(0), true, |of| of == model)
    }

    fn drawn(&self) -> Result<&[Drawn], BackendError> {
        refuse_large(&self.all, self.samples)?;
        Ok(self.inputs.get_or_init(|| {
            let of_network =
                |(index, network): (u64, &Network)| draw_inputs(&network.graph, self.samples, self.seed, index);
            (0..).zip(&self.all).map(of_network).collect()
        }))
    }

    /// The network's part that `work` runs, as an ONNX file.
    pub(super) fn write(&self, work: &Work) -> Result<Written, String> {
        let segment = &work.segment;
        let Network { graph, weights, .. } = &self.all[work.model.0 as usize];
        let bytes = onnx::write(graph, weights, segment, &work.region.rows, None);
        let bytes = bytes.map_err(|error| format!("{}: {error}", graph.name()))?;
        let needed = graph.rows_needed(segment, &work.region.rows);
        let port = |layer: LayerId| Port { layer, rows: needed[&layer].clone(), shape: graph.shape(layer) };
        let reads = needed.keys().filter(|&&layer| !segment.contains(layer)).map(|&layer| port(layer)).collect();
        let writes = graph.exposed(segment).map(port).collect();
        Ok(Written { bytes, reads, writes })
    }
}

fn unfit(reason: String) -> BackendError {
    BackendError::Unfit { backend: "cpu", reason }
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
fn draw_inputs(graph: &Graph, samples: u32, seed: u64, model: u64) -> Drawn {
    let range = Uniform::new_inclusive(-1.0f32, 1.0).expect("-1 is less than 1");
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(model);
    let draw = |layer: LayerId| {
        let count = graph.shape(layer).elements() * u64::from(samples);
        (layer, Arc::new(range.sample_iter(&mut random).take(count as usize).collect()))
    };
    graph.layer_ids().filter(|&layer| graph.is_input(layer)).map(draw).collect()
}

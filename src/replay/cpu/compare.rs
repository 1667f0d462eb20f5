//! Whether what a plan computed is what a single device computes.

use std::sync::{Arc, PoisonError};

use super::host::{Host, unfit};
use super::library::Input;
use super::loaded::{Piece, Port};
use super::store::Store;
use crate::model::{ModelId, Region, Work};
use crate::platform::DeviceId;
use crate::replay::BackendError;

/// Samples that a single device computes at a time for comparison, so that memory stays small.
const REFERENCE_BATCH: u32 = 4;

impl Host {
    /// How far the outputs of `model` in `store` are from those of the first device that is of this machine: the
    /// largest difference over the largest magnitude; NaN if a number of either is none.
    pub(super) fn difference(&self, store: &Store, model: ModelId, samples: u32) -> Result<f64, BackendError> {
        let graph = &self.networks[model.0 as usize].graph;
        let shape = graph.shape(graph.output());
        let expected = self.reference(model)?;
        let (plane, cols) = (shape.rows as usize * shape.cols as usize, shape.cols as usize);
        let per_sample = shape.channels as usize * plane;
        let mut difference = 0.0;
        for sample in 0..samples {
            let expected = &expected[sample as usize * per_sample..][..per_sample];
            // Row by row, so that outputs are found however they were split.
            for row in 0..shape.rows {
                let region = Region { samples: sample..sample + 1, rows: row..row + 1 };
                let found = self.found(store, model, &region)?;
                for (expected, found) in expected.chunks(plane).zip(found.chunks(cols)) {
                    let expected = &expected[row as usize * cols..][..cols];
                    let apart = expected.iter().zip(found).map(|(expected, found)| f64::from((expected - found).abs()));
                    difference = apart.fold(difference, worse);
                }
            }
        }
        let largest = expected.iter().fold(0.0f64, |largest, number| largest.max(f64::from(number.abs())));
        Ok(if difference == 0.0 { 0.0 } else { difference / largest })
    }

    /// The numbers of `region` of the output of `model`, from where outputs must go, or from any device.
    fn found(&self, store: &Store, model: ModelId, region: &Region) -> Result<Vec<f32>, BackendError> {
        let network = &self.networks[model.0 as usize];
        let output = network.graph.output();
        let may_have = |device: &DeviceId| network.home.is_none_or(|home| home == *device);
        let gather = |device| store.gather((device, model, output), region, network.graph.shape(output));
        let found = self.platform.device_ids().filter(may_have).find_map(gather);
        let found = found.ok_or_else(|| unfit(format!("{region} of {} was not computed", network.graph.name())))?;
        Ok(found.numbers().to_vec())
    }

    /// The outputs of `model` for all samples, by one device.
    fn reference(&self, model: ModelId) -> Result<Arc<Vec<f32>>, BackendError> {
        if let Some(reference) = self.references.lock().unwrap_or_else(PoisonError::into_inner).get(&model) {
            return Ok(reference.clone());
        }
        let graph = &self.networks[model.0 as usize].graph;
        let device = self.platform.device_ids().find(|device| self.units[device.0 as usize].is_some());
        let device = device.ok_or_else(|| unfit("no device says which cores it is".into()))?;
        let segment = graph.whole().ok_or_else(|| unfit(format!("{} has nothing to compute", graph.name())))?;
        let rows = 0..graph.shape(graph.output()).rows;
        let work = Work { model, segment, region: Region { samples: 0..self.samples, rows } };
        let loaded = self.load(device, &work)?;
        let threads = &self.unit(device)?.threads;
        let store = Store::default();
        self.fill(&store, true);
        let mut all = Vec::new();
        for first in (0..self.samples).step_by(REFERENCE_BATCH as usize) {
            let samples = first..self.samples.min(first + REFERENCE_BATCH);
            let gather = |port: &Port| {
                let piece = port.gather(&store, device, model, port.region(&samples));
                piece.expect("all inputs are everywhere")
            };
            let pieces: Vec<Piece> = loaded.reads.iter().map(gather).collect();
            let inputs: Vec<Input<'_>> = pieces.iter().map(Piece::input).collect();
            let (outputs, _) = loaded.engine.run(&inputs, threads).map_err(unfit)?;
            all.extend(outputs.into_iter().next_back().unwrap_or_default());
        }
        let all = Arc::new(all);
        self.references.lock().unwrap_or_else(PoisonError::into_inner).insert(model, all.clone());
        Ok(all)
    }
}

/// The larger one of two differences. What is no number is worse than all, and stays.
pub(crate) fn worse(one: f64, other: f64) -> f64 {
    if one.is_nan() || one > other { one } else { other }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Graph, Weights, zoo};
    use crate::platform::{Cores, Device, DeviceKind, Platform, Runtime};
    use crate::replay::cores::available;
    use crate::replay::cpu::{Library, Network};
    use crate::units::Bytes;

    const MODEL: ModelId = ModelId(0);
    const DEVICE: DeviceId = DeviceId(0);

    fn host(graph: &Graph) -> Host {
        let cores = Cores { cores: available().unwrap()[..1].into(), threads: 1, slowed: 1.0 };
        let device = Device { runtime: Runtime::Cores(cores), ..Device::new("core", DeviceKind::Cpu, Bytes(1 << 30)) };
        let platform = Platform { devices: vec![device], ..Platform::default() };
        let network = Network { graph: graph.clone(), weights: Arc::new(Weights::Seeded(0)), home: None };
        Host::new(&platform, Library::Rten, vec![network], 2, 0).unwrap()
    }

    /// The difference after `change` was made to what a single device computes.
    fn difference(change: impl FnOnce(&mut [f32])) -> f64 {
        let graph = zoo::graph("gru-2x512").unwrap();
        let host = host(&graph);
        let mut numbers = host.reference(MODEL).unwrap().to_vec();
        change(&mut numbers);
        let store = Store::default();
        let region = Region { samples: 0..2, rows: 0..graph.shape(graph.output()).rows };
        store.put((DEVICE, MODEL, graph.output()), region, Arc::new(numbers));
        host.difference(&store, MODEL, 2).unwrap()
    }

    #[test]
    fn what_a_single_device_computes_does_not_differ() {
        assert_eq!(difference(|_| {}), 0.0);
    }

    #[test]
    fn one_wrong_number_anywhere_is_seen() {
        for at in [0, 1] {
            let wrong = difference(|numbers| {
                let at = at * (numbers.len() - 1);
                numbers[at] += 0.01;
            });
            assert!(wrong > 1e-3 && wrong < 1.0, "{wrong}");
        }
    }

    #[test]
    fn numbers_that_are_none_are_seen_though_others_are_right() {
        assert!(difference(|numbers| numbers[0] = f32::NAN).is_nan());
        assert!(difference(|numbers| *numbers.last_mut().unwrap() = f32::NAN).is_nan());
        assert_eq!(difference(|numbers| numbers[0] = f32::INFINITY), f64::INFINITY);
    }
}

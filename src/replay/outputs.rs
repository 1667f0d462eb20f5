//! Whether what a plan computed is what a single device computes.

use std::sync::Arc;

use super::cpu::{Engines, Store, unfit};
use super::{BackendError, Tensor, Trouble, Workspace};
use crate::model::{ModelId, Region};
use crate::plan::{Action, CheckedPlan, Lane};
use crate::platform::DeviceId;

/// Where the outputs of a plan come to be.
pub(super) struct Outputs {
    engines: Arc<Engines>,
    /// In the order of devices, each region of a device once.
    wanted: Vec<(DeviceId, Tensor)>,
}

impl Outputs {
    /// Of `plan`: where each network's home is, or anywhere.
    pub(super) fn of(plan: &CheckedPlan, engines: Arc<Engines>) -> Outputs {
        let mut wanted: Vec<(DeviceId, Tensor)> = Vec::new();
        for step in &plan.steps {
            let (device, model, region) = match (&step.action, step.lane.map(|lane| plan.lane_at(lane))) {
                (Action::Compute(work), Some(Lane::Compute { device, .. })) => (*device, work.model, &work.region),
                (Action::Transfer { model, region, to, .. }, _) => (*to, *model, region),
                _ => continue,
            };
            let Some(network) = engines.networks.all.get(model.0 as usize) else { continue };
            let layer = network.graph.output();
            let is_output = match &step.action {
                Action::Compute(work) => work.segment.contains(layer),
                Action::Transfer { layer: sent, .. } => *sent == layer,
                Action::Join => false,
            };
            let shape = network.graph.shape(layer);
            let entry = (device, Tensor { model, layer, region: region.clone(), shape });
            if is_output && network.home.is_none_or(|home| home == device) && !wanted.contains(&entry) {
                wanted.push(entry);
            }
        }
        wanted.sort_by_key(|(device, _)| *device);
        Outputs { engines, wanted }
    }

    /// How far the outputs of the first `samples` of `model` in `workspaces`, by device, are from those of one device
    /// that does everything itself: the largest difference over the largest magnitude; NaN if a number of either is
    /// none.
    pub(super) fn difference(
        &self,
        workspaces: &[Option<Arc<dyn Workspace>>],
        model: ModelId,
        samples: u32,
    ) -> Result<f64, BackendError> {
        let store = Store::default();
        for (device, tensor) in self.wanted.iter().filter(|(_, tensor)| tensor.model == model) {
            let Some(workspace) = &workspaces[device.0 as usize] else { continue };
            match workspace.get(tensor) {
                Ok(numbers) => store.put(tensor, numbers.into_whole()),
                // What was not computed is missed below.
                Err(Trouble::Step(_)) => {}
                Err(Trouble::Lost(error)) => return Err(error),
            }
        }
        let graph = self.engines.networks.graph(model);
        let (layer, shape) = (graph.output(), graph.shape(graph.output()));
        let expected = self.engines.reference(model)?;
        let (plane, cols) = (shape.rows as usize * shape.cols as usize, shape.cols as usize);
        let per_sample = shape.channels as usize * plane;
        let mut difference = 0.0;
        for sample in 0..samples {
            let expected = &expected[sample as usize * per_sample..][..per_sample];
            // Row by row, so that outputs are found however they were split.
            for row in 0..shape.rows {
                let region = Region { samples: sample..sample + 1, rows: row..row + 1 };
                let found = store.gather(model, layer, &region, shape);
                let found = found.ok_or_else(|| unfit(format!("{region} of {} was not computed", graph.name())))?;
                for (expected, found) in expected.chunks(plane).zip(found.numbers().chunks(cols)) {
                    let expected = &expected[row as usize * cols..][..cols];
                    let apart = expected.iter().zip(found).map(|(expected, found)| f64::from((expected - found).abs()));
                    difference = apart.fold(difference, worse);
                }
            }
        }
        let largest = expected.iter().fold(0.0f64, |largest, number| largest.max(f64::from(number.abs())));
        Ok(if difference == 0.0 { 0.0 } else { difference / largest })
    }
}

/// The larger one of two differences. What is no number is worse than all, and stays.
pub(super) fn worse(one: f64, other: f64) -> f64 {
    if one.is_nan() || one > other { one } else { other }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Weights, Work, zoo};
    use crate::plan::{Plan, check};
    use crate::platform::{Cores, Device, DeviceKind, Platform};
    use crate::problem::{Load, Model, Problem};
    use crate::replay::cpu::{CoresDriver, Library};
    use crate::replay::speed::NoCosts;
    use crate::replay::{Driver, Gathered, Network, Networks, available};
    use crate::units::{Bytes, Share};

    const MODEL: ModelId = ModelId(0);

    /// The difference after `change` was made to what a single device computes.
    fn difference(change: impl FnOnce(&mut [f32])) -> f64 {
        let graph = zoo::graph("gru-2x512").unwrap();
        let network = Network { graph: graph.clone(), weights: Arc::new(Weights::Seeded(0)), home: None };
        let networks = Arc::new(Networks::new(vec![network], 2, 0).unwrap());
        let engines = Arc::new(Engines::new(Library::Rten, networks));
        let cores = Cores { cores: available().unwrap()[..1].into(), threads: 1, slowed: 1.0 };
        let driver = CoresDriver::start(&cores, engines.clone()).unwrap();
        let platform = Platform::new([(Device::new("core", DeviceKind::Cpu), Bytes(1 << 30))]);
        let model = Model { graph: graph.clone(), home: None };
        let problem = Problem::new(vec![model], platform, Load::Offline { samples: 2 }, NoCosts);
        let mut plan = Plan::default();
        let lane = plan.lane(Lane::Compute { device: DeviceId(0), share: Share::FULL, memory: Bytes(1 << 30) });
        let region = Region { samples: 0..2, rows: 0..graph.shape(graph.output()).rows };
        let work = Work { model: MODEL, segment: graph.whole().unwrap(), region: region.clone() };
        plan.step(lane, Action::Compute(work), &[]);
        let outputs = Outputs::of(&check(plan, &problem).unwrap(), engines.clone());
        let mut numbers = engines.reference(MODEL).unwrap().to_vec();
        change(&mut numbers);
        let workspace = driver.open(&[]).unwrap();
        let tensor = Tensor { model: MODEL, layer: graph.output(), region, shape: graph.shape(graph.output()) };
        workspace.put(&tensor, &Gathered::whole(Arc::new(numbers))).unwrap();
        outputs.difference(&[Some(workspace)], MODEL, 2).unwrap()
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

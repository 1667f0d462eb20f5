//! The numbers of a network: drawn from a seed or given, asked for one tensor at a time.

use std::borrow::Cow;
use std::collections::BTreeMap;

use rand::SeedableRng;
use rand::rand_core::Rng;
use rand::rngs::ChaCha8Rng;

use super::{Graph, LayerId, Op, Parameter};

/// Where the weights of a network come from.
#[derive(Clone, Debug, PartialEq)]
pub enum Weights {
    /// Drawn from this seed: the same on every machine, of a scale that keeps the outputs of deep networks sensible.
    ///
    /// Convolutions and fully connected layers are He-uniform (He et al., ICCV 2015, equation 10), recurrent layers
    /// uniform within one over the root of the state's length, variances and scales from 0.5 to 1.5.
    Seeded(u64),
    /// These, by layer and parameter name.
    Given(BTreeMap<(LayerId, &'static str), Vec<f32>>),
}

impl Weights {
    /// The numbers of `parameter`, which is one of [`Graph::weights`] of `layer`, in ONNX order.
    ///
    /// # Panics
    /// If weights are given and this one is not among them, or does not have as many numbers as `parameter`.
    pub fn tensor(&self, graph: &Graph, layer: LayerId, parameter: &Parameter) -> Cow<'_, [f32]> {
        match self {
            Weights::Seeded(seed) => Cow::Owned(drawn(*seed, graph, layer, parameter)),
            Weights::Given(tensors) => {
                let tensor = tensors.get(&(layer, parameter.name)).expect("each parameter of the network is given");
                assert_eq!(tensor.len() as u64, parameter.elements(), "a tensor has the size of its parameter");
                Cow::Borrowed(tensor)
            }
        }
    }
}

impl Weights {
    /// The weights of a part of the network that has these of its layers. Seeded ones are drawn anew.
    pub(crate) fn of_part(&self, layers: &[LayerId]) -> Weights {
        let Weights::Given(tensors) = self else { return self.clone() };
        let now = |id: LayerId| layers.iter().position(|&layer| layer == id).map(|index| LayerId(index as u32));
        let kept = tensors.iter().filter_map(|((id, name), tensor)| Some(((now(*id)?, *name), tensor.clone())));
        Weights::Given(kept.collect())
    }
}

fn drawn(seed: u64, graph: &Graph, layer: LayerId, parameter: &Parameter) -> Vec<f32> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let position = graph.weights(layer).iter().position(|other| other.name == parameter.name);
    random.set_stream(u64::from(layer.0) << 8 | position.unwrap_or(0) as u64);
    let (low, high) = limits(&graph.layer(layer).op, parameter);
    let count = usize::try_from(parameter.elements()).expect("a network has less than 2^32 weights");
    let mut numbers = Vec::with_capacity(count);
    let mut block = [0; 4096];
    while numbers.len() < count {
        let bytes = ((count - numbers.len()) * 4).min(block.len());
        random.fill_bytes(&mut block[..bytes]);
        numbers.extend(block[..bytes].as_chunks().0.iter().map(|&word| {
            // 24 bits are what a float holds exactly.
            let fraction = (u32::from_le_bytes(word) >> 8) as f32 / (1 << 24) as f32;
            low + (high - low) * fraction
        }));
    }
    numbers
}

/// Between what the numbers of `parameter` lie.
fn limits(op: &Op, parameter: &Parameter) -> (f32, f32) {
    let around_zero = |limit: f32| (-limit, limit);
    match (op, parameter.name) {
        (&(Op::Lstm { hidden, .. } | Op::Gru { hidden, .. }), _) => around_zero(1.0 / (hidden as f32).sqrt()),
        (_, "scale" | "variance") => (0.5, 1.5),
        (_, "weight") => {
            let [first, rest @ ..] = parameter.dims.as_slice() else { return around_zero(1.0) };
            // A transposed convolution has the channels that it sums over in front.
            let summed = match op {
                Op::ConvTransposed { conv, .. } => first / u64::from(conv.groups) * rest[1..].iter().product::<u64>(),
                _ => rest.iter().product(),
            };
            around_zero((6.0 / summed.max(1) as f32).sqrt())
        }
        _ => around_zero(0.1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::model::{Conv, Layer, Shape};

    fn graph() -> Graph {
        let layer = |name: &str, op, inputs| Layer { name: name.into(), op, inputs };
        let layers = vec![
            layer("input", Op::Input(Shape::fp32(3, 8, 8)), vec![]),
            layer("conv", Op::Conv(Conv::square(4, 3).bias()), vec![LayerId(0)]),
            layer("norm", Op::BatchNorm { epsilon: 1e-5 }, vec![LayerId(1)]),
        ];
        Graph::new("small", layers).unwrap()
    }

    #[test]
    fn a_seed_gives_the_same_numbers_for_ever() {
        let graph = graph();
        let weight = &graph.weights(LayerId(1))[0];
        let drawn = Weights::Seeded(7).tensor(&graph, LayerId(1), weight).into_owned();
        assert_eq!(drawn.len(), 4 * 3 * 9);
        assert_eq!(drawn, *Weights::Seeded(7).tensor(&graph, LayerId(1), weight));
        assert_ne!(drawn, *Weights::Seeded(8).tensor(&graph, LayerId(1), weight));
        assert_eq!(drawn[..3], [-0.4087176, 0.24715278, -0.3700368]);
    }

    #[test]
    fn parameters_and_layers_have_numbers_of_their_own() {
        let graph = graph();
        let norm = graph.weights(LayerId(2));
        let of = |index: usize| Weights::Seeded(1).tensor(&graph, LayerId(2), &norm[index]).into_owned();
        assert_ne!(of(1), of(2), "shift and mean have the same limits");
        assert!(of(3).iter().all(|variance| (0.5..1.5).contains(variance)));
    }

    #[test]
    #[should_panic = "each parameter of the network is given"]
    fn a_given_network_is_complete() {
        let graph = graph();
        Weights::Given(BTreeMap::new()).tensor(&graph, LayerId(1), &graph.weights(LayerId(1))[0]);
    }
}

//! Networks run through rten, for tests.

use std::collections::BTreeMap;
use std::ops::Range;

use rten::{Model, Value, ValueOrView};

use super::write;
use crate::model::{Graph, LayerId, Op, Parameter, Segment, Weights};

/// Maps of one batch, in the order NCHW.
#[derive(Clone, Debug)]
pub(super) struct Maps {
    pub(super) shape: Vec<usize>,
    pub(super) numbers: Vec<f32>,
}

impl Maps {
    /// Numbers between -1 and 1 that are the same on every machine.
    pub(super) fn arbitrary(shape: Vec<usize>, seed: u64) -> Maps {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 40) as f32 / (1 << 23) as f32 - 1.0
        };
        let numbers = (0..shape.iter().product()).map(|_| next()).collect();
        Maps { shape, numbers }
    }

    pub(super) fn rows(&self, rows: &Range<u32>) -> Maps {
        let &[samples, channels, height, width] = self.shape.as_slice() else { panic!("maps have four dimensions") };
        let (start, end) = (rows.start as usize * width, rows.end as usize * width);
        let numbers = self.numbers.chunks_exact(height * width).flat_map(|map| &map[start..end]).copied().collect();
        Maps { shape: vec![samples, channels, rows.len(), width], numbers }
    }

    pub(super) fn magnitude(&self) -> f32 {
        self.numbers.iter().fold(0.0, |most: f32, number| most.max(number.abs()))
    }

    /// Largest difference, over `magnitude`.
    pub(super) fn difference(&self, other: &Maps, magnitude: f32) -> f32 {
        assert_eq!(self.shape, other.shape);
        let pairs = self.numbers.iter().zip(&other.numbers);
        let worst = pairs.fold(0.0, |most: f32, (a, b)| {
            assert!(a.is_finite() && b.is_finite(), "an output is not finite");
            most.max((a - b).abs())
        });
        worst / magnitude.max(f32::MIN_POSITIVE)
    }
}

/// The weights of a seed, drawn once: pieces of a network ask for them again and again.
pub(super) fn drawn(graph: &Graph, seed: u64) -> Weights {
    let of_layer = |id: LayerId| {
        let tensor = move |parameter: &Parameter| Weights::Seeded(seed).tensor(graph, id, parameter).into_owned();
        graph.weights(id).into_iter().map(move |parameter| ((id, parameter.name), tensor(&parameter)))
    };
    Weights::Given(graph.layer_ids().flat_map(of_layer).collect())
}

/// Outputs of an ONNX file, by name.
pub(super) fn run(file: Vec<u8>, inputs: &BTreeMap<String, Maps>) -> BTreeMap<String, Maps> {
    let model = Model::load(file).expect("rten reads what we write");
    let inputs = model.input_ids().iter().map(|&id| {
        let maps = &inputs[model.node_info(id).unwrap().name().unwrap()];
        (id, ValueOrView::from(Value::from_shape(&maps.shape, maps.numbers.clone()).unwrap()))
    });
    let values = model.run(inputs.collect(), model.output_ids(), None).expect("rten runs what we write");
    let outputs = model.output_ids().iter().zip(values).map(|(&id, value)| {
        let (shape, numbers) = value.into_shape_vec::<f32, 4>().expect("outputs have four dimensions");
        (model.node_info(id).unwrap().name().unwrap().to_owned(), Maps { shape: shape.to_vec(), numbers })
    });
    outputs.collect()
}

/// Outputs of all layers for arbitrary samples, computed layer by layer.
pub(super) fn outputs(graph: &Graph, weights: &Weights, samples: u32) -> Vec<Maps> {
    let mut outputs: Vec<Maps> = Vec::new();
    for id in graph.layer_ids() {
        let layer = graph.layer(id);
        let shape = graph.shape(id);
        if let Op::Input(_) = layer.op {
            let dims = [samples, shape.channels, shape.rows, shape.cols].map(|dim| dim as usize).to_vec();
            outputs.push(Maps::arbitrary(dims, u64::from(id.0) + 1));
            continue;
        }
        let segment = Segment::range(id, id);
        let file = write(graph, weights, &segment, &(0..shape.rows), Some(samples)).unwrap();
        let read = |&input: &LayerId| {
            let rows = graph.rows_read(id, &(0..shape.rows), input);
            (graph.layer(input).name.clone(), outputs[input.0 as usize].rows(&rows))
        };
        let inputs = layer.inputs.iter().map(read).collect();
        outputs.push(run(file, &inputs).remove(&layer.name).unwrap());
    }
    outputs
}

/// Outputs of `segment` over `rows`, by layer, given `whole`, the outputs of all layers.
pub(super) fn piece(
    graph: &Graph,
    weights: &Weights,
    whole: &[Maps],
    segment: &Segment,
    rows: &Range<u32>,
    samples: Option<u32>,
) -> BTreeMap<LayerId, Maps> {
    let file = write(graph, weights, segment, rows, samples).unwrap();
    let name = |id: LayerId| graph.layer(id).name.clone();
    let needed = graph.rows_needed(segment, rows);
    let inputs = needed.iter().filter(|(id, _)| !segment.contains(**id));
    let inputs = inputs.map(|(&id, rows)| (name(id), whole[id.0 as usize].rows(rows))).collect();
    let mut outputs = run(file, &inputs);
    let by_layer = graph.exposed(segment).map(|id| (id, outputs.remove(&name(id)).unwrap())).collect();
    assert!(outputs.is_empty());
    by_layer
}

/// Largest difference between `piece`, which is `segment` over `rows`, and what `whole` has there, over the largest
/// number of the layer.
pub(super) fn difference<'a>(
    graph: &Graph,
    piece: &BTreeMap<LayerId, Maps>,
    whole: impl Fn(LayerId) -> &'a Maps,
    segment: &Segment,
    rows: &Range<u32>,
) -> f32 {
    let needed = graph.rows_needed(segment, rows);
    let differences = piece.iter().map(|(&id, found)| {
        let expected = whole(id);
        found.difference(&expected.rows(&needed[&id]), expected.magnitude())
    });
    differences.fold(0.0, f32::max)
}

//! The property that matters most: pieces of a network, put together, are the whole.

use std::ops::Range;

use super::testing::{Maps, difference, drawn, outputs, piece};
use super::write;
use crate::model::{Activation, Conv, Graph, Layer, LayerId, Op, Pooling, Segment, Shape, Steps, Weights, Window};
use crate::units::Bytes;

/// Differences are relative to the largest number of a layer.
pub(super) const TOLERANCE: f32 = 1e-5;

const ACTIVATIONS: [Activation; 7] = [
    Activation::Relu,
    Activation::Clip { low: -0.2, high: 0.5 },
    Activation::LeakyRelu { slope: 0.1 },
    Activation::Sigmoid,
    Activation::Tanh,
    Activation::HardSwish,
    Activation::Silu,
];

fn chain(input: Shape, ops: Vec<Op>) -> Graph {
    let inputs = |index: usize| if index == 0 { vec![] } else { vec![LayerId(index as u32 - 1)] };
    let ops = std::iter::once(Op::Input(input)).chain(ops);
    let layer = |(index, op)| Layer { name: format!("layer{index}"), op, inputs: inputs(index) };
    Graph::new("chain", ops.enumerate().map(layer).collect()).unwrap()
}

/// Largest difference between a piece and its layers one by one.
pub(super) fn worst(
    graph: &Graph,
    weights: &Weights,
    whole: &[Maps],
    segment: &Segment,
    rows: &Range<u32>,
    samples: Option<u32>,
) -> f32 {
    let piece = piece(graph, weights, whole, segment, rows, samples);
    difference(graph, &piece, |id| &whole[id.0 as usize], segment, rows)
}

/// Every range of rows of every segment that is a range of layers equals the whole.
fn check_all_pieces(graph: &Graph) {
    let weights = drawn(graph, 3);
    let whole = outputs(graph, &weights, 2);
    let layers = graph.layers().len() as u32;
    for (first, last) in (1..layers).flat_map(|first| (first..layers).map(move |last| (first, last))) {
        let segment = Segment::range(LayerId(first), LayerId(last));
        let height = graph.shape(LayerId(last)).rows;
        let ranges: Vec<Range<u32>> = (0..height).flat_map(|a| (a + 1..=height).map(move |b| a..b)).collect();
        for rows in ranges {
            for samples in [Some(2), None] {
                let worst = worst(graph, &weights, &whole, &segment, &rows, samples);
                assert!(worst <= TOLERANCE, "layers {segment} rows {rows:?} of {graph:?}: {worst}");
            }
        }
    }
}

fn check_all_pieces_of(op: Op) {
    check_all_pieces(&chain(Shape::fp32(4, 6, 5), vec![op]));
}

pub(super) fn window(size: u32, stride: u32, dilation: u32, pad_before: u32, pad_after: u32) -> Window {
    Window { size, stride, dilation, pad_before, pad_after }
}

#[test]
fn convolutions_in_pieces_are_the_whole() {
    for (rows, cols) in [
        (window(3, 1, 1, 1, 1), window(3, 1, 1, 1, 1)),
        (window(3, 2, 1, 0, 1), window(3, 2, 1, 1, 0)),
        (window(1, 3, 1, 0, 0), window(2, 1, 2, 1, 2)),
        (window(2, 1, 2, 3, 0), window(1, 1, 1, 0, 0)),
        (window(2, 1, 1, 4, 5), window(1, 2, 1, 2, 2)),
        (window(2, 3, 1, 5, 4), window(5, 1, 1, 2, 2)),
    ] {
        let conv = Conv { filters: 6, groups: 2, rows, cols, bias: true };
        check_all_pieces_of(Op::Conv(conv));
        check_all_pieces_of(Op::Conv(Conv { filters: 8, groups: 4, bias: false, ..conv }));
    }
}

#[test]
fn transposed_convolutions_in_pieces_are_the_whole() {
    for (rows, cols, output_pad) in [
        (window(3, 1, 1, 0, 0), window(3, 1, 1, 1, 1), (0, 0)),
        (window(3, 2, 1, 1, 1), window(3, 2, 1, 1, 1), (1, 1)),
        (window(4, 2, 1, 1, 1), window(2, 2, 1, 0, 0), (0, 0)),
        (window(2, 2, 3, 0, 2), window(2, 1, 2, 0, 1), (1, 0)),
        (window(1, 3, 1, 0, 0), window(1, 2, 1, 0, 0), (2, 1)),
        (window(1, 2, 1, 1, 0), window(1, 2, 1, 0, 0), (3, 4)),
    ] {
        let conv = Conv { filters: 6, groups: 2, rows, cols, bias: true };
        check_all_pieces_of(Op::ConvTransposed { conv, output_pad });
        check_all_pieces_of(Op::ConvTransposed { conv: Conv { bias: false, groups: 1, ..conv }, output_pad });
    }
}

#[test]
fn poolings_in_pieces_are_the_whole() {
    for pooling in [Pooling::Max, Pooling::Average, Pooling::AverageWithPadding] {
        for (rows, cols) in [
            (window(2, 2, 1, 0, 0), window(2, 2, 1, 0, 0)),
            (window(3, 2, 1, 1, 1), window(3, 2, 1, 1, 0)),
            (window(3, 1, 1, 2, 1), window(2, 1, 1, 0, 1)),
            (window(1, 3, 1, 0, 0), window(3, 3, 1, 0, 2)),
            (window(2, 2, 3, 1, 2), window(2, 1, 2, 1, 0)),
        ] {
            check_all_pieces_of(Op::Pool { pooling, rows, cols });
        }
        check_all_pieces_of(Op::GlobalPool(pooling));
    }
}

#[test]
fn elementwise_operators_in_pieces_are_the_whole() {
    for activation in ACTIVATIONS {
        check_all_pieces_of(Op::Activation(activation));
    }
    check_all_pieces_of(Op::BatchNorm { epsilon: 1e-3 });
    check_all_pieces_of(Op::Dropout);
    check_all_pieces_of(Op::Softmax);
    for size in [1, 2, 3, 5, 9] {
        check_all_pieces_of(Op::Lrn { size, alpha: 0.5, beta: 0.75, bias: 1.5 });
    }
}

#[test]
fn operators_that_move_elements_in_pieces_are_the_whole() {
    check_all_pieces_of(Op::Flatten);
    check_all_pieces_of(Op::Reshape { channels: 2, rows: 10, cols: 6 });
    check_all_pieces_of(Op::Dense { units: 7, bias: true });
    check_all_pieces_of(Op::Upsample { factor: 3 });
    let input = Shape::fp32(3, 6, 4);
    check_all_pieces(&chain(input, vec![Op::SpaceToDepth { block: 2 }]));
    check_all_pieces(&chain(input, vec![Op::Upsample { factor: 2 }, Op::SpaceToDepth { block: 4 }]));
}

#[test]
fn sequences_in_pieces_are_the_whole() {
    for steps in [Steps::All, Steps::Last] {
        let input = Shape::fp32(5, 6, 1);
        check_all_pieces(&chain(input, vec![Op::Lstm { hidden: 4, steps }]));
        check_all_pieces(&chain(input, vec![Op::Gru { hidden: 4, steps }]));
        check_all_pieces(&chain(input, vec![Op::Lstm { hidden: 4, steps: Steps::All }, Op::Gru { hidden: 3, steps }]));
    }
}

/// Branches with halos of 0, 1 and 3 rows, a product with a vector, a join and a sum over strides.
fn branches() -> Graph {
    let layer = |name: &str, op, inputs: &[u32]| Layer {
        name: name.into(),
        op,
        inputs: inputs.iter().copied().map(LayerId).collect(),
    };
    let conv = |size: u32, pad| Op::Conv(Conv::square(4, size).pad(pad));
    let layers = vec![
        layer("input", Op::Input(Shape::fp32(4, 12, 6)), &[]),
        layer("stem", conv(3, 1), &[0]),
        layer("norm", Op::BatchNorm { epsilon: 1e-5 }, &[1]),
        layer("relu", Op::Activation(Activation::Relu), &[2]),
        layer("narrow", conv(1, 0), &[3]),
        layer("wide", conv(7, 3), &[3]),
        layer("squeeze", Op::GlobalPool(Pooling::Average), &[5]),
        layer("gate", Op::Activation(Activation::Sigmoid), &[6]),
        layer("excited", Op::Multiply, &[5, 7]),
        layer("joined", Op::Concat, &[4, 8, 3]),
        layer("mixed", conv(3, 1), &[9]),
        layer("total", Op::Add, &[10, 3, 4]),
        layer("down", Op::Conv(Conv::square(2, 3).stride(2).pad(1).bias()), &[11]),
        layer("head", Op::Dense { units: 5, bias: true }, &[12]),
        layer("softmax", Op::Softmax, &[13]),
    ];
    Graph::new("branches", layers).unwrap()
}

#[test]
fn branches_in_pieces_are_the_whole() {
    check_all_pieces(&branches());
}

#[test]
fn a_segment_in_two_parts_gives_all_that_is_read_outside() {
    let graph = branches();
    let weights = Weights::Seeded(3);
    let whole = outputs(&graph, &weights, 1);
    let segment = Segment::new([1, 2, 3, 5].map(LayerId)).unwrap();
    assert!(worst(&graph, &weights, &whole, &segment, &(3..5), None) <= TOLERANCE);
}

#[test]
fn segments_that_cannot_be_written_are_refused() {
    let graph = branches();
    let message = |graph: &Graph, first, last, rows| {
        let segment = Segment::range(LayerId(first), LayerId(last));
        write(graph, &Weights::Seeded(0), &segment, &rows, None).unwrap_err().to_string()
    };
    assert_eq!(message(&graph, 1, 2, 4..4), "rows 4 to 4 of layer `norm`, which has 12");
    assert_eq!(message(&graph, 1, 2, 4..13), "rows 4 to 13 of layer `norm`, which has 12");
    let input = "layer `input` brings samples in and belongs in no segment that is written";
    assert_eq!(message(&graph, 0, 2, 0..1), input);
    let opaque = Graph::opaque("x", 1, 1, Bytes(1), Bytes(1)).unwrap();
    assert_eq!(message(&opaque, 1, 1, 0..1), "the inside of layer `whole` is not known");
    let bytes = chain(Shape { element_bytes: 1, ..Shape::fp32(1, 1, 1) }, vec![Op::Flatten]);
    assert_eq!(message(&bytes, 1, 1, 0..1), "layer `layer1` has elements of 1 bytes; only those of 4 are written");
    let huge = chain(Shape::fp32(1 << 16, 1, 1), vec![Op::Dense { units: 1 << 14, bias: false }]);
    let too_large = message(&huge, 1, 1, 0..1);
    assert!(too_large.ends_with("an ONNX file has at most 2 GiB"), "{too_large}");
}

#[test]
fn outputs_of_a_deep_residual_network_keep_a_sensible_scale() {
    let mut layers = vec![Layer { name: "0".into(), op: Op::Input(Shape::fp32(16, 8, 8)), inputs: vec![] }];
    let mut add = |op, inputs: &[u32]| {
        let inputs = inputs.iter().copied().map(LayerId).collect();
        layers.push(Layer { name: layers.len().to_string(), op, inputs });
        layers.len() as u32 - 1
    };
    let mut block = 0;
    for _ in 0..32 {
        let mut branch = block;
        for _ in 0..2 {
            branch = add(Op::Conv(Conv::square(16, 3).pad(1)), &[branch]);
            branch = add(Op::BatchNorm { epsilon: 1e-5 }, &[branch]);
            branch = add(Op::Activation(Activation::Relu), &[branch]);
        }
        block = add(Op::Add, &[block, branch]);
    }
    let graph = Graph::new("residual", layers).unwrap();
    let largest = outputs(&graph, &Weights::Seeded(1), 1).pop().unwrap().magnitude();
    assert!((1.0..1e9).contains(&largest), "{largest}");
}

/// Networks that have all operators between them.
pub(super) fn every_operator() -> Vec<Graph> {
    let conv = |rows, cols| Conv { filters: 6, groups: 2, rows, cols, bias: true };
    let mut ops = vec![
        Op::Conv(conv(window(3, 2, 1, 0, 1), window(3, 1, 2, 1, 2))),
        Op::Conv(conv(window(2, 1, 1, 4, 5), window(1, 2, 1, 2, 2))),
        Op::ConvTransposed { conv: conv(window(3, 2, 1, 1, 1), window(4, 2, 1, 1, 2)), output_pad: (1, 1) },
        Op::ConvTransposed { conv: conv(window(1, 3, 1, 0, 0), window(2, 1, 2, 0, 1)), output_pad: (2, 0) },
        Op::BatchNorm { epsilon: 1e-3 },
        Op::Dropout,
        Op::Softmax,
        Op::Flatten,
        Op::Reshape { channels: 2, rows: 8, cols: 12 },
        Op::Dense { units: 7, bias: true },
        Op::Lrn { size: 4, alpha: 0.5, beta: 0.75, bias: 1.5 },
        Op::SpaceToDepth { block: 2 },
        Op::Upsample { factor: 3 },
    ];
    for pooling in [Pooling::Max, Pooling::Average, Pooling::AverageWithPadding] {
        ops.push(Op::Pool { pooling, rows: window(3, 2, 1, 1, 1), cols: window(2, 1, 1, 0, 1) });
        ops.push(Op::Pool { pooling, rows: window(2, 2, 3, 1, 2), cols: window(2, 1, 2, 1, 0) });
        ops.push(Op::GlobalPool(pooling));
    }
    for activation in ACTIVATIONS {
        ops.push(Op::Activation(activation));
    }
    let sequences = [Steps::All, Steps::Last].map(|steps| {
        chain(Shape::fp32(5, 6, 1), vec![Op::Lstm { hidden: 4, steps: Steps::All }, Op::Gru { hidden: 3, steps }])
    });
    let single = ops.into_iter().map(|op| chain(Shape::fp32(4, 8, 6), vec![op]));
    single.chain(sequences).chain([branches()]).collect()
}

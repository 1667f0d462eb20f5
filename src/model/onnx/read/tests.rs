use std::collections::BTreeMap;

use prost::bytes::Bytes;

use super::super::file::{self, attribute};
use super::super::proto::{AttributeProto, AttributeType, NodeProto, OperatorSet, Size, TensorProto, ValueInfo};
use super::super::testing::{Maps, outputs, run};
use super::super::{write, write_whole};
use super::*;
use crate::model::{Activation, Conv, Op, Pooling, Shape, Steps, Window, zoo};

/// `graph` is written, read and written again; both files compute the same.
fn check_round_trip(graph: &Graph) {
    let weights = Weights::Seeded(5);
    let all = 0..graph.shape(graph.output()).rows;
    let file = write(graph, &weights, &graph.whole().unwrap(), &all, None).unwrap();
    let imported = read("again", file.as_slice(), &BTreeMap::new()).unwrap_or_else(|faults| panic!("{faults:#?}"));
    let again = &imported.graph;
    assert_eq!(imported.notes, Vec::<String>::new());
    assert_eq!(again.trained_count() > 0, graph.trained_count() > 0);
    let rewritten = write(again, &imported.weights, &again.whole().unwrap(), &all, None).unwrap();
    let needed = graph.rows_needed(&graph.whole().unwrap(), &all);
    let inputs: BTreeMap<String, Maps> = graph
        .layer_ids()
        .filter(|&id| graph.is_input(id))
        .map(|id| {
            let shape = graph.shape(id);
            let dims = [2, shape.channels, shape.rows, shape.cols].map(|dim| dim as usize);
            let maps = Maps::arbitrary(dims.to_vec(), u64::from(id.0) + 1);
            (graph.layer(id).name.clone(), maps.rows(&needed[&id]))
        })
        .collect();
    let [expected, found] = [file, rewritten].map(|file| run(file, &inputs).into_values().next().unwrap());
    let difference = expected.difference(&found, expected.magnitude());
    assert!(difference <= 1e-6, "{}: {difference}", graph.name());
}

fn chain(input: Shape, ops: Vec<Op>) -> Graph {
    let inputs = |index: usize| if index == 0 { vec![] } else { vec![LayerId(index as u32 - 1)] };
    let ops = std::iter::once(Op::Input(input)).chain(ops);
    let layer = |(index, op)| Layer { name: format!("layer{index}"), op, inputs: inputs(index) };
    Graph::new("chain", ops.enumerate().map(layer).collect()).unwrap()
}

/// `graph` as a file over all rows is read again and computes what its layers compute.
fn check_whole(graph: &Graph) {
    let (weights, whole) = (Weights::Seeded(5), graph.whole().unwrap());
    let file = write_whole(graph, &weights, &whole, None).unwrap();
    let imported = read("again", file.as_slice(), &BTreeMap::new()).unwrap_or_else(|faults| panic!("{faults:#?}"));
    assert_eq!(imported.graph.shape(LayerId(0)), graph.shape(LayerId(0)), "all rows of the input are taken");
    let layers = outputs(graph, &weights, 2);
    let inputs = BTreeMap::from([(graph.layer(LayerId(0)).name.clone(), layers[0].clone())]);
    let (found, expected) = (run(file, &inputs).into_values().next().unwrap(), layers.last().unwrap());
    let difference = expected.difference(&found, expected.magnitude());
    assert!(difference <= 1e-5, "{difference}");
}

#[test]
fn rows_that_a_stride_leaves_over_are_taken_and_not_cut_off() {
    let input = Shape::fp32(4, 12, 12);
    let windows = [Window::new(3).stride(2), Window::new(1).stride(4), Window::new(3).stride(3).pad(1)];
    for window in windows {
        let conv = Op::Conv(Conv { rows: window, cols: window, ..Conv::square(4, 3) });
        let pool = |pooling| Op::Pool { pooling, rows: window, cols: window };
        for op in [conv, pool(Pooling::Max), pool(Pooling::Average)] {
            check_whole(&chain(input, vec![op.clone()]));
            check_whole(&chain(input, vec![Op::Conv(Conv::square(4, 3).pad(1)), op]));
        }
    }
    // A residual block whose shortcut strides.
    let strides = |size, pad| Op::Conv(Conv::square(4, size).stride(2).pad(pad));
    let ops = [Op::Input(input), Op::Conv(Conv::square(4, 1)), strides(3, 1), strides(1, 0), Op::Add];
    let inputs: [&[u32]; 5] = [&[], &[0], &[1], &[1], &[2, 3]];
    let layer = |((index, op), inputs): ((usize, Op), &[u32])| Layer {
        name: format!("layer{index}"),
        op,
        inputs: inputs.iter().copied().map(LayerId).collect(),
    };
    check_whole(&Graph::new("block", ops.into_iter().enumerate().zip(inputs).map(layer).collect()).unwrap());
}

#[test]
fn what_we_write_we_read() {
    let input = Shape::fp32(4, 12, 8);
    let window = Window { size: 3, stride: 2, dilation: 1, pad_before: 1, pad_after: 0 };
    let conv = Conv { filters: 6, groups: 2, rows: window, cols: window.dilation(2), bias: true };
    check_round_trip(&chain(input, vec![Op::Conv(conv), Op::BatchNorm { epsilon: 1e-3 }, Op::Dropout]));
    check_round_trip(&chain(input, vec![Op::ConvTransposed { conv, output_pad: (1, 0) }]));
    for pooling in [Pooling::Max, Pooling::Average, Pooling::AverageWithPadding] {
        check_round_trip(&chain(input, vec![Op::Pool { pooling, rows: window, cols: Window::new(2) }]));
        check_round_trip(&chain(input, vec![Op::GlobalPool(pooling), Op::Flatten]));
    }
    let activations = [
        Activation::Relu,
        Activation::Clip { low: 0.0, high: 6.0 },
        Activation::LeakyRelu { slope: 0.1 },
        Activation::Sigmoid,
        Activation::Tanh,
        Activation::HardSwish,
        Activation::Silu,
    ];
    check_round_trip(&chain(input, activations.map(Op::Activation).to_vec()));
    let lrn = Op::Lrn { size: 5, alpha: 1e-2, beta: 0.75, bias: 2.0 };
    check_round_trip(&chain(input, vec![lrn, Op::SpaceToDepth { block: 2 }, Op::Upsample { factor: 3 }]));
    let dense = |units| Op::Dense { units, bias: true };
    let reshape = Op::Reshape { channels: 2, rows: 4, cols: 48 };
    check_round_trip(&chain(input, vec![reshape, Op::Flatten, dense(9), dense(3), Op::Softmax]));
}

#[test]
fn sequences_that_we_write_we_read() {
    for steps in [Steps::All, Steps::Last] {
        let layers = vec![Op::Lstm { hidden: 5, steps: Steps::All }, Op::Gru { hidden: 3, steps }];
        check_round_trip(&chain(Shape::fp32(4, 6, 1), layers));
    }
}

#[test]
fn known_networks_that_we_write_we_read() {
    for name in ["squeezenet_v1.1", "mobilenet_v2", "lstm-2x512"] {
        check_round_trip(&zoo::graph(name).unwrap());
    }
}

/// A file of nodes with one input `x` of 1 x 2 x `H` x 4, one output `y` and weights `w` of four numbers.
fn file(nodes: Vec<NodeProto>) -> Bytes {
    let dims = vec![Size::Fixed(1), Size::Fixed(2), Size::Named("H".into()), Size::Fixed(4)];
    let graph = GraphProto {
        nodes,
        tensors: vec![TensorProto { name: "w".into(), raw: raw(&[0; 16]), ..tensor(1, &[4]) }],
        inputs: vec![ValueInfo::new("x", 1, dims)],
        outputs: vec![ValueInfo::new("y", 1, vec![])],
        ..GraphProto::default()
    };
    let operator_sets = vec![OperatorSet { domain: None, version: 17 }];
    ModelProto { graph: Some(graph), operator_sets, ..ModelProto::default() }.encode_to_vec().into()
}

fn node(operator: &str, inputs: &[&str], output: &str) -> NodeProto {
    NodeProto {
        inputs: inputs.iter().map(ToString::to_string).collect(),
        outputs: vec![output.into()],
        name: output.into(),
        operator: operator.into(),
        ..NodeProto::default()
    }
}

fn tensor(kind: i32, dims: &[i64]) -> TensorProto {
    TensorProto { dims: dims.to_vec(), kind, ..TensorProto::default() }
}

fn raw(bytes: &[u8]) -> Option<Bytes> {
    Some(Bytes::copy_from_slice(bytes))
}

fn faults(nodes: Vec<NodeProto>) -> String {
    let dims = BTreeMap::from([("H".to_owned(), 3)]);
    let faults = read("x", file(nodes), &dims).unwrap_err();
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[test]
fn open_dimensions_are_given_by_name() {
    let relu = || file(vec![node("Relu", &["x"], "y")]);
    let missing = read("x", relu(), &BTreeMap::new()).unwrap_err();
    assert_eq!(
        missing[0].to_string(),
        "input `x`: dimension `H` is open; give its size: `--dim H=224`, or `dims = { H = 224 }` in a scenario"
    );
    assert_eq!(missing.len(), 1, "what follows from it is not said again");
    let read = read("x", relu(), &BTreeMap::from([("H".to_owned(), 3)])).unwrap();
    assert_eq!(read.graph.shape(read.graph.output()), Shape::fp32(2, 3, 4));
}

/// A constant node.
fn constant_tensor(output: &str, tensor: TensorProto) -> NodeProto {
    let tensor = Some(Box::new(tensor));
    let attribute = AttributeProto {
        name: "value".into(),
        tensor,
        kind: AttributeType::TensorProto.into(),
        ..AttributeProto::default()
    };
    NodeProto { attributes: vec![attribute], ..node("Constant", &[], output) }
}

fn constant(output: &str, numbers: &[i64]) -> NodeProto {
    let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    constant_tensor(output, TensorProto { raw: Some(bytes.into()), ..tensor(7, &[numbers.len() as i64]) })
}

fn network(nodes: Vec<NodeProto>) -> Graph {
    let dims = BTreeMap::from([("H".to_owned(), 3)]);
    read("x", file(nodes), &dims).unwrap_or_else(|faults| panic!("{faults:#?}")).graph
}

#[test]
fn arithmetic_on_shapes_is_done_while_reading() {
    // x.view(x.size(0), -1) as PyTorch exports it.
    let axis = attribute("axis", &file::Attribute::Integer(0));
    let graph = network(vec![
        node("Shape", &["x"], "shape"),
        constant("zero", &[0]),
        node("Gather", &["shape", "zero"], "batch"),
        node("Unsqueeze", &["batch", "zero"], "first"),
        constant("rest", &[-1]),
        NodeProto { attributes: vec![axis], ..node("Concat", &["first", "rest"], "target") },
        node("Reshape", &["x", "target"], "flat"),
        node("Relu", &["flat"], "y"),
    ]);
    assert_eq!(graph.layers().iter().map(|layer| layer.name.as_str()).collect::<Vec<_>>(), ["x", "flat", "y"]);
    assert_eq!(graph.shape(graph.output()), Shape::fp32(24, 1, 1));
}

#[test]
fn values_for_dimensions_that_are_not_there_are_faults() {
    let (graph, weights) = (chain(Shape::fp32(2, 4, 4), vec![Op::Flatten]), Weights::Seeded(5));
    let file = write_whole(&graph, &weights, &graph.whole().unwrap(), None).unwrap();
    let dims = |name: &str| BTreeMap::from([(name.to_owned(), 3)]);
    let faults = read("again", file.as_slice(), &dims("height")).unwrap_err();
    let messages: Vec<String> = faults.iter().map(ToString::to_string).collect();
    assert_eq!(messages, ["inputs: no input has an open dimension `height`; the open dimensions are `N`"]);
    let file = write_whole(&graph, &weights, &graph.whole().unwrap(), Some(1)).unwrap();
    let faults = read("again", file.as_slice(), &dims("N")).unwrap_err();
    assert_eq!(faults[0].to_string(), "inputs: no input has an open dimension `N`; remove it");
}

#[test]
fn dimensions_in_another_order_cost_nothing() {
    let transpose = |input, output, order: [i64; 4]| {
        let order = attribute("perm", &file::Attribute::Integers(order.to_vec()));
        NodeProto { attributes: vec![order], ..node("Transpose", &[input], output) }
    };
    let graph = network(vec![
        transpose("x", "last", [0, 2, 3, 1]),
        node("Relu", &["last"], "relu"),
        transpose("relu", "first", [0, 3, 1, 2]),
        node("GlobalAveragePool", &["first"], "y"),
    ]);
    assert_eq!(graph.layers().iter().map(|layer| layer.name.as_str()).collect::<Vec<_>>(), ["x", "relu", "y"]);
}

#[test]
fn a_product_with_the_own_sigmoid_is_silu() {
    let graph = network(vec![node("Sigmoid", &["x"], "s"), node("Mul", &["s", "x"], "y")]);
    assert_eq!(graph.layer(graph.output()).op, Op::Activation(Activation::Silu));
    assert_eq!(graph.layers().len(), 2);
}

#[test]
fn weights_in_another_file_or_of_other_types_are_faults() {
    let conv = |tensor: TensorProto| {
        let weights = constant_tensor("w2", TensorProto { name: "w2".into(), ..tensor });
        faults(vec![weights, node("Conv", &["x", "w2"], "y")])
    };
    let dims = [1, 2, 1, 1];
    let external = conv(TensorProto { location: 1, ..tensor(1, &dims) });
    assert!(
        external.starts_with("node `y` (Conv): weights `w2` lie in another file; save it in one file"),
        "{external}"
    );
    let short = conv(TensorProto { raw: raw(&[0; 4]), ..tensor(1, &dims) });
    assert!(short.contains("weights `w2` hold 1 numbers, and their dimensions 2"), "{short}");
    let whole = conv(TensorProto { raw: raw(&[0; 2]), ..tensor(3, &dims) });
    assert!(whole.contains("are of ONNX data type 3, and floats are read"), "{whole}");
    let huge = conv(tensor(1, &[i64::MAX, i64::MAX]));
    assert!(huge.contains("negative or huge dimension"), "{huge}");
}

#[test]
fn halves_are_read_as_floats() {
    let halves: [u16; 6] = [0x3c00, 0xc000, 0x0001, 0x7bff, 0x8000, 0x3555];
    let bytes: Vec<u8> = halves.iter().flat_map(|half| half.to_le_bytes()).collect();
    let tensor = TensorProto { raw: raw(&bytes), ..tensor(10, &[6]) };
    let Ok(floats) = tensor.to_floats() else { panic!("halves are floats") };
    assert_eq!(floats, [1.0, -2.0, 5.960_464_5e-8, 65504.0, -0.0, 0.333_251_95]);
}

#[test]
fn lists_are_read_packed_and_one_by_one() {
    // Fields 1 and 4 of a tensor: the key, for packed lists their length, and the numbers.
    let ones = [0x08, 2, 0x08, 1, 0x25, 0, 0, 0x80, 0x3f, 0x25, 0, 0, 0, 0x40];
    let packed = [0x0a, 2, 2, 1, 0x22, 8, 0, 0, 0x80, 0x3f, 0, 0, 0, 0x40];
    let expected = TensorProto { dims: vec![2, 1], floats: vec![1.0, 2.0], ..TensorProto::default() };
    for bytes in [ones, packed] {
        assert_eq!(TensorProto::decode(bytes.as_slice()), Ok(expected.clone()));
    }
}

#[test]
fn faults_name_node_operator_cause_and_remedy_all_at_once() {
    let found = faults(vec![
        node("Erf", &["x"], "a"),
        node("Relu", &["a"], "b"),
        node("Conv", &["x", "w"], "c"),
        node("QLinearAdd", &["x", "x"], "d"),
        node("Sum", &["b", "c", "d"], "y"),
    ]);
    assert_eq!(
        found,
        "node `a` (Erf): is an operator that is not read; replace it, or cut the file around it with \
         onnx.utils.extract_model\n\
         node `c` (Conv): has flat filters; check the file with onnx.checker\n\
         node `d` (QLinearAdd): computes in quantised numbers; export the network in 32-bit floats, before quantisation"
    );
}

#[test]
fn cycles_duplicates_and_missing_tensors_are_faults() {
    let reads = |name| {
        format!("node `y` (Add): reads `{name}`, which nothing before it computes; check the file with onnx.checker")
    };
    assert_eq!(faults(vec![node("Add", &["x", "y"], "y")]), reads("y"));
    assert_eq!(faults(vec![node("Add", &["x", "q"], "y")]), reads("q"));
    let twice = "y: is computed twice; check the file with onnx.checker";
    assert_eq!(faults(vec![node("Relu", &["x"], "y"), node("Relu", &["x"], "y")]), twice);
}

#[test]
fn branches_that_are_not_read_are_left_out() {
    let dims = BTreeMap::from([("H".to_owned(), 3)]);
    let bytes = file(vec![node("Relu", &["x"], "y"), node("Erf", &["y"], "z")]);
    let imported = read("x", bytes, &dims).unwrap();
    assert_eq!(imported.notes, ["left out 1 nodes that the output does not need: Erf"]);
}

#[test]
fn no_bytes_make_the_reader_panic() {
    let lrn = Op::Lrn { size: 3, alpha: 1.0, beta: 0.5, bias: 1.0 };
    let conv = Op::Conv(Conv::square(3, 3).stride(2).pad(1).bias());
    let transposed = Op::ConvTransposed { conv: Conv::square(3, 2), output_pad: (1, 1) };
    let pool = Op::Pool { pooling: Pooling::Average, rows: Window::new(2), cols: Window::new(2) };
    let ops = vec![conv, lrn, transposed, pool, Op::SpaceToDepth { block: 2 }, Op::Upsample { factor: 2 }];
    let maps = chain(Shape::fp32(2, 9, 9), [ops, vec![Op::Dense { units: 3, bias: true }, Op::Softmax]].concat());
    let recurrent = chain(
        Shape::fp32(2, 4, 1),
        vec![Op::Lstm { hidden: 2, steps: Steps::All }, Op::Gru { hidden: 2, steps: Steps::Last }],
    );
    let mut state: u64 = 1;
    let mut below = |limit: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % limit
    };
    for graph in [maps, recurrent] {
        let segment = graph.whole().unwrap();
        let whole = write(&graph, &Weights::Seeded(1), &segment, &(0..1), None).unwrap();
        for length in 0..whole.len() {
            let _ = read("x", &whole[..length], &BTreeMap::new());
        }
        for _ in 0..5_000 {
            let mut bytes = whole.clone();
            for _ in 0..=below(4) {
                let at = below(bytes.len());
                bytes[at] = [0, 1, 0x7f, 0x80, 0xff, below(256) as u8][below(6)];
            }
            if let Ok(imported) = read("x", bytes.as_slice(), &BTreeMap::new()) {
                let graph = &imported.graph;
                let _ = write(graph, &imported.weights, &graph.whole().unwrap(), &(0..1), None);
            }
        }
    }
}

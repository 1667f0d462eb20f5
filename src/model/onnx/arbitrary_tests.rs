//! Pieces of arbitrary small networks, put together, are the whole.

use proptest::collection::vec;
use proptest::prelude::*;

use super::testing::{drawn, outputs};
use super::tests::{TOLERANCE, window, worst};
use crate::model::{Activation, Conv, Graph, Layer, LayerId, Op, Pooling, Segment, Shape, Steps, Window};

/// An operator for maps of `input`, as `choice` and `numbers` say.
fn arbitrary_op(choice: u32, numbers: [u32; 8]) -> Op {
    let [a, b, c, d, e, f, g, h] = numbers;
    let rows = window(1 + a % 3, 1 + b % 2, 1 + c % 2, d % 3, e % 3);
    let cols = window(1 + f % 3, 1 + g % 2, 1, h % 2, a % 2);
    let conv = Conv { filters: 4, groups: [1, 2, 4][(h % 3) as usize], rows, cols, bias: b > 3 };
    let pooling = [Pooling::Max, Pooling::Average, Pooling::AverageWithPadding][(c % 3) as usize];
    match choice {
        0..=3 => Op::Conv(conv),
        4 => Op::ConvTransposed { conv, output_pad: (f % 2, g % 2) },
        5..=6 => Op::Pool { pooling, rows: Window { dilation: 1, ..rows }, cols },
        // Gaps and padding together make windows without an element.
        7 => Op::Pool { pooling, rows: rows.pad(0), cols },
        8 => Op::BatchNorm { epsilon: 1e-4 },
        9 => Op::Activation(Activation::HardSwish),
        10 => Op::Activation(Activation::Relu),
        11 => Op::Activation(Activation::Silu),
        12 => Op::Lrn { size: 1 + a % 5, alpha: 0.1, beta: 0.75, bias: 1.0 },
        13 => Op::Upsample { factor: 1 + a % 3 },
        14 => Op::SpaceToDepth { block: 2 },
        15 => Op::Softmax,
        16 => Op::Dropout,
        17 => Op::GlobalPool(pooling),
        18 => Op::Dense { units: 4, bias: true },
        19 => Op::Flatten,
        20 => Op::Add,
        21 => Op::Multiply,
        22 => Op::Concat,
        23 => Op::Lstm { hidden: 4, steps: Steps::All },
        _ => Op::Gru { hidden: 4, steps: if a % 2 == 0 { Steps::All } else { Steps::Last } },
    }
}

/// What a layer of an arbitrary network is to be: its operator and, counted backwards, what it reads.
type Wish = (u32, [u32; 8], [u32; 2]);

/// As many of `wishes` as fit on what stands before them, all results joined by readers at the end.
fn arbitrary_graph(input: Shape, wishes: &[Wish]) -> Graph {
    let mut layers = vec![Layer { name: "input".into(), op: Op::Input(input), inputs: vec![] }];
    let mut shapes = vec![input];
    for &(choice, numbers, back) in wishes {
        let op = arbitrary_op(choice, numbers);
        let mut inputs = vec![(shapes.len() - 1).saturating_sub(back[0] as usize % 3)];
        if op.allows_inputs(2) {
            inputs.push((shapes.len() - 1).saturating_sub(back[1] as usize % 3));
        }
        let read: Vec<Shape> = inputs.iter().map(|&input| shapes[input]).collect();
        match op.shape(&read) {
            Ok(shape) if (1..3000).contains(&shape.elements()) => shapes.push(shape),
            _ => continue,
        }
        let inputs = inputs.into_iter().map(|input| LayerId(input as u32)).collect();
        layers.push(Layer { name: format!("layer{}", layers.len()), op, inputs });
    }
    // What nobody reads yet is made a vector; one layer joins all.
    let is_read = |id: usize| layers.iter().any(|layer| layer.inputs.contains(&LayerId(id as u32)));
    let unread: Vec<usize> = (0..layers.len()).filter(|&id| !is_read(id)).collect();
    if unread.len() > 1 {
        let mut joined = vec![];
        for id in unread {
            joined.push(LayerId(layers.len() as u32));
            let inputs = vec![LayerId(id as u32)];
            layers.push(Layer { name: format!("vector{id}"), op: Op::Flatten, inputs });
        }
        layers.push(Layer { name: "joined".into(), op: Op::Concat, inputs: joined });
    }
    Graph::new("arbitrary", layers).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn pieces_of_arbitrary_networks_are_the_whole(
        shape in (0..2_usize, 1..12_u32, 1..9_u32),
        wishes in vec((0..25_u32, any::<[u32; 8]>(), any::<[u32; 2]>()), 1..12),
        choices in vec(any::<[u32; 5]>(), 4),
    ) {
        let (channels, rows, cols) = ([4, 8][shape.0], shape.1, if shape.2 == 8 { 1 } else { shape.2 });
        let graph = arbitrary_graph(Shape::fp32(channels, rows, cols), &wishes);
        let weights = drawn(&graph, 9);
        let whole = outputs(&graph, &weights, 2);
        let layers = graph.layers().len() as u32;
        for [first, length, start, count, omitted] in choices {
            if layers == 1 {
                break;
            }
            let first = 1 + first % (layers - 1);
            let last = first + length % (layers - first);
            let kept = |&id: &u32| id == last || id != first + omitted % 7;
            let segment = Segment::new((first..=last).filter(kept).map(LayerId)).unwrap();
            if graph.hole(&segment).is_some() {
                continue;
            }
            let height = graph.shape(LayerId(last)).rows;
            let start = start % height;
            let rows = start..start + 1 + count % (height - start);
            let found = worst(&graph, &weights, &whole, &segment, &rows, None);
            prop_assert!(found <= TOLERANCE, "layers {} rows {:?} of {:#?}: {}", segment, rows, graph, found);
        }
    }
}

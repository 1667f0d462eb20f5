//! Draws networks, and profiles of them: whole, of units, of longer segments and of rows.

use std::fmt::Write;
use std::ops::RangeInclusive;

use coinfer::model::{
    Activation, Conv, Graph, Layer, LayerId, Op, Pooling, Shape, Weights, Window, onnx, unit_name, units, zoo,
};
use coinfer::units::Bytes;

use super::dice::Dice;

/// A network, as a scenario's `[[models]]` says it.
pub(super) struct Network {
    pub(super) graph: Graph,
    /// The keys that are the network.
    pub(super) text: String,
    /// What traces call it.
    pub(super) profile: String,
    /// Its file, if it has one.
    pub(super) file: Option<(String, Vec<u8>)>,
}

/// A network; one of sizes only if `may_be_opaque`.
pub(super) fn network(dice: &mut Dice, name: &str, may_be_opaque: bool) -> Network {
    match dice.number(if may_be_opaque { 0 } else { 4 }..10) {
        0..4 => opaque(dice, name),
        4..6 => of_zoo(dice, name),
        _ => by_hand(dice, name),
    }
}

fn opaque(dice: &mut Dice, name: &str) -> Network {
    let [input, output] = [(); 2].map(|()| dice.real(1.0..1e6) as u32);
    let [parameters, more] = [(); 2].map(|()| dice.real(1.0..1e8) as u64);
    let activations = u64::from(input) + u64::from(output) + more;
    let text = format!(
        "opaque = {{ input = \"{input} B\", output = \"{output} B\", parameters = \"{parameters} B\", activations = \
         \"{activations} B\" }}"
    );
    let graph = Graph::opaque(name, input, output, Bytes(parameters), Bytes(activations)).unwrap();
    Network { graph, text, profile: name.to_owned(), file: None }
}

/// The first layers of a known network.
fn of_zoo(dice: &mut Dice, name: &str) -> Network {
    let known = *dice.pick(&zoo::names().collect::<Vec<_>>());
    let whole = zoo::graph(known).unwrap();
    let layers = whole.layers();
    let until = &layers[dice.number(1..layers.len().min(16) as u32) as usize].name;
    let (graph, _) = whole.until(until).unwrap();
    let text = format!("zoo = \"{known}\"\nuntil = \"{until}\"");
    Network { graph: graph.named(name), text, profile: format!("{known}..{until}"), file: None }
}

/// A small network of chains, shortcuts and branches, in a file.
fn by_hand(dice: &mut Dice, name: &str) -> Network {
    let shape = Shape::fp32(dice.number(1..4), dice.number(1..24), dice.number(1..12));
    let mut graph = Graph::new(name, vec![layer(0, Op::Input(shape), &[])]).unwrap();
    let blocks = dice.number(1..7);
    while (graph.layers().len() as u32) <= blocks {
        let mut layers = graph.layers().to_vec();
        extend(dice, &mut layers);
        // What does not fit the shapes so far is drawn again.
        graph = Graph::new(name, layers).unwrap_or(graph);
    }
    let bytes = onnx::write_whole(&graph, &Weights::Seeded(1), &graph.whole().unwrap(), None).unwrap();
    let graph = onnx::read(name, &bytes[..], &Default::default()).unwrap().graph;
    let file = format!("{name}.onnx");
    let text = format!("onnx = {{ file = \"{file}\" }}");
    Network { graph, text, profile: name.to_owned(), file: Some((file, bytes)) }
}

fn layer(index: usize, op: Op, inputs: &[usize]) -> Layer {
    Layer { name: format!("l{index}"), op, inputs: inputs.iter().map(|&input| LayerId(input as u32)).collect() }
}

fn extend(dice: &mut Dice, layers: &mut Vec<Layer>) {
    let last = layers.len() - 1;
    let filters = dice.number(1..9);
    let conv = |filters, size: u32| Op::Conv(Conv::square(filters, size).pad(size / 2));
    let window = Window::new(2).stride(2);
    let mut push = |op, inputs: &[usize]| {
        layers.push(layer(layers.len(), op, inputs));
        layers.len() - 1
    };
    match dice.number(0..10) {
        0..2 => drop(push(conv(filters, 3), &[last])),
        2 => drop(push(Op::Conv(Conv::square(filters, 3).stride(2)), &[last])),
        3 => drop(push(Op::Pool { pooling: Pooling::Max, rows: window, cols: window }, &[last])),
        4 => drop(push(Op::BatchNorm { epsilon: 1e-5 }, &[last])),
        5 => drop(push(Op::Activation(Activation::Relu), &[last])),
        6 => drop(push(Op::Dense { units: filters, bias: true }, &[last])),
        7 => drop(push(Op::GlobalPool(Pooling::Average), &[last])),
        8 => {
            let [left, right] = [1, 3].map(|size| push(conv(filters, size), &[last]));
            push(Op::Concat, &[left, right]);
        }
        _ => {
            let [first, second] = [1, 3].map(|size| push(conv(filters, size), &[last]));
            push(Op::Add, &[first, second]);
        }
    }
}

/// Rows of a trace for `network` on a device; what is left out, no row says.
pub(super) fn profile(dice: &mut Dice, network: &Network, (device, precision): (&str, &str), rows: &mut String) {
    let graph = &network.graph;
    let speed = dice.real(1e6..1e10);
    let mut measure = |dice: &mut Dice, layer: &str, work: f64, height: u32| {
        // A base and a slope, and then what nobody expects.
        let (base, rough) = (dice.real(1e-3..3.0), if dice.is(30) { 3.0 } else { 1.05 });
        let all = dice.is(15);
        let batches = [1, 2, 3, 4, 6, 8, 16, 32];
        let mut of_height = vec!["all".to_owned()];
        if height > 1 && dice.is(20) {
            of_height.push(dice.number(1..height).to_string());
        }
        for count in of_height {
            for batch in batches {
                if !all && dice.is(50) {
                    continue;
                }
                let part = count.parse::<f64>().map_or(1.0, |count| count / f64::from(height));
                let time = (base + work / speed * 1e3 * part * f64::from(batch)) * dice.real(1.0 / rough..rough);
                let (device, model) = (device, &network.profile);
                let repeats = if dice.is(10) { 3 } else { 1 };
                for repeat in 1..=repeats {
                    let statistic = if repeats > 1 { "raw" } else { "mean" };
                    let time = time * dice.real(0.9..1.1);
                    writeln!(
                        rows,
                        "{device},{model},{layer},{batch},{count},{statistic},{repeat},{precision},{time:.6},"
                    )
                    .unwrap();
                }
            }
        }
    };
    let work = |layers: RangeInclusive<u32>| {
        let of_layer = |layer: LayerId| graph.layer_macs(layer, &(0..graph.shape(layer).rows)).0.max(1000) as f64;
        layers.map(|layer| of_layer(LayerId(layer))).sum::<f64>()
    };
    let last = graph.layers().len() as u32 - 1;
    let height = |layer: LayerId| graph.shape(layer).rows;
    if dice.is(70) {
        measure(dice, "whole", work(1..=last), height(graph.output()));
    }
    if graph.find("whole").is_some() || dice.is(40) {
        return;
    }
    let units = units(graph);
    let (missing, longer) = (if dice.is(30) { 30 } else { 0 }, if dice.is(40) { 20 } else { 0 });
    for unit in &units {
        if !dice.is(missing) {
            measure(dice, &unit_name(graph, unit), work(unit.first().0..=unit.last().0), height(unit.last()));
        }
    }
    for (from, first) in units.iter().enumerate().map(|(from, unit)| (from, unit.first())) {
        for last in units[from + 1..].iter().map(|unit| unit.last()) {
            if dice.is(longer) && first < last {
                let name = format!("{}..{}", graph.layer(first).name, graph.layer(last).name);
                // What runs as one step may take far less than its parts.
                let fused = work(first.0..=last.0) * dice.real(0.1..1.5);
                measure(dice, &name, fused, height(last));
            }
        }
    }
}

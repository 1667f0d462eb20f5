//! ONNX files of others as networks: what they may hold, and what is wrong when they hold something else.

mod attributes;
mod dense;
mod layers;
mod layout;
mod normalisation;
mod numbers;
mod recurrent;
#[cfg(test)]
mod tests;
mod translate;
mod windows;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use prost::Message;
use prost::bytes::Buf;

use super::proto::{Dim, GraphProto, ModelProto, Size};
use crate::model::{Graph, Layer, LayerId, Weights};
use translate::Translator;

/// A network that a file held.
#[derive(Clone, Debug)]
pub struct Imported {
    /// Its layers, called as the file's nodes are.
    pub graph: Graph,
    /// The file's weights.
    pub weights: Arc<Weights>,
    /// What a user should know: what was left out or converted.
    pub notes: Vec<String>,
}

/// What in a file keeps it from being read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {cause}; {remedy}")]
pub struct ReadMistake {
    /// Node and operator, or the part of the file.
    pub place: String,
    /// What is wrong.
    pub cause: String,
    /// What to do about it.
    pub remedy: String,
}

/// Operators' versions before this mean other things by the same names.
const OPSET_MIN: i64 = 6;
/// The newest version whose operators are known; later ones may mean more by the same names.
const OPSET_KNOWN: i64 = 26;
/// Numbers that weights may take beside one for each byte of the file: one number may be written for many channels.
const BUDGET: usize = 1 << 25;

/// The network in the ONNX file `bytes`, which becomes one of this `name`.
///
/// The first dimension of inputs is the batch; other dimensions that the file leaves open are looked up in `dims`.
/// A file has one output; branches that do not lead to it are left out, with a note. The result computes what the file
/// does in 32-bit floats.
///
/// Given as [`prost::bytes::Bytes`], the file is read in place; of a slice the weights are copied first.
///
/// # Errors
/// All that cannot be read, in the file's order.
pub fn read(name: &str, bytes: impl Buf, dims: &BTreeMap<String, u32>) -> Result<Imported, Vec<ReadMistake>> {
    let whole = |cause: &str, remedy: &str| {
        vec![ReadMistake { place: "file".into(), cause: cause.into(), remedy: remedy.into() }]
    };
    let export = "export the network again";
    let budget = bytes.remaining() + BUDGET;
    let file = ModelProto::decode(bytes).map_err(|_| whole("is no ONNX file, or is cut off", export))?;
    let network = file.graph.as_ref().ok_or_else(|| whole("holds no graph", export))?;
    let opset = file.operator_sets.iter().find(|set| translate::is_standard(set.domain()));
    let opset = opset.map_or(OPSET_MIN - 1, |set| set.version);
    if opset < OPSET_MIN {
        let cause = format!("uses version {opset} of the operators, and {OPSET_MIN} is the oldest that is read");
        return Err(whole(&cause, "convert it with onnx.version_converter"));
    }
    if !network.sparse_tensors.is_empty() {
        return Err(whole("holds sparse weights", "export it with dense weights"));
    }
    let unknown = unknown_dims(network, dims);
    if !unknown.is_empty() {
        return Err(unknown);
    }
    let plan = Needed::new(network)?;
    let mut translator = Translator::new(network, opset, dims, budget);
    if opset > OPSET_KNOWN {
        translator.notes.insert(format!("uses version {opset} of the operators; those to {OPSET_KNOWN} are known"));
    }
    translator.enter(&plan);
    for &node in &plan.nodes {
        translator.node(&network.nodes[node], plan.norms.get(&node));
    }
    translator.finish(name, &plan)
}

/// Values for dimensions that the inputs of `network` do not have.
fn unknown_dims(network: &GraphProto, dims: &BTreeMap<String, u32>) -> Vec<ReadMistake> {
    let all = network.inputs.iter().filter_map(|port| port.tensor()?.shape.as_ref()).flat_map(|shape| &shape.dims);
    let name = |dim: &'_ Dim| match &dim.size {
        Some(Size::Named(name)) if !name.is_empty() => Some(name.clone()),
        _ => None,
    };
    let open: BTreeSet<String> = all.filter_map(name).collect();
    let some = open.iter().take(8).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let remedy = if open.is_empty() { "remove it".into() } else { format!("the open dimensions are {some}") };
    let unknown = dims.keys().filter(|name| !open.contains(name.as_str()));
    let fault = |name: &String| {
        let cause = format!("no input has an open dimension `{name}`");
        ReadMistake { place: "inputs".into(), cause, remedy: remedy.clone() }
    };
    unknown.map(fault).collect()
}

/// Which nodes the output needs.
struct Needed<'n> {
    output: &'n str,
    nodes: Vec<usize>,
    /// Nodes that end a local response normalisation written in simpler operators, and what it is.
    norms: BTreeMap<usize, normalisation::Lrn<'n>>,
    notes: Vec<String>,
}

impl<'n> Needed<'n> {
    fn new(network: &'n GraphProto) -> Result<Needed<'n>, Vec<ReadMistake>> {
        let mut faults = Vec::new();
        let mut producers: BTreeMap<&str, usize> = BTreeMap::new();
        let mut given: BTreeSet<&str> = network.tensors.iter().map(|tensor| tensor.name.as_str()).collect();
        if given.len() < network.tensors.len() {
            faults.push(twice("weights", "of one name"));
        }
        given.extend(network.inputs.iter().map(|port| port.name.as_str()));
        for (index, node) in network.nodes.iter().enumerate() {
            for output in node.outputs.iter().map(String::as_str).filter(|output| !output.is_empty()) {
                if given.contains(output) || producers.insert(output, index).is_some() {
                    faults.push(twice(output, "is computed twice"));
                }
            }
        }
        let outputs: Vec<&str> = network.outputs.iter().map(|port| port.name.as_str()).collect();
        let &[output] = outputs.as_slice() else {
            let names = outputs.iter().take(8).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            faults.push(ReadMistake {
                place: "outputs".into(),
                cause: format!("there are {} ({names}), and a network has one", outputs.len()),
                remedy: "cut the file down to one with onnx.utils.extract_model".into(),
            });
            return Err(faults);
        };
        if !faults.is_empty() {
            return Err(faults);
        }
        let mut needed = BTreeSet::new();
        let mut norms = BTreeMap::new();
        let mut left_out = BTreeSet::new();
        let mut open = vec![output];
        while let Some(name) = open.pop() {
            let Some(&producer) = producers.get(name) else { continue };
            if !needed.insert(producer) {
                continue;
            }
            let node = &network.nodes[producer];
            match normalisation::find(network, &producers, producer) {
                Some(lrn) => {
                    open.push(lrn.input);
                    left_out.extend(lrn.inside.iter().copied());
                    norms.insert(producer, lrn);
                }
                None => open.extend(node.inputs.iter().map(String::as_str)),
            }
        }
        let unread = (0..network.nodes.len()).filter(|node| !needed.contains(node) && !left_out.contains(node));
        let unread: Vec<&str> = unread.map(|node| network.nodes[node].operator.as_str()).collect();
        let mut notes = Vec::new();
        if !unread.is_empty() {
            let some = unread.iter().take(8).copied().collect::<Vec<_>>().join(", ");
            notes.push(format!("left out {} nodes that the output does not need: {some}", unread.len()));
        }
        Ok(Needed { output, nodes: needed.into_iter().collect(), norms, notes })
    }
}

fn twice(place: &str, cause: &str) -> ReadMistake {
    ReadMistake { place: place.into(), cause: cause.into(), remedy: "check the file with onnx.checker".into() }
}

/// Layers that `output` needs, with the weights of each, numbered anew.
fn prune(
    layers: Vec<Layer>,
    weights: BTreeMap<(usize, &'static str), Vec<f32>>,
    output: usize,
) -> (Vec<Layer>, Weights) {
    let mut is_needed = vec![false; output + 1];
    is_needed[output] = true;
    for index in (0..=output).rev() {
        if is_needed[index] {
            layers[index].inputs.iter().for_each(|input| is_needed[input.0 as usize] = true);
        }
    }
    let mut numbers = vec![LayerId(0); output + 1];
    let mut kept = Vec::new();
    for (index, mut layer) in layers.into_iter().enumerate().take(output + 1) {
        if is_needed[index] {
            layer.inputs.iter_mut().for_each(|input| *input = numbers[input.0 as usize]);
            numbers[index] = LayerId(kept.len() as u32);
            kept.push(layer);
        }
    }
    let kept_weights = weights.into_iter().filter(|((layer, _), _)| is_needed.get(*layer) == Some(&true));
    let given = kept_weights.map(|((layer, name), tensor)| ((numbers[layer], name), tensor)).collect();
    (kept, Weights::Given(given))
}

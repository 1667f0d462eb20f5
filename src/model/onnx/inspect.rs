//! Whether a file from elsewhere is one that [`write`](fn@super::write) could have written.
//!
//! Runtimes read whatever ONNX allows, files beside the model and programs within it too. What others send is held
//! against the operators and the kinds of values that are written here.

use std::collections::BTreeSet;

use prost::Message;
use prost::bytes::Bytes;

use super::proto::{AttributeType, FLOAT, INT64, ModelProto, NodeProto, Size, TensorProto, ValueInfo};

/// The operators that are written.
const OPERATORS: [&str; 31] = [
    "Add",
    "AveragePool",
    "BatchNormalization",
    "Clip",
    "Concat",
    "Conv",
    "ConvTranspose",
    "Div",
    "Flatten",
    "GRU",
    "Gemm",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "HardSwish",
    "Identity",
    "LSTM",
    "LeakyRelu",
    "Max",
    "MaxPool",
    "Mul",
    "Pad",
    "Pow",
    "Relu",
    "Reshape",
    "Resize",
    "Sigmoid",
    "Slice",
    "Softmax",
    "Sum",
    "Tanh",
    "Transpose",
];

/// No network has more.
const NODES_MAX: usize = 1 << 16;

/// A tensor that goes in or comes out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Border {
    /// Its name.
    pub name: String,
    /// The sizes of its dimensions; `None` for those that are named, such as the number of samples.
    pub dims: Vec<Option<u64>>,
}

/// What goes in and comes out of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Borders {
    /// Inputs.
    pub inputs: Vec<Border>,
    /// Outputs.
    pub outputs: Vec<Border>,
}

/// Looks at `bytes` as an ONNX file.
///
/// # Errors
/// It could not have been written here, and why.
pub fn inspect(bytes: &Bytes) -> Result<Borders, String> {
    // Shares the bytes of tensors instead of copying them.
    let model = ModelProto::decode(bytes.clone()).map_err(|error| format!("it is no ONNX file: {error}"))?;
    let is_ours = |set: &super::proto::OperatorSet| set.domain.as_deref().unwrap_or_default().is_empty();
    if !model.operator_sets.iter().all(is_ours) {
        return Err("it has operators of a domain of its own".into());
    }
    let graph = model.graph.ok_or("it has no graph")?;
    if graph.nodes.len() > NODES_MAX {
        return Err(format!("it has {} nodes, more than {NODES_MAX}", graph.nodes.len()));
    }
    if !graph.sparse_tensors.is_empty() {
        return Err("it has sparse tensors".into());
    }
    graph.nodes.iter().try_for_each(inspect_node)?;
    graph.tensors.iter().try_for_each(inspect_tensor)?;
    let borders = |ports: &[ValueInfo]| -> Result<Vec<Border>, String> {
        let mut names = BTreeSet::new();
        let border = |port: &ValueInfo| {
            let shape = port.tensor().filter(|tensor| tensor.kind == FLOAT).and_then(|tensor| tensor.shape.as_ref());
            let shape = shape.ok_or_else(|| format!("`{}` is no tensor of floats with a shape", port.name))?;
            let dims = shape.dims.iter().map(|dim| match dim.size {
                Some(Size::Fixed(size)) => u64::try_from(size).ok(),
                _ => None,
            });
            Ok(Border { name: port.name.clone(), dims: dims.collect() })
        };
        let borders = ports.iter().map(border).collect::<Result<Vec<_>, String>>()?;
        match borders.iter().all(|border| names.insert(border.name.clone())) {
            true => Ok(borders),
            false => Err("an input or output is named twice".into()),
        }
    };
    Ok(Borders { inputs: borders(&graph.inputs)?, outputs: borders(&graph.outputs)? })
}

fn inspect_node(node: &NodeProto) -> Result<(), String> {
    if !node.domain.is_empty() || OPERATORS.binary_search(&node.operator.as_str()).is_err() {
        return Err(format!("it has the operator `{}`, which coinfer does not write", shown(&node.operator)));
    }
    for attribute in &node.attributes {
        let is_plain = matches!(
            AttributeType::try_from(attribute.kind),
            Ok(AttributeType::Float | AttributeType::Integer | AttributeType::Text | AttributeType::Integers)
        );
        if !is_plain || attribute.tensor.is_some() {
            return Err(format!("`{}` of {} is no plain value", shown(&attribute.name), node.operator));
        }
    }
    Ok(())
}

fn inspect_tensor(tensor: &TensorProto) -> Result<(), String> {
    let name = shown(&tensor.name);
    if tensor.location != 0 || !tensor.external.is_empty() {
        return Err(format!("tensor `{name}` lies in another file"));
    }
    let element_bytes: u64 = match tensor.kind {
        FLOAT => 4,
        INT64 => 8,
        kind => return Err(format!("tensor `{name}` has elements of kind {kind}")),
    };
    let mut sizes = tensor.dims.iter().map(|&dim| u64::try_from(dim).ok());
    let bytes = sizes.try_fold(element_bytes, |product, size| product.checked_mul(size?));
    let found = tensor.raw.as_ref().map_or(0, |raw| raw.len() as u64);
    if bytes != Some(found) {
        return Err(format!("tensor `{name}` has {found} bytes, which are not as many as its dimensions say"));
    }
    Ok(())
}

/// The start of a text of others.
fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::onnx::proto::{AttributeProto, GraphProto, OperatorSet};
    use crate::model::{Weights, onnx, zoo};

    #[test]
    fn what_is_written_passes_with_its_borders() {
        for name in zoo::names() {
            let graph = zoo::graph(name).unwrap();
            if graph.parameters(&graph.whole().unwrap()).0 > 120 << 20 {
                continue;
            }
            // Whatever the numbers are; those of large networks take long to draw.
            let zeros =
                |id| graph.weights(id).into_iter().map(move |of| ((id, of.name), vec![0.0; of.elements() as usize]));
            let weights = Weights::Given(graph.layer_ids().flat_map(zeros).collect());
            let bytes = onnx::write(&graph, &weights, &graph.whole().unwrap(), &(0..1), None).unwrap();
            let borders = inspect(&bytes.into()).unwrap_or_else(|reason| panic!("{name}: {reason}"));
            assert_eq!(borders.outputs.len(), 1, "{name}");
            assert_eq!((borders.inputs[0].dims.len(), borders.inputs[0].dims[0]), (4, None), "{name}");
        }
    }

    #[test]
    fn operators_are_in_order_to_be_found() {
        assert!(OPERATORS.is_sorted());
    }

    /// What is said of a file with one node and one tensor, which `change` has made wrong.
    fn refused(change: impl FnOnce(&mut ModelProto)) -> String {
        let node =
            NodeProto { operator: "Relu".into(), attributes: vec![AttributeProto::default()], ..NodeProto::default() };
        let tensor = TensorProto { dims: vec![2], kind: FLOAT, raw: Some(vec![0; 8].into()), ..TensorProto::default() };
        let mut graph = GraphProto { nodes: vec![node], tensors: vec![tensor], ..GraphProto::default() };
        graph.nodes[0].attributes[0].kind = AttributeType::Integer.into();
        let mut model = ModelProto { graph: Some(graph), ..ModelProto::default() };
        assert!(inspect(&model.encode_to_vec().into()).is_ok());
        change(&mut model);
        inspect(&model.encode_to_vec().into()).unwrap_err()
    }

    fn refused_graph(change: impl FnOnce(&mut GraphProto)) -> String {
        refused(|model| change(model.graph.as_mut().unwrap()))
    }

    #[test]
    fn what_is_not_written_is_refused() {
        let check = |found: String, expected: &str| assert!(found.contains(expected), "{found}");
        check(inspect(&Bytes::from_static(b"\xff\xff")).unwrap_err(), "it is no ONNX file");
        let other = OperatorSet { domain: Some("com.example".into()), version: 1 };
        check(refused(|model| model.operator_sets.push(other)), "a domain of its own");
        check(refused(|model| model.graph = None), "no graph");
        check(refused_graph(|graph| graph.nodes[0].operator = "If".into()), "the operator `If`");
        check(refused_graph(|graph| graph.nodes[0].domain = "x".into()), "the operator `Relu`");
        check(refused_graph(|graph| graph.nodes[0].attributes[0].kind = 5), "no plain value");
        check(refused_graph(|graph| graph.tensors[0].location = 1), "lies in another file");
        check(refused_graph(|graph| graph.tensors[0].external.push(())), "lies in another file");
        check(refused_graph(|graph| graph.tensors[0].kind = 8), "elements of kind 8");
        check(refused_graph(|graph| graph.tensors[0].dims = vec![i64::MAX, i64::MAX]), "8 bytes");
        check(refused_graph(|graph| graph.tensors[0].dims = vec![-1]), "8 bytes");
        check(refused_graph(|graph| graph.inputs.push(ValueInfo::new("x", INT64, vec![]))), "no tensor of floats");
        let port = || ValueInfo::new("x", FLOAT, vec![Size::Fixed(1)]);
        check(refused_graph(|graph| graph.outputs.extend([port(), port()])), "named twice");
    }
}

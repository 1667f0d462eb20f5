//! Normalisations, also those that are written in simpler operators.

use std::collections::BTreeMap;

use super::super::proto::{GraphProto, NodeProto};
use super::layout::CANONICAL;
use super::translate::{Translator, Unreadable, Value, Values};
use super::windows::unsigned;
use crate::model::Op;

/// A local response normalisation in the operators that our writer makes of it.
pub(super) struct Lrn<'n> {
    /// What is normalised.
    pub(super) input: &'n str,
    /// Nodes that are a part of it.
    pub(super) inside: Vec<usize>,
}

/// The operators before the division, from its second input backwards, and which input leads on.
const CHAIN: [&str; 7] = ["Pow", "Add", "Mul", "Reshape", "AveragePool", "Reshape", "Mul"];

/// The normalisation that node `last` ends, if it does.
pub(super) fn find<'n>(network: &'n GraphProto, producers: &BTreeMap<&str, usize>, last: usize) -> Option<Lrn<'n>> {
    let division = &network.nodes[last];
    let (input, mut next) = (division.inputs.first()?, division.inputs.get(1)?);
    if division.operator != "Div" {
        return None;
    }
    let mut inside = Vec::new();
    for operator in CHAIN {
        let &index = producers.get(next.as_str())?;
        let node = &network.nodes[index];
        if node.operator != operator {
            return None;
        }
        inside.push(index);
        next = node.inputs.first()?;
    }
    let squares = &network.nodes[*inside.last()?];
    (squares.inputs == [input.as_str(), input]).then_some(Lrn { input, inside })
}

impl<'n> Translator<'n> {
    pub(super) fn lrn(&mut self, node: &NodeProto, lrn: &Lrn<'n>) -> Values<'n> {
        let network = self.network;
        let nodes: Vec<&NodeProto> = lrn.inside.iter().map(|&index| &network.nodes[index]).collect();
        let number = |this: &mut Self, at: usize| match this.constant(nodes[at], 1)? {
            Some((_, numbers)) if numbers.len() == 1 => Ok(numbers[0]),
            _ => Err(Unreadable::operator("divides by a power of something that is no constant")),
        };
        let (beta, bias, alpha) = (number(self, 0)?, number(self, 1)?, number(self, 2)?);
        let (layer, rank) = self.ordered(node, 0)?;
        let pool = nodes[4];
        let size = match pool.integers("kernel_shape")? {
            Some([size, 1]) => unsigned(*size)?,
            _ => 0,
        };
        let channels = i64::from(self.shapes[layer].channels);
        let before = (i64::from(size) - 1) / 2;
        let is_over_channels = self.reshapes_to(nodes[5], &[0, 1, channels, -1])?
            && pool.integers("pads")? == Some(&[before, 0, i64::from(size) - 1 - before, 0])
            && pool.integers("strides")?.is_none_or(|strides| strides == [1, 1])
            && pool.integer("count_include_pad", 0)? == 1
            && rank == 4;
        if size == 0 || !is_over_channels {
            return Err(Unreadable::operator("divides by something else than a mean over neighbouring channels"));
        }
        let layer = self.add(node, Op::Lrn { size, alpha, beta, bias }, vec![layer], vec![])?;
        Ok(vec![Value::Maps(layer, CANONICAL.to_vec())])
    }

    fn reshapes_to(&self, node: &NodeProto, dims: &[i64]) -> Result<bool, Unreadable> {
        Ok(self.known_numbers(node, 1)? == dims)
    }

    pub(super) fn lrn_node(&mut self, node: &NodeProto) -> Values<'n> {
        let (layer, rank) = self.ordered(node, 0)?;
        let op = Op::Lrn {
            size: unsigned(node.integer("size", 0)?)?,
            alpha: node.float("alpha", 1e-4)?,
            beta: node.float("beta", 0.75)?,
            bias: node.float("bias", 1.0)?,
        };
        if matches!(op, Op::Lrn { size: 0, .. }) {
            return Err(Unreadable::invalid("has a size of zero"));
        }
        let layer = self.add(node, op, vec![layer], vec![])?;
        Ok(vec![Value::Maps(layer, CANONICAL[..rank].to_vec())])
    }

    pub(super) fn batch_norm(&mut self, node: &NodeProto) -> Values<'n> {
        if node.integer("training_mode", 0)? != 0 || (1..5).any(|output| self.is_read(node, output)) {
            return Err(Unreadable::new("is for training", "export the network for inference: model.eval()"));
        }
        node.expect("spatial", 1)?;
        if self.opset < 7 {
            node.expect("is_test", 1)?;
        }
        let (layer, axes) = self.maps(node, 0)?;
        if !CANONICAL.starts_with(&axes) {
            return Err(Unreadable::operator("reads maps in another order than NCHW"));
        }
        let names = ["scale", "shift", "mean", "variance"];
        let mut weights = Vec::new();
        for (index, name) in names.into_iter().enumerate() {
            weights.push((name, self.weight(node, index + 1)?.1));
        }
        let op = Op::BatchNorm { epsilon: node.float("epsilon", 1e-5)? };
        let layer = self.add(node, op, vec![layer], weights)?;
        Ok(vec![Value::Maps(layer, axes)])
    }
}

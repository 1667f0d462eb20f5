//! Which operator is read how, and the operators without windows.

use super::super::proto::NodeProto;
use super::layout::{Axis, position};
use super::translate::{Translator, Unreadable, Value, Values};
use crate::model::{Activation, Op, Pooling};

/// Channels that one number may be spread over.
pub(super) const SPREAD_MAX: u32 = 1 << 20;

impl<'n> Translator<'n> {
    pub(super) fn translate(&mut self, node: &'n NodeProto) -> Values<'n> {
        match node.operator.as_str() {
            "Conv" => self.conv(node),
            "ConvTranspose" => self.conv_transposed(node),
            "MaxPool" | "AveragePool" => self.pool(node),
            "GlobalAveragePool" => self.global_pool(node, Pooling::Average),
            "GlobalMaxPool" => self.global_pool(node, Pooling::Max),
            "ReduceMean" => self.reduce(node, Pooling::Average),
            "ReduceMax" => self.reduce(node, Pooling::Max),
            "BatchNormalization" => self.batch_norm(node),
            "LRN" => self.lrn_node(node),
            "Relu" => self.activation(node, Activation::Relu),
            "Sigmoid" => self.activation(node, Activation::Sigmoid),
            "Tanh" => self.activation(node, Activation::Tanh),
            "HardSwish" => self.activation(node, Activation::HardSwish),
            "LeakyRelu" => self.activation(node, Activation::LeakyRelu { slope: node.float("alpha", 0.01)? }),
            "Clip" => self.clip(node),
            "HardSigmoid" => self.hard_sigmoid(node),
            "Add" | "Sub" | "Mul" | "Div" if self.is_arithmetic(node)? => self.arithmetic(node),
            "Add" | "Sub" | "Mul" | "Div" => self.elementwise(node),
            "Sum" => self.sum(node),
            "Concat" if self.is_arithmetic(node)? => self.joined(node),
            "Concat" => self.concat(node),
            "Softmax" => self.softmax(node),
            "Gemm" => self.gemm(node),
            "MatMul" => self.product(node),
            "LSTM" | "GRU" => self.recurrent(node),
            "Flatten" => self.flatten(node),
            "Reshape" => self.reshape(node),
            "Transpose" => self.transpose(node),
            "Squeeze" => self.squeeze(node),
            "Unsqueeze" => self.unsqueeze(node),
            "Pad" => self.pad(node),
            "Resize" | "Upsample" => self.resize(node),
            "SpaceToDepth" => self.space_to_depth(node),
            "Dropout" => self.dropout(node),
            "Identity" | "Cast" | "Floor" => self.same(node),
            "Constant" => self.constant_node(node),
            "ConstantOfShape" => self.filled(node),
            "Expand" => self.expand(node),
            "Shape" => self.shape(node),
            "Gather" => self.gather(node),
            "Slice" => self.slice(node),
            "If" | "Loop" | "Scan" | "SequenceMap" => Err(Unreadable::new(
                "chooses at run time what is computed",
                "simplify the file, for example with onnxsim, or export the network without control flow",
            )),
            name if name.contains("Quantize") || name.contains("QLinear") || name.ends_with("Integer") => {
                let remedy = "export the network in 32-bit floats, before quantisation";
                Err(Unreadable::new("computes in quantised numbers", remedy))
            }
            _ => Err(Unreadable::operator("is an operator that is not read")),
        }
    }

    fn activation(&mut self, node: &NodeProto, activation: Activation) -> Values<'n> {
        let (layer, axes) = self.maps(node, 0)?;
        let layer = self.add(node, Op::Activation(activation), vec![layer], vec![])?;
        Ok(vec![Value::Maps(layer, axes)])
    }

    fn clip(&mut self, node: &NodeProto) -> Values<'n> {
        let mut bound = |name: &str, index: usize, default: f32| {
            if node.has(name) {
                return node.float(name, default);
            }
            if self.value(node, index)?.is_none() {
                return Ok(default);
            }
            match self.weight(node, index)?.1.as_slice() {
                &[bound] => Ok(bound),
                _ => Err(Unreadable::invalid("has a bound that is not one number")),
            }
        };
        let (low, high) = (bound("min", 1, f32::NEG_INFINITY)?, bound("max", 2, f32::INFINITY)?);
        if low.is_nan() || high.is_nan() {
            return Err(Unreadable::invalid("has a bound that is no number"));
        }
        self.activation(node, Activation::Clip { low, high })
    }

    /// A line, cut off at 0 and 1.
    fn hard_sigmoid(&mut self, node: &NodeProto) -> Values<'n> {
        let (layer, axes) = self.maps(node, 0)?;
        let channels = self.spread(layer)?;
        let (slope, offset) = (node.float("alpha", 0.2)?, node.float("beta", 0.5)?);
        let line = self.line(node, layer, vec![slope; channels], vec![offset; channels])?;
        let op = Op::Activation(Activation::Clip { low: 0.0, high: 1.0 });
        let layer = self.add(node, op, vec![line], vec![])?;
        Ok(vec![Value::Maps(layer, axes)])
    }

    /// Channels of `layer`, if one number may be repeated for each.
    fn spread(&self, layer: usize) -> Result<usize, Unreadable> {
        match self.shapes[layer].channels {
            channels @ ..=SPREAD_MAX => Ok(channels as usize),
            channels => Err(Unreadable::operator(format!("spreads a number over {channels} channels"))),
        }
    }

    /// Each channel times a number, plus another: a batch normalisation that normalises nothing.
    fn line(&mut self, node: &NodeProto, layer: usize, scale: Vec<f32>, shift: Vec<f32>) -> Result<usize, Unreadable> {
        let (zero, one) = (vec![0.0; scale.len()], vec![1.0; scale.len()]);
        let weights = vec![("scale", scale), ("shift", shift), ("mean", zero), ("variance", one)];
        self.add(node, Op::BatchNorm { epsilon: 0.0 }, vec![layer], weights)
    }

    fn elementwise(&mut self, node: &NodeProto) -> Values<'n> {
        if self.opset < 7 {
            node.expect("broadcast", 0)?;
        }
        for (maps, constant) in [(0, 1), (1, 0)] {
            if let Some((dims, numbers)) = self.constant(node, constant)? {
                return self.with_constant(node, maps, &dims, numbers);
            }
        }
        let ((left, axes), (right, other)) = (self.maps(node, 0)?, self.maps(node, 1)?);
        let is_product = match node.operator.as_str() {
            "Add" => false,
            "Mul" => true,
            _ => return Err(Unreadable::operator("of two maps is not read")),
        };
        // A vector next to maps counts if it has their dimensions, of size one.
        if axes != other {
            return Err(Unreadable::operator("reads maps with different orders of dimensions"));
        }
        let sigmoid = Op::Activation(Activation::Sigmoid);
        let gates = |gate: usize, input: usize| {
            self.layers[gate].op == sigmoid && self.layers[gate].inputs[0].0 as usize == input
        };
        if is_product && (gates(left, right) || gates(right, left)) {
            let input = if gates(left, right) { right } else { left };
            let layer = self.add(node, Op::Activation(Activation::Silu), vec![input], vec![])?;
            return Ok(vec![Value::Maps(layer, axes)]);
        }
        let op = if is_product { Op::Multiply } else { Op::Add };
        let layer = self.add(node, op, vec![left, right], vec![])?;
        Ok(vec![Value::Maps(layer, axes)])
    }

    fn with_constant(&mut self, node: &NodeProto, maps: usize, dims: &[i64], numbers: Vec<f32>) -> Values<'n> {
        let (layer, axes) = self.maps(node, maps)?;
        let channels = self.spread(layer)?;
        // Constants have the last dimensions; all but the channels are one.
        let missing = axes.len().checked_sub(dims.len());
        let missing = missing.ok_or_else(|| Unreadable::operator("adds dimensions by a constant"))?;
        let is_by_channel = dims.iter().zip(&axes[missing..]).all(|(&size, &axis)| size == 1 || axis == Axis::Channels);
        let constant = match numbers.as_slice() {
            &[number] => vec![number; channels],
            _ if is_by_channel && numbers.len() == channels => numbers,
            _ => return Err(Unreadable::operator("has a constant that is not one number for each channel")),
        };
        let (scale, shift) = match (node.operator.as_str(), maps) {
            ("Add", _) => (vec![1.0; channels], constant),
            ("Mul", _) => (constant, vec![0.0; channels]),
            ("Sub", 0) => (vec![1.0; channels], constant.iter().map(|number| -number).collect()),
            ("Sub", _) => (vec![-1.0; channels], constant),
            ("Div", 0) => (constant.iter().map(|number| 1.0 / number).collect(), vec![0.0; channels]),
            _ => return Err(Unreadable::operator("divides a constant by maps")),
        };
        // An addition that alone reads a product without bias is its bias.
        if node.operator == "Add" && self.is_only_reader(node, maps, layer) {
            let takes = match &mut self.layers[layer].op {
                Op::Conv(conv) | Op::ConvTransposed { conv, .. } => Some(&mut conv.bias),
                Op::Dense { bias, .. } => Some(bias),
                _ => None,
            };
            if let Some(bias @ false) = takes {
                *bias = true;
                self.weights.insert((layer, "bias"), shift);
                return Ok(vec![Value::Maps(layer, axes)]);
            }
        }
        let layer = self.line(node, layer, scale, shift)?;
        Ok(vec![Value::Maps(layer, axes)])
    }

    fn all_maps(&self, node: &NodeProto) -> Result<(Vec<usize>, Vec<Axis>), Unreadable> {
        let (first, axes) = self.maps(node, 0)?;
        let mut layers = vec![first];
        for index in 1..node.inputs.len() {
            let (layer, other) = self.maps(node, index)?;
            if other != axes {
                return Err(Unreadable::operator("reads maps with different orders of dimensions"));
            }
            layers.push(layer);
        }
        Ok((layers, axes))
    }

    fn sum(&mut self, node: &NodeProto) -> Values<'n> {
        let (layers, axes) = self.all_maps(node)?;
        let layer = self.add(node, Op::Add, layers, vec![])?;
        Ok(vec![Value::Maps(layer, axes)])
    }

    fn concat(&mut self, node: &NodeProto) -> Values<'n> {
        let (layers, axes) = self.all_maps(node)?;
        let at = position(node.integer("axis", i64::MIN)?, axes.len())?;
        if axes[at] != Axis::Channels {
            return Err(Unreadable::operator("joins maps along another dimension than the channels"));
        }
        let layer = self.add(node, Op::Concat, layers, vec![])?;
        Ok(vec![Value::Maps(layer, axes)])
    }

    fn softmax(&mut self, node: &NodeProto) -> Values<'n> {
        let (layer, axes) = self.maps(node, 0)?;
        let is_new = self.opset >= 13;
        let at = position(node.integer("axis", if is_new { -1 } else { 1 })?, axes.len())?;
        let shape = self.shapes[layer];
        // Older versions take all dimensions from `axis` on together.
        let is_alone = is_new || (shape.rows, shape.cols) == (1, 1) || at + 1 == axes.len();
        if axes[at] != Axis::Channels || !is_alone {
            return Err(Unreadable::operator("is over another dimension than the channels"));
        }
        let layer = self.add(node, Op::Softmax, vec![layer], vec![])?;
        Ok(vec![Value::Maps(layer, axes)])
    }

    fn dropout(&mut self, node: &NodeProto) -> Values<'n> {
        if self.opset < 7 {
            node.expect("is_test", 1)?;
        }
        let is_for_training = match self.value(node, 2)? {
            None => false,
            Some(Value::TensorProto(tensor, _)) => {
                tensor.raw.iter().flatten().any(|&byte| byte != 0) || tensor.small_integers.iter().any(|&x| x != 0)
            }
            Some(_) => true,
        };
        if is_for_training || self.is_read(node, 1) {
            return Err(Unreadable::new("is for training", "export the network for inference: model.eval()"));
        }
        let (layer, axes) = self.maps(node, 0)?;
        let layer = self.add(node, Op::Dropout, vec![layer], vec![])?;
        Ok(vec![Value::Maps(layer, axes)])
    }

    fn same(&mut self, node: &NodeProto) -> Values<'n> {
        let value = self.value(node, 0)?.ok_or_else(|| Unreadable::invalid("lacks its input"))?;
        if node.operator == "Floor" && !matches!(value, Value::Numbers(_)) {
            return Err(Unreadable::operator("rounds maps"));
        }
        if node.operator == "Cast" && !matches!(value, Value::Numbers(_)) {
            match (node.integer("to", 1)?, &value) {
                (1 | 10 | 11, Value::Maps(..) | Value::Filled(..)) => {}
                (6 | 7, Value::TensorProto(tensor, _)) if matches!(tensor.kind, 6 | 7) => {}
                (1 | 10 | 11, Value::TensorProto(tensor, _)) if matches!(tensor.kind, 1 | 10 | 11) => {}
                _ => return Err(Unreadable::operator("converts to other numbers")),
            }
        }
        Ok(vec![value])
    }

    /// A number repeated; maps are not.
    fn expand(&mut self, node: &NodeProto) -> Values<'n> {
        match self.constant(node, 0)? {
            Some((_, numbers)) if numbers.iter().all(|&number| number.to_bits() == numbers[0].to_bits()) => {
                Ok(vec![Value::Filled(numbers.first().copied().unwrap_or(0.0), None)])
            }
            _ => Err(Unreadable::operator("repeats maps")),
        }
    }
}

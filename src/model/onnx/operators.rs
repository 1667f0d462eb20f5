//! Each operator as nodes of ONNX, over some of its rows.

use super::file::Attribute;
use super::windows::sliding;
use super::write::Writer;
use crate::model::{Activation, LayerId, Op, Pooling, Steps, Window};

use Attribute::{Float, Integer, Integers, Text};

impl Writer<'_> {
    /// The nodes that compute the rows of `id` which are needed.
    pub(super) fn layer(&mut self, id: LayerId) {
        let layer = self.graph.layer(id);
        match &layer.op {
            Op::Input(_) | Op::Opaque { .. } => unreachable!("refused before"),
            Op::Conv(conv) => {
                let weights = self.weights(id);
                self.conv(id, layer.inputs[0], conv, id, weights);
            }
            Op::BatchNorm { epsilon } => self.batch_norm(id, *epsilon),
            Op::ConvTransposed { conv, output_pad } => self.conv_transposed(id, conv, *output_pad),
            Op::Pool { pooling, rows, cols } => self.pool(id, *pooling, rows, cols),
            Op::GlobalPool(pooling) => {
                let average = matches!(pooling, Pooling::Average | Pooling::AverageWithPadding);
                self.plain(id, if average { "GlobalAveragePool" } else { "GlobalMaxPool" }, &[]);
            }
            Op::Activation(activation) => self.activation(id, *activation),
            Op::Add => self.fold(id, "Add"),
            Op::Multiply => self.fold(id, "Mul"),
            Op::Concat => self.plain(id, "Concat", &[("axis", Integer(1))]),
            Op::Flatten => self.reshape(id, &[0, -1, 1, 1]),
            &Op::Reshape { channels, rows, cols } => self.reshape(id, &[0, channels.into(), rows.into(), cols.into()]),
            Op::Dense { .. } => self.dense(id),
            Op::Softmax => {
                let (input, read) = self.read(id, layer.inputs[0]);
                self.node_of_rows(id, &read, "Softmax", &[input], &[("axis", Integer(1))]);
            }
            &Op::Lrn { size, alpha, beta, bias } => self.lrn(id, size, [alpha, beta, bias]),
            Op::Dropout => self.plain(id, "Identity", &[]),
            Op::SpaceToDepth { block } => self.space_to_depth(id, *block),
            Op::Upsample { factor } => self.upsample(id, *factor),
            Op::Lstm { hidden, steps } => self.recurrent(id, "LSTM", *hidden, *steps),
            Op::Gru { hidden, steps } => self.recurrent(id, "GRU", *hidden, *steps),
        }
    }

    fn inputs(&mut self, id: LayerId) -> Vec<String> {
        let graph = self.graph;
        graph.layer(id).inputs.iter().map(|&input| self.read(id, input).0).collect()
    }

    /// One node that computes exactly the rows that are needed from those that it reads.
    fn plain(&mut self, id: LayerId, operator: &str, attributes: &[(&str, Attribute)]) {
        let inputs = self.inputs(id);
        let rows = self.rows(id);
        self.node_of_rows(id, &rows, operator, &inputs, attributes);
    }

    /// An operator of two inputs, over any number of them.
    fn fold(&mut self, id: LayerId, operator: &str) {
        let inputs = self.inputs(id);
        let rows = self.rows(id);
        let [first, middle @ .., last] = inputs.as_slice() else {
            return self.node_of_rows(id, &rows, "Identity", &inputs, &[]);
        };
        let mut so_far = first.clone();
        for input in middle {
            so_far = self.inner(operator, &[so_far, input.clone()], &[]);
        }
        self.node_of_rows(id, &rows, operator, &[so_far, last.clone()], &[]);
    }

    fn activation(&mut self, id: LayerId, activation: Activation) {
        let rows = self.rows(id);
        let mut inputs = self.inputs(id);
        match activation {
            Activation::Relu => self.node_of_rows(id, &rows, "Relu", &inputs, &[]),
            Activation::Clip { low, high } => {
                inputs.extend([low, high].map(|bound| self.scalar(bound)));
                self.node_of_rows(id, &rows, "Clip", &inputs, &[]);
            }
            Activation::LeakyRelu { slope } => {
                self.node_of_rows(id, &rows, "LeakyRelu", &inputs, &[("alpha", Float(slope))]);
            }
            Activation::Sigmoid => self.node_of_rows(id, &rows, "Sigmoid", &inputs, &[]),
            Activation::Tanh => self.node_of_rows(id, &rows, "Tanh", &inputs, &[]),
            Activation::HardSwish => self.node_of_rows(id, &rows, "HardSwish", &inputs, &[]),
            Activation::Silu => {
                inputs.push(self.inner("Sigmoid", &inputs, &[]));
                self.node_of_rows(id, &rows, "Mul", &inputs, &[]);
            }
        }
    }

    fn batch_norm(&mut self, id: LayerId, epsilon: f32) {
        if let Some(conv) = self.folded(id)
            && let Op::Conv(geometry) = &self.graph.layer(conv).op
        {
            let weights = self.folded_weights(conv, id, epsilon);
            return self.conv(conv, self.graph.layer(conv).inputs[0], geometry, id, weights);
        }
        let mut inputs = self.inputs(id);
        inputs.extend(self.weights(id));
        let rows = self.rows(id);
        self.node_of_rows(id, &rows, "BatchNormalization", &inputs, &[("epsilon", Float(epsilon))]);
    }

    fn reshape(&mut self, id: LayerId, dims: &[i64]) {
        let (input, _) = self.read(id, self.graph.layer(id).inputs[0]);
        let dims = self.integers(dims);
        let all = 0..self.shape(id).rows;
        self.node_of_rows(id, &all, "Reshape", &[input, dims], &[]);
    }

    fn dense(&mut self, id: LayerId) {
        let (input, _) = self.read(id, self.graph.layer(id).inputs[0]);
        let vector = self.inner("Flatten", &[input], &[("axis", Integer(1))]);
        let inputs: Vec<String> = std::iter::once(vector).chain(self.weights(id)).collect();
        let product = self.inner("Gemm", &inputs, &[("transB", Integer(1))]);
        let dims = self.integers(&[0, -1, 1, 1]);
        self.node_of_rows(id, &(0..1), "Reshape", &[product, dims], &[]);
    }

    /// A mean over neighbouring channels, taken by a pooling that has them as rows.
    fn lrn(&mut self, id: LayerId, size: u32, [alpha, beta, bias]: [f32; 3]) {
        let rows = self.rows(id);
        let (input, _) = self.read(id, self.graph.layer(id).inputs[0]);
        let shape = self.shape(id);
        let squares = self.inner("Mul", &[input.clone(), input.clone()], &[]);
        let as_rows = self.integers(&[0, 1, shape.channels.into(), -1]);
        let squares = self.inner("Reshape", &[squares, as_rows], &[]);
        let before = (size.max(1) - 1) / 2;
        let after = size.max(1) - 1 - before;
        let window = Window { pad_before: before, pad_after: after, ..Window::new(size) };
        let pads = [before.into(), 0, after.into(), 0];
        let mut attributes = sliding([&window, &Window::new(1)], pads);
        attributes.push(("count_include_pad", Integer(1)));
        let means = self.inner("AveragePool", &[squares], &attributes);
        let as_maps = self.integers(&[0, shape.channels.into(), rows.len() as i64, shape.cols.into()]);
        let means = self.inner("Reshape", &[means, as_maps], &[]);
        let [alpha, beta, bias] = [alpha, beta, bias].map(|number| self.scalar(number));
        let scaled = self.inner("Mul", &[means, alpha], &[]);
        let sum = self.inner("Add", &[scaled, bias], &[]);
        let power = self.inner("Pow", &[sum, beta], &[]);
        self.node_of_rows(id, &rows, "Div", &[input, power], &[]);
    }

    fn space_to_depth(&mut self, id: LayerId, block: u32) {
        let rows = self.rows(id);
        let (input, _) = self.read(id, self.graph.layer(id).inputs[0]);
        let (shape, side) = (self.shape(id), i64::from(block));
        let [height, width] = [rows.len() as i64, shape.cols.into()];
        let apart = self.integers(&[0, i64::from(shape.channels) / side / side, height, side, width, side]);
        let blocks = self.inner("Reshape", &[input, apart], &[]);
        let in_front = self.inner("Transpose", &[blocks], &[("perm", Integers(vec![0, 3, 5, 1, 2, 4]))]);
        let dims = self.integers(&[0, shape.channels.into(), height, width]);
        self.node_of_rows(id, &rows, "Reshape", &[in_front, dims], &[]);
    }

    fn upsample(&mut self, id: LayerId, factor: u32) {
        let (input, read) = self.read(id, self.graph.layer(id).inputs[0]);
        let scales = self.floats(&[1.0, 1.0, factor as f32, factor as f32], &[4]);
        let attributes = [
            ("mode", Text("nearest")),
            ("coordinate_transformation_mode", Text("asymmetric")),
            ("nearest_mode", Text("floor")),
        ];
        let computed = read.start * factor..read.end * factor;
        self.node_of_rows(id, &computed, "Resize", &[input, String::new(), scales], &attributes);
    }

    /// From `N` x features x time x 1 to time x `N` x features and back.
    fn recurrent(&mut self, id: LayerId, operator: &str, hidden: u32, steps: Steps) {
        let sequence = self.graph.layer(id).inputs[0];
        let (input, read) = self.read(id, sequence);
        let dims = self.integers(&[0, self.shape(sequence).channels.into(), read.len() as i64]);
        let flat = self.inner("Reshape", &[input, dims], &[]);
        let by_time = self.inner("Transpose", &[flat], &[("perm", Integers(vec![2, 0, 1]))]);
        let inputs: Vec<String> = std::iter::once(by_time).chain(self.weights(id)).collect();
        let mut attributes = vec![("hidden_size", Integer(hidden.into()))];
        if operator == "GRU" {
            attributes.push(("linear_before_reset", Integer(1)));
        }
        let state = self.fresh();
        match steps {
            Steps::All => {
                self.file.node(operator, &inputs, &[&state], &attributes);
                let order = [("perm", Integers(vec![2, 3, 0, 1]))];
                self.node_of_rows(id, &read, "Transpose", &[state], &order);
            }
            Steps::Last => {
                self.file.node(operator, &inputs, &["", &state], &attributes);
                let vector = self.inner("Transpose", &[state], &[("perm", Integers(vec![1, 2, 0]))]);
                let dims = self.integers(&[0, hidden.into(), 1, 1]);
                self.node_of_rows(id, &(0..1), "Reshape", &[vector, dims], &[]);
            }
        }
    }
}

//! Layers appended one by one, each named and given the layers that it reads.

use crate::model::{Activation, Conv, Graph, Layer, LayerId, Op, Pooling, Shape, Window};

/// A network that grows at its end. The first layer is called `input`, and the last one to be added is the output.
pub(super) struct GraphBuilder {
    layers: Vec<Layer>,
    /// What follows convolutions.
    activation: Activation,
    /// Of every batch-norm.
    epsilon: f32,
}

impl GraphBuilder {
    /// A network of one input, with ReLU and PyTorch's default epsilon.
    pub(super) fn new(input: Shape) -> GraphBuilder {
        let input = Layer { name: "input".into(), op: Op::Input(input), inputs: vec![] };
        GraphBuilder { layers: vec![input], activation: Activation::Relu, epsilon: 1e-5 }
    }

    /// The network with this function after its convolutions.
    pub(super) fn activation(self, activation: Activation) -> GraphBuilder {
        GraphBuilder { activation, ..self }
    }

    /// The network with this number in its batch-norms.
    pub(super) fn epsilon(self, epsilon: f32) -> GraphBuilder {
        GraphBuilder { epsilon, ..self }
    }

    /// The network's input.
    pub(super) fn input(&self) -> LayerId {
        LayerId(0)
    }

    /// Any layer.
    pub(super) fn layer(&mut self, name: impl Into<String>, op: Op, inputs: &[LayerId]) -> LayerId {
        self.layers.push(Layer { name: name.into(), op, inputs: inputs.to_vec() });
        LayerId(self.layers.len() as u32 - 1)
    }

    /// A convolution alone.
    pub(super) fn conv(&mut self, name: &str, conv: Conv, input: LayerId) -> LayerId {
        self.layer(name, Op::Conv(conv), &[input])
    }

    /// `name.bn`.
    pub(super) fn bn(&mut self, name: &str, input: LayerId) -> LayerId {
        self.layer(format!("{name}.bn"), Op::BatchNorm { epsilon: self.epsilon }, &[input])
    }

    /// `name.relu`, also where it is a kind of ReLU.
    pub(super) fn relu(&mut self, name: &str, input: LayerId) -> LayerId {
        self.layer(format!("{name}.relu"), Op::Activation(self.activation), &[input])
    }

    /// A convolution with a bias, and the activation.
    pub(super) fn conv_relu(&mut self, name: &str, conv: Conv, input: LayerId) -> LayerId {
        let x = self.conv(name, conv.bias(), input);
        self.relu(name, x)
    }

    /// A convolution and batch-norm.
    pub(super) fn conv_bn(&mut self, name: &str, conv: Conv, input: LayerId) -> LayerId {
        let x = self.conv(name, conv, input);
        self.bn(name, x)
    }

    /// A convolution, batch-norm and the activation.
    pub(super) fn conv_bn_relu(&mut self, name: &str, conv: Conv, input: LayerId) -> LayerId {
        let x = self.conv_bn(name, conv, input);
        self.relu(name, x)
    }

    /// Batch-norm and the activation, then the convolution that both are named after.
    pub(super) fn bn_relu_conv(&mut self, name: &str, conv: Conv, input: LayerId) -> LayerId {
        let x = self.bn(name, input);
        let x = self.relu(name, x);
        self.conv(name, conv, x)
    }

    /// Pooling by a square window.
    pub(super) fn pool(&mut self, name: &str, pooling: Pooling, window: Window, input: LayerId) -> LayerId {
        self.layer(name, Op::Pool { pooling, rows: window, cols: window }, &[input])
    }

    /// Pooling by the largest of a square window.
    pub(super) fn max_pool(&mut self, name: &str, window: Window, input: LayerId) -> LayerId {
        self.pool(name, Pooling::Max, window, input)
    }

    /// The mean of each map, as a vector.
    pub(super) fn global_average(&mut self, input: LayerId) -> LayerId {
        let x = self.layer("avgpool", Op::GlobalPool(Pooling::Average), &[input]);
        self.flatten(x)
    }

    /// Local response normalisation over five channels, with the constants of Krizhevsky et al. as Caffe has them.
    pub(super) fn lrn(&mut self, name: &str, input: LayerId) -> LayerId {
        self.layer(name, Op::Lrn { size: 5, alpha: 1e-4, beta: 0.75, bias: 1.0 }, &[input])
    }

    /// All elements as one vector.
    pub(super) fn flatten(&mut self, input: LayerId) -> LayerId {
        self.layer("flatten", Op::Flatten, &[input])
    }

    /// Nothing, where training drops elements.
    pub(super) fn dropout(&mut self, name: &str, input: LayerId) -> LayerId {
        self.layer(name, Op::Dropout, &[input])
    }

    /// A fully connected layer with a bias.
    pub(super) fn dense(&mut self, name: &str, units: u32, input: LayerId) -> LayerId {
        self.layer(name, Op::Dense { units, bias: true }, &[input])
    }

    /// The channels of all `inputs`.
    pub(super) fn concat(&mut self, name: impl Into<String>, inputs: &[LayerId]) -> LayerId {
        self.layer(name, Op::Concat, inputs)
    }

    /// The finished network.
    pub(super) fn graph(self, name: &str) -> Graph {
        Graph::new(name, self.layers).expect("the zoo's networks are sound, which their tests see to")
    }
}

/// A pooling window in ceil mode: it may reach `beyond` elements past the end, so that no element is left out.
pub(super) const fn ceil(window: Window, beyond: u32) -> Window {
    Window { pad_after: beyond, ..window }
}

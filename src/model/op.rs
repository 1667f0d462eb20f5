//! Operators: the shape that each computes, the rows that it reads, its weights and its multiply-accumulates.
//!
//! All of it is exact. What an operator does to numbers is written down once, in the ONNX that [`super::onnx`] writes.

mod rules;
#[cfg(test)]
pub(super) mod tests;
mod window;

pub use window::{Conv, Window};

use crate::units::Bytes;

/// Output of one sample: `channels` maps of `rows` x `cols` elements.
///
/// A vector is `channels` x 1 x 1; a sequence has its features as channels and its time steps as rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Feature maps.
    pub channels: u32,
    /// Height: the dimension that row splits divide.
    pub rows: u32,
    /// Width.
    pub cols: u32,
    /// Bytes of one element: 4 for fp32, 2 for fp16, 1 for int8.
    pub element_bytes: u32,
}

/// What a pooling keeps of its window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooling {
    /// The largest element.
    Max,
    /// The mean of the elements; padding does not count.
    Average,
    /// The mean of the elements and of the padding, which is zero.
    AverageWithPadding,
}

/// A function of each element.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Activation {
    /// `max(x, 0)`.
    Relu,
    /// `min(max(x, low), high)`; ReLU6 is from 0 to 6.
    Clip {
        /// Least output.
        low: f32,
        /// Largest output.
        high: f32,
    },
    /// `x` above 0, `slope * x` below.
    LeakyRelu {
        /// Slope below 0.
        slope: f32,
    },
    /// `1 / (1 + exp(-x))`.
    Sigmoid,
    /// Hyperbolic tangent.
    Tanh,
    /// `x * min(max(x + 3, 0), 6) / 6`.
    HardSwish,
    /// `x * sigmoid(x)`.
    Silu,
}

/// Which steps of a recurrence are its output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Steps {
    /// The state after each time step: as many rows as the input.
    All,
    /// The state after the last time step: one row.
    Last,
}

/// What a layer computes.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    /// Samples of this shape enter here; nothing is computed.
    Input(Shape),
    /// A whole network, or a part of one, whose inside is not known.
    Opaque {
        /// What comes out.
        output: Shape,
        /// Weights that must be resident to run it.
        parameters: Bytes,
        /// Most bytes live at once inside it, per sample, input and output included.
        activations: Bytes,
    },
    /// Convolution.
    Conv(Conv),
    /// Transposed convolution. The windows' padding is cut from the output.
    ConvTransposed {
        /// The filters.
        conv: Conv,
        /// Rows and columns added after the last of the output.
        output_pad: (u32, u32),
    },
    /// Pooling.
    Pool {
        /// What is kept.
        pooling: Pooling,
        /// Along the rows.
        rows: Window,
        /// Along the columns.
        cols: Window,
    },
    /// Pooling of each map to one element.
    GlobalPool(Pooling),
    /// Scale and shift of each channel, by the statistics that training has left.
    BatchNorm {
        /// Added to the variance.
        epsilon: f32,
    },
    /// A function of each element.
    Activation(Activation),
    /// Elementwise sum of inputs of one shape.
    Add,
    /// Elementwise product of inputs of one shape; a vector is repeated over rows and columns.
    Multiply,
    /// Channels of all inputs, one after the other.
    Concat,
    /// All elements as one vector.
    Flatten,
    /// The elements in another shape.
    Reshape {
        /// Feature maps.
        channels: u32,
        /// Height.
        rows: u32,
        /// Width.
        cols: u32,
    },
    /// Fully connected: every output needs every input.
    Dense {
        /// Length of the output vector.
        units: u32,
        /// Whether a number is added to each.
        bias: bool,
    },
    /// Exponentials over their sum, over the channels.
    Softmax,
    /// Local response normalisation over channels (Krizhevsky et al., NIPS 2012, section 3.3).
    Lrn {
        /// Channels that are summed.
        size: u32,
        /// Scale of the sum, over `size`.
        alpha: f32,
        /// Exponent.
        beta: f32,
        /// Added to the scaled sum.
        bias: f32,
    },
    /// Nothing, outside of training.
    Dropout,
    /// Squares of `block` x `block` elements become channels: the reorg layer of YOLOv2, in the order of ONNX.
    SpaceToDepth {
        /// Side of a square.
        block: u32,
    },
    /// Each element becomes a square of `factor` x `factor`.
    Upsample {
        /// Side of a square.
        factor: u32,
    },
    /// Long short-term memory (Hochreiter and Schmidhuber, 1997) over the rows.
    Lstm {
        /// Length of the state.
        hidden: u32,
        /// What comes out.
        steps: Steps,
    },
    /// Gated recurrent unit (Cho et al., 2014) over the rows, with the reset gate after the product as in cuDNN.
    Gru {
        /// Length of the state.
        hidden: u32,
        /// What comes out.
        steps: Steps,
    },
}

/// The kind of an [`Op`], which devices support or do not.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum OpKind {
    /// [`Op::Input`].
    Input,
    /// [`Op::Opaque`].
    Opaque,
    /// [`Op::Conv`].
    Conv,
    /// [`Op::ConvTransposed`].
    ConvTransposed,
    /// [`Op::Pool`].
    Pool,
    /// [`Op::GlobalPool`].
    GlobalPool,
    /// [`Op::BatchNorm`].
    BatchNorm,
    /// [`Op::Activation`].
    Activation,
    /// [`Op::Add`].
    Add,
    /// [`Op::Multiply`].
    Multiply,
    /// [`Op::Concat`].
    Concat,
    /// [`Op::Flatten`].
    Flatten,
    /// [`Op::Reshape`].
    Reshape,
    /// [`Op::Dense`].
    Dense,
    /// [`Op::Softmax`].
    Softmax,
    /// [`Op::Lrn`].
    Lrn,
    /// [`Op::Dropout`].
    Dropout,
    /// [`Op::SpaceToDepth`].
    SpaceToDepth,
    /// [`Op::Upsample`].
    Upsample,
    /// [`Op::Lstm`].
    Lstm,
    /// [`Op::Gru`].
    Gru,
}

/// A tensor of weights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// What it is, unique in its layer.
    pub name: &'static str,
    /// Its dimensions, as ONNX orders them.
    pub dims: Vec<u64>,
    /// Whether training by gradients sets it, which is what published counts of parameters count.
    pub is_trained: bool,
}

/// Why an operator cannot have these inputs; completes "layer `x` ..".
pub(super) type Misfit = String;

impl Shape {
    /// A shape of `bytes` that has no rows to split.
    pub fn flat(bytes: u32) -> Shape {
        Shape { channels: bytes, rows: 1, cols: 1, element_bytes: 1 }
    }

    /// Maps of fp32 numbers.
    pub const fn fp32(channels: u32, rows: u32, cols: u32) -> Shape {
        Shape { channels, rows, cols, element_bytes: 4 }
    }

    /// Elements of one sample.
    pub fn elements(&self) -> u64 {
        [self.channels, self.rows, self.cols].iter().fold(1, |product: u64, &dim| product.saturating_mul(dim.into()))
    }

    /// Bytes of `rows` rows of one sample.
    pub fn bytes(&self, rows: u32) -> Bytes {
        Bytes(u64::from(self.channels) * u64::from(self.cols)) * u64::from(self.element_bytes) * u64::from(rows)
    }

    fn vector(self, channels: u32) -> Shape {
        Shape { channels, rows: 1, cols: 1, ..self }
    }
}

impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}x{}x{}", self.channels, self.rows, self.cols)
    }
}

fn trained<const RANK: usize>(name: &'static str, dims: [u32; RANK]) -> Parameter {
    Parameter { name, dims: dims.map(u64::from).to_vec(), is_trained: true }
}

impl Parameter {
    /// Numbers in it.
    pub fn elements(&self) -> u64 {
        self.dims.iter().fold(1, |product, &dim| product.saturating_mul(dim))
    }
}

impl Op {
    /// The kind that device support is stated for.
    pub fn kind(&self) -> OpKind {
        match self {
            Op::Input(_) => OpKind::Input,
            Op::Opaque { .. } => OpKind::Opaque,
            Op::Conv(_) => OpKind::Conv,
            Op::ConvTransposed { .. } => OpKind::ConvTransposed,
            Op::Pool { .. } => OpKind::Pool,
            Op::GlobalPool(_) => OpKind::GlobalPool,
            Op::BatchNorm { .. } => OpKind::BatchNorm,
            Op::Activation(_) => OpKind::Activation,
            Op::Add => OpKind::Add,
            Op::Multiply => OpKind::Multiply,
            Op::Concat => OpKind::Concat,
            Op::Flatten => OpKind::Flatten,
            Op::Reshape { .. } => OpKind::Reshape,
            Op::Dense { .. } => OpKind::Dense,
            Op::Softmax => OpKind::Softmax,
            Op::Lrn { .. } => OpKind::Lrn,
            Op::Dropout => OpKind::Dropout,
            Op::SpaceToDepth { .. } => OpKind::SpaceToDepth,
            Op::Upsample { .. } => OpKind::Upsample,
            Op::Lstm { .. } => OpKind::Lstm,
            Op::Gru { .. } => OpKind::Gru,
        }
    }
}

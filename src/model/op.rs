//! Operators: the shape that each computes, the rows that it reads, its weights and its multiply-accumulates.
//!
//! All of it is exact. What an operator does to numbers is written down once, in the ONNX that [`super::onnx`] writes.

#[cfg(test)]
pub(super) mod tests;

use std::ops::Range;

use crate::units::{Bytes, Macs};

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

/// Sliding-window geometry along one dimension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Elements under the window.
    pub size: u32,
    /// Elements between two positions of the window.
    pub stride: u32,
    /// Elements between two neighbours under the window.
    pub dilation: u32,
    /// Padding before the first element.
    pub pad_before: u32,
    /// Padding after the last element.
    pub pad_after: u32,
}

/// Filters that slide over maps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conv {
    /// Output channels.
    pub filters: u32,
    /// Parts that the channels are divided into, each with its own filters; a depthwise convolution has as many
    /// as channels.
    pub groups: u32,
    /// Along the rows.
    pub rows: Window,
    /// Along the columns.
    pub cols: Window,
    /// Whether a number is added to each output channel.
    pub bias: bool,
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

impl Window {
    /// A window of `size` that moves by one, without padding.
    pub const fn new(size: u32) -> Window {
        Window { size, stride: 1, dilation: 1, pad_before: 0, pad_after: 0 }
    }

    /// The window, moving by `stride`.
    pub const fn stride(self, stride: u32) -> Window {
        Window { stride, ..self }
    }

    /// The window, with `pad` on both sides.
    pub const fn pad(self, pad: u32) -> Window {
        Window { pad_before: pad, pad_after: pad, ..self }
    }

    /// The window with gaps.
    pub const fn dilation(self, dilation: u32) -> Window {
        Window { dilation, ..self }
    }

    /// Elements from the first to the last under the window, both included.
    pub fn extent(&self) -> u64 {
        u64::from(self.dilation) * u64::from(self.size.saturating_sub(1)) + 1
    }

    /// Positions of the window over `length` elements.
    fn positions(&self, length: u32) -> Result<u32, Misfit> {
        if self.size == 0 || self.stride == 0 || self.dilation == 0 {
            return Err("has a dimension, window size, stride or dilation of zero".into());
        }
        let padded = u64::from(length) + u64::from(self.pad_before) + u64::from(self.pad_after);
        match padded.checked_sub(self.extent()) {
            Some(room) => Ok(u32::try_from(room / u64::from(self.stride) + 1).unwrap_or(u32::MAX)),
            None => Err(format!("has a window over {} elements where there are {padded}", self.extent())),
        }
    }

    /// Elements of an input of `length` that positions `at` need. Padding is cut off; at least one element is named.
    fn reads(&self, at: &Range<u32>, length: u32) -> Range<u32> {
        let first = u64::from(at.start) * u64::from(self.stride);
        let last = u64::from(at.end.saturating_sub(1)) * u64::from(self.stride) + self.extent();
        let inside = |element: u64| element.saturating_sub(self.pad_before.into()).min(length.into()) as u32;
        let start = inside(first).min(length.saturating_sub(1));
        start..inside(last).max(start + 1)
    }

    /// As [`Window::positions`], of a transposed convolution.
    fn spread(&self, length: u32, output_pad: u32) -> Result<u32, Misfit> {
        self.positions(u32::MAX)?;
        let all = u64::from(length.saturating_sub(1)) * u64::from(self.stride) + self.extent() + u64::from(output_pad);
        let cut = u64::from(self.pad_before) + u64::from(self.pad_after);
        match all.checked_sub(cut) {
            Some(left @ 1..) => Ok(u32::try_from(left).unwrap_or(u32::MAX)),
            _ => Err(format!("cuts {cut} elements of padding from {all}")),
        }
    }

    /// As [`Window::reads`], of a transposed convolution.
    fn gathers(&self, at: &Range<u32>, length: u32) -> Range<u32> {
        let (pad, stride) = (u64::from(self.pad_before), u64::from(self.stride));
        let first = (u64::from(at.start) + pad + 1).saturating_sub(self.extent()).div_ceil(stride);
        let last = (u64::from(at.end.saturating_sub(1)) + pad) / stride + 1;
        let start = (first.min(u32::MAX.into()) as u32).min(length.saturating_sub(1));
        start..(last.min(length.into()) as u32).max(start + 1)
    }
}

impl Conv {
    /// A convolution of `size` x `size` windows without padding, groups or bias.
    pub const fn square(filters: u32, size: u32) -> Conv {
        let window = Window::new(size);
        Conv { filters, groups: 1, rows: window, cols: window, bias: false }
    }

    /// The convolution, moving by `stride` both ways.
    pub const fn stride(self, stride: u32) -> Conv {
        Conv { rows: self.rows.stride(stride), cols: self.cols.stride(stride), ..self }
    }

    /// The convolution, with `pad` on all sides.
    pub const fn pad(self, pad: u32) -> Conv {
        Conv { rows: self.rows.pad(pad), cols: self.cols.pad(pad), ..self }
    }

    /// The convolution in `groups`.
    pub const fn groups(self, groups: u32) -> Conv {
        Conv { groups, ..self }
    }

    /// The convolution with a bias.
    pub const fn bias(self) -> Conv {
        Conv { bias: true, ..self }
    }

    fn parameters(&self, dims: [u32; 2]) -> Vec<Parameter> {
        let [first, second] = dims;
        let mut parameters = vec![trained("weight", [first, second, self.rows.size, self.cols.size])];
        parameters.extend(self.bias.then(|| trained("bias", [self.filters])));
        parameters
    }

    fn check(&self, channels: u32) -> Result<(), Misfit> {
        let Conv { filters, groups, .. } = *self;
        // Nothing but zero is a multiple of zero.
        if filters == 0 || !channels.is_multiple_of(groups) || !filters.is_multiple_of(groups) {
            return Err(format!("divides {channels} channels and {filters} filters into {groups} groups"));
        }
        Ok(())
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

    /// Whether this many inputs make sense.
    pub(super) fn allows_inputs(&self, count: usize) -> bool {
        match self {
            Op::Input(_) => count == 0,
            Op::Opaque { .. } | Op::Add | Op::Multiply | Op::Concat => count > 0,
            _ => count == 1,
        }
    }

    /// What one sample's output looks like, or why these inputs do not fit.
    pub(super) fn shape(&self, inputs: &[Shape]) -> Result<Shape, Misfit> {
        let first = || inputs[0];
        let sized = |channels, rows, cols| Ok(Shape { channels, rows, cols, ..first() });
        match self {
            Op::Input(shape) | Op::Opaque { output: shape, .. } => Ok(*shape),
            Op::Conv(conv) => {
                conv.check(first().channels)?;
                sized(conv.filters, conv.rows.positions(first().rows)?, conv.cols.positions(first().cols)?)
            }
            Op::ConvTransposed { conv, output_pad } => {
                conv.check(first().channels)?;
                let rows = conv.rows.spread(first().rows, output_pad.0)?;
                sized(conv.filters, rows, conv.cols.spread(first().cols, output_pad.1)?)
            }
            Op::Pool { rows, cols, .. } => {
                let is_padded = |window: &Window| u64::from(window.pad_before.max(window.pad_after)) < window.extent();
                if !is_padded(rows) || !is_padded(cols) {
                    return Err("has as much padding as its window is large".into());
                }
                sized(first().channels, rows.positions(first().rows)?, cols.positions(first().cols)?)
            }
            Op::GlobalPool(_) => sized(first().channels, 1, 1),
            Op::Lrn { size: 0, .. } => Err("normalises over no channel".into()),
            Op::BatchNorm { .. } | Op::Activation(_) | Op::Softmax | Op::Lrn { .. } | Op::Dropout => Ok(first()),
            Op::Add => match inputs.iter().find(|&&shape| shape != first()) {
                Some(other) => Err(format!("adds {} and {other}", first())),
                None => Ok(first()),
            },
            Op::Multiply => {
                let largest = *inputs.iter().max_by_key(|shape| shape.elements()).expect("there are inputs");
                match inputs.iter().find(|&&shape| shape != largest && shape != largest.vector(largest.channels)) {
                    Some(other) => Err(format!("multiplies {largest} by {other}")),
                    None => Ok(largest),
                }
            }
            Op::Concat => {
                let mut channels: u64 = 0;
                for shape in inputs {
                    if (shape.rows, shape.cols, shape.element_bytes)
                        != (first().rows, first().cols, first().element_bytes)
                    {
                        return Err(format!("joins channels of {} and {shape}", first()));
                    }
                    channels += u64::from(shape.channels);
                }
                sized(u32::try_from(channels).unwrap_or(u32::MAX), first().rows, first().cols)
            }
            Op::Flatten => Ok(first().vector(u32::try_from(first().elements()).unwrap_or(u32::MAX))),
            &Op::Reshape { channels, rows, cols } => {
                let shape = Shape { channels, rows, cols, ..first() };
                if shape.elements() != first().elements() {
                    return Err(format!("makes {shape} of {}", first()));
                }
                Ok(shape)
            }
            Op::Dense { units, .. } => Ok(first().vector(*units)),
            &Op::SpaceToDepth { block } => {
                let Shape { channels, rows, cols, .. } = first();
                if block == 0 || rows % block != 0 || cols % block != 0 {
                    return Err(format!("cuts {} into squares of {block}", first()));
                }
                let channels = u64::from(channels) * u64::from(block) * u64::from(block);
                sized(u32::try_from(channels).unwrap_or(u32::MAX), rows / block, cols / block)
            }
            &Op::Upsample { factor } => {
                let Shape { channels, rows, cols, .. } = first();
                sized(channels, rows.saturating_mul(factor), cols.saturating_mul(factor))
            }
            &(Op::Lstm { hidden, steps } | Op::Gru { hidden, steps }) => {
                if first().cols != 1 {
                    return Err(format!("reads a sequence, which has one column, and {} is none", first()));
                }
                sized(hidden, if steps == Steps::All { first().rows } else { 1 }, 1)
            }
        }
    }

    /// Whether all its floats are numbers.
    pub(super) fn is_finite(&self) -> bool {
        match *self {
            Op::BatchNorm { epsilon } => epsilon.is_finite(),
            Op::Activation(Activation::Clip { low, high }) => !low.is_nan() && !high.is_nan(),
            Op::Activation(Activation::LeakyRelu { slope }) => slope.is_finite(),
            Op::Lrn { alpha, beta, bias, .. } => [alpha, beta, bias].iter().all(|number| number.is_finite()),
            _ => true,
        }
    }

    /// Rows of an input `height` rows tall that rows `rows` of the output need: its halo.
    pub(super) fn rows_read(&self, rows: &Range<u32>, height: u32) -> Range<u32> {
        match self {
            Op::Conv(conv) => conv.rows.reads(rows, height),
            Op::Pool { rows: window, .. } => window.reads(rows, height),
            Op::ConvTransposed { conv, .. } => conv.rows.gathers(rows, height),
            Op::SpaceToDepth { block } => {
                rows.start.saturating_mul(*block)..rows.end.saturating_mul(*block).min(height)
            }
            Op::Upsample { factor } => rows.start / factor..rows.end.div_ceil(*factor).min(height),
            Op::Lstm { steps: Steps::All, .. } | Op::Gru { steps: Steps::All, .. } => 0..rows.end.min(height),
            // A vector among the inputs of a product is read whole.
            Op::Multiply if height == 1 => 0..1,
            Op::Input(_)
            | Op::BatchNorm { .. }
            | Op::Activation(_)
            | Op::Add
            | Op::Multiply
            | Op::Concat
            | Op::Lrn { .. }
            | Op::Dropout => rows.start.min(height)..rows.end.min(height),
            Op::Opaque { .. }
            | Op::GlobalPool(_)
            | Op::Flatten
            | Op::Reshape { .. }
            | Op::Dense { .. }
            | Op::Softmax
            | Op::Lstm { .. }
            | Op::Gru { .. } => 0..height,
        }
    }

    /// Whether any part of the output needs the whole input, so that splitting its rows saves nothing.
    pub fn is_barrier(&self) -> bool {
        !matches!(self, Op::Opaque { .. }) && self.rows_read(&(0..1), u32::MAX) == (0..u32::MAX)
    }

    /// Its weights, given the shape of its first input.
    pub(super) fn parameters(&self, input: Shape) -> Vec<Parameter> {
        let recurrent = |gates: u32, hidden: u32| {
            let rows = gates.saturating_mul(hidden);
            vec![
                trained("weight", [1, rows, input.channels]),
                trained("recurrence", [1, rows, hidden]),
                trained("bias", [1, rows.saturating_mul(2)]),
            ]
        };
        match self {
            Op::Conv(conv) => conv.parameters([conv.filters, input.channels / conv.groups]),
            Op::ConvTransposed { conv, .. } => conv.parameters([input.channels, conv.filters / conv.groups]),
            Op::BatchNorm { .. } => {
                let statistic = |name| Parameter { is_trained: false, ..trained(name, [input.channels]) };
                let (scale, shift) = (trained("scale", [input.channels]), trained("shift", [input.channels]));
                vec![scale, shift, statistic("mean"), statistic("variance")]
            }
            Op::Dense { units, bias } => {
                let weight =
                    Parameter { name: "weight", dims: vec![u64::from(*units), input.elements()], is_trained: true };
                std::iter::once(weight).chain(bias.then(|| trained("bias", [*units]))).collect()
            }
            Op::Lstm { hidden, .. } => recurrent(4, *hidden),
            Op::Gru { hidden, .. } => recurrent(3, *hidden),
            _ => Vec::new(),
        }
    }

    /// Multiply-accumulates that rows `rows` of one sample's output take. Convolutions, fully connected and
    /// recurrent layers count, padding included; nothing else does.
    pub(super) fn macs(&self, input: Shape, output: Shape, rows: &Range<u32>) -> Macs {
        let per_element = match self {
            Op::Conv(conv) => {
                u64::from(conv.rows.size) * u64::from(conv.cols.size) * u64::from(input.channels / conv.groups)
            }
            Op::Dense { .. } => input.elements(),
            Op::ConvTransposed { conv, .. } => {
                let read = self.rows_read(rows, input.rows).len() as u64;
                let window = u64::from(conv.rows.size) * u64::from(conv.cols.size);
                let per_input = window * u64::from(conv.filters / conv.groups);
                return Macs(read * u64::from(input.cols)) * u64::from(input.channels) * per_input;
            }
            Op::Lstm { hidden, .. } | Op::Gru { hidden, .. } => {
                let gates = if matches!(self, Op::Lstm { .. }) { 4 } else { 3 };
                let steps = self.rows_read(rows, input.rows).len() as u64;
                let hidden = u64::from(*hidden);
                return Macs(steps * gates) * hidden * (u64::from(input.channels) + hidden);
            }
            _ => 0,
        };
        Macs(u64::from(output.channels) * u64::from(output.cols)) * rows.len() as u64 * per_element
    }
}

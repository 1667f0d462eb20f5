//! What each operator makes of its inputs: shapes, the rows that it reads, weights and multiply-accumulates.

use std::ops::Range;

use super::{Activation, Misfit, Op, Parameter, Shape, Steps, Window, trained};
use crate::units::Macs;

impl Op {
    /// Whether this many inputs make sense.
    pub(in crate::model) fn allows_inputs(&self, count: usize) -> bool {
        match self {
            Op::Input(_) => count == 0,
            Op::Opaque { .. } | Op::Add | Op::Multiply | Op::Concat => count > 0,
            _ => count == 1,
        }
    }

    /// What one sample's output looks like, or why these inputs do not fit.
    pub(in crate::model) fn shape(&self, inputs: &[Shape]) -> Result<Shape, Misfit> {
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
    pub(in crate::model) fn is_finite(&self) -> bool {
        match *self {
            Op::BatchNorm { epsilon } => epsilon.is_finite(),
            Op::Activation(Activation::Clip { low, high }) => !low.is_nan() && !high.is_nan(),
            Op::Activation(Activation::LeakyRelu { slope }) => slope.is_finite(),
            Op::Lrn { alpha, beta, bias, .. } => [alpha, beta, bias].iter().all(|number| number.is_finite()),
            _ => true,
        }
    }

    /// Rows of an input `height` rows tall that rows `rows` of the output need: its halo.
    pub(in crate::model) fn rows_read(&self, rows: &Range<u32>, height: u32) -> Range<u32> {
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
    pub(in crate::model) fn parameters(&self, input: Shape) -> Vec<Parameter> {
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
    pub(in crate::model) fn macs(&self, input: Shape, output: Shape, rows: &Range<u32>) -> Macs {
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

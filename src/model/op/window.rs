//! Windows and filters that slide over maps: where they stand, and what they read.

use std::ops::Range;

use super::{Misfit, Parameter, trained};

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
    pub(in crate::model) fn positions(&self, length: u32) -> Result<u32, Misfit> {
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
    pub(in crate::model) fn reads(&self, at: &Range<u32>, length: u32) -> Range<u32> {
        let first = u64::from(at.start) * u64::from(self.stride);
        let last = u64::from(at.end.saturating_sub(1)) * u64::from(self.stride) + self.extent();
        let inside = |element: u64| element.saturating_sub(self.pad_before.into()).min(length.into()) as u32;
        let start = inside(first).min(length.saturating_sub(1));
        start..inside(last).max(start + 1)
    }

    /// As [`Window::positions`], of a transposed convolution.
    pub(in crate::model) fn spread(&self, length: u32, output_pad: u32) -> Result<u32, Misfit> {
        self.positions(u32::MAX)?;
        let all = u64::from(length.saturating_sub(1)) * u64::from(self.stride) + self.extent() + u64::from(output_pad);
        let cut = u64::from(self.pad_before) + u64::from(self.pad_after);
        match all.checked_sub(cut) {
            Some(left @ 1..) => Ok(u32::try_from(left).unwrap_or(u32::MAX)),
            _ => Err(format!("cuts {cut} elements of padding from {all}")),
        }
    }

    /// As [`Window::reads`], of a transposed convolution.
    pub(in crate::model) fn gathers(&self, at: &Range<u32>, length: u32) -> Range<u32> {
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

    pub(super) fn parameters(&self, dims: [u32; 2]) -> Vec<Parameter> {
        let [first, second] = dims;
        let mut parameters = vec![trained("weight", [first, second, self.rows.size, self.cols.size])];
        parameters.extend(self.bias.then(|| trained("bias", [self.filters])));
        parameters
    }

    pub(super) fn check(&self, channels: u32) -> Result<(), Misfit> {
        let Conv { filters, groups, .. } = *self;
        // Nothing but zero is a multiple of zero.
        if filters == 0 || !channels.is_multiple_of(groups) || !filters.is_multiple_of(groups) {
            return Err(format!("divides {channels} channels and {filters} filters into {groups} groups"));
        }
        Ok(())
    }
}

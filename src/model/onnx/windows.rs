//! Operators whose windows slide, over some of their rows: where padding stands and what is cut off.

use std::ops::Range;

use super::file::Attribute;
use super::write::Writer;
use crate::model::{Conv, LayerId, Pooling, Window};

use Attribute::{Integer, Integers};

impl Writer<'_> {
    /// Convolution `id`, whose output is called as `output`.
    pub(super) fn conv(&mut self, id: LayerId, input: LayerId, conv: &Conv, output: LayerId, weights: Vec<String>) {
        let rows = self.rows(id);
        let (tensor, read) = self.read_under(id, input, &conv.rows);
        let (top, bottom, computed) = pads(&conv.rows, &rows, &read);
        let attributes = geometry(conv, [top, conv.cols.pad_before.into(), bottom, conv.cols.pad_after.into()]);
        let inputs: Vec<String> = std::iter::once(tensor).chain(weights).collect();
        self.node_of_rows(output, &computed, "Conv", &inputs, &attributes);
    }

    /// As [`Writer::read`], for a window of `layer`; the tensor may go on below with rows that the stride leaves over,
    /// since cutting them off would be a copy for nothing.
    fn read_under(&mut self, layer: LayerId, input: LayerId, window: &Window) -> (String, Range<u32>) {
        let (rows, have) = (self.rows(layer), self.rows(input));
        let read = self.graph.rows_read(layer, &rows, input);
        let (top, bottom, computed) = pads(window, &rows, &read);
        if read.start == have.start
            && bottom == 0
            && positions(window, top + have.len() as i64) == computed.len() as i64
        {
            return (self.graph.layer(input).name.clone(), read);
        }
        self.read(layer, input)
    }

    pub(super) fn conv_transposed(&mut self, id: LayerId, conv: &Conv, output_pad: (u32, u32)) {
        let rows = self.rows(id);
        let (tensor, read) = self.read(id, self.graph.layer(id).inputs[0]);
        // What the filters touch, in rows of the output without its padding cut off.
        let window = &conv.rows;
        let element = |row: u32| i64::from(row) * i64::from(window.stride) - i64::from(window.pad_before);
        let touched = element(read.start)..element(read.end - 1) + window.extent() as i64;
        let wanted = i64::from(rows.start)..i64::from(rows.end);
        let mut weights = self.weights(id);
        // How much of that is cut off: less than nothing where no filter reaches.
        let [above, below] = [wanted.start - touched.start, touched.end - wanted.end];
        let [left, right] = [conv.cols.pad_before.into(), i64::from(conv.cols.pad_after) - i64::from(output_pad.1)];
        let reach = |window: &Window| i64::from(window.stride.max(window.dilation));
        let overlaps = touched.start < wanted.end && wanted.start < touched.end;
        if overlaps && above >= 0 && -below < reach(window) && -right < reach(&conv.cols) {
            let mut attributes = geometry(conv, [above, left, below.max(0), right.max(0)]);
            attributes.push(("output_padding", Integers(vec![(-below).max(0), (-right).max(0)])));
            weights.insert(0, tensor);
            return self.node_of_rows(id, &rows, "ConvTranspose", &weights, &attributes);
        }
        // Where no filter reaches stands the bias alone.
        let bias = weights.get(1).cloned();
        let attributes = geometry(conv, [0, left, 0, right.max(0)]);
        let filtered = self.inner("ConvTranspose", &[tensor, weights.swap_remove(0)], &attributes);
        let pads = self.integers(&[0, 0, (-above).max(0), 0, 0, 0, (-below).max(0), (-right).max(0)]);
        let padded = self.inner("Pad", &[filtered, pads], &[]);
        let start = touched.start.min(wanted.start);
        let kept = (wanted.start - start) as u32..(wanted.end - start) as u32;
        let Some(bias) = bias else {
            let name = self.graph.layer(id).name.as_str();
            return self.slice(padded, name, &kept);
        };
        let cut = self.fresh();
        self.slice(padded, &cut, &kept);
        let dims = self.integers(&[1, -1, 1, 1]);
        let bias = self.inner("Reshape", &[bias, dims], &[]);
        self.node_of_rows(id, &rows, "Add", &[cut, bias], &[]);
    }

    pub(super) fn pool(&mut self, id: LayerId, pooling: Pooling, window: &Window, cols: &Window) {
        let rows = self.rows(id);
        let (tensor, read) = self.read_under(id, self.graph.layer(id).inputs[0], window);
        let (top, bottom, computed) = pads(window, &rows, &read);
        let pads = [top, cols.pad_before.into(), bottom, cols.pad_after.into()];
        if window.dilation > 1 || cols.dilation > 1 {
            return self.pool_with_gaps(id, tensor, pooling, [window, cols], pads);
        }
        let mut attributes = sliding([window, cols], pads);
        if pooling == Pooling::AverageWithPadding {
            attributes.push(("count_include_pad", Integer(1)));
        }
        let operator = if pooling == Pooling::Max { "MaxPool" } else { "AveragePool" };
        self.node_of_rows(id, &computed, operator, &[tensor], &attributes);
    }

    /// A pooling with gaps, which not every runtime has: one slice for each element under the window, put together.
    fn pool_with_gaps(&mut self, id: LayerId, input: String, pooling: Pooling, windows: [&Window; 2], pads: [i64; 4]) {
        let rows = self.rows(id);
        let [rows_window, cols_window] = windows;
        let lengths = [rows.len() as i64, self.shape(id).cols.into()];
        let around = self.integers(&[0, 0, pads[0], pads[1], 0, 0, pads[2], pads[3]]);
        let filler = self.scalar(if pooling == Pooling::Max { f32::NEG_INFINITY } else { 0.0 });
        let padded = self.inner("Pad", &[input, around, filler], &[]);
        let steps = self.integers(&windows.map(|window| window.stride.into()));
        let axes = self.integers(&[2, 3]);
        let mut slices = Vec::new();
        for (row, col) in (0..rows_window.size).flat_map(|row| (0..cols_window.size).map(move |col| (row, col))) {
            let first = [row * rows_window.dilation, col * cols_window.dilation].map(i64::from);
            let end = |at: usize| first[at] + (lengths[at] - 1) * i64::from(windows[at].stride) + 1;
            let (starts, ends) = (self.integers(&first), self.integers(&[end(0), end(1)]));
            slices.push(self.inner("Slice", &[padded.clone(), starts, ends, axes.clone(), steps.clone()], &[]));
        }
        if pooling == Pooling::Max {
            return self.node_of_rows(id, &rows, "Max", &slices, &[]);
        }
        let sum = self.inner("Sum", &slices, &[]);
        let height = self.shape(self.graph.layer(id).inputs[0]);
        let counts = |window: &Window, at: Range<u32>, length: u32| -> Vec<f32> {
            let counted = |position: u32| {
                let element =
                    |index| i64::from(position) * i64::from(window.stride) + i64::from(index * window.dilation);
                let is_inside = |element| (0..i64::from(length)).contains(&(element - i64::from(window.pad_before)));
                let inside = (0..window.size).filter(|&index| is_inside(element(index))).count();
                if pooling == Pooling::Average { inside as f32 } else { window.size as f32 }
            };
            at.map(counted).collect()
        };
        let by_row = counts(rows_window, rows.clone(), height.rows);
        let by_col = counts(cols_window, 0..self.shape(id).cols, height.cols);
        let counts = [(by_row, lengths[0], 1), (by_col, 1, lengths[1])];
        let [by_row, by_col] = counts.map(|(counts, rows, cols)| self.floats(&counts, &[1, 1, rows, cols]));
        let mean = self.inner("Div", &[sum, by_row], &[]);
        self.node_of_rows(id, &rows, "Div", &[mean, by_col], &[]);
    }
}

/// Padding above and below rows `read` of the input, and the rows of the output that then come out: `rows`, and where
/// a window lies in the padding alone, more.
fn pads(window: &Window, rows: &Range<u32>, read: &Range<u32>) -> (i64, i64, Range<u32>) {
    let [stride, extent] = [i64::from(window.stride), window.extent() as i64];
    let element = |row: u32| i64::from(row) * stride - i64::from(window.pad_before);
    let mut start = rows.start;
    while element(start) > i64::from(read.start) && start > 0 {
        start -= 1;
    }
    let top = (i64::from(read.start) - element(start)).max(0);
    let bottom = (element(rows.end - 1) + extent - i64::from(read.end)).max(0);
    let positions = positions(window, top + read.len() as i64 + bottom);
    (top, bottom, start..start + positions as u32)
}

/// Places of a window over `length` rows, padding included.
fn positions(window: &Window, length: i64) -> i64 {
    (length - window.extent() as i64) / i64::from(window.stride) + 1
}

fn geometry(conv: &Conv, pads: [i64; 4]) -> Vec<(&'static str, Attribute)> {
    let mut attributes = sliding([&conv.rows, &conv.cols], pads);
    attributes.push(("dilations", Integers(vec![conv.rows.dilation.into(), conv.cols.dilation.into()])));
    attributes.push(("group", Integer(conv.groups.into())));
    attributes
}

/// Attributes of an operator with a window along the rows and one along the columns.
pub(super) fn sliding(windows: [&Window; 2], pads: [i64; 4]) -> Vec<(&'static str, Attribute)> {
    let each = |of: fn(&Window) -> u32| Integers(windows.iter().map(|window| of(window).into()).collect());
    vec![
        ("kernel_shape", each(|window| window.size)),
        ("strides", each(|window| window.stride)),
        ("pads", Integers(pads.to_vec())),
    ]
}

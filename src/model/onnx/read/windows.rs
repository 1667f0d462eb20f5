//! Convolutions and poolings.

use super::super::proto::NodeProto;
use super::layout::{CANONICAL, position};
use super::translate::{Translator, Unreadable, Value, Values};
use crate::model::{Conv, Op, Pooling, Window};

/// Sizes, strides and the rest along the rows and the columns; the latter are one window of one for sequences.
struct Geometry {
    windows: [Window; 2],
    /// Whether the padding is chosen by the size of the input, and if so whether the odd element goes to the front.
    same: Option<bool>,
}

impl Geometry {
    fn new(node: &NodeProto, sizes: &[i64], pads: [u32; 4]) -> Result<Geometry, Unreadable> {
        let spatial = sizes.len();
        let numbers = |name: &str, count: usize, default: i64| -> Result<Vec<u32>, Unreadable> {
            let values = node.integers(name)?.map_or_else(|| vec![default; count], <[i64]>::to_vec);
            let unsigned = values.iter().map(|&value| u32::try_from(value).ok().filter(|&value| value < 1 << 24));
            let unsigned: Option<Vec<u32>> = unsigned.collect();
            unsigned.filter(|values| values.len() == count).ok_or_else(|| {
                Unreadable::operator(format!("has {name} of {values:?} for a window of {spatial} dimensions"))
            })
        };
        let (strides, dilations) = (numbers("strides", spatial, 1)?, numbers("dilations", spatial, 1)?);
        let same = match node.text("auto_pad", "NOTSET")? {
            "NOTSET" | "" | "VALID" => None,
            "SAME_UPPER" => Some(false),
            "SAME_LOWER" => Some(true),
            other => return Err(Unreadable::invalid(format!("has auto_pad = {other}"))),
        };
        let own = if node.text("auto_pad", "NOTSET")? == "NOTSET" {
            numbers("pads", 2 * spatial, 0)?
        } else {
            vec![0; 2 * spatial]
        };
        let along = |at: usize| {
            if at >= spatial {
                return Ok(Window::new(1));
            }
            let size = u32::try_from(sizes[at]).ok().filter(|&size| size < 1 << 24);
            let size = size.ok_or_else(|| Unreadable::invalid(format!("has a window of {}", sizes[at])))?;
            let [pad_before, pad_after] = [own[at] + pads[at], own[at + spatial] + pads[at + 2]];
            if strides[at] == 0 {
                return Err(Unreadable::invalid("has a stride of zero"));
            }
            Ok(Window { size, stride: strides[at], dilation: dilations[at], pad_before, pad_after })
        };
        Ok(Geometry { windows: [along(0)?, along(1)?], same })
    }

    /// Padding by which an input of `lengths` gives one output for each stride.
    fn pad_for(&mut self, lengths: [u32; 2]) {
        let Some(in_front) = self.same else { return };
        for (window, length) in self.windows.iter_mut().zip(lengths) {
            let outputs = u64::from(length.div_ceil(window.stride));
            let covered = (outputs.max(1) - 1) * u64::from(window.stride) + window.extent();
            window.pad_between(covered.saturating_sub(length.into()), in_front);
        }
    }
}

impl Window {
    fn pad_between(&mut self, total: u64, in_front: bool) {
        let total = u32::try_from(total).unwrap_or(u32::MAX);
        let (less, more) = (total / 2, total - total / 2);
        (self.pad_before, self.pad_after) = if in_front { (more, less) } else { (less, more) };
    }
}

impl<'n> Translator<'n> {
    pub(super) fn conv(&mut self, node: &NodeProto) -> Values<'n> {
        let (layer, rank, pads) = match self.value(node, 0)? {
            Some(Value::Padded(layer, pads)) => (layer, 4, pads),
            _ => {
                let (layer, rank) = self.ordered(node, 0)?;
                (layer, rank, [0; 4])
            }
        };
        let (dims, weight) = self.weight(node, 1)?;
        let [filters, _, sizes @ ..] = dims.as_slice() else { return Err(Unreadable::invalid("has flat filters")) };
        if sizes.len() != rank - 2 {
            return Err(Unreadable::invalid(format!("has filters of {} dimensions for maps of {rank}", dims.len())));
        }
        let mut geometry = Geometry::new(node, sizes, pads)?;
        let shape = self.shapes[layer];
        geometry.pad_for([shape.rows, shape.cols]);
        let [rows, cols] = geometry.windows;
        let bias = if self.value(node, 2)?.is_some() { Some(self.weight(node, 2)?.1) } else { None };
        let conv = Conv { filters: unsigned(*filters)?, groups: groups(node)?, rows, cols, bias: bias.is_some() };
        let weights = std::iter::once(("weight", weight)).chain(bias.map(|bias| ("bias", bias))).collect();
        let layer = self.add(node, Op::Conv(conv), vec![layer], weights)?;
        Ok(vec![Value::Maps(layer, CANONICAL[..rank].to_vec())])
    }

    pub(super) fn conv_transposed(&mut self, node: &NodeProto) -> Values<'n> {
        let (layer, rank) = self.ordered(node, 0)?;
        let (dims, weight) = self.weight(node, 1)?;
        let [_, filters, sizes @ ..] = dims.as_slice() else { return Err(Unreadable::invalid("has flat filters")) };
        if sizes.len() != rank - 2 {
            return Err(Unreadable::invalid(format!("has filters of {} dimensions for maps of {rank}", dims.len())));
        }
        let mut geometry = Geometry::new(node, sizes, [0; 4])?;
        let extra = node.integers("output_padding")?.unwrap_or(&[]);
        let mut output_pad = [0, 1].map(|at| extra.get(at).copied().unwrap_or(0));
        let shape = self.shapes[layer];
        let lengths = [shape.rows, shape.cols];
        let wanted = node.integers("output_shape")?;
        // Padding follows from the wanted size, or from one output for each stride and input.
        if wanted.is_some() || geometry.same.is_some() {
            for at in 0..rank - 2 {
                let window = &mut geometry.windows[at];
                let all = (i64::from(lengths[at]) - 1) * i64::from(window.stride) + window.extent() as i64;
                let want = match wanted {
                    Some(sizes) => sizes.get(sizes.len().saturating_sub(rank - 2) + at).copied().unwrap_or(0),
                    None => i64::from(lengths[at]) * i64::from(window.stride),
                };
                let total = (all + output_pad[at]).saturating_sub(want);
                if total < 0 {
                    output_pad[at] = output_pad[at].saturating_sub(total);
                }
                window.pad_between(total.max(0) as u64, geometry.same != Some(false));
            }
        }
        let groups = groups(node)?;
        let filters = unsigned(*filters)?.checked_mul(groups).ok_or_else(|| Unreadable::invalid("has huge filters"))?;
        let bias = if self.value(node, 2)?.is_some() { Some(self.weight(node, 2)?.1) } else { None };
        let [rows, cols] = geometry.windows;
        let conv = Conv { filters, groups, rows, cols, bias: bias.is_some() };
        let output_pad = (unsigned(output_pad[0])?, unsigned(output_pad[1])?);
        let weights = std::iter::once(("weight", weight)).chain(bias.map(|bias| ("bias", bias))).collect();
        let layer = self.add(node, Op::ConvTransposed { conv, output_pad }, vec![layer], weights)?;
        Ok(vec![Value::Maps(layer, CANONICAL[..rank].to_vec())])
    }

    pub(super) fn pool(&mut self, node: &NodeProto) -> Values<'n> {
        let (layer, rank) = self.ordered(node, 0)?;
        if self.is_read(node, 1) {
            return Err(Unreadable::operator("gives the positions of the largest elements"));
        }
        let sizes = node.integers("kernel_shape")?.ok_or_else(|| Unreadable::invalid("lacks kernel_shape"))?.to_vec();
        if sizes.len() != rank - 2 {
            return Err(Unreadable::invalid(format!("has a window of {} dimensions for maps of {rank}", sizes.len())));
        }
        let pooling = match (node.operator.as_str(), node.integer("count_include_pad", 0)?) {
            ("MaxPool", _) => Pooling::Max,
            (_, 0) => Pooling::Average,
            _ => Pooling::AverageWithPadding,
        };
        let mut geometry = Geometry::new(node, &sizes, [0; 4])?;
        let shape = self.shapes[layer];
        geometry.pad_for([shape.rows, shape.cols]);
        if node.integer("ceil_mode", 0)? != 0 && geometry.same.is_none() {
            for (window, length) in geometry.windows.iter_mut().zip([shape.rows, shape.cols]) {
                let padded = u64::from(length) + u64::from(window.pad_before) + u64::from(window.pad_after);
                let stride = u64::from(window.stride);
                let room = padded.saturating_sub(window.extent());
                let missing = room.div_ceil(stride) * stride - room;
                // A window that would begin after the input is left out.
                let begins = room + missing;
                if missing > 0 && begins < u64::from(length) + u64::from(window.pad_before) {
                    if pooling == Pooling::AverageWithPadding {
                        return Err(Unreadable::operator(
                            "counts padding in windows that reach over its end (ceil_mode)",
                        ));
                    }
                    window.pad_after = window.pad_after.saturating_add(missing as u32);
                }
            }
        }
        let [rows, cols] = geometry.windows;
        let layer = self.add(node, Op::Pool { pooling, rows, cols }, vec![layer], vec![])?;
        Ok(vec![Value::Maps(layer, CANONICAL[..rank].to_vec())])
    }

    pub(super) fn global_pool(&mut self, node: &NodeProto, pooling: Pooling) -> Values<'n> {
        let (layer, rank) = self.ordered(node, 0)?;
        let layer = self.add(node, Op::GlobalPool(pooling), vec![layer], vec![])?;
        Ok(vec![Value::Maps(layer, CANONICAL[..rank].to_vec())])
    }

    /// A mean or maximum over all rows and columns.
    pub(super) fn reduce(&mut self, node: &NodeProto, pooling: Pooling) -> Values<'n> {
        let (layer, rank) = self.ordered(node, 0)?;
        let axes = self.axes(node)?.unwrap_or_default();
        let mut axes = axes.iter().map(|&at| position(at, rank)).collect::<Result<Vec<usize>, Unreadable>>()?;
        axes.sort_unstable();
        if !axes.iter().copied().eq(2..rank) {
            return Err(Unreadable::operator("reduces other dimensions than the rows and columns"));
        }
        let layer = self.add(node, Op::GlobalPool(pooling), vec![layer], vec![])?;
        let kept = if node.integer("keepdims", 1)? == 0 { 2 } else { rank };
        Ok(vec![Value::Maps(layer, CANONICAL[..kept].to_vec())])
    }

    /// Zeros around maps that only a convolution reads.
    pub(super) fn pad(&mut self, node: &NodeProto) -> Values<'n> {
        let (layer, rank) = self.ordered(node, 0)?;
        let pads = match node.integers("pads")? {
            Some(pads) => pads.to_vec(),
            None => self.known_numbers(node, 1)?,
        };
        let filler = match self.constant(node, 2)? {
            Some((_, filler)) => filler.first().copied().unwrap_or(0.0),
            None => node.float("value", 0.0)?,
        };
        if node.text("mode", "constant")? != "constant" || filler != 0.0 || rank != 4 || self.value(node, 3)?.is_some()
        {
            return Err(Unreadable::operator("pads with something else than zeros on all sides of maps"));
        }
        let &[0, 0, above, left, 0, 0, below, right] = pads.as_slice() else {
            return Err(Unreadable::operator("pads the batch or the channels"));
        };
        let sides = [above, left, below, right].map(|pad| u32::try_from(pad).ok().filter(|&pad| pad < 1 << 24));
        let [Some(above), Some(left), Some(below), Some(right)] = sides else {
            return Err(Unreadable::operator("pads by less than nothing"));
        };
        let is_for_conv = |other: &&NodeProto| other.inputs.contains(node.outputs.first().unwrap_or(&String::new()));
        if !self.network.nodes.iter().filter(is_for_conv).all(|reader| reader.operator == "Conv") {
            return Err(Unreadable::operator("pads for other operators than convolutions"));
        }
        Ok(vec![Value::Padded(layer, [above, left, below, right])])
    }

    pub(super) fn resize(&mut self, node: &NodeProto) -> Values<'n> {
        let (layer, rank) = self.ordered(node, 0)?;
        let shape = self.shapes[layer];
        let is_resize = node.operator == "Resize";
        let only = || Unreadable::operator("resizes otherwise than to whole multiples by nearest neighbours");
        let coordinates = node.text("coordinate_transformation_mode", "half_pixel")?;
        let nearest = node.text("nearest_mode", "round_prefer_floor")?;
        let is_nearest = node.text("mode", "nearest")? == "nearest";
        let scales_at = if is_resize && self.opset >= 11 { 2 } else { 1 };
        let scales = match node.floats("scales")? {
            Some(scales) => scales.to_vec(),
            None => self.constant(node, scales_at)?.map_or_else(Vec::new, |(_, scales)| scales),
        };
        let factors = match scales.as_slice() {
            [1.0, 1.0, rows, cols] => [f64::from(*rows), f64::from(*cols)],
            [] if is_resize && self.opset >= 11 => {
                let sizes = self.numbers(node, 3)?;
                let known = |at: usize| match sizes.get(at) {
                    Some(super::numbers::Number::Known(size)) => *size as f64,
                    _ => 0.0,
                };
                [known(2) / f64::from(shape.rows), known(3) / f64::from(shape.cols)]
            }
            _ => return Err(only()),
        };
        let [factor, other] = factors;
        // Nearest neighbours differ between the conventions only for other factors than these.
        let is_plain = !is_resize
            || self.opset < 11
            || match (coordinates, nearest) {
                ("asymmetric", "floor") | ("half_pixel" | "pytorch_half_pixel", "round_prefer_floor") => true,
                ("asymmetric", "round_prefer_floor") => factor <= 2.0,
                _ => false,
            };
        if factor != other
            || factor < 1.0
            || factor.fract() != 0.0
            || factor > 1e6
            || !is_nearest
            || !is_plain
            || rank != 4
        {
            return Err(only());
        }
        let layer = self.add(node, Op::Upsample { factor: factor as u32 }, vec![layer], vec![])?;
        Ok(vec![Value::Maps(layer, CANONICAL.to_vec())])
    }

    pub(super) fn space_to_depth(&mut self, node: &NodeProto) -> Values<'n> {
        let (layer, _) = self.ordered(node, 0)?;
        if node.text("mode", "DCR")? != "DCR" {
            return Err(Unreadable::operator("puts the elements of a square behind the channels"));
        }
        let block = unsigned(node.integer("blocksize", 0)?)?;
        let layer = self.add(node, Op::SpaceToDepth { block }, vec![layer], vec![])?;
        Ok(vec![Value::Maps(layer, CANONICAL.to_vec())])
    }
}

fn groups(node: &NodeProto) -> Result<u32, Unreadable> {
    unsigned(node.integer("group", 1)?)
}

pub(super) fn unsigned(number: i64) -> Result<u32, Unreadable> {
    u32::try_from(number).map_err(|_| Unreadable::invalid(format!("has a size of {number}")))
}

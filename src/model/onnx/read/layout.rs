//! Operators that only move elements: most only change in which order we say that dimensions stand.

use super::super::proto::NodeProto;
use super::numbers::Number;
use super::translate::{Translator, Unreadable, Value, Values};
use crate::model::Op;

/// Which of our dimensions one of the file's is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Axis {
    Batch,
    Channels,
    Rows,
    Cols,
    /// None: its size is one.
    One,
}

/// The order of dimensions in our tensors; fewer dimensions are the first of these.
pub(super) const CANONICAL: [Axis; 4] = [Axis::Batch, Axis::Channels, Axis::Rows, Axis::Cols];

impl Axis {
    /// How an input of `rank` dimensions is meant, by the operators that read it.
    pub(super) fn of_input(readers: &[&NodeProto], rank: usize) -> Result<Vec<Axis>, Unreadable> {
        if !(2..=4).contains(&rank) {
            return Err(Unreadable::operator(format!("has {rank} dimensions, and 2 to 4 are read")));
        }
        let canonical = CANONICAL[..rank].to_vec();
        let mut readers = readers.iter().filter(|reader| reader.operator != "Shape");
        let (Some(reader), None) = (readers.next(), readers.next()) else { return Ok(canonical) };
        let sequence = |node: &NodeProto| ["LSTM", "GRU"].contains(&node.operator.as_str());
        match reader.integers("perm")? {
            // A sequence with the batch in front, or maps with the channels at the end.
            Some([1, 0, 2]) if reader.operator == "Transpose" => Ok(vec![Axis::Batch, Axis::Rows, Axis::Channels]),
            Some(order @ ([0, 3, 1, 2] | [0, 2, 1])) if reader.operator == "Transpose" && order.len() == rank => {
                let mut axes = canonical.clone();
                order.iter().zip(&canonical).for_each(|(&from, &axis)| axes[from as usize] = axis);
                Ok(axes)
            }
            _ if sequence(reader) && rank == 3 && reader.integer("layout", 0)? == 1 => {
                Ok(vec![Axis::Batch, Axis::Rows, Axis::Channels])
            }
            _ if sequence(reader) && rank == 3 => Ok(vec![Axis::Rows, Axis::Batch, Axis::Channels]),
            // A product with a matrix is over the last dimension.
            _ if reader.operator == "MatMul" && rank == 3 => Ok(vec![Axis::Batch, Axis::Rows, Axis::Channels]),
            _ => Ok(canonical),
        }
    }
}

/// A constant with other dimensions.
fn resized<'n>(value: Value<'n>, resize: impl Fn(&[i64]) -> Result<Vec<i64>, Unreadable>) -> Values<'n> {
    Ok(vec![match value {
        Value::TensorProto(tensor, dims) => Value::TensorProto(tensor, resize(&dims)?),
        Value::Filled(number, Some(dims)) => Value::Filled(number, Some(resize(&dims)?)),
        other => other,
    }])
}

/// Position `at` counted from the end if negative.
pub(super) fn position(at: i64, rank: usize) -> Result<usize, Unreadable> {
    let rank = rank as i64;
    let position = if at < 0 { at + rank } else { at };
    if !(0..rank).contains(&position) {
        return Err(Unreadable::invalid(format!("names dimension {at} of {rank}")));
    }
    Ok(position as usize)
}

impl<'n> Translator<'n> {
    /// Elements along a dimension, without the batch.
    pub(super) fn length(&self, layer: usize, axis: Axis) -> Number {
        let shape = self.shapes[layer];
        match axis {
            Axis::Batch => Number::Batch,
            Axis::Channels => Number::Known(shape.channels.into()),
            Axis::Rows => Number::Known(shape.rows.into()),
            Axis::Cols => Number::Known(shape.cols.into()),
            Axis::One => Number::Known(1),
        }
    }

    pub(super) fn transpose(&mut self, node: &NodeProto) -> Values<'n> {
        let order = node.integers("perm")?.map(<[i64]>::to_vec);
        if let Some(Value::Squares(layer, block, false)) = self.value(node, 0)? {
            return match order.as_deref() {
                Some([0, 3, 5, 1, 2, 4]) => Ok(vec![Value::Squares(layer, block, true)]),
                _ => {
                    Err(Unreadable::operator("permutes the elements of squares in an order that is not SpaceToDepth's"))
                }
            };
        }
        let (layer, axes) = self.maps(node, 0)?;
        let order = order.unwrap_or_else(|| (0..axes.len() as i64).rev().collect());
        let mut seen: Vec<i64> = order.clone();
        seen.sort_unstable();
        if !seen.into_iter().eq(0..axes.len() as i64) {
            return Err(Unreadable::invalid("has a `perm` that is no permutation"));
        }
        let permuted = order.into_iter().map(|from| axes[from as usize]).collect();
        Ok(vec![Value::Maps(layer, self.renamed(layer, permuted))])
    }

    pub(super) fn squeeze(&mut self, node: &NodeProto) -> Values<'n> {
        let value = self.value(node, 0)?;
        if let Some(value @ (Value::Numbers(_) | Value::Filled(..) | Value::TensorProto(..))) = value {
            let axes = self.axes(node)?;
            return resized(value, |dims| match &axes {
                None => Ok(dims.iter().copied().filter(|&dim| dim != 1).collect()),
                Some(axes) => {
                    let drops =
                        axes.iter().map(|&at| position(at, dims.len())).collect::<Result<Vec<_>, Unreadable>>()?;
                    Ok((0..dims.len()).filter(|at| !drops.contains(at)).map(|at| dims[at]).collect())
                }
            });
        }
        let (layer, axes) = self.maps(node, 0)?;
        let drops = match self.axes(node)? {
            Some(named) => {
                named.iter().map(|&at| position(at, axes.len())).collect::<Result<Vec<usize>, Unreadable>>()?
            }
            None => (0..axes.len()).filter(|&at| self.length(layer, axes[at]) == Number::Known(1)).collect(),
        };
        if let Some(&at) = drops.iter().find(|&&at| self.length(layer, axes[at]) != Number::Known(1)) {
            return Err(Unreadable::operator(format!("removes dimension {at}, which is not 1")));
        }
        let kept = (0..axes.len()).filter(|at| !drops.contains(at)).map(|at| axes[at]).collect();
        Ok(vec![Value::Maps(layer, self.renamed(layer, kept))])
    }

    pub(super) fn unsqueeze(&mut self, node: &NodeProto) -> Values<'n> {
        let value = self.value(node, 0)?;
        if let Some(value @ (Value::Numbers(_) | Value::Filled(..) | Value::TensorProto(..))) = value {
            let named = self.axes(node)?.unwrap_or_default();
            return resized(value, |dims| {
                let rank = dims.len() + named.len().min(8);
                let added = named.iter().map(|&at| position(at, rank)).collect::<Result<Vec<_>, Unreadable>>()?;
                let mut rest = dims.iter().copied();
                Ok((0..rank).map(|at| if added.contains(&at) { 1 } else { rest.next().unwrap_or(1) }).collect())
            });
        }
        let (layer, axes) = self.maps(node, 0)?;
        let named = self.axes(node)?.ok_or_else(|| Unreadable::invalid("lacks the dimensions to add"))?;
        let rank = axes.len() + named.len();
        if rank > 6 {
            return Err(Unreadable::operator(format!("makes {rank} dimensions")));
        }
        let added = named.iter().map(|&at| position(at, rank)).collect::<Result<Vec<usize>, Unreadable>>()?;
        let mut rest = axes.into_iter();
        let all = (0..rank).map(|at| if added.contains(&at) { Axis::One } else { rest.next().unwrap_or(Axis::One) });
        let all = all.collect();
        Ok(vec![Value::Maps(layer, self.renamed(layer, all))])
    }

    /// The same dimensions, those of size one called after their place in our order, if the order is ours then.
    fn renamed(&self, layer: usize, axes: Vec<Axis>) -> Vec<Axis> {
        let renamed: Vec<Axis> = CANONICAL.iter().copied().take(axes.len()).collect();
        let is_same = |(&ours, &theirs): (&Axis, &Axis)| {
            ours == theirs
                || (self.length(layer, ours) == Number::Known(1) && self.length(layer, theirs) == Number::Known(1))
        };
        let keeps_all =
            CANONICAL[1..].iter().all(|&axis| renamed.contains(&axis) || self.length(layer, axis) == Number::Known(1));
        if axes.len() <= 4 && keeps_all && renamed.iter().zip(&axes).all(is_same) { renamed } else { axes }
    }

    /// The attribute or input that names dimensions.
    pub(super) fn axes(&self, node: &NodeProto) -> Result<Option<Vec<i64>>, Unreadable> {
        if let Some(axes) = node.integers("axes")? {
            return Ok(Some(axes.to_vec()));
        }
        if self.value(node, 1)?.is_none() {
            return Ok(None);
        }
        self.known_numbers(node, 1).map(Some)
    }

    pub(super) fn flatten(&mut self, node: &NodeProto) -> Values<'n> {
        let (layer, axes) = self.maps(node, 0)?;
        let axis = node.integer("axis", 1)?;
        if axis != 1 && axis != 1 - axes.len() as i64 {
            return Err(Unreadable::operator("does not keep the batch as the first dimension"));
        }
        self.in_order(layer, &axes)?;
        self.vector(node, layer)
    }

    fn vector(&mut self, node: &NodeProto, layer: usize) -> Values<'n> {
        let shape = self.shapes[layer];
        let is_vector = (shape.rows, shape.cols) == (1, 1);
        let layer = if is_vector { layer } else { self.add(node, Op::Flatten, vec![layer], vec![])? };
        Ok(vec![Value::Maps(layer, CANONICAL[..2].to_vec())])
    }

    /// Whether elements stand in memory as ours do.
    fn in_order(&self, layer: usize, axes: &[Axis]) -> Result<(), Unreadable> {
        let long: Vec<Axis> =
            axes.iter().copied().filter(|&axis| self.length(layer, axis) != Number::Known(1)).collect();
        if !long.is_sorted() || long.first() != Some(&Axis::Batch) {
            return Err(Unreadable::operator("moves elements of maps that are in another order than NCHW"));
        }
        Ok(())
    }

    pub(super) fn reshape(&mut self, node: &NodeProto) -> Values<'n> {
        let target = match node.integers("shape")? {
            Some(shape) => shape.iter().map(|&number| Number::Known(number)).collect(),
            None => self.numbers(node, 1)?,
        };
        let value = self.value(node, 0)?;
        if let Some(value @ (Value::Numbers(_) | Value::Filled(..) | Value::TensorProto(..))) = value {
            return resized(value, |dims| {
                let all = dims.iter().try_fold(1_i64, |product, &dim| product.checked_mul(dim));
                let sizes = target.iter().enumerate().map(|(at, number)| match *number {
                    Number::Known(0) => dims.get(at).copied().unwrap_or(0),
                    Number::Known(size) => size,
                    Number::Batch => 1,
                });
                let sizes: Vec<i64> = sizes.collect();
                let rest =
                    sizes.iter().filter(|&&size| size != -1).try_fold(1_i64, |product, &dim| product.checked_mul(dim));
                let (Some(all), Some(rest @ 1..)) = (all, rest) else {
                    return Err(Unreadable::invalid("makes weights of another size"));
                };
                Ok(sizes.into_iter().map(|size| if size == -1 { all / rest } else { size }).collect())
            });
        }
        if let Some(Value::Squares(layer, block, is_in_front)) = value {
            return self.join_squares(node, layer, block, is_in_front, &target);
        }
        let (layer, axes) = self.maps(node, 0)?;
        if node.integer("allowzero", 0)? != 0 && target.contains(&Number::Known(0)) {
            return Err(Unreadable::operator("makes a dimension of zero"));
        }
        self.in_order(layer, &axes)?;
        // Where the batch stands in front of both, zero and its size mean it, and so does what is left over.
        let keeps = |at: usize| axes.get(at).map_or(Number::Known(0), |&axis| self.length(layer, axis));
        let mut sizes: Vec<Number> = target
            .iter()
            .enumerate()
            .map(|(at, &number)| if number == Number::Known(0) { keeps(at) } else { number })
            .collect();
        let elements = self.shapes[layer].elements();
        let known = |sizes: &[Number]| {
            sizes.iter().try_fold(1_u64, |product, size| match size {
                Number::Known(-1) | Number::Batch => Some(product),
                Number::Known(size) => product.checked_mul(u64::try_from(*size).ok()?),
            })
        };
        let foreign = || Unreadable::operator("does not keep the batch as the first dimension");
        let Some((first, rest)) = sizes.split_first_mut() else { return Err(foreign()) };
        let fills = known(rest) == Some(elements) && !rest.contains(&Number::Known(-1));
        match *first {
            Number::Batch => {}
            Number::Known(-1) if fills => {}
            Number::Known(size) if Some(size) == self.batch => {}
            Number::Known(1) if self.batch.is_none() && fills => {}
            _ => return Err(foreign()),
        }
        let product = known(rest).filter(|&product| product > 0).ok_or_else(foreign)?;
        let mut dims = Vec::new();
        for size in rest.iter() {
            dims.push(match *size {
                Number::Known(-1) => u32::try_from(elements / product).map_err(|_| foreign())?,
                Number::Known(size) => u32::try_from(size).map_err(|_| foreign())?,
                Number::Batch => return Err(foreign()),
            });
        }
        let shape = self.shapes[layer];
        match *dims.as_slice() {
            [_] => self.vector(node, layer),
            [channels, rows] | [channels, rows, 1] | [channels, rows, _] => {
                let cols = dims.get(2).copied().unwrap_or(1);
                let is_same = (channels, rows, cols) == (shape.channels, shape.rows, shape.cols);
                let op = Op::Reshape { channels, rows, cols };
                let layer = if is_same { layer } else { self.add(node, op, vec![layer], vec![])? };
                Ok(vec![Value::Maps(layer, CANONICAL[..=dims.len()].to_vec())])
            }
            // Squares apart, as in SpaceToDepth.
            [channels, rows, block, cols, other]
                if block == other
                    && channels == shape.channels
                    && rows.checked_mul(block) == Some(shape.rows)
                    && cols.checked_mul(block) == Some(shape.cols) =>
            {
                Ok(vec![Value::Squares(layer, block, false)])
            }
            _ => Err(Unreadable::operator(format!("makes {} dimensions", dims.len() + 1))),
        }
    }

    fn join_squares(
        &mut self,
        node: &NodeProto,
        layer: usize,
        block: u32,
        is_in_front: bool,
        target: &[Number],
    ) -> Values<'n> {
        let shape = self.shapes[layer];
        let channels = i64::from(shape.channels) * i64::from(block) * i64::from(block);
        let expected = [channels, (shape.rows / block).into(), (shape.cols / block).into()].map(Number::Known);
        let is_sized = |(size, expected): (&Number, &Number)| size == expected || *size == Number::Known(-1);
        let sizes = target.get(1..).unwrap_or(&[]);
        if !is_in_front || sizes.len() != 3 || !sizes.iter().zip(&expected).all(is_sized) {
            return Err(Unreadable::operator("joins squares in an order that is not SpaceToDepth's"));
        }
        let layer = self.add(node, Op::SpaceToDepth { block }, vec![layer], vec![])?;
        Ok(vec![Value::Maps(layer, CANONICAL.to_vec())])
    }
}

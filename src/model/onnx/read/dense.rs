//! Products with a matrix.

use super::super::proto::NodeProto;
use super::layers::SPREAD_MAX;
use super::layout::Axis;
use super::translate::{Translator, Unreadable, Value, Values};
use super::windows::unsigned;
use crate::model::{Conv, Op};

impl<'n> Translator<'n> {
    pub(super) fn gemm(&mut self, node: &NodeProto) -> Values<'n> {
        node.expect("transA", 0)?;
        let (layer, axes) = self.maps(node, 0)?;
        let (dims, weight) = self.weight(node, 1)?;
        let &[first, second] = dims.as_slice() else { return Err(Unreadable::invalid("has a matrix that is none")) };
        let is_transposed = node.integer("transB", 0)? != 0;
        let units = if is_transposed { first } else { second };
        let mut weight = if is_transposed { weight } else { transposed(&weight, first, second)? };
        let (alpha, beta) = (node.float("alpha", 1.0)?, node.float("beta", 1.0)?);
        if alpha != 1.0 {
            weight.iter_mut().for_each(|number| *number *= alpha);
        }
        let mut bias = None;
        if self.value(node, 2)?.is_some() {
            let (_, mut numbers) = self.weight(node, 2)?;
            if numbers.len() == 1 && units <= SPREAD_MAX.into() {
                numbers = vec![numbers[0]; units.max(0) as usize];
            }
            numbers.iter_mut().for_each(|number| *number *= beta);
            bias = Some(numbers);
        }
        self.dense(node, layer, &axes, units, weight, bias)
    }

    fn dense(
        &mut self,
        node: &NodeProto,
        layer: usize,
        axes: &[Axis],
        units: i64,
        weight: Vec<f32>,
        bias: Option<Vec<f32>>,
    ) -> Values<'n> {
        let units = unsigned(units)?;
        let has_bias = bias.is_some();
        let weights = std::iter::once(("weight", weight)).chain(bias.map(|bias| ("bias", bias))).collect();
        let shape = self.shapes[layer];
        let op = match axes {
            [Axis::Batch, Axis::Channels] => Op::Dense { units, bias: has_bias },
            // The same product at each step of a sequence.
            [.., Axis::Channels] if shape.cols == 1 && axes.len() <= 4 => {
                Op::Conv(Conv { bias: has_bias, ..Conv::square(units, 1) })
            }
            _ => return Err(Unreadable::operator("multiplies by a matrix along another dimension than the channels")),
        };
        let layer = self.add(node, op, vec![layer], weights)?;
        Ok(vec![Value::Maps(layer, axes.to_vec())])
    }

    pub(super) fn product(&mut self, node: &NodeProto) -> Values<'n> {
        let (layer, axes) = self.maps(node, 0)?;
        let (dims, weight) = self.weight(node, 1)?;
        let &[first, second] = dims.as_slice() else {
            return Err(Unreadable::operator("multiplies by something else than a matrix"));
        };
        let weight = transposed(&weight, first, second)?;
        self.dense(node, layer, &axes, second, weight, None)
    }
}

/// A matrix of `rows` x `cols`, by columns.
fn transposed(matrix: &[f32], rows: i64, cols: i64) -> Result<Vec<f32>, Unreadable> {
    let size = usize::try_from(rows).ok().zip(usize::try_from(cols).ok());
    let size = size.filter(|(rows, cols)| rows.checked_mul(*cols) == Some(matrix.len()));
    let (rows, cols) = size.ok_or_else(|| Unreadable::invalid("has a matrix of another size than its dimensions"))?;
    Ok((0..cols).flat_map(|col| (0..rows).map(move |row| matrix[row * cols + col])).collect())
}

//! Recurrent layers.

use super::super::proto::NodeProto;
use super::layout::Axis;
use super::numbers::Number;
use super::translate::{Translator, Unreadable, Value, Values};
use super::windows::unsigned;
use crate::model::{Op, Steps};

impl<'n> Translator<'n> {
    pub(super) fn recurrent(&mut self, node: &'n NodeProto) -> Values<'n> {
        let is_lstm = node.operator == "LSTM";
        if node.text("direction", "forward")? != "forward" {
            return Err(Unreadable::operator("does not run forward only"));
        }
        let usual: [&[u8]; 3] = [b"Sigmoid", b"Tanh", b"Tanh"];
        let functions = node.texts("activations")?;
        if !functions.is_empty() && functions != &usual[..if is_lstm { 3 } else { 2 }] || node.has("clip") {
            return Err(Unreadable::operator("has other activations than sigmoid and tanh"));
        }
        node.expect(if is_lstm { "input_forget" } else { "linear_before_reset" }, i64::from(!is_lstm)).and_then(
            |()| {
                if is_lstm || node.has("linear_before_reset") {
                    return Ok(());
                }
                Err(Unreadable::operator("resets before the product, and only linear_before_reset = 1 is read"))
            },
        )?;
        for (index, what) in [(4, "lengths of sequences"), (7, "peepholes")] {
            if (is_lstm || index != 7) && self.value(node, index)?.is_some() {
                return Err(Unreadable::operator(format!("has {what}")));
            }
        }
        for index in [5, 6] {
            let is_there = self.value(node, index)?.is_some();
            if is_there && !self.constant(node, index)?.is_some_and(|(_, state)| state.iter().all(|&x| x == 0.0)) {
                return Err(Unreadable::operator("begins with a state that is not zero"));
            }
        }
        let (layer, axes) = self.maps(node, 0)?;
        let by_time = [Axis::Rows, Axis::Batch, Axis::Channels];
        let by_batch = [Axis::Batch, Axis::Rows, Axis::Channels];
        let is_batch_first = node.integer("layout", 0)? == 1;
        if axes != if is_batch_first { by_batch } else { by_time } || self.shapes[layer].cols != 1 {
            return Err(Unreadable::operator("reads something else than a sequence"));
        }
        let ((dims, weight), (_, recurrence)) = (self.weight(node, 1)?, self.weight(node, 2)?);
        let gates = if is_lstm { 4 } else { 3 };
        let rows = dims.get(1).copied().unwrap_or(0);
        let bias = match self.constant(node, 3)? {
            Some((_, bias)) => bias,
            // No more than the weights, which are in the file.
            None if (0..=weight.len() as i64).contains(&rows) => vec![0.0; 2 * rows as usize],
            None => return Err(Unreadable::invalid("has weights of another size than their dimensions")),
        };
        let hidden = unsigned(node.integer("hidden_size", rows / gates)?)?;
        let (all, last) = (self.is_read(node, 0), self.is_read(node, 1));
        if self.is_read(node, 2) || all && last {
            return Err(Unreadable::operator("gives more than either all states or the last one"));
        }
        let steps = if all { Steps::All } else { Steps::Last };
        let op = if is_lstm { Op::Lstm { hidden, steps } } else { Op::Gru { hidden, steps } };
        let weights = vec![("weight", weight), ("recurrence", recurrence), ("bias", bias)];
        let layer = self.add(node, op, vec![layer], weights)?;
        let [first, second] = if is_batch_first { [Axis::Batch, Axis::One] } else { [Axis::One, Axis::Batch] };
        let states = match is_batch_first {
            true => vec![Axis::Batch, Axis::Rows, Axis::One, Axis::Channels],
            false => vec![Axis::Rows, Axis::One, Axis::Batch, Axis::Channels],
        };
        if all {
            return Ok(vec![Value::Maps(layer, states)]);
        }
        Ok(vec![Value::Refused, Value::Maps(layer, vec![first, second, Axis::Channels])])
    }

    /// The last of the states that a recurrent layer gives.
    pub(super) fn last_step(&mut self, node: &NodeProto, layer: usize, axes: &[Axis], indices: &[i64]) -> Values<'n> {
        let part = || Unreadable::operator("takes a part of a map");
        let at = super::layout::position(node.integer("axis", 0)?, axes.len())?;
        let Number::Known(length) = self.length(layer, axes[at]) else { return Err(part()) };
        let is_last = matches!(indices, &[index] if index == -1 || index + 1 == length);
        let op = match self.layers[layer].op {
            Op::Lstm { hidden, steps: Steps::All } => Op::Lstm { hidden, steps: Steps::Last },
            Op::Gru { hidden, steps: Steps::All } => Op::Gru { hidden, steps: Steps::Last },
            _ => return Err(part()),
        };
        if !is_last || axes[at] != Axis::Rows {
            return Err(part());
        }
        let input = self.layers[layer].inputs[0].0 as usize;
        let weights = ["weight", "recurrence", "bias"].map(|name| (name, self.weights[&(layer, name)].clone()));
        let last = self.add(node, op, vec![input], weights.to_vec())?;
        // One index without dimensions takes its own away.
        let rest: Vec<Axis> = axes.iter().copied().filter(|&axis| axis != Axis::Rows).collect();
        Ok(vec![Value::Maps(last, rest)])
    }
}

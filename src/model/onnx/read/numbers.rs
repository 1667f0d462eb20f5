//! Constants: weights as floats, and the arithmetic on shapes that exporters leave in a file.

use super::super::proto::{NodeProto, TensorProto};
use super::BUDGET;
use super::layout::position;
use super::translate::{Translator, Unreadable, Value, Values};

/// An entry of a shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Number {
    Known(i64),
    /// Samples in the batch.
    Batch,
}

/// Dimensions and elements of a constant.
type Floats = (Vec<i64>, Vec<f32>);

/// Numbers in a shape that arithmetic is done on.
const NUMBERS_MAX: usize = 64;

impl TensorProto {
    fn elements(&self) -> Result<usize, Unreadable> {
        let product =
            self.dims.iter().try_fold(1_usize, |product, &dim| product.checked_mul(usize::try_from(dim).ok()?));
        product.ok_or_else(|| Unreadable::invalid(format!("weights `{}` have a negative or huge dimension", self.name)))
    }

    /// All elements, as many as the dimensions say.
    pub(super) fn to_floats(&self) -> Result<Vec<f32>, Unreadable> {
        let name = &self.name;
        if !self.external.is_empty() || self.location == 1 {
            let remedy = "save it in one file: onnx.save(onnx.load(path), path, save_as_external_data=False)";
            return Err(Unreadable::new(format!("weights `{name}` lie in another file"), remedy));
        }
        let floats = match (self.kind, self.raw.as_deref()) {
            (1, Some(raw)) => raw.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect(),
            (11, Some(raw)) => raw.as_chunks().0.iter().map(|&bytes| f64::from_le_bytes(bytes) as f32).collect(),
            (10, Some(raw)) => raw.as_chunks().0.iter().map(|&bytes| half(u16::from_le_bytes(bytes))).collect(),
            (1, None) => self.floats.clone(),
            (11, None) => self.doubles.iter().map(|&double| double as f32).collect(),
            (10, None) => self.small_integers.iter().map(|&bits| half(bits as u16)).collect(),
            (kind, _) => {
                let cause = format!("weights `{name}` are of ONNX data type {kind}, and floats are read");
                return Err(Unreadable::new(cause, "export the network in 32-bit floats, before quantisation"));
            }
        };
        let elements = self.elements()?;
        if floats.len() != elements {
            let cause = format!("weights `{name}` hold {} numbers, and their dimensions {elements}", floats.len());
            return Err(Unreadable::invalid(cause));
        }
        Ok(floats)
    }

    fn to_integers(&self) -> Result<Vec<i64>, Unreadable> {
        let integers: Vec<i64> = match (self.kind, self.raw.as_deref()) {
            (7, Some(raw)) => raw.as_chunks().0.iter().map(|&bytes| i64::from_le_bytes(bytes)).collect(),
            (6, Some(raw)) => raw.as_chunks().0.iter().map(|&bytes| i32::from_le_bytes(bytes).into()).collect(),
            (7, None) => self.integers.clone(),
            (6, None) => self.small_integers.iter().map(|&integer| integer.into()).collect(),
            _ => return Err(Unreadable::operator(format!("reads constant `{}` as whole numbers", self.name))),
        };
        if integers.len() != self.elements()? {
            return Err(Unreadable::invalid(format!("constant `{}` has another size than its dimensions", self.name)));
        }
        Ok(integers)
    }
}

/// Elements of a tensor of `dims`, if they can be counted.
fn elements(dims: &[i64]) -> Option<usize> {
    dims.iter().try_fold(1_usize, |product, &dim| product.checked_mul(usize::try_from(dim).ok()?))
}

/// An IEEE half-precision number.
fn half(bits: u16) -> f32 {
    let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f32::from(bits & 1023));
    sign * match exponent {
        0 => fraction * 2.0_f32.powi(-24),
        31 if fraction == 0.0 => f32::INFINITY,
        31 => f32::NAN,
        _ => (1.0 + fraction / 1024.0) * 2.0_f32.powi(exponent - 15),
    }
}

impl<'n> Translator<'n> {
    /// The dimensions and elements of the constant that input `index` is, if it is one.
    pub(super) fn constant(&mut self, node: &NodeProto, index: usize) -> Result<Option<Floats>, Unreadable> {
        match self.value(node, index)? {
            Some(Value::TensorProto(tensor, dims)) => {
                if tensor.kind != 1 {
                    self.notes.insert("computes in 32-bit floats what the file does not".into());
                }
                Ok(Some((dims, tensor.to_floats()?)))
            }
            Some(Value::Floats(numbers)) => Ok(Some((vec![numbers.len() as i64], numbers.to_vec()))),
            Some(Value::Filled(value, None)) => Ok(Some((vec![], vec![value]))),
            Some(Value::Filled(value, Some(dims))) => {
                let elements = elements(&dims).filter(|&elements| elements <= BUDGET);
                let elements = elements.ok_or_else(|| {
                    Unreadable::operator(format!(
                        "reads one number repeated over {dims:?}, which the file does not hold"
                    ))
                })?;
                Ok(Some((dims, vec![value; elements])))
            }
            _ => Ok(None),
        }
    }

    /// As [`Translator::constant`], of weights, which must be there.
    pub(super) fn weight(&mut self, node: &NodeProto, index: usize) -> Result<Floats, Unreadable> {
        self.constant(node, index)?.ok_or_else(|| {
            let remedy = "simplify the file, for example with onnxsim, so that weights are constants";
            Unreadable::new(format!("reads input {index} as weights, and it is computed"), remedy)
        })
    }

    /// The entries of the shape that input `index` is.
    pub(super) fn numbers(&self, node: &NodeProto, index: usize) -> Result<Vec<Number>, Unreadable> {
        let numbers = match self.value(node, index)? {
            Some(Value::Numbers(numbers)) => numbers,
            Some(Value::TensorProto(tensor, _)) => tensor.to_integers()?.into_iter().map(Number::Known).collect(),
            _ => {
                let remedy = "simplify the file, for example with onnxsim";
                return Err(Unreadable::new(format!("reads a shape as input {index} that is no constant"), remedy));
            }
        };
        if numbers.len() > NUMBERS_MAX {
            return Err(Unreadable::operator(format!("reads a shape of {} dimensions", numbers.len())));
        }
        Ok(numbers)
    }

    /// As [`Translator::numbers`], without the batch among them.
    pub(super) fn known_numbers(&self, node: &NodeProto, index: usize) -> Result<Vec<i64>, Unreadable> {
        let known = |number| match number {
            Number::Known(number) => Ok(number),
            Number::Batch => Err(Unreadable::operator("depends on the size of the batch")),
        };
        self.numbers(node, index)?.into_iter().map(known).collect()
    }

    pub(super) fn constant_node(&mut self, node: &'n NodeProto) -> Values<'n> {
        let value = if let Some(tensor) = node.tensor("value")? {
            Value::TensorProto(tensor, tensor.dims.clone())
        } else if node.has("value_int") {
            Value::Numbers(vec![Number::Known(node.integer("value_int", 0)?)])
        } else if let Some(numbers) = node.integers("value_ints")? {
            Value::Numbers(numbers.iter().map(|&number| Number::Known(number)).collect())
        } else if let Some(numbers) = node.floats("value_floats")? {
            Value::Floats(numbers)
        } else if node.has("value_float") {
            Value::Filled(node.float("value_float", 0.0)?, Some(vec![]))
        } else {
            return Err(Unreadable::operator("is a constant that is neither a tensor nor whole numbers"));
        };
        Ok(vec![value])
    }

    pub(super) fn filled(&mut self, node: &'n NodeProto) -> Values<'n> {
        let value = match node.tensor("value")? {
            None => 0.0,
            Some(tensor) => match tensor.to_floats()?.as_slice() {
                &[value] => value,
                _ => return Err(Unreadable::invalid("fills a tensor with other than one number")),
            },
        };
        // Where the size of the batch is among them, dimensions stay unknown.
        let dims = match self.value(node, 0)? {
            Some(Value::Maps(..)) | None => None,
            Some(_) => self.known_numbers(node, 0).ok(),
        };
        Ok(vec![Value::Filled(value, dims)])
    }

    pub(super) fn shape(&mut self, node: &NodeProto) -> Values<'n> {
        let (layer, axes) = self.maps(node, 0)?;
        let all: Vec<Number> = axes.iter().map(|&axis| self.length(layer, axis)).collect();
        let bound = |at: i64| (if at < 0 { at + all.len() as i64 } else { at }).clamp(0, all.len() as i64) as usize;
        let (start, end) = (bound(node.integer("start", 0)?), bound(node.integer("end", i64::MAX)?));
        Ok(vec![Value::Numbers(all.get(start..end).unwrap_or(&[]).to_vec())])
    }

    /// Entries of a shape by position.
    pub(super) fn gather(&mut self, node: &NodeProto) -> Values<'n> {
        let indices = self.known_numbers(node, 1)?;
        if let Some(Value::Maps(layer, axes)) = self.value(node, 0)? {
            return self.last_step(node, layer, &axes, &indices);
        }
        let numbers = self.numbers(node, 0)?;
        let picked = indices.iter().map(|&index| Ok(numbers[position(index, numbers.len())?]));
        Ok(vec![Value::Numbers(picked.collect::<Result<_, Unreadable>>()?)])
    }

    /// Entries of a shape from one position to another.
    pub(super) fn slice(&mut self, node: &NodeProto) -> Values<'n> {
        if let Some(Value::Maps(..)) = self.value(node, 0)? {
            return Err(Unreadable::operator("takes a part of a map"));
        }
        let numbers = self.numbers(node, 0)?;
        let bound = |name: &str, index: usize| match node.integers(name)? {
            Some(bounds) => Ok(bounds.to_vec()),
            None => self.known_numbers(node, index),
        };
        let (starts, ends) = (bound("starts", 1)?, bound("ends", 2)?);
        let steps = if self.value(node, 4)?.is_some() { self.known_numbers(node, 4)? } else { vec![1] };
        let (&[start], &[end], [1]) = (starts.as_slice(), ends.as_slice(), steps.as_slice()) else {
            return Err(Unreadable::operator("takes a part of a shape that is more than a range"));
        };
        let length = numbers.len() as i64;
        let clamp = |at: i64| (if at < 0 { at.saturating_add(length) } else { at }).clamp(0, length) as usize;
        Ok(vec![Value::Numbers(numbers.get(clamp(start)..clamp(end)).unwrap_or(&[]).to_vec())])
    }

    pub(super) fn joined(&mut self, node: &NodeProto) -> Values<'n> {
        let mut all = Vec::new();
        for index in 0..node.inputs.len() {
            all.extend(self.numbers(node, index)?);
            if all.len() > NUMBERS_MAX {
                return Err(Unreadable::operator("joins shapes to one of many dimensions"));
            }
        }
        Ok(vec![Value::Numbers(all)])
    }

    /// Whether all inputs are shapes or constants.
    pub(super) fn is_arithmetic(&self, node: &NodeProto) -> Result<bool, Unreadable> {
        for index in 0..node.inputs.len() {
            if !matches!(self.value(node, index)?, Some(Value::Numbers(_) | Value::TensorProto(..) | Value::Filled(..)))
            {
                return Ok(false);
            }
        }
        Ok(true)
    }

    pub(super) fn arithmetic(&mut self, node: &NodeProto) -> Values<'n> {
        let (left, right) = (self.numbers(node, 0)?, self.numbers(node, 1)?);
        let length = left.len().max(right.len());
        if [left.len(), right.len()].iter().any(|&given| given != length && given != 1) {
            return Err(Unreadable::invalid("has shapes of different lengths"));
        }
        let each = |at: usize| {
            let pair = (left[at.min(left.len() - 1)], right[at.min(right.len() - 1)]);
            let result = match (node.operator.as_str(), pair) {
                ("Mul", (Number::Batch, Number::Known(1)) | (Number::Known(1), Number::Batch)) => {
                    return Ok(Number::Batch);
                }
                ("Div", (Number::Batch, Number::Known(1))) => return Ok(Number::Batch),
                ("Add", (Number::Known(a), Number::Known(b))) => a.checked_add(b),
                ("Sub", (Number::Known(a), Number::Known(b))) => a.checked_sub(b),
                ("Mul", (Number::Known(a), Number::Known(b))) => a.checked_mul(b),
                ("Div", (Number::Known(a), Number::Known(b))) => a.checked_div(b),
                _ => None,
            };
            result.map(Number::Known).ok_or_else(|| Unreadable::operator("computes with the size of the batch"))
        };
        Ok(vec![Value::Numbers((0..length).map(each).collect::<Result<_, Unreadable>>()?)])
    }
}

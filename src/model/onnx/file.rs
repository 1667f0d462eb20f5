//! An ONNX file in the making: nodes, tensors and what goes in and out, with the field numbers of `onnx.proto`.

use std::borrow::Cow;
use std::ops::Range;

use super::WriteError;
use super::wire::Message;
use crate::model::Shape;

/// Operators' version, the newest before which all of ONNX Runtime 1.12, TensorRT 8.6 and rten 0.27 read.
const OPSET: i64 = 17;
/// The file format's version that came with it.
const IR_VERSION: i64 = 8;
const FLOAT: i64 = 1;
const INT64: i64 = 7;
/// What Protocol Buffers can hold.
const BYTES_MAX: u64 = i32::MAX as u64;

/// Value of a node's attribute.
#[derive(Clone, Debug)]
pub(super) enum Attribute {
    Integer(i64),
    Integers(Vec<i64>),
    Float(f32),
    Text(&'static str),
}

/// A tensor of weights that is asked for only when the file is put together.
pub(super) struct Tensor<'a> {
    pub(super) name: String,
    pub(super) dims: Vec<i64>,
    pub(super) numbers: Box<dyn FnOnce() -> Cow<'a, [f32]> + 'a>,
}

/// A file in the making.
#[derive(Default)]
pub(super) struct File<'a> {
    graph: Message,
    tensors: Vec<Tensor<'a>>,
}

impl<'a> File<'a> {
    pub(super) fn input(&mut self, name: &str, shape: Shape, rows: &Range<u32>, samples: Option<u32>) {
        self.field(11, value(name, shape, rows, samples));
    }

    pub(super) fn output(&mut self, name: &str, shape: Shape, rows: &Range<u32>, samples: Option<u32>) {
        self.field(12, value(name, shape, rows, samples));
    }

    pub(super) fn node(
        &mut self,
        operator: &str,
        inputs: &[String],
        outputs: &[&str],
        attributes: &[(&str, Attribute)],
    ) {
        let name = outputs.iter().rfind(|name| !name.is_empty()).expect("a node has an output");
        let mut node = Message::default();
        node = inputs.iter().fold(node, |node, input| node.text(1, input));
        node = outputs.iter().fold(node, |node, output| node.text(2, output));
        node = node.text(3, name).text(4, operator);
        node = attributes.iter().fold(node, |node, (name, value)| node.message(5, attribute(name, value)));
        self.field(1, node);
    }

    pub(super) fn integers(&mut self, name: &str, values: &[i64]) {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let tensor =
            Message::default().integer(1, values.len() as i64).integer(2, INT64).text(8, name).bytes(9, &bytes);
        self.field(5, tensor);
    }

    pub(super) fn scalar(&mut self, name: &str, value: f32) {
        let tensor = Message::default().integer(2, FLOAT).text(8, name).bytes(9, &value.to_le_bytes());
        self.field(5, tensor);
    }

    pub(super) fn tensor(&mut self, tensor: Tensor<'a>) {
        self.tensors.push(tensor);
    }

    /// The bytes of the file. Beside them, one tensor at a time is in memory.
    pub(super) fn finish(self, name: &str) -> Result<Vec<u8>, WriteError> {
        let graph = Message::default().text(2, name).join(&self.graph);
        let heads: Vec<(Message, u64)> = self.tensors.iter().map(tensor_head).collect();
        let whole = heads.iter().fold(graph.len() as u64, |sum, (head, bytes)| sum + head.len() as u64 + bytes);
        if whole > BYTES_MAX - 1024 {
            return Err(WriteError::TooLarge { bytes: whole });
        }
        let opset = Message::default().text(1, "").integer(2, OPSET);
        let mut file = Message::default().integer(1, IR_VERSION).text(2, "coinfer").message(8, opset);
        file.reserve(whole as usize + 64);
        file = file.open(7, whole).join(&graph);
        for (tensor, (head, bytes)) in self.tensors.into_iter().zip(heads) {
            file = file.join(&head);
            let numbers = (tensor.numbers)();
            assert_eq!(numbers.len() as u64 * 4, bytes, "a tensor has the size that its dimensions say");
            file.append(numbers.iter().copied());
        }
        Ok(file.into_bytes())
    }

    fn field(&mut self, field: u64, message: Message) {
        self.graph = std::mem::take(&mut self.graph).message(field, message);
    }
}

/// All of a tensor, as a field of the graph, up to its numbers, and how many bytes those are.
fn tensor_head(tensor: &Tensor) -> (Message, u64) {
    let bytes = tensor.dims.iter().fold(4, |product: u64, &dim| product.saturating_mul(dim as u64));
    let inner = Message::default().integers(1, &tensor.dims).integer(2, FLOAT).text(8, &tensor.name).open(9, bytes);
    let length = (inner.len() as u64).saturating_add(bytes);
    (Message::default().open(5, length).join(&inner), bytes)
}

fn attribute(name: &str, value: &Attribute) -> Message {
    let head = Message::default().text(1, name);
    match value {
        Attribute::Float(value) => head.float(2, *value).integer(20, 1),
        Attribute::Integer(value) => head.integer(3, *value).integer(20, 2),
        Attribute::Text(value) => head.text(4, value).integer(20, 3),
        Attribute::Integers(values) => head.integers(8, values).integer(20, 7),
    }
}

/// Maps with a batch in front, in the order NCHW.
fn value(name: &str, shape: Shape, rows: &Range<u32>, samples: Option<u32>) -> Message {
    let number = |size: u32| Message::default().integer(1, size.into());
    let batch = samples.map_or_else(|| Message::default().text(2, "N"), number);
    let dims = [batch, number(shape.channels), number(rows.len() as u32), number(shape.cols)];
    let shape = dims.into_iter().fold(Message::default(), |shape, dim| shape.message(1, dim));
    let tensor = Message::default().integer(1, FLOAT).message(2, shape);
    Message::default().text(1, name).message(2, Message::default().message(1, tensor))
}

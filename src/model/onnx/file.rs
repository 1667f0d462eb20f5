//! An ONNX file in the making: nodes, tensors and what goes in and out.

use std::borrow::Cow;
use std::ops::Range;

use prost::Message;
use prost::bytes::Bytes;

use super::WriteError;
use super::proto::{
    AttributeProto, AttributeType, FLOAT, GraphProto, INT64, ModelProto, NodeProto, OperatorSet, Size, TensorProto,
    ValueInfo,
};
use crate::model::Shape;

/// Operators' version, the newest before which all of ONNX Runtime 1.12, TensorRT 8.6 and rten 0.27 read.
const OPSET: i64 = 17;
/// The file format's version that came with it.
const IR_VERSION: i64 = 8;
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
pub(super) struct OnnxFile<'a> {
    graph: GraphProto,
    tensors: Vec<Tensor<'a>>,
}

impl<'a> OnnxFile<'a> {
    pub(super) fn input(&mut self, name: &str, shape: Shape, rows: &Range<u32>, samples: Option<u32>) {
        self.graph.inputs.push(port(name, shape, rows, samples));
    }

    pub(super) fn output(&mut self, name: &str, shape: Shape, rows: &Range<u32>, samples: Option<u32>) {
        self.graph.outputs.push(port(name, shape, rows, samples));
    }

    pub(super) fn node(
        &mut self,
        operator: &str,
        inputs: &[String],
        outputs: &[&str],
        attributes: &[(&str, Attribute)],
    ) {
        let name = outputs.iter().rfind(|name| !name.is_empty()).expect("a node has an output");
        self.graph.nodes.push(NodeProto {
            inputs: inputs.to_vec(),
            outputs: outputs.iter().map(ToString::to_string).collect(),
            name: name.to_string(),
            operator: operator.to_owned(),
            attributes: attributes.iter().map(|(name, value)| attribute(name, value)).collect(),
            domain: String::new(),
        });
    }

    pub(super) fn integers(&mut self, name: &str, values: &[i64]) {
        let raw: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        self.graph.tensors.push(tensor(name, vec![values.len() as i64], INT64, raw.into()));
    }

    pub(super) fn scalar(&mut self, name: &str, value: f32) {
        self.graph.tensors.push(tensor(name, vec![], FLOAT, value.to_le_bytes().to_vec().into()));
    }

    pub(super) fn tensor(&mut self, tensor: Tensor<'a>) {
        self.tensors.push(tensor);
    }

    /// The bytes of the file. Beside them, one tensor at a time is in memory.
    pub(super) fn finish(mut self, name: &str) -> Result<Vec<u8>, WriteError> {
        self.graph.name = name.to_owned();
        let heads: Vec<(Vec<u8>, u64)> = self.tensors.iter().map(tensor_head).collect();
        let heads_and_numbers = heads.iter().map(|(head, bytes)| (head.len() as u64).saturating_add(*bytes));
        let whole = heads_and_numbers.fold(self.graph.encoded_len() as u64, u64::saturating_add);
        if whole > BYTES_MAX - 1024 {
            return Err(WriteError::TooLarge { bytes: whole });
        }
        let model = ModelProto {
            format: IR_VERSION,
            producer: "coinfer".into(),
            graph: None,
            operator_sets: vec![OperatorSet { domain: Some(String::new()), version: OPSET }],
        };
        let mut file = Vec::with_capacity(whole as usize + 64);
        file.extend(model.encode_to_vec());
        let graph = ModelProto { graph: Some(GraphProto::default()), ..ModelProto::default() };
        file.extend(opened(&graph, whole));
        self.graph.encode(&mut file).expect("a vector grows");
        for (tensor, (head, bytes)) in self.tensors.into_iter().zip(heads) {
            file.extend(head);
            let numbers = (tensor.numbers)();
            assert_eq!(numbers.len() as u64 * 4, bytes, "a tensor has the size that its dimensions say");
            append(&mut file, &numbers);
        }
        Ok(file)
    }
}

/// All of a tensor, as a field of the graph, up to its numbers, and how many bytes those are.
fn tensor_head(given: &Tensor) -> (Vec<u8>, u64) {
    let bytes = given.dims.iter().fold(4, |product: u64, &dim| product.saturating_mul(dim as u64));
    let inner = opened(&tensor(&given.name, given.dims.clone(), FLOAT, Bytes::new()), bytes);
    let graph = GraphProto { tensors: vec![TensorProto::default()], ..GraphProto::default() };
    let mut head = opened(&graph, (inner.len() as u64).saturating_add(bytes));
    head.extend(inner);
    (head, bytes)
}

/// `message`, whose last field is empty, with `length` bytes in that field, which the caller appends. So the weights,
/// which are most of a file, are never in memory all together beside it.
fn opened(message: &impl Message, length: u64) -> Vec<u8> {
    let mut bytes = message.encode_to_vec();
    assert_eq!(bytes.pop(), Some(0), "the length of an empty field ends the message");
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    prost::encode_length_delimiter(length, &mut bytes).expect("a vector grows");
    bytes
}

fn append(file: &mut Vec<u8>, numbers: &[f32]) {
    let start = file.len();
    file.resize(start + 4 * numbers.len(), 0);
    for (bytes, number) in file[start..].as_chunks_mut().0.iter_mut().zip(numbers) {
        *bytes = number.to_le_bytes();
    }
}

fn tensor(name: &str, dims: Vec<i64>, kind: i32, raw: Bytes) -> TensorProto {
    TensorProto { name: name.to_owned(), dims, kind, raw: Some(raw), ..TensorProto::default() }
}

pub(super) fn attribute(name: &str, value: &Attribute) -> AttributeProto {
    let named = |kind: AttributeType| AttributeProto { name: name.to_owned(), kind: kind.into(), ..Default::default() };
    match value {
        &Attribute::Float(value) => AttributeProto { float: Some(value), ..named(AttributeType::Float) },
        &Attribute::Integer(value) => AttributeProto { integer: Some(value), ..named(AttributeType::Integer) },
        Attribute::Text(value) => {
            AttributeProto { text: Some(Bytes::from_static(value.as_bytes())), ..named(AttributeType::Text) }
        }
        Attribute::Integers(values) => AttributeProto { integers: values.clone(), ..named(AttributeType::Integers) },
    }
}

/// Maps with a batch in front, in the order NCHW.
fn port(name: &str, shape: Shape, rows: &Range<u32>, samples: Option<u32>) -> ValueInfo {
    let batch = samples.map_or_else(|| Size::Named("N".into()), |samples| Size::Fixed(samples.into()));
    let [channels, cols] = [shape.channels, shape.cols].map(|size| Size::Fixed(size.into()));
    ValueInfo::new(name, FLOAT, vec![batch, channels, Size::Fixed(rows.len() as i64), cols])
}

//! A segment over some rows as an ONNX file: who reads which rows of what.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use super::file::{Attribute, OnnxFile, Tensor};
use crate::model::{Graph, LayerId, Op, Parameter, Segment, Shape, Weights};

/// Why a segment cannot be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// What the layer computes is not known.
    #[error("the inside of layer `{layer}` is not known")]
    Opaque {
        /// The layer.
        layer: String,
    },
    /// Inputs compute nothing.
    #[error("layer `{layer}` brings samples in and belongs in no segment that is written")]
    Input {
        /// The layer.
        layer: String,
    },
    /// The file has 32-bit floats only.
    #[error("layer `{layer}` has elements of {bytes} bytes; only those of 4 are written")]
    Elements {
        /// The layer.
        layer: String,
        /// Bytes of one element.
        bytes: u32,
    },
    /// No rows, or more than there are.
    #[error("rows {start} to {end} of layer `{layer}`, which has {height}")]
    Rows {
        /// The segment's last layer.
        layer: String,
        /// First row asked for.
        start: u32,
        /// The row after the last asked for.
        end: u32,
        /// Rows there are.
        height: u32,
    },
    /// Protocol Buffers hold no more than 2 GiB.
    #[error("the weights make a file of {bytes} bytes; an ONNX file has at most 2 GiB")]
    TooLarge {
        /// Size of the file.
        bytes: u64,
    },
}

/// `segment` as an ONNX file that computes `rows` of the output of its last layer, for `samples`, or for any number
/// of them.
///
/// The file reads what the segment reads from outside, and gives the layers that [`Graph::exposed`] names, both in
/// layer order, called as the layers are, as fp32 maps in the order NCHW; a vector is `N` x `C` x 1 x 1. Of its inputs
/// it reads [`Graph::rows_needed`]; of its outputs it gives all rows, but of the last layer `rows`. Padding stands only
/// at the true borders of the maps, so that pieces put together are the whole.
///
/// A batch normalisation that is the only reader of a convolution in the same segment is folded into its weights, as
/// runtimes do.
///
/// # Panics
/// If `weights` are given and not those of `graph`.
pub fn write(
    graph: &Graph,
    weights: &Weights,
    segment: &Segment,
    rows: &Range<u32>,
    samples: Option<u32>,
) -> Result<Vec<u8>, WriteError> {
    let last = segment.last();
    let height = graph.shape(last).rows;
    if rows.is_empty() || rows.end > height {
        let layer = graph.layer(last).name.clone();
        return Err(WriteError::Rows { layer, start: rows.start, end: rows.end, height });
    }
    write_needed(graph, weights, segment, graph.rows_needed(segment, rows), samples)
}

/// As [`fn@write`], with all rows of every layer, also the last ones that a stride leaves over and nothing needs, so
/// that inputs have the shapes that `graph` says.
///
/// # Errors
/// As [`fn@write`].
///
/// # Panics
/// If `weights` are given and not those of `graph`.
pub fn write_whole(
    graph: &Graph,
    weights: &Weights,
    segment: &Segment,
    samples: Option<u32>,
) -> Result<Vec<u8>, WriteError> {
    let mut needed = graph.rows_needed(segment, &(0..graph.shape(segment.last()).rows));
    for (&id, rows) in &mut needed {
        *rows = 0..graph.shape(id).rows;
    }
    write_needed(graph, weights, segment, needed, samples)
}

fn write_needed(
    graph: &Graph,
    weights: &Weights,
    segment: &Segment,
    needed: BTreeMap<LayerId, Range<u32>>,
    samples: Option<u32>,
) -> Result<Vec<u8>, WriteError> {
    for &id in needed.keys().rev() {
        let layer = || graph.layer(id).name.clone();
        match (&graph.layer(id).op, graph.shape(id).element_bytes) {
            (Op::Opaque { .. }, _) if segment.contains(id) => return Err(WriteError::Opaque { layer: layer() }),
            (Op::Input(_), _) if segment.contains(id) => return Err(WriteError::Input { layer: layer() }),
            (_, bytes) if bytes != 4 => return Err(WriteError::Elements { layer: layer(), bytes }),
            _ => {}
        }
    }
    let mut writer = Writer {
        graph,
        weights,
        segment,
        needed,
        file: OnnxFile::default(),
        cuts: BTreeMap::new(),
        readers: readers(graph),
        fresh: 0,
    };
    writer.borders(samples);
    for id in segment.layers() {
        if writer.folds_into(id).is_none() {
            writer.layer(id);
        }
    }
    writer.file.finish(graph.name())
}

/// A file in the making and what is known about the rows in it.
pub(super) struct Writer<'a> {
    pub(super) graph: &'a Graph,
    weights: &'a Weights,
    segment: &'a Segment,
    needed: BTreeMap<LayerId, Range<u32>>,
    pub(super) file: OnnxFile<'a>,
    /// Tensors that hold some of the rows of a layer.
    cuts: BTreeMap<(LayerId, u32, u32), String>,
    /// How often each layer is read.
    readers: Vec<usize>,
    fresh: u32,
}

fn readers(graph: &Graph) -> Vec<usize> {
    let mut readers = vec![0; graph.layers().len()];
    for input in graph.layers().iter().flat_map(|layer| &layer.inputs) {
        readers[input.0 as usize] += 1;
    }
    readers
}

impl<'a> Writer<'a> {
    fn borders(&mut self, samples: Option<u32>) {
        let graph = self.graph;
        let shape = |id| (graph.layer(id).name.as_str(), graph.shape(id));
        for (&id, rows) in &self.needed {
            let (name, shape) = shape(id);
            if !self.segment.contains(id) {
                self.file.input(name, shape, rows, samples);
            }
        }
        for id in graph.exposed(self.segment) {
            let (name, shape) = shape(id);
            self.file.output(name, shape, &self.needed[&id], samples);
        }
    }

    /// The rows of `layer` that are computed here, or are present.
    pub(super) fn rows(&self, layer: LayerId) -> Range<u32> {
        self.needed[&layer].clone()
    }

    pub(super) fn shape(&self, layer: LayerId) -> Shape {
        self.graph.shape(layer)
    }

    /// The batch normalisation that `conv` disappears in: its only reader, in the same segment.
    fn folds_into(&self, conv: LayerId) -> Option<LayerId> {
        if !matches!(self.graph.layer(conv).op, Op::Conv(_)) || self.readers[conv.0 as usize] != 1 {
            return None;
        }
        let reader = self.graph.layers().iter().position(|layer| layer.inputs.contains(&conv))?;
        let reader = LayerId(reader as u32);
        let is_norm = matches!(self.graph.layer(reader).op, Op::BatchNorm { .. });
        (is_norm && self.segment.contains(reader)).then_some(reader)
    }

    /// The convolution that disappears in `norm`.
    pub(super) fn folded(&self, norm: LayerId) -> Option<LayerId> {
        let input = *self.graph.layer(norm).inputs.first()?;
        (self.segment.contains(input) && self.folds_into(input) == Some(norm)).then_some(input)
    }

    /// A tensor of exactly the rows of `input` that the rows of `layer` need, and which they are.
    pub(super) fn read(&mut self, layer: LayerId, input: LayerId) -> (String, Range<u32>) {
        let read = self.graph.rows_read(layer, &self.rows(layer), input);
        let have = self.rows(input);
        let name = self.graph.layer(input).name.clone();
        if read == have {
            return (name, read);
        }
        let cut = (input, read.start, read.end);
        if let Some(name) = self.cuts.get(&cut) {
            return (name.clone(), read);
        }
        let output = self.fresh();
        self.slice(name, &output, &(read.start - have.start..read.end - have.start));
        self.cuts.insert(cut, output.clone());
        (output, read)
    }

    /// Rows `rows` of tensor `input`, as `output`.
    pub(super) fn slice(&mut self, input: String, output: &str, rows: &Range<u32>) {
        let bounds = [rows.start, rows.end].map(|row| self.integers(&[row.into()]));
        let [start, end] = bounds;
        let axis = self.integers(&[2]);
        self.file.node("Slice", &[input, start, end, axis], &[output], &[]);
    }

    /// A node that computes rows `computed` of `layer`, of which those stay that are needed.
    pub(super) fn node_of_rows(
        &mut self,
        layer: LayerId,
        computed: &Range<u32>,
        operator: &str,
        inputs: &[String],
        attributes: &[(&str, Attribute)],
    ) {
        let rows = self.rows(layer);
        let name = &self.graph.layer(layer).name;
        if *computed == rows {
            return self.file.node(operator, inputs, &[name], attributes);
        }
        let whole = self.fresh();
        self.file.node(operator, inputs, &[&whole], attributes);
        self.slice(whole, name, &(rows.start - computed.start..rows.end - computed.start));
    }

    /// A node whose output only the operator that writes it reads.
    pub(super) fn inner(&mut self, operator: &str, inputs: &[String], attributes: &[(&str, Attribute)]) -> String {
        let output = self.fresh();
        self.file.node(operator, inputs, &[&output], attributes);
        output
    }

    pub(super) fn integers(&mut self, values: &[i64]) -> String {
        let name = self.fresh();
        self.file.integers(&name, values);
        name
    }

    pub(super) fn scalar(&mut self, value: f32) -> String {
        let name = self.fresh();
        self.file.scalar(&name, value);
        name
    }

    pub(super) fn floats(&mut self, values: &[f32], dims: &[i64]) -> String {
        let name = self.fresh();
        let values = values.to_vec();
        self.file.tensor(Tensor {
            name: name.clone(),
            dims: dims.to_vec(),
            numbers: Box::new(move || Cow::Owned(values)),
        });
        name
    }

    /// A name that no layer has.
    pub(super) fn fresh(&mut self) -> String {
        loop {
            let name = format!("#{}", self.fresh);
            self.fresh += 1;
            if self.graph.find(&name).is_none() {
                return name;
            }
        }
    }

    /// The tensors of `layer`'s weights, all of them.
    pub(super) fn weights(&mut self, layer: LayerId) -> Vec<String> {
        let (graph, weights) = (self.graph, self.weights);
        let tensor = |parameter: Parameter| {
            let name = self.fresh();
            let dims = parameter.dims.iter().map(|&dim| dim as i64).collect();
            let numbers = Box::new(move || weights.tensor(graph, layer, &parameter));
            self.file.tensor(Tensor { name: name.clone(), dims, numbers });
            name
        };
        graph.weights(layer).into_iter().map(tensor).collect()
    }

    /// The weights and the bias of convolution `conv` with batch normalisation `norm` applied to its output.
    pub(super) fn folded_weights(&mut self, conv: LayerId, norm: LayerId, epsilon: f32) -> Vec<String> {
        let (graph, weights) = (self.graph, self.weights);
        let of = |layer, name: &str| {
            let parameter = graph.weights(layer).into_iter().find(|parameter| parameter.name == name)?;
            Some((weights.tensor(graph, layer, &parameter), parameter))
        };
        let statistic = |name| of(norm, name).expect("a batch normalisation has four parameters").0;
        let (scale, shift, mean, variance) =
            (statistic("scale"), statistic("shift"), statistic("mean"), statistic("variance"));
        // In double precision, so that the weights are rounded once.
        let wide = f64::from;
        let factor = |(&scale, &variance)| wide(scale) / (wide(variance) + wide(epsilon)).sqrt();
        let factors: Vec<f64> = scale.iter().zip(variance.iter()).map(factor).collect();
        let mut bias = of(conv, "bias").map_or_else(|| vec![0.0; factors.len()], |(bias, _)| bias.into_owned());
        for (index, bias) in bias.iter_mut().enumerate() {
            *bias = ((wide(*bias) - wide(mean[index])) * factors[index] + wide(shift[index])) as f32;
        }
        let (weight_name, bias_name) = (self.fresh(), self.fresh());
        let parameter = graph.weights(conv).swap_remove(0);
        let dims = parameter.dims.iter().map(|&dim| dim as i64).collect();
        let filters = factors.len();
        let numbers = Box::new(move || {
            let mut numbers = weights.tensor(graph, conv, &parameter).into_owned();
            let per_filter = numbers.len() / filters;
            for (filter, factor) in numbers.chunks_exact_mut(per_filter).zip(factors) {
                filter.iter_mut().for_each(|number| *number = (wide(*number) * factor) as f32);
            }
            Cow::Owned(numbers)
        });
        self.file.tensor(Tensor { name: weight_name.clone(), dims, numbers });
        let numbers = Box::new(move || Cow::Owned(bias));
        self.file.tensor(Tensor { name: bias_name.clone(), dims: vec![filters as i64], numbers });
        vec![weight_name, bias_name]
    }
}

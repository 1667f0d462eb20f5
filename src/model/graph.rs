//! A network as layers in topological order, with the rows and bytes that any part of it needs.

use std::collections::BTreeMap;
use std::ops::Range;

use super::{LayerId, Region, Segment, Work};
use crate::units::Bytes;

/// Output shape of one sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Feature maps.
    pub channels: u32,
    /// Height: the dimension that row splits divide.
    pub rows: u32,
    /// Width.
    pub cols: u32,
    /// Bytes of one element: 4 for fp32, 2 for fp16, 1 for int8.
    pub element_bytes: u32,
}

/// Sliding-window geometry along the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Rows under the window.
    pub size: u32,
    /// Rows between two positions of the window.
    pub stride: u32,
    /// Rows of padding above the input.
    pub pad: u32,
}

/// What a layer computes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Op {
    /// Samples enter here; nothing is computed.
    Input,
    /// A whole network, or a part of one, whose inside is not known.
    Opaque {
        /// Most bytes live at once inside it, per sample, input and output included.
        activations: Bytes,
    },
    /// Convolution.
    Conv(Window),
    /// Pooling.
    Pool(Window),
    /// Fully connected: every output needs every input.
    Dense,
    /// Elementwise sum of inputs of one shape.
    Add,
}

/// The kind of an [`Op`], which devices support or do not.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum OpKind {
    /// [`Op::Input`].
    Input,
    /// [`Op::Opaque`].
    Opaque,
    /// [`Op::Conv`].
    Conv,
    /// [`Op::Pool`].
    Pool,
    /// [`Op::Dense`].
    Dense,
    /// [`Op::Add`].
    Add,
}

/// One operator of a network and where its inputs come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    /// Unique in its graph.
    pub name: String,
    /// What it computes.
    pub op: Op,
    /// Layers it reads, all earlier in the graph.
    pub inputs: Vec<LayerId>,
    /// What one sample's output looks like.
    pub output: Shape,
    /// Weights that must be resident to run it.
    pub parameters: Bytes,
}

/// A network: layers in topological order, the last of which is its output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Graph {
    name: String,
    layers: Vec<Layer>,
    /// For each layer, whether a later one reads it.
    consumers: Vec<Vec<LayerId>>,
}

/// Why layers do not form a network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GraphError {
    /// No layer at all.
    #[error("a network needs at least one layer")]
    Empty,
    /// The order is not topological.
    #[error("layer `{layer}` reads layer {input}, which does not come before it")]
    Order {
        /// The reader.
        layer: String,
        /// The index it reads.
        input: u32,
    },
    /// Only inputs read nothing, and inputs read nothing.
    #[error("layer `{layer}` has {count} inputs, which its operator does not allow")]
    Arity {
        /// The layer.
        layer: String,
        /// How many it has.
        count: usize,
    },
    /// A window that never moves or covers nothing, or a shape of zero elements.
    #[error("layer `{layer}` has a dimension, window size or stride of zero")]
    Zero {
        /// The layer.
        layer: String,
    },
    /// A layer other than the last that nobody reads.
    #[error("nothing reads layer `{layer}`, and it is not the last")]
    Unread {
        /// The layer.
        layer: String,
    },
}

impl Shape {
    /// A shape of `bytes` that has no rows to split.
    pub fn flat(bytes: u32) -> Shape {
        Shape { channels: bytes, rows: 1, cols: 1, element_bytes: 1 }
    }

    /// Bytes of `rows` rows of one sample.
    pub fn bytes(&self, rows: u32) -> Bytes {
        Bytes(u64::from(self.channels) * u64::from(self.cols)) * u64::from(self.element_bytes) * u64::from(rows)
    }
}

impl Op {
    /// The kind that device support is stated for.
    pub fn kind(&self) -> OpKind {
        match self {
            Op::Input => OpKind::Input,
            Op::Opaque { .. } => OpKind::Opaque,
            Op::Conv(_) => OpKind::Conv,
            Op::Pool(_) => OpKind::Pool,
            Op::Dense => OpKind::Dense,
            Op::Add => OpKind::Add,
        }
    }
}

impl Graph {
    /// A network of `layers`, the last of which is its output.
    pub fn new(name: impl Into<String>, layers: Vec<Layer>) -> Result<Graph, GraphError> {
        if layers.is_empty() {
            return Err(GraphError::Empty);
        }
        let mut consumers = vec![Vec::new(); layers.len()];
        for (index, layer) in layers.iter().enumerate() {
            let reads_nothing = layer.op == Op::Input;
            if reads_nothing != layer.inputs.is_empty() {
                return Err(GraphError::Arity { layer: layer.name.clone(), count: layer.inputs.len() });
            }
            let shape = layer.output;
            let window_is_zero = matches!(layer.op, Op::Conv(w) | Op::Pool(w) if w.size == 0 || w.stride == 0);
            if window_is_zero || [shape.channels, shape.rows, shape.cols, shape.element_bytes].contains(&0) {
                return Err(GraphError::Zero { layer: layer.name.clone() });
            }
            for input in &layer.inputs {
                if input.0 as usize >= index {
                    return Err(GraphError::Order { layer: layer.name.clone(), input: input.0 });
                }
                consumers[input.0 as usize].push(LayerId(index as u32));
            }
        }
        match consumers.iter().position(Vec::is_empty) {
            Some(unread) if unread + 1 < layers.len() => Err(GraphError::Unread { layer: layers[unread].name.clone() }),
            _ => Ok(Graph { name: name.into(), layers, consumers }),
        }
    }

    /// A network known only by its sizes: one input layer and one opaque layer.
    ///
    /// `input` and `output` are bytes per sample; `activations` is the most that is live inside per sample.
    pub fn opaque(
        name: impl Into<String>,
        input: u32,
        output: u32,
        parameters: Bytes,
        activations: Bytes,
    ) -> Result<Graph, GraphError> {
        let input_layer = Layer {
            name: "input".into(),
            op: Op::Input,
            inputs: vec![],
            output: Shape::flat(input),
            parameters: Bytes(0),
        };
        let whole = Layer {
            name: "whole".into(),
            op: Op::Opaque { activations },
            inputs: vec![LayerId(0)],
            output: Shape::flat(output),
            parameters,
        };
        Graph::new(name, vec![input_layer, whole])
    }

    /// The network's name, by which traces refer to it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// All layers, in topological order.
    pub fn layers(&self) -> &[Layer] {
        &self.layers
    }

    /// The layer with this id.
    pub fn layer(&self, id: LayerId) -> &Layer {
        &self.layers[id.0 as usize]
    }

    /// The layer whose output is the network's result.
    pub fn output(&self) -> LayerId {
        LayerId(self.layers.len() as u32 - 1)
    }

    /// Whether `id` only brings samples in.
    pub fn is_input(&self, id: LayerId) -> bool {
        self.layer(id).op == Op::Input
    }

    /// Everything that is computed: all layers but the inputs. `None` if there are only inputs.
    pub fn whole(&self) -> Option<Segment> {
        Segment::new((0..self.layers.len() as u32).map(LayerId).filter(|&id| !self.is_input(id))).ok()
    }

    /// Layers of `segment` whose output is read outside it, or is the network's result.
    pub fn exposed<'a>(&'a self, segment: &'a Segment) -> impl Iterator<Item = LayerId> + 'a {
        segment.layers().filter(move |&id| {
            id == self.output() || self.consumers[id.0 as usize].iter().any(|&reader| !segment.contains(reader))
        })
    }

    /// A layer between two layers of `segment` that is not in it, if there is one: then it is not convex,
    /// since the segment would have to wait for a layer that waits for the segment.
    pub fn hole(&self, segment: &Segment) -> Option<LayerId> {
        let mut leads_outside = vec![false; self.layers.len()];
        for (index, layer) in self.layers.iter().enumerate() {
            let id = LayerId(index as u32);
            let inside = segment.contains(id);
            let through = layer.inputs.iter().find(|input| leads_outside[input.0 as usize]);
            if let (true, Some(&hole)) = (inside, through) {
                return Some(hole);
            }
            leads_outside[index] =
                !inside && (through.is_some() || layer.inputs.iter().any(|&input| segment.contains(input)));
        }
        None
    }

    /// Rows of the input `height` rows tall that rows `rows` of `layer`'s output need: its halo.
    fn rows_read(&self, layer: LayerId, rows: &Range<u32>, height: u32) -> Range<u32> {
        match self.layer(layer).op {
            Op::Input | Op::Add => rows.start.min(height)..rows.end.min(height),
            Op::Opaque { .. } | Op::Dense => 0..height,
            Op::Conv(window) | Op::Pool(window) => {
                let first = u64::from(rows.start) * u64::from(window.stride);
                let last = u64::from(rows.end.saturating_sub(1)) * u64::from(window.stride) + u64::from(window.size);
                let clamp = |row: u64| row.saturating_sub(window.pad.into()).min(height.into()) as u32;
                clamp(first)..clamp(last)
            }
        }
    }

    /// The rows of each layer that computing `rows` of the last layer of `segment` needs, in layer order:
    /// layers of the segment (what it computes) and layers it reads (what must be present).
    ///
    /// Other exposed layers of the segment are computed whole.
    pub fn rows_needed(&self, segment: &Segment, rows: &Range<u32>) -> BTreeMap<LayerId, Range<u32>> {
        let mut needed: BTreeMap<LayerId, Range<u32>> = BTreeMap::new();
        for id in self.exposed(segment).filter(|&id| id != segment.last()) {
            needed.insert(id, 0..self.layer(id).output.rows);
        }
        needed.insert(segment.last(), rows.clone());
        for id in segment.layers().rev() {
            let Some(rows) = needed.get(&id).cloned() else { continue };
            for &input in &self.layer(id).inputs {
                let read = self.rows_read(id, &rows, self.layer(input).output.rows);
                needed
                    .entry(input)
                    .and_modify(|all| *all = all.start.min(read.start)..all.end.max(read.end))
                    .or_insert(read);
            }
        }
        needed
    }

    /// Bytes of `region` of `layer`'s output.
    pub fn bytes(&self, layer: LayerId, region: &Region) -> Bytes {
        self.layer(layer).output.bytes(region.rows.len() as u32) * region.samples.len() as u64
    }

    /// Weights of the layers of `segment`.
    pub fn parameters(&self, segment: &Segment) -> Bytes {
        segment.layers().map(|id| self.layer(id).parameters).sum()
    }

    /// The most bytes of activations that are live while `work` runs layer by layer, for all its samples.
    ///
    /// What the segment reads is live until its last reader in it, and what a layer computes until its own; what is
    /// read outside stays to the end.
    pub fn activations(&self, work: &Work) -> Bytes {
        let segment = &work.segment;
        let needed = self.rows_needed(segment, &work.region.rows);
        let order: Vec<LayerId> = segment.layers().collect();
        let stays: Vec<LayerId> = self.exposed(segment).collect();
        // What each tensor adds when it appears and takes away after its last use, by position in `order`.
        let mut change = vec![(Bytes(0), Bytes(0)); order.len() + 1];
        for (&id, rows) in &needed {
            let readers = order.iter().rposition(|&layer| self.layer(layer).inputs.contains(&id));
            let first = order.iter().position(|&layer| layer == id).unwrap_or(0);
            let last = if stays.contains(&id) { order.len() - 1 } else { readers.unwrap_or(first).max(first) };
            let size = self.layer(id).output.bytes(rows.len() as u32);
            change[first].0 = change[first].0 + size;
            change[last + 1].1 = change[last + 1].1 + size;
        }
        let (mut live, mut most) = (Bytes(0), Bytes(0));
        for (&layer, (appear, disappear)) in order.iter().zip(change) {
            live = Bytes((live + appear).0.saturating_sub(disappear.0));
            let inside = match self.layer(layer).op {
                Op::Opaque { activations } => activations,
                _ => Bytes(0),
            };
            most = most.max(live).max(inside);
        }
        most * work.region.samples.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(name: &str, op: Op, inputs: &[u32], rows: u32) -> Layer {
        let output = Shape { channels: 8, rows, cols: 16, element_bytes: 4 };
        Layer {
            name: name.into(),
            op,
            inputs: inputs.iter().copied().map(LayerId).collect(),
            output,
            parameters: Bytes(100),
        }
    }

    fn chain() -> Graph {
        let conv = Op::Conv(Window { size: 3, stride: 1, pad: 1 });
        let pool = Op::Pool(Window { size: 2, stride: 2, pad: 0 });
        let layers = vec![
            layer("input", Op::Input, &[], 16),
            layer("conv1", conv.clone(), &[0], 16),
            layer("conv2", conv, &[1], 16),
            layer("pool", pool, &[2], 8),
            layer("sum", Op::Add, &[3, 3], 8),
            layer("dense", Op::Dense, &[4], 1),
        ];
        Graph::new("chain", layers).unwrap()
    }

    fn needed(graph: &Graph, first: u32, last: u32, rows: Range<u32>) -> Vec<(u32, Range<u32>)> {
        let segment = Segment::range(LayerId(first), LayerId(last));
        graph.rows_needed(&segment, &rows).into_iter().map(|(id, rows)| (id.0, rows)).collect()
    }

    #[test]
    fn two_convolutions_need_a_halo_of_two_rows() {
        assert_eq!(needed(&chain(), 1, 2, 8..16), [(0, 6..16), (1, 7..16), (2, 8..16)]);
        assert_eq!(needed(&chain(), 1, 2, 4..8), [(0, 2..10), (1, 3..9), (2, 4..8)]);
    }

    #[test]
    fn pooling_doubles_the_rows_and_a_sum_keeps_them() {
        assert_eq!(needed(&chain(), 3, 4, 2..4), [(2, 4..8), (3, 2..4), (4, 2..4)]);
    }

    #[test]
    fn a_dense_layer_needs_all_rows() {
        assert_eq!(needed(&chain(), 5, 5, 0..1), [(4, 0..8), (5, 0..1)]);
    }

    #[test]
    fn a_segment_with_a_layer_missing_in_between_has_a_hole() {
        let graph = chain();
        let with_gap = Segment::new([1, 3].map(LayerId)).unwrap();
        assert_eq!(graph.hole(&with_gap), Some(LayerId(2)));
        assert_eq!(graph.hole(&Segment::range(LayerId(1), LayerId(4))), None);
    }

    #[test]
    fn exposed_layers_are_read_outside_or_are_the_result() {
        let graph = chain();
        let exposed = |first, last| {
            graph.exposed(&Segment::range(LayerId(first), LayerId(last))).map(|id| id.0).collect::<Vec<_>>()
        };
        assert_eq!(exposed(1, 3), [3]);
        assert_eq!(exposed(1, 5), [5]);
    }

    #[test]
    fn working_sets_count_the_largest_layer_for_all_samples() {
        let graph = chain();
        let work = |first, last, samples, rows| Work {
            model: crate::model::ModelId(0),
            segment: Segment::range(LayerId(first), LayerId(last)),
            region: Region { samples, rows },
        };
        let row = 8 * 16 * 4;
        assert_eq!(graph.activations(&work(1, 2, 0..1, 0..16)), Bytes(32 * row));
        assert_eq!(graph.activations(&work(1, 2, 0..3, 8..16)), Bytes((10 + 9) * row * 3));
        assert_eq!(graph.parameters(&Segment::range(LayerId(1), LayerId(3))), Bytes(300));
    }

    #[test]
    fn what_a_skip_connection_needs_later_is_live_all_along() {
        let conv = || Op::Conv(Window { size: 3, stride: 1, pad: 1 });
        let layers = vec![
            layer("input", Op::Input, &[], 1),
            layer("a", conv(), &[0], 1),
            layer("b", conv(), &[1], 1),
            layer("c", conv(), &[2], 1),
            layer("sum", Op::Add, &[1, 3], 1),
        ];
        let graph = Graph::new("skip", layers).unwrap();
        let segment = Segment::range(LayerId(1), LayerId(4));
        let work = Work { model: crate::model::ModelId(0), segment, region: Region { samples: 0..1, rows: 0..1 } };
        assert_eq!(graph.activations(&work), Bytes(3 * 8 * 16 * 4), "a, b and c while c runs");
    }

    #[test]
    fn layers_that_form_no_network_are_refused() {
        let message = |layers| Graph::new("x", layers).unwrap_err().to_string();
        assert_eq!(message(vec![]), "a network needs at least one layer");
        assert_eq!(
            message(vec![layer("in", Op::Input, &[], 4), layer("a", Op::Add, &[2], 4)]),
            "layer `a` reads layer 2, which does not come before it"
        );
        assert_eq!(
            message(vec![layer("a", Op::Dense, &[], 4)]),
            "layer `a` has 0 inputs, which its operator does not allow"
        );
        assert_eq!(
            message(vec![layer("in", Op::Input, &[], 0)]),
            "layer `in` has a dimension, window size or stride of zero"
        );
        let fork = vec![layer("in", Op::Input, &[], 4), layer("a", Op::Dense, &[0], 4), layer("b", Op::Dense, &[0], 4)];
        assert_eq!(message(fork), "nothing reads layer `a`, and it is not the last");
    }
}

//! A network as layers in topological order, with the rows that any part of it needs.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::op::Misfit;
use super::{LayerId, Op, Segment, Shape};
use crate::units::Bytes;

/// One operator of a network and where its inputs come from.
#[derive(Clone, Debug, PartialEq)]
pub struct Layer {
    /// Unique in its graph.
    pub name: String,
    /// What it computes.
    pub op: Op,
    /// Layers it reads, all earlier in the graph.
    pub inputs: Vec<LayerId>,
}

/// A network: layers in topological order, the last of which is its output.
#[derive(Clone, Debug, PartialEq)]
pub struct Graph {
    name: String,
    layers: Vec<Layer>,
    shapes: Vec<Shape>,
    parameters: Vec<Bytes>,
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
    /// The operator cannot have these inputs.
    #[error("layer `{layer}` {misfit}")]
    Misfit {
        /// The layer.
        layer: String,
        /// What does not fit; completes the sentence.
        misfit: String,
    },
    /// Two layers of one name.
    #[error("two layers are called `{layer}`")]
    Duplicate {
        /// The name.
        layer: String,
    },
    /// A layer other than the last that nobody reads.
    #[error("nothing reads layer `{layer}`, and it is not the last")]
    Unread {
        /// The layer.
        layer: String,
    },
}

/// Elements of one sample's output, and weights of one layer, that a network may have at most.
const ELEMENTS_MAX: u64 = u32::MAX as u64;

impl Graph {
    /// A network of `layers`, the last of which is its output.
    pub fn new(name: impl Into<String>, layers: Vec<Layer>) -> Result<Graph, GraphError> {
        if layers.is_empty() {
            return Err(GraphError::Empty);
        }
        let mut names = BTreeSet::new();
        let mut consumers = vec![Vec::new(); layers.len()];
        let mut shapes: Vec<Shape> = Vec::with_capacity(layers.len());
        let mut parameters = Vec::with_capacity(layers.len());
        for (index, layer) in layers.iter().enumerate() {
            let name = || layer.name.clone();
            if !names.insert(layer.name.as_str()) {
                return Err(GraphError::Duplicate { layer: name() });
            }
            if !layer.op.allows_inputs(layer.inputs.len()) {
                return Err(GraphError::Arity { layer: name(), count: layer.inputs.len() });
            }
            for input in &layer.inputs {
                if input.0 as usize >= index {
                    return Err(GraphError::Order { layer: name(), input: input.0 });
                }
                consumers[input.0 as usize].push(LayerId(index as u32));
            }
            let inputs: Vec<Shape> = layer.inputs.iter().map(|input| shapes[input.0 as usize]).collect();
            let misfit = |misfit| GraphError::Misfit { layer: name(), misfit };
            let shape = checked_shape(&layer.op, &inputs).map_err(misfit)?;
            parameters.push(checked_parameters(&layer.op, inputs.first().copied()).map_err(misfit)?);
            shapes.push(shape);
        }
        match consumers.iter().position(Vec::is_empty) {
            Some(unread) if unread + 1 < layers.len() => Err(GraphError::Unread { layer: layers[unread].name.clone() }),
            _ => Ok(Graph { name: name.into(), layers, shapes, parameters, consumers }),
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
        let opaque = Op::Opaque { output: Shape::flat(output), parameters, activations };
        let layer = |name: &str, op, inputs| Layer { name: name.into(), op, inputs };
        let input = layer("input", Op::Input(Shape::flat(input)), vec![]);
        Graph::new(name, vec![input, layer("whole", opaque, vec![LayerId(0)])])
    }

    /// The network under another name.
    pub fn named(self, name: impl Into<String>) -> Graph {
        Graph { name: name.into(), ..self }
    }

    /// `segment` as a network of its own, of the same name, whose inputs are what it reads; and for each of its layers
    /// which one of this network it is.
    ///
    /// # Panics
    /// If the output of another layer than the last is read outside the segment only.
    pub fn part(&self, segment: &Segment) -> (Graph, Vec<LayerId>) {
        let inputs = self.read_by(segment);
        let kept: Vec<LayerId> = inputs.iter().copied().chain(segment.layers()).collect();
        let now = |id: &LayerId| LayerId(kept.iter().position(|layer| layer == id).expect("it is kept") as u32);
        let layer = |&id: &LayerId| {
            let Layer { name, op, inputs: read } = self.layer(id);
            match inputs.contains(&id) {
                true => Layer { name: name.clone(), op: Op::Input(self.shape(id)), inputs: Vec::new() },
                false => Layer { name: name.clone(), op: op.clone(), inputs: read.iter().map(now).collect() },
            }
        };
        let layers = kept.iter().map(layer).collect();
        let graph = Graph::new(&self.name, layers).expect("a part of a network with one output is a network");
        (graph, kept)
    }

    /// The network up to the layer called `name`, without what does not lead to it, as [`Graph::part`] gives it. `None` if there is no such layer, or
    /// it is an input.
    pub fn until(&self, name: &str) -> Option<(Graph, Vec<LayerId>)> {
        let last = self.find(name).filter(|&id| !self.is_input(id))?;
        let mut leads = vec![false; last.0 as usize + 1];
        leads[last.0 as usize] = true;
        for index in (0..leads.len()).rev() {
            if leads[index] {
                self.layers[index].inputs.iter().for_each(|input| leads[input.0 as usize] = true);
            }
        }
        let layers = self.layer_ids().filter(|id| leads.get(id.0 as usize) == Some(&true) && !self.is_input(*id));
        let segment = Segment::new(layers).expect("the last layer is no input");
        Some(self.part(&segment))
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

    /// What one sample's output of this layer looks like.
    pub fn shape(&self, id: LayerId) -> Shape {
        self.shapes[id.0 as usize]
    }

    /// The layer called `name`.
    pub fn find(&self, name: &str) -> Option<LayerId> {
        self.layers.iter().position(|layer| layer.name == name).map(|index| LayerId(index as u32))
    }

    /// The layers from `first` to `last` of `first..last`, or the only one that `text` names. `None` if one of them is
    /// not there, is an input, or they run backwards.
    pub fn find_segment(&self, text: &str) -> Option<Segment> {
        let find = |name| self.find(name).filter(|&id| !self.is_input(id));
        if let Some(only) = find(text) {
            return Some(Segment::range(only, only));
        }
        // Names may have two points in them too.
        let cuts = text.match_indices("..");
        let ends = cuts.filter_map(|(at, _)| Some((find(&text[..at])?, find(&text[at + 2..])?)));
        ends.filter(|(first, last)| first <= last).map(|(first, last)| Segment::range(first, last)).next()
    }

    /// Ids of all layers, in topological order.
    pub fn layer_ids(&self) -> impl DoubleEndedIterator<Item = LayerId> + use<> {
        (0..self.layers.len() as u32).map(LayerId)
    }

    /// The layer whose output is the network's result.
    pub fn output(&self) -> LayerId {
        LayerId(self.layers.len() as u32 - 1)
    }

    /// Whether `id` only brings samples in.
    pub fn is_input(&self, id: LayerId) -> bool {
        matches!(self.layer(id).op, Op::Input(_))
    }

    /// The layers that read this one, in topological order.
    pub fn consumers(&self, id: LayerId) -> &[LayerId] {
        &self.consumers[id.0 as usize]
    }

    /// Everything that is computed: all layers but the inputs. `None` if there are only inputs.
    pub fn whole(&self) -> Option<Segment> {
        Segment::new(self.layer_ids().filter(|&id| !self.is_input(id))).ok()
    }

    /// Layers of `segment` whose output is read outside it, or is the network's result.
    pub fn exposed<'a>(&'a self, segment: &'a Segment) -> impl Iterator<Item = LayerId> + 'a {
        segment.layers().filter(move |&id| {
            id == self.output() || self.consumers[id.0 as usize].iter().any(|&reader| !segment.contains(reader))
        })
    }

    /// Layers outside of `segment` that it reads, inputs among them, in topological order.
    pub fn read_by(&self, segment: &Segment) -> BTreeSet<LayerId> {
        let inputs = segment.layers().flat_map(|layer| &self.layer(layer).inputs);
        inputs.copied().filter(|&input| !segment.contains(input)).collect()
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

    /// Rows of `layer`'s input `input` that rows `rows` of its output need: its halo.
    pub fn rows_read(&self, layer: LayerId, rows: &Range<u32>, input: LayerId) -> Range<u32> {
        self.layer(layer).op.rows_read(rows, self.shape(input).rows)
    }

    /// The rows of each layer that computing `rows` of the last layer of `segment` needs, in layer order:
    /// layers of the segment (what it computes) and layers it reads (what must be present).
    ///
    /// Other exposed layers of the segment are computed whole.
    pub fn rows_needed(&self, segment: &Segment, rows: &Range<u32>) -> BTreeMap<LayerId, Range<u32>> {
        let mut needed: BTreeMap<LayerId, Range<u32>> = BTreeMap::new();
        for id in self.exposed(segment).filter(|&id| id != segment.last()) {
            needed.insert(id, 0..self.shape(id).rows);
        }
        needed.insert(segment.last(), rows.clone());
        for id in segment.layers().rev() {
            let Some(rows) = needed.get(&id).cloned() else { continue };
            for &input in &self.layer(id).inputs {
                let read = self.rows_read(id, &rows, input);
                needed
                    .entry(input)
                    .and_modify(|all| *all = all.start.min(read.start)..all.end.max(read.end))
                    .or_insert(read);
            }
        }
        needed
    }

    /// Weights of one layer that must be resident to run it.
    pub fn layer_parameters(&self, id: LayerId) -> Bytes {
        self.parameters[id.0 as usize]
    }
}

fn checked_shape(op: &Op, inputs: &[Shape]) -> Result<Shape, Misfit> {
    let shape = op.shape(inputs)?;
    if !op.is_finite() {
        return Err("has a number that is not finite".into());
    }
    if shape.elements() == 0 || shape.element_bytes == 0 {
        return Err("has a dimension of zero".into());
    }
    if shape.elements() > ELEMENTS_MAX {
        return Err(format!("has {shape} elements a sample, more than 2^32"));
    }
    Ok(shape)
}

fn checked_parameters(op: &Op, input: Option<Shape>) -> Result<Bytes, Misfit> {
    if let Op::Opaque { parameters, .. } = op {
        return Ok(*parameters);
    }
    let Some(input) = input else { return Ok(Bytes(0)) };
    let elements = op.parameters(input).iter().fold(0, |sum: u64, weight| sum.saturating_add(weight.elements()));
    if elements > ELEMENTS_MAX {
        return Err(format!("has {elements} weights, more than 2^32"));
    }
    Ok(Bytes(elements) * u64::from(input.element_bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::model::{Conv, Pooling, Window};

    const INPUT: Op = Op::Input(Shape::fp32(8, 16, 16));
    const CONV: Op = Op::Conv(Conv::square(8, 3).pad(1));
    const DENSE: Op = Op::Dense { units: 8, bias: false };

    fn layer(name: &str, op: Op, inputs: &[u32]) -> Layer {
        Layer { name: name.into(), op, inputs: inputs.iter().copied().map(LayerId).collect() }
    }

    fn chain() -> Graph {
        let window = Window::new(2).stride(2);
        let pool = Op::Pool { pooling: Pooling::Max, rows: window, cols: Window::new(1) };
        let layers = vec![
            layer("input", INPUT, &[]),
            layer("conv1", CONV, &[0]),
            layer("conv2", CONV, &[1]),
            layer("pool", pool, &[2]),
            layer("sum", Op::Add, &[3, 3]),
            layer("dense", DENSE, &[4]),
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
    fn segments_are_found_by_their_ends() {
        let graph = chain();
        let found = |text| graph.find_segment(text).map(|segment| segment.to_string());
        assert_eq!(found("conv1..pool"), Some("1-3".into()));
        assert_eq!(found("sum"), Some("4".into()));
        assert_eq!(
            (found("pool..conv1"), found("input..pool"), found("conv1..x"), found("")),
            (None, None, None, None)
        );
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
    fn layers_that_form_no_network_are_refused() {
        let message = |layers| Graph::new("x", layers).unwrap_err().to_string();
        assert_eq!(message(vec![]), "a network needs at least one layer");
        let with = |op, inputs| message(vec![layer("in", INPUT, &[]), layer("a", op, inputs)]);
        assert_eq!(with(Op::Add, &[2]), "layer `a` reads layer 2, which does not come before it");
        assert_eq!(with(DENSE, &[]), "layer `a` has 0 inputs, which its operator does not allow");
        assert_eq!(with(CONV, &[0, 0]), "layer `a` has 2 inputs, which its operator does not allow");
        assert_eq!(with(Op::Dense { units: 0, bias: false }, &[0]), "layer `a` has a dimension of zero");
        let wide = Op::Conv(Conv::square(8, 17));
        assert_eq!(with(wide, &[0]), "layer `a` has a window over 17 elements where there are 16");
        let grouped = Op::Conv(Conv::square(8, 1).groups(3));
        assert_eq!(with(grouped, &[0]), "layer `a` divides 8 channels and 8 filters into 3 groups");
        let fork = vec![layer("in", INPUT, &[]), layer("a", DENSE, &[0]), layer("b", DENSE, &[0])];
        assert_eq!(message(fork), "nothing reads layer `a`, and it is not the last");
        assert_eq!(message(vec![layer("a", INPUT, &[]), layer("a", DENSE, &[0])]), "two layers are called `a`");
    }
}

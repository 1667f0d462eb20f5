//! How large parts of a network are: bytes that they hold and move, weights, and multiply-accumulates.

use std::ops::Range;

use super::{Graph, Layer, LayerId, Op, Parameter, Precision, Region, Segment, Shape, Work};
use crate::units::{Bytes, Macs};

/// How large parts of a network are where numbers are of some precision.
///
/// Numbers that the network has in 4 bytes take those of the precision; others, such as bytes, and what is only known by
/// its size stay as they are.
#[derive(Clone, Copy, Debug)]
pub struct Sizes<'a> {
    graph: &'a Graph,
    precision: Precision,
}

impl Graph {
    /// Its sizes in `precision`.
    pub fn sizes(&self, precision: Precision) -> Sizes<'_> {
        Sizes { graph: self, precision }
    }

    /// As [`Sizes::bytes`], in the numbers of the network.
    pub fn bytes(&self, layer: LayerId, region: &Region) -> Bytes {
        self.sizes(Precision::Fp32).bytes(layer, region)
    }

    /// As [`Sizes::parameters`], in the numbers of the network.
    pub fn parameters(&self, segment: &Segment) -> Bytes {
        self.sizes(Precision::Fp32).parameters(segment)
    }

    /// As [`Sizes::activations`], in the numbers of the network.
    pub fn activations(&self, work: &Work) -> Bytes {
        self.sizes(Precision::Fp32).activations(work)
    }

    /// The weight tensors of one layer. Empty for layers without weights and for those whose inside is not known.
    pub fn weights(&self, id: LayerId) -> Vec<Parameter> {
        let input = self.layer(id).inputs.first().map(|&input| self.shape(input));
        input.map_or_else(Vec::new, |input| self.layer(id).op.parameters(input))
    }

    /// Numbers that training has set, which is what published counts of parameters count.
    pub fn trained_count(&self) -> u64 {
        let weights = self.layer_ids().flat_map(|id| self.weights(id));
        weights.filter(|weight| weight.is_trained).map(|weight| weight.elements()).sum()
    }

    /// Multiply-accumulates of `work`: of convolutions, fully connected and recurrent layers, for the rows of each that
    /// the region needs. Overlapping parts of a split count in each.
    pub fn macs(&self, work: &Work) -> Macs {
        let needed = self.rows_needed(&work.segment, &work.region.rows);
        let of_layer = |id: LayerId| Some(self.layer_macs(id, needed.get(&id)?));
        let per_sample: Macs = work.segment.layers().filter_map(of_layer).sum();
        per_sample * work.region.samples.len() as u64
    }

    /// Multiply-accumulates of rows of one layer, for one sample.
    pub fn layer_macs(&self, id: LayerId, rows: &Range<u32>) -> Macs {
        let layer = self.layer(id);
        let input = layer.inputs.first().map(|&input| self.shape(input));
        input.map_or(Macs(0), |input| layer.op.macs(input, self.shape(id), rows))
    }

    /// The fewest multiply-accumulates of a row of one layer, on an average of rows that follow each other.
    pub(crate) fn macs_of_row(&self, id: LayerId) -> f64 {
        let height = self.shape(id).rows;
        let of = |rows: Range<u32>| self.layer_macs(id, &rows).0 as f64 / rows.len() as f64;
        match self.layer(id).op {
            // Few rows may be gathered from as few as one, which others are gathered from too.
            Op::ConvTransposed { .. } => {
                let all = (0..height).flat_map(|start| (start + 1..=height).map(move |end| start..end));
                all.map(of).fold(f64::INFINITY, f64::min)
            }
            _ => of(0..height),
        }
    }

    /// Bytes that `work` reads and writes if nothing stays in a cache: the weights once, and for each sample what every
    /// layer reads and computes.
    pub fn traffic(&self, work: &Work) -> Bytes {
        let needed = self.rows_needed(&work.segment, &work.region.rows);
        let of_layer = |id: LayerId| {
            let rows = needed.get(&id).cloned().unwrap_or_default();
            let read = self.layer(id).inputs.iter();
            let read: Bytes =
                read.map(|&input| self.shape(input).bytes(self.rows_read(id, &rows, input).len() as u32)).sum();
            read + self.shape(id).bytes(rows.len() as u32)
        };
        let per_sample: Bytes = work.segment.layers().map(of_layer).sum();
        self.parameters(&work.segment) + per_sample * work.region.samples.len() as u64
    }
}

impl Sizes<'_> {
    /// Bytes of `region` of `layer`'s output.
    pub fn bytes(&self, layer: LayerId, region: &Region) -> Bytes {
        self.rows(layer, &region.rows) * region.samples.len() as u64
    }

    /// Bytes of rows of `layer`'s output, of one sample.
    fn rows(&self, layer: LayerId, rows: &Range<u32>) -> Bytes {
        let shape = self.graph.shape(layer);
        Shape { element_bytes: self.of_number(shape.element_bytes), ..shape }.bytes(rows.len() as u32)
    }

    /// Bytes of a number that takes `bytes` in the network.
    fn of_number(&self, bytes: u32) -> u32 {
        if u64::from(bytes) == Precision::Fp32.bytes() { self.precision.bytes() as u32 } else { bytes }
    }

    /// Weights of one layer that must be resident to run it.
    pub fn layer_parameters(&self, id: LayerId) -> Bytes {
        let stated = self.graph.layer_parameters(id);
        let Layer { op, inputs, .. } = self.graph.layer(id);
        match (op, inputs.first()) {
            (Op::Opaque { .. }, _) | (_, None) => stated,
            (_, Some(&input)) => {
                let bytes = self.graph.shape(input).element_bytes;
                Bytes(stated.0 / u64::from(bytes) * u64::from(self.of_number(bytes)))
            }
        }
    }

    /// Weights of the layers of `segment`.
    pub fn parameters(&self, segment: &Segment) -> Bytes {
        segment.layers().map(|id| self.layer_parameters(id)).sum()
    }

    /// The most bytes of activations that are live while `work` runs layer by layer, for all its samples.
    ///
    /// What the segment reads is live until its last reader in it, and what a layer computes until its own; what is
    /// read outside stays to the end.
    pub fn activations(&self, work: &Work) -> Bytes {
        let segment = &work.segment;
        let graph = self.graph;
        let needed = graph.rows_needed(segment, &work.region.rows);
        let order: Vec<LayerId> = segment.layers().collect();
        let stays: Vec<LayerId> = graph.exposed(segment).collect();
        // What each tensor adds when it appears and takes away after its last use, by position in `order`.
        let mut change = vec![(Bytes(0), Bytes(0)); order.len() + 1];
        for (&id, rows) in &needed {
            let readers = order.iter().rposition(|&layer| graph.layer(layer).inputs.contains(&id));
            let first = order.iter().position(|&layer| layer == id).unwrap_or(0);
            let last = if stays.contains(&id) { order.len() - 1 } else { readers.unwrap_or(first).max(first) };
            let size = self.rows(id, rows);
            change[first].0 = change[first].0 + size;
            change[last + 1].1 = change[last + 1].1 + size;
        }
        let (mut live, mut most) = (Bytes(0), Bytes(0));
        for (&layer, (appear, disappear)) in order.iter().zip(change) {
            live = Bytes((live + appear).0.saturating_sub(disappear.0));
            let inside = match graph.layer(layer).op {
                Op::Opaque { activations, .. } => activations,
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
    use crate::model::{Conv, ModelId, Pooling, Shape, Window};

    const INPUT: Op = Op::Input(Shape::fp32(8, 16, 16));
    const CONV: Op = Op::Conv(Conv::square(8, 3).pad(1));

    fn layer(name: &str, op: Op, inputs: &[u32]) -> Layer {
        Layer { name: name.into(), op, inputs: inputs.iter().copied().map(LayerId).collect() }
    }

    #[test]
    fn working_sets_count_the_largest_layer_for_all_samples() {
        let pool = Op::Pool { pooling: Pooling::Max, rows: Window::new(2).stride(2), cols: Window::new(1) };
        let layers = vec![
            layer("input", INPUT, &[]),
            layer("conv1", CONV, &[0]),
            layer("conv2", CONV, &[1]),
            layer("pool", pool, &[2]),
        ];
        let graph = Graph::new("chain", layers).unwrap();
        let work = |first, last, samples, rows| Work {
            model: ModelId(0),
            segment: Segment::range(LayerId(first), LayerId(last)),
            region: Region { samples, rows },
        };
        let row = 8 * 16 * 4;
        assert_eq!(graph.activations(&work(1, 2, 0..1, 0..16)), Bytes(32 * row));
        assert_eq!(graph.activations(&work(1, 2, 0..3, 8..16)), Bytes((10 + 9) * row * 3));
        assert_eq!(graph.parameters(&Segment::range(LayerId(1), LayerId(3))), Bytes(2 * 8 * 8 * 9 * 4));
    }

    #[test]
    fn what_a_skip_connection_needs_later_is_live_all_along() {
        let layers = vec![
            layer("input", Op::Input(Shape::fp32(8, 1, 16)), &[]),
            layer("a", CONV, &[0]),
            layer("b", CONV, &[1]),
            layer("c", CONV, &[2]),
            layer("sum", Op::Add, &[1, 3]),
        ];
        let graph = Graph::new("skip", layers).unwrap();
        let segment = Segment::range(LayerId(1), LayerId(4));
        let work = Work { model: ModelId(0), segment, region: Region { samples: 0..1, rows: 0..1 } };
        assert_eq!(graph.activations(&work), Bytes(3 * 8 * 16 * 4), "a, b and c while c runs");
    }
}

//! Times of a device of which only a rate is known: multiply-accumulates over the rate, and a fixed time a step.

use super::{Basis, Estimate};
use crate::model::{Graph, Work};
use crate::units::{Duration, Macs, MacsPerSec};

/// How fast a device computes where no trace says anything.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Speed {
    /// Of multiply-accumulates; what has none takes no time.
    pub rate: MacsPerSec,
    /// What each step takes by itself: launch, and messages that are not transfers.
    pub step: Duration,
    /// Rows of a layer that are computed together: a part of them takes as long as all. At least 1.
    pub row_tile: u32,
}

impl Speed {
    /// The time of `work` on the device.
    pub(super) fn estimate(&self, graph: &Graph, work: &Work) -> Estimate {
        let needed = graph.rows_needed(&work.segment, &work.region.rows);
        let of_layer = |id| {
            let rows = needed.get(&id).cloned().unwrap_or_default();
            let count = (rows.len() as u32).next_multiple_of(self.row_tile.max(1));
            graph.layer_macs(id, &(rows.start..rows.start.saturating_add(count)))
        };
        let macs: Macs = work.segment.layers().map(of_layer).sum();
        let time = macs * work.region.samples.len() as u64 / self.rate + self.step;
        Estimate { time, basis: Basis::Modelled }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Conv, Layer, LayerId, ModelId, Op, Region, Segment, Shape};

    /// Two convolutions of 3 x 3 over 8 rows: 4 x 4 channels x 9 x 8 columns = 1152 MACs a row each.
    fn time(row_tile: u32, rows: std::ops::Range<u32>, samples: u32) -> f64 {
        let conv = || Op::Conv(Conv::square(4, 3).pad(1));
        let layer = |name: &str, op, input: Option<u32>| Layer {
            name: name.into(),
            op,
            inputs: input.map(LayerId).into_iter().collect(),
        };
        let layers = vec![
            layer("input", Op::Input(Shape::fp32(4, 8, 8)), None),
            layer("a", conv(), Some(0)),
            layer("b", conv(), Some(1)),
        ];
        let graph = Graph::new("net", layers).unwrap();
        let speed = Speed { rate: MacsPerSec::new(1152e3).unwrap(), step: Duration::from_nanos(500_000), row_tile };
        let region = Region { samples: 0..samples, rows };
        let work = Work { model: ModelId(0), segment: Segment::range(LayerId(1), LayerId(2)), region };
        speed.estimate(&graph, &work).time.as_millis_f64()
    }

    #[test]
    fn a_step_takes_its_own_time_and_that_of_its_rows_with_their_halo() {
        assert_eq!(time(1, 0..8, 1), 16.5);
        assert_eq!(time(1, 0..8, 2), 32.5);
        assert_eq!(time(1, 0..2, 1), 2.0 + 3.0 + 0.5);
        assert_eq!(time(1, 3..5, 1), 2.0 + 4.0 + 0.5);
    }

    #[test]
    fn rows_of_a_tile_take_as_long_together() {
        assert_eq!(time(4, 0..2, 1), 4.0 + 4.0 + 0.5);
        assert_eq!(time(4, 0..4, 1), 4.0 + 8.0 + 0.5);
    }
}

//! Times of a device of which only a rate is known: multiply-accumulates over the rate, and a fixed time a step.

use super::{Basis, Estimate};
use crate::model::{Graph, Work};
use crate::units::{Duration, Macs, MacsPerSec, Share};

/// How fast a device computes where no trace says anything.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Speed {
    /// Of multiply-accumulates; what has none takes no time.
    pub rate: MacsPerSec,
    /// What each step takes by itself: launch, and messages that are not transfers.
    pub step: Duration,
    /// Rows of a layer that are computed together: a part of them takes as long as all. At least 1.
    pub row_tile: u32,
    /// Compute units, of which a step may have some; 1 if it cannot be divided.
    pub units: u32,
    /// Elements of a layer's output that a unit computes at once, and all units in a wave: a part of a wave takes as long as
    /// all of it. At least 1, of which it is any number.
    pub unit_tile: u32,
}

impl Speed {
    /// The time of `work` on a share of the device; `None` if it cannot be divided so.
    pub(super) fn estimate(&self, share: Share, graph: &Graph, work: &Work) -> Option<Estimate> {
        let needed = graph.rows_needed(&work.segment, &work.region.rows);
        let of_layer = |id| {
            let rows = needed.get(&id).cloned().unwrap_or_default();
            let count = (rows.len() as u32).next_multiple_of(self.row_tile.max(1));
            graph.layer_macs(id, &(rows.start..rows.start.saturating_add(count)))
        };
        let samples = work.region.samples.len() as u64;
        let computing = if self.units == 1 {
            (share == Share::FULL).then(|| work.segment.layers().map(of_layer).sum::<Macs>() * samples / self.rate)?
        } else {
            let count = f64::from(share.units_of(self.units));
            let held = f64::from(share.basis_points()) / 1e4 * f64::from(self.units);
            let in_waves = |id| {
                let (macs, shape) = ((of_layer(id) * samples).0 as f64, graph.shape(id));
                let of_tile =
                    graph.macs_of_row(id) / f64::from(shape.channels * shape.cols) * f64::from(self.unit_tile);
                let waves = (macs / (of_tile * count)).ceil();
                // A share is rounded down, and what it takes up; else a device would do more in parts than as a whole.
                if self.unit_tile > 1 && of_tile > 0.0 { waves * of_tile * count / held } else { macs / held }
            };
            let macs: f64 = work.segment.layers().map(in_waves).sum();
            Duration::from_nanos_f64(macs * f64::from(self.units) * self.rate.nanos())
        };
        Some(Estimate { time: computing + self.step, basis: Basis::Modelled })
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
        let speed = Speed {
            rate: MacsPerSec::new(1152e3).unwrap(),
            step: Duration::from_nanos(500_000),
            row_tile,
            units: 1,
            unit_tile: 1,
        };
        let region = Region { samples: 0..samples, rows };
        let work = Work { model: ModelId(0), segment: Segment::range(LayerId(1), LayerId(2)), region };
        speed.estimate(Share::FULL, &graph, &work).unwrap().time.as_millis_f64()
    }

    #[test]
    fn a_step_takes_its_own_time_and_that_of_its_rows_with_their_halo() {
        assert_eq!(time(1, 0..8, 1), 16.5);
        assert_eq!(time(1, 0..8, 2), 32.5);
        assert_eq!(time(1, 0..2, 1), 2.0 + 3.0 + 0.5);
        assert_eq!(time(1, 3..5, 1), 2.0 + 4.0 + 0.5);
    }

    #[test]
    fn parts_of_a_device_do_no_more_together_than_all_of_it() {
        let graph = Graph::new(
            "net",
            vec![
                Layer { name: "input".into(), op: Op::Input(Shape::fp32(4, 8, 8)), inputs: vec![] },
                Layer { name: "a".into(), op: Op::Conv(Conv::square(4, 3).pad(1)), inputs: vec![LayerId(0)] },
            ],
        );
        let graph = graph.unwrap();
        let time = |count: u32, unit_tile: u32, samples: u32| {
            let (rate, step) = (MacsPerSec::new(1152e3).unwrap(), Duration::ZERO);
            let speed = Speed { rate, step, row_tile: 1, units: 3, unit_tile };
            let region = Region { samples: 0..samples, rows: 0..8 };
            let work = Work { model: ModelId(0), segment: Segment::range(LayerId(1), LayerId(1)), region };
            let share = Share::of_units(count, 3).unwrap();
            let millis = speed.estimate(share, &graph, &work).unwrap().time.as_millis_f64();
            (millis, millis * f64::from(share.basis_points()) / 1e4)
        };
        // 8 rows take 8 ms on all units; 256 elements are 4 tiles of 64, and 2 waves on 3 units.
        assert_eq!((time(3, 1, 1).0, time(3, 64, 1).0, time(3, 64, 3).0), (8.0, 12.0, 24.0));
        for (count, tile) in [(1, 1), (1, 64), (2, 1), (2, 64), (3, 64)] {
            assert!(time(count, tile, 3).1 > 24.0 - 1e-5, "{count} units, tiles of {tile}");
        }
    }

    #[test]
    fn rows_of_a_tile_take_as_long_together() {
        assert_eq!(time(4, 0..2, 1), 4.0 + 4.0 + 0.5);
        assert_eq!(time(4, 0..4, 1), 4.0 + 8.0 + 0.5);
    }
}

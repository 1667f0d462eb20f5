//! Bandwidth of a shared memory as it was measured, on a grid.

use crate::units::BytesPerSec;

/// What a device gets of a memory that it shares, by what it needs alone and by what others need.
#[derive(Clone, Debug, PartialEq)]
pub struct BandwidthTable {
    /// Bytes per second, ascending, 0 first.
    own: Vec<f64>,
    /// Bytes per second, ascending, 0 first.
    others: Vec<f64>,
    /// The part of its isolated speed that a device keeps, by `own` and then `others`: 1 where either is 0.
    speeds: Vec<f64>,
}

impl BandwidthTable {
    /// The table of a grid; `achieved` tells what a device got of the memory by the indices of both needs.
    ///
    /// # Panics
    /// If a side of the grid is empty or not ascending.
    pub fn new(
        own: &[BytesPerSec],
        others: &[BytesPerSec],
        achieved: impl Fn(usize, usize) -> BytesPerSec,
    ) -> BandwidthTable {
        let side = |needs: &[BytesPerSec]| -> Vec<f64> {
            std::iter::once(0.0).chain(needs.iter().map(|need| need.as_f64())).collect()
        };
        let (own, others) = (side(own), side(others));
        let is_sound = |side: &[f64]| side.len() > 1 && side.is_sorted_by(|a, b| a < b);
        assert!(is_sound(&own) && is_sound(&others), "a grid has two ascending sides");
        let speed = |row: usize, column: usize| match (row, column) {
            (0, _) | (_, 0) => 1.0,
            (row, column) => (achieved(row - 1, column - 1).as_f64() / own[row]).min(1.0),
        };
        let cells = (0..own.len()).flat_map(|row| (0..others.len()).map(move |column| (row, column)));
        let speeds = cells.map(|(row, column)| speed(row, column)).collect();
        BandwidthTable { own, others, speeds }
    }

    /// The part of its isolated speed that a device keeps which needs `own` bytes per second beside others' `others`.
    ///
    /// Bilinear between the points, and 1 where either is 0. Others slow no more than the most that was measured; a
    /// device that needs more than was measured gets no more than the one that needed most.
    pub(super) fn speed(&self, own: f64, others: f64) -> f64 {
        let (row, along_rows) = place(&self.own, own);
        let (column, along_columns) = place(&self.others, others);
        let most = self.own[self.own.len() - 1];
        let at = |row: usize, column: usize| self.speeds[row * self.others.len() + column];
        let at_column = |column: usize| {
            let speed = mix(at(row, column), at(row + 1, column), along_rows);
            if own > most && column > 0 { speed * most / own } else { speed }
        };
        mix(at_column(column), at_column(column + 1), along_columns)
    }
}

/// Between which two of `values` the value lies, and how far along; at the last two for what lies beyond.
fn place(values: &[f64], value: f64) -> (usize, f64) {
    let index = values.partition_point(|&known| known <= value).clamp(1, values.len() - 1) - 1;
    let along = (value - values[index]) / (values[index + 1] - values[index]);
    (index, along.clamp(0.0, 1.0))
}

fn mix(first: f64, second: f64, along: f64) -> f64 {
    first * (1.0 - along) + second * along
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 10 and 30 GB/s beside 20 and 40.
    fn speed(own: f64, others: f64) -> f64 {
        let rate = |giga: f64| BytesPerSec::new(giga * 1e9).unwrap();
        let achieved = [[10.0, 9.0], [24.0, 15.0]];
        let table = BandwidthTable::new(&[10.0, 30.0].map(rate), &[20.0, 40.0].map(rate), |row, column| {
            rate(achieved[row][column])
        });
        (table.speed(own * 1e9, others * 1e9) * 1e6).round() / 1e6
    }

    #[test]
    fn points_are_as_measured_and_others_lie_between() {
        assert_eq!((speed(10.0, 20.0), speed(10.0, 40.0), speed(30.0, 20.0), speed(30.0, 40.0)), (1.0, 0.9, 0.8, 0.5));
        assert_eq!((speed(20.0, 20.0), speed(30.0, 30.0), speed(20.0, 30.0)), (0.9, 0.65, 0.8));
    }

    #[test]
    fn nothing_slows_what_needs_nothing_or_is_alone() {
        assert_eq!((speed(0.0, 40.0), speed(30.0, 0.0), speed(500.0, 0.0)), (1.0, 1.0, 1.0));
        assert_eq!((speed(5.0, 40.0), speed(30.0, 10.0)), (0.95, 0.9));
    }

    #[test]
    fn beyond_the_grid_others_slow_no_more_and_a_device_gets_no_more() {
        assert_eq!(speed(30.0, 1e6), speed(30.0, 40.0));
        assert_eq!((speed(60.0, 40.0), speed(60.0, 1e6), speed(60.0, 10.0)), (0.25, 0.25, 0.7));
    }
}

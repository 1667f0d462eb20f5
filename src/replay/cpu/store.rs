//! Where the outputs of layers are while a plan runs: pieces, on one device.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use crate::model::{LayerId, ModelId, Region, Shape};
use crate::replay::Tensor;

/// The outputs of layers that a device holds. Lanes share it.
#[derive(Debug, Default)]
pub(in crate::replay) struct Store(Mutex<BTreeMap<(ModelId, LayerId), Vec<StoredPiece>>>);

/// A region of a layer's output, samples by channels by rows by columns.
#[derive(Clone, Debug)]
struct StoredPiece {
    region: Region,
    numbers: Arc<Vec<f32>>,
}

/// Numbers of a region: a part of a piece, or put together.
#[derive(Clone, Debug)]
pub struct Gathered {
    numbers: Arc<Vec<f32>>,
    part: Range<usize>,
}

impl Gathered {
    /// The numbers, samples by channels by rows by columns.
    pub fn numbers(&self) -> &[f32] {
        &self.numbers[self.part.clone()]
    }

    /// All of `numbers`, which are not copied.
    pub fn whole(numbers: Arc<Vec<f32>>) -> Gathered {
        let part = 0..numbers.len();
        Gathered { numbers, part }
    }

    /// The numbers by themselves; copied if they are a part of more.
    pub fn into_whole(self) -> Arc<Vec<f32>> {
        if self.part == (0..self.numbers.len()) { self.numbers } else { Arc::new(self.numbers().to_vec()) }
    }
}

impl Store {
    /// Puts the numbers of a tensor there, in place of earlier ones of its region.
    pub(in crate::replay) fn put(&self, tensor: &Tensor, numbers: Arc<Vec<f32>>) {
        let Tensor { model, layer, region, .. } = tensor;
        let mut pieces = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let pieces = pieces.entry((*model, *layer)).or_default();
        match pieces.iter_mut().find(|piece| piece.region == *region) {
            Some(piece) => piece.numbers = numbers,
            None => pieces.push(StoredPiece { region: region.clone(), numbers }),
        }
    }

    /// The numbers of `region` of a layer's output, which has this shape, or `None` if a part of it is not there.
    pub(in crate::replay) fn gather(
        &self,
        model: ModelId,
        layer: LayerId,
        region: &Region,
        shape: Shape,
    ) -> Option<Gathered> {
        let pieces = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&(model, layer))?.clone();
        let per_row = shape.channels as usize * shape.cols as usize;
        let covers = |piece: &&StoredPiece| {
            let has = &piece.region;
            has.rows == region.rows
                && has.samples.start <= region.samples.start
                && region.samples.end <= has.samples.end
        };
        if let Some(piece) = pieces.iter().find(covers) {
            let per_sample = per_row * region.rows.len();
            let first = (region.samples.start - piece.region.samples.start) as usize * per_sample;
            let part = first..first + region.samples.len() * per_sample;
            return Some(Gathered { numbers: piece.numbers.clone(), part });
        }
        // Before anything as large as the region is made.
        let mut samples = region.samples.clone();
        if !samples.all(|sample| is_covered(sample, &region.rows, &pieces)) {
            return None;
        }
        let mut whole = vec![0.0; region.samples.len() * region.rows.len() * per_row];
        pieces.iter().for_each(|piece| copy(piece, &mut whole, region, shape));
        let part = 0..whole.len();
        Some(Gathered { numbers: Arc::new(whole), part })
    }
}

/// Copies what `piece` has of `region`.
fn copy(piece: &StoredPiece, whole: &mut [f32], region: &Region, shape: Shape) {
    let samples = intersection(&piece.region.samples, &region.samples);
    let rows = intersection(&piece.region.rows, &region.rows);
    let (cols, channels) = (shape.cols as usize, shape.channels as usize);
    let offset = |of: &Region, sample: u32, channel: usize| {
        let sample = (sample - of.samples.start) as usize;
        ((sample * channels + channel) * of.rows.len() + (rows.start - of.rows.start) as usize) * cols
    };
    if rows.is_empty() {
        return;
    }
    let length = rows.len() * cols;
    for sample in samples {
        for channel in 0..channels {
            let (from, to) = (offset(&piece.region, sample, channel), offset(region, sample, channel));
            whole[to..to + length].copy_from_slice(&piece.numbers[from..from + length]);
        }
    }
}

fn intersection(one: &Range<u32>, other: &Range<u32>) -> Range<u32> {
    let start = one.start.max(other.start);
    start..one.end.min(other.end).max(start)
}

/// Whether `pieces` have all of these rows of a sample.
fn is_covered(sample: u32, rows: &Range<u32>, pieces: &[StoredPiece]) -> bool {
    let mut missing = vec![rows.clone()];
    for piece in pieces.iter().filter(|piece| piece.region.samples.contains(&sample)) {
        missing = missing.into_iter().flat_map(|hole| without(hole, &piece.region.rows)).collect();
    }
    missing.is_empty()
}

/// What is left of `rows` without those of `cut`.
fn without(rows: Range<u32>, cut: &Range<u32>) -> impl Iterator<Item = Range<u32>> {
    let is_cut = cut.start < rows.end && rows.start < cut.end && !cut.is_empty();
    let parts = match is_cut {
        true => [rows.start..cut.start.max(rows.start), cut.end.min(rows.end)..rows.end],
        false => [rows, 0..0],
    };
    parts.into_iter().filter(|part| !part.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: Shape = Shape::fp32(2, 8, 1);

    fn region(samples: Range<u32>, rows: Range<u32>) -> Region {
        Region { samples, rows }
    }

    /// The numbers of a region: sample, channel and row as decimal digits.
    fn numbers(region: &Region) -> Vec<f32> {
        let (samples, rows) = (region.samples.clone(), &region.rows);
        let of_sample = |sample| (0..2).flat_map(move |channel| rows.clone().map(move |row| (sample, channel, row)));
        samples.flat_map(of_sample).map(|(sample, channel, row)| (sample * 100 + channel * 10 + row) as f32).collect()
    }

    fn gather(pieces: &[Region], wanted: &Region) -> Option<Vec<f32>> {
        let store = Store::default();
        for region in pieces {
            let tensor = Tensor { model: ModelId(0), layer: LayerId(0), region: region.clone(), shape: SHAPE };
            store.put(&tensor, Arc::new(numbers(region)));
        }
        let gathered = store.gather(ModelId(0), LayerId(0), wanted, SHAPE);
        gathered.map(|gathered| gathered.numbers().to_vec())
    }

    #[test]
    fn samples_of_a_piece_are_a_part_of_it() {
        let wanted = region(1..3, 0..8);
        assert_eq!(gather(&[region(0..4, 0..8)], &wanted), Some(numbers(&wanted)));
    }

    #[test]
    fn pieces_are_put_together_by_samples_and_rows() {
        let pieces = [region(0..2, 0..4), region(0..1, 4..8), region(1..4, 3..8), region(2..4, 0..3)];
        for wanted in [region(0..4, 0..8), region(1..3, 2..6), region(0..1, 4..8)] {
            assert_eq!(gather(&pieces, &wanted), Some(numbers(&wanted)), "{wanted}");
        }
    }

    #[test]
    fn what_is_not_there_is_not_made_up() {
        assert_eq!(gather(&[region(0..4, 0..7)], &region(0..4, 0..8)), None);
        assert_eq!(gather(&[region(0..3, 0..8)], &region(0..4, 0..8)), None);
        assert_eq!(gather(&[], &region(0..1, 0..1)), None);
    }
}

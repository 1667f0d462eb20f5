//! The unit that devices execute and traces measure: some layers over some samples and rows.

use std::fmt;
use std::ops::Range;

use serde::{Deserialize, Serialize};
use smallvec::{SmallVec, smallvec};

use super::{LayerId, ModelId};

/// A non-empty set of layers that is run as one unit, in topological order.
///
/// Stored as ascending ranges of layer indices with gaps between them. A plan's
/// segments are also convex, which [`crate::plan::check`] sees to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Vec<Range<u32>>", into = "Vec<Range<u32>>")]
pub struct Segment(SmallVec<[Range<u32>; 1]>);

/// A part of a layer's output: which samples of the batch, which rows of each.
///
/// Splitting a batch and splitting rows are both a choice of region.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Region {
    /// Samples of the batch.
    pub samples: Range<u32>,
    /// Rows of each sample.
    pub rows: Range<u32>,
}

/// A segment over one region of the output of its last layer.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Work {
    /// Which model.
    pub model: ModelId,
    /// Which of its layers, fused.
    pub segment: Segment,
    /// Which part of the output of the segment's last layer.
    pub region: Region,
}

/// Why ranges of layers are not a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a segment needs at least one layer, as ascending ranges that do not touch")]
pub struct SegmentError;

impl Segment {
    /// The segment of exactly these layers, given in ascending order.
    pub fn new(layers: impl IntoIterator<Item = LayerId>) -> Result<Segment, SegmentError> {
        let mut ranges: SmallVec<[Range<u32>; 1]> = SmallVec::new();
        for LayerId(layer) in layers {
            match ranges.last_mut() {
                Some(range) if range.end == layer => range.end = layer.checked_add(1).ok_or(SegmentError)?,
                Some(range) if range.end > layer => return Err(SegmentError),
                _ => ranges.push(layer..layer.checked_add(1).ok_or(SegmentError)?),
            }
        }
        if ranges.is_empty() { Err(SegmentError) } else { Ok(Segment(ranges)) }
    }

    /// The layers `first` to `last`, both included.
    ///
    /// # Panics
    /// If `last` comes before `first`, or is the largest number there is.
    pub fn range(first: LayerId, last: LayerId) -> Segment {
        assert!(first <= last, "a segment is not empty");
        Segment(smallvec![first.0..last.0 + 1])
    }

    /// The layers, ascending.
    pub fn layers(&self) -> impl DoubleEndedIterator<Item = LayerId> + '_ {
        self.0.iter().flat_map(|range| range.clone().map(LayerId))
    }

    /// Whether `layer` is one of them.
    pub fn contains(&self, layer: LayerId) -> bool {
        self.0.iter().any(|range| range.contains(&layer.0))
    }

    /// The first layer.
    pub fn first(&self) -> LayerId {
        LayerId(self.0.first().expect("a segment is not empty").start)
    }

    /// The last layer, whose output regions refer to.
    pub fn last(&self) -> LayerId {
        LayerId(self.0.last().expect("a segment is not empty").end - 1)
    }
}

impl TryFrom<Vec<Range<u32>>> for Segment {
    type Error = SegmentError;
    fn try_from(ranges: Vec<Range<u32>>) -> Result<Segment, SegmentError> {
        let ascending = ranges.windows(2).all(|pair| pair[0].end < pair[1].start);
        let filled = ranges.iter().all(|range| range.start < range.end);
        if ranges.is_empty() || !ascending || !filled {
            return Err(SegmentError);
        }
        Ok(Segment(ranges.into()))
    }
}

impl From<Segment> for Vec<Range<u32>> {
    fn from(segment: Segment) -> Vec<Range<u32>> {
        segment.0.into_vec()
    }
}

impl fmt::Display for Segment {
    /// First and last layer of each range: `1-4,7`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, range) in self.0.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            match range.len() {
                1 => write!(f, "{comma}{}", range.start)?,
                _ => write!(f, "{comma}{}-{}", range.start, range.end - 1)?,
            }
        }
        Ok(())
    }
}

impl Region {
    /// Whether it covers no sample or no row.
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty() || self.rows.is_empty()
    }
}

/// The number of samples in the union of ranges, each of its own model.
pub(crate) fn count_samples(mut parts: Vec<(ModelId, Range<u32>)>) -> u32 {
    parts.sort_unstable_by_key(|(model, samples)| (*model, samples.start));
    let mut reached = (ModelId(0), 0);
    let mut count: u32 = 0;
    for (model, samples) in parts {
        let from = match reached {
            (before, end) if before == model => samples.start.max(end),
            _ => samples.start,
        };
        count = count.saturating_add(samples.end.saturating_sub(from));
        reached = (model, samples.end.max(from));
    }
    count
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Region { samples, rows } = self;
        write!(f, "samples {}..{}, rows {}..{}", samples.start, samples.end, rows.start, rows.end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_joins_neighbouring_layers_and_keeps_gaps() {
        let segment = Segment::new([1, 2, 3, 7].map(LayerId)).unwrap();
        assert_eq!(segment.to_string(), "1-3,7");
        assert_eq!(segment.last(), LayerId(7));
        assert!(segment.contains(LayerId(2)) && !segment.contains(LayerId(5)));
        assert_eq!(segment.layers().map(|id| id.0).collect::<Vec<_>>(), [1, 2, 3, 7]);
    }

    #[test]
    fn an_empty_or_unordered_segment_is_refused() {
        assert_eq!(Segment::new([]), Err(SegmentError));
        assert_eq!(Segment::new([2, 1].map(LayerId)), Err(SegmentError));
        assert!(serde_json::from_str::<Segment>(r#"[{"start":3,"end":3}]"#).is_err());
        assert!(serde_json::from_str::<Segment>(r#"[{"start":3,"end":5},{"start":4,"end":6}]"#).is_err());
        assert!(serde_json::from_str::<Segment>(r#"[{"start":3,"end":5}]"#).is_ok());
    }
}

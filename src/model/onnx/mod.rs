//! stub
use std::ops::Range;
use super::{Graph, Segment, Weights};
/// e
#[derive(Debug, thiserror::Error)]
#[error("stub")]
pub struct WriteError;
/// w
pub fn write(_: &Graph, _: &Weights, _: &Segment, _: &Range<u32>, _: Option<u32>) -> Result<Vec<u8>, WriteError> { Err(WriteError) }

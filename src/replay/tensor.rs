//! Regions of layers' outputs, as devices hold them and hand them on.

use crate::model::{LayerId, ModelId, Region, Shape};

/// A region of the output of a layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    /// The network.
    pub model: ModelId,
    /// The layer.
    pub layer: LayerId,
    /// Which samples and rows.
    pub region: Region,
    /// Of the whole output, of one sample.
    pub shape: Shape,
}

impl Tensor {
    /// Numbers that it has.
    pub fn count(&self) -> usize {
        let Region { samples, rows } = &self.region;
        samples.len() * rows.len() * self.shape.channels as usize * self.shape.cols as usize
    }
}

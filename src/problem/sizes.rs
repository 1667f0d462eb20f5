//! How large data and weights are where they lie: each device holds them in the numbers that it computes with.

use super::Problem;
use crate::model::{LayerId, ModelId, Region, Sizes};
use crate::platform::{DeviceId, LinkId};
use crate::units::Bytes;

impl Problem {
    /// The sizes of a network on `device`.
    pub fn sizes(&self, model: ModelId, device: DeviceId) -> Sizes<'_> {
        self.model(model).graph.sizes(self.platform.device(device).precision)
    }

    /// Bytes that `link` carries to `to` of `region` of a layer's output: those of the sender, since data is sent as it is
    /// there and the receiver converts it.
    pub fn sent(&self, (link, to): (LinkId, DeviceId), model: ModelId, layer: LayerId, region: &Region) -> Bytes {
        let from = self.platform.link(link).opposite(to);
        self.sizes(model, from).bytes(layer, region)
    }
}

//! What a group takes when it is run: the group as a network of its own, planned and simulated.

use std::sync::Arc;

use super::chain::Chain;
use super::{RowGroup, RowSplit, Transport};
use crate::cost::{CostModel, Estimate, Uncalibrated};
use crate::model::{LayerId, Segment, Work};
use crate::platform::{DeviceId, LinkId};
use crate::problem::{Load, Model, Problem};
use crate::strategy::PlanError;
use crate::strategy::simulated::simulated;
use crate::units::{Bytes, Duration, Share};

/// How long a group takes from the moment when the home has its inputs until it has its outputs; for ever if it has no room.
///
/// # Errors
/// Some of its times are not known.
pub(in crate::strategy) fn round_time(split: &RowSplit<'_>, group: &RowGroup) -> Result<Duration, PlanError> {
    let (graph, layers) = split.graph().part(&split.chain.segment(group.units.clone()));
    let costs = PartCosts { whole: split.problem.costs.clone(), layers };
    let model = Model { graph, home: Some(split.home) };
    let load = Load::Offline { samples: split.problem.samples() };
    let mut problem = Problem::new(vec![model], split.problem.platform.clone(), load, costs);
    problem.contention = split.problem.contention;
    let chain = Chain::whole(&problem.models[0].graph);
    let part = RowSplit { problem: &problem, home: split.home, boards: split.boards.clone(), chain, tail: None };
    let alone = RowGroup { units: 0..part.len(), ..group.clone() };
    Ok(simulated(&problem, &part.plan(&[alone], Transport::Gather)?)?.unwrap_or(Duration::MAX))
}

/// What a network's costs say of a part of it, as a network of its own.
struct PartCosts {
    whole: Arc<dyn CostModel>,
    /// By layer of the part, which layer it is.
    layers: Vec<LayerId>,
}

impl CostModel for PartCosts {
    fn compute(&self, device: DeviceId, share: Share, work: &Work) -> Result<Estimate, Uncalibrated> {
        let layers = work.segment.layers().map(|layer| self.layers[layer.0 as usize]);
        let segment = Segment::new(layers).expect("a part keeps the order of its layers");
        self.whole.compute(device, share, &Work { segment, ..work.clone() })
    }

    fn transfer(&self, link: LinkId, size: Bytes) -> Result<Estimate, Uncalibrated> {
        self.whole.transfer(link, size)
    }
}

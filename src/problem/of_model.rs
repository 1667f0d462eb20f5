//! Questions about one of several networks.

use std::sync::Arc;

use super::{Load, Problem};
use crate::cost::{CostModel, Estimate, Piece, Scope, Uncalibrated};
use crate::model::{ModelId, Work};
use crate::platform::{DeviceId, LinkId};
use crate::units::{Bytes, Share};

/// The question about all networks that one about a single network is a part of.
#[derive(Clone)]
pub struct PartOf {
    /// The whole question.
    pub problem: Arc<Problem>,
    /// Which of its networks.
    pub model: ModelId,
}

impl Problem {
    /// The question about `samples` samples of one network alone, which is the first and only one there, all present at the
    /// start.
    pub fn of_model(&self, model: ModelId, samples: u32) -> Problem {
        Problem {
            models: vec![self.model(model).clone()],
            load: Load::Offline { samples },
            costs: Arc::new(OfModel { costs: self.costs.clone(), model }),
            part_of: Some(PartOf { problem: Arc::new(self.clone()), model }),
            ..self.clone()
        }
    }

    /// Samples of `model` that a plan for the whole load computes.
    pub fn samples_of(&self, model: ModelId) -> u32 {
        match &self.load {
            Load::PerModel(tenants) => {
                let own = tenants.iter().filter(|tenant| tenant.model == model);
                own.map(|tenant| tenant.load.samples()).fold(0, u32::saturating_add)
            }
            load => load.samples(),
        }
    }
}

/// The costs of one network among several.
struct OfModel {
    costs: Arc<dyn CostModel>,
    model: ModelId,
}

impl CostModel for OfModel {
    fn compute(&self, device: DeviceId, share: Share, work: &Work) -> Result<Estimate, Uncalibrated> {
        self.costs.compute(device, share, &Work { model: self.model, ..work.clone() })
    }

    fn transfer(&self, link: LinkId, size: Bytes) -> Result<Estimate, Uncalibrated> {
        self.costs.transfer(link, size)
    }

    fn least(&self, device: DeviceId, _: ModelId, scope: &Scope<'_>) -> Option<Vec<Piece>> {
        self.costs.least(device, self.model, scope)
    }

    fn resampled(&self, draw: u64) -> Option<Arc<dyn CostModel>> {
        Some(Arc::new(OfModel { costs: self.costs.resampled(draw)?, model: self.model }))
    }
}

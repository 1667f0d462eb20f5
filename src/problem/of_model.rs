//! Questions about one of several networks.

use std::any::Any;
use std::sync::{Arc, OnceLock};

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
    known: Known,
}

/// What a strategy has found of a whole question.
type Known = Arc<OnceLock<Box<dyn Any + Send + Sync>>>;

/// A question about all networks, of which those about single ones are asked.
pub struct Questions {
    /// The whole question.
    pub whole: Arc<Problem>,
    known: Known,
}

impl From<&Problem> for Questions {
    fn from(problem: &Problem) -> Questions {
        Questions { whole: Arc::new(problem.clone()), known: Known::default() }
    }
}

impl PartOf {
    /// What `find` says of the whole question, where it is asked once: all questions of one [`Questions`] are of one strategy.
    pub fn of_whole<T: Clone + Send + Sync + 'static>(&self, find: impl Fn(&Problem) -> T) -> T {
        let known = self.known.get_or_init(|| Box::new(find(&self.problem)));
        known.downcast_ref().cloned().unwrap_or_else(|| find(&self.problem))
    }
}

impl Questions {
    /// The question about `samples` samples of one network alone, which is the first and only one there, all present at the
    /// start.
    pub fn of_model(&self, model: ModelId, samples: u32) -> Problem {
        let Questions { whole, known } = self;
        Problem {
            models: vec![whole.model(model).clone()],
            load: Load::Offline { samples },
            costs: Arc::new(OfModel { costs: whole.costs.clone(), model }),
            part_of: Some(PartOf { problem: whole.clone(), model, known: known.clone() }),
            ..(**whole).clone()
        }
    }
}

impl Problem {
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

//! The question put to a strategy: what to run, where, when, and what it costs.

mod arrivals;
mod faults;
mod ledger;
mod load;
mod of_model;
mod replications;
mod sizes;
mod variation;

pub use arrivals::{Arrivals, ArrivalsError};
pub use faults::{Change, Condition, Fault, Faults};
pub use ledger::{Ledger, Profiling, SearchCost};
pub use load::{Dispatch, Load, Server, Tenant};
pub use of_model::{PartOf, Questions};
pub use replications::{Replications, WarmUpRule};
pub use variation::{Effect, Jitter, Ratios, Repeats, Shape, Spikes, Variation, VariationError};

use std::sync::Arc;

use crate::cost::{CostModel, Uncalibrated};
use crate::model::{Graph, ModelId};
use crate::platform::{DeviceId, LinkId, Platform};
use crate::units::{Bytes, Duration};

/// Everything that strategies, `check` and the engine may know.
#[derive(Clone)]
pub struct Problem {
    /// Networks to run.
    pub models: Vec<Model>,
    /// Devices and links.
    pub platform: Platform,
    /// When queries arrive and how many samples they have.
    pub load: Load,
    /// When plans are issued for queries that arrive over time.
    pub dispatch: Dispatch,
    /// Predicted durations of steps that run alone.
    pub costs: Arc<dyn CostModel>,
    /// Whether devices that compute at the same time slow each other as `platform.interference` says.
    pub contention: bool,
    /// How times vary around what costs say.
    pub variation: Variation,
    /// What breaks, and when.
    pub faults: Faults,
    /// What it is a part of, if it is about one of several networks.
    pub part_of: Option<PartOf>,
}

/// A network and where its data lives.
#[derive(Clone, Debug)]
pub struct Model {
    /// Its layers.
    pub graph: Graph,
    /// The device that holds the inputs and must receive the outputs.
    ///
    /// `None` if inputs are present on every device and outputs may stay where they are computed.
    pub home: Option<DeviceId>,
}

impl Problem {
    /// A problem in which nothing is disturbed, varies or breaks.
    pub fn new(models: Vec<Model>, platform: Platform, load: Load, costs: impl CostModel + 'static) -> Problem {
        Problem {
            models,
            platform,
            load,
            dispatch: Dispatch::default(),
            costs: Arc::new(costs),
            contention: false,
            variation: Variation::default(),
            faults: Faults::default(),
            part_of: None,
        }
    }

    /// The model with this id.
    pub fn model(&self, id: ModelId) -> &Model {
        &self.models[id.0 as usize]
    }

    /// Samples of each model that one plan covers.
    pub fn samples(&self) -> u32 {
        self.load.samples()
    }

    /// From the start of a transfer of `size` over `link`, when it alone is sent, until all of it has arrived.
    ///
    /// # Errors
    /// The costs do not know what it takes.
    pub fn arrival(&self, link: LinkId, size: Bytes) -> Result<Duration, Uncalibrated> {
        Ok(self.costs.transfer(link, size)?.time + self.platform.link(link).latency)
    }

    /// Whether chance has a part in what happens, so that one run does not say everything.
    pub fn is_random(&self) -> bool {
        self.load.is_random() || !self.variation.is_none()
    }

    /// The same question with costs as another profile of the same machine might have found them
    /// ([`CostModel::resampled`]); `None` if nothing says how large errors are.
    pub fn resampled(&self, draw: u64) -> Option<Problem> {
        Some(Problem { costs: self.costs.resampled(draw)?, ..self.clone() })
    }

    /// The same question about `samples` samples of each model that are all present at the start.
    pub fn offline(&self, samples: u32) -> Problem {
        Problem { load: Load::Offline { samples }, ..self.clone() }
    }
}

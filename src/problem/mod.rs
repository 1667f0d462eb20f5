//! The question put to a strategy: what to run, where, when, and what it costs.

use std::sync::Arc;

mod load;
mod variation;

pub use load::{Arrivals, ArrivalsError};
pub use variation::{Effect, Jitter, Ratios, Shape, Spikes, Variation, VariationError};

use serde::{Deserialize, Serialize};

use crate::cost::CostModel;
use crate::model::{Graph, ModelId};
use crate::platform::{DeviceId, Platform};
use crate::units::Duration;

/// Everything that strategies, `check` and the engine may know.
#[derive(Clone)]
pub struct Problem {
    /// Networks to run.
    pub models: Vec<Model>,
    /// Devices and links.
    pub platform: Platform,
    /// When queries arrive and how many samples they have.
    pub load: Load,
    /// Predicted durations of steps that run alone.
    pub costs: Arc<dyn CostModel>,
    /// Whether devices that compute at the same time slow each other as `platform.interference` says.
    pub contention: bool,
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

/// When queries arrive and how many samples each has, in the terms of MLPerf inference
/// (Reddi et al., ISCA 2020, section IV).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Load {
    /// All samples are present at the start.
    Offline {
        /// Number of samples of each model.
        samples: u32,
    },
    /// One sample; the next when it is done.
    SingleStream,
    /// `samples` at a time; the next query when it is done.
    MultiStream {
        /// Samples per query.
        samples: u32,
    },
    /// Poisson arrivals of one sample.
    Server {
        /// Mean gap between queries.
        gap_mean: Duration,
    },
}

impl Load {
    /// Samples that one plan covers.
    pub fn samples(&self) -> u32 {
        match *self {
            Load::Offline { samples } | Load::MultiStream { samples } => samples,
            Load::SingleStream | Load::Server { .. } => 1,
        }
    }
}

impl Problem {
    /// A problem without contention.
    pub fn new(models: Vec<Model>, platform: Platform, load: Load, costs: impl CostModel + 'static) -> Problem {
        Problem { models, platform, load, costs: Arc::new(costs), contention: false }
    }

    /// The model with this id.
    pub fn model(&self, id: ModelId) -> &Model {
        &self.models[id.0 as usize]
    }

    /// Samples of each model that one plan covers.
    pub fn samples(&self) -> u32 {
        self.load.samples()
    }
}

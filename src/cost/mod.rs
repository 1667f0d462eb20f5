//! How long it takes: profiling traces in, durations of isolated steps out.
//!
//! A cost model is a pure function. It says how it knows, and it may say that it does not.

mod bandwidth;
mod curve;
mod fit;
pub mod import;
mod kcc2020;
mod least;
mod lookup;
mod noise;
mod parts;
mod ranking;
mod read;
mod series;
mod source;
mod speed;
mod summary;
mod surface;
mod trace;
mod transfer;
mod validation;
mod write;

pub use bandwidth::parse_bandwidth;
pub use curve::{Curve, Refusal};
pub use least::{Piece, Scope};
pub use lookup::{Lookup, Score};
pub use noise::Noise;
pub use parts::Parts;
pub use ranking::{Choice, Ranking, RankingSummary};
pub use speed::Speed;
pub use summary::{Coverage, Group, Target, group, targets};
pub use surface::ShareErrors;
pub use trace::{Kind, LayerKey, Mistake, Point, Row, Rows, Statistic, Trace};
pub use validation::{NOMINAL_COVERAGE, Prediction, Scheme, SeriesValidation, SharesValidation, Validation, validate};

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use source::{Asked, Sources};

use crate::model::{Graph, ModelId, Segment, Work};
use crate::platform::{DeviceId, LinkId, Platform};
use crate::units::{Bytes, Duration, Share};

/// How an estimate was obtained, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// It is a point that was measured.
    Measured,
    /// It lies between points that were measured.
    Interpolated,
    /// It lies outside the range that was measured.
    Extrapolated,
    /// It follows from a formula, or from figures that were digitised or derived.
    Modelled,
}

/// A predicted duration and how it was obtained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Estimate {
    /// How long the step keeps its lane when nothing disturbs it.
    pub time: Duration,
    /// How this is known.
    pub basis: Basis,
}

/// No trace says how long something takes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Uncalibrated {
    /// No profile of this work.
    #[error("no calibration for {model} at batch {batch} on {device}: {reason}")]
    Compute {
        /// The device's name.
        device: String,
        /// The model's name.
        model: String,
        /// Samples of the work.
        batch: u32,
        /// What is missing, and what would help.
        reason: String,
    },
}

/// Predicts how long steps take alone. Pure: the same query always gets the same answer.
///
/// ```
/// use coinfer::cost::{Basis, CostModel, Estimate, Uncalibrated};
/// use coinfer::model::Work;
/// use coinfer::platform::{DeviceId, LinkId};
/// use coinfer::units::{Bytes, Duration, Share};
///
/// /// Every sample takes a millisecond on every device, and links are infinitely fast.
/// struct PerSample;
///
/// impl CostModel for PerSample {
///     fn compute(&self, _: DeviceId, _: Share, work: &Work) -> Result<Estimate, Uncalibrated> {
///         let time = Duration::from_nanos(1_000_000) * work.region.samples.len() as u32;
///         Ok(Estimate { time, basis: Basis::Modelled })
///     }
///     fn transfer(&self, _: LinkId, _: Bytes) -> Result<Estimate, Uncalibrated> {
///         Ok(Estimate { time: Duration::ZERO, basis: Basis::Modelled })
///     }
/// }
/// ```
pub trait CostModel: Send + Sync {
    /// Time of `work` on `device` when it holds `share` of the device and nothing else runs.
    fn compute(&self, device: DeviceId, share: Share, work: &Work) -> Result<Estimate, Uncalibrated>;

    /// How long a transfer of `size` keeps `link` from sending anything else, when it alone is sent; no less for more. It has
    /// arrived the link's latency later: [`crate::problem::Problem::arrival`].
    fn transfer(&self, link: LinkId, size: Bytes) -> Result<Estimate, Uncalibrated>;

    /// The least that work of a network takes on a device: pieces of the network, each with a time. `None` if that is not
    /// known, as of models that do not say; then there is no lower bound.
    ///
    /// Whatever `compute` prices within `scope` is made of pieces, each of layers of that work, so many of each that they
    /// are worth no less than the work in all of its layers (see [`Coverage`](crate::model::Coverage)) and take no longer
    /// together than its share of the device for its time. No pieces say that nothing is priced.
    fn least(&self, _device: DeviceId, _model: ModelId, _scope: &Scope<'_>) -> Option<Vec<Piece>> {
        None
    }

    /// These costs as another profile of the same machine might have found them, each measured time off by an error drawn
    /// from its repeats; the same for the same `draw`. Times without repeats are taken as certain, and links too. `None` if no
    /// time has three repeats.
    fn resampled(&self, _draw: u64) -> Option<Arc<dyn CostModel>> {
        None
    }
}

/// Costs from traces of networks and their units on devices and parts of them, or from the rates of devices without any,
/// and from the overhead and bandwidth of links.
#[derive(Clone, Debug)]
pub struct TraceCosts {
    platform: Platform,
    models: Vec<Profiled>,
    /// By device, then model.
    sources: Vec<Sources>,
}

/// What traces say of one network on one device.
#[derive(Clone, Debug, Default)]
pub struct Profile {
    /// The whole network.
    pub whole: Option<Curve>,
    /// Its units.
    pub parts: Option<Arc<Parts>>,
    /// The device's rate, by which it is timed if there is nothing else.
    pub speed: Option<Speed>,
    /// The same of parts of the device, by the share of its compute units that was measured.
    pub shares: BTreeMap<Share, Profile>,
}

#[derive(Clone, Debug)]
struct Profiled {
    graph: Graph,
    whole: Option<Segment>,
    rows: u32,
}

impl TraceCosts {
    /// Costs on `platform` of `models`, with what `profile` knows of each device and model.
    pub fn new(
        platform: &Platform,
        models: &[&Graph],
        mut profile: impl FnMut(DeviceId, ModelId) -> Profile,
    ) -> TraceCosts {
        let profiled = |graph: &&Graph| Profiled {
            graph: (*graph).clone(),
            whole: graph.whole(),
            rows: graph.shape(graph.output()).rows,
        };
        let model_ids = || (0..models.len() as u32).map(ModelId);
        let pairs = platform.device_ids().flat_map(|device| model_ids().map(move |model| (device, model)));
        let sources = pairs.map(|(device, model)| Sources::new(profile(device, model))).collect();
        TraceCosts { platform: platform.clone(), models: models.iter().map(profiled).collect(), sources }
    }

    fn sources(&self, device: DeviceId, model: ModelId) -> &Sources {
        &self.sources[device.0 as usize * self.models.len() + model.0 as usize]
    }

    #[cold]
    fn uncalibrated(&self, device: DeviceId, work: &Work, reason: String) -> Uncalibrated {
        Uncalibrated::Compute {
            device: self.platform.device(device).name.clone(),
            model: self.models[work.model.0 as usize].graph.name().to_owned(),
            batch: work.region.samples.len() as u32,
            reason,
        }
    }
}

impl CostModel for TraceCosts {
    fn compute(&self, device: DeviceId, share: Share, work: &Work) -> Result<Estimate, Uncalibrated> {
        let Profiled { graph, whole, rows } = &self.models[work.model.0 as usize];
        let is_whole = whole.as_ref() == Some(&work.segment) && work.region.rows == (0..*rows);
        let asked = Asked { graph, work, is_whole, precision: self.platform.device(device).precision };
        self.sources(device, work.model)
            .estimate(share, &asked)
            .map_err(|reason| self.uncalibrated(device, work, reason))
    }

    fn transfer(&self, link: LinkId, size: Bytes) -> Result<Estimate, Uncalibrated> {
        let link = self.platform.link(link);
        Ok(Estimate { time: link.overhead + size / link.bandwidth, basis: Basis::Modelled })
    }

    fn least(&self, device: DeviceId, model: ModelId, scope: &Scope<'_>) -> Option<Vec<Piece>> {
        Some(self.sources(device, model).least(&self.models[model.0 as usize].graph, scope))
    }

    fn resampled(&self, draw: u64) -> Option<Arc<dyn CostModel>> {
        let (sources, has_repeats): (Vec<_>, Vec<_>) =
            self.sources.iter().map(|sources| sources.resampled(draw)).unzip();
        let costs = TraceCosts { platform: self.platform.clone(), models: self.models.clone(), sources };
        has_repeats.contains(&true).then(|| Arc::new(costs) as Arc<dyn CostModel>)
    }
}

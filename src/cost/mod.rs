//! How long it takes: profiling traces in, durations of isolated steps out.
//!
//! A cost model is a pure function. It says how it knows, and it may say that it does not.

mod curve;
mod fit;
pub mod import;
mod read;
mod trace;
mod write;

pub use curve::{Curve, Lookup, Refusal};
pub use trace::{Fault, Kind, LayerKey, Point, Row, Rows, Statistic, Trace};

use serde::{Deserialize, Serialize};

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
    /// How long the step takes when nothing disturbs it.
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

    /// Time to move `size` over `link` when the link is otherwise idle.
    fn transfer(&self, link: LinkId, size: Bytes) -> Result<Estimate, Uncalibrated>;
}

/// Costs from traces of whole networks on whole devices, and from the latency and bandwidth of links.
#[derive(Clone, Debug)]
pub struct TraceCosts {
    platform: Platform,
    models: Vec<Profiled>,
    /// By device, then model.
    curves: Vec<Option<Curve>>,
}

#[derive(Clone, Debug)]
struct Profiled {
    name: String,
    whole: Option<Segment>,
    rows: u32,
}

impl TraceCosts {
    /// Costs on `platform` of `models`, with the curve that `curve` knows for each device and model.
    pub fn new(
        platform: &Platform,
        models: &[&Graph],
        mut curve: impl FnMut(DeviceId, ModelId) -> Option<Curve>,
    ) -> TraceCosts {
        let profiled = |graph: &&Graph| Profiled {
            name: graph.name().to_owned(),
            whole: graph.whole(),
            rows: graph.layer(graph.output()).output.rows,
        };
        let model_ids = || (0..models.len() as u32).map(ModelId);
        let pairs = platform.device_ids().flat_map(|device| model_ids().map(move |model| (device, model)));
        TraceCosts {
            platform: platform.clone(),
            models: models.iter().map(profiled).collect(),
            curves: pairs.map(|(device, model)| curve(device, model)).collect(),
        }
    }

    #[cold]
    fn uncalibrated(&self, device: DeviceId, work: &Work, reason: String) -> Uncalibrated {
        Uncalibrated::Compute {
            device: self.platform.device(device).name.clone(),
            model: self.models[work.model.0 as usize].name.clone(),
            batch: work.region.samples.len() as u32,
            reason,
        }
    }
}

impl CostModel for TraceCosts {
    fn compute(&self, device: DeviceId, share: Share, work: &Work) -> Result<Estimate, Uncalibrated> {
        let refuse = |reason: &str| Err(self.uncalibrated(device, work, reason.to_owned()));
        let model = &self.models[work.model.0 as usize];
        if share != Share::FULL {
            return refuse("traces were taken on whole devices, and this lane holds a part of one");
        }
        if model.whole.as_ref() != Some(&work.segment) || work.region.rows != (0..model.rows) {
            return refuse("the trace has whole networks only, and this is a part of one");
        }
        let curve = &self.curves[device.0 as usize * self.models.len() + work.model.0 as usize];
        let Some(curve) = curve else {
            return refuse("no trace has this network on this device");
        };
        match curve.estimate(work.region.samples.len() as u32) {
            Ok(estimate) => Ok(estimate),
            Err(refusal) => Err(self.uncalibrated(device, work, refusal.to_string())),
        }
    }

    fn transfer(&self, link: LinkId, size: Bytes) -> Result<Estimate, Uncalibrated> {
        let link = self.platform.link(link);
        Ok(Estimate { time: link.latency + size / link.bandwidth, basis: Basis::Modelled })
    }
}

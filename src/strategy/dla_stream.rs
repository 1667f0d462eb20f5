//! Inputs that arrive over a network, in batches as small as keep up with it (Lee, Won and Park, KSC 2022).

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use super::dla_split::{DlaSplit, Shares};
use super::fronts::{Fronts, MODEL, Search, Sharing};
use super::stages::{Stages, route};
use super::{PlanError, Strategy};
use crate::model::Region;
use crate::plan::Plan;
use crate::platform::LinkId;
use crate::problem::Problem;
use crate::units::Bytes;

/// Runs batches of `b` samples one after the other, each as [`DlaSplit`] shares it, while the next ones arrive.
///
/// `b` is the smallest batch with `T(b) <= b / arrival rate`, so that no queue grows: the smaller `b`, the shorter a
/// sample waits for others of its batch. Below the batch from which accelerators help, the GPU is alone. If no batch keeps
/// up, it is the one with the highest rate. Samples arrive as fast as what leads away from the model's `home` carries
/// their inputs.
///
/// Source: Lee, Won and Park, "Parallel inference on GPU and NVDLA of Jetson Xavier NX", KSC 2022.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DlaStream {
    /// Samples of a batch; the smallest that keeps up if absent.
    pub batch: Option<NonZeroU32>,
    /// The most rounds of the GPU in a batch; any number if absent.
    pub gpu_rounds_max: Option<NonZeroU32>,
    /// The most rounds of each accelerator in a batch; any number if absent.
    pub dla_rounds_max: Option<NonZeroU32>,
}

impl Strategy for DlaStream {
    fn name(&self) -> &'static str {
        "dla_stream"
    }

    fn plan(&self, problem: &Problem) -> Result<Plan, PlanError> {
        let all = problem.samples();
        let most = self.batch.map_or(all, |batch| batch.get().min(all));
        let fronts = Fronts::new(problem, most)?;
        let interval = interval(problem, &fronts)?;
        let DlaStream { gpu_rounds_max, dla_rounds_max, .. } = *self;
        let settings = DlaSplit { shares: Shares::Best, gpu_rounds_max, dla_rounds_max };
        let search = Search::new(&settings, &fronts, most)?;
        let sharing = match self.batch {
            Some(_) => search.best(most)?.1,
            None => smallest_stable(&search, most, interval)?,
        };
        let batch = fronts.samples(&sharing);
        let mut stages = Stages::new(problem);
        let mut first = 0;
        while all - first >= batch {
            fronts.stage(&mut stages, &sharing, first)?;
            first += batch;
        }
        if first < all {
            fronts.stage(&mut stages, &search.best(all - first)?.1, first)?;
        }
        stages.finish()
    }
}

/// How the smallest batch is shared that is done before the next has arrived, or else the one with the highest rate.
fn smallest_stable(search: &Search<'_, '_>, most: u32, interval: f64) -> Result<Sharing, PlanError> {
    let mut fastest = (f64::INFINITY, most);
    for batch in 1..=most {
        let bound = search.bound(batch);
        fastest = match bound / f64::from(batch) {
            of_sample if of_sample < fastest.0 => (of_sample, batch),
            _ => fastest,
        };
        if bound <= f64::from(batch) * interval {
            let (time, sharing) = search.best(batch)?;
            if time.as_nanos_f64() <= f64::from(batch) * interval {
                return Ok(sharing);
            }
        }
    }
    Ok(search.best(fastest.1)?.1)
}

/// Nanoseconds between samples: what the interfaces and links that lead away from the home take for each.
fn interval(problem: &Problem, fronts: &Fronts<'_>) -> Result<f64, PlanError> {
    let model = problem.model(MODEL);
    let graph = &model.graph;
    let Some(home) = model.home else {
        let reason = "has no `home`, from which its inputs arrive over a link";
        return Err(PlanError::Unsupported(format!("{} {reason}", graph.name())));
    };
    let inputs = graph.layer_ids().filter(|&layer| graph.is_input(layer));
    let size: Bytes =
        inputs.map(|layer| graph.bytes(layer, &Region { samples: 0..1, rows: 0..graph.shape(layer).rows })).sum();
    let mut first: Vec<LinkId> = Vec::new();
    for device in fronts.devices() {
        first.extend(route(&problem.platform, home, device)?.first().map(|&(link, _)| link));
    }
    first.sort_unstable();
    first.dedup();
    if first.is_empty() {
        return Err(PlanError::Unsupported(format!(
            "inputs of {} are where they are used, and do not arrive",
            graph.name()
        )));
    }
    let time = |link, size| -> Result<f64, PlanError> { Ok(problem.costs.transfer(link, size)?.time.as_nanos_f64()) };
    let each = |&link: &LinkId| -> Result<f64, PlanError> { Ok(time(link, size)? - time(link, Bytes(0))?) };
    let rates = first.iter().map(|link| Ok(1.0 / each(link)?)).sum::<Result<f64, PlanError>>()?;
    let nics =
        problem.platform.interference.nics.iter().filter(|nic| first.iter().all(|link| nic.links.contains(link)));
    let of_nic = nics.map(|nic| (size / nic.bandwidth).as_nanos_f64());
    Ok(of_nic.fold(1.0 / rates, f64::max))
}

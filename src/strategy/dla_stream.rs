//! Inputs that arrive over a network, in batches as small as keep up with it (Lee, Won and Park, KSC 2022).

use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use super::dla_split::{DlaSplit, Shares};
use super::fronts::{Fronts, MODEL, Search, Sharing};
use super::simulated::accepted;
use super::{PlanError, Strategy};
use crate::model::Region;
use crate::plan::{Builder, Plan};
use crate::platform::LinkId;
use crate::problem::Problem;
use crate::units::{Bytes, Duration};

/// Runs batches of `b` samples one after the other, each as [`DlaSplit`] shares it, while the next ones arrive.
///
/// `b` is the smallest batch with `T(b) <= b / arrival rate`, so that no queue grows: the smaller `b`, the shorter a
/// sample waits for others of its batch. Below the batch from which accelerators help, the GPU is alone. If no batch keeps
/// up, it is the one with the highest rate. Samples arrive as fast as what leads away from the model's `home` carries
/// their inputs.
///
/// Source: Lee, Won and Park, KSC 2022; its figure is in sjlee25/nvdla-parallelization-readme (a3e230b).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DlaStream {
    /// Samples of a batch; the smallest that keeps up if absent.
    pub batch: Option<NonZeroU32>,
    /// The most rounds of the GPU in a batch; any number if absent.
    pub gpu_rounds_max: Option<NonZeroU32>,
}

impl Strategy for DlaStream {
    fn name(&self) -> &'static str {
        "dla_stream"
    }

    fn plan(&self, problem: &Problem) -> Result<Plan, PlanError> {
        let all = problem.samples();
        let most = self.batch.map_or(all, |batch| batch.get().min(all));
        let fronts = Fronts::new(problem, most)?;
        let settings = DlaSplit { shares: Shares::Best, gpu_rounds_max: self.gpu_rounds_max };
        let search = Search::new(&settings, &fronts, most)?;
        let sharing = match self.batch {
            Some(_) => search.best(most)?.1,
            None => smallest_stable(&search, most, interval(problem, &fronts)?)?,
        };
        let plan = |rest: &dyn Fn(u32) -> Result<Sharing, PlanError>| {
            let batch = fronts.samples(&sharing);
            let mut builder = Builder::new(problem);
            for index in 0..all / batch {
                fronts.add(&mut builder, &sharing, index * batch)?;
            }
            if !all.is_multiple_of(batch) {
                fronts.add(&mut builder, &rest(all % batch)?, all - all % batch)?;
            }
            builder.bring_home()?;
            accepted(problem, builder.finish())
        };
        // What is left over may need more memory or loadables than there are; the GPU has all weights already.
        match plan(&|rest| Ok(search.best(rest)?.1)) {
            Err(PlanError::Infeasible(_)) => plan(&|rest| Ok(fronts.on_gpu(rest))),
            other => other,
        }
    }
}

/// How the smallest batch is shared that is done before the next has arrived, or else the one with the highest rate of
/// those that have the highest without contention.
fn smallest_stable(search: &Search<'_, '_>, most: u32, interval: f64) -> Result<Sharing, PlanError> {
    search.check_all(most)?;
    let mut rates: Vec<(f64, u32)> = Vec::new();
    for batch in 1..=most {
        let available = f64::from(batch) * interval;
        let bound = search.bound(batch);
        if bound <= available
            && let Ok((time, sharing)) = search.best(batch)
            && time.as_nanos_f64() <= available
        {
            return Ok(sharing);
        }
        rates.push((bound / f64::from(batch), batch));
    }
    rates.sort_by(|a, b| a.0.total_cmp(&b.0));
    let promising = rates.into_iter().take(PROMISING).map(|(_, batch)| Ok((batch, search.best(batch)?)));
    let of_sample = |(batch, (time, _)): &(u32, (Duration, Sharing))| time.as_nanos_f64() / f64::from(*batch);
    let (known, failed): (Vec<_>, Vec<_>) = promising.partition(Result::is_ok);
    let fastest = known.into_iter().flatten().min_by(|a, b| of_sample(a).total_cmp(&of_sample(b)));
    match (fastest, failed.into_iter().next()) {
        (Some((_, (_, sharing))), _) => Ok(sharing),
        (None, Some(Err(error))) => Err(error),
        (None, _) => Err(PlanError::Infeasible("there is no sample".into())),
    }
}

/// Batches that are simulated where none keeps up.
const PROMISING: usize = 8;

/// Nanoseconds between samples: what the links that lead away from the home take for each, or an interface that all of
/// them share.
fn interval(problem: &Problem, fronts: &Fronts<'_>) -> Result<f64, PlanError> {
    let model = problem.model(MODEL);
    let graph = &model.graph;
    let Some(home) = model.home else {
        let reason = "has no `home`, from which its inputs arrive over a link";
        return Err(PlanError::Unsupported(format!("{} {reason}", graph.name())));
    };
    let inputs = graph.layer_ids().filter(|&layer| graph.is_input(layer));
    let sizes = problem.sizes(MODEL, home);
    let size: Bytes =
        inputs.map(|layer| sizes.bytes(layer, &Region { samples: 0..1, rows: 0..graph.shape(layer).rows })).sum();
    let mut first: Vec<LinkId> = Vec::new();
    for device in fronts.devices() {
        let Some(&(link, _)) = problem.platform.route(home, device)?.first() else {
            let reason = "are where some of the units are, and do not arrive there";
            return Err(PlanError::Unsupported(format!("inputs of {} {reason}", graph.name())));
        };
        first.push(link);
    }
    first.sort_unstable();
    first.dedup();
    let time = |link, size| -> Result<f64, PlanError> { Ok(problem.costs.transfer(link, size)?.time.as_nanos_f64()) };
    let each = |&link: &LinkId| -> Result<f64, PlanError> { Ok(time(link, size)? - time(link, Bytes(0))?) };
    let rates = first.iter().map(|link| Ok(1.0 / each(link)?)).sum::<Result<f64, PlanError>>()?;
    let nics =
        problem.platform.interference.nics.iter().filter(|nic| first.iter().all(|link| nic.links.contains(link)));
    let of_nic = nics.map(|nic| (size / nic.bandwidth).as_nanos_f64());
    Ok(of_nic.fold(1.0 / rates, f64::max))
}

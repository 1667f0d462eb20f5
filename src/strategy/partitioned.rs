//! Each network has a part of one device for itself.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use super::batch_split::{BatchSplit, Division, planned, splits};
use super::single::fastest;
use super::{PlanError, Strategy};
use crate::model::ModelId;
use crate::plan::Plan;
use crate::platform::DeviceId;
use crate::problem::{Dispatch, Load, Problem};
use crate::units::{Duration, Share};

/// All networks at the same time on one device, each on compute units of its own, in steps of equal size or one apart.
///
/// Networks on units of their own still share memory bandwidth and caches: what they take from each other is a slowdown of the
/// device while the device itself is busy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Partitioned {
    /// The device; if absent, the one that is fastest with all networks in turn.
    pub device: Option<String>,
    /// Which units are whose.
    pub shares: Partition,
    /// Samples a step; if absent, as many as are fastest.
    pub batch: Option<NonZeroU32>,
}

/// How the units of a device are divided among networks.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Partition {
    /// As many for each; what is left of the division is not used.
    Equal,
    /// So that the last network is done first. Where queries of each arrive at a rate of their own, so that the network for which
    /// it is tightest has most to spare: by the part of the time that its units are busy with full batches at that rate, or, if
    /// it has a deadline and that is more, by the part of the deadline that two batches take of those that arrive in the course
    /// of one: a query waits for the batch under way; all as slow as if the others always ran beside. Units that change nothing
    /// of that go to whoever is last then. No other division is better, but for what networks take from each other and for copies
    /// of inputs and outputs.
    #[default]
    Best,
    /// These fractions of the device, by network.
    Given(BTreeMap<String, f64>),
}

impl Strategy for Partitioned {
    fn name(&self) -> &'static str {
        "partitioned"
    }

    fn plan(&self, problem: &Problem) -> Result<Plan, PlanError> {
        // Whoever asks about one network asks about the others too, and each must be told of the same division.
        let known = match &problem.part_of {
            Some(part) => {
                let (device, shares) = part.of_whole(|whole| self.divide(whole, &splits(whole)?))?;
                Some((device, vec![shares[part.model.0 as usize]]))
            }
            None => None,
        };
        planned(problem, |splits| {
            let (device, shares) = known.clone().map_or_else(|| self.divide(problem, splits), Ok)?;
            splits.iter().zip(shares).map(|(split, share)| self.division(split, device, share)).collect()
        })
    }
}

impl Partitioned {
    /// The device, and what each network has of it.
    fn divide(&self, problem: &Problem, splits: &[BatchSplit<'_>]) -> Result<(DeviceId, Vec<Share>), PlanError> {
        let device = match &self.device {
            Some(name) => splits[0].units[splits[0].unit_named(name)?].device,
            None => fastest(problem, splits, &|split: &BatchSplit<'_>, unit| split.waves(unit, split.samples()))?,
        };
        let units = problem.platform.device(device).units;
        let of_units = |count: u32| Share::of_units(count, units);
        let networks = splits.len() as u32;
        let few = || PlanError::Infeasible(format!("{networks} networks cannot have units of {units} each"));
        let shares = match &self.shares {
            Partition::Equal => vec![of_units(units / networks).ok_or_else(few)?; splits.len()],
            Partition::Given(of_networks) => given(problem, of_networks, units)?,
            Partition::Best => {
                let needs = (0..).zip(splits).map(|(model, split)| self.needs(problem, ModelId(model), split, device));
                let needs: Vec<Vec<f64>> = needs.collect::<Result<_, _>>()?;
                let counts = best(&needs, units).ok_or_else(few)?;
                counts.into_iter().filter_map(of_units).collect()
            }
        };
        Ok((device, shares))
    }

    /// By units that it has from 1 on, how much a network needs; infinite where that is not known, or too much.
    fn needs(
        &self,
        problem: &Problem,
        model: ModelId,
        split: &BatchSplit<'_>,
        device: DeviceId,
    ) -> Result<Vec<f64>, PlanError> {
        let unit = unit_of(split, device)?;
        let units = problem.platform.device(device).units;
        let demand = Demand::of(problem, model);
        let slowed = crowding(problem, device);
        let need = |share: Share| {
            let time = |samples: u32| Some(self.steps(split, unit, share, samples).ok()?.1.as_nanos_f64() * slowed);
            demand.need(time)
        };
        let shares = (1..=units).filter_map(|count| Share::of_units(count, units));
        Ok(shares.map(|share| need(share).unwrap_or(f64::INFINITY)).collect())
    }

    /// What a network computes on its share.
    fn division(&self, split: &BatchSplit<'_>, device: DeviceId, share: Share) -> Result<Division, PlanError> {
        let unit = unit_of(split, device)?;
        let mut sizes = vec![Vec::new(); split.units.len()];
        sizes[unit] = self.steps(split, unit, share, split.samples())?.0;
        Ok(Division { share, ..split.consecutive(&sizes) })
    }

    /// The sizes of steps in which `samples` are done first on a share of a unit, and when.
    fn steps(
        &self,
        split: &BatchSplit<'_>,
        unit: usize,
        share: Share,
        samples: u32,
    ) -> Result<(Vec<u32>, Duration), PlanError> {
        let largest = self.batch.map_or(u32::MAX, NonZeroU32::get).min(split.units[unit].capacity);
        let mut best: Option<(u32, Duration)> = None;
        let mut refusal = None;
        let mut count = samples.div_ceil(largest.max(1)).max(1);
        while count <= samples {
            if split.accepts(unit, samples, count) {
                match split.time_of_waves(unit, share, samples, count) {
                    Ok(time) if best.is_none_or(|(_, least)| time < least) => best = Some((count, time)),
                    Ok(_) => {}
                    Err(error) => refusal = Some(error),
                }
                if self.batch.is_some() && best.is_some() {
                    break; // more steps would be smaller than asked for
                }
            }
            // As many steps as the next smaller size takes.
            let size = samples.div_ceil(count);
            count = if size > 1 { samples.div_ceil(size - 1) } else { samples + 1 };
        }
        match (best, refusal) {
            (Some((count, time)), _) => Ok((split.waves_of(samples, count), time)),
            (None, Some(refusal)) => Err(refusal.into()),
            (None, None) => Err(PlanError::Infeasible("no samples are to be computed".into())),
        }
    }
}

fn unit_of(split: &BatchSplit<'_>, device: DeviceId) -> Result<usize, PlanError> {
    split.unit_of(device).ok_or_else(|| PlanError::Infeasible("the device cannot run all networks".into()))
}

/// How many times as long steps on a part of a device take while all other networks run there.
pub(super) fn crowding(problem: &Problem, device: DeviceId) -> f64 {
    let slowdowns = &problem.platform.interference.slowdowns;
    let own = slowdowns.iter().filter(|slowdown| slowdown.device == device && slowdown.busy == device);
    let excess: f64 = own.map(|slowdown| f64::from(slowdown.excess_ppm)).sum();
    if problem.contention { 1.0 + excess / 1e6 * (problem.models.len() - 1) as f64 } else { 1.0 }
}

/// What a network is to do.
#[derive(Clone, Copy)]
pub(super) enum Demand {
    /// These samples.
    Once { samples: u32 },
    /// What comes in the course of time.
    Stream {
        /// Samples per nanosecond.
        rate: f64,
        /// Samples of a query.
        each: u32,
        /// The most samples of a batch.
        batch_max: u32,
        /// How long a query may take.
        deadline: Option<Duration>,
    },
}

impl Demand {
    /// How much it is, of the time of as many samples: that time, or a part of all time or of the deadline; `None` if it is not
    /// known, or too much.
    pub(super) fn need(self, time: impl Fn(u32) -> Option<f64>) -> Option<f64> {
        let Demand::Stream { rate, each, batch_max, deadline } = self else { return time(self.most()) };
        let load = |batch: u32| Some(rate * time(batch)? / f64::from(batch));
        let busy = load(batch_max).filter(|load| *load < 1.0)?;
        let Some(deadline) = deadline else { return Some(busy) };
        // Larger batches take less for each sample, so that the least that keeps up lies between.
        let (mut less, mut enough) = (0, batch_max / each);
        while less + 1 < enough {
            let queries = less.midpoint(enough);
            let keeps_up = load(queries * each).is_some_and(|load| load <= 1.0);
            *(if keeps_up { &mut enough } else { &mut less }) = queries;
        }
        let batch = enough * each;
        Some(busy.max(2.0 * time(batch)? / deadline.as_nanos_f64()))
    }

    /// The most samples that are computed together.
    pub(super) fn most(self) -> u32 {
        match self {
            Demand::Once { samples } => samples,
            Demand::Stream { batch_max, .. } => batch_max,
        }
    }

    pub(super) fn of(problem: &Problem, model: ModelId) -> Demand {
        let tenant = match &problem.load {
            Load::PerModel(tenants) => tenants.iter().find(|tenant| tenant.model == model),
            _ => None,
        };
        let Some(Load::Server(server)) = tenant.map(|tenant| &tenant.load) else {
            return Demand::Once { samples: problem.samples_of(model) };
        };
        let each = server.samples.max(1);
        let batch_max = match problem.dispatch {
            Dispatch::Batch { batch_max, .. } => (batch_max / each).max(1) * each,
            Dispatch::PerQuery { .. } => each,
        };
        let rate = f64::from(server.together) * f64::from(each) / server.arrivals.gap_mean().as_nanos_f64();
        Demand::Stream { rate, each, batch_max, deadline: server.deadline }
    }
}

/// What the scenario gives each network.
fn given(problem: &Problem, of_networks: &BTreeMap<String, f64>, units: u32) -> Result<Vec<Share>, PlanError> {
    let names = || problem.models.iter().map(|model| model.graph.name());
    if let Some(unknown) = of_networks.keys().find(|name| names().all(|known| known != name.as_str())) {
        return Err(PlanError::Unsupported(format!("`shares` names `{unknown}`, and there is no such network")));
    }
    let share = |name: &str| {
        let missing = || PlanError::Unsupported(format!("`shares` says nothing of `{name}`"));
        let given = of_networks.get(name).copied().ok_or_else(missing)?;
        // Shares have four decimals.
        let count = (given * f64::from(units)).round();
        let is_whole = (count / f64::from(units) - given).abs() < 1e-4;
        let share = (is_whole && count >= 1.0).then(|| Share::of_units(count as u32, units)).flatten();
        share.ok_or_else(|| {
            PlanError::Unsupported(format!(
                "`shares` gives `{name}` {given}, which is no whole number of {units} units"
            ))
        })
    };
    let shares: Vec<Share> = names().map(share).collect::<Result<_, _>>()?;
    let all: f64 = of_networks.values().sum();
    match shares.iter().map(|share| u32::from(share.basis_points())).sum::<u32>() {
        0..=10_000 => Ok(shares),
        _ => Err(PlanError::Unsupported(format!("`shares` gives {all} of the device in all, more than there is"))),
    }
}

/// By network, the units with which the greatest of `needs`, which has them by network and units, is the least there is; `None`
/// if there are too few for all.
pub(super) fn best(needs: &[Vec<f64>], units: u32) -> Option<Vec<u32>> {
    let needed = |limit: f64| -> Option<Vec<u32>> {
        let of_network = |needs: &Vec<f64>| Some(needs.iter().position(|need| *need <= limit)? as u32 + 1);
        let counts: Vec<u32> = needs.iter().map(of_network).collect::<Option<_>>()?;
        (counts.iter().sum::<u32>() <= units).then_some(counts)
    };
    let mut limits: Vec<f64> = needs.iter().flatten().copied().collect();
    limits.sort_by(f64::total_cmp);
    limits.dedup();
    let first = limits.partition_point(|limit| needed(*limit).is_none());
    let mut counts = needed(*limits.get(first)?)?;
    let mut left = units - counts.iter().sum::<u32>();
    loop {
        // What is left helps who needs most, or most of those that it can help.
        let need = |network: usize, more: u32| needs[network][(counts[network] + more - 1) as usize];
        let helped = |network: usize| {
            let more = (1..=left).find(|more| need(network, *more) < need(network, 0))?;
            Some((need(network, 0), network, more))
        };
        let next = (0..needs.len()).filter_map(helped).max_by(|a, b| a.0.total_cmp(&b.0));
        let Some((_, network, more)) = next else { return Some(counts) };
        counts[network] += more;
        left -= more;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_division_has_a_lower_maximum() {
        let of = |scale: f64, floor: f64| (1..=10).map(|units| floor + scale / f64::from(units)).collect::<Vec<f64>>();
        let times = [of(10.0, 1.0), of(30.0, 0.0), of(5.0, 3.0)];
        let worst = |counts: &[u32]| {
            counts.iter().zip(&times).map(|(count, times)| times[*count as usize - 1]).fold(0.0, f64::max)
        };
        let all = (1..=8u32).flat_map(|a| (1..=9 - a).map(move |b| [a, b, 10 - a - b]));
        let least = all.map(|counts| worst(&counts)).fold(f64::INFINITY, f64::min);
        let found = best(&times, 10).unwrap();
        assert_eq!(worst(&found), least);
        assert_eq!(found.iter().sum::<u32>(), 10);
        assert_eq!(best(&times, 2), None);
    }

    #[test]
    fn units_that_make_nobody_faster_stay_unused() {
        assert_eq!(best(&[vec![4.0, 4.0, 4.0, 4.0], vec![8.0, 2.0, 2.0, 2.0]], 4), Some(vec![1, 2]));
        // Measured times may rise with the units.
        assert_eq!(best(&[vec![4.0, 5.0, 3.0, 9.0]], 4), Some(vec![3]));
        // Nothing is enough for one of them.
        assert_eq!(best(&[vec![f64::INFINITY, 2.0], vec![1.0, 1.0]], 2), Some(vec![1, 1]));
    }
}

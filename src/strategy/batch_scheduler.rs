//! Several networks on one device whose memory may be too small for all of them: what each has of it, and in which batches
//! each layer is computed (after Liu, NTUST 2023, and Qiu, Liu and Chen, BARM, TPDS 2022).

mod loops;
mod search;

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use self::loops::{Beginning, Means, Tenancy};
use self::search::{Laned, Simulations, assemble, forecast};
use super::partitioned::{Demand, best, crowding};
use super::simulated::accepted;
use super::{PlanError, Strategy};
use crate::model::ModelId;
use crate::plan::Plan;
use crate::plan::room::obstacle;
use crate::platform::DeviceId;
use crate::problem::{PartOf, Problem};
use crate::units::Share;

/// All networks on one device, each on compute units and with memory of its own or in turn with others, layer by layer in
/// batches.
///
/// Networks that run in turn have a lane together. Each way to put them on lanes is looked at: planned by forecast, simulated,
/// and, of those that are fastest, changed in one network or share after the other as long as that is faster in simulation.
///
/// - Memory: each lane has what its largest layer needs; the rest goes, step by step, to whom a byte of it saves most time.
/// - Units: so that the last lane is done first; where queries of each network arrive at a rate of their own, as
///   [`super::Partition::Best`] does, each network on a lane of its own.
/// - Order: a number of requests goes through all layers together: one batch (depth-first), all requests (breadth-first), or
///   what is fastest between. Each layer takes them in the batches that cost least for a request, in time and in what has to
///   come back to memory.
///
/// After Liu (NTUST 2023), whose thesis is not public: the rules are ours, and nothing is reproduced. Memory is not held for a
/// lane: what was used longest ago goes, whoever used it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct BatchScheduler {
    /// The device; if absent, the one on which all networks are done first.
    pub device: Option<String>,
    /// In which order layers of requests are computed.
    pub order: LoopOrder,
    /// Samples of all batches; if absent, each layer has its own.
    pub batch: Option<NonZeroU32>,
    /// Which networks run at the same time.
    pub lanes: Concurrency,
}

/// In which order layers of requests are computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LoopOrder {
    /// A batch goes through all layers before the next begins.
    DepthFirst,
    /// All requests go through a layer before any goes through the next.
    BreadthFirst,
    /// As many requests go through all layers together as is fastest.
    #[default]
    Mixed,
}

/// Which networks run at the same time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Concurrency {
    /// Those with which all are done first.
    #[default]
    Best,
    /// All of them.
    Apart,
    /// One after the other.
    InTurn,
}

/// Of more networks, not all ways to put them on lanes are looked at.
const NETWORKS_MAX: usize = 6;

/// Units are given in about so many groups.
const UNIT_GROUPS: u32 = 20;

impl Strategy for BatchScheduler {
    fn name(&self) -> &'static str {
        "batch_scheduler"
    }

    fn plan(&self, problem: &Problem) -> Result<Plan, PlanError> {
        if let Some(part) = &problem.part_of {
            return self.plan_part(problem, part);
        }
        let devices = self.devices(problem)?;
        // Forecasts of the orders between are rougher than those of the two ends.
        let orders = match self.order {
            LoopOrder::Mixed => &[LoopOrder::Mixed, LoopOrder::DepthFirst, LoopOrder::BreadthFirst][..],
            _ => std::slice::from_ref(&self.order),
        };
        let of_device = |&device: &DeviceId| orders.iter().map(move |&order| self.tenancies(problem, device, order));
        let all: Vec<Vec<Tenancy<'_>>> = devices.iter().flat_map(of_device).collect();
        let mut search = Simulations::new(problem);
        let mut ways = Vec::new();
        for way in self.ways(problem.models.len()) {
            let mut found: Vec<Vec<Laned>> = all.iter().filter_map(|of| divide(problem, of, &way)).collect();
            found.sort_by(|a, b| forecast(a).total_cmp(&forecast(b)));
            ways.extend(search.fastest_of(found));
        }
        search.improve(ways, &all);
        search.into_plan()
    }
}

impl BatchScheduler {
    /// Devices that can run all networks.
    fn devices(&self, problem: &Problem) -> Result<Vec<DeviceId>, PlanError> {
        let obstacle_of = |device: DeviceId| {
            (0..).map(ModelId).zip(&problem.models).find_map(|(model, network)| {
                let Some(whole) = network.graph.whole() else { return Some("a network computes nothing".to_owned()) };
                obstacle(problem, device, (model, &whole))
            })
        };
        if let Some(name) = &self.device {
            let is_named = |device: &DeviceId| problem.platform.device(*device).name == *name;
            let device = problem.platform.device_ids().find(is_named);
            let unknown = || PlanError::Unsupported(format!("there is no device `{name}`"));
            let device = device.ok_or_else(unknown)?;
            return obstacle_of(device).map_or(Ok(vec![device]), |obstacle| Err(PlanError::Infeasible(obstacle)));
        }
        Ok(problem.platform.device_ids().filter(|&device| obstacle_of(device).is_none()).collect())
    }

    fn tenancies<'a>(&self, problem: &'a Problem, device: DeviceId, order: LoopOrder) -> Vec<Tenancy<'a>> {
        let models = (0..problem.models.len() as u32).map(ModelId);
        models.map(|model| Tenancy::new(problem, device, model, (order, self.batch))).collect()
    }

    /// Ways to put networks on lanes: of each network, the lane.
    fn ways(&self, networks: usize) -> Vec<Vec<usize>> {
        let (apart, in_turn) = ((0..networks).collect::<Vec<_>>(), vec![0; networks]);
        match self.lanes {
            Concurrency::Apart => vec![apart],
            Concurrency::InTurn => vec![in_turn],
            Concurrency::Best if networks > NETWORKS_MAX => vec![apart, in_turn],
            Concurrency::Best => {
                let mut ways: Vec<Vec<usize>> = vec![Vec::new()];
                for _ in 0..networks {
                    let longer = |way: Vec<usize>| {
                        let lanes = way.iter().max().map_or(0, |last| last + 1);
                        (0..=lanes).map(move |lane| [way.clone(), vec![lane]].concat())
                    };
                    ways = ways.into_iter().flat_map(longer).collect();
                }
                ways
            }
        }
    }

    /// The plan of one network, which keeps what it has of the device beside all others.
    fn plan_part(&self, problem: &Problem, part: &PartOf) -> Result<Plan, PlanError> {
        let (device, all) = part.of_whole(|whole| self.divide_for_good(whole))?;
        let means = all[part.model.0 as usize];
        let tenancy = Tenancy::new(problem, device, ModelId(0), (self.order, self.batch));
        let found = tenancy.best(means, problem.samples(), Beginning::Warm);
        let few = || PlanError::Infeasible("what it has of the device is too little for so many samples".into());
        let lane = Laned { device, means, loops: vec![(ModelId(0), found.ok_or_else(few)?)] };
        assemble(problem, &[lane]).and_then(|plan| accepted(problem, plan))
    }

    /// A device, and what each network has of it for good.
    fn divide_for_good(&self, whole: &Problem) -> Result<(DeviceId, Vec<Means>), PlanError> {
        let networks = whole.models.len();
        let lanes: Vec<usize> =
            if self.lanes == Concurrency::InTurn { vec![0; networks] } else { (0..networks).collect() };
        for device in self.devices(whole)? {
            let tenancies = self.tenancies(whole, device, self.order);
            if let Some((shares, quotas)) = shares_and_quotas(whole, &tenancies, &lanes) {
                let of = |&lane: &usize| Means { share: shares[lane], quota: quotas[lane] };
                return Ok((device, lanes.iter().map(of).collect()));
            }
        }
        Err(PlanError::Infeasible("no device can run all networks at their rates".into()))
    }
}

/// So many units are given at once.
fn units_at_once(units: u32) -> u32 {
    (units / UNIT_GROUPS).max(1)
}

/// What lanes have of the device, and how their networks are computed; `None` if nothing is known or fits.
fn divide(problem: &Problem, tenancies: &[Tenancy<'_>], lanes: &[usize]) -> Option<Vec<Laned>> {
    let (shares, quotas) = shares_and_quotas(problem, tenancies, lanes)?;
    let device = tenancies[0].device();
    let laned = |(&share, &quota): (&Share, &u64)| Laned { device, means: Means { share, quota }, loops: Vec::new() };
    let mut turns: Vec<Laned> = shares.iter().zip(&quotas).map(laned).collect();
    for (tenancy, &lane) in tenancies.iter().zip(lanes) {
        let found = tenancy.best(turns[lane].means, problem.samples_of(tenancy.model), Beginning::Cold)?;
        turns[lane].loops.push((tenancy.model, found));
    }
    // Who is done soon keeps few waiting.
    turns.iter_mut().for_each(|turn| turn.loops.sort_by(|(_, a), (_, b)| a.nanos.total_cmp(&b.nanos)));
    Some(turns)
}

/// By lane, its share of the device and of the memory.
fn shares_and_quotas(problem: &Problem, tenancies: &[Tenancy<'_>], lanes: &[usize]) -> Option<(Vec<Share>, Vec<u64>)> {
    let count = lanes.iter().max()? + 1;
    let device = tenancies[0].device();
    let of_lane = |lane: usize| tenancies.iter().zip(lanes).filter(move |(_, of)| **of == lane).map(|(of, _)| of);
    let units = problem.platform.device(device).units;
    let alike = Share::of_units((units / count as u32).max(1), units)?;
    let slowed = if count > 1 { crowding(problem, device) } else { 1.0 };
    let need = |lane: usize, means: Means| {
        let of_tenant = |tenancy: &Tenancy<'_>| {
            let time = |samples: u32, start| Some(tenancy.best(means, samples, start)?.nanos * slowed);
            let demand = Demand::of(problem, tenancy.model);
            let start = if matches!(demand, Demand::Once { .. }) { Beginning::Cold } else { Beginning::Warm };
            demand.need(|samples| time(samples, start))
        };
        of_lane(lane).map(of_tenant).sum::<Option<f64>>().unwrap_or(f64::INFINITY)
    };
    let quotas = quotas(
        problem,
        device,
        count,
        |lane, quota| need(lane, Means { share: alike, quota }),
        |lane| {
            let levels = of_lane(lane).map(|tenancy| tenancy.quotas(Demand::of(problem, tenancy.model).most()));
            let mut levels: Vec<u64> = levels.flatten().collect();
            levels.sort_unstable();
            levels.dedup();
            levels
        },
    )?;
    if count == 1 {
        return Some((vec![Share::FULL], quotas));
    }
    let group = units_at_once(units);
    let needs = |lane: usize| {
        let shares = (1..=units / group).filter_map(|groups| Share::of_units(groups * group, units));
        shares.map(|share| need(lane, Means { share, quota: quotas[lane] })).collect::<Vec<f64>>()
    };
    let groups = best(&(0..count).map(needs).collect::<Vec<_>>(), units / group)?;
    let shares = groups.into_iter().map(|groups| Share::of_units(groups * group, units)).collect::<Option<_>>()?;
    Some((shares, quotas))
}

/// By lane, bytes of the device's memory: the least with which it can run, and then, of amounts that make it faster, those
/// whose bytes save most time. `None` if there is not as much.
fn quotas(
    problem: &Problem,
    device: DeviceId,
    lanes: usize,
    need: impl Fn(usize, u64) -> f64,
    levels: impl Fn(usize) -> Vec<u64>,
) -> Option<Vec<u64>> {
    let capacity = problem.platform.capacity(device).0;
    let levels: Vec<Vec<u64>> = (0..lanes).map(levels).collect();
    let mut known: BTreeMap<(usize, u64), f64> = BTreeMap::new();
    let mut need = |lane: usize, quota: u64| *known.entry((lane, quota)).or_insert_with(|| need(lane, quota));
    let mut quotas = Vec::new();
    for (lane, levels) in levels.iter().enumerate() {
        quotas.push(*levels.iter().find(|quota| **quota <= capacity && need(lane, **quota) < f64::INFINITY)?);
    }
    let mut left = capacity.checked_sub(quotas.iter().try_fold(0u64, |sum, quota| sum.checked_add(*quota))?)?;
    loop {
        let mut helped: Option<(f64, usize, u64)> = None;
        for (lane, levels) in levels.iter().enumerate() {
            let now = quotas[lane];
            for &quota in levels.iter().filter(|quota| (now + 1..=now.saturating_add(left)).contains(*quota)) {
                let saved = (need(lane, now) - need(lane, quota)) / (quota - now) as f64;
                if saved > 0.0 && helped.is_none_or(|(most, ..)| saved > most) {
                    helped = Some((saved, lane, quota));
                }
            }
        }
        let Some((_, lane, quota)) = helped else { break };
        left -= quota - quotas[lane];
        quotas[lane] = quota;
    }
    // What nobody is faster with is no less theirs.
    let spare = left / lanes as u64;
    quotas.iter_mut().for_each(|quota| *quota += spare);
    Some(quotas)
}

//! The best batch split there is, by dynamic programming.

use serde::{Deserialize, Serialize};

use super::batch_split::{BatchSplit, planned};
use super::{PlanError, Strategy};
use crate::engine::simulate;
use crate::plan::{CheckedPlan, Plan, check};
use crate::platform::DeviceId;
use crate::problem::Problem;
use crate::units::Duration;

/// The split whose slowest device is done earliest when nothing slows the devices down: of all networks together, which each
/// device runs one after the other.
///
/// Each device runs its samples of a network in one step. A device whose memory or limits do not allow that runs them in the
/// steps, of any number and size, that are fastest together. With `micro_batches`, any device may run any number of steps of
/// any size, which is the optimum over all plans that split the batch.
///
/// If a model has a home, each step counts with its copies one after the other, on links of its own. Plans send
/// inputs and outputs while other steps run, so that the result is then good but need not be the optimum. A device that keeps
/// few loadables runs steps of equal size, or one apart, where the best ones would need more of them. Of devices that share a
/// memory which does not hold all that they would take at once, those with the largest steps take smaller ones.
///
/// Time O(U S^2) and memory O(U S) for U devices and S = (B + 1)^M ways to take of B samples of M networks; with `robust`, 41
/// times as much.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Exact {
    /// Whether devices may run several steps though their memory would hold all samples.
    pub micro_batches: bool,
    /// What is least of the split, over profiles that this machine might have given, instead of its makespan by the one that
    /// it gave.
    pub robust: Option<Robust>,
}

/// What a split is chosen by whose costs are not known for sure.
///
/// The split that is best by a profile is often one whose times happen to have been found too short. So costs are drawn again
/// by how much repeats of each time differ ([`CostModel::resampled`](crate::cost::CostModel::resampled)), the best split of
/// each draw is found, and all of these are simulated with all costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Robust {
    /// The mean of its makespans.
    Mean,
    /// Their 95th percentile.
    P95,
}

/// Draws of costs.
const DRAWS: u64 = 40;

/// Ways to take samples of all networks that are solved, at most, since time grows with their square.
const WAYS_MAX: usize = 20_001;

impl Strategy for Exact {
    fn name(&self) -> &'static str {
        "exact"
    }

    fn plan(&self, problem: &Problem) -> Result<Plan, PlanError> {
        match self.robust {
            None => self.best(problem),
            Some(robust) => self.most_robust(problem, robust),
        }
    }
}

impl Exact {
    /// The plan that is best by the costs of `problem`.
    fn best(&self, problem: &Problem) -> Result<Plan, PlanError> {
        planned(problem, |splits| {
            let (tables, best) = self.solve(splits)?;
            let mut left = best.last().expect("there is a device").times.len() - 1;
            let mut sizes: Vec<Vec<Vec<u32>>> =
                splits.iter().map(|split| vec![Vec::new(); split.units.len()]).collect();
            for (device, of_networks) in tables.iter().enumerate().rev() {
                let own = best[device].shares[left] as usize;
                left -= own;
                for (network, table) in of_networks.iter().enumerate() {
                    if let Some(table) = table {
                        sizes[network][table.unit] = table.steps(self.of_network(splits, own, network));
                    }
                }
            }
            Ok(splits.iter().zip(sizes).map(|(split, sizes)| split.consecutive(&sizes)).collect())
        })
    }

    /// Of the plans that are best by any draw of costs, the one that is best over all draws; of equal ones the first.
    fn most_robust(&self, problem: &Problem, robust: Robust) -> Result<Plan, PlanError> {
        let worlds: Vec<Problem> = (0..DRAWS).filter_map(|draw| problem.resampled(draw)).collect();
        if worlds.is_empty() {
            let reason = "`robust` needs times with three raw repeats or more, and no trace has any";
            return Err(PlanError::Unsupported(reason.into()));
        }
        let mut candidates: Vec<CheckedPlan> = Vec::new();
        for world in std::iter::once(problem).chain(&worlds) {
            // What breaks a rule by the costs as they are does so by all.
            let Ok(plan) = check(self.best(world)?, problem) else { continue };
            if candidates.iter().all(|known| **known != *plan) {
                candidates.push(plan);
            }
        }
        let mut best: Option<(Duration, CheckedPlan)> = None;
        for plan in candidates {
            let time = |world| Ok(simulate(world, &plan)?.makespan());
            let mut times = worlds.iter().map(time).collect::<Result<Vec<Duration>, PlanError>>()?;
            times.sort_unstable();
            let score = match robust {
                Robust::Mean => times.iter().fold(Duration::ZERO, |sum, time| sum + *time),
                Robust::P95 => times[(times.len() * 19).div_ceil(20) - 1],
            };
            if best.as_ref().is_none_or(|(least, _)| score < *least) {
                best = Some((score, plan));
            }
        }
        match best {
            Some((_, plan)) => Ok(Plan::clone(&plan)),
            None => self.best(problem),
        }
    }

    /// The optimum of every batch of the first model, from 1 up to that of `problem`; `None` where costs are not known.
    pub fn optima(&self, problem: &Problem) -> Result<Vec<Option<Duration>>, PlanError> {
        let (_, best) = self.solve(&[BatchSplit::first(problem)?])?;
        let last = best.last().expect("there is a device");
        Ok(last.times[1..].iter().map(|&time| (time < Duration::MAX).then_some(time)).collect())
    }

    /// Of a way to take samples of all networks, those of one: a number with a digit for each network.
    fn of_network(&self, splits: &[BatchSplit<'_>], way: usize, network: usize) -> u32 {
        let base = splits[network].samples() as usize + 1;
        (way / base.pow(network as u32) % base) as u32
    }

    /// By device and network, what it takes; and by device, the best of it and those before.
    fn solve(&self, splits: &[BatchSplit<'_>]) -> Result<(Vec<OfNetworks>, Vec<Best>), PlanError> {
        let samples = splits[0].samples();
        let ways = (samples as usize + 1).checked_pow(splits.len() as u32).filter(|&ways| ways <= WAYS_MAX);
        let Some(ways) = ways else {
            let most = (WAYS_MAX as f64).powf(1.0 / splits.len() as f64) as u32 - 1;
            let networks = if splits.len() == 1 { String::new() } else { format!(" of {} networks", splits.len()) };
            let reason = format!("exact solves batches up to {most}{networks}, and this one has {samples}");
            return Err(PlanError::Unsupported(reason));
        };
        let mut devices: Vec<DeviceId> =
            splits.iter().flat_map(|split| split.units.iter().map(|unit| unit.device)).collect();
        devices.sort_unstable();
        devices.dedup();
        let table = |device: DeviceId, split: &BatchSplit<'_>| {
            let unit = split.unit_of(device)?;
            Some(UnitTable::new(split, unit, self.micro_batches))
        };
        let mut tables: Vec<OfNetworks> =
            devices.iter().map(|&device| splits.iter().map(|split| table(device, split)).collect()).collect();
        loop {
            let mut best: Vec<Best> = Vec::new();
            for of_networks in &tables {
                let times = self.times(splits, of_networks, ways);
                let next = match best.last() {
                    None => Best { shares: (0..ways as u32).collect(), times },
                    Some(before) => combine(splits, before, &times),
                };
                best.push(next);
            }
            if best.last().expect("there is a device").times[ways - 1] == Duration::MAX {
                // Some unit lacks calibration; the error of the first says what is missing.
                for split in splits {
                    for unit in 0..split.units.len() {
                        split.time(unit, samples.min(split.units[unit].capacity))?;
                    }
                }
                return Err(PlanError::Infeasible("the costs of too few batches are known".into()));
            }
            // Who was given steps of more sizes than it keeps loadables for is looked at again.
            let mut left = ways - 1;
            let mut is_done = true;
            for (device, of_networks) in tables.iter_mut().enumerate().rev() {
                let own = best[device].shares[left] as usize;
                left -= own;
                for (network, table) in of_networks.iter_mut().enumerate() {
                    if let Some(table) = table {
                        is_done &= !table.restrict(&splits[network], self.of_network(splits, own, network));
                    }
                }
            }
            if is_done {
                return Ok((tables, best));
            }
        }
    }

    /// What a device takes for each way to take samples of all networks.
    fn times(&self, splits: &[BatchSplit<'_>], of_networks: &[Option<UnitTable>], ways: usize) -> Vec<Duration> {
        let of_network = |way: usize, (network, table): (usize, &Option<UnitTable>)| match (
            table,
            self.of_network(splits, way, network),
        ) {
            (_, 0) => Duration::ZERO,
            (Some(table), own) => table.times[own as usize],
            (None, _) => Duration::MAX,
        };
        (0..ways).map(|way| of_networks.iter().enumerate().map(|table| of_network(way, table)).sum()).collect()
    }
}

/// By network, what a device takes for it; `None` where it takes no part.
type OfNetworks = Vec<Option<UnitTable>>;

/// What one unit takes for each number of samples of a network.
struct UnitTable {
    unit: usize,
    times: Vec<Duration>,
    /// Of those in one step where that is allowed, or of those in steps of any size, the size of the first step.
    first: Vec<u32>,
    /// The same where any number of steps is allowed, which is how what is left of several goes on.
    rest: Vec<u32>,
    /// Instead of these: in how many steps of equal size, or one apart, samples are run.
    counts: Option<Vec<u32>>,
    is_micro: bool,
}

/// What the devices so far take for each way to take samples, and the share of the last of them.
struct Best {
    times: Vec<Duration>,
    shares: Vec<u32>,
}

impl UnitTable {
    /// Times for 0 to all samples, in one step where the unit takes as many and `is_micro` is false, or else in any.
    fn new(split: &BatchSplit<'_>, unit: usize, is_micro: bool) -> UnitTable {
        let samples = split.samples() as usize;
        let capacity = split.units[unit].capacity.min(samples as u32) as usize;
        let one_step: Vec<Duration> =
            (0..=capacity as u32).map(|batch| split.time(unit, batch).unwrap_or(Duration::MAX)).collect();
        let is_needed = is_micro || capacity < samples;
        let (mut any, mut rest) = (vec![Duration::ZERO], vec![0]);
        for total in 1..=if is_needed { samples } else { 0 } {
            let mut best = (one_step.get(total).copied().unwrap_or(Duration::MAX), total);
            let several = (1..=capacity.min(total - 1)).map(|batch| (one_step[batch] + any[total - batch], batch));
            best = several.fold(best, |best, other| if other.0 < best.0 { other } else { best });
            any.push(best.0);
            rest.push(best.1 as u32);
        }
        let in_one = |total: usize| !is_micro && total <= capacity;
        let times = (0..=samples).map(|total| if in_one(total) { one_step[total] } else { any[total] }).collect();
        let first = (0..=samples).map(|total| if in_one(total) { total as u32 } else { rest[total] }).collect();
        UnitTable { unit, times, first, rest, counts: None, is_micro }
    }

    /// The sizes of the steps for `samples` samples.
    fn steps(&self, samples: u32) -> Vec<u32> {
        if let Some(counts) = &self.counts {
            return parts(samples, counts[samples as usize]);
        }
        let mut left = samples;
        let mut first = &self.first;
        std::iter::from_fn(|| {
            let size = if left == 0 { 0 } else { first[left as usize] };
            first = &self.rest;
            left -= size;
            (size > 0).then_some(size)
        })
        .collect()
    }

    /// Goes on with steps of equal size, or one apart, if those of `samples` need more loadables than the unit keeps; whether
    /// it did.
    fn restrict(&mut self, split: &BatchSplit<'_>, samples: u32) -> bool {
        let Some(most) = split.units[self.unit].sizes_max.filter(|_| self.counts.is_none()) else { return false };
        let mut sizes = self.steps(samples);
        sizes.sort_unstable();
        sizes.dedup();
        if sizes.len() <= most as usize {
            return false;
        }
        let capacity = split.units[self.unit].capacity;
        let one_step: Vec<Duration> = (0..=capacity.min(split.samples()))
            .map(|size| split.time(self.unit, size).unwrap_or(Duration::MAX))
            .collect();
        let best = |total: u32| {
            let least = total.div_ceil(capacity).max(1);
            let last = if self.is_micro || total > capacity { total.max(1) } else { least };
            let counts = (least..=last).filter(|&count| most > 1 || total.is_multiple_of(count));
            let time = |count: u32| {
                let (size, larger) = ((total / count) as usize, total % count);
                let rest = one_step[size] * (count - larger);
                if larger > 0 { one_step[size + 1] * larger + rest } else { rest }
            };
            counts.map(|count| (time(count), count)).min().unwrap_or((Duration::MAX, 1))
        };
        let (times, counts) = (0..=split.samples()).map(best).unzip();
        (self.times, self.counts) = (times, Some(counts));
        true
    }
}

/// `total` in `count` parts of equal size, or one apart.
fn parts(total: u32, count: u32) -> Vec<u32> {
    (0..count).map(|index| total / count + u32::from(index < total % count)).filter(|&size| size > 0).collect()
}

/// f_u(x) = min over k of max(f_{u-1}(x - k), t_u(k)), k no more of any network than x; the first such k.
fn combine(splits: &[BatchSplit<'_>], before: &Best, times: &[Duration]) -> Best {
    let base = splits[0].samples() as usize + 1;
    // The next larger share that takes no more of any network than `total` has.
    let next = |own: usize, total: usize| {
        let mut next = own;
        let mut place = 1;
        while place <= total {
            let digit = next / place % base;
            if digit < total / place % base {
                return Some(next + place);
            }
            next -= digit * place;
            place *= base;
        }
        None
    };
    let best_of = |total: usize| {
        let time_with = |own: usize| before.times[total - own].max(times[own]);
        let within = std::iter::successors(Some(0), |&own| next(own, total));
        within.map(|own| (time_with(own), own as u32)).min().expect("there is a share of zero")
    };
    let (times, shares) = (0..before.times.len()).map(best_of).unzip();
    Best { times, shares }
}

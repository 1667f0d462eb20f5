//! The best batch split there is, by dynamic programming.

use serde::{Deserialize, Serialize};

use super::batch_split::BatchSplit;
use super::in_turn::in_turn;
use super::{PlanError, Strategy};
use crate::model::ModelId;
use crate::plan::Plan;
use crate::problem::Problem;
use crate::units::Duration;

/// The split whose slowest device is done earliest when nothing slows the devices down.
///
/// Each device runs its samples in one step. A device whose memory does not hold them runs as many steps as it
/// takes for the rest to fit, of the sizes that are fastest together. With `micro_batches`, any device may run any
/// number of steps of any size, which is the optimum over all plans that split the batch.
///
/// If the model has a home, each step counts with its copies one after the other, on links of its own. Plans send
/// outputs back while the next step runs, so that the result is then good but need not be the optimum.
///
/// Time O(U B^2) and memory O(U B) for U devices and B samples.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Exact {
    /// Whether devices may run several steps though their memory would hold all samples.
    pub micro_batches: bool,
}

/// The largest batch that is solved, since time grows with its square.
const SAMPLES_MAX: u32 = 20_000;

impl Strategy for Exact {
    fn name(&self) -> &'static str {
        "exact"
    }

    fn plan(&self, problem: &Problem) -> Result<Plan, PlanError> {
        in_turn(problem, |split| {
            let tables = self.solve(split)?;
            let mut left = split.samples() as usize;
            let mut steps = Vec::new();
            for (unit, table) in tables.units.iter().enumerate().rev() {
                let own = tables.best[unit].shares[left];
                steps.push(table.steps(own));
                left -= own as usize;
            }
            steps.reverse();
            Ok(split.plan(&steps))
        })
    }
}

impl Exact {
    /// The optimum of every batch of the first model, from 1 up to that of `problem`; `None` where costs are not known.
    pub fn optima(&self, problem: &Problem) -> Result<Vec<Option<Duration>>, PlanError> {
        let split = BatchSplit::new(problem, ModelId(0))?;
        let tables = self.solve(&split)?;
        let last = tables.best.last().expect("a split has units");
        Ok(last.times[1..].iter().map(|&time| (time < Duration::MAX).then_some(time)).collect())
    }

    fn solve(&self, split: &BatchSplit<'_>) -> Result<Tables, PlanError> {
        let samples = split.samples();
        if samples > SAMPLES_MAX {
            let reason = format!("exact solves batches up to {SAMPLES_MAX}, and this one has {samples}");
            return Err(PlanError::Unsupported(reason));
        }
        let units: Vec<UnitTable> = (0..split.units.len()).map(|unit| self.table(split, unit, samples)).collect();
        let mut best: Vec<Best> = Vec::new();
        for table in &units {
            let next = match best.last() {
                None => Best { times: table.times.clone(), shares: (0..=samples).collect() },
                Some(before) => combine(before, table),
            };
            best.push(next);
        }
        if best.last().expect("a split has units").times[samples as usize] == Duration::MAX {
            // Some unit lacks calibration; the error of the first says what is missing.
            for unit in 0..split.units.len() {
                split.time(unit, samples.min(split.units[unit].capacity))?;
            }
            return Err(PlanError::Infeasible("the costs of too few batches are known".into()));
        }
        Ok(Tables { units, best })
    }

    /// Times of one unit for 0 to `samples` samples, in one step or more.
    fn table(&self, split: &BatchSplit<'_>, unit: usize, samples: u32) -> UnitTable {
        let capacity = split.units[unit].capacity.min(samples) as usize;
        let one_step: Vec<Duration> =
            (0..=capacity as u32).map(|batch| split.time(unit, batch).unwrap_or(Duration::MAX)).collect();
        let mut times = vec![Duration::ZERO];
        let mut first = vec![0];
        for total in 1..=samples as usize {
            let mut best = (one_step.get(total).copied().unwrap_or(Duration::MAX), total);
            if self.micro_batches || total > capacity {
                let several =
                    (1..=capacity.min(total - 1)).map(|batch| (one_step[batch] + times[total - batch], batch));
                best = several.fold(best, |best, other| if other.0 < best.0 { other } else { best });
            }
            times.push(best.0);
            first.push(best.1 as u32);
        }
        UnitTable { times, first }
    }
}

/// What one unit takes for each number of samples.
struct UnitTable {
    times: Vec<Duration>,
    /// The size of the first step; the rest follows as for what is left.
    first: Vec<u32>,
}

/// What the units so far take for each number of samples, and the share of the last of them.
struct Best {
    times: Vec<Duration>,
    shares: Vec<u32>,
}

struct Tables {
    units: Vec<UnitTable>,
    best: Vec<Best>,
}

impl UnitTable {
    /// The sizes of the steps for `samples` samples.
    fn steps(&self, samples: u32) -> Vec<u32> {
        let mut left = samples;
        std::iter::from_fn(|| {
            let size = self.first[left as usize];
            left -= size;
            (size > 0).then_some(size)
        })
        .collect()
    }
}

/// f_u(x) = min over k of max(f_{u-1}(x - k), t_u(k)); the smallest such k.
fn combine(before: &Best, table: &UnitTable) -> Best {
    let best_of = |total: usize| {
        let time_with = |own: usize| before.times[total - own].max(table.times[own]);
        (0..=total).map(|own| (time_with(own), own as u32)).min().expect("there is a share of zero")
    };
    let (times, shares) = (0..before.times.len()).map(best_of).unzip();
    Best { times, shares }
}

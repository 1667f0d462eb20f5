//! Greedy batch split (Lee, Choi and Park, KCC 2020).

use serde::{Deserialize, Serialize};

use super::batch_split::{BatchSplit, in_turn};
use super::{PlanError, Strategy};
use crate::cost::Uncalibrated;
use crate::plan::Plan;
use crate::problem::Problem;

/// Starts with everything on one device, the base, and moves samples away while that shortens the batch.
///
/// A move takes the base's samples, one at first and twice as many after each failure, to the device that would
/// be done earliest, provided that no other device would then take longer than `threshold` times what the base
/// takes with one sample less. After `tolerate_limit` failures the slowest device becomes the base.
///
/// Source: Lee, Choi and Park, "Performance-based batch distribution for efficient inference on heterogeneous
/// systems", KCC 2020, pages 1745 to 1747, and the authors' program (sjlee25/batch-partitioning, dce1f6e).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Greedy {
    /// Which revision of the authors' program.
    pub variant: Variant,
    /// How much longer than the base another device may take; 1 is the published value.
    pub threshold: f64,
    /// Failures before the base changes; the variant's own if absent.
    pub tolerate_limit: Option<u8>,
    /// Changes of the base before the search ends; the variant's own if absent.
    pub base_limit: Option<u8>,
    /// Whether to go on with exchanges between pairs of devices while they shorten the batch (not published).
    pub exchange: bool,
}

/// A revision of the authors' program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Variant {
    /// The one that made the published splits: limits 3 and 5; the next base is the device that takes longest
    /// with what it has.
    #[default]
    Published,
    /// The later one: limits 1 and 1; the next base is the device that would take longest with everything.
    Later,
}

impl Default for Greedy {
    fn default() -> Self {
        Greedy { variant: Variant::Published, threshold: 1.0, tolerate_limit: None, base_limit: None, exchange: false }
    }
}

/// A failure moves twice as much; beyond this many doublings no batch is left to move.
const DOUBLINGS_MAX: u8 = 31;

impl Strategy for Greedy {
    fn name(&self) -> &'static str {
        "greedy"
    }

    fn plan(&self, problem: &Problem) -> Result<Plan, PlanError> {
        if !(self.threshold.is_finite() && self.threshold > 0.0) {
            return Err(PlanError::Unsupported(format!("threshold must be above 0, not {}", self.threshold)));
        }
        in_turn(problem, |split| {
            let mut shares = self.search(split)?;
            if self.exchange {
                exchange(split, &mut shares)?;
            }
            Ok(split.in_waves(&shares))
        })
    }
}

impl Greedy {
    fn limits(&self) -> (u8, u8) {
        let (tolerate, base) = match self.variant {
            Variant::Published => (3, 5),
            Variant::Later => (1, 1),
        };
        (self.tolerate_limit.unwrap_or(tolerate), self.base_limit.unwrap_or(base))
    }

    fn search(&self, split: &BatchSplit<'_>) -> Result<Vec<u32>, Uncalibrated> {
        let (tolerate_limit, base_limit) = self.limits();
        let batch = split.samples();
        let units = 0..split.units.len();
        let time = |unit: usize, samples: u32| Ok(split.time_in_waves(unit, samples)?.as_nanos_f64());
        let times = |shares: &dyn Fn(usize) -> u32| -> Result<Vec<f64>, Uncalibrated> {
            units.clone().map(|unit| time(unit, shares(unit))).collect()
        };

        let mut base = first_min(&times(&|_| batch)?);
        let mut shares = vec![0; split.units.len()];
        shares[base] = batch;
        let (mut stuck, mut rebased) = (0, 0);
        while rebased < base_limit {
            if stuck > tolerate_limit.min(DOUBLINGS_MAX - 1) {
                base = match self.variant {
                    Variant::Published => first_max(&times(&|unit| shares[unit])?),
                    Variant::Later => first_max(&times(&|_| batch)?),
                };
                rebased += 1;
                stuck = 0;
            }
            // The base may be left with nothing when several samples move at once.
            if shares[base] == 0 {
                break;
            }
            let limit = time(base, shares[base] - 1)?;
            let quantum = 1u32 << stuck;
            let mut best: Option<(f64, usize)> = None;
            if quantum <= shares[base] {
                let most = limit * self.threshold;
                let now = times(&|unit| if unit == base { 0 } else { shares[unit] })?;
                let late = now.iter().filter(|&&time| time > most).count();
                for other in units.clone().filter(|&other| other != base) {
                    // No other device may be late, whatever happens to this one.
                    if late > usize::from(now[other] > most) {
                        continue;
                    }
                    let then = time(other, shares[other] + quantum)?;
                    let gain = limit - then;
                    // Among equal gains the last unit wins.
                    if then <= most && best.is_none_or(|(largest, _)| gain >= largest) {
                        best = Some((gain, other));
                    }
                }
            }
            match best {
                Some((_, other)) => {
                    shares[base] -= quantum;
                    shares[other] += quantum;
                    stuck = 0;
                }
                None => stuck += 1,
            }
            if shares[base] == 1 {
                break;
            }
        }
        Ok(shares)
    }
}

/// Each exchange shortens the batch; this many end the search all the same.
const EXCHANGES_MAX: u32 = 1000;

/// Moves samples from the slowest unit to another, whichever move helps most, while one helps.
fn exchange(split: &BatchSplit<'_>, shares: &mut [u32]) -> Result<(), Uncalibrated> {
    for _ in 0..EXCHANGES_MAX {
        let times = shares
            .iter()
            .enumerate()
            .map(|(unit, &share)| split.time_in_waves(unit, share))
            .collect::<Result<Vec<_>, _>>()?;
        let slowest = (0..times.len()).max_by_key(|&unit| times[unit]).expect("a split has units");
        let mut best = (times[slowest], slowest, 0);
        for other in (0..times.len()).filter(|&other| other != slowest) {
            let others =
                (0..times.len()).filter(|&unit| unit != slowest && unit != other).map(|unit| times[unit]).max();
            for moved in 1..=shares[slowest] {
                let (Ok(from), Ok(to)) = (
                    split.time_in_waves(slowest, shares[slowest] - moved),
                    split.time_in_waves(other, shares[other] + moved),
                ) else {
                    continue;
                };
                best = best.min((from.max(to).max(others.unwrap_or_default()), other, moved));
            }
        }
        let (time, other, moved) = best;
        if time >= times[slowest] {
            break;
        }
        shares[slowest] -= moved;
        shares[other] += moved;
    }
    Ok(())
}

fn first_min(times: &[f64]) -> usize {
    (0..times.len()).min_by(|&a, &b| times[a].total_cmp(&times[b])).expect("a split has units")
}

fn first_max(times: &[f64]) -> usize {
    (0..times.len()).min_by(|&a, &b| times[b].total_cmp(&times[a])).expect("a split has units")
}

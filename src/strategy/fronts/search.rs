//! Which sharing of the front is fastest: all that could be are simulated.

use std::num::NonZeroU32;

use super::{Cut, Fronts, Sharing, Waves};
use crate::problem::Problem;
use crate::strategy::PlanError;
use crate::strategy::dla_split::{DlaSplit, Shares};
use crate::strategy::simulated::simulated;
use crate::units::Duration;

/// Sharings that are looked at, at most: some seconds.
const SHARINGS_MAX: u64 = 20_000_000;

/// What is looked at.
pub(in crate::strategy) struct Search<'f, 'a> {
    settings: &'f DlaSplit,
    fronts: &'f Fronts<'a>,
    /// Accelerators of each class.
    counts: Vec<u32>,
    /// Ways to share the most samples.
    sharings: u64,
    /// By cut, then by class and, last, for the GPU: the shortest time of each number of samples in rounds.
    shortest: Vec<Vec<Vec<f64>>>,
    /// Of the whole network on the GPU, for each number of samples: in one step, and the shortest time in rounds.
    whole: Vec<f64>,
    alone: Vec<f64>,
}

impl<'f, 'a> Search<'f, 'a> {
    /// A search of sharings of up to `samples` samples.
    ///
    /// # Errors
    /// There are too many.
    pub(in crate::strategy) fn new(
        settings: &'f DlaSplit,
        fronts: &'f Fronts<'a>,
        samples: u32,
    ) -> Result<Self, PlanError> {
        let counts = fronts.counts();
        let of_class = counts.iter().map(|count| u64::from(samples / count) + 1);
        let sharings = of_class.fold(fronts.cuts.len() as u64, u64::saturating_mul);
        if sharings > SHARINGS_MAX {
            return Err(PlanError::Unsupported(format!(
                "there are {sharings} ways to share {samples} samples, and dla_split looks at {SHARINGS_MAX} at most; \
                 use fewer samples, or equal accelerators (`count`)"
            )));
        }
        let whole = fronts.whole_times(samples);
        let mut search = Search { settings, fronts, counts, sharings, shortest: Vec::new(), alone: Vec::new(), whole };
        search.alone = shortest(&search.whole, search.rounds_max(search.counts.len()));
        let of_cut = |cut: &Cut| -> Vec<Vec<f64>> {
            let times = cut.times.iter().enumerate();
            times.map(|(unit, times)| shortest(times, search.rounds_max(unit))).collect()
        };
        search.shortest = fronts.cuts.iter().map(of_cut).collect();
        Ok(search)
    }

    /// The most rounds of a class or, last, of the GPU.
    fn rounds_max(&self, unit: usize) -> u32 {
        let of_gpu = self.settings.gpu_rounds_max.filter(|_| unit == self.counts.len());
        of_gpu.map_or(u32::MAX, NonZeroU32::get)
    }

    /// The sharing of `samples` samples that is fastest in simulation.
    ///
    /// # Errors
    /// None is possible.
    pub(in crate::strategy) fn best(&self, samples: u32) -> Result<(Duration, Sharing), PlanError> {
        let problem = &self.fronts.at_hand(samples);
        // The most promising sharing first, so that few others are left.
        let mut best: Option<(Duration, Sharing)> = None;
        let mut first = (f64::INFINITY, None);
        self.each(samples, &mut |bound, cut, shares| {
            if bound < first.0 {
                first = (bound, Some((cut, shares.to_vec())));
            }
        });
        let (bound, Some(promising)) = first else {
            return Err(PlanError::Infeasible(
                "there are fewer samples than units, none fits into memory, or the times of all are unknown".into(),
            ));
        };
        self.simulate(samples, problem, &promising, &mut best)?;
        let mut others = Vec::new();
        let limit =
            |best: &Option<(Duration, Sharing)>| best.as_ref().map_or(f64::INFINITY, |(time, _)| time.as_nanos_f64());
        if limit(&best) > bound {
            let most = limit(&best);
            self.each(samples, &mut |bound, cut, shares| {
                if bound < most {
                    others.push((bound, (cut, shares.to_vec())));
                }
            });
        }
        others.sort_by(|a, b| a.0.total_cmp(&b.0));
        for (bound, other) in others {
            if bound >= limit(&best) {
                break;
            }
            self.simulate(samples, problem, &other, &mut best)?;
        }
        best.ok_or_else(|| PlanError::Infeasible("every sharing breaks a rule of its devices".into()))
    }

    /// Whether all ways to share each number of samples up to `samples` can be looked at.
    ///
    /// # Errors
    /// There are too many.
    pub(in crate::strategy) fn check_all(&self, samples: u32) -> Result<(), PlanError> {
        let sharings = self.sharings.saturating_mul(samples.into()) / 2;
        if sharings <= SHARINGS_MAX * 20 {
            return Ok(());
        }
        Err(PlanError::Unsupported(format!(
            "there are {sharings} ways to share all batches up to {samples} samples, too many to look at; state the `batch`"
        )))
    }

    /// A bound of how fast any sharing of `samples` samples can be, in nanoseconds.
    pub(in crate::strategy) fn bound(&self, samples: u32) -> f64 {
        let mut least = f64::INFINITY;
        self.each(samples, &mut |bound, _, _| least = least.min(bound));
        least
    }

    /// Tells of each sharing its time if nothing disturbs it, in nanoseconds and at least: cut and samples by class.
    fn each(&self, samples: u32, tell: &mut impl FnMut(f64, Option<usize>, &[u32])) {
        let classes = self.counts.len();
        if self.settings.shares == Shares::Best
            && let Some(time) = self.alone.get(samples as usize).filter(|time| time.is_finite())
        {
            tell(*time, None, &vec![0; classes]);
        }
        let units = self.counts.iter().sum::<u32>();
        for (index, cut) in self.fronts.cuts.iter().enumerate() {
            let tables = &self.shortest[index];
            let time = |shares: &[u32], left: u32| {
                let of_class = shares.iter().enumerate().map(|(class, &own)| tables[class][own as usize]);
                let fronts = of_class.fold(tables[classes][left as usize], f64::max);
                (fronts < f64::INFINITY).then(|| fronts + cut.after(shares, samples))
            };
            let given = match self.settings.shares {
                Shares::Best | Shares::All => None,
                Shares::Even => Some(samples / (units + 1)),
                Shares::Dla => Some(samples / units),
            };
            if let Some(own) = given {
                if own == 0 {
                    continue; // fewer samples than units
                }
                let shares = vec![own; classes];
                if let Some(time) = time(&shares, samples - own * units) {
                    tell(time, Some(index), &shares);
                }
                continue;
            }
            let least = u32::from(self.settings.shares == Shares::All);
            let mut shares = vec![least; classes];
            loop {
                let taken: u64 =
                    shares.iter().zip(&self.counts).map(|(&own, &count)| u64::from(own) * u64::from(count)).sum();
                let left = u64::from(samples).checked_sub(taken).filter(|&left| left >= u64::from(least));
                let fits = left.is_some();
                if let Some(left) = left
                    && taken > 0
                    && let Some(time) = time(&shares, left as u32)
                {
                    tell(time, Some(index), &shares);
                }
                if !advance(&mut shares, least, fits) {
                    break;
                }
            }
        }
    }

    /// Simulates a sharing in all rounds that could be faster than the best, and keeps that.
    fn simulate(
        &self,
        samples: u32,
        problem: &Problem,
        (cut, shares): &(Option<usize>, Vec<u32>),
        best: &mut Option<(Duration, Sharing)>,
    ) -> Result<(), PlanError> {
        let taken: u32 = shares.iter().zip(&self.counts).map(|(own, count)| own * count).sum();
        let own: Vec<u32> = shares.iter().copied().chain([samples - taken]).collect();
        let after = cut.map_or(0.0, |cut| self.fronts.cuts[cut].after(shares, samples));
        let ways = |(unit, &own): (usize, &u32)| -> Vec<(f64, Waves)> {
            let times = cut.map_or(&self.whole, |cut| &self.fronts.cuts[cut].times[unit]);
            let mut ways = rounds(times, own, self.rounds_max(unit));
            ways.sort_by(|a, b| a.0.total_cmp(&b.0));
            ways
        };
        let ways: Vec<Vec<(f64, Waves)>> = own.iter().enumerate().map(ways).collect();
        let mut chosen = vec![0; ways.len()];
        loop {
            let now = || ways.iter().zip(&chosen).map(|(ways, &index)| ways[index]);
            let most = best.as_ref().map_or(f64::INFINITY, |(time, _)| time.as_nanos_f64());
            let bound = now().map(|(time, _)| time).fold(0.0, f64::max) + after;
            let is_open = bound < most;
            if is_open {
                let sharing = Sharing { cut: *cut, rounds: now().map(|(_, rounds)| rounds).collect() };
                let time = simulated(problem, &self.fronts.plan(problem, &sharing)?)?;
                if let Some(time) = time.filter(|&time| best.as_ref().is_none_or(|(least, _)| time < *least)) {
                    *best = Some((time, sharing));
                }
            }
            // Ways of a unit get slower, so that none behind a hopeless one has hope.
            let mut unit = 0;
            loop {
                if unit == ways.len() {
                    return Ok(());
                }
                let is_next = chosen[unit] + 1 < ways[unit].len() && (unit > 0 || is_open);
                if is_next {
                    chosen[unit] += 1;
                    break;
                }
                chosen[unit] = 0;
                unit += 1;
            }
        }
    }
}

/// The next shares of classes, the first counting fastest; false after all of them. Where the shares so far do not fit,
/// no larger ones of the classes that count up to now do.
fn advance(shares: &mut [u32], least: u32, fits: bool) -> bool {
    let next = if fits { Some(0) } else { shares.iter().position(|&own| own > least).map(|first| first + 1) };
    let Some(share) = next.and_then(|next| shares.get_mut(next)) else { return false };
    *share += 1;
    let next = next.unwrap_or(0);
    shares[..next].fill(least);
    true
}

/// All ways to run `samples` samples in up to `rounds_max` steps of equal size, with their nanoseconds.
fn rounds(times: &[f64], samples: u32, rounds_max: u32) -> Vec<(f64, Waves)> {
    if samples == 0 {
        return vec![(0.0, Waves::default())];
    }
    let counts = (1..=samples.min(rounds_max)).filter(|count| samples.is_multiple_of(*count));
    let ways = counts
        .map(|count| (times[(samples / count) as usize] * f64::from(count), Waves { batch: samples / count, count }));
    ways.filter(|(time, _)| time.is_finite()).collect()
}

/// The shortest time of each number of samples in up to `rounds_max` steps of equal size.
fn shortest(times: &[f64], rounds_max: u32) -> Vec<f64> {
    let mut shortest = times.to_vec();
    for (batch, &time) in times.iter().enumerate().skip(1).filter(|(_, time)| time.is_finite()) {
        for count in (2..=times.len() / batch).take_while(|&count| count <= rounds_max as usize) {
            if let Some(best) = shortest.get_mut(batch * count) {
                *best = best.min(time * count as f64);
            }
        }
    }
    shortest
}

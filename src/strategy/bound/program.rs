//! Prices of work: the dual of the linear programme that divides all work over all devices.

use std::collections::BTreeMap;

use good_lp::{Expression, Solution, SolverModel, Variable, constraint, microlp, variable, variables};

/// Devices of one kind, which sell their time.
#[derive(Clone, Debug)]
pub(super) struct Seller {
    /// Nanoseconds of a run in which each has none to sell.
    pub(super) away: f64,
    /// How many of them there are.
    pub(super) count: f64,
}

/// What a seller can do, a sample of it.
#[derive(Clone, Debug)]
pub(super) struct Offer {
    pub(super) seller: usize,
    /// Which work it is.
    pub(super) work: Vec<usize>,
    /// Nanoseconds.
    pub(super) nanos: f64,
}

/// Work that is to be bought.
#[derive(Clone, Debug, Default)]
pub(super) struct LinearProgram {
    pub(super) sellers: Vec<Seller>,
    /// Samples of each work.
    pub(super) amounts: Vec<f64>,
    pub(super) offers: Vec<Offer>,
}

/// More offers than this are not given to the solver, whose work grows faster than they do: prices that are guessed then
/// have to do.
const OFFERS_MAX: usize = 3000;

/// Programmes that are solved at most, each without sellers that are away for too long to be of use.
const ROUNDS_MAX: usize = 8;

impl LinearProgram {
    /// The time before which no makespan can be, by the best prices that were found; `None` if work costs nothing.
    pub(super) fn bound(mut self) -> Option<f64> {
        self.drop_what_is_free();
        let fastest = self.fastest();
        // With one work, these prices are the best.
        let mut best = self.time(&fastest);
        let (merged, parts) = self.merged(&fastest);
        if merged.amounts.len() < 2 || merged.offers.len() > OFFERS_MAX {
            return best;
        }
        let fastest_merged = merged.fastest();
        let mut is_used = vec![true; self.sellers.len()];
        for _ in 0..ROUNDS_MAX {
            let Some(solved) = merged.solved(&fastest_merged, &is_used) else { break };
            let prices: Vec<f64> = parts.iter().map(|&(work, part)| solved[work] * part).collect();
            // Prices are about nothing if a seller that is far would have to wait for its own time.
            let time = self.time(&self.raised(prices));
            let farthest =
                (0..self.sellers.len()).filter(|&seller| is_used[seller]).map(|seller| self.sellers[seller].away);
            let limit = time.unwrap_or_else(|| farthest.fold(0.0, f64::max));
            if let Some(time) = time {
                // What is gained by rounding is no gain over prices that are known exactly.
                best = best.map(|best| if time > best * (1.0 + 1e-9) { time } else { best }).or(Some(time));
            }
            let is_late = |seller: &usize| is_used[*seller] && self.sellers[*seller].away >= limit && limit > 0.0;
            let late: Vec<usize> = (0..self.sellers.len()).filter(is_late).collect();
            if late.is_empty() {
                break;
            }
            late.into_iter().for_each(|seller| is_used[seller] = false);
        }
        best
    }

    /// Leaves out work that somebody does in no time, which has no price.
    fn drop_what_is_free(&mut self) {
        let mut is_free = vec![false; self.amounts.len()];
        for offer in self.offers.iter().filter(|offer| offer.nanos <= 0.0) {
            offer.work.iter().for_each(|&work| is_free[work] = true);
        }
        for offer in &mut self.offers {
            offer.work.retain(|&work| !is_free[work]);
        }
        self.offers.retain(|offer| !offer.work.is_empty());
        self.amounts.iter_mut().zip(is_free).filter(|(_, is_free)| *is_free).for_each(|(amount, _)| *amount = 0.0);
    }

    /// By work, what it takes at least by itself, or as an even part of a piece if nobody does it by itself.
    fn fastest(&self) -> Vec<f64> {
        let least = |offers: &mut dyn Iterator<Item = &Offer>| {
            let mut least = vec![f64::INFINITY; self.amounts.len()];
            for offer in offers {
                let each = offer.nanos / offer.work.len() as f64;
                offer.work.iter().for_each(|&work| least[work] = least[work].min(each));
            }
            least
        };
        let alone = least(&mut self.offers.iter().filter(|offer| offer.work.len() == 1));
        let any = least(&mut self.offers.iter());
        let or_any = alone.into_iter().zip(any).map(|(alone, any)| if alone.is_finite() { alone } else { any });
        or_any.map(|time| if time.is_finite() { time } else { 0.0 }).collect()
    }

    /// By seller, the least price of a nanosecond at which nothing is sold below its price.
    fn sellers_prices(&self, prices: &[f64]) -> Vec<f64> {
        let mut sellers = vec![0.0f64; self.sellers.len()];
        for offer in &self.offers {
            let worth: f64 = offer.work.iter().map(|&work| prices[work]).sum();
            sellers[offer.seller] = sellers[offer.seller].max(worth / offer.nanos);
        }
        sellers
    }

    /// The prices with those raised of work that is sold by itself only, as far as sellers need not raise theirs.
    fn raised(&self, prices: Vec<f64>) -> Vec<f64> {
        let sellers = self.sellers_prices(&prices);
        let mut raised = vec![f64::INFINITY; prices.len()];
        for offer in &self.offers {
            let cost = sellers[offer.seller] * offer.nanos;
            for &work in &offer.work {
                raised[work] = if offer.work.len() == 1 { raised[work].min(cost) } else { 0.0 };
            }
        }
        let higher = raised
            .into_iter()
            .zip(prices)
            .map(|(raised, price)| if raised.is_finite() { raised.max(price) } else { price });
        higher.collect()
    }

    /// When the time that sellers have is worth the work, at these prices of work; `None` if that is worth nothing.
    fn time(&self, prices: &[f64]) -> Option<f64> {
        let worth: f64 = prices.iter().zip(&self.amounts).map(|(price, amount)| price * amount).sum();
        let sellers = self.sellers.iter().zip(self.sellers_prices(prices));
        earliest(sellers.map(|(seller, price)| (seller.away, price * seller.count)).collect(), worth)
    }

    /// The programme with works as one whose prices are in proportion whatever they are, since all sellers take times for
    /// them that are; by work, which one it is then, and how many of it.
    fn merged(&self, fastest: &[f64]) -> (LinearProgram, Vec<(usize, f64)>) {
        let mut sold: Vec<Vec<(usize, usize, u64)>> = vec![Vec::new(); self.amounts.len()];
        for offer in &self.offers {
            // As exact as prices have to be, which need not be right.
            let relative = |work: usize| (offer.nanos / fastest[work]).to_bits() >> 20;
            match offer.work[..] {
                [work] => sold[work].push((offer.seller, 0, relative(work))),
                // In a piece with others it is told apart.
                _ => offer.work.iter().for_each(|&work| sold[work].push((offer.seller, work + 1, 0))),
            }
        }
        let mut merged = LinearProgram { sellers: self.sellers.clone(), ..LinearProgram::default() };
        let mut known: BTreeMap<&[(usize, usize, u64)], usize> = BTreeMap::new();
        let mut firsts = Vec::new();
        let parts: Vec<(usize, f64)> = (0..self.amounts.len())
            .map(|work| {
                let index = *known.entry(&sold[work]).or_insert_with(|| {
                    merged.amounts.push(0.0);
                    firsts.push(work);
                    merged.amounts.len() - 1
                });
                let part = if fastest[work] > 0.0 { fastest[work] / fastest[firsts[index]] } else { 1.0 };
                merged.amounts[index] += self.amounts[work] * part;
                (index, part)
            })
            .collect();
        let is_first = |offer: &&Offer| offer.work.len() > 1 || firsts[parts[offer.work[0]].0] == offer.work[0];
        let renamed =
            |offer: &Offer| Offer { work: offer.work.iter().map(|&work| parts[work].0).collect(), ..offer.clone() };
        merged.offers = self.offers.iter().filter(is_first).map(renamed).collect();
        (merged, parts)
    }

    /// The prices of work at which all of it is worth the most, if used sellers get one for a nanosecond of all of them.
    /// `None` if the solver fails.
    fn solved(&self, fastest: &[f64], is_used: &[bool]) -> Option<Vec<f64>> {
        let mut variables = variables!();
        // In parts of the fastest times, so that all numbers are about as large.
        let sellers: Vec<Variable> = self.sellers.iter().map(|_| variables.add(variable().min(0.0))).collect();
        let prices: Vec<Variable> = self.amounts.iter().map(|_| variables.add(variable().min(0.0))).collect();
        let all: f64 = self.amounts.iter().zip(fastest).map(|(amount, fastest)| amount * fastest).sum();
        let used =
            || sellers.iter().zip(&self.sellers).zip(is_used).filter(|(_, is_used)| **is_used).map(|(pair, _)| pair);
        let mut worth = Expression::with_capacity(prices.len() + sellers.len());
        prices
            .iter()
            .zip(&self.amounts)
            .zip(fastest)
            .for_each(|((&price, amount), fastest)| worth.add_mul(amount * fastest / all, price));
        used().for_each(|(&price, seller)| worth.add_mul(seller.count * seller.away / all, price));
        let mut time = Expression::with_capacity(sellers.len());
        used().for_each(|(&price, seller)| time.add_mul(seller.count, price));
        let mut problem = variables.maximise(worth).using(microlp).with(constraint!(time == 1.0));
        for offer in self.offers.iter().filter(|offer| is_used[offer.seller]) {
            let mut sold = Expression::with_capacity(offer.work.len());
            offer.work.iter().for_each(|&work| sold.add_mul(fastest[work] / offer.nanos, prices[work]));
            problem = problem.with(constraint!(sold <= sellers[offer.seller]));
        }
        let solution = problem.solve().ok()?;
        let price = |(&price, fastest): (&Variable, &f64)| solution.value(price).max(0.0) * fastest;
        let prices: Vec<f64> = prices.iter().zip(fastest).map(price).collect();
        prices.iter().all(|price| price.is_finite()).then_some(prices)
    }
}

/// When sellers that are away for some time and then earn at some rate have earned `worth`; `None` if never, or at once.
fn earliest(mut sellers: Vec<(f64, f64)>, worth: f64) -> Option<f64> {
    sellers.retain(|&(_, rate)| rate > 0.0);
    sellers.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut rate, mut lost) = (0.0, 0.0);
    let mut time = f64::INFINITY;
    for (away, own) in sellers {
        if away >= time {
            break; // all is done before it could help
        }
        rate += own;
        lost += own * away;
        time = (worth + lost) / rate;
    }
    (rate.is_finite() && time.is_finite() && worth > 0.0).then_some(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sellers as (away, count), samples of each work, and offers as (seller, work, nanoseconds).
    fn check(sellers: &[(f64, f64)], amounts: &[f64], offers: &[(usize, &[usize], f64)], expected: Option<f64>) {
        let offer = |&(seller, work, nanos): &(usize, &[usize], f64)| Offer { seller, work: work.to_vec(), nanos };
        let program = LinearProgram {
            sellers: sellers.iter().map(|&(away, count)| Seller { away, count }).collect(),
            amounts: amounts.to_vec(),
            offers: offers.iter().map(offer).collect(),
        };
        match (program.bound(), expected) {
            (Some(found), Some(expected)) => assert!((found / expected - 1.0).abs() < 1e-6, "{found}, not {expected}"),
            (found, expected) => assert_eq!(found, expected),
        }
    }

    const HERE: (f64, f64) = (0.0, 1.0);

    #[test]
    fn devices_that_do_the_same_add_up_their_rates() {
        check(&[HERE, HERE], &[10.0], &[(0, &[0], 2.0), (1, &[0], 3.0)], Some(12.0));
        check(&[(0.0, 20.0)], &[10.0], &[(0, &[0], 2.0)], Some(1.0));
    }

    #[test]
    fn work_goes_where_it_is_done_best_in_comparison() {
        // The first does all of its work and the other a third of it: 3 - 2/3 = 1 + 2 * 2/3.
        let offers: [(usize, &[usize], f64); 4] = [(0, &[0], 1.0), (0, &[1], 2.0), (1, &[0], 2.0), (1, &[1], 1.0)];
        check(&[HERE, HERE], &[3.0, 1.0], &offers, Some(7.0 / 3.0));
        let and_one_that_is_far = [&offers[..], &[(2, &[0], 0.1), (2, &[1], 0.1)]].concat();
        check(&[HERE, HERE, (100.0, 1.0)], &[3.0, 1.0], &and_one_that_is_far, Some(7.0 / 3.0));
    }

    #[test]
    fn a_piece_of_several_works_costs_less_than_they_do() {
        check(&[HERE], &[1.0, 1.0], &[(0, &[0], 2.0), (0, &[1], 2.0), (0, &[0, 1], 3.0)], Some(3.0));
        let overlapping: [(usize, &[usize], f64); 3] = [(0, &[0, 1], 3.0), (0, &[1, 2], 2.0), (0, &[0, 2], 3.0)];
        check(&[HERE], &[1.0, 1.0, 1.0], &overlapping, Some(4.0));
    }

    #[test]
    fn a_device_helps_from_when_data_can_reach_it() {
        let offers: [(usize, &[usize], f64); 2] = [(0, &[0], 4.0), (1, &[0], 1.0)];
        check(&[HERE, (10.0, 1.0)], &[10.0], &offers, Some(16.0));
        check(&[HERE, (100.0, 1.0)], &[10.0], &offers, Some(40.0));
    }

    #[test]
    fn work_that_takes_no_time_bounds_nothing() {
        check(&[HERE], &[1.0, 1.0], &[(0, &[0], 2.0), (0, &[1], 0.0)], Some(2.0));
        check(&[HERE], &[1.0], &[(0, &[0], 0.0)], None);
    }

    #[test]
    fn guessed_prices_do_where_the_programme_is_large() {
        let works: Vec<[usize; 1]> = (0..OFFERS_MAX).map(|work| [work]).collect();
        let of_seller = |seller: usize| {
            works.iter().map(move |work| (seller, &work[..], 1.0 + (work[0] % [97, 89][seller]) as f64))
        };
        let offers: Vec<(usize, &[usize], f64)> = of_seller(0).chain(of_seller(1)).collect();
        let program = LinearProgram {
            sellers: vec![Seller { away: 0.0, count: 1.0 }; 2],
            amounts: vec![1.0; OFFERS_MAX],
            offers: offers.iter().map(|&(seller, work, nanos)| Offer { seller, work: work.to_vec(), nanos }).collect(),
        };
        // Each work on the faster of the two would be done in the mean of these sums, at the least.
        let fastest: f64 = (0..OFFERS_MAX).map(|work| offers[work].2.min(offers[OFFERS_MAX + work].2)).sum();
        let bound = program.bound().unwrap();
        assert!(bound > 0.0 && bound <= fastest, "{bound} {fastest}");
    }
}

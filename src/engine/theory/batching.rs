//! Dynamic batching: a device takes what waits as one batch, as soon as it is free (Inoue, Queueing analysis of GPU-based
//! inference servers with dynamic batching: a closed-form characterization, Performance Evaluation 147, 2021).
//!
//! Queries arrive at random with `arrival_rate`, and a batch of b takes `per_sample * b + fixed`. What follows looks at
//! the chain of batches: the number that waits when one ends depends on the size of that one alone.

/// Mean time from arrival to the end of the batch, if a batch is all that waits. Exact.
///
/// The next batch is the number L of arrivals during the present one, or one query that is waited for if L is 0. L is
/// Poisson with mean `m = arrival_rate * (per_sample * b + fixed)`, so that the stationary batch B has, with p the
/// probability of L = 0, `E[B] = E[m] + p` and `E[B^2] = E[m^2 + m] + p`. Its generating function obeys
/// `G(z) = exp(arrival_rate * fixed * (z - 1)) * G(exp(arrival_rate * per_sample * (z - 1))) - p * (1 - z)`; applied to
/// itself from z = 0, where G is 0, it gives p. The mean number in the system over a cycle of a batch and the wait for
/// the next gives the mean latency (Little, 1961).
pub fn dynamic_batching(arrival_rate: f64, per_sample: f64, fixed: f64) -> f64 {
    let load = arrival_rate * per_sample;
    if load >= 1.0 {
        return f64::INFINITY;
    }
    let during_fixed = arrival_rate * fixed;
    let idle = probability_of_idling(load, during_fixed);
    // Means of m and m^2 from m = load * B + during_fixed.
    let mean = (idle + during_fixed) / (1.0 - load);
    let arrivals_mean = load * mean + during_fixed;
    let square = {
        let known = arrivals_mean + idle + 2.0 * load * during_fixed * mean + during_fixed * during_fixed;
        known / (1.0 - load * load)
    };
    let service_mean = per_sample * mean + fixed;
    let service_square = per_sample * per_sample * square + 2.0 * per_sample * fixed * mean + fixed * fixed;
    let number = per_sample * square + fixed * mean + arrival_rate * service_square / 2.0;
    number / (arrival_rate * service_mean + idle)
}

/// The probability that nothing waits when a batch ends.
fn probability_of_idling(load: f64, during_fixed: f64) -> f64 {
    // `below` is 1 - z, so that nothing is lost near z = 1.
    let (mut product, mut sum, mut below) = (1.0f64, 0.0, 1.0f64);
    while below > 1e-18 {
        sum += product * below;
        product *= (-during_fixed * below).exp();
        below = -(-load * below).exp_m1();
    }
    product / sum
}

/// As [`dynamic_batching`], if a batch has at most `batch_max` queries and leaves the others waiting.
///
/// The chain of the number that waits when a batch begins, cut off where less than 1e-12 lies beyond and solved by
/// iteration.
pub fn dynamic_batching_limited(arrival_rate: f64, per_sample: f64, fixed: f64, batch_max: u32) -> f64 {
    let service = |batch: u32| per_sample * f64::from(batch) + fixed;
    if arrival_rate * service(batch_max) >= f64::from(batch_max) {
        return f64::INFINITY;
    }
    let arrivals = |waiting: usize| Poisson::new(arrival_rate * service(batch_max.min(waiting as u32)));
    let mut states = 64;
    let (shares, arrivals) = loop {
        // By the number waiting; what begins with more than the limit meets the same arrivals.
        let arrivals: Vec<Poisson> = (0..=states.min(batch_max as usize)).map(arrivals).collect();
        let shares = stationary(&arrivals, states, batch_max as usize);
        if shares[states * 7 / 8..].iter().sum::<f64>() < 1e-12 {
            break (shares, arrivals);
        }
        states *= 2;
    };
    let (mut number, mut time) = (0.0, 0.0);
    for (waiting, share) in shares.iter().enumerate().skip(1) {
        let batch = waiting.min(batch_max as usize);
        let service = service(batch as u32);
        let idle = if waiting == batch { arrivals[batch].probability(0) } else { 0.0 };
        number += share * (waiting as f64 * service + arrival_rate * service * service / 2.0);
        time += share * (service + idle / arrival_rate);
    }
    number / time / arrival_rate
}

/// How often the chain is in each state, by the number waiting when a batch begins; 0 never is.
fn stationary(arrivals: &[Poisson], states: usize, batch_max: usize) -> Vec<f64> {
    let mut shares = vec![0.0; states + 1];
    shares[1] = 1.0;
    loop {
        let mut next = vec![0.0; states + 1];
        for (waiting, &share) in shares.iter().enumerate().filter(|(_, share)| **share > 0.0) {
            let batch = waiting.min(batch_max);
            let left = waiting - batch;
            for (count, probability) in arrivals[batch].iter() {
                // None is waited for, and what lies beyond the cut stays at it.
                next[(left + count).clamp(1, states)] += share * probability;
            }
        }
        let total: f64 = next.iter().sum();
        next.iter_mut().for_each(|share| *share /= total);
        let change: f64 = shares.iter().zip(&next).map(|(old, new)| (old - new).abs()).sum();
        shares = next;
        if change < 1e-13 {
            return shares;
        }
    }
}

/// Probabilities of a Poisson distribution, as far as they matter.
struct Poisson {
    first: usize,
    probabilities: Vec<f64>,
}

impl Poisson {
    fn new(mean: f64) -> Poisson {
        // Ten standard deviations, and more where the distribution is skewed.
        let reach = 10.0 * mean.sqrt() + 20.0;
        let (first, last) = ((mean - reach).max(0.0) as usize, (mean + reach) as usize);
        let mode = (mean as usize).clamp(first, last);
        // Ratios of neighbours from the mode on, where nothing underflows; scaled to the sum 1.
        let mut probabilities = vec![1.0; last - first + 1];
        for count in mode + 1..=last {
            probabilities[count - first] = probabilities[count - first - 1] * mean / count as f64;
        }
        for count in (first..mode).rev() {
            probabilities[count - first] = probabilities[count - first + 1] * (count + 1) as f64 / mean;
        }
        let total: f64 = probabilities.iter().sum();
        probabilities.iter_mut().for_each(|probability| *probability /= total);
        Poisson { first, probabilities }
    }

    fn probability(&self, count: usize) -> f64 {
        count.checked_sub(self.first).and_then(|index| self.probabilities.get(index)).copied().unwrap_or(0.0)
    }

    fn iter(&self) -> impl Iterator<Item = (usize, f64)> {
        self.probabilities.iter().enumerate().map(|(index, &probability)| (self.first + index, probability))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Slope, offset, load, and the mean latency of `specs/methodology.md`.
    const PUBLISHED: [(f64, f64, f64, f64); 8] = [
        (0.1438, 1.8874, 0.5, 5.9019),
        (0.1438, 1.8874, 0.7, 9.8176),
        (0.1438, 1.8874, 0.9, 29.408),
        (0.5, 1.0, 0.5, 3.7497),
        (0.5, 1.0, 0.7, 6.3087),
        (0.5, 1.0, 0.9, 18.8155),
        (1.0, 0.2, 0.5, 2.1553),
        (1.0, 0.2, 0.9, 10.5616),
    ];

    #[test]
    fn the_published_latencies_are_met_to_their_last_digit() {
        for (per_sample, fixed, load, expected) in PUBLISHED {
            let found = dynamic_batching(load / per_sample, per_sample, fixed);
            let digit = if expected > 29.0 { 1e-3 } else { 1e-4 };
            assert!((found - expected).abs() <= digit / 2.0, "{per_sample} {fixed} {load}: {found}");
        }
    }

    #[test]
    fn the_chain_state_by_state_gives_the_same_where_the_limit_is_far() {
        for (per_sample, fixed, load, _) in PUBLISHED {
            let rate = load / per_sample;
            let (exact, chain) =
                (dynamic_batching(rate, per_sample, fixed), dynamic_batching_limited(rate, per_sample, fixed, 10_000));
            assert!((chain / exact - 1.0).abs() < 1e-9, "{chain} {exact}");
        }
    }

    #[test]
    fn batches_of_one_are_a_queue_with_constant_service() {
        let (rate, service) = (0.8, 1.0);
        let found = dynamic_batching_limited(rate, 0.7, 0.3, 1);
        assert!((found - super::super::md1(rate, service)).abs() < 1e-8, "{found}");
    }

    #[test]
    fn hardly_any_queries_are_served_alone_and_too_many_for_ever() {
        assert!((dynamic_batching(1e-9, 1.0, 2.0) - 3.0).abs() < 1e-6);
        assert!((dynamic_batching_limited(1e-9, 1.0, 2.0, 8) - 3.0).abs() < 1e-6);
        assert_eq!(dynamic_batching(1.0, 1.0, 0.0), f64::INFINITY);
        assert_eq!(dynamic_batching_limited(0.8, 1.0, 1.0, 4), f64::INFINITY);
    }

    #[test]
    fn a_limit_makes_queries_wait_longer() {
        let mut last = f64::INFINITY;
        for batch_max in [8, 12, 16, 32] {
            let found = dynamic_batching_limited(3.0, 0.1438, 1.0, batch_max);
            assert!(found < last, "{batch_max}: {found}");
            last = found;
        }
        assert!((last / dynamic_batching(3.0, 0.1438, 1.0) - 1.0).abs() < 1e-6);
    }
}

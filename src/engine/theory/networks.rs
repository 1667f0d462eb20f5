//! Networks of queues with exponential service.

use super::mm1;

/// Queues in a row, Poisson arrivals at the first, first come first served: mean time from the first arrival to the last
/// departure. Each is as if it were alone (Burke, 1956; Jackson, Networks of waiting lines, 1957).
pub fn tandem(arrival_rate: f64, service_means: &[f64]) -> f64 {
    service_means.iter().map(|&service_mean| mm1(arrival_rate, service_mean)).sum()
}

/// What a closed network does in the long run.
#[derive(Clone, Debug, PartialEq)]
pub struct Closed {
    /// Passes through the whole network per time.
    pub throughput: f64,
    /// Mean time at each station in a pass.
    pub residences: Vec<f64>,
}

/// A fixed number of queries that pass one queue after the other again and again, by exact mean value analysis (Reiser
/// and Lavenberg, Mean-value analysis of closed multichain queuing networks, 1980).
///
/// `demands` are the means of exponential service at each station in a pass, and `think` is the time between two passes
/// without a queue.
pub fn closed_network(queries: u32, demands: &[f64], think: f64) -> Closed {
    let mut numbers = vec![0.0; demands.len()];
    let mut closed = Closed { throughput: 0.0, residences: demands.to_vec() };
    for count in 1..=queries {
        // A query that arrives sees what the network with one query less has on average.
        closed.residences = demands.iter().zip(&numbers).map(|(demand, number)| demand * (1.0 + number)).collect();
        closed.throughput = f64::from(count) / (think + closed.residences.iter().sum::<f64>());
        numbers = closed.residences.iter().map(|residence| closed.throughput * residence).collect();
    }
    closed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_takes_as_long_as_its_queues_one_by_one() {
        assert!((tandem(0.5, &[1.0, 0.5, 1.6]) - (2.0 + 0.5 / 0.75 + 8.0)).abs() < 1e-12);
        assert_eq!(tandem(0.7, &[1.0, 1.5]), f64::INFINITY);
    }

    #[test]
    fn equal_stations_share_queries_evenly() {
        // Throughput of n queries over k equal stations is n / (n + k - 1) / demand.
        let closed = closed_network(6, &[2.0; 3], 0.0);
        assert!((closed.throughput - 6.0 / 8.0 / 2.0).abs() < 1e-12);
        assert!(closed.residences.iter().all(|residence| (residence - 16.0 / 3.0).abs() < 1e-12));
    }

    #[test]
    fn states_summed_up_one_by_one_give_the_same() {
        // Product form: the weight of (i, n - i) is a^i b^(n - i) (Gordon and Newell, 1967).
        let (a, b) = (1.0f64, 0.4f64);
        let constant = |count: i32| (0..=count).map(|first| a.powi(first) * b.powi(count - first)).sum::<f64>();
        let closed = closed_network(5, &[a, b], 0.0);
        assert!((closed.throughput - constant(4) / constant(5)).abs() < 1e-12);
    }

    #[test]
    fn the_machine_repair_model_is_a_station_and_a_time_to_think() {
        // One station, exponential think time: the stationary distribution of a birth-death chain.
        let (queries, demand, think) = (4, 0.5, 2.0);
        let weights: Vec<f64> = (0..=queries)
            .scan(1.0, |weight, count| {
                let current = *weight;
                *weight *= f64::from(queries - count) * demand / think;
                Some(current)
            })
            .collect();
        let throughput = (1.0 - weights[0] / weights.iter().sum::<f64>()) / demand;
        assert!((closed_network(queries, &[demand], think).throughput - throughput).abs() < 1e-12);
    }
}

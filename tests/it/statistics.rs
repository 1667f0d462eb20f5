//! Random streams, warm-up, intervals and the stop rule together, on queues that need no engine.

use coinfer::engine::theory::{md1, mg1, mm1, mm1_quantile};
use coinfer::engine::{ArrivalTimes, Sampler, Streams};
use coinfer::platform::DeviceId;
use coinfer::problem::{Arrivals, Jitter, Shape, Variation};
use coinfer::statistics::{
    Comparison, Histogram, Interval, Pilot, Pooled, Progress, Replications, StopRule, Target, WarmUp, compare,
};
use coinfer::units::{Duration, Time};
use rayon::prelude::*;

const SERVICE: Duration = Duration::from_nanos(1_000_000);
const QUERIES: usize = 20_000;

/// A queue with one server.
struct Queue {
    arrivals: Arrivals,
    variation: Variation,
    service: Duration,
}

impl Queue {
    fn new(load: f64, shape: Shape) -> Queue {
        Queue {
            arrivals: Arrivals::Poisson { gap_mean: Duration::from_nanos_f64(SERVICE.as_nanos_f64() / load) },
            variation: Variation { devices: vec![Jitter::new(shape, None).unwrap()], links: vec![] },
            service: SERVICE,
        }
    }

    /// Latencies in the order of arrival, by the recursion of Lindley (1952).
    fn latencies(&self, seed: u64, replication: u32) -> Vec<Duration> {
        let streams = Streams::new(seed, replication);
        let mut sampler = Sampler::of_device(&self.variation, &streams, DeviceId(0), 0);
        let mut free = Time::ZERO;
        let latency = |arrival: Time| {
            free = free.max(arrival) + sampler.stretch(self.service);
            free - arrival
        };
        ArrivalTimes::new(&self.arrivals, &streams, 0).take(QUERIES).map(latency).collect()
    }

    /// How many queries to leave out.
    fn warm_up(&self, seed: u64) -> usize {
        let mut pilot = Pilot::default();
        for replication in 0..20 {
            pilot.add(self.latencies(seed, replication).iter().map(|latency| latency.as_nanos_f64()));
        }
        let WarmUp::Ends { drop } = pilot.warm_up() else { panic!("the queue is stable and the run is long") };
        drop
    }

    /// Latencies after the warm-up, by replication.
    fn steady(&self, seed: u64) -> impl Fn(u32) -> Histogram {
        let drop = self.warm_up(seed);
        move |replication| {
            let mut histogram = Histogram::new();
            let latencies = self.latencies(seed, replication);
            latencies[drop..].iter().for_each(|&latency| histogram.record(latency));
            histogram
        }
    }

    /// Mean latencies in milliseconds, by replication.
    fn means(&self, seed: u64, replications: u32) -> Vec<f64> {
        let steady = self.steady(seed);
        (0..replications).map(|replication| steady(replication).mean_nanos().unwrap() / 1e6).collect()
    }
}

#[test]
fn queues_with_any_service_agree_with_theory() {
    let exponential = Shape::Gamma { cv: 1.0, shift: 0.0 };
    for (shape, expected) in [
        (exponential, mm1(0.7, 1.0)),
        (Shape::None, md1(0.7, 1.0)),
        (Shape::Lognormal { cv: 0.5 }, mg1(0.7, 1.0, 0.5)),
        (Shape::Gamma { cv: 0.4, shift: 0.5 }, mg1(0.7, 1.0, 0.4)),
    ] {
        let queue = Queue::new(0.7, shape.clone());
        let interval = Interval::of(&queue.means(1, 30), 0.99).unwrap();
        assert!(interval.contains(expected), "{shape:?}: {interval:?} without {expected}");
        assert!(interval.relative() < 0.02, "{shape:?}: {interval:?}");
    }
}

#[test]
fn replications_stop_once_mean_and_p99_are_known() {
    let queue = Queue::new(0.5, Shape::Gamma { cv: 1.0, shift: 0.0 });
    let targets = vec![Target::of_mean("latency_mean"), Target::of_p99("latency_p99")];
    let steady = queue.steady(4);
    let mut replications = Replications::new(StopRule::new(200, targets));
    let (mut means, mut pooled) = (Vec::new(), Pooled::default());
    let mean = |means: &[f64]| Interval::of(means, 0.95).unwrap_or(Interval { mean: 1.0, half_width: f64::INFINITY });
    let p99 = |pooled: &Pooled| pooled.percentile(0.99, 0.95).unwrap();
    while replications.needs_more() {
        let latencies = steady(replications.count());
        means.push(latencies.mean_nanos().unwrap() / 1e6);
        pooled.add(&latencies);
        replications.push(&[mean(&means).relative(), p99(&pooled).relative()]);
    }
    assert_eq!(replications.progress(), Progress::Met);
    assert!((20..100).contains(&replications.count()), "{}", replications.count());
    assert!((mean(&means).mean / mm1(0.5, 1.0) - 1.0).abs() < 0.015);
    assert!((p99(&pooled).value / mm1_quantile(0.5, 1.0, 0.99) - 1.0).abs() < 0.05);
}

#[test]
fn a_device_that_is_one_percent_faster_is_told_apart_in_the_same_world_only() {
    let shape = Shape::Lognormal { cv: 0.3 };
    let slow = Queue::new(0.7, shape);
    let fast = Queue {
        arrivals: slow.arrivals.clone(),
        variation: slow.variation.clone(),
        service: Duration::from_nanos(990_000),
    };
    let (slow_means, fast_means) = (slow.means(1, 20), fast.means(1, 20));
    let (comparison, paired) = compare(&fast_means, &slow_means, 0.95).unwrap();
    assert_eq!(comparison, Comparison::Less);
    let (_, separate) = compare(&fast.means(2, 20), &slow_means, 0.95).unwrap();
    let variance_ratio = (separate.half_width / paired.half_width).powi(2);
    assert!(variance_ratio > 20.0, "{variance_ratio}");
}

/// Uniform numbers between 0 and 1 (SplitMix64; Steele, Lea and Flood, 2014): fast in tests that are not optimised.
fn uniform(state: &mut u64) -> f64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1u64 << 53) as f64
}

/// Latencies of a steady M/M/1 queue with a mean service of 1 ms.
fn mm1_latencies(load: f64, queries: usize, seed: u64) -> Histogram {
    let mut state = seed;
    let mut exponential = || -(1.0 - uniform(&mut state)).ln();
    // Who arrives finds the queue as it is over all time.
    let mut waits = if exponential() < -(1.0 - load).ln() { exponential() / (1.0 - load) } else { 0.0 };
    let mut histogram = Histogram::new();
    for _ in 0..queries {
        let latency: f64 = waits + exponential();
        histogram.record(Duration::from_millis_f64(latency));
        waits = (latency - exponential() / load).max(0.0);
    }
    histogram
}

#[test]
fn intervals_of_a_loaded_queue_hold_the_truth_as_often_as_they_say() {
    const LOAD: f64 = 0.9;
    let (truth_mean, truth_p99) = (mm1(LOAD, 1.0), mm1_quantile(LOAD, 1.0, 0.99));
    let run = |seed: u64| {
        let replications = (0..20).map(|index| mm1_latencies(LOAD, 4000, seed << 32 | index << 8));
        let (mut means, mut pooled) = (Vec::new(), Pooled::default());
        for latencies in replications {
            means.push(latencies.mean_nanos().unwrap() / 1e6);
            pooled.add(&latencies);
        }
        let p99 = pooled.percentile(0.99, 0.95).unwrap();
        let holds_p99 = p99.low.unwrap() <= truth_p99 && truth_p99 <= p99.high.unwrap();
        [Interval::of(&means, 0.95).unwrap().contains(truth_mean), holds_p99].map(u32::from)
    };
    let held: Vec<[u32; 2]> = (1..=200).into_par_iter().map(run).collect();
    let [mean, p99] = [0, 1].map(|figure| held.iter().map(|held| held[figure]).sum::<u32>());
    // 190 of 200 are expected, with a standard deviation of 3.1. The interval of the percentile is the more careful one.
    assert!((184..=197).contains(&p99), "{p99}");
    assert!((184..=197).contains(&mean), "{mean}");
}

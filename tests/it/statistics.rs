//! Random streams, warm-up, intervals and the stop rule together, on queues that need no engine.

use coinfer::engine::theory::{md1, mg1, mm1, mm1_quantile};
use coinfer::engine::{ArrivalTimes, Sampler, Streams};
use coinfer::platform::DeviceId;
use coinfer::problem::{Arrivals, Jitter, Shape, Variation};
use coinfer::statistics::{
    Comparison, Histogram, Interval, Pilot, Progress, Replications, StopRule, Target, WarmUp, compare,
};
use coinfer::units::{Duration, Time};

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
        let mut sampler = Sampler::of_device(&self.variation, &streams, DeviceId(0));
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
    while let Progress::Needs(_) = replications.progress() {
        let latencies = steady(replications.count());
        let p99 = latencies.quantile(0.99).unwrap();
        replications.push(&[latencies.mean_nanos().unwrap() / 1e6, p99.as_millis_f64()]);
    }
    assert_eq!(replications.progress(), Progress::Met);
    assert!((20..100).contains(&replications.count()), "{}", replications.count());
    assert!((replications.interval(0).unwrap().mean / mm1(0.5, 1.0) - 1.0).abs() < 0.015);
    assert!((replications.interval(1).unwrap().mean / mm1_quantile(0.5, 1.0, 0.99) - 1.0).abs() < 0.05);
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

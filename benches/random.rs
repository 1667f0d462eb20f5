//! What one random draw and one record of a latency cost: the target is 60 ns a draw.

use std::hint::black_box;

use coinfer::engine::{ArrivalTimes, Purpose, Sampler, Streams};
use coinfer::platform::DeviceId;
use coinfer::problem::{Arrivals, Effect, Jitter, Ratios, Repeats, Shape, Spikes, Variation};
use coinfer::statistics::Histogram;
use coinfer::units::Duration;
use criterion::{Criterion, criterion_group, criterion_main};
use rand::distr::StandardUniform;

const STEP: Duration = Duration::from_nanos(3_000_000);

fn draws(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("draw");
    let streams = Streams::new(1, 0);
    let mut stream = streams.stream(Purpose::Compute, 0);
    group.bench_function("uniform", |bencher| bencher.iter(|| stream.sample::<f64>(&StandardUniform)));
    let mut index = 0;
    group.bench_function("uniform by index", |bencher| {
        bencher.iter(|| {
            index = (index + 7) % 1_000_000;
            stream.seek(index);
            stream.sample::<f64>(&StandardUniform)
        })
    });
    let ratios = Ratios::of_quantiles(&[(0.0, 0.9), (0.5, 1.0), (1.0, 1.4)]).expect("the quantiles ascend");
    let spikes = Some(Spikes { probability: 0.001, effect: Effect::Factor(10.0) });
    let shapes = [
        ("lognormal", Shape::Lognormal { cv: 0.1 }, None),
        ("lognormal with spikes", Shape::Lognormal { cv: 0.1 }, spikes),
        ("gamma", Shape::Gamma { cv: 0.1, shift: 0.5 }, None),
        ("gamma of small shape", Shape::Gamma { cv: 2.0, shift: 0.0 }, None),
        ("exponential", Shape::Gamma { cv: 1.0, shift: 0.0 }, None),
        ("empirical", Shape::Empirical(Repeats { all: ratios, points: vec![] }), None),
    ];
    for (name, shape, spikes) in shapes {
        let jitter = Jitter::new(shape, spikes).expect("the figures are in range");
        let variation = Variation { devices: vec![jitter], links: vec![] };
        let mut sampler = Sampler::of_device(&variation, &streams, DeviceId(0), 0);
        group.bench_function(name, |bencher| bencher.iter(|| sampler.stretch(black_box(STEP))));
    }
    let arrivals = Arrivals::Poisson { gap_mean: STEP };
    let mut times = ArrivalTimes::new(&arrivals, &streams, 0);
    group.bench_function("poisson arrival", |bencher| bencher.iter(|| times.next()));
    group.finish();
}

fn records(criterion: &mut Criterion) {
    let mut histogram = Histogram::new();
    let streams = Streams::new(1, 0);
    let mut stream = streams.stream(Purpose::Compute, 0);
    let latencies: Vec<Duration> =
        (0..1000).map(|_| Duration::from_nanos_f64(1e7 * stream.sample::<f64>(&StandardUniform))).collect();
    criterion.bench_function("record 1000 latencies", |bencher| {
        bencher.iter(|| latencies.iter().for_each(|&latency| histogram.record(latency)))
    });
}

criterion_group!(benches, draws, records);
criterion_main!(benches);

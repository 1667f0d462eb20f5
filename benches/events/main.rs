//! Events per second on workloads that other simulators were measured with.
//!
//! With `COINFER_WORKLOAD=mm1` it runs that one once and prints a line for scripts/compare_speed.sh.

mod batching;
mod contention;
mod pipe;
mod simulated;
mod workload;

use criterion::{Criterion, Throughput};

use contention::Contention;
use pipe::Pipe;
use workload::{Done, measure};

const WORKLOADS: [&str; 11] = [
    "mm1",
    "phold-1k",
    "phold-10k",
    "phold-100k",
    "cqn",
    "star-8",
    "star-64",
    "star-512",
    "pipe",
    "contention",
    "batching",
];

fn main() {
    match std::env::var("COINFER_WORKLOAD") {
        Ok(workload) => measure(&workload, "coinfer", prepared(&workload)),
        Err(_) => {
            let mut criterion = Criterion::default().configure_from_args();
            bench(&mut criterion);
            criterion.final_summary();
        }
    }
}

/// What runs `workload`, prepared as far as the engine has no part in it.
fn prepared(workload: &str) -> Box<dyn Fn() -> Done> {
    match workload {
        "mm1" => Box::new(simulated::mm1),
        "phold-1k" => Box::new(|| simulated::phold(1_000)),
        "phold-10k" => Box::new(|| simulated::phold(10_000)),
        "phold-100k" => Box::new(|| simulated::phold(100_000)),
        "cqn" => Box::new(simulated::cqn),
        "star-8" => Box::new(|| simulated::star(8)),
        "star-64" => Box::new(|| simulated::star(64)),
        "star-512" => Box::new(|| simulated::star(512)),
        "pipe" => {
            let pipe = Pipe::new();
            Box::new(move || pipe.run())
        }
        "contention" => {
            let contention = Contention::new();
            Box::new(move || contention.run())
        }
        "batching" => Box::new(batching::batching),
        _ => panic!("there is no workload `{workload}`"),
    }
}

fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("events");
    group.sample_size(10);
    for workload in WORKLOADS {
        let run = prepared(workload);
        group.throughput(Throughput::Elements(run().events));
        group.bench_function(workload, |bencher| bencher.iter(|| run().verified(workload)));
    }
    group.finish();
}

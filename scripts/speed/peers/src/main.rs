//! Runs one workload without coinfer and prints a line for scripts/compare_speed.sh.
//!
//! Usage: peers heap|desque WORKLOAD

mod heap;
mod on_desque;
#[path = "../../../../benches/events/workload.rs"]
mod workload;

use workload::measure;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [engine, name] = arguments.as_slice() else { usage() };
    match (engine.as_str(), name.as_str()) {
        ("heap", "mm1") => measure(name, engine, heap::mm1),
        ("heap", "phold-1k") => measure(name, engine, || heap::phold(1_000)),
        ("heap", "phold-10k") => measure(name, engine, || heap::phold(10_000)),
        ("heap", "phold-100k") => measure(name, engine, || heap::phold(100_000)),
        ("heap", "cqn") => measure(name, engine, heap::cqn),
        ("heap", "star-8") => measure(name, engine, || heap::star(8)),
        ("heap", "star-64") => measure(name, engine, || heap::star(64)),
        ("heap", "star-512") => measure(name, engine, || heap::star(512)),
        ("heap", "pipe") => measure(name, engine, heap::pipe),
        ("desque", "mm1") => measure(name, engine, on_desque::mm1),
        ("desque", "phold-1k") => measure(name, engine, || on_desque::phold(1_000)),
        ("desque", "phold-10k") => measure(name, engine, || on_desque::phold(10_000)),
        ("desque", "phold-100k") => measure(name, engine, || on_desque::phold(100_000)),
        ("desque", "cqn") => measure(name, engine, on_desque::cqn),
        ("desque", "pipe") => measure(name, engine, on_desque::pipe),
        _ => usage(),
    }
}

fn usage() -> ! {
    eprintln!("usage: peers heap|desque WORKLOAD, for example: peers heap mm1; desque has no star");
    std::process::exit(2)
}

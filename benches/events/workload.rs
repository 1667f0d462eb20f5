//! Sizes, random draws and check values of the speed workloads, shared by every engine that is compared.

use std::ops::RangeInclusive;

use rustix::time::{ClockId, clock_gettime};

/// Customers of `mm1`; each arrives and departs.
pub(crate) const CUSTOMERS: u64 = 1_000_000;
/// Events of `phold`.
pub(crate) const HOPS: u64 = 5_000_000;
/// Stations of `cqn`.
pub(crate) const STATIONS: usize = 1_000;
/// Customers of `cqn`, over all stations.
pub(crate) const POPULATION: usize = 10_000;
/// Completions of `cqn`.
pub(crate) const COMPLETIONS: u64 = 2_000_000;
/// Flows of `star`.
pub(crate) const FLOWS: u64 = 100_000;
/// Items of `pipe`.
pub(crate) const ITEMS: u64 = 100_000;
/// Bytes per second of every link of `star` and `pipe`.
pub(crate) const BANDWIDTH: f64 = 125e6;
/// Bytes of each transfer of `pipe`.
pub(crate) const ITEM_BYTES: u64 = 600_000;
/// Mean seconds of an execution of `pipe`: 8 Mflop at 1 Gflop/s.
pub(crate) const EXECUTION: f64 = 8e6 / 1e9;

/// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
pub(crate) struct Draws(u64);

impl Draws {
    /// The stream of `seed`.
    pub(crate) fn new(seed: u64) -> Draws {
        Draws(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// An exponential time of the given mean.
    pub(crate) fn exp(&mut self, mean: f64) -> f64 {
        let uniform = (self.next() >> 11) as f64 * (-53f64).exp2();
        -mean * (1.0 - uniform).ln()
    }

    /// A whole number below `count`.
    pub(crate) fn below(&mut self, count: usize) -> usize {
        (self.next() % count as u64) as usize
    }

    /// Where `host` of `star` sends its next flow, and the bytes of it.
    pub(crate) fn flow(&mut self, host: usize, hosts: usize) -> (usize, u64) {
        let other = self.below(hosts - 1);
        (other + usize::from(other >= host), 1 + self.exp(1e6) as u64)
    }
}

/// How much of the up-links of `star` its flows use.
pub(crate) struct Use {
    hosts: usize,
    bytes: u64,
    flows: u64,
}

impl Use {
    /// Before the first flow.
    pub(crate) fn new(hosts: usize) -> Use {
        Use { hosts, bytes: 0, flows: 0 }
    }

    /// A flow of `bytes` has ended, at this time.
    ///
    /// # Panics
    /// If the first ten flows of each host did not take the time that they take in exact arithmetic.
    pub(crate) fn end(&mut self, bytes: u64, seconds: f64) {
        self.bytes += bytes;
        self.flows += 1;
        if self.flows == 10 * self.hosts as u64 {
            let expected = match self.hosts {
                8 => 0.547812294,
                64 => 0.473124295,
                512 => 0.463683360,
                hosts => panic!("there is no star of {hosts} hosts"),
            };
            let found = self.mean(seconds);
            assert!((found - expected).abs() < 1e-7, "the first flows use {found}, not {expected}");
        }
    }

    /// The mean over all time until now.
    pub(crate) fn mean(&self, seconds: f64) -> f64 {
        self.bytes as f64 / (self.hosts as f64 * BANDWIDTH * seconds)
    }
}

/// What an engine did: its check value and the number of events that count.
pub(crate) struct Done {
    /// A result of the simulation, equal for all engines.
    pub(crate) check: f64,
    /// Events, as each workload counts them.
    pub(crate) events: u64,
}

impl Done {
    /// The number of events, if this is what `workload` must come to.
    ///
    /// # Panics
    /// If it is not. Of `star` only the range is known, beside what [`Use::end`] checks: flows that end almost
    /// together change places by how times are rounded, and this grows until all that follows is another world.
    pub(crate) fn verified(&self, workload: &str) -> u64 {
        let expected = match workload {
            "mm1" => near(4.975304458),
            "phold-1k" => near(5002.686548560),
            "phold-10k" => near(500.265437599),
            "phold-100k" => near(50.020045006),
            "cqn" => near(2198.294421376),
            "star-8" => 0.542..=0.544,
            "star-64" => 0.503..=0.507,
            "star-512" => 0.497..=0.501,
            "pipe" => near(0.021373323),
            "contention" => near(38.629863791),
            "batching" => 9.8176 * 0.99..=9.8176 * 1.01,
            _ => panic!("there is no workload `{workload}`"),
        };
        assert!(expected.contains(&self.check), "{workload}: {} is not within {expected:?}", self.check);
        self.events
    }
}

/// Runs `workload` and prints `workload,engine,check,events,cpu_seconds,peak_mb`, with the CPU time of this process
/// in `run` and the most memory that the process ever had.
///
/// # Panics
/// If what was done is not `workload`.
pub(crate) fn measure(workload: &str, engine: &str, run: impl FnOnce() -> Done) {
    let begin = cpu_seconds();
    let done = run();
    let seconds = cpu_seconds() - begin;
    let (check, events) = (done.check, done.verified(workload));
    println!("{workload},{engine},{check:.9},{events},{seconds:.6},{:.1}", peak_mb());
}

fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}

fn peak_mb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux has it");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("each process has one");
    let kib: f64 = line.trim().trim_end_matches(" kB").parse().expect("a number of KiB");
    kib * 1024.0 / 1e6
}

/// Equal in all nine decimals, but for how the last one is rounded.
fn near(value: f64) -> RangeInclusive<f64> {
    value - 1e-9..=value + 1e-9
}

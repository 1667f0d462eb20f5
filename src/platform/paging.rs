//! Memories that hold less than their users want: what a step lacks comes in by page faults, and others make room.

use crate::units::{Bytes, BytesPerSec, Duration};

/// How a memory brings what a step needs and does not find there, and sends away what was used longest ago.
///
/// A step first waits for its faults, which a memory serves one after the other, and then computes. Faults come in batches,
/// whatever is evicted is written back, and nothing of it overlaps. Bringing `s` bytes of `v` blocks and evicting `e` takes
///
/// ```text
/// start + ceil(s / batch) (overhead + per_block min(v, blocks_max)) + s / bandwidth + e eviction
/// ```
///
/// What the constants are follows measurements of Allen and Ge (SC 2021).
#[derive(Clone, Debug, PartialEq)]
pub struct Paging {
    /// What a step that faults waits for once.
    pub start: Duration,
    /// What a batch of faults brings at most.
    pub batch: Bytes,
    /// What a batch takes beside its bytes.
    pub overhead: Duration,
    /// What a batch takes for each block that the step lacks something of.
    pub per_block: Duration,
    /// Of so many blocks at most.
    pub blocks_max: u32,
    /// How fast bytes come in.
    pub bandwidth: BytesPerSec,
    /// What is evicted at once.
    pub block: Bytes,
    /// What it takes to evict a block.
    pub eviction: Duration,
}

impl Paging {
    /// As an NVIDIA Titan V does on PCIe 3 while its driver brings neighbours of what faults, which is its default.
    pub fn prefetching() -> Paging {
        Paging {
            start: Duration::ZERO,
            batch: Bytes(8_400_000),
            overhead: Duration::from_nanos(100_000),
            per_block: Duration::ZERO,
            blocks_max: 60,
            bandwidth: BytesPerSec::new(1e6 / 139e-6).expect("it is positive"),
            block: Bytes(2 << 20),
            eviction: Duration::from_nanos(190_000),
        }
    }

    /// As [`Paging::prefetching`] where it brings the pages of 4 KiB alone that fault: 256 in a batch, less those that several
    /// threads ask for.
    pub fn on_demand() -> Paging {
        Paging {
            start: Duration::from_nanos(560_000),
            batch: Bytes(256 * 4096),
            overhead: Duration::from_nanos(55_000),
            per_block: Duration::from_nanos(7_900),
            bandwidth: BytesPerSec::new(4096.0 / 2.1e-6).expect("it is positive"),
            ..Paging::prefetching()
        }
    }

    /// How long a step waits that lacks `missing` and for which blocks are evicted.
    pub fn time(&self, missing: Bytes, evicted: u64) -> Duration {
        let mut time = self.eviction.as_nanos_f64() * evicted as f64;
        if missing > Bytes(0) {
            let blocks = missing.0.div_ceil(self.block.0).min(self.blocks_max.into());
            let batch = self.overhead.as_nanos_f64() + self.per_block.as_nanos_f64() * blocks as f64;
            time += self.start.as_nanos_f64() + missing.0.div_ceil(self.batch.0) as f64 * batch;
            time += missing.0 as f64 / self.bandwidth.as_f64() * 1e9;
        }
        Duration::from_nanos_f64(time)
    }
}

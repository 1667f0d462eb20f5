//! What a strategy had to know before it could plan, and what it would take to find that out by profiling.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::Problem;
use crate::cost::{CostModel, Estimate, Uncalibrated};
use crate::model::{LayerId, ModelId, Region, Segment, Work, units};
use crate::platform::{DeviceId, LinkId};
use crate::units::{Bytes, Duration, Share};

/// What profiling takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Profiling {
    /// To build one layer for a device; a layer counts with the activations that alone read it. Builds follow each other
    /// on one machine, and serve all devices of a class and parts of one row less.
    pub build: Duration,
    /// To open what was built on one device, besides sending it there.
    pub session: Duration,
    /// Runs until times have settled.
    pub warm_up: u32,
    /// Runs that count.
    pub repeats: u32,
}

/// What a strategy's profiles would take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SearchCost {
    /// Works that are timed, on each device.
    pub profiles: u64,
    /// Layers that are built.
    pub layers_built: u64,
    /// Weights that are sent to devices, one after the other.
    pub uploaded: Bytes,
    /// Time to build.
    pub build: Duration,
    /// Time to send what was built and to open it.
    pub upload: Duration,
    /// Time to run; devices run at the same time, and the busiest counts.
    pub run: Duration,
}

impl SearchCost {
    /// Time in all.
    pub fn total(&self) -> Duration {
        self.build + self.upload + self.run
    }
}

/// Keeps which works were asked for.
#[derive(Debug, Default)]
pub struct Ledger(Mutex<BTreeSet<AskedWork>>);

/// A work as a profile knows it: how many rows and samples, not which.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct AskedWork {
    device: DeviceId,
    share: u16,
    model: ModelId,
    layers: Vec<(u32, u32)>,
    rows: u32,
    samples: u32,
}

impl Ledger {
    /// `problem` with costs that are noted in a new ledger when they are asked for.
    pub fn open(problem: &Problem) -> (Problem, Arc<Ledger>) {
        let ledger = Arc::new(Ledger::default());
        let costs = Noted { costs: problem.costs.clone(), ledger: ledger.clone() };
        (Problem { costs: Arc::new(costs), ..problem.clone() }, ledger)
    }

    /// What it would take to profile all that was asked for. Works whose time nobody knows are free.
    pub fn charge(&self, problem: &Problem, profiling: &Profiling) -> SearchCost {
        let entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut cost = SearchCost::default();
        let mut built: BTreeSet<(&str, AskedWork)> = BTreeSet::new();
        let mut running = vec![Duration::ZERO; problem.platform.devices.len()];
        for entry in entries.iter() {
            let model = problem.model(entry.model);
            let work = entry.work();
            let share = Share::from_basis_points(entry.share).expect("it was a share");
            let Ok(Estimate { time, .. }) = problem.costs.compute(entry.device, share, &work) else { continue };
            cost.profiles += 1;
            running[entry.device.0 as usize] += time * profiling.warm_up.saturating_add(profiling.repeats);
            let class = problem.platform.device(entry.device).class.as_str();
            // A part with one row less runs in what was built for one row more, padded.
            let is_built = (entry.rows.saturating_sub(1)..=entry.rows.saturating_add(1))
                .any(|rows| built.contains(&(class, AskedWork { device: DeviceId(0), rows, ..entry.clone() })));
            built.insert((class, AskedWork { device: DeviceId(0), ..entry.clone() }));
            if !is_built {
                let is_inside = |unit: &Segment| work.segment.contains(unit.first());
                let layers = units(&model.graph).iter().filter(|unit| is_inside(unit)).count() as u64;
                cost.layers_built += layers;
                cost.build += profiling.build * layers as u32;
            }
            let weights = problem.sizes(entry.model, entry.device).parameters(&work.segment);
            let route = model.home.and_then(|home| problem.platform.route(home, entry.device).ok());
            cost.upload += profiling.session;
            for (link, _) in route.unwrap_or_default() {
                cost.upload += problem.arrival(link, weights).unwrap_or_default();
            }
            cost.uploaded = cost.uploaded + weights;
        }
        cost.run = running.into_iter().max().unwrap_or_default();
        cost
    }
}

impl AskedWork {
    fn of(device: DeviceId, share: Share, work: &Work) -> AskedWork {
        AskedWork {
            device,
            share: share.basis_points(),
            model: work.model,
            layers: Vec::from(work.segment.clone()).iter().map(|layers| (layers.start, layers.end)).collect(),
            rows: work.region.rows.len() as u32,
            samples: work.region.samples.len() as u32,
        }
    }

    fn work(&self) -> Work {
        let layers = self.layers.iter().flat_map(|&(start, end)| (start..end).map(LayerId));
        let segment = Segment::new(layers).expect("it was a segment");
        let region = Region { samples: 0..self.samples, rows: 0..self.rows };
        Work { model: self.model, segment, region }
    }
}

/// Costs whose use is noted.
struct Noted {
    costs: Arc<dyn CostModel>,
    ledger: Arc<Ledger>,
}

impl CostModel for Noted {
    fn compute(&self, device: DeviceId, share: Share, work: &Work) -> Result<Estimate, Uncalibrated> {
        let entry = AskedWork::of(device, share, work);
        self.ledger.0.lock().unwrap_or_else(PoisonError::into_inner).insert(entry);
        self.costs.compute(device, share, work)
    }

    fn transfer(&self, link: LinkId, size: Bytes) -> Result<Estimate, Uncalibrated> {
        self.costs.transfer(link, size)
    }

    fn resampled(&self, draw: u64) -> Option<Arc<dyn CostModel>> {
        Some(Arc::new(Noted { costs: self.costs.resampled(draw)?, ledger: self.ledger.clone() }))
    }
}

//! A part of a network ready to run, and a step of it: from what a device holds to what it holds then.

use std::ops::Range;
use std::sync::Arc;

use super::library::{Engine, Input, Threads};
use super::store::{Gathered, Store};
use crate::model::{LayerId, ModelId, Region, Shape};
use crate::replay::Tensor;
use crate::replay::clock::Clock;
use crate::units::Duration;

/// An engine with what it reads and writes, in its order.
pub(in crate::replay) struct Loaded {
    pub(in crate::replay) engine: Engine,
    pub(in crate::replay) reads: Vec<Port>,
    pub(in crate::replay) writes: Vec<Port>,
}

/// Rows of a layer's output, of any number of samples.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::replay) struct Port {
    pub(in crate::replay) layer: LayerId,
    /// Which rows.
    pub(in crate::replay) rows: Range<u32>,
    /// Of the whole output.
    pub(in crate::replay) shape: Shape,
}

/// Numbers of a region of a layer with this shape.
pub(super) struct Piece {
    pub(super) numbers: Gathered,
    pub(super) region: Region,
    pub(super) shape: Shape,
}

impl Piece {
    pub(super) fn input(&self) -> Input<'_> {
        let Piece { numbers, region, shape } = self;
        let dims = [region.samples.len(), shape.channels as usize, region.rows.len(), shape.cols as usize];
        Input { dims, numbers: numbers.numbers() }
    }
}

impl Port {
    /// Its region for these samples.
    pub(in crate::replay) fn region(&self, samples: &Range<u32>) -> Region {
        Region { samples: samples.clone(), rows: self.rows.clone() }
    }

    /// What `device` has of it.
    pub(super) fn gather(&self, store: &Store, model: ModelId, region: Region) -> Option<Piece> {
        let numbers = store.gather(model, self.layer, &region, self.shape)?;
        Some(Piece { numbers, region, shape: self.shape })
    }
}

impl Loaded {
    /// Runs it over `samples` of what is in `store`, and puts there what comes out. Returns how long it
    /// computed.
    pub(in crate::replay) fn run(
        &self,
        store: &Store,
        model: ModelId,
        samples: &Range<u32>,
        threads: &Threads,
    ) -> Result<Duration, String> {
        let clock = Clock::start();
        let gather = |port: &Port| {
            let region = port.region(samples);
            let absent = format!("its input {region} is not there");
            port.gather(store, model, region).ok_or(absent)
        };
        let pieces = self.reads.iter().map(gather).collect::<Result<Vec<_>, _>>()?;
        let inputs: Vec<Input<'_>> = pieces.iter().map(Piece::input).collect();
        let (outputs, computed) = self.engine.run(&inputs, threads)?;
        drop(inputs);
        for (port, numbers) in self.writes.iter().zip(outputs) {
            let tensor = Tensor { model, layer: port.layer, region: port.region(samples), shape: port.shape };
            let (found, expected, region) = (numbers.len(), tensor.count(), &tensor.region);
            if found != expected {
                return Err(format!("the runtime gave {found} numbers for {region}, which has {expected}"));
            }
            store.put(&tensor, Arc::new(numbers));
        }
        // Several threads compute at once, and only the time on the wall covers them all.
        Ok(if threads.count > 1 { clock.now().since_start() } else { computed })
    }
}

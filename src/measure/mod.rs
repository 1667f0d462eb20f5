//! Puts cases on hardware: plans beside their predictions, and profiles of networks. Nothing is written or printed here.

mod bench;
mod error;
mod found;
mod profile;
mod replay;
mod run;
mod sentinel;
mod targets;
mod tour;
mod trace;

pub use error::MeasureError;
pub use profile::{Asked, Network, Profile, Visit, networks};
pub use replay::{Candidate, Options, Replays, Rounds, check_load, replay};
pub use trace::Provenance;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::model::Weights;
use crate::problem::Model;
use crate::replay::{Hardware, Networks, Settings};
use crate::scenario::Case;

/// Who hears how far something is, and may stop it.
#[derive(Clone, Copy)]
pub struct Watch<'a> {
    /// Set when the user asks to stop.
    pub interrupted: &'a AtomicBool,
    /// Called at each advance.
    pub heard: &'a dyn Fn(Heard<'_>),
}

/// How far something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard<'a> {
    /// So many of something are to be done.
    Begun(u64, &'static str),
    /// One of them is done.
    Advanced,
    /// Nothing more of them follows.
    Ended,
    /// What a user should know.
    Said(&'a str),
    /// What only the curious want to know.
    Explained(&'a str),
}

impl Watch<'_> {
    /// Nobody hears anything; `interrupted` stops it.
    pub fn silent(interrupted: &AtomicBool) -> Watch<'_> {
        Watch { interrupted, heard: &|_| {} }
    }

    fn begin(&self, count: u64, what: &'static str) {
        (self.heard)(Heard::Begun(count, what));
    }

    fn advance(&self) {
        (self.heard)(Heard::Advanced);
    }

    fn end(&self) {
        (self.heard)(Heard::Ended);
    }

    fn explain(&self, text: &str) {
        (self.heard)(Heard::Explained(text));
    }

    fn say(&self, text: &str) {
        (self.heard)(Heard::Said(text));
    }
}

impl std::fmt::Debug for Watch<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch").field("interrupted", self.interrupted).finish_non_exhaustive()
    }
}

/// What runs the devices of `case`, with `samples` inputs of each network.
///
/// # Errors
/// A network has no weights, or a device is not there or cannot be used.
pub fn hardware(case: &Case, samples: u32, settings: &Settings) -> Result<Hardware, MeasureError> {
    let platform = &case.problem.platform;
    let is_needed = platform.devices.iter().any(|device| device.runtime.is_hardware());
    let models = case.problem.models.iter().zip(&case.weights).filter(|_| is_needed);
    let network = |(model, weights): (&Model, &Option<Arc<Weights>>)| match weights {
        Some(weights) => {
            Ok(crate::replay::Network { graph: model.graph.clone(), weights: weights.clone(), home: model.home })
        }
        None => Err(MeasureError::Unweighted { network: model.graph.name().to_owned() }),
    };
    let networks = Networks::new(models.map(network).collect::<Result<_, _>>()?, samples, case.seed)?;
    Ok(Hardware::start(platform, networks, settings)?)
}

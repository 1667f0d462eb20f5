//! What can be wrong with a plan: each rule that [`check`](super::check()) holds, with its message.

use super::{LaneId, StepId};
use crate::model::{OpKind, Region};
use crate::platform::Precision;
use crate::units::{Bytes, Share};

impl Violation {
    /// By how much the memory of a device is exceeded, if it is that.
    pub(crate) fn beyond_memory(&self) -> Option<Bytes> {
        let (needed, capacity) = match self {
            Violation::OutOfMemory { reserved, capacity, .. } => (*reserved, capacity),
            Violation::Overfull { weights, data, capacity, .. } => (*weights + *data, capacity),
            _ => return None,
        };
        Some(Bytes(needed.0.saturating_sub(capacity.0)))
    }

    /// The name of the memory that does not hold what should lie there, if that is what it is.
    pub(crate) fn memory(&self) -> Option<&str> {
        match self {
            Violation::OutOfMemory { memory, .. } | Violation::Overfull { memory, .. } => Some(memory),
            _ => None,
        }
    }
}

/// One broken rule of a plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// An index points at nothing.
    #[error("{place} names {what} {index}, and there are only {count}")]
    Unknown {
        /// Where the index stands.
        place: String,
        /// What it should be.
        what: &'static str,
        /// The index.
        index: u32,
        /// How many there are.
        count: usize,
    },
    /// Steps must only wait for earlier steps; this makes the plan acyclic.
    #[error("step {} waits for step {}, which does not come before it", step.0, on.0)]
    Forward {
        /// The waiting step.
        step: StepId,
        /// What it waits for.
        on: StepId,
    },
    /// Computing needs a device, a transfer a link, a join nothing.
    #[error("step {} does not fit its lane: {reason}", step.0)]
    Lane {
        /// The step.
        step: StepId,
        /// What does not fit.
        reason: &'static str,
    },
    /// A link is an in-order queue, so it has one lane.
    #[error("link `{link}` has {count} lanes, and transfers on a link wait for each other")]
    SharedLink {
        /// The link's name.
        link: String,
        /// How many lanes use it.
        count: usize,
    },
    /// A region must be a part of the layer's output.
    #[error("step {} covers {region}, which is empty or outside {model}'s {samples} samples and {rows} rows", step.0)]
    Region {
        /// The step.
        step: StepId,
        /// What it says it covers.
        region: Region,
        /// The model's name.
        model: String,
        /// Samples that there are.
        samples: u32,
        /// Rows that the layer has.
        rows: u32,
    },
    /// Inputs are present or transferred, never computed.
    #[error("step {} computes `{layer}` of {model}, which is an input", step.0)]
    ComputesInput {
        /// The step.
        step: StepId,
        /// The layer's name.
        layer: String,
        /// The model's name.
        model: String,
    },
    /// A segment must not wait for a layer that waits for it.
    #[error("step {} runs layers {segment} of {model}, which `{hole}` lies between", step.0)]
    NotConvex {
        /// The step.
        step: StepId,
        /// Its layers.
        segment: String,
        /// The model's name.
        model: String,
        /// The layer left out.
        hole: String,
    },
    /// Rows refer to the last layer; others that are read outside the segment would be incomplete.
    #[error("step {} splits the rows of layers {segment} of {model}, but `{exposed}` is read outside them too", step.0)]
    SplitOutputs {
        /// The step.
        step: StepId,
        /// Its layers.
        segment: String,
        /// The model's name.
        model: String,
        /// Another layer that is read outside.
        exposed: String,
    },
    /// Lanes hold whole compute units.
    #[error("a lane holds {} of `{device}`, no whole number of its {units} compute units", share.fraction())]
    PartOfUnit {
        /// The device's name.
        device: String,
        /// What the lane holds.
        share: Share,
        /// What the device has.
        units: u32,
    },
    /// The device lacks the operator.
    #[error("step {} runs `{layer}` of {model} on `{device}`, which does not support {kind:?} layers", step.0)]
    Unsupported {
        /// The step.
        step: StepId,
        /// The layer's name.
        layer: String,
        /// The model's name.
        model: String,
        /// The device's name.
        device: String,
        /// The operator's kind.
        kind: OpKind,
    },
    /// The device computes in other precisions only.
    #[error("step {} runs on `{device}` in {precision}, and it computes in {possible} only", step.0)]
    Precision {
        /// The first step on the device.
        step: StepId,
        /// The device's name.
        device: String,
        /// What it is to compute in.
        precision: Precision,
        /// What it can compute in.
        possible: String,
    },
    /// The device runs fewer samples at once.
    #[error("step {} runs {batch} samples at once on `{device}`, which runs {limit} at most", step.0)]
    BatchTooLarge {
        /// The step.
        step: StepId,
        /// The device's name.
        device: String,
        /// Samples of the step.
        batch: u32,
        /// The device's limit.
        limit: u32,
    },
    /// A dimension of what the device computes or reads is too large for it.
    #[error("step {} needs `{layer}` of {model} on `{device}`, where a dimension is {limit} at most, not {size}", step.0)]
    DimensionTooLarge {
        /// The step.
        step: StepId,
        /// The layer's name.
        layer: String,
        /// The model's name.
        model: String,
        /// The device's name.
        device: String,
        /// The largest dimension of the layer's output.
        size: u32,
        /// The device's limit.
        limit: u32,
    },
    /// The device keeps fewer loadables: each segment, number of samples and range of rows has its own.
    #[error("the steps on `{device}` need {count} loadables, and it keeps {limit} at most")]
    TooManyLoadables {
        /// The device's name.
        device: String,
        /// How many its steps need.
        count: usize,
        /// The device's limit.
        limit: u32,
    },
    /// Links have ends.
    #[error("step {} sends to `{to}`, where link `{link}` does not lead", step.0)]
    WrongWay {
        /// The step.
        step: StepId,
        /// The receiver's name.
        to: String,
        /// The link's name.
        link: String,
    },
    /// Shares of a device exceed the whole.
    #[error("lanes of `{device}` reserve {:.2} % of it", f64::from(*basis_points) / 100.0)]
    Oversubscribed {
        /// The device's name.
        device: String,
        /// Their sum in hundredths of a percent.
        basis_points: u32,
    },
    /// More is reserved of a memory than there is.
    #[error("lanes of `{memory}` reserve {} B of its {} B", reserved.0, capacity.0)]
    OutOfMemory {
        /// The memory's name.
        memory: String,
        /// The sum of what lanes of its users reserve.
        reserved: Bytes,
        /// What it can hold.
        capacity: Bytes,
    },
    /// What lies in a memory at one time exceeds it.
    #[error(
        "`{memory}` holds {} B at one time, weights of {} B and data of {} B, and has {} B",
        weights.0.saturating_add(data.0), weights.0, data.0, capacity.0
    )]
    Overfull {
        /// The memory's name.
        memory: String,
        /// Weights of all that its users run.
        weights: Bytes,
        /// Activations, and data that waits to be read or sent.
        data: Bytes,
        /// What it can hold.
        capacity: Bytes,
    },
    /// A lane runs more than it reserved memory for.
    #[error("lane {} reserves {} B, but its steps need {} B", lane.0, reserved.0, needed.0)]
    WorkingSet {
        /// The lane.
        lane: LaneId,
        /// What it reserves.
        reserved: Bytes,
        /// Weights of all its layers and its largest activations.
        needed: Bytes,
    },
    /// Data is not where it is read.
    #[error("step {} reads {region} of `{layer}` of {model} on `{device}`, which no step it waits for put there", step.0)]
    MissingInput {
        /// The step.
        step: StepId,
        /// The part that is not there.
        region: Region,
        /// The layer's name.
        layer: String,
        /// The model's name.
        model: String,
        /// The device's name.
        device: String,
    },
    /// Something is computed twice.
    #[error("steps {} and {} both compute `{layer}` of {model} for {region}", first.0, second.0)]
    ComputedTwice {
        /// The one step.
        first: StepId,
        /// The other.
        second: StepId,
        /// The layer's name.
        layer: String,
        /// The model's name.
        model: String,
        /// What both compute.
        region: Region,
    },
    /// A part of the result is missing.
    #[error("no step computes {region} of the output of {model}")]
    NotComputed {
        /// The part.
        region: Region,
        /// The model's name.
        model: String,
    },
    /// A part of the result stays away.
    #[error("{region} of the output of {model} does not come back to `{home}`")]
    NotReturned {
        /// The part.
        region: Region,
        /// The model's name.
        model: String,
        /// Where it belongs.
        home: String,
    },
}

//! What a device computes in, and the sizes that it accepts.
//!
//! Facts of the hardware and of the software that drives it, as data: a scenario may state others.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::DeviceKind;
use crate::model::OpKind;

/// The numbers that a device computes with.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// Floats of 32 bits.
    #[default]
    Fp32,
    /// Floats of 16 bits, where a layer can be computed so.
    Fp16,
    /// Integers of 8 bits, where a layer can be computed so.
    Int8,
}

impl Precision {
    /// All of them, most exact first.
    pub const ALL: [Precision; 3] = [Precision::Fp32, Precision::Fp16, Precision::Int8];

    /// Its name in scenarios and traces.
    pub const fn name(self) -> &'static str {
        match self {
            Precision::Fp32 => "fp32",
            Precision::Fp16 => "fp16",
            Precision::Int8 => "int8",
        }
    }

    /// Bytes of a number.
    pub const fn bytes(self) -> u64 {
        match self {
            Precision::Fp32 => 4,
            Precision::Fp16 => 2,
            Precision::Int8 => 1,
        }
    }

    /// A device that computes in it, such as `gpu` or, unless it is fp32, `gpu at fp16`.
    pub fn of(self, device: &str) -> String {
        if self == Precision::Fp32 { device.to_owned() } else { format!("{device} at {self}") }
    }

    /// The precision of this name.
    pub fn find(name: &str) -> Option<Precision> {
        Precision::ALL.into_iter().find(|precision| precision.name() == name)
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a device accepts; `None` is no limit.
///
/// Shapes are static where loadables are limited: a segment over another number of samples is another loadable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Precisions that it can compute in.
    pub precisions: Option<BTreeSet<Precision>>,
    /// Most samples of a step.
    pub batch_max: Option<u32>,
    /// Most channels, rows or columns of a layer's input or output.
    pub dimension_max: Option<u32>,
    /// Most loadables: segments compiled for a region of one shape.
    pub loadables_max: Option<u32>,
}

impl DeviceKind {
    /// What devices of this kind accept, if nobody says otherwise.
    ///
    /// Of a DLA: NVIDIA, TensorRT documentation, "DLA Supported Layers and Restrictions", general restrictions.
    pub fn limits(self) -> Limits {
        match self {
            DeviceKind::Dla => Limits {
                precisions: Some(BTreeSet::from([Precision::Fp16, Precision::Int8])),
                batch_max: Some(4096),
                dimension_max: Some(8192),
                loadables_max: Some(16),
            },
            DeviceKind::Cpu | DeviceKind::Igpu | DeviceKind::Gpu | DeviceKind::Board => Limits::default(),
        }
    }

    /// Operators that devices of this kind cannot run, if nobody says otherwise.
    ///
    /// Of a DLA: those that the same documentation does not list for Xavier. It lists fully connected layers.
    pub fn unsupported(self) -> BTreeSet<OpKind> {
        match self {
            DeviceKind::Dla => {
                BTreeSet::from([OpKind::Reshape, OpKind::Softmax, OpKind::SpaceToDepth, OpKind::Lstm, OpKind::Gru])
            }
            DeviceKind::Cpu | DeviceKind::Igpu | DeviceKind::Gpu | DeviceKind::Board => BTreeSet::new(),
        }
    }
}

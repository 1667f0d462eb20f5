//! The precisions and sizes that a device accepts.
//!
//! Facts of the hardware and of the software that drives it, as data: a scenario may state others.

use std::collections::BTreeSet;

use super::DeviceKind;
use crate::model::{OpKind, Precision};

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

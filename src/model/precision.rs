//! The numbers that layers are computed in.

use std::fmt;

use serde::{Deserialize, Serialize};

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

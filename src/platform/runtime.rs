//! What runs the steps of a device where a plan is profiled or replayed, as data: nothing here is opened or started.

use std::collections::BTreeSet;
use std::fmt;

use super::Precision;

/// What runs the steps of a device. Simulations do not look at it.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Runtime {
    /// Nothing: it is simulated only.
    #[default]
    Simulated,
    /// Nothing either: in a replay, its steps take the time that is predicted for them.
    Mock,
    /// Cores of this machine.
    Cores(Cores),
    /// A device of another machine, by the agent that runs there.
    Agent(AgentAddress),
    /// A unit of this board that TensorRT runs.
    Tensorrt(TensorrtUnit),
}

impl Runtime {
    /// Whether hardware is to run the device.
    pub fn is_hardware(&self) -> bool {
        !matches!(self, Runtime::Simulated | Runtime::Mock)
    }

    /// The cores of this machine that the device is.
    pub fn cores(&self) -> Option<&Cores> {
        if let Runtime::Cores(cores) = self { Some(cores) } else { None }
    }

    /// The agent that the device is.
    pub fn agent(&self) -> Option<&AgentAddress> {
        if let Runtime::Agent(address) = self { Some(address) } else { None }
    }

    /// The unit that the device is, if TensorRT runs it.
    pub fn tensorrt(&self) -> Option<&TensorrtUnit> {
        if let Runtime::Tensorrt(unit) = self { Some(unit) } else { None }
    }

    /// What traces record of it, as far as that is known before anything is opened: an agent says it itself.
    pub fn recorded(&self) -> Option<String> {
        match self {
            Runtime::Simulated | Runtime::Mock | Runtime::Agent(_) => None,
            Runtime::Cores(cores) => Some(cores.to_string()),
            Runtime::Tensorrt(unit) => Some(unit.to_string()),
        }
    }
}

/// Cores that are one device.
#[derive(Clone, Debug, PartialEq)]
pub struct Cores {
    /// Which cores, not empty.
    pub cores: Vec<usize>,
    /// Threads that compute together.
    pub threads: usize,
    /// How many times as long as on these cores each step takes; 1 or more.
    pub slowed: f64,
}

impl fmt::Display for Cores {
    /// As traces record it: `1 thread on core 0, slowed 2 times`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = |count: usize| if count == 1 { "" } else { "s" };
        let cores: Vec<String> = self.cores.iter().map(ToString::to_string).collect();
        let (threads, count) = (self.threads, cores.len());
        write!(f, "{threads} thread{} on core{} {}", plural(threads), plural(count), cores.join(","))?;
        if self.slowed > 1.0 {
            write!(f, ", slowed {:?} times", self.slowed)?;
        }
        Ok(())
    }
}

/// Where the agent of a device is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentAddress {
    /// Host and port.
    pub address: String,
    /// The name in its certificate, if it is not the host's.
    pub server_name: Option<String>,
}

/// A unit of this board that TensorRT runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TensorrtUnit {
    /// The number of the DLA; the GPU if `None`.
    pub dla_core: Option<u32>,
    /// Whether the GPU runs what a DLA does not support.
    pub gpu_fallback: bool,
    /// In what it computes, at most.
    pub precision: Precision,
}

impl fmt::Display for TensorrtUnit {
    /// As traces record it: `TensorRT on DLA core 0 with GPU fallback, fp16`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fallback = if self.gpu_fallback { " with GPU fallback" } else { "" };
        let precision = self.precision;
        match self.dla_core {
            Some(core) => write!(f, "TensorRT on DLA core {core}{fallback}, {precision}"),
            None => write!(f, "TensorRT on the GPU, {precision}"),
        }
    }
}

/// A core with a higher number is a mistake.
pub const CORE_MAX: usize = 1023;

/// The cores that a text such as `0`, `0-3` or `0,2` names, in ascending order; `None` unless each is named once.
pub fn parse_cores(text: &str) -> Option<Vec<usize>> {
    let mut cores = BTreeSet::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (usize, usize) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        if first > last || last > CORE_MAX || !(first..=last).all(|core| cores.insert(core)) {
            return None;
        }
    }
    Some(cores.into_iter().collect())
}

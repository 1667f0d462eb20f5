//! Why something could not be measured.

use crate::replay::BackendError;
use crate::scenario::Diagnostics;

/// Why something could not be measured.
#[derive(Debug, thiserror::Error)]
pub enum MeasureError {
    /// Only the sizes of a network are known.
    #[error(
        "{network} is known by its sizes only and cannot be run; name its layers by `zoo` or `onnx`, or use \
         --backend mock"
    )]
    Unweighted {
        /// Its name.
        network: String,
    },
    /// No network of a scenario has layers.
    #[error("no model of the scenario has layers; name one by `zoo` or `onnx`")]
    NoNetworks,
    /// No device of a scenario is hardware that a profile can be taken of.
    #[error(
        "no device of the scenario says what runs it; write `cpu = {{ cores = \"0\" }}`, \
         `agent = {{ address = \"10.0.0.2:7071\" }}`, or `tensorrt = {{}}`"
    )]
    NoHardware,
    /// No network has these layers.
    #[error(
        "no network computes `{layers}`, as FIRST..LAST in this order; `coinfer models NAME` lists the layers of one"
    )]
    NoSegment {
        /// As the user named them.
        layers: String,
    },
    /// What times engines one by one cannot run them cold.
    #[error("trtexec warms up and repeats what it times: leave --cold out, or devices of TensorRT")]
    NeverCold,
    /// A device cannot run a network.
    #[error("{network} cannot be profiled: {reason}")]
    Unprofiled {
        /// Its name.
        network: String,
        /// What stands in the way.
        reason: String,
    },
    /// Hardware breaks by itself.
    #[error("hardware breaks by itself: a replay has no `faults`; leave them out with `--set 'faults=[]'`")]
    Faults,
    /// Only offline loads are replayed.
    #[error(
        "only offline loads are replayed, and the scenario has a `{load}` one; use for example \
         `--set 'load={{ offline = {{ samples = {samples} }} }}'`"
    )]
    Load {
        /// The load's name.
        load: &'static str,
        /// Samples that it has.
        samples: u32,
    },
    /// Hardware did not do what was asked of it.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// A point of the scenario's sweep has faults.
    #[error("{0}")]
    Input(#[from] Diagnostics),
}

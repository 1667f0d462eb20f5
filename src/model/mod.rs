//! What is computed: networks as graphs of layers, and the parts of them that devices execute.
//!
//! Shapes, halos, byte counts and working sets are derived here from the graph.
//! Nothing here knows how long anything takes.

mod coverage;
mod graph;
pub mod onnx;
mod op;
mod precision;
mod sizes;
mod units;
mod weights;
mod work;
pub mod zoo;

pub use coverage::Coverage;
pub use graph::{Graph, GraphError, Layer};
pub use op::{Activation, Conv, Op, OpKind, Parameter, Pooling, Shape, Steps, Window};
pub use precision::Precision;
pub use sizes::Sizes;
pub use units::{unit_name, units};
pub use weights::Weights;
pub(crate) use work::count_samples;
pub use work::{Region, Segment, SegmentError, Work};

use serde::{Deserialize, Serialize};

/// Index of a layer in its graph's topological order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LayerId(pub u32);

/// Index of a model in the problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ModelId(pub u32);

//! Closed formulas of queueing theory that the engine is held against.
//!
//! Times are in any one unit and rates are per that unit, since a formula does not care which. A mean that does not
//! exist, because more comes than can be served, is infinite.

mod batching;
mod networks;
mod queues;

pub use batching::{dynamic_batching, dynamic_batching_limited};
pub use networks::{Closed, closed_network, tandem};
pub use queues::{Lossy, batch_md1, md1, mg1, mg1_ps, mm1, mm1_quantile, mm1k, mmc};

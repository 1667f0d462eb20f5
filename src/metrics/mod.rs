//! What runs come to: figures of plans, queries and replays, computed from timelines; nothing here writes or prints.

mod boards;
mod compared;
#[cfg(test)]
pub(crate) mod example;
mod floor;
mod outcome;
mod replay;
mod replication;
mod service;
mod summary;
mod warm_up;

pub use boards::{Lost, RemoteDevice};
pub use compared::{Compared, compared_with_best};
pub use floor::NoiseFloor;
pub use outcome::{Failure, Outcome};
pub use replay::{Comparison, Replay, Replayed, Verdict};
pub(crate) use replay::{DIFFERENCE_MAX, relative};
pub(crate) use replication::window_start;
pub use replication::{MovedPages, QueryFigures, Replication, WarmUpEnd};
pub use service::{Chance, Percentiles, Service};
pub use summary::Summary;
pub use warm_up::CommonWarmUp;

//! Metrics of timelines.

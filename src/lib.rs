#![doc = include_str!("architecture.md")]

pub mod cli;
pub mod cost;
pub mod engine;
pub mod evaluate;
mod execute;
pub mod figures;
pub mod measure;
pub mod metrics;
pub mod model;
pub mod output;
pub mod plan;
pub mod platform;
pub mod problem;
pub mod replay;
pub mod scenario;
pub mod statistics;
pub mod strategy;
pub mod theory;
pub mod timeline;
pub mod units;

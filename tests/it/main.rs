//! Everything that is tested from outside the crate, in one binary.

mod calibrate;
mod cli;
mod conformance;
mod crew;
mod engine;
mod evidence;
mod exact;
mod fixture;
mod forms;
mod import;
mod networks;
mod plan_check;
mod profile;
mod reference;
mod replay;
mod report;
mod scenario;
mod service;
mod serving;
mod shards;
mod star;
mod statistics;
mod strategies;
mod sweep;
mod theory;
mod tidy;

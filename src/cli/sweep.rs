//! `coinfer sweep`: simulates a scenario at every point of its sweep, several points at a time.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::PathBuf;

use clap::Args;
use rayon::prelude::*;

use super::evaluate::{Evaluated, evaluate};
use super::results::Results;
use super::run::Format;
use super::{Error, ScenarioArgs, Terminal};
use crate::report::{Failure, Outcome, ResultRow, results_csv};
use crate::report::{plot, sweep_json, sweep_table};
use crate::scenario::Scenario;

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  coinfer sweep scenarios/kcc2020-vgg16-sweep.toml\n  \
                        coinfer sweep scenarios/kcc2020-vgg16.toml --set load.offline.samples=1..=256*2 --jobs 2")]
pub(super) struct Sweep {
    #[command(flatten)]
    scenario: ScenarioArgs,
    /// Points simulated at a time; all cores if absent
    #[arg(short, long, value_name = "N")]
    jobs: Option<NonZeroUsize>,
    /// What to print on standard output
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Folder for results; they go to DIR/<scenario>/sweep-<run>
    #[arg(long, value_name = "DIR", default_value = "results")]
    out: PathBuf,
}

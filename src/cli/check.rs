//! `coinfer check`: whether a scenario, its traces and a plan are sound, without running anything.

use std::path::PathBuf;

use clap::Args;

use super::replay::read_plan;
use super::{Error, ScenarioArgs, Terminal};
use crate::scenario::Scenario;

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  coinfer check scenarios/kcc2020-vgg16.toml\n  \
                        coinfer check scenarios/kcc2020-vgg16.toml --plan plan.json")]
pub(super) struct Check {
    #[command(flatten)]
    scenario: ScenarioArgs,
    /// Also check a plan that `coinfer plan` wrote or that you made
    #[arg(long, value_name = "FILE")]
    plan: Option<PathBuf>,
}

impl Check {
    pub(super) fn execute(self, terminal: &Terminal) -> Result<(), Error> {
        let scenario = Scenario::read(&self.scenario.scenario, &self.scenario.overrides)?;
        let case = scenario.case()?;
        let points = scenario.points()?.len();
        for note in &case.notes {
            terminal.tell(&format!("note: {note}"));
        }
        if let Some(path) = &self.plan {
            read_plan(path, &case.problem)?;
        }
        let platform = &case.problem.platform;
        terminal.print(format!(
            "{}: sound ({} devices, {} models, {} strategies, {} points)\n",
            scenario.name(),
            platform.devices.len(),
            case.problem.models.len(),
            case.strategies.len(),
            points
        ))?;
        Ok(())
    }
}

//! `coinfer check`: whether a scenario, its traces and a plan are sound, without running anything.

use std::path::{Path, PathBuf};

use clap::Args;

use super::file::read_whole;
use super::{Error, ScenarioArgs, Terminal};
use crate::plan;
use crate::problem::Problem;
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
            check_plan(path, &case.problem)?;
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

fn check_plan(path: &Path, problem: &Problem) -> Result<(), Error> {
    let shown = path.display();
    let text = read_whole(path).map_err(Error::Usage)?;
    let found: plan::Plan = serde_json::from_slice(&text)
        .map_err(|error| Error::Usage(format!("`{shown}` is not a plan: {error}; `coinfer plan` writes one")))?;
    plan::check(found, problem).map(drop).map_err(|violations| {
        let lines: Vec<String> = violations.iter().map(|violation| format!("\n  {violation}")).collect();
        Error::Usage(format!("`{shown}` is no plan for this scenario:{}", lines.concat()))
    })
}

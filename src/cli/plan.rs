//! `coinfer plan`: the plan of one strategy, to read, keep or change.

use std::path::PathBuf;

use clap::Args;

use super::file::write_whole;
use super::{Error, ScenarioArgs, Terminal};
use crate::evaluate::planned;
use crate::output::plan_json;
use crate::scenario::Scenario;

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  coinfer plan scenarios/kcc2020-vgg16.toml --strategy greedy\n  \
                        coinfer plan scenarios/kcc2020-vgg16.toml --strategy exact -o plan.json")]
pub(super) struct Plan {
    #[command(flatten)]
    scenario: ScenarioArgs,
    /// Name of the strategy; the scenario's first if absent
    #[arg(long, value_name = "NAME")]
    strategy: Option<String>,
    /// Write the plan to a file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

impl Plan {
    pub(super) fn execute(self, terminal: &Terminal) -> Result<(), Error> {
        let scenario = Scenario::read(&self.scenario.scenario, &self.scenario.overrides)?;
        let case = scenario.case()?;
        let entry = match &self.strategy {
            None => case.strategies.first(),
            Some(name) => case.strategies.iter().find(|entry| entry.name == *name),
        };
        let Some(entry) = entry else {
            let names: Vec<&str> = case.strategies.iter().map(|entry| entry.name.as_str()).collect();
            return Err(Error::Usage(format!(
                "the scenario has no strategy `{}`; it has {}",
                self.strategy.unwrap_or_default(),
                names.join(", ")
            )));
        };
        let plan = planned(&case.problem, entry.strategy.as_ref(), None)
            .map_err(|error| Error::Failed(format!("{}: {error}", entry.name)))?
            .plan;
        let json = plan_json(&plan);
        match &self.output {
            None => terminal.print(&json)?,
            Some(path) => write_whole(path, &json)?,
        }
        Ok(())
    }
}

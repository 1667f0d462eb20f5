//! `coinfer run`: simulates every strategy of a scenario once and compares them.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::evaluate::{Evaluated, evaluate};
use super::replay::{self, Candidate, ReplayArgs, Replays, replay};
use super::replicate::Replicated;
use super::results::Results;
use super::{Error, ScenarioArgs, Terminal};
use crate::plan::Plan;
use crate::problem::Load;
use crate::report::plot;
use crate::report::{Compared, Failure, Outcome, ResultRow, Summary, compared_with_best, latency_csv, queries_csv};
use crate::report::{
    plan_json, replay_table, replayed_summary_json, results_csv, slugs, summary_json, table, timeline_csv,
    timeline_json,
};
use crate::scenario::{Case, Scenario};

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  coinfer run scenarios/kcc2020-vgg16.toml\n  \
                        coinfer run scenarios/kcc2020-vgg16.toml --set load.offline.samples=100 --format json\n  \
                        coinfer run scenarios/kcc2020-vgg16-server.toml --set load.server.arrivals.poisson.rate=40/s")]
pub(super) struct Run {
    #[command(flatten)]
    scenario: ScenarioArgs,
    /// What to print on standard output
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Folder for results; they go to DIR/<scenario>/<run>
    #[arg(long, value_name = "DIR", default_value = "results")]
    out: PathBuf,
    /// Also run each plan on the cores of this machine, and compare the times with the prediction
    #[arg(long)]
    replay: bool,
    #[command(flatten)]
    options: ReplayArgs,
}

/// What is printed on standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people, in 80 columns
    Table,
    /// One line a result
    Csv,
    /// One object
    Json,
}

impl Run {
    pub(super) fn execute(self, terminal: &Terminal) -> Result<(), Error> {
        let ScenarioArgs { scenario: path, overrides } = &self.scenario;
        let scenario = Scenario::read(path, overrides)?;
        let case = scenario.case()?;
        if self.replay {
            replay::check_load(&case.problem)?;
        }
        let (prefix, options) = if self.replay { ("replay-", self.options.settings()) } else { ("", vec![]) };
        let results = Results::begin(&self.out, prefix, "run", &scenario, &[overrides.as_slice(), &options].concat())?;
        let evaluated = evaluate(&case, Some(terminal));
        let summary = summarise(scenario.name(), &case, &evaluated);
        write_results(&results, &case, &evaluated, &summary)?;
        let replays =
            if self.replay { Some(self.replay(&results, &scenario, &case, &evaluated, terminal)?) } else { None };
        let folder = results.commit()?;
        terminal.print(match self.format {
            Format::Table => table(&summary, terminal.is_bold()).into_bytes(),
            Format::Csv => results_csv(&rows(&evaluated)),
            Format::Json => match &replays {
                Some(replays) => replayed_summary_json(&summary, &replays.replay),
                None => summary_json(&summary),
            }
            .into_bytes(),
        })?;
        if let (Some(replays), Format::Table) = (&replays, self.format) {
            terminal.print(format!("\n{}", replay_table(&replays.replay, terminal.is_bold())))?;
        }
        terminal.tell(&format!("results in {}", folder.display()));
        let reason = |Failure { strategy, reason }: &Failure| format!("{strategy}: {reason}");
        let reasons: Vec<String> = summary.failures.iter().map(reason).collect();
        if reasons.is_empty() { Ok(()) } else { Err(Error::Failed(reasons.join("\nerror: "))) }
    }
}

impl Run {
    fn replay(
        &self,
        results: &Results,
        scenario: &Scenario,
        case: &Case,
        evaluated: &Evaluations,
        terminal: &Terminal,
    ) -> Result<Replays, Error> {
        let candidates: Vec<Candidate<'_>> = evaluated.iter().flatten().map(Candidate::from).collect();
        let replays = replay(scenario.name(), case, &candidates, &self.options, terminal)?;
        replay::write_results(results, &case.problem, &candidates, &replays)?;
        Ok(replays)
    }
}

type Evaluations = [Result<Evaluated, Failure>];

fn summarise(name: &str, case: &Case, evaluated: &Evaluations) -> Summary {
    Summary {
        scenario: name.to_owned(),
        outcomes: evaluated.iter().filter_map(|run| Some(run.as_ref().ok()?.outcome.clone())).collect(),
        failures: evaluated.iter().filter_map(|run| run.as_ref().err().cloned()).collect(),
        notes: case.notes.iter().cloned().chain(uncertainties(evaluated)).chain(comparisons(case, evaluated)).collect(),
        contention: case.problem.contention,
        baseline: baseline_name(case),
    }
}

/// What speed-ups are over.
pub(super) fn baseline_name(case: &Case) -> String {
    let device = match case.baseline.device {
        Some(device) => &case.problem.platform.device(device).name,
        None => "the fastest device",
    };
    let at_hand = if case.baseline.is_at_hand { ", with its data at hand" } else { "" };
    format!("{device} alone{at_hand}")
}

/// How the strategies compare with the best of them, in the same random worlds.
fn comparisons(case: &Case, evaluated: &Evaluations) -> Vec<String> {
    let with_chance = evaluated.iter().flatten().filter_map(|run| Some((&run.outcome, run.replicated.as_ref()?)));
    let runs: Vec<Compared<'_>> = with_chance
        .map(|(outcome, replicated)| Compared { strategy: &outcome.strategy, figures: &replicated.compared })
        .collect();
    let is_offline = matches!(case.problem.load, Load::Offline { .. });
    compared_with_best(if is_offline { "the makespan" } else { "the mean latency" }, &runs)
}

/// What is not known as well as was asked for.
fn uncertainties(evaluated: &Evaluations) -> Vec<String> {
    let outcomes = evaluated.iter().flatten().map(|run| &run.outcome);
    let of_outcome = |outcome: &Outcome| {
        let missed = outcome.chance.iter().flat_map(|chance| &chance.missed);
        missed.map(|missed| format!("{}: {missed}", outcome.strategy)).collect::<Vec<_>>()
    };
    outcomes.flat_map(of_outcome).collect()
}

fn rows(evaluated: &Evaluations) -> Vec<ResultRow<'_>> {
    let row = |run| ResultRow { settings: &[], result: Result::as_ref(run).map(|run: &Evaluated| &run.outcome) };
    evaluated.iter().map(row).collect()
}

fn write_results(results: &Results, case: &Case, evaluated: &Evaluations, summary: &Summary) -> Result<(), Error> {
    let runs: Vec<&Evaluated> = evaluated.iter().filter_map(|run| run.as_ref().ok()).collect();
    let folders = slugs(runs.iter().map(|run| run.outcome.strategy.as_str()));
    for (run, folder) in runs.iter().zip(folders) {
        let Evaluated { plan, timeline, estimates, outcome, replicated } = run;
        let title = format!("{}: {}", summary.scenario, outcome.strategy);
        results.write(&format!("{folder}/plan.json"), plan_json(plan))?;
        let (plan, timeline, estimates): (&Plan, _, _) = match replicated {
            Some(Replicated { recorded: (plan, timeline, estimates), .. }) => (plan, timeline, estimates),
            None => (plan, timeline, estimates),
        };
        results.write(&format!("{folder}/timeline.csv"), timeline_csv(&case.problem, plan, timeline, estimates))?;
        results.write(&format!("{folder}/timeline.json"), timeline_json(&case.problem, plan, timeline))?;
        if let Some(Replicated { queries, latencies, .. }) = replicated
            && !queries.is_empty()
        {
            results.write(&format!("{folder}/queries.csv"), queries_csv(queries))?;
            results.write(&format!("{folder}/latency.csv"), latency_csv(latencies))?;
        }
        results.write(
            &format!("{folder}/timeline.svg"),
            plot::timeline_svg(&title, &plot::timeline_rows(&case.problem, plan, timeline), plot::Width::Page),
        )?;
    }
    results.write("summary.json", summary_json(summary))?;
    results.write("results.csv", results_csv(&rows(evaluated)))?;
    if runs.iter().any(|run| run.replicated.is_some()) {
        return Ok(());
    }
    let finish_times = plot::finish_rows(&summary.outcomes);
    results.write("finish-times.csv", plot::finish_times_csv(&finish_times))?;
    results.write("finish-times.svg", plot::finish_times_svg(&summary.scenario, &finish_times, plot::Width::Page))?;
    Ok(())
}

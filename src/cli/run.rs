//! `coinfer run`: simulates every strategy of a scenario once and compares them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::replay::{self, ReplayArgs, replay, said_at_last};
use super::results::Results;
use super::stopwatch::Stopwatch;
use super::{Error, ScenarioArgs, Terminal};
use crate::engine::needs_above_memory;
use crate::evaluate::{Evaluated, Reference, Replicated, note_regrets};
use crate::figures::{Width, finish_times_svg, timeline_svg};
use crate::measure::{Candidate, Replays, check_load};
use crate::metrics::{Compared, Failure, Lost, Outcome, Summary, compared_with_best};
use crate::output::{ResultRow, latency_csv, queries_csv};
use crate::output::{finish_rows, finish_times_csv, timeline_rows};
use crate::output::{
    plan_json, replay_json, replay_table, replayed_summary_json, results_csv, slugs, summary_json, table, timeline_csv,
    timeline_json,
};
use crate::plan::Plan;
use crate::platform::{DeviceId, Runtime};
use crate::problem::{Change, Condition, Load};
use crate::scenario::{Case, Entry, Scenario};
use crate::statistics::values_needed;

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
            check_load(&case.problem)?;
        }
        let (prefix, options) = if self.replay { ("replay-", self.options.settings()) } else { ("", vec![]) };
        let results = Results::begin(&self.out, prefix, "run", &scenario, &[overrides.as_slice(), &options].concat())?;
        let evaluated = evaluate(&case, terminal);
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
        match replays.map_or(Ok(()), |replays| said_at_last(replays.replay, &folder)) {
            Ok(()) | Err(Error::Inconclusive(_)) if !reasons.is_empty() => {
                Err(Error::Failed(reasons.join("\nerror: ")))
            }
            said => said,
        }
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
        let mut replays = replay(scenario.name(), case, &candidates, &self.options, terminal)?;
        replay::write_results(results, &case.problem, &candidates, &replays)?;
        let mut condition = Condition::healthy(&case.problem.platform);
        while let Some(lost) = next_lost(&replays).filter(|_| self.options.replans()) {
            let Some(without) = without(scenario, &lost.device, &mut condition)? else {
                let note = format!("`{}` has the inputs: nothing can be planned without it", lost.device);
                replays.replay.notes.push(note);
                break;
            };
            terminal.tell(&format!("`{}` was lost ({}); planning again without it", lost.device, lost.reason));
            match self.replay_without(results, scenario, &without, &condition, &mut replays, terminal) {
                Ok(()) => {}
                // What was measured before stays.
                Err(Error::Usage(reason) | Error::Failed(reason)) => {
                    replays.replay.notes.push(format!("it could not go on without `{}`: {reason}", lost.device));
                    break;
                }
                Err(error) => return Err(error),
            }
        }
        replays.replay = replays.replay.judged();
        results.write("replay.json", replay_json(&replays.replay))?;
        Ok(replays)
    }

    /// Plans for what is left under `condition`, and adds the replays of that to `replays`.
    fn replay_without(
        &self,
        results: &Results,
        scenario: &Scenario,
        case: &Case,
        condition: &Condition,
        replays: &mut Replays,
        terminal: &Terminal,
    ) -> Result<(), Error> {
        let platform = &case.problem.platform;
        let lost = platform.device_ids().filter(|&device| !condition.has(device));
        let lost: Vec<&str> = lost.map(|device| platform.device(device).name.as_str()).collect();
        let suffix = format!(" without {}", lost.join(" and "));
        let evaluated = evaluate(case, terminal);
        let names: Vec<String> =
            evaluated.iter().flatten().map(|run| format!("{}{suffix}", run.outcome.strategy)).collect();
        let runs = evaluated.iter().flatten().zip(&names);
        let candidates: Vec<Candidate<'_>> =
            runs.map(|(run, name)| Candidate { strategy: name, plan: &run.plan, estimates: &run.estimates }).collect();
        for (candidate, folder) in candidates.iter().zip(slugs(names.iter().map(String::as_str))) {
            results.write(&format!("{folder}/plan.json"), plan_json(candidate.plan))?;
        }
        let mut further = replay(scenario.name(), case, &candidates, &self.options, terminal)?;
        let failures = evaluated.iter().filter_map(|run| run.as_ref().err());
        further
            .replay
            .notes
            .extend(failures.map(|Failure { strategy, reason }| format!("no plan of {strategy}{suffix}: {reason}")));
        replay::write_results(results, &case.problem, &candidates, &further)?;
        replays.go_on(further);
        Ok(())
    }
}

/// The device that was lost last, unless all was planned again without it.
fn next_lost(replays: &Replays) -> Option<Lost> {
    replays.replay.lost.last().filter(|lost| !lost.is_replanned).cloned()
}

/// The case that is left of `scenario` when the device called `name` is gone too; `None` if it has the inputs.
fn without(scenario: &Scenario, name: &str, condition: &mut Condition) -> Result<Option<Case>, Error> {
    let mut case = scenario.case()?;
    let platform = &case.problem.platform;
    let gone = platform.device_ids().find(|&device| platform.device(device).name == name);
    let gone = gone.expect("a device of the platform was lost");
    if case.problem.models.iter().any(|model| model.home == Some(gone)) {
        return Ok(None);
    }
    condition.apply(Change::Out { device: gone });
    case.problem = case.problem.under(condition);
    for (index, device) in case.problem.platform.devices.iter_mut().enumerate() {
        if !condition.has(DeviceId(index as u32)) {
            device.runtime = Runtime::Simulated;
        }
    }
    Ok(Some(case))
}

type Evaluations = [Result<Evaluated, Failure>];

/// Each strategy's result, in the order of the scenario; `terminal` hears how long each took.
fn evaluate(case: &Case, terminal: &Terminal) -> Vec<Result<Evaluated, Failure>> {
    let reference = Reference::of(case);
    let evaluate = |entry: &Entry| {
        let watch = Stopwatch::start();
        let result = reference.evaluate(case, entry).map_err(|error| Failure::new(&entry.name, &error));
        terminal.tell_more(|| format!("{}: planned and simulated in {:.1?}", entry.name, watch.elapsed()));
        result
    };
    let mut results: Vec<_> = case.strategies.iter().map(evaluate).collect();
    note_regrets(&case.problem, &mut results);
    results
}

fn summarise(name: &str, case: &Case, evaluated: &Evaluations) -> Summary {
    Summary {
        scenario: name.to_owned(),
        outcomes: evaluated.iter().filter_map(|run| Some(run.as_ref().ok()?.outcome.clone())).collect(),
        failures: evaluated.iter().filter_map(|run| run.as_ref().err().cloned()).collect(),
        notes: case
            .notes
            .iter()
            .cloned()
            .chain(needs(case, evaluated))
            .chain(uncertainties(evaluated))
            .chain(too_few(evaluated))
            .chain(comparisons(case, evaluated))
            .collect(),
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

/// Which devices are said to need more of a memory than that delivers.
fn needs(case: &Case, evaluated: &Evaluations) -> Vec<String> {
    let mut most: BTreeMap<DeviceId, u64> = BTreeMap::new();
    for run in evaluated.iter().flatten() {
        for (device, need) in needs_above_memory(&case.problem, &run.plan, &run.estimates) {
            let known = most.entry(device).or_default();
            *known = need.max(*known);
        }
    }
    let of_device = |(device, need): (DeviceId, u64)| {
        let name = &case.problem.platform.device(device).name;
        let giga = need as f64 / 1e9;
        format!("`{name}` would move {giga:.1} GB/s alone, more than its memory delivers; state its `traffic`")
    };
    most.into_iter().map(of_device).collect()
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

/// Percentiles that rest on fewer queries than they need.
fn too_few(evaluated: &Evaluations) -> Vec<String> {
    let needed = values_needed(0.99);
    let of_outcome = |outcome: &Outcome| {
        let percentiles = outcome.service.as_ref()?.percentiles.filter(|found| found.queries < needed)?;
        let (strategy, queries) = (&outcome.strategy, percentiles.queries);
        // Rank 0.99 times their number, rounded up.
        let longest = if queries < 100 { ", of which it is the longest" } else { "" };
        Some(format!(
            "{strategy}: the 99th percentile is that of {queries} queries{longest}; {needed} are needed to be sure"
        ))
    };
    evaluated.iter().flatten().filter_map(|run| of_outcome(&run.outcome)).collect()
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
            let networks: Vec<&str> = outcome.networks.iter().map(|(network, _)| network.as_str()).collect();
            results.write(&format!("{folder}/queries.csv"), queries_csv(queries, &networks))?;
            results.write(&format!("{folder}/latency.csv"), latency_csv(latencies))?;
        }
        results.write(
            &format!("{folder}/timeline.svg"),
            timeline_svg(&title, &timeline_rows(&case.problem, plan, timeline), Width::Page),
        )?;
    }
    results.write("summary.json", summary_json(summary))?;
    results.write("results.csv", results_csv(&rows(evaluated)))?;
    if runs.iter().any(|run| run.replicated.is_some()) {
        return Ok(());
    }
    let finish_times = finish_rows(&summary.outcomes);
    results.write("finish-times.csv", finish_times_csv(&finish_times))?;
    results.write("finish-times.svg", finish_times_svg(&summary.scenario, &finish_times, Width::Page))?;
    Ok(())
}

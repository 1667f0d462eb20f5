//! `coinfer replay` and `coinfer run --replay`: plans on the cores of this machine, beside their predictions.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::file::read_whole;
use super::hardware::{HardwareArgs, heard, interruption};
use super::results::Results;
use super::{Error, Terminal};
use crate::engine::estimates;
use crate::figures::{Width, timeline_svg};
use crate::measure::{self, Candidate, Options, Replays, Rounds, Watch, check_load};
use crate::metrics;
use crate::metrics::{Lost, Verdict};
use crate::output::{both_rows, replay_csv, replay_json, replay_table, slugs, unfinished_csv};
use crate::plan::{self, CheckedPlan};
use crate::problem::Problem;
use crate::replay::Round;
use crate::scenario::{Case, Scenario};
use crate::timeline::Timeline;
use crate::units::Duration;

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  coinfer plan scenarios/local-cpu.toml --strategy greedy -o plan.json\n  \
                        coinfer replay plan.json --scenario scenarios/local-cpu.toml")]
pub(super) struct Replay {
    /// Plan that `coinfer plan` wrote or that you made
    // Has the id of the flag of other commands that options of replays require.
    #[arg(value_name = "PLAN", id = "replay")]
    plan: PathBuf,
    /// Scenario file that the plan is for
    #[arg(long, value_name = "SCENARIO")]
    scenario: PathBuf,
    /// Set a value of the scenario, such as load.offline.samples=100; entries of lists go by their name
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    /// What to print on standard output
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Folder for results; they go to DIR/<scenario>/replay-<run>
    #[arg(long, value_name = "DIR", default_value = "results")]
    out: PathBuf,
    #[command(flatten)]
    options: ReplayArgs,
}

/// What is printed on standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people, in 80 columns
    Table,
    /// One object
    Json,
}

/// What plans run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum BackendKind {
    /// What each device says that runs it
    #[value(aliases = ["cpu", "tensorrt"])]
    Devices,
    /// No hardware: each step takes the time that is predicted for it
    Mock,
}

/// How plans are replayed.
#[derive(Clone, Debug, Args)]
pub(super) struct ReplayArgs {
    /// What plans run on in a replay
    #[arg(long, value_enum, default_value_t = BackendKind::Devices, requires = "replay")]
    backend: BackendKind,
    /// Rounds of each plan in a replay, or `auto`: as many as it takes to know how far this machine repeats itself
    #[arg(long, value_name = "COUNT", default_value = "5", value_parser = rounds, requires = "replay")]
    rounds: Rounds,
    /// Largest error of a makespan for a replay to be valid, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = 10.0, value_parser = percent, requires = "replay")]
    tolerance: f64,
    /// Predict for devices as they were profiled, instead of looking at their speed before each round
    #[arg(long, requires = "replay")]
    as_profiled: bool,
    /// Longest time that a step of a replay may take, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..=86400), requires = "replay")]
    deadline: u64,
    /// If a device on another machine is lost, plan again without it and go on with those that are left
    #[arg(long, requires = "replay")]
    replan: bool,
    #[command(flatten)]
    hardware: HardwareArgs,
}

impl ReplayArgs {
    /// Whether strategies plan again if a device is lost.
    pub(super) fn replans(&self) -> bool {
        self.replan
    }

    /// What results depend on, as manifests have it.
    pub(super) fn settings(&self) -> Vec<String> {
        let ReplayArgs { backend, rounds, tolerance, as_profiled, .. } = self;
        let backend = format!("{backend:?}").to_lowercase();
        let rounds = match rounds {
            Rounds::Count(count) => count.to_string(),
            Rounds::Auto => "auto".into(),
        };
        vec![
            format!("replay.backend={backend}"),
            format!("replay.rounds={rounds}"),
            format!("replay.tolerance={tolerance}"),
            format!("replay.as_profiled={as_profiled}"),
        ]
    }
}

fn rounds(text: &str) -> Result<Rounds, String> {
    let count = text.parse().ok().filter(|count| (1..=1000).contains(count)).map(Rounds::Count);
    count.or((text == "auto").then_some(Rounds::Auto)).ok_or_else(|| "use 1 to 1000, or auto".into())
}

fn percent(text: &str) -> Result<f64, String> {
    let percent: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.0..=1000.0).contains(&percent) { Ok(percent) } else { Err("use 0 to 1000".to_owned()) }
}

/// What is to be said to the user of a device that was lost, and without which nothing was planned, or of a machine that does
/// not repeat itself.
pub(super) fn said_at_last(replay: metrics::Replay, folder: &Path) -> Result<(), Error> {
    let verdict = replay.verdict();
    match replay.lost.into_iter().find(|lost| !lost.is_replanned) {
        None if verdict == Verdict::Inconclusive => Err(Error::Inconclusive("the replay is inconclusive".into())),
        None => Ok(()),
        Some(Lost { device, reason, .. }) => {
            let reason = format!("{reason}; what was measured before is in {}", folder.display());
            Err(Error::Gone { device, reason })
        }
    }
}

impl Replay {
    pub(super) fn execute(self, terminal: &Terminal) -> Result<(), Error> {
        let scenario = Scenario::read(&self.scenario, &self.overrides)?;
        let case = scenario.case()?;
        check_load(&case.problem)?;
        if self.options.replan {
            let remedy = "use `coinfer run --replay --replan`, or leave out --replan";
            return Err(Error::Usage(format!("the plan in a file cannot be planned again; {remedy}")));
        }
        let plan = read_plan(&self.plan, &case.problem)?;
        let estimates = estimates(&case.problem, &plan).map_err(|error| Error::Failed(error.to_string()))?;
        let name = self.plan.file_stem().map_or_else(|| "plan".into(), |name| name.to_string_lossy().into_owned());
        let content = blake3::hash(&read_whole(&self.plan).map_err(Error::Usage)?).to_hex();
        let of_plan = [format!("plan={}", self.plan.display()), format!("plan.blake3={content}")];
        let settings = [of_plan.as_slice(), self.overrides.as_slice(), &self.options.settings()].concat();
        let results = Results::begin(&self.out, "replay-", "replay", &scenario, &settings)?;
        let candidates = [Candidate { strategy: &name, plan: &plan, estimates: &estimates }];
        let mut replays = replay(scenario.name(), &case, &candidates, &self.options, terminal)?;
        replays.replay = replays.replay.judged();
        write_results(&results, &case.problem, &candidates, &replays)?;
        results.write("replay.json", replay_json(&replays.replay))?;
        let folder = results.commit()?;
        terminal.print(match self.format {
            Format::Table => replay_table(&replays.replay, terminal.is_bold()),
            Format::Json => replay_json(&replays.replay),
        })?;
        terminal.tell(&format!("results in {}", folder.display()));
        said_at_last(replays.replay, &folder)
    }
}

/// The plan in the file at `path`, checked.
pub(super) fn read_plan(path: &Path, problem: &Problem) -> Result<CheckedPlan, Error> {
    let shown = path.display();
    let text = read_whole(path).map_err(Error::Usage)?;
    let found: plan::Plan = serde_json::from_slice(&text)
        .map_err(|error| Error::Usage(format!("`{shown}` is not a plan: {error}; `coinfer plan` writes one")))?;
    plan::check(found, problem).map_err(|violations| {
        let lines: Vec<String> = violations.iter().map(|violation| format!("\n  {violation}")).collect();
        Error::Usage(format!("`{shown}` is no plan for this scenario:{}", lines.concat()))
    })
}

/// Replays `candidates` of the case called `name` as the user asks for it.
pub(super) fn replay(
    name: &str,
    case: &Case,
    candidates: &[Candidate<'_>],
    args: &ReplayArgs,
    terminal: &Terminal,
) -> Result<Replays, Error> {
    let settings = match args.backend {
        BackendKind::Devices => Some(args.hardware.settings()?),
        BackendKind::Mock => None,
    };
    let options = Options {
        settings: settings.as_ref(),
        rounds: args.rounds,
        tolerance: args.tolerance / 100.0,
        as_profiled: args.as_profiled,
        deadline: Duration::from_nanos(args.deadline * 1_000_000_000),
    };
    let heard = heard(terminal);
    let watch = Watch { interrupted: interruption(), heard: &heard };
    Ok(measure::replay(name, case, candidates, &options, &watch)?)
}

/// Writes what replays of plans have shown.
pub(super) fn write_results(
    results: &Results,
    problem: &Problem,
    candidates: &[Candidate<'_>],
    replays: &Replays,
) -> Result<(), Error> {
    let metrics::Replay { scenario, backend, runtime, is_real, unreal, .. } = &replays.replay;
    let by = if *is_real && unreal.is_empty() { String::new() } else { format!(", by {runtime} on {backend}") };
    let folders = slugs(candidates.iter().map(|candidate| candidate.strategy));
    for (index, ((candidate, replayed), folder)) in candidates.iter().zip(&replays.replayed).zip(folders).enumerate() {
        let Candidate { plan, strategy, .. } = candidate;
        results
            .write(&format!("{folder}/replay.csv"), replay_csv(problem, plan, &replayed.rounds, &replays.softwares))?;
        if let Some((_, unfinished)) = replays.unfinished.as_ref().filter(|(of, _)| *of == index) {
            results.write(&format!("{folder}/partial.csv"), unfinished_csv(problem, plan, unfinished))?;
        }
        let Some(typical) = typical(&replayed.rounds) else { continue };
        let title = format!("{scenario}: {strategy}{by}");
        let rows = both_rows(problem, plan, &typical.1, &typical.0.timeline);
        results.write(&format!("{folder}/replay.svg"), timeline_svg(&title, &rows, Width::Page))?;
    }
    Ok(())
}

/// The round with the median makespan; `None` if there is none.
fn typical(rounds: &[(Round, Timeline)]) -> Option<&(Round, Timeline)> {
    let mut order: Vec<&(Round, Timeline)> = rounds.iter().collect();
    order.sort_by_key(|(round, _)| round.timeline.makespan());
    order.get(order.len() / 2).copied()
}

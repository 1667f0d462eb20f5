//! `coinfer replay` and `coinfer run --replay`: plans on the cores of this machine, beside their predictions.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::evaluate::Evaluated;
use super::file::read_whole;
use super::hardware::{HardwareArgs, interruption};
use super::machine::{BackendKind, Machine};
use super::results::Results;
use super::{Error, Terminal};
use crate::cost::Estimate;
use crate::engine::{estimates, simulate_estimated};
use crate::model::ModelId;
use crate::plan::{self, CheckedPlan, Lane, Step};
use crate::platform::DeviceId;
use crate::problem::{Load, Problem};
use crate::replay::cpu::worse;
use crate::replay::{Crew, Limits, Round, SpeedProbe};
use crate::report;
use crate::report::{Comparison, Replayed, both_rows, plot, replay_csv, replay_json, replay_table, slugs};
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

/// How plans are replayed.
#[derive(Clone, Debug, Args)]
pub(super) struct ReplayArgs {
    /// What plans run on in a replay
    #[arg(long, value_enum, default_value_t = BackendKind::Cpu, requires = "replay")]
    backend: BackendKind,
    /// Rounds of each plan in a replay
    #[arg(long, value_name = "COUNT", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000), requires = "replay")]
    rounds: u32,
    /// Largest error of a makespan for a replay to be valid, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = 10.0, value_parser = percent, requires = "replay")]
    tolerance: f64,
    /// Longest time that a step of a replay may take, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..=86400), requires = "replay")]
    deadline: u64,
    #[command(flatten)]
    hardware: HardwareArgs,
}

impl ReplayArgs {
    /// What results depend on, as manifests have it.
    pub(super) fn settings(&self) -> Vec<String> {
        let ReplayArgs { backend, rounds, tolerance, .. } = self;
        let backend = format!("{backend:?}").to_lowercase();
        vec![
            format!("replay.backend={backend}"),
            format!("replay.rounds={rounds}"),
            format!("replay.tolerance={tolerance}"),
        ]
    }
}

fn percent(text: &str) -> Result<f64, String> {
    let percent: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.0..=1000.0).contains(&percent) { Ok(percent) } else { Err("use 0 to 1000".to_owned()) }
}

/// A plan with its prediction.
pub(super) struct Candidate<'a> {
    pub(super) strategy: &'a str,
    pub(super) plan: &'a CheckedPlan,
    pub(super) estimates: &'a [Estimate],
}

impl<'a> From<&'a Evaluated> for Candidate<'a> {
    fn from(run: &'a Evaluated) -> Candidate<'a> {
        Candidate { strategy: &run.outcome.strategy, plan: &run.plan, estimates: &run.estimates }
    }
}

/// All replays of a run.
pub(super) struct Replays {
    pub(super) replay: report::Replay,
    replayed: Vec<Replayed>,
}

impl Replay {
    pub(super) fn execute(self, terminal: &Terminal) -> Result<(), Error> {
        let scenario = Scenario::read(&self.scenario, &self.overrides)?;
        let case = scenario.case()?;
        check_load(&case.problem)?;
        let plan = read_plan(&self.plan, &case.problem)?;
        let estimates = estimates(&case.problem, &plan).map_err(|error| Error::Failed(error.to_string()))?;
        let name = self.plan.file_stem().map_or_else(|| "plan".into(), |name| name.to_string_lossy().into_owned());
        let content = blake3::hash(&read_whole(&self.plan).map_err(Error::Usage)?).to_hex();
        let of_plan = [format!("plan={}", self.plan.display()), format!("plan.blake3={content}")];
        let settings = [of_plan.as_slice(), self.overrides.as_slice(), &self.options.settings()].concat();
        let results = Results::begin(&self.out, "replay-", "replay", &scenario, &settings)?;
        let candidates = [Candidate { strategy: &name, plan: &plan, estimates: &estimates }];
        let replays = replay(scenario.name(), &case, &candidates, &self.options, terminal)?;
        write_results(&results, &case.problem, &candidates, &replays)?;
        let folder = results.commit()?;
        terminal.print(match self.format {
            Format::Table => replay_table(&replays.replay, terminal.is_bold()),
            Format::Json => replay_json(&replays.replay),
        })?;
        terminal.tell(&format!("results in {}", folder.display()));
        Ok(())
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

/// Whether the load of a problem can be replayed.
pub(super) fn check_load(problem: &Problem) -> Result<(), Error> {
    match problem.load {
        Load::Offline { .. } if !problem.faults.is_empty() => Err(Error::Usage(
            "hardware breaks by itself: a replay has no `faults`; leave them out with `--set 'faults=[]'`".to_owned(),
        )),
        Load::Offline { .. } => Ok(()),
        _ => Err(Error::Usage(format!(
            "only offline loads are replayed, and the scenario has a `{}` one; use for example \
             `--set 'load={{ offline = {{ samples = {} }} }}'`",
            problem.load.name(),
            problem.samples()
        ))),
    }
}

/// Replays `candidates` in turn, round by round, so that drift meets them all alike.
pub(super) fn replay(
    name: &str,
    case: &Case,
    candidates: &[Candidate<'_>],
    options: &ReplayArgs,
    terminal: &Terminal,
) -> Result<Replays, Error> {
    let problem = &case.problem;
    let deadline = Duration::from_nanos(options.deadline * 1_000_000_000);
    let limits = Limits { deadline, interrupted: interruption() };
    let machine = Machine::new(case, options.backend, &options.hardware)?;
    let info = machine.probe()?;
    terminal.tell_more(|| format!("replaying on {} ({})", info.name, info.software));
    let mut speed = machine.speed(problem)?;
    let progress = terminal.progress(candidates.len() as u64 * u64::from(options.rounds + 1), "rounds");
    let mut runs = Vec::new();
    for (index, candidate) in candidates.iter().enumerate() {
        runs.push(Run::open(&machine, problem, candidate, &candidates[..index], &limits)?);
        progress.inc(1);
    }
    for _ in 0..options.rounds {
        for run in &mut runs {
            machine.synchronise()?;
            run.round(problem, speed.as_mut(), &limits)?;
            progress.inc(1);
        }
    }
    progress.finish_and_clear();
    let replay = report::Replay {
        scenario: name.to_owned(),
        backend: info.name.clone(),
        runtime: info.software.clone(),
        is_real: machine.is_real(),
        emulated: emulated(case),
        comparisons: runs.iter().map(|run| Comparison::new(run.candidate.plan, &run.replayed)).collect(),
        kendall_tau: None,
        notes: machine.notes(),
        tolerance: options.tolerance / 100.0,
        objections: machine.foreign_traces(case, &info),
    };
    Ok(Replays { replay: replay.judged(), replayed: runs.into_iter().map(|run| run.replayed).collect() })
}

/// A plan that is being replayed.
struct Run<'a> {
    candidate: &'a Candidate<'a>,
    crew: Crew,
    replayed: Replayed,
}

impl<'a> Run<'a> {
    /// Opens the lanes of `candidate` and runs it once, which warms up and shows whether its outputs are right.
    fn open(
        machine: &Machine,
        problem: &Problem,
        candidate: &'a Candidate<'a>,
        earlier: &[Candidate<'_>],
        limits: &Limits<'_>,
    ) -> Result<Run<'a>, Error> {
        let Candidate { strategy, plan, estimates } = *candidate;
        let (mut crew, remote) = machine.open(plan, estimates)?;
        crew.round(plan, limits)?;
        let difference = remote.map(|remote| {
            let models = (0..problem.models.len() as u32).map(ModelId);
            let differences = models.map(|model| remote.difference(model, problem.samples()));
            differences.collect::<Result<Vec<f64>, _>>().map(|all| all.into_iter().fold(0.0, worse))
        });
        let same = earlier.iter().find(|earlier| **earlier.plan == **plan);
        let replayed = Replayed {
            strategy: strategy.to_owned(),
            same_plan_as: same.map(|earlier| earlier.strategy.to_owned()),
            predicted: simulate_estimated(problem, plan, estimates),
            rounds: Vec::new(),
            difference: difference.transpose()?,
        };
        Ok(Run { candidate, crew, replayed })
    }

    /// Runs it once more, just after a look at the speed of the devices.
    fn round(&mut self, problem: &Problem, speed: Option<&mut SpeedProbe>, limits: &Limits<'_>) -> Result<(), Error> {
        let speeds = match speed {
            Some(probe) => probe.measure(limits)?,
            None => vec![1.0; problem.platform.devices.len()],
        };
        let round = self.crew.round(self.candidate.plan, limits)?;
        self.replayed.rounds.push((round, recalibrated(problem, self.candidate, &speeds)));
        Ok(())
    }
}

/// The names of devices that are slowed on purpose.
fn emulated(case: &Case) -> Vec<String> {
    let is_slowed = |device: &DeviceId| case.units[device.0 as usize].as_ref().is_some_and(|unit| unit.slowed > 1.0);
    let platform = &case.problem.platform;
    platform.device_ids().filter(is_slowed).map(|device| platform.device(device).name.clone()).collect()
}

/// What the traces predict if devices take `speeds` times as long as they say.
fn recalibrated(problem: &Problem, candidate: &Candidate<'_>, speeds: &[f64]) -> Timeline {
    let scaled = |(estimate, step): (&Estimate, &Step)| match step.lane.map(|lane| candidate.plan.lane_at(lane)) {
        Some(Lane::Compute { device, .. }) => {
            let nanos = estimate.time.as_nanos_f64() * speeds[device.0 as usize];
            Estimate { time: Duration::from_nanos_f64(nanos), ..*estimate }
        }
        _ => *estimate,
    };
    let estimates: Vec<Estimate> = candidate.estimates.iter().zip(&candidate.plan.steps).map(scaled).collect();
    simulate_estimated(problem, candidate.plan, &estimates)
}

/// Writes what replays have shown.
pub(super) fn write_results(
    results: &Results,
    problem: &Problem,
    candidates: &[Candidate<'_>],
    replays: &Replays,
) -> Result<(), Error> {
    let folders = slugs(candidates.iter().map(|candidate| candidate.strategy));
    for ((candidate, replayed), folder) in candidates.iter().zip(&replays.replayed).zip(folders) {
        let Candidate { plan, strategy, .. } = candidate;
        results.write(&format!("{folder}/replay.csv"), replay_csv(problem, plan, &replayed.rounds))?;
        let typical = typical(&replayed.rounds);
        let title = format!("{}: {strategy}", replays.replay.scenario);
        let rows = both_rows(problem, plan, &typical.1, &typical.0.timeline);
        results.write(&format!("{folder}/replay.svg"), plot::timeline_svg(&title, &rows, plot::Width::Page))?;
    }
    results.write("replay.json", replay_json(&replays.replay))
}

/// The round with the median makespan.
fn typical(rounds: &[(Round, Timeline)]) -> &(Round, Timeline) {
    let mut order: Vec<&(Round, Timeline)> = rounds.iter().collect();
    order.sort_by_key(|(round, _)| round.timeline.makespan());
    order[order.len() / 2]
}

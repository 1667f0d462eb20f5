//! `coinfer replay` and `coinfer run --replay`: plans on the cores of this machine, beside their predictions.

use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, ValueEnum};

use super::file::read_whole;
use super::hardware::{HardwareArgs, host, interruption};
use super::results::Results;
use super::{Error, Terminal};
use crate::cost::Estimate;
use crate::engine::{estimates, simulate_estimated};
use crate::model::ModelId;
use crate::plan::{self, CheckedPlan, Lane};
use crate::problem::Problem;
use crate::replay::cpu::{Cpu, Host};
use crate::replay::{Backend, Crew, DeviceInfo, Limits, Mock, PROBE_SAMPLES, SpeedProbe, assemble};
use crate::report::{Comparison, Replayed, both_rows, plot, replay_csv, replay_json, replay_table, slugs};
use crate::scenario::{Case, Scenario};
use crate::timeline::Timeline;
use crate::units::Duration;

#[derive(Debug, Args)]
#[command(after_help = "Example:\n  coinfer plan scenarios/local-cpu.toml --strategy greedy -o plan.json\n  \
                        coinfer replay plan.json --scenario scenarios/local-cpu.toml")]
pub(super) struct Replay {
    /// Plan that `coinfer plan` wrote or that you made
    #[arg(value_name = "PLAN")]
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
    #[arg(long, value_enum, default_value_t = BackendKind::Cpu)]
    backend: BackendKind,
    /// Rounds of each plan in a replay
    #[arg(long, value_name = "COUNT", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    rounds: u32,
    /// Largest error of a makespan for a replay to be valid, in percent
    #[arg(long, value_name = "PERCENT", default_value_t = 10.0, value_parser = percent)]
    tolerance: f64,
    /// Longest time that a step of a replay may take, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..=86400))]
    deadline: u64,
    #[command(flatten)]
    hardware: HardwareArgs,
}

/// What plans run on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum BackendKind {
    /// The cores of this machine that devices say they are
    Cpu,
    /// No hardware: each step takes the time that is predicted for it
    Mock,
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

/// All replays of a run.
pub(super) struct Replays {
    pub(super) replay: crate::report::Replay,
    replayed: Vec<Replayed>,
}

impl Replay {
    pub(super) fn execute(self, terminal: &Terminal) -> Result<(), Error> {
        let scenario = Scenario::read(&self.scenario, &self.overrides)?;
        let case = scenario.case()?;
        let plan = read_plan(&self.plan, &case.problem)?;
        let estimates = estimates(&case.problem, &plan).map_err(|error| Error::Failed(error.to_string()))?;
        let name = self.plan.file_stem().map_or_else(|| "plan".into(), |name| name.to_string_lossy().into_owned());
        let overrides = [&[format!("plan={}", self.plan.display())], self.overrides.as_slice()].concat();
        let results = Results::begin(&self.out, "replay-", "replay", &scenario, &overrides)?;
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
pub(super) fn read_plan(path: &std::path::Path, problem: &Problem) -> Result<CheckedPlan, Error> {
    let shown = path.display();
    let text = read_whole(path).map_err(Error::Usage)?;
    let found: plan::Plan = serde_json::from_slice(&text)
        .map_err(|error| Error::Usage(format!("`{shown}` is not a plan: {error}; `coinfer plan` writes one")))?;
    plan::check(found, problem).map_err(|violations| {
        let lines: Vec<String> = violations.iter().map(|violation| format!("\n  {violation}")).collect();
        Error::Usage(format!("`{shown}` is no plan for this scenario:{}", lines.concat()))
    })
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
    let machine = Machine::new(case, options)?;
    let info = machine.probe()?;
    let mut speed = machine.speed(problem)?;
    let progress = terminal.progress(candidates.len() as u64 * u64::from(options.rounds + 1), "rounds");
    let (mut crews, mut replayed) = (Vec::new(), Vec::new());
    for candidate in candidates {
        let (mut crew, cpu) = machine.open(candidate)?;
        crew.round(candidate.plan, &limits)?;
        let difference = cpu.map(|cpu| {
            let models = (0..problem.models.len() as u32).map(ModelId);
            let differences = models.map(|model| cpu.difference(model, problem.samples()));
            differences.collect::<Result<Vec<f64>, _>>().map(|all| all.into_iter().fold(0.0, worse))
        });
        crews.push(crew);
        replayed.push(Replayed {
            strategy: candidate.strategy.to_owned(),
            predicted: simulate_estimated(problem, candidate.plan, candidate.estimates),
            rounds: Vec::new(),
            difference: difference.transpose()?,
        });
        progress.inc(1);
    }
    for _ in 0..options.rounds {
        for ((candidate, crew), replayed) in candidates.iter().zip(&mut crews).zip(&mut replayed) {
            let speeds = match &mut speed {
                Some(probe) => probe.measure(&limits)?,
                None => vec![1.0; problem.platform.devices.len()],
            };
            let round = crew.round(candidate.plan, &limits)?;
            replayed.rounds.push((round, recalibrated(problem, candidate, &speeds)));
            progress.inc(1);
        }
    }
    progress.finish_and_clear();
    let comparisons = candidates
        .iter()
        .zip(&replayed)
        .map(|(candidate, replayed)| Comparison::new(candidate.plan, replayed))
        .collect();
    let emulated = problem
        .platform
        .device_ids()
        .filter(|device| case.units[device.0 as usize].as_ref().is_some_and(|unit| unit.slowed > 1.0));
    let replay = crate::report::Replay {
        scenario: name.to_owned(),
        backend: info.name.clone(),
        runtime: info.software.clone(),
        is_real: options.backend != BackendKind::Mock,
        emulated: emulated.map(|device| problem.platform.device(device).name.clone()).collect(),
        comparisons,
        kendall_tau: None,
        notes: Vec::new(),
        tolerance: options.tolerance / 100.0,
        objections: foreign_traces(case, &info, options.backend),
    };
    Ok(Replays { replay: replay.judged(), replayed })
}

/// The larger one, or what is no number.
fn worse(one: f64, other: f64) -> f64 {
    if one.is_nan() || one > other { one } else { other }
}

/// Why traces say nothing of this machine.
fn foreign_traces(case: &Case, info: &DeviceInfo, backend: BackendKind) -> Vec<String> {
    if backend == BackendKind::Mock {
        return Vec::new();
    }
    let mut objections = Vec::new();
    for profile in case.profiles.iter().flatten() {
        let Some((hardware, software)) = &profile.taken_on else { continue };
        let mut object = |what: &str, of_trace: &str, here: &str| {
            let objection = format!(
                "{} was taken {what} {of_trace}, and this is {here}; run `coinfer profile`",
                profile.trace.display()
            );
            if of_trace != here && !objections.contains(&objection) {
                objections.push(objection);
            }
        };
        object("on", hardware, &info.name);
        object("with", software, &info.software);
    }
    objections
}

/// What the traces predict if devices take `speeds` times as long as they say.
fn recalibrated(problem: &Problem, candidate: &Candidate<'_>, speeds: &[f64]) -> Timeline {
    let scaled = |(estimate, step): (&Estimate, &plan::Step)| match step.lane.map(|lane| candidate.plan.lane_at(lane)) {
        Some(Lane::Compute { device, .. }) => {
            let nanos = estimate.time.as_nanos_f64() * speeds[device.0 as usize];
            Estimate { time: Duration::from_nanos_f64(nanos), ..*estimate }
        }
        _ => *estimate,
    };
    let estimates: Vec<Estimate> = candidate.estimates.iter().zip(&candidate.plan.steps).map(scaled).collect();
    simulate_estimated(problem, candidate.plan, &estimates)
}

/// What plans run on.
enum Machine {
    Cpu(Arc<Host>),
    Mock,
}

impl Machine {
    fn new(case: &Case, options: &ReplayArgs) -> Result<Machine, Error> {
        if options.backend == BackendKind::Mock {
            return Ok(Machine::Mock);
        }
        let mut models = Vec::new();
        for (model, weights) in case.problem.models.iter().zip(&case.weights) {
            let Some(weights) = weights else {
                let name = model.graph.name();
                let reason = "is known by its sizes only and cannot be run; name its layers by `zoo` or `onnx`";
                return Err(Error::Usage(format!("{name} {reason}, or use --backend mock")));
            };
            models.push((model.clone(), weights.clone()));
        }
        let probed = PROBE_SAMPLES * case.problem.platform.devices.len() as u32;
        let samples = case.problem.samples().max(probed);
        Ok(Machine::Cpu(host(case, &models, options.hardware.runtime()?, samples)?))
    }

    fn probe(&self) -> Result<DeviceInfo, Error> {
        Ok(match self {
            Machine::Cpu(host) => Cpu::new(host.clone()).probe()?,
            Machine::Mock => Mock::new(Vec::new()).probe()?,
        })
    }

    /// How fast devices are just now; `None` where nothing computes.
    fn speed(&self, problem: &Problem) -> Result<Option<SpeedProbe>, Error> {
        match self {
            Machine::Cpu(host) => {
                let cpu = Cpu::with_inputs_everywhere(host.clone());
                Ok(Some(SpeedProbe::new(problem, &cpu)?))
            }
            Machine::Mock => Ok(None),
        }
    }

    /// The open lanes of a plan, and the backend that has its data.
    fn open(&self, candidate: &Candidate<'_>) -> Result<(Crew, Option<Cpu>), Error> {
        match self {
            Machine::Cpu(host) => {
                let cpu = Cpu::new(host.clone());
                Ok((assemble(candidate.plan, &cpu)?, Some(cpu)))
            }
            Machine::Mock => {
                let times = candidate.estimates.iter().map(|estimate| estimate.time).collect();
                Ok((assemble(candidate.plan, &Mock::new(times))?, None))
            }
        }
    }
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
        results.write(&format!("{folder}/replay.svg"), plot::timeline_svg(&title, &rows))?;
    }
    results.write("replay.json", replay_json(&replays.replay))
}

/// The round with the median makespan.
fn typical(rounds: &[(crate::replay::Round, Timeline)]) -> &(crate::replay::Round, Timeline) {
    let mut order: Vec<&(crate::replay::Round, Timeline)> = rounds.iter().collect();
    order.sort_by_key(|(round, _)| round.timeline.makespan());
    order[order.len() / 2]
}

//! `coinfer replay` and `coinfer run --replay`: plans on the cores of this machine, beside their predictions.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::file::read_whole;
use super::hardware::{HardwareArgs, interruption};
use super::machine::{BackendKind, Machine};
use super::results::Results;
use super::{Error, Terminal};
use crate::cost::Estimate;
use crate::engine::{Sampler, Streams, estimates, simulate_estimated};
use crate::evaluate::Evaluated;
use crate::model::ModelId;
use crate::plan::{self, CheckedPlan, Lane, Step};
use crate::problem::{Load, Problem};
use crate::replay::cpu::worse;
use crate::replay::remote::BoardInfo;
use crate::replay::{Crew, Limits, Round, SpeedProbe, Unfinished};
use crate::report;
use crate::report::{
    Board, Comparison, Lost, Replayed, both_rows, plot, replay_csv, replay_json, replay_table, slugs, unfinished_csv,
};
use crate::scenario::{Case, Scenario};
use crate::statistics::median;
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
        vec![
            format!("replay.backend={backend}"),
            format!("replay.rounds={rounds}"),
            format!("replay.tolerance={tolerance}"),
            format!("replay.as_profiled={as_profiled}"),
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
    /// The round that was given up when a device was lost, by the index of its plan.
    unfinished: Option<(usize, Unfinished)>,
}

impl Replays {
    /// What is to be said to the user of a device that was lost, and without which nothing was planned.
    pub(super) fn into_result(self, folder: &Path) -> Result<(), Error> {
        match self.replay.lost.into_iter().find(|lost| !lost.is_replanned) {
            None => Ok(()),
            Some(Lost { device, reason, .. }) => {
                let reason = format!("{reason}; what was measured before is in {}", folder.display());
                Err(Error::Gone { device, reason })
            }
        }
    }

    /// Adds what was replayed without the device that was lost last.
    pub(super) fn go_on(&mut self, without: Replays) {
        // What speaks against traces was said when all devices were there.
        let report::Replay { boards, lost, comparisons, notes, .. } = without.replay;
        if let Some(lost) = self.replay.lost.last_mut() {
            lost.is_replanned = true;
        }
        self.replay.boards = boards;
        self.replay.lost.extend(lost);
        self.replay.comparisons.extend(comparisons);
        let notes: Vec<String> = notes.into_iter().filter(|note| !self.replay.notes.contains(note)).collect();
        self.replay.notes.extend(notes);
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
        replays.into_result(&folder)
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

/// Replays `candidates` in turn, round by round, so that drift meets them all alike. It is not judged yet. If a device is
/// lost, it ends with what was measured before.
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
    let mut runs = Vec::new();
    let (mut lost, mut unfinished) = (Vec::new(), None);
    match rounds(&machine, problem, candidates, options, &limits, &mut runs, terminal) {
        Ok(()) => {}
        Err(Error::Gone { device, reason }) => {
            let during = runs.iter().enumerate().find_map(|(index, run)| Some((index, run.crew.unfinished()?)));
            let strategy = during.map(|(index, _)| runs[index].replayed.strategy.clone());
            let steps_ended = during.map_or(0, |(_, round)| round.spans.iter().flatten().count());
            unfinished = during.map(|(index, round)| (index, round.clone()));
            lost.push(Lost { device, reason, strategy, steps_ended, is_replanned: false });
        }
        Err(error) => return Err(error),
    }
    let measured = runs.iter().filter(|run| !run.replayed.rounds.is_empty());
    let varies = !problem.variation.is_none();
    let replay = report::Replay {
        scenario: name.to_owned(),
        backend: info.name.clone(),
        runtime: info.software.clone(),
        is_real: machine.is_real(),
        is_assembled: machine.assembles(),
        is_as_profiled: options.as_profiled || machine.assembles(),
        emulated: machine.emulated(case),
        boards: machine.boards().map(board).collect(),
        lost,
        comparisons: measured.map(|run| Comparison::new(run.candidate.plan, &run.replayed)).collect(),
        kendall_tau: None,
        notes: machine.notes().into_iter().chain(varies.then(|| {
            format!("predicted makespans are the median of {WORLDS} random worlds, in which times vary as the scenario says")
        })).collect(),
        tolerance: options.tolerance / 100.0,
        objections: machine.foreign_traces(case, &info),
    };
    Ok(Replays { replay, replayed: runs.into_iter().map(|run| run.replayed).collect(), unfinished })
}

/// Opens all `candidates` as `runs` and runs each as often as `options` say.
fn rounds<'a>(
    machine: &Machine,
    problem: &Problem,
    candidates: &'a [Candidate<'a>],
    options: &ReplayArgs,
    limits: &Limits<'_>,
    runs: &mut Vec<Run<'a>>,
    terminal: &Terminal,
) -> Result<(), Error> {
    let mut speed = if options.as_profiled { None } else { machine.speed(problem)? };
    let progress = terminal.progress(candidates.len() as u64 * u64::from(options.rounds + 1), "rounds");
    for (index, candidate) in candidates.iter().enumerate() {
        runs.push(Run::open(machine, problem, candidate, &candidates[..index], limits)?);
        progress.inc(1);
    }
    for _ in 0..options.rounds {
        for run in &mut *runs {
            machine.synchronise()?;
            run.round(machine, problem, speed.as_mut(), limits)?;
            progress.inc(1);
        }
    }
    progress.finish_and_clear();
    Ok(())
}

/// As reports have it.
fn board(info: BoardInfo) -> Board {
    let BoardInfo { name, address, hardware, software, unit, delay, clock_error, .. } = info;
    Board {
        device: name,
        address,
        hardware,
        software,
        unit: unit.to_string(),
        clock_error_ms: clock_error.as_millis_f64(),
        delay_ms: delay.as_millis_f64(),
    }
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
        machine.round(&mut crew, problem, plan, estimates, limits)?;
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
            stretch: stretch(problem, plan, estimates),
            rounds: Vec::new(),
            difference: difference.transpose()?,
        };
        Ok(Run { candidate, crew, replayed })
    }

    /// Runs it once more, just after a look at the speed of the devices.
    fn round(
        &mut self,
        machine: &Machine,
        problem: &Problem,
        speed: Option<&mut SpeedProbe>,
        limits: &Limits<'_>,
    ) -> Result<(), Error> {
        let speeds = match speed {
            Some(probe) => probe.measure(limits)?,
            None => vec![1.0; problem.platform.devices.len()],
        };
        let Candidate { plan, estimates, .. } = *self.candidate;
        let round = machine.round(&mut self.crew, problem, plan, estimates, limits)?;
        self.replayed.rounds.push((round, recalibrated(problem, self.candidate, &speeds)));
        Ok(())
    }
}

/// Random worlds of which the median counts.
const WORLDS: u32 = 201;

/// See [`Replayed::stretch`].
fn stretch(problem: &Problem, plan: &CheckedPlan, estimates: &[Estimate]) -> f64 {
    if problem.variation.is_none() {
        return 1.0;
    }
    let makespan = |estimates: &[Estimate]| simulate_estimated(problem, plan, estimates).makespan().as_nanos_f64();
    let worlds = (0..WORLDS).map(|world| {
        let streams = Streams::new(0, world);
        let sampler = |lane: &Lane| match lane {
            Lane::Compute { device, .. } => Sampler::of_device(&problem.variation, &streams, *device),
            Lane::Link(link) => Sampler::of_link(&problem.variation, &streams, *link),
        };
        let mut samplers: Vec<Sampler> = plan.lanes.iter().map(sampler).collect();
        let varied = plan.steps.iter().zip(estimates).map(|(step, estimate)| match step.lane {
            Some(lane) => Estimate { time: samplers[lane.0 as usize].stretch(estimate.time), ..*estimate },
            None => *estimate,
        });
        makespan(&varied.collect::<Vec<_>>())
    });
    let alone = makespan(estimates);
    if alone > 0.0 { median(worlds).map_or(1.0, |typical| typical / alone) } else { 1.0 }
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

/// Writes what replays of plans have shown.
pub(super) fn write_results(
    results: &Results,
    problem: &Problem,
    candidates: &[Candidate<'_>],
    replays: &Replays,
) -> Result<(), Error> {
    let report::Replay { scenario, backend, runtime, is_real, .. } = &replays.replay;
    let by = if *is_real { String::new() } else { format!(", by {runtime} on {backend}") };
    let folders = slugs(candidates.iter().map(|candidate| candidate.strategy));
    for (index, ((candidate, replayed), folder)) in candidates.iter().zip(&replays.replayed).zip(folders).enumerate() {
        let Candidate { plan, strategy, .. } = candidate;
        results.write(&format!("{folder}/replay.csv"), replay_csv(problem, plan, &replayed.rounds, runtime))?;
        if let Some((_, unfinished)) = replays.unfinished.as_ref().filter(|(of, _)| *of == index) {
            results.write(&format!("{folder}/partial.csv"), unfinished_csv(problem, plan, unfinished))?;
        }
        let Some(typical) = typical(&replayed.rounds) else { continue };
        let title = format!("{scenario}: {strategy}{by}");
        let rows = both_rows(problem, plan, &typical.1, &typical.0.timeline);
        results.write(&format!("{folder}/replay.svg"), plot::timeline_svg(&title, &rows, plot::Width::Page))?;
    }
    Ok(())
}

/// The round with the median makespan; `None` if there is none.
fn typical(rounds: &[(Round, Timeline)]) -> Option<&(Round, Timeline)> {
    let mut order: Vec<&(Round, Timeline)> = rounds.iter().collect();
    order.sort_by_key(|(round, _)| round.timeline.makespan());
    order.get(order.len() / 2).copied()
}

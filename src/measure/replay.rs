//! Plans on hardware, beside their predictions.

use super::found::Found;
use super::run::{Run, WORLDS};
use super::{MeasureError, Watch, hardware};
use crate::cost::Estimate;
use crate::engine::simulate_estimated;
use crate::evaluate::Evaluated;
use crate::metrics;
use crate::metrics::{Comparison, Lost, NoiseFloor, Replayed};
use crate::plan::CheckedPlan;
use crate::problem::{Load, Problem};
use crate::replay::{BackendError, Hardware, Limits, PROBE_SAMPLES, Settings, SpeedProbe, Unfinished};
use crate::scenario::Case;
use crate::units::Duration;

/// How plans are replayed.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a> {
    /// With what devices are driven; without hardware if `None`: then each step takes the time that is predicted for it.
    pub settings: Option<&'a Settings>,
    /// Rounds of each plan that count.
    pub rounds: Rounds,
    /// The largest error of a makespan that passes, such as 0.1.
    pub tolerance: f64,
    /// Whether predictions are for devices as they were profiled, and not for their speed just before each round.
    pub as_profiled: bool,
    /// The longest time that a step may take.
    pub deadline: Duration,
}

/// How many rounds of each plan count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounds {
    /// So many.
    Count(u32),
    /// Five, and as many more as it takes to know to a quarter of the tolerance by how much equal plans differ, 30 at most.
    Auto,
}

/// Rounds that [`Rounds::Auto`] makes at least and at most.
const AUTO: (u32, u32) = (5, 30);

impl Rounds {
    fn most(self) -> u32 {
        match self {
            Rounds::Count(count) => count,
            Rounds::Auto => AUTO.1,
        }
    }

    /// Whether so many rounds are enough, after which `floor` is known.
    fn are_enough(self, made: u32, floor: Option<&NoiseFloor>, tolerance: f64) -> bool {
        let is_known = |floor: &NoiseFloor| (floor.difference_high - floor.difference_low) / 2.0 <= tolerance / 4.0;
        match self {
            Rounds::Count(count) => made >= count,
            Rounds::Auto => made >= AUTO.1 || made >= AUTO.0 && floor.is_none_or(is_known),
        }
    }
}

/// A plan with its prediction.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// What made the plan.
    pub strategy: &'a str,
    /// The plan.
    pub plan: &'a CheckedPlan,
    /// By step, what it takes alone.
    pub estimates: &'a [Estimate],
}

impl<'a> From<&'a Evaluated> for Candidate<'a> {
    fn from(run: &'a Evaluated) -> Candidate<'a> {
        Candidate { strategy: &run.outcome.strategy, plan: &run.plan, estimates: &run.estimates }
    }
}

/// All replays of a case.
#[derive(Debug)]
pub struct Replays {
    /// What they show. It is not judged yet.
    pub replay: metrics::Replay,
    /// By plan, as far as they were opened.
    pub replayed: Vec<Replayed>,
    /// By device, what executes networks there; empty for those that are simulated only.
    pub softwares: Vec<String>,
    /// The round that was given up when a device was lost, by the index of its plan.
    pub unfinished: Option<(usize, Unfinished)>,
}

impl Replays {
    /// Adds what was replayed without the device that was lost last.
    pub fn go_on(&mut self, without: Replays) {
        // What speaks against traces was said when all devices were there.
        let metrics::Replay { boards, lost, comparisons, floor, notes, .. } = without.replay;
        self.replay.floor = self.replay.floor.take().or(floor);
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

/// Whether the load of a problem can be replayed.
///
/// # Errors
/// It cannot.
pub fn check_load(problem: &Problem) -> Result<(), MeasureError> {
    match problem.load {
        Load::Offline { .. } if !problem.faults.is_empty() => Err(MeasureError::Faults),
        Load::Offline { .. } => Ok(()),
        _ => Err(MeasureError::Load { load: problem.load.name(), samples: problem.samples() }),
    }
}

/// Replays `candidates` of the case called `name` in turn, round by round, so that drift meets them all alike. If a
/// device is lost, it ends with what was measured before.
///
/// ```
/// use std::path::Path;
/// use std::sync::atomic::AtomicBool;
///
/// use coinfer::evaluate::evaluate;
/// use coinfer::measure::{Candidate, Options, Rounds, Watch, replay};
/// use coinfer::scenario::Scenario;
/// use coinfer::units::Duration;
///
/// let few = ["load.offline.samples=2".to_owned()];
/// let scenario = Scenario::read(Path::new("scenarios/kcc2020-vgg16.toml"), &few).expect("it is sound");
/// let case = scenario.case().expect("it is sound");
/// let evaluated: Vec<_> = evaluate(&case).into_iter().flatten().collect();
/// let candidates: Vec<Candidate<'_>> = evaluated.iter().take(1).map(Candidate::from).collect();
/// // No settings, no hardware: steps take as long as predicted.
/// let deadline = Duration::from_nanos(60_000_000_000);
/// let options = Options { settings: None, rounds: Rounds::Count(1), tolerance: 0.1, as_profiled: true, deadline };
/// let interrupted = AtomicBool::new(false);
/// let watch = Watch::silent(&interrupted);
/// let replays = replay(scenario.name(), &case, &candidates, &options, &watch).expect("nothing can fail");
/// assert!(replays.replay.comparisons[0].measured_ms >= replays.replay.comparisons[0].predicted_ms);
/// ```
///
/// # Errors
/// The case has no load that can be replayed, or its hardware does not do what plans ask.
pub fn replay(
    name: &str,
    case: &Case,
    candidates: &[Candidate<'_>],
    options: &Options<'_>,
    watch: &Watch<'_>,
) -> Result<Replays, MeasureError> {
    let problem = &case.problem;
    check_load(problem)?;
    let limits = Limits { deadline: options.deadline, interrupted: watch.interrupted };
    let hardware = match options.settings {
        None => Hardware::mock(&problem.platform),
        Some(settings) => {
            let probed = PROBE_SAMPLES * problem.platform.devices.len() as u32;
            hardware(case, problem.samples().max(probed), settings)?
        }
    };
    let found = Found::of(case, &hardware);
    watch.explain(&format!("replaying on {} ({})", found.hardware(), found.software()));
    let mut runs = Vec::new();
    let (mut lost, mut unfinished) = (Vec::new(), None);
    match rounds(&hardware, problem, candidates, options, &limits, &mut runs, watch) {
        Ok(()) => {}
        Err(BackendError::Gone { device, reason }) => {
            let during = runs.iter().find_map(|run| Some((run, run.unfinished()?)));
            let strategy = during.map(|(run, _)| run.replayed.strategy.clone());
            let steps_ended = during.map_or(0, |(_, round)| round.spans.iter().flatten().count());
            let index = |run: &Run<'_>| candidates.iter().position(|known| std::ptr::eq(known, run.candidate));
            unfinished = during.and_then(|(run, round)| Some((index(run)?, round.clone())));
            lost.push(Lost { device, reason, strategy, steps_ended, is_replanned: false });
        }
        Err(error) => return Err(error.into()),
    }
    // Once more: what there is to say of hardware comes of its use.
    let found = Found::of(case, &hardware);
    let is_assembled = runs.iter().any(|run| run.is_assembled());
    let varies = !problem.variation.is_none();
    let worlds = varies.then(|| {
        format!(
            "predicted makespans are the median of {WORLDS} random worlds, in which times vary as the scenario says"
        )
    });
    let paged = problem.platform.memories.iter().filter(|memory| memory.paging.is_some());
    let paged = paged.map(|memory| format!("`{}` pages in predictions, and nothing does in a replay", memory.name));
    let replayed = replayed(candidates, &runs);
    let measured = candidates.iter().zip(&replayed).filter(|(_, replayed)| !replayed.rounds.is_empty());
    let replay = metrics::Replay {
        scenario: name.to_owned(),
        backend: found.hardware(),
        runtime: found.software(),
        is_real: found.is_real(),
        unreal: found.unreal(),
        is_assembled,
        is_as_profiled: is_as_profiled(&hardware, options),
        emulated: found.emulated(),
        boards: found.boards(),
        lost,
        comparisons: measured.map(|(candidate, replayed)| Comparison::new(candidate.plan, replayed)).collect(),
        floor: floor(&runs),
        kendall_tau: None,
        notes: found.notes().into_iter().chain(worlds).collect(),
        tolerance: options.tolerance,
        objections: found.foreign_traces().into_iter().chain(paged).collect(),
        doubts: Vec::new(),
    };
    Ok(Replays { replay, replayed, softwares: found.softwares(), unfinished })
}

/// What `runs` have shown of each of `candidates`, up to the first of which nothing was opened: of those with one plan, the
/// same.
fn replayed(candidates: &[Candidate<'_>], runs: &[Run<'_>]) -> Vec<Replayed> {
    let of_candidate = |candidate: &Candidate<'_>| {
        let run = runs.iter().find(|run| **run.candidate.plan == **candidate.plan)?;
        let other = (!std::ptr::eq(candidate, run.candidate)).then(|| run.replayed.strategy.clone());
        Some(Replayed { strategy: candidate.strategy.to_owned(), same_plan_as: other, ..run.replayed.clone() })
    };
    candidates.iter().map_while(of_candidate).collect()
}

/// Whether predictions are for devices as they were profiled: what is timed one by one is held against that.
fn is_as_profiled(hardware: &Hardware, options: &Options<'_>) -> bool {
    options.as_profiled || hardware.times_alone()
}

/// The first of `candidates` that has the same plan.
fn same<'a>(candidates: &'a [Candidate<'a>], candidate: &Candidate<'_>) -> Option<&'a Candidate<'a>> {
    candidates.iter().find(|earlier| **earlier.plan == **candidate.plan)
}

/// Opens all different `candidates` as `runs` and runs each as often as `options` say.
fn rounds<'a>(
    hardware: &Hardware,
    problem: &Problem,
    candidates: &'a [Candidate<'a>],
    options: &Options<'_>,
    limits: &Limits<'_>,
    runs: &mut Vec<Run<'a>>,
    watch: &Watch<'_>,
) -> Result<(), BackendError> {
    let mut speed = if is_as_profiled(hardware, options) { None } else { SpeedProbe::new(problem, hardware)? };
    let distinct: Vec<&Candidate<'_>> = candidates
        .iter()
        .enumerate()
        .filter(|(index, plan)| same(&candidates[..*index], plan).is_none())
        .map(|(_, plan)| plan)
        .collect();
    // The fastest plan runs once more in each round, as if it were another one: how far equal plans are apart is noise.
    let is_measured = options.settings.is_some() && !hardware.times_alone();
    let makespan =
        |candidate: &&&Candidate<'_>| simulate_estimated(problem, candidate.plan, candidate.estimates).makespan();
    let again = distinct.iter().filter(|_| is_measured).min_by_key(makespan).copied();
    let all: Vec<&Candidate<'_>> = distinct.into_iter().chain(again).collect();
    watch.begin(all.len() as u64 * u64::from(options.rounds.most() + 1), "rounds");
    for candidate in &all {
        runs.push(Run::open(hardware, problem, candidate, limits)?);
        watch.advance();
    }
    for made in 0.. {
        if options.rounds.are_enough(made, floor(runs).as_ref(), options.tolerance) {
            break;
        }
        // There and back, so that no plan always comes last.
        let order: Vec<usize> =
            if made.is_multiple_of(2) { (0..all.len()).collect() } else { (0..all.len()).rev().collect() };
        for index in order {
            hardware.synchronise()?;
            runs[index].round(problem, speed.as_mut(), limits)?;
            watch.advance();
        }
    }
    watch.end();
    Ok(())
}

/// How far the two runs of the plan that was opened twice are apart; `None` if none was, or if there are too few rounds.
fn floor(runs: &[Run<'_>]) -> Option<NoiseFloor> {
    let (again, others) = runs.split_last()?;
    let first = others.iter().find(|run| std::ptr::eq(run.candidate, again.candidate))?;
    let makespans = |run: &Run<'_>| -> Vec<f64> {
        run.replayed.rounds.iter().map(|(round, _)| round.timeline.makespan().as_nanos_f64()).collect()
    };
    NoiseFloor::of(first.candidate.strategy, makespans(first).into_iter().zip(makespans(again)))
}

//! `coinfer sweep --replay`: the plans of every point on the cores of this machine.

use super::record::settings;
use super::simulate::{attempts, line};
use super::store::Store;
use crate::cli::replay::{ReplayArgs, replay};
use crate::cli::results::Results;
use crate::cli::{Error, Terminal};
use crate::measure::Candidate;
use crate::metrics::{Lost, Verdict};
use crate::output::{ReplayedPoint, replay_sweep_csv, replay_sweep_json};
use crate::scenario::{Points, Scenario};

/// Plans and simulates every point, replays its plans, and keeps in `store` what the simulation says of points that it does
/// not have. One point at a time: the cores are needed for measuring.
pub(super) fn replay_points(
    results: &Results,
    scenario: &Scenario,
    points: &Points,
    store: &mut Store,
    options: &ReplayArgs,
    terminal: &Terminal,
) -> Result<Vec<ReplayedPoint>, Error> {
    if options.replans() {
        return Err(Error::Usage("the points of a sweep are not planned again; leave out --replan".into()));
    }
    let mut replayed = Vec::new();
    let missing = store.missing();
    for (index, point) in points.iter().enumerate() {
        let settings = settings(&point);
        let shown: Vec<String> = settings.iter().map(|(path, value)| format!("{path}={value}")).collect();
        terminal.tell(&format!("point {} of {}: {}", index + 1, points.len(), shown.join(" ")));
        let case = scenario.case_at(&point)?;
        let (evaluated, panicked) = attempts(&case, |run| run);
        if missing.binary_search(&index).is_ok() {
            let outcomes =
                evaluated.iter().map(|run| run.as_ref().map(|run| run.outcome.clone()).map_err(Clone::clone));
            store.add(index, &line(points, index, outcomes.collect(), panicked))?;
        }
        let candidates: Vec<Candidate<'_>> = evaluated.iter().flatten().map(Candidate::from).collect();
        let replay = replay(scenario.name(), &case, &candidates, options, terminal)?.replay.judged();
        if let Some(Lost { device, reason, .. }) = replay.lost.first().cloned() {
            return Err(Error::Gone { device, reason });
        }
        replayed.push(ReplayedPoint { settings, replay });
    }
    results.write("replay.csv", replay_sweep_csv(&replayed))?;
    results.write("replay.json", replay_sweep_json(&replayed))?;
    Ok(replayed)
}

/// How replays end: not well if a machine was too unsteady to judge some of them.
pub(super) fn conclusion(replayed: &[ReplayedPoint]) -> Result<(), Error> {
    let inconclusive = replayed.iter().filter(|point| point.replay.verdict() == Verdict::Inconclusive).count();
    let told = || format!("the replays of {inconclusive} of {} points are inconclusive", replayed.len());
    if inconclusive == 0 { Ok(()) } else { Err(Error::Inconclusive(told())) }
}

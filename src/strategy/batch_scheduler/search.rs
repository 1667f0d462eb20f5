//! Plans of lanes, of which the fastest in simulation is looked for.

use std::ops::Range;

use super::loops::{Beginning, Loop, Means, Tenancy};
use super::units_at_once;
use crate::model::{ModelId, Segment};
use crate::plan::{Builder, LaneId, Plan};
use crate::platform::DeviceId;
use crate::problem::Problem;
use crate::strategy::PlanError;
use crate::strategy::simulated::{accepted, simulated};
use crate::units::{Duration, Share};

/// Networks that run in turn, and what they have.
#[derive(Clone, Debug)]
pub(super) struct Laned {
    pub(super) device: DeviceId,
    pub(super) means: Means,
    pub(super) loops: Vec<(ModelId, Loop)>,
}

/// Nanoseconds until the last lane is expected to be done.
pub(super) fn forecast(lanes: &[Laned]) -> f64 {
    let of_lane = |lane: &Laned| lane.loops.iter().map(|(_, found)| found.nanos).sum::<f64>();
    lanes.iter().map(of_lane).fold(0.0, f64::max)
}

/// Steps of plans that are simulated in all, about.
const STEPS_MAX: usize = 400_000;

/// So many ways to put networks on lanes are improved, each of which is the fastest that was found of its kind.
const IMPROVED: usize = 3;

/// So many other ways to compute a network are simulated at a time, the fastest by forecast.
const CHANGES: usize = 20;

/// Why there may be nothing to simulate.
const NO_DEVICE: &str =
    "on no device are the times of all networks known and is there room for the largest layer of each";

/// What simulations have shown.
pub(super) struct Simulations<'p> {
    problem: &'p Problem,
    steps_left: usize,
    fastest: Option<(Duration, Plan)>,
    /// Why a plan cannot be, if none can.
    reason: PlanError,
}

impl<'p> Simulations<'p> {
    pub(super) fn new(problem: &'p Problem) -> Simulations<'p> {
        let reason = PlanError::Infeasible(NO_DEVICE.into());
        Simulations { problem, steps_left: STEPS_MAX, fastest: None, reason }
    }

    pub(super) fn into_plan(self) -> Result<Plan, PlanError> {
        self.fastest.map(|(_, plan)| plan).ok_or(self.reason)
    }

    /// How long these lanes take; `None` if devices do not accept or hold it, or nobody knows what a step takes.
    fn time(&mut self, lanes: &[Laned]) -> Option<Duration> {
        self.tried(lanes).unwrap_or_else(|error| {
            self.reason = error;
            None
        })
    }

    fn tried(&mut self, lanes: &[Laned]) -> Result<Option<Duration>, PlanError> {
        let plan = assemble(self.problem, lanes)?;
        self.steps_left = self.steps_left.saturating_sub(plan.steps.len());
        let Some(time) = simulated(self.problem, &plan)? else {
            return accepted(self.problem, plan).map(|_| None);
        };
        if self.fastest.as_ref().is_none_or(|(least, _)| time < *least) {
            self.fastest = Some((time, plan));
        }
        Ok(Some(time))
    }

    /// The fastest of these in simulation, whose networks take turns as they are or the other way round: what one has left in
    /// memory is in the way of the next, or is not.
    pub(super) fn fastest_of(&mut self, found: Vec<Vec<Laned>>) -> Option<(Duration, Vec<Laned>)> {
        let mut fastest: Option<(Duration, Vec<Laned>)> = None;
        for mut lanes in found {
            for _ in 0..if lanes.iter().any(|lane| lane.loops.len() > 1) { 2 } else { 1 } {
                if fastest.is_some() && self.steps_left == 0 {
                    return fastest;
                }
                if let Some(time) = self.time(&lanes)
                    && fastest.as_ref().is_none_or(|(least, _)| time < *least)
                {
                    fastest = Some((time, lanes.clone()));
                }
                lanes.iter_mut().for_each(|lane| lane.loops.reverse());
            }
        }
        fastest
    }

    /// Changes one thing of the fastest ways after the other, as long as that makes them faster.
    pub(super) fn improve(&mut self, mut ways: Vec<(Duration, Vec<Laned>)>, all: &[Vec<Tenancy<'_>>]) {
        ways.sort_by_key(|(time, _)| *time);
        for (mut least, mut lanes) in ways.into_iter().take(IMPROVED) {
            loop {
                let before = least;
                for (lane, place) in places(&lanes) {
                    for changed in self.loops(&lanes[lane], place, all) {
                        let mut other = lanes.clone();
                        other[lane].loops[place].1 = changed;
                        self.take_if_faster(&mut least, &mut lanes, other);
                    }
                }
                let count = lanes.len();
                for (from, to) in (0..count).flat_map(|a| (0..count).map(move |b| (a, b))) {
                    if let Some(other) = self.with_moved_units(&lanes, from, to) {
                        self.take_if_faster(&mut least, &mut lanes, other);
                    }
                }
                if least == before || self.steps_left == 0 {
                    break;
                }
            }
        }
    }

    fn take_if_faster(&mut self, least: &mut Duration, lanes: &mut Vec<Laned>, other: Vec<Laned>) {
        if self.steps_left > 0
            && let Some(time) = self.time(&other)
            && time < *least
        {
            (*least, *lanes) = (time, other);
        }
    }

    /// Other ways to compute a network of a lane: as if it had the lane's memory, all, or half.
    fn loops(&self, lane: &Laned, place: usize, all: &[Vec<Tenancy<'_>>]) -> Vec<Loop> {
        let (model, now) = &lane.loops[place];
        let capacity = self.problem.platform.capacity(lane.device).0;
        let mut found: Vec<Loop> = Vec::new();
        for tenancy in all.iter().flatten().filter(|of| of.device() == lane.device && of.model == *model) {
            for quota in [lane.means.quota, capacity, capacity / 2] {
                let means = Means { quota, ..lane.means };
                for other in tenancy.all(means, self.problem.samples_of(*model), Beginning::Cold) {
                    if !found.iter().chain([now]).any(|known| known.is_like(&other)) {
                        found.push(other);
                    }
                }
            }
        }
        found.sort_by(|a, b| a.nanos.total_cmp(&b.nanos));
        found.truncate(CHANGES);
        found
    }

    /// One group of units goes from a lane to another.
    fn with_moved_units(&self, lanes: &[Laned], from: usize, to: usize) -> Option<Vec<Laned>> {
        let units = self.problem.platform.device(lanes[from].device).units;
        let of = |lane: usize| lanes[lane].means.share.units_of(units);
        let count = units_at_once(units);
        let less = of(from).checked_sub(count).filter(|_| from != to)?;
        let mut moved = lanes.to_vec();
        moved[from].means.share = Share::of_units(less, units)?;
        moved[to].means.share = Share::of_units(of(to) + count, units)?;
        Some(moved)
    }
}

/// By lane, each place of a network.
fn places(lanes: &[Laned]) -> Vec<(usize, usize)> {
    let of_lane = |(lane, of): (usize, &Laned)| (0..of.loops.len()).map(move |place| (lane, place)).collect::<Vec<_>>();
    lanes.iter().enumerate().flat_map(of_lane).collect()
}

/// A step that is expected to begin at a time.
struct Due<'t> {
    nanos: f64,
    lane: usize,
    model: ModelId,
    segment: &'t Segment,
    samples: Range<u32>,
    /// The requests whose outputs it completes.
    completes: Option<Range<u32>>,
}

/// The plan of lanes. Steps are in the order in which they are expected to begin, in which links carry what they need.
pub(super) fn assemble(problem: &Problem, turns: &[Laned]) -> Result<Plan, PlanError> {
    let mut due: Vec<Due<'_>> = Vec::new();
    for (lane, turn) in turns.iter().enumerate() {
        let mut now = 0.0;
        for (model, found) in &turn.loops {
            let samples = problem.samples_of(*model);
            let each = found.nanos / f64::from(samples.max(1)) / found.steps.len() as f64;
            for group in parts(0..samples, found.group) {
                for (index, (segment, batch)) in found.steps.iter().enumerate() {
                    for part in parts(group.clone(), *batch) {
                        let is_last = index + 1 == found.steps.len() && part.end == group.end;
                        let completes = is_last.then(|| group.clone());
                        let (nanos, model) = (now, *model);
                        now += each * f64::from(part.end - part.start);
                        due.push(Due { nanos, lane, model, segment, samples: part, completes });
                    }
                }
            }
        }
    }
    due.sort_by(|a, b| a.nanos.total_cmp(&b.nanos).then(a.lane.cmp(&b.lane)));
    let mut builder = Builder::new(problem);
    let lanes: Vec<LaneId> = turns.iter().map(|turn| builder.part(turn.device, turn.means.share)).collect();
    let mut ends = Vec::new();
    for Due { lane, model, segment, samples, completes, .. } in due {
        let device = turns[lane].device;
        builder.turn_to(device, lanes[lane]);
        let computed = builder.run(device, (model, segment), samples, &[])?;
        if let Some(group) = completes {
            let output = problem.model(model).graph.output();
            let region = builder.all_rows(model, output, group);
            match problem.model(model).home {
                Some(home) if home != device => {
                    ends.extend(builder.bring(home, (model, output), &region, None, &[])?)
                }
                _ => ends.push(computed),
            }
        }
    }
    builder.join(&ends);
    Ok(builder.finish())
}

/// A range in parts of a size, the last of which may be smaller.
fn parts(range: Range<u32>, size: u32) -> impl Iterator<Item = Range<u32>> {
    let end = range.end;
    range.step_by(size.max(1) as usize).map(move |start| start..start.saturating_add(size).min(end))
}

//! The steps of plans as records: what was simulated, what was replayed beside its prediction, and what a figure shows.

use std::collections::BTreeMap;
use std::fmt::Display;

use serde::{Deserialize, Serialize};

use super::read::{CsvMistake, Line, REMEDY, shown};
use super::record::{read_each, records_csv};
use crate::cost::{Basis, Estimate};
use crate::metrics::relative;
use crate::plan::{Action, CheckedPlan, Lane, Plan, Step, StepId};
use crate::platform::DeviceId;
use crate::problem::Problem;
use crate::replay::{Round, Unfinished};
use crate::timeline::{Origin, Span, Timeline};
use crate::units::{Duration, Time};

/// What a step does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Act {
    Compute,
    Transfer,
    Join,
}

/// A line of `timeline.csv`, one a step in the plan's order. What a join does not have is empty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct TimelineStep {
    /// The step's place in the plan.
    step: u32,
    /// The place of its lane in the plan.
    lane: Option<u32>,
    /// The name of the lane's device or link.
    device_or_link: String,
    /// The device's place in the platform; empty of a link.
    device_index: Option<u32>,
    /// `compute`, `transfer`, or `join`, which only waits.
    action: Act,
    /// The network's name.
    model: String,
    /// Places of layers in the network: those that are computed, or the one whose output is sent.
    layers: String,
    /// The first sample.
    samples_start: Option<u32>,
    /// The sample after the last.
    samples_end: Option<u32>,
    /// The first row of the output.
    rows_start: Option<u32>,
    /// The row after the last.
    rows_end: Option<u32>,
    /// When it began, in nanoseconds since the run began.
    start_ns: Time,
    /// When it ended, in nanoseconds since the run began.
    end_ns: Time,
    /// How long of that it waited for pages, in nanoseconds.
    waited_ns: Duration,
    /// How long it takes alone and without waiting, in nanoseconds.
    isolated_ns: Duration,
    /// How that is known: `measured`, `interpolated`, `extrapolated` or `modelled`.
    basis: Basis,
}

/// A line of `replay.csv`, one a round and step, without joins.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct ReplayedStep {
    /// The round, from 0.
    round: usize,
    /// The step's place in the plan.
    step: u32,
    /// The place of its lane in the plan.
    lane: u32,
    /// The name of the lane's device or link.
    device_or_link: String,
    /// `compute` or `transfer`.
    action: Act,
    /// Samples that it computes or sends, wholly or in part.
    samples: u32,
    /// When it should begin by the prediction for this round, in nanoseconds since the round began.
    predicted_start_ns: Time,
    /// When it should end.
    predicted_end_ns: Time,
    /// When it began, in nanoseconds since the round began.
    measured_start_ns: Time,
    /// When it ended.
    measured_end_ns: Time,
    /// How long the hardware was busy with it, in nanoseconds.
    busy_ns: Duration,
    /// By which fraction the predicted length exceeds the measured one.
    error: String,
    /// `measured`, or `assembled` of steps that were timed one by one.
    timeline: String,
    /// What executed it; of a transfer, what its ends have.
    runtime: String,
}

/// A line of `unfinished.csv`, one a step of a round that was given up, without joins.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct UnfinishedStep {
    /// The step's place in the plan.
    step: u32,
    /// The place of its lane in the plan.
    lane: u32,
    /// The name of the lane's device or link.
    device_or_link: String,
    /// `compute` or `transfer`.
    action: Act,
    /// Samples that it computes or sends, wholly or in part.
    samples: u32,
    /// When it began, in nanoseconds since the round began; empty if it did not end.
    measured_start_ns: Option<Time>,
    /// When it ended; empty if it did not.
    measured_end_ns: Option<Time>,
}

/// The timeline as CSV, one line a step in the plan's order.
pub fn timeline_csv(problem: &Problem, plan: &Plan, timeline: &Timeline, estimates: &[Estimate]) -> Vec<u8> {
    let steps = plan.steps.iter().zip(&timeline.spans).zip(estimates).enumerate();
    let waits = timeline.waits();
    records_csv(steps.map(|(index, ((step, span), estimate)): (usize, ((&Step, &Span), &Estimate))| {
        let (place, device) = step.lane.map(|lane| place(problem, plan.lane_at(lane))).unwrap_or_default();
        let (action, what) = match &step.action {
            Action::Compute(work) => (Act::Compute, Some((work.model, work.segment.to_string(), &work.region))),
            Action::Transfer { model, layer, region, .. } => {
                (Act::Transfer, Some((*model, layer.0.to_string(), region)))
            }
            Action::Join => (Act::Join, None),
        };
        let region = what.as_ref().map(|(_, _, region)| *region);
        TimelineStep {
            step: index as u32,
            lane: step.lane.map(|lane| lane.0),
            device_or_link: place.to_owned(),
            device_index: device.map(|device| device.0),
            action,
            samples_start: region.map(|region| region.samples.start),
            samples_end: region.map(|region| region.samples.end),
            rows_start: region.map(|region| region.rows.start),
            rows_end: region.map(|region| region.rows.end),
            model: what.as_ref().map_or("", |(model, ..)| problem.model(*model).graph.name()).to_owned(),
            layers: what.map_or_else(String::new, |(_, layers, _)| layers),
            start_ns: span.start,
            end_ns: span.end,
            waited_ns: waits[index],
            isolated_ns: estimate.time,
            basis: estimate.basis,
        }
    }))
}

/// The steps of a plan in every round, beside their prediction for it, as CSV; `softwares`, by device,
/// executed them.
pub fn replay_csv(
    problem: &Problem,
    plan: &CheckedPlan,
    rounds: &[(Round, Timeline)],
    softwares: &[String],
) -> Vec<u8> {
    let lines = rounds.iter().enumerate().flat_map(|(index, (round, predicted))| {
        on_lanes(problem, plan).map(move |OnLane { step, lane, place, action, samples, .. }| {
            let (expected, found) = (predicted.span(step), round.timeline.span(step));
            let error = relative(expected.duration().as_nanos_f64(), found.duration().as_nanos_f64());
            ReplayedStep {
                round: index,
                step: step.0,
                lane,
                device_or_link: place.to_owned(),
                action,
                samples,
                predicted_start_ns: expected.start,
                predicted_end_ns: expected.end,
                measured_start_ns: found.start,
                measured_end_ns: found.end,
                busy_ns: round.busy[step.0 as usize],
                error: format!("{error:.4}"),
                timeline: origin(&round.timeline).to_owned(),
                runtime: by(problem, &plan.lanes[lane as usize], softwares),
            }
        })
    });
    records_csv(lines)
}

/// The steps of a round that was given up, as CSV.
pub fn unfinished_csv(problem: &Problem, plan: &CheckedPlan, unfinished: &Unfinished) -> Vec<u8> {
    records_csv(on_lanes(problem, plan).map(|OnLane { step, lane, place, action, samples, .. }| {
        let span = unfinished.spans[step.0 as usize];
        UnfinishedStep {
            step: step.0,
            lane,
            device_or_link: place.to_owned(),
            action,
            samples,
            measured_start_ns: span.map(|span| span.start),
            measured_end_ns: span.map(|span| span.end),
        }
    }))
}

/// A step that is no join, and the name of the device or link that it is on.
struct OnLane<'a> {
    step: StepId,
    lane: u32,
    place: &'a str,
    device: Option<DeviceId>,
    action: Act,
    samples: u32,
}

fn on_lanes<'a>(problem: &'a Problem, plan: &'a Plan) -> impl Iterator<Item = OnLane<'a>> {
    plan.step_ids().filter_map(|id| {
        let step = plan.step_at(id);
        let (action, region) = match &step.action {
            Action::Compute(work) => (Act::Compute, &work.region),
            Action::Transfer { region, .. } => (Act::Transfer, region),
            Action::Join => return None,
        };
        let lane = step.lane?;
        let (place, device) = place(problem, plan.lane_at(lane));
        Some(OnLane { step: id, lane: lane.0, place, device, action, samples: region.samples.len() as u32 })
    })
}

/// The name of the device or link that `lane` is on, and which device that is.
fn place<'a>(problem: &'a Problem, lane: &Lane) -> (&'a str, Option<DeviceId>) {
    match *lane {
        Lane::Compute { device, .. } => (&problem.platform.device(device).name, Some(device)),
        Lane::Link(link) => (&problem.platform.link(link).name, None),
    }
}

/// What executed the steps of a lane; of a link, what its ends have.
fn by(problem: &Problem, lane: &Lane, softwares: &[String]) -> String {
    let of = |device: DeviceId| softwares[device.0 as usize].as_str();
    match *lane {
        Lane::Compute { device, .. } => of(device).to_owned(),
        Lane::Link(link) => {
            let link = problem.platform.link(link);
            match (of(link.from), of(link.to)) {
                (from, to) if from == to || to.is_empty() => from.to_owned(),
                ("", to) => to.to_owned(),
                (from, to) => format!("{from} and {to}"),
            }
        }
    }
}

/// How a timeline of a replay came about.
fn origin(timeline: &Timeline) -> &'static str {
    if timeline.origin == Origin::Assembled { "assembled" } else { "measured" }
}

/// A step on a lane, as figures show it. All rows of a lane have the same place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimelineRow {
    /// Index of the lane in the plan.
    pub lane: u32,
    /// The name of the lane's device or link.
    pub place: String,
    /// The device that the place is; `None` if it is a link, so that the step is a transfer.
    pub device: Option<DeviceId>,
    /// Samples that the step computes or copies, wholly or in part.
    pub samples: u32,
    /// When it began.
    pub start: Time,
    /// When it ended; not before `start`.
    pub end: Time,
    /// How long of that it waited for pages.
    pub waited: Duration,
}

/// The rows of `timeline` in the plan's order. Joins, which take no time, have none.
pub fn timeline_rows(problem: &Problem, plan: &Plan, timeline: &Timeline) -> Vec<TimelineRow> {
    let waits = timeline.waits();
    let row = |OnLane { step, lane, place, device, samples, .. }: OnLane<'_>| {
        let Span { start, end } = timeline.span(step);
        TimelineRow { lane, place: place.to_owned(), device, samples, start, end, waited: waits[step.0 as usize] }
    };
    on_lanes(problem, plan).map(row).collect()
}

/// Both timelines of a round as rows of one figure: each lane as predicted, and below it as measured.
pub fn both_rows(problem: &Problem, plan: &CheckedPlan, predicted: &Timeline, measured: &Timeline) -> Vec<TimelineRow> {
    let rows = |timeline: &Timeline, offset: u32, what: &str| {
        let start = timeline.spans.iter().map(|span| span.start).min().unwrap_or_default();
        let shifted = move |row: TimelineRow| TimelineRow {
            lane: row.lane * 2 + offset,
            place: format!("{} {what}", row.place),
            start: Time::ZERO + (row.start - start),
            end: Time::ZERO + (row.end - start),
            ..row
        };
        timeline_rows(problem, plan, timeline).into_iter().map(shifted).collect::<Vec<_>>()
    };
    [rows(predicted, 0, "predicted"), rows(measured, 1, origin(measured))].concat()
}

/// The rows of a file that [`timeline_csv`] wrote.
///
/// # Errors
/// All faults of the file, in its order.
pub fn read_timeline_csv(bytes: &[u8]) -> Result<Vec<TimelineRow>, Vec<CsvMistake>> {
    // Each lane's place and device, and the line that says so.
    let mut places: BTreeMap<u32, (String, Option<DeviceId>, u64)> = BTreeMap::new();
    let rows = read_each(bytes, |line, step: TimelineStep| {
        if step.action == Act::Join {
            return Some(None);
        }
        let row = row_of(line, step)?;
        let here = (row.place.clone(), row.device, line.number());
        let (place, device, first) = places.entry(row.lane).or_insert(here);
        if (&*place, *device) == (&row.place, row.device) {
            return Some(Some(row));
        }
        let now = described(&row.place, row.device);
        let cause = format!("lane {} is {now}, but in line {first} it is {}", row.lane, described(place, *device));
        line.fault(cause, REMEDY.into());
        None
    })?;
    Ok(rows.into_iter().flatten().collect())
}

/// `None` for a line with faults.
fn row_of(line: &mut Line<'_>, step: TimelineStep) -> Option<TimelineRow> {
    let mut known = |value: Option<u32>, column: &str| line.or_fault(value, column, "a whole number");
    let lane = known(step.lane, "lane");
    let device = match step.action {
        Act::Compute => known(step.device_index, "device_index").map(|index| Some(DeviceId(index))),
        Act::Transfer | Act::Join => Some(None),
    };
    let samples = known(step.samples_start, "samples_start").zip(known(step.samples_end, "samples_end"));
    let is_ascending = samples.is_none_or(|ends| ascending(line, ends, ["samples_start", "samples_end"]))
        & ascending(line, (step.start_ns.as_nanos(), step.end_ns.as_nanos()), ["start_ns", "end_ns"]);
    let (first, last) = samples.filter(|_| is_ascending)?;
    Some(TimelineRow {
        lane: lane?,
        place: step.device_or_link,
        device: device?,
        samples: last - first,
        start: step.start_ns,
        end: step.end_ns,
        waited: step.waited_ns,
    })
}

/// Whether the second of two values is not less, or else a fault.
fn ascending<T: PartialOrd + Display>(line: &mut Line<'_>, (first, last): (T, T), [from, to]: [&str; 2]) -> bool {
    if first > last {
        line.fault(format!("`{to}` is {last}, less than `{from}`, {first}"), REMEDY.into());
    }
    first <= last
}

fn described(place: &str, device: Option<DeviceId>) -> String {
    let kind = device.map_or("the link".to_owned(), |device| format!("device {},", device.0));
    format!("{kind} `{}`", shown(place))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::record::fields;
    use super::*;
    use crate::metrics::example;
    use crate::model::{ModelId, Region, Work};
    use crate::plan::LaneId;
    use crate::platform::LinkId;
    use crate::units::{Bytes, Share};

    #[test]
    fn every_step_but_joins_has_a_row() {
        let run = example::run(&[(0, 0..6, 0..8), (2, 6..10, 0..8)]);
        let row = |lane, place: &str, device: Option<u32>, samples, start: u64, end: u64| TimelineRow {
            lane,
            place: place.into(),
            device: device.map(DeviceId),
            samples,
            start: Time::from_nanos(start * 1_000_000),
            end: Time::from_nanos(end * 1_000_000),
            waited: Duration::ZERO,
        };
        assert_eq!(
            timeline_rows(&run.problem, &run.plan, &run.timeline),
            [row(0, "cpu", Some(0), 6, 0, 18), row(2, "gpu", Some(2), 4, 0, 4), row(3, "pcie", None, 4, 4, 5)]
        );
    }

    #[test]
    fn every_step_has_a_line() {
        let run = example::run(&[(0, 0..6, 0..8), (2, 6..10, 0..8)]);
        let bytes = timeline_csv(&run.problem, &run.plan, &run.timeline, &run.estimates);
        insta::assert_snapshot!(String::from_utf8(bytes).unwrap(), @"
        step,lane,device_or_link,device_index,action,model,layers,samples_start,samples_end,rows_start,rows_end,start_ns,end_ns,waited_ns,isolated_ns,basis
        0,0,cpu,0,compute,net,1,0,6,0,8,0,18000000,0,18000000,measured
        1,2,gpu,2,compute,net,1,6,10,0,8,0,4000000,0,4000000,modelled
        2,3,pcie,,transfer,net,1,6,10,0,8,4000000,5000000,0,1000000,modelled
        3,,,,join,,,,,,,18000000,18000000,0,0,measured
        ");
    }

    #[test]
    fn files_have_the_steps_of_every_round_but_no_joins() {
        let run = example::run(&[(0, 0..4, 0..8), (2, 4..10, 0..8)]);
        let busy = vec![Duration::from_nanos(5); run.plan.steps.len()];
        let round = Round { timeline: run.timeline.clone(), busy, there: vec![] };
        let rounds = vec![(round.clone(), run.timeline.clone()), (round, run.timeline.clone())];
        let softwares = vec!["rten".to_owned(); run.problem.platform.devices.len()];
        let text = String::from_utf8(replay_csv(&run.problem, &run.plan, &rounds, &softwares)).unwrap();
        insta::assert_snapshot!(text, @"
        round,step,lane,device_or_link,action,samples,predicted_start_ns,predicted_end_ns,measured_start_ns,measured_end_ns,busy_ns,error,timeline,runtime
        0,0,0,cpu,compute,4,0,12000000,0,12000000,5,0.0000,measured,rten
        0,1,2,gpu,compute,6,0,6000000,0,6000000,5,0.0000,measured,rten
        0,2,3,pcie,transfer,6,6000000,7000000,6000000,7000000,5,0.0000,measured,rten
        1,0,0,cpu,compute,4,0,12000000,0,12000000,5,0.0000,measured,rten
        1,1,2,gpu,compute,6,0,6000000,0,6000000,5,0.0000,measured,rten
        1,2,3,pcie,transfer,6,6000000,7000000,6000000,7000000,5,0.0000,measured,rten
        ");
        let rows = both_rows(&run.problem, &run.plan, &run.timeline, &run.timeline);
        let places: Vec<(u32, &str)> = rows.iter().map(|row| (row.lane, row.place.as_str())).collect();
        let lanes = ["cpu", "gpu", "pcie"].map(|name| [format!("{name} predicted"), format!("{name} measured")]);
        assert!(lanes.as_flattened().iter().all(|lane| places.iter().filter(|(_, place)| place == lane).count() == 1));
        assert_eq!(places.len(), 6);
        assert!(places.iter().all(|(lane, place)| (lane % 2 == 1) == place.ends_with(" measured")));
    }

    #[test]
    fn steps_that_did_not_end_have_no_times() {
        let run = example::run(&[(0, 0..4, 0..8), (2, 4..10, 0..8)]);
        let mut spans: Vec<_> = run.timeline.spans.iter().copied().map(Some).collect();
        spans[1] = None;
        let text = String::from_utf8(unfinished_csv(&run.problem, &run.plan, &Unfinished { spans })).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], fields::<UnfinishedStep>().join(","));
        assert!(lines[1].starts_with("0,0,cpu,compute,4,0,"), "{text}");
        assert!(lines[2].ends_with(",compute,6,,"), "{text}");
    }

    #[test]
    fn what_contradicts_itself_is_told() {
        let header = fields::<TimelineStep>().join(",");
        let text = format!(
            "{header}\n0,0,cpu,0,compute,net,1,6,0,0,8,5,4,0,4,measured\n1,0,cpu,0,compute,net,1,0,6,0,8,4,4,0,4,measured\n\
             2,0,cpu,,transfer,net,1,0,6,0,8,4,5,0,1,measured\n3,0,cpu,1,compute,net,1,0,6,0,8,4,5,0,1,measured\n\
             4,,,,join,,,,,,,18,18,0,0,measured\n5,,,,sleep,,,,,,,18,18,0,0,measured\n6,,,,compute,,,,,,,,,,,\n7,,,,compute,,,,,,,1,2,0,1,measured\n"
        );
        let faults = read_timeline_csv(text.as_bytes()).unwrap_err();
        let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
        insta::assert_snapshot!(faults.join("\n"), @"
        line 2: `samples_end` is 0, less than `samples_start`, 6; correct it or make the results again
        line 2: `end_ns` is 4, less than `start_ns`, 5; correct it or make the results again
        line 4: lane 0 is the link `cpu`, but in line 3 it is device 0, `cpu`; correct it or make the results again
        line 5: lane 0 is device 1, `cpu`, but in line 3 it is device 0, `cpu`; correct it or make the results again
        line 7: `action` is `sleep`, not `compute`, `transfer` or `join`; correct it or make the results again
        line 8: `start_ns` is empty, not a whole number from 0 to 2^64 - 1; correct it or make the results again
        line 8: `end_ns` is empty, not a whole number from 0 to 2^64 - 1; correct it or make the results again
        line 8: `waited_ns` is empty, not a whole number from 0 to 2^64 - 1; correct it or make the results again
        line 8: `isolated_ns` is empty, not a whole number from 0 to 2^64 - 1; correct it or make the results again
        line 8: `basis` is empty, not `measured`, `interpolated`, `extrapolated` or `modelled`; correct it or make the results again
        line 9: `lane` is empty, not a whole number; correct it or make the results again
        line 9: `device_index` is empty, not a whole number; correct it or make the results again
        line 9: `samples_start` is empty, not a whole number; correct it or make the results again
        line 9: `samples_end` is empty, not a whole number; correct it or make the results again
        ");
    }

    /// A step's lane, if any, its first sample and their number, its start and its length.
    type Drawn = (Option<u32>, (u16, u16), (u64, u64));

    /// A plan with these steps and its timeline.
    fn planned(problem: &Problem, steps: &[Drawn]) -> (Plan, Timeline) {
        let mut plan = Plan::default();
        for device in 0..problem.platform.devices.len() as u32 {
            plan.lane(Lane::Compute { device: DeviceId(device), share: Share::FULL, memory: Bytes(0) });
        }
        let link = plan.lane(Lane::Link(LinkId(0)));
        let segment = problem.models[0].graph.whole().unwrap();
        let mut spans = Vec::new();
        for &(lane, (first, count), (start, length)) in steps {
            let (first, count) = (u32::from(first), u32::from(count));
            let region = Region { samples: first..first + count, rows: 0..8 };
            let model = ModelId(0);
            match lane.map(|lane| LaneId(lane % plan.lanes.len() as u32)) {
                None => plan.join(&[]),
                Some(lane) if lane == link => {
                    let layer = problem.models[0].graph.output();
                    let to = DeviceId(0);
                    plan.step(lane, Action::Transfer { model, layer, region, to }, &[])
                }
                Some(lane) => {
                    let segment = segment.clone();
                    plan.step(lane, Action::Compute(Work { model, segment, region }), &[])
                }
            };
            let start = Time::from_nanos(start);
            let end = start + Duration::from_nanos(length);
            spans.push(Span { start, end });
        }
        let origin = Origin::Simulated;
        (plan, Timeline::new(origin, spans))
    }

    proptest! {
        #[test]
        fn rows_that_are_written_read_back(
            names in proptest::collection::vec(any::<String>(), 1..4),
            steps: Vec<Drawn>,
        ) {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let problem = example::problem(&names, 1);
            let (plan, timeline) = planned(&problem, &steps);
            let estimate = Estimate { time: Duration::ZERO, basis: Basis::Measured };
            let csv = timeline_csv(&problem, &plan, &timeline, &vec![estimate; steps.len()]);
            let rows = timeline_rows(&problem, &plan, &timeline);
            prop_assert_eq!(read_timeline_csv(&csv), Ok(rows));
        }
    }
}

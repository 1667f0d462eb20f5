//! The steps of a timeline as tidy rows.

use std::collections::BTreeMap;
use std::fmt::Display;

use super::read::{CsvFault, Line, REMEDY, read_rows, shown};
use crate::output::files::{TIMELINE_COLUMNS, place};
use crate::plan::{Action, Plan, Step};
use crate::platform::DeviceId;
use crate::problem::Problem;
use crate::timeline::{Span, Timeline};
use crate::units::Time;

/// A step on a lane. All rows of a lane have the same place.
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
}

/// The rows of `timeline` in the plan's order. Joins, which take no time, have none.
pub fn timeline_rows(problem: &Problem, plan: &Plan, timeline: &Timeline) -> Vec<TimelineRow> {
    let steps = plan.steps.iter().zip(&timeline.spans);
    let row = |(step, span): (&Step, &Span)| {
        let samples = match &step.action {
            Action::Compute(work) => work.region.samples.len(),
            Action::Transfer { region, .. } => region.samples.len(),
            Action::Join => return None,
        };
        let lane = step.lane?;
        let (place, device) = place(problem, plan.lane_at(lane));
        Some(TimelineRow {
            lane: lane.0,
            place: place.to_owned(),
            device,
            samples: samples as u32,
            start: span.start,
            end: span.end,
        })
    };
    steps.filter_map(row).collect()
}

/// The rows of a file that [`timeline_csv`](crate::output::timeline_csv) wrote.
///
/// # Errors
/// All faults of the file, in its order.
pub fn read_timeline_csv(bytes: &[u8]) -> Result<Vec<TimelineRow>, Vec<CsvFault>> {
    // Each lane's place and device, and the line that says so.
    let mut places: BTreeMap<u32, (String, Option<DeviceId>, u64)> = BTreeMap::new();
    read_rows(bytes, &TIMELINE_COLUMNS, |line| {
        let row = row_of(line)?;
        let here = (row.place.clone(), row.device, line.number());
        let (place, device, first) = places.entry(row.lane).or_insert(here);
        if (&*place, *device) == (&row.place, row.device) {
            return Some(row);
        }
        let now = described(&row.place, row.device);
        let cause = format!("lane {} is {now}, but in line {first} it is {}", row.lane, described(place, *device));
        line.fault(cause, REMEDY.into());
        None
    })
}

/// `None` for a join, and for a line with faults.
fn row_of(line: &mut Line<'_>) -> Option<TimelineRow> {
    let is_link = match line.text("action") {
        "compute" => false,
        "transfer" => true,
        "join" => return None,
        other => {
            let cause = format!("`action` is `{}`, not `compute`, `transfer` or `join`", shown(other));
            line.fault(cause, REMEDY.into());
            return None;
        }
    };
    let lane = line.count("lane");
    let device = if is_link { Some(None) } else { line.count("device_index").map(|index| Some(DeviceId(index))) };
    let samples = ascending(line, "samples_start", "samples_end", Line::count);
    let span = ascending(line, "start_ns", "end_ns", Line::nanos);
    let (first, last) = samples?;
    let (start, end) = span?;
    Some(TimelineRow {
        lane: lane?,
        place: line.text("device_or_link").to_owned(),
        device: device?,
        samples: last - first,
        start: Time::from_nanos(start),
        end: Time::from_nanos(end),
    })
}

/// Two values of which the second is not less.
fn ascending<'a, T: PartialOrd + Display>(
    line: &mut Line<'a>,
    from: &str,
    to: &str,
    read: fn(&mut Line<'a>, &str) -> Option<T>,
) -> Option<(T, T)> {
    let (first, last) = (read(line, from), read(line, to));
    let (first, last) = (first?, last?);
    if first <= last {
        return Some((first, last));
    }
    line.fault(format!("`{to}` is {last}, less than `{from}`, {first}"), REMEDY.into());
    None
}

fn described(place: &str, device: Option<DeviceId>) -> String {
    let kind = device.map_or("the link".to_owned(), |device| format!("device {},", device.0));
    format!("{kind} `{}`", shown(place))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::cost::{Basis, Estimate};
    use crate::metrics::example;
    use crate::model::{ModelId, Region, Work};
    use crate::output::timeline_csv;
    use crate::plan::{Lane, LaneId};
    use crate::platform::LinkId;
    use crate::timeline::Origin;
    use crate::units::{Bytes, Duration, Share};

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
        };
        assert_eq!(
            timeline_rows(&run.problem, &run.plan, &run.timeline),
            [row(0, "cpu", Some(0), 6, 0, 18), row(2, "gpu", Some(2), 4, 0, 4), row(3, "pcie", None, 4, 4, 5)]
        );
    }

    #[test]
    fn what_contradicts_itself_is_told() {
        let header = TIMELINE_COLUMNS.join(",");
        let text = format!(
            "{header}\n0,0,cpu,0,compute,net,1,6,0,0,8,5,4,4,measured\n1,0,cpu,0,compute,net,1,0,6,0,8,4,4,4,measured\n\
             2,0,cpu,,transfer,net,1,0,6,0,8,4,5,1,measured\n3,0,cpu,1,compute,net,1,0,6,0,8,4,5,1,measured\n\
             4,,,,join,,,,,,,18,18,0,measured\n5,,,,sleep,,,,,,,18,18,0,measured\n6,,,,compute,,,,,,,,,,\n"
        );
        let faults = read_timeline_csv(text.as_bytes()).unwrap_err();
        let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
        insta::assert_snapshot!(faults.join("\n"), @"
        line 2: `samples_end` is 0, less than `samples_start`, 6; correct it or make the results again
        line 2: `end_ns` is 4, less than `start_ns`, 5; correct it or make the results again
        line 4: lane 0 is the link `cpu`, but in line 3 it is device 0, `cpu`; correct it or make the results again
        line 5: lane 0 is device 1, `cpu`, but in line 3 it is device 0, `cpu`; correct it or make the results again
        line 7: `action` is `sleep`, not `compute`, `transfer` or `join`; correct it or make the results again
        line 8: `lane` is empty, not a whole number from 0 to 4294967295; correct it or make the results again
        line 8: `device_index` is empty, not a whole number from 0 to 4294967295; correct it or make the results again
        line 8: `samples_start` is empty, not a whole number from 0 to 4294967295; correct it or make the results again
        line 8: `samples_end` is empty, not a whole number from 0 to 4294967295; correct it or make the results again
        line 8: `start_ns` is empty, not a whole number of nanoseconds from 0 to 2^64 - 1; correct it or make the results again
        line 8: `end_ns` is empty, not a whole number of nanoseconds from 0 to 2^64 - 1; correct it or make the results again
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
        (plan, Timeline { origin, spans })
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

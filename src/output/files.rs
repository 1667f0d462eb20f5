//! The bytes of the files that describe one plan and its timeline.

use serde::Serialize;

use super::rows::{csv_bytes, text};
use super::summary::basis_name;
use crate::cost::Estimate;
use crate::engine::{Fate, Query};
use crate::plan::{Action, Lane, Plan, Step};
use crate::platform::DeviceId;
use crate::problem::Problem;
use crate::statistics::Histogram;
use crate::timeline::{Span, Timeline, chrome_trace};
use crate::units::Duration;

/// The plan as JSON, one line a lane and one a step. Reads back as the same plan.
pub fn plan_json(plan: &Plan) -> Vec<u8> {
    let (lanes, steps) = (lines(&plan.lanes), lines(&plan.steps));
    format!("{{\n\"lanes\": [{lanes}],\n\"steps\": [{steps}]\n}}\n").into_bytes()
}

/// The timeline in the Chrome trace format, which Perfetto opens.
pub fn timeline_json(problem: &Problem, plan: &Plan, timeline: &Timeline) -> Vec<u8> {
    chrome_trace(problem, plan, timeline).into_bytes()
}

/// The queries as CSV: when each arrived, was begun and ended, in nanoseconds, and what became of it; and of which of
/// `networks` it is, if these have loads of their own.
pub fn queries_csv(queries: &[Query], networks: &[&str]) -> Vec<u8> {
    let line = |query: &Query| {
        let fate = match query.fate {
            Fate::Done => "done",
            Fate::Dropped => "dropped",
            Fate::Expired => "expired",
        };
        let times = [query.arrived, query.begun, query.ended].map(|time| time.as_nanos().to_string());
        let network = networks.get(usize::from(query.tenant)).map(|network| (*network).to_owned());
        times.into_iter().chain([fate.to_owned()]).chain(network).collect()
    };
    let network = (!networks.is_empty()).then_some("network");
    let header = ["arrived_ns", "begun_ns", "ended_ns", "fate"].into_iter().chain(network);
    csv_bytes(header, queries.iter().map(line))
}

/// A histogram of latencies as CSV: each that occurs, ascending, and how often.
pub fn latency_csv(latencies: &Histogram) -> Vec<u8> {
    let line = |(latency, count): (Duration, u64)| vec![latency.as_millis_f64().to_string(), count.to_string()];
    csv_bytes(["latency_ms", "count"], latencies.iter().map(line))
}

/// The columns of [`timeline_csv`].
pub(crate) const TIMELINE_COLUMNS: [&str; 15] = [
    "step",
    "lane",
    "device_or_link",
    "device_index",
    "action",
    "model",
    "layers",
    "samples_start",
    "samples_end",
    "rows_start",
    "rows_end",
    "start_ns",
    "end_ns",
    "isolated_ns",
    "basis",
];

/// The timeline as CSV, one line a step in the plan's order. What a step does not have is empty.
///
/// `device_index` is the device's place in the platform, and `layers` are indices in the model's graph; times are
/// nanoseconds since the run began.
pub fn timeline_csv(problem: &Problem, plan: &Plan, timeline: &Timeline, estimates: &[Estimate]) -> Vec<u8> {
    let steps = plan.steps.iter().zip(&timeline.spans).zip(estimates).enumerate();
    let line = |(index, ((step, span), estimate)): (usize, _)| {
        let (step, span, estimate): (&Step, &Span, &Estimate) = (step, span, estimate);
        let (place, device) = step.lane.map(|lane| place(problem, plan.lane_at(lane))).unwrap_or_default();
        let (action, what) = match &step.action {
            Action::Compute(work) => ("compute", Some((work.model, work.segment.to_string(), &work.region))),
            Action::Transfer { model, layer, region, .. } => ("transfer", Some((*model, layer.0.to_string(), region))),
            Action::Join => ("join", None),
        };
        let what = match what {
            Some((model, layers, region)) => [
                problem.model(model).graph.name().to_owned(),
                layers,
                region.samples.start.to_string(),
                region.samples.end.to_string(),
                region.rows.start.to_string(),
                region.rows.end.to_string(),
            ],
            None => Default::default(),
        };
        let (lane, device) = (text(step.lane.map(|lane| lane.0)), text(device.map(|device| device.0)));
        let mut line = vec![index.to_string(), lane, place.to_owned(), device, action.to_owned()];
        line.extend(what);
        line.extend([
            span.start.as_nanos().to_string(),
            span.end.as_nanos().to_string(),
            estimate.time.as_nanos().to_string(),
            basis_name(estimate.basis).to_owned(),
        ]);
        line
    };
    csv_bytes(TIMELINE_COLUMNS, steps.map(line))
}

/// The name of the device or link that `lane` is on, and which device that is.
pub(crate) fn place<'a>(problem: &'a Problem, lane: &Lane) -> (&'a str, Option<DeviceId>) {
    match *lane {
        Lane::Compute { device, .. } => (&problem.platform.device(device).name, Some(device)),
        Lane::Link(link) => (&problem.platform.link(link).name, None),
    }
}

fn lines<T: Serialize>(items: &[T]) -> String {
    let line = |item| serde_json::to_string(item).expect("all keys are strings and writing to memory succeeds");
    let lines: Vec<String> = items.iter().map(|item| format!("\n  {}", line(item))).collect();
    lines.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::example;

    #[test]
    fn a_written_plan_reads_back_as_itself() {
        let plan = &*example::run(&[(0, 0..6, 0..8), (2, 6..10, 0..8)]).plan;
        let bytes = plan_json(plan);
        assert_eq!(&serde_json::from_slice::<Plan>(&bytes).unwrap(), plan);
        assert_eq!(bytes.iter().filter(|&&byte| byte == b'\n').count(), 4 + plan.lanes.len() + plan.steps.len());
        let empty = plan_json(&Plan::default());
        assert_eq!(serde_json::from_slice::<Plan>(&empty).unwrap(), Plan::default());
    }

    #[test]
    fn every_step_has_a_line() {
        let run = example::run(&[(0, 0..6, 0..8), (2, 6..10, 0..8)]);
        let bytes = timeline_csv(&run.problem, &run.plan, &run.timeline, &run.estimates);
        insta::assert_snapshot!(String::from_utf8(bytes).unwrap(), @"
        step,lane,device_or_link,device_index,action,model,layers,samples_start,samples_end,rows_start,rows_end,start_ns,end_ns,isolated_ns,basis
        0,0,cpu,0,compute,net,1,0,6,0,8,0,18000000,18000000,measured
        1,2,gpu,2,compute,net,1,6,10,0,8,0,4000000,4000000,modelled
        2,3,pcie,,transfer,net,1,6,10,0,8,4000000,5000000,1000000,modelled
        3,,,,join,,,,,,,18000000,18000000,0,measured
        ");
    }
}

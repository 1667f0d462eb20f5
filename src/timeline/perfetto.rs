//! A timeline in the Chrome trace event format, which Perfetto and `chrome://tracing` open.

use serde_json::json;

use super::Timeline;
use crate::plan::{Action, Lane, Plan};
use crate::problem::Problem;

/// The timeline as a Chrome trace in JSON: one thread a lane, one complete event a step while it has its lane, and within
/// it one while it waits for pages; times in microseconds.
pub fn chrome_trace(problem: &Problem, plan: &Plan, timeline: &Timeline) -> String {
    let lanes = plan.lanes.iter().enumerate().map(|(index, lane)| {
        let name = match lane {
            Lane::Compute { device, .. } => &problem.platform.device(*device).name,
            Lane::Link(link) => &problem.platform.link(*link).name,
        };
        json!({"ph": "M", "pid": 0, "tid": index, "name": "thread_name", "args": {"name": name}})
    });
    let steps = plan.steps.iter().zip(&timeline.spans).enumerate().filter_map(|(index, (step, span))| {
        let (lane, on_lane) = (step.lane?, span.on_lane(plan.lane_at(step.lane?), &problem.platform));
        let (category, model, region) = match &step.action {
            Action::Compute(work) => ("compute", work.model, &work.region),
            Action::Transfer { model, region, .. } => ("transfer", *model, region),
            Action::Join => return None,
        };
        Some(json!({
            "ph": "X",
            "pid": 0,
            "tid": lane.0,
            "name": format!("{} x {}", problem.model(model).graph.name(), region.samples.len()),
            "cat": category,
            "ts": span.start.since_start().as_nanos_f64() / 1e3,
            "dur": on_lane.duration().as_nanos_f64() / 1e3,
            "args": {"step": index, "region": region.to_string()},
        }))
    });
    let faults = timeline.faults.iter().filter_map(|faults| {
        Some(json!({
            "ph": "X",
            "pid": 0,
            "tid": plan.step_at(faults.step).lane?.0,
            "name": "page faults",
            "cat": "paging",
            "ts": timeline.span(faults.step).start.since_start().as_nanos_f64() / 1e3,
            "dur": faults.wait.as_nanos_f64() / 1e3,
            "args": {"in": faults.moved_in.0, "out": faults.moved_out.0, "blocks": faults.evicted},
        }))
    });
    // One event a line, each written at once: a tree of a million of them would take gigabytes.
    let mut text = String::from("{\"displayTimeUnit\":\"ms\",\"traceEvents\":[");
    for (index, event) in lanes.chain(steps).chain(faults).enumerate() {
        text.push_str(if index > 0 { ",\n" } else { "\n" });
        text.push_str(&event.to_string());
    }
    text.push_str("\n]}\n");
    text
}

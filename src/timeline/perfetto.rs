//! A timeline in the Chrome trace event format, which Perfetto and `chrome://tracing` open.

use serde_json::{Value, json};

use super::Timeline;
use crate::plan::{Action, Lane, Plan};
use crate::problem::Problem;

/// The timeline as a Chrome trace: one thread a lane, one complete event a step, times in microseconds.
pub fn chrome_trace(problem: &Problem, plan: &Plan, timeline: &Timeline) -> Value {
    let mut events = Vec::with_capacity(plan.lanes.len() + plan.steps.len());
    for (index, lane) in plan.lanes.iter().enumerate() {
        let name = match lane {
            Lane::Compute { device, .. } => &problem.platform.device(*device).name,
            Lane::Link(link) => &problem.platform.link(*link).name,
        };
        events.push(json!({"ph": "M", "pid": 0, "tid": index, "name": "thread_name", "args": {"name": name}}));
    }
    for (index, (step, span)) in plan.steps.iter().zip(&timeline.spans).enumerate() {
        let Some(lane) = step.lane else { continue };
        let (category, model, region) = match &step.action {
            Action::Compute(work) => ("compute", work.model, &work.region),
            Action::Transfer { model, region, .. } => ("transfer", *model, region),
            Action::Join => continue,
        };
        let name = format!("{} x {}", problem.model(model).graph.name(), region.samples.len());
        events.push(json!({
            "ph": "X",
            "pid": 0,
            "tid": lane.0,
            "name": name,
            "cat": category,
            "ts": span.start.as_nanos() as f64 / 1e3,
            "dur": span.duration().as_nanos() as f64 / 1e3,
            "args": {"step": index, "region": region.to_string()},
        }));
    }
    json!({"displayTimeUnit": "ms", "traceEvents": events})
}

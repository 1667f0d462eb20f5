//! The steps of a round that was given up.

use super::files::place;
use super::rows::csv_bytes;
use crate::plan::{Action, CheckedPlan};
use crate::problem::Problem;
use crate::replay::Unfinished;

/// The columns of [`unfinished_csv`].
const COLUMNS: [&str; 7] =
    ["step", "lane", "device_or_link", "action", "samples", "measured_start_ns", "measured_end_ns"];

/// The steps of a round that was given up, as CSV. Steps that did not end have no times.
pub fn unfinished_csv(problem: &Problem, plan: &CheckedPlan, unfinished: &Unfinished) -> Vec<u8> {
    let lines = plan.step_ids().zip(&unfinished.spans).filter_map(|(id, span)| {
        let step = plan.step_at(id);
        let (action, samples) = match &step.action {
            Action::Compute(work) => ("compute", work.region.samples.len()),
            Action::Transfer { region, .. } => ("transfer", region.samples.len()),
            Action::Join => return None,
        };
        let lane = step.lane?;
        let times = span.map_or([String::new(), String::new()], |span| {
            [span.start, span.end].map(|time| time.as_nanos().to_string())
        });
        let mut line = vec![id.0.to_string(), lane.0.to_string(), place(problem, plan.lane_at(lane)).0.to_owned()];
        line.extend([action.to_owned(), samples.to_string()]);
        line.extend(times);
        Some(line)
    });
    csv_bytes(COLUMNS, lines)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::example;

    #[test]
    fn steps_that_did_not_end_have_no_times() {
        let run = example::run(&[(0, 0..4, 0..8), (2, 4..10, 0..8)]);
        let mut spans: Vec<_> = run.timeline.spans.iter().copied().map(Some).collect();
        spans[1] = None;
        let text = String::from_utf8(unfinished_csv(&run.problem, &run.plan, &Unfinished { spans })).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], COLUMNS.join(","));
        assert!(lines[1].starts_with("0,0,cpu,compute,4,0,"), "{text}");
        assert!(lines[2].ends_with(",compute,6,,"), "{text}");
    }
}

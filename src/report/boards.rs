//! What a replay says of devices on other machines: what they are, and which were lost.

use serde::Serialize;

use super::files::place;
use super::rows::csv_bytes;
use crate::plan::{Action, CheckedPlan};
use crate::problem::Problem;
use crate::replay::Unfinished;

/// A device on another machine that took part in a replay.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Board {
    /// The device's name.
    pub device: String,
    /// Where its agent is.
    pub address: String,
    /// Its processor.
    pub hardware: String,
    /// The runtime that executes networks there.
    pub software: String,
    /// The cores that computed, as traces name them.
    pub unit: String,
    /// How far the times of its steps may be off on the clock of this machine, in milliseconds: half of the fastest
    /// round trip in which its clock was read.
    pub clock_error_ms: f64,
    /// How long the agent held each message on purpose, in milliseconds.
    pub delay_ms: f64,
}

/// A device that was lost while plans were replayed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Lost {
    /// The device's name.
    pub device: String,
    /// What was seen of it last.
    pub reason: String,
    /// The strategy whose plan was run; `None` between plans.
    pub strategy: Option<String>,
    /// Steps of that round that had ended.
    pub steps_ended: usize,
    /// Whether the strategies planned again without it.
    pub is_replanned: bool,
}

impl Lost {
    /// What happened, in a sentence.
    pub(super) fn sentence(&self) -> String {
        let Lost { device, reason, strategy, steps_ended, is_replanned } = self;
        let during = strategy.as_ref().map(|strategy| format!(" after {steps_ended} steps of a round of {strategy}"));
        let so = if *is_replanned { "the strategies planned again without it" } else { "these results are partial" };
        format!("`{device}` was lost{} ({reason}), and {so}", during.unwrap_or_default())
    }
}

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
    use crate::report::example;

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

    #[test]
    fn a_loss_is_told_in_a_sentence() {
        let lost = Lost {
            device: "pi".into(),
            reason: "connection reset".into(),
            strategy: Some("even".into()),
            steps_ended: 3,
            is_replanned: false,
        };
        assert_eq!(
            lost.sentence(),
            "`pi` was lost after 3 steps of a round of even (connection reset), and these results are partial"
        );
        let lost = Lost { strategy: None, is_replanned: true, ..lost };
        assert_eq!(lost.sentence(), "`pi` was lost (connection reset), and the strategies planned again without it");
    }
}

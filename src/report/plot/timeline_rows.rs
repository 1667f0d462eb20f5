//! The steps of a timeline as tidy rows.

use crate::plan::{Action, Plan, Step};
use crate::problem::Problem;
use crate::report::files::lane_name;
use crate::timeline::{Span, Timeline};
use crate::units::Time;

/// A step on a lane. A figure of several rows has one place for each lane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TimelineRow {
    /// Index of the lane in the plan.
    pub lane: u32,
    /// The name of the lane's device or link.
    pub place: String,
    /// Whether the place is a link, so that the step is a transfer.
    pub is_link: bool,
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
        let (is_link, samples) = match &step.action {
            Action::Compute(work) => (false, work.region.samples.len()),
            Action::Transfer { region, .. } => (true, region.samples.len()),
            Action::Join => return None,
        };
        let lane = step.lane?;
        Some(TimelineRow {
            lane: lane.0,
            place: lane_name(problem, plan.lane_at(lane)).to_owned(),
            is_link,
            samples: samples as u32,
            start: span.start,
            end: span.end,
        })
    };
    steps.filter_map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::example;

    #[test]
    fn every_step_but_joins_has_a_row() {
        let run = example::run(&[(0, 0..6, 0..8), (2, 6..10, 0..8)]);
        let row = |lane, place: &str, is_link, samples, start: u64, end: u64| TimelineRow {
            lane,
            place: place.into(),
            is_link,
            samples,
            start: Time::from_nanos(start * 1_000_000),
            end: Time::from_nanos(end * 1_000_000),
        };
        assert_eq!(
            timeline_rows(&run.problem, &run.plan, &run.timeline),
            [
                row(0, "cpu", false, 6, 0, 18),
                row(2, "gpu", false, 4, 0, 4),
                row(3, "pcie", true, 4, 4, 5)
            ]
        );
    }
}

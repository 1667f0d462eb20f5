//! Replays as a table for a terminal, and as files.

use super::grid::{grid, page};
use super::replay::{DIFFERENCE_MAX, Replay};
use super::rows::csv_bytes;
use crate::plan::{Action, CheckedPlan};
use crate::problem::Problem;
use crate::replay::Round;
use crate::report::files::place;
use crate::report::plot::{TimelineRow, timeline_rows};
use crate::timeline::Timeline;

/// Each column's title and unit.
const TITLES: [(&str, &str); 7] = [
    ("strategy", ""),
    ("predicted", "ms"),
    ("measured", "ms"),
    ("error", "%"),
    ("steps", "%"),
    ("as profiled", "%"),
    ("outputs", ""),
];

/// The replay as lines of at most 80 columns: a table, what its columns mean, and the verdict.
pub fn replay_table(replay: &Replay, bold: bool) -> String {
    let percent = |fraction: f64| format!("{:+.1}", fraction * 100.0);
    let lines = replay.comparisons.iter().map(|comparison| {
        vec![
            comparison.strategy.clone(),
            format!("{:.1}", comparison.recalibrated_ms),
            format!("{:.1}", comparison.measured_ms),
            percent(comparison.error),
            comparison.steps.map_or_else(|| "-".into(), |steps| format!("{:.1}", steps.median * 100.0)),
            percent(comparison.error_as_profiled),
            comparison.difference.map_or_else(|| "-".into(), |difference| format!("{difference:.0e}")),
        ]
    });
    page(grid(&TITLES, 1, lines, bold), captions(replay))
}

fn captions(replay: &Replay) -> Vec<String> {
    let rounds = replay.comparisons.iter().map(|comparison| comparison.rounds).max().unwrap_or(0);
    let real = if replay.is_real { "" } else { "; nothing was measured on hardware" };
    let mut captions = vec![
        format!("replayed on {} ({}), {rounds} rounds each{real}", replay.backend, replay.runtime),
        "predicted: for the speed of the devices just before each round, median; measured: median".into(),
        "error: predicted over measured makespan; steps: median size of the errors of single steps".into(),
        "as profiled: error without regard to the speed before the round".into(),
        format!("outputs: largest difference from a single device's, relative; {DIFFERENCE_MAX:.0e} passes"),
    ];
    if !replay.emulated.is_empty() {
        captions.push(format!("emulated: {}, slowed on purpose", replay.emulated.join(", ")));
    }
    if let Some(tau) = replay.kendall_tau {
        captions.push(format!("rank correlation of the strategies (Kendall's tau): {tau:.2}"));
    }
    captions.extend(replay.notes.iter().map(|note| format!("note: {note}")));
    captions.push(match replay.objections.as_slice() {
        [] => format!("VALID: every makespan is within {:.1} %", replay.tolerance * 100.0),
        objections => format!("INVALID: {}", objections.join("; ")),
    });
    captions
}

/// The replay as JSON.
pub fn replay_json(replay: &Replay) -> String {
    #[derive(serde::Serialize)]
    struct Judged<'a> {
        verdict: &'static str,
        #[serde(flatten)]
        replay: &'a Replay,
    }
    let verdict = if replay.is_valid() { "VALID" } else { "INVALID" };
    let mut text = serde_json::to_string_pretty(&Judged { verdict, replay }).expect("a replay has only finite numbers");
    text.push('\n');
    text
}

/// The steps of a plan in every round, beside their prediction for it, as CSV.
pub fn replay_csv(problem: &Problem, plan: &CheckedPlan, rounds: &[(Round, Timeline)]) -> Vec<u8> {
    const COLUMNS: [&str; 12] = [
        "round",
        "step",
        "lane",
        "device_or_link",
        "action",
        "samples",
        "predicted_start_ns",
        "predicted_end_ns",
        "measured_start_ns",
        "measured_end_ns",
        "busy_ns",
        "error",
    ];
    let lines = rounds.iter().enumerate().flat_map(|(index, (round, predicted))| {
        plan.step_ids().filter_map(move |id| {
            let step = plan.step_at(id);
            let (action, samples) = match &step.action {
                Action::Compute(work) => ("compute", work.region.samples.len()),
                Action::Transfer { region, .. } => ("transfer", region.samples.len()),
                Action::Join => return None,
            };
            let (expected, found) = (predicted.span(id), round.timeline.span(id));
            let ratio = expected.duration().as_nanos_f64() / found.duration().as_nanos_f64().max(1.0) - 1.0;
            let lane = step.lane?;
            let numbers =
                [expected.start, expected.end, found.start, found.end].map(|time| time.as_nanos().to_string());
            let mut line = vec![index.to_string(), id.0.to_string(), lane.0.to_string()];
            line.extend([place(problem, plan.lane_at(lane)).0.to_owned(), action.to_owned(), samples.to_string()]);
            line.extend(numbers);
            line.extend([round.busy[id.0 as usize].as_nanos().to_string(), format!("{ratio:.4}")]);
            Some(line)
        })
    });
    csv_bytes(COLUMNS, lines)
}

/// Both timelines of a round as rows of one figure: each lane as predicted, and below it as measured.
pub fn both_rows(problem: &Problem, plan: &CheckedPlan, predicted: &Timeline, measured: &Timeline) -> Vec<TimelineRow> {
    let rows = |timeline: &Timeline, offset: u32, what: &str| {
        let start = timeline.spans.iter().map(|span| span.start).min().unwrap_or_default();
        let shifted = move |row: TimelineRow| TimelineRow {
            lane: row.lane * 2 + offset,
            place: format!("{} {what}", row.place),
            start: crate::units::Time::ZERO + (row.start - start),
            end: crate::units::Time::ZERO + (row.end - start),
            ..row
        };
        timeline_rows(problem, plan, timeline).into_iter().map(shifted).collect::<Vec<_>>()
    };
    [rows(predicted, 0, "predicted"), rows(measured, 1, "measured")].concat()
}

//! Replays at the points of a sweep, taken together.

use serde::{Deserialize, Serialize};

use super::encode::json_text;
use super::grid::{NAME_BREAKS, grid, page, wrap};
use super::record::paths_csv;
use super::results::Pairs;
use crate::metrics::{Comparison, Replay, Verdict};
use crate::statistics::{Errors, mean, median};

/// The replay at one point.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReplayedPoint {
    /// The point: paths and values.
    pub settings: Vec<(String, String)>,
    /// What was found there.
    pub replay: Replay,
}

/// Errors of the makespans of all plans.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ReplaySummary {
    /// For the speed of the devices just before each round.
    pub errors: Option<Errors>,
    /// As profiled.
    pub errors_as_profiled: Option<Errors>,
    /// Mean over points of the rank correlation of strategies; `None` if no point has one.
    pub kendall_tau_mean: Option<f64>,
    /// Points whose replay is valid.
    pub valid: usize,
    /// Points whose replay is inconclusive.
    pub inconclusive: usize,
    /// The most by which equal plans may differ at a point, the median over points; `None` if no plan was replayed twice.
    pub floor_median: Option<f64>,
}

impl ReplaySummary {
    /// Of these points.
    pub fn of(points: &[ReplayedPoint]) -> ReplaySummary {
        let comparisons = || points.iter().flat_map(|point| &point.replay.comparisons);
        let count = |verdict| points.iter().filter(|point| point.replay.verdict() == verdict).count();
        let floors = points.iter().filter_map(|point| Some(point.replay.floor.as_ref()?.most()));
        let taus: Vec<f64> = points.iter().filter_map(|point| point.replay.kendall_tau).collect();
        ReplaySummary {
            errors: Errors::of(comparisons().map(|comparison| comparison.error)),
            errors_as_profiled: Errors::of(comparisons().map(|comparison| comparison.error_as_profiled)),
            kendall_tau_mean: mean(&taus),
            valid: count(Verdict::Valid),
            inconclusive: count(Verdict::Inconclusive),
            floor_median: median(floors),
        }
    }
}

/// Each column's title and unit.
const TITLES: [(&str, &str); 5] =
    [("point", ""), ("strategy", ""), ("predicted", "ms"), ("measured", "ms"), ("error", "%")];
/// Points and names are wrapped to this.
const WIDTHS: (usize, usize) = (28, 18);

/// The replays as lines of at most 80 columns: a table and what it comes to.
pub fn replay_sweep_table(points: &[ReplayedPoint], bold: bool) -> String {
    let line = |(point, comparison): (&ReplayedPoint, &Comparison)| {
        let settings: Vec<String> = point.settings.iter().map(|(path, value)| format!("{path}={value}")).collect();
        vec![
            wrap(&settings.join(" "), WIDTHS.0, "", &[' ', '.', '=']).join("\n"),
            wrap(&comparison.strategy, WIDTHS.1, "", NAME_BREAKS).join("\n"),
            format!("{:.1}", comparison.recalibrated_ms),
            format!("{:.1}", comparison.measured_ms),
            format!("{:+.1}", comparison.error * 100.0),
        ]
    };
    page(grid(&TITLES, 2, pairs(points).map(line), bold), captions(points))
}

fn pairs(points: &[ReplayedPoint]) -> impl Iterator<Item = (&ReplayedPoint, &Comparison)> {
    points.iter().flat_map(|point| point.replay.comparisons.iter().map(move |comparison| (point, comparison)))
}

fn captions(points: &[ReplayedPoint]) -> Vec<String> {
    let summary = ReplaySummary::of(points);
    let Some(first) = points.first() else { return Vec::new() };
    let describe = |what: &str, errors: Option<Errors>| {
        errors.map(|Errors { count, median, p95, max, bias, .. }| {
            let [median, p95, max, bias] = [median, p95, max, bias].map(|fraction| fraction * 100.0);
            format!(
                "{what}: median {median:.1} %, 95th percentile {p95:.1} %, largest {max:.1} %, bias {bias:+.1} %, \
                 of {count} plans"
            )
        })
    };
    let mut captions = vec![format!("replayed on {} ({})", first.replay.backend, first.replay.runtime)];
    captions.extend(describe("error", summary.errors));
    captions.extend(describe("as profiled", summary.errors_as_profiled));
    captions.extend(
        summary
            .kendall_tau_mean
            .map(|tau| format!("rank correlation of the strategies (Kendall's tau), mean over points: {tau:.2}")),
    );
    captions.extend(summary.floor_median.map(|floor| {
        format!(
            "noise: equal plans differ by up to {:.1} % at a point (95 % confidence), median over points",
            floor * 100.0
        )
    }));
    let inconclusive = match summary.inconclusive {
        0 => String::new(),
        count => format!(", {count} INCONCLUSIVE"),
    };
    captions.push(format!("{} of {} points are VALID{inconclusive}", summary.valid, points.len()));
    for point in points.iter().filter(|point| point.replay.verdict() != Verdict::Valid) {
        let settings: Vec<String> = point.settings.iter().map(|(path, value)| format!("{path}={value}")).collect();
        captions.push(format!("at {}: {}", settings.join(" "), point.replay.sentence()));
    }
    captions
}

/// The replays as JSON.
pub fn replay_sweep_json(points: &[ReplayedPoint]) -> String {
    #[derive(Serialize)]
    struct ReplaysView<'a> {
        /// What they come to.
        summary: ReplaySummary,
        /// The replay at each point.
        points: &'a [ReplayedPoint],
    }
    json_text(&ReplaysView { summary: ReplaySummary::of(points), points })
}

/// The columns of a plan behind the settings of its point, and the paths of their fields.
const COLUMNS: [(&str, &str); 13] = [
    ("strategy", "comparison.strategy"),
    ("predicted_ms", "comparison.predicted_ms"),
    ("recalibrated_ms", "comparison.recalibrated_ms"),
    ("measured_ms", "comparison.measured_ms"),
    ("measured_ms_min", "comparison.measured_ms_min"),
    ("measured_ms_max", "comparison.measured_ms_max"),
    ("error", "comparison.error"),
    ("error_as_profiled", "comparison.error_as_profiled"),
    ("steps_error_median", "comparison.steps.median"),
    ("isolation", "comparison.isolation"),
    ("difference", "comparison.difference"),
    ("timeline", "timeline"),
    ("runtime", "runtime"),
];

/// The replays as CSV, one line a plan.
pub fn replay_sweep_csv(points: &[ReplayedPoint]) -> Vec<u8> {
    #[derive(Serialize)]
    struct PlanView<'a> {
        /// The point.
        settings: Pairs<'a, &'a str>,
        /// The plan's times.
        comparison: &'a Comparison,
        /// `measured`, or `assembled` of steps that were timed one by one.
        timeline: &'static str,
        /// The runtime that executed it.
        runtime: &'a str,
    }
    let settings = points.first().map(|point| point.settings.as_slice()).unwrap_or_default();
    let settings = settings.iter().map(|(name, _)| (name.clone(), format!("settings.{name}")));
    let columns = COLUMNS.map(|(name, path)| (name.to_owned(), path.to_owned()));
    let lines = pairs(points).map(|(ReplayedPoint { settings, replay }, comparison)| PlanView {
        settings: Pairs::of(settings, String::as_str),
        comparison,
        timeline: if replay.is_assembled { "assembled" } else { "measured" },
        runtime: &replay.runtime,
    });
    paths_csv(&settings.chain(columns).collect::<Vec<_>>(), lines)
}

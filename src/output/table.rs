//! The results of a run as a table for a terminal of 80 columns.

use super::grid::{NAME_BREAKS, columns, decimals, grid, page, room, wrap};
use super::service_table::{chance_caption, cost_captions, service_captions, service_grid};
use crate::metrics::{Outcome, Summary};
use crate::units::Duration;

/// The summary as lines of at most 80 columns: a table, then what its columns mean, notes and failures.
///
/// With `bold`, the header is set in bold by ANSI escapes.
pub fn table(summary: &Summary, bold: bool) -> String {
    let lines = match summary.outcomes.as_slice() {
        [] => vec!["No strategy has a result.".to_owned()],
        outcomes if outcomes.iter().any(|outcome| outcome.service.is_some()) => service_grid(outcomes, bold),
        outcomes => outcome_grid(outcomes, bold),
    };
    page(lines, captions(summary))
}

/// Each column's title and unit.
const TITLES: [(&str, &str); 7] = [
    ("strategy", ""),
    ("split", ""),
    ("makespan", "ms"),
    ("images/s", ""),
    ("speed-up", ""),
    ("gap", "%"),
    ("measured", "%"),
];
/// Names and splits are wrapped to no less than this.
const NARROWEST: usize = 9;

fn outcome_grid(outcomes: &[Outcome], bold: bool) -> Vec<String> {
    let has_chance = outcomes.iter().any(|outcome| outcome.chance.is_some());
    let has_search = outcomes.iter().any(|outcome| outcome.search.is_some());
    let forecasts = has_forecasts(outcomes);
    let mut titles = TITLES;
    if has_chance {
        titles[3] = ("+-", "ms");
    } else if has_search {
        titles[3] = ("search", "s");
    }
    if forecasts {
        titles[6] = ("expected", "ms");
    }
    let makespans = decimals(6, outcomes.iter().map(|outcome| outcome.makespan.as_millis_f64()));
    let rates = decimals(4, outcomes.iter().map(|outcome| outcome.samples_per_s));
    let unknown = || "-".to_owned();
    let percent = |fraction: f64| format!("{:.1}", fraction * 100.0);
    let numbers = |outcome: &Outcome| {
        [
            format!("{:.makespans$}", outcome.makespan.as_millis_f64()),
            match &outcome.chance {
                Some(chance) => format!("{:.makespans$}", chance.makespan_ms.half_width),
                None if has_chance => unknown(),
                None if has_search => outcome.search.map_or_else(unknown, |search| seconds(search.total())),
                None => format!("{:.rates$}", outcome.samples_per_s),
            },
            outcome.speedup.map_or_else(unknown, |speedup| format!("{speedup:.2}")),
            outcome.gap.map_or_else(unknown, percent),
            match forecasts {
                true => outcome.expected.map_or_else(unknown, |time| format!("{:.makespans$}", time.as_millis_f64())),
                false => percent(outcome.measured_share),
            },
        ]
    };
    let numbers: Vec<[String; 5]> = outcomes.iter().map(numbers).collect();
    let left = room(&titles, numbers.iter().map(<[String; 5]>::as_slice));

    let split = |outcome: &Outcome| {
        let samples: Vec<String> = outcome.split.iter().map(|(_, samples)| samples.to_string()).collect();
        samples.join("/")
    };
    let splits: Vec<String> = outcomes.iter().map(split).collect();
    let names_width = outcomes.iter().map(|outcome| columns(&outcome.strategy)).max().unwrap_or(0);
    let splits_width = splits.iter().map(String::len).max().unwrap_or(0).max(TITLES[1].0.len());
    // Names get what the splits leave, but at least half of what they want to share.
    let names_width = names_width.min(left.saturating_sub(splits_width).max(left / 2)).max(NARROWEST);
    let splits_width = splits_width.min(left.saturating_sub(names_width)).max(NARROWEST);

    let line = |((outcome, split), numbers): ((&Outcome, &String), [String; 5])| {
        let name = wrap(&outcome.strategy, names_width, "", NAME_BREAKS).join("\n");
        let split = wrap(split, splits_width, "", &['/']).join("\n");
        [name, split].into_iter().chain(numbers).collect()
    };
    let lines = outcomes.iter().zip(&splits).zip(numbers).map(line);
    grid(&titles, 2, lines, bold)
}

/// Whether strategies expect a makespan, and nothing was measured that the column could say instead.
fn has_forecasts(outcomes: &[Outcome]) -> bool {
    outcomes.iter().any(|outcome| outcome.expected.is_some())
        && outcomes.iter().all(|outcome| outcome.measured_share == 0.0)
}

/// Whole seconds from ten on.
fn seconds(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    if seconds < 10.0 { format!("{seconds:.1}") } else { format!("{seconds:.0}") }
}

fn captions(summary: &Summary) -> Vec<String> {
    let mut captions = Vec::new();
    if summary.outcomes.iter().any(|outcome| outcome.service.is_some()) {
        captions.extend(service_captions(&summary.outcomes));
    } else {
        captions.extend(plan_captions(summary));
        captions.extend(chance_caption(&summary.outcomes));
    }
    captions.extend(cost_captions(&summary.outcomes));
    captions.push(match summary.contention {
        true => "contention: on, steps that run at the same time slow each other".to_owned(),
        false => "contention: off, every step takes as long as it does alone".to_owned(),
    });
    captions.extend(summary.notes.iter().map(|note| format!("note: {note}")));
    let failures = summary.failures.iter();
    captions.extend(failures.map(|failure| format!("failed: {}: {}", failure.strategy, failure.reason)));
    captions
}

fn plan_captions(summary: &Summary) -> Vec<String> {
    let mut captions = Vec::new();
    if let Some(outcome) = summary.outcomes.first() {
        let devices: Vec<&str> = outcome.split.iter().map(|(device, _)| device.as_str()).collect();
        captions.push(format!("split: {}", devices.join("/")));
    }
    if summary.outcomes.iter().any(|outcome| outcome.speedup.is_some()) {
        captions.push(format!("speed-up: over {}", summary.baseline));
    }
    captions.push(match summary.outcomes.iter().find_map(|outcome| outcome.lower_bound) {
        Some(bound) => format!("gap: above the lower bound {bound}, which no plan with these costs can beat"),
        None => "gap: no lower bound is known".to_owned(),
    });
    if summary.outcomes.iter().any(|outcome| outcome.search.is_some()) {
        captions.push("search: time to profile what the strategy has to know".to_owned());
    }
    captions.push(match has_forecasts(&summary.outcomes) {
        true => {
            "expected: makespan by the strategy's own forecast; no time is measured, all follow from models".to_owned()
        }
        false => "measured: part of the steps' time alone that was measured at just that size".to_owned(),
    });
    captions
}

#[cfg(test)]
mod tests {
    use super::super::grid::WIDTH;
    use super::*;
    use crate::metrics::{Failure, example};

    fn printed(summary: &Summary) -> String {
        let text = table(summary, false);
        for line in text.lines() {
            assert!(columns(line) <= WIDTH, "{} columns: {line}", columns(line));
        }
        text
    }

    #[test]
    fn three_devices_fit_a_line_each() {
        let mut summary = example::summary(&["single", "micro_batched_single", "greedy"]);
        summary.notes.push("greedy and exact found the same plan".into());
        summary
            .failures
            .push(Failure { strategy: "legion".into(), reason: "no link leads from `cpu` to `gpu`".into() });
        insta::assert_snapshot!(printed(&summary), @"
        strategy              split  makespan  images/s  speed-up    gap  measured
                                           ms                          %         %
        --------------------------------------------------------------------------
        single                6/0/4    18.000     555.6      1.11  260.0      78.3
        micro_batched_single  5/0/5    15.000     666.7      1.33  200.0      71.4
        greedy                4/0/6    12.000     833.3      1.67  140.0      63.2

        split: cpu/igpu/gpu
        speed-up: over single on gpu
        gap: above the lower bound 5.000 ms, which no plan with these costs can beat
        measured: part of the steps' time alone that was measured at just that size
        contention: off, every step takes as long as it does alone
        note: greedy and exact found the same plan
        failed: legion: no link leads from `cpu` to `gpu`
        ");
    }

    #[test]
    fn ten_devices_and_long_names_wrap() {
        let mut summary = example::summary(&["greedy", "a strategy whose name says what all its settings are"]);
        for outcome in &mut summary.outcomes {
            outcome.split = (0..10).map(|index| (format!("device-{index}"), 1000 + index)).collect();
            outcome.makespan = Duration::from_nanos(123_456_789_012);
        }
        insta::assert_snapshot!(printed(&summary), @"
        strategy         split            makespan  images/s  speed-up    gap  measured
                                                ms                          %         %
        -------------------------------------------------------------------------------
        greedy           1000/1001/1002/    123457     555.6      1.11  260.0      78.3
                         1003/1004/1005/
                         1006/1007/1008/
                         1009
        a strategy       1000/1001/1002/    123457     666.7      1.33  200.0      71.4
        whose name says  1003/1004/1005/
        what all its     1006/1007/1008/
        settings are     1009

        split: device-0/device-1/device-2/device-3/device-4/device-5/device-6/device-7/
          device-8/device-9
        speed-up: over single on gpu
        gap: above the lower bound 5.000 ms, which no plan with these costs can beat
        measured: part of the steps' time alone that was measured at just that size
        contention: off, every step takes as long as it does alone
        ");
    }

    #[test]
    fn a_word_without_breaks_is_cut() {
        let mut summary = example::summary(&[&"x".repeat(200)]);
        summary.outcomes[0].makespan = Duration::MAX;
        summary.outcomes[0].speedup = Some(1e9);
        summary.notes.push("y".repeat(200));
        printed(&summary);
    }

    #[test]
    fn without_results_only_captions_are_left() {
        let mut summary = example::summary(&[]);
        summary.contention = true;
        insta::assert_snapshot!(printed(&summary), @"
        No strategy has a result.

        gap: no lower bound is known
        measured: part of the steps' time alone that was measured at just that size
        contention: on, steps that run at the same time slow each other
        ");
    }

    #[test]
    fn a_bold_header_changes_no_other_line() {
        let summary = example::summary(&["greedy"]);
        let (plain, bold) = (table(&summary, false), table(&summary, true));
        assert_eq!(bold.replace("\x1b[1m", "").replace("\x1b[0m", ""), plain);
        assert_eq!(bold.matches("\x1b[1m").count(), 2);
    }
}

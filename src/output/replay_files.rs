//! Replays as a table for a terminal, and as files.

use serde::Serialize;

use super::encode::json_text;
use super::grid::{named_grid, or_dash, page};
use super::results::SummaryView;
use crate::metrics::{Comparison, DIFFERENCE_MAX, Replay, Summary, Verdict};

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
    let row = |comparison: &Comparison| {
        let cells = vec![
            format!("{:.1}", comparison.recalibrated_ms),
            format!("{:.1}", comparison.measured_ms),
            percent(comparison.error),
            or_dash(comparison.steps.map(|steps| steps.median * 100.0), 1),
            percent(comparison.error_as_profiled),
            comparison.difference.map_or_else(|| "-".into(), |difference| format!("{difference:.0e}")),
        ];
        (comparison.strategy.clone(), cells)
    };
    page(named_grid(&TITLES, replay.comparisons.iter().map(row).collect(), bold), captions(replay))
}

fn captions(replay: &Replay) -> Vec<String> {
    let rounds = replay.comparisons.iter().map(|comparison| comparison.rounds).max().unwrap_or(0);
    let real = if replay.is_real { "" } else { "; nothing was measured on hardware" };
    let measured = match replay.is_assembled {
        true => "measured: steps, one by one, and put together for the plan, median",
        false => "measured: median",
    };
    let mut captions = vec![
        format!("replayed on {} ({}), {rounds} rounds each{real}", replay.backend, replay.runtime),
        match replay.is_as_profiled {
            true => format!("predicted: for devices as they were profiled; {measured}"),
            false => format!("predicted: for the speed of the devices just before each round, median; {measured}"),
        },
        "error: predicted over measured makespan; steps: median size of the errors of single steps".into(),
        "as profiled: error without regard to the speed before the round".into(),
        format!("outputs: largest difference from a single device's, relative; {DIFFERENCE_MAX:.0e} passes"),
    ];
    if !replay.emulated.is_empty() {
        captions.push(format!("emulated: {}, slowed on purpose", replay.emulated.join(", ")));
    }
    let same = replay.comparisons.iter().filter_map(|comparison| Some((comparison, comparison.same_plan_as.as_ref()?)));
    captions.extend(same.map(|(comparison, earlier)| format!("{}: the same plan as {earlier}", comparison.strategy)));
    if let Some(floor) = &replay.floor {
        let [difference, low, high] =
            [floor.difference, floor.difference_low, floor.difference_high].map(|part| format!("{:+.1}", part * 100.0));
        captions.push(format!(
            "noise: the plan of {} ran twice in each round; the second over the first: {difference} % (95 % confidence: \
             {low} to {high} %)",
            floor.strategy
        ));
    }
    if let Some(tau) = replay.kendall_tau {
        let plans = replay.distinct().count();
        captions.push(format!("rank correlation of {plans} distinct plans, as profiled (Kendall's tau): {tau:.2}"));
    }
    captions
        .extend(replay.lost.iter().filter(|lost| lost.is_replanned).map(|lost| format!("note: {}", lost.sentence())));
    captions.extend(replay.notes.iter().map(|note| format!("note: {note}")));
    captions.push(replay.sentence());
    captions
}

/// A replay after its verdict.
#[derive(Serialize)]
struct Judged<'a> {
    /// `VALID` if the predictions hold, `INVALID`, or `INCONCLUSIVE` if the machine does not repeat itself well enough to tell.
    verdict: Verdict,
    #[serde(flatten)]
    replay: &'a Replay,
}

impl Judged<'_> {
    fn of(replay: &Replay) -> Judged<'_> {
        Judged { verdict: replay.verdict(), replay }
    }
}

/// The replay as one JSON object, its verdict first.
pub fn replay_json(replay: &Replay) -> String {
    json_text(&Judged::of(replay))
}

/// The summary of a run as JSON, with the replay as its last entry.
pub fn replayed_summary_json(summary: &Summary, replay: &Replay) -> String {
    #[derive(Serialize)]
    struct Replayed<'a> {
        #[serde(flatten)]
        summary: SummaryView<'a>,
        replay: Judged<'a>,
    }
    json_text(&Replayed { summary: SummaryView::from(summary), replay: Judged::of(replay) })
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::grid::{WIDTH, columns};
    use super::*;
    use crate::metrics::NoiseFloor;
    use crate::metrics::example::{self, comparison};

    fn printed(replay: &Replay) -> String {
        let text = replay_table(replay, false);
        for line in text.lines() {
            assert!(columns(line) <= WIDTH, "{} columns: {line}", columns(line));
        }
        text
    }

    #[test]
    fn long_names_wrap_and_every_caption_fits_the_terminal() {
        let long = "a strategy whose name says what all of its many settings are";
        let comparisons = vec![
            comparison("greedy"),
            Comparison { same_plan_as: Some("greedy".into()), ..comparison("exact") },
            Comparison { predicted_ms: 9.0, measured_ms: 9.5, ..comparison(long) },
            Comparison { steps: None, difference: None, ..comparison(&"x".repeat(70)) },
        ];
        let replay = Replay {
            comparisons,
            floor: NoiseFloor::of("greedy", [(1.0, 1.01), (1.0, 1.02), (1.0, 1.03)]),
            emulated: vec!["slow".into(), "slower".into()],
            notes: vec!["threads have no real-time priority here".into()],
            ..example::replay()
        };
        insta::assert_snapshot!(printed(&replay.judged()), @"
        strategy                 predicted  measured  error  steps  as profiled  outputs
                                        ms        ms      %      %            %
        --------------------------------------------------------------------------------
        greedy                         9.5       9.0   +5.5    2.0        -11.1     1e-6
        exact                          9.5       9.0   +5.5    2.0        -11.1     1e-6
        a strategy whose name          9.5       9.5   +5.5    2.0        -11.1     1e-6
        says what all of its
        many settings are
        xxxxxxxxxxxxxxxxxxxxxxx        9.5       9.0   +5.5      -        -11.1        -
        xxxxxxxxxxxxxxxxxxxxxxx
        xxxxxxxxxxxxxxxxxxxxxxx
        x

        replayed on Processor 2000 (runtime 1.0), 2 rounds each
        predicted: for the speed of the devices just before each round, median;
          measured: median
        error: predicted over measured makespan; steps: median size of the errors of
          single steps
        as profiled: error without regard to the speed before the round
        outputs: largest difference from a single device's, relative; 1e-4 passes
        emulated: slow, slower, slowed on purpose
        exact: the same plan as greedy
        noise: the plan of greedy ran twice in each round; the second over the first:
          +2.0 % (95 % confidence: -0.5 to +4.5 %)
        rank correlation of 3 distinct plans, as profiled (Kendall's tau): 1.00
        note: threads have no real-time priority here
        VALID: every makespan is within 10.0 %
        ");
    }

    #[test]
    fn a_replay_that_proves_nothing_says_so() {
        let wrong = Comparison { difference: Some(f64::NAN), ..comparison("greedy") };
        let replay = Replay { comparisons: vec![wrong], is_real: false, ..example::replay() };
        insta::assert_snapshot!(printed(&replay.judged()), @"
        strategy  predicted  measured  error  steps  as profiled  outputs
                         ms        ms      %      %            %
        -----------------------------------------------------------------
        greedy          9.5       9.0   +5.5    2.0        -11.1      NaN

        replayed on Processor 2000 (runtime 1.0), 2 rounds each; nothing was measured on
          hardware
        predicted: for the speed of the devices just before each round, median;
          measured: median
        error: predicted over measured makespan; steps: median size of the errors of
          single steps
        as profiled: error without regard to the speed before the round
        outputs: largest difference from a single device's, relative; 1e-4 passes
        INVALID: no hardware took part
        ");
        let nothing = example::replay().judged();
        assert!(printed(&nothing).ends_with("INVALID: no plan was replayed\n"));
    }

    #[test]
    fn json_has_the_verdict_first_and_no_word_for_what_is_no_number() {
        let read = |replay: Replay| -> Value { serde_json::from_str(&replay_json(&replay)).unwrap() };
        let floor = NoiseFloor::of("greedy", [(1.0, 1.0); 2]);
        let valid = Replay { comparisons: vec![comparison("greedy")], floor, ..example::replay() }.judged();
        assert!(replay_json(&valid).starts_with("{\n  \"verdict\": \"VALID\",\n  \"scenario\": "));
        let valid = read(valid);
        assert_eq!(valid["comparisons"][0]["error"], 0.055);
        assert_eq!(valid["comparisons"][0]["same_plan_as"], Value::Null);
        let wrong = Comparison { difference: Some(f64::NAN), ..comparison("greedy") };
        let wrong = read(Replay { comparisons: vec![wrong], ..example::replay() }.judged());
        assert_eq!((&wrong["verdict"], &wrong["comparisons"][0]["difference"]), (&"INVALID".into(), &Value::Null));
        assert_eq!(wrong["objections"][0], "greedy: outputs differ from a single device's by NaN");
    }

    #[test]
    fn a_run_with_a_replay_is_one_object() {
        for strategies in [&["greedy", "single"][..], &[]] {
            let summary = example::summary(strategies);
            let text = replayed_summary_json(&summary, &example::replay().judged());
            let whole: Value = serde_json::from_str(&text).unwrap();
            let alone: Value = serde_json::from_str(&crate::output::summary_json(&summary)).unwrap();
            for (key, value) in alone.as_object().unwrap() {
                assert_eq!(&whole[key], value);
            }
            assert_eq!(whole["replay"]["verdict"], "INVALID");
            assert!(text.find("\"cpu\"") <= text.find("\"igpu\""), "devices keep their order");
        }
    }
}

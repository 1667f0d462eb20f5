//! Replays as a table for a terminal, and as files.

use serde::Serialize;

use super::grid::{NAME_BREAKS, grid, page, room, wrap};
use super::rows::csv_bytes;
use super::summary::{Object, json_text};
use crate::metrics::Summary;
use crate::metrics::{Comparison, DIFFERENCE_MAX, Replay, Verdict, relative};
use crate::output::files::place;
use crate::output::{TimelineRow, timeline_rows};
use crate::plan::{Action, CheckedPlan, Lane};
use crate::platform::DeviceId;
use crate::problem::Problem;
use crate::replay::Round;
use crate::timeline::{Origin, Timeline};
use crate::units::Time;

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

/// Names are wrapped to no less than this.
const NARROWEST: usize = 9;

/// The replay as lines of at most 80 columns: a table, what its columns mean, and the verdict.
pub fn replay_table(replay: &Replay, bold: bool) -> String {
    let percent = |fraction: f64| format!("{:+.1}", fraction * 100.0);
    let numbers = |comparison: &Comparison| {
        [
            format!("{:.1}", comparison.recalibrated_ms),
            format!("{:.1}", comparison.measured_ms),
            percent(comparison.error),
            comparison.steps.map_or_else(|| "-".into(), |steps| format!("{:.1}", steps.median * 100.0)),
            percent(comparison.error_as_profiled),
            comparison.difference.map_or_else(|| "-".into(), |difference| format!("{difference:.0e}")),
        ]
    };
    let numbers: Vec<[String; 6]> = replay.comparisons.iter().map(numbers).collect();
    let width = room(&TITLES, &numbers).max(NARROWEST);
    let lines = replay.comparisons.iter().zip(numbers).map(|(comparison, numbers)| {
        let name = wrap(&comparison.strategy, width, "", NAME_BREAKS).join("\n");
        [name].into_iter().chain(numbers).collect()
    });
    page(grid(&TITLES, 1, lines, bold), captions(replay))
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
        summary: Object<'a>,
        replay: Judged<'a>,
    }
    json_text(&Replayed { summary: Object::of(summary), replay: Judged::of(replay) })
}

/// The columns of [`replay_csv`].
const COLUMNS: [&str; 14] = [
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
    "timeline",
    "runtime",
];

/// The steps of a plan in every round, beside their prediction for it, as CSV; `softwares`, by device,
/// executed them.
pub fn replay_csv(
    problem: &Problem,
    plan: &CheckedPlan,
    rounds: &[(Round, Timeline)],
    softwares: &[String],
) -> Vec<u8> {
    let lines = rounds.iter().enumerate().flat_map(|(index, (round, predicted))| {
        plan.step_ids().filter_map(move |id| {
            let step = plan.step_at(id);
            let (action, samples) = match &step.action {
                Action::Compute(work) => ("compute", work.region.samples.len()),
                Action::Transfer { region, .. } => ("transfer", region.samples.len()),
                Action::Join => return None,
            };
            let lane = step.lane?;
            let (expected, found) = (predicted.span(id), round.timeline.span(id));
            let error = relative(expected.duration().as_nanos_f64(), found.duration().as_nanos_f64());
            let times = [expected.start, expected.end, found.start, found.end].map(|time| time.as_nanos().to_string());
            let mut line = vec![index.to_string(), id.0.to_string(), lane.0.to_string()];
            line.extend([place(problem, plan.lane_at(lane)).0.to_owned(), action.to_owned(), samples.to_string()]);
            line.extend(times);
            line.extend([round.busy[id.0 as usize].as_nanos().to_string(), format!("{error:.4}")]);
            line.extend([origin(&round.timeline).to_owned(), by(problem, plan.lane_at(lane), softwares)]);
            Some(line)
        })
    });
    csv_bytes(COLUMNS, lines)
}

/// What executed the steps of a lane; of a link, what its ends have.
fn by(problem: &Problem, lane: &Lane, softwares: &[String]) -> String {
    let of = |device: DeviceId| softwares[device.0 as usize].as_str();
    match *lane {
        Lane::Compute { device, .. } => of(device).to_owned(),
        Lane::Link(link) => {
            let link = problem.platform.link(link);
            match (of(link.from), of(link.to)) {
                (from, to) if from == to || to.is_empty() => from.to_owned(),
                ("", to) => to.to_owned(),
                (from, to) => format!("{from} and {to}"),
            }
        }
    }
}

/// How a timeline of a replay came about.
fn origin(timeline: &Timeline) -> &'static str {
    if timeline.origin == Origin::Assembled { "assembled" } else { "measured" }
}

/// Both timelines of a round as rows of one figure: each lane as predicted, and below it as measured.
pub fn both_rows(problem: &Problem, plan: &CheckedPlan, predicted: &Timeline, measured: &Timeline) -> Vec<TimelineRow> {
    let rows = |timeline: &Timeline, offset: u32, what: &str| {
        let start = timeline.spans.iter().map(|span| span.start).min().unwrap_or_default();
        let shifted = move |row: TimelineRow| TimelineRow {
            lane: row.lane * 2 + offset,
            place: format!("{} {what}", row.place),
            start: Time::ZERO + (row.start - start),
            end: Time::ZERO + (row.end - start),
            ..row
        };
        timeline_rows(problem, plan, timeline).into_iter().map(shifted).collect::<Vec<_>>()
    };
    [rows(predicted, 0, "predicted"), rows(measured, 1, origin(measured))].concat()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::grid::{WIDTH, columns};
    use super::*;
    use crate::metrics::{Floor, example};
    use crate::statistics::Errors;
    use crate::units::Duration;

    fn comparison(strategy: &str) -> Comparison {
        Comparison {
            strategy: strategy.into(),
            same_plan_as: None,
            predicted_ms: 8.0,
            recalibrated_ms: 9.5,
            measured_ms: 9.0,
            measured_ms_min: 8.0,
            measured_ms_max: 10.0,
            rounds: 2,
            error: 0.055,
            error_as_profiled: -0.111,
            steps: Errors::of([0.01, -0.02, 0.03]),
            isolation: 1.0,
            difference: Some(1.2e-6),
        }
    }

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
            floor: Floor::of("greedy", [(1.0, 1.01), (1.0, 1.02), (1.0, 1.03)]),
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
        let floor = Floor::of("greedy", [(1.0, 1.0); 2]);
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

    #[test]
    fn files_have_the_steps_of_every_round_but_no_joins() {
        let run = example::run(&[(0, 0..4, 0..8), (2, 4..10, 0..8)]);
        let busy = vec![Duration::from_nanos(5); run.plan.steps.len()];
        let round = Round { timeline: run.timeline.clone(), busy, there: vec![] };
        let rounds = vec![(round.clone(), run.timeline.clone()), (round, run.timeline.clone())];
        let softwares = vec!["rten".to_owned(); run.problem.platform.devices.len()];
        let text = String::from_utf8(replay_csv(&run.problem, &run.plan, &rounds, &softwares)).unwrap();
        insta::assert_snapshot!(text, @"
        round,step,lane,device_or_link,action,samples,predicted_start_ns,predicted_end_ns,measured_start_ns,measured_end_ns,busy_ns,error,timeline,runtime
        0,0,0,cpu,compute,4,0,12000000,0,12000000,5,0.0000,measured,rten
        0,1,2,gpu,compute,6,0,6000000,0,6000000,5,0.0000,measured,rten
        0,2,3,pcie,transfer,6,6000000,7000000,6000000,7000000,5,0.0000,measured,rten
        1,0,0,cpu,compute,4,0,12000000,0,12000000,5,0.0000,measured,rten
        1,1,2,gpu,compute,6,0,6000000,0,6000000,5,0.0000,measured,rten
        1,2,3,pcie,transfer,6,6000000,7000000,6000000,7000000,5,0.0000,measured,rten
        ");
        let rows = both_rows(&run.problem, &run.plan, &run.timeline, &run.timeline);
        let places: Vec<(u32, &str)> = rows.iter().map(|row| (row.lane, row.place.as_str())).collect();
        let lanes = ["cpu", "gpu", "pcie"].map(|name| [format!("{name} predicted"), format!("{name} measured")]);
        assert!(lanes.as_flattened().iter().all(|lane| places.iter().filter(|(_, place)| place == lane).count() == 1));
        assert_eq!(places.len(), 6);
        assert!(places.iter().all(|(lane, place)| (lane % 2 == 1) == place.ends_with(" measured")));
    }
}

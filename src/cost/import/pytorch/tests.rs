use super::super::Hints;
use super::super::tests::{named, summary};

fn event(category: &str, name: &str, ts: f64, dur: f64, args: &str) -> String {
    format!(
        "{{\"ph\":\"X\",\"cat\":\"{category}\",\"name\":\"{name}\",\"pid\":1,\"tid\":1,\"ts\":{ts},\"dur\":{dur},\"args\":{{{args}}}}}"
    )
}

fn check(events: &[String], hints: &Hints, expected: &str) {
    let text = format!("{{\"schemaVersion\": 1,\n\"traceEvents\": [\n{}\n]}}", events.join(",\n"));
    assert_eq!(summary(&[("t", text.as_bytes())], hints), expected);
}

const ENDS: &str = "note: the time of a run is that from the first to the end of its last operator";

fn hints() -> Hints {
    Hints { batch: Some(1), ..named("d", "m") }
}

#[test]
fn the_first_of_all_steps_is_a_warm_up() {
    let step = |k: u32, ts: f64| {
        [
            event("user_annotation", &format!("ProfilerStep#{k}"), ts, 90.0, ""),
            event("cpu_op", "a", ts + 10.0, 20.0 + f64::from(k), ""),
        ]
    };
    let expected = format!("d,m,whole,1,all,raw,1,0.021\nd,m,a,1,all,raw,1,0.021\n{ENDS}");
    check(&[step(0, 0.0), step(1, 100.0)].concat(), &hints(), &expected);
    let expected = format!(
        "d,m,whole,1,all,raw,1,0.021\nd,m,whole,1,all,raw,2,0.022\nd,m,a,1,all,raw,1,0.021\nd,m,a,1,all,raw,2,0.022\n{ENDS}"
    );
    check(&[step(1, 0.0), step(2, 100.0)].concat(), &hints(), &expected);
}

#[test]
fn nested_operators_are_not_counted_twice() {
    let events = [
        event("cpu_op", "outer", 0.0, 50.5, "\"Input Dims\": [[], [7, 3]]"),
        event("cpu_op", "inner", 0.0, 40.0, ""),
        event("cpu_op", "inner", 41.0, 5.0, ""),
        event("cpu_op", "outer", 60.0, 10.25, ""),
        event("cpu_op", "other thread", 5.0, 1.0, "").replace("\"tid\":1", "\"tid\":\"2\""),
    ];
    let expected =
        format!("d,m,whole,7,all,raw,1,0.07025\nd,m,outer,7,all,raw,1,0.0505\nd,m,outer_2,7,all,raw,1,0.01025\n{ENDS}");
    check(&events, &named("d", "m"), &expected);
}

#[test]
fn repeated_annotations_are_runs() {
    let run = |ts: f64, dur: f64| {
        [event("user_annotation", "forward", ts, 50.0, ""), event("cpu_op", "a", ts + 1.0, dur, "")]
    };
    let expected = format!("d,m,whole,1,all,raw,1,0.005\nd,m,a,1,all,raw,1,0.005\n{ENDS}");
    check(&[run(0.0, 9.0), run(100.0, 5.0)].concat(), &hints(), &expected);
}

#[test]
fn wrong_traces_are_refused() {
    let none = "0:1: the trace has no operator; export the trace in on_trace_ready, or without a schedule, so that events are kept";
    check(&[event("Trace", "PyTorch Profiler (0)", 0.0, 1.0, "")], &hints(), none);
    check(
        &[
            event("cpu_op", "a", 0.0, -1.0, ""),
            event("cpu_op", "b", 1e300, 1.0, ""),
            event("cpu_op", "c", 0.0, 1.0, "").replace("\"dur\":1,", ""),
        ],
        &hints(),
        "0:3: `a` has -0.001 ms, which is not a time; export it again; times lie between 0 and 1000 days\n\
         0:4: `b` has NaN ms, which is not a time; export it again; times lie between 0 and 1000 days\n\
         0:5: `c` has NaN ms, which is not a time; export it again; times lie between 0 and 1000 days",
    );
    check(
        &[event("cpu_op", "a", 0.0, 1.0, "")],
        &Hints::default(),
        "0:1: the file does not say which device it was recorded on; name it with --device\n\
         0:1: the file does not say which network it is of; name it with --model\n\
         0:3: no shape says how many samples a run has; give it with --batch, from 1 to 1000000",
    );
}

use super::super::Hints;
use super::super::tests::{named, readings, summary};

fn run(ts: u32, dur: u32) -> String {
    format!("{{\"cat\":\"Session\",\"dur\":{dur},\"ts\":{ts},\"ph\":\"X\",\"name\":\"model_run\",\"args\":{{}}}}")
}

fn node(name: &str, ts: u32, dur: u32, rest: &str) -> String {
    format!(
        "{{\"cat\":\"Node\",\"dur\":{dur},\"ts\":{ts},\"ph\":\"X\",\"name\":\"{name}\",\"args\":{{\
         \"provider\":\"CPUExecutionProvider\",\"input_type_shape\":[{{\"float\":[2,3]}}]{rest}}}}}"
    )
}

fn check(events: &[String], expected: &str) {
    let text = format!("[\n{}\n]", events.join(",\n"));
    assert_eq!(summary(&[("p", text.as_bytes())], &named("d", "m")), expected);
}

#[test]
fn an_incomplete_last_run_is_left_out() {
    check(
        &[
            node("a_kernel_time", 1, 2, ""),
            run(0, 5),
            node("a_kernel_time", 11, 3, ""),
            run(10, 5),
            node("a_kernel_time", 21, 9, ""),
        ],
        "d,m,whole,2,all,raw,1,0.005\nd,m,a,2,all,raw,1,0.003\n\
         note: 1 nodes of an incomplete last run were left out; ONNX Runtime stops at 1000000 events",
    );
}

#[test]
fn each_batch_of_a_profile_has_its_own_warm_up() {
    let at =
        |ts: u32, batch: u32| [node("a_kernel_time", ts, 2, "").replace("[2,3]", &format!("[{batch},3]")), run(ts, 5)];
    let events: Vec<String> = [at(0, 1), at(10, 1), at(20, 4), at(30, 4), at(40, 4)].concat();
    check(
        &events,
        "d,m,whole,1,all,raw,1,0.005\nd,m,a,1,all,raw,1,0.002\nd,m,whole,4,all,raw,1,0.005\n\
         d,m,whole,4,all,raw,2,0.005\nd,m,a,4,all,raw,1,0.002\nd,m,a,4,all,raw,2,0.002",
    );
}

#[test]
fn equal_names_are_told_apart_and_fences_are_dropped() {
    let events = [
        node("a_kernel_time", 1, 2, ",\"node_index\":\"7\""),
        node("a_fence_before", 3, 1, ""),
        node("a_kernel_time", 4, 3, ",\"node_index\":\"3\""),
        // A loop's body: the same node again.
        node("a_kernel_time", 8, 4, ",\"node_index\":\"3\""),
        run(0, 20),
    ];
    check(
        &events,
        "d,m,whole,2,all,raw,1,0.02\nd,m,a_2,2,all,raw,1,0.002\nd,m,a,2,all,raw,1,0.007\n\
         note: batch 2 has one run only, which may have been a warm-up; record more",
    );
}

#[test]
fn layers_below_the_clock_are_summed() {
    let events = [
        run(0, 9),
        node("a_kernel_time", 11, 0, ""),
        node("b_kernel_time", 12, 0, ""),
        run(10, 9),
        node("a_kernel_time", 21, 1, ""),
        node("b_kernel_time", 22, 0, ""),
        run(20, 9),
        node("a_kernel_time", 1, 5, ""),
    ];
    check(
        &events,
        "d,m,whole,2,all,raw,1,0.009\nd,m,whole,2,all,raw,2,0.009\nd,m,a,2,all,sum,2,0.001\n\
         note: left out, since it took no measurable time: b of m on d at batch 2\n\
         note: given as the sum of all repeats, since some were too short for the profiler's clock: a of m on d at batch 2",
    );
}

#[test]
fn a_gpu_is_timed_by_its_kernels() {
    let gpu = |name: &str, ts, rest| node(name, ts, 1, rest).replace("CPUExecutionProvider", "CUDAExecutionProvider");
    let kernel = |ts: u32, dur: u32| {
        format!(
            "{{\"cat\":\"Kernel\",\"dur\":{dur},\"ts\":{ts},\"name\":\"k\",\"args\":{{\"parent_name\":\"a_kernel_time\"}}}}"
        )
    };
    let copy = node("c_kernel_time", 4, 1, ",\"op_name\":\"MemcpyToHost\"");
    let events =
        [gpu("a_kernel_time", 1, ""), kernel(2, 7), kernel(9, 4), gpu("b_kernel_time", 3, ""), copy, run(0, 20)];
    check(
        &events,
        "d,m,whole,2,all,raw,1,0.02\nd,m,a,2,all,raw,1,0.011\n\
         note: batch 2 has one run only, which may have been a warm-up; record more\n\
         note: nodes of CUDAExecutionProvider without rows of kernels were left out: their time is that of the launch",
    );
    let text = format!("[{}]", events.join(","));
    let found = readings(&[("p", text.as_bytes())], &named("d", "m"));
    assert!(found.contains(&"Layer k: a kernel of `a`".to_owned()), "{found:?}");
    assert!(found.contains(&"Transfer c_kernel_time: a copy between host and device".to_owned()), "{found:?}");
}

#[test]
fn what_is_missing_or_wrong_is_said() {
    let overlapping = [run(0, 9), run(5, 9), node("a_kernel_time", 6, 1, "").replace("[2,3]", "[]")];
    let text = format!("[\n{}]", overlapping.join(",\n"));
    assert_eq!(
        summary(&[("p", text.as_bytes())], &Hints::default()),
        "0:1: the file does not say which device it was recorded on; name it with --device\n\
         0:1: the file does not say which network it is of; name it with --model\n\
         0:2: no shape says how many samples a run has; give it with --batch, from 1 to 1000000\n\
         0:3: this run of the network began before the one before it ended; \
         record runs one after the other, in one thread\n\
         0:3: no shape says how many samples a run has; give it with --batch, from 1 to 1000000"
    );
    check(
        &[node("a_kernel_time", 1, 1, "")],
        "0:1: the profile has no complete `model_run`; run the network several times and call end_profiling after that",
    );
    check(
        &[run(0, 9).replace("\"dur\":9", "\"dur\":-9")],
        "0:2: `model_run` has -0.009 ms, which is not a time; export it again; times lie between 0 and 1000 days",
    );
    let cut = format!("[\n{},\n{}", run(0, 9), &run(10, 9)[..30]);
    assert_eq!(
        summary(&[("p", cut.as_bytes())], &named("d", "m")),
        "0:3: the file is cut off in the middle of its JSON; \
         export it again, and let the program that writes it end first"
    );
}

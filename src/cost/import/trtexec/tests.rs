use super::super::tests::{named, readings, summary};
use super::super::{Format, Hints, Source, import};
use crate::platform::Precision;

fn row(name: &str, sum_ms: f64) -> String {
    format!("{{ \"name\" : \"{name}\", \"timeMs\" : {sum_ms}, \"averageMs\" : 0.1, \"percentage\" : 1 }}")
}

fn profile(rows: &[(&str, f64)]) -> String {
    let rows: Vec<String> = rows.iter().map(|(name, sum_ms)| row(name, *sum_ms)).collect();
    format!("[\n  {{ \"count\" : 10 }}\n, {}\n]\n", rows.join("\n, "))
}

fn times(computed: &[f64]) -> String {
    let run = |ms: &f64| format!("{{ \"h2dMs\" : 0, \"computeMs\" : {ms}, \"d2hMs\" : 0, \"latencyMs\" : {ms} }}");
    format!("[\n  {}\n]\n", computed.iter().map(run).collect::<Vec<_>>().join("\n, "))
}

fn hints() -> Hints {
    Hints { batch: Some(1), ..named("d", "m") }
}

fn check(files: &[&str], expected: &str) {
    let files: Vec<(&str, &[u8])> = files.iter().map(|text| ("f", text.as_bytes())).collect();
    assert_eq!(summary(&files, &hints()), expected);
}

const SUM: &str = "note: the time of the whole network is the sum of its layers in the profiling run, which is more \
                   than an end-to-end run takes; add the file of --exportTimes";

#[test]
fn layers_are_scaled_to_the_median_of_the_end_to_end_runs() {
    check(
        &[&times(&[3.0, 1.0, 2.0, 9.0]), &profile(&[("a", 30.0), ("b + c", 20.0)])],
        "d,m,whole,1,all,raw,1,3\nd,m,whole,1,all,raw,2,1\nd,m,whole,1,all,raw,3,2\nd,m,whole,1,all,raw,4,9\n\
         d,m,a,1,all,mean,10,1.5\nd,m,b..c,1,all,mean,10,1\n\
         note: the layers sum to 5.0000 ms and a whole run takes 2.5000 ms (median): each layer was scaled by 0.5000",
    );
}

#[test]
fn times_without_a_profile_are_enough() {
    check(&[&times(&[3.0])], "d,m,whole,1,all,raw,1,3");
    let old = "[{\"startComputeMs\" : 1, \"endComputeMs\" : 3.5}]";
    check(&[old], "d,m,whole,1,all,raw,1,2.5");
}

#[test]
fn repeated_names_are_told_apart() {
    check(
        &[&profile(&[("a", 10.0), ("a", 20.0), ("a || b", 30.0)])],
        &format!(
            "d,m,whole,1,all,mean,10,6\nd,m,a,1,all,mean,10,1\nd,m,a_2,1,all,mean,10,2\nd,m,a || b,1,all,mean,10,3\n{SUM}"
        ),
    );
}

#[test]
fn reformats_of_an_edge_add_up() {
    let rows = [
        ("Reformatting CopyNode for Input Tensor 0 to a + b", 10.0),
        ("Reformatting CopyNode for Input Tensor 1 to a + b", 20.0),
        ("a + b", 30.0),
        ("Reformatting CopyNode for Network Input images", 40.0),
    ];
    check(
        &[&profile(&rows)],
        &format!(
            "d,m,whole,1,all,mean,10,10\nd,m,reformat into a..b,1,all,mean,10,3\nd,m,a..b,1,all,mean,10,3\n\
             d,m,reformat into Input images,1,all,mean,10,4\n{SUM}"
        ),
    );
}

#[test]
fn separators_and_bare_quotes_in_names_are_read() {
    check(
        &[&profile(&[("conv\u{1e}relu", 10.0), ("say \"x\"", 20.0), ("tab\u{7}bed\\u001fz", 30.0)])],
        &format!(
            "d,m,whole,1,all,mean,10,6\nd,m,conv..relu,1,all,mean,10,1\nd,m,\"say \"\"x\"\"\",1,all,mean,10,2\n\
             d,m,tab bed z,1,all,mean,10,3\n{SUM}"
        ),
    );
}

#[test]
fn one_optimisation_profile_is_read() {
    check(
        &[&profile(&[("a", 0.0), ("a [profile 1]", 20.0)])],
        &format!("d,m,whole,1,all,mean,10,2\nd,m,a,1,all,mean,10,2\n{SUM}"),
    );
    check(
        &[&profile(&[("a", 10.0), ("a [profile 1]", 20.0)])],
        "0:4: the file has times of several optimisation profiles; export one at a time, with --useProfile",
    );
}

#[test]
fn auxiliary_streams_make_sums_meaningless() {
    let information = "{\"Layers\": [{\"Name\": \"a\", \"StreamId\": 0}, {\"Name\": \"b\", \"StreamId\": 1}]}";
    let rows = profile(&[("a", 10.0), ("b", 20.0)]);
    check(
        &[&rows, information],
        "d,m,a,1,all,mean,10,1\nd,m,b,1,all,mean,10,2\n\
         note: the engine uses auxiliary streams: layers overlap, and their sum is no time of the network",
    );
    check(
        &[&rows, information, &times(&[2.5])],
        "d,m,whole,1,all,raw,1,2.5\nd,m,a,1,all,mean,10,1\nd,m,b,1,all,mean,10,2\n\
         note: the engine uses auxiliary streams: layers overlap, and were not scaled to the end-to-end time",
    );
}

#[test]
fn each_network_of_a_dla_is_one_segment() {
    let rows = profile(&[
        ("x to nvm", 1.0),
        ("{ForeignNode[a...c]}", 8.0),
        ("y from nvm", 1.0),
        ("x copy finish", 0.0),
        ("{ForeignNode[d...e]}", 5.0),
        ("z from nvm", 5.0),
        ("{ForeignNode[f...g]}", 10.0),
        ("wait", 3.0),
        ("lost from nvm", 4.0),
    ]);
    check(
        &[&rows],
        &format!(
            "d,m,whole,1,all,mean,10,3\nd,m,a..c,1,all,mean,10,1\nd,m,d..e,1,all,mean,10,1\nd,m,f..g,1,all,mean,10,1\n\
             note: `lost from nvm` copies for a DLA outside of any of its networks; it was left out\n{SUM}"
        ),
    );
    let log = "[I] [TRT] [DlaLayer] {ForeignNode[f...g]}\n[I] === Model Options ===\n";
    let found = readings(&[("p", rows.as_bytes()), ("l", log.as_bytes())], &hints());
    assert!(found.contains(&"DlaGroup {ForeignNode[f...g]}: part of `f..g`: the submission of its work".to_owned()));
    assert!(found.contains(&"Transfer lost from nvm: a copy to or from a DLA without a network around it".to_owned()));
    assert!(found.contains(&"Dropped wait: waits for another stream or device".to_owned()));
}

#[test]
fn networks_of_a_dla_are_known_by_the_lists_of_tensorrt_7() {
    let rows = profile(&[("{conv1,relu1}", 8.0), ("fc + prob", 5.0), ("{norm}", 2.0)]);
    let log = "[I] [TRT] --------------- Layers running on DLA: \n[I] [TRT] {conv1,relu1}, {pool1, pool2}, \n\
               [I] [TRT] --------------- Layers running on GPU: \n[I] [TRT] fc + prob, {norm}, \n\
               [I] [TRT] Detected 1 inputs and 1 output network tensors.\n";
    let found = readings(&[("p", rows.as_bytes()), ("l", log.as_bytes())], &hints());
    assert_eq!(
        found,
        [
            "DlaGroup {conv1,relu1}: part of `conv1..relu1`: the submission of its work",
            "Layer fc + prob: `fc..prob` of fc, prob, on the GPU",
            "Layer {norm}: `norm`, on the GPU"
        ]
    );
}

#[test]
fn the_batch_comes_from_the_inputs_of_the_network() {
    let layers = |dimensions: &str| {
        format!(
            "{{\"Layers\": [{{\"Name\": \"a\", \"Inputs\": [{{\"Name\": \"w\", \"Dimensions\": [64]}}, \
             {{\"Name\": \"in\", \"Dimensions\": {dimensions}}}]}}], \"Bindings\": [\"in\", \"out\"]}}"
        )
    };
    let rows = profile(&[("a", 10.0)]);
    let found = |layers: &str, hints: &Hints| summary(&[("p", rows.as_bytes()), ("l", layers.as_bytes())], hints);
    assert_eq!(
        found(&layers("[8, 3, 4, 4]"), &named("d", "m")),
        format!("d,m,whole,8,all,mean,10,1\nd,m,a,8,all,mean,10,1\n{SUM}")
    );
    assert!(
        found(&layers("[8, 3]"), &hints()).contains("note: the batch is 1 as the user says, though a shape says 8")
    );
    let asked = "0:1: no shape says how many samples a run has; give it with --batch, from 1 to 1000000";
    assert_eq!(found(&layers("[-1, 3]"), &named("d", "m")), asked);
    assert_eq!(found("{\"Layers\": [\"a\", \"b\"]}", &named("d", "m")), asked);
    assert!(found("{\"Layers\": [\"a\"]}", &hints()).contains("--profilingVerbosity=detailed"));
}

#[test]
fn kernels_are_named_after_the_nodes_of_their_metadata() {
    let information = "{\"Layers\": [{\"Name\": \"__myl_Conv_myl0_1\", \
        \"Metadata\": \"[ONNX Layer: /a/Conv]\u{1e}[ONNX Layer: /b[1]/Relu]\u{1f}[ONNX Layer: /a/Conv]\"}, \
        {\"Name\": \"x + y\", \"Metadata\": \"[ONNX Layer: x]\\u001e[ONNX Layer: y]\"}]}";
    check(
        &[&profile(&[("__myl_Conv_myl0_1", 10.0), ("x + y", 20.0)]), information],
        &format!("d,m,whole,1,all,mean,10,3\nd,m,/a/Conv../b[1]/Relu,1,all,mean,10,1\nd,m,x..y,1,all,mean,10,2\n{SUM}"),
    );
}

#[test]
fn the_log_says_what_was_computed_in() {
    let one = profile(&[("a", 10.0)]);
    let precision = |log: &str, hint: Option<Precision>| {
        let hints = Hints { precision: hint, ..hints() };
        let log = format!("{log}\n[05/08/2024-14:05:14] [I] Model: m.onnx\n");
        let sources = [&one, &log].map(|text| Source { name: "f", bytes: text.as_bytes() });
        let imported = import(&sources, &hints).unwrap();
        (imported.trace.rows[0].precision, imported.notes.iter().any(|note| note.contains("as the user says")))
    };
    let running = "&&&& RUNNING TensorRT.trtexec [TensorRT v8401] # trtexec --onnx=m.onnx";
    assert_eq!(precision(running, None), (Precision::Fp32, false));
    assert_eq!(precision(running, Some(Precision::Fp16)), (Precision::Fp16, false));
    assert_eq!(precision(&format!("{running} --fp16 --useDLACore=0"), None), (Precision::Fp16, false));
    assert_eq!(precision(&format!("{running} --int8 --fp16"), None), (Precision::Int8, false));
    assert_eq!(precision(&format!("{running} --best"), None), (Precision::Int8, false));
    let stated = "[05/08/2024-14:05:14] [I] Precision: FP32+FP16";
    assert_eq!(precision(stated, None), (Precision::Fp16, false));
    assert_eq!(precision(stated, Some(Precision::Int8)), (Precision::Int8, true));
    assert_eq!(precision("[05/08/2024-14:05:14] [I] Precision: FP32", None), (Precision::Fp32, false));
}

#[test]
fn wrong_files_are_refused() {
    let one = profile(&[("a", 10.0)]);
    check(
        &[&one, &one],
        "1:1: this is a second file of --exportProfile; import one engine at a time, and join the traces after that",
    );
    check(
        &["{\"Layers\": []}"],
        "0:1: the files have no times, only what describes the engine; add the files of --exportProfile and --exportTimes",
    );
    check(
        &[&profile(&[("a", -1.0)])],
        "0:3: `a` has -1 ms, which is not a time; export it again; times lie between 0 and 1000 days",
    );
    check(
        &[&one.replace("10 }", "0 }")],
        "0:2: the profile does not begin with its number of iterations, above 0; export it again\n\
         0:2: an entry is not as this format has it: missing field `name`; export it again, or use --format",
    );
    check(
        &[&one.replace("\"percentage\" : 1", "\"percentage\" : nan")],
        "0:3: the file is not valid JSON: expected ident; export it again, or use --format",
    );
    let log = "[05/08/2024-14:05:14] [I] Model: m.onnx\n";
    check(
        &[&one, log, "[ computeMs \"computeMs\""],
        "2:1: the file is neither an export of trtexec nor its log; \
         give the files of --exportProfile, --exportTimes and so on",
    );
    let forced = Hints { format: Some(Format::Trtexec), ..hints() };
    assert_eq!(summary(&[("f", b"[]")], &forced).lines().next(), Some("0:1: the array is empty; export it again"));
}

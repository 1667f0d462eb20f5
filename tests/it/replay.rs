//! Profiles and replays as scripts use them: files, exit codes, interruptions, and what is said of wrong input.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Output, Stdio};

use assert_cmd::cargo::CommandCargoExt;
use coinfer::replay::available;
use serde_json::Value;
use tempfile::TempDir;

/// What traces say before their rows.
const HEADER: &str = "# coinfer trace 1\n# source: s\n# revision: r\n# hardware: h\n# software: w\n# date: d\n\
                      # kind: measured\ndevice,model,layer,batch,rows,statistic,repeat,time_ms\n";

/// A small network on two devices of this machine, on one core if there is one only.
fn scenario() -> String {
    let cores = available().unwrap();
    let (first, second) = (cores[0], cores[cores.len() - 1]);
    format!(
        r#"name = "two"
load = {{ offline = {{ samples = 2 }} }}
devices = [
    {{ name = "fast", kind = "cpu", memory = "1 GiB", trace = "two.csv", cpu = {{ cores = "{first}" }} }},
    {{ name = "slow", kind = "cpu", memory = "1 GiB", trace = "two.csv", cpu = {{ cores = "{second}", slowed = 2.0 }} }},
]
models = [{{ name = "net", zoo = "gru-2x512" }}]
strategies = [{{ greedy = {{}} }}, {{ even = {{}} }}, {{ name = "fast alone", single = {{ device = "fast" }} }}]
"#
    )
}

/// A trace of it as if it had been profiled elsewhere; a sample takes 1 and 2 ms.
fn trace() -> String {
    let times = [("fast", 1, 1), ("fast", 2, 2), ("slow", 1, 2), ("slow", 2, 4)];
    let rows = times.map(|(device, batch, time)| format!("{device},gru-2x512,whole,{batch},all,raw,1,{time}\n"));
    HEADER.to_owned() + &rows.concat()
}

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

fn command(folder: &TempDir, arguments: &[&str]) -> std::process::Command {
    let mut command = std::process::Command::cargo_bin("coinfer").unwrap();
    command.current_dir(folder.path()).args(arguments).env_remove("ORT_DYLIB_PATH");
    command
}

fn coinfer(folder: &TempDir, arguments: &[&str]) -> Output {
    command(folder, arguments).output().unwrap()
}

/// What the program prints for `arguments`, which it does without fault.
fn printed(folder: &TempDir, arguments: &[&str]) -> String {
    let output = coinfer(folder, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// What the program prints of a replay on cores, whether this machine repeats itself well enough to judge it or not.
fn replayed(folder: &TempDir, arguments: &[&str]) -> Value {
    let output = coinfer(folder, &[arguments, &["--replay", "--rounds", "1", "--format", "json"]].concat());
    let message = String::from_utf8_lossy(&output.stderr);
    let replay: Value = serde_json::from_slice(&output.stdout).unwrap();
    let expected = if replay["replay"]["verdict"] == "INCONCLUSIVE" { 4 } else { 0 };
    assert_eq!(output.status.code(), Some(expected), "{arguments:?}: {message}");
    assert!(replay["replay"]["floor"].is_null() && replay["replay"]["verdict"] != "VALID", "one round proves nothing");
    replay
}

/// The only folder of results.
fn results(folder: &TempDir) -> PathBuf {
    let found: Vec<_> = fs::read_dir(folder.path().join("results/two")).unwrap().collect();
    assert_eq!(found.len(), 1);
    found[0].as_ref().unwrap().path()
}

fn listing(folder: &Path) -> BTreeSet<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.collect()
}

fn set<const COUNT: usize>(names: [&str; COUNT]) -> BTreeSet<String> {
    names.map(str::to_owned).into()
}

#[test]
fn a_profile_is_a_trace_that_run_calibrate_and_replay_use() {
    let folder = folder(&[("two.toml", &scenario())]);
    let named = printed(&folder, &["profile", "two.toml", "--batches", "1,2", "--repeats", "1"]);
    assert_eq!(named, "two.csv\n");
    assert_eq!(listing(folder.path()), set(["two.csv", "two.toml"]), "the journal is gone");
    let text = fs::read_to_string(folder.path().join("two.csv")).unwrap();
    for row in ["fast,gru-2x512,whole,1,all,", "slow,gru-2x512,whole,2,all,", ",slow,", ",fast,"] {
        assert!(text.contains(row), "{row} in {text}");
    }
    assert!(text.contains("# software: rten ") && text.contains(", slowed 2.0 times\n"), "{text}");

    assert!(printed(&folder, &["calibrate", "two.csv", "--out", "calibration"]).contains("gru-2x512"));
    assert!(printed(&folder, &["run", "two.toml", "--out", "simulated"]).contains("greedy"));
    let replay = replayed(&folder, &["run", "two.toml"]);
    let comparisons = replay["replay"]["comparisons"].as_array().unwrap();
    assert_eq!(comparisons.len(), 3);
    for comparison in comparisons {
        assert!(comparison["difference"].as_f64().unwrap() <= 1e-4, "{comparison}");
        assert!(comparison["measured_ms"].as_f64().unwrap() > 0.0);
    }
    assert_eq!(replay["replay"]["emulated"], serde_json::json!(["slow"]));
    // Whether predictions hold depends on what else this machine does; the trace is not what speaks against them.
    let objections = replay["replay"]["objections"].to_string();
    assert!(!objections.contains("was taken") && !objections.contains("was profiled as"), "{replay}");

    let slower = ["run", "two.toml", "--set", "devices.slow.cpu.slowed=3"];
    let table = printed(&folder, &[&slower[..], &["--out", "slower"]].concat());
    assert!(table.contains("`slow` was profiled as 1 thread on core"), "{table}");
    let replay = replayed(&folder, &slower);
    assert_eq!(replay["replay"]["verdict"], "INVALID");
    assert!(replay["replay"]["objections"][0].as_str().unwrap().contains("slowed 3.0 times"), "{replay}");
}

#[test]
fn a_profile_replaces_traces_only() {
    let folder = folder(&[("two.toml", &scenario())]);
    let check = |output: &str, expected: &str| {
        let before = listing(folder.path());
        let ended = coinfer(&folder, &["profile", "two.toml", "-o", output]);
        assert_eq!((ended.status.code(), listing(folder.path())), (Some(2), before));
        let found = String::from_utf8(ended.stderr).unwrap();
        assert!(found.contains(expected), "{found}");
    };
    check("two.toml", "`two.toml` exists and is no trace; choose another file with -o");
    check(".", "`.` is no file");
}

#[test]
fn single_layers_are_profiled_in_parts() {
    let folder = folder(&[("two.toml", &scenario())]);
    let units = ["--units", "--parts", "1,2", "--batches", "1", "--repeats", "1", "--alone", "-o", "units.csv"];
    assert_eq!(printed(&folder, &[&["profile", "two.toml"], &units[..]].concat()), "units.csv\n");
    let text = fs::read_to_string(folder.path().join("units.csv")).unwrap();
    assert!(text.contains(",gru-2x512,layer1,1,all,raw,") && text.contains(",gru-2x512,layer1,1,12,raw,"), "{text}");
    assert!(!folder.path().join("two.csv").exists());
}

#[test]
fn a_replay_without_hardware_is_complete_and_proves_nothing() {
    let folder = folder(&[("two.toml", &scenario()), ("two.csv", &trace())]);
    let mock = ["--replay", "--backend", "mock", "--rounds", "2"];
    let table = printed(&folder, &[&["run", "two.toml"], &mock[..]].concat());
    assert!(table.lines().all(|line| line.chars().count() <= 80), "{table}");
    let text = table.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains("; nothing was measured on hardware ") && text.contains(" INVALID: no hardware took part"));
    let results = results(&folder);
    let files = ["manifest.json", "summary.json", "results.csv", "finish-times.csv", "finish-times.svg", "replay.json"];
    assert_eq!(listing(&results), &set(files) | &set(["greedy", "even", "fast-alone"]));
    let of_plan =
        ["plan.json", "timeline.csv", "timeline.json", "timeline.svg", "replay.csv", "replay.svg"].map(str::to_owned);
    for strategy in ["greedy", "even", "fast-alone"] {
        assert_eq!(listing(&results.join(strategy)), of_plan.clone().into());
    }
    let replay: Value = serde_json::from_slice(&fs::read(results.join("replay.json")).unwrap()).unwrap();
    assert_eq!((&replay["verdict"], &replay["is_real"]), (&"INVALID".into(), &false.into()));
    assert_eq!(replay["comparisons"][0]["rounds"], 2);
    assert_eq!(replay["comparisons"][0]["difference"], Value::Null);
    let manifest = fs::read_to_string(results.join("manifest.json")).unwrap();
    assert!(manifest.contains("replay.backend") && manifest.contains("mock"), "{manifest}");
    let paged = ["run", "two.toml", "--set", "devices.slow.paging.prefetch=true"];
    let text = printed(&folder, &[&paged[..], &mock[..]].concat()).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains("`slow` pages in predictions, and nothing does in a replay"), "{text}");
}

#[test]
fn a_plan_in_a_file_is_replayed() {
    let folder = folder(&[("two.toml", &scenario()), ("two.csv", &trace())]);
    printed(&folder, &["plan", "two.toml", "--strategy", "even", "-o", "my plan.json"]);
    let replay = ["replay", "my plan.json", "--scenario", "two.toml", "--backend", "mock", "--rounds", "1"];
    let object: Value =
        serde_json::from_str(&printed(&folder, &[&replay, &["--format", "json"][..]].concat())).unwrap();
    assert_eq!(object["verdict"], "INVALID");
    assert_eq!(object["objections"][0], "no hardware took part");
    assert_eq!(object["comparisons"][0]["strategy"], "my plan");
    let results = results(&folder);
    assert_eq!(listing(&results), set(["manifest.json", "my-plan", "replay.json"]));
    assert_eq!(listing(&results.join("my-plan")), set(["replay.csv", "replay.svg"]));
}

#[test]
fn a_trace_from_elsewhere_is_no_evidence_for_this_machine() {
    let folder = folder(&[("two.toml", &scenario()), ("two.csv", &trace())]);
    let replay = replayed(&folder, &["run", "two.toml"]);
    let objections = replay["replay"]["objections"].as_array().unwrap();
    assert!(objections[0].as_str().unwrap().starts_with("two.csv was taken on h, and this is "), "{objections:?}");
    assert!(objections[1].as_str().unwrap().starts_with("two.csv was taken with w, and this is rten "));
    assert_eq!(replay["replay"]["verdict"], "INVALID");
}

/// Waits until `is_so`, a minute at most.
fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..3000 {
        if is_so() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    panic!("{what} did not come");
}

fn signal(child: &Child, name: &str) {
    let sent = std::process::Command::new("kill").args([name, &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

const LONG_PROFILE: [&str; 7] = ["profile", "two.toml", "--batches", "1,2", "--repeats", "3", "--alone"];

/// A profile that got `name` after its first visits, and how many visits its journal has.
fn ended_early(folder: &TempDir, name: &str) -> (Output, usize) {
    let journal = folder.path().join(".two.csv.unfinished");
    let visits = || fs::read_to_string(&journal).unwrap_or_default().lines().skip(1).count();
    let mut command = command(folder, &LONG_PROFILE);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_until("a visit", || visits() > 1);
    signal(&child, name);
    (child.wait_with_output().unwrap(), visits())
}

#[test]
fn an_interrupted_profile_leaves_its_trace_alone_and_goes_on_later() {
    let folder = folder(&[("two.toml", &scenario()), ("two.csv", &trace())]);
    let (output, visits) = ended_early(&folder, "-INT");
    assert_eq!(output.status.code(), Some(130));
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "stopping: what is under way ends first; Ctrl-C again ends at once\nerror: interrupted\n"
    );
    assert_eq!(fs::read_to_string(folder.path().join("two.csv")).unwrap(), trace(), "untouched");

    let output = coinfer(&folder, &LONG_PROFILE);
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(
        output.status.success() && message.starts_with(&format!("going on after {visits} visits in ")),
        "{message}"
    );
    let text = fs::read_to_string(folder.path().join("two.csv")).unwrap();
    assert!(text.contains("# software: rten "), "{text}");
    assert_eq!(listing(folder.path()), set(["two.csv", "two.toml"]));
}

#[test]
fn a_killed_profile_goes_on_unless_it_is_another_one_or_to_begin_afresh() {
    let folder = folder(&[("two.toml", &scenario())]);
    let (output, visits) = ended_early(&folder, "-KILL");
    assert_eq!(output.status.code(), None);
    let kept = fs::read(folder.path().join(".two.csv.unfinished")).unwrap();
    let message = |arguments: &[&str]| {
        fs::write(folder.path().join(".two.csv.unfinished"), &kept).unwrap();
        String::from_utf8(coinfer(&folder, arguments).stderr).unwrap()
    };
    let going_on = format!("going on after {visits} visits");
    assert!(message(&LONG_PROFILE).contains(&going_on));
    assert!(!message(&[&LONG_PROFILE[..], &["--fresh"]].concat()).contains("going on"));
    assert!(!message(&[&LONG_PROFILE[..], &["--set", "seed=9"]].concat()).contains("going on"));
}

#[test]
fn equal_plans_run_once_a_round_and_are_reported_under_all_their_names() {
    let folder = folder(&[("two.toml", &scenario()), ("two.csv", &trace())]);
    let strategies =
        "strategies=[{ name = 'one', even = {} }, { single = { device = 'fast' } }, { name = 'two', even = {} }]";
    let mock = ["--replay", "--backend", "mock", "--rounds", "3", "--format", "json"];
    let replay = printed(&folder, &[&["run", "two.toml", "--set", strategies], &mock[..]].concat());
    let replay: Value = serde_json::from_str(&replay).unwrap();
    let comparisons = replay["replay"]["comparisons"].as_array().unwrap();
    let names: Vec<&Value> = comparisons.iter().map(|comparison| &comparison["strategy"]).collect();
    assert_eq!(names, ["one", "single", "two"]);
    assert_eq!((&comparisons[0]["same_plan_as"], &comparisons[2]["same_plan_as"]), (&Value::Null, &"one".into()));
    // To the nanosecond, which no two runs are.
    let csv = |name: &str| fs::read_to_string(results(&folder).join(name).join("replay.csv")).unwrap();
    assert_eq!((csv("one"), &comparisons[0]["measured_ms"]), (csv("two"), &comparisons[2]["measured_ms"]));
    assert_ne!(csv("one"), csv("single"));
}

#[test]
fn an_interrupted_replay_leaves_no_results() {
    let folder = folder(&[("two.toml", &scenario()), ("two.csv", &trace())]);
    for backend in ["mock", "cpu"] {
        let arguments = ["run", "two.toml", "--replay", "--rounds", "1000", "--backend", backend, "-v"];
        let mut child = command(&folder, &arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
        assert!(lines.any(|line| line.starts_with("replaying on ")));
        signal(&child, "-INT");
        assert_eq!(lines.last().unwrap(), "error: interrupted");
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), output.stdout), (Some(130), vec![]));
        assert_eq!(listing(&folder.path().join("results/two")), set([]));
    }
}

/// What is said of wrong input, which ends with `code` and leaves nothing.
fn refused(folder: &TempDir, arguments: &[&str], code: i32) -> String {
    let before = listing(folder.path());
    let output = coinfer(folder, arguments);
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {message}");
    assert!(output.stdout.is_empty() && !message.contains("panicked"), "{arguments:?}: {message}");
    let left = &listing(folder.path()) - &before;
    assert!(left.is_empty() || left == set(["results"]), "{arguments:?} leaves {left:?}");
    let place = folder.path().join("results/two");
    assert!(!place.exists() || listing(&place).is_empty(), "{arguments:?} leaves results");
    message
}

#[test]
fn wrong_hardware_is_told_with_a_remedy() {
    let folder = folder(&[("two.toml", &scenario()), ("two.csv", &trace()), ("no.so", "this is no library")]);
    let check = |command: &str, more: &[&str], parts: &[&str]| {
        let start: &[&str] = if command == "run" { &["run", "two.toml", "--replay"] } else { &["profile", "two.toml"] };
        let message = refused(&folder, &[start, more].concat(), 2);
        assert!(parts.iter().all(|part| message.contains(part)), "{command} {more:?}: {message}");
    };
    for command in ["run", "profile"] {
        let core = ["--set", "devices.slow.cpu.cores=\"1023\""];
        check(command, &core, &["there is no core 1023 for this program", "there are ["]);
        check(command, &["--onnxruntime", "nowhere.so"], &["`nowhere.so`: there is no such file"]);
        check(command, &["--onnxruntime", "no.so"], &["cannot load ONNX Runtime from `no.so`"]);
        check(command, &["--onnxruntime", "."], &["cannot load ONNX Runtime from `.`: there is no such file"]);
        check(command, &["--set", "devices.slow.cpu.cores=x"], &["`x` names no cores", "help: write for example `0`"]);
        check(command, &["--set", "devices.slow.cpu.threads=0"], &["0 threads do not fit on 1 cores", "use 1 to 1"]);
        check(command, &["--set", "devices.slow.cpu.slowed=0.5"], &["slowed 0.5 times", "from 1 to 100"]);
        check(
            command,
            &["--set", "devices.slow.cpu.slowed=nan"],
            &["`NaN` is not a finite number", "help: write a finite"],
        );
        check(command, &["--set", "load.offline.samples=1000001"], &["1000000"]);
    }
    check("run", &["--rounds", "0"], &["--rounds", "use 1 to 1000, or auto"]);
    check("run", &["--tolerance", "nan"], &["--tolerance", "use 0 to 1000"]);
    check("run", &["--tolerance=-1"], &["--tolerance", "use 0 to 1000"]);
    check("run", &["--deadline", "0"], &["--deadline"]);
    check("run", &["--backend", "gpu"], &["--backend", "possible values: devices, mock"]);
    for wrong in ["--batches=0", "--repeats=0", "--parts=0", "--batches=x"] {
        check("profile", &[wrong], &[wrong.split('=').next().unwrap()]);
    }
}

#[test]
fn devices_that_are_no_cores_and_networks_without_layers_cannot_be_run() {
    let without_cores = |line: &str| match line.split_once(", cpu = ") {
        Some((device, _)) => format!("{device} }},\n"),
        None => format!("{line}\n"),
    };
    let bare: String = scenario().lines().map(without_cores).collect();
    let sizes = r#"{ name = "net", profile = "gru-2x512", opaque = { input = "4 B", output = "4 B", parameters = "4 B", activations = "9 B" } }"#;
    let opaque = scenario().replace(r#"{ name = "net", zoo = "gru-2x512" }"#, sizes);
    let untraced = scenario().replace(", trace = \"two.csv\"", "");
    let folder =
        folder(&[("bare.toml", &bare), ("opaque.toml", &opaque), ("untraced.toml", &untraced), ("two.csv", &trace())]);
    let check = |arguments: &[&str], expected: &str| {
        let message = refused(&folder, arguments, 2);
        assert!(message.contains(expected), "{arguments:?}: {message}");
    };
    check(&["run", "bare.toml", "--replay"], "`fast` does not say what runs it; write for example `runtime = {");
    check(&["profile", "bare.toml"], "no device of the scenario says what runs it; write `cpu = {");
    check(&["run", "opaque.toml", "--replay"], "net is known by its sizes only and cannot be run; name its layers by");
    check(&["profile", "opaque.toml"], "no model of the scenario has layers; name one by `zoo` or `onnx`");
    check(&["profile", "untraced.toml"], "`fast` names no trace to write; add `trace = \"..\"`, or use -o FILE");
    let mock = ["run", "opaque.toml", "--replay", "--backend", "mock", "--rounds", "1"];
    assert!(printed(&folder, &mock).contains("INVALID: no hardware"), "what is not run need not be known");
}

#[test]
fn plans_that_are_none_or_of_another_scenario_are_refused() {
    let folder = folder(&[("two.toml", &scenario()), ("two.csv", &trace()), ("text.json", "no plan")]);
    printed(&folder, &["plan", "two.toml", "--strategy", "even", "-o", "plan.json"]);
    let plan = fs::read_to_string(folder.path().join("plan.json")).unwrap();
    fs::write(folder.path().join("cut.json"), &plan[..plan.len() / 2]).unwrap();
    fs::write(folder.path().join("empty.json"), "{\"lanes\": [], \"steps\": []}").unwrap();
    fs::write(folder.path().join("lane.json"), plan.replace("\"lane\":0", "\"lane\":7")).unwrap();
    let check = |name: &str, more: &[&str], expected: &str| {
        let message = refused(&folder, &[&["replay", name, "--scenario", "two.toml"], more].concat(), 2);
        assert!(message.contains(expected), "{name}: {message}");
    };
    check("absent.json", &[], "cannot read `absent.json`");
    check(".", &[], "cannot read `.`");
    check("text.json", &[], "`text.json` is not a plan: ");
    check("cut.json", &[], "`cut.json` is not a plan: EOF while parsing");
    check("empty.json", &[], "`empty.json` is no plan for this scenario:\n");
    check("lane.json", &[], "`lane.json` is no plan for this scenario:\n");
    check("plan.json", &["--set", "load.offline.samples=1"], "`plan.json` is no plan for this scenario:\n");
    check("plan.json", &["--set", "models.net.zoo=lstm-2x512"], "lstm-2x512");
}

#[test]
fn options_of_a_replay_need_one() {
    let folder = folder(&[("two.toml", &scenario())]);
    for option in [["--rounds", "3"], ["--backend", "mock"], ["--tolerance", "5"], ["--deadline", "9"]] {
        for command in ["run", "sweep"] {
            let ended = coinfer(&folder, &[&[command, "two.toml"], &option[..]].concat());
            assert_eq!(ended.status.code(), Some(2));
            assert!(String::from_utf8(ended.stderr).unwrap().contains("  --replay\n"), "{command} {option:?}");
        }
    }
}

//! Sensitivity from outside: figures of runs, the same bytes with any number of threads, and nothing after wrong input.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

const SCENARIO: &str = "scenarios/legion-vgg16.toml";
const KEY: &str = "switches.lan.bandwidth";

fn coinfer(arguments: &[&str], out: &Path, threads: &str) -> Output {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin("coinfer"));
    command.current_dir(env!("CARGO_MANIFEST_DIR")).env("RAYON_NUM_THREADS", threads);
    command.args(arguments).arg("--out").arg(out).output().unwrap()
}

/// The JSON that a command prints.
fn json(arguments: &[&str]) -> Value {
    let out = tempfile::tempdir().unwrap();
    let output = coinfer(&[arguments, &["--format", "json"]].concat(), out.path(), "2");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The only results folder of a scenario below `out`.
fn folder(out: &Path, scenario: &str) -> PathBuf {
    let mut entries = fs::read_dir(out.join(scenario)).unwrap().map(|entry| entry.unwrap().path());
    let only = entries.next().unwrap();
    assert!(entries.next().is_none());
    only
}

/// Each file of a results folder; of the manifest all but the time.
fn files(folder: &Path) -> BTreeMap<String, String> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let of = |entry: fs::DirEntry| {
        let text = fs::read_to_string(entry.path()).unwrap();
        let text: Vec<&str> = text.lines().filter(|line| !line.contains("\"created\"")).collect();
        (entry.file_name().into_string().unwrap(), text.join("\n"))
    };
    entries.map(of).collect()
}

#[test]
fn figures_are_those_of_runs_with_these_values() {
    let found = json(&["sensitivity", SCENARIO, "--vary", KEY, "--by", "50", "--strategy", "coedge"]);
    let effects = found["results"].as_array().unwrap();
    assert_eq!(effects.len(), 1);
    for end in ["low", "base", "high"] {
        let setting = format!("{KEY}={}", effects[0]["value"][end].as_str().unwrap());
        let run = json(&["run", SCENARIO, "--set", &setting]);
        let strategies = run["results"].as_array().unwrap();
        let coedge = strategies.iter().find(|result| result["strategy"] == "coedge").unwrap();
        assert_eq!(effects[0][end], coedge["speedup"], "{setting}");
    }
    let makespans = json(&["sensitivity", SCENARIO, "--vary", KEY, "--figure-of", "makespan"]);
    let effects = makespans["results"].as_array().unwrap();
    let run = json(&["run", SCENARIO]);
    let strategies = run["results"].as_array().unwrap();
    assert_eq!(effects.len(), strategies.len());
    for (effect, strategy) in effects.iter().zip(strategies) {
        assert_eq!(
            (&effect["strategy"], &effect["base"], &effect["figure"]),
            (&strategy["strategy"], &strategy["makespan_ms"], &Value::from("makespan_ms"))
        );
    }
}

#[test]
fn any_number_of_threads_gives_the_same_bytes() {
    let of_threads = ["1", "3"].map(|threads| {
        let out = tempfile::tempdir().unwrap();
        let vary = ["--vary", "load.offline.samples", "--vary", "strategies.greedy.threshold"];
        let command = ["sensitivity", "scenarios/kcc2020-vgg16.toml", "--set", "strategies.greedy.threshold=1.05"];
        let output = coinfer(&[command, vary].concat(), out.path(), threads);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        (output.stdout, files(&folder(out.path(), "kcc2020-vgg16")))
    });
    assert_eq!(of_threads[0], of_threads[1]);
    let names: Vec<&str> = of_threads[0].1.keys().map(String::as_str).collect();
    assert!(names.contains(&"manifest.json") && names.contains(&"sensitivity.csv"), "{names:?}");
    assert!(names.contains(&"tornado-greedy.svg"), "{names:?}");
    let text = String::from_utf8_lossy(&of_threads[0].0).into_owned();
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
}

#[test]
fn results_of_one_strategy_have_one_figure_that_is_drawn_again_in_another_width() {
    let out = tempfile::tempdir().unwrap();
    let command = ["sensitivity", SCENARIO, "--vary", KEY, "--strategy", "coedge"];
    assert!(coinfer(&command, out.path(), "2").status.success());
    let results = folder(out.path(), "legion-vgg16");
    let names: Vec<String> = files(&results).into_keys().collect();
    assert_eq!(names, ["manifest.json", "sensitivity.csv", "tornado.svg"]);
    let drawn = results.join("tornado.svg");
    let before = fs::read_to_string(&drawn).unwrap();
    let plot = |width: &str| {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin("coinfer"));
        assert!(command.arg("plot").arg(&results).args(["--width", width]).output().unwrap().status.success());
        fs::read_to_string(&drawn).unwrap()
    };
    assert_eq!(plot("page"), before);
    assert!(plot("column").contains("width=\"88mm\""));
}

#[test]
fn wrong_input_ends_with_code_2_and_leaves_nothing() {
    let place = tempfile::tempdir().unwrap();
    let out = place.path().join("results");
    let check = |arguments: &[&str], expected: &[&str]| {
        let output = coinfer(&[&["sensitivity"], arguments].concat(), &out, "2");
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {message}");
        assert!(expected.iter().all(|text| message.contains(text)), "{arguments:?}: {message}");
        assert!(output.stdout.is_empty() && !out.exists());
    };
    check(&[SCENARIO], &["--vary"]);
    check(&["scenarios/absent.toml", "--vary", KEY], &["absent.toml"]);
    let wrong =
        [SCENARIO, "--vary", "switches.lam.latency", "--vary", "models.vgg-16.home", "--by", "0", "--strategy", "x"];
    check(&wrong, &["did you mean `lan`?", "without a number", "from 1 to 90", "no strategy is called `x`"]);
    let served = [
        "scenarios/kcc2020-vgg16-server.toml",
        "--vary",
        "load.server.arrivals.poisson.rate",
        "--figure-of",
        "speedup",
    ];
    check(&served, &["use --figure-of makespan"]);
}

#[test]
fn results_that_failed_end_with_code_3_beside_the_others() {
    let out = tempfile::tempdir().unwrap();
    let scenario = ["sensitivity", "scenarios/kcc2020-later-vgg16.toml", "--set", "load.offline.samples=66"];
    let vary = ["--vary", "load.offline.samples", "--by", "50"];
    let output = coinfer(&[scenario, vary].concat(), out.path(), "2");
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{message}");
    assert!(message.contains("results failed; the first: "), "{message}");
    let csv = &files(&folder(out.path(), "kcc2020-later-vgg16"))["sensitivity.csv"];
    let is_failed = |line: &&str| line.contains("as it stands: ");
    assert!(csv.lines().any(|line| is_failed(&line)), "{csv}");
    assert!(csv.lines().skip(1).any(|line| !is_failed(&line)), "{csv}");
}

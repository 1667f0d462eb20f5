//! The program as scripts use it: output, exit codes, and results that are the same each time.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use assert_cmd::Command;
use serde_json::Value;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn coinfer(arguments: &[&str]) -> Output {
    Command::cargo_bin("coinfer").unwrap().current_dir(root()).args(arguments).output().unwrap()
}

/// What the program prints for `arguments`, with its results in a folder that is gone afterwards.
fn printed(arguments: &[&str]) -> String {
    let out = tempfile::tempdir().unwrap();
    let output = coinfer(&[arguments, &["--out", out.path().to_str().unwrap()]].concat());
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn shipped() -> Vec<PathBuf> {
    let entries = fs::read_dir(root().join("scenarios")).unwrap().map(|entry| entry.unwrap().path());
    let mut scenarios: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|e| e == "toml")).collect();
    scenarios.sort();
    assert!(!scenarios.is_empty());
    scenarios
}

/// Every file below `folder` with its bytes; of manifests all but the time.
fn files(folder: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(
                files(&path)
                    .into_iter()
                    .map(|(name, text)| (PathBuf::from(path.file_name().unwrap()).join(name), text)),
            );
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let is_time = |line: &&str| !(path.ends_with("manifest.json") && line.contains("\"created\""));
        let text = text.lines().filter(is_time).collect::<Vec<_>>().join("\n");
        found.insert(path.file_name().unwrap().into(), text);
    }
    found
}

#[test]
fn json_is_one_object_that_keeps_its_contract() {
    let text = printed(&[
        "run",
        "scenarios/kcc2020-vgg16.toml",
        "--format",
        "json",
        "--set",
        "load.offline.samples=100",
        "--set",
        "strategies.greedy.threshold=1.0",
    ]);
    let object: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(object["scenario"], "kcc2020-vgg16");
    let results = object["results"].as_array().unwrap();
    let greedy = results.iter().find(|result| result["strategy"] == "greedy").unwrap();
    assert_eq!(serde_json::to_string(&greedy["split"]).unwrap(), r#"{"cpu":7,"gpu":54,"igpu":39}"#);
    assert!(text.find("\"cpu\": 7").unwrap() < text.find("\"igpu\": 39").unwrap(), "devices keep the scenario's order");
    for result in results {
        let number = |key: &str| result[key].as_f64().unwrap_or_else(|| panic!("{key} of {result}"));
        let (makespan, bound) = (number("makespan_ms"), number("lower_bound_ms"));
        assert!(makespan >= bound, "{result}");
        assert!((number("gap") - (makespan / bound - 1.0)).abs() < 1e-9);
        assert!((number("samples_per_s") - 100.0 / makespan * 1e3).abs() < 1e-6);
        assert!((0.0..=1.0).contains(&number("measured_share")));
        assert!(number("speedup") > 0.0);
        let split: u64 = result["split"].as_object().unwrap().values().map(|samples| samples.as_u64().unwrap()).sum();
        assert_eq!(split, 100);
    }
}

#[test]
fn the_table_fits_80_columns_for_every_shipped_scenario() {
    for scenario in shipped() {
        let table = printed(&["run", scenario.to_str().unwrap()]);
        for line in table.lines() {
            assert!(line.chars().count() <= 80, "{}: {line}", scenario.display());
        }
        assert!(!table.contains('\u{1b}'), "no colours in a pipe");
    }
}

#[test]
fn every_shipped_scenario_gives_the_same_bytes_twice() {
    for scenario in shipped() {
        let run = || {
            let out = tempfile::tempdir().unwrap();
            let output = coinfer(&["run", scenario.to_str().unwrap(), "-q", "--out", out.path().to_str().unwrap()]);
            assert!(output.status.success());
            (output.stdout, files(out.path()))
        };
        let (first, again) = (run(), run());
        assert!(first.1.len() > 5, "{:?}", first.1.keys());
        assert_eq!(first, again, "{}", scenario.display());
    }
}

#[test]
fn a_sweep_gives_the_same_bytes_with_any_number_of_threads() {
    let sweep = |jobs: &str| {
        let out = tempfile::tempdir().unwrap();
        let scenario = "scenarios/kcc2020-vgg16-sweep.toml";
        let output = coinfer(&["sweep", scenario, "--jobs", jobs, "--out", out.path().to_str().unwrap()]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        files(out.path())
    };
    let one = sweep("1");
    let results = one.iter().find(|(path, _)| path.ends_with("results.csv")).unwrap().1;
    assert_eq!(results.lines().count(), 1 + 200 * 7, "200 batches, 7 strategies");
    assert_eq!(one, sweep("2"));
    assert_eq!(one, sweep("3"));
}

#[test]
fn a_plan_can_be_written_and_checked_again() {
    let folder = tempfile::tempdir().unwrap();
    let plan = folder.path().join("plan.json");
    let (scenario, plan) = ("scenarios/kcc2020-vgg16.toml", plan.to_str().unwrap());
    assert!(coinfer(&["plan", scenario, "--strategy", "exact", "-o", plan]).status.success());
    assert!(coinfer(&["check", scenario, "--plan", plan]).status.success());

    let other_batch = coinfer(&["check", scenario, "--set", "load.offline.samples=199", "--plan", plan]);
    assert_eq!(other_batch.status.code(), Some(2));
    let message = String::from_utf8(other_batch.stderr).unwrap();
    assert!(message.contains("outside vgg-16's 199 samples"), "{message}");

    fs::write(plan, "{\"lanes\": [], \"steps\": [").unwrap();
    let cut_off = coinfer(&["check", scenario, "--plan", plan]);
    assert_eq!(cut_off.status.code(), Some(2));
}

#[test]
fn wrong_input_ends_with_code_2_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("results");
    let check = |arguments: &[&str], expected: &str| {
        let output = coinfer(&[arguments, &["--out", out.to_str().unwrap()]].concat());
        let message = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {message}");
        assert!(message.contains(expected), "{arguments:?}: {message}");
        assert!(output.stdout.is_empty());
        assert!(!out.exists(), "nothing is written");
    };
    let scenario = "scenarios/kcc2020-vgg16.toml";
    check(&["run", "scenarios/absent.toml"], "absent.toml");
    check(&["run", "scenarios"], "scenarios");
    check(&["run", scenario, "--set", "load.offline.samples=0"], "--set");
    check(&["run", scenario, "--set", "load.offline.samples=1000000000"], "1000000");
    check(&["run", scenario, "--set", "strategies.greedy.treshold=1"], "threshold");
    check(&["run", scenario, "--set", "nonsense"], "nonsense");
    check(&["sweep", scenario, "--set", "load.offline.samples=5..=1"], "5..=1");
    check(&["sweep", scenario, "--jobs", "0"], "--jobs");
}

#[test]
fn every_broken_scenario_ends_with_code_2_and_a_diagnostic() {
    let mut count = 0;
    for entry in fs::read_dir(root().join("tests/broken")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "toml") && !path.ends_with("sound.toml") {
            let output = coinfer(&["check", path.to_str().unwrap()]);
            let message = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(2), "{}: {message}", path.display());
            assert!(message.contains("error: ") && message.contains("help: "), "{}: {message}", path.display());
            assert!(output.stdout.is_empty());
            count += 1;
        }
    }
    assert!(count >= 20, "{count}");
}

#[test]
fn a_strategy_without_a_plan_ends_with_code_1_and_the_others_are_shown() {
    let out = tempfile::tempdir().unwrap();
    let scenario = "scenarios/kcc2020-later-vgg16.toml";
    let more = ["--set", "load.offline.samples=66", "--format", "json", "--out", out.path().to_str().unwrap()];
    let output = coinfer(&[&["run", scenario], &more[..]].concat());
    assert_eq!(output.status.code(), Some(1));
    let object: Value = serde_json::from_slice(&output.stdout).unwrap();
    let failures = object["failures"].as_array().unwrap();
    assert!(failures.iter().any(|failure| failure["reason"].as_str().unwrap().contains("was not profiled")));
}

#[test]
fn every_command_has_help_with_an_example() {
    for command in ["run", "sweep", "plan", "check", "calibrate", "plot", "schema", "completions"] {
        let output = coinfer(&[command, "--help"]);
        assert!(output.status.success());
        let help = String::from_utf8(output.stdout).unwrap();
        assert!(help.contains("Example") && help.contains(&format!("coinfer {command}")), "{help}");
    }
}

#[test]
fn the_schema_in_the_repository_is_the_one_of_the_program() {
    let stored = fs::read_to_string(root().join("docs/scenario.schema.json")).unwrap();
    let printed = String::from_utf8(coinfer(&["schema"]).stdout).unwrap();
    assert!(stored == printed, "write it again: cargo run -- schema > docs/scenario.schema.json");
}

#[test]
fn an_interrupted_write_leaves_earlier_results_alone() {
    let out = tempfile::tempdir().unwrap();
    let arguments = ["run", "scenarios/kcc2020-vgg16.toml", "-q", "--out", out.path().to_str().unwrap()];
    assert!(coinfer(&arguments).status.success());
    let before = files(out.path());
    // What a killed run leaves behind: a hidden folder beside the results.
    let run = fs::read_dir(out.path().join("kcc2020-vgg16")).unwrap().next().unwrap().unwrap().file_name();
    let abandoned = out.path().join("kcc2020-vgg16").join(format!(".{}.coinfer-x", run.to_str().unwrap()));
    fs::create_dir_all(abandoned.join("new")).unwrap();
    fs::write(abandoned.join("new/summary.json"), "{\"scenario\":").unwrap();
    fs::write(abandoned.join("lock"), "").unwrap();
    assert!(coinfer(&arguments).status.success());
    assert_eq!(files(out.path()), before);
}
